"""Pieces in the memory of dask's workers, as futures of a `distributed.Client`; a pass is one task for each worker."""
from __future__ import annotations

import contextlib
import pickle
import sys
import time
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._checks import check_dataset, check_design, is_dask
from fastgd._data.chunked import Piece, digest_of
from fastgd._limits import LOOK_AT_TASKS, NO_WORKERS
from fastgd._thread_pool import shared
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._data.chunked import Piece
    from fastgd._data.labels import Labels
    from fastgd._types import DoubleArray, FloatArray, R


#: What the rows of an argument are called where lengths differ.
_ROWS_OF = {"X": "rows of X", "dataset": "points of dataset", "sample_weight": "sample_weight"}


class Chunks(NamedTuple):
    """Chunks in order, without those that are known to be empty.

    Attributes
    ----------
    numbers : list of int
        The place of each among the chunks of the dask collection.
    tasks : list of dask.delayed.Delayed
        Of each the task whose answer is its piece; None of an empty one, and the error of one that was refused.
    lengths : list of int or None
        Their rows, where these are known.
    names : list of str or None
        The columns of X, if it has names.
    passes : int
        How often the data were read for it.
    """

    numbers: list[int]
    tasks: list[Any]
    lengths: list[int] | None
    names: list[str] | None
    passes: int


class _Expected(NamedTuple):
    """What each chunk has to have: the types of X and of the targets, or that these are labels, and the columns."""

    dtypes: dict[str, np.dtype[Any]]
    names: list[str] | None
    labels: Labels | None = None


def chunks_of(dataset: Any, X: Any, sample_weight: Any, is_kept: bool, labels: Labels | None = None) -> Chunks:
    """The chunks of arguments of which at least one is a dask collection; those in memory are cut by position.

    Where chunks of unknown lengths have to agree with lengths that are known, they are counted, which is a pass. Pieces
    that are kept have memory of their own.

    Raises
    ------
    TypeError, ValueError
        If an argument is another of dask's objects, has other dimensions, or if lengths differ.
    """
    given = {name: value for name, value in (("X", X), ("dataset", dataset), ("sample_weight", sample_weight))
             if value is not None}
    lazy = {name: _checked_collection(value, name, given) for name, value in given.items() if is_dask(value)}
    checked = {name: _in_memory(value, name, labels) for name, value in given.items() if name not in lazy}
    ready = {name: array for name, (array, _) in checked.items()}
    names = checked["X"][1] if "X" in checked else _names_of(X)
    expected = _Expected({**{name: _dtype_of(value) for name, value in lazy.items()},
                          **{name: array.dtype for name, array in ready.items()}}, names, labels)
    lengths, passes = _lengths(lazy, bool(ready))
    if lengths is not None:
        _check_totals(lengths, lazy, ready)
    parts: dict[str, list[Any]] = _tasks_of(lazy, lengths)
    parts.update({name: _cut(array, lengths) for name, array in ready.items()})
    count = len(next(iter(parts.values())))
    kept = [number for number in range(count) if lengths is None or lengths[number] > 0]
    if not kept:
        raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
    return Chunks(kept, _tasks(parts, kept, partial(prepared, expected, is_kept)),
                  None if lengths is None else [lengths[number] for number in kept], names, passes)


def _tasks(parts: dict[str, list[Any]], kept: list[int], function: Callable[..., Any]) -> list[Any]:
    """Of each chunk the task that makes a piece of its parts; a token makes its name one of its own."""
    import uuid

    from dask import delayed

    token = uuid.uuid4().hex
    prepare = delayed(function, name="fastgd-chunk", pure=False, traverse=False)
    return [prepare(number, *(parts[name][number] if name in parts else None for name in _ROWS_OF),
                    dask_key_name=f"fastgd-chunk-{token}-{number}") for number in kept]


