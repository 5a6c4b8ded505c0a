"""DescentRegressor and DescentClassifier: their parameters, attributes and methods."""
import warnings

import numpy as np
import pytest
from helpers import in_threads

import fastgd
from fastgd import EpsilonInsensitive, Huber, Pinball, schedules
from fastgd.penalties import L1, L2

pytest.importorskip("sklearn")

import sklearn.exceptions
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, QuantileRegressor, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from fastgd.estimators import ConvergenceWarning, DescentClassifier, DescentRegressor

#: As for `quiet`, of scikit-learn's class.
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
DIABETES = load_diabetes(return_X_y=True)
#: The same with columns that are scaled and shifted.
RAW = DIABETES[0] * np.logspace(-2, 3, 10) + 5, DIABETES[1]


def line(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal([3, -50, 0.1], [1, 20, 0.01], (n, 3))
    return X, 5 + X @ [1, 0.05, 100] + rng.standard_t(2, n)


def two_classes(n=400, seed=0):
    X, y = line(n, seed)
    return X, np.where(y > np.median(y), "yes", "no")


def near(found, expected, rel=1e-6):
    return np.abs(np.asarray(found) - expected).max() <= rel * np.abs(expected).max()


# Optima.

@pytest.mark.parametrize(("X", "y"), [DIABETES, RAW], ids=["as it is", "raw"])
def test_ridge(X, y):
    expected = Ridge(3.0, solver="cholesky").fit(X, y)
    model = DescentRegressor("mse", penalty=L2(2 * 3.0 / len(y))).fit(X, y)
    assert near(model.coef_, expected.coef_)
    assert model.intercept_ == pytest.approx(expected.intercept_, rel=1e-6)
    assert model.converged_
    assert model.scale_ is None


@pytest.mark.parametrize("momentum", [None, "nesterov"])
@pytest.mark.parametrize(("X", "y"), [DIABETES, RAW], ids=["as it is", "raw"])
def test_the_robust_line_is_that_of_statsmodels(X, y, momentum):
    sm = pytest.importorskip("statsmodels.api")
    expected = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT()).fit(maxiter=500, tol=1e-12, conv="coefs")
    model = DescentRegressor(momentum=momentum).fit(X, y)
    assert np.allclose([model.intercept_, *model.coef_], expected.params, rtol=1e-6, atol=0)
    assert model.scale_ == pytest.approx(expected.scale, rel=1e-6)
    assert model.result_.fun == Huber(1.345 * model.scale_)(
        np.r_[model.intercept_, model.coef_], y, X=X, fit_intercept=True)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("X", "y"), [DIABETES, RAW], ids=["as it is", "raw"])
def test_quantiles(X, y, q):
    expected = QuantileRegressor(quantile=q, alpha=0, solver="highs").fit(X, y)
    model = DescentRegressor(Pinball(q)).fit(X, y)
    losses = [Pinball(q)(np.r_[each.intercept_, each.coef_], y, X=X, fit_intercept=True) for each in (model, expected)]
    assert losses[0] <= losses[1] * (1 + 1e-9)


@pytest.mark.parametrize("C", [1.0, 100.0])
def test_logistic_regression(C):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    expected = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    model = DescentClassifier(penalty=L2(1 / (len(y) * C))).fit(X, y)
    assert near(model.coef_, expected.coef_)
    assert near(model.intercept_, expected.intercept_)
    assert np.abs(model.predict_proba(X) - expected.predict_proba(X)).max() < 1e-6


@pytest.mark.parametrize("n_threads", [None, 2])
def test_three_classes_are_one_against_the_rest(n_threads):
    X, y = load_iris(return_X_y=True)
    expected = OneVsRestClassifier(LogisticRegression(solver="newton-cholesky", tol=1e-12)).fit(X, y)
    model = DescentClassifier(penalty=L2(1 / len(y)), n_threads=n_threads).fit(X, y)
    assert near(model.coef_, np.vstack([each.coef_ for each in expected.estimators_]))
    assert np.abs(model.predict_proba(X) - expected.predict_proba(X)).max() < 1e-6
    assert np.allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)))
    assert model.decision_function(X).shape == (len(y), 3)
    assert len(model.result_) == len(model.loss_curve_) == 3
    assert model.n_iter_ == max(result.nit for result in model.result_)


