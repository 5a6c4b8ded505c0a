"""What fastgd runs on: for a report of a bug, and beside every measurement."""
from __future__ import annotations

import platform
from typing import Any, Literal, overload

import numpy as np

from fastgd._checks import check_option
from fastgd._kernels import cpu, level, levels
from fastgd._thread_pool import thread_count

__version__ = "0.1.0"


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """What fastgd was built with and runs on: the CPU and the kernels in use for it, compiler, numpy, threads.

    The loops over points and rows are built for several levels of x86-64 CPUs: "baseline", "v3" (AVX2) and "v4"
    (AVX-512). The best that the CPU has is chosen when fastgd is imported; the environment variable ``FASTGD_CPU``,
    set before, forces one. The answers have the same bits at each.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Whether to print it or to return it, as in `numpy.show_config`.

    Returns
    -------
    dict or None
        With "dicts" the keys "version", "level" (in use), "levels" (that can be forced here), "cpu", "compiler" (of
        the kernels), "python", "numpy" and "threads" (what ``n_threads=-1`` stands for).

    Raises
    ------
    ValueError
        If `mode` is another.

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
