"""A column of numbers is read from odd files, or an error of one line names the value, its row and the file."""
import bz2
import gzip
import io
import lzma
import os
import sys
import threading
import types
import zipfile

import numpy as np
import pandas as pd
import pytest

from fastgd.__main__ import main
from fastgd._cli.csv_column import read_column


@pytest.fixture
def folder(tmp_path, capsys):
    """A folder. With `capsys` pytest-run-parallel lets no threads share it, nor the filters of warnings that change."""
    return tmp_path


@pytest.fixture
def write(folder):
    """A function that writes a file and returns its path as text."""
    def write(content, name="own.csv"):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


NUMBERS = {
    "a column among others": ("n,x,m\na,1,\nb,2,\n", [1, 2]),
    "blank lines at the end are no rows": ("x\n1\n2\n\n  \n\n", [1, 2]),
    "blank lines before the header are no rows": ("\n \n\nx\n1\n2\n", [1, 2]),
    "blank lines among several columns are no rows": ("x,y\n1,1\n\n2,1\n", [1, 2]),
    "quoted numbers": ('x\n"1"\n" 2 "\n', [1, 2]),
    "a comma at the end of each row": ("x,y\n1,1,\n2,1,\n", [1, 2]),
    "integers beyond 64 bits": ("x\n1\n18446744073709551616\n", [1, 2.0**64]),
    "a number near the largest and a negative one": ("x\n18446744073709551615\n-1\n", [2.0**64, -1]),
    "truth values": ("x\nTrue\nFalse\n", [1, 0]),
    "a mark of the byte order": ("\ufeffx\n1\n2\n", [1, 2]),
    "UTF-16": ("x\ty\r\n1\tcaf\u00e9\r\n2\t\r\n".encode("utf-16"), [1, 2]),
    "a comma at the end of one row": ("x,y\n1,1\n2,1,\n", [1, 2]),
    "a space after each comma": ("y, x\n1, 1\n2, 2\n", [1, 2]),
    "an identifier above 2**53": ("x\n1\n9007199254740993\n", [1, 2.0**53]),
    "carriage returns": ("x\r1\r2\r", [1, 2]),
    "a huge number in another column": (f"x,y\n1,1\n2,{'1' * 400}\n", [1, 2]),
    "text late in another column of a long file": ("x,y\n" + "1,2\n" * 300_000 + "1,word\n", [1] * 300_001),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(write, case):
    text, expected = NUMBERS[case]
    values = read_column(write(text), "x").values
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, expected)


def many_columns(n):
    return ",".join(f"c{k}" for k in range(n)) + "\n1\n"


