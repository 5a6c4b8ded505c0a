"""Stable learning rates: what a loss says of its own, and what alpha="auto" makes of it on data."""

import numpy as np
import pytest
from helpers import DTYPES, LOSSES, quiet, rows

import fastgd
from fastgd import DivergenceError, Huber, minimize, minimize_sgd
from fastgd._data import LinearModelData
from fastgd._objective.second_moments import RowMoments
from fastgd._thread_pool import ThreadPool


@pytest.mark.parametrize("name", LOSSES)
def test_max_stable_alpha_is_two_over_the_curvature(name):
    loss, h = LOSSES[name], 1e-4
    thetas = np.linspace(-1000, 1000, 20_001)
    rise = loss.gradient.curve(thetas + h, [0]) - loss.gradient.curve(thetas - h, [0])
    curvature = np.max(np.abs(rise)) / (2 * h)
    if loss.max_stable_alpha is None:
        assert curvature > 1000
    else:
        assert 2 / curvature == pytest.approx(loss.max_stable_alpha, rel=1e-3)


def test_huber_names_its_stable_rate():
    with pytest.raises(DivergenceError, match="alpha for huber_loss is 2"):
        minimize(fastgd.huber_loss, Huber(1e300).gradient, [1.0], 1e10, progress=False)


class TestAuto:
    @quiet
    @pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.max_stable_alpha])
    def test_lowers_every_loss_whatever_the_scales(self, name):
        X, y = rows(500, 4)
        X = X * [1, 100, 1e-3, 7]
        loss = LOSSES[name]
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

    @pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if not loss.max_stable_alpha])
    def test_needs_a_bounded_curvature_or_kinks_to_smooth(self, name):
        X, y = rows()
        loss = LOSSES[name]
        for options in ({}, {"X": X}):
            calls = [lambda options=options: minimize_sgd(loss, None, y, "auto", **options)]
            if not (options and loss.kinks):
                calls.append(lambda options=options: minimize(loss, None, y, "auto", False, **options))
            for call in calls:
                with pytest.raises(ValueError, match=r"alpha='auto'.*bounded curvature"):
                    call()
        if loss.kinks:
            assert minimize(loss, None, y, "auto", False, X=X, full_output=True).fun < loss([0] * 3, y, X=X)

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


def test_gram_has_a_column_of_ones_for_the_intercept():
    X, y = rows(5000, 6)
    gram, moment = RowMoments(LinearModelData(X, y, True)).gram()
    design = np.hstack([np.ones((5000, 1)), X])
    assert gram == pytest.approx(design.T @ design / 5000, rel=1e-12, abs=1e-12)
    assert moment == pytest.approx(design.T @ y / 5000, rel=1e-12, abs=1e-12)


