"""Losses and gradients of the user's own: what they are given, what they may return, when they are called."""
import functools

import numpy as np
import pandas as pd
import pytest
from helpers import TIPS, oracle, own, quiet, rows

import fastgd
from fastgd import ConvergenceWarning, Huber, minimize, minimize_mini_batch, minimize_sgd, reference
from fastgd.losses import REGISTRY
from fastgd.losses.base import ours


class TestOnPoints:
    def test_batch_descent_calls_them_as_the_course_does(self, five_points):
        calls = []

        def loss(theta, dataset):
            calls.append(("loss", float(theta), dataset))
            return reference.mse(theta, dataset)

        def grad(theta, dataset):
            calls.append(("grad", float(theta), dataset))
            return reference.grad_mse(theta, dataset)

        series = pd.Series(five_points)
        minimize(loss, grad, series, max_iter=2, tol=100)
        assert [call[:2] for call in calls] == [("loss", 0.0), ("grad", 0.0)]
        assert all(dataset is series for *_, dataset in calls)
        calls.clear()
        minimize(loss, grad, five_points, progress=False)
        assert {kind for kind, *_ in calls} == {"grad"}
        calls.clear()
        minimize(loss, grad, [12.1, 12.8, 14.9, 16.3, 17.2])
        assert [kind for kind, *_ in calls] == ["loss", "grad"] * 18

    def test_stochastic_descent_calls_them_as_the_course_does(self, pcttip):
        seen = []

        def gradient(theta, points):
            seen.append(points)
            return reference.grad_mse(theta, points)

        with pytest.warns(ConvergenceWarning):
            minimize_sgd(None, gradient, pcttip, rng=0, max_epochs=1, tol=0)
        expected = pcttip.copy()
        np.random.default_rng(0).shuffle(expected)
        assert all(type(point) is np.float64 for point in seen)
        assert seen == expected.tolist()
        seen.clear()
        with pytest.warns(ConvergenceWarning):
            minimize_mini_batch(None, gradient, pcttip, 100, rng=0, max_epochs=1, tol=0)
        assert [len(points) for points in seen] == [100, 100, 44]
        assert np.array_equal(np.concatenate(seen), expected)

    @pytest.mark.parametrize("size", [None, 10])
    def test_the_full_gradient_is_taken_once(self, size, pcttip):
        wholes = []

        def gradient(theta, points):
            wholes.extend([theta] if np.size(points) == len(pcttip) else [])
            return reference.grad_mse(theta, points)

        run = minimize_sgd if size is None else lambda *args, **options: minimize_mini_batch(*args, size, **options)
        with pytest.warns(ConvergenceWarning, match="lie near theta"):
            result = run(None, gradient, pcttip, rng=0, full_output=True)
        assert wholes == [result.x]

    def test_the_loss_shown_is_the_one_given(self, five_points, capsys):
        minimize(fastgd.abs_loss, fastgd.grad_mse, five_points, tol=100)
        assert capsys.readouterr().out == "theta: 0.00 | loss: 14.66\n"
        minimize(lambda theta, dataset: 42, fastgd.grad_mse, five_points, tol=100)
        assert capsys.readouterr().out == "theta: 0.00 | loss: 42.00\n"
        result = minimize(lambda theta, dataset: 42, fastgd.grad_mse, five_points, progress=False, full_output=True)
        assert result.fun == 42

    def test_an_error_of_theirs_is_theirs(self, five_points):
        def grad(theta, dataset):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            minimize(None, grad, five_points, progress=False)

    @pytest.mark.parametrize("value", [np.ones(5), None])
    def test_a_loss_that_is_no_number_is_named(self, value, five_points):
        for options in ({}, {"progress": False, "full_output": True}):
            with pytest.raises(TypeError, match="loss_fn must return one number"):
                minimize(lambda theta, dataset: value, fastgd.grad_mse, five_points, **options)

    @pytest.mark.parametrize("slope", [np.ones(5), [1.0], np.ones(1), None])
    def test_a_forgotten_mean_is_named(self, slope, five_points):
        with pytest.raises(TypeError, match="grad_loss_fn must return one number"):
            minimize(None, lambda theta, dataset: slope, five_points, progress=False)

    def test_no_loss_is_needed_to_show_nothing(self, five_points):
        assert minimize(None, fastgd.grad_mse, five_points, progress=False) == 14.658511131035242
        assert np.isnan(minimize(None, fastgd.grad_mse, five_points, progress=False, full_output=True).fun)
        with pytest.raises(TypeError, match="'loss_fn' parameter must be callable"):
            minimize(None, fastgd.grad_mse, five_points)


