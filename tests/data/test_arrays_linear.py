"""Linear models: X in losses, gradients and the three descents."""
import functools
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from helpers import LOSSES, TIPS, oracle, own, quiet, rows, same_state
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import ConvergenceWarning, minimize, minimize_mini_batch, minimize_sgd, reference, schedules
from fastgd._data import LinearModelData
from fastgd.losses import REGISTRY

LOSSES_BEFORE = [10.896283606557377, 3.8937622006094705, 1.9359443267168215, 1.388538448286097, 1.235459416905535,
                 1.1926273731479433, 1.1806184944517062, 1.177227251696266, 1.1762453624313751, 1.1759370980989148,
                 1.175817178966766]


@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 1), (7, 4), (33, 7), (1030, 8), (3001, 13), (40, 101)])
    def test_value_and_gradient_are_the_reference(self, name, shape, dtype):
        X, y = rows(*shape, dtype=dtype)
        for intercept in (False, True):
            theta = np.random.default_rng(1).normal(size=shape[1] + intercept)
            options = {"X": X, "fit_intercept": intercept}
            loss = LOSSES[name]
            assert loss(theta, y, **options) == pytest.approx(oracle(name, "")(theta, y, **options), rel=1e-12)
            expected = oracle(name)(theta, y, **options)
            slope = loss.gradient(theta, y, **options)
            assert slope == pytest.approx(expected, rel=1e-11, abs=1e-13)
            assert slope.shape == theta.shape

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_a_pass_for_both_has_the_bits_of_one_for_each(self, name, dtype):
        loss = LOSSES[name]
        for shape, weighted in [((3, 1), False), ((1030, 8), True), ((3001, 13), False)]:
            X, y = rows(*shape, dtype=dtype)
            source = LinearModelData(X, y, True, np.random.default_rng(2).random(shape[0]) if weighted else None)
            theta = np.random.default_rng(1).normal(size=shape[1] + 1)
            value, slope = source.value_and_gradient(loss, theta)
            assert value == source.mean(loss, theta)
            assert np.array_equal(slope, source.mean(loss.gradient, theta))

    def test_curves_are_single_calls(self, name):
        X, y = rows(5000, 40)
        thetas = np.random.default_rng(1).normal(size=(5, 41))
        loss = LOSSES[name]
        options = {"X": X, "fit_intercept": True}
        assert loss.curve(thetas, y, **options) == pytest.approx([loss(theta, y, **options) for theta in thetas])
        assert loss.gradient.curve(thetas, y, **options) == pytest.approx(
            np.array([loss.gradient(theta, y, **options) for theta in thetas]))

    def test_the_gradient_is_that_of_the_loss(self, name):
        X, y = rows(300, 3)
        theta, loss = np.array([0.1, -0.4, 0.3, 0.2]), LOSSES[name]
        options = {"X": X, "fit_intercept": True}
        h = 1e-6 * np.eye(4)
        slope = [(loss(theta + step, y, **options) - loss(theta - step, y, **options)) / 2e-6 for step in h]
        assert loss.gradient(theta, y, **options) == pytest.approx(slope, abs=1e-5)

    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("size", [1, 3, 32, 150])
    def test_stochastic_descent_is_the_reference(self, name, size, intercept, dtype):
        X, y = rows(153, 5, dtype=dtype)
        a, b = np.random.default_rng(1), np.random.default_rng(1)
        options = {"X": X, "fit_intercept": intercept, "tol": 0, "max_epochs": 5}
        loss = LOSSES[name]
        result = minimize_mini_batch(loss, loss.gradient, y, size, 0.02, rng=a, full_output=True, **options)
        expected = reference.minimize_mini_batch(None, oracle(name), y, size, 0.02, rng=b, **options)
        assert result.x == pytest.approx(expected, rel=1e-9)
        assert result.nit == 5 * -(-153 // size)
        assert same_state(a.bit_generator, b.bit_generator)
        if size == 1:
            single = minimize_sgd(loss, loss.gradient, y, 0.02, rng=1, **options)
            assert np.array_equal(single, result.x)

    @quiet
    def test_batch_descent_is_the_reference(self, name):
        X, y = rows(300, 4)
        for options in ({}, {"fit_intercept": True, "theta0": [0.1, 0.2, 0.3, 0.4, 0.5]}):
            found = minimize(LOSSES[name], None, y, 0.05, False, X=X, tol=0, max_iter=80, **options)
            expected = reference.minimize(None, oracle(name), y, 0.05, False, X=X, tol=0, max_iter=80, **options)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


class TestKnownAnswers:
    def test_the_course_line_through_the_tips(self, capsys):
        options = {"X": TIPS[["total_bill"]], "fit_intercept": True, "tol": 1e-4, "stop": "loss"}
        seen = []
        with pytest.warns(ConvergenceWarning,
                          match=r"1\.036019") as w:
            result = minimize(fastgd.mse, fastgd.grad_mse, TIPS["tip"], 0.0005, **options, full_output=True,
                              callback=lambda r: seen.append(r.fun))
        assert w[0].filename == __file__
        assert "[0.92027 0.105025]" in result.message
        assert result.nit == 11
        assert result.x == pytest.approx([0.00771503594050905, 0.1432912268700823], rel=1e-12)
        assert [fastgd.mse([0, 0], TIPS["tip"], X=options["X"], fit_intercept=True),
                *seen[:-1]] == pytest.approx(LOSSES_BEFORE, rel=1e-12)
        assert (result.success, result.status) == (False, 4)
        assert capsys.readouterr().out.splitlines()[:2] == [
            "theta: [0.00 0.00] | loss: 10.90", "theta: [0.00 0.07] | loss: 3.89"]
        expected = reference.minimize(reference.mse, reference.grad_mse, TIPS["tip"].to_numpy(), 0.0005, False,
                                      **{**options, "X": TIPS[["total_bill"]].to_numpy()})
        assert result.x == pytest.approx(expected, rel=1e-12)

    @quiet
    def test_every_function_finds_it_without_the_gram_matrix(self):
        for function in (own(reference.mse), fastgd.mse):
            result = minimize(function, own(reference.grad_mse), TIPS["tip"], 0.0005, False,
                              X=TIPS[["total_bill"]], fit_intercept=True, tol=1e-4, stop="loss", full_output=True)
            assert result.x == pytest.approx([0.00771503594050905, 0.1432912268700823], rel=1e-12)
            assert result.nit == 11

    def test_mse_finds_the_least_squares(self):
        rng = np.random.default_rng(0)
        for n, p, scale in ((50, 3, 1), (500, 40, 1), (300, 130, 1), (100, 2, 5)):
            X, y = rng.normal(size=(n, p)) * scale, rng.normal(size=n)
            best = np.linalg.lstsq(np.column_stack([np.ones(n), X]), y, rcond=None)[0]
            for data in (X, np.asfortranarray(X), X.astype(np.float32)):
                found = minimize(fastgd.mse, None, y, "auto", False, X=data, fit_intercept=True, tol=1e-13,
                                 max_iter=10**6)
                assert found == pytest.approx(best, abs=1e-6)

    def test_pinball_finds_the_quantile(self):
        rng = np.random.default_rng(0)
        X = rng.random((4000, 1))
        y = 1 + 2 * X[:, 0] + rng.normal(size=4000)
        pinball = fastgd.losses.Pinball(0.9)
        theta = minimize_sgd(pinball, None, y, schedules.inverse_scaling(2, 0.75), X=X, fit_intercept=True,
                             rng=0, stop="epoch", average=True, tol=1e-3)
        assert np.mean(y < theta[0] + X @ theta[1:]) == pytest.approx(0.9, abs=0.01)

    @pytest.mark.parametrize("name", ["mse", "huber_loss", "log_cosh"])
    @pytest.mark.parametrize("y", [np.full(100, 3.0), np.zeros(100), 3 + 1e-6 * np.arange(100.0)])
    def test_targets_that_are_nearly_constant(self, y, name):
        X = rows(100, 2)[0]
        theta = minimize(REGISTRY[name], None, y, progress=False, X=X, fit_intercept=True)
        assert theta == pytest.approx([y[0], 0, 0], abs=0.02)

    def test_an_exact_fit_in_a_narrow_valley(self):
        X, y = [[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]], [1.0, 2.0, 3.0]
        for tol in (1e-6, 1e-9, 1e-12):
            theta = minimize(fastgd.mse, None, y, "auto", False, X=X, tol=tol)
            assert theta == pytest.approx([1, 0], abs=1e3 * tol)


class TestData:
    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_same_bits_in_every_layout(self, dtype, tmp_path):
        X, y = rows(100, 4, dtype=dtype)
        X.flags.writeable = y.flags.writeable = False
        path = tmp_path / "X.npy"
        np.save(path, X)
        others = [np.asfortranarray(X), np.load(path, mmap_mode="r"), np.repeat(X, 2, axis=0)[::2], pd.DataFrame(X),
                  X[:, ::-1][:, ::-1], pd.DataFrame({k: X[:, k] for k in range(4)}), X.astype(X.dtype.newbyteorder()),
                  X.tolist()]
        for name in ("mse", "huber_loss"):
            loss = REGISTRY[name]
            for function in (functools.partial(minimize, progress=False, max_iter=40),
                             functools.partial(minimize_sgd, rng=0, max_epochs=2),
                             functools.partial(minimize_mini_batch, minibatch_size=9, rng=0)):
                found = [function(loss, loss.gradient, dataset=y, alpha=0.05, X=data) for data in (X, *others)]
                for theta in found[1:]:
                    assert np.array_equal(theta, found[0])

    def test_integers_and_flags_become_float64(self):
        X = np.random.default_rng(0).integers(0, 3, (50, 2))
        y = rows(50)[1]
        expected = minimize(fastgd.huber_loss, None, y, X=X.astype(float), progress=False)
        assert np.array_equal(minimize(fastgd.huber_loss, None, y, X=X, progress=False), expected)
        frame = pd.DataFrame({"a": X[:, 0].astype(np.int8), "b": pd.array(X[:, 1], dtype="Int64")})
        assert np.array_equal(minimize(fastgd.huber_loss, None, y, X=frame, progress=False), expected)
        assert minimize(fastgd.mse, None, y, X=X > 1, progress=False).shape == (2,)

    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.thread_unsafe(reason="tracemalloc")
    def test_nothing_is_copied_or_changed(self, dtype):
        X, y = rows(200_000, 10, dtype=dtype)
        y = y.astype(float)
        before = X.copy(), y.copy()
        X.flags.writeable = y.flags.writeable = False
        for loss in (fastgd.mse, fastgd.huber_loss):
            for function, most in (
                    (functools.partial(minimize, progress=False, max_iter=3, alpha="auto"), 1_200_000),
                    (functools.partial(minimize_sgd, rng=0, max_epochs=1, alpha=0.001), y.nbytes + 1_000_000)):
                tracemalloc.start()
                try:
                    function(loss, loss.gradient, y, X=X, fit_intercept=True)
                    assert tracemalloc.get_traced_memory()[1] < most
                finally:
                    tracemalloc.stop()
        assert np.array_equal(X, before[0])
        assert np.array_equal(y, before[1])

    @pytest.mark.parametrize(("X", "error", "words"), [
        (np.ones(244), ValueError, "2D.*1D"),
        (TIPS["total_bill"], ValueError, "2D.*1D"),
        (np.ones((244, 2, 2)), ValueError, "dim 3. X"),
        (np.ones((244, 0)), ValueError,
         r"X with 0 feature\(s\).*\(244, 0\)"),
        (np.ones((0, 2)), ValueError, r"0 sample\(s\)"),
        (np.ones((3, 2)), ValueError, r"samples: \[3, 244\]"),
        (np.where(np.arange(488) == 77, np.nan, 1.0).reshape(244, 2), ValueError, "X.*NaN"),
        (np.where(np.arange(488) == 77, np.inf, 1.0).reshape(244, 2), ValueError, "X.*infinity"),
        (TIPS[["total_bill", "sex"]], TypeError, "column 'sex'.*dtype"),
        (TIPS[["tip"]].where(TIPS["tip"] > 2), ValueError, "X.*NaN.*column 'tip'"),
        (TIPS[["tip"]].astype("Float64").where(TIPS["tip"] > 2), ValueError, "NaN.*column 'tip'"),
        (np.ones((244, 2)) * 1j, ValueError, "Complex data not supported"),
        (np.full((244, 2), "a"), TypeError, "X.*real numbers"),
        ([[1.0, 2.0], [3.0]], ValueError, "X.*real numbers"),
        (np.ma.masked_array(np.ones((244, 2))), TypeError, "masked"),
        (7, ValueError, "2D.*0D"),
        ("X", TypeError, "real numbers"),
        (object(), TypeError, "real numbers"),
    ])
    def test_what_is_no_X_is_refused(self, X, error, words):
        y, rng = TIPS["tip"], np.random.default_rng(0)
        for call in (functools.partial(minimize, progress=False), functools.partial(minimize_sgd, rng=rng),
                     functools.partial(minimize_mini_batch, minibatch_size=5, rng=rng)):
            with pytest.raises(error, match=words):
                call(fastgd.mse, fastgd.grad_mse, dataset=y, X=X)
        for function in (fastgd.mse, fastgd.grad_mse):
            with pytest.raises(error, match=words):
                function([1.0, 2.0], y, X=X)
        assert same_state(rng.bit_generator, np.random.PCG64(0))

    def test_a_sparse_X_is_refused(self):
        sparse = pytest.importorskip("scipy.sparse").csr_array(np.ones((5, 2)))
        with pytest.raises(TypeError, match=r"Sparse data.*X"):
            minimize(fastgd.mse, None, np.ones(5), X=sparse)

    def test_a_masked_X_is_told_what_to_do(self):
        with pytest.raises(TypeError, match=r"Pass X.filled\(value\)"):
            minimize(fastgd.mse, None, np.ones(3), X=np.ma.masked_array(np.ones((3, 2))))

    @quiet
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_stochastic_descent_on_any_rows(self, data):
        n, p = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 20))
        intercept, seed = data.draw(st.booleans()), data.draw(st.integers(0, 1000))
        size = data.draw(st.integers(1, n))
        X, y = rows(n, p, seed, data.draw(st.sampled_from([float, np.float32])))
        name = data.draw(st.sampled_from(sorted(LOSSES)))
        options = {"X": X, "fit_intercept": intercept, "tol": data.draw(st.sampled_from([0.0, 1e-3, 0.1])),
                   "max_epochs": 3, "theta0": data.draw(st.floats(-2, 2))}
        a, b = np.random.default_rng(seed), np.random.default_rng(seed)
        batches = {} if size == n else {"minibatch_size": size}
        call, slow = (source.minimize_mini_batch if batches else source.minimize_sgd for source in (fastgd, reference))
        theta = call(LOSSES[name], None, dataset=y, alpha=0.01, rng=a, **batches, **options)
        expected = slow(None, oracle(name), dataset=y, alpha=0.01, rng=b, **batches, **options)
        assert theta == pytest.approx(expected, rel=1e-8, abs=1e-11)
        assert same_state(a.bit_generator, b.bit_generator)


