"""Base class of the estimators: input validation, warm start, validation rows, attributes, predictions."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y, validate_data

from fastgd._data.arrays import linear_data_like, normalize_weights
from fastgd._frames import as_labels, as_numbers, of_arrow
from fastgd._random import bit_generator_of
from fastgd._validation import check_weights, is_lazy, wrong_dimensions
from fastgd.estimators import _lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._data import LinearModelData
    from fastgd._types import DoubleArray, FloatArray
    from fastgd.estimators._fitting import Fit
    from fastgd.estimators._options import Options


#: Dtypes of X that need no conversion; all others are converted to the first.
_DTYPES: tuple[Any, ...] = (np.float64, np.float32)


class LinearModel(NamedTuple):
    """Intercept and column names of a linear model, for `linear_data_like`."""

    intercept: bool
    names: tuple[str, ...] | None


class CheckedData(NamedTuple):
    """Validated X, targets and weights."""

    X: FloatArray
    y: Any
    weights: DoubleArray | None

    def split(self, fraction: float, generator: np.random.BitGenerator,
              classes: Any) -> tuple[CheckedData, CheckedData]:
        """Split into training and validation rows, stratified by class."""
        from sklearn.model_selection import train_test_split

        places = train_test_split(np.arange(len(self.y)), test_size=fraction,
                                  random_state=np.random.RandomState(generator), stratify=classes)
        fitted, scored = (CheckedData(self.X[at], self.y[at], None if self.weights is None else self.weights[at])
                          for at in places)
        return fitted, scored


class BaseDescent(BaseEstimator):    # type: ignore[misc]    # scikit-learn has no types
    """Base class of linear models that are fitted by gradient descent."""

    coef_: DoubleArray
    intercept_: Any

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool = True, y_numeric: bool) -> CheckedData:
        """Validate data in memory as scikit-learn does."""
        if reset and self._is_valid(X, y, y_numeric):
            self.n_features_in_ = X.shape[1]
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return CheckedData(X, y, check_weights(sample_weight, len(X)))
        y = regression_targets(y) if y_numeric else as_labels(y, "y")
        values, has_names = self._as_array(X, reset)
        options = {"y_numeric": y_numeric, "dtype": _DTYPES, "order": "C"}
        if has_names:
            X, y = check_X_y(values, y, estimator=self, **options)
        else:
            X, y = validate_data(self, values, y, reset=reset, **options)
        return CheckedData(X, y, check_weights(sample_weight, len(X)))

    def _is_valid(self, X: Any, y: Any, y_numeric: bool) -> bool:
        """Return True for arrays that scikit-learn's validation returns unchanged; it costs 600 calls."""
        return (type(X) is np.ndarray and type(y) is np.ndarray and X.ndim == 2 and y.ndim == 1 and X.size > 0
                and len(X) == len(y) and X.dtype in _DTYPES and X.flags.c_contiguous and bool(np.isfinite(X).all())
                and y.dtype.isnative and y.dtype.kind in ("fiu" if y_numeric else "iu")
                and (y.dtype.kind != "f" or bool(np.isfinite(y).all())))

    def _as_array(self, X: Any, reset: bool) -> tuple[Any, bool]:
        """Return X as an array of numbers, and True for a frame, whose column names are then recorded or checked."""
        values, names = as_numbers(X, "X", 2)
        if names is not None:
            validate_data(self, of_arrow(X), reset=reset, skip_check_array=True)
        elif isinstance(values, np.ndarray) and values.ndim == 1:
            raise wrong_dimensions(values, "X", 2)
        return values, names is not None

    def _rows(self, X: FloatArray, targets: FloatArray, weights: DoubleArray | None,
              options: Options) -> LinearModelData:
        """Return the rows of validated data, with weights of mean 1."""
        weights, (X, targets) = normalize_weights(weights, X, targets)
        names = getattr(self, "feature_names_in_", None)
        return linear_data_like(LinearModel(options.fit_intercept, None if names is None else tuple(names)),  # type: ignore[arg-type]
                              X, targets, weights)

    def _set_columns(self, source: Any) -> None:
        """Set the number and names of the columns from data outside memory."""
        if not source.is_rows:
            raise ValueError("Expected 2D array, got a dataset without X. Pass blocks of (X, y), or columns as X.")
        self.n_features_in_ = source.p
        if source.names is not None:
            self.feature_names_in_ = np.array(source.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _warm_starts(self, options: Options, models: int = 1) -> list[Any]:
        """Return a starting point for each model: the last fit with `warm_start` and the same shape, else 0."""
        if not (options.warm_start and hasattr(self, "coef_")):
            return [0.0] * models
        weights = np.atleast_2d(self.coef_)
        if weights.shape != (models, self.n_features_in_):
            return [0.0] * models
        if not options.fit_intercept:
            return list(weights)
        return list(np.column_stack([np.broadcast_to(self.intercept_, models), weights]))

    def _train_validation_split(self, options: Options, checked: CheckedData,
                                classes: Any = None) -> tuple[CheckedData, CheckedData | None]:
        """Return the training rows, and the validation rows for early stopping or None."""
        if not options.early_stopping:
            return checked, None
        generator = options.settings.bit_generator or bit_generator_of(self.random_state, "random_state")
        return checked.split(options.validation_fraction, generator, classes)

    def _set_run_attributes(self, fits: Sequence[Fit], iterations: int) -> None:
        """Set the attributes of the solver runs: iterations, convergence, results, loss curves."""
        self.n_iter_ = iterations
        results, curves = [fit.result for fit in fits], [fit.curve for fit in fits]
        self.converged_ = all(result.success for result in results)
        self.result_ = results[0] if len(fits) == 1 else results
        self.loss_curve_ = curves[0] if len(fits) == 1 else curves

    def _predictions(self, X: Any, function: Callable[[Any], Any], outputs: int = 0, dtype: Any = np.float64) -> Any:
        """Apply `function` to the linear predictions for X; lazily for dask, with `outputs` columns."""
        check_is_fitted(self)
        if is_lazy(X):
            predict = functools.partial(_predicted, function, self.coef_.copy(), np.copy(self.intercept_))
            names = getattr(self, "feature_names_in_", None)
            return _lazy.predict_lazily(predict, X, self.n_features_in_, names, outputs, dtype)
        values, has_names = self._as_array(X, False)
        X = check_array(values, dtype=_DTYPES, estimator=self, input_name="X") if has_names else validate_data(
            self, values, reset=False, dtype=_DTYPES)
        return _predicted(function, self.coef_, self.intercept_, X)


def _predicted(function: Callable[[Any], Any], coef: DoubleArray, intercept: Any, X: FloatArray) -> Any:
    predictions = X @ coef.T
    predictions += intercept
    return function(predictions)


def regression_targets(y: Any) -> Any:
    """Return the targets of a regression as numbers; a frame may have one column, as in scikit-learn."""
    return as_numbers(y, "y", 2 if len(getattr(y, "shape", ())) == 2 else 1)[0]


def refuse_early_stopping(options: Options) -> None:
    """Raise ValueError for early stopping on data outside memory."""
    if options.early_stopping:
        raise ValueError("early_stopping=True needs data in memory. Pass arrays, or early_stopping=False.")