def _checked_collection(value: Any, name: str, given: dict[str, Any]) -> Any:
    """`value` if it is a dask array, Series or DataFrame of the dimensions that the argument has."""
    import dask.array

    frames = sys.modules.get("dask.dataframe")    # without which there is no DataFrame
    is_frame = frames is not None and isinstance(value, (frames.DataFrame, frames.Series))
    if not is_frame and not isinstance(value, dask.array.Array):
        raise TypeError(f"The '{name}' parameter cannot be a {type(value).__name__} of {type(value).__module__}. Pass "
                        "a dask array, Series or DataFrame: dask.array.from_delayed and dask.dataframe.from_delayed "
                        "make one of delayed objects, Bag.to_dataframe() of a bag.")
    if name == "X" and value.ndim != 2:
        raise ValueError(f"Expected 2D array, got a dask {type(value).__name__} of {value.ndim} dimension(s) instead. "
                         f"{'Select columns by a list, ' if is_frame else ''}"
                         f"{'X[[name]]' if is_frame else 'X.reshape(-1, 1) makes one column of it'}.")
    if name != "X" and value.ndim != 1:
        what = f"the columns {', '.join(map(str, value.columns[:5]))}" if is_frame else f"{value.ndim} dimensions"
        instead = f" Name the column, {name}[{str(value.columns[-1])!r}]" if is_frame and len(value.columns) else ""
        more = f", and give the others as X={name}[[...]]." if instead and "X" not in given else "." if instead else ""
        raise ValueError(f"Input {name} should be a 1d array, got a dask {type(value).__name__} with {what} instead."
                         f"{instead}{more}")
    return value


def _in_memory(value: Any, name: str, labels: Labels | None) -> tuple[NDArray[Any], list[str] | None]:
    """An argument that is no dask collection, checked whole, and its columns."""
    if name == "X":
        return check_design(value)
    return (_checked_targets(value, labels) if name == "dataset" else _checked_weights(value)), None


def _checked_targets(values: Any, labels: Labels | None) -> NDArray[Any]:
    return check_dataset(values) if labels is None else labels.check(values)


def _checked_weights(values: Any) -> DoubleArray:
    """Numbers of at least 0 in float64; all of a chunk may be 0, or equal."""
    array = check_dataset(values, "sample_weight")
    if array.min() < 0:
        raise ValueError(f"The 'sample_weight' parameter must be numbers in the range [0, inf). Got {array.min():g} at "
                         f"position {int(array.argmin())}.")
    double: DoubleArray = array.astype(np.float64, copy=False)
    return double


def _names_of(X: Any) -> list[str] | None:
    return [str(column) for column in X.columns] if hasattr(X, "columns") else None


def _dtype_of(value: Any) -> np.dtype[Any]:
    """What the chunks of a dask collection are to be once they are checked: float32 if all of it is, else float64."""
    dtypes = value.dtypes if hasattr(value, "columns") and value.ndim == 2 else [value.dtype]
    is_single = len(dtypes) > 0 and all(str(dtype).lower().lstrip("<>=") in ("float32", "f4") for dtype in dtypes)
    return np.dtype(np.float32 if is_single else np.float64)


def _lengths(lazy: dict[str, Any], is_needed: bool) -> tuple[list[int] | None, int]:
    """The lengths of the chunks and how many passes it took to know them; None where each chunk can say so itself.

    Chunks of unknown lengths cannot be cut anew: they lead, and what has known lengths follows.
    """
    unknown = {name: value for name, value in lazy.items() if _known(value) is None}
    if not unknown:
        return _known(next(iter(lazy.values()))), 0
    counts = {name: value.npartitions if hasattr(value, "divisions") else value.numblocks[0]
              for name, value in unknown.items()}
    if len(set(counts.values())) > 1:
        raise ValueError("Found chunks of unknown lengths that do not belong together: "
                         f"{', '.join(f'{count} of {name}' for name, count in counts.items())}. Take all from one dask "
                         "DataFrame, or make the lengths of arrays known: array.compute_chunk_sizes().")
    if not is_needed and len(unknown) == len(lazy):
        return None, 0
    return _counted(next(iter(unknown.values()))), 1


def _known(value: Any) -> list[int] | None:
    """The lengths of the chunks, or None if they are not known before they are read."""
    if hasattr(value, "divisions") or any(map(np.isnan, value.chunks[0])):
        return None
    return list(value.chunks[0])


def _counted(value: Any) -> list[int]:
    """The rows of each chunk, of one column of which they are read."""
    import dask

    column = value[list(value.columns[:1])] if hasattr(value, "columns") and value.ndim == 2 else value
    parts = _tasks_of({"counted": column}, None)["counted"]
    try:
        return list(dask.compute(*[dask.delayed(len)(part) for part in parts]))
    except Exception as error:
        raise SourceError(f"The rows of the chunks cannot be counted: {type(error).__name__}: {error}") from error


