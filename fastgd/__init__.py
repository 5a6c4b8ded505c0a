"""Gradient descent on losses: the textbook's functions and answers, compiled."""
from fastgd import datasets, losses, reference, schedules
from fastgd.descent import minimize, minimize_mini_batch, minimize_sgd, simple_minimize
from fastgd.losses import (
    Huber,
    abs_loss,
    cross_entropy,
    grad_abs_loss,
    grad_cross_entropy,
    grad_huber_loss,
    grad_mse,
    grad_quartic_loss,
    huber_loss,
    mse,
    quartic_loss,
)
from fastgd.results import ConvergenceWarning, DescentResult, DivergenceError

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "DescentResult",
    "DivergenceError",
    "Huber",
    "abs_loss",
    "cross_entropy",
    "datasets",
    "grad_abs_loss",
    "grad_cross_entropy",
    "grad_huber_loss",
    "grad_mse",
    "grad_quartic_loss",
    "huber_loss",
    "losses",
    "minimize",
    "minimize_mini_batch",
    "minimize_sgd",
    "mse",
    "quartic_loss",
    "reference",
    "schedules",
    "simple_minimize",
]
