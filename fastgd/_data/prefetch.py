"""Iterator over a generator that runs in a thread, so that an item is read before the caller needs it."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")

#: Seconds that `close` waits for the thread: half of the 0.1 s in which Ctrl-C takes effect.
SECONDS_FOR_READER = 0.05
#: Marker after the last item.
_END = object()


class Prefetch(Iterator[T], Generic[T]):
    """Iterator over a generator that runs in a thread.

    `request` starts to read the next item, and `next` returns it. After `request` the generator may reuse the memory of
    the present item, so the caller must be done with it. The generator is closed in the thread. After an error or
    `close` there is no next item.
    """

    def __init__(self, items: Generator[T]) -> None:
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._is_requested = False
        # A daemon: a read that never ends must not keep the interpreter alive.
        self.thread = threading.Thread(target=_read, args=(items, self._requests, self._answers), name="fastgd reader",
                                       daemon=True)
        self.thread.start()

    def request(self) -> None:
        """Start to read the next item, if that has not begun."""
        if not self._is_requested:
            self._is_requested = True
            self._requests.put(True)

    def __next__(self) -> T:
        self.request()
        item, error = self._answers.get()
        self._is_requested = False
        if error is not None:
            try:
                raise error
            finally:
                del error    # its traceback refers to this frame, and so to the data
        if item is _END:
            raise StopIteration
        found: T = item
        return found

    def close(self) -> bool:
        """Stop the thread and return True if it has ended; a thread in a long read ends after the read."""
        self._requests.put(False)
        self.thread.join(SECONDS_FOR_READER)
        return not self.thread.is_alive()


def _read(items: Generator[Any], requests: SimpleQueue[bool], answers: SimpleQueue[Any]) -> None:
    """Send the next item at each request; no variable refers to it afterwards, so that its memory can be freed."""
    try:
        try:
            while requests.get():
                answers.put((next(items, _END), None))
        finally:
            items.close()
    except BaseException as error:
        answers.put((None, error))
