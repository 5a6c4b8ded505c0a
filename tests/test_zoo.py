"""Descents in the metric of the data arrive on problems as they come, where independent solvers do."""
import re

import numpy as np
import pytest
from helpers import quiet, stated_bound
from newton import least, mean_loss
from zoo import ZOO

from fastgd import Huber, minimize, penalties
from fastgd.losses import REGISTRY, Pinball

CONVEX = {**{name: loss for name, loss in REGISTRY.items() if loss.is_convex}, "Pinball(0.9)": Pinball(0.9)}
SMOOTH = [name for name, loss in CONVEX.items() if not loss.kinks]
KINKED = [name for name, loss in CONVEX.items() if loss.kinks]
WAYS = {"nesterov": {"alpha": "auto", "momentum": "nesterov"}, "adaptive": {"alpha": "adaptive"}}
#: An excess of this part of the least loss, or, where the model fits, of this part of the loss at theta 0, is none.
ARRIVED, FITS = 1e-8, 1e-12


def run(loss, animal, way, **options):
    return minimize(loss, None, animal.targets(loss), progress=False, full_output=True, precondition="gram", X=animal.X,
                    fit_intercept=animal.fit_intercept, **WAYS[way], **options)


def measured(loss, animal, theta):
    """By how much the loss at theta is above the least, the least, and the loss at theta 0, by none of the package."""
    y, model = animal.targets(loss), (animal.X, animal.fit_intercept)
    lowest = least(loss, y, *model).value
    return mean_loss(loss, theta, y, *model) - lowest, lowest, mean_loss(loss, np.zeros(len(theta)), y, *model)


@quiet
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("name", ZOO)
def test_smooth_losses_arrive_or_say_why_not(name, loss, way):
    animal, loss = ZOO[name], CONVEX[loss]
    result = run(loss, animal, way, tol=1e-9, max_iter=5000)
    if animal.is_separable and loss.link == "logit":
        assert not result.success
        assert "penalt" in result.message
        return
    excess, lowest, start = measured(loss, animal, result.x)
    if not result.success:
        assert re.search(r"5000 updates.* tol is 1e-09", result.message)
        # Prices are too far away for steps that the largest curvature bounds and the bounded slope moves.
        assert excess < 0.01 * lowest or (name == "large_targets" and way == "nesterov")
    else:
        assert excess < max(ARRIVED * lowest, FITS * start)


@quiet
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", KINKED)
@pytest.mark.parametrize("name", ZOO)
def test_losses_with_kinks_arrive_within_the_bound_that_is_named(name, loss, way):
    animal, loss = ZOO[name], CONVEX[loss]
    result = run(loss, animal, way)
    excess, lowest, start = measured(loss, animal, result.x)
    bound = stated_bound(result)
    assert result.success
    assert bound <= 1e-3 * lowest + 1e-9 * start
    assert excess <= bound * 1.01 + FITS * start


@quiet
def test_few_of_the_zoo_may_say_why_not():
    """The words are no way out for what should arrive."""
    late = [(name, loss) for name, animal in ZOO.items() for loss in SMOOTH
            if not (animal.is_separable and CONVEX[loss].link == "logit")
            and not run(CONVEX[loss], animal, "adaptive", max_iter=2000).success]
    assert len(late) <= 3, late


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("name", ["correlated", "far_means", "heavy_tails", "scales", "tips"])
def test_predictions_do_not_depend_on_the_coordinates(name, loss, way):
    animal, loss = ZOO[name], CONVEX[loss]
    rng, p = np.random.default_rng(5), animal.X.shape[1]
    before = run(loss, animal, way, tol=1e-8).predict(animal.X)
    spread = animal.X.std(0)
    for condition in (10, 1e4):
        left, right = (np.linalg.qr(rng.normal(size=(p, p)))[0] for _ in range(2))
        M = left * np.geomspace(1, condition, p) @ right / spread[:, None]
        other = animal._replace(X=animal.X @ M + rng.normal(size=p) * 100)
        after = run(loss, other, way, tol=1e-8).predict(other.X)
        assert after == pytest.approx(before, abs=1e-6 * np.abs(before).max())


@pytest.mark.parametrize("name", ["correlated", "duplicates", "far_means", "one_hot", "scales", "tips"])
def test_mse_is_that_of_lstsq(name):
    animal = ZOO[name]
    # lstsq takes columns of one scale; the predictions do not depend on it.
    z = np.column_stack([np.ones(len(animal.X)), (animal.X - animal.X.mean(0)) / animal.X.std(0)])
    fitted = z @ np.linalg.lstsq(z, animal.y)[0]
    for way in WAYS:
        result = run(REGISTRY["mse"], animal, way, tol=1e-10)
        assert result.predict(animal.X) == pytest.approx(fitted, abs=1e-7)


