"""Passes over data that are not in memory, beside passes over the same data in memory and a bare reader."""
import numpy as np
import pytest
from harness import measure, np_sum, points

import fastgd
from fastgd._data import as_data

N = 20_000_000


@pytest.fixture(scope="module")
def y():
    return np.resize(points(N), N if len(points(N)) > 5000 else 5000)


def test_memmap(benchmark, y, tmp_path):
    """Time a pass over a memory map whose pages are cached, as after a first pass."""
    np.save(tmp_path / "y.npy", y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    contenders = {"fastgd": lambda: fastgd.grad_huber_loss(14.2, mapped),
                  "fastgd, in memory": lambda: fastgd.grad_huber_loss(14.2, y)}
    measure(benchmark, f"grad_huber_loss of {len(y):,} points, memmap", contenders, np_sum(mapped))


def test_blocks(benchmark, y):
    parts = np.array_split(y, 200)
    data = as_data(fastgd.Blocks(lambda: parts), None, False)
    contenders = {"fastgd": lambda: data.mean(fastgd.grad_huber_loss, 14.2),
                  "fastgd, in memory": lambda: fastgd.grad_huber_loss(14.2, y)}
    measure(benchmark, f"pass over {len(y):,} points in 200 blocks, grad_huber_loss", contenders, np_sum(y))


def test_parquet(benchmark, y, tmp_path):
    """Time a pass over one of two columns in one row group; the limit decodes the column only."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "y.parquet"
    parquet.write_table(pyarrow.table({"y": y, "z": y[::-1].copy()}), file, row_group_size=len(y))
    table = fastgd.open_parquet(file)
    cached = fastgd.open_parquet(file, cache=tmp_path / "cache")
    data, cached_data = (as_data(each["y"], None, False) for each in (table, cached))

    def read():
        opened = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
        for _ in opened.iter_batches(columns=["y"], batch_size=2**17, use_threads=False):
            pass

    contenders = {"fastgd": lambda: data.mean(fastgd.grad_huber_loss, 14.2),
                  "fastgd, cache": lambda: cached_data.mean(fastgd.grad_huber_loss, 14.2)}
    measure(benchmark, f"pass over {len(y):,} points in a Parquet file, grad_huber_loss", contenders,
            ("iter_batches", read))
