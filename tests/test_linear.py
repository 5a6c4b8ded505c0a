"""Linear models: X in losses, gradients and the three descents."""

import functools
import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import (
    ConvergenceWarning,
    DivergenceError,
    minimize,
    minimize_mini_batch,
    minimize_sgd,
    reference,
    schedules,
)
from fastgd.losses import REGISTRY

TIPS = fastgd.datasets.load_tips()
LOSSES_BEFORE = [
    10.896283606557377,
    3.8937622006094705,
    1.9359443267168215,
    1.388538448286097,
    1.235459416905535,
    1.1926273731479433,
    1.1806184944517062,
    1.177227251696266,
    1.1762453624313751,
    1.1759370980989148,
    1.175817178966766,
]


def rows(n=200, p=3, seed=0, dtype=float):
    """X, and targets in [0, 1], which suit every loss."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)).astype(dtype)
    return X, rng.random(n).astype(dtype)


def same_state(a, b):
    a, b = a.state, b.state
    return str(a) == str(b) and all(np.array_equal(a["state"][key], b["state"][key]) for key in a["state"])


def oracle(name, kind="grad_"):
    return getattr(reference, kind + name)


def quiet(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **options)


def own(function):
    """A function of the oracle as a user's own f(theta, X, y)."""
    return lambda theta, X, y: function(theta, y, X=X)


@pytest.mark.parametrize("name", REGISTRY)
class TestLosses:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 1), (7, 4), (33, 7), (1030, 8), (3001, 13), (40, 101)])
    def test_same_as_the_reference(self, name, shape, dtype):
        X, y = rows(*shape, dtype=dtype)
        for intercept in (False, True):
            theta = np.random.default_rng(1).normal(size=shape[1] + intercept)
            options = {"X": X, "fit_intercept": intercept}
            loss = REGISTRY[name]
            assert loss(theta, y, **options) == pytest.approx(oracle(name, "")(theta, y, **options), rel=1e-12)
            expected = oracle(name)(theta, y, **options)
            slope = loss.gradient(theta, y, **options)
            assert slope == pytest.approx(expected, rel=1e-11, abs=1e-13)
            assert slope.shape == theta.shape

    def test_curves(self, name):
        X, y = rows(5000, 40)
        thetas = np.random.default_rng(1).normal(size=(5, 41))
        loss = REGISTRY[name]
        options = {"X": X, "fit_intercept": True}
        assert loss.curve(thetas, y, **options) == pytest.approx([loss(theta, y, **options) for theta in thetas])
        assert loss.gradient.curve(thetas, y, **options) == pytest.approx(
            np.array([loss.gradient(theta, y, **options) for theta in thetas])
        )

    def test_the_gradient_is_that_of_the_loss(self, name):
        X, y = rows(300, 3)
        theta, loss = np.array([0.1, -0.4, 0.3, 0.2]), REGISTRY[name]
        options = {"X": X, "fit_intercept": True}
        h = 1e-6 * np.eye(4)
        slope = [(loss(theta + step, y, **options) - loss(theta - step, y, **options)) / 2e-6 for step in h]
        assert loss.gradient(theta, y, **options) == pytest.approx(slope, abs=1e-5)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("size", [1, 3, 32, 150])
    def test_stochastic_descent_is_the_reference(self, name, size, intercept, dtype):
        X, y = rows(153, 5, dtype=dtype)
        a, b = np.random.default_rng(1), np.random.default_rng(1)
        options = {"X": X, "fit_intercept": intercept, "tol": 0, "max_epochs": 5}
        loss = REGISTRY[name]
        result = quiet(minimize_mini_batch, loss, loss.gradient, y, size, 0.02, rng=a, full_output=True, **options)
        expected = reference.minimize_mini_batch(None, oracle(name), y, size, 0.02, rng=b, **options)
        assert result.x == pytest.approx(expected, rel=1e-9)
        assert result.nit == 5 * -(-153 // size)
        assert same_state(a.bit_generator, b.bit_generator)
        if size == 1:
            single = quiet(minimize_sgd, loss, loss.gradient, y, 0.02, rng=1, **options)
            assert np.array_equal(single, result.x)

    def test_batch_descent_is_the_reference(self, name):
        X, y = rows(300, 4)
        for options in ({}, {"fit_intercept": True, "theta0": [0.1, 0.2, 0.3, 0.4, 0.5]}):
            found = quiet(minimize, REGISTRY[name], None, y, 0.05, False, X=X, tol=0, max_iter=80, **options)
            expected = reference.minimize(None, oracle(name), y, 0.05, False, X=X, tol=0, max_iter=80, **options)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)

    def test_in_python(self, name):
        X, y = rows(60, 2)
        loss, slope = (own(oracle(name, kind)) for kind in ("", "grad_"))
        options = {"X": X, "fit_intercept": True, "full_output": True}
        for function, extra in (
            (minimize, {"progress": False, "max_iter": 50}),
            (minimize_sgd, {"rng": 0}),
            (functools.partial(minimize_mini_batch, minibatch_size=10), {"rng": 0}),
        ):
            results = [
                quiet(function, *pair, dataset=y, alpha=0.01, **options, **extra)
                for pair in ((REGISTRY[name], REGISTRY[name].gradient), (loss, slope), (oracle(name, ""), oracle(name)))
            ]
            for result in results[1:]:
                assert result.x == pytest.approx(results[0].x, rel=1e-9)
                assert result.nit == results[0].nit
                assert result.fun == pytest.approx(results[0].fun)
                assert result.jac == pytest.approx(results[0].jac)


