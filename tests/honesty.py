"""Random problems, as small and large, badly scaled and badly ended as descents meet them; is what a run says true?

`test_honesty.py` has a few hundred. As a program this has any number and shows the untrue ones::

    python tests/honesty.py 0 2000            # seeds 0 to 1999
    python tests/honesty.py 0 2000 --wide     # with weights, penalties, metrics, momentum, more rows and columns
    python tests/honesty.py 0 700 --hard      # that hide from a sample, from rounding, from a metric, from the loss
"""
import collections
import sys
import warnings
from typing import NamedTuple

import numpy as np
from helpers import stated_bound
from newton import least, mean_loss, pointwise

from fastgd import DivergenceError, minimize, minimize_mini_batch, minimize_sgd, penalties, schedules
from fastgd.losses import REGISTRY, EpsilonInsensitive, Huber, Pinball

#: A success above the least by this part of it is false, and so is an alarm within this part of it.
FALSE_SUCCESS, FALSE_ALARM = 0.01, 0.001
#: A residual of so many units in the last place of targets and predictions is nothing, and so is this part of the loss
#: of one as large as the deviation of the targets; where the least is below the next part of the loss at theta 0 the
#: model fits, and predictions within so many tol of it are right.
THETA_ROUNDING, NOTHING, FITS, WITHIN = 256, 1e-9, 1e-6, 10
SMOOTH = ["mse", "huber_loss", "log_cosh", "cross_entropy"]
KINKED = ["abs_loss", "pinball_loss", "epsilon_insensitive"]


class Problem(NamedTuple):
    verb: object
    loss: object
    y: np.ndarray
    options: dict
    gradient: object = None    # in Python, in place of the loss


class Finding(NamedTuple):
    kind: str    # "false success", "false alarm" or what is right
    problem: Problem
    result: object
    least: float
    excess: float    # as a part of the least


def problem_of(seed, wide=False):
    """The problem of this seed; its kind by seed % 6, so that any few hundred seeds have all kinds."""
    makers = [_large_columns, _slight_slopes, _rows_and_dummies, _one_number, _stochastic_number, _stochastic_rows]
    return makers[seed % 6](np.random.default_rng([seed, wide]), seed, wide)


def hard_problem_of(seed):
    """The same of problems that hide from a sample, from rounding, from a metric, or from the loss."""
    makers = [_rare_dummy, _few_heavy_weights, _offset, _saturated, _heavy_tails, _wide, _only_slopes]
    return makers[seed % 7](np.random.default_rng([seed, 7]))


def _loss(rng, names=(*SMOOTH, *KINKED)):
    name = str(rng.choice(names))
    if name == "pinball_loss":
        return Pinball(float(rng.uniform(0.05, 0.95)))
    if name == "huber_loss" and rng.random() < 0.3:
        return Huber(float(10 ** rng.uniform(-2, 3)))
    if name == "epsilon_insensitive" and rng.random() < 0.3:
        return EpsilonInsensitive(float(10 ** rng.uniform(-3, 2)))
    return REGISTRY[name]


def _shape(rng, wide):
    n = int(rng.choice([2, 5, 20, 100, 500, 3000, 10_000, 50_000] if wide else [20, 100, 500, 3000]))
    return n, int(rng.integers(1, 31 if wide and rng.random() < 0.3 else 6))


def _targets(rng, X, loss, noise):
    """A linear signal of size 1 and `noise` of heavy tails; for the cross-entropy 0 and 1."""
    z = X - X.mean(0)
    z = z / np.where(z.std(0) > 0, z.std(0), 1)
    signal = z @ (rng.normal(size=z.shape[1]) / np.sqrt(z.shape[1]))
    if loss.link == "logit":
        return _both(rng, (rng.random(len(z)) < 1 / (1 + np.exp(-signal * rng.uniform(0.2, 4)))).astype(float))
    return signal + noise * rng.standard_t(3, len(z))


def _both(rng, labels):
    labels[rng.permutation(len(labels))[:2]] = [0, 1]
    return labels


