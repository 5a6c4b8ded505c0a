"""What must hold when much is asked at once: no leak, no state, and after any accident the oracle's bits."""
import contextlib
import gc
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import in_threads

import fastgd
from fastgd import (
    ConvergenceWarning,
    Huber,
    minimize,
    minimize_mini_batch,
    minimize_multistart,
    minimize_sgd,
    reference,
)
from fastgd._kernels import descent, gram, linear, losses, mean, schedules, shuffle, step
from fastgd.losses import REGISTRY

Y = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
OPTIONS = {"rng": 0, "tol": 0, "max_epochs": 2}


def fail(*_):
    raise ZeroDivisionError("mine")


# A right and a wrong call of each function; those that are made of others follow from these.
CALLS = [call for loss in [*REGISTRY.values(), Huber(0.5)] for call in (
    lambda loss=loss: loss(1.0, Y), lambda loss=loss: loss.gradient(1.0, Y), lambda loss=loss: loss.curve([1, 2], Y),
    lambda loss=loss: loss(1.0, [np.nan]), lambda loss=loss: loss.gradient(None, Y),
    lambda loss=loss: loss.curve([], Y))] + [
    lambda: minimize(fastgd.mse, fastgd.grad_mse, Y, progress=False, max_iter=5, full_output=True),
    lambda: minimize(None, fastgd.grad_mse, Y, progress=False),
    lambda: minimize(None, fastgd.grad_mse, Y, 3.0, progress=False),
    lambda: minimize(None, fastgd.grad_mse, Y, progress=False, callback=fail),
    lambda: minimize(None, fail, Y, progress=False),
    lambda: minimize(None, fastgd.grad_mse, np.ones((2, 2)), progress=False),
    lambda: minimize_sgd(None, fastgd.grad_mse, Y, **OPTIONS),
    lambda: minimize_sgd(None, fastgd.grad_mse, Y, in_place="x", rng="x"),
    lambda: minimize_sgd(None, fail, Y, **OPTIONS),
    lambda: minimize_mini_batch(None, fastgd.grad_abs_loss, Y, 2, lambda t: 1 / (1 + t), **OPTIONS),
    lambda: minimize_mini_batch(fastgd.mse, fastgd.grad_mse, Y, 2, callback=fail, **OPTIONS),
    lambda: minimize_mini_batch(None, fastgd.grad_mse, Y, 5),
    lambda: minimize_multistart(fastgd.mse, fastgd.grad_mse, Y, [1, 20], max_iter=3),
    lambda: minimize_multistart(fail, fastgd.grad_mse, Y, [1, 20]),
    lambda: fastgd.simple_minimize(fastgd.mse, Y, [14, 15]),
    lambda: fastgd.simple_minimize(fail, Y, [14, 15]),
    lambda: fastgd.check_gradient(fastgd.mse, fastgd.grad_mse, Y, [14.0]),
    lambda: fastgd.check_gradient(fastgd.mse, fail, Y, [14.0]),
    lambda: fastgd.is_convex(fail, Y, (0, 1)),
    lambda: fastgd.schedules.cosine(0.2, 10)(5),
    lambda: fastgd.schedules.inverse_scaling(0.2)("x"),
    lambda: Huber("x"),
]


def call_all(times):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(times):
            for call in CALLS:
                with contextlib.suppress(TypeError, ValueError, ArithmeticError):
                    call()
    gc.collect()


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def counted():
    # Not None: from Python 3.12 on it is immortal, and its count, to which a wheel for 3.11 still adds, says nothing.
    shared = [Y, fastgd.mse, fastgd.mse.kernel, fastgd.grad_mse, Huber, fail, ZeroDivisionError, *CALLS]
    return sys.getallocatedblocks(), sum(map(sys.getrefcount, shared))