class TestKnownAnswers:
    def test_tips(self, capsys):
        options = {"X": TIPS[["total_bill"]], "fit_intercept": True, "tol": 1e-4, "stop": "loss"}
        seen = []
        with pytest.warns(
            ConvergenceWarning, match="the optimum was not reached: .* the least is 1.036019, at theta"
        ) as w:
            result = minimize(
                fastgd.mse,
                fastgd.grad_mse,
                TIPS["tip"],
                0.0005,
                **options,
                full_output=True,
                callback=lambda r: seen.append(r.fun),
            )
        assert w[0].filename == __file__
        assert "[0.92027 0.105025]" in result.message
        assert result.nit == 11
        assert result.x == pytest.approx([0.00771503594050905, 0.1432912268700823], rel=1e-12)
        assert [fastgd.mse([0, 0], TIPS["tip"], X=options["X"], fit_intercept=True), *seen[:-1]] == pytest.approx(
            LOSSES_BEFORE, rel=1e-12
        )
        assert (result.success, result.status) == (False, 4)
        assert capsys.readouterr().out.splitlines()[:2] == [
            "theta: [0.00 0.00] | loss: 10.90",
            "theta: [0.00 0.07] | loss: 3.89",
        ]
        expected = reference.minimize(
            reference.mse,
            reference.grad_mse,
            TIPS["tip"].to_numpy(),
            0.0005,
            False,
            **{**options, "X": TIPS[["total_bill"]].to_numpy()},
        )
        assert result.x == pytest.approx(expected, rel=1e-12)

    def test_every_function_finds_it_without_the_gram_matrix(self):
        for function in (own(reference.mse), fastgd.mse):
            result = quiet(
                minimize,
                function,
                own(reference.grad_mse),
                TIPS["tip"],
                0.0005,
                False,
                X=TIPS[["total_bill"]],
                fit_intercept=True,
                tol=1e-4,
                stop="loss",
                full_output=True,
            )
            assert result.x == pytest.approx([0.00771503594050905, 0.1432912268700823], rel=1e-12)
            assert result.nit == 11

    def test_least_squares(self):
        rng = np.random.default_rng(0)
        for n, p, scale in ((50, 3, 1), (500, 40, 1), (300, 130, 1), (100, 2, 5)):
            X, y = rng.normal(size=(n, p)) * scale, rng.normal(size=n)
            best = np.linalg.lstsq(np.column_stack([np.ones(n), X]), y, rcond=None)[0]
            for data in (X, np.asfortranarray(X), X.astype(np.float32)):
                found = minimize(
                    fastgd.mse, None, y, "auto", False, X=data, fit_intercept=True, tol=1e-13, max_iter=10**6
                )
                assert found == pytest.approx(best, abs=1e-6)

    def test_quantile_regression(self):
        rng = np.random.default_rng(0)
        X = rng.random((4000, 1))
        y = 1 + 2 * X[:, 0] + rng.normal(size=4000)
        pinball = fastgd.losses.Pinball(0.9)
        theta = quiet(
            minimize_sgd,
            pinball,
            None,
            y,
            schedules.inverse_scaling(2, 0.75),
            X=X,
            fit_intercept=True,
            rng=0,
            stop="epoch",
            average=True,
            tol=1e-3,
        )
        assert np.mean(y < theta[0] + X @ theta[1:]) == pytest.approx(0.9, abs=0.01)


