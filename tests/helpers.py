"""What several of the test files share. Nothing here has a state of its own, so that tests may run in threads."""
import functools
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastgd
from fastgd import minimize, penalties, reference
from fastgd.losses import REGISTRY

README = Path(__file__).parent.parent / "README.md"
TIPS = fastgd.datasets.load_tips()
#: The course's grid.
GRID = np.arange(12, 18, 0.1)
DTYPES = [np.float64, np.float32]
BIT_GENERATORS = [np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64]
#: Losses whose kinks are rounded off; of the last one, they overlap.
SMOOTHED = [fastgd.AbsoluteError(smoothing=2.5), fastgd.Pinball(0.3, smoothing=0.75),
            fastgd.EpsilonInsensitive(0.5, smoothing=0.25), fastgd.EpsilonInsensitive(0.5, smoothing=2)]
#: What a test of every loss iterates over, by name.
LOSSES = {**REGISTRY, **{repr(loss): loss for loss in SMOOTHED}}
#: exp and its kin differ in the last bit from one library to the next; the other losses have numpy's bits.
INEXACT = [name for name, loss in LOSSES.items() if not loss.is_exact]
EXACT = [name for name, loss in LOSSES.items() if loss.is_exact]
KINKED = ["abs_loss", "pinball_loss", "epsilon_insensitive"]

#: A test under this may end a descent without convergence. Unlike `warnings.catch_warnings` it is safe in threads.
quiet = pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")


def oracle(name, kind="grad_"):
    """The gradient, or with kind="" the loss, of this name in plain numpy."""
    if name in REGISTRY:
        return getattr(reference, kind + name)
    loss = LOSSES[name]
    return functools.partial(getattr(reference, kind + loss.__name__), **loss.parameters)


def twins(name):
    """Each of a loss and its gradient with its numpy twin."""
    return [(LOSSES[name], oracle(name, "")), (LOSSES[name].gradient, oracle(name))]


def own(function):
    """A function of the oracle as a user's own f(theta, X, y)."""
    return lambda theta, X, y: function(theta, y, X=X)


def targets_for(name, rng, n, dtype=np.float64):
    """Points about 15 as the tips are, or between 0 and 1 where the loss wants them there."""
    if LOSSES[name].link == "logit":
        return rng.random(n).astype(dtype)
    return rng.normal(15, 3, n).astype(dtype)


def rows(n=200, p=3, seed=0, dtype=float):
    """X, and targets in [0, 1], which suit every loss."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)).astype(dtype)
    return X, rng.random(n).astype(dtype)


def read_only(values):
    """A copy that cannot be written to."""
    values = values.copy()
    values.flags.writeable = False
    return values


def unaligned(values):
    """A copy at an odd address."""
    raw = np.empty(values.nbytes + 1, np.uint8)
    shifted = raw[1:].view(values.dtype)
    shifted[:] = values
    return shifted


def descend(loss, y, *args, **options):
    """Batch descent on a loss and its own gradient, that prints nothing."""
    return minimize(loss, loss.gradient, y, *args, progress=False, **options)


def descend_in_python(name, y, *args, **options):
    """The same driver on functions of the oracle, which it knows nothing about."""
    return minimize(oracle(name, ""), oracle(name), y, *args, progress=False, full_output=True, **options)


def course(name, y, *args, **options):
    """The course's own loop, on a gradient of the oracle."""
    return reference.minimize(None, oracle(name), y, *args, progress=False, **options)


def sgd(name, y, size=None, *args, source=fastgd, **options):
    """SGD, or with a size mini-batch descent, on a loss and its gradient from `source`."""
    loss, gradient = getattr(source, name), getattr(source, f"grad_{name}")
    if size is None:
        return fastgd.minimize_sgd(loss, gradient, y, *args, **options)
    return fastgd.minimize_mini_batch(loss, gradient, y, size, *args, **options)


