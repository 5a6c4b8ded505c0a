"""Estimators for scikit-learn's pipelines: ``pip install 'fastgd[sklearn]'``.

Linear models whose loss is any of fastgd's or of your own, fitted by `fastgd.minimize`, `fastgd.minimize_sgd` or
`fastgd.minimize_mini_batch`. As they are they arrive at the minimum on raw columns.

    DescentRegressor        a robust line, a quantile, the mean
    DescentClassifier       classes and their probabilities
    ConvergenceWarning      fastgd's and scikit-learn's in one

>>> from fastgd.estimators import DescentRegressor
>>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]
>>> DescentRegressor().fit(X, [1.0, 3.1, 4.9, 90.0, 9.1, 10.9, 13.0]).predict([[7.0]]).round(1)
array([15.])
"""
from importlib.util import find_spec as _find_spec

if _find_spec("sklearn") is None:
    raise ImportError("The estimators need scikit-learn 1.6 or later: pip install 'fastgd[sklearn]'.")

from fastgd.estimators._classifier import DescentClassifier
from fastgd.estimators._regressor import DescentRegressor
from fastgd.estimators._runs import ConvergenceWarning

__all__ = ["ConvergenceWarning", "DescentClassifier", "DescentRegressor"]
