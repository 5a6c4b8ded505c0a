"""Rows in memory: X, the target of each row, and whether an intercept leads theta."""
from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastgd._checks import (
    C_NAMES,
    as_double,
    as_given,
    check_design,
    check_flag,
    check_number,
    check_same_length,
    check_shape,
    copied,
    guarded,
    raise_not_finite,
    real_numbers,
    slices_of_rows,
)
from fastgd._frames import column_index, described
from fastgd._kernels import linear as kernels
from fastgd._kernels import mean as mean_kernels
from fastgd._kernels.mean import divide
from fastgd._limits import (
    CACHED_NUMBERS,
    CACHED_POINTS,
    LEAF,
    MANY_POINTS,
    NUMBERS_OF_A_PART,
    PARTS_OF_A_THREAD,
    POINTS_AT_ONCE,
    POINTS_OF_A_PART,
    SAMPLE,
    SLICE_OF_EACH,
    THETAS_AT_ONCE,
)
from fastgd._pairwise import added, branches, column_sums
from fastgd._thread_pool import ALONE, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import DoubleArray, FloatArray, Integers, OwnMean, R
    from fastgd.losses.base import Loss


def with_weight(weights: DoubleArray | None, *arrays: NDArray[Any]) -> tuple[DoubleArray | None, tuple[Any, ...]]:
    """Checked `weights` divided by their mean, and the arrays, all without what has no weight; None for equal ones.

    A term of a mean is multiplied by such a weight, and the sum divided by how many there are.
    """
    if weights is None:
        return None, arrays
    kept = weights > 0
    if not kept.all():
        weights, arrays = weights[kept], tuple(array[kept] for array in arrays)
    most = weights.max()
    if weights.min() == most:
        return None, arrays
    relative = weights / most    # of which no sum overflows
    return np.divide(relative, column_sums(relative[:, None])[0] / relative.size), arrays