class TestScikitLearn:
    """It minimizes the sum over the rows, and its strengths are in units of that."""

    linear_model = property(lambda self: pytest.importorskip("sklearn.linear_model"))

    @pytest.mark.parametrize("name", ["correlated", "heavy_tails", "one_hot", "tips"])
    @pytest.mark.parametrize("way", WAYS)
    def test_logistic_regression(self, name, way):
        animal, strength = ZOO[name], 0.01
        z = (animal.X - animal.X.mean(0)) / animal.X.std(0)
        theirs = self.linear_model.LogisticRegression(
            C=1 / (strength * len(z)), solver="newton-cholesky", tol=1e-12).fit(z, animal.labels)
        result = run(REGISTRY["cross_entropy"], animal._replace(X=z), way, tol=1e-9, penalty=penalties.L2(strength))
        assert result.x == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-6)

    @pytest.mark.parametrize("name", ["duplicates", "more_columns_than_rows", "scales", "tips"])
    @pytest.mark.parametrize("way", WAYS)
    def test_ridge(self, name, way):
        animal = ZOO[name]
        theirs = self.linear_model.Ridge(alpha=0.1 * len(animal.X) / 2, solver="svd").fit(animal.X, animal.y)
        result = run(REGISTRY["mse"], animal, way, tol=1e-10, penalty=penalties.L2(0.1))
        assert result.x[1:] == pytest.approx(theirs.coef_, rel=1e-5, abs=1e-8)

    @pytest.mark.parametrize("name", ["correlated", "duplicates", "heavy_tails", "tips"])
    @pytest.mark.parametrize("way", WAYS)
    def test_lasso(self, name, way):
        animal, loss, strength = ZOO[name], REGISTRY["mse"], 0.3
        theirs = self.linear_model.Lasso(alpha=strength / 2, tol=1e-12, max_iter=100_000).fit(animal.X, animal.y)
        result = minimize(loss, None, animal.y, progress=False, full_output=True, X=animal.X, fit_intercept=True,
                          precondition="scale", tol=1e-10, penalty=penalties.L1(strength), **WAYS[way])
        assert result.predict(animal.X) == pytest.approx(theirs.predict(animal.X), abs=1e-5)
        assert result.fun == pytest.approx(loss([theirs.intercept_, *theirs.coef_], animal.y, X=animal.X,
                                                fit_intercept=True) + strength * np.abs(theirs.coef_).sum(), rel=1e-8)


class TestStatsmodels:
    @pytest.mark.parametrize("delta", [0.5, 1, 3])
    @pytest.mark.parametrize("name", ["far_means", "heavy_tails", "log_normal", "tips"])
    def test_a_robust_line(self, name, delta):
        robust = pytest.importorskip("statsmodels.robust")
        animal = ZOO[name]
        z = np.column_stack([np.ones(len(animal.X)), (animal.X - animal.X.mean(0)) / animal.X.std(0)])
        model = robust.robust_linear_model.RLM(animal.y, z, M=robust.norms.HuberT(t=delta))
        theirs = model.fit(start_params=np.zeros(z.shape[1]), start_scale=1.0, update_scale=False, maxiter=2000,
                           tol=1e-12)
        assert theirs.scale == 1
        for way in WAYS:
            result = run(Huber(delta), animal, way, tol=1e-9)
            assert result.predict(animal.X) == pytest.approx(theirs.fittedvalues, abs=1e-5)

    @pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("name", ["far_means", "heavy_tails", "tips"])
    def test_a_quantile_line(self, name, q):
        regression = pytest.importorskip("statsmodels.regression.quantile_regression")
        animal = ZOO[name]
        z = np.column_stack([np.ones(len(animal.X)), (animal.X - animal.X.mean(0)) / animal.X.std(0)])
        theirs = regression.QuantReg(animal.y, z).fit(q=q, p_tol=1e-8, max_iter=5000)
        above = Pinball(q)(theirs.params, animal.y, X=z)
        for way in WAYS:
            assert run(Pinball(q), animal, way).fun <= above * 1.0001
            assert run(Pinball(q), animal, way).fun >= least(Pinball(q), animal.y, z).value * (1 - 1e-8)
