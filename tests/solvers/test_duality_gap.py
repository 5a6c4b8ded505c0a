"""What the slopes of a smoothed loss prove: no loss anywhere is below the floor that they say."""
import numpy as np
import pytest
from helpers import quiet

from fastgd import AbsoluteError, Blocks, EpsilonInsensitive, Pinball, minimize, penalties
from fastgd._objective.objective import objective_of
from fastgd._solvers.duality_gap import DualityGap, PiecewiseLinear

KINKED = [AbsoluteError(), Pinball(0.9), EpsilonInsensitive(0.4)]


def heavy_rows(n=300, seed=0):
    """Some rows are very long, and the means of the columns far from 0."""
    rng = np.random.default_rng(seed)
    X = np.array([0, 50]) + np.exp(3 * rng.normal(size=(n, 2)))
    return X, X @ [0.5, -1] + rng.standard_t(3, n)


@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_pieces_are_those_of_the_loss(loss):
    pieces, residuals = PiecewiseLinear(loss), np.linspace(-3, 3, 61) + 0.01
    values = np.array([loss(0.0, [r]) for r in residuals])
    assert np.allclose(pieces.losses(residuals), values)
    assert np.allclose(pieces.slopes(residuals), [-loss.gradient(0.0, [r]) for r in residuals])
    smooth = loss.smoothed(0.7)
    slopes, room = pieces.smoothed(residuals, 0.7)
    assert np.allclose(slopes, [-smooth.gradient(0.0, [r]) for r in residuals])
    assert (room > 0).all()
    assert (room <= 1).all()
    # loss(r) + conj(a) - a r, with the conjugate from a grid that has the kinks.
    grid = np.concatenate([np.linspace(-9, 9, 2001), pieces.offsets])
    conjugates = (slopes[:, None] * grid - pieces.losses(grid)).max(axis=1)
    assert np.allclose(pieces.gaps(residuals, slopes), values + conjugates - slopes * residuals)


@quiet
@pytest.mark.parametrize("penalty", [None, penalties.L1(0.01), penalties.L2(1e-4), penalties.ElasticNet(0.01, 1e-9)])
@pytest.mark.parametrize("loss", KINKED, ids=repr)
@pytest.mark.parametrize("shape", [(300, 2), (8, 12)])
def test_no_loss_is_below_the_floor(shape, loss, penalty):
    X, y = heavy_rows(shape[0])
    rng = np.random.default_rng(1)
    if shape[1] > shape[0]:
        X = rng.normal(size=shape)
    options = {"X": X, "fit_intercept": True, "sample_weight": rng.random(shape[0])}
    if penalty is not None:
        options["penalty"] = penalty
    objective = objective_of(loss, None, y, **options)
    found = minimize(loss, None, y, "adaptive", False, precondition="scale", max_iter=2000, full_output=True, **options)
    for scale in (0.0, 1e-6, 1e-3, 1.0):
        theta = found.x * (1 + scale * rng.normal(size=shape[1] + 1))
        value = objective.value(theta)
        for width in (1e-6, 1e-3, 0.1, 10.0):
            gap, cost = DualityGap(objective).gap(theta, width, value)
            assert cost >= -1e-12
            assert value - gap <= found.fun * (1 + 1e-12) + 1e-15


def test_it_is_narrow_where_the_smoothed_loss_is_least():
    rng = np.random.default_rng(0)
    X = rng.normal(1e4, 1, (5000, 3))
    y = X @ [1, 2, 3] + rng.standard_t(3, 5000)
    smooth = minimize(Pinball(0.9, smoothing=0.05), None, y, "adaptive", False, X=X, fit_intercept=True,
                      precondition="gram")
    objective = objective_of(Pinball(0.9), None, y, X, True)
    value = objective.value(smooth)
    gap, cost = DualityGap(objective).gap(smooth, 0.05, value)
    assert 0 < cost <= gap < 2e-4 * value


def test_blocks_have_the_bits_of_one_array():
    X, y = heavy_rows(3000)
    theta = np.array([0.1, 0.5, -1])
    whole = objective_of(AbsoluteError(), None, y, X, True)
    parted = objective_of(AbsoluteError(), None, Blocks(lambda: [(X[k:k + 700], y[k:k + 700])
                                                                for k in range(0, 3000, 700)]), None, True)
    assert DualityGap(whole).gap(theta, 0.3, 1.0) == DualityGap(parted).gap(theta, 0.3, 1.0)
