"""The rows of a linear model: X, whether an intercept leads theta, and what the learning rate must know of them."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd._checks import check_design, check_flag, check_number, check_same_length, real_numbers, slices_of_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from fastgd._types import DoubleArray, FloatArray

#: Up to so many parameters descent on the squared error goes by the Gram matrix; it costs a pass over X for every 20.
MOST_FOR_GRAM = 101
#: Up to so many the largest eigenvalue is that of the Gram matrix; the power iteration takes 60 passes.
_MOST_FOR_EIGENVALUES = 512
#: Numbers of X that are summed at once: few, so that several threads share them evenly.
_PART = 2**19
#: Numbers of X that stay in the second cache for several passes.
_CACHED = 2**15


class Design:
    """X as a C-contiguous float array with a target for each row, checked once.

    Attributes
    ----------
    X : ndarray of shape (n, p), float32 or float64
        The caller's own array if it is one in C order.
    targets : ndarray of shape (n,), float64
    intercept : bool
        Whether theta[0] is added to each prediction; theta then has p + 1 components.
    names : tuple of str or None
        The columns of a DataFrame.
    """

    def __init__(self, X: ArrayLike, targets: FloatArray, fit_intercept: bool) -> None:
        self.intercept = check_flag(fit_intercept, "fit_intercept")
        self.X, names = check_design(X)
        check_same_length(self.X, targets)
        self.names = None if names is None else tuple(names)
        self.targets = targets.astype(np.float64, copy=False)
        self.n_parameters = self.X.shape[1] + self.intercept
        self._gram: tuple[DoubleArray, DoubleArray] | None = None
        self._ones: FloatArray | None = None

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """A name for each component of theta."""
        names = self.names or tuple(f"x{k}" for k in range(self.X.shape[1]))
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
            raise ValueError(f"The '{name}' parameter must be finite. Got {value!r}.")
        return theta

    @property
    def has_gram(self) -> bool:
        """Whether `gram` was formed already."""
        return self._gram is not None

    def with_ones(self) -> FloatArray:
        """X, or for an intercept a copy of it, made once, with a column of ones before it."""
        if not self.intercept:
            return self.X
        if self._ones is None:
            self._ones = np.ones((len(self.X), self.n_parameters), self.X.dtype)
            for rows in self.slices():
                self._ones[rows, 1:] = self.X[rows]
        return self._ones

    def slices(self) -> list[slice]:
        """Slices of the rows that take a millisecond or less each; they depend on the shape of X alone."""
        return slices_of_rows(self.X, _PART)

    def cached_slices(self) -> list[slice]:
        """Slices of the rows that stay in the cache for several passes, or for a copy in float64."""
        return slices_of_rows(self.X, _CACHED)

    def sample(self, size: int) -> Design:
        """A Design of about `size` of the rows, at equal distances; itself if it has no more."""
        if len(self.X) <= 2 * size:
            return self
        every = slice(None, None, len(self.X) // size)
        return Design(self.X[every], self.targets[every].copy(), self.intercept)

    def gram(self) -> tuple[DoubleArray, DoubleArray]:
        """X'X / n and X'y / n, with a column of ones before X if there is an intercept; formed once."""
        if self._gram is None:
            q, n, first = self.n_parameters, len(self.X), int(self.intercept)
            gram, moment = np.zeros((q, q)), np.zeros(q)
            with np.errstate(over="ignore", invalid="ignore"):
                for rows in self.cached_slices():    # a float32 slice is converted
                    block, y = self.X[rows].astype(np.float64, copy=False), self.targets[rows]
                    gram[first:, first:] += block.T @ block
                    moment[first:] += y @ block
                    if self.intercept:
                        gram[0, 0] += len(y)
                        gram[0, 1:] += block.sum(axis=0)
                        moment[0] += y.sum()
                gram[1:, 0] = gram[0, 1:]
                self._gram = gram / n, moment / n
        return self._gram

    def largest_eigenvalue(self) -> float:
        """Of X'X / n; with very many parameters an estimate that is hardly ever below it.

        30 steps of the power method from a random start find at least 0.7 of it but for one start in a thousand
        (J. Kuczynski and H. Wozniakowski, SIAM Journal on Matrix Analysis and Applications 13, 1992).
        """
        if self.n_parameters <= _MOST_FOR_EIGENVALUES:
            gram = self.gram()[0]
            return float(np.linalg.eigvalsh(gram)[-1]) if np.isfinite(gram).all() else np.inf
        vector = np.random.default_rng(0).normal(size=self.n_parameters)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(30):
                length = float(np.linalg.norm(vector))
                if not 0 < length < np.inf:
                    return length
                vector = self._times_gram(vector / length)
            return float(np.linalg.norm(vector)) / 0.7

    def _times_gram(self, vector: DoubleArray) -> DoubleArray:
        product, first = np.zeros(self.n_parameters), int(self.intercept)
        for rows in self.slices():
            predictions = self.X[rows] @ vector[first:] + (vector[0] if first else 0)
            product[first:] += predictions @ self.X[rows]
            product[:first] += predictions.sum()
        return product / len(self.X)

    def largest_row(self) -> float:
        """The largest squared length of a row, the intercept's 1 included."""
        with np.errstate(over="ignore"):
            longest = max(float(np.einsum("ij,ij->i", X, X).max()) for X in self._double_slices())
        return longest + self.intercept

    def column_sizes(self) -> DoubleArray:
        """The root mean square of each column."""
        with np.errstate(over="ignore"):
            total = sum(np.einsum("ij,ij->j", X, X) for X in self._double_slices())
        sizes: DoubleArray = np.sqrt(total / len(self.X))
        return sizes

    def _double_slices(self) -> Iterator[DoubleArray]:
        return (self.X[rows].astype(np.float64, copy=False) for rows in self.cached_slices())