def _check_totals(lengths: list[int], lazy: dict[str, Any], ready: dict[str, FloatArray]) -> None:
    """Raise ValueError unless all that is known to have a length has the same."""
    totals = {name: len(ready[name]) if name in ready else _known(lazy[name]) for name in _ROWS_OF
              if name in ready or name in lazy}
    numbers = {name: sum(lengths) if known is None else known if isinstance(known, int) else sum(known)
               for name, known in totals.items()}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {list(numbers.values())} "
                         f"({', '.join(_ROWS_OF[name] for name in numbers)})")


def _tasks_of(lazy: dict[str, Any], lengths: list[int] | None) -> dict[str, list[Any]]:
    """Of each collection a delayed object for each chunk, all columns of X in one, arrays cut as `lengths` say.

    Frames read the columns that they have, and nothing else of dask's `optimize` is done to them: it would fuse small
    partitions of a file, more of them the fewer columns are read, so that those of X and of the targets would differ.
    """
    import dask

    frames = {name: value for name, value in lazy.items() if hasattr(value, "divisions")}
    arrays = {name: _rechunked(value, lengths) for name, value in lazy.items() if name not in frames}
    optimized = dict(zip(arrays, dask.optimize(*arrays.values()), strict=True))
    return {**{name: value.simplify().lower_completely().to_delayed(optimize_graph=False)
               for name, value in frames.items()},
            **{name: value.to_delayed(optimize_graph=False).ravel().tolist() for name, value in optimized.items()}}


def _rechunked(array: Any, lengths: list[int] | None) -> Any:
    known = _known(array)
    chunks: dict[int, Any] = {} if known is None or lengths in (None, known) else {0: tuple(lengths)}
    if array.ndim == 2 and len(array.chunks[1]) > 1:
        chunks[1] = -1
    return array.rechunk(chunks) if chunks else array


def _cut(array: NDArray[Any], lengths: list[int] | None) -> list[NDArray[Any]]:
    assert lengths is not None
    stops = list(accumulate(lengths))
    return [array[stop - length:stop] for stop, length in zip(stops, lengths, strict=True)]


def prepared(expected: _Expected, is_kept: bool, number: int, X: Any, targets: Any,
             weights: Any) -> Piece | TypeError | ValueError | None:
    """The piece of a chunk, checked; None if it is empty, and the error if it is refused.

    The error is an answer, as dask would log one that is raised, and could not tell it from one of the user's tasks.
    """
    try:
        piece = _piece(expected, number, X, targets, weights)
        return _owned(piece) if is_kept and piece is not None else piece
    except (TypeError, ValueError) as error:
        return (TypeError if isinstance(error, TypeError) else ValueError)(f"Chunk {number}: {error}")


def _piece(expected: _Expected, number: int, X: Any, targets: Any, weights: Any) -> Piece | None:
    given = {name: part for name, part in zip(_ROWS_OF, (X, targets, weights), strict=True) if part is not None}
    lengths = {name: len(part) for name, part in given.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {list(lengths.values())} "
                         f"({', '.join(_ROWS_OF[name] for name in lengths)})")
    if lengths["dataset"] == 0:
        return None
    arrays: dict[str, Any] = {"dataset": _checked_targets(targets, expected.labels)}
    if X is not None:
        arrays["X"], names = check_design(X)
        if names != expected.names:
            raise ValueError(f"X has the columns {names}, and the whole has {expected.names}.")
    if weights is not None:
        arrays["sample_weight"] = _checked_weights(weights)
    for name in ("X", "dataset") if expected.labels is None else ("X",):
        if name in arrays and arrays[name].dtype != expected.dtypes[name]:
            raise ValueError(f"{name} is {arrays[name].dtype} here, and the whole is {expected.dtypes[name]}. All "
                             "chunks must have one dtype.")
    return Piece(number, arrays.get("X"), arrays["dataset"], arrays.get("sample_weight"))


def _owned(piece: Piece) -> Piece:
    """The piece without what its arrays are only views of, such as a frame with many columns more."""
    arrays = {name: getattr(piece, name) for name in ("X", "targets", "weights")}
    return piece._replace(**{name: array.copy() for name, array in arrays.items()
                             if array is not None and not array.flags.owndata})


#: What every message on a descent that cannot go on ends with.
GOES_ON = "theta0=error.result.x goes on from where the descent was."


class Answer(NamedTuple):
    """What a function answered for a piece, how much it read, and a digest of the rows."""

    n_rows: int
    nbytes: int
    digest: int
    value: Any


