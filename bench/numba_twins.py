"""The textbook's loops as numba users write them: a translation line by line."""
import functools

import numba
import numpy as np


@numba.njit
def grad_mse(theta, dataset):
    total = 0.0
    for y in dataset:
        total += y - theta
    return -2 * total / len(dataset)


@numba.njit
def grad_abs_loss(theta, dataset):
    total = 0.0
    for y in dataset:
        total += -np.sign(y - theta)
    return total / len(dataset)


@numba.njit
def grad_huber_loss(theta, dataset, delta=1.0):
    total = 0.0
    for y in dataset:
        r = y - theta
        if abs(r) <= delta:
            total += -r
        else:
            total += -delta * np.sign(r)
    return total / len(dataset)


@numba.njit
def minimize(grad_loss_fn, dataset, alpha=0.2, tol=1e-3):
    theta = 0.0
    while True:
        new = theta - alpha * grad_loss_fn(theta, dataset)
        if abs(new - theta) < tol:
            return new
        theta = new


@numba.njit
def epoch_mse(dataset, alpha):
    np.random.shuffle(dataset)
    theta = 0.0
    for y in dataset:
        new = theta - alpha * (-2 * (y - theta))
        if abs(new - theta) < 0:
            return new
        theta = new
    return theta


@numba.njit
def epoch_huber_loss(dataset, alpha, delta=1.0):
    np.random.shuffle(dataset)
    theta = 0.0
    for y in dataset:
        r = y - theta
        slope = -r if abs(r) <= delta else -delta * np.sign(r)
        new = theta - alpha * slope
        if abs(new - theta) < 0:
            return new
        theta = new
    return theta


@numba.njit
def chain(dataset, alpha):
    """Run the least work of an epoch on the squared error: three dependent operations for each point."""
    theta = 0.0
    for y in dataset:
        theta = theta - alpha * (theta - y)
    return theta


def twin(name, *args):
    """Return a function of this module with its arguments, compiled for them by a call on five points."""
    function = globals()[name]
    function(*(arg[:5].copy() if isinstance(arg, np.ndarray) else arg for arg in args))
    return functools.partial(function, *args)
