"""Chunks of dask as pieces: the numbers of one array whatever the chunks, the scheduler and the workers that die."""
import contextlib
import ctypes
import ctypes.util
import functools
import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import LOSSES

import fastgd
from fastgd._data import dask_source as engine
from fastgd._validation import is_dask
from fastgd.losses import compiled
from fastgd.results import SourceError

cloudpickle = pytest.importorskip("cloudpickle")
dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

from fastgd._data.dask_source import check_is_picklable, dask_chunks  # noqa: E402

pytestmark = [
    pytest.mark.thread_unsafe(reason="one client is the ambient one of the process"),
    # What dask says of its own threads and sockets when a worker was killed, or a cluster ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

# Workers cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

N = 1000
Y, X, W = (np.random.default_rng(0).normal(size=(N, 5))[:, part].copy() for part in (0, slice(1, 4), 4))
W = np.abs(W)
FRAME = pd.DataFrame(X, columns=list("abc")).assign(y=Y, w=W, text="words")


@pytest.fixture(scope="module")
def cluster():
    # Where it closes soon after a worker went, distributed looks for that worker once more, and misses it.
    with (contextlib.suppress(KeyError),
          dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.worker.daemon": True}),
          distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None,
                                   silence_logs=50) as started):
        yield started


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as ambient:
        ambient.wait_for_workers(2)
        yield ambient


@pytest.fixture(params=["synchronous", "threads", "distributed"])
def scheduler(request):
    """What computes the chunks."""
    if request.param == "distributed":
        yield request.getfixturevalue("client")
    else:
        with dask.config.set(scheduler=request.param):
            yield request.param


def itself(piece):
    return piece


def total(piece):
    return float(piece.targets.sum())


def slow_total(piece):
    time.sleep(0.02)
    return total(piece)


def assert_same(pieces, y=Y, X=None, weights=None):
    """Fail unless the pieces are these arrays, numbered from 0."""
    found = list(pieces.map(itself))
    assert [piece.place for piece in found] == list(range(len(found)))
    for name, expected in (("X", X), ("targets", y), ("weights", weights)):
        arrays = [getattr(piece, name) for piece in found]
        if expected is None:
            assert set(arrays) == {None}
        else:
            np.testing.assert_array_equal(np.concatenate(arrays), expected, strict=True)
            assert all(array.flags.c_contiguous for array in arrays)
    return found


def tasks_left(client):
    """What the scheduler has to do or to keep, a moment after all that was asked for has come back."""
    for _ in range(100):
        left = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        if not left:
            break
        time.sleep(0.02)
    return left


def random_cuts(rng, n=N):
    return tuple(np.diff([0, *np.sort(rng.integers(0, n + 1, rng.integers(0, 12))), n]).tolist())


LOSSES_OF_DESCENTS = [fastgd.huber_loss, fastgd.mse, fastgd.Pinball(0.7, smoothing=0.5)]


