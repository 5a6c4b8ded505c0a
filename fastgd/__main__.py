"""`python -m fastgd`: the course's answers on the tips data, or a descent on a column of your own."""
import argparse
import functools
import os
import sys
import timeit
import warnings

import numpy as np

import fastgd
from fastgd import reference
from fastgd.losses import REGISTRY

THETAS = np.arange(12, 18, 0.1)
FIVE_POINTS = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
GRID_POINTS = np.array([12.0, 13, 15, 16, 17])
LOSSES = {name.removesuffix("_loss"): loss for name, loss in REGISTRY.items()}


def main(arguments=None):
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        print(_report_on_column(options) if _names_a_run(options) else _report_on_tips())
    except (OSError, TypeError, ValueError) as error:
        return _fail(error, 2)
    except fastgd.DivergenceError as error:
        return _fail(error, 1)
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m fastgd", description=(
        "Without options: every loss on the tips data, beside the course's figures. "
        "With options: one descent on one column."))
    parser.add_argument("--data", metavar="FILE.csv", help="a csv file with a header (default: the tips data)")
    parser.add_argument("--column", metavar="NAME", help="the column of numbers (default for the tips data: pcttip)")
    parser.add_argument("--loss", choices=sorted(LOSSES), help="default: huber")
    parser.add_argument("--alpha", type=float, help="learning rate (default: 0.2)")
    parser.add_argument("--delta", type=float, help="where the Huber loss turns linear (default: 1)")
    return parser


def _names_a_run(options):
    return any(value is not None for value in vars(options).values())


def _fail(error, code):
    message = " ".join(str(error).split())
    print(f"fastgd: error: {message}", file=sys.stderr)
    return code


def _best_time(function):
    """Seconds of the fastest of several calls."""
    timer = timeit.Timer(function)
    calls = max(1, int(0.02 / max(timer.timeit(1), 1e-7)))
    return min(timer.repeat(5, calls)) / calls


def _seconds(time):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return f"{time / 1e-6:.3g} us"


def _descend(loss, values, alpha):
    """The result, the warnings, and the times of the compiled descent and of the numpy loop with as many updates."""
    run = functools.partial(fastgd.minimize, loss, loss.gradient, values, alpha, False)
    name, parameters = loss.__name__, loss.parameters
    slow_loss = functools.partial(getattr(reference, name), **parameters)
    slow_gradient = functools.partial(getattr(reference, f"grad_{name}"), **parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(full_output=True)
        notes = [str(warning.message) for warning in caught]
        compiled = _best_time(functools.partial(run, max_iter=result.nit))
    slow = _best_time(functools.partial(
        reference.minimize, slow_loss, slow_gradient, values, alpha, False, max_iter=result.nit))
    return result, notes, compiled, slow


def _report_on_tips():
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
        course = ("15.50", "15.5068") if name == "huber_loss" else ("-", "-")
        lines.append(f"{name:<14}{grid:>8.2f}{course[0]:>8}{result.x:>10.4f}{course[1]:>9}{result.nit:>9}"
                     f"{_seconds(compiled):>11}{_seconds(slow):>10}{slow / compiled:>7.0f}x")
        notes += [f"{name}: {note}" for note in said]
    if notes:
        lines += ["", *notes]
    return "\n".join([*lines, "", *_known_answers(pcttip)])


def _known_answers(pcttip):
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


def _report_on_column(options):
    values, source = _column(options)
    loss = _loss(options)
    result, notes, compiled, slow = _descend(loss, values, 0.2 if options.alpha is None else options.alpha)
    lines = [
        f"{source}: {len(values)} points, mean {values.mean():.6g}, median {np.median(values):.6g}",
        f"{loss!r}: theta {result.x:.10g}, loss {result.fun:.6g}, slope left {result.jac:.3g}, {result.nit} updates",
        f"compiled {_seconds(compiled)}, numpy {_seconds(slow)}, ratio {slow / compiled:.0f}x",
        *(notes or [result.message]),
    ]
    return "\n".join(lines)


def _loss(options):
    name = options.loss or "huber"
    if options.delta is None:
        return LOSSES[name]
    if name != "huber":
        raise ValueError(f"--delta belongs to the huber loss, not to {name}")
    return fastgd.Huber(delta=options.delta)


def _column(options):
    """The values of the column that the options name, and what to call it."""
    import pandas as pd

    if options.data is None:
        frame, file, column = fastgd.datasets.load_tips(), "tips", options.column or "pcttip"
    else:
        file, column = options.data, options.column
        try:
            frame = pd.read_csv(file)
        except OSError as error:
            raise OSError(f"cannot read {file}: {error.strerror or error}") from None
        except ValueError as error:
            raise ValueError(f"cannot read {file} as csv: {error}") from None
    if column not in frame.columns:
        wanted = "name a column with --column" if column is None else f"no column {column!r} in {file}"
        raise ValueError(f"{wanted}; there are: {', '.join(map(str, frame.columns))}")
    values = frame[column]
    if values.dtype.kind not in "biuf":
        numbers = pd.to_numeric(values, errors="coerce")
        row = int(np.argmax(numbers.isna() & values.notna()))
        raise ValueError(f"column {column!r} of {file} holds text, not numbers: {values.iloc[row]!r} in row {row + 1}")
    if values.isna().any():
        raise ValueError(f"column {column!r} of {file} has {values.isna().sum()} missing values of {len(values)}")
    return values.to_numpy(dtype=float), f"{column} of {file}"


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
