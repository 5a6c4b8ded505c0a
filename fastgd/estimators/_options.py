"""Options of an estimator: its parameters, validated once in `fit`."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastgd._frames import described, typed_value
from fastgd._objective.objective import check_penalty
from fastgd._options import batch_options, stochastic_options
from fastgd._random import bit_generator_of
from fastgd._thread_pool import thread_pool
from fastgd._validation import check_count, check_flag, check_number, check_option
from fastgd.losses import REGISTRY, Huber, Loss
from fastgd.losses.base import as_compiled
from fastgd.schedules import inverse_scaling

if TYPE_CHECKING:
    from fastgd._options import DescentOptions
    from fastgd._thread_pool import ThreadPool
    from fastgd.penalties import Penalty

#: Columns up to which precondition="auto" is "gram".
MAX_GRAM_FIT_COLUMNS = 500
#: delta with 95 % of the efficiency of least squares for normal errors (P. J. Huber, "Robust Statistics").
EFFICIENT_DELTA = 1.345
#: Step sizes of a stochastic solver, in units of half the stable limit: t**-0.5, the slowest decay for averages.
DECAYING_STEPS = inverse_scaling(1.0, 0.5)
#: Default `tol` by stopping rule: "step" in standard deviations of the targets, "loss" relative to the loss at their
#: mean, "epoch" in units of the weights.
TOLERANCES = {"step": 1e-9, "loss": 1e-7}
STOCHASTIC_TOLERANCES = {"step": 1e-4, "loss": 1e-5, "epoch": 1e-4}


class Options(NamedTuple):
    """Validated parameters of an estimator.

    Attributes
    ----------
    loss : Loss
    scale : str, float or None
        Unit of delta of a Huber loss; "mad" is estimated.
    penalty : Penalty or None
    settings : DescentOptions
        DescentOptions of the solver; `tol` in the units of the parameter.
    precondition : str or None
        "auto" is resolved by `settings_for`.
    fit_intercept, warm_start, early_stopping : bool
    validation_fraction, patience : float, int
        Parameters of early stopping.
    threads : ThreadPool
    """

    loss: Loss
    scale: Any
    penalty: Penalty | None
    settings: DescentOptions
    precondition: str | None
    fit_intercept: bool
    warm_start: bool
    early_stopping: bool
    validation_fraction: float
    patience: int
    threads: ThreadPool

    @property
    def estimates_scale(self) -> bool:
        """True if the scale is estimated with theta."""
        return isinstance(self.scale, str)

    @property
    def start_loss(self) -> Loss:
        """Loss at the start, with delta in units of the residuals; the scale is 1 if it is estimated."""
        if self.scale is None or self.estimates_scale:
            return self.loss
        assert isinstance(self.loss, Huber)
        return Huber(self.loss.delta * self.scale)

    def settings_for(self, columns: int) -> DescentOptions:
        """Return the DescentOptions for a number of columns."""
        if self.precondition != "auto":
            return self.settings._replace(precondition=self.precondition)
        return self.settings._replace(
            precondition="scale" if self.settings.is_stochastic else self.preconditioner_for(columns))

    def preconditioner_for(self, columns: int) -> str:
        """Return the preconditioner with which a batch solver needs the fewest passes."""
        has_l1 = self.penalty is not None and self.penalty.l1 > 0
        return "scale" if has_l1 or columns > MAX_GRAM_FIT_COLUMNS else "gram"


def options_of(estimator: Any, scale: Any = None) -> Options:
    """Return the Options of an estimator; raise TypeError or ValueError for an invalid parameter."""
    loss, scale = _loss_and_scale(loss_of(estimator.loss), estimator.loss, scale)
    check_option(estimator.method, "method", ("batch", "sgd", "mini-batch"))
    is_batch = estimator.method == "batch"
    stop = estimator.stop
    if stop is not None:
        check_option(stop, "stop", ("step", "loss") if is_batch else ("step", "epoch", "loss"), "None")
    if estimator.precondition is not None and (is_batch or estimator.precondition != "gram"):    # refused with advice
        kinds = ("auto", "scale", "gram") if is_batch else ("auto", "scale")
        check_option(estimator.precondition, "precondition", kinds, "None")
    if isinstance(estimator.verbose, str):
        check_option(estimator.verbose, "verbose", ("bar",), "True", "False")
    if stop is None:
        stop = "loss" if estimator.method != "batch" or loss.kinks else "step"
    if isinstance(scale, str) and stop == "loss" and estimator.method == "batch":
        raise ValueError("scale='mad' changes the loss between updates, and cannot be combined with "
                         "stop='loss'. Use stop='step', or a number for scale.")
    settings = (_batch if estimator.method == "batch" else _stochastic)(estimator, stop)
    return Options(
        loss, scale, None if estimator.penalty is None else check_penalty(estimator.penalty),
        settings._replace(has_concomitant_scale=isinstance(scale, str) and not settings.is_stochastic),
        "auto" if _is_auto(estimator.precondition) else estimator.precondition,
        check_flag(estimator.fit_intercept, "fit_intercept"), check_flag(estimator.warm_start, "warm_start"),
        check_flag(estimator.early_stopping, "early_stopping"),
        check_number(estimator.validation_fraction, "validation_fraction", low=0, inclusive=False, high=1),
        check_count(estimator.n_iter_no_change, "n_iter_no_change"), thread_pool(estimator.n_threads))


def loss_of(value: Any) -> Loss:
    """Return the Loss of a name or a Loss; raise ValueError or TypeError for anything else."""
    if isinstance(value, str):
        if value not in REGISTRY:
            raise ValueError(f"The 'loss' parameter must be a Loss or one of {', '.join(map(repr, REGISTRY))}. "
                             f"Got {described(value)} instead.")
        return REGISTRY[value]
    loss = as_compiled(value)
    if not isinstance(loss, Loss):
        raise TypeError("The 'loss' parameter must be the name of a loss, or a Loss, which fastgd.losses.compiled "
                        f"makes of C functions. Got {typed_value(value)}.")
    return loss


def _loss_and_scale(loss: Loss, given: Any, scale: Any) -> tuple[Loss, Any]:
    """Return the loss, and its scale or None."""
    if scale is None:
        return loss, None
    if isinstance(scale, str):
        check_option(scale, "scale", ("mad",), "None", "a number above 0")
    else:
        scale = check_number(scale, "scale", low=0, inclusive=False)
    if not isinstance(loss, Huber):
        if not isinstance(scale, str):
            raise ValueError(f"The 'scale' parameter applies to the Huber loss only. Got scale={scale!r} and {loss!r}.")
        return loss, None
    return (Huber(EFFICIENT_DELTA) if isinstance(given, str) else loss), scale


def _is_auto(precondition: Any) -> bool:
    return isinstance(precondition, str) and precondition == "auto"


def _batch(estimator: Any, stop: str) -> DescentOptions:
    alpha = estimator.alpha
    if alpha is None:
        alpha = "adaptive" if estimator.momentum is None else "auto"
    tol = TOLERANCES.get(stop) if estimator.tol is None else estimator.tol
    precondition = None if _is_auto(estimator.precondition) else estimator.precondition
    return batch_options(type(estimator).__name__, alpha, tol, estimator.max_iter, stop, _progress(estimator.verbose),
                          estimator.callback, estimator.history, True, precondition, estimator.momentum)


def _stochastic(estimator: Any, stop: str) -> DescentOptions:
    if estimator.momentum is not None:
        raise ValueError(f"The 'momentum' parameter applies to method='batch' only. Got momentum={estimator.momentum!r}"
                         f" and method={estimator.method!r}.")
    size = None if estimator.method == "sgd" else check_count(estimator.batch_size, "batch_size")
    precondition = None if _is_auto(estimator.precondition) else estimator.precondition
    tol = STOCHASTIC_TOLERANCES.get(stop) if estimator.tol is None else estimator.tol
    average = True if estimator.average is None else estimator.average
    return stochastic_options(
        type(estimator).__name__, size, DECAYING_STEPS if estimator.alpha is None else estimator.alpha,
        bit_generator_of(estimator.random_state, "random_state"), tol, estimator.max_epochs, stop, average, False,
        _progress(estimator.verbose), estimator.callback, estimator.history, True, precondition)


def _progress(verbose: Any) -> Any:
    """Convert `verbose` to `progress`; scikit-learn's integers are levels of verbosity."""
    return verbose if isinstance(verbose, str) else bool(verbose)
