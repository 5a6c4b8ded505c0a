"""The command line: what its options do, what it exits with, and that whatever is wrong is one line."""
import os
import re
import signal
import subprocess
import sys

import pytest

import fastgd
from fastgd import reference
from fastgd.__main__ import main
from fastgd._cli import report


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_without_options_it_reports_on_the_tips(capsys):
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
    code, out, err = run(capsys, "--data", csv, "--column", "x", "--loss", "mse")
    assert (code, err) == (0, "")
    assert "batch, mse: theta 3," in out    # adaptive
    code, out, _ = run(capsys, "--data", csv, "--column", "x", "--loss", "huber", "--delta", 0.5)
    assert code == 0
    assert "Huber(delta=0.5)" in out


def test_the_only_column_needs_no_name(capsys, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("length\n1\n2\n6\n")
    code, out, err = run(capsys, "--data", path, "--loss", "mse")
    assert (code, err) == (0, "")
    assert out.startswith(f"length of {path}: 3 points, mean 3")


def test_dropna_says_how_many_rows_it_leaves_out(capsys, csv):
    code, out, _ = run(capsys, "--data", csv, "--column", "gap", "--loss", "mse", "--dropna")
    assert code == 0
    assert "2 points (1 row with missing values left out), mean 2, median 2" in out


@pytest.mark.parametrize(("options", "code"), [
    (["--loss", "mse"], 0), (["--loss", "mse", "--alpha", "adaptive"], 0), (["--loss", "mse", "--alpha", "auto"], 0),
    (["--loss", "pinball", "--alpha", "adaptive"], 0), (["--loss", "mse", "--alpha", "1e-9"], 3),
    (["--loss", "mse", "--alpha", "1"], 3),
    (["--method", "sgd", "--loss", "mse", "--alpha", "auto", "--epochs", "1"], 3),
    (["--method", "mini-batch", "--loss", "mse", "--alpha", "100"], 1), (["--loss", "mse", "--alpha", "1.5"], 1),
    (["--loss", "abs", "--alpha", "auto"], 2), (["--loss", "mse", "--alpha", "0"], 2),
    (["--method", "sgd", "--alpha", "adaptive"], 2), (["--loss", "mse", "--alpha", "nan"], 2)])
def test_the_exit_code_says_how_the_descent_ended(capsys, options, code):
    found, out, err = run(capsys, *options)
    assert found == code, out + err
    assert bool(out) == (code in (0, 3))
    assert err.count("\n") == (code in (1, 2))
    if code == 3:
        assert "converged" not in out.splitlines()[-1]


@pytest.mark.parametrize("options", [["--alpha", "fast"], ["--alpha", "0,2"], ["--decimal", ";"], ["--seed", "x"],
                                     ["--loss", "none"], ["--unknown"]])
def test_arguments_that_are_none_exit_with_2(capsys, options):
    with pytest.raises(SystemExit) as end:
        run(capsys, *options)
    assert end.value.code == 2
    assert "--alpha" not in options or repr(options[1]) in capsys.readouterr().err


def test_the_help_has_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as end:
        run(capsys, "--help")
    assert end.value.code == 0
    codes = capsys.readouterr().out.partition("exit codes:")[2]
    assert re.findall(r"^  (\d+) ", codes, re.MULTILINE) == ["0", "1", "2", "3", "130"]


def test_adaptive_is_the_default_for_a_file_and_the_textbook_s_rate_for_the_tips(capsys, tmp_path, pcttip):
    path = tmp_path / "large.csv"
    path.write_text("x\n" + "\n".join(f"{1e6 + 1e4 * k}" for k in range(100)) + "\n")
    _, out, _ = run(capsys, "--data", path)
    assert out == run(capsys, "--data", path, "--alpha", "adaptive")[1]
    expected = fastgd.minimize(fastgd.huber_loss, None, pcttip, 0.2, progress=False)
    assert f"theta {expected:.10g}," in run(capsys, "--loss", "huber")[1]
    code, out, err = run(capsys, "--data", path, "--method", "sgd", "--epochs", "1")    # has no adaptive steps
    assert (code, err) == (3, "")


def test_numpy_is_timed_only_when_asked(capsys, csv, monkeypatch):
    calls = []
    slow = reference.minimize
    monkeypatch.setattr(reference, "minimize", lambda *args, **options: calls.append(1) or slow(*args, **options))
    code, out, _ = run(capsys, "--data", csv, "--column", "x", "--loss", "mse")
    assert (code, calls) == (0, [])
    assert "ratio" not in out
    code, with_comparison, _ = run(capsys, "--data", csv, "--column", "x", "--loss", "mse", "--compare")
    assert code == 0
    assert calls
    assert with_comparison.startswith(out)
    assert re.fullmatch(r"compiled [\d.]+ (us|ms|s), numpy [\d.]+ (us|ms|s), ratio [\d.]+x\n",
                        with_comparison.removeprefix(out))


@pytest.mark.parametrize(("options", "words"), [
    (["--loss", "pinball", "--parameter", "q=0.9"], "batch, Pinball(q=0.9): theta"),
    (["--loss", "epsilon_insensitive", "--parameter", " epsilon = 1e-1 "], "batch, epsilon_insensitive: theta"),
    (["--loss", "epsilon_insensitive", "--parameter", "epsilon=2"], "batch, EpsilonInsensitive(epsilon=2.0): theta"),
    (["--parameter", "delta=2"], "batch, Huber(delta=2.0): theta"),
])
def test_the_parameters_of_a_loss(capsys, options, words):
    code, out, err = run(capsys, *options)
    assert (code, err) == (0, "")
    assert words in out


def test_each_parameter_of_each_loss_can_be_given(capsys):
    for name, loss in fastgd.losses.REGISTRY.items():
        for parameter, value in loss.parameters.items():
            other = value / 2 or 0.25
            code, out, _ = run(capsys, "--loss", name.removesuffix("_loss"), "--parameter", f"{parameter}={other}")
            assert code == 0
            assert f"{parameter}={other})" in out


@pytest.mark.parametrize(("options", "words"), [
    (["--method", "sgd", "--loss", "huber", "--alpha", "0.01", "--seed", "3"], "sgd, huber_loss: theta"),
    (["--method", "mini-batch", "--batch-size", "100", "--epochs", "2"], "mini-batch, huber_loss: theta"),
])
def test_stochastic_methods(capsys, options, words):
    code, out, _ = run(capsys, *options)
    assert code == 3    # a lucky point, and a limit of 2 epochs
    assert words in out
    assert "pcttip of tips: 244 points" in out


def test_options_without_a_file_are_about_the_tips(capsys):
    code, out, _ = run(capsys, "--loss", "abs", "--alpha", "0.2")
    assert code == 0
    assert "pcttip of tips: 244 points" in out


@pytest.mark.parametrize(("options", "words"), [
    (["--data", "CSV", "--column", "y"], "'y' in .*: x, word, gap, mixed"),
    (["--loss", "cross_entropy"], "cross_entropy .* 0 to 1; pcttip of tips .*3.56"),
    (["--data", "CSV"], "--column.*: x, word, gap, mixed"),
    (["--data", "CSV", "--column", "word"], "row 1 has 'a'"),
    (["--data", "CSV", "--column", "mixed"], "row 2 has 'two'"),
    (["--data", "CSV", "--column", "mixed", "--dropna"], "row 2 has 'two'"),
    (["--data", "CSV", "--column", "gap"], "1 missing value of 3.* row 2.*--dropna"),
    (["--data", "CSV", "--column", "x", "--alpha", "-1"], "'alpha' parameter"),
    (["--data", "CSV", "--column", "x", "--loss", "huber", "--delta", "0"], "'delta' parameter"),
    (["--data", "CSV", "--column", "x", "--loss", "mse", "--delta", "1"], "--delta .*huber .*mse"),
    (["--parameter", "q=0.9"], "huber .*'q'.*: delta"),
    (["--loss", "mse", "--parameter", "delta=1"], "mse .*'delta'.*: none"),
    (["--loss", "pinball", "--parameter", "q"], "NAME=VALUE.* Got 'q'"),
    (["--loss", "pinball", "--parameter", "q="], "'q' must be .*Got ''"),
    (["--loss", "pinball", "--parameter", "q=0,9"], "'q' must be .*Got '0,9'"),
    (["--loss", "pinball", "--parameter", "q=1"], r"The 'q' parameter must be .* in the range \(0, 1\). Got 1.0"),
    (["--loss", "pinball", "--parameter", "q=nan"], "The 'q' parameter must be .* Got nan"),
    (["--parameter", "delta=1e999"], "'delta' .* Got inf"),
    (["--parameter", "delta=1", "--parameter", "delta=2"], "'delta' is given twice"),
    (["--delta", "1", "--parameter", "delta=2"], "'delta' is given twice"),
    (["--method", "batch", "--seed", "1"], "--seed .*--method batch"),
    (["--method", "sgd", "--batch-size", "3"], "--batch-size .*--method sgd"),
    (["--method", "mini-batch", "--batch-size", "244"], "minibatch_size=244 and 244 points"),
    (["--method", "sgd", "--epochs", "0"], "'max_epochs' parameter"),
    (["--method", "sgd", "--seed", "-1"], "Seed must be"),
    (["--data", "nowhere.csv", "--column", "x"], "nowhere.csv: No such file"),
    (["--method", "mini-batch", "--alpha", "adaptive"], "adaptive .*--method mini-batch"),
    (["--data", "CSV", "--column", "x", "--loss", "abs", "--alpha", "auto"], "alpha='auto'"),
    (["--pictures", "FOLDER", "--compare", "--dropna"], "--dropna, --compare .*--pictures"),
])
def test_bad_input_is_one_line(capsys, csv, tmp_path, options, words):
    places = {"CSV": csv, "FOLDER": tmp_path}
    code, out, err = run(capsys, *[places.get(option, option) for option in options])
    assert code == 2
    assert out == ""
    assert err.startswith("fastgd: error: ")
    assert err.count("\n") == 1
    assert re.search(words, err)


def test_divergence_is_one_line(capsys):
    code, out, err = run(capsys, "--loss", "mse", "--alpha", "2")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search("alpha .*mse .*1", err)


def test_too_little_memory_is_one_line(capsys, monkeypatch):
    def none(self):
        raise MemoryError

    monkeypatch.setattr(report.Run, "answer", none)
    assert run(capsys, "--loss", "mse") == (2, "", "fastgd: error: MemoryError\n")


class TestProcess:
    """What only a process of its own shows."""

    def start(self, *arguments, **options):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        environment |= options.pop("env", {})
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment, **options}
        return subprocess.Popen([sys.executable, "-m", "fastgd", *arguments], **options)

    def test_as_a_module(self):
        done = self.start("--data", "nowhere.csv", "--column", "x")
        out, err = done.communicate(timeout=60)
        assert (done.returncode, out) == (2, "")
        assert err == "fastgd: error: cannot read nowhere.csv: No such file or directory\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT can be sent there")
    def test_lines_come_as_they_are_known_and_ctrl_c_is_silent(self):
        """The report takes seconds: its first lines are there when it is interrupted in the midst of it."""
        with self.start() as process:
            lines = [process.stdout.readline() for _ in range(9)]
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert lines[-1].startswith("mse ")
        assert (process.returncode, err) == (130, "")

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes")
    def test_a_reader_that_leaves_is_no_error(self):
        with self.start() as process:
            process.stdout.readline()
            process.stdout.close()
            assert process.wait(timeout=60) == 0
            assert process.stderr.read() == ""

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no disk that is always full")
    def test_a_full_disk_is_one_line(self):
        with open("/dev/full", "w") as full:
            done = self.start("--loss", "mse", stdout=full)
            _, err = done.communicate(timeout=60)
        assert done.returncode == 2
        assert err == "fastgd: error: [Errno 28] No space left on device\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="only a POSIX shell closes it so")
    def test_a_closed_output_is_no_traceback(self):
        command = f'"{sys.executable}" -m fastgd --loss mse >&-'
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_name_that_the_terminal_cannot_show(self, tmp_path):
        path = tmp_path / "own.csv"
        path.write_text("\u03c0\n1\n2\n", encoding="utf-8")
        done = self.start("--data", str(path), "--loss", "mse", env={"PYTHONIOENCODING": "ascii"})
        out, err = done.communicate(timeout=60)
        assert (done.returncode, err) == (0, "")
        assert out.startswith(r"\u03c0 of ")


