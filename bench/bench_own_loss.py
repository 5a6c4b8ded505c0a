"""A user's Huber loss through function pointers, and descents from many starts."""
import functools

import numba
import numpy as np
import pytest
from harness import measure, np_sum, points
from numba_twins import twin

import fastgd
from fastgd import reference
from fastgd.losses import compiled

N = 1_000_000
STARTS = np.linspace(5, 25, 16)


@numba.cfunc("float64(float64, float64)")
def value(prediction, target):
    a = abs(target - prediction)
    c = min(a, 1.0)
    return c * (a - c / 2)


@numba.cfunc("float64(float64, float64)")
def slope(prediction, target):
    return min(max(prediction - target, -1.0), 1.0)


@functools.cache
def own_huber():
    return compiled(value, slope, name="own_huber")


def test_pass(benchmark):
    y = points(N)
    measure(benchmark, f"own Huber by numba cfunc, gradient(theta, y), {N:,} points", {
        "fastgd": functools.partial(own_huber().gradient, 14.2, y),
        "plain numpy": functools.partial(reference.grad_huber_loss, 14.2, y),
        "fastgd's Huber": functools.partial(fastgd.grad_huber_loss, 14.2, y),
    }, np_sum(y))


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_sgd(benchmark):
    def epoch(loss):
        return functools.partial(fastgd.minimize_sgd, loss, None, points(N).copy(), 0.01, rng=np.random.default_rng(0),
                                 tol=0, max_epochs=1, in_place=True)

    measure(benchmark, f"own Huber by numba cfunc, epoch of SGD, {N:,} points", {
        "fastgd": epoch(own_huber()), "fastgd's Huber": epoch(fastgd.huber_loss)},
        ("chain of updates", twin("chain", points(N), 0.01)))


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("n", [244, N])
def test_multistart(benchmark, n):
    """Time many starts; the limit reads the points once for each update of the longest run."""
    y = points(n) if n == N else fastgd.datasets.load_tips()["pcttip"].to_numpy()

    def single_runs():
        return [fastgd.minimize(fastgd.huber_loss, None, y, progress=False, theta0=start, full_output=True)
                for start in STARTS]

    measure(benchmark, f"minimize_multistart Huber, {len(STARTS)} starts, {n:,} points", {
        "fastgd": functools.partial(fastgd.minimize_multistart, fastgd.huber_loss, None, y, STARTS),
        "fastgd, single runs": single_runs,
    }, np_sum(y, max(run.nit for run in single_runs())) if n == N else None)