class TestData:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_layouts(self, dtype, tmp_path):
        X, y = rows(100, 4, dtype=dtype)
        X.flags.writeable = y.flags.writeable = False
        path = tmp_path / "X.npy"
        np.save(path, X)
        others = [
            np.asfortranarray(X),
            np.load(path, mmap_mode="r"),
            np.repeat(X, 2, axis=0)[::2],
            pd.DataFrame(X),
            X[:, ::-1][:, ::-1],
            pd.DataFrame({k: X[:, k] for k in range(4)}),
            X.astype(X.dtype.newbyteorder()),
            X.tolist(),
        ]
        for name in ("mse", "huber_loss"):
            loss = REGISTRY[name]
            for function in (
                functools.partial(minimize, progress=False, max_iter=40),
                functools.partial(minimize_sgd, rng=0, max_epochs=2),
                functools.partial(minimize_mini_batch, minibatch_size=9, rng=0),
            ):
                found = [quiet(function, loss, loss.gradient, dataset=y, alpha=0.05, X=data) for data in (X, *others)]
                for theta in found[1:]:
                    assert np.array_equal(theta, found[0])

    def test_integers_and_flags(self):
        X = np.random.default_rng(0).integers(0, 3, (50, 2))
        y = rows(50)[1]
        expected = minimize(fastgd.huber_loss, None, y, X=X.astype(float), progress=False)
        assert np.array_equal(minimize(fastgd.huber_loss, None, y, X=X, progress=False), expected)
        frame = pd.DataFrame({"a": X[:, 0].astype(np.int8), "b": pd.array(X[:, 1], dtype="Int64")})
        assert np.array_equal(minimize(fastgd.huber_loss, None, y, X=frame, progress=False), expected)
        assert minimize(fastgd.mse, None, y, X=X > 1, progress=False).shape == (2,)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_nothing_is_copied_or_changed(self, dtype):
        X, y = rows(200_000, 10, dtype=dtype)
        y = y.astype(float)
        before = X.copy(), y.copy()
        X.flags.writeable = y.flags.writeable = False
        for loss in (fastgd.mse, fastgd.huber_loss):
            for function, most in (
                (functools.partial(minimize, progress=False, max_iter=3, alpha="auto"), 1_000_000),
                (functools.partial(minimize_sgd, rng=0, max_epochs=1, alpha=0.001), y.nbytes + 1_000_000),
            ):
                tracemalloc.start()
                try:
                    quiet(function, loss, loss.gradient, y, X=X, fit_intercept=True)
                    assert tracemalloc.get_traced_memory()[1] < most
                finally:
                    tracemalloc.stop()
        assert np.array_equal(X, before[0])
        assert np.array_equal(y, before[1])

    def test_more_than_one_slice(self):
        X, y = rows(2**20, 5)
        for loss in (fastgd.huber_loss, fastgd.mse):
            expected = reference.minimize(
                None, oracle(loss.__name__), y, 0.3, False, X=X, max_iter=3, fit_intercept=True
            )
            assert quiet(minimize, loss, None, y, 0.3, False, X=X, max_iter=3, fit_intercept=True) == pytest.approx(
                expected
            )

    @pytest.mark.parametrize(
        ("X", "error", "words"),
        [
            (np.ones(244), ValueError, "Expected 2D array, got 1D array instead"),
            (TIPS["total_bill"], ValueError, "Expected 2D array, got 1D array instead"),
            (np.ones((244, 2, 2)), ValueError, "Found array with dim 3. X expected <= 2"),
            (
                np.ones((244, 0)),
                ValueError,
                r"Found array X with 0 feature\(s\) \(shape=\(244, 0\)\) while a minimum of 1",
            ),
            (np.ones((0, 2)), ValueError, r"0 sample\(s\)"),
            (np.ones((3, 2)), ValueError, r"inconsistent numbers of samples: \[3, 244\]"),
            (np.where(np.arange(488) == 77, np.nan, 1.0).reshape(244, 2), ValueError, "Input X contains NaN"),
            (np.where(np.arange(488) == 77, np.inf, 1.0).reshape(244, 2), ValueError, "Input X contains infinity"),
            (TIPS[["total_bill", "sex"]], TypeError, "column 'sex' has the dtype"),
            (TIPS[["tip"]].where(TIPS["tip"] > 2), ValueError, "Input X contains NaN in column 'tip'"),
            (TIPS[["tip"]].astype("Float64").where(TIPS["tip"] > 2), ValueError, "contains NaN in column 'tip'"),
            (np.ones((244, 2)) * 1j, ValueError, "Complex data not supported"),
            (np.full((244, 2), "a"), TypeError, "2d array of real numbers"),
            ([[1.0, 2.0], [3.0]], ValueError, "2d array of real numbers"),
            (np.ma.masked_array(np.ones((244, 2))), TypeError, "masked"),
            (7, ValueError, "Expected 2D array, got 0D array"),
            ("X", TypeError, "real numbers"),
            (object(), TypeError, "real numbers"),
        ],
    )
    def test_refused(self, X, error, words):
        y, rng = TIPS["tip"], np.random.default_rng(0)
        for call in (
            functools.partial(minimize, progress=False),
            functools.partial(minimize_sgd, rng=rng),
            functools.partial(minimize_mini_batch, minibatch_size=5, rng=rng),
        ):
            with pytest.raises(error, match=words):
                call(fastgd.mse, fastgd.grad_mse, dataset=y, X=X)
        for function in (fastgd.mse, fastgd.grad_mse):
            with pytest.raises(error, match=words):
                function([1.0, 2.0], y, X=X)
        assert same_state(rng.bit_generator, np.random.PCG64(0))

    def test_sparse(self):
        sparse = pytest.importorskip("scipy.sparse").csr_array(np.ones((5, 2)))
        with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
            minimize(fastgd.mse, None, np.ones(5), X=sparse)

    def test_other_arguments(self):
        X, y = rows()
        cases = [
            ({"theta0": [1, 2]}, "'theta0' parameter must be a number or an array of shape"),
            ({"theta0": np.nan}, "theta0"),
            ({"theta0": [1, 2, np.inf]}, "'theta0' parameter must be finite"),
            ({"fit_intercept": 1}, "'fit_intercept' parameter must be True or False"),
            ({"stop": "epoch"}, "'stop' parameter must be 'step' or 'loss'"),
            ({"X": None, "fit_intercept": True}, "fit_intercept=True needs X"),
            ({"loss_fn": None, "stop": "loss"}, "'loss_fn' parameter must be callable"),
            ({"alpha": "fast"}, "'alpha' parameter"),
        ]
        for case, words in cases:
            with pytest.raises((TypeError, ValueError), match=words):
                minimize(
                    **{
                        "loss_fn": fastgd.mse,
                        "grad_loss_fn": fastgd.grad_mse,
                        "dataset": y,
                        "X": X,
                        "progress": False,
                        **case,
                    }
                )
        with pytest.raises(ValueError, match="in_place=True cannot be used with X"):
            minimize_sgd(None, fastgd.grad_mse, y, X=X, in_place=True)
        with pytest.raises(ValueError, match=r"theta must be an array of shape \(4,\), a number for each of intercept"):
            fastgd.mse([1, 2, 3], y, X=X, fit_intercept=True)
        with pytest.raises(ValueError, match="fit_intercept=True needs X"):
            fastgd.mse(1.0, y, fit_intercept=True)
        with pytest.raises(ValueError, match=r"thetas must be an array of shape \(m, 3\)"):
            fastgd.mse.curve([[1, 2]], y, X=X)
        with pytest.raises(TypeError, match=r"grad_loss_fn must return an array of shape \(3,\).*Got 1"):
            minimize(None, lambda theta, X, y: 1, y, X=X, progress=False)

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_rows(self, data):
        n, p = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 20))
        intercept, seed = data.draw(st.booleans()), data.draw(st.integers(0, 1000))
        size = data.draw(st.integers(1, n))
        X, y = rows(n, p, seed, data.draw(st.sampled_from([float, np.float32])))
        name = data.draw(st.sampled_from(sorted(REGISTRY)))
        options = {
            "X": X,
            "fit_intercept": intercept,
            "tol": data.draw(st.sampled_from([0.0, 1e-3, 0.1])),
            "max_epochs": 3,
            "theta0": data.draw(st.floats(-2, 2)),
        }
        a, b = np.random.default_rng(seed), np.random.default_rng(seed)
        call = (
            functools.partial(minimize_sgd)
            if size == n
            else functools.partial(minimize_mini_batch, minibatch_size=size)
        )
        slow = (
            functools.partial(reference.minimize_sgd)
            if size == n
            else functools.partial(reference.minimize_mini_batch, minibatch_size=size)
        )
        theta = quiet(call, REGISTRY[name], None, dataset=y, alpha=0.01, rng=a, **options)
        expected = slow(None, oracle(name), dataset=y, alpha=0.01, rng=b, **options)
        assert theta == pytest.approx(expected, rel=1e-8, abs=1e-11)
        assert same_state(a.bit_generator, b.bit_generator)


