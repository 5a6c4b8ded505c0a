"""precondition: the updates of the oracle, the stop rule in scaled units, and columns that determine each other."""
import importlib

import numpy as np
import pytest
from helpers import DTYPES, LOSSES, oracle, own, quiet, raw_rows, same_as_the_oracle

from fastgd import (
    Blocks,
    Pinball,
    huber_loss,
    log_cosh,
    minimize,
    minimize_mini_batch,
    minimize_sgd,
    mse,
    penalties,
    reference,
)

UPDATES = (1, 2, 7, 20)


def fit(loss, X, y, alpha="auto", **options):
    return minimize(loss, None, y, alpha, False, X=X, full_output=True, **options)


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("precondition", ["scale", "gram"])
@pytest.mark.parametrize("intercept", [False, True])
def test_updates_of_the_oracle(name, precondition, intercept):
    for dtype in DTYPES:
        X, y, weights = raw_rows(name, dtype=dtype)
        for l2 in (0.0, 0.1):
            for sample_weight in (None, weights):
                for k in UPDATES:
                    same_as_the_oracle("minimize", name, y, 0.7, False, X=X, fit_intercept=intercept, l2=l2, tol=0,
                                       sample_weight=sample_weight, precondition=precondition, max_iter=k)


@quiet
@pytest.mark.parametrize("name", LOSSES)
def test_updates_of_the_oracle_for_one_number(name):
    _, y, weights = raw_rows(name)
    for precondition in ("scale", "gram"):
        for l2 in (0.0, 0.1):
            for k in UPDATES:
                same_as_the_oracle("minimize", name, y, 0.7, False, l2=l2, tol=0, sample_weight=weights,
                                   precondition=precondition, max_iter=k)


@quiet
@pytest.mark.parametrize("precondition", ["scale", "gram"])
def test_updates_of_the_oracle_for_functions_in_python(precondition):
    X, y, _ = raw_rows("huber_loss")
    for intercept in (False, True):
        for k in UPDATES:
            same_as_the_oracle("minimize", "huber_loss", y, lambda t: 0.7 / (1 + t), False, X=X, tol=0, max_iter=k,
                               fit_intercept=intercept, called=True, precondition=precondition)


@quiet
@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].is_convex])
@pytest.mark.parametrize("size", [(), (7,)])
@pytest.mark.parametrize("intercept", [False, True])
def test_updates_of_the_oracle_in_stochastic_descent(name, size, intercept):
    verb = "minimize_mini_batch" if size else "minimize_sgd"
    for dtype in DTYPES:
        X, y, weights = raw_rows(name, dtype=dtype)
        for sample_weight, l1, l2 in ((None, 0, 0), (weights, 0, 0.1), (weights, 0.05, 0.1)):
            same_as_the_oracle(verb, name, y, *size, 0.3, X=X, fit_intercept=intercept, rng=0, tol=0, max_epochs=3,
                               precondition="scale", sample_weight=sample_weight, l1=l1, l2=l2)


@pytest.mark.parametrize("precondition", ["scale", "gram"])
def test_stops_as_the_oracle_does_by_scaled_units(precondition):
    X, y, _ = raw_rows("huber_loss")
    for tol in (1e-2, 1e-5):
        same_as_the_oracle("minimize", "huber_loss", y, 1.0, False, X=X, fit_intercept=True, precondition=precondition,
                           tol=tol)


@pytest.mark.parametrize("precondition", ["scale", "gram"])
def test_units_of_the_columns_do_not_matter(precondition):
    X, y, _ = raw_rows("log_cosh")
    run = fit(log_cosh, X, y, fit_intercept=True, precondition=precondition, tol=1e-8)
    units, shift = np.array([1e-8, 1.0, 1e8]), np.array([1e-7, 30, -1e9])
    moved = fit(log_cosh, X * units + shift, y, fit_intercept=True, precondition=precondition, tol=1e-8)
    assert abs(moved.nit - run.nit) <= 1
    assert moved.x[1:] * units == pytest.approx(run.x[1:], rel=1e-5)


