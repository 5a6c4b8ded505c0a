import re

import numpy as np
import pandas as pd
import pytest

import fastgd
from fastgd._checks import check_count, check_dataset, check_number

REFUSED = {
    "None": (None, "real numbers, got an object of type NoneType"),
    "a 0-d array": (np.array(3.0), r"1d array, got an array of shape \(\)"),
    "text": ("12", "an object of type str"),
    "a list of text": (["1", "2"], "got text of dtype <U1"),
    "a text column": (pd.Series(["a", "b"]), "1d array of real numbers"),
    "bytes": (np.array([b"1"]), "got text of dtype"),
    "2-D": (np.ones((3, 2)), r"1d array, got an array of shape \(3, 2\)"),
    "a column vector": (np.ones((3, 1)), r"1d array, got an array of shape \(3, 1\)"),
    "a DataFrame": (pd.DataFrame({"a": [1.0]}), r"1d array, got an array of shape \(1, 1\)"),
    "ragged": ([[1.0], [2.0, 3.0]], "1d array of real numbers"),
    "empty": ([], r"0 sample\(s\)"),
    "empty array": (np.array([], dtype=np.float32), r"0 sample\(s\)"),
    "complex": ([1 + 2j], "Complex data not supported"),
    "object": (np.array([1.0, None]), "dtype object"),
    "dates": (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64"),
    "durations": (np.array([1], dtype="m8[s]"), "timedelta64"),
    "categories": (pd.Series(["a"], dtype="category"), "object|str"),
    "a set": ({1.0, 2.0}, "type set"),
    "a generator": ((x for x in (1.0, 2.0)), "type generator"),
    "a dict": ({"a": 1.0}, "type dict"),
    "masked": (np.ma.masked_array([1.0, 2.0], [False, True]), "masked array"),
    "a record": (np.zeros(2, dtype=[("a", float)]), "1d array of real numbers"),
    "NaN": ([1.0, np.nan], "Input dataset contains NaN."),
    "a missing value": (pd.Series([1, None], dtype="Int64"), "Input dataset contains NaN."),
    "infinity": ([1.0, -np.inf], r"contains infinity or a value too large for dtype\('float64'\)"),
    "too large": (np.array([np.longdouble("1e400")]), "contains infinity or a value too large"),
    "float32 infinity": (np.array([np.inf], np.float32), r"dtype\('float32'\)"),
}

CALLS = {
    "minimize": lambda y: fastgd.minimize(fastgd.mse, fastgd.grad_mse, y, progress=False),
    "minimize in Python": lambda y: fastgd.minimize(never_called, never_called, y, progress=True),
    "simple_minimize": lambda y: fastgd.simple_minimize(fastgd.mse, y, [1.0]),
    "loss": lambda y: fastgd.mse(1.0, y),
    "gradient": lambda y: fastgd.grad_abs_loss(1.0, y),
    "curve": lambda y: fastgd.huber_loss.curve([1.0], y),
}


def never_called(theta, dataset):
    raise AssertionError("something was computed before the data was checked")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_a_dataset(call, what):
    values, words = REFUSED[what]
    if what == "a generator":
        values = (x for x in (1.0, 2.0))
    with pytest.raises((TypeError, ValueError), match=words):
        CALLS[call](values)


def test_one_number_is_a_point_to_a_loss_and_no_dataset_to_a_descent():
    for point in (5.0, 5, np.float64(5), np.float32(5), np.int64(5)):
        assert fastgd.mse(3.0, point) == 4.0
        assert fastgd.grad_huber_loss(3.0, point) == -1.0
        with pytest.raises(ValueError, match="1d array"):
            fastgd.minimize(fastgd.mse, fastgd.grad_mse, point, progress=False)
    with pytest.raises(ValueError, match="contains NaN"):
        fastgd.mse(3.0, np.nan)


def test_the_offending_object_is_named():
    with pytest.raises(TypeError, match="with None of type NoneType at position 1"):
        fastgd.mse(0, [1.0, None])
    with pytest.raises(TypeError, match="'x' of type str at position 2"):
        fastgd.mse(0, np.array([1.0, 2, "x"], dtype=object))


def test_no_copy_where_none_is_needed(tmp_path):
    for dtype in (np.float64, np.float32):
        y = np.arange(5, dtype=dtype)
        assert check_dataset(y) is y
        series = pd.Series(y)
        assert np.shares_memory(check_dataset(series), series.to_numpy())
        mapped = np.memmap(tmp_path / dtype.__name__, dtype, "w+", shape=5)
        mapped[:] = y
        assert np.shares_memory(check_dataset(mapped), mapped)
        assert type(check_dataset(mapped)) is np.ndarray


def test_floats_that_are_finite_although_their_sum_is_not():
    assert check_dataset(np.full(100, 1e308)).size == 100
    assert check_dataset(np.full(100, 3e38, np.float32)).size == 100


def test_large_data_is_looked_at_to_the_end():
    y = np.zeros(2**22 + 5)
    assert check_dataset(y) is y
    y[-1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        check_dataset(y)
    ints = np.arange(2**22 + 5, dtype=np.int32)
    assert np.array_equal(check_dataset(ints), ints)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int8(1), np.array(0.5), pd.Series([0.5]).iloc[0]])
def test_numbers(value):
    number = check_number(value, "alpha", low=0)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize("value", [
    None, "0.5", True, np.True_, [0.5], np.array([0.5]), 1j, {}, np.datetime64("2020-01-01"), np.ma.masked])
def test_what_is_not_a_number(value):
    with pytest.raises(TypeError, match=f"'alpha' parameter must be a real number. Got {re.escape(repr(value))}"):
        check_number(value, "alpha", low=0)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, 10**400])
def test_numbers_out_of_range(value):
    with pytest.raises(ValueError, match=re.escape("[0, inf)")):
        check_number(value, "tol", low=0)
    with pytest.raises(ValueError, match=re.escape("(0, inf)")):
        check_number(0, "alpha", low=0, inclusive=False)


def test_counts():
    assert check_count(np.int32(3), "max_iter") == 3
    for value in (1.0, "3", None, True, np.True_, np.float64(3)):
        with pytest.raises(TypeError, match="'max_iter' parameter must be an int"):
            check_count(value, "max_iter")
    for value in (0, -1):
        with pytest.raises(ValueError, match=re.escape("in the range [1, inf)")):
            check_count(value, "max_iter")
    with pytest.raises(ValueError, match="at most 9223372036854775807"):
        check_count(10**400, "max_iter")
