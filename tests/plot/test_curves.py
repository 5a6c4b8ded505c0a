"""The pictures of one loss over theta: what is drawn, over which range, and what the legend says."""
import functools
import math

import numpy as np
import pandas as pd
import pytest
from pictures import FIVE, alone, axes_for, labels, matplotlib, no_figure_is_left, plt  # noqa: F401

import fastgd
from fastgd import (
    abs_loss,
    cross_entropy,
    grad_mse,
    grad_quartic_loss,
    huber_loss,
    minimize,
    mse,
    plot,
    quartic_loss,
)

pytestmark = [alone, pytest.mark.usefixtures("no_figure_is_left")]

def dots(ax):
    return [tuple(collection.get_offsets()[0]) for collection in ax.collections]


def mse_in_python(theta, dataset):
    return np.mean((np.asarray(dataset) - theta) ** 2)


class TestCurve:
    @pytest.mark.parametrize("loss", [mse, huber_loss, mse_in_python])
    def test_is_the_course_s(self, pcttip, loss):
        ax = plot.plot_loss(pcttip, (11, 18), loss)
        thetas, losses = ax.lines[0].get_data()
        assert np.array_equal(thetas, np.arange(11, 18.01, 0.05))
        assert np.array_equal(losses, [loss(theta, pcttip) for theta in thetas])
        assert (ax.get_title(), ax.get_ylabel(), ax.get_xlabel()) == (loss.__name__, "Loss", r"$\theta$")
        assert ax.get_xlim() == (11, 18)

    @pytest.mark.parametrize(("xlim", "count"), [
        ((0, 0.01), 201), ((0, 1), 21), ((0, 1.02), 22), ((0, 100), 2001), ((0, 1e6), 2001), ((-1e300, 1e300), 2001)])
    def test_has_enough_thetas_and_not_too_many(self, xlim, count):
        thetas = plot.plot_loss(FIVE, xlim, huber_loss).lines[0].get_xdata()
        assert len(thetas) == count
        assert thetas[0] == xlim[0]
        assert thetas[-1] == pytest.approx(xlim[1], rel=1e-12)

    def test_has_the_same_bits_in_threads(self):
        y = np.random.default_rng(0).normal(15, 3, 30_000)
        first, second = (plot.plot_loss(y, (11, 18), huber_loss, n_threads=n_threads) for n_threads in (None, 3))
        expected = first.lines[0].get_ydata()
        assert np.array_equal(second.lines[0].get_ydata(), expected)
        assert np.array_equal(plot.points_and_loss(y, (11, 18), huber_loss, n_threads=2)[1].lines[0].get_ydata(),
                              expected)

    def test_kwargs_go_to_the_line(self):
        line = plot.plot_loss(FIVE, (11, 18), mse, color="red", label="squared").lines[0]
        assert (line.get_color(), line.get_label()) == ("red", "squared")

    def test_a_kwarg_that_matplotlib_refuses_leaves_no_figure(self):
        with pytest.raises(AttributeError, match="colour"):
            plot.plot_loss(FIVE, (11, 18), mse, colour="red")
        assert plt.get_fignums() == []

    @pytest.mark.parametrize(("loss", "title"), [
        (fastgd.Huber(delta=2), "Huber(delta=2.0)"), (functools.partial(huber_loss, delta=3), "Huber(delta=3.0)"),
        (functools.partial(mse_in_python), "mse_in_python")])
    def test_titles(self, loss, title):
        assert plot.plot_loss(FIVE, (11, 18), loss).get_title() == title

    @pytest.mark.parametrize("function", [plot.plot_loss, plot.points_and_loss])
    @pytest.mark.parametrize(("xlim", "words"), [
        ((18, 11), r"low < high.*\(18, 11\)"), ((3, 3), "low < high"), (5, "pair"),
        ((1, 2, 3), "pair"), ((0, np.inf), "finite float"), ((np.nan, 1), "finite float")])
    def test_wrong_range(self, function, xlim, words):
        with pytest.raises(ValueError, match=f"'xlim' parameter.*{words}"):
            function(FIVE, xlim, mse)
        assert plt.get_fignums() == []

    def test_a_range_beyond_floats(self):
        for draw in (lambda: plot.plot_loss(FIVE, (-1e308, 1e308), mse),
                     lambda: plot.plot_theta_on_loss([-8e307, 8e307], 0, huber_loss)):
            with pytest.raises(ValueError, match=r"range of theta.*too wide"):
                draw()
        assert plt.get_fignums() == []


