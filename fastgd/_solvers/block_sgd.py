"""Stochastic descent on data that are not in memory: on blocks of rows, groups of which are shuffled together."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.row_reader import open_row_reader
from fastgd._kernels import shuffle
from fastgd._solvers.base import Steps
from fastgd._solvers.kernel_solvers import STOCHASTIC_UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data import ModelData
    from fastgd._data.arrays import ConstantModelData, LinearModelData
    from fastgd._objective.objective import Objective
    from fastgd._options import DescentOptions
    from fastgd._solvers.base import Solver
    from fastgd._types import DoubleArray

#: Numbers of X in a block, its fewest rows, and blocks that are held and shuffled together: 8 MB of float64.
BLOCK_NUMBERS, MIN_BLOCK_ROWS, BLOCKS_TOGETHER = 2**14, 256, 64
#: Deviation of the means of blocks over its expectation for shuffled rows above which the rows are sorted.
UNEVEN = 4.0


class BlockPartition:
    """Partition of the rows into blocks, and of blocks into groups; the last, short block is in the last group."""

    def __init__(self, data: ModelData) -> None:
        numbers = data.p if data.is_rows else 1
        self.n, self.size = data.n, max(MIN_BLOCK_ROWS, BLOCK_NUMBERS // numbers)
        self.whole = self.n // self.size
        self.groups = max(1, round(self.whole / BLOCKS_TOGETHER))

    def group(self, k: int, order: Any) -> list[slice]:
        """Return the blocks of group k, for this order of the whole blocks."""
        some = order[k * self.whole // self.groups:(k + 1) * self.whole // self.groups]
        slices = [slice(start, start + self.size) for start in (self.size * np.sort(some)).tolist()]
        if k == self.groups - 1 and self.n % self.size:
            slices.append(slice(self.whole * self.size, self.n))
        return slices

    def updates(self, batch_size: int) -> int:
        """Count the updates of an epoch."""
        order = np.arange(self.whole)
        return sum(math.ceil(sum(part.stop - part.start for part in self.group(k, order)) / batch_size)
                   for k in range(self.groups))


class BlockSGD:
    """Stochastic descent on one group of blocks after another.

    The order of the blocks is shuffled before each epoch, and then the rows of each group, as for data in memory.
    """

    is_deterministic = False

    def __init__(self, objective: Objective, options: DescentOptions, theta0: Any, is_constant: bool,
                 solver_of: Callable[[ConstantModelData | LinearModelData, Any, int], Solver]) -> None:
        data, gradient = objective.data, objective.compiled_gradient
        assert data.is_chunked
        assert gradient is not None
        if options.in_place:
            raise ValueError("in_place=True cannot be used with data that are not in memory.")
        self._blocks, self._solver_of, self._generator = BlockPartition(data), solver_of, options.bit_generator
        self._batch_size = options.batch_size or 1
        if self._batch_size > self._blocks.size:
            raise ValueError(f"The 'minibatch_size' parameter must be at most {self._blocks.size} where the data are "
                             f"not in memory. Got {self._batch_size}.")
        self.evaluations, self.at_once = self._batch_size * data.n_parameters, gradient.at_once
        self.theta = self.previous = theta0
        self.capacity = max(1, STOCHASTIC_UPDATES // np.size(theta0))
        self.records_all, self.has_moved, self.stops_when_short = True, is_constant, options.stop == "step"
        self._shelf = open_row_reader(data)
        self._order = np.arange(self._blocks.whole)
        self._group, self._left, self._done = self._blocks.groups, 0, 0
        self._solver: Solver | None = None

    def advance(self, most: int) -> Steps:
        """Make updates in the present group, or in the next one if it has ended."""
        if self._solver is None or self._left == 0:
            self._solver = None    # its rows are not held beside those of the next group
            self._solver = self._next_solver()
        solver = self._solver
        solver.stops_when_short, solver.records_all = self.stops_when_short, True
        steps = solver.advance(min(most, self.capacity, self._left))
        self.theta, self.previous, self.has_moved = solver.theta, solver.previous, solver.has_moved
        self._done += len(steps.step_sizes)
        self._left -= len(steps.step_sizes)
        return steps

    def _next_solver(self) -> Solver:
        """Make the solver of the next group, for one epoch of it."""
        assert self._generator is not None
        if self._group == self._blocks.groups:
            self._group = 0
            self._shelf.begin_epoch()
            if self._blocks.whole > 1:
                with self._generator.lock:
                    shuffle.shuffle["Py_ssize_t"](self._generator.capsule, self._order, self._blocks.whole - 1, 0)
        rows = self._shelf.rows(self._blocks.group(self._group, self._order))
        self._group += 1
        self._left = math.ceil(rows.n / self._batch_size)
        solver = self._solver_of(rows, self.theta, self._done)
        solver.has_moved = solver.has_moved or self.has_moved
        return solver

    def close(self) -> None:
        """Close the data."""
        self._solver = None
        self._shelf.close()


def unevenness(data: Any) -> float | None:
    """Compute the deviation of the means of blocks over its expectation for shuffled rows; None if not far above 1.

    A single group is shuffled as a whole, so that its order has no effect.
    """
    if not data.is_chunked or BlockPartition(data).groups == 1:
        return None
    blocks = BlockPartition(data)
    found = np.concatenate(data.map_slices(_Moments(blocks.size)))
    numbers, at = np.unique(found[:, 0], return_inverse=True)
    counts, sums, squares = (np.bincount(at, found[:, k], len(numbers)) for k in (1, 2, 3))
    with np.errstate(all="ignore"):
        means = sums / counts
        centre = sums.sum() / counts.sum()
        within = (squares - counts * means**2).sum() / (counts.sum() - len(counts))
        between = (counts * (means - centre) ** 2).sum() / (len(counts) - 1)
        ratio = math.sqrt(between / within) if within > 0 else math.inf if between > 0 else 1.0
    return ratio if ratio > UNEVEN else None


class _Moments:
    """Return for each block its number, and the count, the sum and the sum of squares of its targets in a part."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, data: ConstantModelData | LinearModelData, part: slice) -> DoubleArray:
        start, stop = data.start + part.start, data.start + part.stop
        rows = []
        for number in range(start // self._size, (stop - 1) // self._size + 1):
            low, high = max(start, number * self._size), min(stop, (number + 1) * self._size)
            targets = data.targets[low - data.start:high - data.start].astype(np.float64)
            rows.append((number, high - low, targets.sum(), targets @ targets))
        return np.array(rows)
