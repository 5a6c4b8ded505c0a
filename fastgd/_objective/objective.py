"""Objective of a descent: the mean of a loss over data plus a penalty, with its value and gradient at theta.

Compiled losses are evaluated by kernels; Python functions are called with the data. Only this module distinguishes
them.
"""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data import as_data
from fastgd._format import equal
from fastgd._frames import typed_value
from fastgd._objective.finite_differences import differences_of
from fastgd._objective.preconditioner import soft_threshold
from fastgd._objective.second_moments import second_moments_of
from fastgd._thread_pool import SERIAL
from fastgd._validation import called_at, check_callable, is_dask, is_lazy, one_number
from fastgd.losses.base import Gradient, Loss, as_compiled
from fastgd.losses.builtin import REGISTRY
from fastgd.penalties import Penalty
from fastgd.results import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from fastgd._data import ConstantModelData, LinearModelData, ModelData
    from fastgd._objective.second_moments import SecondMoments
    from fastgd._thread_pool import ThreadPool
    from fastgd._types import DoubleArray, FloatArray, GradientFunction, LossFunction, Theta


class LossFunctions(NamedTuple):
    """Loss and gradient of a call, and their compiled counterparts.

    Attributes
    ----------
    loss : Loss or None
        Compiled loss that is minimised; None if the gradient is a Python function.
    gradient : Gradient or None
        Compiled gradient of `loss`.
    reported : Loss, Gradient or None
        Compiled loss that is shown and reported; None for a Python function.
    loss_fn, grad_loss_fn : callable or None
        Arguments of the call.
    """

    loss: Loss | None
    gradient: Gradient | None
    reported: Loss | Gradient | None
    loss_fn: Any
    grad_loss_fn: Any

    @staticmethod
    def of(loss: Loss) -> LossFunctions:
        """Pair a compiled loss with its gradient."""
        return LossFunctions(loss, loss.gradient, loss, loss, loss.gradient)

    def check_compiled(self, name: str) -> None:
        """Raise TypeError for a Python function, which cannot be used on data `name` that are not in memory."""
        for given, compiled, role in ((self.loss_fn, self.reported, "loss_fn"),
                                      (self.grad_loss_fn, self.gradient, "grad_loss_fn")):
            if given is not None and compiled is None:
                raise TypeError(f"The '{role}' parameter must be one of fastgd's own where '{name}' is not in memory: "
                                "a function in Python needs all points at once. "
                                f"Got {given!r}; fastgd.losses.compiled makes a loss of C functions.")


def check_functions(loss_fn: Any, grad_loss_fn: Any, *, needs_loss: bool = True) -> LossFunctions:
    """Check a loss and a gradient; the gradient may be None, and the loss too unless it is needed."""
    # A subclass with another __call__ is a Python function; `as_compiled` is called for what is no loss or gradient.
    reported: Any = loss_fn if type(loss_fn).__call__ is Loss.__call__ else as_compiled(loss_fn)
    if reported is None and (loss_fn is not None or needs_loss or grad_loss_fn is None):
        check_callable(loss_fn, "loss_fn")
    if grad_loss_fn is None and isinstance(reported, Loss):
        grad_loss_fn = reported.gradient
    gradient: Any = grad_loss_fn if type(grad_loss_fn).__call__ is Loss.__call__ else as_compiled(grad_loss_fn)
    if gradient is None:
        if grad_loss_fn is not None:
            check_callable(grad_loss_fn, "grad_loss_fn")
        return LossFunctions(None, None, reported, loss_fn, grad_loss_fn)
    if isinstance(gradient, Loss):
        raise TypeError(f"The 'grad_loss_fn' parameter must be a gradient. Got the loss {gradient!r}; "
                        f"pass {gradient.gradient!r}.")
    return LossFunctions(gradient.loss, gradient, reported, loss_fn, grad_loss_fn)