@pytest.mark.parametrize("loss", [mse, huber_loss, log_cosh])
def test_gram_arrives_in_tens_of_updates_on_raw_columns(loss):
    X, y, _ = raw_rows(loss.__name__, 500)
    X = X @ np.array([[1, 100, 0], [0, 1, 0], [0.001, 0, 1.0]])
    run = fit(loss, X, y, fit_intercept=True, precondition="gram", momentum="nesterov", tol=1e-10)
    assert run.success
    assert run.nit < 100
    sizes = np.sqrt(np.mean(X**2, axis=0))
    assert np.abs(run.jac[1:] / sizes).max() < 1e-8


def test_constant_and_collinear_columns_are_named_and_have_the_least_norm():
    rng = np.random.default_rng(0)
    Z = rng.normal([3, -50], [1, 20], (80, 2))
    X = np.column_stack([Z[:, 0], np.full(80, 7.0), Z[:, 1], Z[:, 0] * 1e6 + 5, Z[:, 1] - Z[:, 0], rng.normal(size=80)])
    y = rng.normal(size=80) + Z[:, 0]
    run = fit(mse, X, y, fit_intercept=True, precondition="gram", tol=1e-12)
    assert run.success
    for column in ("x0", "x1", "x2", "x3", "x4"):
        assert repr(column) in run.message
    assert "'x5'" not in run.message
    sizes = np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    weights = np.linalg.lstsq((X - X.mean(axis=0)) / sizes, y - y.mean(), rcond=1e-10)[0]
    assert run.x[1:] * sizes == pytest.approx(weights, abs=1e-8)
    assert run.x[2] == pytest.approx(0, abs=1e-12)


def nearly_collinear(kind, seed, n=300):
    """Columns that nearly determine each other, and targets."""
    rng = np.random.default_rng(seed)
    z, other, noise = rng.normal(size=(3, n))
    y = z + 2 * other + rng.standard_t(3, n)
    if kind == "seconds and days":
        seconds = 1.7e9 + np.sort(rng.uniform(0, 30 * 86400, n))
        return np.c_[seconds, other, seconds / 86400], y
    if kind == "a copy far away":
        return np.c_[z, other, z + 1e6], y
    return np.c_[z, other, z * (1 + kind * noise)], y + 0.3 * noise


@pytest.mark.parametrize("kind", ["seconds and days", "a copy far away", 1e-14, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6])
@pytest.mark.parametrize("way", [{"alpha": "auto"}, {"alpha": "auto", "momentum": "nesterov"}, {"alpha": "adaptive"}])
def test_columns_that_nearly_determine_each_other(kind, way):
    """It arrives where least squares does, without the directions in which columns differ by roundings alone."""
    for seed in range(4):
        X, y = nearly_collinear(kind, seed)
        result = minimize(mse, None, y, progress=False, X=X, fit_intercept=True, full_output=True,
                          precondition="gram", **way)
        assert result.success
        Z = reference.with_intercept((X - X.mean(axis=0)) / X.std(axis=0))
        if kind in ("a copy far away", 1e-14):
            Z = Z[:, :3]
        least = np.mean((Z @ np.linalg.lstsq(Z, y, rcond=1e-16)[0] - y)**2)
        # A direction of roundings is noise, which explains about a part in n of any targets.
        assert result.fun <= least * (1 + (0.05 if kind == "seconds and days" else 1e-5))


@pytest.mark.parametrize("l2", [1e-20, 1e-10, 1e-4, 1.0])
def test_a_penalty_of_columns_that_nearly_determine_each_other(l2):
    X, y = nearly_collinear("seconds and days", 0)
    Z, sizes = reference.with_intercept((X - X.mean(axis=0)) / X.std(axis=0)), X.std(axis=0)
    # The penalty as three more rows.
    rows = np.concatenate([Z / np.sqrt(len(y)), np.diag(np.sqrt(l2 / 2) / np.append(np.inf, sizes))[1:]])
    targets = np.append(y / np.sqrt(len(y)), np.zeros(3))
    least = np.sum((rows @ np.linalg.lstsq(rows, targets, rcond=1e-18)[0] - targets)**2)
    for way in ({"alpha": "auto"}, {"alpha": "adaptive"}):
        result = minimize(mse, None, y, progress=False, X=X, fit_intercept=True, full_output=True, precondition="gram",
                          penalty=penalties.L2(l2), **way)
        assert result.success
        assert result.fun == pytest.approx(least, rel=1e-4)


