"""Penalties on the weights of a model, for ``penalty=``: L2 shrinks weights, L1 makes many of them exactly 0.

The objective is the mean loss plus the penalty of theta. With X the intercept is not penalised; without X theta is the
only weight. L2 enters the gradient. L1 is nonsmooth at 0: each update ends with its proximal step, a soft threshold
that moves a weight towards 0 by the learning rate times the strength, so that zeros are exact.

>>> import numpy as np
>>> from fastgd import minimize, mse, penalties
>>> X, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([3.0, 0.1, 3.0])
>>> minimize(mse, None, y, "auto", X=X, penalty=penalties.L1(0.5), tol=1e-9, progress=False).round(4)
array([2.625, 0.   ])
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._immutable import Immutable
from fastgd._validation import check_number, real_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._types import Number

__all__ = ["L1", "L2", "ElasticNet", "Penalty"]


class Penalty(Immutable):
    """Base class of penalties, ``penalty(w) = l1 * sum(abs(w)) + l2 / 2 * sum(w**2)``.

    Penalties are immutable; they compare, hash and pickle by their class and parameters.

    Attributes
    ----------
    l1, l2 : float
        Strengths of the two terms.

    Examples
    --------
    >>> from fastgd.penalties import ElasticNet
    >>> ElasticNet(l1=1, l2=2)([3.0, -1.0])
    14.0
    """

    l1: float
    l2: float
    _names: tuple[str, ...]

    def __init__(self) -> None:
        raise TypeError("Penalty is an abstract class; use L1(strength), L2(strength) or ElasticNet(l1, l2).")

    @property
    def parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def __call__(self, weights: ArrayLike) -> float:
        """Penalty of the weights, an array or one number."""
        w = real_numbers(weights, "weights").astype(np.float64)
        with np.errstate(over="ignore"):
            # A strength of 0 times an infinite weight is 0 here, and not NaN.
            return float((self.l1 and self.l1 * np.abs(w).sum()) + (self.l2 and self.l2 * ((w * w).sum() / 2)))


class L2(Penalty):
    """Ridge penalty ``strength / 2 * sum(w**2)``: small weights, and a minimum for separable or collinear data.

    Parameters
    ----------
    strength : float
        At least 0; in the units of the loss per squared unit of a weight. The loss is a mean over n rows, so
        ``strength = 2 * alpha / n`` is scikit-learn's ``Ridge(alpha)`` for `mse`, and ``1 / (n * C)`` its
        ``LogisticRegression(C=C)`` for `cross_entropy`.

    Raises
    ------
    TypeError, ValueError
        If the strength is not a finite number of at least 0.

    References
    ----------
    A. E. Hoerl and R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12
    (1970).

    Examples
    --------
    >>> from fastgd import minimize, mse
    >>> from fastgd.penalties import L2
    >>> minimize(mse, None, [1.0, 3.0], "auto", X=[[1.0], [1.0]], penalty=L2(2.0), tol=1e-9, progress=False).round(6)
    array([1.])
    """

    strength: float
    l1 = 0.0
    _names = ("strength",)

    def __init__(self, strength: Number) -> None:
        strength = check_number(strength, "strength", low=0)
        self._set(strength=strength, l2=strength)


class L1(Penalty):
    """Lasso penalty ``strength * sum(abs(w))``: small weights become exactly 0.

    Parameters
    ----------
    strength : float
        At least 0; in the units of the loss per unit of a weight. For `mse` ``strength = 2 * alpha`` is scikit-learn's
        ``Lasso(alpha)``.

    Raises
    ------
    TypeError, ValueError
        If the strength is not a finite number of at least 0.

    References
    ----------
    R. Tibshirani, "Regression shrinkage and selection via the lasso", Journal of the Royal Statistical Society B 58
    (1996). I. Daubechies, M. Defrise and C. De Mol, "An iterative thresholding algorithm for linear inverse problems
    with a sparsity constraint", Communications on Pure and Applied Mathematics 57 (2004).

    Examples
    --------
    >>> from fastgd import minimize, mse
    >>> from fastgd.penalties import L1
    >>> minimize(mse, None, [1.0, 3.0], "auto", X=[[1.0], [1.0]], penalty=L1(5.0), progress=False)
    array([0.])
    """

    strength: float
    l2 = 0.0
    _names = ("strength",)

    def __init__(self, strength: Number) -> None:
        strength = check_number(strength, "strength", low=0)
        self._set(strength=strength, l1=strength)


class ElasticNet(Penalty):
    """Elastic net penalty ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)``: weights of correlated columns vanish together.

    Parameters
    ----------
    l1, l2 : float
        Strengths of `L1` and of `L2`; at least 0.

    Raises
    ------
    TypeError, ValueError
        If a strength is not a finite number of at least 0.

    References
    ----------
    H. Zou and T. Hastie, "Regularization and variable selection via the elastic net", Journal of the Royal Statistical
    Society B 67 (2005).

    Examples
    --------
    >>> from fastgd.penalties import ElasticNet
    >>> ElasticNet(l1=0.5, l2=1.0)
    ElasticNet(l1=0.5, l2=1.0)
    """

    _names = ("l1", "l2")

    def __init__(self, l1: Number, l2: Number) -> None:
        self._set(l1=check_number(l1, "l1", low=0), l2=check_number(l2, "l2", low=0))