class TestSpread:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("n", [300, 30_000])    # all rows or a sample tell the provisional centre
    def test_of_columns_far_from_zero_and_of_any_scale(self, n, dtype):
        X = np.random.default_rng(0).normal(size=(n, 8)) @ np.random.default_rng(1).normal(size=(8, 8))
        far = np.array([1, -1, 0, 1e-3, 1e-6, 0, 1, -1e-3]) * (1e6 if dtype is np.float64 else 1e3)
        scale = np.array([1e-8, 1e8, 1e8, 1e-8, 1, 1, 1e8, 1e-8])
        X = ((X + far) * scale).astype(dtype)
        mean, covariance, _ = RowMoments(LinearModelData(X, np.zeros(n), True)).covariance()
        exact = X.astype(np.longdouble)
        middle = exact.mean(axis=0)
        exact -= middle
        expected = (exact.T @ exact / n).astype(float)
        deviations = np.sqrt(np.diag(expected))
        assert (np.abs(mean - middle) <= 2e-16 * np.abs(mean) + 1e-14 * deviations).all()
        assert np.abs((covariance - expected) / np.outer(deviations, deviations)).max() < 1e-13

    def test_of_a_sample_that_misses_the_outlier(self):
        X, y = rows(30_000, 2)
        X[12_345, 0] = 1e9
        mean, covariance, _ = RowMoments(LinearModelData(X, y, True)).covariance()
        assert mean == pytest.approx(X.mean(axis=0), rel=1e-12)
        assert covariance == pytest.approx(np.cov(X.T, ddof=0), rel=1e-10)

    @pytest.mark.parametrize("n", [300, 30_000])
    def test_of_a_constant_is_zero(self, n):
        X, y = rows(n, 3)
        X[:, 1] = 0.1
        mean, covariance, _ = RowMoments(LinearModelData(X, y, True)).covariance()
        assert mean[1] == 0.1
        assert not covariance[1].any()
        assert not covariance[:, 1].any()

    def test_is_about_zero_without_an_intercept(self):
        X, y = rows(30_000, 3)
        centre, moments, _ = RowMoments(LinearModelData(X + 5, y, False)).covariance()
        assert not centre.any()
        assert np.array_equal(moments, RowMoments(LinearModelData(X + 5, y, False)).gram()[0])

    def test_has_the_same_bits_in_threads(self):
        X, y = rows(200_000, 12)
        source = LinearModelData(X, y, True)
        mean, covariance, _ = RowMoments(source).covariance()
        for count in (2, 3):
            found = RowMoments(source, ThreadPool(count)).covariance()
            assert np.array_equal(found[0], mean)
            assert np.array_equal(found[1], covariance)


class TestMetricOfWideRows:
    @pytest.mark.parametrize("intercept", [False, True])
    def test_is_about_the_largest_eigenvalue_of_the_scaled_columns(self, intercept):
        X = np.random.default_rng(1).normal(size=(1500, 600)) * np.geomspace(1e-3, 1e3, 600)
        X[:, 1] = X[:, 0] + 0.3 * X[:, 1]
        X += 5 * intercept * X.std(axis=0)
        scaled = (X - X.mean(axis=0)) / X.std(axis=0) if intercept else X / np.sqrt((X * X).mean(axis=0))
        largest = np.linalg.eigvalsh(scaled.T @ scaled / 1500)[-1]
        curvature = RowMoments(LinearModelData(X, np.zeros(1500), intercept))
        metric = curvature.preconditioner("scale", 2.0, 0.0)
        assert scaled == pytest.approx((X - metric.shift) / metric.sizes, abs=1e-9)
        assert largest * 0.95 <= 1 / (2 * metric.unit) <= 2 * largest
        exact = RowMoments(LinearModelData(X[:, :200], np.zeros(1500), intercept)).preconditioner("scale", 2.0, 0.0)
        few = scaled[:, :200]
        assert 1 / (2 * exact.unit) == pytest.approx(np.linalg.eigvalsh(few.T @ few / 1500)[-1])

    @quiet
    def test_of_very_many_columns_is_their_scale_alone(self):
        X, y = rows(300, 2500)
        X = X * np.geomspace(1e-3, 1e3, 2500)
        for options in ({}, {"momentum": "nesterov"}):
            result = minimize(fastgd.huber_loss, None, y, "auto", False, X=X, fit_intercept=True, max_iter=100,
                              precondition="scale", full_output=True, **options)
            assert result.fun < 0.01 * fastgd.huber_loss(np.zeros(2501), y, X=X, fit_intercept=True)
        for verb in (minimize, minimize_sgd):
            with pytest.raises(ValueError, match="precondition='scale'"):
                verb(fastgd.huber_loss, None, y, "auto", X=X, precondition="gram")

    def test_a_gram_metric_has_the_same_bits_in_threads(self):
        X, y = rows(150_000, 12)
        runs = [minimize(fastgd.huber_loss, None, y, "auto", False, X=X, fit_intercept=True, precondition="gram",
                         momentum="nesterov", tol=1e-9, n_threads=count, full_output=True) for count in (1, 2, 3)]
        assert runs[0].success
        for run in runs[1:]:
            assert np.array_equal(run.x, runs[0].x)
            assert (run.nit, run.fun) == (runs[0].nit, runs[0].fun)
