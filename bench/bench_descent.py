"""Batch descent of one number and its passes, beside plain numpy, which is `fastgd.reference`, and numba."""
import functools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba_twins
import numpy as np
import pytest
from harness import measure, np_sum, points
from numba_twins import twin

import fastgd
from fastgd import reference
from fastgd._kernels import descent
from fastgd._kernels.step import NumberSteps
from fastgd.losses import REGISTRY

N = 1_000_000
FIVE = np.array([12.1, 12.8, 14.9, 16.3, 17.2])


def in_numpy(name, *args):
    return functools.partial(getattr(reference, name), *args)


@pytest.mark.parametrize("n", [N, 10 * N])
@pytest.mark.parametrize("name", REGISTRY)
def test_gradient_pass(benchmark, name, n):
    """Time a pass inside a descent, over data that are already checked."""
    y = points(n)
    contenders = {"fastgd": pass_in_a_descent(REGISTRY[name].gradient, y),
                  "plain numpy": in_numpy(f"grad_{name}", 14.2, y)}
    if hasattr(numba_twins, f"grad_{name}"):
        contenders["numba"] = twin(f"grad_{name}", 14.2, y)
    measure(benchmark, f"gradient pass in a descent, {name}, {n:,} points", contenders, np_sum(y))


def pass_in_a_descent(gradient, y):
    alphas, thetas = np.full(1, 1e-9), np.empty(1)
    return functools.partial(gradient.version(descent.batch, y.dtype), gradient.kernel, y, NumberSteps(14.2, 0.0, True),
                             alphas, thetas)


@pytest.mark.parametrize("n", [5, N, 10 * N])
@pytest.mark.parametrize("name", ["mse", "huber_loss", "grad_mse", "grad_huber_loss"])
def test_call(benchmark, name, n):
    """Time the public call, which checks for NaN and infinity; that of five points has no limit."""
    y = points(n) if n > 5 else FIVE
    contenders = {"fastgd": functools.partial(getattr(fastgd, name), 14.2, y), "plain numpy": in_numpy(name, 14.2, y)}
    if n == 5:
        contenders["np.sum"] = functools.partial(np.sum, y)
    measure(benchmark, f"{name}(theta, y), {'five' if n == 5 else f'{n:,}'} points", contenders,
            np_sum(y) if n > 5 else None)


@pytest.mark.parametrize(("name", "which"), [("mse", "five"), ("huber_loss", "tips"), ("mse", "many"),
                                             ("huber_loss", "many")])
def test_minimize(benchmark, name, which):
    y = {"five": FIVE, "tips": fastgd.datasets.load_tips()["pcttip"].to_numpy(), "many": points(N)}[which]
    loss = REGISTRY[name]
    run = functools.partial(fastgd.minimize, loss, loss.gradient, y, progress=False)
    contenders = {"fastgd": run,
                  "plain numpy": in_numpy("minimize", None, getattr(reference, f"grad_{name}"), y, 0.2, False),
                  "numba": twin("minimize", getattr(numba_twins, f"grad_{name}"), y)}
    title = {"five": "five points", "tips": "244 points", "many": f"{N:,} points"}[which]
    measure(benchmark, f"minimize {name}, {title}", contenders,
            np_sum(y, run(full_output=True).nit) if which == "many" else None)


@pytest.mark.parametrize("name", ["mse", "abs_loss", "huber_loss"])
def test_grid(benchmark, name):
    """Time a grid; the limit is a product by BLAS, one multiplication and addition for each theta and point."""
    y, thetas = points(N), np.arange(12, 18, 0.1)
    left, right = np.ones((thetas.size, 1000)), np.ones((1000, max(1, y.size // 1000)))
    measure(benchmark, f"simple_minimize {name}, 60 thetas, {N:,} points", {
        "fastgd": functools.partial(fastgd.simple_minimize, REGISTRY[name], y, thetas),
        "plain numpy": in_numpy("simple_minimize", getattr(reference, name), y, thetas),
    }, ("matrix product", functools.partial(np.matmul, left, right)))


@pytest.mark.parametrize("name", ["mse", "huber_loss", "log_cosh"])
def test_two_threads(benchmark, name):
    """Time two threads; the limit is np.sum in two threads that already run."""
    y, gradient = points(10 * N), REGISTRY[name].gradient
    halves = np.array_split(y, 2)
    with ThreadPoolExecutor(2) as pool:
        measure(benchmark, f"grad_{name}(theta, y, n_threads=2), {10 * N:,} points", {
            "fastgd": functools.partial(gradient, 14.2, y, n_threads=2),
            "1 thread": functools.partial(gradient, 14.2, y),
            "np.sum in 1 thread": functools.partial(np.sum, y),
        }, ("np.sum in 2 threads", lambda: list(pool.map(np.sum, halves))))


def test_import(benchmark, tmp_path):
    """Time the import in a new Python, from bytecode as pip installs it; the start of Python is part of both times."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    tree = Path(fastgd.__file__).parents[1]

    def new_python(code):
        return functools.partial(subprocess.run, [sys.executable, "-c", code], check=True, cwd=tree, env=environment)

    measure(benchmark, "start of Python and import fastgd", {"fastgd": new_python("import fastgd")},
            ("start and import numpy", new_python("import numpy")))
