"""What the pictures show: the numbers in their artists, and what they leave behind."""
import doctest
import functools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import fastgd
from fastgd import datasets, grad_mse, grad_quartic_loss, huber_loss, minimize, mse, quartic_loss
from fastgd.__main__ import main

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from fastgd import plot  # noqa: E402

FIVE = [12.1, 12.8, 14.9, 16.3, 17.2]


def mse_in_python(theta, dataset):
    return np.mean((np.asarray(dataset) - theta) ** 2)


def run(alpha=0.2, theta0=0.0):
    return minimize(mse, grad_mse, FIVE, alpha, theta0=theta0, history=True, progress=False)


# Each function, as it is called on the points; the first of the pair is how many axes it draws on.
CALLS = {
    "points_and_loss": (2, lambda y, loss, **ax: plot.points_and_loss(y, (11, 18), loss, **ax)),
    "plot_loss": (1, lambda y, loss, **ax: plot.plot_loss(y, (11, 18), loss, **ax)),
    "plot_theta_on_loss": (1, lambda y, loss, **ax: plot.plot_theta_on_loss(y, 12, loss, **ax)),
    "plot_tangent_on_loss": (1, lambda y, loss, **ax: plot.plot_tangent_on_loss(y, 12, loss, **ax)),
    "plot_one_gd_iter": (1, lambda y, loss, **ax: plot.plot_one_gd_iter(y, 12, loss, grad_mse, **ax)),
    "plot_connected_thetas": (1, lambda y, loss, **ax: plot.plot_connected_thetas(y, 12, 17, loss, **ax)),
    "plot_histogram": (1, lambda y, loss, **ax: plot.plot_histogram(y, **ax)),
    "plot_descent": (2, lambda y, loss, **ax: plot.plot_descent(run(), loss, y, **ax)),
}


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """Each test starts without a figure and may open some; none changes a setting."""
    plt.close("all")
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


def axes_for(count):
    return Figure().subplots(1, count)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def dots(ax):
    return [tuple(collection.get_offsets()[0]) for collection in ax.collections]


def test_every_function_is_tested():
    assert sorted([*CALLS, "plot_paths"]) == sorted(plot.__all__)


