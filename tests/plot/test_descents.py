"""The pictures of descents: paths on the curve, losses after each update, contours of two parameters."""
import numpy as np
import pandas as pd
import pytest
from pictures import FIVE, alone, axes_for, labels, matplotlib, no_figure_is_left, plt, run  # noqa: F401

import fastgd
from fastgd import DivergenceError, datasets, grad_mse, minimize, mse, plot

pytestmark = [alone, pytest.mark.usefixtures("no_figure_is_left")]

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

    def test_has_the_same_bits_in_threads(self):
        result, y = run(), np.random.default_rng(0).normal(15, 3, 30_000)
        pairs = [plot.plot_descent(result, mse, y, n_threads=n_threads) for n_threads in (None, 3)]
        first, second = ([line.get_ydata().tolist() for ax in pair for line in ax.lines] for pair in pairs)
        assert first == second

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
        (minimize(mse, grad_mse, FIVE, progress=False, full_output=True), ValueError, "history=True"),
        (3.0, TypeError, "'result'.*DescentResult"),
        (pd.DataFrame({"theta": [1.0]}), ValueError, "'result'.*column theta"),
        (pd.DataFrame({"update": [1], "alpha": 1.0, "intercept": 0.0, "x0": 1.0}), ValueError, "column theta"),
        (pd.DataFrame({"update": [], "alpha": [], "theta": []}), ValueError, "Got 0 rows"),
        (pd.DataFrame({"update": [1, 2], "theta": [np.nan, np.inf]}), ValueError, "'result'.*2 thetas"),
        (np.zeros((300, 2)), TypeError, "Got ndarray of shape \\(300, 2\\)\\.$"),
    ])
    def test_wrong_history(self, result, error, words):
        with pytest.raises(error, match=words):
            plot.plot_descent(result, mse, FIVE)
        assert plt.get_fignums() == []


def diverged(loss=mse, dataset=FIVE, **options):
    with pytest.raises(DivergenceError) as error:
        minimize(loss, None, dataset, progress=False, history=True, **options)
    return error.value.result


def assert_is_drawn(axes):
    """Each panel has limits within reach, ticks, and a point of each line within them; a warning is an error."""
    for ax in axes:
        ax.figure.canvas.draw()
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert max(map(abs, (left, right))) < 1e200
        inside = [((line.get_xydata() >= (left, bottom)) & (line.get_xydata() <= (right, top))).all(axis=1).sum()
                  for line in ax.lines]
        assert min(inside) >= 1
        assert len(ax.get_xticks()) > 2


class TestDivergence:
    @pytest.mark.parametrize(("loss", "alpha"), [(mse, 1.5), (mse, 1.01), (mse, 50.0), (fastgd.quartic_loss, 200.0)])
    @pytest.mark.parametrize("theta0", [0.0, 14.0, -200.0])
    def test_the_part_near_the_data_is_drawn(self, loss, alpha, theta0):
        result = diverged(loss, alpha=alpha, theta0=theta0)
        path, losses = plot.plot_descent(result, loss, FIVE, theta0=theta0)
        assert_is_drawn([path])
        low, high = path.get_xlim()
        assert low < min(theta0, 12) <= max(theta0, 17) < high
        assert high - low < 50 * max(abs(theta0 - 15), 8)
        drawn = losses.lines[0].get_ydata()
        drawn = drawn[np.isfinite(drawn)]
        losses.figure.canvas.draw()
        assert len(drawn) > 1
        assert drawn.max() <= losses.get_ylim()[1] < np.inf
        assert losses.get_yscale() == "log"

    def test_a_run_that_went_away_is_followed_by_one_that_did_not(self):
        pair = plot.plot_descent(diverged(alpha=1.5), mse, FIVE, theta0=0, label="1.5")
        far = pair[0].get_xlim()
        plot.plot_descent(run(), mse, FIVE, theta0=0, label="0.2", ax=pair)
        assert pair[0].get_xlim() == far
        assert labels(pair[1]) == ["1.5", "0.2"]

    def test_a_loss_that_falls_for_ever(self):
        thetas = -2.0 ** np.arange(1, 900)
        pair = plot.plot_descent(pd.DataFrame({"update": range(1, 900), "theta": thetas}), lambda theta, y: theta, FIVE)
        assert_is_drawn(pair)

    def test_what_is_not_finite_is_left_out(self):
        history = pd.DataFrame({"update": [1, 2, 3, 4], "theta": [3.0, np.nan, 9.0, -np.inf]})
        path, losses = plot.plot_descent(history, mse, FIVE)
        assert losses.lines[0].get_xydata().tolist() == [[1, mse(3, FIVE)], [3, mse(9, FIVE)]]
        assert_is_drawn([path, losses])
        history = pd.DataFrame({"update": [1, 2, 3], "theta": [3.0, -1.0, 9.0]})
        with np.errstate(invalid="ignore"):
            path, losses = plot.plot_descent(history, lambda theta, y: np.log(theta), FIVE)
        path.figure.canvas.draw()
        assert np.isnan(losses.lines[0].get_ydata()).tolist() == [False, True, False]
        with pytest.raises(ValueError, match=r"nothing is NaN.*'result'"):
            plot.plot_descent(history, nothing, FIVE)

    def test_a_far_start_that_arrives_is_drawn_whole(self):
        path, losses = plot.plot_descent(run(theta0=1e9), mse, FIVE, theta0=1e9)
        assert path.get_xlim()[1] > 1e9
        assert np.isfinite(losses.lines[0].get_ydata()).all()

    @pytest.mark.parametrize("theta0", [None, 0])
    def test_paths(self, theta0):
        x, y = np.array([-1.0, 0, 1, 2]), np.array([1.0, 3, 4, 8])
        away = diverged(dataset=y, alpha=1.2, X=x[:, None], fit_intercept=True)
        ends = minimize(mse, None, y, 0.1, X=x[:, None], fit_intercept=True, history=True, progress=False)
        ax = plot.plot_paths(x, y, mse, {"away": away, "ends": ends}, theta0=theta0)
        assert_is_drawn_within(ax, 1000)
        assert labels(ax)[0].startswith(f"away\n{len(away.history):,} updates, not all")
        assert labels(ax)[1] == f"ends\n{ends.nit:,} updates"
        assert_is_drawn_within(plot.plot_paths(x, y, mse, [away], theta0=theta0), 1000)

    def test_paths_with_thetas_that_are_not_finite(self):
        x, y = np.array([-1.0, 0, 1, 2]), np.array([1.0, 3, 4, 8])
        path = history_of([[0.5, 0.5], [np.nan, 1], [1, 1], [1e300, 1]])
        ax = plot.plot_paths(x, y, squared_error, [path], theta0=0)
        assert ax.lines[0].get_xydata().tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
        assert_is_drawn_within(ax, 10)
        with pytest.raises(ValueError, match="1 thetas"):
            plot.plot_paths(x, y, squared_error, [history_of([[np.nan, 1]])])