#: By name: the file, the column, and what the message names.
ERRORS = {
    "text": ("x,y\n1,\ntwo,\n", "x", "row 2 has 'two'"),
    "a header of three lines": ('"x","n\n\nm"\n1,2\ntwo,\n', "x", "row 2 has 'two'"),
    "line breaks in quotes before it": ('n,x\n"a\n\nb",1\n"c\nd",two\n', "x", "row 2 has 'two'"),
    "blank lines before it": ("\n\nx,y\n1,\n\n\ntwo,\n", "x", "row 2 has 'two'"),
    "carriage returns and new lines": ("x,y\r\n1,\r\n\r\ntwo,\r\n", "x", "row 2 has 'two'"),
    "a long text": (f"x\n{'ab' * 5000}\n", None, "row 1 has 'abababababababababa...babababab'"),
    "control characters": ("x\n\x1b[31m\n", None, r"row 1 has '\x1b[31m'"),
    "hexadecimal": ("x\n1\n0x1F\n", None, "row 2 has '0x1F'"),
    "an underscore": ("x\n1\n1_000\n", None, "row 2 has '1_000'; write numbers as 1234.5"),
    "a comma in quotes": ('x\n1\n"1,000"\n', None, "row 2 has '1,000'; write numbers as 1234.5"),
    "a comma in one column": ("x\n1\n1,5\n", None, "--decimal"),
    "a decimal comma": ("x;y\n1;2\n1,5;2\n", "x", "row 2 has '1,5'; write numbers as 1234.5"),
    "an apostrophe": ("x\n1\n1'000\n", None, "row 2 has \"1'000\"; write numbers as 1234.5"),
    "other digits": ("x\n\u0661\n", None, "row 1 has '\u0661'"),
    "text after infinity": ("x\ninf\ntwo\n", None, "row 2 has 'two'"),
    "a date": ("x\n2024-01-01\n", None, "row 1 has '2024-01-01'"),
    "a truth value among numbers": ("x\n1\nTrue\n", None, "row 2 has 'True'"),
    "a long field before it": (f"x,y\n1,{'a' * 200_000}\ntwo,\n", "x", "row 2 has 'two'"),
    "400 digits": (f"x\n1\n{'1' * 400}\n", None, "row 2"),
    "5000 digits": (f"x\n1\n{'1' * 5000}\n", None, "row 2"),
    "400 digits and a point": (f"x\n1.5\n-{'1' * 400}.5\n", None, "row 2"),
    "a power of ten": ("x,y\n1,\n\n1e999,\n", "x", "row 2"),
    "infinity": ("x\n1\n-inf\n", None, "row 2"),
    "a missing value": ("x,y\n1,\n,2\n3,\n", "x", "1 missing value of 3, the first in row 2;"),
    "two missing values": ("x,y\n1,\nNA,2\nNaN,\n", "x", "2 missing values of 3, the first in row 2;"),
    "a row with a field too few": ("y,x\n1,1\n2\n", "x", "1 missing value of 2, the first in row 2;"),
    "a blank line in one column": ("x\n1\n\n3\n", None, "1 missing value of 3, the first in row 2;"),
    "a line of spaces in one column": ("\nx\n1\n  \n3\n\n", None, "1 missing value of 3, the first in row 2;"),
    "NaN before blank lines at the end": ("x\n1\nNaN\n\n\n", None, "1 missing value of 2, the first in row 2;"),
    "empty quotes at the end": ('x\n1\n""\n', None, "1 missing value of 2, the first in row 2;"),
    "nothing but missing values": ("x\nNA\n\nNA\n", None, "no numbers: 3 values"),
    "a header and no rows": ("x\n\n\n", None, "no rows"),
    "a long first row": ("x,y\n1,2,3\n4,5\n", "x", "row 1 "),
    "a long row": ("x,y\n1,2\n\n1,2,3\n", "x", "row 2 "),
    "a number with a comma": ("x,y\n1,2\n1,000,2\n", "x", "--decimal"),
    "a long row of semicolons": ("x;y\n1;2\n1;2;3\n", "x", "a semicolon"),
    "an open quote": ('x,y\n1,2\n\n3,"4\n5,6\n', "x", "line 4 "),
    "empty": ("", "x", "empty"),
    "blank": ("\n  \n\n", None, "empty"),
    "Latin-1": (b"x,n\n1,a\n2,caf\xe9\n", "x", "line 3 "),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None, "not text"),
    "a zero": (b"x,y\n1,2\n\0,3\n", "x", "not text"),
    "no name": ("x,word\n1,a\n", None, ": x, word"),
    "another name": ("x,word\n1,a\n", "y", "'y' in FILE; its columns: x, word"),
    "a name like another": ("length,width\n1,2\n", "lenght", "'length'?"),
    "a name with control characters": ("w,\x1b[31m\n1,2\n", "x", r": w, '\x1b[31m'"),
    "a thousand columns": (many_columns(1000), "x", "c18, c19, ... (1000 in all)"),
    "no header": ("1\n2\n", None, "columns: 1; these are numbers"),
    "no header of two columns": ("1,2\n3,4\n", "x", "columns: 1, 2; these are numbers"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_no_column_of_numbers_is_one_line_on_stderr(write, capsys, case):
    content, column, words = ERRORS[case]
    file = write(content)
    code = main(["--data", file, *(["--column", column] if column else [])])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err.startswith("fastgd: error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err.replace(file, "FILE")


#: By name: a file with the column x of 1.5 and -2000.25, and the decimal mark.
SEPARATED = {
    "semicolons": ("x;y\n1.5;a\n-2000.25;b\n", "."),
    "tabs": ("y\tx\na\t1.5\nb\t-2000.25\n", "."),
    "bars": ("y|x\na|1.5\nb|-2000.25\n", "."),
    "decimal commas and semicolons": ("y;x\n1;1,5\n2;-2000,25\n", ","),
    "decimal commas and tabs": ("y\tx\n1,5\t1,5\n2\t-2,00025e3\n", ","),
    "decimal commas, alone": ("x\n1,5\n-2000,25\n", ","),
    "decimal commas in quotes": ('x,y\n"1,5",1\n"-2000,25",2\n', ","),
    "decimal commas in quotes with spaces": ('x;y\n" 1,5";1\n"-2000,25 ";2\n', ","),
    "a comma in the header and in the numbers": ("Preis, netto;x\n1;1,5\n2,5;-2000,25\n", ","),
    "a comma in each field of text": ("name;x\nDoe, Jane;1.5\nRoe, Joe;-2000.25\n", "."),
    "a semicolon in the header": ('"a;b",x\n1,1.5\n2,-2000.25\n', "."),
    "a semicolon in the header without quotes": ("a;b,x\n1,1.5\n2,-2000.25\n", "."),
    "semicolons in quoted text": ('note,x\n"a;b;c",1.5\n"d;e;f",-2000.25\n', "."),
    "line breaks in quotes": ('note;x\n"a\n,b";1.5\n"c\r\nd,,,";-2000.25\n', "."),
    "a semicolon at the end of each row": ("x;y\n1.5;1;\n-2000.25;2;\n", "."),
    "a mark of the byte order": ('\ufeffx;y\r\n1.5;1\r\n-2000.25;2\r\n', "."),
    "a mark of the byte order before quotes": ('\ufeff"x";y\n1.5;1\n-2000.25;2\n', "."),
    "blank lines": ("\n \nx;y\n\n1.5;1\n\n-2000.25;2\n\n", "."),
    "a header longer than the sample": ("x;" + ";".join(f"the name {k}" for k in range(3000)) + "\n1.5\n-2000.25", "."),
}


@pytest.mark.parametrize("case", SEPARATED)
def test_the_separator_is_found(write, case):
    text, decimal = SEPARATED[case]
    np.testing.assert_array_equal(read_column(write(text), "x", decimal=decimal).values, [1.5, -2000.25])


def test_decimal_marks_on_the_command_line(write, capsys):
    file = write("x;y\n1,5;1\n2,5;2\n")
    assert main(["--data", file, "--column", "x", "--decimal", ",", "--loss", "mse"]) == 0
    assert "2 points, mean 2, median 2" in capsys.readouterr().out
    assert main(["--data", file, "--column", "x"]) == 2
    assert "--decimal" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1.5", "1.234,5", "1,2,3", "1 000,5"])
def test_numbers_that_are_none_with_a_decimal_comma(write, text):
    with pytest.raises(ValueError, match=r"row 1 has .*1234,5"):
        read_column(write(f"x;y\n{text};1\n"), "x", decimal=",")


def test_numbers_are_those_of_float(write):
    rng = np.random.default_rng(0)
    texts = [repr(float(x)) for x in rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500)]
    texts += ["".join(map(str, rng.integers(0, 10, 25))) + "e-7" for _ in range(500)]
    texts += ["9007199254740993", "1e-320", "123456789012345678901234567890.5"]
    np.testing.assert_array_equal(read_column(write("x\n" + "\n".join(texts)), None).values, np.array(texts, float))
    swapped = "\n".join(texts).replace(".", ",")
    np.testing.assert_array_equal(read_column(write("x\n" + swapped), None, decimal=",").values, np.array(texts, float))


def test_a_decimal_comma_after_whole_numbers_only(write):
    values = read_column(write("x\n" + "7\n" * 20_000 + "1,5\n"), None, decimal=",").values
    assert (len(values), values[-1]) == (20_001, 1.5)


def test_places_that_are_no_files(tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.csv"):
        read_column("nowhere.csv", None)
    with pytest.raises(OSError, match=r"nowhere\.parquet"):
        read_column("nowhere.parquet", None)
    with pytest.raises(OSError, match=r"Is a directory"):
        read_column(str(tmp_path), None)


def test_a_column_named_by_a_number_is_taken_when_it_is_asked_for(write):
    np.testing.assert_array_equal(read_column(write("2024\n1\n2\n"), "2024").values, [1, 2])


def test_dropna_leaves_rows_out_and_counts_them(write):
    column = read_column(write("n,x\na,1\nb,\n\nc,NA\nd,4\n", "gaps.csv"), "x", dropna=True)
    np.testing.assert_array_equal(column.values, [1, 4])
    assert column.source.endswith("gaps.csv: 2 points (2 rows with missing values left out)")
    column = read_column(write("x\n1\n\n \n4\n"), None, dropna=True)
    np.testing.assert_array_equal(column.values, [1, 4])
    assert column.source.endswith("(2 rows with missing values left out)")
    assert read_column(write("x\n1\n"), None, dropna=True).source.endswith(
        "1 point (0 rows with missing values left out)")
    assert read_column(write("x\n1\n"), None).source.endswith("own.csv: 1 point")
    with pytest.raises(ValueError, match="no numbers: 2 values"):
        read_column(write("x\nNA\nNA\n"), None, dropna=True)
    with pytest.raises(ValueError, match="row 2"):
        read_column(write("x\nNA\n1e999\n"), None, dropna=True)


@pytest.mark.parametrize(("ending", "compress"), [
    (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".GZ", gzip.compress)])
def test_a_compressed_file(write, ending, compress):
    np.testing.assert_array_equal(read_column(write(compress(b"x\n1\n2\n\n"), "a.csv" + ending), None).values, [1, 2])
    with pytest.raises(ValueError, match="row 3 has 'two'"):
        read_column(write(compress(b"x\n1\n\ntwo\n"), "a.csv" + ending), None)
    with pytest.raises((OSError, ValueError), match=r"a\.csv"):
        read_column(write(compress(b"x\n1\n\ntwo\n")[:-9], "a.csv" + ending), None)
    with pytest.raises((OSError, ValueError), match=r"a\.csv"):
        read_column(write(b"x\n1\n", "a.csv" + ending), None)


def test_an_archive(write):
    for text, words in (("x\n1\n\ntwo\n", "row 3 has 'two'"), ("x;y\n1;2\n2;3;4\n", "row 2 ")):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("a.csv", text)
        with pytest.raises(ValueError, match=words):
            read_column(write(content.getvalue(), "a.zip"), "x")


def test_frames_of_zstandard(write):
    """All of them; pandas reads the first."""
    zstandard = pytest.importorskip("zstandard")
    compress = zstandard.ZstdCompressor().compress
    file = write(compress(b"x;y\n1;2\n") + compress(b"2;3\n"), "a.csv.zst")
    np.testing.assert_array_equal(read_column(file, "x").values, [1, 2])
    with pytest.raises(ValueError, match="row 2 has 'two'"):
        read_column(write(compress(b"x\n1\n") + compress(b"two\n"), "a.csv.zst"), None)


def test_a_file_of_zstandard_is_read_through_the_package(write, monkeypatch):
    """The same with a package that unpacks nothing, where there is none."""
    def stream_reader(source, read_across_frames):
        assert read_across_frames
        return io.BytesIO(source.read())

    monkeypatch.setitem(sys.modules, "zstandard", types.SimpleNamespace(
        ZstdDecompressor=lambda: types.SimpleNamespace(stream_reader=stream_reader)))
    np.testing.assert_array_equal(read_column(write("x\n1\n2\n", "a.csv.ZST"), None).values, [1, 2])


def test_without_zstandard_the_command_that_installs_it_is_named(write, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    file = write("", "a.csv.zst")
    assert main(["--data", file]) == 2
    assert f"{file}: zst " in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(("last", "answer"), [("2", [1, 2]), ("two", "row 2 has 'two'")])
def test_a_pipe_can_be_read_though_only_once(folder, last, answer):
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(f"\nx\n1\n{last}\n",))
    writer.start()
    try:
        if isinstance(answer, list):
            np.testing.assert_array_equal(read_column(str(pipe), None).values, answer)
        else:
            with pytest.raises(ValueError, match=answer):
                read_column(str(pipe), None)
    finally:
        writer.join()


class TestParquet:
    @pytest.fixture
    def parquet(self, folder):
        """A function that writes columns to a file and returns its path as text."""
        pytest.importorskip("pyarrow")

        def parquet(name="own.parquet", **columns):
            path = folder / name
            pd.DataFrame(columns).to_parquet(path)
            return str(path)

        return parquet

    def test_numbers(self, parquet):
        file = parquet(x=[1.5, 2.5], word=["a", "b"])
        column = read_column(file, "x")
        np.testing.assert_array_equal(column.values, [1.5, 2.5])
        assert column.source.endswith("own.parquet: 2 points")
        np.testing.assert_array_equal(read_column(parquet("only.PARQUET", x=np.float32([1, 2])), None).values, [1, 2])

    @pytest.mark.parametrize("values", [
        pd.array([1, None, 3], "Int64"), pd.array([True, None, False], "boolean"), ["1", "2.5", None], [1, np.nan, 3]])
    def test_missing_values(self, parquet, values):
        file = parquet(x=values, y=[1, 2, 3])
        missing = int(np.argmax(pd.isna(pd.Series(values)))) + 1
        with pytest.raises(ValueError, match=f"'x' .*1 missing value of 3.* row {missing};"):
            read_column(file, "x")
        assert len(read_column(file, "x", dropna=True).values) == 2

    def test_what_is_no_number(self, parquet):
        file = parquet(x=["1", "two"], time=pd.to_datetime(["2020-01-01", "2020-01-02"]), pair=[[1, 2], [3]],
                       large=[1.0, np.inf])
        for name, words in (("x", "row 2 has 'two'"), ("time", "datetime64"),
                            ("pair", r"row 1 has ndarray \[1 2\]"), ("large", "infinite .*row 2"),
                            ("y", "'y' in .*: x, time, pair"), (None, ": x, time, pair")):
            with pytest.raises(ValueError, match=words):
                read_column(file, name)

    def test_a_file_that_is_none(self, write, capsys):
        pytest.importorskip("pyarrow")
        for content in ("", "x\n1\n", b"PAR1" + b"\0" * 50 + b"PAR1"):
            assert main(["--data", write(content, "a.parquet")]) == 2
            captured = capsys.readouterr()
            assert captured.err.startswith("fastgd: error: cannot read ")
            assert captured.err.count("\n") == 1

    def test_without_an_engine_the_command_that_installs_one_is_named(self, write, capsys, monkeypatch):
        for name in ("pyarrow", "fastparquet"):
            monkeypatch.setitem(sys.modules, name, None)
        file = write("", "a.parquet")
        assert main(["--data", file, "--column", "x"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"{file}: parquet " in captured.err


def test_the_tips_have_a_column_that_needs_no_name():
    assert read_column(None, None).source == "pcttip of tips: 244 points"
    assert read_column(None, "tip").source == "tip of tips: 244 points"
    with pytest.raises(ValueError, match=r"'x' in tips.*: total_bill, tip"):
        read_column(None, "x")
