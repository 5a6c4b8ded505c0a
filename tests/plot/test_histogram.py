"""The histogram: its bins, its three marks, and the inset that parts them."""
import numpy as np
import pandas as pd
import pytest
from pictures import Figure, alone, axes_for, labels, no_figure_is_left, plt  # noqa: F401

from fastgd import huber_loss, plot

pytestmark = [alone, pytest.mark.usefixtures("no_figure_is_left")]


class TestHistogram:
    def test_answers(self, pcttip):
        ax = plot.plot_histogram(pd.Series(pcttip, name="pcttip"))
        assert len(ax.patches) == 50
        assert sum(patch.get_height() for patch in ax.patches) == 244
        assert labels(ax) == ["mean 16.08", "median 15.48", "Huber 15.53"]
        assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([16.080258, 15.476977, 15.530634], abs=1e-6)
        assert ax.get_xlabel() == "pcttip"

    @pytest.mark.parametrize(("points", "expected"), [
        (1e7 + np.array([0.0, 0.25, 0.5, 1, 3]), ["mean 10000000.95", "median 10000000.5", "Huber 10000000.69"]),
        (-1e7 - np.array([0.0, 0.25, 0.5, 1, 3]), ["mean -10000000.95", "median -10000000.5", "Huber -10000000.69"]),
        ([10000001.0] * 3, ["mean 10000001", "median 10000001", "Huber 10000001"]),
        ([1e16, 1e16 + 2, 1e16 + 8], ["mean 10000000000000004", "median 10000000000000002", "Huber 10000000000000002"]),
        ([0.1], ["mean 0.1", "median 0.1", "Huber 0.1"]),
        ([1e-9, 2e-9, 6e-9], ["mean 3e-09", "median 2e-09", "Huber 3e-09"]),
        ([0, 15, 15.0001, 15.0003, 1000], ["mean 209.0001", "median 15.0001", "Huber 15.00013"])])
    def test_the_legend_has_the_digits_that_differ(self, points, expected):
        texts = labels(plot.plot_histogram(points))
        names, places = zip(*(text.split() for text in texts), strict=True)
        for text, other in zip(texts, expected, strict=True):
            assert float(text.split()[1]) == pytest.approx(float(other.split()[1]), rel=1e-9, abs=1e-4), texts
        assert names == ("mean", "median", "Huber")
        assert len(set(places)) == len({text.split()[1] for text in expected})

    def test_the_digits_of_symmetric_points_are_few(self):
        """Their mean and median differ by rounding."""
        assert labels(plot.plot_histogram([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])) == ["mean 0.5", "median 0.5", "Huber 0.5"]

    def test_kwargs_go_to_hist(self, pcttip):
        assert len(plot.plot_histogram(pcttip, bins=10).patches) == 10
        assert len(plot.plot_histogram(pcttip, bins=[0, 10, 80]).patches) == 2

    def test_a_kwarg_that_matplotlib_refuses_leaves_no_figure(self, pcttip):
        with pytest.raises(AttributeError, match="colour"):
            plot.plot_histogram(pcttip, colour="red")
        assert plt.get_fignums() == []

    def test_that_lies(self, pcttip):
        ax = plot.plot_histogram(pd.Series(pcttip, name="pcttip"), orientation="horizontal")
        assert [line.get_ydata()[0] for line in ax.lines] == pytest.approx([16.080258, 15.476977, 15.530634], abs=1e-6)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("Number of points", "pcttip")

    @pytest.mark.parametrize(("name", "label"), [(None, ""), (0, "0"), ("$ of $", "$ of $")])
    def test_the_name_of_the_points(self, name, label):
        ax = plot.plot_histogram(pd.Series([1.0, 2, 3], name=name))
        assert ax.get_xlabel() == label
        assert not ax.xaxis.label.get_parse_math()

    @pytest.mark.parametrize("points", [
        [3.0], [1e6, 2e6, 9e6, 9.1e6], [-1e-9, 0, 1e-9], np.zeros(1000), [1e-200, 2e-200], [1e16, 1e16 + 2]])
    def test_the_huber_answer_on_any_scale(self, points):
        answer = plot.plot_histogram(points).lines[-1].get_xdata()[0]
        assert abs(answer - np.median(points)) <= 1
        assert min(points) <= answer <= max(points)
        best = np.linspace(-1, 1, 2001) + np.median(points)
        assert huber_loss(answer, points) <= huber_loss.curve(best, points).min() * (1 + 1e-12) + 1e-24

    @pytest.mark.parametrize("points", [
        [1e16, 1e16 + 2], [-1e16, -1e16 - 2], [1e16] * 3, [5e-324, 1e-323], [5e-324], [-5e-324, 1e-300], [1e299, 4e299],
        np.array([1e8, 1e8 + 8], np.float32), [1e-200, 2e-200], [7.0], [1e12, 1e12 + 1e-3]])
    def test_points_that_differ_by_rounding(self, points):
        ax = plot.plot_histogram(points, ax=axes_for(1))
        ax.figure.draw_without_rendering()
        assert sum(patch.get_height() for patch in ax.patches) == len(points)
        lefts = [patch.get_x() for patch in ax.patches]
        assert len(set(lefts)) == len(lefts) == 50
        low, high = ax.get_xlim()
        assert lefts[-1] - lefts[0] > 0.8 * (high - low)    # the bins are seen, not one line of them

    @pytest.mark.parametrize("points", [[1e16, 1e16 + 2], np.array([1e8, 1e8 + 8], np.float32)])
    def test_many_bins_of_such_points(self, points):
        ax = plot.plot_histogram(points, bins=300, ax=axes_for(1))
        assert len({patch.get_x() for patch in ax.patches}) == 300

    @pytest.mark.parametrize("points", [[1e308], [-1.7e308, 1.7e308], [1.7e308] * 3, [0, 2e300]])
    def test_points_that_no_axis_can_show(self, points):
        with pytest.raises(ValueError, match=r"points.*too large.*1e\+300"):
            plot.plot_histogram(points)
        assert plt.get_fignums() == []