def test_losses_are_plain_floats():
    X, y = rows()
    assert type(fastgd.mse([1, 2, 3], y, X=X)) is float


@quiet
@pytest.mark.parametrize("name", ["mse", "huber_loss"])
def test_a_constant_schedule_is_its_number(name):
    X, y = rows()
    expected = minimize(REGISTRY[name], None, y, 0.1, False, X=X, max_iter=5000, tol=0)
    for alpha in (schedules.constant(0.1), lambda t: 0.1, schedules.step_decay(0.1, 1.0, 10)):
        found = minimize(REGISTRY[name], None, y, alpha, False, X=X, max_iter=5000, tol=0)
        assert np.array_equal(found, expected)


class TestEndsAsTheSameLoopInPython:
    """With the same update, and not only at nearly the same theta."""

    @quiet
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize(("name", "alpha"), [
        ("mse", 0.1), ("huber_loss", 0.1), ("mse", 5.0), ("quartic_loss", 9.0), ("abs_loss", 0.01)])
    def test_batch_descent(self, name, alpha, intercept):
        X, y = rows()
        arguments = {"X": X * [1, 2, 3], "fit_intercept": intercept, "progress": False, "full_output": True,
                     "theta0": 1.0, "max_iter": 700}
        self.assert_same_end(
            lambda: minimize(REGISTRY[name], None, y, alpha, **arguments),
            lambda: minimize(own(oracle(name, "")), own(oracle(name)), y, alpha, **arguments))

    @quiet
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("size", [1, 7])
    @pytest.mark.parametrize(("name", "alpha"), [("mse", 0.01), ("mse", 3.0), ("huber_loss", 0.05)])
    def test_stochastic_descent(self, name, alpha, size, intercept):
        X, y = rows()
        for tol in (1e-3, 0.01):
            arguments = {"X": X * [1, 2, 3], "fit_intercept": intercept, "full_output": True, "theta0": 1.0, "rng": 0,
                         "max_epochs": 10, "tol": tol}
            self.assert_same_end(
                lambda arguments=arguments: minimize_mini_batch(REGISTRY[name], None, y, size, alpha, **arguments),
                lambda arguments=arguments: minimize_mini_batch(
                    own(oracle(name, "")), own(oracle(name)), y, size, alpha, **arguments))

    def assert_same_end(self, ours, in_python):
        ends = []
        for call in (ours, in_python):
            try:
                with np.errstate(all="ignore"):
                    ends.append(call())
            except fastgd.DivergenceError as error:
                ends.append(error.result)
        if np.abs(ends[1].x).max() < 1e6:
            assert ends[0].nit == ends[1].nit
            assert ends[0].x == pytest.approx(ends[1].x, rel=1e-6, abs=1e-9)
        else:
            # Where the last sums overflow depends on the order of their terms.
            assert abs(ends[0].nit - ends[1].nit) <= 1
            assert np.isfinite(ends[0].x).all()


