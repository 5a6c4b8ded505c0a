"""Raw copies on disk: read in place of the source, made anew when it changed, and never half of them."""
import contextlib
import errno
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from blocks_of_rows import FRAME, FullDisk, W, X, Y, cut, itself, joined
from helpers import descend

import fastgd
from fastgd import Blocks, open_parquet
from fastgd._data import spill_cache as caches
from fastgd._data.blocks import block_chunks


class Counted:
    """A factory that counts the blocks that it made."""

    def __init__(self, *arrays):
        self.arrays, self.count = arrays, 0

    def __call__(self):
        for block in cut(*self.arrays):
            self.count += 1
            yield block


def pieces_with(folder, *arrays):
    factory = Counted(*(arrays or (X, Y, W)))
    return factory, block_chunks(Blocks(factory, cache=folder))


def passed(pieces, expected=(X, Y, W)):
    """Make a pass, and see what it brings."""
    for found, array in zip(joined(pieces.map(itself)), expected, strict=True):
        assert found is None if array is None else np.array_equal(found, array)


def names(folder):
    """What is in the folder, by its ending."""
    return sorted(name.rpartition(".")[2] for name in os.listdir(folder))


ALL = ["X", "json", "targets", "weights"]


def test_later_passes_and_later_runs_read_the_cache(tmp_path):
    folder = tmp_path / "new" / "cache"
    factory, pieces = pieces_with(folder)
    for _ in range(3):
        passed(pieces)
    assert factory.count == 4
    assert names(folder) == ALL
    factory, pieces = pieces_with(folder)
    for _ in range(3):
        passed(pieces)
    assert factory.count == 1, "its first block says that these are the same data"
    assert pieces.passes == 3


def test_a_parquet_table_is_known_by_its_files(tmp_path):
    pytest.importorskip("pyarrow")
    path, folder = tmp_path / "table.parquet", tmp_path / "cache"
    for factor in (1, 1, 2):
        if factor == 2 or not path.exists():
            (FRAME * factor).to_parquet(path)
        table = open_parquet(path, cache=folder)
        pieces = block_chunks(table["tip"], table[["bill", "size"]], W)
        passed(pieces, (X * factor, Y * factor, W))
        passed(pieces, (X * factor, Y * factor, W))
        assert names(folder) == ["X", "json", "targets"], "what is in memory is not written"
    list(block_chunks(table["tip"]).map(itself))
    assert names(folder) == ["X", "json", "json", "targets", "targets"], "another choice of columns"
    path.unlink()
    passed(pieces, (X * 2, Y * 2, W))


@pytest.mark.parametrize("arrays", [
    (X, Y[::-1], W), (X + 1, Y, W), (X.astype(np.float32), Y, W), (pd.DataFrame(X, columns=["a", "b"]), Y, W), (X, Y)],
    ids=["order", "X", "dtype", "names", "no weights"])
def test_a_stale_cache_is_made_anew(tmp_path, arrays):
    passed(pieces_with(tmp_path)[1])
    factory, pieces = pieces_with(tmp_path, *arrays)
    for _ in range(2):
        passed(pieces, (arrays[0], arrays[1], arrays[2] if len(arrays) == 3 else None))
    assert factory.count == 5, "the block that was compared, and all"
    assert names(tmp_path) == [name for name in ALL if len(arrays) == 3 or name != "weights"]
    assert pieces.names == (["a", "b"] if isinstance(arrays[0], pd.DataFrame) else None)


def shorten(folder, ending):
    [path] = folder.glob(f"*{ending}")
    os.truncate(path, path.stat().st_size - 8)


@pytest.mark.parametrize("damage", [
    lambda folder: shorten(folder, ".X"), lambda folder: shorten(folder, ".json"),
    lambda folder: next(folder.glob("*.json")).unlink(), lambda folder: next(folder.glob("*.targets")).unlink(),
], ids=["short", "half a manifest", "no manifest", "no targets"])
def test_a_half_written_cache_is_made_anew(tmp_path, damage):
    passed(pieces_with(tmp_path)[1])
    damage(tmp_path)
    factory, pieces = pieces_with(tmp_path)
    passed(pieces)
    assert factory.count == 4
    assert names(tmp_path) == ALL, "what was left is gone"
    factory, pieces = pieces_with(tmp_path)
    passed(pieces)
    assert factory.count == 1


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match=r"thesis.txt"):
        pieces_with(tmp_path)
    assert names(tmp_path) == ["txt"]
    with pytest.raises(NotADirectoryError, match="folder"):
        pieces_with(tmp_path / "thesis.txt")
    with pytest.raises(TypeError, match="'cache' parameter"):
        Blocks(list, cache=True)


