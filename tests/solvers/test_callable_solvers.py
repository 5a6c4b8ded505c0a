"""momentum="nesterov": the same updates as the oracle, restarts, and fewer of them than plain descent makes."""
import numpy as np
import pytest
from helpers import LOSSES, oracle, own, quiet, raw_rows, same_as_the_oracle

from fastgd import DivergenceError, huber_loss, minimize, mse


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("precondition", [None, "scale", "gram"])
def test_updates_of_the_oracle(name, precondition):
    X, y, weights = raw_rows(name)
    alpha = 1e-5 if precondition is None else 0.7
    for intercept in (False, True):
        for sample_weight, l1, l2 in ((None, 0, 0), (weights, 0, 0.1), (weights, 0.05, 0), (None, 0.05, 0.1)):
            for k in (1, 2, 7, 20):
                if not (l1 and precondition == "gram"):
                    same_as_the_oracle("minimize", name, y, alpha, False, X=X, fit_intercept=intercept, tol=0,
                                       precondition=precondition, momentum="nesterov", sample_weight=sample_weight,
                                       l1=l1, l2=l2, max_iter=k)


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("called", [False, True])
def test_updates_of_the_oracle_for_one_number(name, called):
    _, y, weights = raw_rows(name)
    for l1, l2 in ((0, 0), (0.05, 0.1)):
        for k in (1, 2, 7, 20):
            same_as_the_oracle("minimize", name, y, 0.1, False, momentum="nesterov", l1=l1, l2=l2, tol=0, max_iter=k,
                               called=called, sample_weight=None if called else weights)


def test_stops_as_the_oracle_does_and_as_functions_in_python_do():
    X, y, _ = raw_rows("huber_loss")
    for called in (False, True):
        for stop, tol in (("step", 1e-6), ("loss", 1e-9)):
            same_as_the_oracle("minimize", "huber_loss", y, 1.0, False, X=X, fit_intercept=True, called=called,
                               precondition="scale", momentum="nesterov", tol=tol, stop=stop)


@pytest.mark.parametrize("loss", [mse, huber_loss])
def test_needs_far_fewer_updates(loss):
    X, y, _ = raw_rows(loss.__name__)
    options = {"X": X @ [[1, 20, 0], [0, 1, 0], [0, 0, 1]], "fit_intercept": True, "precondition": "scale", "tol": 1e-9,
               "full_output": True}
    plain, fast = (minimize(loss, None, y, "auto", False, momentum=word, **options) for word in (None, "nesterov"))
    assert fast.success
    assert fast.nit < plain.nit / 3
    assert fast.fun <= plain.fun + 1e-12


def test_growth_is_named():
    X, y, _ = raw_rows("mse")
    for alpha in (10.0, 1e150):    # warnings of numpy would be errors here
        for precondition in (None, "scale", "gram"):
            with pytest.raises(DivergenceError, match="diverged"):
                minimize(mse, None, y, alpha, False, X=X, momentum="nesterov", precondition=precondition)


def test_is_not_for_adaptive_steps():
    with pytest.raises(ValueError, match=r"alpha='adaptive'.*momentum='nesterov'.*alpha='auto'"):
        minimize(mse, None, [1.0, 2.0], "adaptive", momentum="nesterov")


def test_words_that_are_none():
    for word in ("heavy ball", True, 0.9):
        with pytest.raises((TypeError, ValueError), match=r"momentum.*nesterov"):
            minimize(mse, None, [1.0, 2.0], momentum=word)


@quiet
def test_a_function_in_python_is_called_once_an_update():
    X, y, _ = raw_rows("mse")
    thetas = []

    def gradient(theta, X, y):
        thetas.append(theta)
        return own(oracle("mse"))(theta, X, y)

    run = minimize(own(oracle("mse", "")), gradient, y, 1e-5, False, X=X, momentum="nesterov", full_output=True)
    assert run.nit <= len(thetas) <= run.nit + 15    # the look at the end takes at most 12 more
    assert np.isfinite(run.x).all()


@pytest.mark.parametrize("part", [0.55, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("precondition", [None, "scale", "gram"])
def test_arrives_at_every_rate_at_which_plain_descent_does(part, precondition):
    # Nesterov's sequence itself is stable up to two thirds of the largest stable rate alone.
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(60, 3)) * [1.0, 3.0, 0.5]
        y = X @ rng.normal(size=3) + rng.normal(size=60)
        alpha = 2 * part if precondition else part / np.linalg.eigvalsh(X.T @ X / 60)[-1]
        options = {"X": X, "precondition": precondition, "tol": 1e-9, "full_output": True}
        assert minimize(mse, None, y, alpha, False, **options).success
        run = minimize(mse, None, y, alpha, False, momentum="nesterov", **options)
        assert run.success
        assert run.x == pytest.approx(np.linalg.lstsq(X, y)[0], abs=1e-6)
    y = rng.normal(3, 4, 100)
    assert minimize(mse, None, y, part, False, momentum="nesterov", tol=1e-9) == pytest.approx(y.mean())


@quiet
@pytest.mark.parametrize("alpha", [1.3, 1.8])
def test_updates_of_the_oracle_where_momentum_alone_would_diverge(alpha):
    X, y, weights = raw_rows("huber_loss")
    for l1, l2 in ((0, 0), (0.05, 0.1)):
        for k in (5, 20, 40):
            same_as_the_oracle("minimize", "huber_loss", y, alpha, False, X=X, precondition="scale", tol=0, l1=l1,
                               l2=l2, momentum="nesterov", sample_weight=weights, max_iter=k)
