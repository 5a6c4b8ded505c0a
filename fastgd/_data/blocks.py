"""The blocks of a lazy table as pieces: read one ahead, checked, and as they were in the first pass."""
from __future__ import annotations

import contextlib
import functools
import tempfile
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from fastgd._checks import as_double, as_weights, check_dataset, check_design, is_dask
from fastgd._data.chunked import Piece, digest_of
from fastgd._data.lazy_columns import Lazy, Raw, Selection, Table, Wanted, check_cache
from fastgd._data.prefetch import Ahead
from fastgd._data.spill_cache import Cache, Kept, Spill
from fastgd._frames import column_names, described, frame_of
from fastgd._limits import BYTES_COPIED
from fastgd.results import SourceError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from fastgd._data.labels import Labels
    from fastgd._data.lazy_columns import Table, Wanted
    from fastgd._types import DoubleArray, FloatArray, R


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


_UNCHANGED = "The data must not change during a descent."


class Memory(NamedTuple):
    """The arguments that are in memory, checked: X with the names of its columns, targets, weights."""

    X: tuple[FloatArray, list[str] | None] | None
    targets: FloatArray | None
    weights: FloatArray | None

    def arrays(self) -> dict[str, FloatArray]:
        """Those that there are."""
        return _present(None if self.X is None else self.X[0], self.targets, self.weights)


def _present(X: Any, targets: Any, weights: Any) -> dict[str, Any]:
    parts = {"X": X, "targets": targets, "weights": weights}
    return {role: part for role, part in parts.items() if part is not None}


#: What the arrays are as arguments.
_ARGUMENTS = {"X": "X", "targets": "dataset", "weights": "sample_weight"}


class _Seen(NamedTuple):
    """A block of the first pass: its rows, and a digest of some of them."""

    rows: int
    digest: int


class _Pass:
    """How far a pass is."""

    def __init__(self) -> None:
        self.seen: list[_Seen] = []
        self.rows = self.pieces = 0
        self.has_weight = False


