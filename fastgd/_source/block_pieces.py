"""The blocks of a lazy table as pieces: read one ahead, checked, and as they were in the first pass."""
from __future__ import annotations

import contextlib
import functools
import tempfile
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._frames import frame_of
from fastgd._limits import BYTES_COPIED
from fastgd._source.ahead import Ahead
from fastgd._source.cache import Cache, Kept, Spill
from fastgd._source.pieces import Piece, digest_of
from fastgd._source.tables import Raw
from fastgd._validation import as_double, as_weights, check_dataset, check_design
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from fastgd._source.labels import Labels
    from fastgd._source.tables import Table, Wanted
    from fastgd._types import DoubleArray, FloatArray, R

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
    """The blocks of a lazy table, each checked, as `fastgd._source.pieces` says."""

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
