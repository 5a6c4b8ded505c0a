"""What is read one ahead, in a thread, while the caller works on the one before."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastgd._limits import SECONDS_FOR_READER

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")

#: What comes after the last one.
_END = object()


class Ahead(Iterator[T], Generic[T]):
    """What a generator of (item, is_ours) brings, in order.

    The next one is read as soon as the caller has this one, so that there are two at most; or, where the reader may
    overwrite this one, once the caller is done with it and asks. The generator is closed in the thread that runs it.
    """

    def __init__(self, items: Generator[tuple[T, bool]]) -> None:
        self._asks: SimpleQueue[bool] = SimpleQueue()
        self._found: SimpleQueue[Any] = SimpleQueue()
        self._is_asked = False
        # A daemon, as one that was left behind in a read that does not end must not keep the interpreter.
        self.thread = threading.Thread(target=_read, args=(items, self._asks, self._found), name="fastgd reader",
                                       daemon=True)
        self.thread.start()

    def __next__(self) -> T:
        if not self._is_asked:
            self._ask()
        item, is_ours, error = self._found.get()
        self._is_asked = False
        if error is not None:
            try:
                raise error
            finally:
                del error    # whose traceback leads back here, and to the data
        if item is _END:
            raise StopIteration
        if is_ours:
            self._ask()
        found: T = item
        return found

    def _ask(self) -> None:
        self._is_asked = True
        self._asks.put(True)

    def close(self) -> bool:
        """Let the thread end, and see whether it did; one in the midst of a long read ends after it."""
        self._asks.put(False)
        self.thread.join(SECONDS_FOR_READER)
        return not self.thread.is_alive()


def _read(items: Generator[tuple[Any, bool]], asks: SimpleQueue[bool], found: SimpleQueue[Any]) -> None:
    """Put the next item each time one is asked for. No variable here holds one while the caller has it."""
    try:
        try:
            while asks.get():
                found.put((*next(items, (_END, True)), None))
        finally:
            items.close()
    except BaseException as error:
        found.put((None, True, error))
