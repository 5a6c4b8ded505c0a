"""Overhead of a pass over chunks of dask, with two workers on this machine and little data.

The contender "a task a chunk" sends a task of dask for each chunk. Names that begin with fastgd are passes over the
same data without a cluster. The limit is one empty task and its answer.
"""
import functools

import numpy as np
import pytest
from harness import measure, size

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

from fastgd import grad_huber_loss  # noqa: E402
from fastgd._data import as_data  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CHUNKS = 128


@pytest.fixture(scope="module")
def client():
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                                   silence_logs=50) as workers, distributed.Client(workers) as ambient):
        yield ambient


def gradient_of_a_chunk(y):
    return grad_huber_loss(15.0, y)


def a_task_a_chunk(client, chunks):
    return client.gather(client.map(gradient_of_a_chunk, chunks, pure=False))


def test_a_pass(benchmark, client):
    n = max(CHUNKS, size(128_000))
    y = np.random.default_rng(0).normal(15, 3, n)
    lazy = da.from_array(y, chunks=-(-n // CHUNKS))
    chunks = client.compute(list(lazy.to_delayed()))
    mean = functools.partial(as_data(lazy, None, False).mean, grad_huber_loss, 15.0)
    with dask.config.set(scheduler="threads"):
        in_threads = functools.partial(as_data(lazy, None, False).mean, grad_huber_loss, 15.0)
    a_task_a_chunk(client, chunks)    # the workers import what they need
    answers = measure(benchmark, f"a pass over {CHUNKS} chunks on two workers of dask", {
        "fastgd": mean,
        "fastgd, dask's threads": in_threads,
        "a task a chunk": functools.partial(a_task_a_chunk, client, chunks),
    }, ("one task", lambda: client.submit(int, pure=False).result()))
    assert answers["fastgd"] == answers["fastgd, dask's threads"] == grad_huber_loss(15.0, y)