def objective_of(loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike,
                 X: ArrayLike | None = None, fit_intercept: bool = False, *, needs_loss: bool = True,
                 penalty: Penalty | None = None, sample_weight: ArrayLike | None = None,
                 threads: ThreadPool = SERIAL) -> Objective:
    """Make the Objective of the arguments of a public function; raise TypeError or ValueError for invalid ones."""
    functions = check_functions(loss_fn, grad_loss_fn, needs_loss=needs_loss)
    if X is not None:
        _check_loss_of_rows(functions)
    if penalty is not None:
        penalty = check_penalty(penalty)
    if sample_weight is not None and (functions.gradient is None or (loss_fn is not None
                                                                     and functions.reported is None)):
        raise TypeError("The 'sample_weight' parameter needs a loss of fastgd's own and its gradient: a function in "
                        f"Python makes its mean itself. Got {loss_fn!r} and {grad_loss_fn!r}.")
    if is_lazy(dataset, X, sample_weight):
        functions.check_compiled("dataset" if is_lazy(dataset) else "X" if is_lazy(X) else "sample_weight")
        if any(map(is_dask, (dataset, X, sample_weight))):
            from fastgd._data import dask_source  # imports dask

            dask_source.check_is_picklable((functions.reported, functions.gradient))
    data = as_data(dataset, X, fit_intercept, sample_weight=sample_weight, threads=threads)
    if data.is_rows and X is None:
        _check_loss_of_rows(functions)
    reported, loss = functions.reported, functions.loss
    if loss is not None and type(reported) is not type(loss) and isinstance(reported, Loss):
        warn(f"grad_loss_fn={functions.gradient!r} is not the gradient of loss_fn={reported!r}: the descent is on "
             f"{loss!r}. Pass grad_loss_fn=None for the gradient of loss_fn.")
    return Objective(functions, data, penalty, threads)


def _check_loss_of_rows(functions: LossFunctions) -> None:
    if isinstance(functions.reported, Gradient):
        raise TypeError("The 'loss_fn' parameter must be a loss: with X a gradient is an array. "
                        f"Got {functions.reported!r}; pass {functions.reported.loss!r}.")


def check_penalty(penalty: Any) -> Penalty | None:
    """Return the penalty, or None if its strength is 0; raise TypeError for anything else."""
    if not isinstance(penalty, Penalty):
        raise TypeError("The 'penalty' parameter must be None, or L1(strength), L2(strength) or ElasticNet(l1, l2) of "
                        f"fastgd.penalties. Got {typed_value(penalty)}.")
    return penalty if penalty.l1 or penalty.l2 else None


def curve_of(loss_fn: LossFunction, penalty: Penalty | None = None,
             threads: ThreadPool = SERIAL) -> Callable[..., Objective]:
    """Check a loss or gradient, and return a function that makes its Objective on given points."""
    functions = check_functions(loss_fn, None)
    if penalty is not None:
        penalty = check_penalty(penalty)

    def of_points(dataset: ArrayLike, name: str = "dataset") -> Objective:
        if is_lazy(dataset):
            functions.check_compiled(name)
        data = as_data(dataset, None, False, name, threads=threads)
        if data.is_rows:
            raise ValueError(f"Input {name} should be points, for one number theta. Got blocks of (X, y).")
        return Objective(functions, data, penalty, threads)

    return of_points


class _Memo:
    """Last evaluations of an objective, as pairs of a theta and a result, and its lazily made parts.

    Thetas are copies, because a callback may change the theta that it gets.
    """

    __slots__ = ("both", "functions", "gradient", "second_moments", "value")

    def __init__(self, second_moments: SecondMoments | None) -> None:
        self.value: tuple[Theta, float] | None = None
        self.gradient: tuple[Theta, Theta] | None = None
        self.both: tuple[Theta, tuple[float, Any]] | None = None    # value and gradient without the penalty
        self.functions: dict[str, Callable[..., Any]] = {}
        self.second_moments = second_moments