class TestLossThatIsNotFinite:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_everywhere_is_said(self, value):
        def broken(theta, dataset):
            return value

        for draw in (plot.plot_loss, plot.points_and_loss):
            with pytest.raises(ValueError, match=r"broken is NaN.* 11 to 18"):
                draw(FIVE, (11, 18), broken)
        for draw in (lambda: plot.plot_theta_on_loss(FIVE, 12, broken),
                     lambda: plot.plot_tangent_on_loss(FIVE, 12, broken),
                     lambda: plot.plot_one_gd_iter(FIVE, 12, broken, grad_mse),
                     lambda: plot.plot_connected_thetas(FIVE, 12, 13, broken)):
            with pytest.raises(ValueError, match=rf"broken is {value} at theta 12\b"):
                draw()
        assert plt.get_fignums() == []

    def test_in_part_is_drawn_where_it_is(self):
        with np.errstate(invalid="ignore"):
            ax = plot.plot_loss(FIVE, (-5, 5), lambda theta, y: np.sqrt(theta))
        ax.figure.canvas.draw()
        drawn = ax.lines[0].get_ydata()
        assert 100 <= np.isfinite(drawn).sum() <= 101    # 0 is about 0
        assert 2.2 < ax.get_ylim()[1] < 2.5
        assert ax.get_xlim() == (-5, 5)

    @pytest.mark.parametrize("theta", [1e200, -1e300])
    def test_at_a_theta_is_said(self, theta):
        with pytest.raises(ValueError, match=r"mse is inf.*1e\+"):
            plot.plot_theta_on_loss(FIVE, theta, mse)
        with pytest.raises(ValueError, match=r"mse is inf.*1e\+"):
            plot.plot_connected_thetas(FIVE, 12, theta, mse)
        with pytest.raises(ValueError, match=r"mse is inf.*e\+"):
            plot.plot_one_gd_iter(FIVE, 12, mse, grad_mse, alpha=abs(theta))
        assert plt.get_fignums() == []


class TestRug:
    def test_a_line_for_each_point(self, pcttip):
        rug, curve = plot.points_and_loss(pcttip, (0, 30), mse)
        assert (rug.get_title(), rug.get_xlabel(), curve.get_title()) == ("Points", "Tip Percent", "mse")
        assert rug.get_xlim() == curve.get_xlim() == (0, 30)
        assert sorted(segment[0, 0] for segment in rug.collections[0].get_segments()) == sorted(pcttip)

    def test_many_points_are_bins_of_one_artist(self):
        points = np.append(np.random.default_rng(0).normal(15, 1, 100_000), 29.99)
        rug, _ = plot.points_and_loss(points, (0, 30), mse)
        (lines,) = rug.collections
        places = np.array([segment[0, 0] for segment in lines.get_segments()])
        assert len(places) <= 500
        assert places[-1] == pytest.approx(29.97)    # the lonely point is seen
        opacities = lines.get_colors()[:, 3]
        assert (opacities.min(), opacities.max()) == (0.1, 1)
        assert abs(places[opacities.argmax()] - 15) < 0.5

    def test_no_point_in_sight(self):
        plot.points_and_loss(np.zeros(5000), (5, 6), mse)
        plt.gcf().canvas.draw()


    @pytest.mark.parametrize(("points", "label"), [
        (FIVE, "Tip Percent"), (pd.Series(FIVE), "Tip Percent"), (pd.Series(FIVE, name="pcttip"), "Tip Percent"),
        (pd.Series(FIVE, name="tip in $, of $"), "tip in $, of $"), (pd.Series(FIVE, name=0), "0")])
    def test_the_name_of_the_points(self, points, label):
        rug, _ = plot.points_and_loss(points, (11, 18), mse)
        assert rug.get_xlabel() == label
        assert not rug.xaxis.label.get_parse_math()    # a $ is a $


