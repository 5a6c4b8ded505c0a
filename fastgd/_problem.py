"""What is to be minimised: a loss, its gradient and the data, compiled or in Python."""
from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._checks import as_given, called_at, check_callable, check_dataset, check_number, check_shape, copied
from fastgd._design import MOST_FOR_GRAM, Design
from fastgd._driver import is_finite, largest
from fastgd._threads import Threads
from fastgd.differences import DifferenceGradient, RowsDifferenceGradient
from fastgd.losses import REGISTRY, CrossEntropy, Gradient, Loss, SquaredError, compiled_form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import DoubleArray, GradientFunction, LossFunction, Theta

#: Columns whose root mean square is above this are named where a descent diverged.
_UNSCALED = 3.0
_ALONE = Threads(None)
#: Rows that tell how far a loss is from the least, and rows that tell whether it rose.
_SAMPLE, _FEW = 4096, 512
#: A loss that ended so many times above where it began has diverged, whatever theta is.
_GROWN = 1e6
#: A linear model ended too soon if the loss falls by this part of itself farther on, and theta moves by so many tol.
_WORTH_WHILE, _FAR = 0.01, 10
#: A fall of this part of the loss at the start is none: the model fits.
_NEGLIGIBLE = 1e-9
#: How far along a step of Newton's the loss is looked at.
_FRACTIONS = 4.0 ** np.arange(-8, 9)


class Shortfall(NamedTuple):
    """A place with a materially lower loss than that where a descent ended."""

    loss: float
    theta: Theta
    is_least: bool


def as_problem(loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, *,
               needs_loss: bool, X: ArrayLike | None = None, fit_intercept: bool = False,
               threads: Threads = _ALONE) -> Problem:
    """The Problem of the constant model, or of the linear model if there are rows X."""
    if X is not None:
        return LinearProblem(loss_fn, grad_loss_fn, dataset, X, fit_intercept, needs_loss=needs_loss, threads=threads)
    if fit_intercept is not False:
        raise ValueError("fit_intercept=True needs X: without it theta is the intercept itself. "
                         f"Got fit_intercept={fit_intercept!r} and X=None.")
    return Problem(loss_fn, grad_loss_fn, dataset, needs_loss=needs_loss, threads=threads)


