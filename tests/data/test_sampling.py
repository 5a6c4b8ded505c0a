"""Rows that are drawn because they tell: those that few others are like, wherever the data are cut."""
import numpy as np
import pytest

from fastgd import Blocks
from fastgd._data import as_data
from fastgd._data.sampling import mean_square, sample_by_leverage, target_variance

SIZE = 500


def _data(n=20_000):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    X[:, 1] += 5
    X[:, 0] = 0
    X[rng.choice(n, 10, replace=False), 0] = 1
    return X, X @ [1e3, 1.0, 0.0] + rng.normal(size=n), rng.random(n) + 0.5


def _drawn(source, X):
    return sample_by_leverage(source, X.mean(axis=0), X.std(axis=0), SIZE)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_what_few_rows_carry_is_drawn_and_means_are_those_of_all(is_weighted):
    X, y, weights = _data()
    source = as_data(y, X, True, sample_weight=weights if is_weighted else None)
    drawn = _drawn(source, X)
    assert drawn.X[:, 0].sum() == 10
    assert SIZE / 2 < drawn.n <= SIZE
    w = weights if is_weighted else np.ones(len(y))
    assert drawn.weights.mean() == pytest.approx(1, abs=0.1)
    assert np.average(drawn.X[:, 1]) == pytest.approx(np.average(X[:, 1], weights=w), abs=0.2)
    # Each of the ten counts for as much as among all.
    is_one, was_one = drawn.X[:, 0] == 1, X[:, 0] == 1
    assert drawn.weights[is_one].sum() / drawn.n == pytest.approx(w[was_one].sum() / w.sum(), rel=1e-12)


def test_no_bit_depends_on_where_the_data_are_cut():
    X, y, weights = _data(3000)
    whole = as_data(y, X, True, sample_weight=weights)
    theta = np.array([0.1, 1.0, 2.0, 3.0])
    for cuts in ([7, 8, 1500], [1, 2999]):
        blocks = Blocks(lambda cuts=cuts: zip(*(np.split(each, cuts) for each in (X, y, weights)), strict=True))
        parted = as_data(blocks, None, True)
        for one, other in ((_drawn(whole, X), _drawn(parted, X)),):
            assert np.array_equal(one.X, other.X)
            assert np.array_equal(one.targets, other.targets)
            assert np.array_equal(one.weights, other.weights)
        for of_residuals in (False, True):
            assert mean_square(whole, theta, of_residuals=of_residuals) == mean_square(
                parted, theta, of_residuals=of_residuals)


def test_the_mean_square_is_numpys():
    X, y, weights = _data(1000)
    source = as_data(y, X, True, sample_weight=weights)
    theta = np.array([0.1, 1.0, 2.0, 3.0])
    fitted = 0.1 + X @ theta[1:]
    assert mean_square(source, theta, of_residuals=True) == pytest.approx(
        np.average((y - fitted)**2, weights=weights), rel=1e-12)
    assert mean_square(source, theta, of_residuals=False) == pytest.approx(
        np.average(fitted**2, weights=weights), rel=1e-12)


def test_the_variance_is_numpys_far_from_0_too():
    X, y, weights = _data(1000)
    y = y + 1e9
    source = as_data(y, X, True, sample_weight=weights)
    mean = np.average(y, weights=weights)
    assert target_variance(source) == pytest.approx(np.average((y - mean)**2, weights=weights), rel=1e-9)
    assert target_variance(as_data(np.full(5, 3.0), X[:5], True)) == 0


def test_nothing_is_drawn_of_nothing():
    X, y, _ = _data(10)
    assert sample_by_leverage(as_data(y, X, True), X.mean(axis=0), np.full(3, 1.0), 0) is None
