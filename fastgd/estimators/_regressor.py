"""Regression: a robust line, a quantile, the mean."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastgd._data import as_chunks
from fastgd._data.chunked import scan_chunks
from fastgd._validation import is_lazy, refuse_lazy
from fastgd.estimators import _lazy
from fastgd.estimators._base import Descent, refuse_early_stop, targets_of
from fastgd.estimators._options import options_of
from fastgd.estimators._resumed import resumed
from fastgd.estimators._runs import ended, objective_on, run

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._types import BatchAlpha, Callback, Count, DoubleArray, Number, Progress, Random
    from fastgd.estimators._base import Checked
    from fastgd.estimators._options import Options
    from fastgd.estimators._runs import Fit, State
    from fastgd.losses import Loss
    from fastgd.penalties import Penalty


def is_stochastic(estimator: Any) -> bool:
    """Whether an estimator has `partial_fit`."""
    return bool(estimator.method != "batch")


class DescentRegressor(RegressorMixin, Descent):    # type: ignore[misc]
    """Linear regression, ``mean(loss(intercept + X @ coef, y)) + penalty(coef)`` at its least, by gradient descent.

    The default is a robust line: Huber's loss with a delta of 1.345 robust standard deviations of the residuals, as in
    statsmodels' RLM. As they are the defaults arrive on raw columns, whatever their units.

    Parameters
    ----------
    loss : str or Loss, default "huber_loss"
        A name, "mse", "abs_loss", "huber_loss", "quartic_loss", "pinball_loss", "log_cosh" or "epsilon_insensitive", or
        a Loss with parameters of its own: ``Pinball(q=0.9)`` for a quantile, one of C functions from
        `fastgd.losses.compiled`.
    method : {"batch", "sgd", "mini-batch"}, default "batch"
        `fastgd.minimize`, `fastgd.minimize_sgd` or `fastgd.minimize_mini_batch`.
    batch_size : int, default 32
        Rows in a mini-batch; of fewer rows all.
    scale : "mad", float or None, default "mad"
        Of a Huber loss, what its delta is in units of. "mad" is the median of abs(residual) over 0.6745, found together
        with the weights, so that y in other units gives the same line; a stochastic method finds it on a sample of the
        rows. By name the loss then has a delta of 1.345. None is the loss as it is, a delta of 1 by name. Other losses
        have no scale.
    alpha : float, callable, "auto", "adaptive" or None, default None
        Learning rate, as for the method. None is "adaptive" for "batch", with momentum "auto"; for the others
        ``inverse_scaling(1, 0.5)``, in units of half the stable limit.
    precondition : {"auto", "scale", "gram", None}, default "auto"
        The metric of the steps, as for the method. "auto" is "gram" for "batch" with up to 500 columns and no penalty
        of L1, else "scale".
    momentum : {None, "nesterov"}, default None
        As for `fastgd.minimize`.
    penalty : Penalty, optional
        One of `fastgd.penalties`, of the weights; an intercept is free. Strengths are of the mean loss.
    tol : float, optional
        When the descent ends, as for the method: in standard deviations of y, or with "mad" of the residuals, with
        ``stop="loss"`` as a part of the loss of the mean of y. None is 1e-9, and for the loss 1e-7; for stochastic
        methods 1e-4, and for the loss 1e-5.
    max_iter : int, default 1000
        Updates of "batch" at most.
    max_epochs : int, default 1000
        Epochs of the other methods at most.
    stop : {"step", "loss", "epoch"}, optional
        The rule of the end, as for the method. None is "step" for "batch"; "loss" for the others, and for a loss with
        kinks, which is then proved to be within `tol` of its least.
    average : bool, optional
        As for `fastgd.minimize_sgd`; None is True.
    fit_intercept : bool, default True
        Whether there is an intercept.
    n_threads : int, optional
        Threads that share the passes over many rows, -1 as many as there are cores; None is 1.
    random_state : None, int, RandomState or Generator, default None
        Where shuffles and rows that are kept apart come from, as `rng` of `fastgd.minimize_sgd`.
    warm_start : bool, default False
        Begin where the last fit ended.
    verbose : bool or "bar", default False
        As `progress` of the method.
    early_stopping : bool, default False
        Keep rows apart, and stop when their score (R squared) rises no more; the weights of the best one are kept.
    validation_fraction : float, default 0.1
        The part of the rows that is kept apart.
    n_iter_no_change : int, default 5
        Updates of "batch", or epochs, in turn that do not raise the score by 1e-4, after which the fit stops.
    callback : callable, optional
        As for the method.
    history : bool, default False
        Whether `result_` has the history of all updates.

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
        The weights.
    intercept_ : float
    scale_ : float or None
        What delta is in units of. Infinite where a stochastic method with ``scale="mad"`` has seen fewer than 10 rows
        more than there are parameters: the loss is then half the squared residual.
    n_iter_ : int
        Updates, or epochs.
    loss_curve_ : ndarray
        The loss with the penalty after each update or epoch; of more than 2,000 of them after every second, fourth and
        so on. Of more than 2,048 rows on a sample of them.
    converged_ : bool
        Whether the rule was met, at a place that deserves it.
    result_ : DescentResult
        The end of the descent, in words.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        If X had names.

    Raises
    ------
    ImportError
        If scikit-learn is not there.

    Notes
    -----
    `fastgd.Blocks`, columns of `fastgd.open_parquet` and dask collections go to `fit` as X and y too, Blocks that bring
    (X, y) as X alone. Predictions for dask are lazy.

    References
    ----------
    P. J. Huber, "Robust Statistics", Wiley, 1981.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import Pinball
    >>> from fastgd.estimators import DescentRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2)) * [1, 1000]
    >>> y = X @ [2, 0.003] + 5 + rng.standard_t(2, 200)
    >>> model = DescentRegressor().fit(X, y)
    >>> model.coef_.round(3), model.intercept_.round(1)
    (array([2.061, 0.003]), np.float64(4.9))
    >>> DescentRegressor(Pinball(q=0.9)).fit(X, y).intercept_.round(1)
    np.float64(6.6)
    """

    def __init__(self, loss: str | Loss = "huber_loss", *, method: Literal["batch", "sgd", "mini-batch"] = "batch",
                 batch_size: Count = 32, scale: Literal["mad"] | Number | None = "mad",
                 alpha: BatchAlpha | None = None, precondition: Literal["auto", "scale", "gram"] | None = "auto",
                 momentum: Literal["nesterov"] | None = None, penalty: Penalty | None = None,
                 tol: Number | None = None, max_iter: Count = 1000, max_epochs: Count = 1000,
                 stop: Literal["step", "loss", "epoch"] | None = None, average: bool | None = None,
                 fit_intercept: bool = True, n_threads: Count | None = None, random_state: Random = None,
                 warm_start: bool = False, verbose: Progress = False, early_stopping: bool = False,
                 validation_fraction: Number = 0.1, n_iter_no_change: Count = 5,
                 callback: Callback[Any] | None = None, history: bool = False) -> None:
        self.loss = loss
        self.method = method
        self.batch_size = batch_size
        self.scale = scale
        self.alpha = alpha
        self.precondition = precondition
        self.momentum = momentum
        self.penalty = penalty
        self.tol = tol
        self.max_iter = max_iter
        self.max_epochs = max_epochs
        self.stop = stop
        self.average = average
        self.fit_intercept = fit_intercept
        self.n_threads = n_threads
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callback = callback
        self.history = history

    def fit(self, X: ArrayLike, y: ArrayLike | None = None,
            sample_weight: ArrayLike | None = None) -> DescentRegressor:
        """Find the weights.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows; float32 or float64 in C order is read where it lies.
        y : array-like of shape (n,)
            The targets. May be None only for Blocks that bring them.
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0: the mean loss is sum(w * loss) / sum(w).

        Returns
        -------
        DescentRegressor
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are not as described.
        DivergenceError
            As `fastgd.minimize`.

        Warns
        -----
        ConvergenceWarning
            As `fastgd.minimize`; it is scikit-learn's too.

        Examples
        --------
        >>> from fastgd.estimators import DescentRegressor
        >>> model = DescentRegressor("mse").fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
        >>> model.coef_.round(6), model.n_iter_
        (array([2.]), 2)
        """
        options = self._options()
        score = None
        if is_lazy(X, y, sample_weight):
            refuse_early_stop(options)
            dataset, rows = (X, None) if y is None else (y, X)
            source: Any = scan_chunks(as_chunks(dataset, rows, sample_weight), options.fit_intercept)
            self._looked_at(source)
        else:
            fitted, apart = self._splits(options, self._checked(X, y, sample_weight, y_numeric=True))
            source = self._rows(fitted.X, fitted.y, fitted.weights, options)
            if apart is not None:
                score = functools.partial(_r_squared, apart, int(options.fit_intercept))
        start = self._starts(options)[0]
        objective = objective_on(source, options, options.threads)
        try:
            self._take(ended(run(objective, options, start, score=score)), options)
        finally:
            objective.close()
        return self

    @available_if(is_stochastic)    # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> DescentRegressor:
        """Make one epoch on rows that may be new; only for stochastic methods.

        The learning rate, the average and the generator go on where they were; so do the means and scales of the
        columns with which ``precondition="scale"`` makes its steps. The average is of all updates, of which the t-th
        counts t times.

        A scale of ``"mad"`` follows the stream: the first 10 rows more than there are parameters, of one call or of
        several, are fitted together, and the updates go on from there; then the logarithms of the medians of the
        residuals of 65 rows or more are averaged, later ones with more weight.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            A weight for each row over the mean of these.

        Returns
        -------
        DescentRegressor
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are not as described.
        DivergenceError
            If a weight becomes NaN or infinite.

        Examples
        --------
        >>> from fastgd.estimators import DescentRegressor
        >>> model = DescentRegressor("mse", method="sgd", random_state=0)
        >>> for _ in range(300):
        ...     model = model.partial_fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
        >>> model.predict([[3.0]]).round()
        array([7.])
        """
        refuse_lazy(X, "X")
        refuse_lazy(y, "y")
        options = self._options()
        if options.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it keeps no rows apart.")
        state: State | None = getattr(self, "_state", None)
        checked = self._checked(X, y, sample_weight, reset=state is None and not hasattr(self, "coef_"), y_numeric=True)
        objective = objective_on(self._rows(checked.X, checked.y, checked.weights, options), options, options.threads)
        theta0: Any = objective.data.theta(self._starts(options)[0], "theta0")
        fit = resumed(objective, options, state, theta0)
        calls = getattr(self, "n_iter_", 0) if state is not None else 0
        before = self.loss_curve_ if state is not None else np.empty(0)
        self._take(fit._replace(iterations=calls + 1, curve=np.append(before, fit.curve)), options)
        return self

    def predict(self, X: ArrayLike) -> DoubleArray:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the columns that were fitted. For a dask array or DataFrame the answer is a lazy dask array, for
            Blocks and columns of Parquet files a `fastgd.Blocks` of arrays, which are computed when they are read.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        NotFittedError
            If nothing was fitted.
        ValueError
            If the columns are not those that were fitted.

        Examples
        --------
        >>> from fastgd.estimators import DescentRegressor
        >>> DescentRegressor("mse").fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]]).round(6)
        array([7.])
        """
        predictions: DoubleArray = self._predictions(X, _itself)
        return predictions

    def score(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Compute R^2, 1 - sum(w (y - prediction)**2) / sum(w (y - mean(y))**2).

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the columns that were fitted. Blocks, columns of Parquet files and dask collections are read in
            one pass.
        y : array-like of shape (n,)
            The targets. May be None only for Blocks that bring them.
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0.

        Returns
        -------
        float
            1 for predictions without errors, 0 for those of the mean.

        Raises
        ------
        NotFittedError
            If nothing was fitted.
        TypeError, ValueError
            If the data are not as described, or the columns not those that were fitted.

        Examples
        --------
        >>> from fastgd.estimators import DescentRegressor
        >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
        >>> round(DescentRegressor("mse").fit(X, y).score(X, y), 6)
        1.0
        """
        if not is_lazy(X, y, sample_weight):
            return float(super().score(X, targets_of(y), sample_weight))
        check_is_fitted(self)
        dataset, rows = (X, None) if y is None else (y, X)
        of_piece = functools.partial(_lazy.unexplained_in, self.coef_, self.intercept_)
        names = getattr(self, "feature_names_in_", None)
        return _lazy.r_squared(_lazy.scored(as_chunks(dataset, rows, sample_weight), of_piece, names))

    def _options(self) -> Options:
        options = options_of(self, self.scale)
        if options.loss.link != "identity":
            raise ValueError(f"The 'loss' parameter must be one of targets, and {options.loss!r} is of probabilities: "
                             "use DescentClassifier.")
        return options

    def _take(self, fit: Fit, options: Options) -> None:
        """The attributes of a fit."""
        theta, first = fit.result.x, int(options.fit_intercept)
        self.coef_ = theta[first:].copy()
        self.intercept_ = theta[0] if first else 0.0
        self.scale_, self._state = fit.scale, fit.state
        self._take_iterations([fit], fit.iterations)


def _itself(predictions: Any) -> Any:
    return predictions


def _r_squared(rows: Checked, first: int, theta: DoubleArray) -> float:
    """Of rows by their weights; where the targets are all the same, less the mean square of the residuals."""
    residuals = rows.y - rows.X @ theta[first:] - (theta[0] if first else 0.0)
    unexplained = np.average(residuals**2, weights=rows.weights)
    spread = np.average((rows.y - np.average(rows.y, weights=rows.weights)) ** 2, weights=rows.weights)
    score = float(1 - unexplained / spread if spread > 0 else -unexplained)
    return score if np.isfinite(score) else -np.inf