class Raised(Exception):
    """What a function of the package raised, as distinct from what a task of the user's graph or dask did."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def answer(function: Callable[[Piece], Any], number: int, place: int, n_rows: int | None,
           piece: Piece | Exception | None) -> Answer | None:
    """What the function says to the piece at a place; None if the chunk is empty.

    Raised if the chunk was refused, has not `n_rows` any more, or if the function raises.
    """
    try:
        if isinstance(piece, Exception):
            raise piece
        found = 0 if piece is None else len(piece.targets)
        if n_rows is not None and found != n_rows:
            raise SourceError(f"Chunk {number} has {found} rows, and had {n_rows} in the first pass. The data must not "
                              "change during a descent.")
        return None if piece is None else Answer(
            found, piece.nbytes, digest_of(piece[1:]), function(piece._replace(place=place)))
    except Exception as error:
        raise Raised(error) from error


class Cluster:
    """The pieces on the workers of a client. They are brought there by the first pass, and let go after an error."""

    def __init__(self, client: Any, chunks: Chunks) -> None:
        self._client = client
        self._chunks = chunks
        self._pieces: list[Any] = []
        self.numbers: list[int] = []
        self._lengths: list[int] | None = None
        _leave_the_pool()

    def answers(self, function: Callable[[Piece], Any], places: Sequence[int] | None = None) -> list[Answer]:
        """The function's answers for the pieces at these places, or for all, in order.

        SourceError if the client or the cluster is closed meanwhile.
        """
        import distributed

        try:
            return self._answers(dumped(function), places)
        except SourceError:
            raise
        except Exception as error:
            # OSError where a connection is closed; a client that is closed raises what comes to its mind.
            if isinstance(error, (distributed.CancelledError, OSError)) or self._client.status != "running":
                raise SourceError(f"The client or its cluster was closed, or tasks were cancelled ({_said(error)}). "
                                  f"With another client {GOES_ON}") from error
            raise

    def _answers(self, sent: bytes, places: Sequence[int] | None) -> list[Answer]:
        if not self._pieces:
            self._load()
        assert self._lengths is not None
        places = range(len(self._pieces)) if places is None else places
        found: dict[int, Answer] = {}
        tasks: list[Any] = []
        try:
            for worker, group in self._by_worker(places).items():
                asked = [(self.numbers[place], place, self._lengths[place]) for place in group]
                tasks.append(self._client.submit(
                    _answers, sent, asked, [self._pieces[place] for place in group], pure=False,
                    key=f"fastgd-pass-{time.perf_counter_ns():x}-{len(tasks)}",
                    **({"workers": [worker], "allow_other_workers": True} if worker else {})))
            self._await(tasks, lambda done: found.update(_checked(done)))
        except BaseException:
            self._let_go(tasks)
            raise
        return [found[place] for place in places]

    def close(self) -> None:
        """Let the workers forget the pieces."""
        self._pieces = []

    def _load(self) -> None:
        """Compute the pieces where the workers are; refuse the first chunk that is found to be wrong."""
        import dask

        self.numbers = list(self._chunks.numbers)
        looks = [dask.delayed(_look, pure=False)(task) for task in self._chunks.tasks]
        seen: dict[str, Any] = {}
        facts: list[Any] = []
        try:
            # Arrays in memory travel with the graph, so that they can be brought again.
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1000 PB"}):
                futures = self._client.compute([*self._chunks.tasks, *looks])
            self._pieces, facts = futures[:len(looks)], futures[len(looks):]
            keys = [future.key for future in facts]

            def look(done: dict[str, Any]) -> None:
                seen.update(done)
                errors = [done[key] for key in keys if isinstance(done.get(key), Exception)]
                if errors:
                    raise errors[0]

            self._await(facts, look)
        except BaseException:
            self._let_go(facts)
            raise
        kept = [k for k, key in enumerate(keys) if seen[key]]
        if not kept:
            self._let_go(facts)
            raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
        self._pieces = [self._pieces[k] for k in kept]
        self.numbers = [self._chunks.numbers[k] for k in kept]
        self._lengths = [seen[keys[k]] for k in kept]

    def _by_worker(self, places: Sequence[int]) -> dict[str | None, list[int]]:
        """The places of the pieces that each worker is to answer for; those that no worker has yet at None."""
        where = self._client.who_has([self._pieces[place] for place in places])
        groups: dict[str | None, list[int]] = {}
        for place in places:
            holders = where.get(self._pieces[place].key) or [None]
            least = min(holders, key=lambda worker: len(groups.get(worker, ())))
            groups.setdefault(least, []).append(place)
        return groups

    def _await(self, futures: Sequence[Any], look: Callable[[dict[str, Any]], None]) -> None:
        """Hand what is done to `look` by its key until all is; raise what stopped it."""
        todo, last_seen = {future.key: future for future in futures}, time.monotonic()
        while todo:
            found = self._done(list(todo.values()))
            are_workers = len(found) == len(todo) or bool(self._client.nthreads())
            look(found)
            todo = {key: future for key, future in todo.items() if key not in found}
            if are_workers:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > NO_WORKERS:
                raise SourceError(f"The cluster has had no workers for {NO_WORKERS:.0f} seconds. {GOES_ON}")

    def _done(self, futures: list[Any]) -> dict[str, Any]:
        """By their keys the results of those that are done soon, of all if they are."""
        import distributed

        with contextlib.suppress(TimeoutError):
            distributed.wait(futures, timeout=LOOK_AT_TASKS)
        done = [future for future in futures if future.done()]
        for future in done:
            if future.status == "error":
                raise self._failed(future.exception())
        return dict(zip([future.key for future in done], self._client.gather(done), strict=True))

    def _failed(self, error: BaseException) -> SourceError:
        """The error of a task that has none of the package's functions to blame."""
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            return _because(error, f"A task ended every worker that it ran on, {error.allowed_failures + 1} of them; "
                                   "where chunks are larger than a worker's memory, smaller ones help "
                                   f"({_said(error)}). {GOES_ON}")
        bad = [number for number, piece in zip(self.numbers, self._pieces, strict=True)
               if piece.status == "error"]
        what = f"Chunk {bad[0]} cannot be read" if bad else "A pass over the chunks failed on the cluster"
        return _because(error, f"{what}: {_said(error)}")

    def _let_go(self, tasks: list[Any]) -> None:
        """Cancel the tasks, and the pieces too, so that the cluster has nothing more to do or to keep."""
        futures, self._pieces = [*tasks, *self._pieces], []
        if futures and self._client.status == "running":
            self._client.cancel(futures)


