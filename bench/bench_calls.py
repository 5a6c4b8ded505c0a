"""Count the Python calls of small fits and the modules that they enter, and compare each count with its budget.

A fit of few rows takes as long as the Python around the kernels: checks of arguments, selection of a solver, the report
of its end. A count of calls does not depend on the load of the machine. The benches print; they assert nothing.
"""
import cProfile
import pstats
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from harness import ROUNDS, Clock, Settings, rows

import fastgd
from fastgd import reference
from fastgd.estimators import DescentRegressor

FOLDER = str(Path(fastgd.__file__).parent)
FIVE = np.array([12.1, 12.8, 14.9, 16.3, 17.2])


def five_points():
    return partial(fastgd.minimize, fastgd.mse, fastgd.grad_mse, FIVE, progress=False)


def huber_rows():
    X, y, _ = rows(300, 3)
    return partial(fastgd.minimize, fastgd.huber_loss, None, y, "adaptive", False, X=X, fit_intercept=True,
                   precondition="gram")


def regressor():
    X, y, _ = rows(300, 3)
    return partial(DescentRegressor().fit, X, y)


def count(function):
    """Count the calls of a function, builtins included, and the modules of fastgd that its third call enters."""
    function()
    function()
    profiler = cProfile.Profile()
    profiler.runcall(function)
    stats = pstats.Stats(profiler)
    return stats.total_calls, len({file for file, _, _ in stats.stats if file.startswith(FOLDER)})


@pytest.mark.parametrize(("case", "function_of", "most_calls", "most_modules"), [
    ("minimize mse, five points", five_points, 48, 14),
    ("minimize huber_loss, adaptive, gram, X 300 x 3", huber_rows, 500, None),
    ("DescentRegressor().fit, X 300 x 3", regressor, 800, None),
])
def test_calls(benchmark, case, function_of, most_calls, most_modules):
    function = function_of()
    calls, modules = count(function)
    benchmark.pedantic(function, rounds=1)
    benchmark.extra_info["budgets"] = [
        (f"{case}: calls", calls, f"at most {most_calls}"),
        (f"{case}: modules", modules, f"at most {most_modules}" if most_modules else "-")]


@pytest.mark.parametrize(("case", "name", "least"), [("five points", "mse", 9), ("tips", "huber_loss", 60)])
def test_ratio_to_the_reference(benchmark, case, name, least):
    """Time the textbook's loop, compiled and in plain numpy, by turns."""
    y = FIVE if case == "five points" else fastgd.load_tips()["pcttip"].to_numpy()
    loss, slope = getattr(fastgd, name), getattr(reference, f"grad_{name}")
    fast = Clock(partial(fastgd.minimize, loss, loss.gradient, y, progress=False))
    slow = Clock(partial(reference.minimize, None, slope, y, progress=False))
    benchmark.pedantic(fast.function, rounds=1)
    for _ in range(0 if Settings.is_small else ROUNDS):
        fast.round()
        slow.round()
    benchmark.extra_info["budgets"] = [
        (f"minimize {name}, {case}: fastgd.reference / fastgd", f"{slow.best / fast.best:.1f}",
         f"at least {least}")]
