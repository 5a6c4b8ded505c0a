"""What the parameters of an estimator mean, checked once, in `fit`."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastgd._frames import described, typed_value
from fastgd._limits import MOST_FOR_FIT_BY_GRAM
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

#: delta for 95 % of the efficiency of least squares where the errors are normal (P. J. Huber, "Robust Statistics").
EFFICIENT_DELTA = 1.345
#: The steps of a stochastic descent, in units of half the stable limit: they fall as slowly as averages bear.
FALLING = inverse_scaling(1.0, 0.5)
#: What `tol` is where it is None, by the rule: in standard deviations of the targets, or a part of the loss of their
#: mean; of the weights themselves where epochs are compared.
TOLERANCES = {"step": 1e-9, "loss": 1e-7}
STOCHASTIC_TOLERANCES = {"step": 1e-4, "loss": 1e-5, "epoch": 1e-4}


class Options(NamedTuple):
    """The parameters of an estimator.

    Attributes
    ----------
    loss : Loss
    scale : str, float or None
        Of a Huber loss: "mad", or what delta is in units of.
    penalty : Penalty or None
    settings : DescentOptions
        Their `tol` is in the units of the parameter.
    precondition : str or None
        "auto" until the columns are known.
    fit_intercept, warm_start, early_stopping : bool
    validation_fraction, patience : float, int
        Of the early stop.
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
    def by_mad(self) -> bool:
        """Whether the scale is found with theta."""
        return isinstance(self.scale, str)

    @property
    def start_loss(self) -> Loss:
        """The loss in which a scale that is known is reckoned in, and one that is not is 1."""
        if self.scale is None or self.by_mad:
            return self.loss
        assert isinstance(self.loss, Huber)
        return Huber(self.loss.delta * self.scale)

    def settings_for(self, columns: int) -> DescentOptions:
        """The DescentOptions for so many columns."""
        if self.precondition != "auto":
            return self.settings._replace(precondition=self.precondition)
        return self.settings._replace(
            precondition="scale" if self.settings.is_stochastic else self.metric_for(columns))

    def metric_for(self, columns: int) -> str:
        """The metric in which a batch descent arrives soonest."""
        has_l1 = self.penalty is not None and self.penalty.l1 > 0
        return "scale" if has_l1 or columns > MOST_FOR_FIT_BY_GRAM else "gram"


def options_of(estimator: Any, scale: Any = None) -> Options:
    """The Options of an estimator; TypeError or ValueError for a parameter that is not as it should be."""
    loss, scale = _scaled(loss_of(estimator.loss), estimator.loss, scale)
    check_option(estimator.method, "method", ("batch", "sgd", "mini-batch"))
    is_batch = estimator.method == "batch"
    stop = estimator.stop
    if stop is not None:
        check_option(stop, "stop", ("step", "loss") if is_batch else ("step", "epoch", "loss"), "None")
    if estimator.precondition is not None and (is_batch or estimator.precondition != "gram"):    # which says more
        kinds = ("auto", "scale", "gram") if is_batch else ("auto", "scale")
        check_option(estimator.precondition, "precondition", kinds, "None")
    if isinstance(estimator.verbose, str):
        check_option(estimator.verbose, "verbose", ("bar",), "True", "False")
    if stop is None:
        stop = "loss" if estimator.method != "batch" or loss.kinks else "step"
    if isinstance(scale, str) and stop == "loss" and estimator.method == "batch":
        raise ValueError("scale='mad' changes the loss from one update to the next, and cannot be used with "
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
    """The loss that a name of the registry or a Loss is; ValueError or TypeError for anything else."""
    if isinstance(value, str):
        if value not in REGISTRY:
            raise ValueError(f"The 'loss' parameter must be a Loss or one of {', '.join(map(repr, REGISTRY))}. "
                             f"Got {described(value)} instead.")
        return REGISTRY[value]
    loss = as_compiled(value)
    if not isinstance(loss, Loss):
        raise TypeError("The 'loss' parameter must be the name of one of fastgd's losses or a Loss, of which "
                        f"fastgd.losses.compiled makes your own. Got {typed_value(value)}.")
    return loss


def _scaled(loss: Loss, given: Any, scale: Any) -> tuple[Loss, Any]:
    """The loss, and the scale if it has one."""
    if scale is None:
        return loss, None
    if isinstance(scale, str):
        check_option(scale, "scale", ("mad",), "None", "a number above 0")
    else:
        scale = check_number(scale, "scale", low=0, inclusive=False)
    if not isinstance(loss, Huber):
        if not isinstance(scale, str):
            raise ValueError(f"The 'scale' parameter is of the Huber loss. Got scale={scale!r} and {loss!r}.")
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
    return batch_options(type(estimator).__name__, alpha, tol, estimator.max_iter, stop, _shown(estimator.verbose),
                          estimator.callback, estimator.history, True, precondition, estimator.momentum)


def _stochastic(estimator: Any, stop: str) -> DescentOptions:
    if estimator.momentum is not None:
        raise ValueError(f"The 'momentum' parameter is of method='batch'. Got momentum={estimator.momentum!r} and "
                         f"method={estimator.method!r}.")
    size = None if estimator.method == "sgd" else check_count(estimator.batch_size, "batch_size")
    precondition = None if _is_auto(estimator.precondition) else estimator.precondition
    tol = STOCHASTIC_TOLERANCES.get(stop) if estimator.tol is None else estimator.tol
    average = True if estimator.average is None else estimator.average
    return stochastic_options(
        type(estimator).__name__, size, FALLING if estimator.alpha is None else estimator.alpha,
        bit_generator_of(estimator.random_state, "random_state"), tol, estimator.max_epochs, stop, average, False,
        _shown(estimator.verbose), estimator.callback, estimator.history, True, precondition)


def _shown(verbose: Any) -> Any:
    """What `verbose` is as the `progress` of a verb: scikit-learn's numbers are levels."""
    return verbose if isinstance(verbose, str) else bool(verbose)
