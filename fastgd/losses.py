"""Losses as objects that are called like a textbook's functions.

The constant model predicts one number `theta` for every point. ``mse(theta, dataset)`` is the mean of the loss over
the points, ``grad_mse(theta, dataset)`` its derivative in theta. With ``X=`` the prediction for row i is X[i] @ theta,
with ``fit_intercept=True`` theta[0] + X[i] @ theta[1:], and the gradient is an array. The maths of each stands in
``fastgd/_kernels/losses.pxd``; a class here names it, and `REGISTRY` lists one object of each.
"""
from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, Self, TypeVar, overload

import numpy as np

from fastgd._checks import (
    SLICE,
    as_float_array,
    as_points,
    check_dataset,
    check_design,
    check_number,
    raise_not_finite,
    real_numbers,
)
from fastgd._design import Design
from fastgd._kernels import linear, mean
from fastgd._kernels import losses as kernels
from fastgd._threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike

    from fastgd._cfunctions import CFunction
    from fastgd._types import Count, DoubleArray, FloatArray, Fused, KernelLoss, Number, P, R

__all__ = [
    "REGISTRY", "AbsoluteError", "CompiledLoss", "CrossEntropy", "EpsilonInsensitive", "Gradient", "Huber", "LogCosh",
    "Loss", "Pinball", "Quartic", "SquaredError", "abs_loss", "compiled", "cross_entropy", "epsilon_insensitive",
    "grad_abs_loss", "grad_cross_entropy", "grad_epsilon_insensitive", "grad_huber_loss", "grad_log_cosh", "grad_mse",
    "grad_pinball_loss", "grad_quartic_loss", "huber_loss", "log_cosh", "mse", "pinball_loss", "quartic_loss",
]

_C_NAMES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}

#: Points above which several threads are of use, and those of a part for one of them.
MANY_POINTS, _PART = 1_000_000, 2**17

_ALONE = Threads(None)

#: Thetas that pass over the data together: enough to read it once, few enough to keep the buffers small.
_GROUP = 64

#: What the mean over the rows of a linear model is: a float, of a gradient an array.
OverRows = TypeVar("OverRows")


# The top of numpy's tree of sums is walked here and not in the kernel: Ctrl-C is answered between its branches, and
# they can be summed in several threads, with the same bits.

def _half(n: int) -> int:
    return n // 2 - n // 2 % 8


def _leaves(start: int, n: int, most: int) -> Iterator[slice]:
    """Slices of at most `most` points, in order: branches of the tree of n points from `start` on."""
    if n <= most:
        yield slice(start, start + n)
    else:
        yield from _leaves(start, _half(n), most)
        yield from _leaves(start + _half(n), n - _half(n), most)


def _tree_sum(n: int, most: int, parts: Iterator[FloatArray]) -> FloatArray:
    """The sum of the parts that belong to `_leaves`, in the order of the tree."""
    if n <= most:
        return next(parts)
    left = _tree_sum(_half(n), most, parts)
    return left + _tree_sum(n - _half(n), most, parts)


class _Signature:
    """The signature of an instance's call; the class keeps that of its constructor."""

    def __get__(self, function: _MeanOverPoints[Any] | None, owner: object) -> inspect.Signature:
        if function is None:
            raise AttributeError("__signature__")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        only = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [inspect.Parameter(name, kind) for name in ("theta", "dataset")]
            + [inspect.Parameter(name, kind, default=value) for name, value in function.parameters.items()]
            + [inspect.Parameter(name, only, default=value) for name, value in (
                ("X", None), ("fit_intercept", False), ("n_threads", None))])