def test_classes_in_threads_have_the_bits_of_those_in_turn():
    X, y = load_iris(return_X_y=True)
    for options in ({"penalty": L2(0.01)}, {"method": "sgd", "max_epochs": 3, "random_state": 0, "tol": 1e3}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one, many = (DescentClassifier(n_threads=count, **options).fit(X, y) for count in (None, 3))
        assert np.array_equal(one.coef_, many.coef_)


# Parameters.

@pytest.mark.parametrize(("options", "match"), [
    ({"loss": "hinge"}, "'loss' parameter .*'mse'"),
    ({"loss": fastgd.grad_mse}, "'loss' parameter.*grad_mse"),
    ({"loss": "cross_entropy"}, "'loss' parameter.*DescentClassifier"),
    ({"method": "newton"}, "'method' parameter must be 'batch', 'sgd' or 'mini-batch'"),
    ({"method": "mini-batch", "batch_size": 0}, "'batch_size' parameter"),
    ({"scale": "iqr"}, "'scale' parameter must be None, a number above 0 or 'mad'"),
    ({"scale": 0}, "'scale' parameter.*\\(0"),
    ({"scale": 2.0, "loss": "mse"}, "'scale' parameter.*scale=2.0"),
    ({"stop": "loss"}, "scale='mad' changes the loss"),
    ({"alpha": "fast"}, "'alpha' parameter"),
    ({"precondition": "full"}, "'precondition' parameter"),
    ({"momentum": "heavy"}, "'momentum' parameter"),
    ({"momentum": "nesterov", "method": "sgd"}, "'momentum' parameter.*momentum='nesterov'"),
    ({"penalty": "l2"}, "'penalty' parameter"),
    ({"tol": -1}, "'tol' parameter"),
    ({"max_iter": 0}, "'max_iter' parameter"),
    ({"fit_intercept": 1}, "'fit_intercept' parameter"),
    ({"warm_start": "yes"}, "'warm_start' parameter"),
    ({"early_stopping": None}, "'early_stopping' parameter"),
    ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
    ({"n_iter_no_change": 0}, "'n_iter_no_change' parameter"),
    ({"n_threads": 0}, "'n_threads' parameter"),
    ({"callback": 3}, "'callback' parameter"),
    ({"random_state": -1, "method": "sgd"}, "seed"),
])
def test_parameters_are_checked_in_fit(options, match):
    model = DescentRegressor(**options)
    with pytest.raises((TypeError, ValueError), match=match):
        model.fit(*line())


def test_data_are_refused_in_the_words_of_scikit_learn():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = line()
    for model in (DescentRegressor(), DescentClassifier()):
        with pytest.raises(TypeError, match="Sparse data was passed"):
            model.fit(sparse.csr_array(X), y > 5)
        with pytest.raises(ValueError, match="1d array"):
            model.fit(X, np.c_[y > 5, y > 6])
        with pytest.raises(ValueError, match="requires y"):
            model.fit(X)
        with pytest.raises(ValueError, match="contains NaN"):
            model.fit(np.where(X > 5, np.nan, X), y > 5)
    with pytest.raises(ValueError, match="one class: 7"):
        DescentClassifier().fit(X, np.full(len(X), 7))


def test_the_scale_of_a_huber_loss():
    X, y = line()
    mad = DescentRegressor().fit(X, y)
    same = DescentRegressor(scale=mad.scale_).fit(X, y)
    assert near(same.coef_, mad.coef_, 1e-7)
    assert same.scale_ == mad.scale_
    delta = DescentRegressor(Huber(1.345 * mad.scale_), scale=None).fit(X, y)
    assert near(delta.coef_, mad.coef_, 1e-7)
    assert delta.scale_ is None
    assert near(DescentRegressor(Huber(1.345)).fit(X, y).coef_, mad.coef_, 1e-9)
    one = DescentRegressor(scale=None).fit(X, y)
    assert one.result_.fun == fastgd.huber_loss(np.r_[one.intercept_, one.coef_], y, X=X, fit_intercept=True)


@pytest.mark.parametrize("loss", ["huber_loss", "mse", "abs_loss"])
@pytest.mark.parametrize("unit", [1000, 1e-7])
def test_targets_in_other_units_give_the_same_line(loss, unit):
    X, y = line()
    one, other = (DescentRegressor(loss).fit(X, targets) for targets in (y, unit * y))
    assert np.allclose(other.coef_, unit * one.coef_, rtol=1e-7)


def test_no_intercept_and_penalties():
    X, y = line()
    model = DescentRegressor("mse", fit_intercept=False).fit(X, y)
    assert near(model.coef_, np.linalg.lstsq(X, y, rcond=None)[0], 1e-9)
    assert model.intercept_ == 0
    sparse = DescentRegressor("mse", penalty=L1(5.0), max_iter=10_000).fit(X, y)
    assert (sparse.coef_ == 0).any()
    assert sparse.converged_


def test_many_columns_go_by_scale(monkeypatch):
    from fastgd.estimators import _options

    X, y = line()
    gram = DescentRegressor("log_cosh").fit(X, y)
    monkeypatch.setattr(_options, "MAX_GRAM_FIT_COLUMNS", 2)
    scale = DescentRegressor("log_cosh").fit(X, y)
    assert near(scale.coef_, gram.coef_)
    assert scale.n_iter_ != gram.n_iter_


def test_a_loss_of_the_users_own_and_every_loss_of_the_registry():
    X, y = line(100)
    from fastgd.losses import REGISTRY

    for name, loss in REGISTRY.items():
        if loss.link == "identity":
            model = DescentRegressor(name, max_iter=10_000).fit(X, y)
            assert model.converged_, name
            assert np.isfinite(model.predict(X)).all()
    assert DescentRegressor(EpsilonInsensitive(0.5)).fit(X, y).converged_


# What a fit leaves.

def test_attributes_of_a_fit():
    X, y = line()
    model = DescentRegressor("log_cosh", history=True).fit(X, y)
    theta = np.r_[model.intercept_, model.coef_]
    assert np.array_equal(model.result_.x, theta)
    assert model.result_.message.startswith("DescentRegressor converged: update")
    assert len(model.result_.history) == model.n_iter_ == len(model.loss_curve_)
    assert model.loss_curve_[-1] == pytest.approx(model.result_.fun, rel=1e-12)
    assert np.array_equal(model.predict(X), X @ model.coef_ + model.intercept_)
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")


def test_the_curve_of_a_long_run_is_thinned():
    X, y = line(50)
    curves = [DescentRegressor("mse", alpha=1e-5, precondition=None, tol=0, max_iter=count) for count in (1500, 5000)]
    with pytest.warns(ConvergenceWarning):
        lengths = [len(each.fit(X, y).loss_curve_) for each in curves]
    assert lengths[0] == 1500
    assert 1000 <= lengths[1] <= 2000


def test_the_warning_is_of_both_classes():
    X, y = line()
    for category in (fastgd.ConvergenceWarning, sklearn.exceptions.ConvergenceWarning):
        with pytest.warns(category, match="DescentRegressor.* 2 updates") as caught:
            model = DescentRegressor(max_iter=2).fit(X, y)
        assert caught[0].filename == __file__
        assert not model.converged_


def test_callback_and_verbose(capsys):
    X, y = line()
    seen = []
    DescentRegressor("log_cosh", callback=lambda result: seen.append(result.x), verbose=True).fit(X, y)
    assert len(seen) > 3
    assert capsys.readouterr().out.count("loss:") == len(seen)

    def stop(result):
        raise StopIteration

    assert DescentRegressor("log_cosh", callback=stop).fit(X, y).n_iter_ == 1


def test_a_warm_start_begins_where_the_last_fit_ended():
    X, y = line()
    model = DescentRegressor("log_cosh", warm_start=True).fit(X, y)
    assert model.n_iter_ > 3
    assert model.fit(X, y).n_iter_ <= 2
    assert model.fit(X[:, :2], y).coef_.shape == (2,)
    classifier = DescentClassifier(warm_start=True).fit(*two_classes())
    assert classifier.fit(*two_classes()).n_iter_ <= 3
    labels = np.where(two_classes()[1] == "yes", "no", "perhaps")    # other classes: anew
    assert near(classifier.fit(X, labels).coef_, -DescentClassifier().fit(*two_classes()).coef_)


# Weights.

def test_a_weight_is_a_repeated_row():
    X, y = line()
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    labels = two_classes()[1]
    for model, targets in ((DescentRegressor(), y), (DescentRegressor("log_cosh"), y), (DescentClassifier(), labels)):
        weighted = model.fit(X, targets, weights).coef_
        assert near(weighted, clone(model).fit(X.repeat(weights, axis=0), targets.repeat(weights)).coef_)


def test_class_weights_multiply_those_of_the_rows():
    X, labels = two_classes()
    labels[:100] = "no"
    weights = np.random.default_rng(0).random(len(labels))
    by_dict = DescentClassifier(class_weight={"yes": 3.0}).fit(X, labels, weights)
    assert near(by_dict.coef_, DescentClassifier().fit(X, labels, np.where(labels == "yes", 3, 1) * weights).coef_)
    counts = {label: weights[labels == label].sum() for label in ("yes", "no")}
    balanced = DescentClassifier(class_weight="balanced").fit(X, labels, weights)
    each = np.array([1 / counts[label] for label in labels])
    assert near(balanced.coef_, DescentClassifier().fit(X, labels, each * weights).coef_)


# Classes.

def test_labels_of_any_type():
    X, labels = two_classes()
    coef = DescentClassifier().fit(X, labels).coef_
    for other in (labels == "yes", np.where(labels == "yes", 7, -2), np.where(labels == "yes", 1.0, 0.0)):
        model = DescentClassifier().fit(X, other)
        assert np.array_equal(model.coef_, coef)
        assert model.predict(X).dtype == other.dtype
        assert (model.predict(X) == other).mean() > 0.75
    probabilities = model.predict_proba(X)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.allclose(np.log(probabilities[:, 1] / probabilities[:, 0]), model.decision_function(X))


@pytest.mark.parametrize("loss", ["mse", "log_cosh", "abs_loss"])
def test_a_loss_without_probabilities(loss):
    X, labels = two_classes()
    model = DescentClassifier(loss).fit(X, labels)
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "predict_log_proba")
    signs = np.where(labels == "yes", 1.0, -1.0)
    assert near(model.coef_[0], DescentRegressor(loss).fit(X, signs).coef_)
    assert model.score(X, labels) > 0.75


