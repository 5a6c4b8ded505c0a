"""The options of a run and the arguments of a loss: each bad one is refused by its name."""
import functools

import numpy as np
import pytest
from helpers import quiet, rows

import fastgd
from fastgd import Huber, minimize, minimize_mini_batch, minimize_sgd, simple_minimize


class TestBatchDescent:
    @pytest.mark.parametrize(("name", "value", "error"), [
        ("alpha", 0, ValueError), ("alpha", -0.1, ValueError), ("alpha", np.nan, ValueError),
        ("alpha", np.inf, ValueError), ("alpha", "0.2", TypeError), ("alpha", None, TypeError),
        ("alpha", True, TypeError),
        ("tol", -1e-3, ValueError), ("tol", np.nan, ValueError), ("tol", "x", TypeError),
        ("theta0", np.inf, ValueError), ("theta0", np.nan, ValueError), ("theta0", [1.0, 2.0], TypeError),
        ("max_iter", 0, ValueError), ("max_iter", 1.5, TypeError), ("max_iter", None, TypeError),
        ("progress", "bars", ValueError), ("progress", None, ValueError), ("callback", 3, TypeError),
        ("stop", "epoch", ValueError), ("history", "no", TypeError), ("full_output", 2, TypeError),
        ("loss_fn", "mse", TypeError), ("grad_loss_fn", fastgd.mse, TypeError),
    ])
    def test_refused_by_name(self, name, value, error, five_points):
        arguments = {"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": five_points, name: value}
        with pytest.raises(error, match=f"'{name}' parameter"):
            minimize(**arguments)

    def test_a_class_in_place_of_a_loss_is_told_so(self, five_points):
        with pytest.raises(TypeError, match=r"Huber is a class.*Huber\(\)"):
            minimize(fastgd.mse, Huber, five_points)

    def test_a_loss_in_place_of_its_gradient_is_told_so(self, five_points):
        with pytest.raises(TypeError, match="pass grad_mse"):
            minimize(fastgd.mse, fastgd.mse, five_points)

    def test_a_gradient_in_place_of_a_loss_is_told_so(self):
        with pytest.raises(TypeError, match="pass mse"):
            fastgd.minimize(fastgd.grad_mse, fastgd.grad_mse, [1.0, 2.0], X=[[1.0], [2.0]], progress=False)

    def test_a_function_of_the_users_own_is_named(self):
        X, y = rows()

        def my_slope(theta, X, y):
            return X.T @ (X @ theta - y)

        with pytest.raises(ValueError, match=r"<function .*my_slope"):
            minimize(None, my_slope, y, "auto", False, X=X)
        with pytest.raises(TypeError, match=r"'alpha'.*'auto'.*'adaptive'.*'Auto'"):
            minimize(fastgd.mse, None, y, "Auto", False, X=X)
        with pytest.raises(TypeError, match=r"'alpha'.*'auto'.*'adaptive'"):
            minimize_sgd(fastgd.mse, None, y, "adaptive", X=X)


class TestStochasticDescent:
    @pytest.mark.parametrize(("size", "error", "words"), [
        (0, ValueError, "minibatch_size"), (-1, ValueError, "minibatch_size"), (2.0, TypeError, "minibatch_size"),
        ("2", TypeError, "minibatch_size"), (True, TypeError, "minibatch_size"), (None, TypeError, "minibatch_size"),
        (5, ValueError, "minibatch_size=5 and 5 points"), (9, ValueError, "minibatch_size=9 and 5 points")])
    def test_a_minibatch_size_that_is_none_is_named(self, size, error, words, five_points):
        with pytest.raises(error, match=words):
            minimize_mini_batch(fastgd.mse, fastgd.grad_mse, five_points, size)

    @pytest.mark.parametrize(("name", "value"), [
        ("alpha", 0), ("tol", np.nan), ("theta0", np.inf), ("max_epochs", 0), ("max_epochs", 1.5), ("stop", "steps"),
        ("progress", "yes"), ("callback", 1), ("grad_loss_fn", fastgd.mse), ("grad_loss_fn", 3), ("history", "no"),
        ("full_output", "no"), ("average", "no"), ("in_place", "no")])
    def test_refused_by_name(self, name, value, five_points):
        arguments = {"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": five_points, name: value}
        with pytest.raises((TypeError, ValueError), match=f"'{name}' parameter"):
            minimize_sgd(**arguments)
        with pytest.raises((TypeError, ValueError), match=f"'{name}' parameter"):
            minimize_mini_batch(minibatch_size=2, **arguments)


