"""alpha="adaptive" on rows: the steps of the oracle, and what the kernels that make them refuse."""
import numpy as np
import pytest
from helpers import DTYPES, LOSSES, oracle, own, quiet, raw_rows, same_as_the_oracle

import fastgd
from fastgd import huber_loss, minimize, reference
from fastgd._kernels.preconditioner import PreconditionerKernel
from fastgd._kernels.step_size import SpectralStep, workspace_rows
from fastgd.penalties import L1

SMOOTH = [name for name, loss in LOSSES.items() if not loss.kinks]
#: Rounding grows from step to step, as it decides how long the next one is.
UPDATES, REL = (1, 2, 3, 5, 8), 1e-6


@quiet
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("precondition", ["scale", "gram"])
@pytest.mark.parametrize("intercept", [False, True])
def test_updates_of_the_oracle(name, precondition, intercept):
    for dtype in DTYPES:
        X, y, weights = raw_rows(name, dtype=dtype)
        for sample_weight, l1, l2 in ((None, 0, 0), (weights, 0, 0.1), (weights, 0.05 * (precondition == "scale"), 0)):
            for k in UPDATES:
                same_as_the_oracle("minimize", name, y, "adaptive", False, X=X, fit_intercept=intercept, l1=l1, l2=l2,
                                   tol=0, rel=REL, sample_weight=sample_weight, precondition=precondition, max_iter=k)


@quiet
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("l1", [0, 0.3])
def test_updates_of_the_oracle_where_no_curvature_is_known(intercept, l1):
    X, y, _ = raw_rows("huber_loss")
    for k in UPDATES:
        same_as_the_oracle("minimize", "huber_loss", y, "adaptive", False, X=X, fit_intercept=intercept, l1=l1, tol=0,
                           rel=REL, called=True, max_iter=k)


@quiet
@pytest.mark.parametrize(("name", "theta0"), [
    ("huber_loss", 1e3), ("log_cosh", 1e3), ("log_cosh", -30.0), ("quartic_loss", -30.0), ("quartic_loss", 60.0)])
def test_updates_of_the_oracle_from_afar(name, theta0):
    """Where the bounds on lengths hold, and a step is taken back."""
    X, y, _ = raw_rows(name)
    for called in (False, True):
        for k in (*UPDATES, 14):
            same_as_the_oracle("minimize", name, y, "adaptive", False, X=(X - [3, -50, 0.1]) / [1, 20, 0.01], tol=0,
                               rel=REL, fit_intercept=True, called=called, theta0=theta0, max_iter=k,
                               precondition=None if called else "gram")


def sparse(seed, p):
    """Columns of many scales and with large means, their targets, and a strength of l1 that sets some weights to 0."""
    rng = np.random.default_rng(seed)
    scales = 10.0**rng.uniform(-2, 2, p)
    X = (rng.normal(size=(100, p)) + rng.choice([1, 3, 10])) * scales
    return X, X @ (rng.normal(size=p) / scales) + 2 + rng.normal(size=100), 10.0**rng.uniform(-3, 0) * np.median(scales)


#: Where the loss rises on the way, and where steps bounded by the slope of its smooth part alone would end too soon.
SPARSE = [(585, 3), (607, 3), (612, 3), (15, 6), (27, 6), (114, 6)]


@pytest.mark.parametrize(("seed", "p"), SPARSE)
def test_l1_arrives_where_the_way_is_hard(seed, p):
    X, y, l1 = sparse(seed, p)
    result = minimize(fastgd.mse, None, y, "adaptive", False, X=X, precondition="scale", penalty=L1(l1), tol=1e-9,
                      full_output=True)
    assert result.success
    assert result.nit < 300
    slope = reference.grad_mse(result.x, y, X=X)
    at_0 = result.x == 0
    sizes = np.sqrt(np.mean(X**2, axis=0))
    assert (np.abs(slope) <= l1 + 1e-6 * sizes)[at_0].all()
    assert (np.abs(slope + l1 * np.sign(result.x)) <= 1e-6 * sizes)[~at_0].all()


