"""Second moments of the columns: the Gram matrix, its largest eigenvalue, and the preconditioners made of it.

With c the largest curvature of the loss, c G bounds that of its mean, where G = X'X / n; for points G is 1.
"""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.arrays import SMALL_SAMPLE_ROWS, ScaledLinearModelData, column_units, sample_size
from fastgd._kernels import gram as kernels
from fastgd._kernels import linear
from fastgd._kernels.linear import RowTargets as LinearRows
from fastgd._kernels.losses import SquaredError
from fastgd._objective.preconditioner import GramPreconditioner, Preconditioner, ScalarPreconditioner
from fastgd._pairwise import CACHED_NUMBERS, LEAF, PART_NUMBERS, column_sums, reduce_stream
from fastgd._thread_pool import SERIAL, ThreadPool
from fastgd._validation import C_NAMES

if TYPE_CHECKING:
    from fastgd._data import ModelData
    from fastgd._data.arrays import AnyLinearModelData, LinearModelData
    from fastgd._types import DoubleArray, FloatArray

#: Products of two numbers of X in one call of the kernel of the Gram matrix, which makes half of them: 15 ms.
KERNEL_PRODUCTS = 2**28
#: Numbers of X for each number of a sum of products that is stored until the sums of all parts are added.
NUMBERS_PER_SUM = 16
#: Parameters up to which the largest eigenvalue is that of the Gram matrix; the power iteration takes 60 passes.
MAX_EIGENVALUE_PARAMETERS = 512
#: Most columns of a Gram matrix whose pseudo-inverse is computed: for more it would take minutes.
MAX_GRAM_COLUMNS = 2000
#: Standard deviation of a constant column in double precision, relative to its mean.
CONSTANT_DEVIATION = 1e-15
#: Mean square of a column below which a product of two of them loses digits to underflow.
MIN_SQUARE = 1e-280


def second_moments_of(source: ModelData, threads: ThreadPool = SERIAL) -> SecondMoments:
    """Make the second moments of data."""
    return RowMoments(source, threads) if source.is_rows else SecondMoments(source)


class SecondMoments:
    """Second moments of points, each of which counts as a row with the single number 1, times its weight."""

    def __init__(self, points: Any) -> None:
        self._points = points

    def largest_eigenvalue(self) -> float:
        """Compute the largest eigenvalue of G."""
        return 1.0

    def largest_row(self) -> float:
        """Compute the largest squared length of a row, times its weight."""
        largest: float = self._points.largest_weight
        return largest

    def column_sizes(self) -> DoubleArray:
        """Compute the root mean square of each column of X."""
        return np.ones(1)

    def over_gram(self, gradient: Any) -> Any:
        """Compute pinv(G) @ gradient."""
        return gradient

    def preconditioner(self, kind: str, curvature: float, l2: float, *, is_stochastic: bool = False,
                       is_subsampled: bool = False) -> Any:
        """Make the preconditioner for a loss of this largest curvature and the penalty l2 / 2 * sum(w**2).

        A subsampled preconditioner has the correlations of a sample, takes a few passes at most, and may overshoot.
        """
        return ScalarPreconditioner(1 / (curvature * (self.largest_row() if is_stochastic else 1.0) + l2))


