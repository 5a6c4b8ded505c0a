"""Data in blocks that come one after another: what a user's function brings, and what is read of any lazy table."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastgd._frames import column_names, described, frame_of
from fastgd._source.block_pieces import BlockPieces, Memory
from fastgd._source.tables import Lazy, Raw, Selection, Table, Wanted, check_cache
from fastgd._validation import as_weights, check_dataset, check_design, is_dask
from fastgd.results import SourceError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator

    from fastgd._source.labels import Labels

__all__ = ["Blocks", "pieces_of"]


class Blocks(Table):
    """Data that a function brings block by block, so that they need not be in memory together.

    One block is worked on while the next one is read, in a thread; no more of them are in memory. The answers have the
    bits of those on one array, wherever the blocks are cut. Each pass calls the function anew, and blocks must then be
    the same: a change of any number is noticed.

    Parameters
    ----------
    factory : callable
        ``factory()`` returns an iterable of blocks, a fresh one each time. A block is a 1-D array of points, a tuple
        ``(y,)``, ``(X, y)`` or ``(X, y, sample_weight)``, or a DataFrame. Blocks may have any lengths, and share one
        array that the function fills again. Given as `dataset` alone they bring X and the weights with them, and a
        DataFrame of one column is points. ``blocks["tip"]`` and ``blocks[["bill", "size"]]`` are columns of
        DataFrames; these go where arrays go. Iterating over a Blocks calls the function too, and gives the blocks.
    cache : str or PathLike, optional
        A folder of its own for raw copies of the columns in use. The first pass writes them, later ones read them, and
        so do later runs that get the same first block and the same columns.

    Raises
    ------
    TypeError
        If `factory` is no function: an iterator, for one, can be read only once.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import Blocks, grad_mse, minimize, mse
    >>> rng = np.random.default_rng(0)
    >>> parts = [rng.normal(15, 3, size) for size in (1000, 10, 500)]
    >>> theta = minimize(mse, grad_mse, Blocks(lambda: parts), progress=False)
    >>> theta == minimize(mse, grad_mse, np.concatenate(parts), progress=False)
    True
    """

    def __init__(self, factory: Callable[[], Iterable[Any]], *, cache: str | os.PathLike[str] | None = None) -> None:
        if not callable(factory):
            once = ", which can be read only once" if hasattr(factory, "__next__") else ""
            raise TypeError("The 'factory' parameter must be a function that returns a fresh iterable of blocks each "
                            f"time it is called. Got an object of type {type(factory).__name__}{once}: write "
                            "Blocks(lambda: ...), with what makes it in place of the dots.")
        self._factory = factory
        self.cache = check_cache(cache)
        self._last: Any = None

    def __iter__(self) -> Iterator[Any]:
        """The blocks that a fresh call of the function brings, as they are."""
        return self._fresh()

    def __repr__(self) -> str:
        return f"Blocks({getattr(self._factory, '__qualname__', type(self._factory).__name__)})"

    def _read(self, wanted: Wanted) -> Generator[Raw]:
        """The blocks of a fresh iterator; SourceError where the function raises."""
        place = 0
        blocks = self._fresh()
        try:
            while True:
                try:
                    block = next(blocks)
                except StopIteration:
                    return
                except Exception as error:
                    raise _unreadable(f"Block {place}", error) from error
                raw = _selected(f"Block {place}", block, wanted)
                del block
                yield raw
                del raw
                place += 1
        finally:
            if hasattr(blocks, "close"):
                blocks.close()

    def _fresh(self) -> Iterator[Any]:
        try:
            given = self._factory()
        except Exception as error:
            raise _unreadable("Block 0", error) from error
        self._check_iterable(given)
        blocks = iter(given)
        if blocks is given:
            if blocks is self._last:
                raise ValueError(f"The factory of {self!r} returned the same {type(given).__name__} again, which can "
                                 "be read only once. It must make a fresh one each time it is called.")
            self._last = blocks
        return blocks


    def _check_iterable(self, given: Any) -> None:
        """Raise TypeError for one block in place of an iterable of blocks."""
        is_tuple = isinstance(given, tuple) and any(np.ndim(part) > 0 and not isinstance(part, (list, tuple))
                                                    for part in given) and len({np.ndim(part) for part in given}) > 1
        if is_tuple or not hasattr(given, "__iter__") or isinstance(given, (str, bytes, dict)) or (
                frame_of(given, "blocks") is not None) or (isinstance(given, np.ndarray) and given.ndim < 2):
            raise TypeError(f"The factory of {self!r} must return an iterable of blocks. Got {described(given)}, which "
                            "is one block: return it in a list, [block].")


def _unreadable(where: str, error: Exception) -> SourceError:
    return SourceError(f"{where} could not be read: {type(error).__name__}: {error}")


def _selected(where: str, block: Any, wanted: Wanted) -> Raw:
    """What is wanted of a block; of a block that is wanted as it is, what it consists of."""
    frame: Any = None if isinstance(block, tuple) else frame_of(block, where)
    names = None if frame is None or len(frame.shape) == 1 else column_names(block, frame)
    if not wanted.is_whole:
        if names is None:
            raise TypeError(f"{where} should be a DataFrame, as its columns are chosen by name. Got an object of type "
                            f"{type(block).__name__}.")
        for name in wanted.names:
            if name not in names:
                raise ValueError(f"{where} has no column {name!r}; it has {', '.join(map(repr, names))}.")
            if names.count(name) > 1:
                raise ValueError(f"{where} has several columns {name!r}. Give each a name of its own.")
        X = None if wanted.X is None else frame[:, [names.index(name) for name in wanted.X]].to_native()
        targets, weights = (None if name is None else frame[:, names.index(name)].to_native()
                            for name in (wanted.targets, wanted.weights))
        return Raw(where, X, targets, weights, wanted.X)
    if isinstance(block, tuple):
        if not 1 <= len(block) <= 3:
            raise ValueError(f"{where} should be (y,), (X, y) or (X, y, sample_weight). Got a tuple of {len(block)}.")
        X, targets, weights = block if len(block) == 3 else (*block, None) if len(block) == 2 else (None, *block, None)
        if targets is None:
            raise TypeError(f"{where} should have targets, as (y,), (X, y) or (X, y, sample_weight). Got None for y.")
        return Raw(where, X, targets, weights)
    if block is None:
        raise TypeError(f"{where} should be an array, a tuple of arrays or a DataFrame. Got None.")
    if names is not None:
        if len(names) != 1:
            raise ValueError(f"{where} has the columns {', '.join(map(repr, names))}: name the one that is to be "
                             "dataset, blocks['...'], and those of X, blocks[['...', '...']].")
        block = frame[:, 0].to_native()
    return Raw(where, None, block, None)


def pieces_of(dataset: Any, X: Any = None, sample_weight: Any = None, labels: Labels | None = None) -> BlockPieces:
    """What reads the arguments of a verb, of which one at least is lazy; those in memory are cut by position."""
    given = {"dataset": dataset, "X": X, "sample_weight": sample_weight}
    lazy = {name: value for name, value in given.items() if isinstance(value, Lazy)}
    first = next(iter(lazy))
    table = _table(lazy[first])
    for name, value in given.items():
        if name in lazy and _table(value) is not table:
            raise ValueError(f"{first} and {name} must come from one table, so that their rows belong together. "
                             f"Got {first}={lazy[first]!r} and {name}={value!r}, of another table.")
        if name in lazy and isinstance(value, Table) and (name != "dataset" or len(lazy) > 1):
            columns = "[['...', '...']]" if name == "X" else "['...']"
            raise ValueError(f"{name}={value!r} is a whole table, beside columns of it or in their place. Name the "
                             f"columns that are to be {name}: {name}=table{columns}.")
        if name in lazy and isinstance(value, Selection) and (name == "X") == isinstance(value.names, str):
            what = "a column, and must be a list of them" if name == "X" else "a list of columns, and must be one"
            right = f"[[{value.names!r}]]" if name == "X" else f"[{value.names[0]!r}]"
            raise ValueError(f"{name}={value!r} is {what}: table{right}.")
        if is_dask(value):
            raise TypeError(f"{first} is read in blocks, and {name} by dask: both must be in blocks, or both in dask. "
                            f"Got an object of type {type(value).__name__} for {name}.")
    if isinstance(dataset, Table):
        wanted = table._whole()
    else:
        chosen = [value.names if isinstance(value, Selection) else None for value in given.values()]
        wanted = Wanted(*cast("tuple[str | None, tuple[str, ...] | None, str | None]", tuple(chosen)))
    table._check_numbers([name for name in wanted.names if labels is None or name != wanted.targets])
    targets = None if "dataset" in lazy else check_dataset(dataset) if labels is None else labels.check(dataset)
    memory = Memory(None if X is None or "X" in lazy else check_design(X), targets,
                    None if sample_weight is None or "sample_weight" in lazy else as_weights(sample_weight))
    return BlockPieces(table, wanted, memory, labels)


def _table(value: Any) -> Any:
    return value if isinstance(value, Table) else value.table

