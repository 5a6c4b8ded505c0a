"""Data of dask collections as chunks, on the workers of a client or by one of dask's own schedulers.

With a client the chunks stay in the memory of the workers as futures, and a pass is one task for each worker. Other
schedulers compute the graph anew in each pass. Functions that are sent to workers are functions of a module.
"""
from __future__ import annotations

import contextlib
import pickle
import sys
import time
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data.chunked import Chunk, checksum
from fastgd._thread_pool import map_parts
from fastgd._validation import check_dataset, check_design, is_dask
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._data.labels import Labels
    from fastgd._types import DoubleArray, FloatArray, R

#: Seconds between two checks of unfinished tasks, and seconds without a worker after which a pass fails: a queue of
#: jobs starts workers late.
POLL_INTERVAL, NO_WORKERS = 0.5, 300.0
#: Names of the rows of an argument in a message on lengths.
_ROWS_OF = {"X": "rows of X", "dataset": "points of dataset", "sample_weight": "sample_weight"}


class ChunkTasks(NamedTuple):
    """Tasks that return the chunks, without the chunks of length 0."""

    numbers: list[int]    # index of each chunk in the dask collection
    tasks: list[Any]    # delayed objects: a Chunk, None if it is empty, or the error that refuses it
    lengths: list[int] | None    # numbers of rows, if known
    names: list[str] | None    # columns of X, if it has names
    passes: int    # passes over the data so far


class _Expected(NamedTuple):
    """Types and columns that all chunks must have."""

    dtypes: dict[str, np.dtype[Any]]
    names: list[str] | None
    labels: Labels | None = None


def chunk_tasks(dataset: Any, X: Any, sample_weight: Any, is_copied: bool, labels: Labels | None = None) -> ChunkTasks:
    """Return the tasks of arguments of which at least one is a dask collection; arrays in memory are split by position.

    Unknown lengths that must agree with known ones are counted in a pass. With is_copied the chunks are copies, so that
    no larger object is kept alive. Raises TypeError or ValueError for other objects of dask, dimensions or lengths.
    """
    given = {name: value for name, value in (("X", X), ("dataset", dataset), ("sample_weight", sample_weight))
             if value is not None}
    lazy = {name: _check_collection(value, name, given) for name, value in given.items() if is_dask(value)}
    checked = {name: _in_memory(value, name, labels) for name, value in given.items() if name not in lazy}
    ready = {name: array for name, (array, _) in checked.items()}
    names = checked["X"][1] if "X" in checked else _names_of(X)
    expected = _Expected({**{name: _dtype_of(value) for name, value in lazy.items()},
                          **{name: array.dtype for name, array in ready.items()}}, names, labels)
    lengths, passes = _lengths(lazy, bool(ready))
    if lengths is not None:
        _check_totals(lengths, lazy, ready)
    parts: dict[str, list[Any]] = _tasks_of(lazy, lengths)
    parts.update({name: _split(array, lengths) for name, array in ready.items()})
    count = len(next(iter(parts.values())))
    nonempty = [number for number in range(count) if lengths is None or lengths[number] > 0]
    if not nonempty:
        raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
    return ChunkTasks(nonempty, _tasks(parts, nonempty, partial(prepare_chunk, expected, is_copied)),
                  None if lengths is None else [lengths[number] for number in nonempty], names, passes)


def _tasks(parts: dict[str, list[Any]], nonempty: list[int], function: Callable[..., Any]) -> list[Any]:
    """Return a task for each chunk, whose key is unique by a token."""
    import uuid

    from dask import delayed

    token = uuid.uuid4().hex
    prepare = delayed(function, name="fastgd-chunk", pure=False, traverse=False)
    return [prepare(number, *(parts[name][number] if name in parts else None for name in _ROWS_OF),
                    dask_key_name=f"fastgd-chunk-{token}-{number}") for number in nonempty]


def _check_collection(value: Any, name: str, given: dict[str, Any]) -> Any:
    """Return `value` if it is a dask array, Series or DataFrame with the dimensions of the argument."""
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
    """Check an argument in memory; return the array and its columns."""
    if name == "X":
        return check_design(value)
    return (_check_targets(value, labels) if name == "dataset" else _check_chunk_weights(value)), None


