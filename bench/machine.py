"""What the tables say about the machine, the compiler and the versions they were measured with."""
import datetime
import os
import platform
from importlib import metadata
from pathlib import Path

import fastgd

PACKAGES = ("numpy", "numba", "scipy", "scikit-learn", "statsmodels")


def load():
    """Processes that ran or waited in the last minute, on average."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


LOAD_BEFORE = load()


def measured_on():
    """Two sentences about all of it."""
    built = config()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return (f"Measured on {datetime.date.today()}: {processor()}, {os.cpu_count()} cores, {caches()}; kernels of level "
            f"{built['level']}, compiled by {built['compiler']}; Python {platform.python_version()}, {versions}. "
            f"Load of the machine: {LOAD_BEFORE} before, {load()} after.")


def config():
    """What fastgd says of its build."""
    if not hasattr(fastgd, "show_config"):
        return {"level": "unknown", "compiler": "unknown"}
    return fastgd.show_config(mode="dicts")


def processor():
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def caches():
    """Those of the first core that hold data, as Linux tells them."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return "caches " + (", ".join(found) or "unknown")
