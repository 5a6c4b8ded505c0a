"""How curved a mean loss is: stable learning rates, the Gram matrix, and a step that it preconditions.

With c the largest curvature of the loss, c G bounds that of its mean, where G = X'X / n; for points G is 1.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import gram as kernels
from fastgd._limits import (
    LEAF,
    MOST_FOR_EIGENVALUES,
    MOST_FOR_GRAM,
    NUMBERS_FOR_EACH_SUM,
    NUMBERS_OF_A_PART,
    PRODUCTS,
    SAMPLE,
)
from fastgd._sums import ALONE, Threads, added, branches, summed

if TYPE_CHECKING:
    from fastgd._source import Rows
    from fastgd._types import DoubleArray, Source


def curvature_of(source: Source) -> Curvature:
    """The curvature of the squares of the rows of a source."""
    return RowsCurvature(source) if source.is_rows else Curvature()


class Curvature:
    """Of points, each of which is a row of the one number 1."""

    has_gram = True

    def largest_eigenvalue(self) -> float:
        """Of G."""
        return 1.0

    def largest_row(self) -> float:
        """The largest squared length of a row."""
        return 1.0

    def column_sizes(self) -> DoubleArray:
        """The root mean square of each column of X."""
        return np.ones(1)

    def over_gram(self, gradient: Any) -> Any:
        """pinv(G) @ gradient."""
        return gradient


class RowsCurvature(Curvature):
    """Of rows, with a 1 before each if there is an intercept."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._gram: tuple[DoubleArray, DoubleArray] | None = None

    @property
    def has_gram(self) -> bool:    # type: ignore[override]
        """Whether G was formed already."""
        return self._gram is not None

    def gram(self, threads: Threads = ALONE) -> tuple[DoubleArray, DoubleArray]:
        """X'X / n and X'y / n, with a column of ones before X if there is an intercept; formed once."""
        if self._gram is None:
            p = self._rows.X.shape[1]
            means = self._products(np.zeros(p), self._rows.targets, threads)
            order = [p] * self._rows.intercept + list(range(p))
            self._gram = means[np.ix_(order, order)], means[order, p + 1]
        return self._gram

    def spread(self, threads: Threads = ALONE) -> tuple[DoubleArray, DoubleArray]:
        """The mean of each column of X and their covariance, in one pass; without an intercept zeros and X'X / n.

        With d the mean of x - c the covariance is the mean of (x - c)(x - c)' less d d', whatever c is. With the mean
        of a sample for c, d is a small part of a standard deviation, and the difference costs no digits (T. F. Chan,
        G. H. Golub and R. J. LeVeque, The American Statistician 37, 1983). A constant column has a covariance of 0,
        because c is found from differences to a row.
        """
        rows, p = self._rows, self._rows.X.shape[1]
        if not rows.intercept:
            return np.zeros(p), self._products(np.zeros(p), None, threads)[:p, :p]
        with np.errstate(all="ignore"):
            sample = rows.sample(SAMPLE).X
            row = sample[0].astype(np.float64)
            centre = row + (sample - row).mean(axis=0)
            means = self._products(centre, None, threads)
            d = means[p, :p]
            return centre + d, means[:p, :p] - np.outer(d, d)

    def _products(self, shift: DoubleArray, targets: DoubleArray | None, threads: Threads) -> DoubleArray:
        """The mean of u u' over the rows, with u = [x - shift, 1] or, with targets, [x - shift, 1, t]."""
        X, (n, p) = self._rows.X, self._rows.X.shape
        q = p + 1 if targets is None else p + 2
        most = max(LEAF, min(self._rows.rows_of(NUMBERS_OF_A_PART), PRODUCTS // p**2))
        most_of_a_thread = max(most, NUMBERS_FOR_EACH_SUM * p)
        size = kernels.scratch_size(most, p, False)

        def sums_of_a_thread(part: slice) -> DoubleArray:
            scratch = np.empty(size)

            def sums(branch: slice) -> DoubleArray:
                out = np.empty((q, q))
                kernels.sums(X, shift, None, targets, part.start + branch.start, part.start + branch.stop, out, scratch)
                return out

            return summed(part.stop - part.start, most, sums)

        sums = threads.map(sums_of_a_thread, branches(n, most_of_a_thread))
        means: DoubleArray = added(n, most_of_a_thread, sums)
        means /= n
        return means

    def largest_eigenvalue(self) -> float:
        """Of G; with very many parameters an estimate that is hardly ever below it.

        30 steps of the power method from a random start find at least 0.7 of it but for one start in a thousand
        (J. Kuczynski and H. Wozniakowski, SIAM Journal on Matrix Analysis and Applications 13, 1992).
        """
        if self._rows.n_parameters <= MOST_FOR_EIGENVALUES:
            gram = self.gram()[0]
            return float(np.linalg.eigvalsh(gram)[-1]) if np.isfinite(gram).all() else np.inf
        vector = np.random.default_rng(0).normal(size=self._rows.n_parameters)
        with np.errstate(all="ignore"):
            for _ in range(30):
                length = float(np.linalg.norm(vector))
                if not 0 < length < np.inf:
                    return length
                vector = self._times_gram(vector / length)
            return float(np.linalg.norm(vector)) / 0.7

    def _times_gram(self, vector: DoubleArray) -> DoubleArray:
        rows, first = self._rows, int(self._rows.intercept)
        product: DoubleArray = np.zeros(rows.n_parameters)
        for block, _ in rows.blocks(NUMBERS_OF_A_PART):
            predictions = block @ vector[first:] + (vector[0] if first else 0)
            product[first:] += predictions @ block
            product[:first] += predictions.sum()
        product /= rows.n
        return product

    def largest_row(self) -> float:
        """The largest squared length of a row, the intercept's 1 included."""
        with np.errstate(all="ignore"):
            longest = max(float(np.einsum("ij,ij->i", X, X).max()) for X, _ in self._rows.blocks())
        return longest + self._rows.intercept

    def column_sizes(self) -> DoubleArray:
        """The root mean square of each column."""
        with np.errstate(all="ignore"):
            total = sum(np.einsum("ij,ij->j", X, X) for X, _ in self._rows.blocks())
        sizes: DoubleArray = np.sqrt(total / self._rows.n)
        return sizes

    def over_gram(self, gradient: Any) -> Any:
        """From a sample of the rows where G was not formed; with very many parameters by its diagonal."""
        rows, q = self._rows, self._rows.n_parameters
        if q > MOST_FOR_GRAM:
            sizes = np.concatenate([np.ones(int(rows.intercept)), self.column_sizes()])
            return np.divide(gradient, q * sizes**2, out=np.zeros(q), where=sizes > 0)
        sample = rows if self.has_gram else rows.sample(max(SAMPLE, 40 * q))
        gram = (self if sample is rows else RowsCurvature(sample)).gram()[0]
        scale: DoubleArray = np.sqrt(np.diag(gram))
        scale[scale == 0] = 1.0
        if not np.isfinite(gram).all():
            return np.full(q, np.nan)
        return np.linalg.pinv(gram / scale / scale[:, None], hermitian=True) @ (gradient / scale) / scale
