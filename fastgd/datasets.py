"""Example data."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_tips"]


def load_tips() -> pd.DataFrame:
    """Load 244 restaurant bills recorded by one waiter, with the tip as a percentage of the bill.

    Returns
    -------
    pandas.DataFrame
        244 rows; total_bill and tip in US dollars, sex, smoker, day, time, size (people at the table), and
        pcttip = tip / total_bill * 100, in per cent.

    References
    ----------
    P. G. Bryant and M. A. Smith, "Practical Data Analysis: Case Studies in Business Statistics", Irwin, 1995.

    Examples
    --------
    >>> from fastgd.datasets import load_tips
    >>> round(float(load_tips()["pcttip"].mean()), 2)
    16.08
    """
    from importlib.resources import files

    import pandas as pd

    with files("fastgd").joinpath("data/tips.csv").open(encoding="utf-8") as file:
        tips = pd.read_csv(file)
    return tips.assign(pcttip=tips["tip"] / tips["total_bill"] * 100)
