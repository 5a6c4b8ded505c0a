"""Class labels: encoding, class weights, one-versus-rest targets, probabilities and accuracy."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from fastgd._validation import check_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, IndexArray
    from fastgd.estimators._base import CheckedData
    from fastgd.losses import Loss


def binary_targets(loss: Loss) -> tuple[float, float]:
    """Return the targets of the rest and of the class: 0 and 1 for the logit link, else -1 and 1."""
    return (0.0, 1.0) if loss.link == "logit" else (-1.0, 1.0)


def check_two_classes(classes: NDArray[Any]) -> NDArray[Any]:
    """Return the classes; raise ValueError if there is only one."""
    if len(classes) < 2:
        raise ValueError("This solver needs samples of at least 2 classes in the data, but the data contains only one "
                         f"class: {classes.tolist()[0]!r}.")
    return classes


def encode(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the sorted classes and the index of each label's class."""
    if y.dtype.kind in "iufb":
        low, high = y.min(), y.max()
        is_high = y == high
        if low != high and bool((is_high | (y == low)).all()):    # two classes need no sort
            return np.array([low, high], y.dtype), is_high
    classes, at = np.unique(y, return_inverse=True)
    return classes, at


def encode_known(y: NDArray[Any], classes: NDArray[Any]) -> IndexArray:
    """Return the index of each label's class; raise ValueError for a label that is no class."""
    at: IndexArray = np.searchsorted(classes, y)
    is_known = at < len(classes)
    is_known[is_known] = classes[at[is_known]] == y[is_known]
    if not is_known.all():
        raise ValueError(f"y contains the label {y[~is_known][0]!r}, which is not one of the classes {classes!r}.")
    return at


def one_vs_rest_targets(at: NDArray[Any], classes: int, loss: Loss) -> Iterator[DoubleArray]:
    """Yield the targets of each class against the rest; of two classes only the second."""
    rest, one = binary_targets(loss)
    for k in range(classes) if classes > 2 else [1]:
        yield np.where(at == k, one, rest)


def class_weight_factors(class_weight: Any, classes: NDArray[Any], sums: DoubleArray) -> DoubleArray | None:
    """Return the factor of each class for the weights of its rows, given the sums of these weights."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        with np.errstate(divide="ignore"):
            factors = sums.sum() / (len(classes) * sums)
        return np.where(sums > 0, factors, 0.0)
    found: DoubleArray = compute_class_weight(class_weight, classes=classes, y=classes)
    return np.asarray(found, dtype=np.float64)


def weighted_by_class(class_weight: Any, classes: NDArray[Any], at: NDArray[Any],
                    weights: DoubleArray | None) -> DoubleArray | None:
    """Multiply the weight of each row by the factor of its class."""
    if class_weight is None:
        return weights
    factors = class_weight_factors(class_weight, classes, np.bincount(at, weights, len(classes)).astype(np.float64))
    assert factors is not None
    of_rows: DoubleArray = factors[at.astype(np.intp)]
    return check_weights(of_rows if weights is None else weights * of_rows, len(at))


def squeeze_single(predictions: DoubleArray) -> DoubleArray:
    """Return a single column as a one-dimensional array."""
    return predictions[:, 0] if predictions.shape[1] == 1 else predictions


def predict_classes(classes: NDArray[Any], predictions: DoubleArray) -> NDArray[Any]:
    """Return the class of each row, given its linear predictions."""
    is_single = predictions.shape[1] == 1
    at = (predictions[:, 0] > 0).astype(np.intp) if is_single else predictions.argmax(axis=1)
    found: NDArray[Any] = classes[at]
    return found


def log_probabilities(predictions: DoubleArray) -> DoubleArray:
    """Compute the log-probabilities of all classes from log-odds."""
    if predictions.shape[1] == 1:
        log_odds = predictions[:, 0]
        return -np.logaddexp(0, np.column_stack([log_odds, -log_odds]))
    logs = -np.logaddexp(0, -predictions)
    found: DoubleArray = logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return found


def probabilities(predictions: DoubleArray) -> DoubleArray:
    """Compute the probabilities of all classes from log-odds."""
    found: DoubleArray = np.exp(log_probabilities(predictions))
    return found


def validation_accuracy(rows: CheckedData, first: int, is_one_of_many: bool, k: int, theta: DoubleArray) -> float:
    """Compute the weighted accuracy of class k against the rest on validation rows."""
    predictions = rows.X @ theta[first:] + (theta[0] if first else 0.0)
    is_class = rows.y == (k if is_one_of_many else 1)
    return float(np.average((predictions > 0) == is_class, weights=rows.weights))