class InMemory:
    """What is asked of the numbers of a source that is in memory.

    Attributes
    ----------
    start : int
        Where it begins in what it is a piece of.
    """

    is_parted: Literal[False] = False
    reads: tuple[int, int] | None = None
    start = 0
    targets: FloatArray
    weights: FloatArray | None

    @property
    def is_weighted(self) -> bool:
        """Whether not all weights are equal."""
        return self.weights is not None

    @property
    def largest_weight(self) -> float:
        """Of all, whose mean weight is 1."""
        return 1.0 if self.weights is None else float(self.weights.max())

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the largest target."""
        return float(self.targets.min()), float(self.targets.max())

    @property
    def has_signs(self) -> bool:
        """Whether all targets are -1 or 1, and some -1."""
        targets = self.targets
        return abs(targets.item(0)) == 1 and bool(targets.min() == -1) and bool((np.abs(targets) == 1).all())


#: What a Python function may call its targets, in place of standing last.
_NAMES_OF_TARGETS = ("y", "dataset", "y_vals", "targets")


class AnyRows:
    """What rows are, wherever they are.

    Attributes
    ----------
    n, p : int
        Rows, and columns of X.
    dtype : dtype
        Of X.
    intercept : bool
        Whether theta[0] is added to each prediction; theta then has p + 1 components.
    names : tuple of str or None
        The columns of a DataFrame, as text.
    columns : pandas.Index or None
        The same as it has them, where it is in memory.
    """

    is_rows: Literal[True] = True
    n: int
    p: int
    dtype: np.dtype[Any]
    intercept: bool
    names: tuple[str, ...] | None
    columns: Any = None

    @property
    def n_parameters(self) -> int:
        """How many numbers theta has."""
        return self.p + self.intercept

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """A name for each component of theta."""
        names = self.names or tuple(f"x{k}" for k in range(self.p))
        return ("intercept", *names) if self.intercept else names

    def theta(self, value: ArrayLike, name: str) -> DoubleArray:
        """`value`, a number or one for each parameter, as a new float64 array."""
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

    def total(self, sums: Callable[[Rows, slice], DoubleArray], most: int, threads: Threads = ALONE) -> DoubleArray:
        """The sum over all rows of what `sums` of rows in memory and of a branch of at most `most` of them answers."""
        raise NotImplementedError

    def each(self, function: Callable[[Rows, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        """`function` of rows in memory and of one slice of about so many numbers of them after another."""
        raise NotImplementedError

    def sample(self, size: int) -> Rows:
        """Rows in memory, about so many, drawn at random from a fixed seed; all if there are hardly more."""
        raise NotImplementedError

    def rows_of(self, numbers: int) -> int:
        """Rows that have about so many numbers of X, and no fewer than a leaf of the tree."""
        return max(LEAF, numbers // self.p)

    def mean(self, mean: OwnMean, theta: Any, threads: Threads = ALONE) -> Any:
        """A compiled loss at one theta, a float, or a compiled gradient, an array."""
        found = self.means(mean, [theta], threads)[0]
        return found if mean.is_slope else found.item()

    def value_and_slope(self, loss: Loss, theta: Any, threads: Threads = ALONE) -> tuple[float, DoubleArray]:
        """A compiled loss and its gradient at one theta, in one pass over X."""
        most = max(LEAF, min(self.rows_of(NUMBERS_OF_A_PART), loss.at_once))
        both = self.total(functools.partial(_both_sums, loss, theta), most, self._who(threads))
        loss.version(divide, both.dtype)(loss.kernel, 1, both, self.n)
        return both[0].item(), both[1:]

    def means(self, mean: OwnMean, thetas: Sequence[Any] | FloatArray,
              threads: Threads = ALONE) -> DoubleArray:
        """A compiled loss at each theta, an array of shape (m,), or a compiled gradient, of shape (m, n_parameters)."""
        threads = self._who(threads)
        # X is read from memory once if the thetas pass over a part of it together. Threads wait for each other between
        # two calls of the kernel, of which each should take long.
        numbers = NUMBERS_OF_A_PART if len(thetas) == 1 or threads.count > 1 else CACHED_NUMBERS
        together = mean.at_once // (len(thetas) * max(1, self.p // 4))
        most = max(LEAF, min(self.rows_of(numbers), together))
        means = self.total(functools.partial(_sums_at, mean, thetas), most, threads)
        mean.version(divide, means.dtype)(mean.kernel, 0 if mean.is_slope else means.size, means.reshape(-1), self.n)
        return means

    def _who(self, threads: Threads) -> Threads:
        """The threads, if the rows are so many that they gain."""
        return threads if self.n * self.p > MANY_POINTS else ALONE


class Rows(InMemory, AnyRows):
    """X as a C-contiguous float array with a target for each row, checked once.

    A part is an index of rows: a slice, or an array of them. What stochastic descent shuffles is such an array.

    Attributes
    ----------
    X : ndarray of shape (n, p), float32 or float64
        The caller's own array if it is one in C order.
    targets : ndarray of shape (n,), float64
    weights : ndarray of shape (n,), float64, or None
    kernel : fastgd._kernels.linear.Rows
        What a kernel gets beside X.
    """

    everything: Any = slice(None)
    targets: DoubleArray
    weights: DoubleArray | None

    def __init__(self, X: ArrayLike, targets: FloatArray, fit_intercept: bool,
                 weights: DoubleArray | None = None, threads: Threads | None = None) -> None:
        self.intercept = check_flag(fit_intercept, "fit_intercept")
        self.X, names = check_design(X, threads=threads)
        check_same_length(self.X, targets)
        weights, (self.X, targets) = with_weight(weights, self.X, targets)
        self.set_up(None if names is None else tuple(names), targets, weights)
        self.columns = None if names is None else column_index(X)

    def set_up(self, names: tuple[str, ...] | None, targets: FloatArray, weights: DoubleArray | None) -> None:
        """Take what belongs to X and the intercept, which are there."""
        self.names = names
        self.targets = targets.astype(np.float64, copy=False)
        self.weights = weights
        (self.n, self.p), self.dtype = self.X.shape, self.X.dtype
        self.kernel = kernels.Rows(self.targets, self.intercept, weights)
        self._ones: FloatArray | None = None

    def parts(self, numbers: int = CACHED_NUMBERS) -> list[slice]:
        """Parts of about so many numbers of X: branches of the tree of the rows."""
        return branches(self.n, self.rows_of(numbers))

    def predictions(self, theta: DoubleArray, part: slice) -> DoubleArray:
        """For the rows of a part, each with the same bits wherever it is."""
        out = np.empty(part.stop - part.start)
        kernels.predictions[C_NAMES[self.dtype]](self.X, theta, self.intercept, part.start, part.stop, out)
        return out

    def each(self, function: Callable[[Rows, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        return threads.map(functools.partial(function, self), self.parts(size))

    def total(self, sums: Callable[[Rows, slice], DoubleArray], most: int, threads: Threads = ALONE) -> DoubleArray:
        if self.n <= most:    # the small call
            return sums(self, slice(0, self.n))
        return added(self.n, most, threads.map(functools.partial(sums, self), branches(self.n, most)))

    def call(self, function: Callable[..., Any], role: str) -> Callable[[DoubleArray, Any], Any]:
        """A Python function of theta, X and y as one of theta and of a part; a gradient's array is checked.

        A parameter named X gets X, wherever it stands, and one named y, dataset or y_vals the targets; without such
        names X comes before y. One that has a parameter `fit_intercept` is told of the intercept, all others get a
        column of ones in X. Theta is a copy, which the function may change.
        """
        X, targets = self.X, self.targets
        parameters = _parameters_of(function)
        named: dict[str, Any] = {}
        if self.intercept and _knows_intercepts(parameters):
            named = {"fit_intercept": True}
        else:
            X = self.with_ones()
        arguments, function = _order_of_arguments(parameters), guarded(function, role, np.float64)

        def called(theta: DoubleArray, part: Any) -> Any:
            args, kwargs = arguments(X[part], targets[part])
            return function(theta.copy(), *args, **kwargs, **named)

        if role != "grad_loss_fn":
            return called
        return lambda theta, part: check_shape(called(theta, part), theta.shape, role, "slope")

    def to_shuffle(self, dataset: ArrayLike, in_place: bool, what: str = "X") -> NDArray[Any]:
        """The order of the rows; X and its targets are never moved."""
        if in_place:
            raise ValueError(f"in_place=True cannot be used with {what}: the rows are never moved, an index of them "
                             "is.")
        return np.arange(self.n)

    def with_ones(self) -> FloatArray:
        """X, or for an intercept a copy of it, made once, with a column of ones before it."""
        if not self.intercept:
            return self.X
        if self._ones is None:
            self._ones = np.ones((self.n, self.n_parameters), self.X.dtype)
            for part in self.parts(NUMBERS_OF_A_PART):
                self._ones[part, 1:] = self.X[part]
        return self._ones

    def sample(self, size: int) -> Rows:
        if self.n <= 2 * size:
            return self
        drawn = np.sort(np.random.default_rng(0).integers(0, self.n, size))
        return rows_in_memory(self, self.X[drawn], self.targets[drawn],
                              None if self.weights is None else self.weights[drawn])


def rows_in_memory(like: AnyRows, X: FloatArray, targets: FloatArray, weights: DoubleArray | None) -> Rows:
    """Checked rows of the same model as others; their weights have the mean 1, or are some of such weights."""
    rows = object.__new__(Rows)
    rows.intercept, rows.X = like.intercept, X
    rows.set_up(like.names, targets, weights)
    return rows


def _both_sums(loss: Loss, theta: DoubleArray, rows: Rows, part: slice) -> DoubleArray:
    """The sum of a loss over a part, and that of its gradient after it."""
    q = rows.n_parameters
    both, scratch = np.empty(1 + q), np.empty((kernels.levels(part.stop - part.start), q))
    both[0] = loss.version(kernels.sums, rows.dtype)(
        loss.kernel, True, True, rows.X, rows.kernel, part.start, part.stop, theta, both[1:], scratch)
    return both


def _sums_at(mean: OwnMean, thetas: Sequence[Any] | FloatArray, rows: Rows, part: slice) -> DoubleArray:
    """The sums over a part of a loss at each theta, or those of its gradient."""
    kernel, q = mean.version(kernels.sums, rows.dtype), rows.n_parameters
    gradients = np.empty((len(thetas) if mean.is_slope else 1, q))
    scratch = np.empty((kernels.levels(part.stop - part.start), q))
    losses = [kernel(mean.kernel, not mean.is_slope, mean.is_slope, rows.X, rows.kernel, part.start, part.stop, theta,
                     gradients[k if mean.is_slope else 0], scratch) for k, theta in enumerate(thetas)]
    return gradients if mean.is_slope else np.array(losses)


def enough_rows(n_parameters: int) -> int:
    """Rows that tell the correlations of the columns, and where the loss is about least."""
    return max(SAMPLE, 10 * n_parameters)


def _parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _knows_intercepts(parameters: Mapping[str, inspect.Parameter]) -> bool:
    if "fit_intercept" in parameters:
        return True
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return takes_any and "X" in parameters and parameters["X"].kind is inspect.Parameter.KEYWORD_ONLY


def _order_of_arguments(
    parameters: Mapping[str, inspect.Parameter],
) -> Callable[[FloatArray, DoubleArray], tuple[tuple[Any, ...], dict[str, Any]]]:
    """A function from X and the targets to what follows theta in a call."""
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


class AnyPoints:
    """What points are, wherever they are."""

    is_rows: Literal[False] = False
    intercept = False
    n_parameters = 1
    names: tuple[str, ...] | None = None
    columns: Any = None
    parameter_names: tuple[str, ...] = ("theta",)

    def theta(self, value: Any, name: str) -> float:
        """`value` as a float."""
        return check_number(value, name, low=-np.inf, inclusive=False)


class Points(InMemory, AnyPoints):
    """Points as a contiguous array; `dataset` is what the caller gave.

    Unless it is said that they are checked, each pass looks whether they are finite, and raises ValueError if not.
    """

    def __init__(self, dataset: Any, targets: FloatArray, weights: DoubleArray | None = None, *,
                 is_checked: bool = True) -> None:
        self._check = not is_checked
        self.weights = None
        if weights is not None:
            weights, (targets,) = with_weight(weights, targets)
            self.weights = None if weights is None else weights.astype(targets.dtype, copy=False)
        self.targets, self.dtype = targets, targets.dtype
        self.n = targets.size
        self.everything: Any = as_given(dataset, targets)

    def each(self, function: Callable[[Points, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        """`function` of the points and of one slice of about so many of them after another."""
        return threads.map(functools.partial(function, self), slices_of_rows(self.targets, size))

    def added(self, function: Callable[[Points, slice], Integers], threads: Threads = ALONE) -> Integers:
        """The sum of the integers that `function` of the points and of one slice after another answers."""
        return functools.reduce(np.add, self.each(function, threads, SLICE_OF_EACH))

    def total(self, sums: Callable[[Points, slice], FloatArray], most: int, threads: Threads = ALONE) -> FloatArray:
        """The sum over all points of what `sums` of the points and of a branch of at most `most` answers."""
        return added(self.n, most, threads.map(functools.partial(sums, self), branches(self.n, most)))

    def mean(self, mean: OwnMean, theta: Any, threads: Threads = ALONE) -> float:
        """A compiled loss or gradient at one theta."""
        return mean_over(mean, theta, self.targets, threads, self.weights, self._check)

    def value_and_slope(self, loss: Loss, theta: float, threads: Threads = ALONE) -> tuple[float, float]:
        """The mean of a compiled loss and its slope, at one theta, in one pass."""
        targets = self.targets
        if targets.size > loss.at_once or (targets.size > MANY_POINTS and threads.count > 1):
            value, slope = means_over(loss, typed([theta, theta], targets.dtype), targets, threads, self.weights,
                                      check=False, values=1)
            return value.item(), slope.item()
        return loss.version(mean_kernels.both_at, targets.dtype)(loss.kernel, targets, self.weights, theta)

    def value_and_slopes(self, loss: Loss, thetas: Sequence[float], threads: Threads = ALONE) -> list[float]:
        """The mean of a compiled loss at the first theta, and its slope at each, in one pass."""
        points = typed([thetas[0], *thetas], self.targets.dtype)
        means = means_over(loss, points, self.targets, threads, self.weights, check=False, values=1)
        found: list[float] = means.tolist()
        return found

    def means(self, mean: OwnMean, thetas: Sequence[Any] | FloatArray, threads: Threads = ALONE) -> DoubleArray:
        """A compiled loss or gradient at each theta, in double."""
        points = typed(thetas, self.targets.dtype)
        if points.size <= THETAS_AT_ONCE:
            return self._means(mean, points, threads).astype(np.float64, copy=False)
        groups = [points[start:start + THETAS_AT_ONCE] for start in range(0, points.size, THETAS_AT_ONCE)]
        if threads.count > 1 and self.n * THETAS_AT_ONCE <= MANY_POINTS < self.n * points.size:
            # Few points: the groups are shared, and not the points of each.
            parts = threads.map(lambda group: self._means(mean, group, ALONE), groups)
        else:
            parts = [self._means(mean, group, threads) for group in groups]
        return np.concatenate(parts).astype(np.float64, copy=False)

    def _means(self, mean: OwnMean, thetas: FloatArray, threads: Threads) -> FloatArray:
        return means_over(mean, thetas, self.targets, threads, self.weights, check=self._check)

    def call(self, function: Callable[..., Any], role: str) -> Callable[[float, Any], Any]:
        """The function, called as the textbook calls it."""
        return guarded(function, role, self.dtype)

    def to_shuffle(self, dataset: ArrayLike, in_place: bool) -> NDArray[Any]:
        """The points in an array that may be shuffled: the caller's own if `in_place`, else a copy."""
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
        return copied(targets, targets.dtype)    # the verdict and the result read them in their order

    def sample(self, size: int) -> Points:
        """Itself: a pass over the points costs little."""
        return self

    def drawn(self, size: int) -> Points:
        """So many of the points, drawn at random from a fixed seed; itself if it has hardly more."""
        if self.n <= 2 * size:
            return self
        places = np.random.default_rng(0).integers(0, self.n, size)
        weights = None if self.weights is None else as_double(self.weights[places])
        return Points(None, self.targets[places], weights)

    def as_rows(self) -> Rows:
        """The same as rows of the one number 1, for what only rows can be visited with: weights, a penalty."""
        rows = object.__new__(Rows)
        rows.intercept, rows.X = False, np.ones((self.n, 1))
        rows.set_up(None, self.targets, None if self.weights is None else as_double(self.weights))
        return rows