class TestResult:
    def test_predict(self):
        X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
        for intercept in (False, True):
            result = minimize(
                fastgd.mse, None, y, "auto", False, X=X, fit_intercept=intercept, tol=1e-7, full_output=True
            )
            rest = result.x[1:] if intercept else result.x
            expected = X.to_numpy(float) @ rest + (result.x[0] if intercept else 0)
            for data in (X, X.to_numpy(), X.astype(np.float32)):
                assert result.predict(data) == pytest.approx(expected, rel=1e-6)
            assert result.fun == pytest.approx(np.mean((y - expected) ** 2))
        with pytest.raises(ValueError, match="X has 3 features, but DescentResult is expecting 2 features as input"):
            result.predict(np.ones((4, 3)))
        with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
            result.predict(X[["size", "total_bill"]])
        with pytest.raises(ValueError, match="Input X contains NaN"):
            result.predict([[np.nan, 1]])
        with pytest.raises(TypeError):
            float(result)

    def test_the_constant_model_predicts_too(self, five_points):
        result = minimize(fastgd.mse, None, five_points, progress=False, full_output=True)
        assert np.array_equal(result.predict(np.ones((3, 2))), [result.x] * 3)

    def test_names(self):
        X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
        result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=True, history=True, tol=1e-7)
        assert result.feature_names == ("total_bill", "size")
        assert "of: intercept, total_bill, size" in repr(result)
        assert list(result.history.columns) == ["update", "alpha", "intercept", "total_bill", "size"]
        assert np.array_equal(result.history.iloc[-1, 2:].to_numpy(float), result.x)
        assert len(result.history) == result.nit
        plain = quiet(minimize_sgd, fastgd.mse, None, y, 1e-4, X=X.to_numpy(), rng=0, history=True, max_epochs=2, tol=0)
        assert plain.feature_names is None
        assert list(plain.history.columns) == ["update", "alpha", "x0", "x1"]
        assert len(plain.history) == 2 * 244
        assert np.array_equal(plain.history.iloc[-1, 2:].to_numpy(), plain.x)
        again = pickle.loads(pickle.dumps(result))
        assert again == result
        assert again != plain

    def test_history_does_not_change_the_run(self):
        X, y = rows(3000, 30)
        for options in ({}, {"average": True}, {"history": True}, {"progress": "bar"}):
            if options.get("progress"):
                pytest.importorskip("tqdm")
            result = quiet(
                minimize_sgd,
                fastgd.huber_loss,
                None,
                y,
                0.01,
                X=X,
                rng=0,
                max_epochs=2,
                tol=0,
                full_output=True,
                **options,
            )
            if not options:
                expected = result.x
            if "average" not in options:
                assert np.array_equal(result.x, expected)
        everything = quiet(
            minimize_sgd, fastgd.huber_loss, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0, history=True
        )
        mean = quiet(minimize_sgd, fastgd.huber_loss, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0, average=True)
        assert mean == pytest.approx(everything.history.iloc[3000:, 2:].to_numpy().mean(axis=0))

    def test_callbacks_get_arrays_of_their_own(self):
        X, y = rows()
        seen = []
        quiet(minimize, fastgd.mse, None, y, 0.1, False, X=X, max_iter=5, callback=lambda r: seen.append(r.x))
        history = quiet(minimize, fastgd.mse, None, y, 0.1, False, X=X, max_iter=5, history=True).history
        assert np.array_equal(np.array(seen), history[["x0", "x1", "x2"]].to_numpy())
        seen.clear()

        def stop(result):
            seen.append(result)
            if len(seen) == 2:
                raise StopIteration

        result = minimize_sgd(fastgd.mse, None, y, 0.01, X=X, tol=0, rng=0, callback=stop, full_output=True)
        assert (result.status, result.nit) == (99, 400)
        assert seen[1].fun == fastgd.mse(seen[1].x, y, X=X)


