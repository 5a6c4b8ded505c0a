"""Data that come in blocks: what a block may be, what is read when, what is noticed, and the answers of one array."""
import errno
import itertools
import os
import threading

import numpy as np
import pandas as pd
import pytest
from blocks_of_rows import FRAME, FullDisk, W, X, Y, cut, itself, joined
from helpers import DTYPES, EXACT, LOSSES, descend, quiet, raw_rows, targets_for
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import Blocks, minimize, mse
from fastgd._data import blocks
from fastgd._data.blocks import BYTES_COPIED, block_chunks
from fastgd.results import SourceError


def changing(*passes):
    """Pieces whose blocks are those of the first, the second ... pass."""
    following = iter(passes)
    return block_chunks(Blocks(lambda: iter(next(following))))


@pytest.mark.parametrize(("make", "has_X", "has_weights"), [
    (lambda: cut(Y), False, False),
    (lambda: [block.tolist() for block in cut(Y)], False, False),
    (lambda: ((block,) for block in cut(Y)), False, False),
    (lambda: (block[["tip"]] for block in cut(FRAME)), False, False),
    (lambda: (block["tip"] for block in cut(FRAME)), False, False),
    (lambda: cut(None, Y, W), False, True),
    (lambda: cut(X, Y), True, False),
    (lambda: cut(X, Y, W), True, True),
    (lambda: cut(FRAME[["bill", "size"]], FRAME["tip"], W), True, True),
], ids=["arrays", "lists", "tuples", "one column", "series", "weighted", "rows", "weighted rows", "frames"])
def test_a_block_is_an_array_or_a_tuple_or_a_frame(make, has_X, has_weights):
    pieces = block_chunks(Blocks(make))
    for count in (1, 2):
        found = list(pieces.map(itself))
        assert [piece.place for piece in found] == [0, 1, 2], "the empty block is no piece"
        for array, expected, has in zip(joined(found), (X, Y, W), (has_X, True, has_weights), strict=True):
            assert np.array_equal(array, expected) if has else array is None
        assert pieces.passes == count
        assert pieces.bytes_read == count * sum(piece.nbytes for piece in found)


def test_columns_go_where_arrays_go():
    blocks = Blocks(lambda: cut(FRAME))
    assert repr(blocks[["bill", "size"]]) == f"{blocks!r}[['bill', 'size']]"
    pieces = block_chunks(blocks["tip"], blocks[["bill", "size"]], blocks["weight"])
    for found, expected in zip(joined(pieces.map(itself)), (X, Y, W), strict=True):
        assert np.array_equal(found, expected)
    assert pieces.names == ["bill", "size"]


@pytest.mark.parametrize("which", ["dataset", "X", "sample_weight"])
def test_what_is_in_memory_is_cut_by_position(which):
    blocks = Blocks(lambda: cut(FRAME))
    arguments = {"dataset": blocks["tip"], "X": blocks[["bill", "size"]], "sample_weight": blocks["weight"]}
    whole = {"dataset": Y, "X": FRAME[["bill", "size"]], "sample_weight": W}[which]
    pieces = block_chunks(**arguments | {which: whole})
    for found, expected in zip(joined(pieces.map(itself)), (X, Y, W), strict=True):
        assert np.array_equal(found, expected)
    assert pieces.names == ["bill", "size"]
    for wrong in (whole[:-1], np.concatenate([whole, whole])):
        with pytest.raises(ValueError, match=rf"{len(wrong)} in {which}"):
            list(block_chunks(**arguments | {which: wrong}).map(itself))


def test_numbers_of_any_kind_go_together_and_float32_stays_apart():
    """A file that is read in chunks has integers in one of them and fractions in the next."""
    kinds = [np.array([1, 2]), np.array([True]), np.array([0.5]), np.array([3], np.uint8)]
    assert joined(block_chunks(Blocks(lambda: [(None, kind, kind) for kind in kinds])).map(itself))[1].tolist() == [
        1, 2, 1, 0.5, 3]
    with pytest.raises(ValueError, match=r"Block 1.*dataset.*float32"):
        list(block_chunks(Blocks(lambda: [Y, Y.astype(np.float32)])).map(itself))
    chunks = block_chunks(Blocks(lambda: [Y.astype("f4")] * 2))
    assert [chunk.targets.dtype for chunk in chunks.map(itself)] == ["f4"] * 2


