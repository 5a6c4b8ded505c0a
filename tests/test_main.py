import subprocess
import sys

import pytest

from fastgd.__main__ import main


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_report(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    for figure in ("mean   16.0803  (course: 16.08)", "median 15.4770  (course: 15.48)", "15.5068  15.5068"):
        assert figure in out
    answers = out.partition("The course printed")[2].splitlines()[1:]
    assert len(answers) == 5
    assert all(line.endswith("  yes") for line in answers)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("x,word,gap,mixed\n1,a,1,1\n2,b,,two\n6,c,3,3\n")
    return path


def test_own_column(capsys, csv):
    code, out, err = run(capsys, "--data", csv, "--column", "x", "--loss", "mse", "--alpha", 0.3)
    assert (code, err) == (0, "")
    assert "3 points, mean 3, median 2" in out
    assert "batch, mse: theta 2.99" in out
    assert "ratio" in out
    code, out, _ = run(capsys, "--data", csv, "--column", "x", "--loss", "huber", "--delta", 0.5)
    assert code == 0
    assert "Huber(delta=0.5)" in out


@pytest.mark.parametrize(("options", "words"), [
    (["--method", "sgd", "--loss", "huber", "--alpha", "0.01", "--seed", "3"], "sgd, huber_loss: theta"),
    (["--method", "mini-batch", "--batch-size", "100", "--epochs", "2"], "mini-batch, huber_loss: theta"),
])
def test_stochastic_methods(capsys, options, words):
    code, out, _ = run(capsys, *options)
    assert code == 0
    assert words in out
    assert "pcttip of tips: 244 points" in out


def test_a_comma_at_the_end_of_each_row(capsys, tmp_path):
    path = tmp_path / "commas.csv"
    path.write_text("a,b\n1,2,\n3,4,\n")
    code, out, _ = run(capsys, "--data", path, "--column", "a", "--loss", "mse")
    assert code == 0
    assert "2 points, mean 2, median 2" in out


def test_options_without_a_file_are_about_the_tips(capsys):
    code, out, _ = run(capsys, "--loss", "abs", "--alpha", "0.2")
    assert code == 0
    assert "pcttip of tips: 244 points" in out


@pytest.mark.parametrize(("options", "words"), [
    (["--data", "CSV", "--column", "y"], "no column 'y' in .*; there are: x, word, gap, mixed"),
    (["--data", "SHIFTED", "--column", "a"], "rows with more fields than its header"),
    (["--data", "HEADER", "--column", "a"], "has a header and no rows"),
    (["--loss", "cross_entropy"], "cross_entropy needs numbers from 0 to 1; pcttip of tips has 3.56"),
    (["--data", "CSV"], "name a column with --column; there are: x, word, gap, mixed"),
    (["--data", "CSV", "--column", "word"], "holds text, not numbers: 'a' in row 1"),
    (["--data", "CSV", "--column", "mixed"], "holds text, not numbers: 'two' in row 2"),
    (["--data", "CSV", "--column", "gap"], "1 missing values of 3"),
    (["--data", "CSV", "--column", "x", "--alpha", "-1"], "'alpha' parameter"),
    (["--data", "CSV", "--column", "x", "--loss", "huber", "--delta", "0"], "'delta' parameter"),
    (["--data", "CSV", "--column", "x", "--loss", "mse", "--delta", "1"], "--delta belongs to the huber loss"),
    (["--method", "batch", "--seed", "1"], "--seed cannot be used with --method batch"),
    (["--method", "sgd", "--batch-size", "3"], "--batch-size cannot be used with --method sgd"),
    (["--method", "mini-batch", "--batch-size", "244"], "minibatch_size=244 and 244 points"),
    (["--method", "sgd", "--epochs", "0"], "'max_epochs' parameter"),
    (["--method", "sgd", "--seed", "-1"], "Seed must be"),
    (["--data", "nowhere.csv", "--column", "x"], "cannot read nowhere.csv: No such file"),
    (["--data", "FOLDER", "--column", "x"], "cannot read .*: Is a directory"),
    (["--data", "EMPTY", "--column", "x"], "cannot read .* as csv: No columns"),
])
def test_bad_input_is_one_line(capsys, csv, tmp_path, options, words):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "shifted.csv").write_text("a\n1,5\n2,5\n")
    (tmp_path / "header.csv").write_text("a,b\n")
    places = {"CSV": csv, "FOLDER": tmp_path, "EMPTY": tmp_path / "empty.csv", "SHIFTED": tmp_path / "shifted.csv",
              "HEADER": tmp_path / "header.csv"}
    code, out, err = run(capsys, *[places.get(option, option) for option in options])
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert __import__("re").search(words, err)


def test_divergence_is_one_line(capsys):
    code, out, err = run(capsys, "--loss", "mse", "--alpha", "2")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "largest stable alpha for mse is 1" in err


def test_as_a_module(tmp_path):
    done = subprocess.run([sys.executable, "-m", "fastgd", "--data", "nowhere.csv", "--column", "x"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fastgd: error: cannot read nowhere.csv: No such file or directory\n"