def test_no_leak_over_20_000_calls():
    times, counts = 20_000 // len(CALLS) + 1, []
    for _ in range(4):
        call_all(times)
        counts.append(counted())
    # One lost by one of the calls would be `times` of them in every turn; caches grow in the first ones.
    lost = np.abs(np.diff(counts, axis=0)).min(axis=0)
    assert (lost < times // 3).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer keeps what was freed")
def test_no_memory_is_lost_by_large_calls():
    y = np.random.default_rng(0).normal(15, 3, 100_000)

    def calls():
        for _ in range(20):
            minimize_sgd(None, fastgd.grad_huber_loss, y, 0.1, rng=0, tol=0, max_epochs=1, average=True)
            fastgd.mse.curve(np.arange(100.0), y[:1000])
            with pytest.raises(ZeroDivisionError):
                minimize_sgd(fastgd.mse, fastgd.grad_mse, y, callback=fail, rng=0, tol=0, max_epochs=2)
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        calls()
        before = resident()
        calls()
    assert resident() - before < 4 * y.nbytes    # of 40 copies


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", REGISTRY)
def test_one_loss_from_8_threads(name, dtype):
    y = np.random.default_rng(0).random(20_000).astype(dtype)
    thetas = np.linspace(0, 1, 20)
    known = REGISTRY[name]
    expected = [known(0.3, y), known.gradient(0.3, y), *known.curve(thetas, y), *known.gradient.curve(thetas, y)]
    loss = type(known)()    # a new one, that has not looked up its kernels yet

    def work(k):
        return [[loss(0.3, y), loss.gradient(0.3, y), *loss.curve(thetas, y), *loss.gradient.curve(thetas, y)]
                for _ in range(10)]

    assert in_threads(8, work) == [[expected] * 10] * 8


def test_many_descents_in_threads_at_once(pcttip):
    def work(k):
        with np.errstate(all="ignore"):
            loss = list(REGISTRY.values())[k % len(REGISTRY)]
            y = pcttip.astype(np.float32 if k % 3 else np.float64) / 20
            settings = {"alpha": 1e-3, "rng": k, "max_epochs": 3, "tol": 0}
            return [minimize(None, loss.gradient, y, 1e-3, progress=False, max_iter=300, tol=0),
                    minimize_sgd(None, loss.gradient, y, **settings),
                    minimize_mini_batch(None, loss.gradient, y, 10, **settings),
                    minimize_multistart(loss, None, y, [0.0, 2.0], 1e-3, max_iter=50).x]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = [work(k) for k in range(24)]
        assert in_threads(24, work) == expected


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_a_generator_shared_by_threads_stays_whole(pcttip):
    rng = np.random.default_rng(0)

    def work(k):
        callback = fail if k % 2 else None
        with pytest.raises(ZeroDivisionError) if callback else contextlib.nullcontext():
            minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip, rng=rng, tol=0, max_epochs=5, callback=callback)
        return "done"

    assert in_threads(8, work) == ["done"] * 8
    state = rng.bit_generator.state
    ours = minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip, rng=rng, tol=0, max_epochs=2)
    rng.bit_generator.state = state
    assert ours == reference.minimize_sgd(None, reference.grad_mse, pcttip, rng=rng, tol=0, max_epochs=2)


ACCIDENTS = {
    "a callback, batch": lambda y, rng: minimize(fastgd.mse, fastgd.grad_mse, y, progress=False, callback=fail),
    "a loss, shown": lambda y, rng: minimize(fail, fastgd.grad_mse, y),
    "a learning rate": lambda y, rng: minimize_sgd(None, fastgd.grad_mse, y, fail, rng=rng),
    "a callback, SGD": lambda y, rng: minimize_sgd(fastgd.mse, fastgd.grad_mse, y, rng=rng, tol=0, callback=fail),
    "a gradient, SGD": lambda y, rng: minimize_sgd(None, fail, y, rng=rng),
    "a loss, mini-batch": lambda y, rng: minimize_mini_batch(fail, fastgd.grad_mse, y, 10, rng=rng, progress=True),
    "a loss, many starts": lambda y, rng: minimize_multistart(fail, fastgd.grad_mse, y, [1.0, 2.0]),
    "a loss, grid": lambda y, rng: fastgd.simple_minimize(fail, y, [1.0, 2.0]),
    "a loss, chords": lambda y, rng: fastgd.is_convex(fail, y, (0, 1), rng=rng),
    "a loss, differences": lambda y, rng: fastgd.check_gradient(fail, fastgd.grad_mse, y),
}


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_after_an_accident_the_next_call_is_right(accident, pcttip):
    rng, y = np.random.default_rng(0), pcttip.copy()
    with pytest.raises(ZeroDivisionError, match="mine"):
        ACCIDENTS[accident](y, rng)
    assert np.array_equal(y, pcttip)
    assert rng.bit_generator.lock.acquire(timeout=1)
    rng.bit_generator.lock.release()
    assert minimize(None, fastgd.grad_mse, y, progress=False) == reference.minimize(
        None, reference.grad_mse, y, progress=False)
    assert minimize_sgd(None, fastgd.grad_mse, y, rng=7) == reference.minimize_sgd(None, reference.grad_mse, y, rng=7)