class TestTheTruth:
    def test_divergence_names_rate_and_columns(self):
        X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
        for call, source in (
            (functools.partial(minimize, progress=False), "largest eigenvalue"),
            (functools.partial(minimize_sgd, rng=0), "longest row"),
            (functools.partial(minimize_mini_batch, minibatch_size=10, rng=0), "longest row"),
        ):
            with pytest.raises(
                DivergenceError, match=rf"update \d+ with alpha=0.2 .* {source}.*'total_bill' \(21.7\)"
            ) as e:
                call(fastgd.mse, fastgd.grad_mse, dataset=y, alpha=0.2, X=X, fit_intercept=True)
            assert np.isfinite(e.value.result.x).all()
            rate = float(str(e.value).split(" is stable for mse")[0].split("alpha=")[-1])
            loss = quiet(call, fastgd.mse, None, dataset=y, alpha=rate, X=X, fit_intercept=True, full_output=True).fun
            assert loss < fastgd.mse([0, 0, 0], y, X=X, fit_intercept=True)

    def test_slow_divergence(self):
        X, y = rows(100, 2)
        limit = 2 / (2 * np.linalg.eigvalsh(X.T @ X / 100)[-1])
        with pytest.warns(ConvergenceWarning, match="On the way the loss grew from .* is stable for mse"):
            minimize(fastgd.mse, None, y, limit * 1.01, False, X=X, max_iter=200)
        with pytest.raises(DivergenceError, match=r"diverged by update 1000 .* On the way the loss grew") as caught:
            minimize(fastgd.mse, None, y, limit * 1.01, False, X=X, max_iter=1000)
        assert caught.value.result.status == 3
        theta = quiet(minimize, fastgd.mse, None, y, limit * 0.99, False, X=X, tol=1e-12)
        assert theta == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-6)

    def test_bounded_slopes_diverge_with_a_word(self):
        X, y = rows(100, 2)
        for name in ("huber_loss", "abs_loss"):
            with pytest.warns(ConvergenceWarning, match=r"the loss grew.*unscaled columns, of root mean square: 'x1'"):
                minimize(REGISTRY[name], None, y, 0.2, False, X=X * [1, 100], max_iter=501)

    @pytest.mark.parametrize("name", [name for name, loss in REGISTRY.items() if loss.max_stable_alpha])
    def test_auto_is_safe(self, name):
        X, y = rows(500, 4)
        X = X * [1, 100, 1e-3, 7]
        loss = REGISTRY[name]
        start = loss([0] * 5, y, X=X, fit_intercept=True)
        before = start
        for updates in (1, 10, 100):
            now = quiet(
                minimize,
                loss,
                None,
                y,
                "auto",
                False,
                X=X,
                fit_intercept=True,
                tol=0,
                max_iter=updates,
                full_output=True,
            ).fun
            assert now < before
            before = now
        assert (
            quiet(
                minimize_sgd,
                loss,
                None,
                y,
                "auto",
                X=X,
                fit_intercept=True,
                rng=0,
                tol=0,
                max_epochs=5,
                full_output=True,
            ).fun
            < start
        )
        assert quiet(minimize, loss, None, y, "auto", False) == pytest.approx(
            quiet(minimize, loss, None, y, loss.max_stable_alpha / 2, False)
        )

    @pytest.mark.parametrize("name", [name for name, loss in REGISTRY.items() if not loss.max_stable_alpha])
    def test_auto_needs_a_bounded_curvature(self, name):
        X, y = rows()
        for options in ({}, {"X": X}):
            with pytest.raises(ValueError, match="alpha='auto' needs a loss of bounded curvature"):
                minimize(REGISTRY[name], None, y, "auto", False, **options)

    def test_auto_with_many_features(self):
        X, y = rows(400, 150)
        assert minimize(fastgd.mse, None, y, "auto", False, X=X, tol=1e-12, max_iter=10**6) == pytest.approx(
            np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-6
        )

    def test_a_rule_that_was_met_too_soon(self):
        y, X = TIPS["tip"], TIPS[["total_bill"]]
        for loss, words in ((fastgd.mse, "the least is 1.036019"), (fastgd.huber_loss, "it is still lower, 0.4003")):
            with pytest.warns(ConvergenceWarning, match=rf"optimum was not reached.*{words}"):
                minimize(loss, None, y, 0.0005, False, X=X, fit_intercept=True)
        result = minimize(
            fastgd.mse,
            None,
            y,
            "auto",
            False,
            X=X,
            fit_intercept=True,
            tol=1e-8,
            stop="loss",
            full_output=True,
            max_iter=10**6,
        )
        assert result.success
        assert result.fun == pytest.approx(1.036019, abs=1e-4)

    def test_noiseless_data_are_no_reason_to_warn(self):
        X = rows(50, 2)[0]
        theta = minimize(fastgd.mse, None, X @ [1.0, 2.0], 0.3, False, X=X, tol=1e-9)
        assert theta == pytest.approx([1, 2], abs=1e-7)

    @pytest.mark.parametrize("call", [functools.partial(minimize, progress=False), minimize_sgd])
    def test_huge_numbers(self, call):
        X, y = rows(30, 2)
        for data, targets in ((X * 1e200, y), (X, y * 1e200), (X * 1e-200, y), (X * 1e307, y)):
            for name in REGISTRY:
                try:
                    theta = quiet(
                        call,
                        REGISTRY[name],
                        None,
                        targets,
                        X=data,
                        fit_intercept=True,
                        **({"rng": 0} if call is minimize_sgd else {"max_iter": 300}),
                    )
                except DivergenceError as error:
                    theta = error.result.x
                assert np.isfinite(theta).all()

    def test_stop_by_loss(self):
        X, y = rows(300, 3)
        result = minimize_sgd(
            fastgd.mse,
            None,
            y,
            schedules.inverse_scaling(0.1, 0.9),
            X=X,
            rng=0,
            stop="loss",
            tol=1e-5,
            full_output=True,
            average=True,
        )
        assert result.success
        assert result.nit % 300 == 0
        best = np.linalg.lstsq(X, y, rcond=None)[0]
        assert result.fun - fastgd.mse(best, y, X=X) < 1e-3
        constant = minimize(fastgd.mse, fastgd.grad_mse, y, progress=False, stop="loss", tol=1e-9, full_output=True)
        assert "changed the loss by less than tol" in constant.message
        assert constant.x == pytest.approx(y.mean(), abs=1e-4)