def course_sgd(name, y, size=None, *args, **options):
    """The course's own loop of the same, on a gradient of the oracle."""
    if size is None:
        return reference.minimize_sgd(None, oracle(name), y, *args, **options)
    return reference.minimize_mini_batch(None, oracle(name), y, size, *args, **options)


def same_state(a, b):
    """Whether two bit generators will draw the same."""
    a, b = a.state, b.state
    return str(a) == str(b) and all(np.array_equal(a["state"][key], b["state"][key]) for key in a["state"])


def stated_bound(result):
    """The number that a message states as the most that the loss is above its least; None if it states none."""
    bound = re.search(r"([\d.e+-]+) above", result.message)
    return None if bound is None else float(bound[1])


def is_free(rng):
    """Whether the lock of a generator can be had."""
    lock = rng.bit_generator.lock
    return lock.acquire(timeout=1) and (lock.release() or True)


def in_threads(count, work):
    """The answers of work(0) ... work(count - 1), each in a thread of its own, all let go at once."""
    answers, start = [None] * count, threading.Barrier(count)

    def run(k):
        start.wait()
        answers[k] = work(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def in_a_new_process(code):
    """What this code prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def blocks_of_the_readme():
    """The README's pieces of Python."""
    return [block.split("```")[0] for block in README.read_text(encoding="utf-8").split("```python\n")[1:]]


def penalty_of(l1=0.0, l2=0.0):
    """The penalty of these strengths; None for 0 and 0."""
    if not (l1 or l2):
        return None
    return penalties.L2(l2) if not l1 else penalties.L1(l1) if not l2 else penalties.ElasticNet(l1, l2)


def raw_rows(name, n=60, seed=0, dtype=float):
    """Columns of several means and scales, targets that follow them, and integer weights, some of them 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal([3, -50, 0.1], [1, 20, 0.01], (n, 3)).astype(dtype)
    y = rng.random(n) if LOSSES[name].link == "logit" else 15 + X[:, 0] + rng.normal(size=n)
    return X, y, rng.integers(0, 4, n).astype(float)


def same_as_the_oracle(verb, name, y, *args, l1=0.0, l2=0.0, called=False, rel=1e-9, **options):
    """Fail unless a verb and its oracle end at the same predictions, and l1 at the same zeros."""
    loss = LOSSES[name]
    functions = (oracle(name, ""), oracle(name)) if called else (loss, loss.gradient)
    theta = getattr(fastgd, verb)(*functions, y, *args, penalty=penalty_of(l1, l2), **options)
    curvature = 1 if called or loss.max_curvature == np.inf else loss.max_curvature
    expected = getattr(reference, verb)(oracle(name, ""), oracle(name), y, *args, l1=l1, l2=l2, curvature=curvature,
                                        **options)
    X = options.get("X", np.ones((1, 1)))
    X = reference.with_intercept(X) if options.get("fit_intercept") else X
    ours, theirs = X @ np.atleast_1d(theta), X @ np.atleast_1d(expected)
    assert np.abs(ours - theirs).max() <= rel * np.abs(theirs).max(), (theta, expected)
    assert not l1 or np.array_equal(np.atleast_1d(theta) == 0, np.atleast_1d(expected) == 0)


def data_for(name, scale=1.0):
    rng = np.random.default_rng(0)
    return rng.random(100) if name == "cross_entropy" else scale * rng.normal(15, 3, 100)


def coarse_losses(y):
    """Losses of squares that are computed less finely than in float64, each by another way."""
    unit = 10.0 ** np.floor(np.log10(np.var(y))) * 1e-2
    return {
        "float32": lambda t, d: np.mean((d.astype("f4") - np.float32(t)) ** 2),
        "float32 inside": lambda t, d: float(np.mean((d.astype("f4") - np.float32(t)) ** 2)),
        "theta in float32": lambda t, d: np.mean((d - float(np.float32(t))) ** 2),
        "rounded": lambda t, d: np.round(np.mean((d - t) ** 2) / unit) * unit,
        "four digits": lambda t, d: float(f"{np.mean((d - t) ** 2):.4g}"),
    }