class Problem:
    """A loss, its gradient and the points, checked once.

    Attributes
    ----------
    targets : ndarray
        The points, contiguous float32 or float64.
    dataset : object
        The points as a Python callable gets them: the caller's own array or Series, else `targets`.
    loss, gradient : callable
        The compiled form where there is one. `loss` may be None if it is not asked for. Without a gradient it is the
        loss's own, or else differences of the loss.
    compiled : Gradient or None
        The gradient if it is compiled.
    threads : Threads
        Who shares the compiled sums over many points.
    """

    design: Design | None
    parameter_names: tuple[str, ...] = ("theta",)
    gradient: Callable[..., Any]

    def __init__(self, loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, *,
                 needs_loss: bool, threads: Threads = _ALONE) -> None:
        self.threads = threads
        self._compiled_loss = compiled_form(loss_fn)
        # (theta, value), because the end of a run asks more than once
        self._last_loss: tuple[Theta, float] | None = None
        self._last_slope: tuple[Theta, Theta] | None = None
        if self._compiled_loss is None and (loss_fn is not None or needs_loss or grad_loss_fn is None):
            check_callable(loss_fn, "loss_fn")
        self.loss = loss_fn if self._compiled_loss is None else self._compiled_loss
        if grad_loss_fn is None and isinstance(self._compiled_loss, Loss):
            grad_loss_fn = self._compiled_loss.gradient
        compiled = compiled_form(grad_loss_fn)
        if compiled is None and grad_loss_fn is not None:
            check_callable(grad_loss_fn, "grad_loss_fn")
        elif isinstance(compiled, Loss):
            raise TypeError(f"The 'grad_loss_fn' parameter must be a gradient. Got the loss {compiled!r}; "
                            f"pass {compiled.gradient!r}.")
        self.compiled = compiled
        self._given_gradient = grad_loss_fn or loss_fn
        self.targets = check_dataset(dataset)
        self.design = None
        self._set_up_data(dataset, grad_loss_fn if compiled is None else compiled)

    def _set_up_data(self, dataset: ArrayLike, gradient: GradientFunction | None) -> None:
        self.dataset: Any = as_given(dataset, self.targets)
        self.gradient = DifferenceGradient(self._python_loss(), self.targets) if gradient is None else gradient

    def _python_loss(self) -> LossFunction:
        assert self.loss is not None    # which was checked where there is no gradient
        return self.loss

    def theta(self, value: Any, name: str) -> Theta:
        """`value` as a theta of this model."""
        return check_number(value, name, low=-np.inf, inclusive=False)

    def of_result(self) -> dict[str, Any]:
        """What a DescentResult is told of the model."""
        return {}

    def points_to_shuffle(self, dataset: ArrayLike, in_place: bool) -> NDArray[Any]:
        """The points in an array that may be shuffled: the caller's own if `in_place`, else one that is ours."""
        if in_place:
            if self.targets is not dataset and not (
                    isinstance(dataset, np.ndarray) and np.shares_memory(self.targets, dataset)):
                got = (f"an array of dtype {dataset.dtype}" + ("" if dataset.flags.c_contiguous else ", not contiguous")
                       if isinstance(dataset, np.ndarray) else f"an object of type {type(dataset).__name__}")
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 f"Got {got}; convert it, or leave in_place=False.")
            if not self.targets.flags.writeable:
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 "Got a read-only array; pass a copy, or leave in_place=False.")
            return self.targets
        is_ours = type(dataset) in (list, tuple, range) or (
            type(dataset) is np.ndarray and not np.may_share_memory(self.targets, dataset))
        return self.targets if is_ours else copied(self.targets, self.targets.dtype)

    def no_minimum(self) -> str:
        """A sentence for data on which the loss falls for ever, else nothing."""
        if self.compiled is not None and isinstance(self.compiled.loss, CrossEntropy):
            mean = 0.5 - self.compiled(0.0, self.targets)    # the slope at 0 is 1/2 less the mean of the targets
            if not 0 < mean < 1:
                return (f" The mean of the targets is {mean:.6g}; unless it is between 0 and 1 the cross-entropy has "
                        "no minimum.")
        return ""

    def stable_alpha(self, is_stochastic: bool) -> float | None:
        """The largest learning rate that is known not to diverge, or None."""
        return None if self.compiled is None else self.compiled.loss.max_stable_alpha

    def safe_alpha(self, is_stochastic: bool) -> float:
        """Half of the largest stable rate: 1 / the largest curvature of the mean loss."""
        stable = self.stable_alpha(is_stochastic)
        if stable is not None and 0 < stable < np.inf:
            return stable / 2
        if stable is not None:
            raise ValueError("alpha='auto' found no learning rate: the largest curvature of the loss on these data is "
                             f"{2 / stable if stable else np.inf}. Scale the data, or give a number.")
        known = ", ".join(name for name, loss in REGISTRY.items() if loss.max_stable_alpha is not None)
        loss = self._given_gradient if self.compiled is None else self.compiled.loss
        raise ValueError(f"alpha='auto' needs a loss of bounded curvature ({known}). Got {loss!r}; give a number or "
                         "one of fastgd.schedules.")

    def objective_at(self, theta: Theta) -> float:
        """The loss that the gradient belongs to, or else the one that was given."""
        if self.compiled is not None and self.compiled.loss != self.loss:
            return self._losses_of(self.compiled.loss, [theta])[0]
        return float(self.loss_at(theta))

    def shortfall(self, theta: Any, start: Any, tol: float, by_loss: bool) -> Shortfall | None:
        """Where the loss is materially lower than at theta, if it is along a step of Newton's, else None.

        With the largest curvature c of the loss and G = X'X / n (1 without X) the step is pinv(c G) @ gradient: on the
        squared error it leads to the least loss, on others down if it is not too long, so that some lengths are tried.
        """
        if self.compiled is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            step = self._over_gram(self.slope_at(theta)) * (self.compiled.loss.max_stable_alpha or 2.0) / 2
            places = [theta - fraction * step for fraction in _FRACTIONS]
            losses = np.array(self._losses_nearby(places))
        if not is_finite(step) or np.isnan(losses).all():
            return None
        best = places[int(np.nanargmin(losses))]
        here, there = self.objective_at(theta), self.objective_at(best)
        far = here - there > _FAR * tol if by_loss else largest(best - theta) > _FAR * tol
        if not (far and here - there > _WORTH_WHILE * abs(here)):
            return None
        if here - there <= _NEGLIGIBLE * abs(self.objective_at(start)):
            return None
        knows_gram = self.design is None or self.design.has_gram
        return Shortfall(there, best, isinstance(self.compiled.loss, SquaredError) and knows_gram)

    def _over_gram(self, gradient: Any) -> Any:
        """pinv(X'X / n) @ gradient."""
        return gradient

    def _losses_nearby(self, thetas: list[Any]) -> list[float]:
        """The objective at several thetas; of a sample of the rows will do."""
        assert self.compiled is not None
        return self._losses_of(self.compiled.loss, thetas)

    def rate_hint(self, stable: float | None, is_stochastic: bool) -> str:
        """A sentence that names the `stable_alpha`, if there is one."""
        if stable is None or self.compiled is None:
            return ""
        return f" The largest stable alpha for {self.compiled.loss.__name__} is {stable:g}; stay below it."

    def losses_at(self, thetas: Sequence[Any] | DoubleArray) -> list[float]:
        """The loss at each of several thetas, as a list of floats."""
        if self.loss is None:
            return [math.nan] * len(thetas)
        if self._compiled_loss is not None:
            return self._losses_of(self._compiled_loss, thetas)
        return called_at(self.loss, thetas, self.dataset)

    def _losses_of(self, loss: Loss | Gradient, thetas: Sequence[Any] | DoubleArray) -> list[float]:
        values: list[float] = loss.curve_over(np.asarray(thetas, dtype=np.float64), self.targets, self.threads).tolist()
        return values

    def loss_at(self, theta: Theta) -> float:
        """The loss at one theta."""
        if self._last_loss is None or not np.array_equal(self._last_loss[0], theta):
            self._last_loss = theta, self.losses_at([theta])[0]
        return self._last_loss[1]

    def slope_at(self, theta: Theta) -> Theta:
        """The mean slope at one theta."""
        if self._last_slope is None or not np.array_equal(self._last_slope[0], theta):
            self._last_slope = theta, self.slopes_at([theta])[0]
        return self._last_slope[1]

    def slopes_at(self, thetas: Sequence[Any]) -> Sequence[Theta]:
        """The mean slope at each of several thetas, as a list of floats."""
        if self.compiled is not None:
            slopes: list[float] = self.compiled.curve_over(
                np.asarray(thetas, dtype=np.float64), self.targets, self.threads).tolist()
            return slopes
        return [float(self.gradient(theta, self.dataset)) for theta in thetas]


