"""`python -m fastgd`: the course's answers on the tips data, its pictures, or a descent on a column of your own."""
from __future__ import annotations

import argparse
import functools
import os
import sys
import timeit
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

import fastgd
from fastgd import reference
from fastgd.losses import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastgd._types import DoubleArray
    from fastgd.losses import Loss

THETAS = np.arange(12, 18, 0.1)
FIVE_POINTS = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
GRID_POINTS = np.array([12.0, 13, 15, 16, 17])
COURSE_STOCHASTIC = {
    (None, "mse", 0.2): "17.5755", (None, "mse", 0.01): "15.1916",
    (None, "huber_loss", 0.2): "13.9750", (None, "huber_loss", 0.01): "5.8813",
    (10, "mse", 0.2): "14.9369", (10, "mse", 0.01): "15.2600",
    (10, "huber_loss", 0.2): "14.3467", (10, "huber_loss", 0.01): "10.5498",
}
LOSSES = {name.removesuffix("_loss"): loss for name, loss in REGISTRY.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.pictures is not None:
            _write_pictures(options)
        else:
            print(_report_on_column(options) if _names_a_run(options) else _report_on_tips())
    except (ImportError, OSError, TypeError, ValueError) as error:
        return _fail(error, 2)
    except fastgd.DivergenceError as error:
        return _fail(error, 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastgd", description=(
        "Without options: every loss on the tips data, beside the course's figures. "
        "With --pictures: the course's pictures. With other options: one descent on one column."))
    parser.add_argument("--data", metavar="FILE.csv", help="a csv file with a header (default: the tips data)")
    parser.add_argument("--column", metavar="NAME", help="the column of numbers (default for the tips data: pcttip)")
    parser.add_argument("--loss", choices=sorted(LOSSES), help="default: huber")
    parser.add_argument("--alpha", type=float, help="learning rate (default: 0.2)")
    parser.add_argument("--delta", type=float, help="where the Huber loss turns linear (default: 1)")
    parser.add_argument("--method", choices=["batch", "sgd", "mini-batch"], help="default: batch")
    parser.add_argument("--batch-size", type=int, metavar="N", help="points in a mini-batch (default: 10)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the shuffles (default: 0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the data at most (default: 1000)")
    parser.add_argument("--pictures", metavar="DIR", help="write the course's pictures to this folder, as PNG")
    return parser


def _write_pictures(options: argparse.Namespace) -> None:
    others = [f"--{name.replace('_', '-')}" for name, value in vars(options).items()
              if value is not None and name != "pictures"]
    if others:
        raise ValueError(f"{', '.join(others)} cannot be used with --pictures")
    from fastgd._pictures import write_pictures

    for path in write_pictures(options.pictures):
        print(path)


def _names_a_run(options: argparse.Namespace) -> bool:
    return any(value is not None for value in vars(options).values())


def _fail(error: Exception, code: int) -> int:
    message = " ".join(str(error).split())
    print(f"fastgd: error: {message}", file=sys.stderr)
    return code


def _best_time(function: Callable[[], object], most: float = 2.0) -> float:
    """Seconds of the fastest of several calls; of one if it takes longer than `most`."""
    timer = timeit.Timer(function)
    once = timer.timeit(1)
    if once > most:
        return once
    calls = max(1, int(0.02 / max(once, 1e-7)))
    return min(timer.repeat(5, calls)) / calls


