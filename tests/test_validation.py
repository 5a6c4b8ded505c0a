import inspect
import re
import tracemalloc
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import fastgd
from fastgd._frames import described, typed_value
from fastgd._random import bit_generator_of
from fastgd._validation import (
    called_at,
    check_count,
    check_dataset,
    check_design,
    check_flag,
    check_number,
    check_option,
    check_shape,
    one_number,
    real_number,
)

REFUSED = {
    "None": (None, "dataset.*NoneType"),
    "a 0-d array": (np.array(3.0), r"dataset.*shape \(\)"),
    "text": ("12", "dataset.*type str"),
    "list of text": (["1", "2"], "dataset.*<U1"),
    "a text column": (pd.Series(["a", "b"]), "dataset.*real numbers"),
    "bytes": (np.array([b"1"]), "dataset.*text of dtype"),
    "2-D": (np.ones((3, 2)), r"dataset.*shape \(3, 2\)"),
    "a column vector": (np.ones((3, 1)), r"dataset.*shape \(3, 1\)"),
    "a DataFrame": (pd.DataFrame({"a": [1.0]}), r"dataset.*shape \(1, 1\)"),
    "ragged": ([[1.0], [2.0, 3.0]], "dataset.*real numbers"),
    "empty": ([], r"0 sample\(s\)"),
    "empty array": (np.array([], dtype=np.float32), r"0 sample\(s\)"),
    "complex": ([1 + 2j], "Complex data not supported"),
    "object": (np.array([1.0, None]), "dtype object"),
    "dates": (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64"),
    "durations": (np.array([1], dtype="m8[s]"), "timedelta64"),
    "categories": (pd.Series(["a"], dtype="category"), "dtype category"),
    "a set": ({1.0, 2.0}, "type set"),
    "a generator": ((x for x in (1.0, 2.0)), "type generator"),
    "a dict": ({"a": 1.0}, "type dict"),
    "masked": (np.ma.masked_array([1.0, 2.0], [False, True]), "masked array"),
    "a record": (np.zeros(2, dtype=[("a", float)]), "dataset.*real numbers"),
    "NaN": ([1.0, np.nan], "dataset.*NaN.*1 of 2 values.*position 1"),
    "a missing value": (pd.Series([1, None], dtype="Int64"), "dataset.*NaN.*1 of 2 values"),
    "infinity": ([1.0, -np.inf], r"dataset.*infinity.*dtype\('float64'\)"),
    "too large": (np.array([np.longdouble("1e400")]), "dataset.*infinity"),
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
    assert fastgd.mse(3.0, np.True_) == fastgd.mse(3.0, True) == 4.0
    for point in (5.0, 5, np.float64(5), np.float32(5), np.int64(5)):
        assert fastgd.mse(3.0, point) == 4.0
        assert fastgd.grad_huber_loss(3.0, point) == -1.0
        with pytest.raises(ValueError, match="1d array"):
            fastgd.minimize(fastgd.mse, fastgd.grad_mse, point, progress=False)
    with pytest.raises(ValueError, match=r"contains NaN\.$"):
        fastgd.mse(3.0, np.nan)


def test_the_offending_object_is_named():
    with pytest.raises(TypeError, match=r"NoneType.*position 1"):
        fastgd.mse(0, [1.0, None])
    with pytest.raises(TypeError, match=r"'x'.*type str.*position 2"):
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
    y[-1] = y[2**22] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*2 of 4194309 values.*position 4194304"):
        check_dataset(y)
    ints = np.arange(2**22 + 5, dtype=np.int32)
    assert np.array_equal(check_dataset(ints), ints)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int8(1), np.array(0.5), pd.Series([0.5]).iloc[0]])
def test_numbers(value):
    number = check_number(value, "alpha", low=0)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize("value", [
    None, "0.5", True, np.True_, [0.5], 1j, {}, np.datetime64("2020-01-01"), np.ma.masked])
def test_what_is_not_a_number(value):
    with pytest.raises(TypeError, match=f"'alpha'.*real number.*{re.escape(repr(value))}"):
        check_number(value, "alpha", low=0)