class TestLegend:
    def test_of_a_dot(self):
        ax = plot.plot_theta_on_loss(FIVE, 12, mse)
        plot.plot_theta_on_loss(FIVE, 13, mse)
        assert labels(ax) == [r"$\theta$"]
        plot.plot_theta_on_loss(FIVE, 14, mse, label="last")
        assert labels(ax) == [r"$\theta$", "last"]

    def test_of_tangents(self):
        ax = plot.plot_tangent_on_loss(FIVE, 12, mse)
        assert labels(ax) == ["tangent, slope -5.32", r"$\theta$"]
        plot.plot_tangent_on_loss(FIVE, 14, mse)
        assert labels(ax) == ["tangent, slope -5.32", r"$\theta$", "tangent, slope -1.32"]

    def test_of_a_chord(self):
        assert labels(plot.plot_connected_thetas([0], -12, 12, quartic_loss)) == ["chord", r"$\theta$"]

    def test_of_curves_that_have_a_label(self):
        ax = plot.plot_loss(FIVE, (11, 18), mse)
        assert ax.get_legend() is None
        plot.plot_loss(FIVE, (11, 18), huber_loss, label="Huber", ax=ax)
        assert labels(ax) == ["Huber"]


def one_update(theta, **options):
    return plot.plot_one_gd_iter([0], theta, quartic_loss, grad_quartic_loss, alpha=2.5, ax=axes_for(1), **options)


