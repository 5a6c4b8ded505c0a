"""Data in blocks: those of a user's function, and the blocks of any lazy table as chunks, prefetched and checked."""
from __future__ import annotations

import contextlib
import functools
import tempfile
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from fastgd._data.chunked import Chunk, checksum
from fastgd._data.lazy_columns import ColumnRoles, Lazy, RawBlock, Selection, Table, check_cache
from fastgd._data.prefetch import Prefetch
from fastgd._data.spill_cache import Cache, CachedArrays, Spill
from fastgd._frames import column_names, described, frame_of
from fastgd._validation import as_double, as_weights, check_dataset, check_design, is_dask
from fastgd.results import SourceError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from fastgd._data.labels import Labels
    from fastgd._types import DoubleArray, FloatArray, R

__all__ = ["Blocks", "block_chunks"]

#: Bytes of a block that are copied so that its reader may overwrite it; the reader of a larger block waits instead.
BYTES_COPIED = 2**24
_UNCHANGED = "The data must not change during a descent."
#: Names of the arrays as arguments.
_ARGUMENTS = {"X": "X", "targets": "dataset", "weights": "sample_weight"}


class Blocks(Table):
    """Data that a function yields block by block, so that they need not be in memory together.

    A thread reads the next block while one is processed; at most two are in memory. Results are bit-identical to those
    of one array, for any lengths of the blocks. Each pass calls the function anew and must get the same blocks: a
    change of any number raises SourceError.

    Parameters
    ----------
    factory : callable
        ``factory()`` returns an iterable of blocks, a fresh one each time. A block is a 1-D array of points, a tuple
        ``(y,)``, ``(X, y)`` or ``(X, y, sample_weight)``, or a DataFrame. Blocks may have any lengths and share one
        array that the function fills again. Passed as `dataset` without X they contain X and the weights too, and a
        DataFrame of one column is points. ``blocks["tip"]`` and ``blocks[["bill", "size"]]`` are columns of
        DataFrames, which are passed in place of arrays. Iterating over a Blocks calls the function and yields the
        blocks.
    cache : str or PathLike, optional
        Separate folder for uncompressed copies of the columns in use. The first pass writes them; later passes read
        them, and so do later runs that get the same first block and the same columns. By default there is none.

    Raises
    ------
    TypeError
        If `factory` is not callable, such as an iterator, which can be read only once.

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
                            "Blocks(lambda: ...), with a new iterable in place of the dots.")
        self._factory = factory
        self.cache = check_cache(cache)
        self._last: Any = None

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the blocks of a new call of the function."""
        return self._fresh()

    def __repr__(self) -> str:
        return f"Blocks({getattr(self._factory, '__qualname__', type(self._factory).__name__)})"

    def _read(self, roles: ColumnRoles) -> Generator[RawBlock]:
        """Yield the blocks of a new iterator; SourceError where the function raises."""
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
                raw = _select(f"Block {place}", block, roles)
                del block
                yield raw
                del raw
                place += 1
        finally:
            if hasattr(blocks, "close"):
                blocks.close()

    def _fresh(self) -> Iterator[Any]:
        """Call the function; ValueError if it returns the iterator of the last call."""
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
        """Raise TypeError for a single block in place of an iterable of blocks."""
        is_tuple = isinstance(given, tuple) and any(np.ndim(part) > 0 and not isinstance(part, (list, tuple))
                                                    for part in given) and len({np.ndim(part) for part in given}) > 1
        if is_tuple or not hasattr(given, "__iter__") or isinstance(given, (str, bytes, dict)) or (
                frame_of(given, "blocks") is not None) or (isinstance(given, np.ndarray) and given.ndim < 2):
            raise TypeError(f"The factory of {self!r} must return an iterable of blocks. Got {described(given)}, which "
                            "is one block: return it in a list, [block].")


def _unreadable(where: str, error: Exception) -> SourceError:
    return SourceError(f"{where} could not be read: {type(error).__name__}: {error}")


