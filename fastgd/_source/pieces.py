"""Data in pieces, which are not in memory together: what brings them, and what is computed from each."""
from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from fastgd._limits import SUMS_COMPARED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, FloatArray, R


class Piece(NamedTuple):
    """Rows that follow each other, checked: finite numbers in arrays of equal lengths, of at least one row.

    Attributes
    ----------
    place : int
        Its place among the pieces.
    X : ndarray of shape (m, p), float32 or float64, C-contiguous, or None for points
    targets : ndarray of shape (m,), float32 or float64, contiguous
    weights : ndarray of shape (m,), float64, or None
        Numbers of at least 0, as they were given.
    """

    place: int
    X: FloatArray | None
    targets: FloatArray
    weights: DoubleArray | None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in (self.X, self.targets, self.weights) if array is not None)


def taken(X: FloatArray | None, targets: FloatArray | None, weights: FloatArray | None) -> Piece:
    """Rows that were taken out of pieces, as a piece of no place among them."""
    assert targets is not None
    return Piece(-1, X, targets, cast("DoubleArray | None", weights))


def digest_of(arrays: Iterable[NDArray[Any] | None]) -> int:
    """Compute a number that differs if any bit of the arrays does, and most likely if their order does.

    Every number of an array is added to one of `SUMS_COMPARED` sums, by its place. Labels as they were given, which one
    pass alone sees, are left out.
    """
    digest = 0
    for array in arrays:
        if array is not None and array.dtype.kind in "biuf":
            bits: Any = array.reshape(-1).view(f"u{array.itemsize}")
            whole = bits.size // SUMS_COMPARED * SUMS_COMPARED
            sums: Any = np.add.reduce(bits[:whole].reshape(-1, SUMS_COMPARED), axis=0, dtype=bits.dtype)
            digest = zlib.crc32(bits[whole:], zlib.crc32(sums, digest))
    return digest


class Pieces(Protocol):
    """What brings the pieces, in order and the same ones in each pass.

    Attributes
    ----------
    what : str
        What one piece is called in a message: "block", "chunk".
    names : list of str or None
        The columns of X, known after the first pass, if they have names.
    is_remote : bool
        Whether a piece is where it costs much to bring rows of it from; functions are then pickled.
    passes, bytes_read : int
        How often the data were read so far, and how much that was.
    """

    what: str
    names: list[str] | None
    is_remote: bool
    passes: int
    bytes_read: int

    def map(self, function: Callable[[Piece], R]) -> Iterator[R]:
        """`function` of each piece, in order: one pass. SourceError where a piece cannot be read, or changed.

        Of remote pieces those at some `places` can be asked alone.
        """
        ...

    def close(self) -> None:
        """Let go of what is kept of the data; a pass may bring them again."""
        ...
