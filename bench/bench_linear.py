"""Linear models in fastgd, scikit-learn's SGD and plain numpy. OPENBLAS_NUM_THREADS=1 gives each one thread."""
import functools

import numpy as np
import pytest
from harness import measure, np_sum, rows
from sklearn.linear_model import SGDClassifier, SGDRegressor

import fastgd
from fastgd import reference
from fastgd._data import LinearModelData
from fastgd._objective.second_moments import RowMoments
from fastgd.losses import REGISTRY

EPOCHS = 3    # so that checks, which fastgd and scikit-learn make once a call, count as in a real run
OF_SKLEARN = {"mse": SGDRegressor, "cross_entropy": functools.partial(SGDClassifier, loss="log_loss")}


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize(("name", "n", "p"), [
    ("mse", 500_000, 5), ("mse", 200_000, 20), ("mse", 100_000, 100), ("mse", 20_000, 500),
    ("cross_entropy", 200_000, 20), ("cross_entropy", 100_000, 100)])
def test_epochs(benchmark, name, n, p):
    """Time whole calls; mini-batches of 32, which scikit-learn has not, are in the last column."""
    X, number, label = rows(n, p)
    y = number if name == "mse" else label
    options = {"X": X, "fit_intercept": True, "rng": 0, "tol": 0, "max_epochs": EPOCHS}
    model = OF_SKLEARN[name](alpha=0, learning_rate="constant", eta0=1e-4, tol=None, max_iter=EPOCHS)
    measure(benchmark, f"{EPOCHS} epochs of SGD, {name}, X {n:,} x {p}", {
        "fastgd": functools.partial(fastgd.minimize_sgd, REGISTRY[name], None, y, 1e-4, **options),
        type(model).__name__: functools.partial(model.fit, X, y),
        "fastgd's mini-batches of 32": functools.partial(
            fastgd.minimize_mini_batch, REGISTRY[name], None, y, 32, 1e-4, **options),
    }, np_sum(X, EPOCHS))


@pytest.mark.parametrize(("name", "n", "p"), [
    ("huber_loss", 1_000_000, 5), ("mse", 1_000_000, 20), ("huber_loss", 1_000_000, 20),
    ("cross_entropy", 1_000_000, 20), ("huber_loss", 100_000, 100)])
def test_gradient_pass(benchmark, name, n, p):
    """Time a pass inside a descent, over an X that is checked; the two products of numpy compute no slope."""
    X, number, label = rows(n, p)
    y, theta = label if name == "cross_entropy" else number, np.linspace(-1, 1, p)
    measure(benchmark, f"gradient pass, {name}, X {n:,} x {p}", {
        "fastgd": functools.partial(LinearModelData(X, y, False).means, REGISTRY[name].gradient, [theta]),
        "plain numpy": functools.partial(getattr(reference, f"grad_{name}"), theta, y, X=X),
        "X @ theta, X.T @ r": lambda: X.T @ (X @ theta),
    }, np_sum(X))


@pytest.mark.parametrize(("n", "p"), [(1_000_000, 20), (100_000, 200)])
def test_gram_matrix(benchmark, n, p):
    """Time the Gram matrix with X'y and the sums of the columns; the contender is the bare product by BLAS."""
    X, y, _ = rows(n, p)
    data = LinearModelData(X, y, False)
    measure(benchmark, f"Gram matrix, X {n:,} x {p}", {
        "fastgd": lambda: RowMoments(data).gram(),
        "X.T @ X": lambda: X.T @ X,
    }, np_sum(X))


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize(("n", "p"), [(1_000_000, 20), (100_000, 100)])
def test_updates_on_the_squared_error(benchmark, n, p):
    """Time the whole call, checks included."""
    X, y, _ = rows(n, p)
    theta = np.zeros(p)

    def ten_passes():
        for _ in range(10):
            reference.grad_mse(theta, y, X=X)

    measure(benchmark, f"200 updates, mse, X {n:,} x {p}", {
        "fastgd": functools.partial(
            fastgd.minimize, fastgd.mse, None, y, 1e-4, False, X=X, tol=0, max_iter=200),
        "10 passes of numpy": ten_passes,
    }, np_sum(X))