class RowMoments(SecondMoments):
    """Second moments of rows, with a 1 before each if there is an intercept.

    `threads` share the products of many numbers, and no passes of short numpy operations, in which they would wait.
    """

    def __init__(self, rows: AnyLinearModelData, threads: ThreadPool = SERIAL) -> None:
        self._rows, self._threads = rows, threads
        self._gram: tuple[DoubleArray, DoubleArray] | None = None
        self._preconditioners: dict[tuple[str, bool, bool], Preconditioner] = {}
        self._penalised: tuple[Any, Preconditioner] | None = None    # the last one with a penalty, after its arguments
        self._covariance: tuple[DoubleArray, DoubleArray, DoubleArray] | None = None

    def gram(self) -> tuple[DoubleArray, DoubleArray]:
        """Compute X'X / n and X'y / n, once; with an intercept X has a column of ones before it."""
        if self._gram is None:
            p = self._rows.p
            means = self._products(np.zeros(p), with_targets=True)
            order = [p] * self._rows.intercept + list(range(p))
            self._gram = means[np.ix_(order, order)], means[order, p + 1]
        return self._gram

    def covariance(self) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Compute the mean of each column, their covariance, and the units of the columns in it, in one pass.

        Without an intercept the means are 0 and the covariance is X'X / n. The units are 1, and powers of two where
        squares would overflow or underflow.

        With d the mean of x - c the covariance is the mean of (x - c)(x - c)' less d d', whatever c is. With the mean
        of a sample for c, d is a small part of a standard deviation, and the difference costs no digits (T. F. Chan,
        G. H. Golub and R. J. LeVeque, The American Statistician 37, 1983). A constant column has a covariance of 0,
        because c is found from differences to a row.
        """
        if self._covariance is None:
            means, covariance = self._compute_covariance(np.ones(self._rows.p))
            units = self._units(means, covariance.diagonal())
            if units is not None:
                of_scaled = RowMoments(ScaledLinearModelData(self._rows, units), self._threads)
                means, covariance = of_scaled._compute_covariance(units)
            self._covariance = means, covariance, np.ones(self._rows.p) if units is None else units
        return self._covariance

    def _compute_covariance(self, units: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Compute the means of columns, in the units of X, and their covariance in these units."""
        rows, p = self._rows, self._rows.p
        with np.errstate(all="ignore"):
            if not rows.intercept:
                return np.zeros(p), self._products(np.zeros(p))[:p, :p]
            centre = _centre_of(rows.sample(SMALL_SAMPLE_ROWS).X)
            means = self._products(centre)
            d = means[p, :p]
            return (centre + d) * units, means[:p, :p] - d[:, None] * d

    def _units(self, shift: DoubleArray, squares: DoubleArray) -> DoubleArray | None:
        """Find powers of two for columns whose squares about `shift` overflow or underflow; None if none do."""
        is_lost = ~((squares > MIN_SQUARE) & (squares < np.inf))
        if not is_lost.any():
            return None
        units = column_units(self._rows, np.where(np.isfinite(shift), shift, 0.0), is_lost)
        return None if (units == 1).all() else units

    def _products(self, shift: DoubleArray, with_targets: bool = False) -> DoubleArray:
        """Compute the weighted mean of u u' over the rows, u = [x - shift, 1], or [x - shift, 1, t] with targets."""
        rows = self._rows
        most = max(LEAF, min(rows.rows_of(PART_NUMBERS), KERNEL_PRODUCTS // rows.p**2))
        most_of_a_thread = max(most, NUMBERS_PER_SUM * rows.p)
        sums = functools.partial(products_in, shift, with_targets, most)
        means: DoubleArray = rows.total(sums, most_of_a_thread, self._threads)
        means /= rows.n
        return means

    def largest_eigenvalue(self) -> float:
        """Compute the largest eigenvalue of G; with very many parameters an estimate that is hardly ever below it."""
        if self._rows.n_parameters <= MAX_EIGENVALUE_PARAMETERS:
            gram = self.gram()[0]
            return float(np.linalg.eigvalsh(gram)[-1]) if np.isfinite(gram).all() else np.inf
        p = self._rows.p
        return self._largest_by_products(np.zeros(p), np.ones(p))

    def _largest_by_products(self, shift: DoubleArray, sizes: DoubleArray) -> float:
        """Estimate the largest eigenvalue of the scaled columns; the estimate is hardly ever below it.

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
        most = max(LEAF, rows.rows_of(PART_NUMBERS))
        product: DoubleArray = rows.total(functools.partial(_times_in, theta), most, self._threads)
        product /= rows.n
        if first:
            product[1:] -= shift * product[0]
        product[first:] /= sizes
        return product

    def largest_row(self) -> float:
        """Compute the largest squared length of a row, with the intercept's 1, times its weight."""
        p = self._rows.p
        return self._largest_scaled_row(np.zeros(p), np.ones(p))

    def _largest_scaled_row(self, shift: DoubleArray, sizes: DoubleArray) -> float:
        return max(0.0, *self._rows.map_slices(functools.partial(_largest_in, shift, sizes)))

    def column_sizes(self) -> DoubleArray:
        """Compute the root mean square of each column."""
        _, squares, units = self._safe_moments(np.zeros(self._rows.p))
        return np.sqrt(squares) * units

    def _columns(self) -> tuple[DoubleArray, DoubleArray]:
        """Compute the mean and standard deviation of each column; without an intercept 0 and the root mean square."""
        rows = self._rows
        if not rows.intercept:
            return np.zeros(rows.p), self.column_sizes()
        with np.errstate(all="ignore"):
            centre = _centre_of(rows.sample(SMALL_SAMPLE_ROWS).X)
        means, squares, units = self._safe_moments(centre)
        return centre + means * units, np.sqrt(np.maximum(squares - means**2, 0)) * units

    def _safe_moments(self, shift: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Compute the mean and mean square of each column less `shift`, in units that are returned with them."""
        means, squares = self._moments(shift)
        units = self._units(shift, squares)
        if units is None:
            return means, squares, np.ones(self._rows.p)
        return *RowMoments(ScaledLinearModelData(self._rows, units))._moments(shift / units), units

    def _moments(self, shift: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Compute the mean and mean square of each column less `shift`."""
        rows = self._rows
        most = rows.rows_of(CACHED_NUMBERS // 2)
        means, squares = rows.total(functools.partial(_moments_in, shift), most)
        return means / rows.n, squares / rows.n

    def over_gram(self, gradient: Any) -> Any:
        """Compute pinv(G) @ gradient, with the correlations of a sample of many rows."""
        return self.preconditioner("gram", 1.0, 0.0, is_subsampled=True).direction(gradient)

    def preconditioner(self, kind: str, curvature: float, l2: float, *, is_stochastic: bool = False,
                       is_subsampled: bool = False) -> Preconditioner:
        is_subsampled &= (kind, is_stochastic, False) not in self._preconditioners    # the exact one has been made
        options = kind, is_stochastic, is_subsampled
        if l2:
            if self._penalised is None or self._penalised[0] != (options, curvature, l2):
                self._penalised = (options, curvature, l2), self._new_preconditioner(*options, curvature, l2)
            return self._penalised[1]
        if options not in self._preconditioners:
            self._preconditioners[options] = self._new_preconditioner(*options, 1.0, 0.0)
        return self._preconditioners[options].over(curvature)

    def _new_preconditioner(self, kind: str, is_stochastic: bool, is_subsampled: bool, curvature: float,
                            l2: float) -> Preconditioner:
        p, largest = self._rows.p, 0.0
        is_wide = p > MAX_EIGENVALUE_PARAMETERS
        if kind == "gram" and p > MAX_GRAM_COLUMNS and not is_subsampled:
            raise ValueError(f"precondition='gram' is for up to {MAX_GRAM_COLUMNS} columns, of which it inverts a "
                             f"matrix; X has {p}. Use precondition='scale'.")
        if is_stochastic or (is_wide and (kind == "scale" or is_subsampled)):
            shift, deviations = self._columns()
            sizes = _sizes_of(kind, shift, deviations)
            largest = (self._largest_scaled_row(shift, sizes) if is_stochastic else
                       float(p) if is_subsampled else self._largest_by_products(shift, sizes))
        else:
            shift, covariance, units, of = (self._subsampled_covariance() if is_subsampled
                                            else (*self.covariance(), self))
            sizes, correlation = _scaled(kind, shift, covariance, units)
            if kind == "gram":
                return _gram_preconditioner(shift, sizes, correlation, curvature, l2, of, (units != 1).any())
            largest = max(float(np.linalg.eigvalsh(correlation)[-1]), float(self._rows.intercept))
        largest = largest or 1.0    # constant columns have no curvature
        if l2:
            with np.errstate(over="ignore"):
                squared = np.sqrt(sizes**2 + l2 / (curvature * largest))
            sizes = np.where(squared < np.inf, squared, sizes)
        return Preconditioner(shift, sizes, 1 / (curvature * largest))

    def _squares_along(self, curvature: float, l2: float, directions: DoubleArray) -> DoubleArray:
        """Compute the curvature along `directions` of the scaled columns, with that of a penalty."""
        rows, k = self._rows, directions.shape[1]
        shift, covariance, units = self.covariance()
        sizes = _sizes_of("gram", shift, _deviations_in(covariance, units))
        sums = rows.total(functools.partial(_along_in, shift, sizes, directions), rows.rows_of(CACHED_NUMBERS))
        means: DoubleArray = sums[:k, :k] / rows.n
        if rows.intercept:
            total = sums[k, :k]
            means -= np.outer(total, total) / rows.n**2
        weights = directions / sizes[:, None]
        return curvature * means + l2 * (weights.T @ weights)

    def _subsampled_covariance(self) -> tuple[DoubleArray, DoubleArray, DoubleArray, RowMoments]:
        """Compute `covariance` with the correlations of a sample of many rows; the last item is that of the sample.

        A column that is constant in the sample, as a rare category may be, has no correlations.
        """
        sample = self._rows.sample(sample_size(self._rows.n_parameters))
        if sample.n == self._rows.n:
            return *self.covariance(), self
        of_sample = RowMoments(sample)
        correlation = _scaled("gram", *of_sample.covariance())[1]
        np.fill_diagonal(correlation, 1.0)
        shift, deviations = self._columns()
        is_far = ~((deviations > MIN_SQUARE**0.5) & (deviations < MIN_SQUARE**-0.5))
        units = np.where(is_far & (deviations > 0), np.ldexp(1.0, np.frexp(deviations)[1] - 1), 1.0)
        deviations = deviations / units
        return shift, correlation * deviations * deviations[:, None], units, of_sample


def _gram_preconditioner(shift: DoubleArray, sizes: DoubleArray, correlation: DoubleArray, curvature: float, l2: float,
                         of: RowMoments, is_scaled: bool) -> GramPreconditioner:
    """Make the preconditioner of columns of these sizes and correlations, and of a penalty."""
    along = functools.partial(of._squares_along, curvature, l2)
    if l2 and is_scaled:
        # Sizes include the penalty: a tiny column is negligible beside it, and 1 / size**2 would overflow.
        larger = np.hypot(sizes, (l2 / curvature) ** 0.5)
        correlation = correlation * (sizes / larger) * (sizes / larger)[:, None]
        curved = curvature * correlation + l2 * np.diag((1 / larger) ** 2)
        return GramPreconditioner(shift, larger, curved, curvature)
    curved = curvature * correlation
    if l2:
        curved += l2 * np.diag(sizes**-2.0)
    return GramPreconditioner(shift, sizes, curved, curvature, along)


def products_in(shift: DoubleArray, with_targets: bool, most: int, rows: LinearModelData, part: slice) -> DoubleArray:
    """Sum w u u' over a subtree of the rows, with at most `most` rows in one call of the kernel."""
    q = rows.p + (2 if with_targets else 1)
    scratch = np.empty(kernels.scratch_size(most, rows.p, rows.weights is not None))

    def sums(branch: slice) -> DoubleArray:
        out = np.empty((q, q))
        kernels.sums[C_NAMES[rows.dtype]](rows.X, shift, rows.weights, rows.targets if with_targets else None,
                                          part.start + branch.start, part.start + branch.stop, out, scratch)
        return out

    return reduce_stream(part.stop - part.start, most, sums)


def _times_in(theta: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """Sum w (x @ theta) x over a part of the rows."""
    return -residuals_times_rows(theta, np.zeros(part.stop - part.start), rows, part)


def residuals_times_rows(theta: DoubleArray, targets: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """Sum w (t - x @ theta) x over a part of the rows, for given targets t."""
    X, n = rows.X[part], part.stop - part.start
    of_part = LinearRows(targets, rows.intercept, None if rows.weights is None else rows.weights[part])
    product, scratch = np.empty(len(theta)), np.empty((linear.levels(n), len(theta)))
    linear.sums[f"SquaredError|{C_NAMES[rows.dtype]}"](
        SquaredError(), False, True, X, of_part, 0, n, theta, product, scratch)
    return product


def _largest_in(shift: DoubleArray, sizes: DoubleArray, rows: LinearModelData, part: slice) -> float:
    """Compute the largest squared length of a scaled row, times its weight."""
    with np.errstate(all="ignore"):
        scaled = (rows.X[part] - shift) / sizes
        squares = (scaled * scaled).sum(axis=1) + rows.intercept
        return float((squares if rows.weights is None else squares * rows.weights[part]).max())


def _moments_in(shift: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    """Sum w (x - shift) and w (x - shift)**2 over a part of the rows."""
    with np.errstate(all="ignore"):
        X = rows.X[part] - shift
        weights = None if rows.weights is None else rows.weights[part]
        sums = column_sums(X, weights)
        X *= X
        return np.array([sums, column_sums(X, weights)])


def _along_in(shift: DoubleArray, sizes: DoubleArray, directions: DoubleArray, rows: LinearModelData,
              part: slice) -> DoubleArray:
    """Sum w u u' for u = [z @ directions, 1], with z the scaled columns."""
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
    """Compute the mean of each column; of a constant column it is the constant."""
    row = sample[0].astype(np.float64)
    centre: DoubleArray = row + (sample - row).mean(axis=0)
    return centre


def _sizes_of(kind: str, shift: DoubleArray, deviations: DoubleArray) -> DoubleArray:
    """Choose the units of columns of these standard deviations; 1 for constant ones."""
    if not np.isfinite(deviations).all():
        raise ValueError(f"precondition='{kind}' needs columns whose deviations are finite numbers. Scale the data.")
    return np.where(deviations > CONSTANT_DEVIATION * np.abs(shift), deviations, 1.0)


def _deviations_in(covariance: DoubleArray, units: DoubleArray) -> DoubleArray:
    """Compute the standard deviations of columns from their covariance in these units."""
    deviations: DoubleArray = np.sqrt(np.maximum(covariance.diagonal(), 0)) * units
    return deviations


def _scaled(kind: str, shift: DoubleArray, covariance: DoubleArray,
            units: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Compute the sizes of columns and their correlations, which are 0 for constant ones."""
    deviations = _deviations_in(covariance, units)
    sizes = _sizes_of(kind, shift, deviations)
    correlation: DoubleArray = covariance / (sizes / units) / (sizes / units)[:, None]
    is_constant = ~(deviations > CONSTANT_DEVIATION * np.abs(shift))
    correlation[is_constant] = 0.0
    correlation[:, is_constant] = 0.0
    return sizes, correlation
