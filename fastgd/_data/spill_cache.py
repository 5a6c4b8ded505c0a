"""Spill rows to uncompressed files, which are a cache for later runs or vanish with the process.

For each choice of columns the folder of a cache holds a manifest, ``<key>.json``, and a file for each array,
``<key>-<token>.X`` and so on. The manifest is written last and replaced atomically, so the files that it names are
complete. Until then a writer locks its files. Unlocked files that no manifest names are left over from a killed run or
an earlier manifest, and are removed.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fastgd._types import FloatArray

try:
    import fcntl
except ImportError:    # Windows, where an open file cannot be removed
    fcntl = None    # type: ignore[assignment]

_VERSION = 1
_FILE_NAME = re.compile(r"([0-9a-f]{16})(?:\.json|-([0-9a-f]{16})\.(?:json|X|targets|weights))")


class CachedArrays(NamedTuple):
    """Memory-mapped X, targets and weights of all rows, as far as they exist, and the lengths of the blocks."""

    arrays: Mapping[str, FloatArray]
    lengths: list[int]
    names: list[str] | None


class Spill:
    """Files to which the rows of blocks are appended, one for each array."""

    def __init__(self, create: Callable[[str], IO[bytes]], folder: str, advice: str) -> None:
        self._create, self._folder, self._advice = create, folder, advice
        self._files: dict[str, IO[bytes]] = {}
        self._row: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self.n = 0

    def append(self, arrays: Mapping[str, FloatArray]) -> None:
        """Append the rows of a block; an OSError gets advice."""
        with self.writing():
            for role, array in arrays.items():
                if role not in self._files:
                    self._files[role] = self._create(role)
                    self._row[role] = array.dtype, array.shape[1:]
                self._files[role].write(array.data)
        self.n += len(next(iter(arrays.values())))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Add advice to the OSError of a full disk or a read-only folder."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, f"cannot write to {self._folder}: {error.strerror or error}. The files are "
                                       f"removed again. {self._advice}") from error

    def arrays(self) -> dict[str, FloatArray]:
        """Map the files; they take no memory beyond the page cache of the system."""
        with self.writing():
            for file in self._files.values():
                file.flush()
        return {role: _map_file(file, dtype, (self.n, *row))
                for (role, file), (dtype, row) in zip(self._files.items(), self._row.values(), strict=True)}

    def close(self) -> None:
        """Close the files; nameless ones vanish once nothing maps them."""
        for file in self._files.values():
            with contextlib.suppress(OSError):    # close flushes again what a full disk did not take
                _lock(file, "LOCK_UN")
                file.close()


def _map_file(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FloatArray:
    return np.asarray(np.memmap(file, dtype, "r", shape=shape))


class Cache:
    """Cache of one selection of columns; ValueError if the folder holds files of another kind."""

    def __init__(self, folder: str, choice: Any) -> None:
        self._folder = folder
        self._key = hashlib.blake2b(json.dumps(choice).encode(), digest_size=8).hexdigest()
        self._token = secrets.token_hex(8)
        self._has_made_folder = False
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise NotADirectoryError(f"cache={folder!r} is not a folder.")
        for name in self._names():
            if not _FILE_NAME.fullmatch(name) and not name.startswith("."):
                raise ValueError(f"The folder cache={folder!r} holds {name!r}, which is not a cache file. Pass an "
                                 "empty folder, or one that does not exist.")

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []

    def _path(self, ending: str) -> str:
        return os.path.join(self._folder, self._key + ending)

    def _manifest(self) -> dict[str, Any] | None:
        """Read the manifest; None if there is none that is valid."""
        try:
            with open(self._path(".json"), encoding="utf-8") as file:
                manifest = json.load(file)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        is_valid = isinstance(manifest, dict) and [manifest.get("version"), manifest.get("byteorder")] == [
            _VERSION, sys.byteorder]
        return manifest if is_valid else None

    def find(self, source: Any) -> CachedArrays | None:
        """Return the arrays that an earlier run cached of the same data; None unless they are complete."""
        manifest = self._manifest()
        if manifest is None or manifest["source"] != json.loads(json.dumps(source)):
            return None
        arrays: dict[str, FloatArray] = {}
        for role, (name, dtype, shape) in manifest["arrays"].items():
            path, row = os.path.join(self._folder, name), np.dtype(dtype).itemsize * int(np.prod(shape[1:]))
            try:
                if os.path.getsize(path) != shape[0] * row:
                    return None
                arrays[role] = _map_file(path, np.dtype(dtype), tuple(shape))
            except FileNotFoundError:
                return None
        return CachedArrays(arrays, manifest["lengths"], manifest["names"])

    def spill(self) -> Spill:
        """Open the files that the first pass writes."""
        spill = Spill(self._create, self._folder, "Free space, pass another folder or cache=None, which reads the "
                                                  "data anew in each pass.")
        self._has_made_folder = not os.path.isdir(self._folder)
        try:
            with spill.writing():
                os.makedirs(self._folder, exist_ok=True)
                self._remove_leftovers()
                self._create("json").close()    # fails on a read-only folder before anything is read
                os.remove(self._path(f"-{self._token}.json"))
        except OSError:
            self.discard(spill)
            raise
        return spill

    def _create(self, role: str) -> IO[bytes]:
        file = open(self._path(f"-{self._token}.{role}"), "x+b")    # noqa: SIM115
        _lock(file, "LOCK_EX")
        return file

    def keep(self, spill: Spill, source: Any, lengths: list[int], names: list[str] | None) -> CachedArrays:
        """Replace the cached arrays by the written ones."""
        arrays = spill.arrays()
        manifest = {"version": _VERSION, "byteorder": sys.byteorder, "source": source, "lengths": lengths,
                    "names": names, "arrays": {
                        role: [os.path.basename(self._path(f"-{self._token}.{role}")), array.dtype.name, array.shape]
                        for role, array in arrays.items()}}
        draft = self._path(f"-{self._token}.json")
        with spill.writing():
            with open(draft, "x", encoding="utf-8") as file:
                json.dump(manifest, file)
            os.replace(draft, self._path(".json"))
        spill.close()    # and unlock, as a lock lasts as long as a file is mapped
        self._remove_leftovers()
        return CachedArrays(arrays, lengths, names)

    def discard(self, spill: Spill) -> None:
        """Remove the written files."""
        spill.close()
        for role in ("X", "targets", "weights", "json"):
            with contextlib.suppress(OSError):
                os.remove(self._path(f"-{self._token}.{role}"))
        if self._has_made_folder:
            with contextlib.suppress(OSError):    # another process may use it by now
                os.rmdir(self._folder)

    def _remove_leftovers(self) -> None:
        """Remove files of this choice that no manifest names and no process locks."""
        for name in self._names():
            match = _FILE_NAME.fullmatch(name)
            if match and match[1] == self._key and match[2]:
                with contextlib.suppress(OSError), _lock_all(self._folder, f"{self._key}-{match[2]}."):
                    # Read under the lock, which a writer holds until its manifest is written.
                    manifest = self._manifest()
                    if manifest is None or name not in [file for file, *_ in manifest["arrays"].values()]:
                        os.remove(os.path.join(self._folder, name))


def _lock(file: IO[bytes], *how: str) -> None:
    if fcntl is not None:
        fcntl.flock(file, sum(getattr(fcntl, each) for each in how))


@contextlib.contextmanager
def _lock_all(folder: str, start: str) -> Iterator[None]:
    """Lock the files of one writer; BlockingIOError if it still writes."""
    with contextlib.ExitStack() as files:
        for name in os.listdir(folder):
            if name.startswith(start):
                _lock(files.enter_context(open(os.path.join(folder, name), "rb")), "LOCK_EX", "LOCK_NB")
        yield