class TestPython:
    def test_what_a_function_gets(self):
        X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
        shapes = set()

        def slope(theta, X, y):
            shapes.add((theta.shape, X.shape, y.shape))
            assert (X[:, 0] == 1).all()
            return X.T @ (X @ theta - y) / len(y)

        for call in (
            functools.partial(minimize, progress=False, max_iter=2),
            functools.partial(minimize_sgd, max_epochs=1),
            functools.partial(minimize_mini_batch, minibatch_size=100, max_epochs=1, tol=0),
        ):
            quiet(call, None, slope, dataset=y, alpha=1e-9, X=X, fit_intercept=True)
        assert shapes == {((3,), (rows, 3), (rows,)) for rows in (1, 44, 100, 244)}

    def test_without_a_gradient(self):
        X, y = rows(200, 3)
        loss = own(reference.log_cosh)
        found = minimize(loss, None, y, 0.5, False, X=X, fit_intercept=True, tol=1e-8)
        expected = minimize(fastgd.log_cosh, None, y, 0.5, False, X=X, fit_intercept=True, tol=1e-8)
        assert found == pytest.approx(expected, abs=1e-5)

    def test_an_own_compiled_loss(self):
        ctypes = pytest.importorskip("ctypes")
        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)
        loss = fastgd.losses.compiled(kind(lambda p, t: (p - t) ** 2), kind(lambda p, t: 2 * (p - t)), name="square")
        X, y = rows(60, 2)
        for call in (functools.partial(minimize, progress=False, max_iter=20), functools.partial(minimize_sgd, rng=0)):
            a, b = (quiet(call, one, None, y, 0.05, X=X, fit_intercept=True) for one in (loss, fastgd.mse))
            assert a == pytest.approx(b, rel=1e-9)


@pytest.mark.parametrize("size", [None, 50])
@pytest.mark.parametrize("n", [2000, 500_000])
def test_ctrl_c(n, size, interrupted):
    X, y = rows(n, 10)
    rng = np.random.default_rng(0)
    options = {"X": X, "tol": 0, "alpha": 1e-9}
    with interrupted():
        if size is None:
            minimize(fastgd.huber_loss, None, y, progress=False, max_iter=10**8, **options)
        minimize_mini_batch(fastgd.huber_loss, None, y, size or 2, rng=rng, max_epochs=10**8, **options)
    assert rng.bit_generator.lock.acquire(timeout=1)
    rng.bit_generator.lock.release()


def test_losses_are_plain_floats():
    X, y = rows()
    assert type(fastgd.mse([1, 2, 3], y, X=X)) is float


