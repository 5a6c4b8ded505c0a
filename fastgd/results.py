"""Result of a descent, its status codes, warnings and errors."""
from __future__ import annotations

import math
import os
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, cast, overload

import numpy as np

from fastgd._format import equal, is_array, parameter_names, result_html, result_text
from fastgd._validation import check_design

if TYPE_CHECKING:
    from collections.abc import Sized
    from typing import SupportsIndex

    import pandas as pd
    from numpy.typing import ArrayLike
    from typing_extensions import TypeVar  # type checkers bring it along; `default` came with Python 3.13

    from fastgd._types import DoubleArray

    Theta_co = TypeVar("Theta_co", bound=float | DoubleArray, default=float | DoubleArray, covariant=True)
else:
    from typing import TypeVar

    Theta_co = TypeVar("Theta_co", covariant=True)

__all__ = ["ConvergenceWarning", "DescentResult", "DivergenceError", "SourceError"]

CONVERGED, LIMIT_REACHED, CYCLE, NOT_FINITE, STALLED, DATA_LOST = range(6)
STOPPED_BY_CALLBACK = 99    # as in scipy


class ConvergenceWarning(UserWarning):
    """Warning that a descent ended at a theta that may be far from a minimum; its message has the reason and a remedy.

    Examples
    --------
    >>> import warnings
    >>> from fastgd import ConvergenceWarning, grad_mse, minimize, mse
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     theta = minimize(mse, grad_mse, [12.1, 17.2], max_iter=3, progress=False)
    >>> caught[0].category is ConvergenceWarning
    True
    """


class DivergenceError(ArithmeticError):
    """Error that theta became NaN or infinite, or that the loss of a linear model grew a millionfold.

    Attributes
    ----------
    result : DescentResult
        Result up to the last finite theta.

    Examples
    --------
    >>> from fastgd import DivergenceError, grad_mse, minimize, mse
    >>> try:
    ...     minimize(mse, grad_mse, [12.1, 17.2], alpha=1.5, progress=False)
    ... except DivergenceError as error:
    ...     error.result.success
    False
    """

    def __init__(self, message: str, result: DescentResult) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        message: str = self.args[0]
        return message


class SourceError(RuntimeError):
    """Error that data outside memory could not be read, or changed between two passes.

    Attributes
    ----------
    result : DescentResult or None
        Result so far, from which ``theta0=error.result.x`` continues; None if no update was made.

    Examples
    --------
    >>> from fastgd import Blocks, SourceError, grad_mse, minimize, mse
    >>> lengths = iter([3, 2])
    >>> try:
    ...     minimize(mse, grad_mse, Blocks(lambda: iter([[1.0, 2.0, 4.0][:next(lengths)]])), progress=False)
    ... except SourceError as error:
    ...     print(error)
    Block 0 has 2 rows, and had 3 in the first pass. The data must not change during a descent.
    """

    def __init__(self, message: str, result: DescentResult | None = None) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        message: str = self.args[0]
        return message


