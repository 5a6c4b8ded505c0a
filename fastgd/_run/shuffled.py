"""Stochastic descent on data that are not in memory: on blocks of rows, some of which are shuffled together."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.row_reader import open_row_reader
from fastgd._kernels import shuffle
from fastgd._limits import BLOCKS_TOGETHER, LEAST_OF_A_BLOCK, NUMBERS_OF_A_BLOCK, STOCHASTIC_UPDATES, UNEVEN
from fastgd._theta import is_finite

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data.arrays import ConstantModelData, LinearModelData
    from fastgd._objective import Objective
    from fastgd._settings import Settings
    from fastgd._types import DoubleArray, ModelData, Runner


class Cut:
    """How the rows are cut into blocks, and blocks go into groups; the last, short block is in the last group."""

    def __init__(self, source: ModelData) -> None:
        numbers = source.p if source.is_rows else 1
        self.n, self.size = source.n, max(LEAST_OF_A_BLOCK, NUMBERS_OF_A_BLOCK // numbers)
        self.whole = self.n // self.size
        self.groups = max(1, round(self.whole / BLOCKS_TOGETHER))

    def group(self, k: int, order: Any) -> list[slice]:
        """The blocks of group k, where the whole ones are in this order."""
        some = order[k * self.whole // self.groups:(k + 1) * self.whole // self.groups]
        slices = [slice(start, start + self.size) for start in (self.size * np.sort(some)).tolist()]
        if k == self.groups - 1 and self.n % self.size:
            slices.append(slice(self.whole * self.size, self.n))
        return slices

    def updates(self, batch_size: int) -> int:
        """Updates in an epoch."""
        order = np.arange(self.whole)
        return sum(math.ceil(sum(part.stop - part.start for part in self.group(k, order)) / batch_size)
                   for k in range(self.groups))


class ShuffledBlocks:
    """A stochastic descent on one group of blocks after another.

    Before each epoch the order of the blocks is shuffled, and then the rows of each group, as for data in memory.
    """

    is_deterministic = False

    def __init__(self, objective: Objective, settings: Settings, theta0: Any,
                 runner_of: Callable[[ConstantModelData | LinearModelData, Any], Runner]) -> None:
        source, gradient = objective.source, objective.gradient
        assert source.is_chunked
        assert gradient is not None
        if settings.in_place:
            raise ValueError("in_place=True cannot be used with data that are not in memory.")
        self._blocks, self._runner_of, self._generator = Cut(source), runner_of, settings.bit_generator
        self._batch_size = settings.batch_size or 1
        if self._batch_size > self._blocks.size:
            raise ValueError(f"The 'minibatch_size' parameter must be at most {self._blocks.size} where the data are "
                             f"not in memory. Got {self._batch_size}.")
        self.evaluations, self.at_once = self._batch_size * source.n_parameters, gradient.at_once
        self.theta = self.previous = theta0
        self.ends_when_short = settings.stop == "step"
        self._shelf = open_row_reader(source)
        self._order = np.arange(self._blocks.whole)
        self._group, self._left = self._blocks.groups, 0
        self._runner: Runner | None = None

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        """Updates that it should be asked for at once, and an array for their thetas."""
        most = max(1, min(limit, STOCHASTIC_UPDATES // np.size(self.theta)))
        return most, np.empty((most, *np.shape(self.theta)))

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        """Update, and go on to the next group where one ends."""
        done = 0
        while done < len(alphas):
            if self._runner is None or self._left == 0:
                self._runner = None    # whose rows need not be held beside the next ones
                self._runner = self._next_runner()
            self._runner.ends_when_short = self.ends_when_short
            stop = done + min(self._left, len(alphas) - done)
            count, is_short = self._runner.advance(alphas[done:stop], thetas[done:stop])
            self.theta, self.previous = self._runner.theta, self._runner.previous
            done, self._left = done + count, self._left - count
            if is_short or not is_finite(self.theta):
                return done, is_short
        return done, False

    def _next_runner(self) -> Runner:
        """The runner of the next group; its first epoch is all that is made of it."""
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
        return self._runner_of(rows, self.theta)

    def close(self) -> None:
        """Let go of the data."""
        self._runner = None
        self._shelf.close()


def unevenness(source: Any) -> float | None:
    """How many times as much as by chance the means of blocks differ, in standard deviations, if that is far more.

    Blocks that are all in one group are shuffled whatever their order.
    """
    if not source.is_chunked or Cut(source).groups == 1:
        return None
    blocks = Cut(source)
    found = np.concatenate(source.map_slices(_Moments(blocks.size)))
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
    """For each block that a part has targets of: its number, how many, their sum and that of their squares."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, source: ConstantModelData | LinearModelData, part: slice) -> DoubleArray:
        start, stop = source.start + part.start, source.start + part.stop
        rows = []
        for number in range(start // self._size, (stop - 1) // self._size + 1):
            low, high = max(start, number * self._size), min(stop, (number + 1) * self._size)
            targets = source.targets[low - source.start:high - source.start].astype(np.float64)
            rows.append((number, high - low, targets.sum(), targets @ targets))
        return np.array(rows)
