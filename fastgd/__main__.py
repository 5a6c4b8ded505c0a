"""`python -m fastgd`: the course's answers on the tips data, its pictures, or a descent on a column of your own."""
from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import fastgd
from fastgd import _report
from fastgd._column import read_column
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
  3    the descent ended without convergence; the last line says why
  130  interrupted by Ctrl-C
"""

LOSSES = {name.removesuffix("_loss"): loss for name, loss in REGISTRY.items()}


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
    except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        return _fail(error, WRONG_INPUT)
    except fastgd.DivergenceError as error:
        return _fail(error, DIVERGED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fastgd", epilog=_EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description=("Without options: every loss on the tips data, beside the course's figures.\n"
                     "With --pictures: the course's pictures. With other options: one descent on one column."))
    parser.add_argument("--data", metavar="FILE",
                        help="a csv file with a header, separated by commas, semicolons, tabs or bars, or a .parquet "
                             "file; .gz, .bz2, .xz, .zst and .zip are unpacked (default: the tips data)")
    parser.add_argument("--column", metavar="NAME",
                        help="the column of numbers (default: the only one; for the tips data pcttip)")
    parser.add_argument("--decimal", choices=[".", ","], metavar="MARK",
                        help="the decimal mark of a csv file, a point or a comma (default: a point)")
    parser.add_argument("--dropna", action="store_true", default=None, help="leave rows with missing values out")
    parser.add_argument("--loss", choices=sorted(LOSSES), help="default: huber")
    parser.add_argument("--alpha", type=_alpha, metavar="RATE",
                        help="learning rate: a number, auto (1 / the largest curvature of the loss) or adaptive "
                             "(default: adaptive for batch descent on a FILE, else 0.2)")
    parser.add_argument("--delta", type=float, help="where the Huber loss turns linear (default: 1)")
    parser.add_argument("--parameter", metavar="NAME=VALUE", action="append",
                        help="a parameter of the loss, such as q=0.9 for pinball; once for each")
    parser.add_argument("--method", choices=["batch", "sgd", "mini-batch"], help="default: batch")
    parser.add_argument("--batch-size", type=int, metavar="N", help="points in a mini-batch (default: 10)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the shuffles (default: 0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the data at most (default: 1000)")
    parser.add_argument("--compare", action="store_true", default=None,
                        help="after the answer, time the same descent in plain numpy, which can take long; of "
                             "adaptive steps as many updates without adaptation")
    parser.add_argument("--pictures", metavar="DIR", help="write the course's pictures to this folder, as PNG")
    return parser


def _alpha(text: str) -> float | str:
    if text in ("adaptive", "auto"):
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, auto or adaptive. Got {text!r}.") from None


def _lines(options: argparse.Namespace) -> Generator[str, None, int]:
    """Yield each line to print when it is known; return the exit code."""
    given = [f"--{name.replace('_', '-')}" for name, value in vars(options).items() if value is not None]
    if options.pictures is not None:
        given.remove("--pictures")
        if given:
            raise ValueError(f"{', '.join(given)} cannot be used with --pictures")
        from fastgd._pictures import write_pictures

        yield from map(str, write_pictures(options.pictures))
    elif given:
        return (yield from _descent(options))
    else:
        yield from _report.on_tips()
    return 0


def _descent(options: argparse.Namespace) -> Generator[str, None, int]:
    loss, chosen = _loss(options), _run_options(options)
    column = read_column(options.data, options.column, bool(options.dropna), options.decimal or ".")
    if loss == fastgd.cross_entropy and (column.values.min() < 0 or column.values.max() > 1):
        raise ValueError(f"cross_entropy needs numbers from 0 to 1; {column.name} has {column.values.min():g} to "
                         f"{column.values.max():g}")
    run = _report.Run(loss, column.values, **chosen)
    is_converged = yield from _report.on_column(run, column.source, bool(options.compare))
    return 0 if is_converged else NOT_CONVERGED


def _run_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options that were given for the method, by the names of `_report.Run`."""
    method = options.method or "batch"
    unused = {"batch": ("batch_size", "seed", "epochs"), "sgd": ("batch_size",), "mini-batch": ()}[method]
    wrong = [f"--{name.replace('_', '-')}" for name in unused if getattr(options, name) is not None]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} cannot be used with --method {method}")
    if options.alpha == "adaptive" and method != "batch":
        raise ValueError(f"--alpha adaptive cannot be used with --method {method}; give a number or auto")
    chosen = {name: getattr(options, name) for name in ("alpha", "method", "batch_size", "seed", "epochs")}
    if options.data is not None and options.alpha is None and method == "batch":
        chosen["alpha"] = "adaptive"
    return {name: value for name, value in chosen.items() if value is not None}


def _loss(options: argparse.Namespace) -> Loss:
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
            own = ", ".join(loss.parameters) or "none"
            raise ValueError(f"the {name} loss has no parameter {parameter!r}; its parameters: {own}")
        if parameter in given:
            raise ValueError(f"the parameter {parameter!r} is given twice")
        try:
            given[parameter] = float(value)
        except ValueError:
            raise ValueError(f"the parameter {parameter!r} must be a number. Got {value!r}.") from None
    made: Loss = cast("Any", type(loss))(**given) if given else loss
    return made


def _fail(error: Exception, code: int) -> int:
    message = " ".join(str(error).split()) or type(error).__name__
    print(f"fastgd: error: {message}", file=sys.stderr)
    return code


def _main_of_a_process() -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):    # a name of a column may be more than the terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    try:
        if sys.stdout is not None:    # it is None where it was closed
            sys.stdout.flush()
    except OSError:    # the rest can go nowhere; Python would try again, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(_main_of_a_process())
