"""Points as a source: their types and layouts, and what is done to the caller's array."""
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from helpers import DTYPES, EXACT, GRID, descend, quiet, read_only, sgd, targets_for, twins, unaligned

import fastgd
from fastgd import minimize, minimize_sgd, reference, simple_minimize
from fastgd._data import ConstantModelData
from fastgd._data.arrays import normalize_weights
from fastgd.losses import REGISTRY
from fastgd.schedules import inverse_scaling

LAYOUTS = {
    "Series": pd.Series,
    "column": lambda y: pd.DataFrame({"a": y, "b": y})["a"],
    "nullable Series": lambda y: pd.Series(y, dtype="Float32" if y.dtype == np.float32 else "Float64"),
    "strided": lambda y: np.repeat(y, 2)[::2],
    "reversed": lambda y: y[::-1].copy()[::-1],
    "read-only": read_only,
    "byte-swapped": lambda y: y.astype(y.dtype.newbyteorder()),
    "unaligned": unaligned,
    "Fortran row": lambda y: np.asfortranarray(np.stack([y, y]))[0],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", EXACT)
def test_same_bits_in_every_layout(name, layout, dtype):
    y = targets_for(name, np.random.default_rng(2), 999, dtype)
    laid_out = LAYOUTS[layout](y)
    for ours, numpys in twins(name):
        assert ours(14.2, laid_out) == float(numpys(14.2, y))
    assert np.array_equal(np.asarray(laid_out, dtype=dtype), y)


@pytest.mark.parametrize("kind", [
    np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, bool, np.float16, np.longdouble])
@pytest.mark.parametrize("name", EXACT)
def test_other_numbers_become_float64(name, kind):
    y = np.random.default_rng(3).integers(0, 100, 500).astype(kind)
    for ours, numpys in twins(name):
        assert ours(14.2, y) == numpys(14.2, y.astype(np.float64))
        assert ours(14.2, y.astype(float).tolist()) == numpys(14.2, y.astype(np.float64))


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 9, 200, 10_000])
def test_data_that_is_not_finite_is_refused(name, bad, n):
    y = np.full(n, 0.5)
    y[n // 2] = bad
    word = "contains NaN" if np.isnan(bad) else "contains infinity"
    for function in (REGISTRY[name], REGISTRY[name].gradient):
        with pytest.raises(ValueError, match=f"Input dataset {word}"):
            function(0.1, y)
        with pytest.raises(ValueError, match=f"Input dataset {word}"):
            function.curve([0.1, 0.2], y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "places"), [
    (40, range(40)), (15, [0, 14]), (9000, [0, 4095, 4096, 8191, 8192, 8990, 8999])])
def test_a_nan_is_found_at_any_place(n, places, dtype):
    for place in places:
        y = np.ones(n, dtype)
        y[place] = np.nan
        for call in (lambda y: fastgd.mse(1.0, y), lambda y: fastgd.minimize_sgd(None, fastgd.grad_mse, y)):
            with pytest.raises(ValueError, match=f"contains NaN.* {place}"):
                call(y)


def test_data_whose_sum_overflows_is_finite():
    for dtype, large in ((np.float64, 1e308), (np.float32, 3e38)):
        assert fastgd.huber_loss(0.0, np.full(20, large, dtype)) == np.inf
        assert fastgd.grad_huber_loss(0.0, np.full(20, large, dtype)) == -1


def test_batch_descent_reads_read_only_data(five_points):
    before = five_points.copy()
    five_points.flags.writeable = False
    minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False)
    simple_minimize(fastgd.mse, five_points, GRID)
    assert np.array_equal(five_points, before)


@quiet
@pytest.mark.thread_unsafe(reason="tracemalloc")
def test_batch_descent_copies_no_data():
    y = np.random.default_rng(0).normal(15, 3, 10**6)
    tracemalloc.start()
    try:
        descend(fastgd.huber_loss, y, max_iter=5, full_output=True)
        simple_minimize(fastgd.huber_loss, y, GRID)
        fastgd.mse.curve(np.arange(2000.0), y[:1000])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