def typed(thetas: Any, dtype: np.dtype[Any]) -> FloatArray:
    """Thetas in the type of the data, in which one may be infinite."""
    if dtype == np.float64:
        return np.asarray(thetas, dtype)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(thetas, dtype)


def mean_over(mean: OwnMean, theta: float, targets: FloatArray, threads: Threads = ALONE,
              weights: FloatArray | None = None, check: bool = True) -> float:
    """`means_over` at one theta, which may be a number that the dtype of `targets` has not."""
    n = targets.size
    if n > mean.at_once or (n > MANY_POINTS and threads.count > 1):
        return means_over(mean, typed([theta], targets.dtype), targets, threads, weights, check=check).item()
    kernel = mean.version(mean_kernels.mean_at, targets.dtype)
    found = kernel(mean.kernel, mean.is_slope, targets, weights, theta, check)
    if found is None:
        raise_not_finite(targets, "dataset")
    return found


def means_over(mean: OwnMean, thetas: FloatArray, targets: FloatArray, threads: Threads = ALONE,
               weights: FloatArray | None = None, *, check: bool, values: int | None = None) -> FloatArray:
    """Means over `targets` at a few `thetas` of their dtype; ValueError if `targets` is not finite and `check`.

    The weights, if there are any, have the mean 1. The loss is asked for at the first `values` thetas and its slope at
    the others; None for what `mean` is, at all of them.
    """
    n = targets.size
    if values is None:
        values = 0 if mean.is_slope else thetas.size
    most = max(CACHED_POINTS, mean.at_once // thetas.size)
    if threads.count > 1 and n * thetas.size > MANY_POINTS:
        parts_of_many = PARTS_OF_A_THREAD * threads.count
        most = min(most, max(CACHED_POINTS, POINTS_OF_A_PART // thetas.size, n // parts_of_many))
    if n <= most:
        means, finite = _sums(mean, values, thetas, targets, weights, check)
    else:
        def sums(part: slice) -> tuple[FloatArray, bool]:
            return _sums(mean, values, thetas, targets[part], None if weights is None else weights[part], check)

        parts = threads.map(sums, branches(n, most))
        finite = all(is_finite for _, is_finite in parts)
        means = added(n, most, [each for each, _ in parts])
    if not finite:
        raise_not_finite(targets, "dataset")
    mean.version(mean_kernels.divide, targets.dtype)(mean.kernel, values, means, n)
    return means


def sums_at(mean: OwnMean, values: int, thetas: FloatArray, points: Points, part: slice) -> FloatArray:
    """The sums of a loss at the first `values` thetas and of its slope at the others, over a part of checked points."""
    targets, weights = points.targets[part], None if points.weights is None else points.weights[part]
    sums = np.empty(thetas.size, thetas.dtype)
    for start in range(0, thetas.size, THETAS_AT_ONCE):
        group = thetas[start:start + THETAS_AT_ONCE]
        sums[start:start + group.size] = _sums(mean, min(max(values - start, 0), group.size), group, targets, weights,
                                               check=False)[0]
    return sums


def sum_of_points(points: Points, part: slice) -> DoubleArray:
    """The sum of a part of the points themselves, in double."""
    return column_sums(as_double(points.targets[part])[:, None])


def _sums(mean: OwnMean, values: int, thetas: FloatArray, targets: FloatArray, weights: FloatArray | None,
          check: bool) -> tuple[FloatArray, bool]:
    """Sums in numpy's order, and whether the targets are finite, if that is checked."""
    m, dtype = thetas.size, targets.dtype
    out, scratch = np.empty(m, dtype), np.empty(m * mean_kernels.levels(targets.size), dtype)
    kernel = mean.version(mean_kernels.sums, dtype)
    is_finite = kernel(mean.kernel, values, targets, weights, thetas, check, out, scratch)
    return out, is_finite


class ScaledRows(AnyRows):
    """Rows with X divided by the `units` of its columns, part by part and without a copy of the whole.

    Division by a power of two is exact: what is computed of such rows has the digits of the original ones.
    """

    def __init__(self, rows: AnyRows, units: DoubleArray) -> None:
        self._rows, self._units = rows, units
        self.n, self.p, self.intercept, self.names = rows.n, rows.p, rows.intercept, rows.names
        self.dtype = np.dtype(np.float64)

    def total(self, sums: Callable[[Rows, slice], DoubleArray], most: int, threads: Threads = ALONE) -> DoubleArray:
        return self._rows.total(functools.partial(_scaled, self._units, sums), most, threads)

    def each(self, function: Callable[[Rows, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        return self._rows.each(functools.partial(_scaled, self._units, function), threads, size)

    def sample(self, size: int) -> Rows:
        some = self._rows.sample(size)
        return rows_in_memory(some, some.X / self._units, some.targets, some.weights)


def _scaled(units: DoubleArray, function: Callable[[Rows, slice], R], rows: Rows, part: slice) -> R:
    """Apply a function of rows and of a part of them to scaled ones."""
    some = rows_in_memory(rows, rows.X[part] / units, rows.targets[part],
                          None if rows.weights is None else rows.weights[part])
    return function(some, slice(0, some.n))


def units_of(rows: AnyRows, shift: DoubleArray, is_lost: Any) -> DoubleArray:
    """Return a power of two near the largest abs(x - shift) of each column `is_lost`; 1 for the others."""
    largest = np.max(rows.each(functools.partial(_largest_in, shift)), axis=0)
    exponents = np.frexp(largest)[1] - 1
    return np.where(is_lost & (largest > 0) & np.isfinite(largest), np.ldexp(1.0, exponents), 1.0)


def _largest_in(shift: DoubleArray, rows: Rows, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        found: Any = np.abs(rows.X[part] - shift).max(axis=0)
    return np.asarray(found, dtype=np.float64)