@pytest.mark.parametrize(("content", "options", "message"), [
    ("x\n1\ntwo\n", [], "column 'x' of FILE is not all finite numbers: row 2 has 'two'; correct it, or leave it empty "
                        "and use --dropna, or name another column with --column"),
    ("x,y\n1,2\n1,5,2\n", ["--column", "x"], "row 2 of FILE has more fields than the header, which has 2; put text "
                                           "with a comma into quotes, or give the decimal mark with --decimal"),
    ("x\n1\n\n2\n", [], "column 'x' of FILE has 1 missing value of 3, the first in row 2; leave such rows out with "
                       "--dropna"),
    ("length,y\n1,2\n", ["--column", "lenght"], "no column 'lenght' in FILE; its columns: length, y; did you mean "
                                               "'length'?"),
    ("x,y\n1,2\n", [], "name a column with --column; its columns: x, y"),
    ("1\n2\n", [], "name a column with --column; its columns: 1; these are numbers, and the first line of a csv file "
                   "must be names: add a line above it"),
    ("x\n1\ninf\n", [], "column 'x' of FILE has an infinite number, or one too large for a 64-bit float, in row 2; "
                      "correct it, or leave it empty and use --dropna"),
    ("", [], "cannot read FILE: it is empty; its first line must name the columns"),
    ("x\n", [], "FILE has a header and no rows"),
    ("x\n1\n", ["--seed", "1"], "--seed cannot be used with --method batch"),
    ("x\n3\n", ["--loss", "cross_entropy"], "cross_entropy needs numbers from 0 to 1; x of FILE has 3 to 3"),
])
def test_the_wording_of_messages(capsys, tmp_path, content, options, message):
    path = tmp_path / "own.csv"
    path.write_text(content)
    _, _, err = run(capsys, "--data", path, *options)
    assert err.replace(str(path), "FILE") == f"fastgd: error: {message}\n"