class BlockPieces:
    """The blocks of a lazy table, each checked, as `fastgd._data.chunked` says."""

    what = "block"
    is_remote = False

    def __init__(self, table: Table, wanted: Wanted, memory: Memory, labels: Labels | None = None) -> None:
        self.passes = self.bytes_read = 0
        self._table, self._wanted, self._memory = table, wanted, memory
        self.names = None if memory.X is None else memory.X[1] if wanted.X is None else list(wanted.X)
        self._labels = labels
        self._cache = None
        if table.cache is not None and labels is None:
            self._cache = Cache(table.cache, [type(table).__name__, wanted])
        elif table.cache is not None and labels is not None and labels.classes is not None:
            self._cache = Cache(table.cache, [type(table).__name__, wanted, [*map(str, labels.classes.tolist())]])
        self._kept: Kept | None = None
        self._first: list[_Seen] | None = None
        self._form: dict[str, Any] | None = None
        self._left: Ahead[Raw] | None = None

    def map(self, function: Callable[[Piece], R]) -> Iterator[R]:
        """`function` of each piece, in order: one pass, in which the next block is read meanwhile."""
        if self._left is not None:
            self._left.thread.join()    # as a factory need not bear two passes at once
        if self._kept is None and self._cache is not None:
            self._kept = self._found(self._cache)
        self.passes += 1
        this = _Pass()
        with self._spilling(this) as spill:
            raws = self._table._read(self._wanted) if self._kept is None else _blocks_of(self._kept)
            self._left = ahead = Ahead(raws)
            try:
                for raw in ahead:
                    if raw.is_ours:
                        ahead.ask()
                    piece, is_ours = self._piece(raw, this, spill)
                    del raw
                    if piece is not None:
                        if is_ours:
                            ahead.ask()
                        self.bytes_read += piece.nbytes
                        result = function(piece)
                        del piece    # before the next one is waited for
                        yield result
                        del result
            finally:
                if ahead.close():
                    self._left = None
            self._end(this)

    @contextlib.contextmanager
    def _spilling(self, this: _Pass) -> Iterator[Spill | None]:
        """What the pass writes to the cache, where there is one to be filled; kept if the pass comes to its end."""
        if self._cache is None or self._kept is not None:
            yield None
            return
        spill = self._cache.spill()
        try:
            yield spill
            lengths = [seen.rows for seen in this.seen]
            names = self.names if self._memory.X is None else None
            self._kept = self._cache.keep(spill, self._table._identity(), lengths, names)
        except BaseException:
            self._cache.discard(spill)
            raise

    def _found(self, cache: Cache) -> Kept | None:
        """What the cache has of these data, as far as their first block tells or what they know of themselves."""
        identity = self._table._identity()
        kept = cache.find(identity)
        if kept is None or identity is not None:
            return kept
        with contextlib.closing(self._table._read(self._wanted)) as raws:
            for raw in raws:
                parts = _present(raw.X, raw.targets, raw.weights)
                if any(map(_length, parts.values())):
                    arrays, names = self._checked(raw, parts)
                    is_same = arrays.keys() == kept.arrays.keys() and names == kept.names and all(
                        array.dtype == kept.arrays[role].dtype
                        and np.array_equal(array, kept.arrays[role][:len(array)]) for role, array in arrays.items())
                    return kept if is_same else None
        return None

    def _piece(self, raw: Raw, this: _Pass, spill: Spill | None) -> tuple[Piece | None, bool]:
        """A block with the rows of what is in memory, None if it is empty; and whether it is ours."""
        parts = _present(raw.X, raw.targets, raw.weights)
        m = _length(raw.targets if raw.targets is not None else next(iter(parts.values()), ()))
        self._check_rows(raw.where, this, m)
        if not any(map(_length, parts.values())):
            this.seen.append(_Seen(0, 0))
            return None, True
        arrays, names = self._checked(raw, parts)
        self._check_form(raw.where, arrays, names)
        self._check_digest(raw.where, this, _Seen(m, digest_of(arrays.values())))
        arrays, is_ours = (arrays, True) if raw.is_ours else _owned(arrays, parts)
        if spill is not None:
            spill.append(arrays)
        arrays |= self._slices(this.rows, m)
        weights = arrays.get("weights")
        piece = Piece(this.pieces, arrays.get("X"), arrays["targets"], None if weights is None else as_double(weights))
        this.rows, this.pieces = this.rows + m, this.pieces + 1
        this.has_weight = this.has_weight or weights is None or bool(weights.any())
        return piece, is_ours

    def _checked(self, raw: Raw, parts: dict[str, Any]) -> tuple[dict[str, FloatArray], list[str] | None]:
        """The parts of a block as arrays, and the names of the columns of X; an error names the block."""
        names = None if raw.names is None else list(raw.names)
        arrays = {}
        try:
            for role, part in parts.items():
                if getattr(self._memory, role) is not None:
                    raise ValueError(f"it brings {_ARGUMENTS[role]}, which is given too.")
                if role == "X":
                    arrays[role], found = check_design(part)
                    names = names or found
                elif role == "targets":
                    # A cache has the numbers of the classes.
                    is_label = self._labels is not None and self._kept is None
                    arrays[role] = self._labels.check(part) if is_label else check_dataset(part)    # type: ignore[union-attr]
                else:
                    arrays[role] = as_weights(part)
            if len({len(array) for array in arrays.values()}) > 1:
                raise ValueError("Found input variables with inconsistent numbers of samples: "
                                 f"{[len(array) for array in arrays.values()]} "
                                 f"({', '.join(_ARGUMENTS[role] for role in arrays)})")
        except (ValueError, TypeError) as error:
            if self._first is not None:
                raise SourceError(f"{raw.where} has changed since the first pass: {error} {_UNCHANGED}") from error
            raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{raw.where}: {error}") from error
        return arrays, names

    def _wrong(self, what: str) -> Exception:
        """The error for a block that is not like the first one, or not as it was."""
        return ValueError(what) if self._first is None else SourceError(f"{what} {_UNCHANGED}")

    def _check_rows(self, where: str, this: _Pass, m: int) -> None:
        """Raise SourceError for a block of another length than in the first pass."""
        place = len(this.seen)
        if self._first is None:
            return
        if place == len(self._first):
            raise self._wrong(f"There are more than {place} blocks, and were {place} in the first pass.")
        if m != self._first[place].rows:
            raise self._wrong(f"{where} has {m} rows, and had {self._first[place].rows} in the first pass.")

    def _check_digest(self, where: str, this: _Pass, seen: _Seen) -> None:
        """Raise SourceError for a block of other numbers than in the first pass, as far as a few of them tell."""
        if self._first is not None and seen != self._first[len(this.seen)]:
            raise self._wrong(f"{where} has other numbers than in the first pass.")
        this.seen.append(seen)

    def _check_form(self, where: str, arrays: dict[str, FloatArray], names: list[str] | None) -> None:
        """Raise an error for a block that does not go together with the first one."""
        form: dict[str, Any] = {_ARGUMENTS[role]: array.dtype.type.__name__ for role, array in arrays.items()
                                if role != "targets" or self._labels is None}
        if "X" in arrays:
            form |= {"the number of columns": arrays["X"].shape[1], "the names of columns": names}
        if self._form is None:
            self._form = form
            self.names = self.names or names
        for what in {**self._form, **form}:
            here, before = form.get(what), self._form.get(what)
            if here != before:
                raise self._wrong(f"{where} does not go with the first block: {what} is {here}, and was {before}.")

    def _slices(self, start: int, m: int) -> dict[str, FloatArray]:
        """The next rows of what is in memory."""
        for role, array in self._memory.arrays().items():
            if start + m > len(array):
                raise self._wrong(f"Found input variables with inconsistent numbers of samples: at least {start + m} "
                                  f"rows in blocks, and {len(array)} in {_ARGUMENTS[role]}.")
        return {role: array[start:start + m] for role, array in self._memory.arrays().items()}

    def _end(self, this: _Pass) -> None:
        """Raise an error where the whole is not as it should be, and note what was seen in a first pass."""
        if self._first is not None and len(this.seen) < len(self._first):
            raise self._wrong(f"There are {len(this.seen)} blocks, and were {len(self._first)} in the first pass.")
        if not this.rows:
            raise ValueError("Found array dataset with 0 sample(s) (shape=(0,)) while a minimum of 1 is required.")
        for role, array in self._memory.arrays().items():
            if len(array) != this.rows:
                raise self._wrong(f"Found input variables with inconsistent numbers of samples: {this.rows} rows in "
                                  f"blocks, and {len(array)} in {_ARGUMENTS[role]}.")
        if not this.has_weight:
            raise ValueError("The 'sample_weight' parameter must have a number above 0. "
                             f"Got {this.rows} zeros.")
        self._first = this.seen

    def close(self) -> None:
        """There is nothing to let go of between two passes."""

    @contextlib.contextmanager
    def on_disk(self, folder: str | None = None) -> Iterator[Stored]:
        """All rows in arrays that are mapped from files: those of the cache, or some without a name in `folder`.

        The latter are written in a pass, and gone at the end, by whatever it comes. OSError if the disk is full.
        """
        if self._cache is not None:
            for _ in self.map(_nothing) if self._kept is None else ():
                pass
        if self._kept is not None:
            yield self._stored(self._kept.arrays)
            return
        place = folder or tempfile.gettempdir()
        spill = Spill(lambda role: _nameless(place), place, "Free space there, or set TMPDIR to a folder that has it.")
        try:
            for _ in self.map(functools.partial(_append, spill, [*self._memory.arrays()])):
                pass
            yield self._stored(spill.arrays())
        finally:
            spill.close()

    def _stored(self, arrays: Mapping[str, FloatArray]) -> Stored:
        both = {**arrays, **self._memory.arrays()}
        weights = both.get("weights")
        return Stored(both.get("X"), both["targets"], None if weights is None else as_double(weights))