@dataclass(frozen=True, repr=False, eq=False)
class DescentResult(Generic[Theta_co]):
    """Result of a descent, with the names of `scipy.optimize.OptimizeResult`.

    If x is one number, ``float(result)``, ``round(result, 2)`` and ``f"{result:.2f}"`` convert, round and format it.
    The parameters of a linear model are also in `coef` and `intercept`.

    Attributes
    ----------
    x : float or ndarray
        Last theta, in the units of the data; with ``average=True`` the mean theta of the last epoch. With X an
        array, the intercept first if there is one.
    fun : float
        Loss at x, of the loss function that was passed; NaN without one.
    jac : float, ndarray or None
        Mean gradient of the loss at x; None in the results that a callback gets.
    nit : int
        Number of updates.
    success : bool
        True if the stopping rule was met and no clearly better point was found.
    status : int
        0 converged, 1 limit of updates reached, 2 the iterates are in a cycle, 3 diverged, 4 the last step was short
        but x is not a minimum (a point that happens to lie near theta, a learning rate of 0, a loss that still falls),
        5 the data could not be read any more, 99 stopped by the callback.
    message : str
        Reason of the end of the descent, and a remedy if it did not converge.
    history : pandas.DataFrame or None
        With ``history=True``, a row for each update: update (from 1), alpha, and the theta after it; with X a column
        for each parameter.
    feature_names : tuple of str or None
        Columns of X as text, if X was a DataFrame.
    fit_intercept : bool
        True if x[0] is an intercept.
    passes, bytes_read : int or None
        Number of passes over data outside memory, those before and after the descent included, and the bytes read.

    Examples
    --------
    >>> from fastgd import grad_mse, minimize, mse
    >>> result = minimize(mse, grad_mse, [1.0, 3.0], alpha=0.5, progress=False, full_output=True)
    >>> result
           x: 2.0
         fun: 1.0
         jac: -0.0
         nit: 2
     success: True
      status: 0
     message: minimize converged: update 2 moved theta by 0, and tol is 0.001.
    >>> f"theta is {result:.2f}"
    'theta is 2.00'
    """

    x: Theta_co
    fun: float
    jac: Theta_co | None
    nit: int
    success: bool
    status: int
    message: str
    history: pd.DataFrame | Any = None    # Any, so that callers with history=True need no test for None
    feature_names: tuple[str, ...] | None = None
    fit_intercept: bool = False
    passes: int | None = None
    bytes_read: int | None = None
    _columns: pd.Index[Any] | None = None    # of X, not converted to text

    @property
    def coef(self) -> pd.Series[float]:
        """Weights of a linear model, without the intercept.

        Returns
        -------
        pandas.Series of float64
            A copy. Its index is the columns of X, so that ``X @ result.coef`` predicts; or x0, x1, ... if X was no
            DataFrame.

        Raises
        ------
        AttributeError
            In the constant model, which has no features; ``hasattr(result, "coef")`` is then False.

        Examples
        --------
        >>> import pandas as pd
        >>> from fastgd import minimize, mse
        >>> X = pd.DataFrame({"size": [1.0, 2.0, 4.0], "hour": [0.0, 1.0, 0.0]})
        >>> result = minimize(mse, None, [3.0, 6.0, 9.0], "auto", X=X, fit_intercept=True, tol=1e-9, full_output=True,
        ...                   progress=False)
        >>> result.coef.round(2)
        size    2.0
        hour    1.0
        Name: coef, dtype: float64
        """
        theta = self.x
        if not is_array(theta):
            raise AttributeError("The constant model has no coef; result.x is its parameter. A linear model needs X=.")
        import pandas as pd

        start = int(self.fit_intercept)
        index = parameter_names(self)[start:] if self._columns is None else self._columns
        return pd.Series(np.array(theta[start:]), index=index, name="coef")

    @property
    def intercept(self) -> float:
        """Prediction where all features are 0: x[0] with ``fit_intercept=True``, else 0.0; x in the constant model.

        Returns
        -------
        float

        Examples
        --------
        >>> from fastgd import minimize, mse
        >>> result = minimize(mse, None, [1.0, 3.0], X=[[0.0], [2.0]], fit_intercept=True, tol=1e-9, full_output=True,
        ...                   progress=False)
        >>> round(result.intercept, 2)
        1.0
        """
        theta = self.x
        if not is_array(theta):
            return float(theta)
        return float(theta[0]) if self.fit_intercept else 0.0

    def predict(self, X: ArrayLike) -> DoubleArray:
        """Predict a target for each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the features of the fitted X, in their order. In the constant model only its length is used.

        Returns
        -------
        ndarray of shape (n,), float64
            ``x[0] + X @ x[1:]`` with an intercept, ``X @ x`` without; x for each row in the constant model. The
            predictions of `cross_entropy` are log-odds, of probabilities ``1 / (1 + exp(-prediction))``.

        Raises
        ------
        TypeError, ValueError
            If X is not as described.

        Examples
        --------
        >>> from fastgd import minimize, mse
        >>> result = minimize(mse, None, [1.0, 3.0], X=[[0.0], [2.0]], fit_intercept=True, tol=1e-9, full_output=True,
        ...                   progress=False)
        >>> result.predict([[4.0]]).round(6)
        array([5.])
        """
        theta = self.x
        if not is_array(theta):
            return np.full(len(cast("Sized", X)), theta)
        array, names = check_design(X)
        expected = len(theta) - self.fit_intercept
        if array.shape[1] != expected:
            raise ValueError(f"X has {array.shape[1]} features, but DescentResult is expecting {expected} features as "
                             "input.")
        if names is not None and self.feature_names is not None and tuple(names) != self.feature_names:
            raise ValueError("The feature names should match those that were passed during fit: "
                             f"{', '.join(self.feature_names)}. Got {', '.join(names)}.")
        predictions: DoubleArray = theta[0] + array @ theta[1:] if self.fit_intercept else array @ theta
        return predictions

    def __float__(self) -> float:
        return self._one_number("float(result)")

    @overload
    def __round__(self, ndigits: None = None) -> int: ...
    @overload
    def __round__(self, ndigits: SupportsIndex) -> float: ...
    def __round__(self, ndigits: SupportsIndex | None = None) -> float:
        return round(self._one_number("round(result)"), ndigits)

    def __format__(self, form: str) -> str:
        return format(self._one_number(f"The format {form!r}"), form) if form else str(self)

    def _one_number(self, what: str) -> float:
        """Return x, or raise TypeError if it is an array."""
        if is_array(self.x):
            raise TypeError(f"{what} needs a result of one number, and x is an array of {len(self.x)}. Use "
                            "result.coef.round(2), a Series of the weights by name, and result.intercept, a float.")
        return float(self.x)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DescentResult):
            return NotImplemented
        return all(equal(getattr(self, name), getattr(other, name)) for name in (
            "x", "fun", "jac", "nit", "status", "feature_names", "fit_intercept"))

    def __repr__(self) -> str:
        return result_text(self)

    def _repr_html_(self) -> str:
        """HTML of the result, for notebooks."""
        return result_html(self)


_PACKAGE = os.path.join(os.path.dirname(__file__), "")


def warn(message: str, category: type[ConvergenceWarning] = ConvergenceWarning) -> None:
    """Warn at the line that called the package."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def lost(theta: Any, updates: int) -> DescentResult[Any] | None:
    """Result of a run whose data could not be read any more, or None before the first update."""
    if updates == 0:
        return None
    return DescentResult(x=theta, fun=math.nan, jac=None, nit=updates, success=False, status=DATA_LOST,
                         message="The data could not be read any more.")
