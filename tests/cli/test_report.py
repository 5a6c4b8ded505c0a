"""What `python -m fastgd` prints: lines as they are known, in columns that align whatever stands in them."""
import itertools
import re
import types

import numpy as np
import pytest

import fastgd
from fastgd._cli import report


def tables(lines):
    """The tables among the lines: a heading that names a ratio or bits, and the rows under it up to a blank line."""
    found, table = [], None
    for line in lines:
        if line.endswith(("ratio", "same bits")):
            table = [line]
            found.append(table)
        elif not line:
            table = None
        elif table is not None:
            table.append(line)
    return found


def assert_aligned(table):
    heading, *rows = table
    bits = heading.endswith("same bits")
    names = heading.removesuffix("same bits").replace("The course printed", "The_course_printed")
    words = list(re.finditer(r"\S+", names))
    right = [word for word in words if word.group() not in ("loss", "method", "The_course_printed")]
    left = [word for word in words if word not in right]
    assert rows
    for row in rows:
        for word in left:
            assert row[word.start():][:1].strip(), row
            assert row[:word.start()].endswith(" ") or word.start() == 0, row
        start = None
        for word in right:
            end = word.end()
            assert row[end - 1:end].strip(), row
            assert row[end:end + 1] in (" ", ""), row
            cell = row[start:end] if start is not None else row[:end].rsplit("  ", 1)[-1]
            # A cell is one word, or a time with its unit, and keeps off the one before it.
            assert re.fullmatch(r" *\S+( (us|ms|s))?", cell), row
            assert start is None or cell.startswith(" "), row
            start = end
        tail = row[start:]
        assert tail in (("  yes", "  no") if bits else ("",)), row


def test_all_columns_of_the_report_are_aligned(monkeypatch):
    times = itertools.cycle([9.98e-6, 5.2e-4, 3.3e-5, 0.0154, 2.5e-6])
    monkeypatch.setattr(report, "_best_time", lambda *_, **__: next(times))    # to measure them takes seconds
    lines = list(report.on_tips())
    found = tables(lines)
    assert [len(table) for table in found] == [1 + len(report.REGISTRY), 13, 6]
    for table in found:
        assert_aligned(table)
    assert any(line.startswith("epsilon_insensitive ") for line in lines)


TIMES = [0.0, 3e-9, 9.996e-7, 1.234e-4, 9.996e-4, 0.09996, 1.0, 123.4, 9999.6, 1234567.8]


@pytest.mark.parametrize("number", [-1.0, 15.5068, -123456789.12345, 1e300, -1.2345678e-300, np.inf, -np.inf, np.nan])
def test_columns_are_aligned_whatever_the_numbers_and_names(monkeypatch, number):
    names = ["mse", "huber_loss", "a_loss_with_a_name_that_is_longer_than_all_of_the_others_are"]
    times = itertools.cycle([time + 1e-8 for time in TIMES] + TIMES[::-1] + [1e-8])    # an odd number: all pairs differ
    result = types.SimpleNamespace(x=number, nit=10**12 if number > 0 else 7)
    monkeypatch.setattr(report, "REGISTRY", dict.fromkeys(names, fastgd.mse))
    monkeypatch.setattr(report, "_best_time", lambda *_, **__: max(next(times), 1e-12))
    monkeypatch.setattr(report.Run, "answer", lambda _: (result, []))
    for function in ("simple_minimize", "minimize", "minimize_sgd"):
        monkeypatch.setattr(fastgd, function, lambda *_, **__: number)
    values = np.array([1.0, 2.0])
    first, *_ = tables(report._each_loss(values))
    second, = tables(report._stochastic(values))
    third, = tables(report._known_answers(values))
    assert [len(first), len(second), len(third)] == [4, 13, 6]
    for table in (first, second, third):
        assert_aligned(table)