@pytest.mark.parametrize("call", [
    lambda y: fastgd.mse.curve(np.arange(1e5), y),
    lambda y: fastgd.simple_minimize(fastgd.huber_loss, y, np.arange(1e5)),
    lambda y: minimize_multistart(fastgd.mse, None, y, np.arange(50.0), 1e-9, tol=0, max_iter=10**9)])
def test_ctrl_c(call, interrupted):
    y = np.random.default_rng(0).normal(0, 1, 100_000)
    with interrupted():
        call(y)
    assert fastgd.mse.curve([0.0, 1.0], y).tolist() == [fastgd.mse(0.0, y), fastgd.mse(1.0, y)]


KERNELS = [descent, gram, linear, losses, mean, schedules, shuffle, step]


@pytest.mark.parametrize("module", KERNELS, ids=lambda module: module.__name__)
def test_a_kernel_module_is_changed_by_no_call(module):
    before = {name: id(value) for name, value in vars(module).items()}
    call_all(1)
    assert {name: id(value) for name, value in vars(module).items()} == before


def kernels_that_are_handed_too_little():
    loss, gradient = fastgd.mse, fastgd.grad_mse
    y, few, X = np.zeros(9), np.zeros(1), np.zeros((9, 2))
    many = np.zeros(99)
    capsule = np.random.PCG64(0).capsule
    ends = np.zeros(2, np.intp)

    def version(function):
        return gradient.version(function, np.dtype(float))

    def visits(n=9):
        return shuffle.Visits(capsule, n, 1)

    def array_steps(p=2, levels=9):
        return step.ArraySteps(np.zeros(p), np.zeros(p), np.zeros((levels, p)), 0.0, True)

    number, rows, alphas = step.NumberSteps(0.0, 0.0, True), linear.RowTargets(y, False), np.ones(3)
    sums, mean_at, both_at = (loss.version(function, np.dtype(float)) for function in (
        mean.sums, mean.mean_at, mean.both_at))
    rows_sums, two = loss.version(linear.sums, np.dtype(float)), np.zeros(2)
    scratch = np.zeros(gram.scratch_size(9, 2, True))
    batch_of_rows, sgd_of_rows = version(linear.batch), version(linear.stochastic)
    of_one_column = array_steps()
    of_one_column.set_proximal(1.0, 0.0, 0.0, few, few)    # beside an intercept, which the rows have not
    return {
        "sums, out": lambda: sums(loss.kernel, False, y, None, np.zeros(3), True, np.zeros(2), many),
        "sums, scratch": lambda: sums(loss.kernel, False, y, None, np.zeros(3), True, np.zeros(3), two),
        "sums, no points": lambda: sums(loss.kernel, False, y[:0], None, few, True, few, few),
        "sums, no thetas": lambda: sums(loss.kernel, False, y, None, y[:0], True, few, few),
        "sums, weights": lambda: sums(loss.kernel, False, y, y[:8], few, True, few, many),
        "sums, no weights": lambda: sums(loss.kernel, False, y, y[:0], few, True, few, many),
        "mean_at, no points": lambda: mean_at(loss.kernel, False, y[:0], None, 0.0, True),
        "both_at, no points": lambda: both_at(loss.kernel, y[:0], None, 0.0),
        "both_at, weights": lambda: both_at(loss.kernel, y, y[:8], 0.0),
        "mean_at, weights": lambda: mean_at(loss.kernel, False, y, y[:8], 0.0, True),
        "batch, thetas": lambda: version(descent.batch)(loss.kernel, y, number, alphas, np.zeros(2)),
        "batch, no points": lambda: version(descent.batch)(loss.kernel, y[:0], number, alphas, many),
        "batch_many": lambda: version(descent.batch_many)(
            loss.kernel, y, descent.Starts(two, two, two, ends, ends, 0.0), alphas, 0, True, np.zeros(5)),
        "Starts": lambda: descent.Starts(two, two, few, ends, ends, 0.0),
        "stochastic, points": lambda: version(descent.stochastic)(loss.kernel, y, visits(8), number, alphas, many),
        "stochastic, thetas": lambda: version(descent.stochastic)(
            loss.kernel, y, visits(), number, alphas, np.zeros(2)),
        "Visits, no points": lambda: visits(0),
        "Visits, empty batches": lambda: shuffle.Visits(capsule, 9, 0),
        "ArraySteps": lambda: step.ArraySteps(np.zeros(2), np.zeros(3), np.zeros((9, 2)), 0.0, True),
        "ArraySteps, scratch": lambda: step.ArraySteps(two, two, np.zeros((9, 1)), 0.0, True),
        "RowTargets, weights": lambda: linear.RowTargets(y, False, y[:8]),
        "set_proximal, shift": lambda: array_steps().set_proximal(1.0, 0.0, 0.0, few, two),
        "set_proximal, sizes": lambda: array_steps().set_proximal(1.0, 0.0, 0.0, two, few),
        "set_proximal, two fewer": lambda: array_steps(3).set_proximal(1.0, 0.0, 0.0, few, few),
        "set_proximal, more": lambda: array_steps().set_proximal(1.0, 0.0, 0.0, y[:3], y[:3]),
        "set_proximal, none": lambda: array_steps(1).set_proximal(1.0, 0.0, 0.0, y[:0], y[:0]),
        "sums of rows, range": lambda: rows_sums(loss.kernel, True, False, X, rows, 3, 10, two, two, X),
        "sums of rows, order": lambda: rows_sums(loss.kernel, True, False, X, rows, 3, 3, two, two, X),
        "sums of rows, theta": lambda: rows_sums(loss.kernel, True, False, X, rows, 0, 9, few, two, X),
        "sums of rows, gradient": lambda: rows_sums(loss.kernel, True, False, X, rows, 0, 9, two, few, X),
        "sums of rows, scratch": lambda: rows_sums(loss.kernel, True, False, X, rows, 0, 9, two, two, X[:0]),
        "products of rows, range": lambda: gram.sums(X, two, None, None, 3, 10, np.zeros((3, 3)), scratch),
        "products of rows, order": lambda: gram.sums(X, two, None, None, 3, 3, np.zeros((3, 3)), scratch),
        "products of rows, shift": lambda: gram.sums(X, few, None, None, 0, 9, np.zeros((3, 3)), scratch),
        "products of rows, weights": lambda: gram.sums(X, two, y[:8], None, 0, 9, np.zeros((3, 3)), scratch),
        "products of rows, targets": lambda: gram.sums(X, two, None, y[:8], 0, 9, np.zeros((4, 4)), scratch),
        "products of rows, out": lambda: gram.sums(X, two, None, y, 0, 9, np.zeros((3, 3)), scratch),
        "products of rows, out too wide": lambda: gram.sums(X, two, None, y, 0, 9, np.zeros((4, 5)), scratch),
        "products of rows, scratch": lambda: gram.sums(X, two, y, None, 0, 9, np.zeros((3, 3)), scratch[:-1]),
        "batch of rows, targets": lambda: batch_of_rows(
            loss.kernel, X, linear.RowTargets(y[:8], False), array_steps(), alphas, np.zeros((3, 2))),
        "batch of rows, theta": lambda: batch_of_rows(
            loss.kernel, X, rows, array_steps(3), alphas, np.zeros((3, 2))),
        "batch of rows, thetas": lambda: batch_of_rows(
            loss.kernel, X, rows, array_steps(), alphas, np.zeros((2, 2))),
        "batch of rows, scratch": lambda: batch_of_rows(
            loss.kernel, X, rows, array_steps(2, 1), alphas, np.zeros((3, 2))),
        "batch_squared, gram": lambda: linear.batch_squared(
            np.zeros((2, 3)), two, array_steps(), alphas, np.zeros((3, 2))),
        "batch_squared, thetas": lambda: linear.batch_squared(
            np.zeros((2, 2)), two, array_steps(), alphas, np.zeros((2, 2))),
        "stochastic on rows, order": lambda: sgd_of_rows(
            loss.kernel, X, rows, np.arange(8), visits(), array_steps(), alphas, np.zeros((3, 2))),
        "stochastic on rows, visits": lambda: sgd_of_rows(
            loss.kernel, X, rows, np.arange(9), visits(8), array_steps(), alphas, np.zeros((3, 2))),
        "stochastic on rows, scratch": lambda: sgd_of_rows(
            loss.kernel, X, rows, np.arange(9), visits(), array_steps(2, 1), alphas, np.zeros((3, 2))),
        "stochastic on rows, thetas": lambda: sgd_of_rows(
            loss.kernel, X, rows, np.arange(9), visits(), array_steps(), alphas, np.zeros((3, 3))),
        "stochastic on rows, proximal": lambda: sgd_of_rows(
            loss.kernel, X, rows, np.arange(9), visits(), of_one_column, alphas, np.zeros((3, 2))),
    }


@pytest.mark.parametrize("name", kernels_that_are_handed_too_little())
def test_a_kernel_refuses_arrays_that_are_too_short(name):
    with pytest.raises(ValueError, match=r"too short|different lengths|out of range|other columns"):
        kernels_that_are_handed_too_little()[name]()
