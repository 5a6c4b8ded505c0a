"""Frames and series of each library: the same answers as arrays, names, and what is refused by the column's name."""
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import quiet

import fastgd
from fastgd import Blocks, Pinball, huber_loss, minimize, minimize_sgd, mse, simple_minimize
from fastgd._frames import as_numbers

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

RNG = np.random.default_rng(0)
DATA = {"a": RNG.normal(size=60), "b": RNG.integers(0, 9, 60), "c": RNG.random(60) > 0.5,
        "d": RNG.normal(size=60).astype(np.float32)}
NAMES = [*DATA]
X = np.column_stack([*DATA.values()]).astype(np.float64)
Y = X @ [1.0, 2.0, 3.0, 4.0] + 0.5 + RNG.standard_t(3, 60)

FRAMES = {
    "pandas": pd.DataFrame,
    "pandas, nullable": lambda data: pd.DataFrame(data).convert_dtypes(),
    "pandas of Arrow": lambda data: pd.DataFrame(data).convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "a record batch": lambda data: pa.RecordBatch.from_pydict({name: pa.array(each) for name, each in data.items()}),
}
SERIES = {
    "pandas": pd.Series,
    "pandas, nullable": lambda y: pd.Series(y).convert_dtypes(),
    "pandas of Arrow": lambda y: pd.Series(y).convert_dtypes(dtype_backend="pyarrow"),
    "a pandas array": lambda y: pd.array(y, dtype="Float64"),
    "a pandas Index": pd.Index,
    "polars": pl.Series,
    "pyarrow": lambda y: pa.chunked_array([y[:20], y[20:]]),
    "a pyarrow array": pa.array,
}
each_frame = pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
each_series = pytest.mark.parametrize("make", SERIES.values(), ids=SERIES)


def fitted(X, y=Y, **options):
    return minimize(huber_loss, None, y, "adaptive", False, X=X, fit_intercept=True, precondition="gram",
                    full_output=True, **options)


@each_frame
class TestFrames:
    def test_the_answer_is_that_of_an_array(self, make):
        assert np.array_equal(fitted(make(DATA)).x, fitted(X).x)

    def test_columns_give_their_names(self, make):
        found = fitted(make(DATA))
        assert found.coef.index.tolist() == NAMES
        assert found.feature_names == tuple(NAMES)
        assert np.array_equal(found.predict(make(DATA)), fitted(X).predict(X))

    def test_columns_in_another_order_are_refused(self, make):
        found = fitted(FRAMES["pandas"](DATA))
        with pytest.raises(ValueError, match=r"a, b.*b, a"):
            found.predict(make({name: DATA[name] for name in ["b", "a", "c", "d"]}))

    def test_float32_stays_so(self, make):
        single = {"a": DATA["a"].astype(np.float32), "d": DATA["d"]}
        array, names = as_numbers(make(single), "X", 2)
        assert array.dtype == np.float32
        assert np.array_equal(array, np.column_stack([*single.values()]))
        assert names == ["a", "d"]

    def test_blocks_of_them(self, make):
        both = {**DATA, "y": Y}
        halves = [{name: each[part] for name, each in both.items()} for part in (slice(25), slice(25, None))]
        blocks = Blocks(lambda: map(make, halves))
        found = fitted(blocks[NAMES], blocks["y"])
        assert np.array_equal(found.x, fitted(X).x)
        assert found.coef.index.tolist() == NAMES

    def test_an_estimator_fits_them(self, make):
        estimators = pytest.importorskip("fastgd.estimators")
        model = estimators.DescentRegressor().fit(make(DATA), Y)
        assert np.array_equal(model.coef_, estimators.DescentRegressor().fit(X, Y).coef_)
        assert model.feature_names_in_.tolist() == NAMES
        assert model.predict(make(DATA)) == pytest.approx(model.intercept_ + X @ model.coef_, rel=1e-14)
        with pytest.raises(ValueError, match="feature names"):
            model.predict(make({name: DATA[name] for name in ["b", "a", "c", "d"]}))

    def test_a_frame_is_no_dataset(self, make):
        with pytest.raises(ValueError, match=r"1d array.*\(60, 4\).*dataset\['d'\]"):
            minimize(mse, None, make(DATA), progress=False)


