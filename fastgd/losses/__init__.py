"""Losses as objects that are called like a textbook's functions, their gradients, and `compiled`, for your own.

>>> from fastgd.losses import Huber
>>> Huber(delta=2)(14.0, [12.0, 15.0]), Huber(delta=2).gradient(14.0, [12.0, 15.0])
(1.25, 0.5)
"""
from fastgd.losses import builtin
from fastgd.losses.base import Gradient, Loss
from fastgd.losses.builtin import *  # noqa: F403
from fastgd.losses.builtin import REGISTRY
from fastgd.losses.from_c import CompiledLoss, compiled

__all__ = ["REGISTRY", "CompiledLoss", "Gradient", "Loss", "compiled"]
__all__ += builtin.__all__