@quiet
@pytest.mark.parametrize(("seed", "p"), SPARSE)
def test_updates_of_the_oracle_where_the_way_is_hard(seed, p):
    X, y, l1 = sparse(seed, p)
    for k in (*UPDATES, 10):
        same_as_the_oracle("minimize", "mse", y, "adaptive", False, X=X, precondition="scale", l1=l1, tol=0, rel=REL,
                           max_iter=k)


@quiet
@pytest.mark.parametrize("precondition", ["scale", "gram"])
def test_stops_as_the_oracle_does(precondition):
    X, y, _ = raw_rows("log_cosh")
    options = {"X": X, "fit_intercept": True, "precondition": precondition}
    expected = [reference.minimize(oracle("log_cosh", ""), oracle("log_cosh"), y, "adaptive", False, curvature=1,
                                   tol=0, max_iter=k, **options) for k in range(1, 40)]
    for tol in (2.0, 1e-1, 1e-4):
        result = minimize(fastgd.log_cosh, None, y, "adaptive", False, tol=tol, full_output=True, **options)
        assert result.x == pytest.approx(expected[result.nit - 1], rel=1e-3)
        assert np.array_equal(result.x, minimize(fastgd.log_cosh, None, y, "adaptive", False, tol=0,
                                                 max_iter=result.nit, full_output=True, **options).x)


def test_a_gradient_may_come_in_the_same_array_each_time():
    X, y, _ = raw_rows("huber_loss")
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    same = np.empty((4, 2))[:, 0]

    def gradient(theta, X, y):
        same[:] = reference.grad_huber_loss(theta, y, X=X)
        return same

    loss = own(reference.huber_loss)
    options = {"X": X, "fit_intercept": True, "full_output": True, "tol": 1e-9}
    result = minimize(loss, gradient, y, "adaptive", False, **options)
    expected = minimize(loss, own(reference.grad_huber_loss), y, "adaptive", False, **options)
    assert result.success
    assert np.array_equal(result.x, expected.x)
    assert result.x == pytest.approx(minimize(huber_loss, None, y, "adaptive", False, **options).x, abs=1e-7)


