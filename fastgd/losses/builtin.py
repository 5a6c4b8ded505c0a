"""Losses of the package: a class each, with its formula, its facts as attributes, and its source.

The maths of a loss is in ``fastgd/_kernels/losses.pxd`` under the name of the class, and its numpy twin in
``fastgd/reference.py`` under the name of the loss. `REGISTRY` has one object of each class; tests and benches iterate
over it.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fastgd._kernels import losses as kernels
from fastgd._validation import check_number
from fastgd.losses.base import Loss

if TYPE_CHECKING:
    from fastgd._types import Number

# The only list of the exported names, for this module and for `fastgd`.
__all__ = [
    "AbsoluteError", "CrossEntropy", "EpsilonInsensitive", "Huber", "LogCosh", "Pinball", "Quartic", "SquaredError",
    "abs_loss", "cross_entropy", "epsilon_insensitive", "grad_abs_loss", "grad_cross_entropy",
    "grad_epsilon_insensitive", "grad_huber_loss", "grad_log_cosh", "grad_mse", "grad_pinball_loss",
    "grad_quartic_loss", "huber_loss", "log_cosh", "mse", "pinball_loss", "quartic_loss",
]

#: Evaluations, of 16 ns each, of a loss that needs exp in one call of a kernel, after which Ctrl-C is answered.
EVALUATIONS_OF_EXP = 2**20
#: Smallest half-width of a smoothed breakpoint: the smallest whose inverse is finite in float32.
LEAST_HALF_WIDTH = 2.0**-126


class SquaredError(Loss):
    """Squared error ``r**2`` with ``r = y - theta`` (`mse`); the mean of y minimises its mean.

    References
    ----------
    A.-M. Legendre, "Nouvelles methodes pour la determination des orbites des cometes", 1805.

    Examples
    --------
    >>> from fastgd import mse
    >>> mse(0.0, [1, 5])
    13.0
    """

    _kernel_type = kernels.SquaredError
    _name = "mse"
    max_curvature = 2.0
    is_quadratic = True


class _PiecewiseLinear(Loss):
    """Loss that is linear but for breakpoints at r = -epsilon and r = epsilon, which `smoothing` > 0 rounds off."""

    smoothing: float

    def _set_up_breakpoints(self, parameters: dict[str, float], smoothing: Number, *, above: float = 1.0,
                            below: float = 1.0, epsilon: float = 0.0) -> None:
        """Set the attributes of a loss with the slopes `above` and -`below` in r beyond the breakpoints."""
        width = check_number(smoothing, "smoothing", low=0)
        named = {**parameters, "smoothing": width}
        if width > 0:
            h = max(width, LEAST_HALF_WIDTH)
            self._set_up(self._name, kernels.SmoothedPiecewiseLinear(above, below, epsilon, h), named)
            # Smoothing distributes each jump evenly over 2 h; where the intervals of two overlap, their curvatures add.
            self._set(max_curvature=(above + below if h > epsilon else max(above, below)) / h / 2)
        else:
            self._set_up(self._name, self._kernel_type(**parameters), named)
            self._set(kinks=((-epsilon, below), (epsilon, above)) if epsilon > 0 else ((0.0, above + below),))


class AbsoluteError(_PiecewiseLinear):
    """Absolute error ``abs(r)`` with ``r = y - theta`` (`abs_loss`); the median of y minimises its mean.

    With smoothing h > 0 it is convolved with a uniform density: ``r**2 / (2 h) + h / 2`` where ``abs(r) <= h``, else
    ``abs(r)``. The smoothed loss exceeds the absolute error by at most h / 2.

    Parameters
    ----------
    smoothing : float, default 0
        Half-width over which the breakpoint is rounded off, in the units of the data; at least 0. 0 keeps it.

    Raises
    ------
    TypeError, ValueError
        If smoothing is not a finite number of at least 0.

    References
    ----------
    P. Bloomfield and W. L. Steiger, "Least Absolute Deviations", Birkhaeuser, 1983.

    X. He, X. Pan, K. M. Tan and W.-X. Zhou, "Smoothed quantile regression with large-scale inference", Journal of
    Econometrics 232 (2023).

    Examples
    --------
    >>> from fastgd import AbsoluteError, abs_loss
    >>> abs_loss(0.0, [1, 5])
    3.0
    >>> AbsoluteError(smoothing=2)(0.0, [1, 5]), AbsoluteError(smoothing=2).max_stable_alpha
    (3.125, 4.0)
    """

    _kernel_type = kernels.AbsoluteError
    _name = "abs_loss"
    _defaults: ClassVar = {"smoothing": 0.0}

    def __init__(self, smoothing: Number = 0) -> None:
        self._set_up_breakpoints({}, smoothing)


class Huber(Loss):
    """Huber loss ``r**2 / 2`` where ``abs(r) <= delta``, else ``delta * (abs(r) - delta / 2)`` (`huber_loss`).

    It is quadratic near the prediction and linear far from it, so that the slope of an outlier is bounded.

    Parameters
    ----------
    delta : float, default 1
        Residual at which it turns from quadratic to linear, in the units of the data; above 0.

    Raises
    ------
    TypeError, ValueError
        If delta is not a finite number above 0.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    Examples
    --------
    >>> from fastgd import Huber
    >>> Huber(delta=2)(0.0, [1, 5])
    4.25
    """

    delta: float
    _kernel_type = kernels.Huber
    _name = "huber_loss"
    max_curvature = 1.0
    _defaults: ClassVar = {"delta": 1.0}
    _other_names: ClassVar = {"alpha": "delta"}    # in the textbook's first definition

    def __init__(self, delta: Number = 1) -> None:
        turn = check_number(delta, "delta", low=0, inclusive=False)
        self._set_up(self._name, kernels.Huber(turn), {"delta": turn})


class Quartic(Loss):
    """Quartic ``(r + 12)(r + 23)(r - 14)(r - 15) / 5000 + 7``, ``r = y - theta`` (`quartic_loss`); it is not convex.

    It has two minima; descent converges to the one in whose basin it starts (`fastgd.minimize_multistart`).

    Examples
    --------
    >>> from fastgd import quartic_loss
    >>> quartic_loss(0.0, [0.0])
    18.592
    """

    _kernel_type = kernels.Quartic
    _name = "quartic_loss"
    is_convex = False


class CrossEntropy(Loss):
    """Cross-entropy ``log(1 + exp(theta)) - y theta``, y in [0, 1], theta a log-odds (`cross_entropy`).

    The log-odds of the mean of y minimise its mean. If all y are 0, or all are 1, there is no minimum.

    References
    ----------
    D. R. Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical Society B 20 (1958).

    Examples
    --------
    >>> from fastgd import cross_entropy, grad_cross_entropy
    >>> round(cross_entropy(0.0, [0, 1, 1]), 4), round(grad_cross_entropy(0.0, [0, 1, 1]), 4)
    (0.6931, -0.1667)
    """

    _kernel_type = kernels.CrossEntropy
    _name = "cross_entropy"
    max_curvature = 0.25
    is_exact = False
    at_once = EVALUATIONS_OF_EXP
    target_range = (0.0, 1.0)
    link = "logit"


class Pinball(_PiecewiseLinear):
    """Pinball loss ``q r`` where ``r > 0``, else ``(q - 1) r``, ``r = y - theta`` (`pinball_loss`).

    The q-quantile of y minimises its mean. With smoothing h > 0 it is convolved with a uniform density:
    ``(q - 1/2) r + r**2 / (4 h) + h / 4`` where ``abs(r) <= h``, else unchanged. The smoothed loss exceeds the
    pinball loss by at most h / 4.

    Parameters
    ----------
    q : float, default 0.5
        The quantile, between 0 and 1.
    smoothing : float, default 0
        Half-width over which the breakpoint is rounded off, in the units of the data; at least 0. 0 keeps it.

    Raises
    ------
    TypeError, ValueError
        If q is not a number between 0 and 1, or smoothing not a finite number of at least 0.

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    Examples
    --------
    >>> from fastgd.losses import Pinball
    >>> Pinball(q=0.75)(0.0, [-4.0, 4.0])
    2.0
    >>> Pinball(q=0.75, smoothing=8)(0.0, [-4.0, 4.0])
    2.5
    """

    q: float
    _kernel_type = kernels.Pinball
    _name = "pinball_loss"
    _defaults: ClassVar = {"q": 0.5, "smoothing": 0.0}

    def __init__(self, q: Number = 0.5, smoothing: Number = 0) -> None:
        quantile = check_number(q, "q", low=0, inclusive=False, high=1)
        self._set_up_breakpoints({"q": quantile}, smoothing, above=quantile, below=1 - quantile)


class LogCosh(Loss):
    """Log-cosh loss ``log(cosh(r))``, ``r = y - theta`` (`log_cosh`): like the Huber loss, and smooth everywhere.

    References
    ----------
    P. J. Green, "Bayesian reconstructions from emission tomography data using a modified EM algorithm", IEEE
    Transactions on Medical Imaging 9 (1990).

    Examples
    --------
    >>> from fastgd import log_cosh
    >>> round(log_cosh(0.0, [1, 5]), 4)
    2.3703
    """

    _kernel_type = kernels.LogCosh
    _name = "log_cosh"
    max_curvature = 1.0
    is_exact = False
    at_once = EVALUATIONS_OF_EXP


class EpsilonInsensitive(_PiecewiseLinear):
    """Epsilon-insensitive loss ``max(abs(r) - epsilon, 0)``, ``r = y - theta`` (`epsilon_insensitive`).

    With smoothing h > 0 it is convolved with a uniform density at each breakpoint:
    ``(s(r - epsilon) + s(r + epsilon)) / 2 - epsilon``, where ``s(t)`` is ``t**2 / (2 h) + h / 2`` for ``abs(t) <= h``,
    else ``abs(t)``. The smoothed loss exceeds the epsilon-insensitive loss by at most h / 2, by h / 4 if
    h <= 2 epsilon.

    Parameters
    ----------
    epsilon : float, default 0.1
        Largest absolute residual whose loss is 0, in the units of the data; at least 0.
    smoothing : float, default 0
        Half-width over which each breakpoint is rounded off, in the units of the data; at least 0. 0 keeps them.

    Raises
    ------
    TypeError, ValueError
        If epsilon or smoothing is not a finite number of at least 0.

    References
    ----------
    V. N. Vapnik, "The Nature of Statistical Learning Theory", Springer, 1995.

    Examples
    --------
    >>> from fastgd.losses import EpsilonInsensitive
    >>> EpsilonInsensitive(epsilon=0.5)(0.0, [0.25, 1.5])
    0.5
    >>> EpsilonInsensitive(epsilon=0.5, smoothing=0.25).max_stable_alpha
    1.0
    """

    epsilon: float
    _kernel_type = kernels.EpsilonInsensitive
    _name = "epsilon_insensitive"
    _defaults: ClassVar = {"epsilon": 0.1, "smoothing": 0.0}

    def __init__(self, epsilon: Number = 0.1, smoothing: Number = 0) -> None:
        insensitive = check_number(epsilon, "epsilon", low=0)
        self._set_up_breakpoints({"epsilon": insensitive}, smoothing, epsilon=insensitive)


mse = SquaredError()
abs_loss = AbsoluteError()
huber_loss = Huber()
quartic_loss = Quartic()
cross_entropy = CrossEntropy()
pinball_loss = Pinball()
log_cosh = LogCosh()
epsilon_insensitive = EpsilonInsensitive()

grad_mse = mse.gradient
grad_abs_loss = abs_loss.gradient
grad_huber_loss = huber_loss.gradient
grad_quartic_loss = quartic_loss.gradient
grad_cross_entropy = cross_entropy.gradient
grad_pinball_loss = pinball_loss.gradient
grad_log_cosh = log_cosh.gradient
grad_epsilon_insensitive = epsilon_insensitive.gradient

REGISTRY: dict[str, Loss] = {loss.__name__: loss for loss in (
    mse, abs_loss, huber_loss, quartic_loss, cross_entropy, pinball_loss, log_cosh, epsilon_insensitive)}
"""One loss of each class with its default parameters, by name."""