def _check_targets(values: Any, labels: Labels | None) -> NDArray[Any]:
    return check_dataset(values) if labels is None else labels.check(values)


def _check_chunk_weights(values: Any) -> DoubleArray:
    """Check weights of at least 0 and return them in float64; all weights of a chunk may be 0."""
    array = check_dataset(values, "sample_weight")
    if array.min() < 0:
        raise ValueError(f"The 'sample_weight' parameter must be numbers in the range [0, inf). Got {array.min():g} at "
                         f"position {int(array.argmin())}.")
    double: DoubleArray = array.astype(np.float64, copy=False)
    return double


def _names_of(X: Any) -> list[str] | None:
    return [str(column) for column in X.columns] if hasattr(X, "columns") else None


def _dtype_of(value: Any) -> np.dtype[Any]:
    """Return the type of all chunks: float32 if the collection has no other type, else float64."""
    dtypes = value.dtypes if hasattr(value, "columns") and value.ndim == 2 else [value.dtype]
    is_single = len(dtypes) > 0 and all(str(dtype).lower().lstrip("<>=") in ("float32", "f4") for dtype in dtypes)
    return np.dtype(np.float32 if is_single else np.float64)


def _lengths(lazy: dict[str, Any], is_needed: bool) -> tuple[list[int] | None, int]:
    """Return the lengths of the chunks and the passes that were needed; None if lengths need not be known in advance.

    Chunks of unknown lengths cannot be split, so arrays of known lengths are split like them.
    """
    unknown = {name: value for name, value in lazy.items() if _known_lengths(value) is None}
    if not unknown:
        return _known_lengths(next(iter(lazy.values()))), 0
    counts = {name: value.npartitions if hasattr(value, "divisions") else value.numblocks[0]
              for name, value in unknown.items()}
    if len(set(counts.values())) > 1:
        raise ValueError("Found chunks of unknown lengths that do not belong together: "
                         f"{', '.join(f'{count} of {name}' for name, count in counts.items())}. Take all from one dask "
                         "DataFrame, or make the lengths of arrays known: array.compute_chunk_sizes().")
    if not is_needed and len(unknown) == len(lazy):
        return None, 0
    return _count_rows(next(iter(unknown.values()))), 1


def _known_lengths(value: Any) -> list[int] | None:
    """Return the lengths of the chunks, None if they are unknown before a read."""
    if hasattr(value, "divisions") or any(map(np.isnan, value.chunks[0])):
        return None
    return list(value.chunks[0])


def _count_rows(value: Any) -> list[int]:
    """Count the rows of each chunk; reads one column."""
    import dask

    column = value[list(value.columns[:1])] if hasattr(value, "columns") and value.ndim == 2 else value
    parts = _tasks_of({"counted": column}, None)["counted"]
    try:
        return list(dask.compute(*[dask.delayed(len)(part) for part in parts]))
    except Exception as error:
        raise SourceError(f"The rows of the chunks cannot be counted: {type(error).__name__}: {error}") from error


def _check_totals(lengths: list[int], lazy: dict[str, Any], ready: dict[str, FloatArray]) -> None:
    """Raise ValueError unless all known lengths agree."""
    totals = {name: len(ready[name]) if name in ready else _known_lengths(lazy[name]) for name in _ROWS_OF
              if name in ready or name in lazy}
    numbers = {name: sum(lengths) if known is None else known if isinstance(known, int) else sum(known)
               for name, known in totals.items()}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {list(numbers.values())} "
                         f"({', '.join(_ROWS_OF[name] for name in numbers)})")


def _tasks_of(lazy: dict[str, Any], lengths: list[int] | None) -> dict[str, list[Any]]:
    """Return a delayed object for each chunk of each collection, with all columns of X; arrays have these `lengths`.

    Frames are lowered without the rest of dask's `optimize`, which fuses small partitions of a file, the more the fewer
    columns are read, so that X and the targets would be split differently.
    """
    import dask

    frames = {name: value for name, value in lazy.items() if hasattr(value, "divisions")}
    arrays = {name: _rechunk(value, lengths) for name, value in lazy.items() if name not in frames}
    optimized = dict(zip(arrays, dask.optimize(*arrays.values()), strict=True))
    return {**{name: value.simplify().lower_completely().to_delayed(optimize_graph=False)
               for name, value in frames.items()},
            **{name: value.to_delayed(optimize_graph=False).ravel().tolist() for name, value in optimized.items()}}


