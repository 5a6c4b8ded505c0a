"""Compiled loops over contiguous float arrays; they know no files, print nothing and allocate nothing.

Those that loop over points or rows are built several times from one source, for CPUs of several levels. The builds lie
in folders named after the level; that of the level in use, and then those of lower ones, go before this folder on the
package's path, so that each module is found once, under one name. All give the same bits.
"""
import os
from importlib.util import find_spec
from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    """Python asks here for a kernel before it looks for its file; one that was not built is answered with what to do.

    That is one with a source beside it and no module, or any where there is no `_cyutility`, which all of them import.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    if find_spec(f"{__name__}.{name}") is None and (
            os.path.exists(os.path.join(here, f"{name}.pyx")) or find_spec(f"{__name__}._cyutility") is None):
        folder = os.path.dirname(os.path.dirname(here))
        raise ImportError(
            f"fastgd's compiled modules are not built in {folder}: run `pip install -e .` there (needs a C compiler), "
            "or leave that folder to use the installed fastgd.", name=f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _levels() -> list[str]:
    """The levels that this CPU has and that were built, the best one last."""
    from fastgd._kernels import cpu

    known = [f"v{number}" for number in range(3, cpu.x86_level() + 1)]
    return ["baseline", *(each for each in known if os.path.isdir(os.path.join(os.path.dirname(__file__), each)))]


def _chosen() -> str:
    """The level that FASTGD_CPU asks for, or the best; ValueError if it cannot be had."""
    wanted = os.environ.get("FASTGD_CPU")
    if not wanted:
        return levels[-1]
    if wanted not in ("baseline", "v3", "v4"):
        raise ValueError("The environment variable FASTGD_CPU must be 'baseline', 'v3' or 'v4', or not set. "
                         f"Got {wanted!r} instead.")
    if wanted not in levels:
        raise ValueError(f"The environment variable FASTGD_CPU asks for {wanted!r}, which this CPU does not have or "
                         f"this build of fastgd does not. Allowed here: {', '.join(map(repr, levels))}.")
    return wanted


#: What may be chosen here, and what is in use.
levels = _levels()
level = _chosen()
__path__[:0] = [os.path.join(os.path.dirname(__file__), each) for each in levels[levels.index(level):0:-1]]