class TestRange:
    """That of a curve which is drawn for a theta."""

    def test_of_the_course_s_updates_is_one(self, capsys):
        axes = [one_update(theta) for theta in (-21, -9.9, -12.6, -14.2)]
        assert len({ax.get_xlim() for ax in axes}) == len({ax.get_ylim() for ax in axes}) == 1
        (low, high), curve = axes[0].get_xlim(), axes[0].lines[0]
        assert low < -21 < -14.508 < 18.395 < high
        assert [curve.get_xdata()[0], curve.get_xdata()[-1]] == pytest.approx([low, high])

    def test_of_a_descent_on_a_convex_loss_is_one(self, capsys):
        axes, theta = [], 12.0
        for _ in range(5):
            axes.append(plot.plot_one_gd_iter(FIVE, theta, mse, grad_mse, alpha=0.3, ax=axes_for(1)))
            theta -= 0.3 * grad_mse(theta, FIVE)
        assert len({ax.get_xlim() for ax in axes}) == 1
        low, high = axes[0].get_xlim()
        assert low < 11 < 17.2 < high

    @pytest.mark.parametrize("loss", [mse, mse_in_python, abs_loss, huber_loss])
    def test_of_every_function_is_the_same(self, loss, capsys):
        axes = [plot.plot_theta_on_loss(FIVE, 16, loss, ax=axes_for(1)),
                plot.plot_tangent_on_loss(FIVE, 12, loss, ax=axes_for(1)),
                plot.plot_one_gd_iter(FIVE, 13, loss, grad_mse, alpha=0.3, ax=axes_for(1)),
                plot.plot_connected_thetas(FIVE, 12, 17, loss, ax=axes_for(1))]
        assert len({ax.get_xlim() for ax in axes}) == 1

    @pytest.mark.parametrize("theta", [-1e6, -20, 10.9, 12, 18.3, 40, 1e9])
    def test_is_stretched_on_the_side_of_a_theta_outside(self, theta):
        low, high = plot.plot_theta_on_loss(FIVE, 14, mse, ax=axes_for(1)).get_xlim()
        left, right = plot.plot_theta_on_loss(FIVE, theta, mse, ax=axes_for(1)).get_xlim()
        assert left == low if theta > 12 else left <= low
        assert right == high if theta < 17 else right >= high
        assert left + 0.02 * (right - left) < theta < right - 0.02 * (right - left)    # the dot is seen whole
        assert right - left <= 3 * max(high - low, abs(theta - 14))

    def test_changes_seldom_while_theta_comes_nearer(self, pcttip):
        thetas = [*minimize(huber_loss, None, pcttip, 0.5, progress=False, history=True).history["theta"]][::6]
        ranges = [plot.plot_theta_on_loss(pcttip, theta, huber_loss, ax=axes_for(1)).get_xlim() for theta in thetas]
        assert len(thetas) > 10
        assert len(set(ranges)) == 2

    def test_holds_the_mean_that_a_far_point_moved(self):
        low, high = plot.plot_theta_on_loss([*FIVE] * 4 + [900.0], 14, mse).get_xlim()
        assert low < 12.1 < 900 / 21 + 14 < high

    def test_holds_a_flat_floor(self):
        low, high = plot.plot_theta_on_loss([-1, 1], 0, abs_loss).get_xlim()
        assert -2 < low < -1 < 1 < high < 2

    @pytest.mark.parametrize(("points", "loss"), [
        ([1, 1], cross_entropy), ([1.0, 1.0], lambda theta, y: -theta), ([1.0, 1.0], lambda theta, y: 3.0),
        ([1.0, 1.0], lambda theta, y: math.exp(-50 * theta)), ([1.0, 1.0], lambda theta, y: math.log(theta + 1)),
        ([1.0, 1.0], lambda theta, y: 1 / (theta + 3)), ([1.0, 1.0], lambda theta, y: np.log(theta + 0.5))])
    def test_of_a_loss_without_a_minimum_is_that_of_the_points(self, points, loss):
        assert plot.plot_theta_on_loss(points, 1, loss).get_xlim() == (0, 2)

    def test_a_python_loss_gets_all_points(self):
        weights = np.linspace(0, 1, 20_003)

        def weighted(theta, dataset):
            return np.mean(weights * (dataset - theta) ** 2)

        low, high = plot.plot_theta_on_loss(20 * weights, 12, weighted).get_xlim()
        assert low < 2 < 18 < high

    def test_of_many_points_is_that_of_few_at_the_same_places(self):
        few, many = np.linspace(0, 20, 10_001), np.linspace(0, 20, 1_000_001)
        limits = [plot.plot_theta_on_loss(points, 12, mse, ax=axes_for(1)).get_xlim() for points in (few, many)]
        assert limits[0] == pytest.approx(limits[1], rel=1e-3)

    def test_of_equal_points_anywhere(self):
        low, high = plot.plot_theta_on_loss([1e17] * 2, 1e17, mse).get_xlim()
        assert low < 1e17 < high
        plt.gcf().canvas.draw()

    @pytest.mark.parametrize("call", [
        lambda **options: plot.plot_theta_on_loss(FIVE, 12, mse, **options),
        lambda **options: plot.plot_tangent_on_loss(FIVE, 12, mse, **options),
        lambda **options: plot.plot_one_gd_iter(FIVE, 12, mse, grad_mse, **options),
        lambda **options: plot.plot_connected_thetas(FIVE, 12, 13, mse, **options)])
    def test_can_be_given(self, call, capsys):
        assert call(xlim=(0, 30), ax=axes_for(1)).get_xlim() == (0, 30)
        joined = plot.plot_loss(FIVE, (11, 18), mse)
        assert call(xlim=(0, 30)) is joined
        assert (joined.get_xlim(), joined.lines[0].get_xdata()[0]) == ((0, 30), 0)
        assert joined.get_ylim()[1] > mse(30, FIVE)
        call(xlim=(11, 13))
        assert (joined.get_xlim(), joined.lines[0].get_xdata()[0]) == ((11, 13), 0)    # it need not be drawn anew
        plt.close("all")
        for wrong in ((18, 11), (1, np.nan), 3):
            with pytest.raises(ValueError, match="'xlim' parameter"):
                call(xlim=wrong)
        assert plt.get_fignums() == []

    def test_that_was_given_leaves_dots_outside_out_of_account(self, capsys):
        inside, outside = (one_update(theta, xlim=(-23, 25)) for theta in (-20, -60))
        assert inside.get_xlim() == outside.get_xlim() == (-23, 25)
        assert inside.get_ylim() == outside.get_ylim()