@quiet
@pytest.mark.parametrize("verb", [minimize, minimize_sgd])
def test_a_penalty_of_constant_columns(verb):
    result = verb(mse, None, [1.0, 2.0, 6.0], "auto", X=np.full((3, 1), 5.0), fit_intercept=True, tol=1e-3,
                  precondition="scale", penalty=penalties.L2(0.5), full_output=True, **(
                      {"rng": 0, "stop": "epoch", "average": True} if verb is minimize_sgd else {"progress": False}))
    assert result.x == pytest.approx([3.0, 0.0], abs=1e-12)


def test_constant_columns_do_no_harm_to_scale():
    X, y, _ = raw_rows("mse")
    run = fit(mse, X, y, fit_intercept=True, precondition="scale", tol=1e-9)
    more = fit(mse, np.insert(X, 1, 0.1, axis=1), y, fit_intercept=True, precondition="scale", tol=1e-9)
    assert np.delete(more.x, 2) == pytest.approx(run.x, rel=1e-9)
    assert more.x[2] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("verb", [lambda *args, **named: minimize_sgd(*args, rng=0, **named),
                                  lambda *args, **named: minimize_mini_batch(*args, 10, rng=0, **named)])
def test_stochastic_descent_has_no_gram(verb):
    X, y, _ = raw_rows("mse")
    with pytest.raises(ValueError, match=r"precondition='gram' is for minimize.*'scale'"):
        verb(mse, None, y, X=X, precondition="gram")


def test_words_that_are_none():
    for word in ("newton", True, 3):
        with pytest.raises((TypeError, ValueError), match=r"precondition.*scale.*gram"):
            minimize(mse, None, [1.0, 2.0], precondition=word)
    with pytest.raises((TypeError, ValueError), match=r"precondition.*scale"):
        minimize_sgd(mse, None, [1.0, 2.0], precondition="newton")


def test_too_many_columns_for_gram():
    with pytest.raises(ValueError, match=r"up to 2000 columns.*2001.*precondition='scale'"):
        minimize(mse, None, np.ones(3), "auto", False, X=np.ones((3, 2001)), precondition="gram")


def test_auto_needs_a_loss_of_known_curvature():
    X, y, _ = raw_rows("mse")
    with pytest.raises(ValueError, match=r"alpha='auto'.*bounded curvature"):
        minimize(None, own(oracle("mse")), y, "auto", False, X=X, precondition="gram")


def test_gram_has_no_proximal_step():
    X, y, _ = raw_rows("mse")
    for penalty in (penalties.L1(0.1), penalties.ElasticNet(0.1, 1)):
        with pytest.raises(ValueError, match=r"precondition='gram'.*L1.*precondition='scale'"):
            minimize(mse, None, y, "auto", False, X=X, precondition="gram", penalty=penalty)