class LinearProblem(Problem):
    """The same with rows X: theta is an array, and so is a slope.

    `dataset` and the gradient of a Python function go by an index of the rows, which is what stochastic descent
    shuffles.
    """

    design: Design
    _compiled_loss: Loss | None

    def __init__(self, loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike,
                 X: ArrayLike, fit_intercept: bool, *, needs_loss: bool, threads: Threads = _ALONE) -> None:
        self._rows = X, fit_intercept
        super().__init__(loss_fn, grad_loss_fn, dataset, needs_loss=needs_loss, threads=threads)

    def _set_up_data(self, dataset: ArrayLike, gradient: GradientFunction | None) -> None:
        if isinstance(self._compiled_loss, Gradient):
            raise TypeError(f"The 'loss_fn' parameter must be a loss: with X a gradient is an array. "
                            f"Got {self._compiled_loss!r}; pass {self._compiled_loss.loss!r}.")
        X, fit_intercept = self._rows
        self.design = design = Design(X, self.targets, fit_intercept)
        self.targets = design.targets
        self.parameter_names = design.parameter_names
        self.dataset = slice(None)
        if self.loss is not None and self._compiled_loss is None:
            self.loss = _by_index(self.loss, design)
        if gradient is None:
            self.gradient = RowsDifferenceGradient(self._python_loss(), design)
        elif self.compiled is not None:
            self.gradient = gradient
        else:
            by_index = _by_index(gradient, design)
            self.gradient = lambda theta, rows: check_shape(by_index(theta, rows), theta.shape, "grad_loss_fn", "slope")

    def theta(self, value: Any, name: str) -> DoubleArray:
        return self.design.theta(value, name)

    def no_minimum(self) -> str:
        low, high = self.targets.min(), self.targets.max()
        is_cross_entropy = self.compiled is not None and isinstance(self.compiled.loss, CrossEntropy)
        if is_cross_entropy and not 0 <= low <= high <= 1:
            return (f" The targets are from {low:.6g} to {high:.6g}; unless they are between 0 and 1 the cross-entropy "
                    "need have no minimum.")
        return ""

    def of_result(self) -> dict[str, Any]:
        return {"feature_names": self.design.names, "fit_intercept": self.design.intercept}

    def points_to_shuffle(self, dataset: ArrayLike, in_place: bool) -> NDArray[Any]:
        """The order of the rows; X and its targets are never moved."""
        if in_place:
            raise ValueError("in_place=True cannot be used with X: its rows are never moved, an index of them is.")
        return np.arange(len(self.targets))

    def stable_alpha(self, is_stochastic: bool) -> float | None:
        """2 / the largest curvature: of the mean loss, or, for stochastic descent, of the loss at any one row."""
        stable = super().stable_alpha(is_stochastic)
        if stable is None:
            return None
        size = self.design.largest_row() if is_stochastic else self.design.largest_eigenvalue()
        return stable / size if size > 0 else np.inf

    def rate_hint(self, stable: float | None, is_stochastic: bool) -> str:
        words = ""
        if self.compiled is not None and stable is not None and 0 < stable < np.inf:
            source = "the longest row of X" if is_stochastic else "the largest eigenvalue of X'X / n"
            words = (f" alpha={stable / 2:.3g} is stable for {self.compiled.loss.__name__} (half of the limit that "
                     f"{source} sets); alpha='auto' takes it.")
        sizes = self.design.column_sizes()
        names = self.parameter_names[int(self.design.intercept):]
        large = [f"{names[k]!r} ({sizes[k]:.3g})" for k in np.argsort(-sizes)[:3] if sizes[k] > _UNSCALED]
        if large:
            words += (f" X has unscaled columns, of root mean square: {', '.join(large)}. Subtract the mean of "
                      "each and divide by its standard deviation, and a larger rate is stable.")
        return words

    def growth(self, start: Any, end: Any, is_stochastic: bool) -> tuple[float, float, bool] | None:
        """The objective at two thetas, and whether it grew a millionfold, if it rose from the one to the other.

        Measured by the objective at theta 0 where that is larger; stochastic descent may rise by a tenth. A sample of
        the rows is asked first: it tells a descent that went well from one that did not for less than a pass over all.
        """
        sample = self.design.sample(_FEW)
        if self.compiled is not None and sample is not self.design:
            began, ended = self.compiled.loss.curve_over_rows([start, end], sample)
            if ended < began:
                return None
        began, ended = self.objective_at(start), self.objective_at(end)
        if ended <= began:
            return None
        size = max(abs(began), abs(self.objective_at(np.zeros(len(end)))))
        noise = 0.1 if is_stochastic else 1e-9
        return (began, ended, ended > _GROWN * size > 0) if ended - began > noise * size else None

    def _over_gram(self, gradient: DoubleArray) -> DoubleArray:
        """From a sample of the rows where the Gram matrix was not formed; with very many parameters by its diagonal."""
        design, q = self.design, self.design.n_parameters
        if q > MOST_FOR_GRAM:
            sizes = np.concatenate([np.ones(int(design.intercept)), design.column_sizes()])
            diagonal: DoubleArray = np.divide(gradient, q * sizes**2, out=np.zeros(q), where=sizes > 0)
            return diagonal
        gram = (design if design.has_gram else design.sample(max(_SAMPLE, 40 * q))).gram()[0]
        scale: DoubleArray = np.sqrt(np.diag(gram))
        scale[scale == 0] = 1.0
        if not np.isfinite(gram).all():
            return np.full(q, np.nan)
        step: DoubleArray = np.linalg.pinv(gram / scale / scale[:, None], hermitian=True) @ (gradient / scale) / scale
        return step

    def _losses_nearby(self, thetas: list[DoubleArray]) -> list[float]:
        assert self.compiled is not None
        losses: list[float] = self.compiled.loss.curve_over_rows(thetas, self.design.sample(_SAMPLE)).tolist()
        return losses

    def _losses_of(self, loss: Loss | Gradient, thetas: Sequence[Any] | DoubleArray) -> list[float]:
        return [float(loss.over_rows(theta, self.design, self.threads)) for theta in thetas]

    def slopes_at(self, thetas: Sequence[Any]) -> Sequence[DoubleArray]:
        if self.compiled is not None:
            return [self.compiled.over_rows(theta, self.design, self.threads) for theta in thetas]
        return [np.asarray(self.gradient(theta, self.dataset), dtype=np.float64) for theta in thetas]


def _by_index(function: Callable[..., Any], design: Design) -> Callable[[DoubleArray, Any], Any]:
    """A Python function f(theta, X, y), or f(theta, y, X=X) if X is for keywords only, as one of theta and of rows."""
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = {}
    X, targets = design.X, design.targets
    if "X" not in parameters or parameters["X"].kind is not inspect.Parameter.KEYWORD_ONLY:
        X = design.with_ones()
        return lambda theta, rows: function(theta, X[rows], targets[rows])
    named = {"fit_intercept": True} if design.intercept else {}
    return lambda theta, rows: function(theta, targets[rows], X=X[rows], **named)
