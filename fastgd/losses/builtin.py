"""The losses of the package: a class each, with its formula, what is true of it, and its source.

The maths of each stands in ``fastgd/_kernels/losses.pxd`` under the class's name, and its numpy twin in
``fastgd/reference.py`` under the loss's. `REGISTRY` lists one object of each; tests and benches iterate over it.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fastgd._kernels import losses as kernels
from fastgd._limits import EVALUATIONS_OF_EXP, NARROWEST_KINK
from fastgd._validation import check_number
from fastgd.losses.base import Loss

if TYPE_CHECKING:
    from fastgd._types import Number

# The one list of what a loss exports, here and in `fastgd`.
__all__ = [
    "AbsoluteError", "CrossEntropy", "EpsilonInsensitive", "Huber", "LogCosh", "Pinball", "Quartic", "SquaredError",
    "abs_loss", "cross_entropy", "epsilon_insensitive", "grad_abs_loss", "grad_cross_entropy",
    "grad_epsilon_insensitive", "grad_huber_loss", "grad_log_cosh", "grad_mse", "grad_pinball_loss",
    "grad_quartic_loss", "huber_loss", "log_cosh", "mse", "pinball_loss", "quartic_loss",
]


class SquaredError(Loss):
    """Squared error ``r**2`` with ``r = y - theta``; its mean is least at the mean of y (`mse`).

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


class _Kinked(Loss):
    """What is straight but for kinks at r = -epsilon and epsilon; with smoothing they are rounded off."""

    smoothing: float

    def _set_up_kinks(self, parameters: dict[str, float], smoothing: Number, *, above: float = 1.0, below: float = 1.0,
                      epsilon: float = 0.0) -> None:
        """`above` and `below` are the steepness beyond the kinks; the sharp loss is made of `parameters`."""
        width = check_number(smoothing, "smoothing", low=0)
        named = {**parameters, "smoothing": width}
        if width > 0:
            h = max(width, NARROWEST_KINK)
            self._set_up(self._name, kernels.SmoothedKinks(above, below, epsilon, h), named)
            # Each kink spreads its jump evenly over 2 h; where they overlap, both count.
            self._set(max_curvature=(above + below if h > epsilon else max(above, below)) / h / 2)
        else:
            self._set_up(self._name, self._kernel_type(**parameters), named)
            self._set(kinks=((-epsilon, below), (epsilon, above)) if epsilon > 0 else ((0.0, above + below),))


class AbsoluteError(_Kinked):
    """Absolute error ``abs(r)`` with ``r = y - theta``; its mean is least at the median of y (`abs_loss`).

    With smoothing h > 0 the kink is convolved with a uniform density: ``r**2 / (2 h) + h / 2`` where ``abs(r) <= h``,
    else ``abs(r)`` as before. That is above the absolute error by h / 2 at most.

    Parameters
    ----------
    smoothing : float, default 0
        The half-width over which the kink is rounded off, in the units of the data; at least 0, which keeps the kink.

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
        self._set_up_kinks({}, smoothing)


class Huber(Loss):
    """Huber loss ``r**2 / 2`` where ``abs(r) <= delta``, else ``delta * (abs(r) - delta / 2)`` (`huber_loss`).

    Quadratic near the prediction and linear far from it, so that outliers pull with a bounded force.

    Parameters
    ----------
    delta : float, default 1
        Where it turns from quadratic to linear, in the units of the data; above 0.

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
    _other_names: ClassVar = {"alpha": "delta"}    # in the course's first definition

    def __init__(self, delta: Number = 1) -> None:
        turn = check_number(delta, "delta", low=0, inclusive=False)
        self._set_up(self._name, kernels.Huber(turn), {"delta": turn})


class Quartic(Loss):
    """Quartic ``(r + 12)(r + 23)(r - 14)(r - 15) / 5000 + 7``, ``r = y - theta``: not convex (`quartic_loss`).

    It has two minima, and descent finds the one in whose basin it starts (`fastgd.minimize_multistart`).

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

    Its mean is least at the log-odds of the mean of y; where that mean is not between 0 and 1 there is no minimum.

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


class Pinball(_Kinked):
    """Pinball loss ``q r`` where ``r > 0``, else ``(q - 1) r``, ``r = y - theta`` (`pinball_loss`).

    Its mean is least at the q-quantile of y. With smoothing h > 0 the kink is convolved with a uniform density:
    ``(q - 1/2) r + r**2 / (4 h) + h / 4`` where ``abs(r) <= h``, else as before. That is above the pinball loss by
    h / 4 at most.

    Parameters
    ----------
    q : float, default 0.5
        The quantile, between 0 and 1.
    smoothing : float, default 0
        The half-width over which the kink is rounded off, in the units of the data; at least 0, which keeps the kink.

    Raises
    ------
    TypeError, ValueError
        If q is not a number between 0 and 1, or smoothing not a finite number of at least 0.

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    X. He, X. Pan, K. M. Tan and W.-X. Zhou, "Smoothed quantile regression with large-scale inference", Journal of
    Econometrics 232 (2023).

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
        self._set_up_kinks({"q": quantile}, smoothing, above=quantile, below=1 - quantile)


class LogCosh(Loss):
    """Log-cosh loss ``log(cosh(r))``, ``r = y - theta``: like the Huber loss, and smooth everywhere (`log_cosh`).

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


class EpsilonInsensitive(_Kinked):
    """Epsilon-insensitive loss ``max(abs(r) - epsilon, 0)``, ``r = y - theta`` (`epsilon_insensitive`).

    With smoothing h > 0 both kinks are convolved with a uniform density, each by itself:
    ``(s(r - epsilon) + s(r + epsilon)) / 2 - epsilon``, where ``s(t)`` is ``t**2 / (2 h) + h / 2`` for ``abs(t) <= h``,
    else ``abs(t)``. That is above the epsilon-insensitive loss by h / 2 at most, by h / 4 where h <= 2 epsilon.

    Parameters
    ----------
    epsilon : float, default 0.1
        Residuals up to this cost nothing, in the units of the data; at least 0.
    smoothing : float, default 0
        The half-width over which each kink is rounded off, in the units of the data; at least 0, which keeps them.

    Raises
    ------
    TypeError, ValueError
        If epsilon or smoothing is not a finite number of at least 0.

    References
    ----------
    V. N. Vapnik, "The Nature of Statistical Learning Theory", Springer, 1995.

    X. He, X. Pan, K. M. Tan and W.-X. Zhou, "Smoothed quantile regression with large-scale inference", Journal of
    Econometrics 232 (2023).

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
        self._set_up_kinks({"epsilon": insensitive}, smoothing, epsilon=insensitive)


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
"""One loss of each kind, with its default parameters, by name."""
