"""One update, in the metric of the data and with a penalty: the kernel's step, and its twin in Python."""
import itertools

import numpy as np
import pytest
from helpers import rows

import fastgd
from fastgd._kernels import linear
from fastgd._kernels.shuffle import Visits
from fastgd._kernels.step import ArraySteps
from fastgd._objective.objective import objective_of
from fastgd._objective.preconditioner import GramPreconditioner, Preconditioner, ScalarPreconditioner
from fastgd._solvers.proximal_step import ProximalStep
from fastgd.penalties import L1, L2, ElasticNet


def problem(p, intercept, n=3, penalty=None, seed=0):
    """A squared error on rows of several scales, a metric of theirs, a theta, and the generator."""
    rng = np.random.default_rng([seed, p, intercept, n])
    X = rng.normal(rng.normal(0, 3, p), 10.0 ** rng.integers(-2, 3, p), (n, p))
    objective = objective_of(fastgd.mse, None, rng.normal(size=n), X, intercept, penalty=penalty)
    shift = rng.normal(0, 3, p) if intercept else np.zeros(p)
    return objective, Preconditioner(shift, rng.uniform(0.3, 3, p), 0.01), rng.normal(size=p + intercept), rng


def kernel_step(objective, metric, theta, alpha, tol, ends=True):
    """One update by the kernel, on all rows at once; theta, the one before, and whether it ended the run."""
    source, q = objective.data, len(theta)
    now, before = theta.copy(), np.full(q, np.nan)
    steps = ArraySteps(now, before, np.empty((linear.levels(source.n) + 1, q)), tol, ends)
    steps.set_proximal(metric.unit, objective.penalty.l2, objective.penalty.l1, metric.shift, metric.sizes)
    generator = np.random.PCG64(0)    # which must outlive its capsule
    stochastic = objective.compiled_gradient.version(linear.stochastic, np.dtype(float))
    count, is_short = stochastic(
        objective.compiled_gradient.kernel, source.X, source.kernel, np.arange(source.n),
        Visits(generator.capsule, source.n, source.n), steps, np.array([alpha]), np.empty((1, q)))
    assert count == 1
    return now, before, is_short