def nothing(theta, dataset):
    return np.nan


def assert_is_drawn_within(ax, size):
    ax.figure.canvas.draw()
    assert max(map(abs, (*ax.get_xlim(), *ax.get_ylim()))) < size
    assert ax.collections


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

    def test_have_the_same_places_in_threads(self, monkeypatch):
        monkeypatch.setattr("fastgd._data.arrays.MIN_THREADED_POINTS", 100)
        x = np.random.default_rng(0).normal(size=300)
        paths = {"run": history_of([[0.5, 0.5], [1.0, 2.0]])}
        first, second = (plot.plot_paths(x, 1 + 2 * x, fastgd.mse, paths, n_threads=n_threads)
                         for n_threads in (None, 3))
        assert first.lines[-1].get_xydata().tolist() == second.lines[-1].get_xydata().tolist()
        assert first.get_xlim() == second.get_xlim()

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

    @pytest.mark.parametrize(("X", "y"), [
        ([3.0], [5.0]), ([0.7], [0.1]), ([[3.0, 1.0]], [5.0]), ([0.0, 0, 0], [5.0, 1, 1])])
    @pytest.mark.parametrize("loss", [mse, squared_error])
    def test_rows_that_leave_a_parameter_open(self, X, y, loss):
        ax = plot.plot_paths(X, y, loss, {"batch": self.slow}, theta0=0, ax=axes_for(1))
        best = ax.lines[-1].get_xydata()[0]
        design = np.column_stack([np.ones(len(y)), X]) if np.ndim(X) == 1 else np.array(X)
        least = squared_error(np.linalg.lstsq(design, y)[0], design, y)
        assert squared_error(best, design, y) == pytest.approx(least, abs=1e-9)
        assert np.abs(best).max() < 4    # the nearest of the minima, so that the paths are seen

    def test_a_legend_of_long_names_leaves_the_contours(self):
        ax = plot.plot_paths(self.x, self.y, squared_error, {"a name " * 30: self.slow})
        assert ax.get_position().width > 0.2

    def test_tight_layout_has_nothing_to_say(self):
        ax = plot.plot_paths(self.x, self.y, squared_error, {"batch, with a longer name": self.slow})
        figure = ax.figure
        for layout in (lambda: None, plt.tight_layout):
            layout()    # a warning is an error here
            figure.canvas.draw()
            box = ax.get_tightbbox()    # with the legend
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1

    def test_a_layout_of_the_user_s(self):
        with plt.rc_context({"figure.constrained_layout.use": True}):
            ax = plot.plot_paths(self.x, self.y, squared_error, [self.slow])
            ax.figure.canvas.draw()
        assert ax.get_tightbbox().x1 <= ax.figure.bbox.x1

    def test_a_column_named_with_a_sign_of_mathematics(self):
        X = pd.DataFrame({r"$\nothing$": self.x})
        ax = plot.plot_paths(X, self.y, squared_error, [history_of([[0, 0], [1, 1]], ("intercept", r"$\nothing$"))])
        ax.figure.canvas.draw()
        assert ax.get_ylabel() == r"$\nothing$"

    @pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12, 1e-100, 1e100])
    @pytest.mark.parametrize("thetas", [
        [[1, 1.5]], [[1, 1.5], [1, 1.5]], [[0, 0]], [[0, 0], [0, 1.5]], [[1, 1.5], [1 + 1e-15, 1.5]], [[-3, 1e-13]]])
    @pytest.mark.parametrize("loss", [mse, squared_error])
    def test_paths_of_one_point(self, scale, thetas, loss):
        """The first is the minimum but for rounding, where the loss around a point differs by nothing else."""
        x = np.array([-1.0, 0, 1, 2])
        y = scale * (1 + 1.5 * x + [0.01, -0.01, -0.01, 0.01])
        one, several = history_of(scale * np.array(thetas)), history_of(scale * np.array([[2, 2], [2, 2]]))
        for results in ([one], [one, one], {"one": one, "other": several}):
            ax = plot.plot_paths(x, y, loss, results)
            ax.figure.canvas.draw()
            (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
            for line in ax.lines:
                assert (line.get_xydata() > (left, bottom)).all()
                assert (line.get_xydata() < (right, top)).all()
            assert len(ax.collections) == 2    # areas and lines of contours
            assert max(map(abs, (left, right, bottom, top))) < 100 * scale
            plt.close("all")

    @pytest.mark.parametrize("far", [0.0, 1e9, -1e12])
    def test_a_descent_that_arrives_in_one_step(self, far):
        x = np.array([-1.0, 0, 1, 2, 5])
        X, y = pd.DataFrame({"x": x}), far + 3 * x + [0.5, -0.5, 0.3, 0.1, -0.2]
        result = minimize(mse, None, y, "adaptive", X=X, fit_intercept=True, precondition="gram", history=True,
                          progress=False)
        assert result.nit <= 3
        ax = plot.plot_paths(X, y, mse, [result])
        ax.figure.canvas.draw()
        assert ax.get_xlim()[0] < result.intercept < ax.get_xlim()[1]
        assert ax.collections

    def test_a_run_without_updates_is_refused(self):
        with pytest.raises(ValueError, match="0 rows"):
            plot.plot_paths(self.x, self.y, mse, [history_of(np.empty((0, 2)))])

    def test_a_refused_argument_is_not_printed(self):
        for results in (np.zeros((500, 2)), pd.Series(range(500))):
            with pytest.raises(TypeError, match=r"Got \w+ of shape \(500.*\)\.$"):
                plot.plot_paths(self.x, self.y, mse, results)
        with pytest.raises(ValueError, match=r"Got list of length 3\.$"):
            plot.plot_paths(self.x, self.y, mse, [self.slow], theta0=[1, 2, 3])

    def test_a_flat_loss(self):
        plot.plot_paths(self.x, self.y, lambda theta, X, y: 1.0, [history_of([[0, 0]])])
        plt.gcf().canvas.draw()

    @pytest.mark.parametrize(("change", "error", "words"), [
        ({"X": np.ones((4, 3))}, ValueError, r"X.*\(4, 3\)"),
        ({"X": np.ones(3)}, ValueError, r"samples: \[3, 4\]"),
        ({"X": [1, 2, 3, np.nan]}, ValueError, "X.*NaN"),
        ({"y": [1, 2, 3, np.inf]}, ValueError, "y.*infinity"),
        ({"loss_fn": 3}, TypeError, "'loss_fn'.*callable"),
        ({"loss_fn": lambda theta, X, y: X}, TypeError, "loss_fn.*one number|one number"),
        ({"loss_fn": lambda theta, X, y: np.nan}, ArithmeticError, "NaN or infinite"),
        ({"results": slow}, TypeError, "'results'.*dict.*list"),
        ({"results": {}}, TypeError, "'results'.*dict.*list"),
        ({"results": {"batch": 3}}, TypeError, r"'results\['batch'\]'.*DescentResult"),
        ({"results": [run()]}, ValueError, r"'results\[.*two parameters"),
        ({"theta0": [1, 2, 3]}, ValueError, "'theta0'.*pair"),
        ({"ax": 3}, TypeError, "'ax'.*Axes"),
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


def test_plot_paths_without_rows():
    steps = pd.DataFrame({"update": [1], "alpha": 0.2, "x0": 1.0, "x1": 1.0})
    with pytest.raises(TypeError, match="Input X"):
        plot.plot_paths(None, [1.0, 2.0], fastgd.mse, {"batch": steps})


def test_paths_of_another_model_are_refused():
    tips = fastgd.datasets.load_tips()
    y, two, one = tips["tip"], tips[["total_bill", "size"]], tips[["size"]]
    runs = [fastgd.minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=X is one, tol=1e-6, history=True,
                            stop="loss") for X in (two, one)]
    with pytest.raises(ValueError, match=r"'results\['run 1'\]'.*two features.*intercept"):
        plot.plot_paths(two, y, fastgd.mse, [runs[1]])
    with pytest.raises(ValueError, match=r"total_bill.* size"):
        plot.plot_paths(tips[["total_bill"]], y, fastgd.mse, {"mine": runs[1]})
    assert plt.get_fignums() == []
