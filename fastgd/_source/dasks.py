"""Data in chunks of dask: from the ambient client's workers, or computed anew in each pass by dask's own schedulers."""
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastgd._source.chunks import chunks_of
from fastgd._source.cluster import Answer, Cluster, Raised, answer, dumped
from fastgd._validation import is_dask
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastgd._source.chunks import Chunks
    from fastgd._source.labels import Labels
    from fastgd._source.pieces import Piece
    from fastgd._types import R


def pieces_of(dataset: Any, X: Any, sample_weight: Any, labels: Labels | None = None) -> DaskPieces:
    """The pieces of arguments of which at least one is a dask collection.

    Parameters
    ----------
    dataset : dask array or Series of n numbers, or array-like
    X : dask array or DataFrame of n rows, array-like or None
    sample_weight : dask array or Series of n numbers, array-like or None
    labels : Labels or None
        How `dataset` is read if it is of labels.

    Returns
    -------
    DaskPieces
        With the client that dask itself would use, its chunks stay in the workers' memory.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or if what is known before anything is read does not agree.
    """
    get, client = _ambient([value for value in (dataset, X, sample_weight) if is_dask(value)])
    chunks = chunks_of(dataset, X, sample_weight, client is not None, labels)
    return DaskPieces(chunks, _Scheduler(get, chunks) if client is None else Cluster(client, chunks))


def check_can_be_sent(function: object) -> None:
    """Raise TypeError if it cannot be sent where dask's ambient scheduler computes; before anything is read."""
    get, _ = _ambient([])
    if not _is_here(get):
        dumped(function)


def _ambient(collections: list[Any]) -> tuple[Any, Any]:
    """The scheduler that dask would use for the collections, and the client whose it is, or None."""
    from dask.base import get_scheduler

    get = get_scheduler(collections=collections[:1])
    client = getattr(get, "__self__", None)    # of a client's own method
    return get, client if hasattr(client, "who_has") else None


def _is_here(get: Any) -> bool:
    """Whether a scheduler computes in this process; None is what each collection has as its own, which is threads."""
    from dask import local, threaded

    return get in (None, threaded.get, local.get_sync)


class DaskPieces:
    """The chunks of dask collections, as `fastgd._source.pieces.Pieces` are described."""

    what = "chunk"
    is_remote = True

    def __init__(self, chunks: Chunks, where: Cluster | _Scheduler) -> None:
        self.names = chunks.names
        self.passes = chunks.passes
        self.bytes_read = 0
        self._where = where
        self._digests: dict[int, int] = {}    # of the first pass, by the number of the chunk

    def map(self, function: Callable[[Piece], R], places: Sequence[int] | None = None) -> Iterator[R]:
        """`function` of each piece, in order, all computed at the call: one pass.

        After the first pass those at some `places` can be asked alone, and only they are read.
        """
        answers = self._where.answers(function, places)
        asked = self._where.numbers if places is None else [self._where.numbers[place] for place in places]
        for number, found in zip(asked, answers, strict=True):
            if self._digests.setdefault(number, found.digest) != found.digest:
                raise SourceError(f"Chunk {number} has other numbers than in the first pass. The data must not change "
                                  "during a descent: persist() a collection that is computed at random.")
        self.bytes_read += sum(found.nbytes for found in answers)
        self.passes += places is None
        return iter([found.value for found in answers])

    def close(self) -> None:
        """Let the workers forget the pieces; a pass brings them again."""
        self._where.close()


class _Scheduler:
    """The pieces by one of dask's schedulers without a client: each pass computes the graph anew and keeps nothing."""

    def __init__(self, get: Any, chunks: Chunks) -> None:
        self._get, self._tasks, self.numbers = get, chunks.tasks, chunks.numbers
        self._lengths = chunks.lengths

    def answers(self, function: Callable[[Piece], Any], places: Sequence[int] | None = None) -> list[Answer]:
        """The function's answers for the pieces at these places, or for all, in order."""
        if not _is_here(self._get):
            dumped(function)
        found = self._computed(function, range(len(self._tasks)) if places is None else places)
        if self._lengths is not None:
            return found
        kept = [place for place, each in enumerate(found) if each is not None]
        if not kept:
            raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
        self._lengths = [found[place].n_rows for place in kept]
        if len(kept) == len(found):
            return found
        # The function was told of places that count the empty chunks too.
        self._tasks, self.numbers = [self._tasks[k] for k in kept], [self.numbers[k] for k in kept]
        return self._computed(function, range(len(kept)))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _computed(self, function: Callable[[Piece], Any], places: Sequence[int]) -> list[Answer]:
        import dask

        asked = dask.delayed(partial(answer, function), name="fastgd-pass", pure=False, traverse=False)
        tasks = [asked(self.numbers[place], place, None if self._lengths is None else self._lengths[place],
                       self._tasks[place]) for place in places]
        try:
            return list(dask.compute(*tasks, scheduler=self._get, traverse=False, optimize_graph=False))
        except Raised as raised:
            raise raised.error from None
        except Exception as error:
            raise SourceError(f"A chunk cannot be read: {type(error).__name__}: {error}") from error
