"""Class labels in chunked data: of any type in the first pass, class indices from then on."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._frames import as_labels
from fastgd._validation import check_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastgd._types import DoubleArray


class Labels(NamedTuple):
    """Reader of targets that are class labels."""

    classes: NDArray[Any] | None = None    # sorted distinct labels; None in the pass that finds them

    def check(self, values: Any) -> NDArray[Any]:
        """Return the labels in the first pass, later their class indices in float64.

        Raises TypeError or ValueError if labels are masked, two-dimensional, missing or of no known class.
        """
        labels = np.asarray(as_labels(values, "y"))
        if labels.ndim != 1:
            raise ValueError(f"Input y should be a 1d array, got an array of shape {labels.shape} instead.")
        if labels.dtype.kind == "f" and labels.size:
            check_dataset(labels, "y")
        elif labels.dtype.kind == "O":
            _refuse_missing(labels)
        return labels if self.classes is None else class_indices(labels, self.classes)


def _refuse_missing(labels: NDArray[Any]) -> None:
    import pandas as pd

    is_missing = pd.isna(labels)
    if is_missing.any():
        count, first = int(np.count_nonzero(is_missing)), int(is_missing.argmax())
        raise ValueError(f"Input y contains NaN: {count} of {labels.size} values, {'the first ' if count > 1 else ''}"
                         f"at position {first}. Drop such rows of all arguments, or fill the gaps.")


def class_indices(labels: NDArray[Any], classes: NDArray[Any]) -> DoubleArray:
    """Return the index of each label among the classes, in float64; ValueError for an unknown label."""
    at = np.searchsorted(classes, labels)
    is_known = at < len(classes)
    is_known[is_known] = classes[at[is_known]] == labels[is_known]
    if not is_known.all():
        raise ValueError(f"y contains the label {labels[~is_known][0]!r}, which is not one of the classes {classes!r}.")
    return at.astype(np.float64)
