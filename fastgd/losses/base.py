"""Base classes of losses and gradients: callable like a textbook's functions, with a curve over many thetas.

The constant model predicts one number `theta` for every point. ``mse(theta, dataset)`` is the mean of the loss over
the points, ``grad_mse(theta, dataset)`` its derivative in theta. With ``X=`` the prediction for row i is X[i] @ theta,
with ``fit_intercept=True`` theta[0] + X[i] @ theta[1:], and the gradient is an array.
"""
from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, overload

import numpy as np

from fastgd._data import ConstantModelData, as_data, check_no_intercept
from fastgd._data.arrays import mean_over
from fastgd._frames import typed_value
from fastgd._immutable import Immutable
from fastgd._thread_pool import thread_pool
from fastgd._validation import (
    C_NAMES,
    as_float_array,
    as_points,
    check_dataset,
    check_design,
    check_number,
    check_weights,
    is_lazy,
    real_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._types import Count, DoubleArray, Fused, KernelLoss, Number, P, R

#: Evaluations of a loss at a point in one call of a kernel: 3 ms of the slowest that needs only + - * /.
EVALUATIONS = 2**22
#: Type of the mean over the rows of a linear model: float for a loss, an array for a gradient.
OverRows = TypeVar("OverRows")

_MISSING: Any = object()


class _Signature:
    """Signature of the call of an instance; the class keeps the signature of its constructor."""

    def __get__(self, function: _Mean[Any] | None, owner: object) -> inspect.Signature:
        if function is None:
            raise AttributeError("__signature__")
        kind, only = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [inspect.Parameter(name, kind) for name in ("theta", "dataset")]
            + [inspect.Parameter(name, kind, default=value) for name, value in function.parameters.items()]
            + [inspect.Parameter(name, only, default=value) for name, value in (
                ("X", None), ("fit_intercept", False), ("sample_weight", None), ("n_threads", None))])