def _seconds(time: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return f"{time / 1e-6:.3g} us"


def _descend(loss: Loss, values: DoubleArray, alpha: float, method: str = "batch", batch_size: int | None = 10,
             seed: int = 0, epochs: int = 1000) -> tuple[fastgd.DescentResult[float], list[str], float, float]:
    """The result, the warnings, and the times of the compiled descent and of the numpy loop with as many updates."""
    run, slow_run = _runs(loss, values, alpha, method, batch_size, seed, epochs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(full_output=True)
        notes = [str(warning.message) for warning in caught]
        if method == "batch":    # the numpy loop knows no cycle, and would go on
            run, slow_run = (functools.partial(f, max_iter=result.nit) for f in (run, slow_run))
        compiled = _best_time(run)
        in_numpy = _best_time(slow_run, most=0.5)
    return result, notes, compiled, in_numpy


def _runs(loss: Loss, values: DoubleArray, alpha: float, method: str, batch_size: int | None, seed: int,
          epochs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The descent and its numpy twin, to be called with further options."""
    name, parameters = loss.__name__, loss.parameters
    slow_gradient = functools.partial(getattr(reference, f"grad_{name}"), **parameters)
    own, plain = (loss, loss.gradient, values), (None, slow_gradient, values)
    if method == "batch":
        return (functools.partial(fastgd.minimize, *own, alpha, progress=False),
                functools.partial(reference.minimize, *plain, alpha, progress=False))
    fast: Callable[..., Any]
    fast, slow = ((fastgd.minimize_sgd, reference.minimize_sgd) if method == "sgd" else
                  (fastgd.minimize_mini_batch, reference.minimize_mini_batch))
    arguments = (alpha,) if method == "sgd" else (batch_size, alpha)
    state = np.random.RandomState()

    def run(**options: Any) -> Any:
        state.seed(seed)
        return fast(*own, *arguments, rng=state, max_epochs=epochs, **options)

    def slow_run() -> Any:
        state.seed(seed)
        return slow(*plain, *arguments, rng=state, max_epochs=epochs)

    return run, slow_run


def _report_on_tips() -> str:
    pcttip = fastgd.datasets.load_tips()["pcttip"].to_numpy()
    lines = [
        f"fastgd {fastgd.__version__}: tips, {len(pcttip)} restaurant bills; pcttip = tip / total_bill * 100",
        "",
        f"mean   {pcttip.mean():.4f}  (course: 16.08)",
        f"median {np.median(pcttip):.4f}  (course: 15.48)",
        "",
        "Each loss on pcttip (cross_entropy: on pcttip / 100, theta a log-odds), alpha 0.2, from 0:",
        "",
        f"{'loss':<14}{'grid':>8}{'course':>8}{'descent':>10}{'course':>9}{'updates':>9}"
        f"{'compiled':>11}{'numpy':>10}{'ratio':>8}",
    ]
    notes = []
    for name, loss in REGISTRY.items():
        values, thetas = (pcttip / 100, THETAS - 15) if name == "cross_entropy" else (pcttip, THETAS)
        result, said, compiled, slow = _descend(loss, values, 0.2)
        grid = fastgd.simple_minimize(loss, values, thetas)
        if grid in (thetas[0], thetas[-1]):
            notes.append(f"{name}: {grid:.2f} is the end of the grid, and no minimum")
        course = ("15.50", "15.5068") if name == "huber_loss" else ("-", "-")
        lines.append(f"{name:<14}{grid:>8.2f}{course[0]:>8}{result.x:>10.4f}{course[1]:>9}{result.nit:>9}"
                     f"{_seconds(compiled):>11}{_seconds(slow):>10}{slow / compiled:>7.0f}x")
        notes += [f"{name}: {note}" for note in said]
    if notes:
        lines += ["", *notes]
    return "\n".join([*lines, "", *_stochastic(pcttip), "", *_known_answers(pcttip)])


def _stochastic(pcttip: DoubleArray) -> Iterator[str]:
    """The course's stochastic rows, which stop at a lucky point, and size 100."""
    yield "Stochastic descent on pcttip after np.random.seed(0), by the course's rule: stop at the first short step"
    yield ""
    yield (f"{'method':<16}{'loss':<12}{'alpha':>6}{'theta':>10}{'course':>10}{'minimum':>10}{'updates':>9}"
           f"{'compiled':>11}{'numpy':>10}{'ratio':>8}")
    for method, size in (("sgd", None), ("mini-batch", 10), ("mini-batch", 100)):
        for name in ("mse", "huber_loss"):
            loss = REGISTRY[name]
            best = fastgd.minimize(loss, loss.gradient, pcttip, progress=False, tol=1e-10)
            for alpha in (0.2, 0.01):
                result, _, compiled, slow = _descend(loss, pcttip, alpha, method, size)
                course = COURSE_STOCHASTIC.get((size, name, alpha), "-")
                yield (f"{method} {size or '':<5}".ljust(16) + f"{name:<12}{alpha:>6}{result.x:>10.4f}{course:>10}"
                       f"{best:>10.4f}{result.nit:>9}{_seconds(compiled):>11}{_seconds(slow):>10}"
                       f"{slow / compiled:>7.0f}x")
    rate = fastgd.schedules.inverse_scaling(2, 0.75)
    good = fastgd.minimize_sgd(fastgd.huber_loss, fastgd.grad_huber_loss, pcttip, rate, rng=0, stop="epoch",
                               average=True, tol=1e-4)
    yield ""
    yield f"sgd on huber_loss with stop='epoch', average=True, alpha={rate}: {good:.4f}"


def _known_answers(pcttip: DoubleArray) -> Iterator[str]:
    """The numbers that the course prints, beside ours."""
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
    yield f"{'The course printed':<52}{'course':>20}{'fastgd':>20}  same bits"
    for call, course, ours in rows:
        yield f"{call:<52}{course:>20}{ours:>20}  {'yes' if course == ours else 'no'}"


def _report_on_column(options: argparse.Namespace) -> str:
    values, source = _column(options)
    loss = _loss(options)
    if loss == fastgd.cross_entropy and (values.min() < 0 or values.max() > 1):
        raise ValueError(f"cross_entropy needs numbers from 0 to 1; {source} has {values.min():g} to {values.max():g}")
    method = options.method or "batch"
    chosen = {name: getattr(options, name) for name in ("batch_size", "seed", "epochs")}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    unused = chosen if method == "batch" else {"batch_size"} & set(chosen) if method == "sgd" else ()
    if unused:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise ValueError(f"{names} cannot be used with --method {method}")
    alpha = 0.2 if options.alpha is None else options.alpha
    result, notes, compiled, slow = _descend(loss, values, alpha, method, **chosen)
    lines = [
        f"{source}: {len(values)} points, mean {values.mean():.6g}, median {np.median(values):.6g}",
        f"{method}, {loss!r}: theta {result.x:.10g}, loss {result.fun:.6g}, slope left {result.jac:.3g}, "
        f"{result.nit} updates",
        f"compiled {_seconds(compiled)}, numpy {_seconds(slow)}, ratio {slow / compiled:.0f}x",
        *(notes or [result.message]),
    ]
    return "\n".join(lines)


def _loss(options: argparse.Namespace) -> Loss:
    name = options.loss or "huber"
    if options.delta is None:
        return LOSSES[name]
    if name != "huber":
        raise ValueError(f"--delta belongs to the huber loss, not to {name}")
    return fastgd.Huber(delta=options.delta)


def _column(options: argparse.Namespace) -> tuple[DoubleArray, str]:
    """The values of the column that the options name, and what to call it."""
    import pandas as pd

    if options.data is None:
        frame, file, column = fastgd.datasets.load_tips(), "tips", options.column or "pcttip"
    else:
        file, column = options.data, options.column
        try:
            with warnings.catch_warnings():
                # Without it a row with more fields than the header shifts all columns by one.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(file, index_col=False)
        except OSError as error:
            raise OSError(f"cannot read {file}: {error.strerror or error}") from None
        except pd.errors.ParserWarning:
            raise ValueError(f"cannot read {file} as csv: it has rows with more fields than its header") from None
        except ValueError as error:
            raise ValueError(f"cannot read {file} as csv: {error}") from None
    if column not in frame.columns:
        wanted = "name a column with --column" if column is None else f"no column {column!r} in {file}"
        raise ValueError(f"{wanted}; there are: {', '.join(map(str, frame.columns))}")
    values = frame[column]
    if len(values) == 0:
        raise ValueError(f"{file} has a header and no rows")
    if values.dtype.kind not in "biuf":
        numbers = pd.to_numeric(values, errors="coerce")
        row = int(np.argmax(numbers.isna() & values.notna()))
        raise ValueError(f"column {column!r} of {file} holds text, not numbers: {values.iloc[row]!r} in row {row + 1}")
    if values.isna().any():
        raise ValueError(f"column {column!r} of {file} has {values.isna().sum()} missing values of {len(values)}")
    return values.to_numpy(dtype=float), f"{column} of {file}"


def _main_of_a_process() -> int:
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(_main_of_a_process())
