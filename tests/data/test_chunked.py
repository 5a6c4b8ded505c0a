"""Sources in pieces: no bit of any answer depends on where the pieces are cut."""
import contextlib
import functools
import importlib
import itertools
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from fastgd import losses, penalties, schedules
from fastgd._data import ConstantModelData
from fastgd._data.chunked import Chunk, ChunkedConstantModelData, ChunkedLinearModelData, scan_chunks
from fastgd._objective import objective as _objective
from fastgd._pairwise import reduce_cover, subtrees, tree_cover
from fastgd.losses.builtin import REGISTRY


class Cut:
    """Arrays in memory as pieces that are cut anywhere."""

    what = "piece"
    names = None

    def __init__(self, y, X=None, weights=None, cuts=(), is_remote=False):
        self.y, self.X, self.weights, self.is_remote = y, X, weights, is_remote
        ends = [0, *sorted(cuts), len(y)]
        self.parts = [slice(start, stop) for start, stop in itertools.pairwise(ends) if stop > start]
        self.passes = self.bytes_read = 0

    def map(self, function, places=None):
        self.passes += places is None
        if self.is_remote:    # what is sent is a function of values, without the data of whoever sends it
            sent = pickle.dumps(function)
            assert len(sent) < 300_000    # the places of a sample may be among them
            function = pickle.loads(sent)
        for index, part in enumerate(self.parts):
            if places is not None and index not in places:
                continue
            piece = Chunk(index, *(None if array is None else array[part].copy()
                                   for array in (self.X, self.y, self.weights)))
            self.bytes_read += piece.nbytes
            yield function(piece)

    def close(self):
        pass

    @contextlib.contextmanager
    def on_disk(self):
        yield self.X, self.y, self.weights


def sum_of_columns(rows, part):
    return rows.X[part].sum(axis=0)


@pytest.fixture
def as_pieces(monkeypatch):
    """A function from a verb to the same verb on pieces, which are given as `dataset`."""
    plain = _objective.as_data

    def as_data(dataset, X, fit_intercept, *args, **kwargs):
        if isinstance(dataset, Cut):
            return scan_chunks(dataset, fit_intercept)
        return plain(dataset, X, fit_intercept, *args, **kwargs)

    monkeypatch.setattr(_objective, "as_data", as_data)