@pytest.mark.parametrize(("value", "words"), [
    (np.arange(50.0), "an array of shape (50,) and dtype float64"),
    (np.array(3.0), "array(3.)"),
    (pd.Series(np.arange(50.0), name="y"), "a Series of shape (50,) and dtype float64"),
    (pd.DataFrame({"a": [1, 2]}), "a DataFrame of shape (2, 1)"),
    (pd.Index([1, 2]), "an Index of shape (2,) and dtype int64"),
    (list(range(50)), "a list of 50 items"),
    ((1, 2), "(1, 2)"),
    ("x" * 200, "a str"),
    (0.5, "0.5"),
])
def test_a_message_shows_no_data(value, words):
    assert described(value) == words
    text = typed_value(value)
    assert text == (f"{words} of type {type(value).__name__}" if words == repr(value) else words)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, 10**400])
def test_numbers_out_of_range(value):
    with pytest.raises(ValueError, match=re.escape("[0, inf)")):
        check_number(value, "tol", low=0)
    with pytest.raises(ValueError, match=re.escape("(0, inf)")):
        check_number(0, "alpha", low=0, inclusive=False)


def test_the_range_that_is_named_has_both_its_ends():
    assert check_number(1, "gamma", low=0, inclusive=False, high=1, high_inclusive=True) == 1.0
    assert check_number(0, "x", low=0, high=1) == 0.0
    for value, ends, words in (
        (0, {"low": 0, "inclusive": False, "high": 1, "high_inclusive": True}, "(0, 1]"),
        (2, {"low": 0, "inclusive": False, "high": 1, "high_inclusive": True}, "(0, 1]"),
        (-1, {"low": 0, "inclusive": False, "high": 1}, "(0, 1)"),
        (1, {"low": 0, "inclusive": False, "high": 1}, "(0, 1)"),
        (np.nan, {"low": 0, "high": 1, "high_inclusive": True}, "[0, 1]"),
        (1, {"low": 0, "high": 1}, "[0, 1)"),
        (-1, {"low": 0}, "[0, inf)"),
        (np.inf, {"low": -np.inf, "inclusive": False}, "(-inf, inf)"),
    ):
        with pytest.raises(ValueError, match=f"'x'.*{re.escape(words)}.*{value!r}"):
            check_number(value, "x", **ends)


def test_a_type_is_no_number():
    with pytest.raises(TypeError, match=r"'delta'.*<class 'float'>"):
        fastgd.Huber(float)
    with pytest.raises(TypeError, match=r"'alpha'.*<class 'numpy.float64'>"):
        check_number(np.float64, "alpha", low=0)
    with pytest.raises(TypeError, match=r"'alpha'.*real number"):
        check_number([[1.0], [1.0, 2.0]], "alpha", low=0)


def test_counts():
    for integer in (int, np.int8, np.uint8, np.int32, np.int64, np.uint64):
        assert check_count(integer(3), "max_iter") == 3
        assert type(check_count(integer(3), "max_iter")) is int
    for value in (1.0, "3", None, True, np.True_, np.float64(3), np.timedelta64(3)):
        with pytest.raises(TypeError, match=r"'max_iter'.* int"):
            check_count(value, "max_iter")
    for value in (0, -1):
        with pytest.raises(ValueError, match=re.escape("[1, inf)")):
            check_count(value, "max_iter")
    with pytest.raises(ValueError, match="at most 9223372036854775807"):
        check_count(10**400, "max_iter")


def test_flags_are_of_python_or_numpy():
    for value in (True, np.True_):
        assert check_flag(value, "average") is True
        assert check_flag(not value, "average") is False
    for value in (1, 0, None, "no", "True", np.int64(1), np.array(True), [True], float):
        with pytest.raises(TypeError, match=r"'average'.*True or False"):
            check_flag(value, "average")