def _large_columns(rng, seed, wide):
    """Columns of 1e2 to 1e6, some far from 0, and targets of 1e3 to 1e7."""
    loss, (n, p) = _loss(rng), _shape(rng, wide)
    X = (rng.normal(size=(n, p)) + rng.integers(0, 2, p) * rng.uniform(1, 10)) * 10 ** rng.uniform(2, 6, p)
    y = _targets(rng, X, loss, 10 ** rng.uniform(-2, 0.3))
    if loss.link == "identity":
        y = y * 10 ** rng.uniform(3, 7)
    alpha = "auto" if loss.max_stable_alpha else float(10 ** rng.uniform(-8, 0))
    return _of_rows(rng, wide, loss, y, X, alpha)


def _slight_slopes(rng, seed, wide):
    """Two columns near 5e4, with slopes of 1e-6."""
    loss, n = _loss(rng), _shape(rng, wide)[0]
    X = 5e4 + rng.normal(size=(n, 2)) * 10 ** rng.uniform(0, 4)
    y = X @ np.array([1e-6, 2e-6]) * rng.uniform(0.5, 2) + rng.normal(size=n) * 10 ** rng.uniform(-4, 0)
    if loss.link == "logit":
        y = _targets(rng, X, loss, 0)
    alpha = "auto" if loss.max_stable_alpha else float(10 ** rng.uniform(-8, 0))
    return _of_rows(rng, wide, loss, y, X, alpha, fit_intercept=True)


def _rows(rng, wide, loss):
    """Columns of 0.1 to 30, perhaps one of them a dummy that few rows carry, or one that follows a day's course."""
    n, p = _shape(rng, wide)
    X = rng.normal(size=(n, p)) * 10 ** rng.uniform(-1, 1.5, p)
    special = rng.random()
    if special < 0.3:
        X[:, 0] = rng.random(n) < 5 / n
    elif special < 0.4:
        X[:, 0] = np.maximum(0, np.sin(np.pi * (np.arange(n) % 24 - 6) / 12)) * 10 ** rng.uniform(0, 3)
    y = _targets(rng, X, loss, 10 ** rng.uniform(-1, 0.5))
    return X, y if loss.link == "logit" else y * 10 ** rng.uniform(0, 1)


def _rows_and_dummies(rng, seed, wide):
    loss = _loss(rng)
    X, y = _rows(rng, wide, loss)
    return _of_rows(rng, wide, loss, y, X, _rate(rng, loss))


def _rate(rng, loss):
    return [lambda: "auto" if loss.max_stable_alpha else 0.1, lambda: float(10 ** rng.uniform(-3, 0)),
            lambda: schedules.exponential_decay(0.5, float(rng.choice([0.9, 0.95, 0.99]))),
            lambda: schedules.inverse_scaling(0.5, float(rng.choice([0.5, 0.75, 1.0]))),
            lambda: schedules.cosine(0.5, 200)][rng.integers(5)]()


def _tol(rng):
    return float(rng.choice([1e-3, 1e-3, 1e-5, 1e-8]))


def _of_rows(rng, wide, loss, y, X, alpha, fit_intercept=None):
    if fit_intercept is None:
        fit_intercept = bool(rng.integers(2))
    options = {"X": X, "alpha": alpha, "fit_intercept": fit_intercept, "tol": _tol(rng),
               "stop": "loss" if rng.random() < 0.3 else "step", "max_iter": 5000}
    if wide:
        options["precondition"] = [None, "scale", "gram"][rng.integers(3)]
        options.update(_penalty_and_weights(rng, len(y), options["precondition"] == "gram"))
        way = rng.random()
        if way < 0.3:
            options["alpha"] = "adaptive"
        elif way < 0.6:
            options["momentum"] = "nesterov"
        if options["alpha"] != "adaptive" and options["precondition"] is not None and rng.random() < 0.5:
            options["alpha"] = "auto"    # of kinked losses too
        y = _in_float32(rng, options, y)
    return Problem(minimize, loss, y, options)


def _in_float32(rng, options, y):
    if rng.random() > 0.2:
        return y
    if "X" in options:
        options["X"] = options["X"].astype(np.float32)
    return y.astype(np.float32)