@pytest.mark.parametrize("seed", range(12))
def test_a_descent_has_the_bits_of_the_array(request, seed):
    """Random lengths, types, chunks, points and rows, weights, penalties and ways to descend."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(1, 3000)), int(rng.integers(1, 4))
    dtype = rng.choice([np.float64, np.float32])
    rows = rng.normal(size=(n, p)).astype(dtype)
    arrays = {"dataset": (rows @ np.ones(p) + rng.normal(size=n)).astype(dtype)}
    options = {}
    if rng.random() < 0.7:
        arrays["X"] = rows
        options["fit_intercept"] = bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        arrays["sample_weight"] = rng.integers(0, 3, n) + (np.arange(n) == 0) * 1.0
    options.update([{}, {"momentum": "nesterov"}, {"precondition": "gram"}, {"precondition": "scale"},
                    {"penalty": fastgd.penalties.L2(0.1)}][int(rng.integers(5))])
    if "X" not in arrays and "momentum" not in options:
        options.pop("precondition", None)
    lazy = {name: da.from_array(array, chunks=(random_cuts(rng, n), *array.shape[1:]))
            for name, array in arrays.items()}
    loss, alpha = LOSSES_OF_DESCENTS[seed % 3], rng.choice(["auto", "adaptive"])
    if alpha == "adaptive":
        options.pop("momentum", None)
    scheduler = ("synchronous", "threads", "distributed")[seed // 3 % 3]
    if scheduler == "distributed":
        request.getfixturevalue("client")
    found = []
    for given in (arrays, lazy):
        with (warnings.catch_warnings(), dask.config.set(scheduler=scheduler)):
            warnings.simplefilter("ignore", fastgd.ConvergenceWarning)
            found.append(fastgd.minimize(loss, None, given["dataset"], alpha, False, max_iter=30, full_output=True,
                                         **{name: given[name] for name in given if name != "dataset"}, **options))
    assert found[0] == found[1], (found, options)


def test_a_worker_that_is_killed_in_a_descent_costs_no_bit(client):
    frame = dd.from_pandas(FRAME, npartitions=9)
    running = pids(client)

    def kill_one(result):
        if result.nit == 3:
            os.kill(min(running), signal.SIGKILL)

    options = {"alpha": "auto", "progress": False, "fit_intercept": True, "tol": 1e-6, "full_output": True}
    expected = fastgd.minimize(fastgd.huber_loss, None, FRAME["y"], X=FRAME[["a", "b"]], **options)
    found = fastgd.minimize(fastgd.huber_loss, None, frame["y"], X=frame[["a", "b"]], callback=kill_one, **options)
    assert found == expected
    assert found.nit > 3
    assert list(found.coef.index) == ["a", "b"]
    client.wait_for_workers(2)
    assert pids(client) != running


def test_a_descent_that_loses_its_data_goes_on_from_its_result():
    reads = []

    def read(block):
        reads.append(1)
        if len(reads) == 150:
            raise FileNotFoundError("the file")
        return block

    y = da.from_array(Y, chunks=100).map_blocks(read, dtype=float, meta=np.empty(0))
    options = {"alpha": 0.1, "progress": False, "tol": 1e-6, "full_output": True}
    with dask.config.set(scheduler="synchronous"):
        with pytest.raises(SourceError, match="FileNotFoundError: the file") as caught:
            fastgd.minimize(fastgd.mse, None, y, **options)
        assert caught.value.result.nit > 5
        found = fastgd.minimize(fastgd.mse, None, y, theta0=caught.value.result.x, **options)
    assert found.x == fastgd.minimize(fastgd.mse, None, Y, **options).x


@pytest.mark.parametrize("size", [None, 16])
def test_stochastic_descent_does_not_depend_on_chunks_or_workers(client, size):
    verb = fastgd.minimize_sgd if size is None else functools.partial(fastgd.minimize_mini_batch, minibatch_size=size)
    found = []
    for scheduler, chunks in (("threads", 1000), ("threads", (30, 300, 670)), ("distributed", 70)):
        with dask.config.set(scheduler=scheduler), warnings.catch_warnings():
            warnings.simplefilter("ignore", fastgd.ConvergenceWarning)
            found.append(verb(fastgd.huber_loss, None, da.from_array(Y, chunks=(chunks,)), X=da.from_array(
                X, chunks=(chunks, 2)), alpha=0.01, rng=0, max_epochs=3, progress=False, full_output=True))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("seed", range(3))
def test_arrays_of_any_chunks_are_the_array(scheduler, seed):
    """Also along the columns, some of them empty, each argument with chunks of its own, one of them in memory."""
    rng = np.random.default_rng(seed)
    dtype = (np.float64, np.float32)[seed % 2]
    y, rows = Y.astype(dtype), X.astype(dtype)
    lazy = {"y": da.from_array(y, chunks=(random_cuts(rng),)), "w": da.from_array(W, chunks=100),
            "X": da.from_array(rows, chunks=(random_cuts(rng), 2))}
    in_memory = {"y": y, "w": W, "X": rows}
    assert_same(dask_chunks(lazy["y"], None, None), y)
    assert_same(dask_chunks(lazy["y"], lazy["X"], lazy["w"]), y, rows, W)
    one = ("y", "w", "X")[seed]
    given = {**lazy, one: in_memory[one]}
    pieces = dask_chunks(given["y"], given["X"], given["w"])
    assert_same(pieces, y, rows, W)
    assert pieces.passes == 1


def test_frames_of_unknown_lengths_are_the_array(scheduler):
    frame = dd.from_pandas(FRAME, npartitions=4)
    columns = frame[["a", "b", "c"]]
    pieces = dask_chunks(frame["y"], columns, frame["w"])
    assert len(assert_same(pieces, Y, X, W)) == 4
    assert (pieces.names, pieces.passes, pieces.what, pieces.is_remote) == (["a", "b", "c"], 1, "chunk", True)
    assert_same(dask_chunks(frame["y"].to_dask_array(), columns.to_dask_array(), frame["w"]), Y, X, W)
    # Where known lengths have to agree with them, they are counted.
    pieces = dask_chunks(da.from_array(Y, chunks=100), columns, W)
    assert len(assert_same(pieces, Y, X, W)) == 4
    assert pieces.passes == 2


def test_empty_partitions_have_no_number(scheduler):
    frame = dd.from_pandas(FRAME[["a", "b", "c", "y"]], npartitions=4)
    with_empty = dd.concat([frame[frame["a"] > 1e9], frame, frame[frame["a"] > 1e9]])
    pieces = dask_chunks(with_empty["y"], with_empty[["a", "b", "c"]], None)
    assert len(assert_same(pieces, Y, X)) == 4
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        dask_chunks((empty := frame[frame["a"] > 1e9])["y"], empty[["a"]], None).map(total)


def test_passes_and_bytes_are_counted(scheduler):
    pieces = dask_chunks(da.from_array(Y, chunks=300), da.from_array(X, chunks=(300, 2)), None)
    assert list(pieces.map(total)) == list(pieces.map(total))
    assert (pieces.passes, pieces.bytes_read) == (2, 2 * (Y.nbytes + X.nbytes))


def test_pieces_that_are_not_asked_for_are_not_read(tmp_path):
    def read(block, block_info=None):
        (tmp_path / str(block_info[0]["chunk-location"][0])).touch()
        return block

    y = da.from_array(Y, chunks=100).map_blocks(read, dtype=float, meta=np.empty(0))
    with dask.config.set(scheduler="synchronous"):
        pieces = dask_chunks(y, None, None)
        all_of_them = list(pieces.map(total))
        for path in tmp_path.iterdir():
            path.unlink()
        assert list(pieces.map(total, [7, 2])) == [all_of_them[7], all_of_them[2]]
    assert {path.name for path in tmp_path.iterdir()} == {"2", "7"}
    assert pieces.passes == 1


def test_processes_give_the_same():
    with dask.config.set(scheduler="processes", num_workers=2):
        pieces = dask_chunks(da.from_array(Y, chunks=300), None, None)
        assert list(pieces.map(total)) == [float(Y[start:start + 300].sum()) for start in range(0, N, 300)]
        with pytest.raises(ValueError, match=r"^Chunk 3: .*dataset.*NaN"):
            dask_chunks(da.from_array(np.r_[Y[:-1], np.nan], chunks=300), None, None).map(total)


def test_any_number_of_workers_gives_the_same(cluster, client):
    y, rows = da.from_array(Y, chunks=7), da.from_array(X, chunks=(30, 3))
    for count in (1, 3, 2):
        cluster.scale(count)
        client.wait_for_workers(count)
        assert_same(dask_chunks(y, rows, None), Y, X)


def test_a_descent_has_the_bits_of_the_array_for_any_workers_chunks_and_row_groups(cluster, client, tmp_path):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(5000, 3)), columns=["a", "b", "c"])
    frame["y"] = frame["a"] - frame["b"] + rng.standard_t(2, 5000)
    run = functools.partial(fastgd.minimize, fastgd.huber_loss, None, alpha="adaptive", progress=False,
                            fit_intercept=True, precondition="gram", full_output=True)
    features = ["a", "b", "c"]
    expected = run(frame["y"], X=frame[features])
    for count, rows in ((1, 5000), (3, 700), (2, 301)):
        cluster.scale(count)
        client.wait_for_workers(count)
        frame.to_parquet(tmp_path / "rows.parquet", row_group_size=rows)
        read = dd.read_parquet(tmp_path / "rows.parquet", split_row_groups=True)
        table = fastgd.open_parquet(tmp_path / "rows.parquet")
        chunks = da.from_array(frame.to_numpy(), chunks=(rows, 4))
        for y, X in ((read["y"], read[features]), (table["y"], table[features]), (chunks[:, 3], chunks[:, :3])):
            found = run(y, X=X)
            assert (found.x.tolist(), found.fun, found.nit) == (expected.x.tolist(), expected.fun, expected.nit)


def test_a_pass_is_a_task_a_worker_whose_threads_share_its_chunks(client):
    def who(piece):
        time.sleep(0.01)
        task = None
        with contextlib.suppress(ValueError):    # a thread that helps knows of no task
            task = distributed.get_worker().get_current_task()
        return os.getpid(), threading.get_ident(), task

    found = list(dask_chunks(da.from_array(Y, chunks=10), None, None).map(who))
    assert len({task for *_, task in found if task}) == len({pid for pid, *_ in found}) == 2
    assert len({(pid, thread) for pid, thread, _ in found}) == 4


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (lambda f: (f, None, None), ValueError,
     r"DataFrame.* y, w .*dataset\['text'\].*X=dataset\[\[...\]\]"),
    (lambda f: (f["y"], f["a"], None), ValueError, r"2D.*Series.*X\[\[name\]\]"),
    (lambda f: (f["y"], da.ones(9), None), ValueError, r"2D.*Array.*reshape\(-1, 1\)"),
    (lambda f: (da.ones((9, 1)), None, None), ValueError, "1d array.*2 dimensions"),
    (lambda f: (dask.delayed(Y), None, None), TypeError, "'dataset'.*Delayed.*from_delayed"),
    (lambda f: (Y, pytest.importorskip("dask.bag").from_sequence([1]), None), TypeError,
     "'X'.*Bag"),
    (lambda f: (da.ones(9), da.ones((8, 2)), None), ValueError, r"\[8, 9\] \(.*X.*dataset"),
    (lambda f: (da.ones(9), None, np.ones(8)), ValueError, r"\[9, 8\] \(.*dataset.*sample_weight"),
    (lambda f: (f["y"], f[["a"]].repartition(npartitions=2), None), ValueError, "2 of X, 4 of dataset"),
    (lambda f: (f["y"], None, -W), ValueError, r"'sample_weight'.*\[0, inf\)"),
    (lambda f: (da.ones(9, dtype=complex), None, None), ValueError, r"Chunk \d: Complex data not supported"),
    (lambda f: (f["text"], None, None), TypeError, r"Chunk \d: .*dataset.*real numbers"),
    (lambda f: (f["y"], f[["a", "text"]], None), TypeError, r"Chunk \d: Input X .*'text'"),
])
def test_what_cannot_be_used_is_refused_by_name(arguments, error, message):
    with dask.config.set(scheduler="synchronous"), pytest.raises(error, match=message):
        dask_chunks(*arguments(dd.from_pandas(FRAME, npartitions=4))).map(total)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda y: np.where(y == y[0], np.nan, y), "^Chunk 3: .*dataset.*NaN.*1 of 100 values"),
    (lambda y: y[:-1], r"^Chunk 3: .*\[100, 99\] \(.*X.*dataset"),
    (lambda y: y.astype(np.float32), "^Chunk 3: dataset.*float32.*float64"),
])
def test_a_chunk_that_is_wrong_is_named(scheduler, spoil, message):
    def spoiled(block, block_info=None):
        return spoil(block) if block_info[0]["chunk-location"] == (3,) else block

    y = da.from_array(Y, chunks=100).map_blocks(spoiled, dtype=float, meta=np.empty(0))
    rows = da.from_array(X, chunks=(100, 3))
    with pytest.raises(ValueError, match=message):
        dask_chunks(y, rows, None).map(total)
    assert scheduler in ("synchronous", "threads") or not tasks_left(scheduler)


def test_a_chunk_that_cannot_be_read_is_a_source_error(client):
    def broken(block, block_info=None):
        if block_info[0]["chunk-location"] == (3,):
            raise KeyError("nothing")
        return block

    y = da.from_array(Y, chunks=100).map_blocks(broken, dtype=float, meta=np.empty(0))
    with pytest.raises(SourceError, match=r"^Chunk 3 .*KeyError: 'nothing'"):
        dask_chunks(y, None, None).map(total)
    assert not tasks_left(client)
    with dask.config.set(scheduler="threads"), pytest.raises(SourceError, match="KeyError") as caught:
        dask_chunks(y, None, None).map(total)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_the_function_is_raised_as_it_is(scheduler):
    def refuse(piece):
        if piece.place == 3:
            raise ZeroDivisionError("the third")
        return 1

    with pytest.raises(ZeroDivisionError, match="the third"):
        dask_chunks(da.from_array(Y, chunks=100), None, None).map(refuse)
    assert scheduler in ("synchronous", "threads") or not tasks_left(scheduler)


def test_data_that_change_between_passes_are_noticed():
    lengths = iter([100] * 10 + [100] * 3 + [99])
    y = da.from_array(Y, chunks=100).map_blocks(lambda block: block[:next(lengths)], dtype=float, meta=np.empty(0))
    with dask.config.set(scheduler="synchronous"):
        pieces = dask_chunks(y, None, None)
        pieces.map(total)
        with pytest.raises(SourceError, match=r"99 rows.*100"):
            pieces.map(total)


@pytest.mark.parametrize("closes", ["client", "cluster"])
@pytest.mark.parametrize("is_stochastic", [False, True])
def test_a_client_that_is_closed_in_a_run_loses_the_data_and_not_the_result(closes, is_stochastic):
    # A client that is closed by its cluster leaves itself in dask's settings.
    with (contextlib.suppress(KeyError), dask.config.set(scheduler=dask.config.get("scheduler", None)),
          distributed.LocalCluster(processes=False, dashboard_address=":0", silence_logs=50) as started,
          distributed.Client(started) as client):
        y = da.from_array(Y, chunks=100)

        def close(result):
            (client if closes == "client" else started).close()

        verb, options = (fastgd.minimize_sgd, {"rng": 0}) if is_stochastic else (fastgd.minimize, {"progress": False})
        with pytest.raises(SourceError, match="cluster was closed") as caught:
            verb(fastgd.huber_loss, None, y, 0.01, callback=close, tol=0, **options)
        assert np.isfinite(caught.value.result.x)
        assert caught.value.result.nit > 0


NOISE = np.random.default_rng(1)


@pytest.mark.parametrize("what", ["y", "X", "weights"])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_other_numbers_in_each_pass_are_noticed(what, scheduler):
    """A collection that is computed at random has other numbers whenever it is computed."""
    def noisy(block):
        return np.abs(block + NOISE.random(block.shape))

    given = {"y": da.from_array(Y, chunks=100), "X": da.from_array(X, chunks=(100, 3)),
             "weights": da.from_array(W, chunks=100)}
    given[what] = given[what].map_blocks(noisy, dtype=float, meta=np.empty((0,) * given[what].ndim))
    with dask.config.set(scheduler=scheduler):
        pieces = dask_chunks(*given.values())
        pieces.map(total)
        with pytest.raises(SourceError, match=r"Chunk 0.*other numbers.*persist\(\)"):
            pieces.map(total)
        with pytest.raises(SourceError, match="other numbers") as caught:
            fastgd.minimize(fastgd.huber_loss, None, given["y"], "adaptive", False, X=given["X"],
                            sample_weight=given["weights"], tol=1e-12)
        assert caught.value.result is None or caught.value.result.status == 5


def test_only_the_columns_that_are_asked_for_are_read(tmp_path):
    def read(k, columns=None):
        (tmp_path / f"{k}-{'all' if columns is None else '-'.join(columns)}").touch()
        part = FRAME[k * 500:(k + 1) * 500]
        return part if columns is None else part[columns]

    frame = dd.from_map(read, range(2), meta=FRAME[:0])
    with dask.config.set(scheduler="synchronous"):
        assert_same(dask_chunks(frame["y"], frame[["b"]], None), Y, X[:, 1:2])
    assert {path.name for path in tmp_path.iterdir()} == {"0-y", "0-b", "1-y", "1-b"}


def test_what_two_columns_are_made_from_is_read_once(tmp_path):
    def read(k):
        (tmp_path / str(k)).open("a").write("x")
        return FRAME[k * 500:(k + 1) * 500]

    frame = dd.from_delayed([dask.delayed(read)(k) for k in range(2)], meta=FRAME[:0]).map_partitions(pd.DataFrame.copy)
    with dask.config.set(scheduler="synchronous"):
        dask_chunks(frame["y"], frame[["b"]], frame["w"]).map(total)
    assert [(tmp_path / str(k)).read_text() for k in range(2)] == ["x", "x"]


def test_kept_pieces_do_not_keep_the_frame_they_came_from(client):
    frame = dd.from_pandas(FRAME.drop(columns="text"), npartitions=2)
    found = dask_chunks(frame["y"], frame[["a"]], frame["w"]).map(
        lambda piece: [array.flags.owndata for array in piece[1:]])
    assert list(found) == [[True] * 3] * 2


def test_data_are_let_go_with_the_pieces(client):
    pieces = dask_chunks(da.from_array(Y, chunks=100), None, None)
    for let_go in (pieces.close, lambda: None):
        before = list(pieces.map(total))
        assert client.futures
        let_go()
        assert let_go != pieces.close or not tasks_left(client)
        assert list(pieces.map(total)) == before
    del pieces, let_go
    assert not tasks_left(client)


def pids(client):
    return set(client.run(os.getpid).values())


def test_a_worker_that_is_killed_between_passes_costs_no_bit(client):
    pieces = dask_chunks(da.from_array(Y, chunks=30), da.from_array(X, chunks=(30, 3)), None)
    before, running = list(pieces.map(total)), pids(client)
    os.kill(min(running), signal.SIGKILL)
    assert list(pieces.map(total)) == before
    assert_same(pieces, Y, X)
    client.wait_for_workers(2)
    assert pids(client) != running


def test_a_worker_that_is_killed_within_a_pass_costs_no_bit(client, tmp_path):
    flag = str(tmp_path / "killed")

    def total_or_die(piece):
        if piece.place == 20 and not os.path.exists(flag):
            open(flag, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return total(piece)

    pieces = dask_chunks(da.from_array(Y, chunks=30), None, None)
    running = pids(client)
    assert list(pieces.map(total_or_die)) == [float(Y[start:start + 30].sum()) for start in range(0, N, 30)]
    assert os.path.exists(flag)
    client.wait_for_workers(2)
    assert pids(client) != running


def test_a_task_that_kills_its_workers_is_one_clear_error(client):
    def die(piece):
        os.kill(os.getpid(), signal.SIGKILL)

    pieces = dask_chunks(da.from_array(Y, chunks=30), None, None)
    with pytest.raises(SourceError, match=r"each of the 2 workers.*theta0=error\.result\.x"):
        pieces.map(die)
    assert not tasks_left(client)
    assert len(list(pieces.map(total))) == 34    # which brings the chunks again


def test_a_cluster_without_workers_is_given_up(monkeypatch):
    monkeypatch.setattr(engine, "NO_WORKERS", 0.2)
    with (dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}),    # after which a client looks no more
          distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=50) as empty,
          distributed.Client(empty)):
        with pytest.raises(SourceError, match=r"no workers for .* seconds\. theta0=error\.result\.x"):
            dask_chunks(da.from_array(Y, chunks=30), None, None).map(total)
        pieces = dask_chunks(da.from_array(Y, chunks=30), None, None)
        monkeypatch.setattr(engine, "NO_WORKERS", 60)
        threading.Timer(0.3, empty.scheduler.loop.add_callback, [empty.scheduler.close]).start()
        with pytest.raises(SourceError, match=r"cluster was closed.*theta0=error\.result\.x"):
            pieces.map(total)


def test_an_interrupt_is_answered_and_leaves_a_client_that_works(client):
    """In a process of its own, to which a terminal sends SIGINT; the cluster is this one."""
    code = textwrap.dedent("""
        import gc, sys, time
        import dask.array as da, distributed, numpy as np
        from fastgd._data.dask_source import dask_chunks

        gc.disable()    # out of a callback of distributed's, when garbage is collected, an interrupt does not come
        client = distributed.Client(sys.argv[1])
        y = da.ones(1000, chunks=10)
        pieces = dask_chunks(y, None, None)
        for stage in ("load", "pass"):
            if stage == "load":
                asked = dask_chunks(y.map_blocks(lambda block: (time.sleep(0.2), block)[1], dtype=float), None, None)
                function = len
            else:
                pieces.map(len)
                asked, function = pieces, lambda piece: time.sleep(0.2)
            print("begun", flush=True)
            try:
                asked.map(function)
            except KeyboardInterrupt:
                print(time.time(), flush=True)
            del asked
        assert sum(pieces.map(lambda piece: len(piece.targets))) == 1000
        del pieces
        gc.collect()
        time.sleep(1)
        print(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)),
              client.run(lambda dask_worker: [*dask_worker.state.tasks]), flush=True)
        client.close()
    """)
    child = subprocess.Popen([sys.executable, "-c", code, client.scheduler.address], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    with child:
        for _ in range(2):
            assert child.stdout.readline() == "begun\n"
            time.sleep(0.3)
            sent = time.time()
            child.send_signal(signal.SIGINT)
            assert float(child.stdout.readline()) - sent < 3    # all of the chunks sleep for 10 s
        left = child.stdout.readline()
    assert re.fullmatch(r"\[\] \{('tcp://[0-9.:]+': \[\](, )?)+\}\n", left), left


@pytest.fixture
def no_garbage():
    """A cluster in this process has a callback of the collector, out of which an interrupt does not come."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize("name", ["synchronous", "threads"])
