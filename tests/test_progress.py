"""How a descent shows that it goes on: which display it is, what a bar shows and when it is closed."""
import sys
import types

import numpy as np
import pytest
from helpers import quiet, rows

import fastgd
from fastgd import minimize, minimize_mini_batch, minimize_sgd, mse, reference
from fastgd._progress import Bar, Lines, progress_display

RULE = {"limit": 10, "tol": 1e-3, "stop": "step", "unit": "updates"}


def own_mse(theta, y):
    return np.mean((y - theta) ** 2)


@pytest.fixture
def last_state(capsys):
    """A function that says what the bar showed last: its count, and its loss and the rest."""
    pytest.importorskip("tqdm")

    def read():
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.endswith("\n"), "the bar was not closed"
        last = captured.err.rstrip().split("\r")[-1]
        return last, *(part.strip() for part in last[last.index("loss: "):-1].split("|"))

    return read


@pytest.mark.parametrize(("progress", "kind"), [
    (False, type(None)), (np.False_, type(None)), (True, Lines), (np.True_, Lines), ("bar", Bar),
    (np.str_("bar"), Bar)])
def test_the_displays(progress, kind):
    assert type(progress_display(progress, **RULE)) is kind


@pytest.mark.parametrize("progress", [None, "bars", b"bar", 2, np.array([1, 2]), np.array(["bar"]), [], {}])
def test_what_is_no_display(progress):
    with pytest.raises(ValueError, match=r"'progress'.*True, False or 'bar'"):
        progress_display(progress, **RULE)


def test_a_bar_is_drawn_when_there_is_something_to_show(capsys):
    pytest.importorskip("tqdm")
    for bad in ([], [1.0, np.nan], ["a"]):
        with pytest.raises((TypeError, ValueError)):
            fastgd.minimize(fastgd.mse, fastgd.grad_mse, bad, progress="bar")
    bar = progress_display("bar", **RULE)
    bar.close()
    assert capsys.readouterr() == ("", "")
    bar.show(0, 2.0)
    assert "0 updates" in capsys.readouterr().err
    bar.show(2, 0.25, 0.5)
    bar.close()
    assert "2 updates" in capsys.readouterr().err


@quiet
@pytest.mark.parametrize("descended", [mse, own_mse])
def test_a_bar_of_a_rule_ends_at_the_last_update_and_has_no_total(descended, five_points, last_state):
    options = {"progress": "bar", "full_output": True}
    for limit in (100_000, 7):
        result = minimize(descended, mse.gradient if descended is mse else None, five_points, **options,
                          max_iter=limit)
        before = reference.minimize(None, reference.grad_mse, five_points, progress=False, max_iter=result.nit - 1)
        line, loss, step, tol = last_state()
        assert line.startswith(f"{result.nit} updates [")
        assert "%" not in line
        assert (loss, tol) == (f"loss: {result.fun:.6g}", "tol: 0.001")
        assert step == f"step: {abs(result.x - before):.2g}"


def test_a_bar_of_the_loss_shows_its_change(five_points, last_state):
    result = minimize(mse, None, five_points, stop="loss", progress="bar", history=True)
    _, loss, change, _ = last_state()
    assert loss == f"loss: {result.fun:.6g}"
    before, after = (mse(theta, five_points) for theta in result.history["theta"].iloc[-2:])
    assert change == f"change: {before - after:.2g}"


@quiet
def test_a_bar_without_a_rule_has_its_end_in_sight(pcttip, last_state):
    minimize(fastgd.huber_loss, None, pcttip, tol=0, max_iter=20, progress="bar")
    assert "20/20" in last_state()[0]
    minimize_sgd(mse, None, pcttip, 0.01, rng=0, tol=0, max_epochs=3, progress="bar")
    line = last_state()[0]
    assert "3/3" in line
    assert "epochs/s" in line


@quiet
@pytest.mark.parametrize("X", [None, np.linspace(-1, 1, 488).reshape(244, 2)])
def test_a_bar_of_epochs_shows_what_the_rule_compares(X, pcttip, last_state):
    options = {"X": X, "rng": 0, "progress": "bar", "history": True}
    for stop, tol, word in (("step", 1e-3, "step"), ("epoch", 0.1, "moved"), ("loss", 0.1, "change")):
        result = minimize_mini_batch(mse, None, pcttip, 10, 0.01, stop=stop, tol=tol, **options)
        line, loss, moved, _ = last_state()
        assert line.startswith(f"{-(-result.nit // 25)} epochs [")
        assert loss == f"loss: {result.fun:.6g}"
        thetas = np.pad(result.history.iloc[:, 2:].to_numpy(), ((1, 0), (0, 0)))    # from 0 on
        start = thetas[-2 if stop == "step" else -26]
        expected = np.abs(thetas[-1] - start).max() if stop != "loss" else abs(
            result.fun - (mse(start.item(), pcttip) if X is None else mse(start, pcttip, X=X)))
        assert moved == f"{word}: {expected:.2g}"


@quiet
def test_a_bar_of_epochs_on_rows_shows_the_last_step_and_not_the_epochs(last_state):
    """Only the last theta of a chunk is known there unless all are asked for."""
    X, y = rows(100, 2)
    result = minimize_sgd(mse, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=1e-12, progress="bar", history=True)
    step = np.abs(np.diff(result.history.iloc[-2:, 2:].to_numpy(), axis=0)).max()
    minimize_sgd(mse, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=1e-12, progress="bar")
    assert last_state()[2] == f"step: {step:.2g}"


def test_a_bar_is_closed_where_a_descent_fails(five_points, last_state):
    def gradient(theta, y):
        if theta > 9:
            raise ZeroDivisionError
        return np.mean(2 * (theta - y))

    with pytest.raises(ZeroDivisionError):
        minimize(mse, gradient, five_points, progress="bar")
    assert last_state()[0].startswith("2 updates [")
    with pytest.raises(fastgd.DivergenceError):
        minimize_sgd(mse, None, five_points, 1.5, rng=0, progress="bar")
    assert last_state()[1:] == ("loss: nan", "step: inf", "tol: 0.001")


def test_a_bar_asks_for_no_more_losses_than_it_shows(five_points):
    pytest.importorskip("tqdm")
    asked = []

    def loss(theta, y):
        asked.append(theta)
        return own_mse(theta, y)

    result = minimize(loss, mse.gradient, five_points, progress="bar", full_output=True)
    assert asked == [0.0, result.x]


def test_a_bar_without_tqdm_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        progress_display("bar", **RULE)


def test_a_bar_shows_steps_in_the_units_of_the_rule(monkeypatch):
    shown = []

    class FakeBar:
        n = 0

        def __init__(self, **options):
            pass

        def set_postfix_str(self, text, refresh):
            shown.append(text)

        def update(self, count):
            self.n += count

        def close(self):
            pass

    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=FakeBar))
    X = np.random.default_rng(0).normal(size=(50, 1)) * 1e-4
    result = fastgd.minimize(fastgd.mse, None, X[:, 0] * 1e4, 0.5, "bar", X=X, precondition="scale", history=True,
                             tol=1e-6)
    first, second = result.history["x0"][:2]
    size = np.sqrt(np.mean(X**2))
    assert f"step: {first * size:.2g} |" in shown[1]
    assert f"step: {(second - first) * size:.2g} |" in shown[2]
