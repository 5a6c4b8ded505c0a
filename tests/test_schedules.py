import decimal
import functools
import pickle

import numpy as np
import pytest
from helpers import course_sgd, quiet, rows, sgd

import fastgd
from fastgd import ConvergenceWarning, minimize, reference, schedules
from fastgd.schedules import as_rates, constant, cosine, exponential_decay, inverse_scaling, step_decay

FORMULAS = [
    (constant(0.3), lambda t: 0.3 + 0 * t),
    (inverse_scaling(0.5), lambda t: 0.5 / (1 + t) ** 0.5),
    (inverse_scaling(0.5, 1.0), lambda t: 0.5 / (1 + t)),
    (inverse_scaling(2.0, power_t=0.75), lambda t: 2.0 / (1 + t) ** 0.75),
    (inverse_scaling(2.0, power_t=0), lambda t: 2.0 + 0 * t),
    (exponential_decay(0.5, 0.9999), lambda t: 0.5 * 0.9999 ** t),
    (exponential_decay(0.5, gamma=1), lambda t: 0.5 + 0 * t),
    (step_decay(0.5), lambda t: 0.5 * 0.1 ** (t // 1000)),
    (step_decay(0.5, gamma=0.99, step_size=3), lambda t: 0.5 * 0.99 ** (t // 3)),
    (cosine(0.5, T_max=50_000), lambda t: 0.25 * (1 + np.cos(np.pi * np.minimum(t, 50_000) / 50_000))),
    (cosine(0.5, 100, eta_min=0.1), lambda t: 0.1 + 0.2 * (1 + np.cos(np.pi * np.minimum(t, 100) / 100))),
]


def test_every_schedule_is_tested():
    assert {type(schedule).__name__ for schedule, _ in FORMULAS} == set(schedules.__all__)


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=lambda value: repr(value)[:40])
class TestSchedules:
    def test_formula(self, schedule, formula):
        ts = np.unique([*range(5000), *np.geomspace(1, 1e5, 3000).astype(int), 16_383, 16_384, 32_768])
        assert np.allclose(schedule(ts), formula(ts.astype(float)), rtol=1e-13, atol=1e-15)

    def test_chunks_have_the_bits_of_single_calls(self, schedule, formula):
        rates = as_rates(schedule)
        for start, count in ((0, 70), (1000, 3000), (16_300, 200), (49_990, 20), (1_000_003, 50)):
            chunk = rates(start, count)
            assert chunk.tolist() == [schedule(t) for t in range(start, start + count)]

    def test_is_a_value(self, schedule, formula):
        assert pickle.loads(pickle.dumps(schedule)) == schedule
        assert eval(repr(schedule), vars(schedules)) == schedule
        assert hash(pickle.loads(pickle.dumps(schedule))) == hash(schedule)
        assert sum(schedule == other for other, _ in FORMULAS) == 1
        with pytest.raises(AttributeError, match="'eta0'"):
            schedule.eta0 = 1.0
        assert type(schedule(3)) is float
        assert schedule(np.array([[1, 2]])).shape == (1, 2)

    def test_in_a_descent(self, schedule, formula):
        y = np.random.default_rng(0).normal(15, 3, 50)
        try:
            expected = reference.minimize(None, reference.grad_huber_loss, y, schedule, False)
            result = minimize(None, fastgd.grad_huber_loss, y, schedule, False, full_output=True)
        except ConvergenceWarning:
            return
        assert result.x == expected

    def test_refuses_what_is_not_a_count(self, schedule, formula):
        for t in (-1, 0.5, "1", None, np.nan, np.inf, 2**63, 1e19):
            with pytest.raises(ValueError, match="whole number"):
                schedule(t)


@pytest.mark.parametrize("make", [
    lambda: constant(0), lambda: constant(-1), lambda: constant("a"), lambda: inverse_scaling(0.1, -1),
    lambda: exponential_decay(0.1, 0), lambda: exponential_decay(0.1, 1.1), lambda: step_decay(0.1, 0.5, 0),
    lambda: step_decay(0.1, 0.5, 2.5), lambda: cosine(0.1, 0), lambda: cosine(0.1, 10, 0.2),
    lambda: cosine(0.1, 10, -1)])
def test_parameters_out_of_range(make):
    with pytest.raises((TypeError, ValueError), match=r"eta0|power_t|gamma|step_size|T_max|eta_min"):
        make()


class TestOwnFunctions:
    @pytest.mark.parametrize("function", [
        lambda t: 0.5 / (1 + t),
        lambda t: 0.1 if t < 10 else 0.01,
        lambda t: max(0.01, 0.5 / (1 + t)),
        lambda t: 0.2,
        lambda t: np.where(t < 5, 0.3, 0.1),
        lambda t: [0.1, 0.2][int(t) % 2],
        lambda t: np.float32(0.25),
    ])
    def test_any_function_of_t(self, function, five_points):
        rates = as_rates(function)
        for start, count in ((0, 10), (10, 100), (64, 20), (1000, 3)):
            got = rates(start, count).tolist()
            assert got == [float(function(t)) for t in range(start, start + len(got))]
            assert got
        expected = reference.minimize(None, reference.grad_mse, five_points, function, False)
        assert minimize(None, fastgd.grad_mse, five_points, function, False) == expected

    @pytest.mark.parametrize(("function", "error", "words"), [
        (lambda t: -0.1, ValueError, r"'alpha\(0\)'.*\[0, inf\).* -0.1"),
        (lambda t: -0.1 * t, ValueError, r"'alpha\(1\)' parameter .* Got -0.1"),
        (lambda t: np.nan if t == 3 else 0.1, ValueError, r"'alpha\(3\)' parameter .* Got nan"),
        (lambda t: np.where(t == 70, np.inf, 1e-9), ValueError, r"'alpha\(70\)' parameter .* Got array\(inf\)"),
        (lambda t: "0.1", TypeError, r"'alpha\(0\)'.*real number"),
        (lambda t: None, TypeError, r"'alpha\(0\)'.*real number"),
        (lambda: 0.1, TypeError, "positional argument"),
    ])
    def test_bad_rates(self, function, error, words, five_points):
        with pytest.raises(error, match=words):
            minimize(None, fastgd.grad_mse, five_points, function, False, tol=0)

    def test_an_error_of_its_own_is_raised(self, five_points):
        with pytest.raises(ZeroDivisionError):
            minimize(None, fastgd.grad_mse, five_points, lambda t: 1 / 0, False)


@quiet
def test_a_function_of_t_that_is_asked_ahead(five_points):
    """What it does beyond the last update, and what arrays make of it, changes nothing."""
    table = np.full(20, 0.2)
    assert minimize(None, fastgd.grad_mse, five_points, lambda t: table[t], False) == 14.658511131035242
    for function in (lambda t: 0.3 / t if np.any(t) else 0.3, lambda t: 0.4 / (1 + t - np.min(t))):
        y = np.random.default_rng(0).normal(15, 3, 50)
        assert minimize(None, fastgd.grad_abs_loss, y, function, False, tol=0.01) == reference.minimize(
            None, reference.grad_abs_loss, y, function, False, tol=0.01)
    calls = []
    with pytest.warns(ConvergenceWarning):
        minimize(None, fastgd.grad_mse, five_points, lambda t: calls.append(t) or 1e-9, False, tol=0, max_iter=500)
    singles = [t for t in calls if np.ndim(t) == 0]
    assert singles == list(range(500))


@pytest.mark.parametrize("schedule", [
    constant(0.2), exponential_decay(0.2, 1.0), step_decay(0.2, gamma=1), step_decay(0.2, 0.5, 2**62),
    inverse_scaling(0.2, power_t=0), cosine(0.2, 10, eta_min=0.2)])
def test_a_schedule_that_never_falls_is_a_constant_rate(schedule):
    """The cycle is found where that of the number is, and not after max_iter updates."""
    for alpha in (0.2, schedule):
        with pytest.warns(ConvergenceWarning, match="update 66 .*-0.1 and 0.1"):
            result = minimize(fastgd.abs_loss, fastgd.grad_abs_loss, [0.0], alpha, False, theta0=0.1, full_output=True)
        assert (result.status, result.nit) == (2, 66)
        with pytest.warns(ConvergenceWarning, match="repeats"):
            many = fastgd.minimize_multistart(fastgd.abs_loss, None, [0.0], [0.05, 0.1], alpha=alpha)
        assert [run.nit for run in many.runs] == [66, 66]


@pytest.mark.parametrize("schedule", [
    inverse_scaling(0.2, 1e-9), exponential_decay(0.2, 1 - 2.0**-53), step_decay(0.2, 1 - 2.0**-53, 2**52),
    cosine(0.2, 2**40), cosine(0.2, 1)])
def test_a_schedule_that_falls_late_is_none(schedule):
    assert not as_rates(schedule).is_constant


@pytest.mark.parametrize("make", [
    lambda: inverse_scaling(1e-300, 3), lambda: exponential_decay(0.5, 0.1), lambda: step_decay(0.5, 0.1, 3),
    lambda: cosine(1e-308, 1000), lambda: cosine(0.5, 1000)])
def test_a_rate_that_falls_below_the_smallest_float_is_0_whatever_seterr_says(make):
    ts = np.arange(40_000)
    expected = make()(ts)
    with np.errstate(all="raise"):
        schedule = make()
        assert np.array_equal(schedule(ts), expected)
        assert np.array_equal(as_rates(schedule)(0, len(ts)), expected)
        with pytest.raises(ValueError, match="whole number"):
            schedule(np.nan)


def test_tiny_rates_of_a_function_whatever_seterr_says():
    with np.errstate(all="raise"):
        rates = as_rates(lambda t: 1e-305 + 0 * t)
        assert rates(0, 64).tolist() == [1e-305] * 64
        assert rates(64, 1000).tolist() == [1e-305] * 1000    # asked for by an array


@pytest.mark.parametrize(("make", "words"), [
    (lambda: exponential_decay(0.1, -1), r"'gamma'.*\(0, 1\].* -1\b"),
    (lambda: step_decay(0.1, 1.5), r"'gamma'.*\(0, 1\].* 1\.5"),
    (lambda: cosine(0.1, 10, -1), r"'eta_min'.*\[0, 0\.1\].* -1\b"),
    (lambda: cosine(0.1, 10, 0.2), r"'eta_min'.*\[0, 0\.1\].* 0\.2"),
    (lambda: constant(-1), r"'eta0'.*\(0, inf\).* -1\b")])
def test_the_range_that_is_named_is_the_whole_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_never_more_rates_than_were_asked_for(five_points):
    """Arrays are taken at first and fail later, where single ones still do."""
    def function(t):
        if np.ndim(t) and t.max() >= 90:
            raise IndexError
        return 1e-9 + 0 * t

    rates = as_rates(function)
    assert len(rates(0, 100)) == 64
    assert len(rates(64, 20)) == 20
    assert len(rates(84, 16)) == 16
    with pytest.warns(ConvergenceWarning, match="100 updates"):
        minimize(None, fastgd.grad_mse, five_points, function, False, tol=0, max_iter=100)


def test_a_rate_that_falls_to_zero_is_no_convergence(five_points):
    with pytest.warns(ConvergenceWarning, match="learning rate.* 0 "):
        result = minimize(fastgd.mse, fastgd.grad_mse, five_points, cosine(0.01, 5), False, full_output=True)
    assert (result.success, result.status) == (False, 4)


def test_a_changing_rate_is_no_cycle():
    with pytest.warns(ConvergenceWarning, match="1000 updates"):
        minimize(fastgd.mse, fastgd.grad_mse, [1.0], lambda t: 1.0, False, max_iter=1000)


def test_powers_too_large_for_the_series_are_exact():
    assert inverse_scaling(1.0, 1e300)(10**6) == 0
    assert inverse_scaling(0.5, 20.0)(10**6) == pytest.approx(0.5 / (1 + 10.0**6) ** 20, rel=1e-14)


@pytest.mark.parametrize(("power", "within"), [(0.5, 5e-16), (0.75, 5e-16), (1.0, 5e-16), (2.5, 1e-15), (4.0, 2e-15)])
def test_the_series_keeps_all_digits(power, within):
    ts = np.r_[0:5000, 10**6:10**6 + 3000, 10**12:10**12 + 100]
    exact = [float(1 / (1 + decimal.Decimal(t)) ** decimal.Decimal(power)) for t in ts.tolist()]
    assert np.abs(inverse_scaling(1.0, power)(ts) / exact - 1).max() < within


@pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(64, 64 + 13))
def test_a_bad_rate_is_found_at_any_place_of_an_array(place, bad):
    rates = as_rates(lambda t: np.where(t == place, bad, 0.1))
    assert rates(0, 64).tolist() == [0.1] * 64
    if place > 64:
        assert rates(64, 13).tolist() == [0.1] * (place - 64)
    with pytest.raises(ValueError, match=rf"'alpha\({place}\)' parameter"):
        rates(place, 13)


@pytest.mark.parametrize("make", [cosine, lambda eta0, t: step_decay(eta0, 0.5, t)])
def test_counts_too_large_for_a_float(make):
    with pytest.raises(ValueError, match="at most"):
        make(0.5, 10**400)


def test_a_function_that_gives_arrays_other_rates_is_asked_one_by_one():
    def function(t):
        return 0.1 * (1 + 1e-9 * (np.ndim(t) > 0)) + 0 * t

    rates = as_rates(function)
    assert rates(0, 64).tolist() == [0.1] * 64
    assert set(rates(64, 1000).tolist()) == {0.1}


class TestAWarmUpFromZero:
    """The first updates move nothing, which is not to end the run."""

    @pytest.mark.parametrize("warm_up", [lambda t: min(0.2, 0.02 * t), lambda t: 0.2 if t >= 100 else 0.0])
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_batch_descent_is_the_reference(self, source, warm_up, five_points):
        result = minimize(None, source.grad_mse, five_points, warm_up, False, full_output=True)
        assert result.success
        assert result.x == reference.minimize(None, reference.grad_mse, five_points, warm_up, False)
        assert result.x == pytest.approx(14.66, abs=0.01)

    def test_stochastic_descent_is_the_reference(self, five_points):
        for size in (None, 2):
            with pytest.warns(ConvergenceWarning):
                result = sgd("mse", five_points, size, lambda t: min(0.1, 0.02 * t), rng=0, full_output=True)
            assert result.x == course_sgd("mse", five_points, size, lambda t: min(0.1, 0.02 * t), rng=0)
            assert result.nit > 10

    def test_rows(self):
        X, y = rows()
        result = minimize(fastgd.huber_loss, None, y, lambda t: min(0.5, 0.05 * t), False, X=X, tol=1e-6,
                          full_output=True)
        assert result.success
        assert np.abs(result.jac).max() < 1e-5

    def test_the_loss_and_the_epochs_may_stand_still_too(self, five_points):
        result = minimize(fastgd.mse, None, five_points, lambda t: min(0.2, 0.02 * t), False, stop="loss", tol=1e-9,
                          full_output=True)
        assert result.x == pytest.approx(14.66, abs=1e-3)
        result = sgd("mse", five_points, None, lambda t: 0.0 if t < 10 else 0.5 / (1 + t), rng=0, stop="epoch",
                     full_output=True)
        assert result.nit > 10
        assert result.x == pytest.approx(14.66, abs=0.5)


@pytest.mark.parametrize("name", ["constant", "inverse_scaling", "exponential_decay", "step_decay", "cosine"])
def test_a_class_in_place_of_a_schedule_is_to_be_called(name):
    with pytest.raises(TypeError, match=rf"class {name}.*alpha={name}\("):
        fastgd.minimize(fastgd.mse, None, [1.0, 2.0], getattr(fastgd.schedules, name), False)


@pytest.mark.parametrize("exponent", [42, 43, 44, 50, 52])
def test_inverse_scaling_of_very_many_updates(exponent):
    rate = fastgd.schedules.inverse_scaling(0.3, 1.0)
    for t in (2**exponent - 1, 2**exponent, 2**exponent + 12_345):
        assert rate(t) == pytest.approx(0.3 / (1 + t), rel=1e-15)


@pytest.mark.parametrize("alpha", [lambda t: schedules.inverse_scaling(0.2),
                                   functools.partial(schedules.inverse_scaling, 0.2)])
def test_a_function_that_makes_a_schedule_is_no_learning_rate(alpha):
    with pytest.raises(TypeError, match=r"alpha\(0\) is inverse_scaling\(eta0=0.2"):
        fastgd.minimize(fastgd.mse, None, [1.0, 2.0], alpha, False)


def test_a_stop_iteration_in_a_learning_rate_ends_no_run():
    with pytest.raises(RuntimeError, match=r"alpha\(0\) raised StopIteration"):
        fastgd.minimize(fastgd.mse, None, [1.0, 2.0], lambda t: next(iter([])), False)
