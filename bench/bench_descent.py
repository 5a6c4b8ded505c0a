"""Batch descent and its passes: fastgd, the plain numpy of `fastgd.reference`, and a numba translation."""
import functools
from concurrent.futures import ThreadPoolExecutor

import numba_twins
import numpy as np
import pytest
from harness import measure, points

import fastgd
from fastgd import reference
from fastgd._kernels import descent
from fastgd._kernels.step import NumberSteps
from fastgd.losses import REGISTRY

THETAS = np.arange(12, 18, 0.1)


@pytest.mark.parametrize("contender", ["fastgd", "np.sum", "reference", "numba"])
@pytest.mark.parametrize("n", [1_000_000, 10_000_000])
@pytest.mark.parametrize("name", REGISTRY)
def test_gradient_pass(benchmark, name, n, contender):
    """A pass inside a descent: the data was checked before."""
    y = points(n)
    function = {
        "fastgd": passes_in_a_descent(REGISTRY[name].gradient, y),
        "np.sum": functools.partial(np.sum, y),
        "reference": functools.partial(getattr(reference, f"grad_{name}"), 14.2, y),
        "numba": hasattr(numba_twins, f"grad_{name}") and functools.partial(
            getattr(numba_twins, f"grad_{name}"), 14.2, y),
    }[contender]
    if not function:
        pytest.skip("no numba twin")
    measure(benchmark, f"gradient pass in a descent, {name}, {n:.0e} points", contender, function)


def passes_in_a_descent(gradient, y):
    alphas, thetas = np.full(1, 1e-9), np.empty(1)
    return functools.partial(gradient.version(descent.batch, y.dtype), gradient.kernel, y, NumberSteps(14.2, 0.0, True),
                             alphas, thetas)


@pytest.mark.parametrize("contender", ["fastgd", "np.sum", "reference"])
@pytest.mark.parametrize("n", [5, 1_000_000, 10_000_000])
@pytest.mark.parametrize("name", REGISTRY)
def test_gradient_call(benchmark, name, n, contender):
    """The public call, which looks for NaN and infinity on the way."""
    y = points(n)
    function = {
        "fastgd": functools.partial(REGISTRY[name].gradient, 14.2, y),
        "np.sum": functools.partial(np.sum, y),
        "reference": functools.partial(getattr(reference, f"grad_{name}"), 14.2, y),
    }[contender]
    measure(benchmark, f"grad_{name}(theta, y), {n:.0e} points", contender, function)


CASES = {
    "minimize mse, five points": ("mse", np.array([12.1, 12.8, 14.9, 16.3, 17.2])),
    "minimize Huber, tips": ("huber_loss", fastgd.datasets.load_tips()["pcttip"].to_numpy()),
    "minimize Huber, 1e6 points": ("huber_loss", points(1_000_000)),
    "minimize mse, 1e6 points": ("mse", points(1_000_000)),
}


@pytest.mark.parametrize("contender", ["fastgd", "reference", "numba"])
@pytest.mark.parametrize("case", CASES)
def test_minimize(benchmark, case, contender):
    name, y = CASES[case]
    loss = REGISTRY[name]
    function = {
        "fastgd": functools.partial(fastgd.minimize, loss, loss.gradient, y, progress=False),
        "reference": functools.partial(
            reference.minimize, None, getattr(reference, f"grad_{name}"), y, progress=False),
        "numba": functools.partial(numba_twins.minimize, getattr(numba_twins, f"grad_{name}"), y),
    }[contender]
    measure(benchmark, case, contender, function)


@pytest.mark.parametrize("contender", ["fastgd", "reference"])
@pytest.mark.parametrize("name", ["mse", "huber_loss", "abs_loss"])
def test_simple_minimize(benchmark, name, contender):
    y = points(1_000_000)
    function = {
        "fastgd": functools.partial(fastgd.simple_minimize, REGISTRY[name], y, THETAS),
        "reference": functools.partial(reference.simple_minimize, getattr(reference, name), y, THETAS),
    }[contender]
    measure(benchmark, f"simple_minimize {name}, 60 thetas, 1e6 points", contender, function)


@pytest.mark.parametrize("contender", ["fastgd", "1 thread", "np.sum", "np.sum, 2 threads"])
@pytest.mark.parametrize("name", ["mse", "huber_loss", "log_cosh"])
def test_two_threads(benchmark, name, contender):
    """What np.sum gains from a second thread is what the memory allows."""
    y = points(10_000_000)
    gradient = REGISTRY[name].gradient
    with ThreadPoolExecutor(2) as pool:
        function = {
            "fastgd": functools.partial(gradient, 14.2, y, n_threads=2),
            "1 thread": functools.partial(gradient, 14.2, y),
            "np.sum": functools.partial(np.sum, y),
            "np.sum, 2 threads": lambda: list(pool.map(np.sum, np.array_split(y, 2))),
        }[contender]
        measure(benchmark, f"grad_{name}(theta, y, n_threads=2), 1e7 points", contender, function)