@pytest.mark.parametrize("name", CALLS)
class TestEveryFunction:
    def test_draws_on_a_figure_of_its_own(self, name, capsys):
        count, call = CALLS[name]
        axes = call(FIVE, mse)
        assert len(plt.get_fignums()) == 1
        assert np.size(axes) == count
        figure = plt.gcf()
        assert list(np.ravel(axes)) == figure.axes
        figure.canvas.draw()
        for ax in figure.axes:    # nothing is cut off
            box = ax.get_tightbbox()
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1

    def test_draws_on_given_axes_and_returns_them(self, name, capsys):
        count, call = CALLS[name]
        given = axes_for(count)
        assert call(FIVE, mse, ax=given) is given
        if count == 2:
            assert list(call(FIVE, mse, ax=tuple(given))) == list(given)
        assert plt.get_fignums() == []

    @pytest.mark.parametrize("kind", [tuple, np.float32, pd.Series])
    def test_takes_what_the_descents_take(self, name, kind, capsys):
        count, call = CALLS[name]
        given = np.array(FIVE, np.float32) if kind is np.float32 else kind(FIVE)
        call(given, mse, ax=axes_for(count))

    def test_takes_a_python_loss(self, name, capsys):
        count, call = CALLS[name]
        ours, theirs = axes_for(count), axes_for(count)
        call(FIVE, mse, ax=ours)
        call(FIVE, mse_in_python, ax=theirs)
        for left, right in zip(np.ravel(ours), np.ravel(theirs), strict=True):
            assert len(left.lines) == len(right.lines)
            for one, other in zip(left.lines, right.lines, strict=True):
                np.testing.assert_allclose(one.get_xydata(), other.get_xydata(), rtol=1e-6)

    @pytest.mark.parametrize(("y", "error", "words"), [
        ([1.0, np.nan], ValueError, "contains NaN"),
        ([[1.0, 2.0]], ValueError, "should be a 1d array, got an array of shape \\(1, 2\\)"),
        ([], ValueError, "0 sample"),
        (["a"], TypeError, "1d array of real numbers"),
        (None, TypeError, "1d array of real numbers"),
    ])
    def test_wrong_points(self, name, y, error, words):
        with pytest.raises(error, match=words):
            CALLS[name][1](y, mse)
        assert plt.get_fignums() == []

    @pytest.mark.parametrize(("loss", "words"), [
        ("mse", "'loss_fn' parameter must be callable. Got 'mse' of type str"),
        (type(mse), "SquaredError is a class"),
        (lambda theta, y: np.zeros(3), "loss_fn must return one number"),
    ])
    def test_wrong_loss(self, name, loss, words):
        if name != "plot_histogram":    # it takes no loss
            with pytest.raises(TypeError, match=words):
                CALLS[name][1](FIVE, loss)
        assert plt.get_fignums() == []

    @pytest.mark.parametrize("ax", ["here", Figure(), [1, 2], Figure().subplots(1, 3)])
    def test_wrong_axes(self, name, ax):
        with pytest.raises(TypeError, match=r"'ax' parameter must be a .*matplotlib Axes\. Got "):
            CALLS[name][1](FIVE, mse, ax=ax)


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
        ((18, 11), "low < high. Got \\(18, 11\\)"), ((3, 3), "low < high"), (5, "must be a pair"),
        ((1, 2, 3), "must be a pair"), ((0, np.inf), "finite float"), ((np.nan, 1), "finite float")])
    def test_wrong_range(self, function, xlim, words):
        with pytest.raises(ValueError, match=f"'xlim' parameter.*{words}"):
            function(FIVE, xlim, mse)
        assert plt.get_fignums() == []

    def test_a_range_beyond_floats(self):
        for draw in (lambda: plot.plot_loss(FIVE, (-1e308, 1e308), mse),
                     lambda: plot.plot_theta_on_loss([-1e308, 1e308], 0, huber_loss)):
            with pytest.raises(ValueError, match=r"The range of theta from .* is too wide to be drawn"):
                draw()
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
        (lambda: plot.plot_theta_on_loss(FIVE, [1, 2], mse), TypeError, "'theta' parameter must be a real number"),
        (lambda: plot.plot_tangent_on_loss(FIVE, "a", mse), TypeError, "'theta' parameter"),
        (lambda: plot.plot_connected_thetas(FIVE, 1, np.inf, mse), ValueError, "'theta_2' parameter"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, None), TypeError, "'grad_loss' parameter must be callable"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, grad_mse, 0), ValueError, "'alpha' parameter"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, lambda t, y: y), TypeError, "grad_loss must return one number"),
        (lambda: plot.plot_one_gd_iter(FIVE, 1, mse, lambda t, y: np.nan), ValueError, "The new theta is nan"),
    ])
    def test_errors(self, capsys, call, error, words):
        with pytest.raises(error, match=words):
            call()
        assert plt.get_fignums() == []
        assert capsys.readouterr().out == ""


class TestHistogram:
    def test_answers(self, pcttip):
        ax = plot.plot_histogram(pd.Series(pcttip, name="pcttip"))
        assert len(ax.patches) == 50
        assert sum(patch.get_height() for patch in ax.patches) == 244
        assert labels(ax) == ["mean 16.08", "median 15.48", "Huber 15.53"]
        assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([16.080258, 15.476977, 15.530634], abs=1e-6)
        assert ax.get_xlabel() == "pcttip"

    def test_kwargs_go_to_hist(self, pcttip):
        assert len(plot.plot_histogram(pcttip, bins=10).patches) == 10

    @pytest.mark.parametrize("points", [[3.0], [1e6, 2e6, 9e6, 9.1e6], [-1e-9, 0, 1e-9], np.zeros(1000)])
    def test_the_huber_answer_on_any_scale(self, points):
        answer = plot.plot_histogram(points).lines[-1].get_xdata()[0]
        assert abs(answer - np.median(points)) <= 1
        best = np.linspace(-1, 1, 2001) + np.median(points)
        assert huber_loss(answer, points) <= huber_loss.curve(best, points).min() * (1 + 1e-12) + 1e-24


