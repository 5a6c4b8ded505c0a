"""What both estimators share: data become a source, a source is descended on, and what was found becomes attributes."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y, validate_data

from fastgd._frames import as_labels, as_numbers, of_arrow
from fastgd._random import bit_generator_of
from fastgd._data.arrays import normalize_weights
from fastgd._data.arrays import linear_data_like
from fastgd._validation import check_weights, is_lazy, wrong_dimensions
from fastgd.estimators import _lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._data import LinearModelData
    from fastgd._types import DoubleArray, FloatArray
    from fastgd.estimators._options import Options
    from fastgd.estimators._runs import Fit


#: The types of X that are read as they are; the first is what others become.
_DTYPES: tuple[Any, ...] = (np.float64, np.float32)


class Model(NamedTuple):
    """What rows are rows of, as `linear_data_like` asks."""

    intercept: bool
    names: tuple[str, ...] | None


class Checked(NamedTuple):
    """X, targets and weights as they were checked."""

    X: FloatArray
    y: Any
    weights: DoubleArray | None

    def apart(self, fraction: float, generator: np.random.BitGenerator, classes: Any) -> tuple[Checked, Checked]:
        """Those to fit, and those to score on; of classes each has its part."""
        from sklearn.model_selection import train_test_split

        places = train_test_split(np.arange(len(self.y)), test_size=fraction,
                                  random_state=np.random.RandomState(generator), stratify=classes)
        fitted, scored = (Checked(self.X[at], self.y[at], None if self.weights is None else self.weights[at])
                          for at in places)
        return fitted, scored


class Descent(BaseEstimator):    # type: ignore[misc]    # scikit-learn has no types
    """A linear model that is fitted by descent."""

    coef_: DoubleArray
    intercept_: Any

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool = True, y_numeric: bool) -> Checked:
        """What is in memory, checked by scikit-learn."""
        y = targets_of(y) if y_numeric else as_labels(y, "y")
        values, has_names = self._as_array(X, reset)
        options = {"y_numeric": y_numeric, "dtype": _DTYPES, "order": "C"}
        if has_names:
            X, y = check_X_y(values, y, estimator=self, **options)
        else:
            X, y = validate_data(self, values, y, reset=reset, **options)
        return Checked(X, y, check_weights(sample_weight, len(X)))

    def _as_array(self, X: Any, reset: bool) -> tuple[Any, bool]:
        """X without what is no number; of a frame its values, and True: its names are taken, or checked."""
        values, names = as_numbers(X, "X", 2)
        if names is not None:
            validate_data(self, of_arrow(X), reset=reset, skip_check_array=True)
        elif isinstance(values, np.ndarray) and values.ndim == 1:
            raise wrong_dimensions(values, "X", 2)
        return values, names is not None

    def _rows(self, X: FloatArray, targets: FloatArray, weights: DoubleArray | None,
              options: Options) -> LinearModelData:
        """Rows of what was checked."""
        weights, (X, targets) = normalize_weights(weights, X, targets)
        names = getattr(self, "feature_names_in_", None)
        return linear_data_like(Model(options.fit_intercept, None if names is None else tuple(names)),  # type: ignore[arg-type]
                              X, targets, weights)

    def _looked_at(self, source: Any) -> None:
        """Take the columns of a source that is not in memory."""
        if not source.is_rows:
            raise ValueError("Expected 2D array, got points without X: blocks should be (X, y), or give columns as X.")
        self.n_features_in_ = source.p
        if source.names is not None:
            self.feature_names_in_ = np.array(source.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _starts(self, options: Options, models: int = 1) -> list[Any]:
        """Where the descents of so many models begin: where the last fit ended, if that was asked for and can be."""
        if not (options.warm_start and hasattr(self, "coef_")):
            return [0.0] * models
        weights = np.atleast_2d(self.coef_)
        if weights.shape != (models, self.n_features_in_):
            return [0.0] * models
        if not options.fit_intercept:
            return list(weights)
        return list(np.column_stack([np.broadcast_to(self.intercept_, models), weights]))

    def _splits(self, options: Options, checked: Checked, classes: Any = None) -> tuple[Checked, Checked | None]:
        """What is fitted, and what is kept apart for the score of an early stop."""
        if not options.early_stopping:
            return checked, None
        generator = options.settings.bit_generator or bit_generator_of(self.random_state, "random_state")
        return checked.apart(options.validation_fraction, generator, classes)

    def _take_iterations(self, fits: Sequence[Fit], iterations: int) -> None:
        """The attributes that tell of the descents."""
        self.n_iter_ = iterations
        results, curves = [fit.result for fit in fits], [fit.curve for fit in fits]
        self.converged_ = all(result.success for result in results)
        self.result_ = results[0] if len(fits) == 1 else results
        self.loss_curve_ = curves[0] if len(fits) == 1 else curves

    def _predictions(self, X: Any, function: Callable[[Any], Any], outputs: int = 0, dtype: Any = np.float64) -> Any:
        """`function` of the linear predictions for the rows of X; of dask lazily, with so many outputs a row."""
        check_is_fitted(self)
        if is_lazy(X):
            predict = functools.partial(_predicted, function, self.coef_.copy(), np.copy(self.intercept_))
            names = getattr(self, "feature_names_in_", None)
            return _lazy.of_blocks(predict, X, self.n_features_in_, names, outputs, dtype)
        values, has_names = self._as_array(X, False)
        X = check_array(values, dtype=_DTYPES, estimator=self, input_name="X") if has_names else validate_data(
            self, values, reset=False, dtype=_DTYPES)
        return _predicted(function, self.coef_, self.intercept_, X)


def _predicted(function: Callable[[Any], Any], coef: DoubleArray, intercept: Any, X: FloatArray) -> Any:
    predictions = X @ coef.T
    predictions += intercept
    return function(predictions)


def targets_of(y: Any) -> Any:
    """The targets of a regression without what is no number; a frame may have one column, as scikit-learn has it."""
    return as_numbers(y, "y", 2 if len(getattr(y, "shape", ())) == 2 else 1)[0]


def refuse_early_stop(options: Options) -> None:
    """Raise ValueError for an early stop where there are no rows to keep apart."""
    if options.early_stopping:
        raise ValueError("early_stopping=True needs data in memory, some rows of which are kept apart.")