BAD = {
    "Block 1: Input dataset contains NaN": [Y, [np.nan]],
    "Block 1: Input dataset contains infinity": [Y, [np.inf]],
    "Block 1: Input X contains NaN in column 1": [(X, Y), ([[1, np.nan]], [1])],
    "Block 0: Input sample_weight contains NaN": [(X, Y, np.full(12, np.nan))],
    "Block 0.*'sample_weight'.*-": [(X, Y, -W)],
    "sample_weight.*12 zeros": [(X, Y, 0 * Y)],
    "Block 1.*samples.*11": [(X, Y), (X, Y[1:])],
    "Block 1.*dataset.*real numbers": [Y, ["text"]],
    r"Block 0.*dataset.*\(12, 2\)": [X],
    "Block 1.*columns.*1.*2": [(X, Y), (X[:, :1], Y)],
    "Block 1.*names.*size.*bill": [
        (FRAME[["bill", "size"]], Y), (FRAME[["size", "bill"]], Y)],
    "Block 1.*X.*None": [(X, Y), Y],
    "Block 1.*sample_weight.*float64.*None": [(X, Y), (X, Y, W)],
    "Block 0.*targets": [(X, None)],
    r"Block 0.*\(X, y, sample_weight\).*tuple of 4": [(1, 2, 3, 4)],
    "Block 0.*'tip', 'bill', 'size', 'weight'": [FRAME],
    r"Found array dataset with 0 sample\(s\)": [],
    r"Found array dataset with 0 sample\(s\) ": [Y[:0]],
}


@pytest.mark.parametrize("message", BAD)
def test_what_is_wrong_with_a_block_is_said_by_its_number(message):
    with np.errstate(all="ignore"), pytest.raises((ValueError, TypeError), match=message):
        list(block_chunks(Blocks(lambda: BAD[message])).map(itself))


@pytest.mark.parametrize(("blocks", "message"), [
    ([Y, Y[:3]], "Block 1.*3 rows.*12"),
    ([Y], "1 blocks.*2"),
    ([Y, Y, Y], "more than 2 blocks"),
    ([Y, Y[::-1]], "Block 1.*other numbers"),
    ([Y, Y * np.nan], "Block 1.*changed.*dataset.*NaN"),
    ([Y, Y.astype(np.float32)], "Block 1.*dataset.*float32"),
    ([Y, (X, Y)], "Block 1.*X.*float64.*None"),
], ids=["shorter", "fewer", "more", "reversed", "nan", "dtype", "X"])
def test_a_change_between_two_passes_is_noticed(blocks, message):
    pieces = changing([Y, Y], [Y, Y], blocks)
    for _ in range(2):
        list(pieces.map(itself))
    with pytest.raises(SourceError, match=message):
        list(pieces.map(itself))


def test_the_second_pass_of_a_factory_that_shuffles_is_refused():
    rng = np.random.default_rng(0)
    pieces = block_chunks(Blocks(lambda: [rng.permutation(1000)]))
    list(pieces.map(itself))
    with pytest.raises(SourceError, match="other numbers"):
        list(pieces.map(itself))


def failing(error, after=2):
    yield from itertools.repeat(Y, after)
    raise error


def test_an_error_of_the_factory_names_the_block():
    original = OSError("disk on fire")
    with pytest.raises(SourceError, match=r"Block 2.*OSError: disk on fire") as caught:
        list(block_chunks(Blocks(lambda: failing(original))).map(itself))
    assert caught.value.__cause__ is original
    with pytest.raises(SourceError, match=r"Block 0.*ZeroDivisionError"):
        list(block_chunks(Blocks(lambda: 1 / 0)).map(itself))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_passes(error):
    with pytest.raises(error):
        list(block_chunks(Blocks(lambda: failing(error()))).map(itself))


@pytest.mark.parametrize("block", [None, (None,), ([[1.0]], None)])
def test_a_block_of_nothing_is_no_empty_one(block):
    with pytest.raises(TypeError, match=r"^Block 1 should .* Got None"):
        list(block_chunks(Blocks(lambda: [(np.ones((1, 1)), [1.0]), block])).map(len))


def test_an_iterator_that_can_be_read_only_once_is_refused():
    with pytest.raises(TypeError, match=r"function.*generator"):
        Blocks(cut(Y))
    with pytest.raises(TypeError, match=r"list.*Blocks"):
        Blocks([Y])
    once = cut(Y)
    pieces = block_chunks(Blocks(lambda: once))
    list(pieces.map(itself))
    with pytest.raises(ValueError, match="generator"):
        list(pieces.map(itself))


