"""The shuffle kernel against numpy's own: the same order, and the generator left in the same state."""
import itertools

import numpy as np
import pytest
from helpers import BIT_GENERATORS, DTYPES, same_state

import fastgd
from fastgd._kernels import descent, linear, step
from fastgd._kernels import shuffle as kernels

SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 31, 63, 64, 65, 66, 127, 128, 129, 130, 191, 192, 193, 1000, 4097, 70_000]


def shuffled(values, generator, *pieces):
    kernel = kernels.shuffle["float" if values.dtype == np.float32 else "double"]
    places = [len(values) - 1, *pieces, 0]
    for top, bottom in itertools.pairwise(places):
        kernel(generator.capsule, values, top, bottom)
    return values


@pytest.mark.parametrize("half_word", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", BIT_GENERATORS)
def test_order_and_state_are_those_of_numpy(kind, dtype, half_word):
    for n in SIZES:
        ours, numpys, legacy = kind(n), kind(n), kind(n)
        for generator in (ours, numpys, legacy) if half_word else ():
            np.random.Generator(generator).integers(0, 100, dtype=np.uint32)
        values = np.arange(n, dtype=dtype)
        expected = values.copy()
        np.random.Generator(numpys).shuffle(expected)
        by_legacy = values.copy()
        np.random.RandomState(legacy).shuffle(by_legacy)
        assert np.array_equal(shuffled(values, ours), expected)
        assert np.array_equal(by_legacy, expected)
        assert same_state(ours, numpys)
        assert same_state(legacy, numpys)


@pytest.mark.parametrize("kind", BIT_GENERATORS)
def test_in_pieces_as_in_one(kind):
    whole, parts = kind(3), kind(3)
    expected = shuffled(np.arange(5000.0), whole)
    assert np.array_equal(shuffled(np.arange(5000.0), parts, 4998, 4096, 4095, 4000, 64, 63, 1), expected)
    assert same_state(whole, parts)


def test_two_million_values():
    a, b = np.random.MT19937(0), np.random.MT19937(0)
    expected = np.arange(2_000_000, dtype=np.float32)
    np.random.Generator(b).shuffle(expected)
    assert np.array_equal(shuffled(np.arange(2_000_000, dtype=np.float32), a), expected)
    assert same_state(a, b)


@pytest.mark.parametrize(("top", "bottom"), [(5, 0), (-1, 0), (2, 3), (2, -1)])
def test_bounds_outside_the_array_are_refused(top, bottom):
    with pytest.raises(ValueError, match="out of range"):
        kernels.shuffle["double"](np.random.PCG64(0).capsule, np.zeros(5), top, bottom)


def test_a_call_of_a_descent_shuffles_no_more_than_a_million_at_once():
    """So that Python answers Ctrl-C in the middle of a long shuffle; the next call goes on with it."""
    n, at_once = 2**20 + 100, 2**20
    alphas, thetas = np.full(3, 0.1), np.empty(3)
    y, generator = np.zeros(n), np.random.PCG64(0)
    stochastic = fastgd.grad_mse.version(descent.stochastic, y.dtype)
    visits, steps = kernels.Visits(generator.capsule, n, 1), step.NumberSteps(1.0, 0.0, False)
    assert stochastic(fastgd.grad_mse.kernel, y, visits, steps, alphas, thetas) == (0, False)
    assert (visits.swaps, steps.theta) == (n - 1 - at_once, 1.0)
    assert stochastic(fastgd.grad_mse.kernel, y, visits, steps, alphas, thetas) == (3, False)
    assert (visits.swaps, visits.position, steps.theta) == (0, 3, thetas[2])

    X, order, visits = np.ones((n, 1)), np.arange(n), kernels.Visits(generator.capsule, n, 1)
    steps = step.ArraySteps(np.ones(1), np.ones(1), np.empty((2, 1)), 0.0, False)
    on_rows = fastgd.grad_mse.version(linear.stochastic, X.dtype)
    arguments = (fastgd.grad_mse.kernel, X, linear.RowTargets(y, False), order, visits, steps, alphas,
                 thetas.reshape(3, 1))
    assert on_rows(*arguments) == (0, False)
    assert visits.swaps == n - 1 - at_once
    assert on_rows(*arguments) == (3, False)