@each_series
class TestSeries:
    def test_the_answer_is_that_of_an_array(self, make):
        assert fitted(X, make(Y)) == fitted(X)
        assert minimize(mse, None, make(Y), progress=False) == minimize(mse, None, Y, progress=False)
        assert minimize_sgd(mse, None, make(Y), 0.01, rng=0, max_epochs=3, tol=0) == minimize_sgd(
            mse, None, Y, 0.01, rng=0, max_epochs=3, tol=0)
        assert mse(2.0, make(Y)) == mse(2.0, Y)
        assert simple_minimize(mse, Y, make(Y)) == simple_minimize(mse, Y, Y)

    test_the_answer_is_that_of_an_array = quiet(test_the_answer_is_that_of_an_array)

    def test_weights(self, make):
        weights = np.arange(60.0)
        assert np.array_equal(fitted(X, sample_weight=make(weights)).x, fitted(X, sample_weight=weights).x)

    def test_an_estimator_fits_them(self, make):
        estimators = pytest.importorskip("fastgd.estimators")
        want = estimators.DescentRegressor().fit(X, Y).coef_
        assert np.array_equal(estimators.DescentRegressor().fit(X, make(Y)).coef_, want)

    def test_a_python_loss_gets_numbers(self, make):
        def loss(theta, y):
            return np.mean((np.asarray(y) - theta) ** 2)

        assert minimize(loss, None, make(Y), "adaptive", False) == pytest.approx(Y.mean(), abs=1e-3)


def holding(**columns):
    return {"a": [1.0, 2.0, 3.0], **columns}


DATES = np.array(["2020-01-01", "2020-01-02", "2020-01-05"], "M8[us]")
#: Columns that are no numbers, and the line that makes numbers of them in pandas and in polars.
NO_NUMBERS = {
    "text": (["u", "v", "w"], "get_dummies(X, columns=['s']", "X.to_dummies(['s']"),
    "dates": (DATES, "X['s'] = (X['s'] - X['s'].min()).dt.total_seconds()",
              "(polars.col('s') - polars.col('s').min()).dt.total_seconds()"),
    "durations": (DATES - DATES[0], "X['s'] = X['s'].dt.total_seconds()", "polars.col('s').dt.total_seconds()"),
}


@pytest.mark.parametrize("what", NO_NUMBERS)
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
class TestRefused:
    def fits(self):
        yield lambda X: fitted(X, [1.0, 2.0, 3.0])
        estimators = pytest.importorskip("fastgd.estimators")
        yield lambda X: estimators.DescentRegressor().fit(X, [1.0, 2.0, 3.0])
        yield lambda X: estimators.DescentClassifier().fit(X, [1, 2, 1])
        yield lambda X: estimators.DescentRegressor(method="sgd").partial_fit(X, [1.0, 2.0, 3.0])
        yield estimators.DescentRegressor("mse").fit(pd.DataFrame(holding(s=[1.0, 3.0, 2.0])), [1.0, 2.0, 4.0]).predict

    def test_a_column_is_named_with_the_line_that_encodes_it(self, what, library):
        values, in_pandas, in_polars = NO_NUMBERS[what]
        line = {"pandas": in_pandas, "polars": in_polars, "pyarrow": ""}[library]
        for fit in self.fits():
            with pytest.raises(TypeError, match="column 's'") as caught:
                fit(FRAMES[library](holding(s=values)))
            assert line in str(caught.value)

    def test_the_line_works(self, what, library):
        if library == "pyarrow":
            return
        values, _, _ = NO_NUMBERS[what]
        frame = FRAMES[library](holding(s=values))
        with pytest.raises(TypeError) as caught:
            fitted(frame, [1.0, 2.0, 3.0])
        line = str(caught.value).partition(": ")[2]
        space = {"X": frame, "pandas": pd, "polars": pl}
        exec(line, space)
        as_numbers(space["X"], "X", 2)

    def test_targets(self, what, library):
        values, _, _ = NO_NUMBERS[what]
        series = {"pandas": pd.Series, "polars": pl.Series, "pyarrow": lambda y: pa.chunked_array([y])}[library](values)
        for given in (series, values):
            with pytest.raises(TypeError, match=r"dataset.*real numbers"):
                fitted([[1.0], [2.0], [3.0]], given)
            estimators = pytest.importorskip("fastgd.estimators")
            for options in ({}, {"method": "sgd"}):
                with pytest.raises(TypeError, match=r"y.*real numbers"):
                    estimators.DescentRegressor(**options).fit([[1.0], [2.0], [3.0]], given)

    def test_an_array_of_them(self, what, library):
        values = np.array([*zip([1.0, 2.0, 3.0], NO_NUMBERS[what][0], strict=True)], dtype=object)
        for fit in self.fits():
            with pytest.raises(TypeError, match=r"column 1, row 0"):
                fit(values)


