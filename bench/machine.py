"""Describe the machine, the compiler and the versions of a measurement."""
import datetime
import os
import platform
from importlib import metadata
from pathlib import Path

import fastgd

PACKAGES = ("numpy", "numba", "scipy", "scikit-learn", "statsmodels")


def load():
    """Return the mean number of processes that ran or waited in the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


LOAD_BEFORE = load()


def measured_on():
    """Describe the measurement in two sentences."""
    built = fastgd.show_config(mode="dicts")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return (f"Measured on {datetime.date.today()}: {built['cpu']}, {os.cpu_count()} cores, {caches()}; kernels of "
            f"level {built['level']}, compiled by {built['compiler']}; Python {platform.python_version()}, {versions}. "
            f"Load of the machine: {LOAD_BEFORE} before, {load()} after.")


def caches():
    """List the data caches of the first core, from Linux's files."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return "caches " + (", ".join(found) or "unknown")
