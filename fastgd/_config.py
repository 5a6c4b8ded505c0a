"""Version and build configuration."""
from __future__ import annotations

import platform
from typing import Any, Literal, overload

import numpy as np

from fastgd._kernels import cpu, level, levels
from fastgd._thread_pool import thread_count
from fastgd._validation import check_option

__version__ = "0.1.0"


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print or return the CPU, the kernels in use, the compiler, and the versions of fastgd, Python and numpy.

    The loops over points and rows are built for several levels of x86-64 CPUs: "baseline", "v3" (AVX2) and "v4"
    (AVX-512). The best that the CPU supports is chosen when fastgd is imported; the environment variable
    ``FASTGD_CPU`` overrides the choice. Results are bit-identical at each level.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        "stdout" prints, "dicts" returns, as in `numpy.show_config`.

    Returns
    -------
    dict or None
        With "dicts" the keys "version", "level" (in use), "levels" (available for FASTGD_CPU), "cpu", "compiler" (of
        the kernels), "python", "numpy" and "threads" (number of ``n_threads=-1``).

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.show_config(mode="dicts")["level"] in ("baseline", "v3", "v4")
    True
    """
    check_option(mode, "mode", ("stdout", "dicts"))
    facts: dict[str, Any] = {
        "version": __version__, "level": level, "levels": list(levels),
        "cpu": cpu.name() or platform.processor() or platform.machine(), "compiler": cpu.compiler,
        "python": platform.python_version(), "numpy": np.__version__, "threads": thread_count(-1)}
    if mode == "dicts":
        return facts
    for name, value in facts.items():
        print(f"{name:9} {', '.join(value) if isinstance(value, list) else value}")
    return None