@quiet
def test_an_epoch_longer_than_a_chunk_of_updates_is_the_reference():
    X, y = rows(13_000, 2)
    a, b = np.random.default_rng(1), np.random.default_rng(1)
    options = {"X": X, "tol": 0, "max_epochs": 2}
    result = minimize_sgd(fastgd.huber_loss, None, y, 0.01, rng=a, full_output=True, **options)
    expected = reference.minimize_sgd(None, reference.grad_huber_loss, y, 0.01, rng=b, **options)
    assert result.x == pytest.approx(expected, rel=1e-9)
    assert result.nit == 26_000
    assert same_state(a.bit_generator, b.bit_generator)


@pytest.mark.parametrize("name", ["mse", "huber_loss"])
@pytest.mark.parametrize(("n", "p"), [(1000, 600), (100_003, 8)])
def test_a_curve_over_wide_or_many_rows_has_the_bits_of_single_calls(n, p, name):
    """The parts that they are cut into are of other lengths, the tree is the same."""
    X, y = rows(n, p)
    thetas = np.random.default_rng(1).normal(size=(3, p))
    for function in (REGISTRY[name], REGISTRY[name].gradient):
        curve = function.curve(thetas, y, X=X)
        assert np.array_equal(curve, [function(theta, y, X=X) for theta in thetas])


def test_functions_of_other_names_and_orders():
    X, y = rows()

    def slope(theta, X, y):
        return X.T @ (X @ theta - y) / len(y)

    def targets_first(theta, targets, design):
        return slope(theta, design, targets)

    def rows_by_keyword(theta, t, *, X):
        return slope(theta, X, t)

    def rows_third(theta, t, X):
        return slope(theta, X, t)

    def rows_first(theta, design, targets_of_it):
        return slope(theta, design, targets_of_it)

    expected = minimize(None, slope, y, 0.1, False, X=X)
    for function in (targets_first, rows_by_keyword, rows_third, rows_first, lambda theta, *both: slope(theta, *both)):
        assert np.array_equal(minimize(None, function, y, 0.1, False, X=X), expected), function