class TestOnRows:
    def test_refused_by_name(self):
        X, y = rows()
        cases = [
            ({"theta0": [1, 2]}, "'theta0'.*shape"),
            ({"theta0": [[1, 2, 3]]}, r"'theta0'.*shape \(3,\)"),
            ({"theta0": np.nan}, "'theta0' parameter"),
            ({"theta0": [1, 2, np.inf]}, "'theta0'.*finite"),
            ({"fit_intercept": 1}, "'fit_intercept'.*True or False"),
            ({"stop": "epoch"}, "'stop'.*'step' or 'loss'"),
            ({"X": None, "fit_intercept": True}, "fit_intercept=True needs X"),
            ({"loss_fn": None, "stop": "loss"}, "'loss_fn'.*callable"),
            ({"loss_fn": None, "progress": True}, "'loss_fn'.*callable"),
            ({"alpha": "fast"}, "'alpha' parameter"),
        ]
        for case, words in cases:
            with pytest.raises((TypeError, ValueError), match=words):
                minimize(**{"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": y, "X": X,
                            "progress": False, **case})
        with pytest.raises(ValueError, match=r"in_place=True.*X"):
            minimize_sgd(None, fastgd.grad_mse, y, X=X, in_place=True)
        with pytest.raises(ValueError, match=r"^theta .*\(4,\).*intercept"):
            fastgd.mse([1, 2, 3], y, X=X, fit_intercept=True)
        with pytest.raises(ValueError, match=r"^theta .*\(3,\)"):
            fastgd.mse([[1, 2, 3]], y, X=X)
        with pytest.raises(ValueError, match="fit_intercept=True needs X"):
            fastgd.mse(1.0, y, fit_intercept=True)
        with pytest.raises(ValueError, match=r"^thetas .*\(m, 3\)"):
            fastgd.mse.curve([[1, 2]], y, X=X)
        with pytest.raises(TypeError, match=r"grad_loss_fn.*shape \(3,\).* 1\b"):
            minimize(None, lambda theta, X, y: 1, y, X=X, progress=False)

    @pytest.mark.parametrize("theta0", [["1", "2", "3"], [True, False, True], ["a", 1, 2], [1, [2], 3], [1, 2, 3j],
                                        np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])])
    def test_a_theta_that_is_no_number(self, theta0):
        X, y = rows()
        with pytest.raises(TypeError, match=r"'theta0'.*real numbers"):
            minimize(fastgd.mse, None, y, progress=False, X=X, theta0=theta0)
        with pytest.raises(TypeError, match=r"'theta'.*real numbers"):
            fastgd.mse(theta0, y, X=X)


@pytest.mark.parametrize("thetas", [[], [np.nan], [[1.0]], "abc", None])
def test_thetas_that_are_no_list_of_numbers(thetas):
    with pytest.raises((TypeError, ValueError), match="thetas"):
        simple_minimize(fastgd.mse, [1.0], thetas)
    with pytest.raises((TypeError, ValueError), match="thetas"):
        fastgd.mse.curve(thetas, [1.0])