def test_classes_that_a_plane_separates_end_there_with_a_warning():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="separates"):
        model = DescentClassifier().fit(X[:100], y[:100])
    assert model.score(X[:100], y[:100]) == 1
    assert model.n_iter_ < 20


# Stochastic methods.

@pytest.mark.parametrize("method", ["sgd", "mini-batch"])
def test_stochastic_fits_come_near_the_same_answer(method):
    X, y = line(2000)
    batch = DescentRegressor().fit(X, y)
    model = DescentRegressor(method=method, random_state=0).fit(X, y)
    assert model.converged_
    assert near(model.predict(X), batch.predict(X), 1e-2)
    assert model.scale_ == pytest.approx(batch.scale_, rel=1e-2)
    labels = two_classes(2000)[1]
    classifier = DescentClassifier(method=method, random_state=0).fit(X, labels)
    assert near(classifier.decision_function(X), DescentClassifier().fit(X, labels).decision_function(X), 0.1)


@quiet
def test_a_fit_is_the_call_of_the_verb():
    X, y = line(100)
    rate = schedules.inverse_scaling(0.1, 0.75)
    options = {"average": False, "alpha": rate, "max_epochs": 3, "precondition": None, "tol": 0.0}
    model = DescentRegressor("log_cosh", method="mini-batch", batch_size=7, random_state=3, **options).fit(X / 100, y)
    with pytest.warns(fastgd.ConvergenceWarning):
        theta = fastgd.minimize_mini_batch(fastgd.log_cosh, None, y, 7, rate, X=X / 100, fit_intercept=True, rng=3,
                                           max_epochs=3, stop="epoch", tol=0.0)
    assert np.array_equal(np.r_[model.intercept_, model.coef_], theta)
    assert model.n_iter_ == len(model.loss_curve_) == 3


