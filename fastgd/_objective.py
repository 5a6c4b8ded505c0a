"""What is to be minimised: the mean of a loss over a source, its value and its slope at thetas.

All that descends, draws, checks or judges asks it; it alone knows which functions are our own and which are Python's.
"""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import called_at, check_callable, is_dask, is_lazy, one_number
from fastgd._curvature import Curvature, curvature_of
from fastgd._data import as_data
from fastgd._differences import differences_of
from fastgd._equality import same
from fastgd._frames import typed_value
from fastgd._metric import shrunk
from fastgd._thread_pool import SERIAL
from fastgd.losses.base import Gradient, Loss, ours
from fastgd.losses.builtin import REGISTRY
from fastgd.penalties import Penalty
from fastgd.results import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from fastgd._data import ConstantModelData, LinearModelData
    from fastgd._thread_pool import ThreadPool
    from fastgd._types import DoubleArray, FloatArray, GradientFunction, LossFunction, ModelData, Theta


def objective_of(loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike,
                 X: ArrayLike | None = None, fit_intercept: bool = False, *, needs_loss: bool = True,
                 penalty: Penalty | None = None, sample_weight: ArrayLike | None = None,
                 threads: ThreadPool = SERIAL) -> Objective:
    """The Objective of what a public function was given; TypeError or ValueError if it is not as it should be."""
    objective = Objective(loss_fn, grad_loss_fn, needs_loss, X is not None, threads)
    if penalty is not None:
        objective.penalty = check_penalty(penalty)
    if sample_weight is not None and (objective.is_called or objective.gradient is None) and (
            loss_fn is not None or objective.gradient is None):
        raise TypeError("The 'sample_weight' parameter needs a loss of fastgd's own and its gradient: a function in "
                        f"Python makes its mean itself. Got {loss_fn!r} and {grad_loss_fn!r}.")
    if is_lazy(dataset, X, sample_weight):
        objective.check_own("dataset" if is_lazy(dataset) else "X" if is_lazy(X) else "sample_weight")
        if any(map(is_dask, (dataset, X, sample_weight))):
            objective.check_is_picklable()
    objective.source = as_data(dataset, X, fit_intercept, sample_weight=sample_weight, threads=threads)
    objective.check_loss_of_rows()
    loss, descended = objective._loss, objective.descended
    if isinstance(loss, Loss) and descended is not None and type(loss) is not type(descended):
        warn(f"grad_loss_fn={objective.gradient!r} is not the gradient of loss_fn={loss!r}: the descent is on "
             f"{descended!r}. Pass grad_loss_fn=None for the gradient of loss_fn.")
    return objective


def check_penalty(penalty: Any) -> Penalty | None:
    """Return the penalty, None where its strength is 0; TypeError if it is none."""
    if not isinstance(penalty, Penalty):
        raise TypeError("The 'penalty' parameter must be None, or L1(strength), L2(strength) or ElasticNet(l1, l2) of "
                        f"fastgd.penalties. Got {typed_value(penalty)}.")
    return penalty if penalty.l1 or penalty.l2 else None


def curve_of(loss_fn: LossFunction, penalty: Penalty | None = None,
             threads: ThreadPool = SERIAL) -> Callable[..., Objective]:
    """A function from points to the Objective of a loss that is evaluated on them and not descended on.

    TypeError at once if it is no function; a gradient may stand for a loss.
    """
    objective = Objective(loss_fn, None, True, False, threads)
    if penalty is not None:
        objective.penalty = check_penalty(penalty)

    def of_points(dataset: ArrayLike, name: str = "dataset") -> Objective:
        if is_lazy(dataset):
            objective.check_own(name)
        source = as_data(dataset, None, False, name, threads=threads)
        if source.is_rows:
            raise ValueError(f"Input {name} should be points, for one number theta. Got blocks of (X, y).")
        return objective.on(source)

    return of_points


