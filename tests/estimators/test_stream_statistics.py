"""The scale of a stream of rows: `partial_fit` of the Huber loss on batches of any size, in any units."""
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from helpers import quiet

from fastgd.estimators import DescentClassifier, DescentRegressor
from fastgd.estimators._stream_statistics import ROWS_OF_A_BLOCK, RunningScale

COEF = np.array([1.0, 2.0, 3.0])


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, X @ COEF + 0.5 + rng.standard_t(3, n)


def streamed(X, y, size, **options):
    model = DescentRegressor(method="sgd", random_state=0, **options)
    for start in range(0, len(y), size):
        model.partial_fit(X[start:start + size], y[start:start + size])
    return model


@pytest.mark.parametrize("size", [1, 3, 5, 6, 14, 50, 500, 4000])
@pytest.mark.parametrize(("unit", "offset"), [(1.0, 0.0), (1e-9, 0.0), (1e12, 0.0), (1.0, 1e5)])
def test_a_stream_reaches_the_batch_fit(size, unit, offset):
    X, y = rows(4000)
    batch = DescentRegressor().fit(X, y)
    model = streamed(X * [1e-3, 1.0, 1e8], y * unit + offset * unit, size)
    assert model.coef_ * [1e-3, 1.0, 1e8] / unit == pytest.approx(batch.coef_, abs=0.05)
    assert model.intercept_ / unit - offset == pytest.approx(batch.intercept_, abs=0.05)
    assert model.scale_ / unit == pytest.approx(batch.scale_, rel=0.06)


def test_units_change_nothing_else():
    """Powers of two are exact, and so the whole stream is scaled."""
    X, y = rows(1000)
    plain, scaled = streamed(X, y, 5), streamed(X * 2.0**20, y * 2.0**-30, 5)
    assert scaled.coef_ * 2.0**50 == pytest.approx(plain.coef_, rel=1e-9)


@pytest.mark.parametrize("options", [
    {"average": False}, {"fit_intercept": False}, {"method": "mini-batch", "batch_size": 4}, {"precondition": None,
                                                                                            "alpha": 0.02}])
def test_other_options(options):
    X, y = rows(4000)
    options = {"method": "sgd", **options}
    model = DescentRegressor(random_state=0, **options)
    for start in range(0, len(y), 5):
        model.partial_fit(X[start:start + 5], y[start:start + 5])
    assert model.coef_ == pytest.approx(COEF, abs=0.25)
    assert model.scale_ == pytest.approx(1.15, abs=0.3)


@pytest.mark.parametrize("size", [1, 5, 50])
def test_outliers_are_bounded_from_the_first_row_on(size):
    X, y = rows(4000)
    y[np.random.default_rng(1).random(len(y)) < 0.1] = 1e6
    y[0] = -1e9
    batch = DescentRegressor().fit(X, y)
    model = streamed(X, y, size)
    assert model.coef_ == pytest.approx(batch.coef_, abs=0.1)
    assert model.scale_ == pytest.approx(batch.scale_, rel=0.1)


def test_weights_count():
    X, y = rows(3000)
    wrong = np.arange(3000) % 2 == 1
    y[wrong] += 100 * X[wrong, 0]
    model = DescentRegressor(method="sgd", random_state=0)
    for start in range(0, 3000, 6):
        part = slice(start, start + 6)
        model.partial_fit(X[part], y[part], np.where(wrong[part], 1e-6, 1.0))
    assert model.coef_ == pytest.approx(COEF, abs=0.15)
    assert model.scale_ == pytest.approx(1.15, abs=0.2)


def test_few_rows_have_no_scale():
    X, y = rows(200)
    model = streamed(X[:13], y[:13], 5)
    assert model.scale_ == np.inf
    least_squares = streamed(X[:13], y[:13], 5, loss="mse")
    assert model.coef_ == pytest.approx(least_squares.coef_, rel=1e-12)
    model.partial_fit(X[13:14], y[13:14])
    assert model.scale_ == pytest.approx(DescentRegressor().fit(X[:14], y[:14]).scale_, rel=0.01)