def _penalty_and_weights(rng, n, no_l1):
    options = {}
    if rng.random() < 0.3:
        strength = float(10 ** rng.uniform(-4, 1))
        kinds = [penalties.L2, penalties.L1, lambda s: penalties.ElasticNet(s, s / 2)]
        options["penalty"] = kinds[0 if no_l1 else rng.integers(3)](strength)
    if rng.random() < 0.3:
        weights = rng.integers(0, 4, n) + (1 if n < 10 else 0.0) if rng.random() < 0.5 else rng.random(n)
        weights[:2] = 1
        options["sample_weight"] = weights
    return options


def _number(rng, loss, n):
    if loss.link == "logit":
        return _both(rng, (rng.random(n) < rng.uniform(0.01, 0.99)).astype(float))
    return [lambda: rng.normal(10 ** rng.uniform(-4, 3), 10 ** rng.uniform(-4, 2), n), lambda: rng.beta(1, 99, n),
            lambda: rng.lognormal(rng.uniform(-3, 5), 1.5, n), lambda: rng.random(n),
            lambda: rng.standard_t(2, n) * 10 ** rng.uniform(-3, 3) + rng.normal() * 100,
            lambda: rng.poisson(3, n).astype(float)][rng.integers(6)]()


def _one_number(rng, seed, wide):
    """Tiny, beta, log-normal, heavy-tailed, uniform and whole numbers, and every schedule."""
    loss = _loss(rng)
    y = _number(rng, loss, _shape(rng, wide)[0])
    options = {"alpha": _rate(rng, loss), "tol": _tol(rng), "stop": "loss" if rng.random() < 0.3 else "step",
               "max_iter": 5000}
    if wide:
        options.update(_penalty_and_weights(rng, len(y), False))
        way = rng.random()
        options.update({"alpha": "adaptive"} if way < 0.3 else {"momentum": "nesterov"} if way < 0.5 else {})
        y = _in_float32(rng, options, y)
    return Problem(minimize, loss, y, options)


def _stochastic(rng, seed, wide, y, options):
    verb = minimize_sgd if rng.random() < 0.6 or len(y) < 3 else minimize_mini_batch
    options |= {"tol": _tol(rng), "stop": str(rng.choice(["step", "epoch", "loss", "loss"])), "rng": seed,
                "average": bool(rng.integers(2)), "max_epochs": 200}
    if verb is minimize_mini_batch:
        options["minibatch_size"] = min(10, len(y) - 1)
    if wide:
        options.update(_penalty_and_weights(rng, len(y), False))
        if "X" in options and rng.random() < 0.5:
            options["precondition"] = "scale"
        if len(y) > 3000:
            options["max_epochs"] = 20
        y = _in_float32(rng, options, y)
    return verb, y


def _stochastic_number(rng, seed, wide):
    loss = _loss(rng)
    y, options = _number(rng, loss, _shape(rng, wide)[0]), {"alpha": _rate(rng, loss)}
    verb, y = _stochastic(rng, seed, wide, y, options)
    return Problem(verb, loss, y, options)


def _stochastic_rows(rng, seed, wide):
    loss = _loss(rng)
    X, y = _rows(rng, wide, loss)
    alpha = "auto" if loss.max_stable_alpha and rng.random() < 0.4 else _rate(rng, loss)
    options = {"X": X, "fit_intercept": bool(rng.integers(2)), "alpha": alpha}
    verb, y = _stochastic(rng, seed, wide, y, options)
    return Problem(verb, loss, y, options)


def _rare_dummy(rng):
    """A dummy that a few of many rows carry, of a large effect on a loss of bounded slope."""
    n = int(rng.choice([20_000, 50_000]))
    X = rng.normal(size=(n, 2))
    X[:, 0] = 0
    X[rng.choice(n, int(rng.integers(3, 30)), replace=False), 0] = 1
    y = X @ [10 ** rng.uniform(2, 5), 1.0] + rng.normal(size=n) * 0.3
    ways = [{"alpha": "auto"}, {"alpha": "auto", "precondition": "scale"}, {"alpha": 0.1, "momentum": "nesterov"}]
    return Problem(minimize, _loss(rng, ["huber_loss", "log_cosh"]), y,
                   {"X": X, "fit_intercept": True, "tol": 1e-3, "max_iter": 200, **ways[rng.integers(3)]})


