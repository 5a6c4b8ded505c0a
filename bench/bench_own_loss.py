"""A user's Huber loss through function pointers, and descents from many starts."""
import functools
import warnings

import numba
import numpy as np
import pytest
from harness import measure, points

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


@pytest.mark.parametrize("contender", ["fastgd", "reference"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_pass(benchmark, what, contender):
    y, loss = points(N), own_huber()
    ours, numpys = (loss, reference.huber_loss) if what == "loss" else (loss.gradient, reference.grad_huber_loss)
    measure(benchmark, f"own Huber by numba cfunc, {what}(theta, y), 1e6 points", contender,
            functools.partial(ours if contender == "fastgd" else numpys, 14.2, y))


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("contender", ["fastgd", "reference"])
def test_sgd(benchmark, contender):
    y, rng = points(N).copy(), np.random.default_rng(0)
    function = {
        "fastgd": functools.partial(fastgd.minimize_sgd, own_huber(), None, y, 0.01, rng=rng, tol=0, max_epochs=1,
                                    in_place=True),
        "reference": functools.partial(reference.minimize_sgd, None, reference.grad_huber_loss, y, 0.01, rng=rng, tol=0,
                                       max_epochs=1),
    }[contender]
    measure(benchmark, "own Huber by numba cfunc, epoch of SGD, 1e6 points", contender, function)


def one_by_one(y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgd.ConvergenceWarning)
        return [fastgd.minimize(fastgd.huber_loss, None, y, progress=False, theta0=start) for start in STARTS]


@pytest.mark.parametrize("contender", ["fastgd", "single runs"])
@pytest.mark.parametrize("n", [244, N])
def test_multistart(benchmark, n, contender):
    y = points(n) if n == N else fastgd.datasets.load_tips()["pcttip"].to_numpy()
    function = {"fastgd": functools.partial(fastgd.minimize_multistart, fastgd.huber_loss, None, y, STARTS),
                "single runs": functools.partial(one_by_one, y)}[contender]
    measure(benchmark, f"minimize_multistart Huber, 16 starts, {n} points", contender, function)
