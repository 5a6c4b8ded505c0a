"""The kernel of the Gram matrix: the bits of its order of summation, whatever the parts and the threads."""
import numpy as np
import pytest
from helpers import DTYPES

from fastgd._data import LinearModelData
from fastgd._kernels import gram
from fastgd._kernels.mean import cut
from fastgd._objective.second_moments import RowMoments
from fastgd._pairwise import LEAF
from fastgd._thread_pool import ThreadPool


def design(n, p, dtype=float, seed=0):
    """X, a shift, weights of both signs, and targets."""
    rng = np.random.default_rng([seed, n, p])
    return (rng.normal(3, 2, (n, p)).astype(dtype), rng.normal(3, 1, p), rng.normal(1, 1, n), rng.normal(size=n))


def sums(X, shift, weights=None, targets=None, start=0):
    """What the kernel finds in one call, with no more scratch than it says."""
    (n, p), q = X.shape, X.shape[1] + 1 + (targets is not None)
    out, scratch = np.full((q, q), np.nan), np.full(gram.scratch_size(n - start, p, weights is not None), np.nan)
    gram.sums(X, shift, weights, targets, start, n, out, scratch)
    return out


def augmented(X, shift, weights=None, targets=None):
    """The rows u = [x - shift, 1, t], and w u."""
    columns = [X - shift, np.ones((len(X), 1))] + ([] if targets is None else [targets[:, None]])
    rows = np.hstack(columns)
    return rows, rows if weights is None else weights[:, None] * rows


def twin(X, rows, weighted):
    """The same order, row by row: of two columns of X the second is weighted, beside 1 and t the one of X."""
    n, p = X.shape
    if n > LEAF:
        half = cut(n)
        return (twin(X[:half], rows[:half], weighted[:half]) + twin(X[half:], rows[half:], weighted[half:]))
    total = np.zeros((rows.shape[1],) * 2)
    for u, wu in zip(rows, weighted, strict=True):
        products = np.outer(u, wu)
        products[:, p:] = np.outer(wu, u)[:, p:]
        total += products
    return np.triu(total) + np.triu(total, 1).T


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 127, 128, 129, 1000])
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 8, 11, 22])
def test_bits_of_the_twin(n, p, dtype):
    X, shift, weights, targets = design(n, p, dtype)
    for w in (None, weights):
        for t in (None, targets):
            assert np.array_equal(sums(X, shift, w, t), twin(X, *augmented(X, shift, w, t)))


@pytest.mark.parametrize("p", range(1, 41))
def test_is_the_product_of_numpy(p):
    for n in (1, 127, 128, 129, 1000):
        X, shift, weights, targets = design(n, p, DTYPES[p % 2])
        for start in (0, n // 3):
            rows, weighted = augmented(X[start:], shift, weights[start:], targets[start:])
            scale = np.sqrt(np.abs(rows * weighted).sum(axis=0))
            error = sums(X, shift, weights, targets, start) - rows.T @ weighted
            assert (np.abs(error) <= 1e-13 * np.outer(scale, scale)).all()


def test_what_is_not_finite_stays_in_its_columns():
    X, shift, _, targets = design(200, 6)
    X[3, 1], X[150, 4] = np.nan, np.inf
    found = np.isfinite(sums(X, shift, None, targets))
    others = [0, 2, 3, 5, 6, 7]
    assert found[np.ix_(others, others)].all()
    assert not found[[1, 4]].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "p"), [(300_001, 5), (30_001, 130), (12_000, 300)])
def test_bits_whatever_the_parts_and_the_threads(n, p, dtype):
    X, _, _, targets = design(n, p, dtype)
    whole = sums(X, np.zeros(p), None, targets)
    for count in (1, 2, 3, 5):
        found, moment = RowMoments(LinearModelData(X, targets, False), ThreadPool(count)).gram()
        assert np.array_equal(found, whole[:p, :p] / n)
        assert np.array_equal(moment, whole[p + 1, :p] / n)
