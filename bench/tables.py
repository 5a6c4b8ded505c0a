"""The table of the benches in bench/README.md, and the ten rows of it in README.md.

Each stands between two comments, and what is between them is written anew by ``python -m pytest bench --tables``.
"""
from machine import measured_on

BEGIN = "<!-- written by python -m pytest bench --tables -->"
END = "<!-- end -->"

#: The contenders that have columns of their own; all others share the last one, with their names.
COLUMNS = ("numba", "plain numpy")

#: How the names of contenders begin that are fastgd in another form, or a measure: to be faster than these is no aim.
BESIDE = ("fastgd", "np.sum")

HOW_TO_READ = ("The other columns say how many times as long as fastgd the others take, in **bold** where fastgd is "
               "the slower. The limit is np.sum of the same data, or what its cell names.")

#: The cases of README.md.
TEN = (
    "Huber regression, raw X 100,000 x 10",
    "Huber regression, independent X 20,000 x 500",
    "logistic regression, raw X 100,000 x 10",
    "quantile regression, raw X 100,000 x 10",
    "Huber estimate of 5,000,000 points",
    "3 epochs of SGD, mse, X 200,000 x 20",
    "epoch of SGD, mse, 1,000,000 points",
    "simple_minimize huber_loss, 60 thetas, 1,000,000 points",
    "gradient pass in a descent, huber_loss, 10,000,000 points",
    "minimize mse, five points",
)


def cases_of(benchmarks):
    """By case, the seconds of each contender, and which of them is the limit."""
    return {bench.group: bench.extra_info for bench in benchmarks if "seconds" in bench.extra_info}


def missing(cases):
    """A line for each of the README's cases that is not among these."""
    return [f"README.md has a row for this, which was not measured: {case}" for case in TEN if case not in cases]


def table(cases):
    """The lines of a table: what fastgd takes, and how many times as long the others do."""
    header = ["case", "fastgd", "limit", *COLUMNS, "another"]
    lines = [f"| {' | '.join(header)} |", "|---|" + "---:|" * (len(header) - 1)]
    for case, measured in cases.items():
        seconds, name = dict(measured["seconds"]), measured["limit"]
        ours = seconds.pop("fastgd")
        limit = f"{seconds.pop(name) / ours:.2f}{f' ({name})' * (name != 'np.sum')}" if name else "-"
        ratios = {name: ratio(name, time / ours) for name, time in seconds.items()}
        cells = [ratios.pop(column, "") for column in COLUMNS]
        others = ", ".join(f"{said} ({name})" for name, said in ratios.items())
        lines.append(f"| {' | '.join([case, in_units(ours), limit, *cells, others])} |")
    return lines


def ratio(name, times):
    said = f"{times:.2f}"
    return said if float(said) >= 1 or name.startswith(BESIDE) else f"**{said}**"


def in_units(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def write(root, cases):
    """Write both tables, or neither if one of the ten cases was not measured; the lines that say so."""
    if missing(cases):
        return [*missing(cases), "No table was written"]
    above = [measured_on(), "", HOW_TO_READ, ""]
    put(root / "bench" / "README.md", [*above, *table(cases)])
    put(root / "README.md", [*above, *table({case: cases[case] for case in TEN})])
    return ["Written to README.md and bench/README.md"]


def put(path, lines):
    """Replace what stands between the comments."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no place for a table: {BEGIN} ... {END}")
    path.write_text("\n".join([before + BEGIN, *lines, "", END + after]), encoding="utf-8")