def test_n_threads_that_is_no_count(five_points):
    for bad, error in ((0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="'n_threads' parameter"):
            fastgd.mse(0.3, five_points, n_threads=bad)
        with pytest.raises(error, match="'n_threads' parameter"):
            fastgd.minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, n_threads=bad)
        for call in (lambda n_threads: fastgd.mse.curve([0.3], five_points, n_threads=n_threads),
                     lambda n_threads: simple_minimize(fastgd.mse, five_points, [0.3], n_threads=n_threads),
                     lambda n_threads: fastgd.minimize_multistart(fastgd.mse, None, five_points, [0.3],
                                                                  n_threads=n_threads),
                     lambda n_threads: fastgd.is_convex(fastgd.mse, five_points, (0, 1), n_threads=n_threads)):
            with pytest.raises(error, match="'n_threads' parameter"):
                call(bad)


class TestSwitches:
    """history, full_output, average and in_place are True or False, of Python or of numpy."""

    @pytest.mark.parametrize("value", ["no", None, 2, 0.0, [], np.array([True, False])])
    @pytest.mark.parametrize("name", ["history", "full_output", "average", "in_place", "fit_intercept"])
    def test_other_things_are_refused_by_name(self, name, value, five_points):
        before = five_points.copy()
        X = np.ones((5, 1)) if name == "fit_intercept" else None
        verbs = [minimize_sgd, functools.partial(minimize_mini_batch, minibatch_size=2)]
        verbs += [functools.partial(minimize, progress=False)] if name in ("history", "full_output") else []
        for verb in verbs:
            with pytest.raises(TypeError, match=f"'{name}'.*True or False"):
                verb(fastgd.mse, fastgd.grad_mse, five_points, X=X, **{name: value})
        assert np.array_equal(five_points, before)

    @quiet
    def test_numpys_are_taken(self, five_points):
        options = {"rng": 0, "stop": "epoch", "tol": 10.0}
        result = minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, 0.1, average=np.True_, full_output=np.True_,
                              in_place=np.False_, history=np.bool_(False), progress=np.False_, **options)
        assert result == minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, 0.1, average=True, full_output=True,
                                      **options)
        assert fastgd.mse(1.0, five_points, fit_intercept=np.False_) == fastgd.mse(1.0, five_points)
        assert minimize(fastgd.mse, None, five_points, progress=np.False_, fit_intercept=np.False_,
                        max_iter=np.int32(1000), n_threads=np.int64(-1)) == minimize(
                            fastgd.mse, None, five_points, progress=False)

    @pytest.mark.parametrize("verb", [minimize, minimize_sgd])
    def test_progress_is_no_array(self, verb, five_points):
        with pytest.raises(ValueError, match=r"'progress'.*True, False or 'bar'"):
            verb(fastgd.mse, fastgd.grad_mse, five_points, progress=np.array([1, 2]))

    @pytest.mark.parametrize("kind", [int, np.int64, bool, np.bool_])
    def test_progress_is_a_number_of_any_kind(self, kind, five_points, capsys):
        minimize(fastgd.mse, None, five_points, progress=kind(0))
        assert capsys.readouterr().out == ""
        minimize(fastgd.mse, None, five_points, progress=kind(1))
        assert capsys.readouterr().out.count("theta: ") == 18

    def test_a_bar_is_not_drawn_before_bad_data_are_refused(self, capsys):
        pytest.importorskip("tqdm")
        with pytest.raises(ValueError, match="contains NaN"):
            minimize(fastgd.mse, fastgd.grad_mse, [1.0, np.nan], progress="bar")
        assert capsys.readouterr().err == ""


def test_an_intercept_needs_rows(five_points):
    for call in (lambda: fastgd.mse(1.0, five_points, fit_intercept=True),
                 lambda: fastgd.mse.curve([1.0], five_points, fit_intercept=True),
                 lambda: minimize(fastgd.mse, None, five_points, fit_intercept=True)):
        with pytest.raises(ValueError, match=r"fit_intercept=True.*X=None"):
            call()