def answer(verb, *args, **options):
    """The result, also of a run that diverged, or what was refused; and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = verb(*args, full_output=True, **options)
        except fastgd.DivergenceError as error:
            result = error.result
        except ValueError as error:
            return str(error), []
    return result, [str(each.message) for each in caught]


def cuts_of(rng, n):
    return rng.integers(0, n + 1, rng.integers(0, 60)).tolist()


def problem(rng, name, n, is_rows):
    dtype = rng.choice([np.float32, np.float64])
    X = None
    y = rng.normal(1, 2, n)
    if is_rows:
        p = int(rng.choice([1, 2, 3, 5, 8, 33]))
        X = rng.normal(size=(n, p)) * 10 ** rng.uniform(-1, 1, p) + rng.normal(size=p)
        y += X @ rng.normal(size=p) / np.sqrt(p) / 5
        X = X.astype(dtype)
    if name == "cross_entropy":
        y = (y > 1).astype(float)
    weights = rng.integers(0, 3, n) * rng.random(n) if rng.random() < 0.4 else None
    return X, y.astype(dtype), None if weights is not None and not weights.any() else weights


@pytest.mark.parametrize("is_rows", [False, True])
@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.usefixtures("as_pieces")
def test_a_descent_has_the_bits_of_one_array(name, is_rows):
    loss = REGISTRY[name]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, y, weights = problem(rng, name, int(10 ** rng.uniform(0, 4.2)), is_rows)
        alpha = str(rng.choice(["auto", "adaptive"])) if loss.max_stable_alpha is not None else 0.001
        options = {"tol": 10 ** rng.uniform(-8, -2), "max_iter": 40, "progress": False,
                   "stop": str(rng.choice(["step", "loss"]))}
        if is_rows:
            options |= {"fit_intercept": bool(rng.random() < 0.6), "precondition": [None, "scale", "gram"][seed % 3]}
        if alpha != "adaptive" and rng.random() < 0.4:
            options["momentum"] = "nesterov"
        if rng.random() < 0.5:
            options["penalty"] = penalties.L2(0.1)
        if is_rows and seed == 10 and alpha != 0.001:
            options |= {"penalty": penalties.L1(0.1), "precondition": "scale"}
        expected = answer(fastgd.minimize, loss, None, y, alpha, X=X, sample_weight=weights, **options)
        pieces = Cut(y, X, weights, cuts_of(rng, len(y)), is_remote=bool(seed % 2))
        assert answer(fastgd.minimize, loss, None, pieces, alpha, **options) == expected


@pytest.mark.parametrize("size", [None, 32])
@pytest.mark.parametrize("is_rows", [False, True])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.usefixtures("as_pieces")
def test_stochastic_descent_does_not_depend_on_the_pieces(size, is_rows, is_weighted):
    rng = np.random.default_rng(0)
    n = 150_001 if is_rows else 70_000
    X = rng.normal(size=(n, 5)) if is_rows else None
    y = rng.normal(size=n) if X is None else X @ np.ones(5) + rng.normal(size=n)
    weights = rng.integers(0, 3, n).astype(float) if is_weighted else None
    verb = fastgd.minimize_sgd if size is None else functools.partial(fastgd.minimize_mini_batch, minibatch_size=size)
    found = [answer(verb, fastgd.huber_loss, None, Cut(y, X, weights, cuts, is_remote), rng=3, max_epochs=2,
                    alpha=schedules.inverse_scaling(0.1, 0.75), stop="epoch", average=True, tol=1e-9,
                    precondition="scale" if is_weighted else None, penalty=penalties.L2(0.001))
             for cuts, is_remote in (((), False), (cuts_of(rng, n), False), (cuts_of(rng, n), True))]
    assert found[0] == found[1] == found[2]
    if not is_weighted:    # in units of the largest row, and there are too few updates for its rate
        np.testing.assert_allclose(found[0][0].x, 1.0 if is_rows else 0.0, atol=0.25)


@pytest.mark.usefixtures("as_pieces")
def test_stochastic_descent_says_that_rows_are_in_an_order():
    y = np.sort(np.random.default_rng(0).normal(size=2_000_000))
    options = {"alpha": schedules.inverse_scaling(0.1, 0.75), "rng": 0, "max_epochs": 1, "stop": "epoch"}
    said = answer(fastgd.minimize_sgd, fastgd.mse, None, Cut(y), **options)[1]
    assert any("in an order" in each for each in said)
    np.random.default_rng(1).shuffle(y)
    said = answer(fastgd.minimize_sgd, fastgd.mse, None, Cut(y), **options)[1]
    assert not any("in an order" in each for each in said)


@given(n=st.integers(1, 3000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_covered_is_assembled_in_the_order_of_the_tree(n, data):
    ends = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=8))})
    values = np.random.default_rng(n).normal(size=n) * 10.0 ** np.random.default_rng(1).integers(-8, 8, n)
    leaves = {}
    for start, stop in itertools.pairwise(ends):
        for first, last, leaf, end in tree_cover(n, start, stop):
            assert start <= first < last <= stop
            assert leaf <= first < last <= end
            leaves.setdefault((leaf, end), []).append((first, last))
    for (leaf, end), parts in leaves.items():    # whole, without gaps
        assert parts[0][0] == leaf
        assert parts[-1][1] == end
        assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
        assert len(parts) == 1 or end - leaf <= 128
    total = reduce_cover(n, ((end, values[leaf:end].sum()) for leaf, end in sorted(leaves)))
    if tuple(map(int, np.__version__.split(".")[:2])) >= (2, 3):
        assert total == values.sum()


class TestChunked:
    def source(self, n=5000, p=3, cuts=(7, 700, 701, 4000), **options):
        rng = np.random.default_rng(0)
        X, y = (None if p == 0 else rng.normal(size=(n, p))), rng.normal(size=n)
        return scan_chunks(Cut(y, X, cuts=cuts, **options), False), X, y

    def test_it_is_of_points_or_of_rows(self):
        assert isinstance(self.source(p=0)[0], ChunkedConstantModelData)
        assert isinstance(self.source()[0], ChunkedLinearModelData)

    def test_a_sample_is_that_of_an_array(self):
        parts, X, y = self.source(n=20_000)
        whole = fastgd._data.LinearModelData(X, y, False)
        for size in (512, 4096):
            np.testing.assert_array_equal(parts.sample(size).X, whole.sample(size).X)
        assert parts.chunks.passes == 2    # the first, and one for all samples

    def test_points_drawn_are_those_of_an_array(self):
        parts, _, y = self.source(p=0)
        np.testing.assert_array_equal(parts.draw(100).targets, ConstantModelData(None, y).draw(100).targets)
        np.testing.assert_array_equal(parts.draw(4000).targets, y)

    def test_rows_of_cut_leaves_are_brought_once_from_far_away(self):
        parts, X, _ = self.source(is_remote=True)
        for _ in range(3):
            total = parts.total(sum_of_columns, 256)
        assert parts.chunks.passes == 1 + 1 + 3
        np.testing.assert_allclose(total, X.sum(axis=0))

    def test_an_update_is_a_pass(self, as_pieces):
        parts, X, _ = self.source()
        result = fastgd.minimize(fastgd.huber_loss, None, parts.chunks, "auto", precondition="gram", tol=1e-10,
                                 momentum="nesterov", progress=False, full_output=True)
        assert result.success
        assert result.nit < result.passes <= result.nit + 6    # the Gram matrix, samples, the loss at the end
        assert result.bytes_read > result.nit * X.nbytes

    def test_a_leaf_may_lie_in_many_pieces(self):
        parts, _, y = self.source(p=0, n=300, cuts=range(1, 300))
        loss = losses.Huber(1.0)
        assert parts.mean(loss, 0.5) == loss(0.5, y)
        assert [part.stop for part in subtrees(300, 128)] == [72, 144, 216, 300]


def test_a_function_in_python_is_refused_for_data_that_are_not_in_memory():
    class Lazy:
        is_lazy = True

    with pytest.raises(TypeError, match=r"'loss_fn'.*'dataset'"):
        fastgd.minimize(lambda theta, y: 0.0, None, Lazy())
    with pytest.raises(TypeError, match=r"'grad_loss_fn'.*'X'"):
        fastgd.minimize(fastgd.mse, lambda theta, y: 0.0, [1.0], X=Lazy())


@pytest.mark.parametrize("verb", [
    lambda data: fastgd.is_convex(fastgd.mse, data, (0, 1)),
    lambda data: fastgd.check_gradient(fastgd.mse, fastgd.grad_mse, data),
    lambda data: fastgd.minimize_multistart(fastgd.mse, None, data, [0.0]),
    lambda data: fastgd.mse.curve(data, [1.0]),
])
def test_other_verbs_refuse_them_by_name(verb):
    class Lazy:
        is_lazy = True

    with pytest.raises(TypeError, match=r"(dataset|thetas|X).* Lazy.*not in memory"):
        verb(Lazy())


@pytest.mark.parametrize("options", [
    {}, {"loss": "pinball_loss"}, {"loss": "pinball_loss", "penalty": penalties.L2(0.1)},
    {"loss": "pinball_loss", "momentum": "nesterov"}, {"loss": "mse", "penalty": penalties.L1(0.1)},
    {"method": "sgd", "max_epochs": 2}, {"method": "mini-batch", "max_epochs": 2}, {"loss": "log_cosh"}], ids=str)
@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_estimators_send_functions_of_values(options, monkeypatch):
    pytest.importorskip("sklearn")
    estimators = importlib.import_module("fastgd.estimators")
    regressor = importlib.import_module("fastgd.estimators._regressor")
    monkeypatch.setattr(regressor, "is_lazy", lambda *values: any(isinstance(value, Cut) for value in values))
    monkeypatch.setattr(regressor, "as_chunks", lambda dataset, X, weights: dataset)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.standard_t(3, 30_000)
    for weights in (None, rng.random(30_000)):
        model = estimators.DescentRegressor(random_state=0, **options)
        far, near = (model.fit(Cut(y, X, weights, (100, 12_345), is_remote)).coef_ for is_remote in (True, False))
        assert np.array_equal(far, near)