@quiet
@pytest.mark.parametrize("method", ["sgd", "mini-batch"])
def test_partial_fits_go_on_as_one_run_does(method):
    """Rate and generator: without an average and a metric, epochs one by one are those of one fit."""
    X, y = line(100)
    X = X / 100
    options = {"method": method, "average": False, "alpha": schedules.inverse_scaling(0.1, 0.75), "random_state": 3,
               "precondition": None}
    whole = DescentRegressor("log_cosh", max_epochs=4, tol=0.0, **options).fit(X, y)
    model = DescentRegressor("log_cosh", **options)
    for _ in range(4):
        model.partial_fit(X, y)
    # Each call shuffles an order of its own, the rate and the stream are the same ones.
    first = DescentRegressor("log_cosh", max_epochs=1, tol=0.0, **options).fit(X, y)
    assert np.array_equal(DescentRegressor("log_cosh", **options).partial_fit(X, y).coef_, first.coef_)
    assert not np.array_equal(model.coef_, first.coef_)
    assert near(model.predict(X), whole.predict(X), 0.02)
    assert model.n_iter_ == len(model.loss_curve_) == 4
    rates = []
    model = DescentRegressor("mse", method="sgd", alpha=lambda t: rates.append(t) or 1e-3, random_state=0)
    for _ in range(3):
        model.partial_fit(X[:5], y[:5])
    assert np.unique(np.concatenate([np.ravel(t) for t in rates])).tolist() == list(range(15))


