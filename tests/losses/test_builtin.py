"""The losses of the package: that each is whole, and that what is said of it is true."""
import math

import numpy as np
import pytest
from helpers import LOSSES

import fastgd
from fastgd import reference
from fastgd._kernels import losses as kernels
from fastgd.losses import REGISTRY, builtin


def kernel_classes():
    """The names of the classes with the maths of a loss of the package, as it is before its kinks are smoothed."""
    smoothed = {type(loss.smoothed(1).kernel).__name__ for loss in REGISTRY.values() if loss.kinks}
    return sorted({name for name, kind in vars(kernels).items() if isinstance(kind, type)}
                  - {"CFunctions", "CFunctionsWithData"} - smoothed)


@pytest.mark.parametrize("kernel", kernel_classes())
def test_each_step_of_adding_a_loss_was_taken(kernel):
    """The steps stand in tests/README.md; the one that was forgotten is named."""
    public = getattr(builtin, kernel, None)
    assert public is not None, f"losses.pxd has the maths of {kernel}: write its public class in losses/builtin.py"
    loss = public()
    assert type(loss.kernel).__name__ == kernel, f"{kernel}._kernel_type is not kernels.{kernel}"
    name = loss.__name__
    assert REGISTRY.get(name) == loss, f"list {name} in REGISTRY, at the end of losses/builtin.py"
    for exported in (kernel, name, f"grad_{name}"):
        assert exported in builtin.__all__, f"export {exported}: name it in __all__ of losses/builtin.py"
        assert hasattr(fastgd, exported), f"{exported} is in __all__ of losses/builtin.py, and is not there"
    assert getattr(fastgd, name) == loss
    assert getattr(fastgd, f"grad_{name}") == loss.gradient
    for function in (name, f"grad_{name}"):
        assert hasattr(reference, function), f"write the numpy twin fastgd.reference.{function}"
    assert name in public.__doc__, f"name {name} in the docstring of {kernel}, which opens with its formula"
    for mean in (loss, loss.gradient):
        try:
            mean(0.5, [0.25, 0.75])
        except KeyError:
            pytest.fail(f"{kernel} has no line in the fused type Loss, at the end of losses.pxd")


class TestFacts:
    """What is said of a loss is what can be measured of it."""

    PREDICTIONS = np.linspace(-30, 30, 6001)

    def slopes(self, name, target):
        return LOSSES[name].gradient.curve(self.PREDICTIONS, [target])

    @pytest.mark.parametrize("name", LOSSES)
    def test_largest_curvature(self, name):
        loss, step = LOSSES[name], 0.01
        measured = max(np.max(np.diff(self.slopes(name, target)) / step) for target in (0.0, 0.25, 1.0))
        if math.isfinite(loss.max_curvature):
            assert measured == pytest.approx(loss.max_curvature, rel=1e-3)
            assert loss.max_stable_alpha == 2 / loss.max_curvature
        else:
            # A kink, or a curvature that grows with the distance.
            assert measured > 40 or measured < np.max(np.diff(loss.gradient.curve(2 * self.PREDICTIONS, [0.0])) / step)
            assert loss.max_stable_alpha is None

    @pytest.mark.parametrize("name", LOSSES)
    def test_kinks(self, name):
        loss, target = LOSSES[name], 0.255    # so that the kinks are between two of the predictions
        slopes = self.slopes(name, target)
        steep = np.diff(slopes) > 0.2
        jumps = dict(zip((target - self.PREDICTIONS[1:][steep]).tolist(), np.diff(slopes)[steep], strict=True))
        assert sorted(jumps) == pytest.approx([offset for offset, _ in loss.kinks], abs=0.01)
        assert [jumps[offset] for offset in sorted(jumps)] == pytest.approx([jump for _, jump in loss.kinks])

    @pytest.mark.parametrize("name", LOSSES)
    def test_convex_or_not(self, name):
        rises = all((np.diff(self.slopes(name, target)) >= -1e-12).all() for target in (0.0, 0.25, 1.0))
        assert rises == LOSSES[name].is_convex

    @pytest.mark.parametrize("name", LOSSES)
    def test_quadratic_or_not(self, name):
        bends = np.abs(np.diff(self.slopes(name, 0.25), 2)).max()
        assert (bends < 1e-12) == LOSSES[name].is_quadratic

    @pytest.mark.parametrize("name", LOSSES)
    def test_range_of_the_targets(self, name):
        least, most = LOSSES[name].target_range
        # Beyond its range a loss of probabilities has no minimum: its slope has one sign.
        for target, sign in ((least - 0.1, 1), (most + 0.1, -1)):
            if math.isfinite(target):
                assert (np.sign(self.slopes(name, target)) == sign).all()
        assert (LOSSES[name].link == "logit") == math.isfinite(least)
