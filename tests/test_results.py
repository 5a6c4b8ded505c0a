"""DescentResult: what it predicts, names, shows and equals."""
import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import TIPS, quiet, rows

import fastgd
from fastgd import minimize, minimize_sgd


def test_predictions_of_rows():
    X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
    for intercept in (False, True):
        result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=intercept, tol=1e-7,
                          full_output=True)
        rest = result.x[1:] if intercept else result.x
        expected = X.to_numpy(float) @ rest + (result.x[0] if intercept else 0)
        for data in (X, X.to_numpy(), X.astype(np.float32)):
            assert result.predict(data) == pytest.approx(expected, rel=1e-6)
        assert result.fun == pytest.approx(np.mean((y - expected) ** 2))
    with pytest.raises(ValueError, match="X has 3 features, but DescentResult is expecting 2 features as input"):
        result.predict(np.ones((4, 3)))
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        result.predict(X[["size", "total_bill"]])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        result.predict([[np.nan, 1]])
    with pytest.raises(TypeError):
        float(result)


def test_the_constant_model_predicts_too(five_points):
    result = minimize(fastgd.mse, None, five_points, progress=False, full_output=True)
    assert np.array_equal(result.predict(np.ones((3, 2))), [result.x] * 3)


@quiet
def test_features_are_named_in_repr_and_history():
    X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
    result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=True, history=True, tol=1e-7)
    assert result.success
    assert result.feature_names == ("total_bill", "size")
    assert "of: intercept, total_bill, size" in repr(result)
    assert list(result.history.columns) == ["update", "alpha", "intercept", "total_bill", "size"]
    assert np.array_equal(result.history.iloc[-1, 2:].to_numpy(float), result.x)
    assert len(result.history) == result.nit
    plain = minimize_sgd(fastgd.mse, None, y, 1e-4, X=X.to_numpy(), rng=0, history=True, max_epochs=2, tol=0)
    assert plain.feature_names is None
    assert list(plain.history.columns) == ["update", "alpha", "x0", "x1"]
    assert len(plain.history) == 2 * 244
    assert np.array_equal(plain.history.iloc[-1, 2:].to_numpy(), plain.x)
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    assert again != plain


@quiet
def test_names_that_collide_are_numbered():
    X, y = rows(50, 4)
    frame = pd.DataFrame(X, columns=["alpha", "intercept", "a", "a"])
    history = minimize(fastgd.mse, None, y, 0.1, False, X=frame, fit_intercept=True, history=True,
                       max_iter=3).history
    assert list(history.columns) == ["update", "alpha", "intercept", "alpha_2", "intercept_2", "a", "a_2"]


def test_equal_results_agree_in_every_field_but_the_history():
    X, y = rows(50, 2)
    result = minimize(fastgd.mse, None, y, 0.1, False, X=X, full_output=True)
    for field, value in (("x", result.x + 1), ("fun", 0.0), ("jac", result.jac + 1), ("nit", 1), ("status", 1),
                         ("message", ""), ("feature_names", ("a", "b")), ("fit_intercept", True)):
        assert dataclasses.replace(result, **{field: value}) != result, field
    assert dataclasses.replace(result, history=pd.DataFrame()) == result
    assert result != 3


def test_of_many_features_eight_are_named():
    X = pd.DataFrame(np.eye(12), columns=[f"f{k}" for k in range(12)])
    result = minimize(fastgd.mse, None, np.zeros(12), progress=False, X=X, full_output=True)
    assert "of: f0, f1, f2, f3, f4, f5, f6, f7, ... and 4 more\n" in repr(result)
