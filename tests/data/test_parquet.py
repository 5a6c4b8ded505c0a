"""Parquet files as lazy tables: what is opened, what is refused, what is noticed, and how much memory it takes."""
import doctest
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import DTYPES, TIPS, descend, quiet
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import open_parquet
from fastgd._data.blocks import block_chunks
from fastgd._data.parquet import NUMBERS_OF_A_BATCH, ROWS_OF_A_BATCH
from fastgd.results import SourceError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 3 * ROWS_OF_A_BATCH // 2
rng = np.random.default_rng(0)
FRAME = pd.DataFrame({"tip": rng.normal(size=N), "bill": rng.normal(size=N), "size": rng.integers(1, 6, N)})


def itself(piece):
    return piece


def written(path, frame=FRAME, rows=None):
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=rows)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two files of one table."""
    written(tmp_path / "part-1.parquet", FRAME[:1000], 300)
    written(tmp_path / "part-2.parquet", FRAME[1000:2000])
    return tmp_path


def test_a_table_knows_its_columns_and_rows_and_reads_nothing(folder):
    table = open_parquet(folder / "part-1.parquet")
    assert table.columns == ["tip", "bill", "size"]
    assert len(table) == 1000
    assert repr(table[["bill", "size"]]) == f"{table!r}[['bill', 'size']]"
    assert open_parquet(folder / "part-1.parquet", ["tip"]).columns == ["tip"]


@pytest.mark.parametrize("path", [
    lambda folder: folder, lambda folder: f"{folder}/part-*.parquet", lambda folder: str(folder),
    lambda folder: [folder / "part-1.parquet", f"{folder}/part-2.parquet"],
    lambda folder: (f"{folder}/*1.parquet", f"{folder}/*2.parquet"),
], ids=["folder", "pattern", "folder as text", "list", "patterns"])
def test_several_files_are_one_table(folder, path):
    table = open_parquet(path(folder))
    assert len(table) == 2000
    pieces = block_chunks(table["tip"], table[["bill", "size"]])
    found = list(pieces.map(itself))
    assert np.array_equal(np.concatenate([piece.targets for piece in found]), FRAME["tip"][:2000])
    assert np.array_equal(np.concatenate([piece.X for piece in found]), FRAME[["bill", "size"]][:2000])
    assert pieces.names == ["bill", "size"]


def test_batches_are_of_bounded_size_whatever_the_row_groups(tmp_path):
    path = written(tmp_path / "one.parquet", rows=N)
    table = open_parquet(path)
    sizes = [piece.targets.size for piece in block_chunks(table["tip"]).map(itself)]
    assert sizes == [ROWS_OF_A_BATCH, N - ROWS_OF_A_BATCH]
    wide = pd.DataFrame(np.ones((30_000, 100)), columns=[f"c{k}" for k in range(100)])
    table = open_parquet(written(tmp_path / "wide.parquet", wide))
    pieces = block_chunks(table["c0"], table[table.columns[1:]])
    assert max(piece.X.size for piece in pieces.map(itself)) <= NUMBERS_OF_A_BATCH


def test_numbers_of_any_kind(tmp_path):
    frame = pd.DataFrame({"b": [True, False], "i": np.array([1, 2], "i1"), "u": np.array([3, 4], "u8"),
                          "f": np.array([0.5, 1.5], "f4"), "h": np.array([0.5, 1.5], "f2")})
    table = open_parquet(written(tmp_path / "kinds.parquet", frame))
    [piece] = block_chunks(table["f"], table[["b", "i", "u", "f", "h"]]).map(itself)
    assert piece.X.tolist() == [[1, 1, 3, 0.5, 0.5], [0, 2, 4, 1.5, 1.5]]
    assert [piece.X.dtype, piece.targets.dtype] == [np.float64, np.float32]
    [piece] = block_chunks(table["u"], table[["f"]], table["i"]).map(itself)
    assert [piece.X.dtype, piece.targets.dtype, piece.weights.dtype] == [np.float32, np.float64, np.float64]


def test_one_column_is_points(folder):
    options = {"full_output": True}
    assert descend(fastgd.mse, open_parquet(folder, ["tip"]), **options) == descend(
        fastgd.mse, FRAME["tip"][:2000].to_numpy(), **options)
    with pytest.raises(ValueError, match=r"'tip', 'bill', 'size'.*dataset"):
        descend(fastgd.mse, open_parquet(folder))


def test_what_is_no_table_is_refused_by_name(folder):
    (folder / "text.parquet").write_text("tip\n1\n")
    (folder / "empty").mkdir()
    for path, error, message in [
        (folder / "none.parquet", FileNotFoundError, "No such file.*none.parquet"),
        (folder / "none*.parquet", FileNotFoundError, r"pattern.*none\*.parquet"),
        (folder / "empty", FileNotFoundError, "folder.*empty"),
        (folder / "text.parquet", ValueError, "text.parquet.*Parquet"),
        ([], ValueError, "one file"),
        (3, TypeError, "path.*3 of type int"),
    ]:
        with pytest.raises(error, match=message):
            open_parquet(path)
    for columns in ("tip", [], [0]):
        with pytest.raises(TypeError, match="'columns' parameter"):
            open_parquet(folder / "part-1.parquet", columns)
    with pytest.raises(TypeError, match="'cache' parameter"):
        open_parquet(folder / "part-1.parquet", cache=1)


def test_columns_that_are_not_there_or_no_numbers_are_refused_by_name(tmp_path):
    table = open_parquet(written(tmp_path / "tips.parquet", TIPS))
    with pytest.raises(ValueError, match=r"no column 'tips'.*'total_bill', 'tip'"):
        table["tips"]
    with pytest.raises(ValueError, match=r"tips\.parquet.*no column 'tips'"):
        open_parquet(tmp_path / "tips.parquet", ["tip", "tips"])
    for name in ("sex", "day"):
        words = f"column {name!r}.*tips.parquet.*real numbers"
        with pytest.raises(TypeError, match=words):
            fastgd.minimize(fastgd.mse, None, table["tip"], progress=False, X=table[["total_bill", name]])
        with pytest.raises(TypeError, match=words):
            fastgd.minimize(fastgd.mse, None, table[name], progress=False)
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(ValueError, match=r"twice.parquet.*several columns 'a'"):
        open_parquet(tmp_path / "twice.parquet")["a"]
    with pytest.raises(ValueError, match=r"several columns 'a'"):
        fastgd.minimize(fastgd.mse, None, open_parquet(tmp_path / "twice.parquet"), progress=False)


@pytest.mark.parametrize(("other", "message"), [
    (FRAME[["tip"]], "part-2.parquet.*no column 'bill'"),
    (FRAME.assign(hour=1), "part-2.parquet.*column 'hour'.*part-1.parquet"),
    (FRAME.astype({"tip": "f4"}), "column 'tip'.*float.*part-2.parquet.*double.*part-1.parquet"),
    (FRAME.astype({"tip": str}), "column 'tip'.*string.*part-2.parquet"),
])
def test_files_that_do_not_go_together_are_refused_by_name(folder, other, message):
    written(folder / "part-2.parquet", other[:5])
    with pytest.raises(ValueError, match=message):
        open_parquet(folder)
    written(folder / "part-2.parquet", FRAME[["size", "bill"]][:5].astype({"size": float}))
    table = open_parquet(folder, ["bill", "size"])
    assert len(list(block_chunks(table["size"], table[["bill"]]).map(itself))) == 2, "other columns do not matter"


def test_missing_values_are_found_by_file_column_and_row(folder):
    frame = FRAME[:2000].copy().astype({"size": "Int64"})
    frame.loc[1234, "size"] = None
    table = open_parquet([folder / "part-1.parquet", written(folder / "part-2.parquet", frame, 100)])
    with pytest.raises(ValueError, match=r"column 'size'.*part-2.parquet.*row 1234"):
        list(block_chunks(table["tip"], table[["bill", "size"]]).map(itself))
    frame = FRAME[:2000].copy()
    frame.loc[1234, "tip"] = np.inf
    table = open_parquet(written(folder / "part-3.parquet", frame))
    with pytest.raises(ValueError, match=r"part-3.parquet.*row 0.*dataset.*inf"):
        list(block_chunks(table["tip"]).map(itself))


def rewritten(path):
    """Other numbers in a file of the same size and time."""
    about = path.stat()
    written(path, FRAME[:1000] * -1, 300)
    if path.stat().st_size == about.st_size:
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize(("change", "message"), [
    (lambda path: path.unlink(), "part-1.parquet.*No such file"),
    (lambda path: os.truncate(path, 1000), "part-1.parquet was written"),
    (lambda path: written(path, FRAME[:999]), "part-1.parquet was written"),
    (lambda path: os.utime(path, ns=(0, 0)), "part-1.parquet was written"),
    (rewritten, "part-1.parquet was written"),
], ids=["deleted", "truncated", "shorter", "touched", "rewritten"])
def test_a_change_between_two_passes_is_noticed(folder, change, message):
    table = open_parquet(folder)
    pieces = block_chunks(table["tip"])
    list(pieces.map(itself))
    change(folder / "part-1.parquet")
    with pytest.raises(SourceError, match=message):
        list(pieces.map(itself))


def test_a_change_in_the_midst_of_a_pass_is_noticed(tmp_path):
    path = tmp_path / "tips.parquet"
    pd.DataFrame({"tip": np.random.default_rng(0).normal(size=5 * ROWS_OF_A_BATCH)}).to_parquet(path)
    passing = block_chunks(open_parquet(path)["tip"]).map(itself)
    next(passing)    # of five, of which one or two more may have been read
    os.truncate(path, 5000)
    with pytest.raises(SourceError, match=r"tips\.parquet"):
        list(passing)


@pytest.mark.thread_unsafe(reason="monkeypatch")
def test_without_pyarrow_the_error_says_what_to_install(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install fastgd\[parquet\]"):
        open_parquet(folder)


def test_the_package_imports_without_pyarrow():
    code = "import sys, fastgd; fastgd.Blocks, fastgd.open_parquet; assert 'pyarrow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.thread_unsafe(reason="doctest replaces sys.stdout")
def test_the_example_runs():
    done = doctest.testmod(sys.modules[open_parquet.__module__])
    assert done.attempted
    assert not done.failed


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10)
@given(data=st.data())
def test_the_answer_is_that_of_one_array(tmp_path_factory, dtype, data):
    n, rows = data.draw(st.integers(1, 5000)), data.draw(st.integers(1, 5000))
    frame = FRAME[:n].astype({"tip": dtype})
    table = open_parquet(written(tmp_path_factory.mktemp("parts") / "t.parquet", frame, rows))
    options = {"alpha": "auto", "max_iter": 20, "full_output": True, "fit_intercept": True, "stop": "loss"}
    assert descend(fastgd.mse, table["tip"], X=table[["bill", "size"]], **options) == descend(
        fastgd.mse, frame["tip"].to_numpy(), X=frame[["bill", "size"]], **options)


#: Passes over a file and over a memmap under a limit of 600 MB for everything but mapped files.
LIMITED = """
import resource, sys, warnings
import numpy as np
resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 600 << 20))
from fastgd import Blocks, grad_huber_loss, huber_loss, minimize, open_parquet
path, raw, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = dict(alpha=0.1, max_iter=1, tol=0, progress=False)
warnings.simplefilter("ignore")
table = open_parquet(path)
assert np.isfinite(minimize(huber_loss, grad_huber_loss, table["tip"], X=table[["a"]], **options)).all()
mapped = np.memmap(raw, np.float64, "r", shape=(n,))
blocks = Blocks(lambda: (mapped[start:start + 2**24] for start in range(0, n, 2**24)))
theta, other = (minimize(huber_loss, grad_huber_loss, data, **options) for data in (mapped, blocks))
assert theta == other
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what it counts on Linux")
@pytest.mark.thread_unsafe(reason="4 GB of files, and as much time as the rest of the file takes")
def test_memory_is_bounded_with_row_groups_of_two_gigabytes(tmp_path):
    if shutil.disk_usage(tmp_path).free < 10e9:
        pytest.skip("10 GB of disk are needed")
    rows, names, n = 2**26, ["tip", "a", "b", "c"], 2**29
    path, raw = tmp_path / "large.parquet", tmp_path / "large.raw"
    some = rng.normal(size=2**20)
    numbers = pa.chunked_array([pa.array(some)] * (rows // some.size))
    try:
        with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in names]), compression="none",
                              use_dictionary=False, write_statistics=False) as writer:
            for _ in range(2):
                writer.write_table(pa.table([numbers] * 4, names=names), row_group_size=rows)
        assert pq.ParquetFile(path).metadata.row_group(0).total_byte_size > 1.6e9
        with open(raw, "wb") as file:
            for _ in range(n // some.size):
                file.write(some)
        done = subprocess.run([sys.executable, "-c", LIMITED, path, raw, str(n)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    finally:
        for file in (path, raw):
            file.unlink(missing_ok=True)
