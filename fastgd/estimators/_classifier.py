"""Classification: two classes, or one class after another against the rest."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastgd._frames import as_labels
from fastgd._data import as_chunks
from fastgd._data.labels import Labels
from fastgd._validation import is_lazy
from fastgd.estimators import _lazy
from fastgd.estimators._classes import chosen, flat, log_probabilities, probabilities
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
    """Linear classification, ``mean(loss(intercept + X @ coef, y)) + penalty(coef)`` at its least, by gradient descent.

    The default is logistic regression without a penalty. More than two classes are fitted one against the rest, in
    threads. As they are the defaults arrive on raw columns, whatever their units.

    Parameters
    ----------
    loss : str or Loss, default "cross_entropy"
        A name of one of fastgd's losses or a Loss. One of probabilities, whose `link` is "logit", gets the targets 0
        and 1; any other gets -1 and 1, and has no probabilities.
    method : {"batch", "sgd", "mini-batch"}, default "batch"
        `fastgd.minimize`, `fastgd.minimize_sgd` or `fastgd.minimize_mini_batch`.
    batch_size : int, default 32
        Rows in a mini-batch; of fewer rows all.
    class_weight : dict, "balanced" or None, default None
        By class what the weights of its rows are multiplied by; "balanced" gives all classes the same weight.
    alpha : float, callable, "auto", "adaptive" or None, default None
        Learning rate, as for the method. None is "adaptive" for "batch", with momentum "auto"; for the others
        ``inverse_scaling(1, 0.5)``, in units of half the stable limit.
    precondition : {"auto", "scale", "gram", None}, default "auto"
        The metric of the steps, as for the method. "auto" is "gram" for "batch" with up to 500 columns and no penalty
        of L1, else "scale".
    momentum : {None, "nesterov"}, default None
        As for `fastgd.minimize`.
    penalty : Penalty, optional
        One of `fastgd.penalties`, of the weights; an intercept is free. Strengths are of the mean loss: ``L2(1 / (n *
        C))`` is scikit-learn's ``LogisticRegression(C=C)`` on n rows.
    tol : float, optional
        When the descent ends, as for the method: in units of the prediction, which are log-odds, or of the loss. None
        is 1e-9, and for the loss 1e-7; for stochastic methods 1e-4, and for the loss 1e-5.
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
        Threads that share the classes, of two classes the passes over many rows; -1 as many as there are cores, None
        is 1.
    random_state : None, int, RandomState or Generator, default None
        Where shuffles and rows that are kept apart come from, as `rng` of `fastgd.minimize_sgd`.
    warm_start : bool, default False
        Begin where the last fit ended, if it had the same classes.
    verbose : bool or "bar", default False
        As `progress` of the method.
    early_stopping : bool, default False
        Keep rows apart, and stop when their score (accuracy) rises no more; the weights of the best one are kept.
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
    classes_ : ndarray of shape (k,)
        The labels.
    coef_ : ndarray of shape (1, p), of more than two classes (k, p)
        The weights.
    intercept_ : ndarray of shape (1,) or (k,)
    n_iter_ : int
        Updates, or epochs; of several classes the most.
    loss_curve_ : ndarray, of more than two classes list of ndarray
        The loss with the penalty after each update or epoch; of more than 2,000 of them after every second, fourth and
        so on. Of more than 2,048 rows on a sample of them.
    converged_ : bool
        Whether the rule was met, at a place that deserves it, by all classes.
    result_ : DescentResult, of more than two classes list of DescentResult
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
    Where a plane separates the classes a loss of probabilities has no minimum without a penalty: the fit ends at such a
    plane soon after it found one, and warns.

    `fastgd.Blocks`, columns of `fastgd.open_parquet` and dask collections go to `fit` as X and y too, Blocks that bring
    (X, y) as X alone; their labels are numbers. Predictions for dask are lazy.

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
        """Find the weights.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows; float32 or float64 in C order is read where it lies.
        y : array-like of shape (n,)
            The labels, of any type. May be None only for Blocks that bring them.
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0: the mean loss is sum(w * loss) / sum(w).

        Returns
        -------
        DescentClassifier
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
        >>> from fastgd.estimators import DescentClassifier
        >>> model = DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], ["low", "high", "low", "high"])
        >>> model.predict([[0.0], [3.0]]), model.classes_
        (array(['low', 'high'], dtype='<U4'), array(['high', 'low'], dtype='<U4'))
        """
        self._fit(X, y, sample_weight)
        return self

    @available_if(is_stochastic)    # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None,
                    sample_weight: ArrayLike | None = None) -> DescentClassifier:
        """Make one epoch on rows that may be new; only for stochastic methods.

        The learning rate, the average and the generator go on where they were; so do the means and scales of the
        columns with which ``precondition="scale"`` makes its steps. The average is of all updates, of which the t-th
        counts t times.

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
            Itself.

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
        self._resume(X, y, classes, sample_weight)
        return self

    def decision_function(self, X: ArrayLike) -> DoubleArray:
        """The linear prediction for each row: above 0 for the class, which for a loss of probabilities is its log-odds.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows with the columns that were fitted. For a dask array or DataFrame the answer is a lazy dask array, for
            Blocks and columns of Parquet files a `fastgd.Blocks` of arrays, which are computed when they are read.

        Returns
        -------
        ndarray of shape (n,), of more than two classes (n, k)

        Raises
        ------
        NotFittedError
            If nothing was fitted.
        ValueError
            If the columns are not those that were fitted.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> model = DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
        >>> model.decision_function([[1.0], [3.0]]) > 0
        array([False,  True])
        """
        found: DoubleArray = self._predictions(X, flat, self._outputs())
        return found

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
            As for `decision_function`.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        NotFittedError, ValueError
            As `decision_function`.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).predict([[-1.0], [3.0]])
        array([0, 1])
        """
        check_is_fitted(self)
        found: NDArray[Any] = self._predictions(X, functools.partial(chosen, self.classes_), 0, self.classes_.dtype)
        return found

    def score(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Compute the accuracy: the part of the rows, by weight, whose class is predicted.

        Parameters
        ----------
        X : array-like of shape (n, p)
            As for `decision_function`; what is not in memory is read in one pass.
        y : array-like of shape (n,)
            The labels. May be None only for Blocks that bring them.
        sample_weight : array-like of shape (n,), optional
            A weight for each row, at least 0.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `decision_function`.

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
        of_piece = functools.partial(_lazy.right_in, self.classes_, self.coef_, self.intercept_)
        names = getattr(self, "feature_names_in_", None)
        weight, right = _lazy.scored(as_chunks(labels, rows, sample_weight, Labels()), of_piece, names).sum(axis=0)
        return float(right / weight)

    @available_if(_has_probabilities)    # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> DoubleArray:
        """The probability of each class; only for a loss of probabilities.

        Of more than two classes those of one against the rest, divided by their sum.

        Parameters
        ----------
        X : array-like of shape (n, p)
            As for `decision_function`.

        Returns
        -------
        ndarray of shape (n, k)

        Raises
        ------
        NotFittedError, ValueError
            As `decision_function`.

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
        """The logarithm of the probability of each class; only for a loss of probabilities.

        Parameters
        ----------
        X : array-like of shape (n, p)
            As for `decision_function`.

        Returns
        -------
        ndarray of shape (n, k)

        Raises
        ------
        NotFittedError, ValueError
            As `decision_function`.

        Examples
        --------
        >>> from fastgd.estimators import DescentClassifier
        >>> DescentClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).predict_log_proba([[1.5]]).round(3)
        array([[-0.693, -0.693]])
        """
        check_is_fitted(self)
        found: DoubleArray = self._predictions(X, log_probabilities, len(self.classes_))
        return found
