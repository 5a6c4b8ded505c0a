"""Losses and gradients of the user's own: what they are given, what they may return, when they are called."""
import functools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from helpers import TIPS, oracle, own, quiet, rows

import fastgd
from fastgd import ConvergenceWarning, Huber, minimize, minimize_mini_batch, minimize_sgd, reference, schedules
from fastgd._objective.objective import objective_of
from fastgd.losses import REGISTRY
from fastgd.losses.base import as_compiled
from fastgd.penalties import L1, ElasticNet


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
        with pytest.warns(ConvergenceWarning, match="3.8424.*14.66"):
            minimize(loss, grad, series, max_iter=2, tol=100)
        assert [call[:2] for call in calls][:2] == [("loss", 0.0), ("grad", 0.0)]
        assert all(dataset is series for *_, dataset in calls)
        calls.clear()
        minimize(loss, grad, five_points, progress=False)
        assert [kind for kind, *_ in calls[:18]] == ["grad"] * 18
        calls.clear()
        theta = minimize(loss, grad, [12.1, 12.8, 14.9, 16.3, 17.2])
        assert [kind for kind, *_ in calls[:36]] == ["loss", "grad"] * 18
        assert [(kind, round(at - theta, 9)) for kind, at, _ in calls[36:]] == [
            ("loss", 0), ("grad", 0), ("grad", -0.01), ("grad", 0.01), ("grad", -0.1), ("grad", 0.1)], (
            "whether the minimum is within 10 or 100 tol")

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
        with pytest.warns(ConvergenceWarning, match="theta 1[0-9]"):
            result = run(None, gradient, pcttip, rng=0, full_output=True)
        assert wholes == [result.x]

    @quiet
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
            with pytest.raises(TypeError, match=r"^loss_fn.*one number"):
                minimize(lambda theta, dataset: value, fastgd.grad_mse, five_points, **options)

    @pytest.mark.parametrize("slope", [np.ones(5), [1.0], np.ones(1), None])
    def test_a_forgotten_mean_is_named(self, slope, five_points):
        with pytest.raises(TypeError, match=r"grad_loss_fn.*one number"):
            minimize(None, lambda theta, dataset: slope, five_points, progress=False)

    def test_no_loss_is_needed_to_show_nothing(self, five_points):
        assert minimize(None, fastgd.grad_mse, five_points, progress=False) == 14.658511131035242
        assert np.isnan(minimize(None, fastgd.grad_mse, five_points, progress=False, full_output=True).fun)
        with pytest.raises(TypeError, match=r"'loss_fn'.*callable"):
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
        with pytest.raises(TypeError, match=r"grad_loss_fn.*shape.*complex128"):
            minimize(None, lambda *a: own(reference.grad_mse)(*a) * 1j, y, progress=False, X=X)


def test_a_partial_of_ours_is_ours():
    assert as_compiled(functools.partial(fastgd.huber_loss, delta=2)) == Huber(2)
    assert as_compiled(functools.partial(fastgd.grad_huber_loss, delta=2)) == Huber(2).gradient
    assert as_compiled(functools.partial(functools.partial(fastgd.huber_loss, delta=3), delta=2)) == Huber(2)
    assert as_compiled(fastgd.mse) is fastgd.mse
    for python in (reference.mse, functools.partial(fastgd.huber_loss, 3.0), functools.partial(fastgd.mse, delta=1),
                   functools.partial(reference.huber_loss, delta=1), None, 3):
        assert as_compiled(python) is None


def test_a_subclass_with_another_call_is_python():
    class Shifted(Huber):
        def __call__(self, theta, dataset):
            return -1.0

    result = fastgd.minimize(Shifted(), fastgd.grad_mse, [1.0, 2.0], progress=False, full_output=True)
    assert result.fun == -1.0


