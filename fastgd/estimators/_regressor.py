"""Linear regression with any loss: robust, quantile or least squares."""
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
from fastgd.estimators._base import BaseDescent, refuse_early_stopping, regression_targets
from fastgd.estimators._fitting import finalize, objective_on, run
from fastgd.estimators._options import options_of
from fastgd.estimators._partial_fit import run_epoch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._types import BatchAlpha, Callback, Count, DoubleArray, Number, Progress, Random
    from fastgd.estimators._base import CheckedData
    from fastgd.estimators._fitting import Fit, State
    from fastgd.estimators._options import Options
    from fastgd.losses import Loss
    from fastgd.penalties import Penalty


def is_stochastic(estimator: Any) -> bool:
    """Return True if the method of an estimator is stochastic, so that it has `partial_fit`."""
    return bool(estimator.method != "batch")


class DescentRegressor(RegressorMixin, BaseDescent):    # type: ignore[misc]
    """Linear regression by gradient descent: minimize ``mean(loss(intercept + X @ coef, y)) + penalty(coef)``.

    The default is robust regression: the Huber loss with a delta of 1.345 robust standard deviations of the residuals,
    as in statsmodels' RLM. The defaults converge on unscaled columns.

    Parameters
    ----------
    loss : str or Loss, default "huber_loss"
        A name, "mse", "abs_loss", "huber_loss", "quartic_loss", "pinball_loss", "log_cosh" or "epsilon_insensitive", or
        a Loss: ``Pinball(q=0.9)`` for a quantile, or a loss of C functions from `fastgd.losses.compiled`.
    method : {"batch", "sgd", "mini-batch"}, default "batch"
        Fit by `fastgd.minimize`, `fastgd.minimize_sgd` or `fastgd.minimize_mini_batch`.
    batch_size : int, default 32
        Rows of a mini-batch, at most all rows.
    scale : "mad", float or None, default "mad"
        Unit of delta of a Huber loss. "mad" is the median of abs(residual) over 0.6745, estimated together with the
        weights, which makes the fit equivariant to the unit of y; a stochastic method estimates it on a sample of the
        rows. With "mad" or a number, "huber_loss" has a delta of 1.345 scales. With None, delta is in units of y, 1 for
        "huber_loss". Other losses have no scale.
    alpha : float, callable, "auto", "adaptive" or None, default None
        Learning rate, as in the function of the method. None is "adaptive" for "batch", or "auto" with momentum; for
        the others ``inverse_scaling(1, 0.5)``, in units of half the stable limit.
    precondition : {"auto", "scale", "gram", None}, default "auto"
        Preconditioner, as in the function of the method. "auto" is "gram" for "batch" with up to 500 columns and no
        L1 penalty, else "scale".
    momentum : {None, "nesterov"}, default None
        See `fastgd.minimize`.
    penalty : Penalty, optional
        One of `fastgd.penalties`, on the weights but not the intercept, added to the mean loss.
    tol : float, optional
        Tolerance of the stopping rule, in standard deviations of y, or in robust standard deviations of the residuals
        with "mad"; with ``stop="loss"`` relative to the loss at the mean of y. None is 1e-9, and for the loss 1e-7;
        for stochastic methods 1e-4, and for the loss 1e-5.
    max_iter : int, default 1000
        Maximum number of updates of "batch".
    max_epochs : int, default 1000
        Maximum number of epochs of the other methods.
    stop : {"step", "loss", "epoch"}, optional
        Stopping rule, as in the function of the method. None is "step" for "batch", "loss" for the others and for a
        loss with breakpoints, whose suboptimality is then certified to be at most `tol`.
    average : bool, optional
        See `fastgd.minimize_sgd`; None is True.
    fit_intercept : bool, default True
        True to fit an intercept.
    n_threads : int, optional
        Number of threads, which share the rows; -1 is one for each core, None is 1.
    random_state : None, int, RandomState or Generator, default None
        Generator of the shuffles and of the validation rows, as `rng` in `fastgd.minimize_sgd`.
    warm_start : bool, default False
        Start at the weights of the last fit.
    verbose : bool or "bar", default False
        See `progress` in the function of the method.
    early_stopping : bool, default False
        Hold out validation rows, and stop when their R^2 no longer increases. The weights with the highest R^2 are
        kept.
    validation_fraction : float, default 0.1
        Fraction of the rows that is held out for validation.
    n_iter_no_change : int, default 5
        Consecutive updates of "batch", or epochs, without an increase of the score by 1e-4 after which the fit stops.
    callback : callable, optional
        See the function of the method.
    history : bool, default False
        True to record the history of all updates in `result_`.

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
        The weights.
    intercept_ : float
    scale_ : float or None
        Unit of delta. Infinite if a stochastic method with ``scale="mad"`` had fewer than p + intercept + 10 rows: the
        loss is then half the squared residual.
    n_iter_ : int
        Updates, or epochs.
    loss_curve_ : ndarray
        Loss plus penalty after each update or epoch, after every 2nd, 4th and so on beyond 2,000 of them; on a sample
        of 2,048 rows if there are more.
    converged_ : bool
        True if the stopping rule was met and no clearly better point was found.
    result_ : DescentResult
        Result of the fit, with a message.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (p,)
        Names of the columns; only if X has names.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Notes
    -----
    `fit` accepts `fastgd.Blocks`, columns of `fastgd.open_parquet` and dask collections as X and y, and Blocks of
    (X, y) as X alone. Predictions for dask collections are lazy.

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
        """Fit the weights and the intercept.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows. Float32 or float64 in C order is not copied.
        y : array-like of shape (n,)
            The targets. May be None only for Blocks of (X, y).
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0: the mean loss is sum(w * loss) / sum(w).

        Returns
        -------
        DescentRegressor
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are not as described.
        DivergenceError
            See `fastgd.minimize`.

        Warns
        -----
        ConvergenceWarning
            See `fastgd.minimize`; the class is scikit-learn's warning, too.

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
            refuse_early_stopping(options)
            dataset, rows = (X, None) if y is None else (y, X)
            source: Any = scan_chunks(as_chunks(dataset, rows, sample_weight), options.fit_intercept)
            self._set_columns(source)
        else:
            fitted, apart = self._train_validation_split(options, self._checked(X, y, sample_weight, y_numeric=True))
            source = self._rows(fitted.X, fitted.y, fitted.weights, options)
            if apart is not None:
                score = functools.partial(_validation_r_squared, apart, int(options.fit_intercept))
        start = self._warm_starts(options)[0]
        objective = objective_on(source, options, options.threads)
        try:
            self._set_fitted(finalize(run(objective, options, start, score=score)), options)
        finally:
            objective.close()
        return self

    @available_if(is_stochastic)    # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> DescentRegressor:
        """Run one epoch on rows that may be new; only for stochastic methods.

        The learning rate, the average, the generator, and the means and scales of the columns (for
        ``precondition="scale"``) continue from the last call. The t-th of all updates has weight t in the average.

        A scale of ``"mad"`` is a running estimate: a batch fit of the first p + intercept + 10 rows, of one call or of
        several, starts the weights and the scale. Then the log-medians of the absolute residuals of blocks of at least
        65 rows are averaged, later blocks with more weight.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            A weight for each row over the mean of these.

        Returns
        -------
        DescentRegressor
            The fitted estimator.

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
            raise ValueError("partial_fit does not support early_stopping=True: it has no validation rows.")
        state: State | None = getattr(self, "_state", None)
        checked = self._checked(X, y, sample_weight, reset=state is None and not hasattr(self, "coef_"), y_numeric=True)
        objective = objective_on(self._rows(checked.X, checked.y, checked.weights, options), options, options.threads)
        theta0: Any = objective.data.theta(self._warm_starts(options)[0], "theta0")
        fit = run_epoch(objective, options, state, theta0)
        calls = getattr(self, "n_iter_", 0) if state is not None else 0
        before = self.loss_curve_ if state is not None else np.empty(0)
        self._set_fitted(fit._replace(iterations=calls + 1, curve=np.append(before, fit.curve)), options)
        return self

    def predict(self, X: ArrayLike) -> DoubleArray:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the columns that were fitted. A dask array or DataFrame gives a lazy dask array; Blocks and
            columns of Parquet files give a `fastgd.Blocks` of arrays that are computed when they are read.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the columns are not those that were fitted.

        Examples
        --------
        >>> from fastgd.estimators import DescentRegressor
        >>> DescentRegressor("mse").fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]]).round(6)
        array([7.])
        """
        predictions: DoubleArray = self._predictions(X, _identity)
        return predictions

    def score(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Compute R^2, 1 - sum(w (y - prediction)**2) / sum(w (y - mean(y))**2).

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the columns that were fitted. Blocks, columns of Parquet files and dask collections are read in
            one pass.
        y : array-like of shape (n,)
            The targets. May be None only for Blocks of (X, y).
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0.

        Returns
        -------
        float
            1 for exact predictions, 0 for predictions of the mean.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
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
            return float(super().score(X, regression_targets(y), sample_weight))
        check_is_fitted(self)
        dataset, rows = (X, None) if y is None else (y, X)
        chunk_sums = functools.partial(_lazy.r_squared_sums, self.coef_, self.intercept_)
        names = getattr(self, "feature_names_in_", None)
        return _lazy.r_squared(_lazy.score_chunks(as_chunks(dataset, rows, sample_weight), chunk_sums, names))

    def _options(self) -> Options:
        options = options_of(self, self.scale)
        if options.loss.link != "identity":
            raise ValueError(f"The 'loss' parameter must be a loss for regression. Got {options.loss!r}, a loss of "
                             "log-odds: use DescentClassifier.")
        return options

    def _set_fitted(self, fit: Fit, options: Options) -> None:
        """Set the attributes of a fit."""
        theta, first = fit.result.x, int(options.fit_intercept)
        self.coef_ = theta[first:].copy()
        self.intercept_ = theta[0] if first else 0.0
        self.scale_, self._state = fit.scale, fit.state
        self._set_run_attributes([fit], fit.iterations)


def _identity(predictions: Any) -> Any:
    return predictions


def _validation_r_squared(rows: CheckedData, first: int, theta: DoubleArray) -> float:
    """Compute the weighted R^2 on validation rows; minus the mean squared error for constant targets."""
    residuals = rows.y - rows.X @ theta[first:] - (theta[0] if first else 0.0)
    unexplained = np.average(residuals**2, weights=rows.weights)
    spread = np.average((rows.y - np.average(rows.y, weights=rows.weights)) ** 2, weights=rows.weights)
    score = float(1 - unexplained / spread if spread > 0 else -unexplained)
    return score if np.isfinite(score) else -np.inf
