"""Sums over many points and rows: numpy's bits, and the same with any number of threads."""
import functools
import os

import numpy as np
import pytest
from helpers import DTYPES, EXACT, course, course_sgd, descend, oracle, quiet, rows, sgd, targets_for, twins

import fastgd
from fastgd import minimize, reference
from fastgd._pairwise import LEAF, reduce_tree, subtrees
from fastgd._thread_pool import ThreadPool
from fastgd.losses import REGISTRY

# Up to 2.2 numpy sums in chunks of 8192, so that its bits differ above that size.
NUMPY_SUMS_IN_ONE_TREE = np.lib.NumpyVersion(np.__version__) >= "2.3.0"


class TestAboveOneSlice:
    @pytest.mark.skipif(not NUMPY_SUMS_IN_ONE_TREE, reason="numpy < 2.3 sums above 8192 points in another order")
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", EXACT)
    @pytest.mark.parametrize("n", [8193, 100_003, 1_000_000, 2**22 + 9])
    def test_bits_of_numpy_on_many_points(self, name, dtype, n):
        y = targets_for(name, np.random.default_rng(1), n, dtype)
        for ours, numpys in twins(name):
            assert ours(14.3, y) == float(numpys(14.3, y)), ours

    def test_a_curve_is_single_calls(self):
        y = np.random.default_rng(5).normal(15, 3, 2**22 + 1000)
        assert fastgd.mse.curve([1, 2], y).tolist() == [fastgd.mse(1, y), fastgd.mse(2, y)]

    @quiet
    def test_batch_descent_is_the_reference(self):
        y = np.random.default_rng(2).normal(15, 3, 2**22 + 77)
        for name in ("mse", "huber_loss"):
            result = descend(REGISTRY[name], y, 0.3, max_iter=3, full_output=True)
            assert result.x == pytest.approx(course(name, y, 0.3, max_iter=3), rel=1e-14)
            y32 = y.astype(np.float32)
            single = descend(REGISTRY[name], y32, 0.3, max_iter=3)
            assert single == float(np.float32(single)) == pytest.approx(result.x, rel=1e-6)

    @quiet
    def test_a_batch_is_the_reference(self):
        y = np.random.default_rng(0).normal(15, 3, 2**22 + 100)
        theta = sgd("mse", y, 2**22 + 10, 0.1, rng=1, max_epochs=1)
        assert theta == pytest.approx(course_sgd("mse", y, 2**22 + 10, 0.1, rng=1, max_epochs=1), rel=1e-14)

    @quiet
    def test_batch_descent_on_rows_is_the_reference(self):
        X, y = rows(2**20, 5)
        for loss in (fastgd.huber_loss, fastgd.mse):
            expected = reference.minimize(None, oracle(loss.__name__), y, 0.3, False, X=X, max_iter=3,
                                          fit_intercept=True)
            assert minimize(loss, None, y, 0.3, False, X=X, max_iter=3,
                            fit_intercept=True) == pytest.approx(expected)