class TestTheCallersArray:
    @quiet
    @pytest.mark.parametrize("make", [np.array, pd.Series, lambda y: np.repeat(y, 2)[::2], list, np.float32])
    def test_stays_as_it_is(self, make, pcttip):
        y = make(pcttip)
        before = np.array(y)
        sgd("mse", y, rng=0)
        sgd("mse", y, 10, rng=0, source=reference)
        assert np.array_equal(before, np.array(y))

    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_in_place_shuffles_it(self, source, dtype, pcttip):
        y = pcttip.astype(dtype)
        expected = y.copy()
        theta = sgd("mse", y, rng=0, in_place=True, source=source)
        np.random.default_rng(0).shuffle(expected)
        assert theta == sgd("mse", pcttip.astype(dtype), rng=0)
        assert np.array_equal(np.sort(y), np.sort(expected))
        assert not np.array_equal(y, pcttip.astype(dtype))

    @quiet
    def test_in_place_shuffles_as_numpy_does(self, pcttip):
        y, expected = pcttip.copy(), pcttip.copy()
        sgd("mse", y, rng=5, in_place=True, max_epochs=1, tol=0)
        np.random.default_rng(5).shuffle(expected)
        assert np.array_equal(y, expected)

    @pytest.mark.parametrize("make", [
        list, pd.Series, lambda y: y.astype(int), lambda y: np.repeat(y, 2)[::2],
        lambda y: y.astype(y.dtype.newbyteorder()), lambda y: np.lib.stride_tricks.as_strided(y, writeable=False)])
    def test_in_place_needs_an_array_that_can_be_shuffled(self, make, pcttip):
        with pytest.raises(ValueError, match=r"in_place=True.*writable contiguous"):
            minimize_sgd(None, fastgd.grad_mse, make(pcttip), in_place=True)

    @quiet
    @pytest.mark.thread_unsafe(reason="tracemalloc")
    def test_is_copied_once_and_not_at_all_in_place(self):
        y = np.random.default_rng(0).normal(15, 3, 10**6)
        tracemalloc.start()
        try:
            sgd("mse", y, rng=0, tol=0, max_epochs=1)
            assert tracemalloc.get_traced_memory()[1] < y.nbytes + 1_000_000
            tracemalloc.reset_peak()
            sgd("mse", y, 1000, inverse_scaling(0.1), rng=0, tol=0, max_epochs=1, in_place=True)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


class TestWeights:
    def test_have_a_mean_of_one_without_what_weighs_nothing(self):
        y = np.array([1.0, 2.0, 3.0, 4.0])
        weights, (points, places) = normalize_weights(np.array([0.0, 1.0, 0.0, 3.0]), y, np.arange(4))
        assert weights.tolist() == [0.5, 1.5]
        assert points.tolist() == [2, 4]
        assert places.tolist() == [1, 3]

    def test_that_are_equal_are_none(self):
        y = np.array([1.0, 2.0, 3.0])
        assert normalize_weights(None, y) == (None, (y,))
        weights, (points,) = normalize_weights(np.full(3, 0.1), y)
        assert weights is None
        assert points is y
        weights, (points,) = normalize_weights(np.array([0.0, 7.0, 7.0]), y)
        assert weights is None
        assert points.tolist() == [2, 3]

    @pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300])
    def test_may_be_of_any_size(self, scale):
        weights, _ = normalize_weights(np.array([1.0, 2.0, 3.0, 4.0]) * scale * 4e7, np.zeros(4))
        assert weights == pytest.approx([0.4, 0.8, 1.2, 1.6], rel=1e-12)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_are_drawn_with_their_points(self, dtype):
        y = np.random.default_rng(0).permutation(np.arange(1, 10_001)).astype(dtype)
        points = ConstantModelData(y, y, y.astype(float))
        drawn = points.draw(100)
        assert drawn.n == len(drawn.targets) == len(drawn.weights) == 100
        assert drawn.targets.dtype == drawn.weights.dtype == dtype
        assert np.isin(drawn.targets, y).all()
        ratio = drawn.weights / drawn.targets
        assert ratio == pytest.approx(np.full(100, ratio[0]), rel=1e-6)
        assert drawn.weights.mean() == pytest.approx(1, rel=1e-6)
        assert np.array_equal(points.draw(100).targets, drawn.targets)
        assert ConstantModelData(y, y).draw(100).weights is None

    def test_hardly_more_points_than_asked_for_are_all_drawn(self):
        points = ConstantModelData(None, np.arange(200.0))
        assert points.draw(100) is points
        assert points.draw(99) is not points


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", REGISTRY)
def test_a_pass_for_both_has_the_bits_of_one_for_each(name, weighted, dtype):
    rng, loss = np.random.default_rng(3), REGISTRY[name]
    for n in (1, 7, 129, 5003):
        y = targets_for(name, rng, n, dtype)
        points = ConstantModelData(y, y, rng.random(n) if weighted else None)
        value, slope = points.value_and_gradient(loss, 14.2)
        assert (value, slope) == (points.mean(loss, 14.2), points.mean(loss.gradient, 14.2))
        assert points.value_and_gradients(loss, [14.2, 3.0]) == [value, slope, points.mean(loss.gradient, 3.0)]
