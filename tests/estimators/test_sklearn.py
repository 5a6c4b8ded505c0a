"""The estimators in scikit-learn: its own checks, and what estimators are put into."""
import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import in_a_new_process

from fastgd.penalties import L2

pytest.importorskip("sklearn")

import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastgd.estimators import DescentClassifier, DescentRegressor

# Some of the checks have few rows, or few updates.
pytestmark = [pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
              pytest.mark.thread_unsafe(reason="scikit-learn's checks change its configuration")]

BATCH = [DescentRegressor(), DescentRegressor("mse", penalty=L2(0.1)), DescentRegressor("pinball_loss"),
         DescentRegressor("log_cosh", momentum="nesterov", precondition="scale"),
         DescentRegressor("mse", early_stopping=True, random_state=0), DescentClassifier(),
         DescentClassifier(penalty=L2(0.1), class_weight="balanced"), DescentClassifier("log_cosh", n_threads=2)]
STOCHASTIC = [DescentRegressor(method="sgd", random_state=0), DescentClassifier(method="mini-batch", random_state=0)]


@parametrize_with_checks(BATCH)
def test_checks_of_scikit_learn(estimator, check):
    if estimator.get_params()["early_stopping"] and "sample_weight_equivalence" in str(check):
        pytest.skip("rows that are kept apart are not those of repeated rows")
    check(estimator)


@parametrize_with_checks(STOCHASTIC)
def test_checks_of_scikit_learn_on_stochastic_methods(estimator, check):
    if "sample_weight_equivalence" in str(check):
        pytest.skip("repeated rows are visited in another order, as by scikit-learn's own SGD")
    check(estimator)


def data():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X, y, y > y.median()


def test_names_of_columns_and_set_output():
    X, y, labels = data()
    for model, targets in ((DescentRegressor(), y), (DescentClassifier(), labels)):
        model.fit(X, targets)
        assert model.feature_names_in_.tolist() == X.columns.tolist()
        with pytest.raises(ValueError, match="feature names"):
            model.predict(X[X.columns[::-1]])
        pipeline = make_pipeline(StandardScaler(), clone(model)).set_output(transform="pandas").fit(X, targets)
        assert pipeline[-1].feature_names_in_.tolist() == X.columns.tolist()
    assert DescentRegressor().fit(X, y).result_.coef.index.tolist() == X.columns.tolist()


def test_clone_pickle_and_html():
    X, y, labels = data()
    for model, targets in ((DescentRegressor(penalty=L2(0.5), scale=2.0), y), (DescentClassifier(), labels),
                           (DescentRegressor(method="sgd", random_state=0, max_epochs=2), y)):
        assert clone(model).get_params() == model.get_params()
        model.fit(X, targets)
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert np.array_equal(other.predict(X), model.predict(X))
            assert other.result_.message == model.result_.message
        assert type(model).__name__ in model._repr_html_()


def test_a_copy_goes_on_where_the_model_was():
    X, y, _ = data()
    model = DescentRegressor(method="sgd", random_state=0).partial_fit(X, y)
    other = pickle.loads(pickle.dumps(model))
    assert np.array_equal(model.partial_fit(X, y).coef_, other.partial_fit(X, y).coef_)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_in_processes_and_threads(backend):
    joblib = pytest.importorskip("joblib")
    X, y, labels = data()
    strengths = [L2(strength) for strength in (1e-6, 1e-3, 1.0)]
    with joblib.parallel_backend(backend, n_jobs=2):
        search = GridSearchCV(DescentRegressor("mse"), {"penalty": strengths, "scale": [None, "mad"]}, cv=3).fit(X, y)
        assert search.best_params_["penalty"] in strengths
        scores = cross_val_score(DescentClassifier(), X, labels)
    assert search.best_score_ > 0.4
    assert scores.min() > 0.6


def test_halving_search():
    X, y, _ = data()
    search = HalvingGridSearchCV(DescentRegressor("mse"), {"penalty": [L2(10.0**k) for k in range(-4, 2)]}, cv=3,
                                 min_resources=60, random_state=0).fit(X, y)
    assert search.best_estimator_.score(X, y) > 0.3


def test_pipelines_with_columns_of_several_kinds():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(3, 1, 300), "day": rng.choice(["Thu", "Fri", "Sun"], 300)})
    y = 2 * frame["size"] + (frame["day"] == "Sun") + rng.normal(size=300) / 10
    columns = ColumnTransformer([("numbers", StandardScaler(), ["size"]), ("words", OneHotEncoder(sparse_output=False),
                                                                           ["day"])])
    assert make_pipeline(columns, DescentRegressor()).fit(frame, y).score(frame, y) > 0.95
    assert make_pipeline(columns, DescentClassifier(penalty=L2(0.01))).fit(frame, y > 7).score(frame, y > 7) > 0.9


def test_calibration_and_transformed_targets():
    X, y, labels = data()
    for model in (DescentClassifier(), DescentClassifier("mse")):
        calibrated = CalibratedClassifierCV(model, cv=3).fit(X, labels)
        assert np.allclose(calibrated.predict_proba(X).sum(axis=1), 1)
        assert calibrated.score(X, labels) > 0.7
    model = TransformedTargetRegressor(DescentRegressor(), func=np.log, inverse_func=np.exp).fit(X, y)
    assert model.score(X, y) > 0.4


def test_sample_weights_are_routed():
    X, y, _ = data()
    weights = np.random.default_rng(0).random(len(y))
    expected = DescentRegressor().fit(X, y, sample_weight=weights)
    with sklearn.config_context(enable_metadata_routing=True):
        model = DescentRegressor().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(model).fit(X, y, sample_weight=weights)
        scores = cross_val_score(model, X, y, params={"sample_weight": weights})
        partial = DescentClassifier(method="sgd").set_partial_fit_request(sample_weight=True, classes=True)
        assert partial.get_metadata_routing().partial_fit.requests == {"sample_weight": True, "classes": True}
    assert np.array_equal(pipeline[-1].coef_, expected.coef_)
    assert len(scores) == 5


def test_a_memory_map_is_read_where_it_lies(tmp_path):
    X, y = load_breast_cancer(return_X_y=True)
    mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    mapped[:] = X
    mapped.flush()
    mapped = np.memmap(tmp_path / "X", X.dtype, "r", shape=X.shape)
    model = DescentClassifier(penalty=L2(0.01))
    assert np.array_equal(model.fit(mapped, y).coef_, clone(model).fit(X, y).coef_)


def test_importing_fastgd_does_not_import_scikit_learn():
    assert in_a_new_process("""
import sys, fastgd
print("sklearn" in sys.modules, "fastgd.estimators" in sys.modules, fastgd.estimators.DescentRegressor.__name__,
      "sklearn" in sys.modules)
""") == "False False DescentRegressor True"


def test_without_scikit_learn_the_extra_is_named():
    assert "pip install 'fastgd[sklearn]'" in in_a_new_process("""
import importlib.util, fastgd
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name == "sklearn" else found(name, *args)
try:
    fastgd.estimators
except ImportError as error:
    print(error)
""")
