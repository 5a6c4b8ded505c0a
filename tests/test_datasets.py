"""The data that come with the package."""

import numpy as np
import pandas as pd
import pytest

from fastgd import datasets


def test_tips_are_those_of_the_course():
    tips = datasets.load_tips()
    assert isinstance(tips, pd.DataFrame)
    assert tips.shape == (244, 8)
    assert list(tips.columns) == ["total_bill", "tip", "sex", "smoker", "day", "time", "size", "pcttip"]
    assert np.array_equal(tips["pcttip"], tips["tip"] / tips["total_bill"] * 100)
    assert tips["pcttip"].mean() == pytest.approx(16.080258, abs=1e-6)
    assert tips["pcttip"].median() == pytest.approx(15.476977, abs=1e-6)
    tips.loc[:, "tip"] = 0.0
    assert datasets.load_tips()["tip"].iloc[0] == 1.01