class TestTheOrderOfArguments:
    """A parameter named X gets X, wherever it stands, and y, dataset or y_vals the targets; else X comes first."""

    @staticmethod
    def functions():
        def mean(theta, X, y):
            return np.mean((y - X @ theta) ** 2)

        class Caller:
            def __call__(self, theta, y, X):
                return mean(theta, X, y)

        def with_intercept(theta, y, X=None, fit_intercept=False):
            return mean(theta, reference.with_intercept(X) if fit_intercept else X, y)

        return {
            "X, y": lambda theta, X, y: mean(theta, X, y),
            "y, X": lambda theta, y, X: mean(theta, X, y),
            "dataset, X": lambda theta, dataset, X: mean(theta, X, dataset),
            "X, y_vals": lambda theta, X, y_vals: mean(theta, X, y_vals),
            "t, X": lambda theta, t, X: mean(theta, X, t),
            "X, t": lambda theta, X, t: mean(theta, X, t),
            "A, b": lambda theta, A, b: mean(theta, A, b),
            "y, A": lambda theta, y, A: mean(theta, A, y),
            "A, y": lambda theta, A, y: mean(theta, A, y),
            "y, *, X": lambda theta, y, *, X: mean(theta, X, y),
            "X, *, y": lambda theta, X, *, y: mean(theta, X, y),
            "y, scale, X": lambda theta, y, scale=1.0, X=None: scale * mean(theta, X, y),
            "only by place": lambda theta, y, X, /: mean(theta, X, y),
            "*args": lambda *args: mean(*args),
            "an object": Caller(),
            "a partial": functools.partial(lambda scale, theta, y, X: scale * mean(theta, X, y), 1.0),
            "fit_intercept": with_intercept,
            "the oracle": reference.mse,
        }

    @pytest.mark.parametrize("order", functions())
    @pytest.mark.parametrize("intercept", [False, True])
    def test_goes_by_name(self, order, intercept):
        X, y = rows(5, 5)    # square, so that nothing fails if they are mixed up
        options = {"X": X, "fit_intercept": intercept, "max_iter": 3, "tol": 0, "progress": False, "full_output": True}
        with pytest.warns(ConvergenceWarning):
            result = minimize(self.functions()[order], fastgd.grad_mse, y, 0.01, **options)
        assert result.fun == pytest.approx(fastgd.mse(result.x, y, X=X, fit_intercept=intercept), rel=1e-12)

    @quiet
    def test_of_a_gradient_too(self):
        X, y = rows(40, 2)
        expected = minimize(None, fastgd.grad_mse, y, 0.1, X=X, max_iter=5, progress=False)
        for gradient in (lambda theta, y, X: 2 * X.T @ (X @ theta - y) / len(y),
                         lambda theta, X, y: 2 * X.T @ (X @ theta - y) / len(y)):
            theta = minimize(None, gradient, y, 0.1, X=X, max_iter=5, progress=False)
            assert theta == pytest.approx(expected, rel=1e-12)


class TestAFunctionThat:
    @quiet
    def test_writes_into_theta_changes_nothing(self):
        X, y = rows(40, 2)

        def loss(theta, X, y):
            value = np.mean((y - X @ theta) ** 2)
            theta += 100
            return value

        def gradient(theta, X, y):
            slope = 2 * X.T @ (X @ theta - y) / len(y)
            theta[:] = np.nan
            return slope

        options = {"X": X, "max_iter": 20, "tol": 0, "progress": False, "full_output": True}
        writing = minimize(loss, gradient, y, 0.1, **options)
        clean = minimize(fastgd.mse, own(reference.grad_mse), y, 0.1, **options)
        assert writing.x == pytest.approx(clean.x, rel=1e-12)
        assert writing.fun == pytest.approx(clean.fun, rel=1e-12)
        by_differences = minimize(loss, None, y, 0.1, **options)
        assert by_differences.x == pytest.approx(clean.x, rel=1e-6)

    def test_is_about_single_points_gives_their_mean_at_the_end(self, five_points):
        def slope(theta, y):
            return 2 * (theta - y)    # of an array of points an array

        alpha = schedules.inverse_scaling(0.5, 1.0)
        result = minimize_sgd(None, slope, five_points, alpha, rng=0, stop="epoch", average=True, full_output=True)
        own_loss = minimize_sgd(None, fastgd.grad_mse, five_points, alpha, rng=0, stop="epoch", average=True,
                                full_output=True)
        assert (result.x, result.nit, result.success) == (own_loss.x, own_loss.nit, own_loss.success)
        assert result.jac == pytest.approx(own_loss.jac, abs=1e-12)

    @pytest.mark.parametrize("value", [1 + 2j, None, "0.5", b"1", [1.0, 2.0, 3.0]])
    @pytest.mark.parametrize("role", ["loss_fn", "grad_loss_fn"])
    def test_returns_no_number_is_told_so_in_one_sentence(self, role, value, five_points):
        def function(theta, y):
            return value

        calls = {
            "loss_fn": [
                lambda: minimize(function, fastgd.grad_mse, five_points),
                lambda: minimize(function, None, five_points, progress=False),
                lambda: minimize(function, fastgd.grad_mse, five_points, progress=False, full_output=True),
                lambda: minimize(function, fastgd.grad_mse, five_points, progress=False, stop="loss"),
                lambda: minimize_sgd(function, fastgd.grad_mse, five_points, callback=print),
                lambda: fastgd.simple_minimize(function, five_points, [1.0, 2.0]),
                lambda: fastgd.is_convex(function, five_points, (0, 1)),
                lambda: fastgd.check_gradient(function, fastgd.grad_mse, five_points),
                lambda: fastgd.minimize_multistart(function, fastgd.grad_mse, five_points, [1.0]),
            ],
            "grad_loss_fn": [
                lambda: minimize(None, function, five_points, progress=False),
                lambda: minimize_sgd(None, function, five_points),
                lambda: minimize_mini_batch(None, function, five_points, 2),
                lambda: fastgd.check_gradient(fastgd.mse, function, five_points),
                lambda: fastgd.minimize_multistart(fastgd.mse, function, five_points, [1.0]),
            ]}
        for call in calls[role]:
            with pytest.raises(TypeError, match=f"^{role}.*one number"):
                call()


