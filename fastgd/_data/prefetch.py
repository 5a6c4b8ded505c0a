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
    """What a generator brings, in order; the next one is read from when it is asked for.

    That is when the caller has read what the generator may overwrite of this one, or else when it wants the next one;
    so there are two at most. The generator is closed in the thread that runs it.
    """

    def __init__(self, items: Generator[T]) -> None:
        self._asks: SimpleQueue[bool] = SimpleQueue()
        self._found: SimpleQueue[Any] = SimpleQueue()
        self._is_asked = False
        # A daemon, as one that was left behind in a read that does not end must not keep the interpreter.
        self.thread = threading.Thread(target=_read, args=(items, self._asks, self._found), name="fastgd reader",
                                       daemon=True)
        self.thread.start()

    def ask(self) -> None:
        """Let the next one be read, if it is not yet."""
        if not self._is_asked:
            self._is_asked = True
            self._asks.put(True)

    def __next__(self) -> T:
        self.ask()
        item, error = self._found.get()
        self._is_asked = False
        if error is not None:
            try:
                raise error
            finally:
                del error    # whose traceback leads back here, and to the data
        if item is _END:
            raise StopIteration
        found: T = item
        return found

    def close(self) -> bool:
        """Let the thread end, and see whether it did; one in the midst of a long read ends after it."""
        self._asks.put(False)
        self.thread.join(SECONDS_FOR_READER)
        return not self.thread.is_alive()


def _read(items: Generator[Any], asks: SimpleQueue[bool], found: SimpleQueue[Any]) -> None:
    """Put the next item each time one is asked for. No variable here holds one while the caller has it."""
    try:
        try:
            while asks.get():
                found.put((next(items, _END), None))
        finally:
            items.close()
    except BaseException as error:
        found.put((None, error))
