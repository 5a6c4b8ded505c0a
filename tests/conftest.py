import numpy as np
import pytest

import fastgd


@pytest.fixture(scope="session")
def pcttip():
    return fastgd.datasets.load_tips()["pcttip"].to_numpy()


@pytest.fixture
def five_points():
    return np.array([12.1, 12.8, 14.9, 16.3, 17.2])
