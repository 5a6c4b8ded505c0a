"""Yield the lines that `python -m fastgd` prints: the report on the tips data, and on one descent."""
from __future__ import annotations

import functools
import timeit
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fastgd
from fastgd import reference
from fastgd.losses import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from fastgd._types import DoubleArray
    from fastgd.losses import Loss

THETAS = np.arange(12, 18, 0.1)
#: Points of the textbook's first example.
FIVE_POINTS = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
GRID_POINTS = np.array([12.0, 13, 15, 16, 17])
COURSE_STOCHASTIC = {
    (None, "mse", 0.2): "17.5755", (None, "mse", 0.01): "15.1916",
    (None, "huber_loss", 0.2): "13.9750", (None, "huber_loss", 0.01): "5.8813",
    (10, "mse", 0.2): "14.9369", (10, "mse", 0.01): "15.2600",
    (10, "huber_loss", 0.2): "14.3467", (10, "huber_loss", 0.01): "10.5498",
}


class Run(NamedTuple):
    """A descent of the constant model on `values`, compiled or in plain numpy."""

    loss: Loss
    values: DoubleArray
    alpha: float | str = 0.2
    method: str = "batch"
    batch_size: int | None = 10
    seed: int = 0
    epochs: int = 1000

    def answer(self) -> tuple[fastgd.DescentResult[float], list[str]]:
        """Run the compiled descent; return its result and warnings."""
        run, _ = self._functions()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = run(full_output=True)
        return result, [str(warning.message) for warning in caught]

    def times(self, n_updates: int) -> tuple[float, float]:
        """Time the compiled descent and the numpy loop, both of `n_updates`, in seconds."""
        run, slow_run = self._functions()
        if self.method == "batch":    # the numpy loop does not stop at a cycle
            run, slow_run = (functools.partial(f, max_iter=n_updates) for f in (run, slow_run))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _best_time(run), _best_time(slow_run, most=0.5)

    def _functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Bind the arguments of the compiled descent and of its numpy counterpart."""
        slow_gradient = functools.partial(getattr(reference, f"grad_{self.loss.__name__}"), **self.loss.parameters)
        compiled, plain = (self.loss, self.loss.gradient, self.values), (None, slow_gradient, self.values)
        name = {"batch": "minimize", "sgd": "minimize_sgd", "mini-batch": "minimize_mini_batch"}[self.method]
        fast, slow = getattr(fastgd, name), getattr(reference, name)
        if self.method == "batch":
            return (functools.partial(fast, *compiled, self.alpha, progress=False),
                    functools.partial(slow, *plain, progress=False, **self._slow_options()))
        size = () if self.method == "sgd" else (self.batch_size,)
        state = np.random.RandomState()

        def run(**options: Any) -> Any:
            state.seed(self.seed)
            return fast(*compiled, *size, alpha=self.alpha, rng=state, max_epochs=self.epochs, **options)

        def slow_run() -> Any:
            state.seed(self.seed)
            return slow(*plain, *size, rng=state, max_epochs=self.epochs, **self._slow_options())

        return run, slow_run

    def _slow_options(self) -> dict[str, float | str]:
        """Return the learning rate of the numpy loops, which have no "auto" or "adaptive"."""
        if self.alpha == "adaptive":    # an update costs the same at any rate, and at rate 0 it does not diverge
            return {"alpha": 0.0}
        return {"alpha": 1 / self.loss.max_curvature if self.alpha == "auto" else self.alpha}


def on_column(run: Run, source: str, compare: bool = False) -> Generator[str, None, bool]:
    """Yield the lines about one descent; return True if it converged.

    `source` describes the points. With `compare` the numpy loop is timed after the answer, which can take a hundred
    times as long.
    """
    result, notes = run.answer()
    with np.errstate(over="ignore"):    # the mean of numbers near the largest may be infinite
        mean, median = run.values.mean(), np.median(run.values)
    yield f"{source}, mean {mean:.6g}, median {median:.6g}"
    yield (f"{run.method}, {run.loss!r}: theta {result.x:.10g}, loss {result.fun:.6g}, slope left {result.jac:.3g}, "
           f"{result.nit} updates")
    yield from notes or [result.message]
    if compare:
        compiled, slow = run.times(result.nit)
        yield f"compiled {_seconds(compiled)}, numpy {_seconds(slow)}, ratio {_ratio(slow / compiled)}"
    return result.success


def on_tips() -> Iterator[str]:
    """Yield the lines about each loss on the tips data, beside the course's figures; each row when it is timed."""
    pcttip = fastgd.datasets.load_tips()["pcttip"].to_numpy()
    yield f"fastgd {fastgd.__version__}: tips, {len(pcttip)} restaurant bills; pcttip = tip / total_bill * 100"
    yield ""
    yield f"mean   {pcttip.mean():.4f}  (course: 16.08)"
    yield f"median {np.median(pcttip):.4f}  (course: 15.48)"
    yield ""
    yield "Each loss on pcttip (cross_entropy: on pcttip / 100, theta a log-odds), alpha 0.2, from 0:"
    yield ""
    yield from _each_loss(pcttip)
    yield ""
    yield from _stochastic(pcttip)
    yield ""
    yield from _known_answers(pcttip)