class TestDescent:
    def test_path_and_losses(self):
        result = run()
        path, losses = plot.plot_descent(result, mse, FIVE, theta0=0)
        thetas = [0, *result.history["theta"]]
        assert path.lines[1].get_xdata().tolist() == thetas
        assert path.lines[1].get_ydata().tolist() == mse.curve(thetas, FIVE).tolist()
        assert losses.lines[0].get_xdata().tolist() == list(range(19))
        assert losses.lines[0].get_ydata().tolist() == mse.curve(thetas, FIVE).tolist()
        assert losses.get_yscale() == "log"
        assert losses.get_legend() is None
        assert path.get_xlim()[0] < 0 < 14.66 < path.get_xlim()[1]

    def test_without_a_start_it_begins_after_the_first_update(self):
        result = run()
        _, losses = plot.plot_descent(result.history, mse, FIVE)
        assert losses.lines[0].get_xdata()[0] == 1

    def test_runs_share_the_panels(self):
        pair = plot.plot_descent(run(), mse, FIVE, label="from 0")
        again = plot.plot_descent(run(theta0=90.0), mse, FIVE, theta0=90, label="from 90", ax=pair)
        assert list(again) == list(pair)
        assert labels(pair[1]) == ["from 0", "from 90"]
        first, second = pair[1].lines
        assert first.get_color() != second.get_color()
        assert [line.get_gid() for line in pair[0].lines].count("fastgd loss curve") == 1
        assert pair[0].lines[0].get_xdata()[-1] > 90
        assert len(plt.get_fignums()) == 1

    def test_the_scale_is_linear_where_a_logarithm_does_not_help(self):
        _, losses = plot.plot_descent(run(theta0=14.0), mse, FIVE, theta0=14)
        assert losses.get_yscale() == "linear"
        history = pd.DataFrame({"update": [1, 2], "alpha": 0.1, "theta": [1.0, 0.0]})
        _, losses = plot.plot_descent(history, lambda theta, y: theta, FIVE)
        assert losses.get_yscale() == "linear"

    def test_a_long_run_is_thinned(self):
        n = 1_000_000
        history = pd.DataFrame({"update": np.arange(1, n + 1), "alpha": 0.1, "theta": np.linspace(0, 14, n)})
        _, losses = plot.plot_descent(history, mse, FIVE)
        updates = losses.lines[0].get_xdata()
        assert len(updates) == 1000
        assert (updates[0], updates[-1]) == (1, n)

    @pytest.mark.parametrize(("result", "error", "words"), [
        (minimize(mse, grad_mse, FIVE, progress=False, full_output=True), ValueError, "call the descent with history"),
        (3.0, TypeError, "'result' parameter must be a DescentResult or its history"),
        (pd.DataFrame({"theta": [1.0]}), ValueError, "column update, one column theta"),
        (pd.DataFrame({"update": [1], "alpha": 1.0, "intercept": 0.0, "x0": 1.0}), ValueError, "one column theta"),
        (pd.DataFrame({"update": [], "alpha": [], "theta": []}), ValueError, "Got 0 rows"),
        (pd.DataFrame({"update": [1], "theta": [np.nan]}), ValueError, "NaN or infinity"),
    ])
    def test_wrong_history(self, result, error, words):
        with pytest.raises(error, match=words):
            plot.plot_descent(result, mse, FIVE)
        assert plt.get_fignums() == []


def squared_error(theta, X, y):
    return np.mean((y - X @ theta) ** 2)


def history_of(thetas, names=("intercept", "x0")):
    thetas = np.asarray(thetas, float)
    return pd.DataFrame({"update": range(1, len(thetas) + 1), "alpha": 0.1, **dict(zip(names, thetas.T, strict=True))})


