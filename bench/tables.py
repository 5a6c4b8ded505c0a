"""The table of the benches in bench/README.md, and the ten rows of it in README.md.

Each stands between two comments, and what is between them is written anew by ``python -m pytest bench --tables``.
"""
import datetime
import platform
import shlex
import subprocess
import sysconfig
from collections import defaultdict
from importlib import metadata
from pathlib import Path

BEGIN = "<!-- written by python -m pytest bench --tables -->"
END = "<!-- end -->"

#: What the contenders of the benches are called in the table; all others share the last column, with their names.
COLUMNS = {"np.sum": ("np.sum",), "numba": ("numba",), "plain numpy": ("reference", "numpy", "plain numpy")}

#: The cases of README.md, of which one shows what is slower than in numpy.
TEN = (
    "minimize mse, five points",
    "minimize Huber, tips",
    "minimize Huber, 1e6 points",
    "Huber line, raw X 100000 x 10",
    "quantile line, raw X 100000 x 10",
    "simple_minimize huber_loss, 60 thetas, 1e6 points",
    "epoch of SGD, mse, 1e6 points",
    "3 epochs of SGD, cross_entropy, X 200000 x 20",
    "gradient pass in a descent, huber_loss, 1e+06 points",
    "gradient pass in a descent, log_cosh, 1e+06 points",
)


def cases_of(benchmarks):
    """By case, the seconds of each contender."""
    cases = defaultdict(dict)
    for bench in benchmarks:
        if bench.stats.rounds:
            cases[bench.group][bench.extra_info["contender"]] = bench.stats.min
    return dict(cases)


def table(cases):
    """The lines of a table: what fastgd takes, and how many times as long the others do."""
    lines = [f"| case | fastgd | {' | '.join(COLUMNS)} | another |", "|---|---:|" + "---:|" * (len(COLUMNS) + 1)]
    for case, times in cases.items():
        ours = times.get("fastgd")
        if ours is None:
            continue
        ratios = {name: f"{time / ours:.2f}" for name, time in times.items() if name != "fastgd"}
        cells = ["".join(ratios.pop(name, "") for name in names) for names in COLUMNS.values()]
        others = ", ".join(f"{ratio} ({name})" for name, ratio in ratios.items())
        lines.append(f"| {' | '.join([case, in_units(ours), *cells, others])} |")
    return lines


def in_units(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def measured_on():
    """One sentence about the machine, the compiler and the versions."""
    versions = []
    for name in ("numpy", "numba", "scikit-learn", "scipy", "statsmodels"):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return (f"Measured on {datetime.date.today()}: {processor()}; {compiler()}; Python {platform.python_version()}, "
            f"{', '.join(versions)}.")


def processor():
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


def compiler():
    """What the C compiler that setuptools takes says of itself."""
    command = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    try:
        said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "an unknown compiler"
    return said.splitlines()[0]


def write(root, cases):
    """Write both tables, or neither if one of the ten cases was not measured; the lines that say so."""
    missing = [case for case in TEN if "fastgd" not in cases.get(case, {})]
    if missing:
        return [f"No table was written: {case} was not measured" for case in missing]
    machine = measured_on()
    put(root / "bench" / "README.md", [machine, "", *table(cases)])
    put(root / "README.md", [machine, "", *table({case: cases[case] for case in TEN})])
    return ["Written to README.md and bench/README.md"]


def put(path, lines):
    """Replace what stands between the comments."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no place for a table: {BEGIN} ... {END}")
    path.write_text("\n".join([before + BEGIN, *lines, "", END + after]), encoding="utf-8")