def _rechunk(array: Any, lengths: list[int] | None) -> Any:
    known = _known_lengths(array)
    chunks: dict[int, Any] = {} if known is None or lengths in (None, known) else {0: tuple(lengths)}
    if array.ndim == 2 and len(array.chunks[1]) > 1:
        chunks[1] = -1
    return array.rechunk(chunks) if chunks else array


def _split(array: NDArray[Any], lengths: list[int] | None) -> list[NDArray[Any]]:
    assert lengths is not None
    stops = list(accumulate(lengths))
    return [array[stop - length:stop] for stop, length in zip(stops, lengths, strict=True)]


def prepare_chunk(expected: _Expected, is_copied: bool, number: int, X: Any, targets: Any,
                  weights: Any) -> Chunk | TypeError | ValueError | None:
    """Check the parts of a chunk; return None if it is empty, and the error if it is refused.

    An error that is raised would be logged by dask, and be confused with errors of the user's tasks.
    """
    try:
        chunk = _chunk(expected, number, X, targets, weights)
        return _own_copies(chunk) if is_copied and chunk is not None else chunk
    except (TypeError, ValueError) as error:
        return (TypeError if isinstance(error, TypeError) else ValueError)(f"Chunk {number}: {error}")


def _chunk(expected: _Expected, number: int, X: Any, targets: Any, weights: Any) -> Chunk | None:
    given = {name: part for name, part in zip(_ROWS_OF, (X, targets, weights), strict=True) if part is not None}
    lengths = {name: len(part) for name, part in given.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {list(lengths.values())} "
                         f"({', '.join(_ROWS_OF[name] for name in lengths)})")
    if lengths["dataset"] == 0:
        return None
    arrays: dict[str, Any] = {"dataset": _check_targets(targets, expected.labels)}
    if X is not None:
        arrays["X"], names = check_design(X)
        if names != expected.names:
            raise ValueError(f"X has the columns {names}, and the whole has {expected.names}.")
    if weights is not None:
        arrays["sample_weight"] = _check_chunk_weights(weights)
    for name in ("X", "dataset") if expected.labels is None else ("X",):
        if name in arrays and arrays[name].dtype != expected.dtypes[name]:
            raise ValueError(f"{name} is {arrays[name].dtype} here, and the whole is {expected.dtypes[name]}. All "
                             "chunks must have one dtype.")
    return Chunk(number, arrays.get("X"), arrays["dataset"], arrays.get("sample_weight"))


def _own_copies(chunk: Chunk) -> Chunk:
    """Copy arrays that are views, which keep a larger object alive."""
    arrays = {name: getattr(chunk, name) for name in ("X", "targets", "weights")}
    return chunk._replace(**{name: array.copy() for name, array in arrays.items()
                             if array is not None and not array.flags.owndata})


#: Advice at the end of a message on a cluster that failed.
RESUME_ADVICE = "theta0=error.result.x resumes the descent."


class Answer(NamedTuple):
    """Result of a function of a chunk, with its size and checksum."""

    n_rows: int
    nbytes: int
    checksum: int
    value: Any