class Stored(NamedTuple):
    """All rows, in arrays that need not be in memory."""

    X: FloatArray | None
    targets: FloatArray
    weights: DoubleArray | None


def _nameless(folder: str) -> IO[bytes]:
    """A file that is gone once nobody has it open, by whatever the process ends."""
    return tempfile.TemporaryFile(dir=folder)


def _nothing(piece: Piece) -> None:
    """A pass for what comes of reading."""


def _append(spill: Spill, in_memory: list[str], piece: Piece) -> None:
    """Write what of a piece is not in memory."""
    parts = _present(piece.X, piece.targets, piece.weights)
    spill.append({role: part for role, part in parts.items() if role not in in_memory})


def _length(part: Any) -> int:
    """Rows of a part that is not checked; 1 for what has none, which the check refuses."""
    try:
        return len(part)
    except TypeError:
        return 1


def _owned(arrays: dict[str, FloatArray], parts: dict[str, Any]) -> tuple[dict[str, FloatArray], bool]:
    """The arrays, and whether they are ours; small ones of the caller's, which it may fill again, are copied."""
    theirs = [role for role, array in arrays.items() if not _is_new(array, parts[role])]
    if sum(arrays[role].nbytes for role in theirs) > BYTES_COPIED:
        return arrays, False
    return {**arrays, **{role: arrays[role].copy() for role in theirs}}, True


def _is_new(array: FloatArray, part: Any) -> bool:
    """Whether an array was made from the part of a block, and shares no memory with it."""
    is_known = isinstance(part, np.ndarray) or (array.ndim == 2 and frame_of(part, "X") is not None)
    return is_known and array.base is None and array is not part


def _blocks_of(kept: Kept) -> Generator[Raw]:
    """The blocks as they were written to a cache."""
    start = 0
    for place, m in enumerate(kept.lengths):
        parts = {role: array[start:start + m] for role, array in kept.arrays.items()}
        start += m
        yield Raw(f"Block {place}", parts.get("X"), parts.get("targets"), parts.get("weights"),
                  None if kept.names is None else tuple(kept.names), is_ours=True)