class Objective:
    """The mean of a loss over a source, plus a penalty of theta.

    The loss and the gradient are each our own, of which a kernel knows the maths, or a Python function, or none.

    Attributes
    ----------
    source : Points or Rows
        Where the numbers are.
    gradient : Gradient or None
        The gradient if it is our own; kernels descend on it.
    descended : Loss or None
        The loss that kernels descend on.
    called_gradient : callable
        The gradient as a function of theta and a part of the source: a Python function's, or differences of the loss;
        of the loss alone, as a step has a penalty of its own.
    penalty : Penalty or None
        Of the weights; an intercept is free.
    threads : ThreadPool
        Who shares the sums over many points.
    reads_both : bool
        Whether the loss is asked for where the next slope will be: one pass over the data then gives both.
    """

    source: ModelData
    penalty: Penalty | None = None
    reads_both = False
    # The end of a run asks more than once. Thetas are copies: a callback may change what it was handed.
    _last_value: tuple[Theta, float] | None = None
    _last_slope: tuple[Theta, Theta] | None = None
    _last_both: tuple[Theta, tuple[float, Any]] | None = None    # without a penalty

    def __init__(self, loss_fn: Any, grad_loss_fn: Any, needs_loss: bool, is_rows: bool,
                 threads: ThreadPool = SERIAL) -> None:
        self.threads = threads
        loss = ours(loss_fn)
        if loss is None and (loss_fn is not None or needs_loss or grad_loss_fn is None):
            check_callable(loss_fn, "loss_fn")
        if grad_loss_fn is None and isinstance(loss, Loss):
            grad_loss_fn = loss.gradient
        gradient = ours(grad_loss_fn)
        if gradient is None and grad_loss_fn is not None:
            check_callable(grad_loss_fn, "grad_loss_fn")
        if isinstance(gradient, Loss):
            raise TypeError(f"The 'grad_loss_fn' parameter must be a gradient. Got the loss {gradient!r}; "
                            f"pass {gradient.gradient!r}.")
        self.gradient, self.descended = gradient, None if gradient is None else gradient.loss
        self._loss, self._loss_fn, self._grad_loss_fn = loss, loss_fn, grad_loss_fn
        if is_rows:
            self._check_loss_of_rows()

    def check_loss_of_rows(self) -> None:
        """Raise TypeError if the source has rows, and what stands for the loss is a gradient."""
        if self.source.is_rows:
            self._check_loss_of_rows()

    def _check_loss_of_rows(self) -> None:
        if isinstance(self._loss, Gradient):
            raise TypeError("The 'loss_fn' parameter must be a loss: with X a gradient is an array. "
                            f"Got {self._loss!r}; pass {self._loss.loss!r}.")

    def check_own(self, name: str) -> None:
        """Raise TypeError unless all functions are our own: `name` is of data that are not in memory."""
        for given, is_own, role in ((self._loss_fn, self._loss is not None, "loss_fn"),
                                    (self._grad_loss_fn, self.gradient is not None, "grad_loss_fn")):
            if given is not None and not is_own:
                raise TypeError(f"The '{role}' parameter must be one of fastgd's own where '{name}' is not in memory: "
                                "a function in Python needs all points at once. "
                                f"Got {given!r}; fastgd.losses.compiled makes a loss of C functions.")

    def check_is_picklable(self) -> None:
        """Raise TypeError if dask cannot send the functions to where it computes."""
        from fastgd._data import dask_source  # here, because it imports dask

        dask_source.check_is_picklable((self._loss, self.gradient))

    def close(self) -> None:
        """Let go of data that are not in memory."""
        if self.source.is_chunked:
            self.source.chunks.close()

    def on(self, source: ModelData) -> Objective:
        """The same functions on another source."""
        objective = object.__new__(Objective)
        objective.threads, objective.source, objective.penalty = self.threads, source, self.penalty
        objective.gradient, objective.descended = self.gradient, self.descended
        objective._loss, objective._loss_fn, objective._grad_loss_fn = self._loss, self._loss_fn, self._grad_loss_fn
        return objective

    def descending_on(self, loss: Loss) -> Objective:
        """The same source and penalty with another loss, of our own."""
        objective = self.on(self.source)
        objective.gradient, objective.descended, objective._loss, objective._loss_fn = loss.gradient, loss, loss, loss
        objective.__dict__["curvature"] = self.curvature
        return objective

    def take_loss(self, loss: Loss) -> None:
        """Go on with another loss, of our own and with the same largest curvature."""
        self.gradient, self.descended, self._loss, self._loss_fn = loss.gradient, loss, loss, loss
        self._last_value = self._last_slope = self._last_both = None

    @property
    def in_memory(self) -> ConstantModelData | LinearModelData:
        """The source, where nothing else can be."""
        assert not self.source.is_chunked
        return self.source

    @functools.cached_property
    def _called_loss(self) -> Callable[[Any, Any], Any] | None:
        return None if self._loss_fn is None else self.in_memory.call(self._loss_fn, "loss_fn")

    @functools.cached_property
    def called_gradient(self) -> Callable[[Any, Any], Any]:
        if self.gradient is not None:
            return lambda theta, part: self._own_slope(theta)
        if self._grad_loss_fn is not None:
            return self.in_memory.call(self._grad_loss_fn, "grad_loss_fn")
        loss: Any = self._called_loss if self._loss is None else self._loss    # which may be a gradient of ours
        return differences_of(loss, self.in_memory)

    @functools.cached_property
    def curvature(self) -> Curvature:
        """That of the source."""
        return curvature_of(self.source, self.threads)

    def in_double(self) -> Objective:
        """The same on float64 points; itself if they are so already."""
        if self.source.is_rows or self.source.dtype == np.float64:
            return self
        dataset = np.asarray(self.source.everything, dtype=np.float64)
        return self.on(as_data(dataset, None, False))

    def has_labels(self) -> bool:
        """Whether the targets are labels -1 and 1 where the descent is on a loss of probabilities."""
        if self.descended is None or self.descended.link != "logit":
            return False
        return self.source.has_signs

    def separates(self, theta: Any) -> bool:
        """Whether a loss of probabilities, without a penalty, predicts each of its rows of 0 and 1 on its own side.

        It then falls as theta grows, for ever. All points are on one side if all are 0, or all 1.
        """
        if self.descended is None or self.descended.link != "logit" or self.penalty is not None:
            return False
        rows = self.source
        if not rows.is_rows:
            least, most = rows.extremes
            return least == most and least in (0, 1)
        return all(rows.map_slices(functools.partial(_are_on_their_sides, theta)))

    @property
    def name(self) -> str:
        """What to call the loss: huber_loss, Huber(delta=2.0), or the name of the Python function; and the penalty."""
        given = self._loss_fn
        if self._loss is not None:
            name = self._loss.__name__ if repr(self._loss).startswith("<") else repr(self._loss)
        else:
            name = str(getattr(getattr(given, "func", given), "__name__", type(given).__name__))
        return name if self.penalty is None else f"{name} + {self.penalty!r}"

    @property
    def is_called(self) -> bool:
        """True if the loss is a Python function, whose rounding is unknown."""
        return self._loss is None

    @property
    def calls_loss(self) -> bool:
        """True if the loss that was given is a Python function."""
        return self._loss is None and self._loss_fn is not None

    @property
    def has_differences(self) -> bool:
        """True if the gradient is made of differences of a Python loss."""
        return self.gradient is None and self._grad_loss_fn is None

    @property
    def is_unknown(self) -> bool:
        """True if there is a gradient in Python and no loss."""
        return self.gradient is None and self._loss_fn is None

    @property
    def losses(self) -> list[Loss] | None:
        """The losses that are descended on and shown, if both are our own."""
        if self.gradient is None or (self.is_called and self._loss_fn is not None):
            return None
        return [self.gradient.loss] if self._loss is None else list({self.gradient.loss, self._loss.loss})

    def values(self, thetas: Sequence[Any] | FloatArray) -> list[Any]:
        """The loss that was given plus the penalty, at each of several thetas; NaN if none was given."""
        if self._loss is not None:
            values: list[Any] = self.source.means(self._loss, thetas, self.threads).tolist()
        elif self._called_loss is None:
            return [math.nan] * len(thetas)
        else:
            values = called_at(self._called_loss, thetas, self.source.everything)
        return self._with_penalty(values, thetas)

    def _with_penalty(self, values: list[Any], thetas: Sequence[Any] | FloatArray) -> list[Any]:
        if self.penalty is None:
            return values
        return [value + self.penalty(self.weights_of(theta)) for value, theta in zip(values, thetas, strict=True)]

    def weights_of(self, theta: Any) -> Any:
        """Theta without the intercept."""
        return theta[1:] if self.source.intercept else theta

    def curve(self, thetas: FloatArray) -> DoubleArray:
        """The same as an array."""
        if self._loss is not None and self.penalty is None:
            return self.source.means(self._loss, thetas, self.threads)
        return np.array(self.values(thetas), dtype=np.float64)

    def value(self, theta: Theta) -> float:
        """The loss that was given, at one theta."""
        if self._last_value is None or not same(self._last_value[0], theta):
            if self.reads_both and self._loss is not None and self._loss is self.descended:
                value = self._with_penalty([self.own_value_and_slope(theta)[0]], [theta])[0]
            elif self._loss is not None and self.penalty is None:
                value = self.source.mean(self._loss, theta, self.threads)
            else:
                value = one_number(self.values([theta])[0], "loss_fn", "loss")
            self._last_value = _kept(theta), value
        return self._last_value[1]

    def own_value_and_slope(self, theta: Any) -> tuple[float, Any]:
        """The loss of our own that the descent is on, without a penalty, and its slope, in one pass."""
        loss = self.descended
        assert loss is not None
        if self._last_both is None or not same(self._last_both[0], theta):
            self._last_both = _kept(theta), self.source.value_and_slope(loss, theta, self.threads)
            if self.penalty is None:
                self._last_slope = self._last_both[0], self._last_both[1][1]
                if loss is self._loss:
                    self._last_value = self._last_both[0], self._last_both[1][0]
        return self._last_both[1]

    def value_and_slopes(self, thetas: Sequence[float]) -> tuple[float, Sequence[Any]]:
        """The loss that the descent is on at the first of several numbers, and the slope at each."""
        loss, points = self.descended, self.source
        if loss is None or points.is_rows or self.penalty is not None:
            return self.descended_value(thetas[0]), self.slopes(thetas)
        value, *slopes = points.value_and_slopes(loss, thetas, self.threads)
        if loss is self._loss:
            self._last_value = thetas[0], value
        self._last_slope = thetas[0], slopes[0]
        return value, slopes

    def slopes(self, thetas: Sequence[Any]) -> Sequence[Theta]:
        """The mean slope at each of several thetas, the penalty's included.

        Where l1 has a kink, at a weight of 0, it is the slope that is nearest to 0.
        """
        if self.gradient is not None:
            means = self.source.means(self.gradient, thetas, self.threads)
            slopes: list[Theta] = list(means) if self.source.is_rows else means.tolist()
        else:
            slopes = [self._called_slope(theta) for theta in thetas]
        if self.penalty is None:
            return slopes
        return [self._penalised(slope, theta) for slope, theta in zip(slopes, thetas, strict=True)]

    def _penalised(self, slope: Any, theta: Any) -> Any:
        penalty, first = self.penalty, int(self.source.intercept)
        assert penalty is not None
        total, weights = np.array(slope, dtype=np.float64), np.asarray(self.weights_of(theta))
        part = total[first:] if total.ndim else total[()]
        with np.errstate(over="ignore", invalid="ignore"):    # of weights that diverge
            part = part + penalty.l2 * weights
        part = np.where(weights == 0, shrunk(part, penalty.l1), part + penalty.l1 * np.sign(weights))
        if not total.ndim:
            return float(part)
        total[first:] = part
        return total

    def slope(self, theta: Theta) -> Theta:
        """The mean slope at one theta."""
        if self._last_slope is None or not same(self._last_slope[0], theta):
            if self.gradient is not None and self.penalty is None:
                found = self.source.mean(self.gradient, theta, self.threads)
            else:
                found = self.slopes([theta])[0]
            self._last_slope = _kept(theta), found
        slope: Theta = _kept(self._last_slope[1])
        return slope

    def descended_values(self, thetas: Sequence[Any], size: int | None = None) -> list[float]:
        """The loss that the descent is on, at each of several thetas; `size` rows drawn at random will do."""
        loss = self.descended
        if loss is None:
            return [float(value) for value in self.values(thetas)]
        source = self.source if size is None else self.source.sample(size)
        values: list[float] = source.means(loss, thetas, self.threads).tolist()
        return self._with_penalty(values, thetas)

    def descended_value(self, theta: Theta) -> float:
        """The same at one theta, all rows."""
        loss = self.descended
        if loss is None or loss is self._loss or loss == self._loss:
            return self.value(theta)
        return self.descended_values([theta])[0]

    def value_before_slope(self, theta: Any) -> float:
        """The same where the slope there is asked for next: of our own functions in one pass."""
        if self.gradient is None or self.descended is None:
            return self.descended_value(theta)
        return float(self._with_penalty([self.own_value_and_slope(theta)[0]], [theta])[0])

    def _own_slope(self, theta: Any) -> Any:
        """A scalar of the type of the data, as that of numpy's mean is; with rows an array."""
        assert self.gradient is not None
        if self._last_both is not None and same(self._last_both[0], theta):
            slope = _kept(self._last_both[1][1])
        else:
            slope = self.source.mean(self.gradient, theta, self.threads)
        return slope if self.source.is_rows else self.source.dtype.type(slope)

    def _called_slope(self, theta: Any) -> Theta:
        slope = self.called_gradient(theta, self.source.everything)
        if self.source.is_rows:
            return np.asarray(slope, dtype=np.float64)
        # A gradient of single points, which a stochastic descent is content with, may give that of each.
        if np.shape(slope) == (self.source.n,):
            slope = np.mean(slope)
        return one_number(slope, "grad_loss_fn", "slope")

    def stable_rate(self, is_stochastic: bool) -> float | None:
        """The largest learning rate that is known not to diverge, or None.

        2 / the largest curvature: of the mean loss, or, for stochastic descent, of the loss at any one row.
        """
        stable = None if self.descended is None else self.descended.max_stable_alpha
        if stable is None:
            return None
        size = self.curvature.largest_row() if is_stochastic else self.curvature.largest_eigenvalue()
        if self.penalty is not None and self.penalty.l2:
            return 2 / (2 / stable * size + self.penalty.l2)
        return stable / size if size > 0 else math.inf

    def metric(self, kind: str, *, is_stochastic: bool = False, is_rough: bool = False) -> Any:
        """The metric of the data that `precondition` asks for; for a loss of unknown curvature as if that were 1."""
        curvature = 1.0 if self.descended is None else self.descended.max_curvature
        decay = 0.0 if self.penalty is None else self.penalty.l2
        return self.curvature.metric(kind, curvature if math.isfinite(curvature) else 1.0, decay,
                                     is_stochastic=is_stochastic, is_rough=is_rough)

    def safe_rate(self, is_stochastic: bool) -> float:
        """Half of the largest stable rate: 1 / the largest curvature."""
        self.check_curvature(is_stochastic)
        stable = self.stable_rate(is_stochastic)
        assert stable is not None
        if 0 < stable < math.inf:
            return stable / 2
        raise ValueError("alpha='auto' found no learning rate: the largest curvature of the loss on these data is "
                         f"{2 / stable if stable else math.inf}. Scale the data, or give a number.")

    def check_curvature(self, is_stochastic: bool = False) -> None:
        """Raise ValueError unless the loss is known to be of bounded curvature."""
        if self.descended is not None and self.descended.max_stable_alpha is not None:
            return
        known = ", ".join(name for name, loss in REGISTRY.items() if loss.max_stable_alpha is not None)
        got = self.descended or self._grad_loss_fn or self._loss_fn
        ways = "," if is_stochastic else ", alpha='adaptive' to minimize,"
        raise ValueError(f"alpha='auto' needs a loss of bounded curvature ({known}). Got {got!r}; give a number"
                         f"{ways} or one of fastgd.schedules.")


def _are_on_their_sides(theta: DoubleArray, rows: LinearModelData, part: slice) -> bool:
    """Whether each row of target 1 has a prediction above 0, and each of 0 one below it."""
    sides = 2 * rows.targets[part] - 1
    with np.errstate(over="ignore", invalid="ignore"):    # on huge rows, whose sides are still known or NaN
        is_right = (np.abs(sides) == 1) & (sides * rows.predictions(theta, part) > 0)
    return bool(is_right.all())


def _kept(theta: Any) -> Any:
    return theta.copy() if isinstance(theta, np.ndarray) else theta