def _each_loss(pcttip: DoubleArray) -> Iterator[str]:
    """Yield a row for each loss: the best theta of a grid, and batch descent."""
    columns = [_names("loss", REGISTRY), _Column("grid", 10, ".2f"), _Column("course", 8),
               _Column("descent", 11, ".4f"), _Column("course", 9), *_TIMES]
    yield _headings(columns)
    notes = []
    for name, loss in REGISTRY.items():
        values, thetas = (pcttip / 100, THETAS - 15) if name == "cross_entropy" else (pcttip, THETAS)
        run = Run(loss, values)
        result, warned = run.answer()
        grid = fastgd.simple_minimize(loss, values, thetas)
        if grid in (thetas[0], thetas[-1]):
            notes.append(f"{name}: {grid:.2f} is the end of the grid, not a minimum")
        notes += [f"{name}: {note}" for note in warned]
        course = ("15.50", "15.5068") if name == "huber_loss" else ("-", "-")
        yield _row(columns, name, grid, course[0], result.x, course[1], *_time_cells(run, result.nit))
    if notes:
        yield ""
        yield from notes


def _stochastic(pcttip: DoubleArray) -> Iterator[str]:
    """Yield the course's stochastic rows, which stop at the first short step, and those of batch size 100."""
    yield "Stochastic descent on pcttip after np.random.seed(0), by the course's rule: stop at the first short step"
    yield ""
    losses = ("mse", "huber_loss")
    columns = [_Column("method", 16, align="<"), _names("loss", losses), _Column("alpha", 6),
               _Column("theta", 11, ".4f"), _Column("course", 10), _Column("minimum", 11, ".4f"), *_TIMES]
    yield _headings(columns)
    for method, size in (("sgd", None), ("mini-batch", 10), ("mini-batch", 100)):
        for name in losses:
            loss = REGISTRY[name]
            best = fastgd.minimize(loss, loss.gradient, pcttip, progress=False, tol=1e-10)
            for alpha in (0.2, 0.01):
                run = Run(loss, pcttip, alpha, method, size)
                result, _ = run.answer()
                course = COURSE_STOCHASTIC.get((size, name, alpha), "-")
                yield _row(columns, f"{method} {size or ''}", name, alpha, result.x, course, best,
                           *_time_cells(run, result.nit))
    rate = fastgd.schedules.inverse_scaling(2, 0.75)
    good = fastgd.minimize_sgd(fastgd.huber_loss, fastgd.grad_huber_loss, pcttip, rate, rng=0, stop="epoch",
                               average=True, tol=1e-4)
    yield ""
    yield f"sgd on huber_loss with stop='epoch', average=True, alpha={rate}: {good:.4f}"


