"""Penalties: the same updates as the oracle, exact zeros, a free intercept; and values as losses are."""
import copy
import pickle

import numpy as np
import pytest
from helpers import LOSSES, penalty_of, quiet, raw_rows, same_as_the_oracle

import fastgd
from fastgd import DivergenceError, minimize, minimize_sgd, mse
from fastgd.penalties import L1, L2, ElasticNet, Penalty

STRENGTHS = [(0.05, 0), (0, 0.1), (0.05, 0.1)]
CONVEX = [name for name in LOSSES if LOSSES[name].is_convex]
SMOOTH = [name for name in CONVEX if not LOSSES[name].kinks]
ALL = [L1(0.5), L2(0.5), ElasticNet(0.5, 0.25)]


def fit(name, X, y, penalty, **options):
    named = {"X": X, "fit_intercept": True} | options
    return minimize(LOSSES[name], None, y, "adaptive", False, penalty=penalty, full_output=True, **named)


def scaled_rows(name):
    X, y, _ = raw_rows(name, 80)
    return np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.random.default_rng(1).normal(size=(80, 2))]), y


class TestUpdatesOfTheOracle:
    @quiet
    @pytest.mark.parametrize("name", LOSSES)
    @pytest.mark.parametrize(("l1", "l2"), STRENGTHS)
    def test_batch(self, name, l1, l2):
        X, y, weights = raw_rows(name)
        for precondition, alpha in ((None, 1e-5), ("scale", 0.7)):
            for intercept in (False, True):
                for sample_weight in (None, weights):
                    for k in (1, 2, 7, 20):
                        same_as_the_oracle("minimize", name, y, alpha, False, X=X, fit_intercept=intercept, tol=0,
                                           precondition=precondition, sample_weight=sample_weight, l1=l1, l2=l2,
                                           max_iter=k)

    @quiet
    @pytest.mark.parametrize("name", LOSSES)
    @pytest.mark.parametrize("called", [False, True])
    def test_one_number(self, name, called):
        _, y, _ = raw_rows(name)
        for l1, l2 in STRENGTHS:
            for k in (1, 2, 7, 20):
                same_as_the_oracle("minimize", name, y, 0.1, False, l1=l1, l2=l2, tol=0, max_iter=k, called=called)

    @quiet
    @pytest.mark.parametrize("name", CONVEX)
    @pytest.mark.parametrize("size", [(), (7,)])
    def test_stochastic(self, name, size):
        verb = "minimize_mini_batch" if size else "minimize_sgd"
        X, y, weights = raw_rows(name)
        for l1, l2 in STRENGTHS:
            for sample_weight in (None, weights):
                options = {"rng": 0, "tol": 0, "max_epochs": 3, "l1": l1, "l2": l2, "sample_weight": sample_weight}
                same_as_the_oracle(verb, name, y, *size, 0.05, **options)
                for intercept in (False, True):
                    same_as_the_oracle(verb, name, y, *size, 1e-5, X=X, fit_intercept=intercept, **options)

    @quiet
    def test_stochastic_in_python(self):
        X, y, _ = raw_rows("huber_loss")
        for l1, l2 in STRENGTHS:
            same_as_the_oracle("minimize_mini_batch", "huber_loss", y, 7, 1e-5, X=X, fit_intercept=True, rng=0, tol=0,
                               max_epochs=3, l1=l1, l2=l2, called=True)

    def test_stops_as_the_oracle_does(self):
        X, y, _ = raw_rows("mse")
        for l1, l2 in STRENGTHS:
            for stop in ("step", "loss"):
                same_as_the_oracle("minimize", "mse", y, 0.3, False, tol=1e-6, stop=stop, l1=l1, l2=l2)
            same_as_the_oracle("minimize", "mse", y, 0.9, False, X=X, fit_intercept=True, l1=l1, l2=l2, tol=1e-7,
                               precondition="scale")


