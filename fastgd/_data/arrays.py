"""Data in memory: points of the constant model, and rows X with targets of the linear model."""
from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fastgd._frames import column_index, described
from fastgd._kernels import linear as kernels
from fastgd._kernels import mean as mean_kernels
from fastgd._pairwise import (
    CACHED_NUMBERS,
    CACHED_POINTS,
    LEAF,
    MIN_THREADED_POINTS,
    NUMPY_POINTS,
    PART_NUMBERS,
    column_sums,
    reduce_tree,
    subtrees,
)
from fastgd._thread_pool import SERIAL, ThreadPool
from fastgd._validation import (
    C_NAMES,
    as_double,
    as_given,
    check_dataset,
    check_design,
    check_flag,
    check_number,
    check_same_length,
    check_shape,
    check_weights,
    copied,
    guarded,
    is_lazy,
    raise_not_finite,
    real_numbers,
    slices_of_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastgd._data import ModelData
    from fastgd._types import CompiledMean, DoubleArray, FloatArray, Integers, R

#: Rows of a sample for the suboptimality of a loss, and of one for its growth.
SAMPLE_ROWS, SMALL_SAMPLE_ROWS = 4096, 512
#: Function of data in memory and of a part of them.
OfPart: TypeAlias = "Callable[[Any, slice], R]"
#: Names by which a Python function may take its targets.
_NAMES_OF_TARGETS = ("y", "dataset", "y_vals", "targets")
#: Evaluations in a part of several threads, and parts of many points for each thread: enough that threads end together,
#: and few, because threads wait for each other between two parts.
POINTS_OF_A_PART, PARTS_OF_A_THREAD = 2**17, 8
#: Points in a slice of a pass that counts: 5 ms where a bucket is found for each.
SLICE_OF_EACH = 2**20
#: Thetas that share a pass over the points: enough to read them once, few enough to keep the buffers small.
THETAS_AT_ONCE = 64


def normalize_weights(weights: DoubleArray | None, *arrays: NDArray[Any]) -> tuple[DoubleArray | None, tuple[Any, ...]]:
    """Divide checked weights by their mean and drop weights of 0, with their rows of all arrays; None if all are equal.

    With such weights the weighted mean of a loss is sum(w * loss) / n.
    """
    if weights is None:
        return None, arrays
    positive = weights > 0
    if not positive.all():
        weights, arrays = weights[positive], tuple(array[positive] for array in arrays)
    most = weights.max()
    if weights.min() == most:
        return None, arrays
    relative = weights / most    # the sum of these cannot overflow
    return np.divide(relative, column_sums(relative[:, None])[0] / relative.size), arrays


class ArrayData:
    """Facts of targets and weights in memory."""

    is_chunked: Literal[False] = False
    reads: tuple[int, int] | None = None
    start = 0    # index of the first row in the whole of which this is a chunk
    targets: FloatArray
    weights: FloatArray | None

    @property
    def is_weighted(self) -> bool:
        """True unless all weights are equal."""
        return self.weights is not None

    @property
    def largest_weight(self) -> float:
        """Largest weight, in units of the mean weight."""
        return 1.0 if self.weights is None else float(self.weights.max())

    @property
    def extremes(self) -> tuple[float, float]:
        """Least and largest target."""
        return float(self.targets.min()), float(self.targets.max())

    @property
    def has_signs(self) -> bool:
        """True if all targets are -1 or 1, and some are -1."""
        targets = self.targets
        return abs(targets.item(0)) == 1 and bool(targets.min() == -1) and bool((np.abs(targets) == 1).all())


class AnyLinearModelData:
    """Data of the linear model, in memory or chunked."""

    is_rows: Literal[True] = True
    n: int
    p: int    # columns of X
    dtype: np.dtype[Any]    # of X
    intercept: bool    # True if theta[0] is added to each prediction; theta then has p + 1 components
    names: tuple[str, ...] | None    # columns of a DataFrame, as text
    columns: Any = None    # columns of a pandas frame in memory, an Index

    @property
    def n_parameters(self) -> int:
        """Number of components of theta."""
        return self.p + self.intercept

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the components of theta."""
        names = self.names or tuple(f"x{k}" for k in range(self.p))
        return ("intercept", *names) if self.intercept else names

    def theta(self, value: ArrayLike, name: str) -> DoubleArray:
        """Check `value`, a number or one for each parameter, and return it as a new float64 array."""
        if not isinstance(value, (list, tuple)) and np.ndim(value) == 0:
            return np.full(self.n_parameters, check_number(value, name, low=-np.inf, inclusive=False))
        theta = real_numbers(value, name).astype(np.float64)
        if theta.shape != (self.n_parameters,):
            what = "the intercept and one for each feature" if self.intercept else "one for each feature"
            raise ValueError(f"The '{name}' parameter must be a number or an array of shape ({self.n_parameters},), "
                             f"{what}. Got an array of shape {theta.shape}.")
        if not np.isfinite(theta).all():
            raise ValueError(f"The '{name}' parameter must be finite. Got {described(value)}.")
        return theta

    def total(self, sums: OfPart[DoubleArray], most: int, threads: ThreadPool = SERIAL) -> DoubleArray:
        """Add `sums(data in memory, subtree)` over subtrees of at most `most` rows, in the order of the tree."""
        raise NotImplementedError

    def map_slices(self, function: OfPart[R], threads: ThreadPool = SERIAL, size: int = NUMPY_POINTS) -> list[R]:
        """List `function(data in memory, slice)` over slices of about `size` numbers of X."""
        raise NotImplementedError

    def sample(self, size: int) -> LinearModelData:
        """Return about `size` random rows in memory, from a fixed seed; all rows if n is at most 2 `size`."""
        raise NotImplementedError

    def rows_of(self, numbers: int) -> int:
        """Number of rows that have about `numbers` numbers of X, at least a leaf of the tree."""
        return max(LEAF, numbers // self.p)

    def mean(self, mean: CompiledMean, theta: Any, threads: ThreadPool = SERIAL) -> Any:
        """Compute a compiled loss at one theta, a float, or a compiled gradient, an array."""
        found = self.means(mean, [theta], threads)[0]
        return found if mean.is_gradient else found.item()

    def value_and_gradient(self, loss: CompiledMean, theta: Any,
                        threads: ThreadPool = SERIAL) -> tuple[float, DoubleArray]:
        """Compute a compiled loss and its gradient at one theta, in one pass over X."""
        most = max(LEAF, min(self.rows_of(PART_NUMBERS), loss.at_once))
        both = self.total(functools.partial(_both_sums, loss, theta), most, self._useful(threads))
        loss.version(mean_kernels.divide, both.dtype)(loss.kernel, 1, both, self.n)
        return both[0].item(), both[1:]

    def means(self, mean: CompiledMean, thetas: Sequence[Any] | FloatArray,
              threads: ThreadPool = SERIAL) -> DoubleArray:
        """Compute a compiled loss at m thetas, shape (m,), or a compiled gradient, shape (m, n_parameters)."""
        threads = self._useful(threads)
        # X is read from memory once if the thetas share a pass over a part of it. Threads wait for each other between
        # two calls of the kernel, so with several threads a call should take long.
        numbers = PART_NUMBERS if len(thetas) == 1 or threads.count > 1 else CACHED_NUMBERS
        together = mean.at_once // (len(thetas) * max(1, self.p // 4))
        most = max(LEAF, min(self.rows_of(numbers), together))
        means = self.total(functools.partial(_sums_at, mean, thetas), most, threads)
        values = 0 if mean.is_gradient else means.size
        mean.version(mean_kernels.divide, means.dtype)(mean.kernel, values, means.reshape(-1), self.n)
        return means

    def _useful(self, threads: ThreadPool) -> ThreadPool:
        """Return the threads if X is so large that they save time."""
        return threads if self.n * self.p > MIN_THREADED_POINTS else SERIAL


class LinearModelData(ArrayData, AnyLinearModelData):
    """Checked rows in memory: X as a C-contiguous float array, without a copy if possible, and a target for each row.

    A part is an index of rows, a slice or an array; stochastic descent shuffles such an array.
    """

    everything: Any = slice(None)
    targets: DoubleArray
    weights: DoubleArray | None

    def __init__(self, X: ArrayLike, targets: FloatArray, fit_intercept: bool,
                 weights: DoubleArray | None = None, threads: ThreadPool | None = None) -> None:
        self.intercept = check_flag(fit_intercept, "fit_intercept")
        self.X, names = check_design(X, threads=threads)
        check_same_length(self.X, targets)
        weights, (self.X, targets) = normalize_weights(weights, self.X, targets)
        self.set_up(None if names is None else tuple(names), targets, weights)
        self.columns = None if names is None else column_index(X)

    def set_up(self, names: tuple[str, ...] | None, targets: FloatArray, weights: DoubleArray | None) -> None:
        """Set the attributes that follow from X and `intercept`, which are set before."""
        self.names = names
        self.targets = np.ascontiguousarray(targets, np.float64)
        self.weights = weights
        (self.n, self.p), self.dtype = self.X.shape, self.X.dtype
        self.kernel = kernels.RowTargets(self.targets, self.intercept, weights)
        self._ones: FloatArray | None = None

    def parts(self, numbers: int = CACHED_NUMBERS) -> list[slice]:
        """Parts of about `numbers` numbers of X: subtrees of the tree of the rows."""
        return subtrees(self.n, self.rows_of(numbers))

    def predictions(self, theta: DoubleArray, part: slice) -> DoubleArray:
        """Predict the rows of a part; a prediction has the same bits in any part."""
        out = np.empty(part.stop - part.start)
        kernels.predictions[C_NAMES[self.dtype]](self.X, theta, self.intercept, part.start, part.stop, out)
        return out

    def map_slices(self, function: OfPart[R], threads: ThreadPool = SERIAL, size: int = NUMPY_POINTS) -> list[R]:
        return threads.map(functools.partial(function, self), self.parts(size))

    def total(self, sums: OfPart[DoubleArray], most: int, threads: ThreadPool = SERIAL) -> DoubleArray:
        if self.n <= most:    # the small call
            return sums(self, slice(0, self.n))
        return reduce_tree(self.n, most, threads.map(functools.partial(sums, self), subtrees(self.n, most)))

    def bound_gradient(self, gradient: CompiledMean) -> Callable[[DoubleArray], DoubleArray]:
        """Return a compiled gradient as a function of theta, with its kernel and room bound once; for few rows."""
        kernel = gradient.version(kernels.sums, self.dtype)
        divide = gradient.version(mean_kernels.divide, np.dtype(np.float64))
        q, n, loss = self.n_parameters, self.n, gradient.kernel
        scratch, empty = np.empty((kernels.levels(n), q)), np.empty

        def gradient_at(theta: DoubleArray) -> DoubleArray:
            mean = empty(q)
            kernel(loss, False, True, self.X, self.kernel, 0, n, theta, mean, scratch)
            divide(loss, 0, mean, n)
            return mean

        return gradient_at

    def call(self, function: Callable[..., Any], role: str) -> Callable[[DoubleArray, Any], Any]:
        """Bind X and y to a Python function, which becomes one of theta and of a part; check a gradient's shape.

        A parameter named X gets X, and one named y, dataset, y_vals or targets the targets; without such names X comes
        before y. A parameter `fit_intercept` gets the intercept; without it X gets a column of ones. Theta is a copy,
        which the function may change.
        """
        X, targets = self.X, self.targets
        parameters = _parameters_of(function)
        named: dict[str, Any] = {}
        if self.intercept and _takes_fit_intercept(parameters):
            named = {"fit_intercept": True}
        else:
            X = self.with_ones()
        arguments, function = _order_of_arguments(parameters), guarded(function, role, np.float64)

        def call_on_part(theta: DoubleArray, part: Any) -> Any:
            args, kwargs = arguments(X[part], targets[part])
            return function(theta.copy(), *args, **kwargs, **named)

        if role != "grad_loss_fn":
            return call_on_part
        return lambda theta, part: check_shape(call_on_part(theta, part), theta.shape, role, "slope")

    def shuffle_buffer(self, dataset: ArrayLike, in_place: bool, what: str = "X") -> NDArray[Any]:
        """Return the order of the rows as an array to shuffle; X and the targets stay in place."""
        if in_place:
            raise ValueError(f"in_place=True cannot be used with {what}: the rows are never moved, an index of them "
                             "is.")
        return np.arange(self.n)

    def with_ones(self) -> FloatArray:
        """Return X, with an intercept a copy that has a column of ones before it, made once."""
        if not self.intercept:
            return self.X
        if self._ones is None:
            self._ones = np.ones((self.n, self.n_parameters), self.X.dtype)
            for part in self.parts(PART_NUMBERS):
                self._ones[part, 1:] = self.X[part]
        return self._ones

    def sample(self, size: int) -> LinearModelData:
        if self.n <= 2 * size:
            return self
        drawn = np.sort(np.random.default_rng(0).integers(0, self.n, size))
        return linear_data_like(self, self.X[drawn], self.targets[drawn],
                              None if self.weights is None else self.weights[drawn])


def linear_data_like(like: AnyLinearModelData, X: FloatArray, targets: FloatArray,
                     weights: DoubleArray | None) -> LinearModelData:
    """Return checked rows as data of the same model as `like`; the weights are normalized already."""
    rows = object.__new__(LinearModelData)
    rows.intercept, rows.X = like.intercept, X
    rows.set_up(like.names, targets, weights)
    return rows


def _both_sums(loss: CompiledMean, theta: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """Sum a loss over a part; the sums of its gradient follow in the same array."""
    q = rows.n_parameters
    both, scratch = np.empty(1 + q), np.empty((kernels.levels(part.stop - part.start), q))
    both[0] = loss.version(kernels.sums, rows.dtype)(
        loss.kernel, True, True, rows.X, rows.kernel, part.start, part.stop, theta, both[1:], scratch)
    return both


def _sums_at(mean: CompiledMean, thetas: Sequence[Any] | FloatArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """Sum a loss, or its gradient, over a part at each theta."""
    kernel, q = mean.version(kernels.sums, rows.dtype), rows.n_parameters
    gradients = np.empty((len(thetas) if mean.is_gradient else 1, q))
    scratch = np.empty((kernels.levels(part.stop - part.start), q))
    is_loss = not mean.is_gradient
    losses = [kernel(mean.kernel, is_loss, not is_loss, rows.X, rows.kernel, part.start, part.stop, theta,
                     gradients[0 if is_loss else k], scratch) for k, theta in enumerate(thetas)]
    return gradients if mean.is_gradient else np.array(losses)


def sample_size(n_parameters: int) -> int:
    """Number of rows from which correlations of the columns and a warm start are computed."""
    return max(SAMPLE_ROWS, 10 * n_parameters)


def _parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _takes_fit_intercept(parameters: Mapping[str, inspect.Parameter]) -> bool:
    if "fit_intercept" in parameters:
        return True
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return takes_any and "X" in parameters and parameters["X"].kind is inspect.Parameter.KEYWORD_ONLY


def _order_of_arguments(
    parameters: Mapping[str, inspect.Parameter],
) -> Callable[[FloatArray, DoubleArray], tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return a function from X and the targets to the arguments that follow theta in a call."""
    names = [name for name, each in list(parameters.items())[1:] if each.kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)]
    of_targets = next((name for name in names if name in _NAMES_OF_TARGETS), None)
    if "X" in names and of_targets is not None:
        return lambda X, y: ((), {of_targets: y, "X": X})
    if "X" in names and parameters["X"].kind is inspect.Parameter.KEYWORD_ONLY:
        return lambda X, y: ((y,), {"X": X})
    places = list(parameters)
    if places[2:3] == ["X"] or (places[1:2] == [of_targets] and of_targets is not None):
        return lambda X, y: ((y, X), {})
    return lambda X, y: ((X, y), {})