def test_the_check_of_alignment_sees_a_row_that_is_pushed_aside():
    good = ["loss        updates  compiled  ratio", "mse              19    9.9 us     9x"]
    assert_aligned(good)
    for row in ("epsilon_insensitive      19    9.9 us     9x", "mse            19      9.9 us     9x",
                "mse              19    9.9 us    9x", "mse              19123456.9 us     9x"):
        with pytest.raises(AssertionError):
            assert_aligned([good[0], row])


def test_times_are_three_digits_and_the_next_unit_from_a_thousand_on():
    times = (1.2344e-6, 9.996e-7, 4.56e-5, 9.994e-4, 9.996e-4, 0.25, 1.0, 135.2, 4321.0)
    assert [report._seconds(time) for time in times] == [
        "1.23 us", "1 us", "45.6 us", "999 us", "1 ms", "250 ms", "1 s", "135 s", "4320 s"]
    assert [report._ratio(ratio) for ratio in (1234.5, 31.2, 1.0, 0.456)] == ["1234x", "31x", "1x", "0.46x"]


def test_the_report_grows_row_by_row(monkeypatch):
    timed = []
    monkeypatch.setattr(report, "_best_time", lambda function, most=2.0: timed.append(function) or 1e-3)
    lines = report.on_tips()
    while not next(lines).endswith("ratio"):
        pass
    assert timed == []
    assert next(lines).startswith("mse ")
    assert len(timed) == 2
    assert next(lines).startswith("abs_loss ")
    assert len(timed) == 4


def test_the_answer_comes_before_the_comparison(monkeypatch):
    asked = []
    monkeypatch.setattr(report.Run, "times", lambda _, n_updates: asked.append(n_updates) or (1e-3, 0.1))
    run = report.Run(fastgd.mse, np.array([1.0, 2.0, 6.0]), 0.3)
    lines = report.on_column(run, "x of own.csv: 3 points", compare=True)
    assert next(lines) == "x of own.csv: 3 points, mean 3, median 2"
    assert next(lines).startswith("batch, mse: theta 2.99")
    assert next(lines).startswith("minimize converged")
    assert asked == []
    assert next(lines) == "compiled 1 ms, numpy 100 ms, ratio 100x"
    assert asked == [run.answer()[0].nit]
    assert list(report.on_column(run, "x")) == ["x, mean 3, median 2", *list(
        report.on_column(run, "x", compare=True))[1:3]]


def test_of_adaptive_steps_numpy_makes_as_many_updates(monkeypatch, pcttip):
    run = report.Run(fastgd.abs_loss, pcttip, "adaptive")
    updates = []
    monkeypatch.setattr(report.reference, "grad_abs_loss", lambda theta, dataset, **_: updates.append(theta) or 1.0)
    monkeypatch.setattr(report, "_best_time", lambda function, most=0: function() and 1.0)
    run.times(5)
    assert len(updates) == 5


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("alpha", [0.1, "auto"])
@pytest.mark.parametrize("method", ["batch", "sgd", "mini-batch"])
def test_the_numpy_loop_that_is_timed_gives_the_same_answer(method, alpha, pcttip):
    """It is a comparison only if both do the same."""
    run = report.Run(fastgd.Huber(2), pcttip, alpha, method, batch_size=7, seed=3, epochs=5)
    fast, slow = run._functions()
    assert slow() == pytest.approx(fast(full_output=True).x, rel=1e-12)


def test_the_warnings_of_a_descent_are_lines(pcttip):
    run = report.Run(fastgd.Huber(2), pcttip, 0.1, "sgd", seed=3)
    _, _, *rest = report.on_column(run, "x")
    assert len(rest) == 1
    assert rest[0].startswith("minimize_sgd stopped after 685 updates on a point that happens to lie near theta")


def test_numbers_near_the_largest_have_an_infinite_mean():
    run = report.Run(fastgd.huber_loss, np.array([1.7e308, 1.7e308]))
    assert next(report.on_column(run, "x")).startswith("x, mean inf, median ")