@quiet
@pytest.mark.parametrize("n", [2, 5, 13])
def test_a_fit_of_few_rows_has_no_bound(n):
    X, y = rows(200)
    model = DescentRegressor(method="sgd", random_state=0).fit(X[:n], y[:n])
    assert model.scale_ == np.inf
    for start in range(n, 200, 5):
        model.partial_fit(X[start:start + 5], y[start:start + 5])
    assert model.scale_ == pytest.approx(1.15, abs=0.4)


def test_a_scale_that_is_given_stays():
    X, y = rows(300)
    assert streamed(X, y, 5, scale=2.5).scale_ == 2.5
    assert streamed(X, y, 5, scale=None).scale_ is None


@pytest.mark.parametrize("y", [np.zeros(300), np.full(300, 7.0), rows(300)[0] @ COEF])
def test_an_exact_fit(y):
    X, _ = rows(300)
    model = streamed(X, y, 5)
    assert model.predict(X) == pytest.approx(y, abs=1e-5)
    assert model.scale_ >= 0


def test_a_model_with_few_rows_can_be_sent_and_its_arrays_filled_anew():
    X, y = rows(400)
    model, buffer = DescentRegressor(method="sgd", random_state=0), np.empty((5, 3))
    for start in range(0, 400, 5):
        buffer[:] = X[start:start + 5]
        model = pickle.loads(pickle.dumps(model)).partial_fit(buffer, y[start:start + 5])
    assert np.array_equal(model.coef_, streamed(X, y, 5).coef_)


def test_labels_of_one_row_at_a_time():
    X, y = rows(2000)
    model = DescentClassifier(method="sgd", random_state=0)
    for start in range(2000):
        model.partial_fit(X[start:start + 1] * [1, 1e5, 1], y[start:start + 1] > 0.5, classes=[False, True])
    assert model.score(X * [1, 1e5, 1], y > 0.5) > DescentClassifier().fit(X, y > 0.5).score(X, y > 0.5) - 0.02


class TestTheEstimate:
    def test_blocks_are_averaged_by_the_rows_that_came_before(self):
        rng = np.random.default_rng(0)
        first, second = rng.random(ROWS_OF_A_BLOCK), 100 * rng.random(2 * ROWS_OF_A_BLOCK)
        running = RunningScale.of(1.0, ROWS_OF_A_BLOCK).update(first, None, 0.0)
        both = running.update(second, None, 0.0)
        start = np.log(0.6744897501960817)
        one = start / 4 + 0.75 * np.log(np.median(first))
        assert running.log_median == pytest.approx(one)
        assert both.log_median == pytest.approx(one / 4 + 0.75 * np.log(np.median(second)))
        assert both.n == 4 * ROWS_OF_A_BLOCK

    def test_where_blocks_are_cut_changes_nothing(self):
        sizes = np.random.default_rng(0).random(3 * ROWS_OF_A_BLOCK)
        whole = parts = RunningScale.of(5.0, 20)
        for start in range(0, len(sizes), ROWS_OF_A_BLOCK):
            whole = whole.update(sizes[start:start + ROWS_OF_A_BLOCK], None, 0.0)
        for size in sizes:
            parts = parts.update(np.array([size]), None, 0.0)
        assert parts.value == whole.value

    def test_weights(self):
        sizes = np.random.default_rng(0).random(ROWS_OF_A_BLOCK)
        heavy = np.where(sizes < 0.1, 1.0, 1e-9)
        found = RunningScale.of(1.0, 1).update(sizes, heavy, 0.0)
        assert np.exp(found.log_median) < 0.12

    def test_rounding_and_infinities_are_no_residuals(self):
        running = RunningScale.of(1.0, 10**6)
        zeros = running.update(np.zeros(ROWS_OF_A_BLOCK), None, 0.0)
        assert zeros.value == pytest.approx(1.0)
        assert len(running.update(np.array([np.inf, np.nan, 1.0]), None, 0.0).sizes) == 1