class TestMinimum:
    @pytest.mark.parametrize("name", SMOOTH)
    @pytest.mark.parametrize(("l1", "l2"), STRENGTHS)
    def test_has_the_least_slope(self, name, l1, l2):
        X, y = scaled_rows(name)
        precondition = "scale" if l1 else "gram"
        run = fit(name, X, y, penalty_of(l1, l2), precondition=precondition, tol=1e-10)
        assert run.success
        w, slope = run.x[1:], LOSSES[name].gradient(run.x, y, X=X, fit_intercept=True)
        assert run.fun == pytest.approx(LOSSES[name](run.x, y, X=X, fit_intercept=True) + l1 * np.abs(w).sum()
                                        + l2 / 2 * (w**2).sum(), rel=1e-14)
        assert np.abs(run.jac).max() < 1e-7
        assert abs(slope[0]) < 1e-7    # that of the intercept has no penalty
        assert np.abs(slope[1:] + l2 * w + l1 * np.sign(w))[w != 0].max(initial=0) < 1e-7
        assert (np.abs(slope[1:][w == 0]) <= l1).all()

    def test_l1_makes_exact_zeros_that_l2_does_not(self):
        X, y = scaled_rows("mse")
        strength = np.abs(fastgd.grad_mse([y.mean(), *np.zeros(5)], y, X=X, fit_intercept=True)[1:])
        some, none = L1(np.median(strength)), L1(strength.max() * 1.001)
        for options in ({"precondition": "scale"}, {}):
            assert 0 < np.count_nonzero(fit("mse", X, y, some, tol=1e-9, **options).x[1:]) < 5
            run = fit("mse", X, y, none, tol=1e-9, **options)
            assert not run.x[1:].any()
            assert run.x[0] == pytest.approx(y.mean())
        assert fit("mse", X, y, L2(100.0), precondition="gram").x.all()

    def test_l2_is_ridge(self):
        X, y = scaled_rows("mse")
        for precondition in (None, "scale", "gram"):
            run = minimize(mse, None, y, "auto", False, X=X, fit_intercept=True, penalty=L2(0.6), tol=1e-11,
                           precondition=precondition)
            Z = X - X.mean(axis=0)
            w = np.linalg.solve(2 * Z.T @ Z / len(y) + 0.6 * np.eye(5), 2 * Z.T @ (y - y.mean()) / len(y))
            assert run[1:] == pytest.approx(w, rel=1e-7)

    @quiet
    @pytest.mark.parametrize("penalty", [L1(0.0), L2(0), ElasticNet(0, 0.0)], ids=repr)
    def test_strength_0_is_no_penalty(self, penalty):
        X, y = scaled_rows("huber_loss")
        for name in ("mse", "huber_loss"):
            for options in ({}, {"X": X, "fit_intercept": True}, {"X": X, "precondition": "gram"}):
                plain, other = (minimize(LOSSES[name], None, y, "auto", False, penalty=each, **options)
                                for each in (None, penalty))
                assert np.array_equal(plain, other)
        assert minimize_sgd(mse, None, y, 0.01, rng=0) == minimize_sgd(mse, None, y, 0.01, rng=0, penalty=penalty)

    def test_the_progress_lines_show_it(self, capsys):
        with pytest.warns(fastgd.ConvergenceWarning):
            minimize(mse, None, [1.0, 3.0], 0.1, theta0=2.0, penalty=L2(3.0), max_iter=1)
        assert capsys.readouterr().out == "theta: 2.00 | loss: 7.00\n"


class TestValue:
    @pytest.mark.parametrize("penalty", ALL, ids=repr)
    def test_is_a_value(self, penalty):
        for other in (pickle.loads(pickle.dumps(penalty)), copy.deepcopy(penalty), eval(repr(penalty))):
            assert other == penalty
            assert hash(other) == hash(penalty)
        assert sum(penalty == each for each in ALL) == 1
        assert type(penalty)(*[2.0] * len(penalty.parameters)) != penalty
        with pytest.raises(AttributeError):
            penalty.l1 = 3

    def test_shows_itself(self):
        assert list(map(repr, ALL)) == ["L1(strength=0.5)", "L2(strength=0.5)", "ElasticNet(l1=0.5, l2=0.25)"]

    def test_is_called_with_weights(self):
        assert [penalty([3.0, -1]) for penalty in ALL] == [2.0, 2.5, 3.25]
        assert [penalty(-2) for penalty in ALL] == [1.0, 1.0, 1.5]
        assert L1(0.5)([1e300]) == 5e299
        assert L2(0.5)(1e300) == np.inf

    @pytest.mark.parametrize("make", [L1, L2, lambda value: ElasticNet(value, 1), lambda value: ElasticNet(1, value)])
    def test_strengths_that_are_none(self, make):
        for value in (-1, -1e-300, np.nan, np.inf):
            with pytest.raises(ValueError, match=r"strength|l1|l2"):
                make(value)
        for value in ("1", None, [1.0], True, 1j):
            with pytest.raises(TypeError, match=r"strength|l1|l2"):
                make(value)

    def test_penalties_that_are_none(self):
        for value in (0.1, "l2", L2, lambda w: 0.0):
            with pytest.raises(TypeError, match=r"penalty.*L1\(strength\), L2\(strength\) or ElasticNet\(l1, l2\)"):
                minimize(mse, None, [1.0, 2.0], penalty=value)
        with pytest.raises(TypeError, match=r"L1\(strength\)"):
            Penalty()


@pytest.mark.parametrize("penalty", ALL, ids=repr)
def test_divergence_is_named_and_warns_of_nothing_else(penalty):
    X, y = scaled_rows("mse")
    for alpha in (10.0, 1e150, 1e300):
        for options in ({}, {"X": X}):
            with pytest.raises(DivergenceError):
                minimize(mse, None, y, alpha, False, penalty=penalty, **options)
