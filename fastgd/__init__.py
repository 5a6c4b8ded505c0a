"""Gradient descent on losses: the textbook's functions and answers, compiled."""
from fastgd import datasets, losses, reference, schedules
from fastgd.convexity import is_convex
from fastgd.descent import minimize, minimize_mini_batch, minimize_sgd, simple_minimize
from fastgd.differences import check_gradient
from fastgd.losses import (
    Huber,
    abs_loss,
    cross_entropy,
    epsilon_insensitive,
    grad_abs_loss,
    grad_cross_entropy,
    grad_epsilon_insensitive,
    grad_huber_loss,
    grad_log_cosh,
    grad_mse,
    grad_pinball_loss,
    grad_quartic_loss,
    huber_loss,
    log_cosh,
    mse,
    pinball_loss,
    quartic_loss,
)
from fastgd.multistart import minimize_multistart
from fastgd.results import ConvergenceWarning, DescentResult, DivergenceError

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "DescentResult",
    "DivergenceError",
    "Huber",
    "abs_loss",
    "check_gradient",
    "cross_entropy",
    "datasets",
    "epsilon_insensitive",
    "grad_abs_loss",
    "grad_cross_entropy",
    "grad_epsilon_insensitive",
    "grad_huber_loss",
    "grad_log_cosh",
    "grad_mse",
    "grad_pinball_loss",
    "grad_quartic_loss",
    "huber_loss",
    "is_convex",
    "log_cosh",
    "losses",
    "minimize",
    "minimize_mini_batch",
    "minimize_multistart",
    "minimize_sgd",
    "mse",
    "pinball_loss",
    "quartic_loss",
    "reference",
    "schedules",
    "simple_minimize",
]
