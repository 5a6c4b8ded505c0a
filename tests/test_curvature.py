"""Stable learning rates: what a loss says of its own, and what alpha="auto" makes of it on data."""

import numpy as np
import pytest
from helpers import quiet, rows

import fastgd
from fastgd import DivergenceError, Huber, minimize, minimize_sgd
from fastgd.losses import REGISTRY


@pytest.mark.parametrize("name", REGISTRY)
def test_max_stable_alpha_is_two_over_the_curvature(name):
    loss, h = REGISTRY[name], 1e-4
    thetas = np.linspace(-1000, 1000, 20_001)
    rise = loss.gradient.curve(thetas + h, [0]) - loss.gradient.curve(thetas - h, [0])
    curvature = np.max(np.abs(rise)) / (2 * h)
    if loss.max_stable_alpha is None:
        assert curvature > 1000
    else:
        assert 2 / curvature == pytest.approx(loss.max_stable_alpha, rel=1e-3)


def test_huber_names_its_stable_rate():
    with pytest.raises(DivergenceError, match="largest stable alpha for huber_loss is 2"):
        minimize(fastgd.huber_loss, Huber(1e300).gradient, [1.0], 1e10, progress=False)


class TestAuto:
    @quiet
    @pytest.mark.parametrize("name", [name for name, loss in REGISTRY.items() if loss.max_stable_alpha])
    def test_lowers_every_loss_whatever_the_scales(self, name):
        X, y = rows(500, 4)
        X = X * [1, 100, 1e-3, 7]
        loss = REGISTRY[name]
        start = loss([0] * 5, y, X=X, fit_intercept=True)
        before = start
        for updates in (1, 10, 100):
            now = minimize(loss, None, y, "auto", False, X=X, fit_intercept=True, tol=0, max_iter=updates,
                           full_output=True).fun
            assert now < before
            before = now
        assert (minimize_sgd(loss, None, y, "auto", X=X, fit_intercept=True, rng=0, tol=0, max_epochs=5,
                             full_output=True).fun < start)
        assert minimize(loss, None, y, "auto", False) == pytest.approx(
            minimize(loss, None, y, loss.max_stable_alpha / 2, False))

    @pytest.mark.parametrize("name", [name for name, loss in REGISTRY.items() if not loss.max_stable_alpha])
    def test_needs_a_bounded_curvature(self, name):
        X, y = rows()
        for options in ({}, {"X": X}):
            with pytest.raises(ValueError, match="alpha='auto' needs a loss of bounded curvature"):
                minimize(REGISTRY[name], None, y, "auto", False, **options)

    def test_finds_the_least_squares_of_many_features(self):
        X, y = rows(400, 150)
        assert minimize(fastgd.mse, None, y, "auto", False, X=X, tol=1e-12,
                        max_iter=10**6) == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-6)

    def test_knows_the_largest_eigenvalue_among_many(self):
        X = np.random.default_rng(1).normal(size=(3000, 600))
        X[:, 0] *= 3
        for data, estimated in ((X, True), (X[:, :500], False)):
            largest = np.linalg.eigvalsh(data.T @ data / 3000)[-1]
            history = minimize(fastgd.mse, None, np.zeros(3000), "auto", False, X=data, history=True).history
            taken = 1 / (2 * history["alpha"][0])    # the curvature of mse is twice the eigenvalue
            if estimated:
                assert largest * 0.9 <= taken <= 2 * largest
            else:
                assert taken == pytest.approx(largest)