def _select(where: str, block: Any, roles: ColumnRoles) -> RawBlock:
    """Select the columns of a block, or split a block into its roles."""
    frame: Any = None if isinstance(block, tuple) else frame_of(block, where)
    names = None if frame is None or len(frame.shape) == 1 else column_names(block, frame)
    if not roles.is_whole:
        if names is None:
            raise TypeError(f"{where} should be a DataFrame, as its columns are chosen by name. Got an object of type "
                            f"{type(block).__name__}.")
        for name in roles.names:
            if name not in names:
                raise ValueError(f"{where} has no column {name!r}; it has {', '.join(map(repr, names))}.")
            if names.count(name) > 1:
                raise ValueError(f"{where} has several columns {name!r}. Give each a name of its own.")
        X = None if roles.X is None else frame[:, [names.index(name) for name in roles.X]].to_native()
        targets, weights = (None if name is None else frame[:, names.index(name)].to_native()
                            for name in (roles.targets, roles.weights))
        return RawBlock(where, X, targets, weights, roles.X)
    if isinstance(block, tuple):
        if not 1 <= len(block) <= 3:
            raise ValueError(f"{where} should be (y,), (X, y) or (X, y, sample_weight). Got a tuple of {len(block)}.")
        X, targets, weights = block if len(block) == 3 else (*block, None) if len(block) == 2 else (None, *block, None)
        if targets is None:
            raise TypeError(f"{where} should have targets, as (y,), (X, y) or (X, y, sample_weight). Got None for y.")
        return RawBlock(where, X, targets, weights)
    if block is None:
        raise TypeError(f"{where} should be an array, a tuple of arrays or a DataFrame. Got None.")
    if names is not None:
        if len(names) != 1:
            raise ValueError(f"{where} has the columns {', '.join(map(repr, names))}: name the one that is to be "
                             "dataset, blocks['...'], and those of X, blocks[['...', '...']].")
        block = frame[:, 0].to_native()
    return RawBlock(where, None, block, None)


def block_chunks(dataset: Any, X: Any = None, sample_weight: Any = None, labels: Labels | None = None) -> BlockChunks:
    """Return the chunks of arguments of which at least one is lazy; arrays in memory are split by position."""
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
            raise ValueError(f"{name}={value!r} is a whole table. Name the columns that are to be {name}: "
                             f"{name}=table{columns}.")
        if name in lazy and isinstance(value, Selection) and (name == "X") == isinstance(value.names, str):
            what = "a column, and must be a list of them" if name == "X" else "a list of columns, and must be one"
            right = f"[[{value.names!r}]]" if name == "X" else f"[{value.names[0]!r}]"
            raise ValueError(f"{name}={value!r} is {what}: table{right}.")
        if is_dask(value):
            raise TypeError(f"{first} is read in blocks, and {name} by dask: both must be in blocks, or both in dask. "
                            f"Got an object of type {type(value).__name__} for {name}.")
    if isinstance(dataset, Table):
        roles = table._whole()
    else:
        chosen = [value.names if isinstance(value, Selection) else None for value in given.values()]
        roles = ColumnRoles(*cast("tuple[str | None, tuple[str, ...] | None, str | None]", tuple(chosen)))
    table._check_numbers([name for name in roles.names if labels is None or name != roles.targets])
    targets = None if "dataset" in lazy else check_dataset(dataset) if labels is None else labels.check(dataset)
    memory = MemoryArguments(None if X is None or "X" in lazy else check_design(X), targets,
                    None if sample_weight is None or "sample_weight" in lazy else as_weights(sample_weight))
    return BlockChunks(table, roles, memory, labels)


def _table(value: Any) -> Any:
    return value if isinstance(value, Table) else value.table


