"""The wording of messages, here and nowhere else: one case for each kind of refusal and for each way that a run ends.

All other tests compare the type of an error, the name of an argument and numbers; `test_suite.py` sees to that.
"""
import ctypes
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastgd
from fastgd import (
    Blocks,
    ConvergenceWarning,
    DivergenceError,
    SourceError,
    minimize,
    minimize_mini_batch,
    minimize_multistart,
    penalties,
    schedules,
)
from fastgd import minimize_sgd as sgd
from fastgd.losses import compiled

pytestmark = [pytest.mark.thread_unsafe(reason="the working directory"),
              pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")]

FIVE = [12.1, 12.8, 14.9, 16.3, 17.2]
X = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0], [4.0, 4.0], [5.0, 1.0]])
FRAME = pd.DataFrame(X, columns=["size", "bill"]).assign(tip=FIVE)
MSE, ABS, LOGIT = fastgd.mse, fastgd.abs_loss, fastgd.cross_entropy


def run(loss=MSE, gradient=None, dataset=FIVE, alpha=0.2, verb=minimize, **options):
    """The result of a descent that prints nothing."""
    options = {"progress": False, **options} if verb is minimize else {"rng": 0, **options}
    return verb(loss, gradient, dataset, alpha=alpha, full_output=True, **options)


def regressor(*args, **options):
    return pytest.importorskip("fastgd.estimators").DescentRegressor(*args, **options)


def classifier(**options):
    return pytest.importorskip("fastgd.estimators").DescentClassifier(**options)


def mine(theta, y):
    return 0.0


def table():
    return [FRAME]


def nan_at(row, column=None):
    values = X.copy() if column is not None else np.array(FIVE)
    values[row if column is None else (row, column)] = np.nan
    return values


def changing(*passes):
    """Blocks that differ from one pass to the next."""
    left = iter(passes)
    return Blocks(lambda: next(left))


def parquet(**files):
    """The tables as Parquet files in the working directory, opened together."""
    pytest.importorskip("pyarrow")
    for name, frame in files.items():
        frame.to_parquet(f"{name}.parquet")
    return fastgd.open_parquet([f"{name}.parquet" for name in files])


def beside_a_thesis():
    """A cache in a folder that holds something else."""
    Path("mine").mkdir()
    Path("mine/thesis.txt").touch()
    parquet(one=FRAME)
    return fastgd.open_parquet("one.parquet", cache="mine")["tip"]


def warm_up(t):
    return 0.01 if t < 3 else 0.0


def ends_at_once(result):
    raise StopIteration


def callback_of_ctypes():
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)(lambda theta, target: 0.0)