class AnyConstantModelData:
    """Data of the constant model, in memory or chunked."""

    is_rows: Literal[False] = False
    intercept = False
    n_parameters = 1
    names: tuple[str, ...] | None = None
    columns: Any = None
    parameter_names: tuple[str, ...] = ("theta",)

    def theta(self, value: Any, name: str) -> float:
        """Check `value` and return it as a float."""
        if type(value) is float and -np.inf < value < np.inf:
            return value
        return check_number(value, name, low=-np.inf, inclusive=False)


class ConstantModelData(ArrayData, AnyConstantModelData):
    """Points in a contiguous array; `dataset` is the caller's own object, which Python functions get.

    If not `is_checked`, each pass raises ValueError for a point that is not finite.
    """

    def __init__(self, dataset: Any, targets: FloatArray, weights: DoubleArray | None = None, *,
                 is_checked: bool = True) -> None:
        self._check = not is_checked
        self.weights = None
        if weights is not None:
            weights, (targets,) = normalize_weights(weights, targets)
            self.weights = None if weights is None else weights.astype(targets.dtype, copy=False)
        self.targets, self.dtype = targets, targets.dtype
        self.n = targets.size
        self.everything: Any = targets if type(dataset) is list else as_given(dataset, targets)

    def map_slices(self, function: OfPart[R], threads: ThreadPool = SERIAL, size: int = NUMPY_POINTS) -> list[R]:
        """List `function(points, slice)` over slices of about `size` points."""
        return threads.map(functools.partial(function, self), slices_of_rows(self.targets, size))

    def sum_integers(self, function: OfPart[Integers], threads: ThreadPool = SERIAL) -> Integers:
        """Add the integers `function(points, slice)` over all slices."""
        return functools.reduce(np.add, self.map_slices(function, threads, SLICE_OF_EACH))

    def total(self, sums: OfPart[FloatArray], most: int, threads: ThreadPool = SERIAL) -> FloatArray:
        """Add `sums(points, subtree)` over subtrees of at most `most` points, in the order of the tree."""
        return reduce_tree(self.n, most, threads.map(functools.partial(sums, self), subtrees(self.n, most)))

    def mean(self, mean: CompiledMean, theta: Any, threads: ThreadPool = SERIAL) -> float:
        """Compute a compiled loss or gradient at one theta."""
        return mean_over(mean, theta, self.targets, threads, self.weights, self._check)

    def value_and_gradient(self, loss: CompiledMean, theta: float, threads: ThreadPool = SERIAL) -> tuple[float, float]:
        """Compute the mean of a compiled loss and its slope at one theta, in one pass."""
        targets = self.targets
        if targets.size > loss.at_once or (targets.size > MIN_THREADED_POINTS and threads.count > 1):
            value, slope = means_over(loss, cast_thetas([theta, theta], targets.dtype), targets, threads, self.weights,
                                      check=False, values=1)
            return value.item(), slope.item()
        return loss.version(mean_kernels.both_at, targets.dtype)(loss.kernel, targets, self.weights, theta)

    def value_and_gradients(self, loss: CompiledMean, thetas: Sequence[float],
                         threads: ThreadPool = SERIAL) -> list[float]:
        """Compute the mean of a compiled loss at the first theta, and its slope at each, in one pass."""
        points = cast_thetas([thetas[0], *thetas], self.targets.dtype)
        means = means_over(loss, points, self.targets, threads, self.weights, check=False, values=1)
        found: list[float] = means.tolist()
        return found

    def means(self, mean: CompiledMean, thetas: Sequence[Any] | FloatArray,
              threads: ThreadPool = SERIAL) -> DoubleArray:
        """Compute a compiled loss or gradient at each theta, in float64."""
        points = cast_thetas(thetas, self.targets.dtype)
        if points.size <= THETAS_AT_ONCE:
            return self._means(mean, points, threads).astype(np.float64, copy=False)
        groups = [points[start:start + THETAS_AT_ONCE] for start in range(0, points.size, THETAS_AT_ONCE)]
        if threads.count > 1 and self.n * THETAS_AT_ONCE <= MIN_THREADED_POINTS < self.n * points.size:
            # With few points the threads share the groups of thetas, not the points.
            parts = threads.map(lambda group: self._means(mean, group, SERIAL), groups)
        else:
            parts = [self._means(mean, group, threads) for group in groups]
        return np.concatenate(parts).astype(np.float64, copy=False)

    def _means(self, mean: CompiledMean, thetas: FloatArray, threads: ThreadPool) -> FloatArray:
        return means_over(mean, thetas, self.targets, threads, self.weights, check=self._check)

    def call(self, function: Callable[..., Any], role: str) -> Callable[[float, Any], Any]:
        """Guard a Python function of theta and of the points."""
        return guarded(function, role, self.dtype)

    def shuffle_buffer(self, dataset: ArrayLike, in_place: bool) -> NDArray[Any]:
        """Return the points in an array to shuffle: the caller's own if `in_place`, else a copy."""
        targets = self.targets
        if in_place:
            if targets is not dataset and not (
                    isinstance(dataset, np.ndarray) and np.shares_memory(targets, dataset)):
                got = (f"an array of dtype {dataset.dtype}" + ("" if dataset.flags.c_contiguous else ", not contiguous")
                       if isinstance(dataset, np.ndarray) else f"an object of type {type(dataset).__name__}")
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 f"Got {got}; convert it, or leave in_place=False.")
            if not targets.flags.writeable:
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 "Got a read-only array; pass a copy, or leave in_place=False.")
            return targets
        return copied(targets, targets.dtype)    # the report and the result need the points in their order

    def sample(self, size: int) -> ConstantModelData:
        """Return self: a sample would save little, because a pass over the points is cheap."""
        return self

    def draw(self, size: int) -> ConstantModelData:
        """Draw `size` points with replacement, from a fixed seed; return self if n is at most 2 `size`."""
        if self.n <= 2 * size:
            return self
        places = np.random.default_rng(0).integers(0, self.n, size)
        weights = None if self.weights is None else as_double(self.weights[places])
        return ConstantModelData(None, self.targets[places], weights)

    def as_rows(self) -> LinearModelData:
        """Return rows X = 1 with these targets, for weights and penalties in stochastic descent, which need rows."""
        rows = object.__new__(LinearModelData)
        rows.intercept, rows.X = False, np.ones((self.n, 1))
        rows.set_up(None, self.targets, None if self.weights is None else as_double(self.weights))
        return rows