def test_options():
    assert check_option("loss", "stop", ("step", "loss")) == "loss"
    assert type(check_option(np.str_("loss"), "stop", ("step", "loss"))) is str
    for value in ("x", "", "Step", None, 1, True, ["step"], b"step"):
        with pytest.raises(ValueError, match=f"'stop'.*'step', 'epoch' or 'loss'.*{re.escape(repr(value))}"):
            check_option(value, "stop", ("step", "epoch", "loss"))


def test_seeds():
    for seed in (5, np.int64(5), np.uint8(5), np.random.SeedSequence(5), np.random.default_rng(5)):
        assert np.random.Generator(bit_generator_of(seed)).integers(2**62) == np.random.default_rng(5).integers(2**62)
    for seed in (True, np.True_, 5.0, np.float64(5), "5", np.timedelta64(5), [5]):
        with pytest.raises(TypeError, match="'rng' parameter"):
            bit_generator_of(seed)
    for seed in (-1, np.int8(-1)):
        with pytest.raises(ValueError, match=f"'rng' parameter.* 0.*{re.escape(repr(seed))}"):
            bit_generator_of(seed)


class TestNotFinite:
    def test_how_many_and_where_and_what_to_do(self):
        y = np.zeros(244)
        y[[17, 40, 243]] = np.nan
        y[3] = np.inf
        with pytest.raises(ValueError, match=r"dataset.*NaN.*3 of 244 values.*position 17.*"
                                             r"dataset\[~numpy\.isnan\(dataset\)\].*dropna"):
            check_dataset(y)
        with pytest.raises(ValueError, match=r"dataset.*infinity.*1 of 244 values.*position 3.*"
                                             r"dataset\[numpy\.isfinite\(dataset\)\]"):
            check_dataset(np.nan_to_num(y, nan=0.0, posinf=np.inf))
        with pytest.raises(ValueError, match=r"starts\[~numpy.isnan\(starts\)\]"):
            check_dataset(y, "starts")

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_all_that_count_positions_count_alike(self, bad):
        where = np.random.default_rng(0).choice(1000, 30, replace=False)
        for y in (np.zeros(1000), np.zeros(1000, np.float32), pd.Series(np.zeros(1000), index=range(5, 1005))):
            y = y.copy()
            y[where if isinstance(y, np.ndarray) else where + 5] = bad
            for call in (check_dataset, lambda y: fastgd.mse(0.0, y)):
                with pytest.raises(ValueError, match=f"30 of 1000 values.*position {where.min()}[.]"):
                    call(y)

    def test_of_rows_the_column_too(self):
        X = np.zeros((244, 3))
        X[[17, 40, 41], 1] = np.nan
        with pytest.raises(ValueError, match=r"X.*NaN.*column 1: 3 of 244 values.*row 17.*"
                                             r"~numpy\.isnan\(X\)\.any\(axis=1\)"):
            check_design(X)
        with pytest.raises(ValueError, match=r"X.*NaN.*column 'b': 3 of 244 values.*row 17.*"
                                             r"X\.notna\(\)\.all\(axis=1\)"):
            check_design(pd.DataFrame(X, columns=["a", "b", "c"]))
        X[5, 2] = np.nan
        with pytest.raises(ValueError, match=r"column 1.*row 17.*1 more column"):
            check_design(X)
        X[7, 0] = np.nan
        with pytest.raises(ValueError, match=r"column 0: 1 of 244 values.*row 7.*2 more columns"):
            check_design(X)
        keep = ~np.isnan(X).any(axis=1)
        assert check_design(X[keep])[0].shape == (239, 3)
        X[keep.nonzero()[0][50], 2] = -np.inf
        with pytest.raises(ValueError, match=r"X.*infinity.*column 2: 1 of 239 values.*row 50.*"
                                             r"numpy\.isfinite\(X\)\.all\(axis=1\)"):
            check_design(X[keep])

    def test_of_rows_beyond_the_first_slice(self):
        X = np.zeros((2**21 + 9, 2), np.float32)
        X[[2**21 + 3, 2**21 + 5], 1] = np.nan
        with pytest.raises(ValueError, match=r"column 1: 2 of 2097161 values.*row 2097155[.]"):
            check_design(X)

    def test_is_counted_by_the_slice(self):
        y = np.zeros(2**24, np.float32)
        y[0] = y[-1] = np.nan
        for values, call in ((y, check_dataset), (y.reshape(-1, 4), check_design)):
            tracemalloc.start()
            try:
                with pytest.raises(ValueError, match=r"2 of|1 of"):
                    call(values)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 2**24    # less than a byte for each