class MemoryArguments(NamedTuple):
    """Checked arguments in memory: X with the names of its columns, targets, weights."""

    X: tuple[FloatArray, list[str] | None] | None
    targets: FloatArray | None
    weights: FloatArray | None

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays that are not None, by role."""
        return _present(None if self.X is None else self.X[0], self.targets, self.weights)


def _present(X: Any, targets: Any, weights: Any) -> dict[str, Any]:
    parts = {"X": X, "targets": targets, "weights": weights}
    return {role: part for role, part in parts.items() if part is not None}


class _BlockChecksum(NamedTuple):
    """Number of rows and checksum of a block in the first pass."""

    rows: int
    checksum: int


class _Pass:
    """State of a pass: blocks, rows and chunks so far."""

    def __init__(self) -> None:
        self.seen: list[_BlockChecksum] = []
        self.rows = self.chunks = 0
        self.has_weight = False


class BlockChunks:
    """Checked blocks of a lazy table, as `fastgd._data.chunked.Chunks`."""

    what = "block"
    is_remote = False

    def __init__(self, table: Table, roles: ColumnRoles, memory: MemoryArguments, labels: Labels | None = None) -> None:
        self.passes = self.bytes_read = 0
        self._table, self._roles, self._memory = table, roles, memory
        self.names = None if memory.X is None else memory.X[1] if roles.X is None else list(roles.X)
        self._labels = labels
        self._cache = None
        if table.cache is not None and (labels is None or labels.classes is not None):
            classes = [] if labels is None or labels.classes is None else [[*map(str, labels.classes.tolist())]]
            self._cache = Cache(table.cache, [type(table).__name__, roles, *classes])
        self._cached: CachedArrays | None = None
        self._first: list[_BlockChecksum] | None = None
        self._form: dict[str, Any] | None = None
        self._unfinished: Prefetch[RawBlock] | None = None

    def map(self, function: Callable[[Chunk], R]) -> Iterator[R]:
        """Yield `function(chunk)` for the chunks in order, in one pass, while the next block is prefetched."""
        if self._unfinished is not None:
            self._unfinished.thread.join()    # a factory need not support two passes at once
        if self._cached is None and self._cache is not None:
            self._cached = self._find_cached(self._cache)
        self.passes += 1
        this = _Pass()
        with self._spilling(this) as spill:
            raws = self._table._read(self._roles) if self._cached is None else _cached_blocks(self._cached)
            self._unfinished = ahead = Prefetch(raws)
            try:
                for raw in ahead:
                    if raw.is_owned:
                        ahead.request()
                    chunk, is_owned = self._chunk(raw, this, spill)
                    del raw
                    if chunk is not None:
                        if is_owned:
                            ahead.request()
                        self.bytes_read += chunk.nbytes
                        result = function(chunk)
                        del chunk    # before the next one is waited for
                        yield result
                        del result
            finally:
                if ahead.close():
                    self._unfinished = None
            self._end(this)

    @contextlib.contextmanager
    def _spilling(self, this: _Pass) -> Iterator[Spill | None]:
        """Open the files of an empty cache; they become the cache if the pass completes."""
        if self._cache is None or self._cached is not None:
            yield None
            return
        spill = self._cache.spill()
        try:
            yield spill
            lengths = [seen.rows for seen in this.seen]
            names = self.names if self._memory.X is None else None
            self._cached = self._cache.keep(spill, self._table._identity(), lengths, names)
        except BaseException:
            self._cache.discard(spill)
            raise

    def _find_cached(self, cache: Cache) -> CachedArrays | None:
        """Return the cached arrays if the identity of the data, or else their first block, agrees."""
        identity = self._table._identity()
        cached = cache.find(identity)
        if cached is None or identity is not None:
            return cached
        with contextlib.closing(self._table._read(self._roles)) as raws:
            for raw in raws:
                parts = _present(raw.X, raw.targets, raw.weights)
                if any(map(_length, parts.values())):
                    arrays, names = self._check(raw, parts)
                    is_same = arrays.keys() == cached.arrays.keys() and names == cached.names and all(
                        array.dtype == cached.arrays[role].dtype
                        and np.array_equal(array, cached.arrays[role][:len(array)]) for role, array in arrays.items())
                    return cached if is_same else None
        return None

    def _chunk(self, raw: RawBlock, this: _Pass, spill: Spill | None) -> tuple[Chunk | None, bool]:
        """Return a block as a chunk, None if it is empty; and True if its reader may go on."""
        parts = _present(raw.X, raw.targets, raw.weights)
        m = _length(raw.targets if raw.targets is not None else next(iter(parts.values()), ()))
        self._check_rows(raw.where, this, m)
        if not any(map(_length, parts.values())):
            this.seen.append(_BlockChecksum(0, 0))
            return None, True
        arrays, names = self._check(raw, parts)
        self._check_form(raw.where, arrays, names)
        self._check_sums(raw.where, this, _BlockChecksum(m, checksum(arrays.values())))
        arrays, is_owned = (arrays, True) if raw.is_owned else _own_copies(arrays, parts)
        if spill is not None:
            spill.append(arrays)
        arrays |= self._slices(this.rows, m)
        weights = arrays.get("weights")
        chunk = Chunk(this.chunks, arrays.get("X"), arrays["targets"], None if weights is None else as_double(weights))
        this.rows, this.chunks = this.rows + m, this.chunks + 1
        this.has_weight = this.has_weight or weights is None or bool(weights.any())
        return chunk, is_owned

    def _check(self, raw: RawBlock, parts: dict[str, Any]) -> tuple[dict[str, FloatArray], list[str] | None]:
        """Check the parts of a block; return arrays and the columns of X. Errors name the block."""
        names = None if raw.names is None else list(raw.names)
        arrays = {}
        try:
            for role, part in parts.items():
                if getattr(self._memory, role) is not None:
                    raise ValueError(f"it contains {_ARGUMENTS[role]}, which is passed too.")
                if role == "X":
                    arrays[role], found = check_design(part)
                    names = names or found
                elif role == "targets":
                    # A cache holds class indices.
                    is_label = self._labels is not None and self._cached is None
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

    def _error(self, what: str) -> Exception:
        """Return ValueError in the first pass, SourceError later."""
        return ValueError(what) if self._first is None else SourceError(f"{what} {_UNCHANGED}")

    def _check_rows(self, where: str, this: _Pass, m: int) -> None:
        """Raise SourceError for a block whose length differs from the first pass."""
        place = len(this.seen)
        if self._first is None:
            return
        if place == len(self._first):
            raise self._error(f"There are more than {place} blocks, and were {place} in the first pass.")
        if m != self._first[place].rows:
            raise self._error(f"{where} has {m} rows, and had {self._first[place].rows} in the first pass.")

    def _check_sums(self, where: str, this: _Pass, block: _BlockChecksum) -> None:
        """Raise SourceError for a block whose numbers differ from the first pass."""
        if self._first is not None and block != self._first[len(this.seen)]:
            raise self._error(f"{where} has other numbers than in the first pass.")
        this.seen.append(block)

    def _check_form(self, where: str, arrays: dict[str, FloatArray], names: list[str] | None) -> None:
        """Raise an error for a block whose types or columns differ from the first block."""
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
                raise self._error(f"{where} does not go with the first block: {what} is {here}, and was {before}.")

    def _slices(self, start: int, m: int) -> dict[str, FloatArray]:
        """Slice the arrays in memory."""
        for role, array in self._memory.arrays().items():
            if start + m > len(array):
                raise self._error(f"Found input variables with inconsistent numbers of samples: at least {start + m} "
                                  f"rows in blocks, and {len(array)} in {_ARGUMENTS[role]}.")
        return {role: array[start:start + m] for role, array in self._memory.arrays().items()}

    def _end(self, this: _Pass) -> None:
        """Check the totals of a pass, and store the checksums of a first pass."""
        if self._first is not None and len(this.seen) < len(self._first):
            raise self._error(f"There are {len(this.seen)} blocks, and were {len(self._first)} in the first pass.")
        if not this.rows:
            raise ValueError("Found array dataset with 0 sample(s) (shape=(0,)) while a minimum of 1 is required.")
        for role, array in self._memory.arrays().items():
            if len(array) != this.rows:
                raise self._error(f"Found input variables with inconsistent numbers of samples: {this.rows} rows in "
                                  f"blocks, and {len(array)} in {_ARGUMENTS[role]}.")
        if not this.has_weight:
            raise ValueError("The 'sample_weight' parameter must have a number above 0. "
                             f"Got {this.rows} zeros.")
        self._first = this.seen

    def close(self) -> None:
        """Do nothing: no data are kept between passes."""

    @contextlib.contextmanager
    def on_disk(self, folder: str | None = None) -> Iterator[MappedArrays]:
        """Map all rows from files: those of the cache, else nameless ones in `folder`, written in a pass.

        Nameless files vanish at the end, even of a killed process. OSError if the disk is full.
        """
        if self._cache is not None and self._cached is None:
            for _ in self.map(_nothing):
                pass
        if self._cached is not None:
            yield self._map_arrays(self._cached.arrays)
            return
        place = folder or tempfile.gettempdir()
        spill = Spill(lambda role: _nameless(place), place, "Free space there, or set TMPDIR to a folder that has it.")
        try:
            for _ in self.map(functools.partial(_append, spill, [*self._memory.arrays()])):
                pass
            yield self._map_arrays(spill.arrays())
        finally:
            spill.close()

    def _map_arrays(self, arrays: Mapping[str, FloatArray]) -> MappedArrays:
        both = {**arrays, **self._memory.arrays()}
        weights = both.get("weights")
        return MappedArrays(both.get("X"), both["targets"], None if weights is None else as_double(weights))


class MappedArrays(NamedTuple):
    """Arrays of all rows, which need not be in memory."""

    X: FloatArray | None
    targets: FloatArray
    weights: DoubleArray | None


def _nameless(folder: str) -> IO[bytes]:
    """Open a file that vanishes once it is closed, even by a killed process."""
    return tempfile.TemporaryFile(dir=folder)


def _nothing(chunk: Chunk) -> None:
    """Do nothing; for a pass whose effect is the spill to the cache."""


def _append(spill: Spill, in_memory: list[str], chunk: Chunk) -> None:
    """Append the arrays of a chunk that are not in memory."""
    parts = _present(chunk.X, chunk.targets, chunk.weights)
    spill.append({role: part for role, part in parts.items() if role not in in_memory})


def _length(part: Any) -> int:
    """Number of rows of an unchecked part; 1 for an object without a length, which the check refuses."""
    try:
        return len(part)
    except TypeError:
        return 1


def _own_copies(arrays: dict[str, FloatArray], parts: dict[str, Any]) -> tuple[dict[str, FloatArray], bool]:
    """Copy arrays of the caller up to `BYTES_COPIED`; return the arrays, and True if none is the caller's."""
    theirs = [role for role, array in arrays.items() if not _is_new(array, parts[role])]
    if sum(arrays[role].nbytes for role in theirs) > BYTES_COPIED:
        return arrays, False
    return {**arrays, **{role: arrays[role].copy() for role in theirs}}, True


def _is_new(array: FloatArray, part: Any) -> bool:
    """Return True if an array certainly shares no memory with the part from which it was made."""
    is_known = isinstance(part, np.ndarray) or (array.ndim == 2 and frame_of(part, "X") is not None)
    return is_known and array.base is None and array is not part


def _cached_blocks(cached: CachedArrays) -> Generator[RawBlock]:
    """Yield the blocks of a cache."""
    start = 0
    for place, m in enumerate(cached.lengths):
        parts = {role: array[start:start + m] for role, array in cached.arrays.items()}
        start += m
        yield RawBlock(f"Block {place}", parts.get("X"), parts.get("targets"), parts.get("weights"),
                  None if cached.names is None else tuple(cached.names), is_owned=True)