class TestWhatAStrangerFound:
    @pytest.mark.parametrize("name", ["mse", "huber_loss"])
    def test_schedules_in_batch_descent(self, name):
        X, y = rows()
        expected = quiet(minimize, REGISTRY[name], None, y, 0.1, False, X=X, max_iter=5000, tol=0)
        for alpha in (schedules.constant(0.1), lambda t: 0.1, schedules.step_decay(0.1, 1.0, 10)):
            found = quiet(minimize, REGISTRY[name], None, y, alpha, False, X=X, max_iter=5000, tol=0)
            assert np.array_equal(found, expected)

    @pytest.mark.parametrize("loss", [fastgd.mse, fastgd.huber_loss, fastgd.log_cosh])
    @pytest.mark.parametrize("offset", [100, 1e4])
    def test_an_offset_hides_no_bad_fit(self, loss, offset):
        X = offset + np.random.default_rng(7).normal(size=(200, 2))
        y = X @ [1.0, -2.0] + 5
        for data, targets in ((X, y), (X * 100, y * 100)):
            with pytest.warns(ConvergenceWarning, match="the optimum was not reached"):
                minimize(loss, None, targets, "auto", False, X=data, fit_intercept=True)

    def test_a_step_is_short_where_the_slope_is_bounded(self):
        words = r"the optimum was not reached: .* and it is still lower"
        for alpha in (5e-4, 1e-5):
            with pytest.warns(ConvergenceWarning, match=words):
                minimize(fastgd.huber_loss, None, TIPS["tip"] + 1e4, alpha, False, X=TIPS[["total_bill"]],
                         fit_intercept=True)

    def test_stochastic_descent_far_from_the_optimum(self):
        X, y = TIPS[["total_bill"]] * 100, TIPS["tip"]
        for stop in ("step", "epoch", "loss"):
            for call in (minimize_sgd, functools.partial(minimize_mini_batch, minibatch_size=32)):
                with pytest.warns(ConvergenceWarning, match="the optimum was not reached"):
                    call(fastgd.mse, None, dataset=y, alpha="auto", X=X, fit_intercept=True, rng=0, stop=stop)

    def test_auto_with_one_large_direction_among_many(self):
        X = np.random.default_rng(1).normal(size=(3000, 600))
        X[:, 0] *= 3
        true = np.linalg.eigvalsh(X.T @ X / 3000)[-1]
        design = fastgd._design.Design(X, np.zeros(3000), False)
        assert true * 0.9 <= design.largest_eigenvalue() <= 2 * true
        assert fastgd._design.Design(X[:, :500], np.zeros(3000), False).largest_eigenvalue() == pytest.approx(
            np.linalg.eigvalsh(X[:, :500].T @ X[:, :500] / 3000)[-1])

    def test_unscaled_columns_among_many(self):
        X = np.random.default_rng(0).normal(size=(500, 150)) * np.r_[1e4, np.ones(149)]
        y = 10 * X[:, 5] + X[:, 0] / 1e4
        with pytest.warns(ConvergenceWarning, match="the optimum was not reached"):
            minimize(fastgd.mse, None, y, "auto", False, X=X)

    @pytest.mark.parametrize("ends", ["converged", "stopped"])
    def test_large_coefficients_are_never_silent(self, ends):
        X, y = rows()

        def callback(result):
            if ends == "stopped" and result.nit == 3:
                raise StopIteration

        with pytest.raises(DivergenceError) if ends == "converged" else pytest.warns(
                ConvergenceWarning, match=r"stopped by the callback .* the loss grew from 0.\d+ to"):
            minimize(fastgd.abs_loss, None, y, schedules.exponential_decay(1e13, 1e-3), False, X=X, callback=callback)

    def test_a_swing_about_an_exact_fit_is_no_divergence(self):
        X = rows()[0]
        with pytest.warns(ConvergenceWarning, match=r"never would|did not converge"):
            minimize(fastgd.abs_loss, None, X @ [1.0, 2, 3], 0.2, False, X=X, theta0=[1, 2, 3 + 1e-9], max_iter=500)

    def test_targets_that_are_no_probabilities(self):
        X = rows()[0]
        with pytest.warns(ConvergenceWarning, match="targets are from -1 to 1; unless they are between 0 and 1"):
            minimize(fastgd.cross_entropy, None, np.sign(X[:, 0]), 0.5, False, X=X, max_iter=300)

    def test_callbacks_can_predict_and_change_nothing(self):
        X, y = rows()

        def callback(result):
            assert result.predict(X).shape == (200,)
            result.x[:] = np.nan

        for options in ({}, {"average": True}):
            theta = quiet(minimize_sgd, fastgd.mse, None, y, 0.01, X=X, fit_intercept=True, rng=0, callback=callback,
                          max_epochs=2, tol=0, **options)
            assert np.isfinite(theta).all()
        assert np.isfinite(quiet(minimize, fastgd.mse, None, y, 0.1, False, X=X, fit_intercept=True, callback=callback,
                                 max_iter=3)).all()

    def test_names_that_collide(self):
        X, y = rows(50, 4)
        frame = pd.DataFrame(X, columns=["alpha", "intercept", "a", "a"])
        history = quiet(minimize, fastgd.mse, None, y, 0.1, False, X=frame, fit_intercept=True, history=True,
                        max_iter=3).history
        assert list(history.columns) == ["update", "alpha", "intercept", "alpha_2", "intercept_2", "a", "a_2"]

    def test_a_loss_that_swings_has_not_converged(self):
        with pytest.warns(ConvergenceWarning, match="the optimum was not reached"):
            minimize(fastgd.abs_loss, None, [0.0, 0.0], 2.0, False, X=[[1.0], [-1.0]], stop="loss", theta0=1.0)
        with pytest.warns(ConvergenceWarning, match="the least is 0, at theta 0"):
            minimize(fastgd.mse, None, [0.0], 1.0, False, stop="loss", theta0=1.0)

    @pytest.mark.parametrize("theta0", [["1", "2", "3"], [True, False, True], ["a", 1, 2], [1, [2], 3], [1, 2, 3j],
                                        np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])])
    def test_a_theta_that_is_no_number(self, theta0):
        X, y = rows()
        with pytest.raises(TypeError, match="'theta0' parameter must be real numbers"):
            minimize(fastgd.mse, None, y, progress=False, X=X, theta0=theta0)
        with pytest.raises(TypeError, match="'theta' parameter must be real numbers"):
            fastgd.mse(theta0, y, X=X)

    def test_slopes_of_other_types(self):
        X, y = rows()
        expected = quiet(minimize, None, own(reference.grad_mse), y, progress=False, X=X, max_iter=3)
        as_list = lambda *a: own(reference.grad_mse)(*a).tolist()    # noqa: E731
        found = quiet(minimize, None, as_list, y, progress=False, X=X, max_iter=3)
        assert np.array_equal(found, expected)
        with pytest.raises(TypeError, match=r"grad_loss_fn must return an array of shape .* dtype complex128"):
            minimize(None, lambda *a: own(reference.grad_mse)(*a) * 1j, y, progress=False, X=X)

    def test_a_masked_X(self):
        with pytest.raises(TypeError, match=r"pass X.filled\(value\)"):
            minimize(fastgd.mse, None, np.ones(3), X=np.ma.masked_array(np.ones((3, 2))))