class TestPaths:
    x, y = np.array([-1.0, 0, 1, 2]), np.array([1.0, 3, 4, 8])
    slow = history_of([[0.5, 0.5], [1, 1], [2, 1.5]])
    fast = history_of([[0, 3], [4, 2], [3, 2]])

    def test_paths_minimum_and_contours(self):
        ax = plot.plot_paths(self.x, self.y, squared_error, {"batch": self.slow, "sgd": self.fast}, theta0=0)
        batch, _, sgd, _, minimum = ax.lines
        assert batch.get_xydata().tolist() == [[0, 0], [0.5, 0.5], [1, 1], [2, 1.5]]
        assert sgd.get_xydata().tolist() == [[0, 0], [0, 3], [4, 2], [3, 2]]
        assert sgd.get_zorder() < batch.get_zorder()    # the wandering path is under the straight one
        design = np.column_stack([np.ones(4), self.x])
        assert minimum.get_xydata()[0] == pytest.approx(np.linalg.lstsq(design, self.y)[0], abs=1e-6)
        assert labels(ax) == ["batch\n3 updates", "sgd\n3 updates", "minimum"]
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("intercept", "x0", "squared_error")
        for (low, high), k in ((ax.get_xlim(), 0), (ax.get_ylim(), 1)):
            drawn = np.concatenate([line.get_xydata()[:, k] for line in ax.lines])
            assert low < drawn.min() < drawn.max() < high
        assert ax.collections

    def test_the_legend_is_beside_the_contours_and_inside_the_picture(self):
        ax = plot.plot_paths(self.x, self.y, squared_error, [self.slow, self.fast])
        figure = ax.figure
        figure.canvas.draw()
        legend, panel = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert legend.x0 > panel.x1
        assert legend.x1 <= figure.bbox.x1
        assert labels(ax) == ["run 1\n3 updates", "run 2\n3 updates", "minimum"]

    def test_two_features_have_no_intercept(self):
        X = pd.DataFrame({"a": self.x, "b": self.x ** 2})
        path = history_of([[0.0, 0], [1, 1]], ("a", "b"))
        ax = plot.plot_paths(X, self.y, squared_error, {"batch": path}, ax=axes_for(1))
        assert ax.lines[-1].get_xydata()[0] == pytest.approx(np.linalg.lstsq(X.to_numpy(), self.y)[0], abs=1e-6)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")

    def test_the_minimum_of_a_narrow_valley(self):
        x = 1000 + self.x
        ax = plot.plot_paths(x, self.y, squared_error, [history_of([[0, 0], [0, 0.004]])], ax=axes_for(1))
        best = ax.lines[-1].get_xydata()[0]
        design = np.column_stack([np.ones(4), x])
        exact = np.linalg.lstsq(design, self.y)[0]
        assert squared_error(best, design, self.y) <= squared_error(exact, design, self.y) * 1.000001

    def test_a_flat_loss(self):
        plot.plot_paths(self.x, self.y, lambda theta, X, y: 1.0, [history_of([[0, 0]])])
        plt.gcf().canvas.draw()

    @pytest.mark.parametrize(("change", "error", "words"), [
        ({"X": np.ones((4, 3))}, ValueError, "one or two features for two parameters, got an array of shape"),
        ({"X": np.ones(3)}, ValueError, "inconsistent numbers of samples: \\[3, 4\\]"),
        ({"X": [1, 2, 3, np.nan]}, ValueError, "Input X contains NaN"),
        ({"y": [1, 2, 3, np.inf]}, ValueError, "Input y contains infinity"),
        ({"loss_fn": 3}, TypeError, "'loss_fn' parameter must be callable"),
        ({"loss_fn": lambda theta, X, y: X}, TypeError, "must return one number"),
        ({"loss_fn": lambda theta, X, y: np.nan}, ArithmeticError, "NaN or infinite at every theta"),
        ({"results": slow}, TypeError, "'results' parameter must be a dict or a list"),
        ({"results": {}}, TypeError, "'results' parameter must be a dict or a list"),
        ({"results": {"batch": 3}}, TypeError, "'results\\['batch'\\]' parameter must be a DescentResult"),
        ({"results": [run()]}, ValueError, "a column for each of two parameters"),
        ({"theta0": [1, 2, 3]}, ValueError, "'theta0' parameter must be a number or a pair"),
        ({"ax": 3}, TypeError, "'ax' parameter must be a matplotlib Axes"),
    ])
    def test_errors(self, change, error, words):
        given = {"X": self.x, "y": self.y, "loss_fn": squared_error, "results": [self.slow], **change}
        with pytest.raises(error, match=words):
            plot.plot_paths(**given)
        assert plt.get_fignums() == []

    def test_real_descents(self):
        tips = datasets.load_tips()
        x = (tips["total_bill"] - tips["total_bill"].mean()) / tips["total_bill"].std(ddof=0)
        result = minimize(mse, grad_mse, tips["tip"], X=x.to_frame(), fit_intercept=True, history=True, progress=False)
        ax = plot.plot_paths(x.to_frame(), tips["tip"], mse, {"batch": result}, ax=axes_for(1))
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("intercept", "total_bill", "mse")
        assert ax.lines[0].get_xydata()[-1] == pytest.approx(result.x)
        assert ax.lines[-1].get_xydata()[0] == pytest.approx(result.x, abs=0.01)