CATEGORIES = {"pandas": lambda: pd.Series(["u", "v", "u"], dtype="category"),
              "pandas of numbers": lambda: pd.Series([1, 2, 1], dtype="category"),
              "polars": lambda: pl.Series(["u", "v", "u"]).cast(pl.Categorical)}


@pytest.mark.parametrize("what", CATEGORIES)
def test_categories_are_encoded_and_not_counted(what):
    frame = (pl if what == "polars" else pd).DataFrame(holding(s=CATEGORIES[what]()))
    for fit in TestRefused().fits():
        with pytest.raises(TypeError, match=r"column 's' has the dtype [cC]ategor.*dummies"):
            fit(frame)


NULLS = {"pandas": lambda: pd.DataFrame(holding(s=pd.array([None, 1, None], dtype="Int64"))),
         "pandas bool": lambda: pd.DataFrame(holding(s=pd.array([None, True, None], dtype="boolean"))),
         "polars": lambda: pl.DataFrame(holding(s=[None, 1.0, None])),
         "polars bool": lambda: pl.DataFrame(holding(s=[None, True, None])),
         "pyarrow": lambda: pa.table(holding(s=[None, 1.0, None]))}


@pytest.mark.parametrize("library", NULLS)
def test_missing_values_are_counted_and_the_first_one_is_named(library):
    with pytest.raises(ValueError, match=r"(NaN|null).*column 's': 2 of 3 values.*row 0"):
        fitted(NULLS[library](), [1.0, 2.0, 3.0])
    column = NULLS[library]()["s"]
    with pytest.raises(ValueError, match=r"dataset.*(NaN|null): 2 of 3 values.*position 0"):
        minimize(mse, None, column, progress=False)
    estimators = pytest.importorskip("fastgd.estimators")
    with pytest.raises(ValueError, match=r"NaN|null"):
        estimators.DescentRegressor().fit(NULLS[library](), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"y contains (NaN|null)"):
        estimators.DescentRegressor().fit([[1.0], [2.0], [3.0]], column)
    with pytest.raises(ValueError, match=r"y contains null: 2 of 3"):
        estimators.DescentClassifier().fit([[1.0], [2.0], [3.0]], column)


def test_a_lazy_frame_is_to_be_collected():
    lazy = pl.DataFrame(DATA).lazy()
    for call in (lambda: fitted(lazy), lambda: fitted(X).predict(lazy), lambda: fitted(X, lazy)):
        with pytest.raises(TypeError, match=r"\.collect\(\).*open_parquet"):
            call()
    estimators = pytest.importorskip("fastgd.estimators")
    for call in (lambda: estimators.DescentRegressor().fit(lazy, Y), lambda: estimators.DescentRegressor().fit(X, lazy),
                 lambda: estimators.DescentClassifier().fit(lazy, Y > 0),
                 lambda: estimators.DescentRegressor().fit(X, Y).predict(lazy)):
        with pytest.raises(TypeError, match=r"\.collect\(\).*open_parquet"):
            call()