def test_arguments_that_do_not_go_together_are_refused_by_name():
    blocks, other = Blocks(lambda: cut(FRAME)), Blocks(lambda: cut(FRAME))
    for arguments, message in [
        ((blocks["tip"], other[["bill"]]), "dataset and X.*one table"),
        ((blocks["tip"], blocks["bill"]), r"X=.*\[\['bill'\]\]"),
        ((blocks[["tip"]],), r"dataset=.*[^\[]\['tip'\]"),
        ((blocks, blocks[["bill"]]), "dataset=.*whole table"),
        ((Y, blocks), "X=.*whole table"),
    ]:
        with pytest.raises(ValueError, match=message):
            block_chunks(*arguments)
    with pytest.raises(ValueError, match=r"Block 0.*no column 'tips'.*'tip', 'bill'"):
        list(block_chunks(blocks["tips"]).map(itself))
    with pytest.raises(TypeError, match=r"Block 0.*DataFrame.*type ndarray"):
        list(block_chunks(Blocks(lambda: [Y])["tip"]).map(itself))
    with pytest.raises(ValueError, match=r"Block 0.*X"):
        list(block_chunks(Blocks(lambda: [(X, Y)]), X).map(itself))
    with pytest.raises(TypeError, match=r"name.*Got 0"):
        blocks[0]
    with pytest.raises(TypeError, match="not in memory"):
        np.asarray(blocks["tip"])


def test_one_block_is_read_ahead_and_no_more():
    asked, second = [], threading.Event()

    def make():
        for place in range(6):
            asked.append(place)
            if place % 6 == 1:
                second.set()
            yield Y

    def function(piece):
        assert second.wait(10), "the next block is read while the function works on this one"
        assert len(asked) <= piece.place + 2
        return len(asked)

    list(block_chunks(Blocks(make)).map(function))


