"""Estimators for scikit-learn pipelines: ``pip install 'fastgd[sklearn]'``.

Linear models with any loss of fastgd or of your own, fitted by `fastgd.minimize`, `fastgd.minimize_sgd` or
`fastgd.minimize_mini_batch`. The defaults converge on unscaled columns.

    DescentRegressor        robust, quantile and least-squares regression
    DescentClassifier       logistic and other linear classification
    ConvergenceWarning      subclass of the warnings of fastgd and scikit-learn

>>> from fastgd.estimators import DescentRegressor
>>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]
>>> DescentRegressor().fit(X, [1.0, 3.1, 4.9, 90.0, 9.1, 10.9, 13.0]).predict([[7.0]]).round(1)
array([15.])
"""
from importlib.util import find_spec as _find_spec

if _find_spec("sklearn") is None:
    raise ImportError("The estimators need scikit-learn 1.6 or later: pip install 'fastgd[sklearn]'.")

from fastgd.estimators._classifier import DescentClassifier
from fastgd.estimators._fitting import ConvergenceWarning
from fastgd.estimators._regressor import DescentRegressor

__all__ = ["ConvergenceWarning", "DescentClassifier", "DescentRegressor"]