def drawn(points, **options):
    ax = plot.plot_histogram(points, **options)
    ax.figure.canvas.draw()
    return ax


RANDOM = np.random.default_rng(0)
CLOSE = {"bell": RANDOM.normal(10, 2, 300), "flat": RANDOM.uniform(0, 1, 2000),
         "at the right": np.append(RANDOM.normal(0, 1, 300), -30),
         "at the left": np.append(RANDOM.normal(0, 1, 300), 30)}


class TestInset:
    @pytest.mark.parametrize(("name", "options"), [
        *((name, {}) for name in CLOSE), ("bell", {"log": True}), ("flat", {"cumulative": True}),
        ("at the right", {"density": True}), ("at the right", {"cumulative": -1})])
    def test_parts_the_lines_and_hides_nothing(self, name, options):
        ax = drawn(CLOSE[name], **options)
        (inset,) = ax.child_axes
        small, key = inset.get_tightbbox(), ax.get_legend().get_window_extent()
        for box in (small, key):
            assert ax.bbox.x0 <= box.x0 < box.x1 <= ax.bbox.x1
            assert ax.bbox.y0 <= box.y0 < box.y1 <= ax.bbox.y1
            assert not any(box.overlaps(bar.get_window_extent()) for bar in ax.patches if bar.get_height())
            for line in ax.lines:
                assert not box.x0 <= ax.transData.transform((line.get_xdata()[0], 1))[0] <= box.x1
        assert not small.overlaps(key)
        assert not small.overlaps(ax.xaxis.get_tightbbox())

    def test_shows_the_same_lines_as_the_legend(self, pcttip):
        ax = drawn(pcttip)
        (inset,) = ax.child_axes
        for small, large in zip(inset.lines, ax.lines, strict=True):
            assert small.get_xdata() == large.get_xdata()
            assert (small.get_color(), small.get_linestyle()) == (large.get_color(), large.get_linestyle())
        places = np.sort([inset.transData.transform((line.get_xdata()[0], 0))[0] for line in inset.lines])
        assert np.diff(places).min() > 5    # pixels
        assert inset.bbox.x0 < places[0] < places[-1] < inset.bbox.x1
        assert any(label.get_text() for label in inset.get_xticklabels())
        assert ax.get_ylim()[1] < 40    # there is room enough at the right

    def test_of_two_lines_where_the_third_is_far(self):
        points = np.array([0.0] * 60 + [0.1] * 60 + [100.0] * 40)
        ax = drawn(points)
        (inset,) = ax.child_axes
        low, high = inset.get_xlim()
        mean, median, huber = (line.get_xdata()[0] for line in ax.lines)
        assert low < median < huber < high < mean

    @pytest.mark.parametrize("points", [[3.0], [1.0, 2.0, 3.0], [0, 0, 10, 30, 100], [1e16, 1e16 + 2]])
    def test_is_left_out_where_it_would_show_nothing_new(self, points):
        assert drawn(points).child_axes == []

    def test_is_left_out_on_axes_that_show_something(self, pcttip):
        ax = drawn(pcttip)
        assert len(drawn(pcttip + 1, ax=ax).child_axes) == 1

    def test_is_under_the_legend_on_narrow_axes(self):
        ax = drawn(CLOSE["bell"], ax=Figure((3, 4)).subplots())
        (inset,) = ax.child_axes
        small, key = inset.get_tightbbox(), ax.get_legend().get_window_extent()
        assert small.y1 < key.y0
        assert not any(small.overlaps(bar.get_window_extent()) for bar in ax.patches if bar.get_height())

    def test_is_left_out_on_small_axes(self, pcttip):
        ax = Figure((1.5, 1)).subplots()
        assert plot.plot_histogram(pcttip, ax=ax).child_axes == []


def test_float32_points_near_its_largest_are_drawn():
    assert len(plot.plot_histogram(np.float32([3e38, -3e38])).patches) == 50