def test_partial_fits_on_rows_that_come_one_by_one():
    """The scales of the columns are those of all rows so far: one row has none."""
    X, y = line(3000)
    model = DescentRegressor("mse", method="sgd", random_state=0)
    for k in range(len(y)):
        model.partial_fit(X[k:k + 1], y[k:k + 1])
    expected = DescentRegressor("mse").fit(X, y).predict(X)
    assert np.abs(model.predict(X) - expected).std() < 0.2 * expected.std()
    X, labels = two_classes(3000)
    classifier = DescentClassifier(method="mini-batch", batch_size=8, random_state=0)
    for k in range(0, len(labels), 8):
        classifier.partial_fit(X[k:k + 8], labels[k:k + 8], classes=["no", "yes"])
    assert classifier.score(X, labels) > 0.75


def test_the_average_of_partial_fits_counts_later_updates_more():
    X, y = line(30)
    seen = []
    model = DescentRegressor("mse", method="sgd", random_state=0, average=True)
    plain = DescentRegressor("mse", method="sgd", random_state=0, average=False)
    for _ in range(3):
        model.partial_fit(X, y)
        plain.partial_fit(X, y)
        seen.append(plain._state.theta)
        assert np.array_equal(model._state.theta, plain._state.theta)
    assert model._state.averaged == model._state.updates == 90
    assert not np.array_equal(model.coef_, plain.coef_)