class Objective:
    """Immutable objective: the mean of a loss over data plus a penalty of theta.

    The loss that is reported may differ from the loss that is minimised.

    Parameters
    ----------
    functions : LossFunctions
    data : ModelData
    penalty : Penalty or None
        Penalty of the weights, without the intercept.
    threads : ThreadPool
        Threads that share the sums over many points.
    second_moments : SecondMoments, optional
        Second moments of the data, if they have been computed.

    Attributes
    ----------
    loss : Loss or None
        Compiled loss that is minimised.
    compiled_gradient : Gradient or None
        Compiled gradient of `loss`.
    """

    __slots__ = ("_memo", "_reads_both", "compiled_gradient", "data", "functions", "loss", "penalty", "threads")

    def __init__(self, functions: LossFunctions, data: ModelData, penalty: Penalty | None = None,
                 threads: ThreadPool = SERIAL, second_moments: SecondMoments | None = None) -> None:
        self.functions, self.data, self.penalty, self.threads = functions, data, penalty, threads
        self.loss, self.compiled_gradient = functions.loss, functions.gradient
        self._memo, self._reads_both = _Memo(second_moments), False

    def reading_both(self) -> Objective:
        """Return this objective, with `reported_value` reading the gradient in the same pass over the data."""
        other = Objective(self.functions, self.data, self.penalty, self.threads)
        other._memo, other._reads_both = self._memo, True
        return other

    def on(self, data: ModelData) -> Objective:
        """Return the objective of the same functions on other data."""
        return Objective(self.functions, data, self.penalty, self.threads)

    def with_loss(self, loss: Loss, penalty: Penalty | None = None) -> Objective:
        """Return the objective of a compiled loss on the same data, with this penalty or that of the objective."""
        return Objective(LossFunctions.of(loss), self.data, penalty or self.penalty, self.threads, self.second_moments)

    def close(self) -> None:
        """Close data that are not in memory."""
        if self.data.is_chunked:
            self.data.chunks.close()

    @property
    def second_moments(self) -> SecondMoments:
        """Second moments of the data."""
        memo = self._memo
        if memo.second_moments is None:
            memo.second_moments = second_moments_of(self.data, self.threads)
        return memo.second_moments

    @property
    def in_memory(self) -> ConstantModelData | LinearModelData:
        """Data, which must be in memory."""
        assert not self.data.is_chunked
        return self.data

    @property
    def name(self) -> str:
        """Name of the reported loss, and of the penalty: huber_loss, Huber(delta=2.0), or a Python function's name."""
        given, reported = self.functions.loss_fn, self.functions.reported
        if reported is not None:
            name = reported.__name__ if repr(reported).startswith("<") else repr(reported)
        else:
            name = str(getattr(getattr(given, "func", given), "__name__", type(given).__name__))
        return name if self.penalty is None else f"{name} + {self.penalty!r}"

    @property
    def is_compiled(self) -> bool:
        """True if the reported loss is compiled, so that its rounding is known."""
        return self.functions.reported is not None

    @property
    def has_python_loss(self) -> bool:
        """True if the reported loss is a Python function."""
        return self.functions.reported is None and self.functions.loss_fn is not None

    @property
    def has_differences(self) -> bool:
        """True if the gradient is a central difference of a Python loss."""
        return self.loss is None and self.functions.grad_loss_fn is None

    @property
    def has_gradient_alone(self) -> bool:
        """True if the gradient is a Python function and there is no loss."""
        return self.loss is None and self.functions.loss_fn is None

    def has_sign_labels(self) -> bool:
        """Return True if the loss takes probabilities and the targets are labels -1 and 1."""
        return self.loss is not None and self.loss.link == "logit" and self.data.has_signs

    def is_separated_by(self, theta: Any) -> bool:
        """Return True if theta separates the classes of a loss of probabilities linearly, without a penalty.

        Such a loss decreases without end as theta grows. Points are separated if all are 0, or all 1.
        """
        if self.loss is None or self.loss.link != "logit" or self.penalty is not None:
            return False
        rows = self.data
        if not rows.is_rows:
            least, most = rows.extremes
            return least == most and least in (0, 1)
        return all(rows.map_slices(functools.partial(_predicts_classes, theta)))

    # Values of the loss that is reported.

    def reported_values(self, thetas: Sequence[Any] | FloatArray) -> list[Any]:
        """Evaluate the reported loss plus the penalty at each theta; NaN if there is no loss."""
        reported = self.functions.reported
        if reported is not None:
            values: list[Any] = self.data.means(reported, thetas, self.threads).tolist()
        elif self.functions.loss_fn is None:
            return [math.nan] * len(thetas)
        else:
            values = called_at(self._function("loss_fn"), thetas, self.data.everything)
        return self._with_penalty(values, thetas)

    def curve(self, thetas: FloatArray) -> DoubleArray:
        """Evaluate the reported loss plus the penalty at each theta, as an array."""
        reported = self.functions.reported
        if reported is not None and self.penalty is None:
            return self.data.means(reported, thetas, self.threads)
        return np.array(self.reported_values(thetas), dtype=np.float64)

    def reported_value(self, theta: Theta) -> float:
        """Evaluate the reported loss plus the penalty at theta."""
        memo, reported = self._memo, self.functions.reported
        if memo.value is None or not equal(memo.value[0], theta):
            if self._reads_both and reported is not None and reported is self.loss:
                value = self._with_penalty([self.value_and_gradient(theta)[0]], [theta])[0]
            elif reported is not None and self.penalty is None:
                value = self.data.mean(reported, theta, self.threads)
            else:
                value = one_number(self.reported_values([theta])[0], "loss_fn", "loss")
            memo.value = _copy(theta), value
        return memo.value[1]

    # Values and gradients of the loss that is minimised.

    def values(self, thetas: Sequence[Any], size: int | None = None) -> list[float]:
        """Evaluate the objective at each theta, on all rows or on `size` rows drawn at random."""
        if self.loss is None:
            return [float(value) for value in self.reported_values(thetas)]
        data = self.data if size is None else self.data.sample(size)
        values: list[float] = data.means(self.loss, thetas, self.threads).tolist()
        return self._with_penalty(values, thetas)

    def value(self, theta: Theta) -> float:
        """Evaluate the objective at theta."""
        loss, reported = self.loss, self.functions.reported
        if loss is None or loss is reported or loss == reported:
            return self.reported_value(theta)
        return self.values([theta])[0]

    def value_with_gradient(self, theta: Any) -> float:
        """Evaluate the objective at theta, and store a compiled gradient for the next call, in one pass."""
        if self.loss is None:
            return self.value(theta)
        return float(self._with_penalty([self.value_and_gradient(theta)[0]], [theta])[0])

    def value_and_gradient(self, theta: Any) -> tuple[float, Any]:
        """Evaluate the compiled loss and its gradient at theta in one pass, without the penalty."""
        loss, memo = self.loss, self._memo
        assert loss is not None
        if memo.both is None or not equal(memo.both[0], theta):
            memo.both = (theta if type(theta) is float else _copy(theta),
                         self.data.value_and_gradient(loss, theta, self.threads))
            if self.penalty is None:
                memo.gradient = memo.both[0], memo.both[1][1]
                if loss is self.functions.reported:
                    memo.value = memo.both[0], memo.both[1][0]
        return memo.both[1]

    def value_and_gradients(self, thetas: Sequence[float]) -> tuple[float, Sequence[Any]]:
        """Evaluate the objective at the first of several numbers, and its slope at each."""
        loss, points, memo = self.loss, self.data, self._memo
        if loss is None or points.is_rows or self.penalty is not None:
            return self.value(thetas[0]), self.gradients(thetas)
        value, *slopes = points.value_and_gradients(loss, thetas, self.threads)
        if loss is self.functions.reported:
            memo.value = thetas[0], value
        memo.gradient = thetas[0], slopes[0]
        return value, slopes

    def gradients(self, thetas: Sequence[Any]) -> Sequence[Theta]:
        """Evaluate the gradient of the objective at each theta; at a kink of l1 the subgradient nearest to 0."""
        if self.compiled_gradient is not None:
            means = self.data.means(self.compiled_gradient, thetas, self.threads)
            gradients: list[Theta] = list(means) if self.data.is_rows else means.tolist()
        else:
            gradients = [self._python_gradient(theta) for theta in thetas]
        if self.penalty is None:
            return gradients
        return [self._with_penalty_gradient(gradient, theta)
                for gradient, theta in zip(gradients, thetas, strict=True)]

    def gradient(self, theta: Theta) -> Theta:
        """Evaluate the gradient of the objective at theta."""
        memo = self._memo
        if memo.gradient is None or not equal(memo.gradient[0], theta):
            if self.compiled_gradient is not None and self.penalty is None:
                found = self.data.mean(self.compiled_gradient, theta, self.threads)
            else:
                found = self.gradients([theta])[0]
            memo.gradient = _copy(theta), found
        gradient: Theta = _copy(memo.gradient[1])
        return gradient

    def loss_gradient(self, theta: Any) -> Any:
        """Evaluate the gradient of the loss at theta, without the penalty.

        The gradient of one number is a scalar of the type of the data, like numpy's mean; with rows it is an array.
        """
        if self.compiled_gradient is None:
            return self.partial_gradient(theta, self.data.everything)
        both, data = self._memo.both, self.data
        if both is not None and equal(both[0], theta):
            gradient = _copy(both[1][1])
        else:
            gradient = data.mean(self.compiled_gradient, theta, self.threads)
        return gradient if data.is_rows else data.dtype.type(gradient)

    @property
    def partial_gradient(self) -> Callable[[Any, Any], Any]:
        """Python gradient, or differences of a Python loss, as a function of theta and a part of the data."""
        return self._function("differences" if self.has_differences else "grad_loss_fn")

    def _function(self, role: str) -> Callable[..., Any]:
        """Adapt a Python function to theta and a part of the data, once."""
        functions = self._memo.functions
        if role not in functions:
            if role == "differences":
                reported: Any = self.functions.reported
                functions[role] = differences_of(reported or self._function("loss_fn"), self.in_memory)
            else:
                functions[role] = self.in_memory.call(getattr(self.functions, role), role)
        return functions[role]

    def _python_gradient(self, theta: Any) -> Theta:
        gradient = self.partial_gradient(theta, self.data.everything)
        if self.data.is_rows:
            return np.asarray(gradient, dtype=np.float64)
        # A gradient written for single points may return an array with the gradient of each point.
        if np.shape(gradient) == (self.data.n,):
            gradient = np.mean(gradient)
        return one_number(gradient, "grad_loss_fn", "slope")

    # Values and gradients of the penalty.

    def weights_of(self, theta: Any) -> Any:
        """Return theta without the intercept."""
        return theta[1:] if self.data.intercept else theta

    def _with_penalty(self, values: list[Any], thetas: Sequence[Any] | FloatArray) -> list[Any]:
        if self.penalty is None:
            return values
        return [value + self.penalty(self.weights_of(theta)) for value, theta in zip(values, thetas, strict=True)]

    def _with_penalty_gradient(self, gradient: Any, theta: Any) -> Any:
        penalty, first = self.penalty, int(self.data.intercept)
        assert penalty is not None
        total, weights = np.array(gradient, dtype=np.float64), np.asarray(self.weights_of(theta))
        part = total[first:] if total.ndim else total[()]
        with np.errstate(over="ignore", invalid="ignore"):    # weights that diverge
            part = part + penalty.l2 * weights
        part = np.where(weights == 0, soft_threshold(part, penalty.l1), part + penalty.l1 * np.sign(weights))
        if not total.ndim:
            return float(part)
        total[first:] = part
        return total

    # Curvature.

    def stable_rate(self, is_stochastic: bool) -> float | None:
        """Compute the largest stable learning rate; None if the loss has no bound on its curvature.

        The rate is 2 / the largest curvature: of the mean loss, or, for stochastic descent, of the loss at any row.
        """
        stable = None if self.loss is None else self.loss.max_stable_alpha
        if stable is None:
            return None
        moments = self.second_moments
        size = moments.largest_row() if is_stochastic else moments.largest_eigenvalue()
        if self.penalty is not None and self.penalty.l2:
            return 2 / (2 / stable * size + self.penalty.l2)
        return stable / size if size > 0 else math.inf

    def safe_rate(self, is_stochastic: bool) -> float:
        """Compute half of the largest stable rate: 1 / the largest curvature."""
        self.check_curvature(is_stochastic)
        stable = self.stable_rate(is_stochastic)
        assert stable is not None
        if 0 < stable < math.inf:
            return stable / 2
        raise ValueError("alpha='auto' found no learning rate: the largest curvature of the loss on these data is "
                         f"{2 / stable if stable else math.inf}. Scale the data, or give a number.")

    def check_curvature(self, is_stochastic: bool = False) -> None:
        """Raise ValueError unless the loss has a bound on its curvature."""
        if self.loss is not None and self.loss.max_stable_alpha is not None:
            return
        known = ", ".join(name for name, loss in REGISTRY.items() if loss.max_stable_alpha is not None)
        got = self.loss or self.functions.grad_loss_fn or self.functions.loss_fn
        ways = "," if is_stochastic else ", alpha='adaptive' to minimize,"
        raise ValueError(f"alpha='auto' needs a loss of bounded curvature ({known}). Got {got!r}; give a number"
                         f"{ways} or one of fastgd.schedules.")

    def preconditioner(self, kind: str, *, is_stochastic: bool = False, is_subsampled: bool = False) -> Any:
        """Make the preconditioner of the data; a loss without a bound on its curvature counts as curvature 1."""
        curvature = 1.0 if self.loss is None else self.loss.max_curvature
        l2 = 0.0 if self.penalty is None else self.penalty.l2
        return self.second_moments.preconditioner(kind, curvature if math.isfinite(curvature) else 1.0, l2,
                                                  is_stochastic=is_stochastic, is_subsampled=is_subsampled)

    def in_double(self) -> Objective:
        """Return the objective on float64 points; itself if they are in float64."""
        if self.data.is_rows or self.data.dtype == np.float64:
            return self
        dataset = np.asarray(self.data.everything, dtype=np.float64)
        return self.on(as_data(dataset, None, False))


def _predicts_classes(theta: DoubleArray, rows: LinearModelData, part: slice) -> bool:
    """Return True if the prediction is above 0 for each row of target 1 and below 0 for each row of target 0."""
    signs = 2 * rows.targets[part] - 1
    with np.errstate(over="ignore", invalid="ignore"):    # huge predictions keep their sign; NaN is never right
        is_right = (np.abs(signs) == 1) & (signs * rows.predictions(theta, part) > 0)
    return bool(is_right.all())


def _copy(theta: Any) -> Any:
    return theta.copy() if type(theta) is np.ndarray else theta
