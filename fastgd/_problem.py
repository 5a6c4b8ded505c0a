"""What is to be minimised: a loss, its gradient and the data, compiled or in Python."""
import math

import numpy as np

from fastgd._checks import as_given, called_at, check_callable, check_dataset, copied
from fastgd.differences import DifferenceGradient
from fastgd.losses import CrossEntropy, Gradient, Loss, compiled_form


class Problem:
    """A loss, its gradient and the points, checked once.

    Attributes
    ----------
    targets : ndarray
        The points, contiguous float32 or float64.
    dataset : object
        The points as a Python callable gets them: the caller's own array or Series, else `targets`.
    loss, gradient : Loss, Gradient or callable
        The compiled form where there is one. `loss` may be None if it is not asked for. Without a gradient it is the
        loss's own, or else differences of the loss.
    is_compiled : bool
        Whether the gradient is.
    """

    def __init__(self, loss_fn, grad_loss_fn, dataset, *, needs_loss):
        self.loss = compiled_form(loss_fn)
        self._loss_is_compiled = self.loss is not None
        self._last_slope = None    # (theta, slope), because the end of a run asks for it more than once
        if self.loss is None and (loss_fn is not None or needs_loss or grad_loss_fn is None):
            check_callable(loss_fn, "loss_fn")
            self.loss = loss_fn
        if grad_loss_fn is None and self._loss_is_compiled and isinstance(self.loss, Loss):
            grad_loss_fn = self.loss.gradient
        self.gradient = compiled_form(grad_loss_fn)
        self.is_compiled = self.gradient is not None
        if not self.is_compiled:
            if grad_loss_fn is not None:
                check_callable(grad_loss_fn, "grad_loss_fn")
            self.gradient = grad_loss_fn
        elif not isinstance(self.gradient, Gradient):
            raise TypeError(f"The 'grad_loss_fn' parameter must be a gradient. Got the loss {self.gradient!r}; "
                            f"pass {self.gradient.gradient!r}.")
        self.targets = check_dataset(dataset)
        self.dataset = as_given(dataset, self.targets)
        if self.gradient is None:
            self.gradient = DifferenceGradient(self.loss, self.targets)

    def points_to_shuffle(self, dataset, in_place):
        """The points in an array that may be shuffled: the caller's own if `in_place`, else one that is ours."""
        if in_place:
            if self.targets is not dataset and not (
                    isinstance(dataset, np.ndarray) and np.shares_memory(self.targets, dataset)):
                got = (f"an array of dtype {dataset.dtype}" + ("" if dataset.flags.c_contiguous else ", not contiguous")
                       if isinstance(dataset, np.ndarray) else f"an object of type {type(dataset).__name__}")
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 f"Got {got}; convert it, or leave in_place=False.")
            if not self.targets.flags.writeable:
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 "Got a read-only array; pass a copy, or leave in_place=False.")
            return self.targets
        is_ours = type(dataset) in (list, tuple, range) or (
            type(dataset) is np.ndarray and not np.may_share_memory(self.targets, dataset))
        return self.targets if is_ours else copied(self.targets, self.targets.dtype)

    def no_minimum(self):
        """A sentence for data on which the loss falls for ever, else nothing."""
        if self.is_compiled and isinstance(self.gradient.loss, CrossEntropy):
            mean = 0.5 - self.gradient(0.0, self.targets)    # the slope at 0 is 1/2 less the mean of the targets
            if not 0 < mean < 1:
                return (f" The mean of the targets is {mean:.6g}; unless it is between 0 and 1 the cross-entropy has "
                        "no minimum.")
        return ""

    @property
    def stable_alpha(self):
        """The largest stable learning rate of batch descent, where one is known."""
        return self.gradient.loss.max_stable_alpha if self.is_compiled else None

    def losses_at(self, thetas):
        """The loss at each of an array of thetas, as a list of floats."""
        if self.loss is None:
            return [math.nan] * len(thetas)
        if self._loss_is_compiled:
            return self.loss.curve_over(np.asarray(thetas, dtype=np.float64), self.targets).tolist()
        return called_at(self.loss, thetas, self.dataset)

    def slope_at(self, theta):
        """The mean slope at one theta."""
        if self._last_slope is None or self._last_slope[0] != theta:
            self._last_slope = theta, self.slopes_at([theta])[0]
        return self._last_slope[1]

    def slopes_at(self, thetas):
        """The mean slope at each of several thetas, as a list of floats."""
        if self.is_compiled:
            return self.gradient.curve_over(np.asarray(thetas, dtype=np.float64), self.targets).tolist()
        return [float(self.gradient(theta, self.dataset)) for theta in thetas]
