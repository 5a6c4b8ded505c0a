"""How curved a mean loss is: stable learning rates, the Gram matrix, and a step that it preconditions.

With c the largest curvature of the loss, c G bounds that of its mean, where G = X'X / n; for points G is 1.
"""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import C_NAMES
from fastgd._data.arrays import ScaledLinearModelData, column_units, sample_size
from fastgd._kernels import gram as kernels
from fastgd._kernels import linear
from fastgd._kernels.linear import Rows as LinearRows
from fastgd._kernels.losses import SquaredError
from fastgd._limits import (
    CACHED_NUMBERS,
    CONSTANT,
    FEW,
    LEAF,
    LEAST_SQUARE,
    MOST_FOR_EIGENVALUES,
    MOST_FOR_METRIC,
    NUMBERS_FOR_EACH_SUM,
    NUMBERS_OF_A_PART,
    PRODUCTS,
)
from fastgd._metric import GramMetric, Metric, NumberMetric
from fastgd._pairwise import column_sums, reduce_stream
from fastgd._thread_pool import SERIAL, ThreadPool

if TYPE_CHECKING:
    from fastgd._data.arrays import AnyLinearModelData, LinearModelData
    from fastgd._types import DoubleArray, FloatArray, ModelData


def curvature_of(source: ModelData, threads: ThreadPool = SERIAL) -> Curvature:
    """The curvature of the squares of the rows of a source."""
    if source.is_rows:
        return RowsCurvature(source, threads)
    return Curvature(source.largest_weight)


class Curvature:
    """Of points, each of which is a row of the one number 1, times its weight."""

    def __init__(self, largest_weight: float) -> None:
        self._largest_weight = largest_weight

    def largest_eigenvalue(self) -> float:
        """Of G."""
        return 1.0

    def largest_row(self) -> float:
        """The largest squared length of a row, times its weight."""
        return self._largest_weight

    def column_sizes(self) -> DoubleArray:
        """The root mean square of each column of X."""
        return np.ones(1)

    def over_gram(self, gradient: Any) -> Any:
        """pinv(G) @ gradient."""
        return gradient

    def metric(self, kind: str, curvature: float, decay: float, *, is_stochastic: bool = False,
               is_rough: bool = False) -> Any:
        """That of the data for a loss of this largest curvature, and a penalty of `decay` / 2 times the squares.

        A rough one is of a sample, in a few passes at most, and may overshoot.
        """
        return NumberMetric(1 / (curvature * (self._largest_weight if is_stochastic else 1.0) + decay))


