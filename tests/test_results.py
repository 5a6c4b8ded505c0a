"""DescentResult: what it predicts, names, shows and equals."""
import copy
import dataclasses
import pickle
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from helpers import TIPS, quiet, rows

import fastgd
from fastgd import minimize, minimize_sgd


def test_predictions_of_rows():
    X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
    for intercept in (False, True):
        result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=intercept, tol=1e-7,
                          full_output=True)
        rest = result.x[1:] if intercept else result.x
        expected = X.to_numpy(float) @ rest + (result.x[0] if intercept else 0)
        for data in (X, X.to_numpy(), X.astype(np.float32)):
            assert result.predict(data) == pytest.approx(expected, rel=1e-6)
        assert result.fun == pytest.approx(np.mean((y - expected) ** 2))
    with pytest.raises(ValueError, match="X has 3 features, but DescentResult is expecting 2 features as input"):
        result.predict(np.ones((4, 3)))
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        result.predict(X[["size", "total_bill"]])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        result.predict([[np.nan, 1]])


def test_the_constant_model_predicts_too(five_points):
    result = minimize(fastgd.mse, None, five_points, progress=False, full_output=True)
    assert np.array_equal(result.predict(np.ones((3, 2))), [result.x] * 3)


@quiet
def test_features_are_named_in_repr_and_history():
    X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
    result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=True, history=True, tol=1e-7)
    assert result.success
    assert result.feature_names == ("total_bill", "size")
    assert list(result.history.columns) == ["update", "alpha", "intercept", "total_bill", "size"]
    assert np.array_equal(result.history.iloc[-1, 2:].to_numpy(float), result.x)
    assert len(result.history) == result.nit
    plain = minimize_sgd(fastgd.mse, None, y, 1e-4, X=X.to_numpy(), rng=0, history=True, max_epochs=2, tol=0)
    assert plain.feature_names is None
    assert list(plain.history.columns) == ["update", "alpha", "x0", "x1"]
    assert len(plain.history) == 2 * 244
    assert np.array_equal(plain.history.iloc[-1, 2:].to_numpy(), plain.x)
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    assert again != plain


@quiet
def test_names_that_collide_are_numbered():
    X, y = rows(50, 4)
    frame = pd.DataFrame(X, columns=["alpha", "intercept", "a", "a"])
    history = minimize(fastgd.mse, None, y, 0.1, False, X=frame, fit_intercept=True, history=True,
                       max_iter=3).history
    assert list(history.columns) == ["update", "alpha", "intercept", "alpha_2", "intercept_2", "a", "a_2"]


def test_equal_results_agree_in_every_field_but_the_history():
    X, y = rows(50, 2)
    result = minimize(fastgd.mse, None, y, 0.1, False, X=X, full_output=True)
    for field, value in (("x", result.x + 1), ("fun", 0.0), ("jac", result.jac + 1), ("nit", 1), ("status", 1),
                         ("feature_names", ("a", "b")), ("fit_intercept", True)):
        assert dataclasses.replace(result, **{field: value}) != result, field
    assert dataclasses.replace(result, history=pd.DataFrame()) == result
    assert result != 3


def of_names(names, intercept=False, **fields):
    """The result of a linear model with features of these names, of which feature k has the weight k - 1.5."""
    x = np.arange(len(names) + intercept) - 1.5 - intercept
    result = fastgd.DescentResult(x, 0.5, x / 1000, 7, True, 0, "done", None, tuple(names), intercept)
    return dataclasses.replace(result, **fields)


class TestCoef:
    def test_has_the_names_of_the_features_and_leaves_the_intercept_out(self):
        for intercept in (False, True):
            result = of_names(["b", "a", "b"], intercept)
            assert result.coef.equals(pd.Series([-1.5, -0.5, 0.5], index=["b", "a", "b"]))
            assert result.intercept == (-2.5 if intercept else 0.0)
            assert type(result.intercept) is float
            bare = dataclasses.replace(result, feature_names=None)
            assert list(bare.coef.index) == ["x0", "x1", "x2"]

    @pytest.mark.parametrize("columns", [
        [0, 1], pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", "l"]), pd.Index([2.5, "b"], name="what"),
        pd.to_datetime(["2020-01-01", "2021-01-01"])])
    def test_has_the_columns_as_they_are(self, columns):
        rng = np.random.default_rng(0)
        X = pd.DataFrame(rng.normal(size=(30, 2)), columns=columns)
        result = minimize(fastgd.mse, None, X @ [1.0, 2.0], "auto", False, X=X, tol=1e-9, full_output=True)
        assert result.coef.index.equals(X.columns)
        assert result.coef.index.names == X.columns.names
        assert (X @ result.coef).to_numpy() == pytest.approx(result.predict(X))
        assert result.feature_names == tuple(map(str, X.columns))
        assert pickle.loads(pickle.dumps(result)).coef.index.equals(X.columns)

    def test_is_a_copy(self):
        result = of_names(["a"])
        assert not np.shares_memory(result.coef.to_numpy(), result.x)

    def test_the_constant_model_has_an_intercept_alone(self, five_points):
        result = minimize(fastgd.mse, None, five_points, progress=False, full_output=True)
        assert result.intercept == result.x
        assert not hasattr(result, "coef")
        with pytest.raises(AttributeError, match=r"coef.*result\.x"):
            result.coef    # noqa: B018