class TestColumnsWhoseSquaresLeaveTheRange:
    """Columns in units of 1e-300 to 1e300: theta times the unit is that of the columns themselves."""

    UNITS = (1e-300, 1e-170, 1e-165, 1e-160, 1e-150, 1e-140, 1e140, 1e150, 1e160, 1e200)

    @staticmethod
    def rows(n=400):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, 3)) + np.array([0.0, 3.0, 0.0])
        return X, X @ [5.0, 1.0, -2.0] + rng.standard_t(3, n)

    @pytest.mark.parametrize("unit", UNITS)
    @pytest.mark.parametrize("options", [
        {"precondition": "gram"}, {"precondition": "scale"}, {"precondition": "gram", "fit_intercept": False},
        {"precondition": "gram", "sample_weight": np.arange(400.0)}], ids=str)
    @pytest.mark.parametrize("loss", [mse, huber_loss, log_cosh, Pinball(0.7)], ids=str)
    def test_batch_descent(self, loss, options, unit):
        X, y = self.rows()
        options = {"fit_intercept": True, "tol": 1e-9, **options}
        want = minimize(loss, None, y, "adaptive", False, X=X, full_output=True, **options)
        found = minimize(loss, None, y, "adaptive", False, X=X * [unit, 1, unit], full_output=True, **options)
        assert found.success
        assert found.coef.to_numpy() * [unit, 1, unit] == pytest.approx(want.coef.to_numpy(), abs=1e-5)

    @pytest.mark.parametrize("unit", UNITS)
    def test_a_penalty(self, unit):
        X, y = self.rows()
        for penalty in (penalties.L2(0.1), penalties.L1(0.1)):
            kind = "scale" if penalty.l1 else "gram"
            found = minimize(mse, None, y, "adaptive", False, X=X * [unit, 1, 1], fit_intercept=True,
                             precondition=kind, penalty=penalty, tol=1e-9, full_output=True)
            # Beside a penalty a tiny column is nothing, and a huge one free.
            columns = [1, 2] if unit < 1 else [0, 1, 2]
            free = np.ones((len(X), 1))
            A = np.hstack([free, X])[:, [0, *(k + 1 for k in columns)]]
            strength = np.array([0.0 if k < 0 or (k == 0 and unit > 1) else 1.0 for k in (-1, *columns)])
            if penalty.l2:
                want = np.linalg.solve(2 * A.T @ A / len(y) + 0.1 * np.diag(strength), 2 * A.T @ y / len(y))
                assert found.predict(X * [unit, 1, 1]) == pytest.approx(A @ want, abs=1e-5)
            assert np.isfinite(found.x).all()

    @quiet
    @pytest.mark.parametrize("unit", UNITS)
    def test_stochastic_descent(self, unit):
        X, y = self.rows()
        options = {"rng": 0, "X": X, "fit_intercept": True, "precondition": "scale", "max_epochs": 20, "average": True,
                   "stop": "epoch"}
        want = minimize_sgd(huber_loss, None, y, 0.1, **options)
        found = minimize_sgd(huber_loss, None, y, 0.1, **{**options, "X": X * [unit, 1, unit]})
        assert found * [1, unit, 1, unit] == pytest.approx(want, abs=1e-6)

    @pytest.mark.parametrize("unit", [2.0**-565, 2.0**-480, 2.0**480, 2.0**664])
    def test_a_power_of_two_changes_no_digit(self, unit):
        X, y = self.rows()
        for source in (lambda X: {"dataset": y, "X": X}, lambda X: {"dataset": Blocks(lambda: [
                (X[start:start + 90], y[start:start + 90]) for start in range(0, 400, 90)])}):
            want, found = (minimize(huber_loss, None, alpha="adaptive", progress=False, fit_intercept=True,
                                    precondition="gram", **source(columns)) for columns in (X, X * [unit, 1, 1]))
            assert np.array_equal(found * [1, unit, 1, 1], want)

    @pytest.mark.parametrize("value", [0.0, 1e-170, 5.0, 1e200])
    def test_a_constant_column_is_none(self, value):
        X, y = self.rows()
        X[:, 2] = value
        found = minimize(mse, None, y, "adaptive", False, X=X, fit_intercept=True, precondition="gram", tol=1e-9)
        want = np.linalg.lstsq(np.column_stack([np.ones(400), X[:, :2]]), y)[0]
        assert X @ found[1:] + found[0] == pytest.approx(np.column_stack([np.ones(400), X[:, :2]]) @ want, abs=1e-6)

    def test_a_stream_of_them(self):
        pytest.importorskip("sklearn")
        estimators = importlib.import_module("fastgd.estimators")
        X, y = self.rows(3000)
        models = []
        for unit in (1.0, 1e-170, 1e170):
            model = estimators.DescentRegressor(method="sgd", random_state=0)
            for start in range(0, 3000, 7):
                model.partial_fit(X[start:start + 7] * [unit, 1, unit], y[start:start + 7])
            models.append(model.coef_ * [unit, 1, unit])
        assert models[1] == pytest.approx(models[0], rel=1e-8)
        assert models[2] == pytest.approx(models[0], rel=1e-8)
