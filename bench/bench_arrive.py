"""Whole fits to one accuracy, beside what a user would pick instead.

Each contender's loss is checked to be within 1e-8 of the least among them, of a quantile within 1e-4. Raw columns are
correlated and have scales from 0.1 to 1000. L-BFGS (scipy's, on numpy's loss and gradient) and HuberRegressor get them
standardised: on raw columns they take tens of times as long, if they converge. The limit reads X once for each update
of fastgd. OPENBLAS_NUM_THREADS=1 gives each contender one thread.
"""
import functools

import numpy as np
import pytest
import statsmodels.api as sm
from harness import Settings, measure, normals, np_sum, rows, size
from scipy import optimize
from sklearn.linear_model import HuberRegressor, LogisticRegression

import fastgd
from fastgd import Pinball, cross_entropy, huber_loss, reference

ARRIVES = {"precondition": "gram", "fit_intercept": True, "progress": False}


@functools.cache
def raw(n, p):
    """Return correlated columns of unequal scales, targets with heavy tails, and two classes."""
    rng = np.random.default_rng(0)
    n = max(size(n), 20 * p)
    scales = 10 ** np.linspace(-1, 3, p)
    X = (normals()[:n * p].reshape(n, p) @ rng.normal(size=(p, p)) + 3 * rng.normal(size=p)) * scales
    prediction = 5 + X @ (rng.normal(size=p) / scales / np.sqrt(p))
    y = prediction + rng.standard_t(2.5, size=n)
    return X, y, (rng.random(n) < 1 / (1 + np.exp(5 - prediction))).astype(float)


def by_fastgd(loss, X, y, **options):
    """Return fits with adaptive steps and with momentum, and the limit."""
    fit = functools.partial(fastgd.minimize, loss, None, y, X=X, **ARRIVES, **options)
    contenders = {"fastgd": functools.partial(fit, alpha="adaptive"),
                  "fastgd, momentum": functools.partial(fit, alpha="auto", momentum="nesterov")}
    return contenders, np_sum(X, contenders["fastgd"](full_output=True).nit)


def standardised(fit):
    """Wrap a function fit(X, y) -> theta to standardise the columns and return theta in raw units."""
    def in_raw_units(X, y):
        means, deviations = X.mean(axis=0), X.std(axis=0)
        theta = fit((X - means) / deviations, y)
        weights = theta[1:] / deviations
        return np.r_[theta[0] - means @ weights, weights]

    return in_raw_units


def huber_and_gradient(prediction, y):
    r = prediction - y
    slopes = np.clip(r, -1, 1)
    return np.mean(slopes * (r - slopes / 2)), slopes


def cross_entropy_and_gradient(prediction, y):
    return np.mean(np.logaddexp(0, prediction) - y * prediction), 1 / (1 + np.exp(-prediction)) - y


def by_l_bfgs(loss_and_slopes):
    def fit(X, y):
        def loss_and_gradient(theta):
            loss, slopes = loss_and_slopes(theta[0] + X @ theta[1:], y)
            return loss, np.r_[slopes.mean(), X.T @ slopes / len(y)]

        return optimize.minimize(loss_and_gradient, np.zeros(X.shape[1] + 1), jac=True, method="L-BFGS-B",
                                 options={"ftol": 1e-14, "gtol": 1e-6, "maxiter": 10_000}).x

    return fit


def by_huber_regressor(X, y):
    """Fit HuberRegressor, whose loss has a scale of its own."""
    model = HuberRegressor(epsilon=1.35, alpha=0, max_iter=10_000, tol=1e-9).fit(X, y)
    return np.r_[model.intercept_, model.coef_]


def by_rlm(X, y):
    """Fit RLM with scale 1, so that its loss is that of the other contenders."""
    model = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT(1.0))
    return model.fit(maxiter=200, tol=1e-9, scale_est=lambda *args, **kwargs: 1.0).params


def by_logistic_regression(X, y):
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8).fit(X, y)
    return np.r_[model.intercept_, model.coef_[0]]


def by_quant_reg(X, y):
    return sm.QuantReg(y, sm.add_constant(X)).fit(q=0.9).params


def check(loss, X, y, answers, excess):
    """Raise AssertionError unless each answer is within `excess` of the least loss."""
    losses = {name: loss(np.ravel(theta), y, X=X, fit_intercept=True) for name, theta in answers.items()}
    least = min(losses.values())
    late = {name: value - least for name, value in losses.items() if value > least + excess * max(1.0, least)}
    assert Settings.is_small or not late, f"above the least loss: {late}"


