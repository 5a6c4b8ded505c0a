"""The estimators on data that are not in memory, and on frames of other libraries than pandas."""
import warnings

import numpy as np
import pandas as pd
import pytest

from fastgd import Blocks, SourceError, huber_loss, minimize, open_parquet

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
    with pytest.raises(ValueError, match="3 features"):
        model.predict(lazy[:, :2])


def test_predictions_of_a_frame_of_dask_are_lazy_and_do_not_change():
    dd = pytest.importorskip("dask.dataframe")
    lazy = dd.from_pandas(frame(Y), npartitions=3)
    model = DescentRegressor().fit(lazy[NAMES], lazy["y"])
    assert model.feature_names_in_.tolist() == NAMES
    found, expected = model.predict(lazy[NAMES]), model.predict(frame(Y)[NAMES])
    with pytest.raises(ValueError, match="feature names"):
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
        assert model.predict(table) == pytest.approx(model.predict(frame(Y)[NAMES]), rel=1e-13)


def test_what_needs_data_in_memory_says_so():
    with pytest.raises(ValueError, match=r"early_stopping=True.*in memory"):
        DescentRegressor(early_stopping=True).fit(blocks(X, Y))
    with pytest.raises(ValueError, match=r"early_stopping=True.*in memory"):
        DescentClassifier(early_stopping=True).fit(blocks(X, CLASSES))
    with pytest.raises(ValueError, match="without X"):
        DescentRegressor().fit(Blocks(lambda: [Y]))
    with pytest.raises(ValueError, match="one class: 3"):
        DescentClassifier().fit(blocks(X, np.full(len(X), 3.0)))
    for model, y in ((DescentRegressor(method="sgd"), Y), (DescentClassifier(method="sgd"), CLASSES)):
        with pytest.raises(TypeError, match="not in memory"):
            model.partial_fit(Blocks(lambda: [X]), y)


def sources(tmp_path, y, names=NAMES):
    """X, targets and weights as each kind of lazy data."""
    pytest.importorskip("pyarrow")
    dd, da = pytest.importorskip("dask.dataframe"), pytest.importorskip("dask.array")
    table = pd.DataFrame(X, columns=NAMES).assign(y=y, w=WEIGHTS)
    table.to_parquet(tmp_path / "table.parquet", row_group_size=170)
    parquet, collection = open_parquet(tmp_path / "table.parquet"), dd.from_pandas(table, npartitions=3)
    of_frames = Blocks(lambda: [table[start:start + 300] for start in range(0, len(X), 300)])
    cached = open_parquet(tmp_path / "table.parquet", cache=tmp_path / "cache")
    for lazy in (parquet, collection, of_frames, cached):
        yield lazy[names], lazy["y"], lazy["w"]
    if np.asarray(y).dtype.kind != "O":
        yield (da.from_array(X, chunks=(300, 3)), da.from_array(np.asarray(y), chunks=300),
               da.from_array(WEIGHTS, chunks=300))
        yield blocks(X, np.asarray(y), WEIGHTS), None, None


def whole(lazy):
    return np.concatenate([*lazy]) if isinstance(lazy, Blocks) else np.asarray(lazy.compute(scheduler="sync"))


@pytest.mark.parametrize("labels", [
    CLASSES.astype(int), CLASSES > 1, 2**53 + 2 * CLASSES.astype(int) + 1, CLASSES,
    np.array(["low", "mid", "high"], dtype=object)[CLASSES.astype(int) - 1],
    pd.Series(np.array(["low", "mid", "high"])[CLASSES.astype(int) - 1], dtype="category"),
    pd.Series(np.array(["low", "mid"])[(CLASSES > 1).astype(int)], dtype="string"),
], ids=["int", "bool", "large ids", "float", "text", "categories", "strings"])
@pytest.mark.parametrize("options", [
    {}, {"class_weight": "balanced"}, {"method": "sgd", "random_state": 0, "tol": 0.01}], ids=str)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names", "ignore::fastgd.ConvergenceWarning")