NO_NUMBERS = {
    "complex": 1 + 2j, "numpy complex": np.complex64(1), "None": None, "text": "1.5", "numpy text": np.str_("1.5"),
    "bytes": b"1", "array": np.ones(2), "array of one": np.ones(1), "list": [1.0], "ragged": [[1.0], [1.0, 2.0]],
    "Series": pd.Series([1.0]), "masked": np.ma.masked, "missing": pd.NA, "date": np.datetime64("2020"),
    "duration": np.timedelta64(1), "object": object(), "object array": np.array(None, dtype=object), "type": float,
}
NUMBERS = {
    "float": 1.5, "int": 2, "bool": True, "numpy bool": np.True_, "float64": np.float64(1.5),
    "float32": np.float32(1.5), "float16": np.float16(1.5),
    "longdouble": np.longdouble(1.5), "uint8": np.uint8(3), "0-d": np.array(1.5),
    "0-d float32": np.array(1.5, np.float32), "0-d object": np.array(Fraction(3, 2), dtype=object), "NaN": np.nan,
    "infinity": np.inf, "Fraction": Fraction(3, 2), "Decimal": Decimal("1.5"),
}


class TestWhatAFunctionReturned:
    @pytest.mark.parametrize("what", NUMBERS)
    def test_any_real_number(self, what):
        number = one_number(NUMBERS[what], "loss_fn", "loss")
        assert type(number) is float
        assert number == pytest.approx(float(NUMBERS[what]), nan_ok=True)
        kept = real_number(NUMBERS[what], "loss_fn", "loss")
        assert type(kept) is (type(NUMBERS[what]) if isinstance(NUMBERS[what], (np.generic, np.ndarray)) else float)
        assert float(kept) == pytest.approx(number, nan_ok=True)
        assert called_at(lambda theta, points: NUMBERS[what], [1.0], None) == [NUMBERS[what]] or what == "NaN"

    def test_an_int_too_large_is_infinite(self):
        assert one_number(10**400, "loss_fn", "loss") == np.inf
        assert one_number(-10**400, "loss_fn", "loss") == -np.inf

    @pytest.mark.parametrize("what", NO_NUMBERS)
    def test_all_else_is_named(self, what):
        value = NO_NUMBERS[what]
        got = typed_value(value)
        words = f"^grad_loss_fn.*one number.*{re.escape(got)}"
        for check in (one_number, real_number):
            with pytest.raises(TypeError, match=words):
                check(value, "grad_loss_fn", "slope")

    @pytest.mark.parametrize("call", [
        lambda f, y: fastgd.minimize(None, f, y, progress=False), lambda f, y: fastgd.minimize(f, None, y),
        lambda f, y: fastgd.minimize(f, fastgd.grad_mse, y), lambda f, y: fastgd.minimize_sgd(None, f, y),
        lambda f, y: fastgd.minimize_sgd(f, None, y), lambda f, y: fastgd.minimize_mini_batch(None, f, y, 2),
        lambda f, y: fastgd.minimize_sgd(f, fastgd.grad_mse, y, max_epochs=1, stop="loss"),
        lambda f, y: fastgd.simple_minimize(f, y, [1.0]), lambda f, y: fastgd.is_convex(f, y, (0, 1)),
        lambda f, y: fastgd.minimize_multistart(f, fastgd.grad_mse, y, [1.0]),
        lambda f, y: fastgd.minimize_multistart(fastgd.mse, f, y, [1.0]),
        lambda f, y: fastgd.check_gradient(f, fastgd.grad_mse, y),
        lambda f, y: fastgd.check_gradient(fastgd.mse, f, y)])
    @pytest.mark.parametrize("value", [1 + 2j, None, "1", np.ones(2)])
    def test_in_every_verb(self, call, value, five_points):
        with pytest.raises(TypeError, match=r"^(grad_)?loss_fn.*one number"):
            call(lambda theta, points: value, five_points)

    def test_a_loss_is_not_asked_again_after_a_wrong_answer(self):
        asked = []
        with pytest.raises(TypeError, match=r"loss_fn.*one number"):
            called_at(lambda theta, points: asked.append(theta), [1.0, 2.0], None)
        assert asked == [1.0]

    def test_an_array_for_a_linear_model(self):
        assert check_shape([1, 2], (2,), "grad_loss_fn", "slope").tolist() == [1.0, 2.0]
        for value in (None, 1.0, [1.0], [[1.0], [1.0, 2.0]], [1j, 2j], ["a", "b"], np.ones((2, 1))):
            with pytest.raises(TypeError, match=r"grad_loss_fn.*shape \(2,\)"):
                check_shape(value, (2,), "grad_loss_fn", "slope")


