"""Pieces in the memory of dask's workers, as futures of a `distributed.Client`; a pass is one task for each worker."""
from __future__ import annotations

import contextlib
import pickle
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from fastgd._limits import LOOK_AT_TASKS, NO_WORKERS
from fastgd._source.pieces import Piece, digest_of
from fastgd._threads import shared
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._source.chunks import Chunks

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