class TestDots:
    def test_theta_on_the_curve(self):
        ax = plot.plot_theta_on_loss(FIVE, 12, mse)
        assert dots(ax) == [(12, mse(12, FIVE))]
        low, high = ax.get_xlim()
        assert low < 12 < 17 < high
        assert len(ax.lines) == 1

    def test_kwargs_go_to_scatter(self):
        ax = plot.plot_theta_on_loss(FIVE, 12, mse, s=50, color="red", label="here")
        (dot,) = ax.collections
        assert dot.get_sizes().tolist() == [50]
        assert matplotlib.colors.to_hex(dot.get_facecolor()[0]) == "#ff0000"
        assert dot.get_label() == "here"
        (dot,) = plot.plot_theta_on_loss(FIVE, 13, mse, c="none", edgecolor="k", ax=axes_for(1)).collections
        assert len(dot.get_facecolor()) == 0

    def test_joins_the_curve_before_it(self):
        curve = plot.plot_loss(FIVE, (11, 18), mse)
        assert plot.plot_theta_on_loss(FIVE, 12, mse) is curve
        assert plot.plot_tangent_on_loss(FIVE, 12, mse) is curve
        assert len(plt.get_fignums()) == 1
        assert curve.get_xlim() == (11, 18)

    @pytest.mark.parametrize(("y", "loss"), [(FIVE, huber_loss), (FIVE[:4], mse)])
    def test_does_not_join_another_curve(self, y, loss):
        curve = plot.plot_loss(FIVE, (11, 18), mse)
        assert plot.plot_theta_on_loss(y, 12, loss) is not curve
        assert len(plt.get_fignums()) == 2

    def test_a_curve_that_is_too_short_is_lengthened(self):
        ax = plot.plot_loss(FIVE, (11, 18), mse)
        plot.plot_theta_on_loss(FIVE, 25, mse)
        thetas, losses = ax.lines[0].get_data()
        assert thetas[0] == 11
        assert thetas[-1] == pytest.approx(25.7)
        assert np.array_equal(losses, mse.curve(thetas, FIVE))
        assert ax.get_ylim()[1] > losses[-1] > mse(25, FIVE)

    def test_data_far_from_everything(self):
        ax = plot.plot_theta_on_loss([5.0, 5.0], 5, mse)
        assert ax.get_xlim() == (4, 6)

    @pytest.mark.parametrize("loss", [mse, mse_in_python])
    def test_tangent(self, loss):
        line = plot.plot_tangent_on_loss(FIVE, 12, loss).lines[-1]
        assert line.get_xdata().tolist() == [11, 13]
        assert np.diff(line.get_ydata()) / 2 == pytest.approx(-5.32)
        assert np.mean(line.get_ydata()) == pytest.approx(mse(12, FIVE))
        assert line.get_label() == "tangent, slope -5.32"

    def test_the_slope_by_the_eps_that_is_given(self):
        given = plot.plot_tangent_on_loss(FIVE, 12, abs_loss, 2, ax=axes_for(1))    # fourth, as in the course
        slope = (abs_loss(14, FIVE) - abs_loss(10, FIVE)) / 4
        assert np.diff(given.lines[-1].get_ydata()) / 2 == pytest.approx(slope)
        assert abs_loss.gradient(12, FIVE) == -1
        assert slope > -0.8
        assert labels(given)[0] == f"tangent, slope {slope:.4g}"

    @pytest.mark.parametrize("loss", [mse, mse_in_python])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_the_course_s_eps_gives_the_slope(self, loss, dtype):
        points = np.array(FIVE, dtype)
        line = plot.plot_tangent_on_loss(points, 12, loss, eps=1e-6, ax=axes_for(1)).lines[-1]
        assert np.diff(line.get_ydata()) / 2 == pytest.approx(-5.32, rel=1e-6)

    @pytest.mark.parametrize(("eps", "error", "words"), [
        (0, ValueError, "range \\(0, inf\\)"), (-1e-6, ValueError, "range"), (np.nan, ValueError, "range"),
        (np.inf, ValueError, "range"), ("a", TypeError, "real number"), ([1e-6], TypeError, "real number"),
        (1e-16, ValueError, r"theta \+ eps.*1e-16.*12\.0")])
    def test_wrong_eps(self, eps, error, words):
        with pytest.raises(error, match=f"'eps'.*{words}"):
            plot.plot_tangent_on_loss(FIVE, 12, mse, eps=eps)
        assert plt.get_fignums() == []

    def test_one_update(self, capsys):
        ax = plot.plot_one_gd_iter(FIVE, 12, mse, grad_mse)
        assert capsys.readouterr().out == "old theta: 12\nnew theta: 13.596\n"
        assert dots(ax) == [(12, mse(12, FIVE)), (13.596, mse(13.596, FIVE))]
        old, new = ax.collections
        assert len(old.get_facecolor()) == 0
        assert len(new.get_facecolor()) == 1
        assert labels(ax) == ["old theta", "new theta"]

    @pytest.mark.parametrize(("old", "new"), [
        (-21, "-9.944999999999999"), (-9.9, "-12.641412"), (-12.6, "-14.162808"), (-14.2, "-14.497463999999999")])
    def test_the_course_s_updates_of_the_quartic(self, capsys, old, new):
        plot.plot_one_gd_iter([0], old, quartic_loss, grad_quartic_loss, alpha=2.5)
        assert capsys.readouterr().out == f"old theta: {old}\nnew theta: {new}\n"

    def test_chord(self):
        ax = plot.plot_connected_thetas([0], -12, 12, quartic_loss)
        assert ax.lines[-1].get_xydata().tolist() == [[-12, quartic_loss(-12, [0])], [12, quartic_loss(12, [0])]]
        assert len(dots(ax)) == 2

    @pytest.mark.parametrize(("call", "error", "words"), [
        (lambda: plot.plot_theta_on_loss(FIVE, np.nan, mse), ValueError, "'theta' parameter"),
        (lambda: plot.plot_theta_on_loss(FIVE, [1, 2], mse), TypeError, "'theta'.*real number"),
        (lambda: plot.plot_tangent_on_loss(FIVE, "a", mse), TypeError, "'theta' parameter"),
        (lambda: plot.plot_connected_thetas(FIVE, 1, np.inf, mse), ValueError, "'theta_2' parameter"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, None), TypeError, "'grad_loss'.*callable"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, grad_mse, 0), ValueError, "'alpha' parameter"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, lambda t, y: y), TypeError, "grad_loss.*one number"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, lambda t, y: np.nan), ValueError, "theta is nan"),
    ])
    def test_errors(self, capsys, call, error, words):
        with pytest.raises(error, match=words):
            call()
        assert plt.get_fignums() == []
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("y", "theta"), [([0.0, 1e-310], 1.0), ([1e-5, 2e-5], 1e305), ([0, 5e-324, 1e-310], 1.0)])
def test_a_theta_that_is_further_than_floats_can_say_is_drawn(y, theta):
    for draw in (plot.plot_theta_on_loss, plot.plot_tangent_on_loss):
        ax = draw(y, theta, huber_loss)
        assert ax.get_xlim()[0] <= theta <= ax.get_xlim()[1]