def _few_heavy_weights(rng):
    """Many rows of which some have nearly all of the weight."""
    n = 20_000
    X, weights = rng.normal(size=(n, 3)), np.full(n, 1e-7)
    heavy = rng.choice(n, 12, replace=False)
    weights[heavy] = 1
    y = rng.normal(size=n)
    y[heavy] = X[heavy].sum(axis=1) + 0.1 * rng.normal(size=12)
    return Problem(minimize, _loss(rng, SMOOTH[:3]), y,
                   {"X": X, "fit_intercept": True, "tol": 1e-2, "alpha": 0.05, "sample_weight": weights,
                    "max_iter": 100})


def _offset(rng):
    """Targets far from 0, or a start far from them."""
    loss, n = _loss(rng, SMOOTH[:3]), int(rng.choice([20, 1000]))
    offset = float(10 ** rng.uniform(4, 7))
    options = {"alpha": float(10 ** rng.uniform(-4, -1)), "tol": float(rng.choice([1e-2, 1e-3])), "max_iter": 100_000}
    y = rng.normal(size=n)
    if rng.random() < 0.5:
        options["X"] = rng.normal(size=(n, 2)) + rng.integers(0, 3, 2)
        options["fit_intercept"] = True
    if rng.random() < 0.3:
        options["theta0"] = offset
    else:
        y = y + offset
    if loss.__name__ != "mse":
        options["alpha"] = schedules.exponential_decay(offset / 10, 0.9)
    return Problem(minimize, loss, y, options)


def _saturated(rng):
    """Probabilities of 0 and 1 at the start, by a large theta or a large column."""
    n, size = 200, float(10 ** rng.uniform(2, 9))
    X = rng.normal(size=(n, 2))
    y = _both(rng, (rng.random(n) < 1 / (1 + np.exp(-X[:, 0]))).astype(float))
    options = {"X": X, "fit_intercept": True, "theta0": size, "alpha": schedules.exponential_decay(0.5, 0.9)}
    if rng.random() < 0.5:
        options |= {"X": X * [1, size], "theta0": 1.0, "alpha": "auto"}
    penalty = [None, penalties.L2(0.1), penalties.L1(0.1)][rng.integers(3)]
    return Problem(minimize, REGISTRY["cross_entropy"], y, options | {"tol": _tol(rng), "penalty": penalty})


def _heavy_tails(rng):
    """Residuals of any size on a loss that is straight there."""
    n, p = int(rng.choice([7, 20, 60])), int(rng.integers(1, 4))
    X = rng.normal(size=(n, p))
    y = X.sum(axis=1) + 10 ** rng.uniform(2, 6) * rng.standard_cauchy(n)
    loss = Huber(float(10 ** rng.uniform(-2, 0.5))) if rng.random() < 0.7 else REGISTRY["log_cosh"]
    options = {"alpha": "adaptive"} if rng.random() < 0.5 else {"alpha": "auto", "momentum": "nesterov"}
    return Problem(minimize, loss, y, {"X": X, "fit_intercept": True, "tol": _tol(rng), "max_iter": 20_000,
                                       "precondition": [None, "scale", "gram"][rng.integers(3)], **options})


def _wide(rng):
    """More columns than rows, which a penalty of l1 chooses from."""
    n, p = [(20, 30), (5, 6), (30, 40)][rng.integers(3)]
    X = rng.normal(size=(n, p))
    y = X[:, :3] @ [1, 2, -1] + rng.standard_t(3, n)
    return Problem(minimize, REGISTRY["mse"], y,
                   {"X": X, "fit_intercept": True, "tol": 1e-3, "precondition": "scale", "max_iter": 2000,
                    "alpha": "auto", "momentum": [None, "nesterov"][rng.integers(2)],
                    "penalty": penalties.L1(float(10 ** rng.uniform(-3, -1.5)))})