class TestOneNumber:
    def test_is_formatted_and_rounded_as_a_float(self, five_points):
        result = minimize(fastgd.mse, None, five_points, progress=False, full_output=True)
        assert f"{result:.2f} {result:>8.3}" == "14.66     14.7"
        assert f"{result}" == str(result)
        assert (round(result, 2), round(result)) == (14.66, 15)
        assert (type(round(result, 2)), type(round(result))) == (float, int)

    @pytest.mark.parametrize("names", [["a"], ["a", "b"]])
    def test_is_not_what_a_linear_model_has(self, names):
        result = of_names(names)
        assert f"{result}" == str(result)
        for take in (float, round, lambda result: round(result, 2), lambda result: f"{result:.2f}"):
            with pytest.raises(TypeError, match=rf"array of {len(names)}. Use result.coef.round\(2\)"):
                take(result)


class TestRepr:
    def test_of_few_features_is_a_table_with_one_a_line(self):
        text = repr(of_names(["total_bill", "size"], True, history=pd.DataFrame({"update": [1, 2]})))
        assert text.startswith("""\
       x: intercept  -2.5
          total_bill -1.5
          size       -0.5
     fun: 0.5
     jac: [-0.0025 -0.0015 -0.0005]
     nit: 7
""")
        assert text.endswith("\n history: DataFrame of 2 updates")

    def test_of_many_features_has_them_in_columns(self):
        lines = repr(of_names([f"f{k}" for k in range(200)])).splitlines()
        assert max(map(len, lines)) <= 120
        table = " ".join(lines[:lines.index("     fun: 0.5")]).split()[1:]
        assert dict(zip(table[::2], map(float, table[1::2]), strict=True)) == {f"f{k}": k - 1.5 for k in range(200)}
        assert [line[10:14].strip() for line in lines[:3]] == ["f0", "f1", "f2"]
        assert len(lines) < 60

    def test_of_long_names_wraps_them(self):
        names = ["word " * 40, "x" * 300, "", "a\nb", f"{'y' * 47} {'z' * 47}"] * 5
        lines = repr(of_names(names)).splitlines()
        assert max(map(len, lines)) <= 120
        table = "".join("".join(lines[:lines.index("     fun: 0.5")]).split())
        assert table == "x:" + "".join("".join(f"{name}{k - 1.5}".split()) for k, name in enumerate(names))


class _Cells(HTMLParser):
    """The texts of the cells of a page, row by row; fails on a tag that is not closed."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags, self.open = [], set(), []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.rows[-1][-1] += data


class TestHtml:
    def test_of_a_linear_model_has_its_parameters_and_escapes_their_names(self):
        result = of_names(["<b>", "a&amp;b"], True, history=pd.DataFrame({"update": [1, 2]}), message="x < 1 & <i>")
        cells = _Cells(result._repr_html_())
        assert cells.rows == [
            ["status", "0, success"], ["message", "x < 1 & <i>"], ["fun", "0.5"], ["nit", "7"],
            ["history", "DataFrame of 2 updates"], ["", "x", "jac"], ["intercept", "-2.5", "-0.0025"],
            ["<b>", "-1.5", "-0.0015"], ["a&amp;b", "-0.5", "-0.0005"]]
        assert cells.tags == {"table", "thead", "tbody", "tr", "th", "td"}

    def test_of_the_constant_model_and_of_a_failure(self):
        result = fastgd.DescentResult(2.0, 0.5, 0.25, 7, False, 1, "not done")
        assert _Cells(result._repr_html_()).rows == [
            ["status", "1, no success"], ["message", "not done"], ["fun", "0.5"], ["nit", "7"], ["x", "2.0"],
            ["jac", "0.25"]]

    def test_of_what_a_callback_sees(self):
        seen = []
        minimize(fastgd.mse, None, TIPS["tip"], "auto", False, X=TIPS[["size"]], callback=seen.append)
        assert _Cells(seen[0]._repr_html_()).rows[4:] == [["", "x"], ["size", f"{seen[0].x[0]:.6g}"]]
        assert repr(seen[0]).startswith(f"       x: size  {seen[0].x[0]:.6g}\n")
        assert "\n     jac: None\n" in repr(seen[0])


def test_results_are_copied_and_pickled_with_their_parameters():
    result = of_names(["a", "b"], True)
    for other in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert other == result
        assert other.coef.equals(result.coef)
        assert repr(other) == repr(result)


def test_many_parameters_are_shortened_as_pandas_does_it():
    X = np.random.default_rng(0).normal(size=(5, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fastgd.minimize(fastgd.mse, None, X[:, 0], 1e-6, False, X=X, full_output=True, max_iter=1)
    assert len(repr(result)) < 5_000
    assert "x0 " in repr(result)
    assert "x9999 " in repr(result)
    assert "... 9940 more" in repr(result)
    assert len(result._repr_html_()) < 20_000
    assert "<th>x9999</th>" in result._repr_html_()
