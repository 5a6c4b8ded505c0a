"""Compiled loops over contiguous float arrays; they know no files, print nothing and allocate nothing."""
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
