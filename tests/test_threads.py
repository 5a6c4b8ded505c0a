"""n_threads: the same bits with any number of threads."""
import functools
import threading
import warnings

import numpy as np
import pytest

import fastgd
from fastgd import reference
from fastgd.losses import REGISTRY

N = 1_200_077


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).random(N)


@pytest.mark.parametrize("name", REGISTRY)
def test_losses(name, points):
    loss = REGISTRY[name]
    for function in (loss, loss.gradient):
        expected = function(0.3, points)
        for n_threads in (1, 2, 3, 7, -1):
            assert function(0.3, points, n_threads=n_threads) == expected
        assert np.array_equal(function.curve([0.1, 0.3], points, n_threads=3), function.curve([0.1, 0.3], points))
    numpys = getattr(reference, name)(0.3, points)
    assert expected == pytest.approx(getattr(reference, f"grad_{name}")(0.3, points), rel=1e-12)
    assert loss(0.3, points) == pytest.approx(numpys, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["mse", "huber_loss"])
def test_descents(name, dtype, points):
    y = points.astype(dtype)
    X = y[:1_200_000].reshape(-1, 8)
    targets = y[:len(X)]
    for options in ({}, {"X": X}, {"X": X, "fit_intercept": True}):
        run = functools.partial(fastgd.minimize, REGISTRY[name], None, targets if options else y, 0.1, False,
                                max_iter=5, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastgd.ConvergenceWarning)
            results = [np.asarray(run(n_threads=n_threads)) for n_threads in (None, 1, 2, 5)]
        for result in results[1:]:
            assert np.array_equal(result, results[0])


def test_a_gradient_with_rows(points):
    X = points[:1_200_000].reshape(-1, 10)
    theta, y = np.arange(10.0), points[:len(X)]
    expected = fastgd.grad_huber_loss(theta, y, X=X)
    for n_threads in (2, 3, 16):
        assert np.array_equal(fastgd.grad_huber_loss(theta, y, X=X, n_threads=n_threads), expected)
    assert expected == pytest.approx(reference.grad_huber_loss(theta, y, X=X), rel=1e-12)


def test_what_is_refused(points):
    for bad, error in ((0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="'n_threads' parameter"):
            fastgd.mse(0.3, points, n_threads=bad)
        with pytest.raises(error, match="'n_threads' parameter"):
            fastgd.minimize(fastgd.mse, fastgd.grad_mse, points, progress=False, n_threads=bad)


def test_nan_is_found_in_any_part(points):
    y = points.copy()
    y[-5] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        fastgd.mse(0.3, y, n_threads=3)


def test_threads_end_with_the_call(points):
    before = threading.active_count()
    fastgd.minimize(fastgd.huber_loss, None, points, progress=False, n_threads=4)
    fastgd.mse(0.3, points, n_threads=4)
    with pytest.raises(ZeroDivisionError):
        fastgd.minimize(fastgd.huber_loss, None, points, progress=False, n_threads=4, callback=lambda result: 1 / 0)
    assert threading.active_count() == before


def test_ctrl_c(interrupted, points):
    before = threading.active_count()
    with interrupted():
        fastgd.minimize(fastgd.log_cosh, None, points, 1e-9, False, tol=0, n_threads=2)
    assert threading.active_count() == before