#: What is refused or how a run ends: the type (None where a result carries the message), a name or number that the
#: message has, a call, and the message, whose numbers may differ in their last digits from one machine to the next.
CASES = {
    # Arguments of a run.
    "a number": (TypeError, "alpha", lambda: run(alpha="0.2"),
        "The 'alpha' parameter must be a real number above 0, a function of the update, one of fastgd.schedules, "
        "'auto' or 'adaptive'. Got '0.2' instead."),
    "a range": (ValueError, "gamma", lambda: schedules.exponential_decay(0.1, -1),
        "The 'gamma' parameter must be a float in the range (0, 1]. Got -1 instead."),
    "a word for alpha": (TypeError, "alpha", lambda: run(alpha="Auto"),
        "The 'alpha' parameter must be a real number above 0, a function of the update, one of fastgd.schedules, "
        "'auto' or 'adaptive'. Got 'Auto' instead."),
    "targets in the place of alpha": (TypeError, "alpha", lambda: sgd(MSE, None, FIVE, np.ones(50)),
        "The 'alpha' parameter must be a real number. Got an array of shape (50,) and dtype float64. The targets "
        "are the third argument and other columns go to X=, as in minimize(loss, None, y, X=X)."),
    "a schedule that was not called": (TypeError, "alpha", lambda: run(alpha=schedules.cosine),
        "The 'alpha' parameter must be a learning rate or a schedule. Got the class cosine. Call it, such as "
        "alpha=cosine(0.2, ...)."),
    "a function that makes a schedule": (TypeError, "alpha", lambda: run(alpha=lambda t: schedules.constant(0.2)),
        "The 'alpha' parameter must be a learning rate or a schedule. Got a function that makes one: alpha(0) is "
        "constant(eta0=0.2). Call it with its own arguments, and pass its result."),
    "a rate that is nan": (ValueError, "alpha(3)", lambda: run(alpha=lambda t: np.nan if t == 3 else 0.1),
        "The 'alpha(3)' parameter must be a finite float in the range [0, inf). Got nan instead."),
    "a rate that stops": (RuntimeError, "alpha(0)", lambda: run(alpha=lambda t: next(iter([]))),
        "alpha(0) raised StopIteration. It must return a learning rate."),
    "auto for a kink": (ValueError, "alpha", lambda: run(ABS, alpha="auto"),
        "alpha='auto' needs a loss of bounded curvature (mse, huber_loss, cross_entropy, log_cosh). Got abs_loss; "
        "give a number, alpha='adaptive' to minimize, or one of fastgd.schedules."),
    "adaptive with momentum": (ValueError, "alpha", lambda: run(alpha="adaptive", momentum="nesterov", X=X),
        "alpha='adaptive' chooses the length of each step from the last one and has no momentum. Got "
        "momentum='nesterov'; leave it None, or use alpha='auto'."),
    "a count": (TypeError, "max_iter", lambda: run(max_iter=1.5),
        "The 'max_iter' parameter must be an int. Got 1.5 of type float."),
    "a flag": (TypeError, "average", lambda: run(verb=sgd, average="no"),
        "The 'average' parameter must be True or False. Got 'no' of type str."),
    "an option": (ValueError, "stop", lambda: run(stop="epoch"),
        "The 'stop' parameter must be 'step' or 'loss'. Got 'epoch' instead."),
    "progress": (ValueError, "progress", lambda: run(progress="bars"),
        "The 'progress' parameter must be True, False or 'bar'. Got 'bars' instead."),
    "rng": (TypeError, "rng", lambda: run(verb=sgd, rng="5"),
        "The 'rng' parameter must be None, an int, a numpy.random.SeedSequence, BitGenerator, Generator or "
        "RandomState. Got '5' of type str."),
    "a seed below 0": (ValueError, "rng", lambda: run(verb=sgd, rng=-1),
        "The 'rng' parameter must be a seed of at least 0. Got -1 instead."),
    "the shape of theta0": (ValueError, "theta0", lambda: run(X=X, theta0=[1, 2, 3]),
        "The 'theta0' parameter must be a number or an array of shape (2,), one for each feature. Got an array of "
        "shape (3,)."),
    "theta0 that is infinite": (ValueError, "theta0", lambda: run(X=X, theta0=[0, np.inf]),
        "The 'theta0' parameter must be finite. Got [0, inf]."),
    "gram for SGD": (ValueError, "precondition", lambda: run(verb=sgd, X=X, precondition="gram"),
        "precondition='gram' is for minimize: it would cost minimize_sgd more than the update of a row. Use "
        "precondition='scale'."),
    "gram with L1": (ValueError, "precondition", lambda: run(X=X, precondition="gram", penalty=penalties.L1(0.1)),
        "precondition='gram' cannot be used with a penalty of L1, whose proximal step needs a diagonal "
        "preconditioner. Got penalty=L1(strength=0.1); use precondition='scale'."),
    "gram of very many columns": (ValueError, "precondition", lambda: run(X=np.ones((5, 2001)), precondition="gram"),
        "precondition='gram' is for up to 2000 columns, of which it inverts a matrix; X has 2001. Use "
        "precondition='scale'."),
    "a penalty": (TypeError, "penalty", lambda: run(X=X, penalty="l2"),
        "The 'penalty' parameter must be None, or L1(strength), L2(strength) or ElasticNet(l1, l2) of "
        "fastgd.penalties. Got 'l2' of type str."),
    "a size of mini-batches": (ValueError, "minibatch_size", lambda: minimize_mini_batch(MSE, None, FIVE, 5),
        "The 'minibatch_size' parameter must be below the number of points. Got minibatch_size=5 and 5 points."),
    "threads": (ValueError, "n_threads", lambda: MSE(1.0, FIVE, n_threads=0),
        "The 'n_threads' parameter must be None, -1 or an int in the range [1, inf). Got 0 instead."),
    "an intercept without X": (ValueError, "fit_intercept", lambda: run(fit_intercept=True),
        "fit_intercept=True needs X: without it theta is the intercept itself. Got fit_intercept=True and X=None."),
    "in place of rows": (ValueError, "in_place", lambda: run(verb=sgd, X=X, in_place=True),
        "in_place=True cannot be used with X: the rows are never moved, an index of them is."),
    "in place of a list": (ValueError, "in_place", lambda: run(verb=sgd, in_place=True),
        "in_place=True needs a writable contiguous float32 or float64 array. Got an object of type list; convert "
        "it, or leave in_place=False."),
    # Losses and gradients.
    "no loss": (TypeError, "loss_fn", lambda: run(None),
        "The 'loss_fn' parameter must be callable. Got None of type NoneType."),
    "a class for a loss": (TypeError, "Huber", lambda: run(gradient=fastgd.Huber),
        "Huber is a class; pass a loss, Huber(), or its gradient."),
    "a gradient for a loss": (TypeError, "loss_fn", lambda: run(MSE.gradient, MSE.gradient, X=X),
        "The 'loss_fn' parameter must be a loss: with X a gradient is an array. Got grad_mse; pass mse."),
    "a loss for a gradient": (TypeError, "grad_loss_fn", lambda: run(gradient=MSE),
        "The 'grad_loss_fn' parameter must be a gradient. Got the loss mse; pass grad_mse."),
    "the gradient of another loss": (ConvergenceWarning, "grad_mse", lambda: run(fastgd.huber_loss, MSE.gradient),
        "grad_loss_fn=grad_mse is not the gradient of loss_fn=huber_loss: the descent is on mse. Pass "
        "grad_loss_fn=None for the gradient of loss_fn."),
    "a loss that is no number": (TypeError, "loss_fn", lambda: run(lambda theta, y: np.ones(2)),
        "loss_fn must return one number, the mean loss over the points. Got an array of shape (2,) and dtype "
        "float64."),
    "a gradient of another shape": (TypeError, "grad_loss_fn", lambda: run(None, lambda theta, X, y: 1.0, X=X),
        "grad_loss_fn must return an array of shape (2,), the mean slope for each parameter. Got 1.0."),
    "a parameter that a loss has not": (TypeError, "alpha", lambda: fastgd.huber_loss(1.0, FIVE, delta=2, alpha=3),
        "huber_loss() takes theta, dataset, delta, X, fit_intercept, sample_weight, n_threads; got delta=2, "
        "alpha=3 beside theta and dataset"),
    "a loss without its data": (TypeError, "dataset", lambda: MSE(1.0),
        "mse() missing 1 required positional argument: 'dataset'"),
    "the shape of theta": (ValueError, "theta", lambda: MSE([1, 2], FIVE, X=X, fit_intercept=True),
        "theta must be an array of shape (3,), a number for each of intercept, x0, x1. Got an array of shape (2,)."),
    "a loss is a value": (AttributeError, "delta", lambda: setattr(fastgd.huber_loss, "delta", 2.0),
        "cannot set 'delta': huber_loss is immutable; make another one with other parameters"),
    "a callback of ctypes": (TypeError, "value", lambda: compiled(callback_of_ctypes(), callback_of_ctypes()),
        "The 'value' function is a Python function in a ctypes callback. Pass the Python function itself as loss_fn, "
        "or a function of a shared library."),
    "a loss in Python on blocks": (TypeError, "loss_fn", lambda: run(mine, None, Blocks(table)),
        "The 'loss_fn' parameter must be one of fastgd's own where 'dataset' is not in memory: a function in "
        "Python needs all points at once. Got <function mine at 0x0>; fastgd.losses.compiled makes a loss of C "
        "functions."),
    "weights of a loss in Python": (TypeError, "sample_weight", lambda: run(mine, sample_weight=FIVE),
        "The 'sample_weight' parameter needs a loss of fastgd's own and its gradient: a function in Python makes "
        "its mean itself. Got <function mine at 0x0> and None."),
    # Data.
    "text": (TypeError, "dataset", lambda: run(dataset=["1", "2"]),
        "Input dataset should be a 1d array of real numbers, got text of dtype <U1 with '1' of type str at "
        "position 0. Convert your data to numeric values explicitly instead."),
    "one object of many": (TypeError, "dataset", lambda: run(dataset=[1.0, None]),
        "Input dataset should be a 1d array of real numbers, got an array of dtype object with None of type "
        "NoneType at position 1. Convert your data to numeric values explicitly instead."),
    "a table for points": (ValueError, "dataset", lambda: run(dataset=X),
        "Input dataset should be a 1d array, got an array of shape (5, 2) instead."),
    "no points": (ValueError, "dataset", lambda: run(dataset=[]),
        "Found array dataset with 0 sample(s) (shape=(0,)) while a minimum of 1 is required."),
    "dates": (TypeError, "dataset", lambda: run(dataset=pd.Series(["2020-01-01"], dtype="datetime64[ns]")),
        "Input dataset should be a 1d array of real numbers, but it has the dtype datetime64[ns], with "
        "Timestamp('2020-01-01 00:00:00') in row 0. Convert it to seconds: dataset = (dataset - "
        "dataset.min()).dt.total_seconds()"),
    "a mask": (TypeError, "dataset", lambda: run(dataset=np.ma.masked_array([1.0, 2.0], [False, True])),
        "Input dataset is a masked array, whose mask would be lost. Pass dataset.compressed(), with the rows of X "
        "that belong to it, or dataset.filled(value)."),
    "a point that is NaN": (ValueError, "dataset", lambda: run(dataset=nan_at(3)),
        "Input dataset contains NaN: 1 of 5 values, at position 3. Drop such values "
        "(dataset[~numpy.isnan(dataset)], Series.dropna()) or fill them."),
    "a point that is infinite": (ValueError, "dataset", lambda: run(dataset=[1.0, np.inf]),
        "Input dataset contains infinity or a value too large for dtype('float64'): 1 of 2 values, at position 1. "
        "Drop such values (dataset[numpy.isfinite(dataset)]) or fill them."),
    "X of one dimension": (ValueError, "2D", lambda: run(X=FIVE),
        "Expected 2D array, got 1D array instead: X has the shape (5,). Reshape your data either using "
        "array.reshape(-1, 1) if your data has a single feature (a column of a frame as frame[[name]]) or "
        "array.reshape(1, -1) if it contains a single sample."),
    "X of another length": (ValueError, "X", lambda: run(X=X[:3]),
        "Found input variables with inconsistent numbers of samples: [3, 5] (rows of X, points of dataset)"),
    "NaN in X": (ValueError, "X", lambda: run(X=nan_at(3, 1)),
        "Input X contains NaN in column 1: 1 of 5 values, in row 3. Keep the rows and their targets where "
        "~numpy.isnan(X).any(axis=1), or fill the gaps."),
    "NaN in a frame": (ValueError, "size", lambda: run(X=FRAME[["size", "bill"]].where(FRAME["bill"] < 5)),
        "Input X contains NaN in column 'size': 1 of 5 values, in row 2; 1 more column has some too. Keep the rows "
        "and their targets where X.notna().all(axis=1), or fill the gaps."),
    "a column of text": (TypeError, "day", lambda: run(X=FRAME.assign(day=pd.Series(["Sun"] * 5, dtype=object))),
        "Input X should be a 2d array of real numbers, but its column 'day' has the dtype object, with 'Sun' in "
        "row 0. Encode it: X = pandas.get_dummies(X, columns=['day'], drop_first=True, dtype=float)"),
    "a negative weight": (ValueError, "sample_weight", lambda: run(sample_weight=[1, 1, -1, 1, 1]),
        "The 'sample_weight' parameter must be numbers in the range [0, inf). Got -1 at position 2."),
    "a column of blocks": (ValueError, "tips", lambda: run(dataset=Blocks(lambda: [FRAME])["tips"]),
        "Block 0 has no column 'tips'; it has 'size', 'bill', 'tip'."),
    "a list for blocks": (TypeError, "Blocks", lambda: Blocks([FIVE]),
        "The 'factory' parameter must be a function that returns a fresh iterable of blocks each time it is called. "
        "Got an object of type list: write Blocks(lambda: ...), with a new iterable in place of the dots."),
    "a block that is NaN": (ValueError, "Block 1", lambda: run(dataset=Blocks(lambda: [FIVE, [np.nan]])),
        "Block 1: Input dataset contains NaN."),
    "blocks of unlike columns": (ValueError, "Block 1",
        lambda: run(dataset=Blocks(lambda: [(X, FIVE), (X[:, :1], FIVE)])),
        "Block 1 does not go with the first block: the number of columns is 1, and was 2."),
    "a block that shrank": (SourceError, "Block 0", lambda: run(dataset=changing([FIVE], [FIVE[:3]], [FIVE[:3]])),
        "Block 0 has 3 rows, and had 5 in the first pass. The data must not change during a descent."),
    "a block of other numbers": (SourceError, "Block 0", lambda: run(dataset=changing([FIVE], *[[FIVE[::-1]]] * 9)),
        "Block 0 has other numbers than in the first pass. The data must not change during a descent."),
    "a block that cannot be read": (SourceError, "Block 0", lambda: run(dataset=Blocks(lambda: 1 / 0)),
        "Block 0 could not be read: ZeroDivisionError: division by zero"),
    "two tables": (ValueError, "dataset", lambda: run(dataset=Blocks(table)["tip"], X=Blocks(table)[["bill"]]),
        "dataset and X must come from one table, so that their rows belong together. Got "
        "dataset=Blocks(table)['tip'] and X=Blocks(table)[['bill']], of another table."),
    "no such file": (FileNotFoundError, "none.parquet", lambda: fastgd.open_parquet("none.parquet"),
        "[Errno 2] No such file or directory: 'none.parquet'"),
    "no file of a pattern": (FileNotFoundError, "none*.parquet", lambda: fastgd.open_parquet("none*.parquet"),
        "[Errno 2] no file matches the pattern: 'none*.parquet'"),
    "a column of a file": (ValueError, "tips", lambda: parquet(one=FRAME)["tips"],
        "open_parquet(['one.parquet']) has no column 'tips'; it has 'size', 'bill', 'tip'."),
    "files of unlike columns": (ValueError, "two.parquet", lambda: parquet(one=FRAME, two=FRAME[["tip"]]),
        "two.parquet has no column 'size'; it has 'tip'."),
    "files of unlike types": (ValueError, "two.parquet",
        lambda: parquet(one=FRAME, two=FRAME.astype({"tip": "float32"})),
        "The column 'tip' is float in two.parquet, and double in one.parquet."),
    "a gap in a file": (ValueError, "one.parquet",
        lambda: run(dataset=parquet(one=FRAME.where(FRAME["tip"] < 15).astype("Float64"))["tip"]),
        "The column 'tip' of one.parquet has a missing value in row 3. Drop such rows, or fill the gaps."),
    "a folder of something else": (ValueError, "thesis.txt", lambda: run(dataset=beside_a_thesis()),
        "The folder cache='mine' holds 'thesis.txt', which is not a cache file. Pass an empty folder, or one that "
        "does not exist."),
    # Results, tools and estimators.
    "coef of one number": (AttributeError, "coef", lambda: run().coef,
        "The constant model has no coef; result.x is its parameter. A linear model needs X=."),
    "a chord": (ValueError, "interval", lambda: fastgd.is_convex(MSE, FIVE, (1.0, 1.0 + 1e-16)),
        "The 'interval' parameter must be a pair (low, high) with low < high. Got (1.0, 1.0) instead."),
    "a loss of estimators": (ValueError, "loss", lambda: regressor(loss="hinge").fit(X, FIVE),
        "The 'loss' parameter must be a Loss or one of 'mse', 'abs_loss', 'huber_loss', 'quartic_loss', "
        "'cross_entropy', 'pinball_loss', 'log_cosh', 'epsilon_insensitive'. Got 'hinge' instead."),
    "a loss of classes": (ValueError, "DescentClassifier", lambda: regressor(loss="cross_entropy").fit(X, FIVE),
        "The 'loss' parameter must be a loss for regression. Got cross_entropy, a loss of log-odds: use "
        "DescentClassifier."),
    "one class": (ValueError, "7", lambda: classifier().fit(X, np.full(5, 7)),
        "This solver needs samples of at least 2 classes in the data, but the data contains only one class: 7."),
    "classes of partial_fit": (ValueError, "classes",
        lambda: classifier(method="sgd").partial_fit(X, [0, 1, 0, 1, 1]),
        "classes must be passed on the first call to partial_fit."),
    "a wrong sign": (None, "sign", lambda: fastgd.check_gradient(MSE, lambda theta, y: -MSE.gradient(theta, y), FIVE),
        "The largest relative error is 2, at theta 9.80587: the gradient is 9.70825, the difference of the loss "
        "-9.70825. Its sign is wrong."),
    "a factor 2": (None, "2", lambda: fastgd.check_gradient(MSE, lambda theta, y: MSE.gradient(theta, y) / 2, FIVE),
        "The largest relative error is 0.5, at theta 9.80587: the gradient is -4.85413, the difference of the loss "
        "-9.70825. It is half of what it should be: a factor 2 was forgotten."),
    "a sum for a mean": (None, "mean",
        lambda: fastgd.check_gradient(MSE, lambda theta, y: MSE.gradient(theta, y) * 5, FIVE),
        "The largest relative error is 0.8, at theta 9.80587: the gradient is -48.5413, the difference of the loss "
        "-9.70825. It is the sum over the points: the mean was forgotten."),
    "a right gradient": (None, "agree", lambda: fastgd.check_gradient(MSE, MSE.gradient, FIVE),
        "The largest relative error is 0, at theta 9.55: the gradient is -10.22, the difference of the loss -10.22. "
        "They agree."),
    # Ends of runs.
    "converged by steps": (None, "minimize", lambda: run(),
        "minimize converged: update 18 moved theta by 0.000993, and tol is 0.001."),
    "converged by the loss": (None, "minimize", lambda: run(stop="loss"),
        "minimize converged: update 13 changed the loss by 0.000652, and tol is 0.001."),
    "converged by epochs": (None, "minimize_sgd", lambda: run(verb=sgd, dataset=[3.0], alpha=0.5, stop="epoch"),
        "minimize_sgd converged: update 2 ended an epoch that moved theta by 0, and tol is 0.001, to 3."),
    "converged with a bound": (None, "minimize", lambda: run(ABS, X=X, alpha="adaptive"),
        "minimize converged: after 34 updates on smoothed versions of the abs-loss it is at most 3.59e-13 above "
        "its least."),
    "constant columns": (None, "x1",
        lambda: run(X=X * [1, 0] + [0, 5], alpha="auto", precondition="gram", fit_intercept=True),
        "minimize converged: update 2 moved theta by 4e-15, in units of the prediction, and tol is 0.001. The "
        "column 'x1' is constant, and its weight stayed where it was."),
    "collinear columns": (None, "x1",
        lambda: run(X=X[:, [0, 0, 1]], alpha="auto", precondition="gram", fit_intercept=True),
        "minimize converged: update 2 moved theta by 3.82e-15, in units of the prediction, and tol is 0.001. The "
        "columns 'x0', 'x1' are constant or determine each other: of all weights that predict the same, these "
        "moved least."),
    "labels": (ConvergenceWarning, "dataset", lambda: run(LOGIT, dataset=[1, 1, -1], alpha=1.0),
        "minimize converged: update 21 moved theta by 0.000898, and tol is 0.001. But the targets are labels -1 "
        "and 1, and the cross-entropy is about targets between 0 and 1: pass (dataset + 1) / 2."),
    "rounding of a loss": (None, "Rounding",
        lambda: run(lambda t, y: round(float(np.mean((y - t)**2)), 2), dataset=np.arange(50.0), alpha="adaptive"),
        "minimize converged: update 3 moved theta by 0, and tol is 0.001. Rounding changes the loss by about 0.01, "
        "which leaves theta to about 0.06."),
    "the limit of updates": (ConvergenceWarning, "max_iter", lambda: run(max_iter=3),
        "minimize did not converge in 3 updates: the last one moved theta by 2.11 to 11.4934, and tol is 0.001. "
        "Raise max_iter or change the learning rate."),
    "the limit of updates on rows": (ConvergenceWarning, "max_iter", lambda: run(X=X, alpha=0.001, max_iter=3),
        "minimize did not converge in 3 updates: the last one moved theta by 0.087 to [0.27055 0.223929], and tol "
        "is 0.001. Raise max_iter, change the learning rate, or use precondition='gram' and momentum='nesterov'."),
    "the limit of epochs": (ConvergenceWarning, "max_epochs", lambda: run(verb=sgd, tol=0, max_epochs=3),
        "minimize_sgd did not converge in 15 updates: stop='step' with tol=0 was not met; the last update moved "
        "theta by 1.41. It returns theta 15.0819. Raise max_epochs. Use stop='epoch' and average=True with a "
        "decreasing learning rate, such as alpha=fastgd.schedules.inverse_scaling(0.5, 0.75), or minimize. Batch "
        "descent, minimize with alpha='adaptive', is at the optimum in about 2 passes over the data; this run made "
        "3."),
    "a cycle of two": (ConvergenceWarning, "minimize", lambda: run(ABS, dataset=[0.0], theta0=0.1),
        "minimize did not converge and never will: by update 66 theta repeats -0.1 and 0.1, in steps of 0.2, and tol "
        "is 0.001. A minimum may lie between them: use a smaller or a decreasing learning rate than 0.2."),
    "divergence": (DivergenceError, "alpha", lambda: run(alpha=1.5),
        "minimize diverged: update 1019 with alpha=1.5 made theta inf; the last finite theta is -4.11784e+307. Use "
        "a smaller learning rate. The largest stable alpha for mse is 1; stay below it."),
    "divergence on rows": (DivergenceError, "alpha",
        lambda: run(X=FRAME[["size", "bill"]] * [1, 1000], alpha=0.2, verb=sgd),
        "minimize_sgd diverged: update 50 with alpha=0.2 made theta [-2.07699e+307 -inf]; the last finite theta is "
        "[2.07697e+301 1.03848e+304]. Use a smaller learning rate. alpha=2e-08 is stable for mse (half of the "
        "limit that the longest row of X sets); alpha='auto' takes it. X has unscaled columns, of root mean "
        "square: 'bill' (3.07e+03), 'size' (3.32). precondition='scale' descends as if the mean of each were "
        "subtracted and the rest divided by its standard deviation."),
    "slow divergence": (DivergenceError, "alpha", lambda: run(X=X, alpha=0.056, max_iter=1000),
        "minimize diverged by update 1000 with alpha=0.056: at theta [-4.18482e+18 -3.78721e+18] the loss is "
        "5.81046e+38. Use a smaller learning rate, or start nearer. On the way the loss grew from 218.758 to "
        "5.81046e+38. alpha=0.0274 is stable for mse (half of the limit that the largest eigenvalue of X'X / n "
        "sets); alpha='auto' takes it. X has unscaled columns, of root mean square: 'x0' (3.32), 'x1' (3.07). "
        "precondition='scale' descends as if the mean of each were subtracted and the rest divided by its standard "
        "deviation."),
    "divergence with a metric": (DivergenceError, "precondition", lambda: run(X=X, alpha=2.5, precondition="scale"),
        "minimize diverged: update 1739 with alpha=2.5 made theta [inf inf]; the last finite theta is "
        "[-2.51134e+306 -2.71668e+306]. Use a smaller learning rate. With precondition='scale' the largest stable "
        "alpha for mse is 2; stay below it. alpha='auto' is 1."),
    "targets that overflow": (DivergenceError, "Targets", lambda: run(dataset=[1.7e308, 1.7e308], alpha=0.9),
        "minimize stopped at update 1: the mse is not finite at the start, theta 0. Targets up to 1.7e+308 "
        "overflow in it: divide them by 1e+308."),
    "a gradient that is nan": (DivergenceError, "gradient", lambda: run(None, lambda theta, y: np.nan),
        "minimize stopped at update 1: the gradient is nan at theta 0, which no learning rate can help. Check "
        "the gradient there, or start elsewhere."),
    "a loss without a slope": (DivergenceError, "loss", lambda: run(lambda theta, y: np.nan, theta0=1.0),
        "minimize stopped at update 1: the loss is nan at theta 1, and has no slope. Start where the loss is a "
        "number."),
    "a loss without end": (DivergenceError, "loss",
        lambda: run(lambda t, y: -t * t, lambda t, y: -2 * t, alpha=0.5, theta0=1.0),
        "minimize stopped at update 1024: the loss falls without end, from -1 at theta 1 to -inf at theta "
        "8.98847e+307. It has no minimum on this side; check the sign of the loss."),
    "a wrong sign of the gradient": (DivergenceError, "gradient",
        lambda: run(lambda t, y: np.mean((y - t)**2), lambda t, y: 2 * np.mean(y - t)),
        "minimize stopped at update 2098: the loss rises along the negative gradient from the start, theta 0. Check "
        "the sign of the gradient; fastgd.check_gradient compares it with the loss."),
    "a loss that ends on the way": (ConvergenceWarning, "loss",
        lambda: run(lambda theta, y: theta if theta < 2 else np.nan, MSE.gradient),
        "minimize stopped after 18 updates, but the loss is nan at theta 14.6585. On the way there it is a number "
        "up to theta 2. Use a smaller learning rate, a start on the other side, or a loss that is a number "
        "everywhere."),
    "the optimum of points": (ConvergenceWarning, "minimize", lambda: run(alpha=1e-5),
        "minimize stopped after 1 updates, the last of which moved theta, 0.000293, by less than tol=0.001, but "
        "the optimum was not reached: the loss is 218.7494 at theta 0.0002932, and the least is 3.8424, at theta "
        "14.66. Use alpha='adaptive', a smaller tol, or a larger learning rate if it is stable."),
    "the optimum of rows": (ConvergenceWarning, "precondition", lambda: run(X=X * [1, 100], alpha=1e-7),
        "minimize stopped after 1 updates, the last of which moved theta, 0.000776, by less than tol=0.001, but "
        "the optimum was not reached: the loss is 212.7981 at theta [9.344e-06 0.0007756], and the least is "
        "13.88806, at theta [3.27228 0.0134061]. Use alpha='adaptive' and precondition='gram', a smaller tol, or a "
        "larger learning rate if it is stable."),
    "the optimum of an epoch": (ConvergenceWarning, "precondition",
        lambda: run(X=X * [1, 100], alpha=1e-7, verb=sgd, stop="epoch"),
        "minimize_sgd stopped after 75 updates, the last of which ended an epoch that moved theta, 0.000944, by "
        "less than tol=0.001, but the optimum was not reached: the loss is 68.02265 at theta [0.000472128 "
        "0.031323], and the least is 13.88806, at theta [3.27228 0.0134061]. Use a smaller tol, a learning rate "
        "that falls more slowly, precondition='scale', or minimize. Batch descent, minimize with alpha='adaptive' "
        "and precondition='gram', is at the optimum in about 2 passes over the data; this run made 15."),
    "the optimum without a loss": (ConvergenceWarning, "minimize",
        lambda: run(None, lambda theta, y: 2 * np.mean(theta - y), alpha=1e-5),
        "minimize stopped after 1 updates, the last of which moved theta, 0.000293, by less than tol=0.001, but "
        "the optimum was not reached: at theta 0.0002932 the slope is 29.3, and it still has that sign at theta "
        "0.196314. Use a smaller tol or a larger learning rate."),
    "a rule that was met uphill": (ConvergenceWarning, "loss",
        lambda: run(ABS, X=X, alpha=schedules.exponential_decay(10.0, 1e-3)),
        "minimize met its rule after 3 updates with alpha=1e-05, at theta [29.97 25.974], but went up and not "
        "down. Use a smaller learning rate. On the way the loss grew from 14.66 to 142.782. X has unscaled "
        "columns, of root mean square: 'x0' (3.32), 'x1' (3.07). precondition='scale' descends as if the mean of "
        "each were subtracted and the rest divided by its standard deviation."),
    "a rate that fell to 0": (ConvergenceWarning, "learning rate", lambda: run(None, MSE.gradient, alpha=warm_up),
        "minimize stands still at theta 0.862125 because the learning rate fell to 0 by update 4; the mean slope "
        "is still 27.6. Use a rate that falls more slowly."),
    "a lucky point": (ConvergenceWarning, "stop", lambda: run(dataset=[3.0, 0.0, 3.0], alpha=0.3, verb=sgd, tol=0.5),
        "minimize_sgd stopped after 7 updates on a point that happens to lie near theta 2.8338: on all points "
        "together a step would still move it by 0.5 (alpha * abs(mean slope)), and tol is 0.5. Use stop='epoch' "
        "and average=True with a decreasing learning rate, such as alpha=fastgd.schedules.inverse_scaling(0.5, "
        "0.75), or minimize. Batch descent, minimize with alpha='adaptive', is at the optimum in about 2 passes "
        "over the data; this run made 2."),
    "lucky epochs": (ConvergenceWarning, "average", lambda: run(alpha=0.4, verb=sgd, rng=6, stop="epoch", tol=0.1),
        "minimize_sgd stopped after 195 updates when two epochs happened to end near each other, at theta 16.3033: "
        "on all points together a step would still move it by 1.31 (alpha * abs(mean slope)), and tol is 0.1. Use "
        "a smaller or a decreasing learning rate, average=True if you do not, or minimize. Batch descent, minimize "
        "with alpha='adaptive', is at the optimum in about 2 passes over the data; this run made 39."),
    "classes that a plane separates": (ConvergenceWarning, "penalty",
        lambda: run(LOGIT, dataset=[0, 0, 0, 1, 1], X=X[:, :1], alpha="auto", fit_intercept=True),
        "minimize stopped after 6304 updates at theta [-19.7774 5.69113], but there is no minimum: a plane "
        "separates the rows of target 0 from those of target 1, and the cross-entropy falls to 0 as theta grows "
        "without end. Use a penalty, such as penalty=fastgd.penalties.L2(0.01)."),
    "points of one class": (ConvergenceWarning, "penalty", lambda: run(LOGIT, dataset=[1, 1], alpha=1.0),
        "minimize stopped after 1003 updates at theta 6.90801, but there is no minimum: all targets are the same, "
        "and the cross-entropy falls to 0 as theta grows without end. Use a penalty, such as "
        "penalty=fastgd.penalties.L2(0.01)."),
    "targets beyond probabilities": (ConvergenceWarning, "targets", lambda: run(LOGIT, dataset=[2, 3], max_iter=100),
        "minimize did not converge in 100 updates: the last one moved theta by 0.3 to 30.437, and tol is 0.001. "
        "Raise max_iter or change the learning rate. The mean of the targets is 2.5; unless it is between 0 and 1 "
        "the cross-entropy has no minimum."),
    "rows in an order": (ConvergenceWarning, "average",
        lambda: run(dataset=Blocks(lambda: np.split(np.arange(2e6), 8)), verb=sgd, alpha=0.1, max_epochs=1),
        "minimize_sgd: the rows seem to be in an order: the means of blocks of targets differ 1.56e+04 times as "
        "much as by chance, and only some blocks are shuffled together. Write the data once in a random order, "
        "take average=True, or use minimize, which no order changes."),
    "the callback": (None, "callback", lambda: run(callback=ends_at_once),
        "minimize was stopped by the callback (StopIteration) after update 1."),
    "one bad start": (ConvergenceWarning, "1000",
        lambda: minimize_multistart(fastgd.quartic_loss, None, [0.0], [10, 1000], alpha=1.0),
        "minimize_multistart: from 1000 the descent diverged: update 5 with alpha=1 made theta -inf; the last "
        "finite theta is 1.1295e+119. Use a smaller learning rate."),
    "several bad starts": (ConvergenceWarning, "start",
        lambda: minimize_multistart(ABS, None, [0.0], [0.05, 0.1], alpha=0.2),
        "minimize_multistart: from 0.05 the descent did not converge and never will: by update 66 theta repeats "
        "-0.15 and 0.05, in steps of 0.2, and tol is 0.001. A minimum may lie between them: use a smaller or a "
        "decreasing learning rate than 0.2. Of 1 further starts, 1 did not converge."),
    "no good start": (DivergenceError, "start", lambda: minimize_multistart(MSE, None, [0.0], [1, 2], alpha=1.5),
        "minimize_multistart diverged from every start; from 1 the descent diverged: update 1024 with alpha=1.5 "
        "made theta inf; the last finite theta is -8.98847e+307. Use a smaller learning rate. The largest stable "
        "alpha for mse is 1; stay below it."),
    "early stopping": (None, "DescentRegressor",
        lambda: regressor("mse", early_stopping=True, tol=0).fit([*X] * 60, FIVE * 60).result_,
        "DescentRegressor stopped early after 6 updates: the score on the validation rows no longer improved."),
    "an estimator at its limit": (ConvergenceWarning, "DescentRegressor", lambda: regressor(max_iter=2).fit(X, FIVE),
        "DescentRegressor did not converge in 2 updates: the last one moved theta by 0.00584 in units of the "
        "prediction to [10.2278 1.35333 0.145262], and tol is 1.73838e-10. Raise max_iter."),
}

