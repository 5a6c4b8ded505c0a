"""The descent that looks: from where it begins, on which rows, where it ends, and what is left to gain there."""
import numpy as np
import pytest
from newton import least

import fastgd
from fastgd._convergence.certificate import (
    SOLVE,
    _ReferenceSolve,
    _staged_solve,
    importance_sample,
    prediction_radius,
    suboptimality_bound,
)
from fastgd._objective.objective import objective_of


def test_what_a_loss_can_fall_by_with_l1_is_no_less_than_it_does():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8, 12))
    y = rng.normal(size=8)
    for penalty in (fastgd.penalties.L1(0.05), fastgd.penalties.ElasticNet(0.05, 0.1)):
        objective = objective_of(fastgd.mse, None, y, X, penalty=penalty)
        lowest = least(fastgd.mse, y, X, penalty=penalty)
        for part in (0.0, 0.5, 0.99, 1.0):
            x = part * lowest.theta
            here = objective.value(x)
            most = suboptimality_bound(objective, x, objective.gradient(x), 1.0, here)
            assert here - lowest.value <= most + 1e-12
        assert most < 1e-3 * here    # at the least itself


def test_where_it_does_not_get_lower_it_goes_surely(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1, 100, 1]
    y = X @ [1, 0.01, 2] + rng.normal(size=60)
    objective = objective_of(fastgd.mse, None, y, X, True)
    made = []

    class Stuck(_ReferenceSolve):
        def __init__(self, *args, is_safe=False):
            super().__init__(*args, is_safe=is_safe)
            made.append(is_safe)
            self.is_over = not is_safe

    monkeypatch.setattr("fastgd._convergence.certificate._ReferenceSolve", Stuck)
    theta = _staged_solve(objective, np.zeros(4), 10.0, 1e-6)
    assert made == [False, True]
    assert objective.value(theta) == pytest.approx(least(fastgd.mse, y, X, True).value, rel=1e-6)


def test_of_few_numbers_it_goes_on_until_it_has_arrived():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(20, 30))
    y = X[:, :3] @ [1, 2, -1] + rng.standard_t(3, 20)
    objective = objective_of(fastgd.mse, None, y, X, True, penalty=fastgd.penalties.L1(0.01))
    looking = _ReferenceSolve(objective, np.zeros(31), 1.0, 0.0)
    looking.advance(SOLVE)
    theta = _staged_solve(objective, np.zeros(31), 1.0, 1e-4)
    assert objective.value(theta) < objective.value(looking.theta)
    lowest = least(fastgd.mse, y, X, True, penalty=fastgd.penalties.L1(0.01)).value
    assert objective.value(theta) == pytest.approx(lowest, rel=1e-3)


def test_how_far_the_least_may_be():
    X, y = np.array([[3.0], [-3.0]]), np.array([1.0, 0.0])
    squares = objective_of(fastgd.mse, None, y, X)
    assert prediction_radius(squares, np.array([1.0])) == pytest.approx(np.sqrt((4 + 9) / 2))
    assert prediction_radius(objective_of(fastgd.cross_entropy, None, y, X), np.array([1e3])) == 3010


def test_a_sample_is_of_many_rows_only_and_numbers_that_overflow_have_one():
    X = np.random.default_rng(0).normal(size=(1000, 2))
    objective = objective_of(fastgd.mse, None, X[:, 0], X)
    assert importance_sample(objective, 500) is objective
    assert importance_sample(objective, 100).data.n <= 200
    with np.errstate(all="ignore"):
        huge = objective_of(fastgd.mse, None, X[:, 0], X * 1e300)
        assert 50 < importance_sample(huge, 100).data.n <= 200