def test_labels_of_any_type(labels, options, tmp_path):
    model = DescentClassifier(**options)
    memory = DescentClassifier(**options).fit(X, labels, WEIGHTS)
    for rows, y, weights in sources(tmp_path, labels):
        if options.get("method") == "sgd" and not isinstance(rows, Blocks):
            continue
        model.fit(rows, y, weights)
        assert model.classes_.tolist() == memory.classes_.tolist()
        assert [type(each) for each in model.classes_.tolist()] == [type(each) for each in memory.classes_.tolist()]
        assert np.array_equal(model.predict(X[:50]), memory.predict(X[:50]))
        if not options:
            assert model.coef_ == pytest.approx(memory.coef_, rel=1e-6)
        assert model.score(rows, y, weights) == pytest.approx(
            model.score(pd.DataFrame(X, columns=NAMES) if hasattr(model, "feature_names_in_") else X, labels, WEIGHTS))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_predictions_and_scores_are_lazy(tmp_path):
    regressor, classifier = DescentRegressor().fit(X, Y), DescentClassifier().fit(X, CLASSES)
    for rows, y, weights in sources(tmp_path, Y):
        assert whole(regressor.predict(rows)) == pytest.approx(regressor.predict(X), rel=1e-12)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            found = whole(getattr(classifier, method)(rows))
            assert found == pytest.approx(getattr(classifier, method)(X), rel=1e-12)
        assert regressor.score(rows, y, weights) == pytest.approx(regressor.score(X, Y, WEIGHTS), rel=1e-12)
        if y is not None:
            assert regressor.score(rows, y) == pytest.approx(regressor.score(X, Y), rel=1e-12)
            assert regressor.score(rows, Y) == pytest.approx(regressor.score(X, Y), rel=1e-12)


def test_predictions_of_blocks_are_computed_when_they_are_read():
    read = []

    def factory():
        for start in range(0, len(X), 300):
            read.append(start)
            yield X[start:start + 300]

    model = DescentRegressor().fit(X, Y)
    lazy = model.predict(Blocks(factory))
    assert not read
    first = next(iter(lazy))
    assert first == pytest.approx(model.predict(X[:300]), rel=1e-12)
    assert read == [0]
    residuals = minimize(huber_loss, None, model.predict(Blocks(factory)), "adaptive", False)
    assert residuals == minimize(huber_loss, None, np.concatenate([*lazy]), "adaptive", False)


def test_columns_of_lazy_data_are_checked(tmp_path):
    model = DescentRegressor().fit(frame(Y)[NAMES], Y)
    for rows, y, _ in sources(tmp_path, Y, NAMES[::-1]):
        if hasattr(rows, "names") or hasattr(rows, "columns"):
            with pytest.raises(ValueError, match="feature names"):
                model.predict(rows)
            with pytest.raises(ValueError, match="feature names"):
                model.score(rows, y)
    with pytest.raises(ValueError, match=r"2 features.*3"):
        next(iter(model.predict(Blocks(lambda: [X[:, :2]]))))
    with pytest.raises(ValueError, match=r"2 features.*3"):
        model.score(blocks(X[:, :2], Y))


def test_a_continuous_target_is_no_label(tmp_path):
    words = "label type: continuous"
    for rows, y, weights in sources(tmp_path, Y):
        with pytest.raises(ValueError, match=words):
            DescentClassifier().fit(rows, y, weights)
    for rows, _, _ in sources(tmp_path, Y):
        if not isinstance(rows, Blocks):
            with pytest.raises(ValueError, match=words):
                DescentClassifier().fit(rows, Y)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_as_many_classes_as_rows_are_a_warning():
    few = Blocks(lambda: [(X[:50], np.arange(50))])
    with pytest.warns(UserWarning, match=r"classes \(50\).*50%"):
        DescentClassifier(max_iter=1).fit(few)


def test_missing_labels_are_named(tmp_path):
    labels = np.array(["low", "high"], dtype=object)[(CLASSES > 1).astype(int)]
    labels[[400, 500]] = None
    for rows, y, _ in sources(tmp_path, labels):
        with pytest.raises(ValueError, match=r"NaN|null|missing"):
            DescentClassifier().fit(rows, y)


def test_text_is_no_target(tmp_path):
    labels = np.array(["low", "high"], dtype=object)[(CLASSES > 1).astype(int)]
    for rows, y, _ in sources(tmp_path, labels):
        with pytest.raises(TypeError, match="real numbers"):
            DescentRegressor().fit(rows, y)


def test_labels_that_are_new_in_a_later_pass_are_refused():
    passes = iter(range(100))

    def factory():
        return [(X, np.where(np.arange(len(X)) % 2 == 0, "a", "b" if next(passes) < 1 else "c"))]

    with pytest.raises((ValueError, SourceError), match=r"label.*'c'"):
        DescentClassifier().fit(Blocks(factory))
