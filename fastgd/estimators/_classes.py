"""Labels: which there are, what they weigh, and the targets of one class against the rest."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from fastgd._validation import check_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, IndexArray
    from fastgd.estimators._base import Checked
    from fastgd.losses import Loss


def labels_for(loss: Loss) -> tuple[float, float]:
    """The targets that stand for the rest and for a class."""
    return (0.0, 1.0) if loss.link == "logit" else (-1.0, 1.0)


def two_or_more(classes: NDArray[Any]) -> NDArray[Any]:
    """The classes; ValueError if there is only one."""
    if len(classes) < 2:
        raise ValueError("This solver needs samples of at least 2 classes in the data, but the data contains only one "
                         f"class: {classes.tolist()[0]!r}.")
    return classes


def distinct(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The classes, sorted, and the place of each label among them."""
    if y.dtype.kind in "iufb":
        low, high = y.min(), y.max()
        is_high = y == high
        if low != high and bool((is_high | (y == low)).all()):    # as two classes are, without sorting
            return np.array([low, high], y.dtype), is_high
    classes, at = np.unique(y, return_inverse=True)
    return classes, at


def places(y: NDArray[Any], classes: NDArray[Any]) -> IndexArray:
    """The place of each label among known classes; ValueError for one that is not there."""
    at: IndexArray = np.searchsorted(classes, y)
    is_known = at < len(classes)
    is_known[is_known] = classes[at[is_known]] == y[is_known]
    if not is_known.all():
        raise ValueError(f"y contains the label {y[~is_known][0]!r}, which is not one of the classes {classes!r}.")
    return at


def targets_of(at: NDArray[Any], classes: int, loss: Loss) -> Iterator[DoubleArray]:
    """The targets of each class against the rest; of two classes only those of the second."""
    rest, one = labels_for(loss)
    for k in range(classes) if classes > 2 else [1]:
        yield np.where(at == k, one, rest)


def weights_of_classes(class_weight: Any, classes: NDArray[Any], sums: DoubleArray) -> DoubleArray | None:
    """What the weights of the rows of each class are multiplied by, from the sums of these weights."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        with np.errstate(divide="ignore"):
            factors = sums.sum() / (len(classes) * sums)
        return np.where(sums > 0, factors, 0.0)
    found: DoubleArray = compute_class_weight(class_weight, classes=classes, y=classes)
    return np.asarray(found, dtype=np.float64)


def weights_of_rows(class_weight: Any, classes: NDArray[Any], at: NDArray[Any],
                    weights: DoubleArray | None) -> DoubleArray | None:
    """The weight of each row, that of its class in it."""
    if class_weight is None:
        return weights
    factors = weights_of_classes(class_weight, classes, np.bincount(at, weights, len(classes)).astype(np.float64))
    assert factors is not None
    of_rows: DoubleArray = factors[at.astype(np.intp)]
    return check_weights(of_rows if weights is None else weights * of_rows, len(at))


def flat(predictions: DoubleArray) -> DoubleArray:
    """Of one column an array of one axis."""
    return predictions[:, 0] if predictions.shape[1] == 1 else predictions


def chosen(classes: NDArray[Any], predictions: DoubleArray) -> NDArray[Any]:
    """The class of each row."""
    is_single = predictions.shape[1] == 1
    at = (predictions[:, 0] > 0).astype(np.intp) if is_single else predictions.argmax(axis=1)
    found: NDArray[Any] = classes[at]
    return found


def log_probabilities(predictions: DoubleArray) -> DoubleArray:
    """The logarithms of the probabilities of all classes, from log-odds."""
    if predictions.shape[1] == 1:
        log_odds = predictions[:, 0]
        return -np.logaddexp(0, np.column_stack([log_odds, -log_odds]))
    logs = -np.logaddexp(0, -predictions)
    found: DoubleArray = logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return found


def probabilities(predictions: DoubleArray) -> DoubleArray:
    """The probabilities of all classes, from log-odds."""
    found: DoubleArray = np.exp(log_probabilities(predictions))
    return found


def accuracy(rows: Checked, first: int, is_one_of_many: bool, k: int, theta: DoubleArray) -> float:
    """The part of the rows, by weight, that are on the right side."""
    predictions = rows.X @ theta[first:] + (theta[0] if first else 0.0)
    is_class = rows.y == (k if is_one_of_many else 1)
    return float(np.average((predictions > 0) == is_class, weights=rows.weights))