class _Doc:
    """Docstring of a class; for an instance it begins with the signature of the call."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __get__(self, function: _Mean[Any] | None, owner: object) -> str:
        if function is None:
            return self._text
        return f"{function.__name__}{function.__signature__}\n\n{inspect.cleandoc(self._text)}"


class _Mean(Immutable, Generic[OverRows]):
    """Mean of a loss or of its slope over the points: at one theta by a call, at many by `curve`."""

    is_gradient: ClassVar = False
    __signature__ = _Signature()
    __name__: str
    kernel: KernelLoss
    at_once = EVALUATIONS
    _versions: dict[Any, Callable[..., Any]]

    def _with_parameters(self, *args: Any, **kwargs: Any) -> _Mean[OverRows]:
        raise NotImplementedError

    def _set_up_mean(self, name: str, kernel: KernelLoss) -> None:
        self._set(kernel=kernel, _versions={}, __name__=name)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        text = vars(cls).get("__doc__")
        if isinstance(text, str):
            cls.__doc__ = _Doc(text)    # type: ignore[assignment]

    def __dir__(self) -> list[str]:
        return sorted({name for name in (*super().__dir__(), *self.parameters) if name in _PUBLIC or (
            name.startswith("__") or name in self.parameters)})

    @overload
    def __call__(self, theta: ArrayLike, dataset: ArrayLike, *args: Number, X: None = None,
                 fit_intercept: Literal[False] = False, sample_weight: ArrayLike | None = None,
                 n_threads: Count | None = None, **kwargs: Any) -> float: ...
    @overload
    def __call__(self, theta: ArrayLike, dataset: ArrayLike, *args: Number, X: ArrayLike, fit_intercept: bool = False,
                 sample_weight: ArrayLike | None = None, n_threads: Count | None = None,
                 **kwargs: Any) -> OverRows: ...
    @overload
    def __call__(self, theta: ArrayLike, *, y_vals: ArrayLike, **kwargs: Any) -> Any: ...
    def __call__(self, theta: Any = _MISSING, dataset: Any = _MISSING, *args: Number, X: ArrayLike | None = None,
                 fit_intercept: bool = False, sample_weight: ArrayLike | None = None, n_threads: Count | None = None,
                 **kwargs: Any) -> float | OverRows:
        """Compute the mean over the points of `dataset`, an array or one number, at the number `theta`.

        With X, an array of shape (n, p), theta has p components, or p + 1 with `fit_intercept`; the gradient is then an
        array like theta. With `sample_weight`, a number w >= 0 for each point, it is sum(w * loss) / sum(w). Above 1e6
        points (with X, numbers in X) `n_threads` threads share the work; -1 is one for each core, None is 1. The result
        is bit-identical for any number. The textbook's names are keywords too: `y_vals` for the points, `alpha` for
        delta.
        """
        if args or kwargs or dataset is _MISSING or theta is _MISSING:
            answer: float | OverRows = self._evaluate_with(
                theta, dataset, args, kwargs, X=X, fit_intercept=fit_intercept, sample_weight=sample_weight,
                n_threads=n_threads)
            return answer
        if X is not None or (type(dataset) is not np.ndarray and is_lazy(dataset)):
            return self._over_source(theta, dataset, X, fit_intercept, sample_weight, n_threads)
        if fit_intercept is not False:
            check_no_intercept(fit_intercept)
        theta = theta if type(theta) is float else _one_number(theta)
        targets = as_points(dataset, "dataset")
        if sample_weight is not None:
            points = ConstantModelData(dataset, targets, check_weights(sample_weight, targets.size), is_checked=False)
            return points.mean(self, theta, thread_pool(n_threads))
        if theta != theta:
            return math.nan
        if n_threads is None:
            return mean_over(self, theta, targets)
        return mean_over(self, theta, targets, thread_pool(n_threads))

    def _evaluate_with(self, theta: Any, dataset: Any, args: tuple[Number, ...], named: dict[str, Any],
                       **options: Any) -> Any:
        """Evaluate with parameters of the loss, or with the textbook's other names."""
        name = self.__name__
        if "y_vals" in named:
            if dataset is not _MISSING:
                raise TypeError(f"{name}() got both 'dataset' and 'y_vals', which are names of one argument")
            dataset = named.pop("y_vals")
        missing = [repr(argument) for argument, value in (("theta", theta), ("dataset", dataset)) if value is _MISSING]
        if missing:
            raise TypeError(f"{name}() missing {len(missing)} required positional argument{'s' * (len(missing) > 1)}: "
                            f"{' and '.join(missing)}")
        mean = self._with_parameters(*args, **named) if args or named else self
        return mean(theta, dataset, **options)

    def _over_source(self, theta: Any, dataset: ArrayLike, X: ArrayLike | None, fit_intercept: bool,
                     sample_weight: ArrayLike | None, n_threads: Count | None) -> OverRows | float:
        threads = thread_pool(n_threads)
        source = as_data(dataset, X, fit_intercept, sample_weight=sample_weight, threads=threads)
        if not source.is_rows:
            return source.mean(self, _one_number(theta), threads)
        answer: OverRows = source.mean(self, _one_theta(theta, source), threads)
        return answer

    def curve(self, thetas: ArrayLike, dataset: ArrayLike, *, X: ArrayLike | None = None,
              fit_intercept: bool = False, sample_weight: ArrayLike | None = None,
              n_threads: Count | None = None) -> DoubleArray:
        """Mean over the points at each of many thetas, in one pass over the data.

        Parameters
        ----------
        thetas : array-like of shape (m,), with X (m, p) or (m, p + 1)
            Thetas; finite.
        dataset : array-like of shape (n,)
            The points; finite real numbers.
        X : array-like of shape (n, p), optional
            The rows of a linear model, as for `fastgd.minimize`.
        fit_intercept : bool, default False
            True if the first component of each theta is an intercept.
        sample_weight : array-like of shape (n,), optional
            A weight for each point, at least 0.
        n_threads : int or None, default None
            See the call; without X each point is counted once for each theta.

        Returns
        -------
        ndarray of shape (m,), of a gradient with X of the shape of `thetas`; float64
            Entry k has the bits of ``self(thetas[k], dataset)``, with X too.

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
        threads = thread_pool(n_threads)
        if X is not None or is_lazy(dataset):
            source = as_data(dataset, X, fit_intercept, sample_weight=sample_weight, threads=threads)
            checked = _many_thetas(thetas, source) if source.is_rows else check_dataset(thetas, "thetas")
            return source.means(self, checked, threads)
        check_no_intercept(fit_intercept)
        checked = check_dataset(thetas, "thetas")
        targets = as_float_array(dataset, "dataset")
        points = ConstantModelData(dataset, targets, check_weights(sample_weight, targets.size), is_checked=False)
        return points.means(self, checked, threads)

    def version(self, function: Fused[P, R], dtype: np.dtype[Any]) -> Callable[P, R]:
        """Specialise a fused kernel function for this loss and data type; a dispatch at each call costs 1 to 2 us."""
        try:
            found: Callable[P, R] = self._versions[function, dtype]
        except KeyError:
            found = self._versions[function, dtype] = function[f"{type(self.kernel).__name__}|{C_NAMES[dtype]}"]
        return found


def _one_theta(theta: ArrayLike, rows: AnyLinearModelData) -> DoubleArray:
    """Convert `theta` to an array with a component for each parameter; NaN and infinity are not refused."""
    array = real_numbers(theta, "theta").astype(np.float64, copy=False)
    if array.shape != (rows.n_parameters,):
        raise ValueError(f"theta must be an array of shape ({rows.n_parameters},), a number for each of "
                         f"{', '.join(rows.parameter_names[:5])}{', ...' if rows.n_parameters > 5 else ''}. "
                         f"Got an array of shape {array.shape}.")
    return np.ascontiguousarray(array)


def _many_thetas(thetas: ArrayLike, rows: AnyLinearModelData) -> DoubleArray:
    array, _ = check_design(thetas, "thetas")
    if array.shape[1] != rows.n_parameters:
        raise ValueError(f"thetas must be an array of shape (m, {rows.n_parameters}), a column for each parameter. "
                         f"Got an array of shape {array.shape}.")
    return array.astype(np.float64, copy=False)


def _one_number(theta: object) -> float:
    array = np.asarray(theta)
    if array.dtype.kind not in "iuf" or array.size != 1 or isinstance(theta, np.ma.MaskedArray):
        raise TypeError("theta must be one real number, got "
                        + (f"an array of shape {array.shape}; use .curve(thetas, dataset) for many"
                           if array.dtype.kind in "iuf" else typed_value(theta)))
    return float(array.item())


class Loss(_Mean[float]):
    """Mean loss over the points: ``loss(theta, dataset, *, X=None, fit_intercept=False) -> float``.

    Losses are immutable; they compare, hash and pickle by their class and parameters.

    Attributes
    ----------
    gradient : Gradient
        The derivative in theta, called in the same way.
    parameters : dict
        Parameters of the loss, by name.
    max_curvature : float
        Supremum of the second derivative in the prediction; inf if it has no bound.
    max_stable_alpha : float or None
        Largest learning rate at which batch descent of the constant model cannot diverge, 2 / max_curvature; None if
        the curvature has no bound.
    kinks : tuple of (float, float)
        Breakpoints: the residual, target - prediction, at which the slope jumps, and the height of the jump; () for a
        smooth loss.
    is_convex, is_quadratic : bool
        True if the loss is convex, or quadratic, in the prediction.
    is_exact : bool
        True if the loss is bitwise reproducible, as it needs only + - * / and comparisons. The last bit of a loss that
        needs exp may differ from numpy's.
    target_range : (float, float)
        Targets for which the loss is defined.
    link : {"identity", "logit"}
        Meaning of a prediction: a target, or the log-odds of a probability.

    Examples
    --------
    >>> from fastgd import huber_loss, mse
    >>> mse(14.0, [12.0, 15.0]), mse.max_stable_alpha
    (2.5, 1.0)
    >>> huber_loss(14.0, [12.0, 15.0], delta=2), huber_loss.parameters
    (1.25, {'delta': 1.0})
    """

    gradient: Gradient
    max_curvature: float = math.inf
    kinks: tuple[tuple[float, float], ...] = ()
    is_convex: bool = True
    is_quadratic: bool = False
    is_exact: bool = True
    target_range: tuple[float, float] = (-math.inf, math.inf)
    link: Literal["identity", "logit"] = "identity"
    _name: str
    _kernel_type: ClassVar[Callable[..., KernelLoss]]
    _defaults: ClassVar[Mapping[str, float]] = {}    # of the parameters, by name
    _other_names: ClassVar[Mapping[str, str]] = {}    # a textbook's names of the parameters
    _parameters: Mapping[str, float]

    def __init__(self) -> None:
        if not hasattr(type(self), "_kernel_type"):
            raise TypeError(f"{type(self).__name__} has no kernel. Make a loss of your own by fastgd.losses.compiled.")
        self._set_up(self._name, self._kernel_type(), {})

    def _set_up(self, name: str, kernel: KernelLoss, parameters: Mapping[str, float]) -> None:
        self._set_up_mean(name, kernel)
        self._set(_parameters=parameters, gradient=Gradient(self))

    @property
    def loss(self) -> Loss:
        """Loss itself, so that losses and gradients both have a `loss`."""
        return self

    def __getattr__(self, name: str) -> float:
        if name in self._defaults:
            return self._parameters[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def parameters(self) -> dict[str, float]:
        return dict(self._parameters)

    @property
    def max_stable_alpha(self) -> float | None:
        return None if math.isinf(self.max_curvature) else 2 / self.max_curvature

    def smoothed(self, h: Number) -> Loss:
        """Smooth the breakpoints of the loss over a half-width of h.

        Parameters
        ----------
        h : float
            The `smoothing` of the new loss, in the units of the data; at least 0.

        Returns
        -------
        Loss
            A loss with the other parameters of this one; the loss itself if it has no breakpoints.

        Raises
        ------
        TypeError, ValueError
            If h is not a finite number of at least 0.

        Examples
        --------
        >>> from fastgd import Pinball, mse
        >>> Pinball(q=0.9).kinks, Pinball(q=0.9).smoothed(0.25), mse.smoothed(0.25)
        (((0.0, 1.0),), Pinball(q=0.9, smoothing=0.25), mse)
        """
        half_width = check_number(h, "h", low=0)
        return self._replace({"smoothing": half_width}) if self.kinks else self

    def _with_parameters(self, *args: Any, **kwargs: Any) -> Loss:
        if not args and kwargs.keys() <= self._defaults.keys():    # the usual call
            return self._replace(kwargs)
        named = {self._other_names.get(name, name): value for name, value in kwargs.items()}
        names = tuple(self._defaults)
        unknown = [name for name in named if name not in names[len(args):]]
        if unknown or len(args) > len(names) or len(named) < len(kwargs):
            takes = ", ".join(["theta", "dataset", *names, "X", "fit_intercept", "sample_weight", "n_threads"])
            got = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
            raise TypeError(f"{self._name}() takes {takes}; got {got} beside theta and dataset")
        return self._replace({**dict(zip(names, args, strict=False)), **named})

    def _replace(self, changes: dict[str, Any]) -> Loss:
        """Make a loss with some parameters changed."""
        return type(self)(**{**self._parameters, **changes})

    def __repr__(self) -> str:
        if "_name" in vars(type(self)) and self._parameters == self._defaults:
            return self._name
        shown = list(self._parameters)
        while len(shown) > 1 and self._parameters[shown[-1]] == self._defaults[shown[-1]]:
            shown.pop()
        return f"{type(self).__name__}({', '.join(f'{name}={self._parameters[name]!r}' for name in shown)})"


class Gradient(_Mean["DoubleArray"]):
    """Mean derivative of a loss over the points: ``gradient(theta, dataset, *, X=None, fit_intercept=False)``.

    It is a float; with X an array of the derivatives in the components of theta.

    Attributes
    ----------
    loss : Loss
        The loss that the gradient belongs to.

    Examples
    --------
    >>> from fastgd import grad_mse
    >>> grad_mse(14.0, [12.0, 15.0]), grad_mse.loss
    (1.0, mse)
    >>> grad_mse([14.0, 1.0], [12.0, 15.0], X=[[1.0], [2.0]], fit_intercept=True)
    array([4., 5.])
    """

    loss: Loss
    is_gradient = True

    def __init__(self, loss: Loss) -> None:
        self._set(loss=loss, at_once=loss.at_once)
        self._set_up_mean(f"grad_{loss.__name__}", loss.kernel)

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


_PUBLIC = {"curve", "gradient", "is_convex", "is_exact", "is_quadratic", "kinks", "link", "loss", "max_curvature",
           "max_stable_alpha", "parameters", "smoothed", "target_range"}


def as_compiled(function: object) -> Loss | Gradient | None:
    """Return the Loss or Gradient that `function` is, or is a `functools.partial` of; None for a Python callable."""
    if isinstance(function, (Loss, Gradient)):
        # A subclass with another __call__ is a Python callable like any other.
        return function if type(function).__call__ is _Mean.__call__ else None
    if isinstance(function, type) and issubclass(function, _Mean):
        raise TypeError(f"{function.__name__} is a class; pass a loss, {function.__name__}(), or its gradient.")
    if isinstance(function, functools.partial) and isinstance(function.func, (Loss, Gradient)) and not function.args:
        loss = function.func.loss
        if set(function.keywords) <= {*loss._defaults, *loss._other_names}:
            return function.func._with_parameters(**function.keywords)
    return None
