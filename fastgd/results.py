"""What a descent gives back, and what it says when it did not go well."""
from dataclasses import dataclass, field, fields
from typing import Any

CONVERGED, LIMIT_REACHED, CYCLE, NOT_FINITE, STALLED = range(5)
STOPPED_BY_CALLBACK = 99  # scipy's number for it


class ConvergenceWarning(UserWarning):
    """The descent ended at a theta that need not be near a minimum; the message says why and what to do."""


class DivergenceError(ArithmeticError):
    """Theta became NaN or infinite.

    Attributes
    ----------
    result : DescentResult
        The descent up to the last finite theta.
    """

    def __init__(self, message, result):
        super().__init__(message, result)
        self.result = result

    def __str__(self):
        return self.args[0]


@dataclass(frozen=True, repr=False)
class DescentResult:
    """The result of a descent, with the names of `scipy.optimize.OptimizeResult`; ``float(result)`` is x.

    Attributes
    ----------
    x : float
        The last theta, in the units of the data; with ``average=True`` the mean of those of the last epoch.
    fun : float
        The loss that was given, at x; NaN if none was given.
    jac : float or None
        The mean slope of the loss at x; None in the results that a callback sees.
    nit : int
        Updates made.
    success : bool
        Whether the stopping rule was met.
    status : int
        0 converged, 1 the limit of updates, 2 the iterates repeat, 3 theta not finite, 4 the last step was short where
        the slope is not (a lucky point, a learning rate of 0), 99 stopped by the callback.
    message : str
        Why the descent ended.
    history : pandas.DataFrame or None
        With ``history=True``, one row an update: update (from 1), alpha, and the theta after it.
    """

    x: float
    fun: float
    jac: float | None
    nit: int
    success: bool
    status: int
    message: str
    history: Any = field(default=None, compare=False)

    def __float__(self):
        return self.x

    def __repr__(self):
        shown = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name != "history"]
        if self.history is not None:
            shown.append(("history", f"DataFrame of {len(self.history)} updates"))
        return "\n".join(f"{name:>8}: {value}" for name, value in shown)