class _MeanOverPoints(Generic[OverRows]):
    """What a loss and its gradient share: a call with one theta, and a curve over many. They cannot be changed."""

    _is_slope = False
    __signature__ = _Signature()
    __name__: str
    kernel: KernelLoss
    _compiled: dict[Any, Callable[..., Any]]

    @property
    def parameters(self) -> dict[str, float]:
        raise NotImplementedError

    def _with_parameters(self, *args: Any, **kwargs: Any) -> _MeanOverPoints[OverRows]:
        raise NotImplementedError

    def _set(self, **attributes: object) -> None:
        self.__dict__.update(attributes)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot set {name!r}: {self!r} is a value; make another one with other parameters")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}: {self!r} is a value")

    @overload
    def __call__(self, theta: ArrayLike, dataset: ArrayLike, *args: Number, X: None = None,
                 fit_intercept: Literal[False] = False, n_threads: Count | None = None, **kwargs: Number) -> float: ...
    @overload
    def __call__(self, theta: ArrayLike, dataset: ArrayLike, *args: Number, X: ArrayLike, fit_intercept: bool = False,
                 n_threads: Count | None = None, **kwargs: Number) -> OverRows: ...
    def __call__(self, theta: Any, dataset: ArrayLike, *args: Number, X: ArrayLike | None = None,
                 fit_intercept: bool = False, n_threads: Count | None = None, **kwargs: Number) -> float | OverRows:
        """Mean over the points of `dataset`, an array or one number, at the number `theta`; a float.

        With X, an array of shape (n, p), theta has p components, or p + 1 with `fit_intercept`; the gradient is then an
        array like theta. Above 1e6 points (with X, numbers in it) `n_threads` threads share the work, -1 as many as
        there are cores; None is 1. The bits do not depend on it.
        """
        if args or kwargs:
            another: Callable[..., float | OverRows] = self._with_parameters(*args, **kwargs)
            return another(theta, dataset, X=X, fit_intercept=fit_intercept, n_threads=n_threads)
        if X is not None:
            design = Design(X, check_dataset(dataset), fit_intercept)
            theta = _one_theta(theta, design)
            with Threads(n_threads) as threads:
                return self.over_rows(theta, design, threads)
        _no_intercept_without_rows(fit_intercept)
        theta = theta if type(theta) is float else _one_number(theta)
        targets = as_points(dataset, "dataset")
        if theta != theta:
            return math.nan
        thetas = np.array([theta], targets.dtype)
        if n_threads is None:
            return self.means(thetas, targets).item()
        with Threads(n_threads) as threads:
            return self.means(thetas, targets, threads).item()

    def curve(self, thetas: ArrayLike, dataset: ArrayLike, *, X: ArrayLike | None = None,
              fit_intercept: bool = False, n_threads: Count | None = None) -> DoubleArray:
        """Mean over the points at each theta, the data read once for many thetas.

        Parameters
        ----------
        thetas : array-like of shape (m,), with X (m, p) or (m, p + 1)
            Where to evaluate; finite.
        dataset : array-like of shape (n,)
            The points; finite real numbers.
        X : array-like of shape (n, p), optional
            The rows of a linear model, as for `fastgd.minimize`.
        fit_intercept : bool, default False
            Whether the first component of each theta is an intercept.
        n_threads : int or None, default None
            As for a call.

        Returns
        -------
        ndarray of shape (m,), of a gradient with X of the shape of `thetas`; float64
            Entry k has the bits of ``self(thetas[k], dataset)``; with X it is the same to about 1e-12.

        Raises
        ------
        TypeError, ValueError
            If an argument is not an array of finite real numbers as described, with at least one entry.

        Examples
        --------
        >>> from fastgd import mse
        >>> mse.curve([0, 1, 2], [1, 3])
        array([5., 2., 1.])
        >>> mse.curve([[0, 1], [1, 1]], [1, 3], X=[[0], [2]], fit_intercept=True)
        array([1., 0.])
        """
        if X is not None:
            design = Design(X, check_dataset(dataset), fit_intercept)
            rows = _many_thetas(thetas, design)
            with Threads(n_threads) as threads:
                return self.curve_over_rows(rows, design, threads)
        _no_intercept_without_rows(fit_intercept)
        checked = check_dataset(thetas, "thetas")
        targets = as_float_array(dataset, "dataset")
        with Threads(n_threads) as threads:
            return self.curve_over(checked, targets, threads)

    def curve_over(self, thetas: FloatArray, targets: FloatArray, threads: Threads = _ALONE) -> DoubleArray:
        """`curve` for arrays that were checked."""
        thetas = thetas.astype(targets.dtype, copy=False)
        # Few enough evaluations at a time that Ctrl-C is answered.
        group = min(_GROUP, max(1, 4 * SLICE // targets.size))
        losses = np.empty(thetas.size)
        for start in range(0, thetas.size, group):
            losses[start:start + group] = self.means(thetas[start:start + group], targets, threads)
        return losses

    def over_rows(self, theta: DoubleArray, design: Design, threads: Threads = _ALONE) -> OverRows:
        """The mean over the rows of a checked `design`, at a float64 array theta: a float, or the gradient."""
        sums = self._added(threads.map(self._sums_over_rows([theta], design), design.slices()))[0] / len(design.X)
        answer: OverRows = sums if self._is_slope else sums.item()
        return answer

    def curve_over_rows(self, thetas: Sequence[DoubleArray] | DoubleArray, design: Design,
                        threads: Threads = _ALONE) -> DoubleArray:
        """`curve` for a checked `design` and an array of shape (m, p)."""
        means = self._added(threads.map(self._sums_over_rows(thetas, design), design.cached_slices())) / len(design.X)
        return means if self._is_slope else means[:, 0]

    def _sums_over_rows(self, thetas: Sequence[DoubleArray] | DoubleArray,
                        design: Design) -> Callable[[slice], DoubleArray]:
        """A function from a slice of the rows to sums over them, a row for each theta: the loss, or the gradient."""
        kernel = self.compiled(linear.sums, design.X.dtype)
        q = design.n_parameters

        def sums(rows: slice) -> DoubleArray:
            X, targets, scratch = design.X[rows], design.targets[rows], np.empty(q)
            gradients = np.empty((len(thetas), q) if self._is_slope else (1, q))
            losses = [kernel(self.kernel, self._is_slope, X, targets, design.intercept, theta,
                             gradients[k if self._is_slope else 0], scratch) for k, theta in enumerate(thetas)]
            return gradients if self._is_slope else np.array(losses)[:, None]

        return sums

    @staticmethod
    def _added(parts: list[DoubleArray]) -> DoubleArray:
        with np.errstate(over="ignore", invalid="ignore"):
            return functools.reduce(np.add, parts)

    def means(self, thetas: FloatArray, targets: FloatArray, threads: Threads = _ALONE) -> FloatArray:
        """Means over checked `targets` at a few `thetas` of their dtype; ValueError if `targets` is not finite."""
        n = targets.size
        most = _PART if threads.count > 1 and n > MANY_POINTS else SLICE
        if n <= most:
            means, finite = self._sums(thetas, targets)
        else:
            parts = threads.map(lambda part: self._sums(thetas, targets[part]), list(_leaves(0, n, most)))
            finite = all(is_finite for _, is_finite in parts)
            with np.errstate(over="ignore", invalid="ignore"):
                means = _tree_sum(n, most, iter([sums for sums, _ in parts]))
        if not finite:
            raise_not_finite(targets, "dataset")
        self.compiled(mean.divide, targets.dtype)(self.kernel, self._is_slope, means, n)
        return means

    def _sums(self, thetas: FloatArray, targets: FloatArray) -> tuple[FloatArray, bool]:
        """Pairwise sums, and whether the targets are finite."""
        m, dtype = thetas.size, targets.dtype
        out, scratch = np.empty(m, dtype), np.empty(m * mean.levels(targets.size), dtype)
        return out, self.compiled(mean.sums, dtype)(self.kernel, self._is_slope, targets, thetas, out, scratch)

    def compiled(self, function: Fused[P, R], dtype: np.dtype[Any]) -> Callable[P, R]:
        """The version of a fused kernel function for this loss and type of data; found once, not at each call."""
        found: Callable[P, R] | None = self._compiled.get((function, dtype))
        if found is None:
            found = self._compiled[function, dtype] = function[f"{type(self.kernel).__name__}|{_C_NAMES[dtype]}"]
        return found


def _no_intercept_without_rows(fit_intercept: bool) -> None:
    if fit_intercept is not False:
        raise ValueError("fit_intercept=True needs X: without it theta is the intercept itself.")


def _one_theta(theta: ArrayLike, design: Design) -> DoubleArray:
    """`theta` as an array with a component for each parameter; any number may be in it."""
    array = real_numbers(theta, "theta").astype(np.float64, copy=False)
    if array.shape != (design.n_parameters,):
        raise ValueError(f"theta must be an array of shape ({design.n_parameters},), a number for each of "
                         f"{', '.join(design.parameter_names[:5])}{', ...' if design.n_parameters > 5 else ''}. "
                         f"Got an array of shape {array.shape}.")
    return np.ascontiguousarray(array)


def _many_thetas(thetas: ArrayLike, design: Design) -> DoubleArray:
    array, _ = check_design(thetas, "thetas")
    if array.shape[1] != design.n_parameters:
        raise ValueError(f"thetas must be an array of shape (m, {design.n_parameters}), a column for each parameter. "
                         f"Got an array of shape {array.shape}.")
    return array.astype(np.float64, copy=False)


def _one_number(theta: object) -> float:
    array = np.asarray(theta)
    if array.dtype.kind not in "iuf" or array.size != 1 or isinstance(theta, np.ma.MaskedArray):
        raise TypeError("theta must be one real number, got "
                        + (f"an array of shape {array.shape}; use .curve(thetas, dataset) for many"
                           if array.dtype.kind in "iuf" else f"{theta!r} of type {type(theta).__name__}"))
    return float(array.item())


class Loss(_MeanOverPoints[float]):
    """Mean loss over the points: ``loss(theta, dataset, *, X=None, fit_intercept=False) -> float``.

    Two losses are equal if they are of one class and have equal parameters. They can be pickled and hashed.

    Attributes
    ----------
    gradient : Gradient
        The derivative in theta, called in the same way.
    parameters : dict
        The loss's own parameters, by name.
    max_stable_alpha : float or None
        The largest learning rate at which batch descent of the constant model cannot diverge, 2 / max curvature;
        None where the curvature has no bound.

    Examples
    --------
    >>> from fastgd import huber_loss, mse
    >>> mse(14.0, [12.0, 15.0]), mse.max_stable_alpha
    (2.5, 1.0)
    >>> huber_loss(14.0, [12.0, 15.0], delta=2), huber_loss.parameters
    (1.25, {'delta': 1.0})
    """

    gradient: Gradient
    _kernel_type: ClassVar[Callable[..., KernelLoss]]
    _name: str
    _parameter_names: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._set_up(self._kernel_type())

    def _set_up(self, kernel: KernelLoss) -> None:
        self._set(kernel=kernel, _compiled={}, __name__=self._name)
        self._set(gradient=Gradient(self))

    def __getattr__(self, name: str) -> float:
        if name in self._parameter_names:
            return self.parameters[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def parameters(self) -> dict[str, float]:
        return {name: getattr(self.kernel, name) for name in self._parameter_names}

    @property
    def max_stable_alpha(self) -> float | None:
        curvature = self.kernel.max_curvature
        return None if math.isinf(curvature) else 2 / curvature

    def _with_parameters(self, *args: Any, **kwargs: Any) -> Loss:
        return type(self)(*args, **{**(self.parameters if not args else {}), **kwargs})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return type(self) is type(other) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((type(self), *self.parameters.items()))

    def __repr__(self) -> str:
        if self == REGISTRY.get(self._name):
            return self._name
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self.parameters.values())


class Gradient(_MeanOverPoints["DoubleArray"]):
    """Mean derivative of a loss over the points: ``gradient(theta, dataset, *, X=None, fit_intercept=False)``.

    A float; with X, the array of its derivatives in the components of theta.

    Attributes
    ----------
    loss : Loss
        The loss whose derivative this is.

    Examples
    --------
    >>> from fastgd import grad_mse
    >>> grad_mse(14.0, [12.0, 15.0]), grad_mse.loss
    (1.0, mse)
    >>> grad_mse([14.0, 1.0], [12.0, 15.0], X=[[1.0], [2.0]], fit_intercept=True)
    array([4., 5.])
    """

    loss: Loss
    _is_slope = True

    def __init__(self, loss: Loss) -> None:
        self._set(loss=loss, kernel=loss.kernel, _compiled={}, __name__=f"grad_{loss.__name__}")

    @property
    def parameters(self) -> dict[str, float]:
        return self.loss.parameters

    def _with_parameters(self, *args: Any, **kwargs: Any) -> Gradient:
        return self.loss._with_parameters(*args, **kwargs).gradient

    def __eq__(self, other: object) -> bool:
        return self.loss == other.loss if isinstance(other, Gradient) else NotImplemented

    def __hash__(self) -> int:
        return hash((Gradient, self.loss))

    def __repr__(self) -> str:
        name = repr(self.loss)
        return f"grad_{name}" if name == self.loss.__name__ else f"{name}.gradient"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.loss, "gradient")


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


class AbsoluteError(Loss):
    """Absolute error ``abs(r)`` with ``r = y - theta``; its mean is least at the median of y (`abs_loss`).

    References
    ----------
    P. Bloomfield and W. L. Steiger, "Least Absolute Deviations", Birkhaeuser, 1983.

    Examples
    --------
    >>> from fastgd import abs_loss
    >>> abs_loss(0.0, [1, 5])
    3.0
    """

    _kernel_type = kernels.AbsoluteError
    _name = "abs_loss"


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
    _parameter_names = ("delta",)

    def __init__(self, delta: Number = 1) -> None:
        self._set_up(kernels.Huber(check_number(delta, "delta", low=0, inclusive=False)))


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


class Pinball(Loss):
    """Pinball loss ``q r`` where ``r > 0``, else ``(q - 1) r``, ``r = y - theta`` (`pinball_loss`).

    Its mean is least at the q-quantile of y.

    Parameters
    ----------
    q : float, default 0.5
        The quantile, between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If q is not a number between 0 and 1.

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    Examples
    --------
    >>> from fastgd.losses import Pinball
    >>> Pinball(q=0.75)(0.0, [-4.0, 4.0])
    2.0
    """

    q: float
    _kernel_type = kernels.Pinball
    _name = "pinball_loss"
    _parameter_names = ("q",)

    def __init__(self, q: Number = 0.5) -> None:
        number = check_number(q, "q", low=0, inclusive=False)
        if number >= 1:
            raise ValueError(f"The 'q' parameter must be a float in the range (0, 1). Got {q!r} instead.")
        self._set_up(kernels.Pinball(number))


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


class EpsilonInsensitive(Loss):
    """Epsilon-insensitive loss ``max(abs(r) - epsilon, 0)``, ``r = y - theta`` (`epsilon_insensitive`).

    Parameters
    ----------
    epsilon : float, default 0.1
        Residuals up to this cost nothing, in the units of the data; at least 0.

    Raises
    ------
    TypeError, ValueError
        If epsilon is not a finite number of at least 0.

    References
    ----------
    V. N. Vapnik, "The Nature of Statistical Learning Theory", Springer, 1995.

    Examples
    --------
    >>> from fastgd.losses import EpsilonInsensitive
    >>> EpsilonInsensitive(epsilon=0.5)(0.0, [0.25, 1.5])
    0.5
    """

    epsilon: float
    _kernel_type = kernels.EpsilonInsensitive
    _name = "epsilon_insensitive"
    _parameter_names = ("epsilon",)

    def __init__(self, epsilon: Number = 0.1) -> None:
        self._set_up(kernels.EpsilonInsensitive(check_number(epsilon, "epsilon", low=0)))


class CompiledLoss(Loss):
    """A loss made of C functions by `compiled`; it cannot be pickled, as addresses are good in one process only.

    Examples
    --------
    See `compiled`, which makes one.

    >>> import ctypes, ctypes.util
    >>> from fastgd.losses import compiled
    >>> libm = ctypes.CDLL(ctypes.util.find_library("m"))
    >>> libm.fdim.restype, libm.fdim.argtypes = ctypes.c_double, [ctypes.c_double] * 2
    >>> compiled(libm.fdim, libm.fdim, name="excess")
    <compiled loss excess>
    """

    _functions: tuple[CFunction, CFunction]
    _parameters: Mapping[str, float]

    def __init__(self, value: CFunction, slope: CFunction, name: str, parameters: Mapping[str, float]) -> None:
        self._set(_functions=(value, slope), _name=name, _parameters=parameters, _parameter_names=tuple(parameters))
        addresses = value.address, slope.address
        kept_alive: list[object] = [value, slope]
        if not value.takes_data:
            self._set_up(kernels.CFunctions(*addresses, kept_alive))
            return
        data = np.array(list(parameters.values()), dtype=np.float64)
        kept_alive.append(data)
        value_data, slope_data = (data.ctypes.data if function.data is None else function.data
                                  for function in (value, slope))
        self._set_up(kernels.CFunctionsWithData(*addresses, value_data, slope_data, kept_alive))

    @property
    def parameters(self) -> dict[str, float]:
        return dict(self._parameters)

    def _with_parameters(self, *args: Any, **kwargs: Any) -> CompiledLoss:
        if len(args) > len(self._parameters) or not set(kwargs) <= set(self._parameter_names[len(args):]):
            raise TypeError(f"{self._name} takes the parameters {self._parameter_names}, got {args} and {kwargs}")
        given = {**self._parameters, **dict(zip(self._parameter_names, args, strict=False)), **kwargs}
        return CompiledLoss(*self._functions, self._name, _checked_parameters(given))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return (isinstance(other, CompiledLoss) and type(self) is type(other) and self._functions == other._functions
                and self._parameters == other._parameters)

    def __hash__(self) -> int:
        return hash((*(function.address for function in self._functions), *self._parameters.items()))

    def __repr__(self) -> str:
        shown = [self._name, *(f"{name}={value!r}" for name, value in self._parameters.items())]
        return f"<compiled loss {', '.join(shown)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: it holds addresses, which are good in this process only")


