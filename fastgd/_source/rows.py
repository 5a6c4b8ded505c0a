"""Rows in memory: X, the target of each row, and whether an intercept leads theta."""
from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastgd._frames import column_index, described
from fastgd._kernels import linear as kernels
from fastgd._kernels.mean import divide
from fastgd._limits import CACHED_NUMBERS, LEAF, MANY_POINTS, NUMBERS_OF_A_PART, POINTS_AT_ONCE, SAMPLE
from fastgd._source.facts import InMemory, with_weight
from fastgd._sums import ALONE, Threads, added, branches
from fastgd._validation import (
    C_NAMES,
    check_design,
    check_flag,
    check_number,
    check_same_length,
    check_shape,
    guarded,
    real_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import DoubleArray, FloatArray, OwnMean, R
    from fastgd.losses.base import Loss

_FLOAT64 = np.dtype(np.float64)
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
    kernel : fastgd._kernels.linear.RowTargets
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
        self.kernel = kernels.RowTargets(self.targets, self.intercept, weights)
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

    def bound_gradient(self, gradient: OwnMean) -> Callable[[DoubleArray], DoubleArray]:
        """Return a compiled gradient as a function of theta, with its kernel and room bound once; for few rows."""
        kernel, divided = gradient.version(kernels.sums, self.dtype), gradient.version(divide, _FLOAT64)
        q, n, loss = self.n_parameters, self.n, gradient.kernel
        scratch, empty = np.empty((kernels.levels(n), q)), np.empty

        def gradient_at(theta: DoubleArray) -> DoubleArray:
            mean = empty(q)
            kernel(loss, False, True, self.X, self.kernel, 0, n, theta, mean, scratch)
            divided(loss, 0, mean, n)
            return mean

        return gradient_at

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
