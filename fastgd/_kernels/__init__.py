"""Compiled loops over contiguous float arrays, which read no files, print nothing and allocate nothing.

Kernels that loop over points or rows are built for several levels of CPUs, each in a folder named after the level. The
folder of the level in use, then those of lower levels, stand before this folder on the package's path, so that each
module is found once, under one name. All levels give the same bits.
"""
import os
from importlib.util import find_spec
from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    """Raise ImportError with the build command for a kernel that was not built.

    Such a kernel has a source and no module, or there is no `_cyutility`, which all kernels import. An import statement
    calls this function before it searches for a file.
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
    """List the levels that this CPU supports and that were built, the best one last."""
    from fastgd._kernels import cpu

    known = [f"v{number}" for number in range(3, cpu.x86_level() + 1)]
    return ["baseline", *(each for each in known if os.path.isdir(os.path.join(os.path.dirname(__file__), each)))]


def _chosen() -> str:
    """Return the level that FASTGD_CPU names, or the best one; ValueError if it is not available."""
    wanted = os.environ.get("FASTGD_CPU")
    if not wanted:
        return levels[-1]
    if wanted not in ("baseline", "v3", "v4"):
        raise ValueError("The environment variable FASTGD_CPU must be 'baseline', 'v3' or 'v4', or not set. "
                         f"Got {wanted!r} instead.")
    if wanted not in levels:
        raise ValueError(f"The environment variable FASTGD_CPU names {wanted!r}, which this CPU does not have or "
                         f"this build of fastgd does not. Allowed here: {', '.join(map(repr, levels))}.")
    return wanted


#: Levels that FASTGD_CPU may name on this machine, and the level in use.
levels = _levels()
level = _chosen()
__path__[:0] = [os.path.join(os.path.dirname(__file__), each) for each in levels[levels.index(level):0:-1]]
