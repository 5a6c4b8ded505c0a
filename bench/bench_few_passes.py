"""Descent of one number on what three passes tell, beside the loop, which makes a pass for each update."""
import functools

import pytest
from harness import measure, np_sum, points

import fastgd
from fastgd.losses import REGISTRY

N = 10_000_000


@pytest.mark.parametrize("tol", [1e-3, 1e-9])
@pytest.mark.parametrize("name", ["mse", "abs_loss", "huber_loss", "pinball_loss"])
def test_few_passes(benchmark, name, tol):
    run = functools.partial(fastgd.minimize, REGISTRY[name], None, points(N), progress=False, tol=tol, full_output=True)
    answers = measure(benchmark, f"minimize {name}, few_passes, tol={tol:g}, {N:,} points", {
        "fastgd": functools.partial(run, few_passes=True), "fastgd, the loop": run,
    }, np_sum(points(N), 3))
    assert len({result.nit for result in answers.values()}) == 1