@pytest.mark.parametrize("size", [100, BYTES_COPIED // 8 + 1], ids=["copied", "kept from its reader"])
def test_a_factory_may_fill_the_same_array_again(size):
    def make():
        buffer = np.empty(size)
        for place in range(4):
            buffer[:] = place
            yield buffer

    def function(piece):
        threading.Event().wait(0.02)
        return piece.targets.min(), piece.targets.max()

    assert list(block_chunks(Blocks(make)).map(function)) == [(k, k) for k in range(4)]


def test_the_thread_ends_with_the_pass():
    closed = []

    def make():
        try:
            yield from cut(Y)
        finally:
            closed.append(threading.current_thread())

    pieces = block_chunks(Blocks(make))
    list(pieces.map(itself))
    passing = pieces.map(itself)
    next(passing)
    passing.close()
    with pytest.raises(ZeroDivisionError):
        list(pieces.map(lambda piece: 1 / 0))
    assert len(closed) == 3
    assert not any(thread.is_alive() for thread in closed)
    assert len(list(pieces.map(itself))) == 3, "a pass that broke off leaves nothing behind"


def test_ctrl_c_is_answered_while_a_block_is_awaited(interrupted):
    release = threading.Event()

    def make():
        yield Y
        release.wait(30)

    pieces = block_chunks(Blocks(make))
    with interrupted():
        list(pieces.map(itself))
    assert not release.is_set()
    release.set()
    assert len(list(pieces.map(itself))) == 1, "the next pass waits for the thread that was left behind"


def test_all_rows_are_on_disk_for_who_needs_them_in_any_order(tmp_path):
    pieces = block_chunks(Blocks(lambda: cut(X, Y, W)))
    with pieces.on_disk(str(tmp_path)) as stored:
        assert [np.array_equal(*pair) for pair in zip(stored, (X, Y, W), strict=True)] == [True] * 3
        assert stored.X.flags.c_contiguous
    assert os.listdir(tmp_path) == []
    with block_chunks(Blocks(lambda: cut(FRAME))["tip"], X).on_disk() as stored:
        assert np.array_equal(stored.X, X)
        assert stored.weights is None


@pytest.mark.thread_unsafe(reason="monkeypatch")
def test_a_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    nameless = blocks._nameless
    monkeypatch.setattr(blocks, "_nameless", lambda folder: FullDisk(nameless(folder)))
    with pytest.raises(OSError, match=f"{tmp_path}.*No space left.*TMPDIR") as caught, \
            block_chunks(Blocks(lambda: cut(X, Y))).on_disk(str(tmp_path)):
        pass
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_the_answer_is_that_of_one_array(dtype, data):
    name = data.draw(st.sampled_from(EXACT))
    n = data.draw(st.integers(1, 3000))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    cuts = [0, *sorted(rng.integers(0, n, data.draw(st.integers(0, 59))).tolist()), n]
    points = targets_for(name, rng, n, dtype)
    weights = rng.integers(0, 4, n) + np.eye(n, 1).ravel() if data.draw(st.booleans()) else None
    options = {"alpha": 0.001, "theta0": 14, "max_iter": 30, "full_output": True}
    parts = (points,) if weights is None else (None, points, weights)
    assert descend(LOSSES[name], Blocks(lambda: cut(*parts, cuts=cuts)), **options) == descend(
        LOSSES[name], points, sample_weight=weights, **options)


@quiet
@pytest.mark.parametrize("is_weighted", [False, True])
@settings(max_examples=25)
@given(data=st.data())
def test_the_answer_of_rows_is_that_of_one_array(is_weighted, data):
    name = data.draw(st.sampled_from(["mse", "huber_loss"]))
    n, seed = data.draw(st.integers(4, 2000)), data.draw(st.integers(0, 1000))
    columns, targets, weights = raw_rows(name, n, seed, data.draw(st.sampled_from(DTYPES)))
    weights = weights + 0.5 if is_weighted else None
    cuts = [0, *sorted(np.random.default_rng(seed).integers(0, n, data.draw(st.integers(0, 59))).tolist()), n]
    frame = pd.DataFrame(columns, columns=["a", "b", "c"])
    options = {"alpha": "auto", "max_iter": 20, "full_output": True, "fit_intercept": data.draw(st.booleans()),
               "precondition": data.draw(st.sampled_from([None, "scale", "gram"]))}
    parts = (frame, targets) if weights is None else (frame, targets, weights)
    assert descend(LOSSES[name], Blocks(lambda: cut(*parts, cuts=cuts)), **options) == descend(
        LOSSES[name], targets, X=frame, sample_weight=weights, **options)


@pytest.mark.parametrize("block", [
    pd.DataFrame({"a": [1.0], "y": [2.0]}), np.arange(3.0), (np.ones((3, 2)), np.ones(3)), 5.0, "text", {"y": [1.0]},
    pd.Series([1.0, 2.0])], ids=lambda block: type(block).__name__)
def test_one_block_in_place_of_an_iterable_of_blocks_is_named(block):
    for dataset in (Blocks(lambda: block), Blocks(lambda: block)["y"]):
        with pytest.raises(TypeError, match=r"iterable of blocks.*\[block\]"):
            minimize(mse, None, dataset, progress=False)


def test_blocks_can_be_iterated():
    parts = [np.arange(3.0), np.arange(2.0)]
    blocks = Blocks(lambda: parts)
    for _ in range(2):
        assert [*blocks] == parts


def test_a_column_that_there_are_several_of_is_named():
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "a", "y"])
    with pytest.raises(ValueError, match=r"Block 0.*several columns 'a'"):
        minimize(mse, None, Blocks(lambda: [frame])["a"], progress=False)
    blocks = Blocks(lambda: [frame])
    with pytest.raises(ValueError, match=r"Block 0.*several columns 'a'"):
        minimize(mse, None, blocks["y"], progress=False, X=blocks[["a"]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [0, 1, 777, 4998, 4999])
def test_a_change_of_any_number_is_noticed(dtype, place):
    y = np.random.default_rng(0).normal(size=5000).astype(dtype)
    X = np.random.default_rng(1).normal(size=(5000, 3)).astype(dtype)
    for changed in ("y", "X"):
        passes = iter(range(1000))

        def factory(passes=passes, changed=changed):
            arrays = {"y": y.copy(), "X": X.copy()}
            if next(passes) == 2:
                arrays[changed].reshape(-1)[place] += 1
            return [(arrays["X"], arrays["y"])]

        with pytest.raises(SourceError, match=r"Block.*other numbers"):
            minimize(fastgd.huber_loss, None, Blocks(factory), "auto", False, tol=1e-12, precondition="gram")


def test_a_change_of_the_order_is_noticed():
    y = np.random.default_rng(0).normal(size=5000)
    passes = iter(range(1000))
    blocks = Blocks(lambda: [y if next(passes) < 2 else y[::-1].copy()])
    with pytest.raises(SourceError, match=r"Block.*other numbers"):
        minimize(fastgd.huber_loss, None, blocks, 0.01, False, tol=1e-12)