class TestTheKernelsStep:
    @pytest.mark.parametrize("n", [1, 3])    # the gradient of one row is never written down
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("p", range(1, 10))
    def test_is_that_of_the_twin(self, p, intercept, n):
        zeros = 0
        for seed in range(5):
            objective, metric, theta, _ = problem(p, intercept, n, ElasticNet(200.0 * seed, 0.3), seed)
            update = ProximalStep(objective, metric)
            expected = update.apply(theta, 0.7, update.with_l2(theta, objective.loss_gradient(theta)))
            size = update.size(expected - theta)
            for tol, ends in itertools.product((size * 1.0001, size * 0.9999), (True, False)):
                now, before, is_short = kernel_step(objective, metric, theta, 0.7, tol, ends)
                assert now == pytest.approx(expected, rel=1e-11, abs=1e-12 * np.abs(theta).max())
                assert np.array_equal(before, theta)
                assert is_short == (tol > size and ends)
            weights = now[int(intercept):]
            assert np.array_equal(weights == 0, expected[int(intercept):] == 0)
            zeros += np.count_nonzero(weights == 0)
        assert zeros

    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("p", [1, 2, 5, 9])
    def test_of_a_gradient_that_is_nan_is_never_short(self, p, intercept):
        for n in (1, 3):
            objective, metric, theta, _ = problem(p, intercept, n, ElasticNet(0.5, 0.5))
            objective.data.X[0, p // 2] = np.nan
            now, before, is_short = kernel_step(objective, metric, theta, 0.7, np.inf)
            assert np.isnan(now).all()
            assert np.array_equal(before, theta)
            assert not is_short

    def test_has_the_constant_of_the_loss(self):
        """The mean of the slopes of mse comes without their 2, which a penalty has not."""
        objective = objective_of(fastgd.mse, None, [0.0], [[1.0]], penalty=L2(0.5))
        metric = Preconditioner(np.zeros(1), np.ones(1), 1.0)
        assert kernel_step(objective, metric, np.array([8.0]), 0.125, 0.0)[0].tolist() == [8 - 0.125 * (16 + 4)]


class TestUpdate:
    def test_decay_leaves_the_intercept_alone(self):
        theta, gradient = np.array([5.0, -1.0, 2.0]), np.array([1.0, 1.0, 1.0])
        objective = problem(2, True, penalty=L2(10.0))[0]
        assert ProximalStep(objective).with_l2(theta, gradient).tolist() == [1, -9, 21]
        assert gradient.tolist() == [1, 1, 1]
        objective = problem(3, False, penalty=L2(10.0))[0]
        assert ProximalStep(objective).with_l2(theta, gradient).tolist() == [51, -9, 21]
        number = objective_of(fastgd.mse, None, [1.0, 2.0], penalty=L2(10.0))
        assert ProximalStep(number).with_l2(5.0, 1.0) == 51
        for penalty in (None, L1(3.0)):
            assert ProximalStep(problem(2, True, penalty=penalty)[0]).with_l2(theta, gradient) is gradient

    def test_l1_shrinks_to_zero_and_no_further(self):
        theta, gradient = np.array([0.1, 3.0, -3.0, 0.1]), np.array([1.0, 1.0, -1.0, -1.0])
        free = ProximalStep(problem(3, True, penalty=L1(2.0))[0]).apply(theta, 0.5, gradient)
        assert free.tolist() == [-0.4, 1.5, -1.5, 0.0]
        without = ProximalStep(problem(4, False, penalty=L1(2.0))[0])
        assert without.apply(theta, 0.5, gradient).tolist() == [0, 1.5, -1.5, 0]
        number = ProximalStep(objective_of(fastgd.mse, None, [1.0, 2.0], penalty=L1(2.0)))
        moved = [number.apply(at, 0.5, 1.0) for at in (3.0, 1.0, -3.0)]
        assert moved == [1.5, 0.0, -2.5]
        assert {type(each) for each in moved} == {float}
        in_metric = ProximalStep(objective_of(fastgd.mse, None, [1.0, 2.0], penalty=L1(2.0)), ScalarPreconditioner(0.5))
        assert [in_metric.apply(at, 0.5, 1.0) for at in (3.0, 0.5)] == [2.25, 0.0]

    def test_a_step_is_measured_in_its_units(self):
        step = np.array([1.0, -3.0, 0.5])
        assert ProximalStep().size(step) == 3
        assert ProximalStep(sizes=np.array([1.0, 0.1, 10.0])).size(step) == 5
        metric = Preconditioner(np.array([2.0, 0.0]), np.array([0.1, 10.0]), 7.0)
        assert ProximalStep(None, metric).size(step) == 5
        assert ProximalStep(None, metric).size(np.array([1.0, -3.0, 0.0])) == 5    # the intercept of z: 1 + 2 * -3
        assert ProximalStep().size(-2.5) == ProximalStep(None, ScalarPreconditioner(3.0)).size(-2.5) == 2.5

    @pytest.mark.parametrize("kind", [None, "scale", "number"])
    def test_agreement_of_a_proximal_step_is_the_product_in_the_metric(self, kind):
        rng = np.random.default_rng(0)
        if kind == "number":
            number = objective_of(fastgd.mse, None, [1.0, 2.0], penalty=L1(2.0))
            update = ProximalStep(number, ScalarPreconditioner(0.5))
            step, move, expected = 3.0, -0.25, 3 * -0.25 / 0.5
        else:
            objective, metric, _, _ = problem(4, True, penalty=L1(2.0))
            update = ProximalStep(objective, metric if kind else None)
            step, move = rng.normal(size=(2, 5))
            expected = metric.scaled(step) @ metric.scaled(move) / metric.unit if kind else step @ move
        assert update.agreement(step, np.nan, move) == pytest.approx(expected)

    def test_agreement_of_another_step_is_that_of_the_gradient(self):
        gradient, move = np.array([1.0, -2.0]), np.array([3.0, 1.0])
        assert ProximalStep().agreement(np.nan, gradient, move) == -1
        assert ProximalStep(problem(2, False, penalty=L2(1.0))[0]).agreement(np.nan, -gradient, move) == 1
        assert ProximalStep().agreement(np.nan, 2.0, 3.0) == -6


class TestMetrics:
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("kind", ["scale", "gram"])
    def test_squared_is_the_inverse_of_direction(self, kind, intercept):
        """A step's squared length is step @ pinv(P) @ step: that of P @ gradient is gradient @ P @ gradient."""
        X, y = rows(300, 5)
        objective = objective_of(fastgd.huber_loss, None, y, 3 + X * [1, 100, 1e-3, 7, 1], intercept)
        metric = objective.preconditioner(kind)
        assert isinstance(metric, GramPreconditioner) == (kind == "gram")
        gradient = np.random.default_rng(1).normal(size=5 + intercept)
        direction = metric.direction(gradient)
        assert metric.squared(direction) == pytest.approx(gradient @ direction, rel=1e-8)
        theta = np.arange(5.0 + intercept)
        moved = metric.proximal_step(theta, 0.5, gradient, 0.0)
        assert moved == pytest.approx(theta - 0.5 * direction, rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("intercept", [False, True])
    def test_a_size_is_no_more_than_what_the_step_does_to_predictions(self, intercept):
        """Of columns that nearly determine each other; for any curvature of the loss."""
        X, y = rows(300, 2)
        X = np.c_[X, X[:, 0] * (1 + 1e-9 * np.arange(300))]
        objective = objective_of(fastgd.mse, None, y, X, intercept)
        metric = objective.preconditioner("gram")
        step = np.array([0.5] * intercept + [1e6, 0.0, -1e6])
        change = X @ step[int(intercept):] + 0.5 * intercept
        for curvature in (1.0, 7.0):
            assert metric.over(curvature).size(step) == pytest.approx(np.sqrt(np.mean(change**2)), rel=1e-4)

    def test_over_is_that_of_a_loss_so_many_times_as_curved(self):
        X, y = rows(300, 5)
        gradient = np.random.default_rng(1).normal(size=6)
        for kind in ("scale", "gram"):
            of_huber, of_mse = (objective_of(loss, None, y, X, True).preconditioner(kind)
                                for loss in (fastgd.huber_loss, fastgd.mse))
            assert of_mse.direction(gradient) == pytest.approx(of_huber.direction(gradient) / 2)
            assert of_mse.squared(gradient) == pytest.approx(2 * of_huber.squared(gradient))
            assert of_mse.size(gradient) == of_huber.size(gradient)