class TestOnRows:
    @quiet
    def test_get_theta_X_and_y_of_the_batch(self):
        X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
        shapes = set()

        def slope(theta, X, y):
            shapes.add((theta.shape, X.shape, y.shape))
            assert (X[:, 0] == 1).all()
            return X.T @ (X @ theta - y) / len(y)

        for call in (functools.partial(minimize, progress=False, max_iter=2),
                     functools.partial(minimize_sgd, max_epochs=1),
                     functools.partial(minimize_mini_batch, minibatch_size=100, max_epochs=1, tol=0)):
            call(None, slope, dataset=y, alpha=1e-9, X=X, fit_intercept=True)
        assert shapes == {((3,), (rows, 3), (rows,)) for rows in (1, 44, 100, 244)}

    @quiet
    @pytest.mark.parametrize("name", REGISTRY)
    def test_give_the_answer_of_the_compiled_loss(self, name):
        X, y = rows(60, 2)
        loss, slope = (own(oracle(name, kind)) for kind in ("", "grad_"))
        options = {"X": X, "fit_intercept": True, "full_output": True}
        pairs = (REGISTRY[name], REGISTRY[name].gradient), (loss, slope), (oracle(name, ""), oracle(name))
        for function, extra in ((minimize, {"progress": False, "max_iter": 50}), (minimize_sgd, {"rng": 0}),
                                (functools.partial(minimize_mini_batch, minibatch_size=10), {"rng": 0})):
            results = [function(*pair, dataset=y, alpha=0.01, **options, **extra) for pair in pairs]
            for result in results[1:]:
                assert result.x == pytest.approx(results[0].x, rel=1e-9)
                assert result.nit == results[0].nit
                assert result.fun == pytest.approx(results[0].fun)
                assert result.jac == pytest.approx(results[0].jac)

    def test_need_no_gradient(self):
        X, y = rows(200, 3)
        loss = own(reference.log_cosh)
        found = minimize(loss, None, y, 0.5, False, X=X, fit_intercept=True, tol=1e-8)
        expected = minimize(fastgd.log_cosh, None, y, 0.5, False, X=X, fit_intercept=True, tol=1e-8)
        assert found == pytest.approx(expected, abs=1e-5)

    @quiet
    def test_may_be_compiled(self):
        ctypes = pytest.importorskip("ctypes")
        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)
        thunks = [kind(lambda p, t: (p - t) ** 2), kind(lambda p, t: 2 * (p - t))]    # kept alive
        value, slope = (kind(ctypes.cast(thunk, ctypes.c_void_p).value) for thunk in thunks)
        loss = fastgd.losses.compiled(value, slope, name="square")
        X, y = rows(60, 2)
        for call in (functools.partial(minimize, progress=False, max_iter=20), functools.partial(minimize_sgd, rng=0)):
            a, b = (call(one, None, y, 0.05, X=X, fit_intercept=True) for one in (loss, fastgd.mse))
            assert a == pytest.approx(b, rel=1e-9)

    @quiet
    def test_slopes_of_other_types_than_an_array_of_floats(self):
        X, y = rows()
        expected = minimize(None, own(reference.grad_mse), y, progress=False, X=X, max_iter=3)
        as_list = lambda *a: own(reference.grad_mse)(*a).tolist()    # noqa: E731
        found = minimize(None, as_list, y, progress=False, X=X, max_iter=3)
        assert np.array_equal(found, expected)
        with pytest.raises(TypeError, match=r"grad_loss_fn must return an array of shape .* dtype complex128"):
            minimize(None, lambda *a: own(reference.grad_mse)(*a) * 1j, y, progress=False, X=X)


def test_a_partial_of_ours_is_ours():
    assert ours(functools.partial(fastgd.huber_loss, delta=2)) == Huber(2)
    assert ours(functools.partial(fastgd.grad_huber_loss, delta=2)) == Huber(2).gradient
    assert ours(functools.partial(functools.partial(fastgd.huber_loss, delta=3), delta=2)) == Huber(2)
    assert ours(fastgd.mse) is fastgd.mse
    for python in (reference.mse, functools.partial(fastgd.huber_loss, 3.0), functools.partial(fastgd.mse, delta=1),
                   functools.partial(reference.huber_loss, delta=1), None, 3):
        assert ours(python) is None


def test_a_subclass_with_another_call_is_python():
    class Shifted(Huber):
        def __call__(self, theta, dataset):
            return -1.0

    result = fastgd.minimize(Shifted(), fastgd.grad_mse, [1.0, 2.0], progress=False, full_output=True)
    assert result.fun == -1.0