def test_a_gradient_is_no_loss():
    with pytest.raises(TypeError, match="pass mse"):
        fastgd.minimize(fastgd.grad_mse, fastgd.grad_mse, [1.0, 2.0], X=[[1.0], [2.0]], progress=False)


@pytest.mark.parametrize("steepness", [3, 8])
def test_saturated_probabilities(steepness):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    y = (rng.random(500) < 1 / (1 + np.exp(-steepness * (X @ [2, -1])))) * 1.0
    for options in ({"alpha": "auto", "stop": "loss"}, {"alpha": 0.2}):
        with pytest.warns(ConvergenceWarning, match=r"optimum was not reached: .* and it is still lower"):
            minimize(fastgd.cross_entropy, None, y, progress=False, X=X, **options)
    theta = minimize(fastgd.cross_entropy, None, y, 4, progress=False, X=X, tol=1e-5)
    assert np.abs(fastgd.grad_cross_entropy(theta, y, X=X)).max() < 1e-5


@pytest.mark.parametrize("name", ["mse", "huber_loss", "log_cosh"])
@pytest.mark.parametrize("y", [np.full(100, 3.0), np.zeros(100), 3 + 1e-6 * np.arange(100.0)])
def test_targets_that_are_nearly_constant(y, name):
    X = rows(100, 2)[0]
    theta = minimize(REGISTRY[name], None, y, progress=False, X=X, fit_intercept=True)
    assert theta == pytest.approx([y[0], 0, 0], abs=0.02)


def test_a_rule_that_was_met_on_the_way_up():
    X = rows(100, 2)[0]
    with pytest.warns(ConvergenceWarning, match=r"met its rule after \d+ updates .* but went up and not down"):
        result = minimize(fastgd.pinball_loss, None, X @ [1, -2.0] * 1e-3, 5.0, False, X=X, stop="loss", tol=1e9,
                          full_output=True)
    assert (result.success, result.status, result.nit) == (False, 4, 1)


def test_the_history_of_a_divergence_is_finite():
    X, y = rows()
    for options in ({"X": X}, {}):
        with pytest.raises(DivergenceError) as caught:
            minimize(fastgd.mse, None, y, 5.0, False, history=True, **options)
        result = caught.value.result
        assert np.isfinite(result.history.to_numpy(float)).all()
        assert len(result.history) == result.nit - 1
        assert np.array_equal(result.history.iloc[-1, 2:].to_numpy(float), np.atleast_1d(result.x))


def test_a_name_of_the_users_own():
    X, y = rows()

    def my_slope(theta, X, y):
        return X.T @ (X @ theta - y)

    with pytest.raises(ValueError, match=r"Got <function .*my_slope"):
        minimize(None, my_slope, y, "auto", False, X=X)
    with pytest.raises(TypeError, match=r"must be a real number above 0, .* or 'auto'. Got 'Auto'"):
        minimize(fastgd.mse, None, y, "Auto", False, X=X)


def test_an_exact_fit_in_a_narrow_valley():
    X, y = [[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]], [1.0, 2.0, 3.0]
    for tol in (1e-6, 1e-9, 1e-12):
        theta = minimize(fastgd.mse, None, y, "auto", False, X=X, tol=tol)
        assert theta == pytest.approx([1, 0], abs=1e3 * tol)


@pytest.mark.parametrize("name", ["log_cosh", "huber_loss", "mse"])
def test_a_theta_too_large_to_move_has_not_converged(name):
    X, y = rows(50, 2)
    with pytest.raises(DivergenceError):
        minimize(REGISTRY[name], None, y, 1.0, False, X=X * 1e7, theta0=1.7e308)