def cast_thetas(thetas: Any, dtype: np.dtype[Any]) -> FloatArray:
    """Cast thetas to the type of the data, in which one may overflow to infinity."""
    if dtype == np.float64:
        return np.asarray(thetas, dtype)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(thetas, dtype)


def mean_over(mean: CompiledMean, theta: float, targets: FloatArray, threads: ThreadPool = SERIAL,
              weights: FloatArray | None = None, check: bool = True) -> float:
    """Compute a mean at one theta, which the kernel gets in double precision."""
    n = targets.size
    if n > mean.at_once or (n > MIN_THREADED_POINTS and threads.count > 1):
        return means_over(mean, cast_thetas([theta], targets.dtype), targets, threads, weights, check=check).item()
    kernel = mean.version(mean_kernels.mean_at, targets.dtype)
    found = kernel(mean.kernel, mean.is_gradient, targets, weights, theta, check)
    if found is None:
        raise_not_finite(targets, "dataset")
    return found


def means_over(mean: CompiledMean, thetas: FloatArray, targets: FloatArray, threads: ThreadPool = SERIAL,
               weights: FloatArray | None = None, *, check: bool, values: int | None = None) -> FloatArray:
    """Compute means over `targets` at a few `thetas` of their dtype; ValueError if `check` and a target is not finite.

    Weights have the mean 1. The loss is computed at the first `values` thetas and its slope at the others; without
    `values` the loss or the slope, whichever `mean` is, is computed at all thetas.
    """
    n = targets.size
    if values is None:
        values = 0 if mean.is_gradient else thetas.size
    most = max(CACHED_POINTS, mean.at_once // thetas.size)
    if threads.count > 1 and n * thetas.size > MIN_THREADED_POINTS:
        most = min(most, max(CACHED_POINTS, POINTS_OF_A_PART // thetas.size, n // (PARTS_OF_A_THREAD * threads.count)))
    if n <= most:
        means, finite = _sums(mean, values, thetas, targets, weights, check)
    else:
        def sums(part: slice) -> tuple[FloatArray, bool]:
            return _sums(mean, values, thetas, targets[part], None if weights is None else weights[part], check)

        parts = threads.map(sums, subtrees(n, most))
        finite = all(is_finite for _, is_finite in parts)
        means = reduce_tree(n, most, [each for each, _ in parts])
    if not finite:
        raise_not_finite(targets, "dataset")
    mean.version(mean_kernels.divide, targets.dtype)(mean.kernel, values, means, n)
    return means


def sums_at(mean: CompiledMean, values: int, thetas: FloatArray, points: ConstantModelData, part: slice) -> FloatArray:
    """Sum a loss at the first `values` thetas and its slope at the others, over a part of checked points."""
    targets, weights = points.targets[part], None if points.weights is None else points.weights[part]
    sums = np.empty(thetas.size, thetas.dtype)
    for start in range(0, thetas.size, THETAS_AT_ONCE):
        group = thetas[start:start + THETAS_AT_ONCE]
        sums[start:start + group.size] = _sums(mean, min(max(values - start, 0), group.size), group, targets, weights,
                                               check=False)[0]
    return sums


def sum_targets(points: ConstantModelData, part: slice) -> DoubleArray:
    """Sum a part of the targets, in float64."""
    return column_sums(as_double(points.targets[part])[:, None])


def _sums(mean: CompiledMean, values: int, thetas: FloatArray, targets: FloatArray, weights: FloatArray | None,
          check: bool) -> tuple[FloatArray, bool]:
    """Sum in numpy's order; the second item is False if `check` and a target is not finite."""
    m, dtype = thetas.size, targets.dtype
    out, scratch = np.empty(m, dtype), np.empty(m * mean_kernels.levels(targets.size), dtype)
    kernel = mean.version(mean_kernels.sums, dtype)
    is_finite = kernel(mean.kernel, values, targets, weights, thetas, check, out, scratch)
    return out, is_finite


class ScaledLinearModelData(AnyLinearModelData):
    """Rows whose columns are divided by `units`, powers of two, part by part, so that squares do not overflow.

    Division by a power of two is exact, so no digit is lost.
    """

    def __init__(self, rows: AnyLinearModelData, units: DoubleArray) -> None:
        self._rows, self._units = rows, units
        self.n, self.p, self.intercept, self.names = rows.n, rows.p, rows.intercept, rows.names
        self.dtype = np.dtype(np.float64)

    def total(self, sums: OfPart[DoubleArray], most: int, threads: ThreadPool = SERIAL) -> DoubleArray:
        return self._rows.total(functools.partial(_apply_scaled, self._units, sums), most, threads)

    def map_slices(self, function: OfPart[R], threads: ThreadPool = SERIAL, size: int = NUMPY_POINTS) -> list[R]:
        return self._rows.map_slices(functools.partial(_apply_scaled, self._units, function), threads, size)

    def sample(self, size: int) -> LinearModelData:
        some = self._rows.sample(size)
        return linear_data_like(some, some.X / self._units, some.targets, some.weights)


def _apply_scaled(units: DoubleArray, function: OfPart[R], rows: LinearModelData, part: slice) -> R:
    """Apply a function of data and of a part to scaled rows."""
    some = linear_data_like(rows, rows.X[part] / units, rows.targets[part],
                          None if rows.weights is None else rows.weights[part])
    return function(some, slice(0, some.n))


def column_units(rows: AnyLinearModelData, shift: DoubleArray, is_lost: Any) -> DoubleArray:
    """Return a power of two near the largest abs(x - shift) of each column where `is_lost`, else 1."""
    largest = np.max(rows.map_slices(functools.partial(_largest_of_part, shift)), axis=0)
    exponents = np.frexp(largest)[1] - 1
    return np.where(is_lost & (largest > 0) & np.isfinite(largest), np.ldexp(1.0, exponents), 1.0)


def _largest_of_part(shift: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        found: Any = np.abs(rows.X[part] - shift).max(axis=0)
    return np.asarray(found, dtype=np.float64)


def as_data(dataset: ArrayLike, X: ArrayLike | None, fit_intercept: bool, name: str = "dataset",
            sample_weight: ArrayLike | None = None, threads: ThreadPool | None = None) -> ModelData:
    """Check the arguments of a fit and return the data of the linear model, of the constant model if X is None."""
    if is_lazy(dataset, X, sample_weight):
        from fastgd._data import as_chunks
        from fastgd._data.chunked import scan_chunks

        is_intercept = check_flag(fit_intercept, "fit_intercept")
        data = scan_chunks(as_chunks(dataset, X, sample_weight), is_intercept)
        if not data.is_rows:
            check_no_intercept(fit_intercept)
        return data
    targets = check_dataset(dataset, name, threads)
    weights = None if sample_weight is None else check_weights(sample_weight, targets.size)
    if X is not None:
        return LinearModelData(X, targets, fit_intercept, weights, threads)
    if fit_intercept is not False:
        check_no_intercept(fit_intercept)
    return ConstantModelData(dataset, targets, weights)


def check_no_intercept(fit_intercept: bool) -> None:
    """Raise ValueError for an intercept without X."""
    if check_flag(fit_intercept, "fit_intercept"):
        raise ValueError("fit_intercept=True needs X: without it theta is the intercept itself. "
                         f"Got fit_intercept={fit_intercept!r} and X=None.")