class Raised(Exception):
    """Error of a function of the package, as distinct from errors of dask and of the user's graph."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def answer(function: Callable[[Chunk], Any], number: int, place: int, n_rows: int | None,
           chunk: Chunk | Exception | None) -> Answer | None:
    """Apply the function to the chunk at `place`; None if the chunk is empty.

    Raises Raised if the chunk is refused, its rows are not `n_rows`, or the function raises.
    """
    try:
        if isinstance(chunk, Exception):
            raise chunk
        found = 0 if chunk is None else len(chunk.targets)
        if n_rows is not None and found != n_rows:
            raise SourceError(f"Chunk {number} has {found} rows, and had {n_rows} in the first pass. The data must not "
                              "change during a descent.")
        return None if chunk is None else Answer(
            found, chunk.nbytes, checksum(chunk[1:]), function(chunk._replace(place=place)))
    except Exception as error:
        raise Raised(error) from error


class Cluster:
    """Chunks on the workers of a client; the first pass computes them, an error releases them."""

    def __init__(self, client: Any, graph: ChunkTasks) -> None:
        self._client = client
        self._graph = graph
        self._chunks: list[Any] = []
        self.numbers: list[int] = []
        self._lengths: list[int] | None = None
        _secede()

    def answers(self, function: Callable[[Chunk], Any], places: Sequence[int] | None = None) -> list[Answer]:
        """Return the answers for the chunks at these places, or for all, in order.

        SourceError if the client or the cluster is closed in the meantime.
        """
        import distributed

        try:
            return self._answers(pickle_function(function), places)
        except SourceError:
            raise
        except Exception as error:
            # A closed connection raises OSError, a closed client errors of many types.
            if isinstance(error, (distributed.CancelledError, OSError)) or self._client.status != "running":
                raise SourceError(f"The client or its cluster was closed, or tasks were cancelled ({_summary(error)}). "
                                  f"With another client {RESUME_ADVICE}") from error
            raise

    def _answers(self, sent: bytes, places: Sequence[int] | None) -> list[Answer]:
        if not self._chunks:
            self._load()
        assert self._lengths is not None
        places = range(len(self._chunks)) if places is None else places
        found: dict[int, Answer] = {}
        tasks: list[Any] = []
        try:
            for worker, group in self._by_worker(places).items():
                requests = [(self.numbers[place], place, self._lengths[place]) for place in group]
                tasks.append(self._client.submit(
                    _answers, sent, requests, [self._chunks[place] for place in group], pure=False,
                    key=f"fastgd-pass-{time.perf_counter_ns():x}-{len(tasks)}",
                    **({"workers": [worker], "allow_other_workers": True} if worker else {})))
            self._await(tasks, lambda done: found.update(_check(done)))
        except BaseException:
            self._release(tasks)
            raise
        return [found[place] for place in places]

    def close(self) -> None:
        """Release the chunks on the workers."""
        self._chunks = []

    def _load(self) -> None:
        """Compute the chunks on the workers; raise the error of the first chunk that is refused."""
        import dask

        self.numbers = list(self._graph.numbers)
        counts = [dask.delayed(_count_chunk, pure=False)(task) for task in self._graph.tasks]
        lengths: dict[str, Any] = {}
        count_tasks: list[Any] = []
        try:
            # Arrays in memory are part of the graph, so that a lost chunk can be computed again.
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1000 PB"}):
                futures = self._client.compute([*self._graph.tasks, *counts])
            self._chunks, count_tasks = futures[:len(counts)], futures[len(counts):]
            keys = [future.key for future in count_tasks]

            def collect(done: dict[str, Any]) -> None:
                lengths.update(done)
                errors = [done[key] for key in keys if isinstance(done.get(key), Exception)]
                if errors:
                    raise errors[0]

            self._await(count_tasks, collect)
        except BaseException:
            self._release(count_tasks)
            raise
        nonempty = [k for k, key in enumerate(keys) if lengths[key]]
        if not nonempty:
            self._release(count_tasks)
            raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
        self._chunks = [self._chunks[k] for k in nonempty]
        self.numbers = [self._graph.numbers[k] for k in nonempty]
        self._lengths = [lengths[keys[k]] for k in nonempty]

    def _by_worker(self, places: Sequence[int]) -> dict[str | None, list[int]]:
        """Assign places of chunks to the workers that hold them; None for chunks that no worker holds yet."""
        where = self._client.who_has([self._chunks[place] for place in places])
        groups: dict[str | None, list[int]] = {}
        for place in places:
            holders = where.get(self._chunks[place].key) or [None]
            least = min(holders, key=lambda worker: len(groups.get(worker, ())))
            groups.setdefault(least, []).append(place)
        return groups

    def _await(self, futures: Sequence[Any], collect: Callable[[dict[str, Any]], None]) -> None:
        """Call `collect` with the results of finished tasks, by key, until all are finished."""
        todo, last_seen = {future.key: future for future in futures}, time.monotonic()
        while todo:
            found = self._done(list(todo.values()))
            are_workers = len(found) == len(todo) or bool(self._client.nthreads())
            collect(found)
            todo = {key: future for key, future in todo.items() if key not in found}
            if are_workers:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > NO_WORKERS:
                raise SourceError(f"The cluster has had no workers for {NO_WORKERS:.0f} seconds. {RESUME_ADVICE}")

    def _done(self, futures: list[Any]) -> dict[str, Any]:
        """Return the results of tasks that finish within `POLL_INTERVAL`, by key."""
        import distributed

        with contextlib.suppress(TimeoutError):
            distributed.wait(futures, timeout=POLL_INTERVAL)
        done = [future for future in futures if future.done()]
        for future in done:
            if future.status == "error":
                raise self._failure(future.exception())
        return dict(zip([future.key for future in done], self._client.gather(done), strict=True))

    def _failure(self, error: BaseException) -> SourceError:
        """Return the SourceError for a task that dask or the user's graph failed."""
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            return _source_error(error, f"A task ended each of the {error.allowed_failures + 1} workers that it ran on "
                                        f"({_summary(error)}). If chunks are larger than a worker's memory, make them "
                                        f"smaller. {RESUME_ADVICE}")
        bad = [number for number, chunk in zip(self.numbers, self._chunks, strict=True) if chunk.status == "error"]
        what = f"Chunk {bad[0]} cannot be read" if bad else "A pass over the chunks failed on the cluster"
        return _source_error(error, f"{what}: {_summary(error)}")

    def _release(self, tasks: list[Any]) -> None:
        """Cancel the tasks and release the chunks."""
        futures, self._chunks = [*tasks, *self._chunks], []
        if futures and self._client.status == "running":
            self._client.cancel(futures)