class TestKernels:
    def metric(self, p=3, **options):
        return PreconditionerKernel(np.zeros(p), np.ones(p), 1.0, **options)

    def lengths(self, q=4, p=3, measure=None, room=None):
        return SpectralStep(self.metric(p), np.zeros(q), np.zeros(q),
                               np.empty((workspace_rows(), q)) if room is None else room, 1.0, 0.0, measure)

    @pytest.mark.parametrize("options", [
        {"p": 2}, {"p": 5}, {"measure": np.ones(3)}, {"room": np.empty((workspace_rows() - 1, 4))},
        {"room": np.empty((workspace_rows(), 3))}])
    def test_arrays_of_other_lengths(self, options):
        with pytest.raises(ValueError, match="different lengths"):
            self.lengths(**options)

    @pytest.mark.parametrize("call", [
        lambda lengths: lengths.next_step_size(np.ones(3), 0.0), lambda lengths: lengths.step_to(np.ones(5))])
    def test_vectors_of_other_lengths(self, call):
        with pytest.raises(ValueError, match="different lengths"):
            call(self.lengths())

    def test_a_step_before_a_slope(self):
        """It is none, and finite."""
        assert self.lengths().step(1.0) == (0.0, 0.0)

    @pytest.mark.parametrize("slopes", [(1e-170, 0.5e-170), (1e-170, 0.0), (1e-200, 1e-200), (1.0, 0.0)])
    def test_rates_where_squares_underflow_are_numbers(self, slopes):
        lengths = self.lengths()
        for slope in slopes:
            rate, _ = lengths.next_step_size(np.full(4, slope), 0.0)
            assert 0 <= rate < np.inf
            lengths.step(rate)
        assert 0 <= lengths.next_step_size(np.zeros(4), 0.0)[0] < np.inf

    def test_a_step_is_measured_by_the_sizes_that_are_given(self):
        for measure, size in ((None, 1.0), (np.array([1, 0.5, 10.0, 2.0]), 5.0)):
            lengths = self.lengths(measure=measure)
            assert lengths.next_step_size(np.array([0.25, 1.0, -0.5, 0.0]), 0.0) == (1.0, False)
            assert lengths.step(1.0) == (size, 0.25**2 + 1 + 0.25)

    @pytest.mark.parametrize("far", [np.nan, np.inf, 1e3])
    def test_a_step_to_where_it_is_far_steeper_is_taken_back(self, far):
        theta = np.zeros(2)
        lengths = SpectralStep(self.metric(2), theta, np.zeros(2), np.empty((workspace_rows(), 2)), 1.0, 0.0)
        lengths.next_step_size(np.array([1.0, 1.0]), 0.0)
        lengths.step(1.0)
        assert theta.tolist() == [-1, -1]
        assert lengths.next_step_size(np.array([0.5, far]), 0.0) == (0.1, True)
        assert theta.tolist() == [0, 0]
        assert lengths.step(0.1) == (pytest.approx(0.1), 2.0)
        assert lengths.next_step_size(np.array([0.5, 0.5]), 0.0)[1] is False

    def test_where_weights_shrink_a_step_to_a_higher_loss_is_taken_back_unless_it_is_safe(self):
        lengths = SpectralStep(self.metric(2), np.zeros(2), np.zeros(2), np.empty((workspace_rows(), 2)), 1.0, 0.1)
        assert lengths.next_step_size(np.array([1.0, 0.0]), 5.0) == (1.0, False)
        lengths.step(1.0)
        rate, is_back = lengths.next_step_size(np.array([0.9, 0.0]), 6.0)    # higher, by a step of the first length
        assert rate == pytest.approx(9)
        assert not is_back
        lengths.step(rate)
        assert lengths.next_step_size(np.array([0.5, 0.0]), 6.1) == (1.0, True)    # no less than the first length
        lengths.step(1.0)
        rate, is_back = lengths.next_step_size(np.array([0.8, 0.0]), 6.0)
        assert rate > 1
        assert not is_back
        lengths.step(rate)
        assert not lengths.next_step_size(np.array([0.7, 0.0]), 6.0 * (1 + 1e-13))[1]    # as far as rounding tells

    @pytest.mark.parametrize("places", [9, 10])
    def test_what_is_far_steeper_is_so_than_each_of_the_last_places(self, places):
        lengths = self.lengths()
        for slope in (10.0, *np.linspace(0.09, 0.08, places)):
            rate, _ = lengths.next_step_size(np.full(4, slope), 0.0)
            lengths.step(rate)
        assert lengths.next_step_size(np.full(4, 20.0), 0.0)[1] is (places == 10)

    @pytest.mark.parametrize("arrays", [
        (np.ones(3), np.ones(4), np.ones((2, 4))), (np.ones(2), np.ones(2), np.ones((2, 2))),
        (np.ones(5), np.ones(5), np.ones((2, 5))), (np.ones(4), np.ones(4), np.ones((1, 4))),
        (np.ones(4), np.ones(4), np.ones((2, 3)))])
    def test_a_metric_of_other_lengths(self, arrays):
        given, out, room = arrays
        metric = self.metric()
        for call in (metric.direction, metric.measure_step,
                     lambda *_: metric.proximal_step(given, 1.0, given, 0.0, out, room),
                     lambda *_: metric.proximal_step(out, 1.0, given[:-1], 0.0, out, room)):
            with pytest.raises(ValueError, match="different lengths"):
                call(given, out, room)

    @pytest.mark.parametrize("shapes", [((3, 2), 3), ((2, 3), 3), ((4, 3), 4), ((2, 2), 2)])
    def test_a_matrix_of_another_size(self, shapes):
        vectors, factors = map(np.ones, shapes)
        with pytest.raises(ValueError, match="another size"):
            self.metric(vectors=vectors, factors=factors)
        with pytest.raises(ValueError, match="another size"):
            self.metric(vectors=np.ones((3, 3)))

    def test_columns_that_are_none(self):
        with pytest.raises(ValueError, match="different lengths"):
            PreconditionerKernel(np.zeros(0), np.ones(0), 1.0)
        with pytest.raises(ValueError, match="different lengths"):
            PreconditionerKernel(np.zeros(2), np.ones(3), 1.0)
