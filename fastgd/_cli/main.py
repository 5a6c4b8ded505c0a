"""Parse the arguments of `python -m fastgd` and run the report, the pictures, or a descent on one column."""
from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import fastgd
from fastgd._cli import report
from fastgd._cli.csv_column import read_column
from fastgd.losses import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from fastgd.losses import Loss

#: Exit codes beside 0.
DIVERGED, WRONG_INPUT, NOT_CONVERGED, INTERRUPTED = 1, 2, 3, 130
_EXIT_CODES = """exit codes:
  0    the descent converged; a report or pictures were made
  1    the descent diverged
  2    an argument or the data are wrong, or cannot be read or written
  3    the descent ended without convergence; the last line has the reason
  130  interrupted by Ctrl-C
"""

LOSSES = {name.removesuffix("_loss"): loss for name, loss in REGISTRY.items()}
#: Options that a method does not use.
_UNUSED = {"batch": ("batch_size", "seed", "epochs"), "sgd": ("batch_size",), "mini-batch": ()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    lines = _lines(_parser().parse_args(arguments))
    try:
        while True:
            print(next(lines), flush=True)
    except StopIteration as end:
        code: int = end.value
        return code
    except BrokenPipeError:
        raise
    except (ImportError, MemoryError, OSError, TypeError, ValueError, fastgd.DivergenceError) as error:
        print(f"fastgd: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return DIVERGED if isinstance(error, fastgd.DivergenceError) else WRONG_INPUT


def run_process() -> int:
    """Run `main` with the standard output of a process, which may be closed or unable to show a character."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
    except BrokenPipeError:    # the reader of a pipe, such as head, has ended
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:    # Python would flush again at exit, and print the error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = argparse.ArgumentParser(
        prog="python -m fastgd", epilog=_EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description=("Without options: every loss on the tips data, beside the course's figures.\n"
                     "With --pictures: the course's pictures. With other options: one descent on one column."))
    add = parser.add_argument
    add("--data", metavar="FILE",
        help="a csv file with a header, separated by commas, semicolons, tabs or bars, or a .parquet file; .gz, .bz2, "
             ".xz, .zst and .zip are unpacked (default: the tips data)")
    add("--column", metavar="NAME", help="the column of numbers (default: the only one; for the tips data pcttip)")
    add("--decimal", choices=[".", ","], metavar="MARK",
        help="the decimal mark of a csv file, a point or a comma (default: a point)")
    add("--dropna", action="store_true", default=None, help="leave rows with missing values out")
    add("--loss", choices=sorted(LOSSES), help="default: huber")
    add("--alpha", type=_alpha, metavar="RATE",
        help="learning rate: a number, auto (1 / the largest curvature of the loss) or adaptive (default: adaptive for "
             "batch descent on a FILE, else 0.2)")
    add("--delta", type=float, help="where the Huber loss turns linear (default: 1)")
    add("--parameter", metavar="NAME=VALUE", action="append",
        help="a parameter of the loss, such as q=0.9 for pinball; once for each")
    add("--method", choices=list(_UNUSED), help="default: batch")
    add("--batch-size", type=int, metavar="N", help="points in a mini-batch (default: 10)")
    add("--seed", type=int, metavar="N", help="seed of the shuffles (default: 0)")
    add("--epochs", type=int, metavar="N", help="passes over the data at most (default: 1000)")
    add("--compare", action="store_true", default=None,
        help="after the answer, time the same descent in plain numpy, which can take long; of adaptive steps as many "
             "updates without adaptation")
    add("--pictures", metavar="DIR", help="write the course's pictures to this folder, as PNG")
    return parser


def _alpha(text: str) -> float | str:
    """Parse a learning rate."""
    try:
        return text if text in ("adaptive", "auto") else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, auto or adaptive. Got {text!r}.") from None


def _flags(names: Sequence[str]) -> str:
    """Format names of options as they are typed."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _lines(options: argparse.Namespace) -> Generator[str, None, int]:
    """Yield each line to print as soon as it is computed; return the exit code."""
    given = [name for name, value in vars(options).items() if value is not None]
    if options.pictures is not None:
        given.remove("pictures")
        if given:
            raise ValueError(f"{_flags(given)} cannot be used with --pictures")
        from fastgd._cli.pictures import write_pictures

        yield from map(str, write_pictures(options.pictures))
    elif given:
        return (yield from _descent(options))
    else:
        yield from report.on_tips()
    return 0


def _descent(options: argparse.Namespace) -> Generator[str, None, int]:
    """Yield the lines about a descent on one column; return the exit code."""
    loss, run_options = _loss(options), _run_options(options)
    column = read_column(options.data, options.column, bool(options.dropna), options.decimal or ".")
    least, largest = column.values.min(), column.values.max()
    if loss == fastgd.cross_entropy and (least < 0 or largest > 1):
        raise ValueError(f"cross_entropy needs numbers from 0 to 1; {column.name} has {least:g} to {largest:g}")
    run = report.Run(loss, column.values, **run_options)
    is_converged = yield from report.on_column(run, column.source, bool(options.compare))
    return 0 if is_converged else NOT_CONVERGED


def _run_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `report.Run` that were given, and the default learning rate of a file."""
    method = options.method or "batch"
    wrong = [name for name in _UNUSED[method] if getattr(options, name) is not None]
    if wrong:
        raise ValueError(f"{_flags(wrong)} cannot be used with --method {method}")
    if options.alpha == "adaptive" and method != "batch":
        raise ValueError(f"--alpha adaptive cannot be used with --method {method}; give a number or auto")
    given = {name: getattr(options, name) for name in ("alpha", "method", "batch_size", "seed", "epochs")}
    if options.data is not None and options.alpha is None and method == "batch":
        given["alpha"] = "adaptive"
    return {name: value for name, value in given.items() if value is not None}


def _loss(options: argparse.Namespace) -> Loss:
    """Return the loss with the parameters that were given."""
    name = options.loss or "huber"
    loss = LOSSES[name]
    given = {}
    if options.delta is not None:
        if "delta" not in loss.parameters:
            raise ValueError(f"--delta belongs to the huber loss, not to {name}")
        given["delta"] = options.delta
    for text in options.parameter or []:
        parameter, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ValueError(f"--parameter must be NAME=VALUE, such as q=0.9. Got {text!r}.")
        if parameter not in loss.parameters:
            names = ", ".join(loss.parameters) or "none"
            raise ValueError(f"the {name} loss has no parameter {parameter!r}; its parameters: {names}")
        if parameter in given:
            raise ValueError(f"the parameter {parameter!r} is given twice")
        try:
            given[parameter] = float(value)
        except ValueError:
            raise ValueError(f"the parameter {parameter!r} must be a number. Got {value!r}.") from None
    return cast("Loss", cast("Any", type(loss))(**given)) if given else loss
