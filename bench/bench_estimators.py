"""Estimators beside scikit-learn's: fits of raw columns to the same loss, and the overhead of a fit and a prediction.

Raw columns are those of `bench_arrive`. OPENBLAS_NUM_THREADS=1 gives each contender one thread.
"""
import functools
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from bench_arrive import raw
from harness import measure, np_sum
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    QuantileRegressor,
    SGDClassifier,
    SGDRegressor,
)

from fastgd import Pinball, cross_entropy
from fastgd.estimators import DescentClassifier, DescentRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fits(models, X, y):
    return {name: functools.partial(model.fit, X, y) for name, model in models.items()}


def check_near_the_least(loss, models, X, y, excess):
    """Raise AssertionError unless each model is within `excess` of the least loss."""
    losses = {name: loss(np.r_[model.intercept_, np.ravel(model.coef_)], y, X=X, fit_intercept=True)
              for name, model in models.items()}
    least = min(losses.values())
    assert all(value <= least + excess * abs(least) for value in losses.values()), losses


@pytest.mark.parametrize("n", [100_000])
def test_a_robust_line(benchmark, n):
    """Fit a robust line: RLM has fastgd's answer; HuberRegressor has another scale and takes all its iterations."""
    X, y, _ = raw(n, 10)

    def rlm():
        return sm.RLM(y, sm.add_constant(X)).fit(maxiter=200, tol=1e-10, conv="coefs")

    model = DescentRegressor()
    answers = measure(benchmark, f"DescentRegressor(), raw X {n:,} x 10", {
        "fastgd": functools.partial(model.fit, X, y), "HuberRegressor": functools.partial(
            HuberRegressor(epsilon=1.345, alpha=0, max_iter=100_000, tol=1e-6).fit, X, y),
        "RLM": rlm}, np_sum(X))
    theta = np.r_[model.intercept_, model.coef_]
    assert np.allclose(theta, answers["RLM"].params, rtol=1e-5)


def test_a_quantile(benchmark):
    X, y, _ = raw(5000, 10)
    models = {"fastgd": DescentRegressor(Pinball(0.9)),
              "QuantileRegressor": QuantileRegressor(quantile=0.9, alpha=0, solver="highs")}
    measure(benchmark, "DescentRegressor(Pinball(0.9)), raw X 5,000 x 10", fits(models, X, y), np_sum(X))
    check_near_the_least(Pinball(0.9), models, X, y, 1e-9)


def test_two_classes(benchmark):
    X, _, y = raw(100_000, 10)
    models = {"fastgd": DescentClassifier(),
              "newton-cholesky": LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-6),
              "newton-cg": LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-6)}
    measure(benchmark, "DescentClassifier(), raw X 100,000 x 10", fits(models, X, y), np_sum(X))
    check_near_the_least(cross_entropy, {name: models[name] for name in ("fastgd", "newton-cholesky")}, X, y, 1e-8)


@pytest.mark.parametrize("name", ["mse", "huber_loss"])
def test_a_fit_of_few_rows(benchmark, name):
    """Time fits of few rows, which are mostly overhead."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3)) * [1, 10, 100]
    models = {"fastgd": DescentRegressor(name), "LinearRegression": LinearRegression()}
    measure(benchmark, f"DescentRegressor({name!r}), 20 x 3", fits(models, X, X.sum(axis=1) + rng.normal(size=20)))


@pytest.mark.parametrize("n", [20, 100_000])
def test_predictions(benchmark, n):
    rng = np.random.default_rng(0)
    X, few = rng.normal(size=(n, 3)), rng.normal(size=(20, 3))
    models = {"fastgd": DescentRegressor("mse"), "LinearRegression": LinearRegression()}
    for model in models.values():
        model.fit(few, few.sum(axis=1))
    measure(benchmark, f"predictions for {n:,} x 3", {
        name: functools.partial(model.predict, X) for name, model in models.items()})


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_epochs(benchmark, kind):
    """Time a fixed number of epochs on standardised columns."""
    X, number, label = raw(50_000, 10)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = number if kind == "regression" else label
    ours, theirs = (DescentRegressor, SGDRegressor) if kind == "regression" else (DescentClassifier, SGDClassifier)
    loss, its = ("mse", "squared_error") if kind == "regression" else ("cross_entropy", "log_loss")
    models = {"fastgd": ours(loss, method="sgd", alpha=1e-4, precondition=None, tol=0, max_epochs=5, stop="epoch",
                             random_state=0),
              theirs.__name__: theirs(loss=its, alpha=0, learning_rate="constant", eta0=1e-4, tol=None, max_iter=5,
                                      average=True, random_state=0)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measure(benchmark, f"5 epochs of estimators, {kind}, X 50,000 x 10", fits(models, X, y), np_sum(X, 5))