def compiled(value: object, slope: object, *, name: str | None = None, **parameters: Number) -> CompiledLoss:
    """A loss of your own at compiled speed, from two C functions.

    Parameters
    ----------
    value, slope : C function
        The loss at one point and its derivative in the prediction, ``double f(double prediction, double target)``:
        a numba ``@cfunc("float64(float64, float64)")``, a ctypes function whose ``restype`` and ``argtypes`` are set,
        a `scipy.LowLevelCallable`, or a capsule named by its signature. Must not raise, and be safe in threads.
    name : str, optional
        What the loss is called; default: the name of `value` if it has one.
    **parameters : float
        Numbers that the functions get as a third argument ``void *``, an array of double in the order given here:
        ``double f(double prediction, double target, void *parameters)``. For numba:
        ``@cfunc("float64(float64, float64, CPointer(float64))")``. A LowLevelCallable may bring its own data instead.

    Returns
    -------
    CompiledLoss
        A loss like those of this module: gradient, curve, and compiled descents. It keeps alive what it needs.

    Raises
    ------
    TypeError
        If a function is of another kind or has another signature; the message shows the right one.

    Examples
    --------
    >>> import ctypes, ctypes.util
    >>> from fastgd.losses import compiled
    >>> c_double = ctypes.c_double
    >>> libm = ctypes.CDLL(ctypes.util.find_library("m"))
    >>> libm.fdim.restype, libm.fdim.argtypes = c_double, [c_double, c_double]
    >>> excess = compiled(libm.fdim, libm.fdim)    # max(prediction - target, 0), and no slope of it
    >>> excess(3.0, [1.0, 2.0, 5.0])
    1.0
    """
    from fastgd._cfunctions import c_function  # here, because few need ctypes

    of_value, of_slope = (c_function(function, role, bool(parameters)) for role, function in (
        ("value", value), ("slope", slope)))
    if not (name is None or isinstance(name, str)):
        raise TypeError(f"The 'name' parameter must be a str. Got {name!r} of type {type(name).__name__}.")
    if {"theta", "dataset", "X", "fit_intercept", "n_threads"} & set(parameters):
        raise TypeError("theta, dataset, X, fit_intercept and n_threads are arguments of every loss; give the "
                        "parameter another name.")
    if of_value.takes_data != of_slope.takes_data:
        raise TypeError("The 'value' and 'slope' functions must have the same signature; only one of them takes data.")
    return CompiledLoss(of_value, of_slope, name or of_value.name or "compiled", _checked_parameters(parameters))