class TestThreads:
    @pytest.mark.parametrize("name", REGISTRY)
    def test_bits_of_every_loss(self, name, many_points):
        loss = REGISTRY[name]
        for function in (loss, loss.gradient):
            expected = function(0.3, many_points)
            for n_threads in (1, 2, 3, 7, -1):
                assert function(0.3, many_points, n_threads=n_threads) == expected
            curve = function.curve([0.1, 0.3], many_points)
            assert np.array_equal(function.curve([0.1, 0.3], many_points, n_threads=3), curve)
        numpys = getattr(reference, name)(0.3, many_points)
        assert expected == pytest.approx(getattr(reference, f"grad_{name}")(0.3, many_points), rel=1e-12)
        assert loss(0.3, many_points) == pytest.approx(numpys, rel=1e-12)

    @pytest.mark.parametrize("n", [5, 3000, 20_000, 200_000])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_bits_of_a_grid(self, n, dtype, many_points):
        """Few points at many thetas are shared by the thetas, many by the points."""
        y = many_points[:n].astype(dtype)
        thetas = np.linspace(0, 1, 2_000_000 // n + 3)[:1000]
        for function in (fastgd.huber_loss, fastgd.grad_huber_loss):
            expected = function.curve(thetas, y)
            assert expected[-1] == function(thetas[-1], y)
            for n_threads in (1, 2, 3, 7):
                assert np.array_equal(function.curve(thetas, y, n_threads=n_threads), expected)

    def test_bits_of_a_grid_on_rows(self, many_points):
        X = many_points[:1_200_000].reshape(-1, 2)
        thetas, y = np.random.default_rng(0).normal(size=(70, 3)), many_points[:len(X)]
        for function in (fastgd.huber_loss, fastgd.grad_huber_loss):
            expected = function.curve(thetas, y, X=X, fit_intercept=True)
            assert np.array_equal(expected[-1], function(thetas[-1], y, X=X, fit_intercept=True))
            for n_threads in (1, 2, 3, 7):
                assert np.array_equal(
                    function.curve(thetas, y, X=X, fit_intercept=True, n_threads=n_threads), expected)

    @quiet
    @pytest.mark.parametrize("options", [
        {"alpha": "adaptive"}, {"alpha": "adaptive", "precondition": "gram"}, {"precondition": "scale"},
        {"momentum": "nesterov"}, {"alpha": "auto", "penalty": fastgd.penalties.L1(1e-3)}])
    @pytest.mark.parametrize("name", ["huber_loss", "abs_loss"])
    def test_bits_of_a_descent_on_rows_beyond_plain(self, name, options, many_points):
        X = many_points[:1_200_000].reshape(-1, 100)
        y = X[:, 0] + 2 * X[:, 1] + many_points[:len(X)]
        run = functools.partial(fastgd.minimize, REGISTRY[name], None, y, progress=False, X=X, fit_intercept=True,
                                max_iter=12, full_output=True, **{"alpha": "auto", **options})
        expected = run()
        for n_threads in (2, 3, 7):
            result = run(n_threads=n_threads)
            assert np.array_equal(result.x, expected.x)
            assert (result.fun, result.nit, result.message) == (expected.fun, expected.nit, expected.message)

    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("name", ["mse", "huber_loss"])
    def test_bits_of_batch_descent(self, name, dtype, many_points):
        y = np.tile(many_points, 2).astype(dtype)
        X = y[:1_200_000].reshape(-1, 8)
        targets = y[:len(X)]
        for options in ({}, {"X": X}, {"X": X, "fit_intercept": True}):
            run = functools.partial(fastgd.minimize, REGISTRY[name], None, targets if options else y, 0.1, False,
                                    max_iter=5, **options)
            results = [np.asarray(run(n_threads=n_threads)) for n_threads in (None, 1, 2, 5)]
            for result in results[1:]:
                assert np.array_equal(result, results[0])

    def test_bits_of_a_gradient_on_rows(self, many_points):
        X = many_points[:1_200_000].reshape(-1, 10)
        theta, y = np.arange(10.0), many_points[:len(X)]
        expected = fastgd.grad_huber_loss(theta, y, X=X)
        for n_threads in (2, 3, 16):
            assert np.array_equal(fastgd.grad_huber_loss(theta, y, X=X, n_threads=n_threads), expected)
        assert expected == pytest.approx(reference.grad_huber_loss(theta, y, X=X), rel=1e-12)

    @quiet
    @pytest.mark.thread_unsafe(reason="replaces a function")
    @pytest.mark.parametrize("call", [
        lambda y, **options: fastgd.huber_loss(0.3, y, **options),
        lambda y, **options: fastgd.mse(np.ones(4), y[:300_000], X=y[:1_200_000].reshape(-1, 4), **options),
        lambda y, **options: fastgd.mse.curve(np.linspace(0, 1, 20), y[:100_000], **options),
        lambda y, **options: fastgd.mse.curve(np.linspace(0, 1, 2000), y[:1000], **options),
        lambda y, **options: fastgd.simple_minimize(fastgd.mse, y[:1000], np.linspace(0, 1, 2000), **options),
        lambda y, **options: fastgd.is_convex(fastgd.mse, y[:1000], (0, 1), rng=0, **options),
        lambda y, **options: fastgd.minimize(None, fastgd.grad_huber_loss, np.tile(y, 2), progress=False, **options),
        lambda y, **options: fastgd.minimize(fastgd.mse, None, y[:300_000], progress=False, max_iter=2,
                                             X=y[:1_200_000].reshape(-1, 4), **options),
        lambda y, **options: fastgd.minimize_multistart(fastgd.huber_loss, None, y[:10_000], np.arange(12.0),
                                                        **options),
    ])
    def test_share_what_is_much(self, call, many_points, monkeypatch):
        counts = []

        def spy(function, parts, count):
            counts.append(count)
            return [function(part) for part in parts]

        monkeypatch.setattr("fastgd._thread_pool.map_parts", spy)
        for n_threads in (None, 1):
            call(many_points, n_threads=n_threads)
        assert not counts
        call(many_points, n_threads=2)
        assert set(counts) == {2}

    @pytest.mark.thread_unsafe(reason="replaces a function")
    def test_are_not_woken_for_little(self, many_points, monkeypatch):
        monkeypatch.setattr("fastgd._thread_pool.map_parts", None)
        y = many_points[:900_000]
        for loss in REGISTRY.values():
            loss(0.3, y, n_threads=4)
            loss.gradient(np.ones(3), y[:300_000], X=y.reshape(-1, 3), n_threads=4)
            loss.curve([0.1, 0.2], y[:400_000], n_threads=4)
        fastgd.minimize_multistart(fastgd.huber_loss, None, y[:5], np.arange(4.0), n_threads=4)

    def test_nan_is_found_in_any_part(self, many_points):
        y = many_points.copy()
        y[-5] = np.nan
        with pytest.raises(ValueError, match="contains NaN"):
            fastgd.mse(0.3, y, n_threads=3)

    def test_minus_1_is_as_many_as_this_process_may_use(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
        assert ThreadPool(-1).count == 3

    @pytest.mark.parametrize("n_threads", [0, -2])
    def test_a_number_below_1_is_refused_and_the_words_say_what_minus_1_is(self, n_threads):
        with pytest.raises(ValueError, match=rf"'n_threads' parameter.* {n_threads}\b"):
            fastgd.mse(0.3, [1.0], n_threads=n_threads)

    def test_a_sum_of_parts_overflows_without_a_word(self):
        y = np.full(1_200_000, 2.5e302)    # that of each half is finite
        with np.errstate(all="ignore"):
            assert reference.grad_mse(0.0, y) == -np.inf
        assert fastgd.grad_mse(0.0, y, n_threads=2) == fastgd.grad_mse(0.0, y) == -np.inf


class TestTheTreeOfRows:
    """That of points, with leaves of as many rows: neither parts nor threads show in the bits."""

    @pytest.mark.parametrize("n", [1, 7, 127, 128, 129, 135, 136, 255, 256, 257, 1000, 1025, 3001])
    def test_a_loss_is_summed_as_numpy_sums_its_leaves(self, n):
        X, y = rows(n, 3)
        theta = np.array([0.3, -0.2, 0.1])
        leaves = [fastgd.mse(theta, y[part], X=X[part]) * (part.stop - part.start) for part in subtrees(n, LEAF)]
        assert fastgd.mse(theta, y, X=X) == pytest.approx(float(reduce_tree(n, LEAF, leaves)) / n, rel=1e-15)

    @pytest.mark.parametrize("name", REGISTRY)
    def test_parts_of_any_size_give_the_same_bits(self, name, monkeypatch):
        X, y = rows(3001, 5)
        thetas = np.random.default_rng(1).normal(size=(3, 6))
        loss, options = REGISTRY[name], {"X": X, "fit_intercept": True}
        expected = [(loss(theta, y, **options), loss.gradient(theta, y, **options).tolist()) for theta in thetas]
        for numbers in (1, 5 * 128, 5 * 500, 5 * 2000, 10**9):
            monkeypatch.setattr("fastgd._data.arrays.PART_NUMBERS", numbers)
            monkeypatch.setattr("fastgd._data.arrays.CACHED_NUMBERS", numbers)
            for n_threads in (None, 3):
                assert [(loss(theta, y, **options, n_threads=n_threads),
                         loss.gradient(theta, y, **options, n_threads=n_threads).tolist())
                        for theta in thetas] == expected
                assert loss.curve(thetas, y, **options, n_threads=n_threads).tolist() == [one for one, _ in expected]
                assert loss.gradient.curve(thetas, y, **options).tolist() == [slope for _, slope in expected]

    def test_a_descent_has_the_bits_of_its_gradient(self):
        X, y = rows(3001, 5)
        with pytest.warns(fastgd.ConvergenceWarning):
            theta = fastgd.minimize(fastgd.huber_loss, None, y, 0.5, False, X=X, max_iter=1, tol=0)
        slope = fastgd.grad_huber_loss(np.zeros(5), y, X=X)
        assert theta == pytest.approx(-0.5 * slope, rel=1e-15)