#: Messages of more than four sentences, which are to be shortened.
TOO_LONG = {"the limit of epochs", "divergence on rows", "slow divergence", "a rule that was met uphill"}
NUMBER = re.compile(r"0x[0-9a-f]+|-?\d+(\.\d+)?(e[+-]?\d+)?")
#: How a message opens: with a capital, or with the name of a function or an argument.
OPENING = re.compile(r"(\[Errno \d+\] )?"
                     r"([A-Z]|\w+([_=(]|\.parquet)|(minimize|theta|dataset|classes|coef|cannot|no)\b)")


def wording(message):
    """A message without its numbers, which other tests compare."""
    return NUMBER.sub("#", message)


def sentences(message):
    return re.split(r"(?<=\.) (?=\S)", message)


def messages_of(kind, call):
    """All messages of a call that raises or warns, or whose result has one."""
    with np.errstate(all="ignore"):
        if kind is None:
            return [call().message]
        if issubclass(kind, Warning):
            with pytest.warns(kind) as caught:
                call()
            return [str(each.message) for each in caught]
        with pytest.raises(kind) as error:
            call()
        return [str(error.value)]


@pytest.mark.parametrize("case", CASES)
def test_the_message_is(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind, _, call, message = CASES[case]
    try:
        found = messages_of(kind, call)
    except (ImportError, pytest.fail.Exception) as error:
        missing = error if isinstance(error, ImportError) else error.__context__
        if not isinstance(missing, ImportError):
            raise
        pytest.skip(f"an extra is not installed: {missing}")
    assert wording(message) in map(wording, found)


@pytest.mark.parametrize("case", CASES)
def test_every_message_follows_the_rules(case):
    """It opens with a capital or a name, names what it is about, and has few sentences."""
    _, named, _, message = CASES[case]
    assert OPENING.match(message)
    assert named in message
    assert (len(sentences(message)) > 4) == (case in TOO_LONG), "shorten it, or take it off the list"


def test_no_two_cases_are_of_one_message():
    assert len({wording(message) for *_, message in CASES.values()}) > 0.95 * len(CASES)