@pytest.mark.parametrize("leave", [
    lambda passing: passing.close(), lambda passing: passing.throw(KeyboardInterrupt)], ids=["close", "Ctrl-C"])
def test_a_pass_that_breaks_off_leaves_nothing_behind(tmp_path, leave):
    folder = tmp_path / "cache"
    _, pieces = pieces_with(folder)
    passing = pieces.map(itself)
    next(passing)
    assert names(folder) == ["X", "targets", "weights"]
    with contextlib.suppress(KeyboardInterrupt):
        leave(passing)
    assert not folder.exists()
    passed(pieces)
    assert names(folder) == ALL


@pytest.mark.thread_unsafe(reason="monkeypatch")
@pytest.mark.parametrize("left", [0, 50])
def test_a_full_disk_is_a_clear_error(tmp_path, monkeypatch, left):
    folder, create = tmp_path / "cache", caches.Cache._create
    monkeypatch.setattr(caches.Cache, "_create", lambda *arguments: FullDisk(create(*arguments), left))
    with pytest.raises(OSError, match=f"{folder}: No space left") as caught:
        list(pieces_with(folder, Y)[1].map(itself))
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


@pytest.mark.thread_unsafe(reason="monkeypatch")
def test_a_read_only_folder_is_a_clear_error_unless_all_is_in_it(tmp_path, monkeypatch):
    passed(pieces_with(tmp_path)[1])

    def refuse(path, mode="r", **options):
        if mode[0] in "wxa":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open(path, mode, **options)

    monkeypatch.setattr(caches, "open", refuse, raising=False)    # as nothing is forbidden to root
    factory, pieces = pieces_with(tmp_path)
    passed(pieces)
    assert factory.count == 1
    factory, pieces = pieces_with(tmp_path, X, Y[::-1], W)
    with pytest.raises(PermissionError, match=f"{tmp_path}: Permission denied"):
        list(pieces.map(itself))
    assert factory.count == 1, "it is noticed before anything more is read"
    assert names(tmp_path) == ALL


def test_two_at_once_do_not_disturb_each_other(tmp_path):
    first, second = (pieces_with(tmp_path)[1] for _ in range(2))
    passing = first.map(itself)
    next(passing)
    passed(second)
    assert len(list(passing)) == 2
    for pieces in (first, second, pieces_with(tmp_path)[1]):
        passed(pieces)
    assert names(tmp_path) == ALL


KILLED = """
import os, sys
import numpy as np
from fastgd import Blocks
from fastgd._data.blocks import block_chunks
pieces = block_chunks(Blocks(lambda: [np.ones(1000)] * 3, cache=sys.argv[1]))
passing = pieces.map(lambda piece: piece)
next(passing)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of fcntl")
def test_what_a_killed_process_left_is_removed(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert names(tmp_path) == ["targets"]
    passed(pieces_with(tmp_path, Y)[1], (None, Y, None))
    assert names(tmp_path) == ["json", "targets"]


def test_a_manifest_of_another_version_is_made_anew(tmp_path):
    passed(pieces_with(tmp_path)[1])
    [path] = tmp_path.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    factory, pieces = pieces_with(tmp_path)
    passed(pieces)
    assert factory.count == 4


def test_all_rows_in_any_order_are_those_of_the_cache(tmp_path):
    factory, pieces = pieces_with(tmp_path)
    for _ in range(2):
        with pieces.on_disk("nowhere") as stored:
            assert [np.array_equal(*pair) for pair in zip(stored, (X, Y, W), strict=True)] == [True] * 3
    assert factory.count == 4


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_the_answer_is_that_of_one_array(tmp_path):
    options = {"alpha": 0.001, "max_iter": 20, "full_output": True, "fit_intercept": True}
    expected = descend(fastgd.huber_loss, Y, X=X, sample_weight=W, **options)
    for _ in range(2):
        assert descend(fastgd.huber_loss, Blocks(Counted(X, Y, W), cache=pathlib.Path(tmp_path)), **options) == expected