def dumped(function: object) -> bytes:
    """The function as it is sent to other processes."""
    import cloudpickle

    try:
        blob: bytes = cloudpickle.dumps(function)
    except Exception as error:
        raise TypeError(f"What is computed from the chunks cannot be sent to other processes ({error}). A loss from C "
                        "functions can be used with dask where its scheduler is in this process: "
                        "dask.config.set(scheduler=\"threads\").") from error
    return blob


def _leave_the_pool() -> None:
    """Within a task of dask's, leave its place to the tasks that it will wait for."""
    import distributed

    with contextlib.suppress(ValueError):    # no task
        distributed.get_worker()
        distributed.secede()


def _look(piece: Piece | Exception | None) -> int | Exception:
    """The rows of a piece, 0 of an empty one; the error of one that was refused."""
    return piece if isinstance(piece, Exception) else 0 if piece is None else len(piece.targets)


def _answers(sent: bytes, asked: list[tuple[int, int, int]],
             pieces: list[Any]) -> dict[int, Answer | None] | Raised:
    """The answers of a worker for pieces that its threads share; a task. It ends early if it was cancelled.

    What the function raises is an answer, as dask would log it.
    """
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()
    function = pickle.loads(sent)

    def answered(k: int) -> Answer | None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise Raised(RuntimeError("cancelled"))
        return answer(function, *asked[k], pieces[k])

    try:
        found = shared(answered, range(len(pieces)), worker.state.nthreads)
    except Raised as raised:
        return raised
    return {place: found[k] for k, (_, place, _) in enumerate(asked)}


def _checked(done: dict[str, Any]) -> dict[int, Answer]:
    """The answers of several tasks in one; raises the first error among them."""
    together: dict[int, Answer] = {}
    for found in done.values():
        if isinstance(found, Raised):
            raise found.error
        together.update(found)
    return together


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0].rstrip(':')}"


def _because(error: BaseException, message: str) -> SourceError:
    """A SourceError with the cause that ``raise ... from`` would give it."""
    found = SourceError(message)
    found.__cause__ = error
    return found


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
    """The chunks of dask collections, as `fastgd._data.chunked.Pieces` are described."""

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
