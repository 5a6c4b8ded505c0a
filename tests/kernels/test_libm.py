"""exp, tanh and log(1 + x) of the kernels: within 2 units in the last place, and right at the ends."""
import numpy as np
import pytest

import fastgd
from fastgd._kernels import libm

TINY, LARGE = 5e-324, np.finfo(float).max

#: Each function, numpy's for extended precision, and where it is tried at random, beside numbers of any size.
FUNCTIONS = {
    "exp": (np.exp, [(-745.2, 709.8), (-2, 2)]),
    "tanh": (np.tanh, [(-23, 23), (-1, 1), (0.5, 0.7)]),
    "log1p": (np.log1p, [(-1, 1), (-0.5, 0.5), (0, 1e4)]),
}
ENDS = [0.0, -0.0, TINY, -TINY, 1e-310, -1e-310, 1e-20, -1e-20, 1.0, -1.0, 22.0, 709.78, 709.79, -708.4, -745.1, -745.2,
        LARGE, -LARGE, np.inf, -np.inf, np.nan, -np.nan]


def computed(name, x):
    out = np.empty_like(x)
    getattr(libm, name)(x, out)
    return out


def points(name):
    rng = np.random.default_rng(0)
    parts = [rng.uniform(low, high, 300_000) for low, high in FUNCTIONS[name][1]]
    with np.errstate(over="ignore"):
        parts.append(rng.choice([-1, 1], 400_000) * rng.random(400_000) * 2.0 ** rng.integers(-1074, 1024, 400_000))
    return np.concatenate(parts)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double here")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_is_within_2_units_in_the_last_place(name):
    x = points(name)
    x = x[x > -1] if name == "log1p" else x
    with np.errstate(over="ignore", under="ignore"):
        exact = FUNCTIONS[name][0](x.astype(np.longdouble))
        nearest = exact.astype(float)
    found, finite = computed(name, x), np.isfinite(nearest)
    assert (found[~finite] == nearest[~finite]).all()
    unit = np.spacing(np.abs(nearest[finite])).astype(np.longdouble)
    assert np.abs((found[finite].astype(np.longdouble) - exact[finite]) / unit).max() < 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends_are_those_of_numpy(name):
    x = np.array(ENDS)
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name][0](x)
    found = computed(name, x)
    np.testing.assert_array_max_ulp(found[np.isfinite(expected)], expected[np.isfinite(expected)], 2)
    np.testing.assert_array_equal(found[~np.isfinite(expected)], expected[~np.isfinite(expected)])
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_of_different_lengths_are_refused(name):
    with pytest.raises(ValueError, match="different lengths"):
        getattr(libm, name)(np.ones(3), np.ones(2))


def test_losses_keep_their_digits_at_the_ends_of_the_range():
    thetas = np.array([0.0, 1e-300, 1e-9, 1e-3, 0.3, 0.6931471805599452, 0.6931471805599454, 1.0, 40.0, 800.0, 1e300])
    wide = thetas.astype(np.longdouble)
    with np.errstate(over="ignore"):
        log_cosh = np.where(wide < 0.5, np.log1p(2 * np.sinh(np.minimum(wide, 0.5) / 2) ** 2),
                            wide + np.log1p(np.exp(-2 * wide)) - np.log(np.longdouble(2)))
    np.testing.assert_allclose(fastgd.log_cosh.curve(thetas, [0.0]), log_cosh.astype(float), rtol=1e-15)
    both = np.concatenate([-thetas, thetas])
    softplus = np.maximum(both, 0) + np.log1p(np.exp(-np.abs(both.astype(np.longdouble))))
    np.testing.assert_allclose(fastgd.cross_entropy.curve(both, [0.0]), softplus.astype(float), rtol=1e-15)