@pytest.mark.parametrize(("n", "p"), [(100_000, 10), (1_000_000, 20)])
def test_huber(benchmark, n, p):
    X, y, _ = raw(n, p)
    contenders, limit = by_fastgd(huber_loss, X, y, tol=1e-4)
    contenders["L-BFGS"] = functools.partial(standardised(by_l_bfgs(huber_and_gradient)), X, y)
    contenders["HuberRegressor"] = functools.partial(standardised(by_huber_regressor), X, y)
    if n == 100_000:
        contenders["RLM"] = functools.partial(by_rlm, X, y)
    answers = measure(benchmark, f"Huber regression, raw X {n:,} x {p}", contenders, limit)
    del answers["HuberRegressor"]
    check(huber_loss, X, y, answers, 1e-8)


@pytest.mark.parametrize(("n", "p"), [(1_000_000, 2), (20_000, 500)])
def test_huber_on_independent_columns(benchmark, n, p):
    """Fit columns of one scale, where the Gram matrix gains little; without precondition it gives the stable rate."""
    X, y, _ = rows(n, p)
    contenders, limit = by_fastgd(huber_loss, X, y, tol=1e-4)
    del contenders["fastgd, momentum"]
    contenders["fastgd, no precondition"] = functools.partial(
        fastgd.minimize, huber_loss, None, y, "adaptive", False, X=X, fit_intercept=True, tol=1e-4)
    contenders["L-BFGS"] = functools.partial(by_l_bfgs(huber_and_gradient), X, y)
    contenders["HuberRegressor"] = functools.partial(by_huber_regressor, X, y)
    answers = measure(benchmark, f"Huber regression, independent X {n:,} x {p}", contenders, limit)
    del answers["HuberRegressor"]
    check(huber_loss, X, y, answers, 1e-8)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_logistic(benchmark):
    n, p = 100_000, 10
    X, _, y = raw(n, p)
    contenders, limit = by_fastgd(cross_entropy, X, y, tol=1e-4)
    contenders["L-BFGS"] = functools.partial(standardised(by_l_bfgs(cross_entropy_and_gradient)), X, y)
    contenders["LogisticRegression, newton-cholesky"] = functools.partial(by_logistic_regression, X, y)
    answers = measure(benchmark, f"logistic regression, raw X {n:,} x {p}", contenders, limit)
    check(cross_entropy, X, y, answers, 1e-8)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.IterationLimitWarning")
@pytest.mark.parametrize("n", [100_000, 1_000_000])
def test_quantile(benchmark, n):
    X, y, _ = raw(n, 10)
    contenders, limit = by_fastgd(Pinball(0.9), X, y)
    if n == 100_000:
        contenders["QuantReg"] = functools.partial(by_quant_reg, X, y)
    answers = measure(benchmark, f"quantile regression, raw X {n:,} x 10", contenders, limit)
    check(Pinball(0.9), X, y, answers, 1e-4)


def test_one_number(benchmark):
    """Compute the Huber estimate to 1e-9; brentq gets the range of the data."""
    y = np.random.default_rng(0).standard_t(2.5, size=size(5_000_000)) * 3 + 50

    def by_brentq(gradient):
        return optimize.brentq(lambda theta: gradient(theta, y), y.min(), y.max(), xtol=1e-9)

    def by_l_bfgs():
        def loss_and_gradient(theta):
            loss, slopes = huber_and_gradient(theta[0], y)
            return loss, slopes.mean()

        return optimize.minimize(loss_and_gradient, [0.0], jac=True, method="L-BFGS-B",
                                 options={"ftol": 0, "gtol": 1e-10}).x[0]

    estimate = functools.partial(fastgd.minimize, huber_loss, None, y, "adaptive", False, tol=1e-9)
    answers = measure(benchmark, f"Huber estimate of {5_000_000:,} points", {
        "fastgd": estimate,
        "brentq": functools.partial(by_brentq, reference.grad_huber_loss),
        "brentq on fastgd's gradient": functools.partial(by_brentq, fastgd.grad_huber_loss),
        "L-BFGS": by_l_bfgs,
    }, np_sum(y, estimate(full_output=True).nit))
    assert answers == pytest.approx(dict.fromkeys(answers, answers["brentq"]), abs=1e-7)