def _checked_parameters(parameters: Mapping[str, Number]) -> dict[str, float]:
    return {name: check_number(number, name, low=-np.inf, inclusive=False) for name, number in parameters.items()}


REGISTRY: dict[str, Loss] = {}
"""One loss of each kind, with its default parameters, by name. Tests and benches iterate over it."""
REGISTRY.update({kind._name: kind() for kind in (
    SquaredError, AbsoluteError, Huber, Quartic, CrossEntropy, Pinball, LogCosh, EpsilonInsensitive)})

mse, grad_mse = REGISTRY["mse"], REGISTRY["mse"].gradient
abs_loss, grad_abs_loss = REGISTRY["abs_loss"], REGISTRY["abs_loss"].gradient
huber_loss, grad_huber_loss = REGISTRY["huber_loss"], REGISTRY["huber_loss"].gradient
quartic_loss, grad_quartic_loss = REGISTRY["quartic_loss"], REGISTRY["quartic_loss"].gradient
cross_entropy, grad_cross_entropy = REGISTRY["cross_entropy"], REGISTRY["cross_entropy"].gradient
pinball_loss, grad_pinball_loss = REGISTRY["pinball_loss"], REGISTRY["pinball_loss"].gradient
log_cosh, grad_log_cosh = REGISTRY["log_cosh"], REGISTRY["log_cosh"].gradient
epsilon_insensitive, grad_epsilon_insensitive = (
    REGISTRY["epsilon_insensitive"], REGISTRY["epsilon_insensitive"].gradient)


def compiled_form(function: object) -> Loss | Gradient | None:
    """The Loss or Gradient that `function` is (also as a `functools.partial` of one), or None."""
    if isinstance(function, (Loss, Gradient)):
        # A subclass that calls something else is a Python function like any other.
        return function if type(function).__call__ is _MeanOverPoints.__call__ else None
    if isinstance(function, type) and issubclass(function, _MeanOverPoints):
        raise TypeError(f"{function.__name__} is a class; pass a loss, {function.__name__}(), or its gradient.")
    if isinstance(function, functools.partial) and isinstance(function.func, (Loss, Gradient)) and not function.args:
        loss = function.func.loss if isinstance(function.func, Gradient) else function.func
        if set(function.keywords) <= set(loss._parameter_names):
            return function.func._with_parameters(**function.keywords)
    return None
