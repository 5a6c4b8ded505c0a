"""The estimators on data that are not in memory, and on frames of other libraries than pandas."""
import warnings

import numpy as np
import pandas as pd
import pytest

from fastgd import Blocks, open_parquet

pytest.importorskip("sklearn")

from fastgd.estimators import DescentClassifier, DescentRegressor

NAMES = ["a", "b", "c"]


def data(n=1000):
    rng = np.random.default_rng(0)
    X = rng.normal([3, -50, 0.1], [1, 20, 0.01], (n, 3))
    y = 5 + X @ [1, 0.05, 100] + rng.standard_t(2, n)
    return X, y, np.digitize(y + rng.normal(size=n), np.quantile(y, [0.3, 0.6])) + 1.0, rng.random(n)


X, Y, CLASSES, WEIGHTS = data()
#: The estimators, and the targets of each.
CASES = [(DescentRegressor(), Y), (DescentRegressor("mse"), Y), (DescentClassifier(), np.minimum(CLASSES, 2)),
         (DescentClassifier(class_weight="balanced"), CLASSES)]
STOCHASTIC = [(DescentRegressor(method="mini-batch", random_state=0, tol=1e-2), Y),
              (DescentClassifier(method="mini-batch", class_weight="balanced", random_state=0, tol=1e-2),
               np.minimum(CLASSES, 2))]
each_case = pytest.mark.parametrize(("model", "y"), CASES, ids=lambda value: str(value)[:50].replace("\n", ""))


def frame(y):
    return pd.DataFrame(X, columns=NAMES).assign(y=y, w=WEIGHTS)


def blocks(*arrays):
    return Blocks(lambda: [tuple(array[k:k + 300] for array in arrays) for k in range(0, len(X), 300)])


@each_case
def test_blocks_have_the_bits_of_one_array(model, y):
    expected = model.fit(X, y).coef_.copy()
    assert np.array_equal(model.fit(blocks(X, y)).coef_, expected)
    assert model.n_features_in_ == 3
    assert np.array_equal(model.predict(X[:5]), model.fit(X, y).predict(X[:5]))
    weighted = model.fit(X, y, WEIGHTS).coef_.copy()
    found = model.fit(blocks(X, y, WEIGHTS)).coef_
    # The weights of the classes are sums over blocks.
    is_balanced = getattr(model, "class_weight", None) is not None
    assert np.allclose(found, weighted, rtol=1e-6, atol=0) if is_balanced else np.array_equal(found, weighted)
    assert not np.array_equal(weighted, expected)


@each_case
def test_columns_of_a_parquet_file(model, y, tmp_path):
    pytest.importorskip("pyarrow")
    frame(y).to_parquet(tmp_path / "table.parquet", row_group_size=170)
    table = open_parquet(tmp_path / "table.parquet")
    expected = model.fit(frame(y)[NAMES], y, WEIGHTS).coef_.copy()
    assert np.allclose(model.fit(table[NAMES], table["y"], table["w"]).coef_, expected, rtol=1e-6, atol=0)
    assert model.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize(("model", "y"), STOCHASTIC, ids=["regressor", "classifier"])
def test_stochastic_fits_are_the_same_from_files_and_from_dask(model, y, tmp_path):
    da = pytest.importorskip("dask.array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model.fit(X, y).coef_.copy()
        found = model.fit(blocks(X, y)).coef_.copy()
        lazy = model.fit(da.from_array(X, chunks=(300, 3)), da.from_array(y, chunks=300)).coef_
    assert np.array_equal(found, lazy)
    assert np.abs(found / expected - 1).max() < 0.2


@each_case
def test_dask_goes_in_and_comes_out(model, y):
    da = pytest.importorskip("dask.array")
    lazy = da.from_array(X, chunks=(300, 3))
    expected = model.fit(X, y).coef_.copy()
    assert np.array_equal(model.fit(lazy, da.from_array(y, chunks=300)).coef_, expected)
    for name in ("predict", "decision_function", "predict_proba", "predict_log_proba"):
        if hasattr(model, name):
            found = getattr(model, name)(lazy.rechunk((300, 2)))
            in_memory = getattr(model, name)(X)
            assert isinstance(found, da.Array)
            assert found.shape == in_memory.shape
            assert found.dtype == in_memory.dtype
            assert np.allclose(found.compute(scheduler="sync"), in_memory, rtol=1e-12)
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.predict(lazy[:, :2])


def test_predictions_of_a_frame_of_dask_are_lazy_and_do_not_change():
    dd = pytest.importorskip("dask.dataframe")
    lazy = dd.from_pandas(frame(Y), npartitions=3)
    model = DescentRegressor().fit(lazy[NAMES], lazy["y"])
    assert model.feature_names_in_.tolist() == NAMES
    found, expected = model.predict(lazy[NAMES]), model.predict(frame(Y)[NAMES])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(lazy[NAMES[::-1]])
    model.fit(frame(-Y)[NAMES], -Y)    # after which the lazy ones are still those of the fit before
    assert np.allclose(found.compute(scheduler="sync"), expected, rtol=1e-12)


def test_frames_of_polars():
    pl = pytest.importorskip("polars")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        table = pl.DataFrame({name: X[:, k] for k, name in enumerate(NAMES)})
        model = DescentRegressor().fit(table, pl.Series(Y))
        assert np.array_equal(model.coef_, DescentRegressor().fit(X, Y).coef_)
        assert model.feature_names_in_.tolist() == NAMES
        assert np.array_equal(model.predict(table), model.predict(frame(Y)[NAMES]))


def test_what_needs_data_in_memory_says_so():
    with pytest.raises(ValueError, match="early_stopping=True needs data in memory"):
        DescentRegressor(early_stopping=True).fit(blocks(X, Y))
    with pytest.raises(ValueError, match="early_stopping=True needs data in memory"):
        DescentClassifier(early_stopping=True).fit(blocks(X, CLASSES))
    with pytest.raises(ValueError, match="got points without X"):
        DescentRegressor().fit(Blocks(lambda: [Y]))
    with pytest.raises(ValueError, match="only one class: 3"):
        DescentClassifier().fit(blocks(X, np.full(len(X), 3.0)))
    with pytest.raises(TypeError, match="not in memory"):
        DescentRegressor().fit(X, Y).predict(blocks(X, Y))