class RowsCurvature(Curvature):
    """Of rows, with a 1 before each if there is an intercept.

    `threads` share the products of many numbers; passes of short operations of numpy they would only wait in.
    """

    def __init__(self, rows: AnyLinearModelData, threads: ThreadPool = SERIAL) -> None:
        self._rows, self._threads = rows, threads
        self._gram: tuple[DoubleArray, DoubleArray] | None = None
        self._metrics: dict[tuple[str, bool, bool], Metric] = {}
        self._decayed: tuple[Any, Metric] | None = None    # the last one of a penalty, and what it is for
        self._spread: tuple[DoubleArray, DoubleArray, DoubleArray] | None = None

    def gram(self) -> tuple[DoubleArray, DoubleArray]:
        """X'X / n and X'y / n, with a column of ones before X if there is an intercept; formed once."""
        if self._gram is None:
            p = self._rows.p
            means = self._products(np.zeros(p), with_targets=True)
            order = [p] * self._rows.intercept + list(range(p))
            self._gram = means[np.ix_(order, order)], means[order, p + 1]
        return self._gram

    def spread(self) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """The mean of each column of X, their covariance, in one pass, and the units of the columns in it.

        Without an intercept zeros and X'X / n. The units are 1, and powers of two where squares would overflow or
        underflow.

        With d the mean of x - c the covariance is the mean of (x - c)(x - c)' less d d', whatever c is. With the mean
        of a sample for c, d is a small part of a standard deviation, and the difference costs no digits (T. F. Chan,
        G. H. Golub and R. J. LeVeque, The American Statistician 37, 1983). A constant column has a covariance of 0,
        because c is found from differences to a row.
        """
        if self._spread is None:
            means, covariance = self._new_spread(np.ones(self._rows.p))
            units = self._units(means, np.diag(covariance))
            if units is not None:
                of_scaled = RowsCurvature(ScaledLinearModelData(self._rows, units), self._threads)
                means, covariance = of_scaled._new_spread(units)
            self._spread = means, covariance, np.ones(self._rows.p) if units is None else units
        return self._spread

    def _new_spread(self, units: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """The means of columns in these units, in those of X, and the covariance in the units."""
        rows, p = self._rows, self._rows.p
        with np.errstate(all="ignore"):
            if not rows.intercept:
                return np.zeros(p), self._products(np.zeros(p))[:p, :p]
            centre = _centre_of(rows.sample(FEW).X)
            means = self._products(centre)
            d = means[p, :p]
            return (centre + d) * units, means[:p, :p] - np.outer(d, d)

    def _units(self, shift: DoubleArray, squares: DoubleArray) -> DoubleArray | None:
        """Powers of two for columns whose squares about `shift` overflow or underflow; None if there are none."""
        is_lost = ~((squares > LEAST_SQUARE) & (squares < np.inf))
        if not is_lost.any():
            return None
        units = column_units(self._rows, np.where(np.isfinite(shift), shift, 0.0), is_lost)
        return None if (units == 1).all() else units

    def _products(self, shift: DoubleArray, with_targets: bool = False) -> DoubleArray:
        """The weighted mean of u u' over the rows, with u = [x - shift, 1] or, with targets, [x - shift, 1, t]."""
        rows = self._rows
        most = max(LEAF, min(rows.rows_of(NUMBERS_OF_A_PART), PRODUCTS // rows.p**2))
        most_of_a_thread = max(most, NUMBERS_FOR_EACH_SUM * rows.p)
        sums = functools.partial(products_in, shift, with_targets, most)
        means: DoubleArray = rows.total(sums, most_of_a_thread, self._threads)
        means /= rows.n
        return means

    def largest_eigenvalue(self) -> float:
        """Of G; with very many parameters an estimate that is hardly ever below it."""
        if self._rows.n_parameters <= MOST_FOR_EIGENVALUES:
            gram = self.gram()[0]
            return float(np.linalg.eigvalsh(gram)[-1]) if np.isfinite(gram).all() else np.inf
        p = self._rows.p
        return self._largest_by_products(np.zeros(p), np.ones(p))

    def _largest_by_products(self, shift: DoubleArray, sizes: DoubleArray) -> float:
        """The largest eigenvalue of the scaled columns, about, and hardly ever more than that.

        30 steps of the power method from a random start find at least 0.7 of it but for one start in a thousand
        (J. Kuczynski and H. Wozniakowski, SIAM Journal on Matrix Analysis and Applications 13, 1992).
        """
        vector = np.random.default_rng(0).normal(size=self._rows.n_parameters)
        with np.errstate(all="ignore"):
            for _ in range(30):
                length = float(np.linalg.norm(vector))
                if not 0 < length < np.inf:
                    return length
                vector = self._times_gram(vector / length, shift, sizes)
            return float(np.linalg.norm(vector)) / 0.7

    def _times_gram(self, vector: DoubleArray, shift: DoubleArray, sizes: DoubleArray) -> DoubleArray:
        rows, first = self._rows, int(self._rows.intercept)
        theta: DoubleArray = vector.copy()
        theta[first:] /= sizes
        if first:
            theta[0] -= shift @ theta[1:]
        most = max(LEAF, rows.rows_of(NUMBERS_OF_A_PART))
        product: DoubleArray = rows.total(functools.partial(_times_in, theta), most, self._threads)
        product /= rows.n
        if first:
            product[1:] -= shift * product[0]
        product[first:] /= sizes
        return product

    def largest_row(self) -> float:
        """The largest squared length of a row, the intercept's 1 included, times its weight."""
        p = self._rows.p
        return self._largest_scaled_row(np.zeros(p), np.ones(p))

    def _largest_scaled_row(self, shift: DoubleArray, sizes: DoubleArray) -> float:
        return max(0.0, *self._rows.map_slices(functools.partial(_largest_in, shift, sizes)))

    def column_sizes(self) -> DoubleArray:
        """The root mean square of each column."""
        _, squares, units = self._safe_moments(np.zeros(self._rows.p))
        return np.sqrt(squares) * units

    def _columns(self) -> tuple[DoubleArray, DoubleArray]:
        """The mean and the standard deviation of each column; without an intercept zeros and the root mean square."""
        rows = self._rows
        if not rows.intercept:
            return np.zeros(rows.p), self.column_sizes()
        with np.errstate(all="ignore"):
            centre = _centre_of(rows.sample(FEW).X)
        means, squares, units = self._safe_moments(centre)
        return centre + means * units, np.sqrt(np.maximum(squares - means**2, 0)) * units

    def _safe_moments(self, shift: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """The mean and the mean square of each column, from `shift`, in the units that come with them."""
        means, squares = self._moments(shift)
        units = self._units(shift, squares)
        if units is None:
            return means, squares, np.ones(self._rows.p)
        return *RowsCurvature(ScaledLinearModelData(self._rows, units))._moments(shift / units), units

    def _moments(self, shift: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """The mean and the mean square of each column, from `shift`."""
        rows = self._rows
        most = rows.rows_of(CACHED_NUMBERS // 2)
        means, squares = rows.total(functools.partial(_moments_in, shift), most)
        return means / rows.n, squares / rows.n

    def over_gram(self, gradient: Any) -> Any:
        """As a sample of many rows has it."""
        return self.metric("gram", 1.0, 0.0, is_rough=True).direction(gradient)

    def metric(self, kind: str, curvature: float, decay: float, *, is_stochastic: bool = False,
               is_rough: bool = False) -> Metric:
        is_rough &= (kind, is_stochastic, False) not in self._metrics    # a better one is there
        options = kind, is_stochastic, is_rough
        if decay:
            if self._decayed is None or self._decayed[0] != (options, curvature, decay):
                self._decayed = (options, curvature, decay), self._new_metric(*options, curvature, decay)
            return self._decayed[1]
        if options not in self._metrics:
            self._metrics[options] = self._new_metric(*options, 1.0, 0.0)
        return self._metrics[options].over(curvature)

    def _new_metric(self, kind: str, is_stochastic: bool, is_rough: bool, curvature: float,
                    decay: float) -> Metric:
        p, largest = self._rows.p, 0.0
        is_wide = p > MOST_FOR_EIGENVALUES
        if kind == "gram" and p > MOST_FOR_METRIC and not is_rough:
            raise ValueError(f"precondition='gram' is for up to {MOST_FOR_METRIC} columns, of which it inverts a "
                             f"matrix; X has {p}. Use precondition='scale'.")
        if is_stochastic or (is_wide and (kind == "scale" or is_rough)):
            shift, deviations = self._columns()
            sizes = _sizes_of(kind, shift, deviations)
            largest = (self._largest_scaled_row(shift, sizes) if is_stochastic else
                       float(p) if is_rough else self._largest_by_products(shift, sizes))
        else:
            shift, covariance, units, of = self._rough_spread() if is_rough else (*self.spread(), self)
            sizes, correlation = _scaled(kind, shift, covariance, units)
            if kind == "gram":
                return _gram_metric(shift, sizes, correlation, curvature, decay, of, (units != 1).any())
            largest = max(float(np.linalg.eigvalsh(correlation)[-1]), float(self._rows.intercept))
        largest = largest or 1.0    # of constant columns, which have none
        if decay:
            with np.errstate(over="ignore"):
                squared = np.sqrt(sizes**2 + decay / (curvature * largest))
            sizes = np.where(squared < np.inf, squared, sizes)
        return Metric(shift, sizes, 1 / (curvature * largest))

    def _squares_along(self, curvature: float, decay: float, directions: DoubleArray) -> DoubleArray:
        """The mean squares of the scaled columns along `directions`, times the curvature, and those of weights."""
        rows, k = self._rows, directions.shape[1]
        shift, covariance, units = self.spread()
        sizes = _sizes_of("gram", shift, _deviations_in(covariance, units))
        sums = rows.total(functools.partial(_along_in, shift, sizes, directions), rows.rows_of(CACHED_NUMBERS))
        means: DoubleArray = sums[:k, :k] / rows.n
        if rows.intercept:
            total = sums[k, :k]
            means -= np.outer(total, total) / rows.n**2
        weights = directions / sizes[:, None]
        return curvature * means + decay * (weights.T @ weights)

    def _rough_spread(self) -> tuple[DoubleArray, DoubleArray, DoubleArray, RowsCurvature]:
        """As `spread`, with the correlations of a sample of many rows, and that of the sample.

        A column that is constant in the sample, as one that hardly any row has may be, has none.
        """
        sample = self._rows.sample(sample_size(self._rows.n_parameters))
        if sample.n == self._rows.n:
            return *self.spread(), self
        of_sample = RowsCurvature(sample)
        correlation = _scaled("gram", *of_sample.spread())[1]
        np.fill_diagonal(correlation, 1.0)
        shift, deviations = self._columns()
        is_far = ~((deviations > LEAST_SQUARE**0.5) & (deviations < LEAST_SQUARE**-0.5))
        units = np.where(is_far & (deviations > 0), np.ldexp(1.0, np.frexp(deviations)[1] - 1), 1.0)
        deviations = deviations / units
        return shift, correlation * deviations * deviations[:, None], units, of_sample


def _gram_metric(shift: DoubleArray, sizes: DoubleArray, correlation: DoubleArray, curvature: float, decay: float,
                 of: RowsCurvature, is_scaled: bool) -> GramMetric:
    """The metric of columns of these sizes and correlations, and a penalty of `decay` / 2 times the squares."""
    along = functools.partial(of._squares_along, curvature, decay)
    if decay and is_scaled:
        # Sizes that count the penalty: beside it a tiny column is nothing, and 1 / size**2 would overflow.
        larger = np.hypot(sizes, (decay / curvature) ** 0.5)
        correlation = correlation * (sizes / larger) * (sizes / larger)[:, None]
        return GramMetric(shift, larger, curvature * correlation + decay * np.diag((1 / larger) ** 2), curvature)
    curved = curvature * correlation
    if decay:
        curved += decay * np.diag(sizes**-2.0)
    return GramMetric(shift, sizes, curved, curvature, along)


def products_in(shift: DoubleArray, with_targets: bool, most: int, rows: LinearModelData, part: slice) -> DoubleArray:
    """The sums of w u u' over a branch of the rows, of which one call of the kernel takes at most so many."""
    q = rows.p + (2 if with_targets else 1)
    scratch = np.empty(kernels.scratch_size(most, rows.p, rows.weights is not None))

    def sums(branch: slice) -> DoubleArray:
        out = np.empty((q, q))
        kernels.sums[C_NAMES[rows.dtype]](rows.X, shift, rows.weights, rows.targets if with_targets else None,
                                          part.start + branch.start, part.start + branch.stop, out, scratch)
        return out

    return reduce_stream(part.stop - part.start, most, sums)


def _times_in(theta: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """The sum of w (x @ theta) x."""
    return -residuals_times_rows(theta, np.zeros(part.stop - part.start), rows, part)


def residuals_times_rows(theta: DoubleArray, targets: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """The sum of w (t - x @ theta) x, with other targets t than those of the rows."""
    X, n = rows.X[part], part.stop - part.start
    of_part = LinearRows(targets, rows.intercept, None if rows.weights is None else rows.weights[part])
    product, scratch = np.empty(len(theta)), np.empty((linear.levels(n), len(theta)))
    linear.sums[f"SquaredError|{C_NAMES[rows.dtype]}"](
        SquaredError(), False, True, X, of_part, 0, n, theta, product, scratch)
    return product


def _largest_in(shift: DoubleArray, sizes: DoubleArray, rows: LinearModelData, part: slice) -> float:
    """The largest squared length of a scaled row, times its weight."""
    with np.errstate(all="ignore"):
        scaled = (rows.X[part] - shift) / sizes
        squares = (scaled * scaled).sum(axis=1) + rows.intercept
        return float((squares if rows.weights is None else squares * rows.weights[part]).max())


def _moments_in(shift: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """The sums of w (x - shift) and of w (x - shift)**2."""
    with np.errstate(all="ignore"):
        X = rows.X[part] - shift
        weights = None if rows.weights is None else rows.weights[part]
        sums = column_sums(X, weights)
        X *= X
        return np.array([sums, column_sums(X, weights)])


def _along_in(shift: DoubleArray, sizes: DoubleArray, directions: DoubleArray, rows: LinearModelData,
              part: slice) -> DoubleArray:
    """The sums of w u u' for u = [z @ directions, 1], with z the scaled columns."""
    Z, k = (rows.X[part] - shift) / sizes, directions.shape[1]
    along = np.empty((len(Z), k))
    out = np.empty(len(Z))
    for j in range(k):
        linear.predictions["double"](Z, directions[:, j].copy(), False, 0, len(Z), out)
        along[:, j] = out
    products = np.empty((k + 1, k + 1))
    weights = None if rows.weights is None else rows.weights[part]
    kernels.sums["double"](along, np.zeros(k), weights, None, 0, len(Z), products,
                           np.empty(kernels.scratch_size(len(Z), k, weights is not None)))
    return products


def _centre_of(sample: FloatArray) -> DoubleArray:
    """The mean of each column, of a constant one the constant."""
    row = sample[0].astype(np.float64)
    centre: DoubleArray = row + (sample - row).mean(axis=0)
    return centre


def _sizes_of(kind: str, shift: DoubleArray, deviations: DoubleArray) -> DoubleArray:
    """The units of columns of these standard deviations; 1 for constant ones."""
    if not np.isfinite(deviations).all():
        raise ValueError(f"precondition='{kind}' needs columns whose deviations are finite numbers. Scale the data.")
    return np.where(deviations > CONSTANT * np.abs(shift), deviations, 1.0)


def _deviations_in(covariance: DoubleArray, units: DoubleArray) -> DoubleArray:
    """The standard deviations of columns of this covariance, which is in units of theirs."""
    deviations: DoubleArray = np.sqrt(np.maximum(np.diag(covariance), 0)) * units
    return deviations


def _scaled(kind: str, shift: DoubleArray, covariance: DoubleArray,
            units: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """The sizes of columns of this covariance, and their correlations, 0 for constant ones."""
    deviations = _deviations_in(covariance, units)
    sizes = _sizes_of(kind, shift, deviations)
    correlation: DoubleArray = covariance / (sizes / units) / (sizes / units)[:, None]
    is_constant = ~(deviations > CONSTANT * np.abs(shift))
    correlation[is_constant] = 0.0
    correlation[:, is_constant] = 0.0
    return sizes, correlation