def _known_answers(pcttip: DoubleArray) -> Iterator[str]:
    """Yield the numbers that the course prints, beside those of fastgd."""
    mse, huber = fastgd.mse, fastgd.huber_loss
    rows = [
        ("simple_minimize(mse, [12, 13, 15, 16, 17])", 14.59999999999999,
         fastgd.simple_minimize(mse, GRID_POINTS, THETAS)),
        ("simple_minimize(huber_loss, [12, 13, 15, 16, 17])", 14.99999999999999,
         fastgd.simple_minimize(huber, GRID_POINTS, THETAS)),
        ("simple_minimize(huber_loss, pcttip)", 15.499999999999988, fastgd.simple_minimize(huber, pcttip, THETAS)),
        ("minimize(mse, [12.1, 12.8, 14.9, 16.3, 17.2])", 14.658511131035242,
         fastgd.minimize(mse, mse.gradient, FIVE_POINTS, progress=False)),
        ("minimize(huber_loss, pcttip)", 15.506849531471964,
         fastgd.minimize(huber, huber.gradient, pcttip, progress=False)),
    ]
    columns = [_names("The course printed", [call for call, _, _ in rows]), _Column("course", 25),
               _Column("fastgd", 25), _Column("  same bits", 11, align="<")]
    yield _headings(columns)
    for call, course, answer in rows:
        yield _row(columns, call, course, answer, "  yes" if course == answer else "  no")


class _Column(NamedTuple):
    """A column of fixed width in a table that is printed row by row."""

    heading: str
    width: int
    form: str | Callable[[Any], str] = ""
    align: str = ">"

    def cell(self, value: Any) -> str:
        """Format a value in the column's width; a number that is too wide is rounded to two digits."""
        text = self.form(value) if callable(self.form) else format(value, self.form)
        if len(text) >= self.width and self.form:
            text = f"{value:.2g}"
        return f"{text:{self.align}{self.width}}"


def _names(heading: str, names: Any) -> _Column:
    """Make a column of names, with a space after the longest."""
    return _Column(heading, 1 + max(map(len, (heading, *names))), align="<")


def _headings(columns: list[_Column]) -> str:
    """Format the first line of a table."""
    return "".join(f"{column.heading:{column.align}{column.width}}" for column in columns).rstrip()


def _row(columns: list[_Column], *values: Any) -> str:
    """Format a row of a table."""
    return "".join(column.cell(value) for column, value in zip(columns, values, strict=True)).rstrip()


def _time_cells(run: Run, n_updates: int) -> tuple[int, float, float, float]:
    """Compute the cells of the columns `_TIMES`."""
    compiled, slow = run.times(n_updates)
    return n_updates, compiled, slow, slow / compiled


def _best_time(function: Callable[[], object], most: float = 2.0) -> float:
    """Time the fastest of several calls in seconds; a call that takes more than `most` is made once."""
    timer = timeit.Timer(function)
    once = timer.timeit(1)
    if once > most:
        return once
    calls = max(1, int(0.02 / max(once, 1e-7)))
    return min(timer.repeat(5, calls)) / calls


def _seconds(time: float) -> str:
    """Format a time with three digits and its unit."""
    time = float(f"{time:.3g}")    # 999.6 us are 1 ms
    unit, size = next(((unit, size) for unit, size in (("s", 1), ("ms", 1e-3)) if time >= size), ("us", 1e-6))
    number = time / size
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


def _ratio(ratio: float) -> str:
    """Format how many times faster the compiled descent is."""
    return f"{ratio:.0f}x" if ratio >= 1 else f"{ratio:.2g}x"


_TIMES = (_Column("updates", 9, "d"), _Column("compiled", 11, _seconds), _Column("numpy", 11, _seconds),
          _Column("ratio", 9, _ratio))
