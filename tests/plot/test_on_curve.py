"""What all pictures have in common: what they take and refuse, where they draw, and what they leave behind."""
import doctest
import functools
import inspect
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pictures import FIVE, Figure, alone, axes_for, matplotlib, plt, run

from fastgd import grad_mse, mse, plot
from fastgd.__main__ import main

pytestmark = [alone]

def mse_in_python(theta, dataset):
    return np.mean((np.asarray(dataset) - theta) ** 2)


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


def assert_nothing_is_cut_off(figure):
    figure.canvas.draw()
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


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
        assert_nothing_is_cut_off(figure)

    def test_tight_layout_has_nothing_to_say(self, name, capsys):
        CALLS[name][1](FIVE, mse)
        plt.tight_layout()    # a warning is an error here
        assert_nothing_is_cut_off(plt.gcf())

    def test_a_layout_of_the_user_s(self, name, capsys):
        with matplotlib.rc_context({"figure.constrained_layout.use": True}):
            CALLS[name][1](FIVE, mse)
            assert_nothing_is_cut_off(plt.gcf())

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
        ([[1.0, 2.0]], ValueError, r"dataset.*shape \(1, 2\)|y.*shape \(1, 2\)"),
        ([], ValueError, "0 sample"),
        (["a"], TypeError, "real numbers"),
        (None, TypeError, "real numbers"),
    ])
    def test_wrong_points(self, name, y, error, words):
        with pytest.raises(error, match=words):
            CALLS[name][1](y, mse)
        assert plt.get_fignums() == []

    @pytest.mark.parametrize(("loss", "words"), [
        ("mse", "'loss_fn'.*'mse' of type str"),
        (type(mse), "SquaredError is a class"),
        (lambda theta, y: np.zeros(3), "loss_fn.*one number"),
    ])
    def test_wrong_loss(self, name, loss, words):
        if name != "plot_histogram":    # it takes no loss
            with pytest.raises(TypeError, match=words):
                CALLS[name][1](FIVE, loss)
        assert plt.get_fignums() == []

    @pytest.mark.parametrize("ax", ["here", Figure(), [1, 2], Figure().subplots(1, 3)])
    def test_wrong_axes(self, name, ax):
        with pytest.raises(TypeError, match=r"'ax'.*matplotlib Axes"):
            CALLS[name][1](FIVE, mse, ax=ax)


def paths(**ax):
    steps = pd.DataFrame({"update": [1, 2], "alpha": 0.1, "intercept": [0.0, 1.0], "x0": [1.0, 1.5]})
    return plot.plot_paths([-1, 0, 1, 2], [1, 3, 4, 8], mse, {str(k): steps for k in range(7)}, **ax)


EVERY = {**{name: functools.partial(call, FIVE, mse) for name, (_, call) in CALLS.items()}, "plot_paths": paths}


def contrast(color, other):
    """That of WCAG 2: 1 for equal colours, 21 for black on white."""
    def luminance(color):
        linear = np.array(matplotlib.colors.to_rgb(color))
        linear = np.where(linear <= 0.03928, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722) + 0.05

    one, two = luminance(color), luminance(other)
    return max(one, two) / min(one, two)


def on_a_dark_style(draw, count):
    with plt.style.context("dark_background"):
        return draw()


def on_dark_axes(draw, count):
    return draw(ax=dark(count))


def on_transparent_axes(draw, count):
    given = dark(count)
    for ax in np.ravel(given):
        ax.set_facecolor("none")
    return draw(ax=given)


def dark(count):
    given = Figure(facecolor="black").subplots(1, count)
    for ax in np.ravel(given):
        ax.set_facecolor("black")
    return given


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("place", [on_a_dark_style, on_dark_axes, on_transparent_axes])
def test_every_line_is_seen_on_a_dark_background(name, place, capsys):
    count = CALLS[name][0] if name in CALLS else 1
    axes = np.ravel(place(EVERY[name], count))
    axes[0].figure.canvas.draw()
    insets = [inset for ax in axes for inset in ax.child_axes]
    for ax in [*axes, *insets]:
        for line in ax.lines:
            colors = line.get_color(), line.get_markeredgecolor(), line.get_markerfacecolor()
            assert max(contrast(color, "black") for color in colors if color != "none") > 2.5, line.get_label()
        if (key := ax.get_legend()) is not None:
            face = key.get_frame().get_facecolor() if key.get_frame_on() else (0, 0, 0)
            for text in key.get_texts():
                assert contrast(text.get_color(), face) > 4
            for line in key.get_lines():
                assert max(contrast(color, face) for color in (line.get_color(), line.get_markeredgecolor())) > 2
    for inset in insets:
        assert all(contrast(label.get_color(), "black") > 4 for label in (*inset.get_xticklabels(), inset.title))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("projection", ["polar", "3d", "mollweide"])
def test_axes_that_are_not_cartesian_are_refused(name, projection, capsys):
    count = CALLS[name][0] if name in CALLS else 1
    given = Figure().subplots(1, count, subplot_kw={"projection": projection})
    with pytest.raises(TypeError, match=f"'ax'.*Cartesian.*'{projection}'"):
        EVERY[name](ax=given)
    if count == 2:
        figure = Figure()
        with pytest.raises(TypeError, match="Cartesian"):
            EVERY[name](ax=[figure.add_subplot(121), figure.add_subplot(122, projection=projection)])
    assert not any(ax.has_data() for ax in np.ravel(given))
    assert plt.get_fignums() == []


def test_refused_axes_are_not_printed():
    with pytest.raises(TypeError, match=r"Axes.*ndarray of shape \(2, 20\)\.$"):
        plot.plot_loss(FIVE, (11, 18), mse, ax=Figure().subplots(2, 20))
    with pytest.raises(TypeError, match=r"pair.*list of length 50\.$"):
        plot.plot_descent(run(), mse, FIVE, ax=[1] * 50)


def test_no_legend_lies_on_the_data(capsys):
    axes = [plot.plot_one_gd_iter(FIVE, 12, mse, grad_mse), plot.plot_tangent_on_loss(FIVE, 12, mse, ax=axes_for(1)),
            plot.plot_descent(run(), mse, FIVE, label="run")[1]]
    for ax in axes:
        ax.figure.canvas.draw()
        box = ax.get_legend().get_window_extent()
        for line in ax.lines:
            assert not any(box.contains(*place) for place in ax.transData.transform(line.get_xydata()))


@pytest.mark.parametrize("name", plot.__all__)
def test_examples_in_docstrings(name):
    function = getattr(plot, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, name, inspect.getmodule(function))
    failed, attempted = doctest.DocTestRunner().run(example)
    assert failed == 0 < attempted


def in_a_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_matplotlib_is_imported_when_it_is_used():
    code = "import sys; from fastgd import plot; print('matplotlib' in sys.modules)"
    assert in_a_new_process(code) == "False"


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
    assert "pip install 'fastgd[plot]'" in captured.err


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
        assert captured.err.startswith("fastgd: error: ")
        assert captured.err.endswith(f"{place}: File exists\n")

    def test_no_other_options(self, capsys, tmp_path):
        assert main(["--pictures", str(tmp_path), "--column", "tip", "--batch-size", "3"]) == 2
        assert re.match("fastgd: error: .*--column, --batch-size.*--pictures", capsys.readouterr().err)
        assert list(tmp_path.iterdir()) == []