def test_an_interrupt_is_answered_without_a_cluster(interrupted, name):
    with dask.config.set(scheduler=name):
        pieces = dask_chunks(da.from_array(Y, chunks=10), None, None)
        with interrupted():
            pieces.map(slow_total)
        assert len(list(pieces.map(total))) == 100


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_can_be_sent(name):
    for function in (LOSSES[name], LOSSES[name].gradient, functools.partial(sum, LOSSES[name])):
        sent = cloudpickle.loads(engine.pickle_function(function))
        assert sent == function or (sent.func, sent.args) == (function.func, function.args)


def test_a_loss_from_c_functions_is_refused_before_anything_is_read(scheduler):
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    for function in (library.fmax, library.fmin):
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double, ctypes.c_double]
    own = compiled(library.fmax, library.fmin, name="own")
    read = []

    def seen(block):
        read.append(1)
        return block

    pieces = dask_chunks(da.from_array(Y, chunks=300).map_blocks(seen, dtype=float, meta=np.empty(0)), None, None)
    called = functools.partial(lambda loss, piece: len(piece.targets), own)
    if scheduler in ("synchronous", "threads"):
        check_is_picklable(own)
        assert sum(pieces.map(called)) == N
    else:
        for refused in (check_is_picklable, pieces.map):
            with pytest.raises(TypeError, match=r"<compiled loss own>.*threads"):
                refused(called)
        assert not scheduler.futures


def test_passes_can_be_made_within_tasks(client):
    """Whose places in the workers' pools, here all, the tasks of these passes take meanwhile."""
    y = da.from_array(Y, chunks=300)
    found = client.map(lambda _: list(dask_chunks(y, None, None).map(total)), range(4), pure=False)
    assert [each.result(timeout=20) for each in found] == [list(dask_chunks(y, None, None).map(total))] * 4


def test_what_is_of_dask_is_known_without_dask():
    assert all(map(is_dask, (da.ones(3), dd.from_pandas(FRAME, 2)["a"], dask.delayed(1))))
    assert not any(map(is_dask, (Y, FRAME, [1.0], None, SimpleNamespace(__dask_graph__=1), da.Array)))
    code = ("import sys, fastgd; fastgd._validation.is_dask([1.0]); "
            "print([m for m in sys.modules if m.startswith('dask')])")
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(fastgd.__file__))}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env).stdout == "[]\n"
