"""Linear models: fastgd, scikit-learn's SGD, plain numpy. For one thread each set OPENBLAS_NUM_THREADS=1."""
import functools

import numpy as np
import pytest
from harness import measure, size

import fastgd
from fastgd import reference
from fastgd._curvature import RowsCurvature
from fastgd._source import Rows
from fastgd.losses import REGISTRY

SHAPES = [(500_000, 5), (200_000, 20), (100_000, 100), (20_000, 500)]
EPOCHS = 3    # so that checks, which fastgd and scikit-learn make once a call, count as in a real run


@functools.cache
def rows(n, p):
    rng = np.random.default_rng(0)
    n = max(size(n), 100)    # more than there are in a mini-batch
    X = rng.normal(size=(n, p))
    y = X @ rng.normal(size=p) + rng.normal(size=n)
    return X, y, (y > 0).astype(float)


def fastgd_epochs(name, X, y, batch=None):
    loss, options = REGISTRY[name], {"X": X, "fit_intercept": True, "rng": 0, "tol": 0, "max_epochs": EPOCHS}
    if batch is None:
        return functools.partial(fastgd.minimize_sgd, loss, None, y, 1e-4, **options)
    return functools.partial(fastgd.minimize_mini_batch, loss, None, y, batch, 1e-4, **options)


def sklearn_epochs(name, X, y):
    linear_model = pytest.importorskip("sklearn.linear_model")
    options = {"alpha": 0, "learning_rate": "constant", "eta0": 1e-4, "tol": None, "max_iter": EPOCHS}
    model = (linear_model.SGDRegressor(**options) if name == "mse" else
             linear_model.SGDClassifier(loss="log_loss", **options))
    return functools.partial(model.fit, X, y)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning", "ignore::UserWarning")
@pytest.mark.parametrize("contender", ["fastgd", "scikit-learn"])
@pytest.mark.parametrize("name", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_epochs_of_sgd(benchmark, n, p, name, contender):
    X, number, label = rows(n, p)
    y = number if name == "mse" else label
    function = fastgd_epochs(name, X, y) if contender == "fastgd" else sklearn_epochs(name, X, y)
    measure(benchmark, f"{EPOCHS} epochs of SGD, {name}, X {n} x {p}", contender, function)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("contender", ["fastgd", "SGD of fastgd"])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_epochs_of_mini_batches(benchmark, n, p, contender):
    X, y, _ = rows(n, p)
    function = fastgd_epochs("mse", X, y, 32 if contender == "fastgd" else None)
    measure(benchmark, f"{EPOCHS} epochs of mini-batch 32, mse, X {n} x {p}", contender, function)


@pytest.mark.parametrize("contender", ["fastgd", "X @ theta, X.T @ r", "plain numpy"])
@pytest.mark.parametrize("name", ["mse", "huber_loss"])
@pytest.mark.parametrize(("n", "p"), [(1_000_000, 5), (1_000_000, 20), (100_000, 100)])
def test_gradient_pass(benchmark, n, p, name, contender):
    """A pass inside a descent: X was checked before. The bare two products of numpy compute no slope."""
    X, y, _ = rows(n, p)
    theta = np.random.default_rng(1).normal(size=p)
    function = {
        "fastgd": functools.partial(Rows(X, y, False).means, REGISTRY[name].gradient, [theta]),
        "X @ theta, X.T @ r": lambda: X.T @ (X @ theta),
        "plain numpy": functools.partial(getattr(reference, f"grad_{name}"), theta, y, X=X),
    }[contender]
    measure(benchmark, f"gradient pass, {name}, X {n} x {p}", contender, function)


@pytest.mark.parametrize("contender", ["fastgd", "X.T @ X"])
@pytest.mark.parametrize(("n", "p"), [(1_000_000, 20), (100_000, 200)])
def test_gram_matrix(benchmark, n, p, contender):
    """With X'y and the sums of the columns, which the bare product does without; that has the BLAS of this machine."""
    X, y, _ = rows(n, p)
    source = Rows(X, y, False)
    function = (lambda: RowsCurvature(source).gram()) if contender == "fastgd" else lambda: X.T @ X
    measure(benchmark, f"Gram matrix, X {n} x {p}", contender, function)


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("contender", ["fastgd", "10 passes of numpy"])
@pytest.mark.parametrize(("n", "p"), [(1_000_000, 5), (1_000_000, 20), (100_000, 100)])
def test_updates_on_the_squared_error(benchmark, n, p, contender):
    """The whole call, its checks included."""
    X, y, _ = rows(n, p)
    theta = np.zeros(p)

    def passes():
        for _ in range(10):
            reference.grad_mse(theta, y, X=X)

    function = passes if contender != "fastgd" else functools.partial(
        fastgd.minimize, fastgd.mse, None, y, 1e-4, False, X=X, tol=0, max_iter=200)
    measure(benchmark, f"200 updates, mse, X {n} x {p}", contender, function)