def test_no_legend_lies_on_the_data(capsys):
    axes = [plot.plot_one_gd_iter(FIVE, 12, mse, grad_mse), plot.plot_descent(run(), mse, FIVE, label="run")[1]]
    for ax in axes:
        ax.figure.canvas.draw()
        box = ax.get_legend().get_window_extent()
        for line in ax.lines:
            assert not any(box.contains(*place) for place in ax.transData.transform(line.get_xydata()))


def test_examples_in_docstrings():
    assert doctest.testmod(plot).failed == 0


def in_a_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_given_axes_need_no_pyplot():
    code = ("import sys; from matplotlib.figure import Figure; from fastgd import plot, mse; ax = Figure().subplots(); "
            "plot.plot_theta_on_loss([1, 2], 1, mse, ax=ax); print('matplotlib.pyplot' in sys.modules)")
    assert in_a_new_process(code) == "False"


def test_without_matplotlib(monkeypatch, capsys, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install 'fastgd\\[plot\\]'"):
        plot.plot_loss(FIVE, (11, 18), mse)
    assert main(["--pictures", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err == "fastgd: error: The pictures need matplotlib: pip install 'fastgd[plot]'.\n"


class TestCommand:
    def test_writes_every_picture(self, capsys, tmp_path):
        assert main(["--pictures", str(tmp_path / "new" / "folder")]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        names = captured.out.splitlines()
        assert sorted(names) == sorted(map(str, (tmp_path / "new" / "folder").iterdir()))
        for function in plot.__all__:
            assert any(name.endswith(f"{function}.png") for name in names), function
        for path in (tmp_path / "new" / "folder").iterdir():
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size < 40_000
        assert plt.get_fignums() == []

    def test_a_file_is_no_folder(self, capsys, tmp_path):
        place = tmp_path / "file"
        place.write_text("")
        assert main(["--pictures", str(place)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == f"fastgd: error: cannot write pictures to {place}: File exists\n"

    def test_no_other_options(self, capsys, tmp_path):
        assert main(["--pictures", str(tmp_path), "--column", "tip", "--batch-size", "3"]) == 2
        assert capsys.readouterr().err == "fastgd: error: --column, --batch-size cannot be used with --pictures\n"
        assert list(tmp_path.iterdir()) == []


def test_plot_paths_without_rows():
    steps = pd.DataFrame({"update": [1], "alpha": 0.2, "x0": 1.0, "x1": 1.0})
    with pytest.raises(TypeError, match="Input X"):
        plot.plot_paths(None, [1.0, 2.0], fastgd.mse, {"batch": steps})


def test_paths_of_another_model_are_refused():
    tips = fastgd.datasets.load_tips()
    y, two, one = tips["tip"], tips[["total_bill", "size"]], tips[["size"]]
    runs = [fastgd.minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=X is one, tol=0.1, history=True,
                            stop="loss") for X in (two, one)]
    with pytest.raises(ValueError, match=r"'results\['run 1'\]' .* two features and no intercept. Got one with an"):
        plot.plot_paths(two, y, fastgd.mse, [runs[1]])
    with pytest.raises(ValueError, match=r"must be a descent on X, with total_bill. Got one with size"):
        plot.plot_paths(tips[["total_bill"]], y, fastgd.mse, {"mine": runs[1]})
    assert plt.get_fignums() == []
