"""Stochastic and mini-batch descent on one number, the shuffle, the schedules."""
import functools

import numpy as np
import pytest
from harness import measure, points
from numba_twins import twin

import fastgd
from fastgd import reference, schedules
from fastgd._kernels import shuffle
from fastgd.losses import REGISTRY

N = 1_000_000


def ours(name, size=None, alpha=0.01):
    """Run one epoch with its shuffle, without a stopping rule."""
    loss, y = REGISTRY[name], points(N).copy()
    options = {"rng": np.random.default_rng(0), "tol": 0, "max_epochs": 1, "in_place": True}
    if size is None:
        return functools.partial(fastgd.minimize_sgd, loss, loss.gradient, y, alpha, **options)
    return functools.partial(fastgd.minimize_mini_batch, loss, loss.gradient, y, size, alpha, **options)


def chain():
    """Return the limit of stochastic descent: a chain of updates, each of which depends on the one before."""
    return "chain of updates", twin("chain", points(N), 0.01)


def draws(rng, n):
    """Return the limit of a shuffle: a random number for each point."""
    return "random numbers", functools.partial(rng.bytes, 4 * n)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("name", ["mse", "huber_loss"])
def test_sgd(benchmark, name):
    measure(benchmark, f"epoch of SGD, {name}, {N:,} points", {
        "fastgd": ours(name),
        "plain numpy": functools.partial(reference.minimize_sgd, None, getattr(reference, f"grad_{name}"), points(N),
                                         0.01, rng=np.random.default_rng(0), tol=0, max_epochs=1),
        "numba": twin(f"epoch_{name}", points(N).copy(), 0.01),
    }, chain())


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize(("name", "size"), [("mse", 10), ("mse", 100), ("mse", 1000), ("huber_loss", 100)])
def test_mini_batches(benchmark, name, size):
    rng, y = np.random.default_rng(0), points(N)
    measure(benchmark, f"epoch of mini-batch {size}, {name}, {N:,} points", {
        "fastgd": ours(name, size),
        "plain numpy": functools.partial(reference.minimize_mini_batch, None, getattr(reference, f"grad_{name}"), y,
                                         size, 0.01, rng=rng, tol=0, max_epochs=1),
    }, draws(np.random.default_rng(0), y.size))


@pytest.mark.parametrize("generator", ["legacy", "PCG64"])
@pytest.mark.parametrize("n", [N, 10 * N])
def test_shuffle(benchmark, n, generator):
    rng = np.random.RandomState(0) if generator == "legacy" else np.random.default_rng(0)
    y = points(n).copy()
    capsule = (rng._bit_generator if generator == "legacy" else rng.bit_generator).capsule
    measure(benchmark, f"shuffle, {generator}, {n:,} points", {
        "fastgd": functools.partial(shuffle.shuffle["double"], capsule, y, y.size - 1, 0),
        "plain numpy": functools.partial(rng.shuffle, y),
    }, draws(rng, y.size))


SCHEDULES = {
    "inverse_scaling": schedules.inverse_scaling(0.5, 0.75),
    "cosine": schedules.cosine(0.5, N, 0.001),
    "lambda t: 0.5 / (1 + t)": lambda t: 0.5 / (1 + t),
}


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule(benchmark, schedule):
    measure(benchmark, f"epoch of SGD, mse, {N:,} points, alpha {schedule}", {
        "fastgd": ours("mse", alpha=SCHEDULES[schedule]), "fastgd, alpha a number": ours("mse")}, chain())