def test_what_partial_fit_refuses():
    X, labels = two_classes()
    assert not hasattr(DescentRegressor(), "partial_fit")
    model = DescentClassifier(method="sgd", random_state=0)
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, labels)
    model.partial_fit(X, labels, classes=["no", "yes"])
    with pytest.raises(ValueError, match=r"classes=.*perhaps"):
        model.partial_fit(X, labels, classes=["no", "perhaps"])
    with pytest.raises(ValueError, match=r"label .*perhaps.*classes"):
        model.partial_fit(X, np.where(labels == "no", "no", "perhaps"))
    with pytest.raises(ValueError, match="class_weight='balanced'"):
        DescentClassifier(method="sgd", class_weight="balanced").partial_fit(X, labels, classes=["no", "yes"])
    with pytest.raises(ValueError, match="early_stopping=True"):
        DescentRegressor(method="sgd", early_stopping=True).partial_fit(X, labels == "no")
    with pytest.raises(fastgd.DivergenceError, match="not finite"):
        DescentRegressor("quartic_loss", method="sgd", alpha=1e9, random_state=0).partial_fit(X, labels == "no")


@pytest.mark.parametrize("method", ["batch", "mini-batch"])
def test_early_stopping_keeps_the_best_theta(method):
    X, y = line(300)
    model = DescentRegressor("mse", method=method, early_stopping=True, random_state=0, alpha=0.05, tol=0,
                             n_iter_no_change=3).fit(X, y)
    assert model.result_.message.startswith("DescentRegressor")
    assert np.array_equal(model.result_.x[1:], model.coef_)
    again = clone(model).fit(X, y)
    assert np.array_equal(again.coef_, model.coef_)
    everything = DescentRegressor("mse").fit(X, y)
    assert everything.score(X, y) - model.score(X, y) < 0.05
    labels = two_classes(300)[1]
    classifier = DescentClassifier(method=method, early_stopping=True, random_state=0).fit(X, labels)
    assert classifier.score(X, labels) > 0.75


def test_early_stopping_looks_at_rows_that_are_not_fitted():
    X, y = line(200)
    seen = []
    DescentRegressor("mse", early_stopping=True, validation_fraction=0.25, random_state=0, callback=seen.append,
                     alpha=0.01).fit(X, y)
    assert len(seen) > 1
    fitted = [each.fun for each in seen]
    theta = seen[0].x
    assert fitted[0] != fastgd.mse(theta, y, X=X, fit_intercept=True)    # of all rows


def test_fits_in_threads():
    X, y = line()
    expected = DescentRegressor().fit(X, y).coef_
    assert all(np.array_equal(found, expected) for found in in_threads(
        4, lambda k: DescentRegressor().fit(X, y).coef_))


def test_the_optimum_of_a_penalty_is_ranked_as_by_ridge():
    from sklearn.model_selection import GridSearchCV

    X, y = RAW
    strengths = np.logspace(-4, 2, 20)
    ridge = GridSearchCV(Ridge(), {"alpha": strengths * 442 * 0.8 / 2}, cv=5).fit(X, y)
    penalties = {"penalty": [L2(each) for each in strengths]}
    ours = GridSearchCV(DescentRegressor("mse"), penalties, cv=5).fit(X, y)
    assert np.array_equal(ours.cv_results_["rank_test_score"], ridge.cv_results_["rank_test_score"])


def test_targets_that_overflow_are_said_to_and_nothing_else():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = (X @ [5.0, 1.0] + rng.normal(size=400)) * 1e200
    with pytest.raises(fastgd.DivergenceError, match=r"overflow in it: divide them by 1e\+201") as caught:
        DescentRegressor("mse").fit(X, y)    # and no RuntimeWarning, which is an error here
    assert "rate" not in str(caught.value)