def pickle_function(function: object) -> bytes:
    """Pickle a function for other processes; TypeError if that is impossible."""
    import cloudpickle

    try:
        blob: bytes = cloudpickle.dumps(function)
    except Exception as error:
        raise TypeError(f"The loss or gradient cannot be sent to other processes ({error}). A loss from C "
                        "functions can be used with dask where its scheduler is in this process: "
                        "dask.config.set(scheduler=\"threads\").") from error
    return blob


def _secede() -> None:
    """Secede from the worker's thread pool if this runs in a task of dask, as it waits for other tasks."""
    import distributed

    with contextlib.suppress(ValueError):    # not in a task
        distributed.get_worker()
        distributed.secede()


def _count_chunk(chunk: Chunk | Exception | None) -> int | Exception:
    """Count the rows of a chunk, 0 if it is empty; return the error if it is refused."""
    return chunk if isinstance(chunk, Exception) else 0 if chunk is None else len(chunk.targets)


def _answers(sent: bytes, requests: list[tuple[int, int, int]],
             chunks: list[Any]) -> dict[int, Answer | None] | Raised:
    """Compute the answers for the chunks of a worker in its threads; this is a task, which ends if it is cancelled.

    An error of the function is returned, as dask would log one that is raised.
    """
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()
    function = pickle.loads(sent)

    def answer_for(k: int) -> Answer | None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise Raised(RuntimeError("cancelled"))
        return answer(function, *requests[k], chunks[k])

    try:
        found = map_parts(answer_for, range(len(chunks)), worker.state.nthreads)
    except Raised as raised:
        return raised
    return {place: found[k] for k, (_, place, _) in enumerate(requests)}


def _check(done: dict[str, Any]) -> dict[int, Answer]:
    """Merge the answers of several tasks; raise the first error."""
    together: dict[int, Answer] = {}
    for found in done.values():
        if isinstance(found, Raised):
            raise found.error
        together.update(found)
    return together


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0].rstrip(':')}"


def _source_error(error: BaseException, message: str) -> SourceError:
    """Return a SourceError with the cause that ``raise ... from`` would set."""
    found = SourceError(message)
    found.__cause__ = error
    return found


