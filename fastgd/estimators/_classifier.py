"""Linear classification of two classes, or of several one versus the rest."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastgd._data import as_chunks
from fastgd._data.labels import Labels
from fastgd._frames import as_labels
from fastgd._validation import is_lazy
from fastgd.estimators import _lazy
from fastgd.estimators._labels import log_probabilities, predict_classes, probabilities, squeeze_single
from fastgd.estimators._one_vs_rest import OneVsRest
from fastgd.estimators._options import loss_of
from fastgd.estimators._regressor import is_stochastic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import BatchAlpha, Callback, Count, DoubleArray, Number, Progress, Random
    from fastgd.losses import Loss
    from fastgd.penalties import Penalty


def _has_probabilities(estimator: Any) -> bool:
    return loss_of(estimator.loss).link == "logit"


class DescentClassifier(OneVsRest):
    """Linear classification by gradient descent: minimize ``mean(loss(intercept + X @ coef, y)) + penalty(coef)``.

    The default is logistic regression without a penalty. More than two classes are fitted one versus the rest, in
    `n_threads` threads. The defaults converge on unscaled columns.

    Parameters
    ----------
    loss : str or Loss, default "cross_entropy"
        Name of a loss of fastgd, or a Loss. A loss whose `link` is "logit" has the targets 0 and 1, and probabilities;
        any other loss has the targets -1 and 1, and no probabilities.
    method : {"batch", "sgd", "mini-batch"}, default "batch"
        Fit by `fastgd.minimize`, `fastgd.minimize_sgd` or `fastgd.minimize_mini_batch`.
    batch_size : int, default 32
        Rows of a mini-batch, at most all rows.
    class_weight : dict, "balanced" or None, default None
        Factor of each class for the weights of its rows; "balanced" gives all classes the same total weight.
    alpha : float, callable, "auto", "adaptive" or None, default None
        Learning rate, as in the function of the method. None is "adaptive" for "batch", or "auto" with momentum; for
        the others ``inverse_scaling(1, 0.5)``, in units of half the stable limit.
    precondition : {"auto", "scale", "gram", None}, default "auto"
        Preconditioner, as in the function of the method. "auto" is "gram" for "batch" with up to 500 columns and no
        L1 penalty, else "scale".
    momentum : {None, "nesterov"}, default None
        See `fastgd.minimize`.
    penalty : Penalty, optional
        One of `fastgd.penalties`, on the weights but not the intercept, added to the mean loss: ``L2(1 / (n *
        C))`` is scikit-learn's ``LogisticRegression(C=C)`` on n rows.
    tol : float, optional
        Tolerance of the stopping rule, in units of the prediction (log-odds for the logit link) or of the loss. None
        is 1e-9, and for the loss 1e-7; for stochastic methods 1e-4, and for the loss 1e-5.
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
        Number of threads, which share the classes, or with two classes the rows; -1 is one for each core, None is 1.
    random_state : None, int, RandomState or Generator, default None
        Generator of the shuffles and of the validation rows, as `rng` in `fastgd.minimize_sgd`.
    warm_start : bool, default False
        Start at the weights of the last fit, if it had the same classes.
    verbose : bool or "bar", default False
        See `progress` in the function of the method.
    early_stopping : bool, default False
        Hold out validation rows, and stop when their accuracy no longer increases. The weights with the highest
        accuracy are kept.
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
    classes_ : ndarray of shape (k,)
        The distinct labels, sorted.
    coef_ : ndarray of shape (1, p), of more than two classes (k, p)
        The weights.
    intercept_ : ndarray of shape (1,) or (k,)
    n_iter_ : int
        Updates, or epochs; the maximum over the classes.
    loss_curve_ : ndarray, of more than two classes list of ndarray
        Loss plus penalty after each update or epoch, after every 2nd, 4th and so on beyond 2,000 of them; on a sample
        of 2,048 rows if there are more.
    converged_ : bool
        True if for every class the stopping rule was met and no clearly better point was found.
    result_ : DescentResult, of more than two classes list of DescentResult
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
    If the classes are linearly separable, a loss with the logit link has no minimum without a penalty: the fit stops
    with a ConvergenceWarning soon after theta separates them.

    `fit` accepts `fastgd.Blocks`, columns of `fastgd.open_parquet` and dask collections as X and y, and Blocks of
    (X, y) as X alone; their labels are numbers. Predictions for dask collections are lazy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.estimators import DescentClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2)) * [1, 1000]
    >>> y = np.where(X @ [2, 0.001] + rng.logistic(size=500) > 0, "yes", "no")
    >>> model = DescentClassifier().fit(X, y)
    >>> model.predict([[1, 1000], [-1, -1000]])
    array(['yes', 'no'], dtype='<U3')
    >>> model.predict_proba([[0, 0]]).round(1)
    array([[0.5, 0.5]])
    """

    def __init__(self, loss: str | Loss = "cross_entropy", *, method: Literal["batch", "sgd", "mini-batch"] = "batch",
                 batch_size: Count = 32, class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
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
        self.class_weight = class_weight
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
            sample_weight: ArrayLike | None = None) -> DescentClassifier:
        """Fit the weights and the intercept.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows. Float32 or float64 in C order is not copied.
        y : array-like of shape (n,)
            The labels, of any type. May be None only for Blocks of (X, y).
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0: the mean loss is sum(w * loss) / sum(w).

        Returns
        -------
        DescentClassifier
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
        >>> from fastgd.estimators import DescentClassifier
        >>> model = DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], ["low", "high", "low", "high"])
        >>> model.predict([[0.0], [3.0]]), model.classes_
        (array(['low', 'high'], dtype='<U4'), array(['high', 'low'], dtype='<U4'))
        """
        self._fit_classes(X, y, sample_weight)
        return self

    @available_if(is_stochastic)    # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None,
                    sample_weight: ArrayLike | None = None) -> DescentClassifier:
        """Run one epoch on rows that may be new; only for stochastic methods.

        The learning rate, the average, the generator, and the means and scales of the columns (for
        ``precondition="scale"``) continue from the last call. The t-th of all updates has weight t in the average.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
            Labels, not necessarily of all classes.
        classes : array-like of shape (k,), optional
            All labels that there will be; must be given in the first call.
        sample_weight : array-like of shape (n,), optional
            A weight for each row over the mean of these.

        Returns
        -------
        DescentClassifier
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are not as described.
        DivergenceError
            If a weight becomes NaN or infinite.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> model = DescentClassifier(method="sgd", random_state=0)
        >>> for _ in range(20):
        ...     model = model.partial_fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], classes=[0, 1])
        >>> model.predict([[-1.0], [4.0]])
        array([0, 1])
        """
        self._fit_epoch(X, y, classes, sample_weight)
        return self

    def decision_function(self, X: ArrayLike) -> DoubleArray:
        """Compute ``intercept + X @ coef`` for each row and class, the log-odds of the class for a logit link.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the columns that were fitted. A dask array or DataFrame gives a lazy dask array; Blocks and
            columns of Parquet files give a `fastgd.Blocks` of arrays that are computed when they are read.

        Returns
        -------
        ndarray of shape (n,), of more than two classes (n, k)

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the columns are not those that were fitted.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> model = DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
        >>> model.decision_function([[1.0], [3.0]]) > 0
        array([False,  True])
        """
        found: DoubleArray = self._predictions(X, squeeze_single, self._n_outputs())
        return found

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
            See `decision_function`.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        NotFittedError, ValueError
            See `decision_function`.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).predict([[-1.0], [3.0]])
        array([0, 1])
        """
        check_is_fitted(self)
        predict = functools.partial(predict_classes, self.classes_)
        found: NDArray[Any] = self._predictions(X, predict, 0, self.classes_.dtype)
        return found

    def score(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Compute the accuracy, the weighted fraction of rows whose class is predicted.

        Parameters
        ----------
        X : array-like of shape (n, p)
            See `decision_function`; data outside memory are read in one pass.
        y : array-like of shape (n,)
            The labels. May be None only for Blocks of (X, y).
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, TypeError, ValueError
            See `decision_function`.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
        >>> DescentClassifier().fit(X, y).score(X, y)
        0.5
        """
        if not is_lazy(X, y, sample_weight):
            return float(super().score(X, as_labels(y, "y"), sample_weight))
        check_is_fitted(self)
        labels, rows = (X, None) if y is None else (y, X)
        chunk_sums = functools.partial(_lazy.accuracy_sums, self.classes_, self.coef_, self.intercept_)
        names = getattr(self, "feature_names_in_", None)
        sums = _lazy.score_chunks(as_chunks(labels, rows, sample_weight, Labels()), chunk_sums, names)
        weight, right = sums.sum(axis=0)
        return float(right / weight)

    @available_if(_has_probabilities)    # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> DoubleArray:
        """Compute the probability of each class; only for a loss with the logit link.

        For more than two classes these are the one-versus-rest probabilities divided by their sum.

        Parameters
        ----------
        X : array-like of shape (n, p)
            See `decision_function`.

        Returns
        -------
        ndarray of shape (n, k)

        Raises
        ------
        NotFittedError, ValueError
            See `decision_function`.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).predict_proba([[1.5]]).round(6)
        array([[0.5, 0.5]])
        """
        check_is_fitted(self)
        found: DoubleArray = self._predictions(X, probabilities, len(self.classes_))
        return found

    @available_if(_has_probabilities)    # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: ArrayLike) -> DoubleArray:
        """Compute the log-probability of each class; only for a loss with the logit link.

        Parameters
        ----------
        X : array-like of shape (n, p)
            See `decision_function`.

        Returns
        -------
        ndarray of shape (n, k)

        Raises
        ------
        NotFittedError, ValueError
            See `decision_function`.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).predict_log_proba([[1.5]]).round(3)
        array([[-0.693, -0.693]])
        """
        check_is_fitted(self)
        found: DoubleArray = self._predictions(X, log_probabilities, len(self.classes_))
        return found
