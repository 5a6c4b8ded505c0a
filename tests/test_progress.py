import sys

import numpy as np
import pytest

import fastgd
from fastgd._progress import Bar, Lines, progress_display


@pytest.mark.parametrize(("progress", "kind"), [
    (False, type(None)), (np.False_, type(None)), (True, Lines), (np.True_, Lines), ("bar", Bar),
    (np.str_("bar"), Bar)])
def test_the_displays(progress, kind):
    assert type(progress_display(progress, 10)) is kind


@pytest.mark.parametrize("progress", [None, "bars", b"bar", 2, np.array([1, 2]), np.array(["bar"]), [], {}])
def test_what_is_no_display(progress):
    with pytest.raises(ValueError, match="'progress' parameter must be True, False or 'bar'"):
        progress_display(progress, 10)


def test_a_bar_is_drawn_when_there_is_something_to_show(capsys):
    pytest.importorskip("tqdm")
    for bad in ([], [1.0, np.nan], ["a"]):
        with pytest.raises((TypeError, ValueError)):
            fastgd.minimize(fastgd.mse, fastgd.grad_mse, bad, progress="bar")
    bar = progress_display("bar", 3)
    bar.close()
    assert capsys.readouterr() == ("", "")
    bar.show(1.0, 2.0)
    bar.show(1.5, 0.25)
    bar.close()
    assert "2/3" in capsys.readouterr().err.replace(" ", "").replace("updates", "")


def test_a_bar_without_tqdm_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        progress_display("bar", 10)