@pytest.mark.parametrize("what", ["X", "y", "sample_weight", "a list of rows"])
def test_masks_are_not_dropped(what):
    estimators = pytest.importorskip("fastgd.estimators")
    masked = {"X": np.ma.array(X, mask=X > 5), "y": np.ma.array(Y, mask=Y > 5),
              "sample_weight": np.ma.array(Y**2, mask=Y > 5)}
    masked["a list of rows"] = [*masked["X"]]
    given = {"X": X, "y": Y, "sample_weight": None, ("X" if what == "a list of rows" else what): masked[what]}
    labels = {**given, "y": np.ma.array(Y > 0, mask=Y > 5) if what == "y" else Y > 0}
    for fit, arguments in ((estimators.DescentRegressor("mse").fit, given),
                           (estimators.DescentClassifier().fit, labels),
                           (estimators.DescentRegressor("mse", method="sgd").partial_fit, given)):
        with pytest.raises(TypeError, match="masked array"):
            fit(**arguments)
    if what != "y" and what != "sample_weight":
        with pytest.raises(TypeError, match="masked array"):
            estimators.DescentRegressor("mse").fit(X, Y).predict(masked[what])


@pytest.mark.parametrize("values", [
    ["b", "a", "b", "a"], [1, 2, 1, 2], [True, False, True, False], [2**53 + 1, 2**53 + 3] * 2])
@pytest.mark.parametrize("make", [
    pd.Series, lambda y: pd.Series(y).convert_dtypes(), lambda y: pd.Series(y, dtype="category"), pl.Series,
    lambda y: pa.chunked_array([y])])
def test_labels_of_any_type(values, make):
    estimators = pytest.importorskip("fastgd.estimators")
    X = [[0.0], [1.0], [2.0], [3.0]]
    found = estimators.DescentClassifier().fit(X, make(values)).classes_
    assert found.tolist() == sorted(set(values))
    assert np.array(found.tolist()).dtype.kind == np.array(values).dtype.kind


def test_other_frames():
    numbers = np.arange(12.0).reshape(6, 2)
    frame = pd.DataFrame(numbers)
    assert np.shares_memory(as_numbers(frame, "X", 2)[0], frame.to_numpy())
    twice = pd.DataFrame(numbers, columns=["a", "a"])
    for frame, names in ((twice, ["a", "a"]), (pd.DataFrame(numbers), ["0", "1"]),
                         (pd.DataFrame(numbers, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
                          ["('a', 1)", "('a', 2)"]), (pd.DataFrame(numbers, columns=["1", 1]), ["1", "1"])):
        array, found = as_numbers(frame, "X", 2)
        assert np.array_equal(array, numbers)
        assert found == names
    decimals = pl.DataFrame(numbers, schema=["a", "b"]).cast(pl.Decimal(10, 2))
    assert np.array_equal(as_numbers(decimals, "X", 2)[0], numbers)
    large = pl.DataFrame({"a": pl.Series([1, 2**70], dtype=pl.Int128)})
    assert np.array_equal(as_numbers(large, "X", 2)[0], [[1.0], [2.0**70]])
    sparse = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])})
    assert np.array_equal(as_numbers(sparse, "X", 2)[0], [[0.0], [1.0]])
    as_objects = pd.DataFrame({"a": pd.Series([1, 2], dtype=object)})
    with pytest.raises(TypeError, match=r"column 'a'.*dtype object.*pandas.to_numeric\(X\['a'\]\)"):
        as_numbers(as_objects, "X", 2)


@quiet
def test_a_frame_of_modin():
    modin = pytest.importorskip("modin.config")
    modin.Engine.put("python")
    import modin.pandas as mpd

    frame = mpd.DataFrame(DATA)
    found = fitted(frame, mpd.Series(Y))
    assert np.array_equal(found.x, fitted(X).x)
    assert found.coef.index.tolist() == NAMES


def test_ctrl_c_and_changed_inputs():
    frame = pl.DataFrame(DATA)
    before = frame.clone()
    fitted(frame)
    assert frame.equals(before)
    tall = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5)})
    copy = tall.copy()
    minimize(Pinball(0.5), None, [1.0, 2, 3, 4, 5], "adaptive", False, X=tall)
    pd.testing.assert_frame_equal(tall, copy)


def test_narwhals_is_loaded_when_a_frame_comes():
    code = ("import sys, numpy, fastgd; fastgd.minimize(fastgd.mse, None, [1.0, 2.0], progress=False); "
            "fastgd.minimize(fastgd.mse, None, numpy.ones(3), progress=False, X=[[1.0], [2.0], [3.0]]); "
            "print('narwhals' in sys.modules, 'pandas' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=fastgd.__path__[0] + "/..").stdout.split() == ["False", "False"]