MANY = np.full(50, 12345.678)
DATA = {"Series": pd.Series(MANY), "array": MANY, "frame": pd.DataFrame({"a": MANY, "b": MANY}), "list": MANY.tolist(),
        "dates": pd.Series(pd.to_datetime(MANY)), "text": pd.Series(["12345.678 euros"] * 50)}
VALID = {
    fastgd.minimize: {"loss_fn": fastgd.mse, "grad_loss_fn": None, "dataset": [1.0, 2.0], "progress": False},
    fastgd.minimize_sgd: {"loss_fn": fastgd.mse, "grad_loss_fn": None, "dataset": [1.0, 2.0], "rng": 0},
    fastgd.minimize_mini_batch: {"loss_fn": fastgd.mse, "grad_loss_fn": None, "dataset": [1.0, 2.0, 3.0],
                                 "minibatch_size": 2, "rng": 0},
    fastgd.minimize_multistart: {"loss_fn": fastgd.mse, "grad_loss_fn": None, "dataset": [1.0], "starts": [0.0]},
    fastgd.simple_minimize: {"loss_fn": fastgd.mse, "dataset": [1.0], "thetas": [0.0]},
    fastgd.is_convex: {"loss_fn": fastgd.mse, "dataset": [1.0, 2.0]},
    fastgd.check_gradient: {"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": [1.0, 2.0]},
    fastgd.mse: {"theta": 0.0, "dataset": [1.0]},
    fastgd.Huber: {"delta": 1.0},
    fastgd.schedules.cosine: {"eta0": 1.0, "T_max": 5},
    fastgd.penalties.L2: {"strength": 1.0},
    fastgd.open_parquet: {"path": "nothing.parquet"},
}


@pytest.mark.parametrize("what", DATA)
@pytest.mark.parametrize("function", VALID, ids=lambda function: getattr(function, "__name__", str(function)))
@pytest.mark.filterwarnings("ignore")
def test_no_message_prints_the_data(function, what):
    """Data in the place of any argument are named by type and shape."""
    names = [name for name, each in inspect.signature(function).parameters.items()
             if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    messages = []
    for name in names:
        try:
            function(**{**VALID[function], name: DATA[what]})
        except Exception as error:
            messages.append(f"{name}: {error}")
    assert messages
    assert [message[:300] for message in messages if len(message) > 700] == []
    # One value may be shown as an example.
    assert [message[:300] for message in messages if message.count("12345") > 1] == []


def test_a_second_column_in_the_place_of_alpha_is_told_where_it_goes():
    x, y = pd.Series(np.arange(50.0)), pd.Series(np.arange(50.0))
    for call in (lambda: fastgd.minimize(fastgd.mse, fastgd.grad_mse, x, y),
                 lambda: fastgd.minimize_sgd(fastgd.mse, fastgd.grad_mse, x.tolist(), y.to_numpy())):
        with pytest.raises(TypeError, match=r"'alpha'.* of shape \(50,\).*third argument.*X="):
            call()