def dask_chunks(dataset: Any, X: Any, sample_weight: Any, labels: Labels | None = None) -> DaskChunks:
    """Return the chunks of arguments of which at least one is a dask collection, by dask's ambient client or scheduler.

    Raises TypeError or ValueError for arguments of other kinds or of known lengths that differ.
    """
    get, client = _ambient([value for value in (dataset, X, sample_weight) if is_dask(value)])
    graph = chunk_tasks(dataset, X, sample_weight, client is not None, labels)
    return DaskChunks(graph, _Scheduler(get, graph) if client is None else Cluster(client, graph))


def check_is_picklable(function: object) -> None:
    """Raise TypeError if dask's ambient scheduler is in other processes and the function cannot be pickled."""
    get, _ = _ambient([])
    if not _is_local(get):
        pickle_function(function)


def _ambient(collections: list[Any]) -> tuple[Any, Any]:
    """Return the scheduler that dask would use for the collections, and its client or None."""
    from dask.base import get_scheduler

    get = get_scheduler(collections=collections[:1])
    client = getattr(get, "__self__", None)    # set if it is a method of a client
    return get, client if hasattr(client, "who_has") else None


def _is_local(get: Any) -> bool:
    """True if a scheduler computes in this process; None is the default of a collection, which is threads."""
    from dask import local, threaded

    return get in (None, threaded.get, local.get_sync)


class DaskChunks:
    """Chunks of dask collections, as `fastgd._data.chunked.Chunks`."""

    what = "chunk"
    is_remote = True

    def __init__(self, graph: ChunkTasks, where: Cluster | _Scheduler) -> None:
        self.names = graph.names
        self.passes = graph.passes
        self.bytes_read = 0
        self._where = where
        self._checksums: dict[int, int] = {}    # of the first pass, by number of chunk

    def map(self, function: Callable[[Chunk], R], places: Sequence[int] | None = None) -> Iterator[R]:
        """Compute `function(chunk)` for the chunks in order, or after a first pass only for those at `places`."""
        answers = self._where.answers(function, places)
        requests = self._where.numbers if places is None else [self._where.numbers[place] for place in places]
        for number, found in zip(requests, answers, strict=True):
            if self._checksums.setdefault(number, found.checksum) != found.checksum:
                raise SourceError(f"Chunk {number} has other numbers than in the first pass. The data must not change "
                                  "during a descent: persist() a collection that is computed at random.")
        self.bytes_read += sum(found.nbytes for found in answers)
        self.passes += places is None
        return iter([found.value for found in answers])

    def close(self) -> None:
        """Release the chunks; a further pass computes them again."""
        self._where.close()


class _Scheduler:
    """Chunks by a scheduler of dask without a client, which computes the graph anew in each pass."""

    def __init__(self, get: Any, graph: ChunkTasks) -> None:
        self._get, self._tasks, self.numbers = get, graph.tasks, graph.numbers
        self._lengths = graph.lengths

    def answers(self, function: Callable[[Chunk], Any], places: Sequence[int] | None = None) -> list[Answer]:
        """Return the answers for the chunks at these places, or for all, in order."""
        if not _is_local(self._get):
            pickle_function(function)
        found = self._compute(function, range(len(self._tasks)) if places is None else places)
        if self._lengths is not None:
            return found
        nonempty = [place for place, each in enumerate(found) if each is not None]
        if not nonempty:
            raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
        self._lengths = [found[place].n_rows for place in nonempty]
        if len(nonempty) == len(found):
            return found
        # The first answers are for places that count the empty chunks, which are dropped now.
        self._tasks, self.numbers = [self._tasks[k] for k in nonempty], [self.numbers[k] for k in nonempty]
        return self._compute(function, range(len(nonempty)))

    def close(self) -> None:
        """Do nothing: no chunk is kept."""

    def _compute(self, function: Callable[[Chunk], Any], places: Sequence[int]) -> list[Answer]:
        import dask

        task = dask.delayed(partial(answer, function), name="fastgd-pass", pure=False, traverse=False)
        tasks = [task(self.numbers[place], place, None if self._lengths is None else self._lengths[place],
                       self._tasks[place]) for place in places]
        try:
            return list(dask.compute(*tasks, scheduler=self._get, traverse=False, optimize_graph=False))
        except Raised as raised:
            raise raised.error from None
        except Exception as error:
            raise SourceError(f"A chunk cannot be read: {type(error).__name__}: {error}") from error
