"""Stochastic and mini-batch descent, the shuffle, the schedules: fastgd, plain numpy, and a numba translation."""
import functools

import numba_twins
import numpy as np
import pytest
from harness import measure, points

import fastgd
from fastgd import reference, schedules
from fastgd._kernels import shuffle
from fastgd.losses import REGISTRY

N = 1_000_000


def ours(name, size, y, alpha=0.01, epochs=1):
    """One epoch, shuffle included, whatever theta does."""
    loss, rng = REGISTRY[name], np.random.default_rng(0)
    options = {"rng": rng, "tol": 0, "max_epochs": epochs, "in_place": True}
    if size is None:
        return functools.partial(fastgd.minimize_sgd, loss, loss.gradient, y, alpha, **options)
    return functools.partial(fastgd.minimize_mini_batch, loss, loss.gradient, y, size, alpha, **options)


def numpys(name, size, y):
    gradient, rng = getattr(reference, f"grad_{name}"), np.random.default_rng(0)
    options = {"rng": rng, "tol": 0, "max_epochs": 1}
    if size is None:
        return functools.partial(reference.minimize_sgd, None, gradient, y, 0.01, **options)
    return functools.partial(reference.minimize_mini_batch, None, gradient, y, size, 0.01, **options)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("contender", ["fastgd", "reference", "numba"])
@pytest.mark.parametrize("size", [None, 10, 100, 1000])
@pytest.mark.parametrize("name", ["mse", "huber_loss", "abs_loss"])
def test_epoch(benchmark, name, size, contender):
    if contender == "numba" and (size is not None or name == "abs_loss"):
        pytest.skip("no numba twin")
    y = points(N).copy()
    function = {"fastgd": lambda: ours(name, size, y), "reference": lambda: numpys(name, size, y),
                "numba": lambda: functools.partial(getattr(numba_twins, f"epoch_{name}"), y, 0.01)}[contender]()
    kind = "SGD" if size is None else f"mini-batch {size}"
    measure(benchmark, f"epoch of {kind}, {name}, 1e6 points", contender, function)


@pytest.mark.parametrize("contender", ["fastgd", "numpy"])
@pytest.mark.parametrize("generator", ["legacy", "PCG64"])
@pytest.mark.parametrize("n", [10**4, 10**5, 10**6, 10**7])
def test_shuffle(benchmark, n, generator, contender):
    rng = np.random.RandomState(0) if generator == "legacy" else np.random.default_rng(0)
    y = points(n).copy()
    capsule = (rng._bit_generator if generator == "legacy" else rng.bit_generator).capsule
    function = {"fastgd": functools.partial(shuffle.shuffle["double"], capsule, y, y.size - 1, 0),
                "numpy": functools.partial(rng.shuffle, y)}[contender]
    measure(benchmark, f"shuffle, {generator}, {n:.0e} points", contender, function)


SCHEDULES = {
    "constant": schedules.constant(0.01),
    "inverse_scaling": schedules.inverse_scaling(0.5, 0.75),
    "exponential_decay": schedules.exponential_decay(0.5, 0.999_999),
    "step_decay": schedules.step_decay(0.5, 0.5, 100_000),
    "cosine": schedules.cosine(0.5, N, 0.001),
    "lambda t: 0.5 / (1 + t)": lambda t: 0.5 / (1 + t),
}


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("contender", ["fastgd", "a number"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule(benchmark, schedule, contender):
    alpha = SCHEDULES[schedule] if contender == "fastgd" else 0.01
    measure(benchmark, f"epoch of SGD, mse, 1e6 points, alpha {schedule}", contender,
            ours("mse", None, points(N).copy(), alpha))