def _only_slopes(rng):
    """A gradient in Python, and no loss."""
    loss, n = _loss(rng, ["mse", "huber_loss"]), int(rng.choice([30, 300]))
    options = {"alpha": float(10 ** rng.uniform(-6, -1)), "tol": _tol(rng), "max_iter": 2000}

    def slope(theta, y):
        return float(np.mean(pointwise(loss, y, theta, 0.0)[1]))

    def slope_of_rows(theta, X, y):
        return X.T @ pointwise(loss, y, X @ theta, 0.0)[1] / len(y)

    y = rng.normal(10 ** rng.uniform(-2, 3), 10 ** rng.uniform(-1, 1), n)
    if rng.random() < 0.5:
        return Problem(minimize, loss, y, options, slope)
    X = rng.normal(size=(n, 2))
    y = y + X @ rng.normal(size=2) * 10 ** rng.uniform(-1, 2)
    return Problem(minimize, loss, y, options | {"X": X, "fit_intercept": True}, slope_of_rows)


def finding(problem):
    """Whether what the run says is true."""
    loss, y, options = problem.loss, problem.y, dict(problem.options)
    if problem.verb is minimize:
        options["progress"] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = problem.verb(loss if problem.gradient is None else None, problem.gradient, y, full_output=True,
                                  **options)
        except DivergenceError as error:
            return Finding("diverged", problem, error.result, np.nan, np.nan)
    given = {key: options[key] for key in ("X", "fit_intercept", "sample_weight", "penalty") if key in options}
    lowest, fitted, _ = least(loss, y, **given)
    here, start = mean_loss(loss, result.x, y, **given), mean_loss(loss, np.zeros(np.size(result.x)), y, **given)
    lowest = min(lowest, here)
    above = here - lowest
    excess = 0.0 if above <= _rounding(loss, y, fitted, "X" in given) else above / lowest if lowest > 0 else np.inf
    fits = (lowest < FITS * start
            and np.abs(_predictions(result.x, **options) - fitted).max() <= WITHIN * options["tol"])
    bound = stated_bound(result)
    fits = fits or (bound is not None and above <= bound <= options["tol"])
    kind = "success" if result.success else f"status {result.status}"
    if result.success and excess > FALSE_SUCCESS and not fits:
        kind = "false success"
    elif "not reached" in result.message and excess < FALSE_ALARM:
        kind = "false alarm"
    return Finding(kind, problem, result, lowest, excess)


def _rounding(loss, y, fitted, is_rows):
    """The loss of a residual that is rounding; or a small part of that of the targets' deviation."""
    eps = np.finfo(np.float64 if is_rows or y.dtype.kind != "f" else y.dtype).eps
    residuals = np.array([THETA_ROUNDING * eps * (np.abs(y).max() + np.abs(fitted).max()), np.std(y, dtype=float)])
    if loss.link == "logit":
        return residuals[0]
    rounding, spread = pointwise(loss, residuals, np.zeros(2), 0.0)[0]
    return max(rounding, NOTHING * spread)


def _predictions(theta, X=None, fit_intercept=False, **_):
    if X is None:
        return theta
    return theta[0] + X @ theta[1:] if fit_intercept else X @ theta


def shown(seed, found):
    """A line or two about a finding."""
    verb, loss, y, options, _ = found.problem
    options = {key: "..." if isinstance(value, np.ndarray) else value for key, value in options.items()}
    X = found.problem.options.get("X")
    shape = "" if X is None else f", X of {X.shape} {X.dtype}"
    return (f"{seed} {found.kind}: {verb.__name__}({loss!r}, y of {len(y)} {y.dtype}{shape}, {options}): the least is "
            f"{found.least:.7g}, this is above it by {found.excess:.2%}; {found.result.message[:600]}")


def main(first, last, kind):
    kinds = collections.Counter()
    for seed in range(first, last):
        found = finding(hard_problem_of(seed) if kind == "--hard" else problem_of(seed, kind == "--wide"))
        kinds[found.kind] += 1
        if found.kind.startswith("false"):
            print(shown(seed, found), flush=True)
    print(dict(kinds))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:]))