@pytest.mark.parametrize("slope", [Decimal(1), Fraction(1), 1, 10**400])
def test_a_slope_may_be_a_number_of_any_kind(slope, five_points):
    def gradient(theta, y):
        return slope

    if slope == 10**400:
        with pytest.raises(fastgd.DivergenceError):
            minimize(None, gradient, five_points, progress=False)
        return
    with pytest.warns(ConvergenceWarning):
        theta = minimize(None, gradient, five_points, 0.5, progress=False, max_iter=3)
    assert theta == -1.5


def test_differences_on_the_smallest_targets():
    with pytest.warns(ConvergenceWarning):
        theta = minimize(lambda t, X, y: np.mean((y - X @ t) ** 2), None, [5e-324, 1e-310, 0.0], 0.01,
                         X=[[1.0], [2.0], [3.0]], progress=False, max_iter=3, tol=0)
    assert np.isfinite(theta).all()


def test_a_theta_beyond_float32_is_infinite_without_a_warning():
    y = np.float32([1, 2])
    assert fastgd.mse(1e300, y) == np.inf
    for theta0 in (1e300, -1e300):
        with pytest.raises(fastgd.DivergenceError):
            minimize(fastgd.mse, None, y, theta0=theta0, progress=False)
    with pytest.raises(fastgd.DivergenceError, match=r"finite theta.* 1e\+300"):
        fastgd.minimize_multistart(fastgd.mse, None, y, [1e300])


def test_a_class_in_place_of_a_gradient_is_named(five_points):
    with pytest.raises(TypeError, match="Huber is a class"):
        fastgd.check_gradient(fastgd.mse, Huber, five_points)


class TestSlopesWithAPenalty:
    @pytest.mark.parametrize("intercept", [False, True])
    def test_are_the_derivative_of_the_value(self, intercept):
        X, y = rows(50, 3)
        objective = objective_of(fastgd.huber_loss, None, y, X, intercept, penalty=ElasticNet(0.3, 0.7))
        thetas = np.random.default_rng(0).normal(size=(4, 3 + intercept))
        for theta, slope in zip(thetas, objective.gradients(thetas), strict=True):
            for k, step in enumerate(1e-6 * np.eye(len(theta))):
                above, below = objective.values([theta + step, theta - step])
                assert slope[k] == pytest.approx((above - below) / 2e-6, abs=1e-8)

    def test_of_a_number(self):
        objective = objective_of(fastgd.mse, None, [1.0, 3.0], penalty=ElasticNet(0.25, 0.5))
        slopes = objective.gradients([2.0, -2.0])
        assert slopes == [0 + 0.25 + 1, -8 - 0.25 - 1]
        assert {type(slope) for slope in slopes} == {float}
        assert objective.values([-2.0]) == [17 + 0.5 + 1]

    def test_at_a_weight_of_zero_are_nearest_to_zero(self):
        """Within l1 of 0 the weight stays there; the intercept has no kink."""
        X, y = np.array([[1.0, 0.5], [1.0, -0.5], [1.0, 0.5]]), np.array([1.0, 2.0, 3.0])
        plain = np.asarray(objective_of(fastgd.mse, None, y, X, True).gradient(np.zeros(3)))
        assert plain == pytest.approx([-4, -4, -2 / 3])
        slopes = objective_of(fastgd.mse, None, y, X, True, penalty=L1(1.0)).gradient(np.zeros(3))
        assert slopes == pytest.approx([-4, -3, 0])
        assert slopes[2] == 0
        assert objective_of(fastgd.mse, None, [1.0], penalty=L1(3.0)).gradient(0.0) == 0
        assert objective_of(fastgd.mse, None, [1.0], penalty=L1(1.5)).gradient(0.0) == -0.5

    def test_are_those_of_the_users_own_gradient_too(self):
        X, y = rows(50, 3)
        theta = np.array([0.5, 0.0, -1.0])
        ours, theirs = (objective_of(fastgd.mse, gradient, y, X, penalty=ElasticNet(0.3, 0.7))
                        for gradient in (None, own(reference.grad_mse)))
        assert np.asarray(theirs.gradient(theta)) == pytest.approx(np.asarray(ours.gradient(theta)), rel=1e-12)


def test_auto_names_what_finds_a_rate_for_kinks():
    with pytest.raises(ValueError, match=r"'adaptive'.*fastgd.schedules"):
        fastgd.minimize(fastgd.abs_loss, None, [1.0, 2.0], "auto", False)
    with pytest.raises(ValueError, match=r"^((?!adaptive).)*fastgd.schedules"):
        fastgd.minimize_sgd(fastgd.abs_loss, None, [1.0, 2.0], "auto")
