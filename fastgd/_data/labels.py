"""Labels of classes in data that are not in memory: of any type in a first pass, numbered from then on."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._checks import check_dataset
from fastgd._frames import as_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastgd._types import DoubleArray


class Labels(NamedTuple):
    """How targets that are labels are read.

    Attributes
    ----------
    classes : ndarray or None
        The distinct labels, sorted; None in the pass that finds them.
    """

    classes: NDArray[Any] | None = None

    def check(self, values: Any) -> NDArray[Any]:
        """Return labels as they are, or once the classes are known the number of the class of each, in float64.

        Raises
        ------
        TypeError, ValueError
            If they are masked, of two dimensions, missing or of no known class.
        """
        labels = np.asarray(as_labels(values, "y"))
        if labels.ndim != 1:
            raise ValueError(f"Input y should be a 1d array, got an array of shape {labels.shape} instead.")
        if labels.dtype.kind == "f" and labels.size:
            check_dataset(labels, "y")
        elif labels.dtype.kind == "O":
            _refuse_missing(labels)
        return labels if self.classes is None else numbered(labels, self.classes)


def _refuse_missing(labels: NDArray[Any]) -> None:
    import pandas as pd

    is_missing = pd.isna(labels)
    if is_missing.any():
        count, first = int(np.count_nonzero(is_missing)), int(is_missing.argmax())
        raise ValueError(f"Input y contains NaN: {count} of {labels.size} values, {'the first ' if count > 1 else ''}"
                         f"at position {first}. Drop such rows of all arguments, or fill the gaps.")


def numbered(labels: NDArray[Any], classes: NDArray[Any]) -> DoubleArray:
    """Return the place of each label among the classes; ValueError for one that is not there."""
    at = np.searchsorted(classes, labels)
    is_known = at < len(classes)
    is_known[is_known] = classes[at[is_known]] == labels[is_known]
    if not is_known.all():
        raise ValueError(f"y contains the label {labels[~is_known][0]!r}, which is not one of the classes {classes!r}.")
    return at.astype(np.float64)
