"""Write the table of the benches to bench/README.md and five rows of it to README.md, and list the budgets of calls.

Each table stands between two comments; ``python -m pytest bench --tables`` replaces the lines between them.
"""
from machine import measured_on

BEGIN = "<!-- written by python -m pytest bench --tables -->"
END = "<!-- end -->"

#: Contenders with a column of their own; all others share the last column, with their names.
COLUMNS = ("numba", "plain numpy")

#: Prefixes of contenders that are fastgd in another form, or a yardstick; a ratio below 1 to these is not set in bold.
BESIDE = ("fastgd", "np.sum")

HOW_TO_READ = ("The other columns are ratios to the time of fastgd, in **bold** where fastgd is slower. The limit is "
               "np.sum of the same data, or what its cell names.")

#: Cases of README.md: a fit of each kind, one that fastgd loses, and the textbook's loop.
CASES_OF_README = (
    "Huber regression, raw X 100,000 x 10",
    "Huber regression, independent X 20,000 x 500",
    "logistic regression, raw X 100,000 x 10",
    "quantile regression, raw X 100,000 x 10",
    "epoch of SGD, mse, 1,000,000 points",
)


def cases_of(benchmarks):
    """Map each case to the seconds of its contenders and the name of its limit."""
    return {bench.group: bench.extra_info for bench in benchmarks if "seconds" in bench.extra_info}


def missing(cases):
    """List a line for each case of README.md that was not measured."""
    return [f"README.md has a row that was not measured: {case}" for case in CASES_OF_README if case not in cases]


def table(cases):
    """List the lines of a table: the time of fastgd, and the ratios of the others' times to it."""
    header = ["case", "fastgd", "limit", *COLUMNS, "another"]
    lines = [f"| {' | '.join(header)} |", "|---|" + "---:|" * (len(header) - 1)]
    for case, measured in cases.items():
        seconds, name = dict(measured["seconds"]), measured["limit"]
        ours = seconds.pop("fastgd")
        limit = f"{seconds.pop(name) / ours:.2f}{f' ({name})' * (name != 'np.sum')}" if name else "-"
        ratios = {name: ratio(name, time / ours) for name, time in seconds.items()}
        cells = [ratios.pop(column, "") for column in COLUMNS]
        others = ", ".join(f"{text} ({name})" for name, text in ratios.items())
        lines.append(f"| {' | '.join([case, in_units(ours), limit, *cells, others])} |")
    return lines


def ratio(name, times):
    """Format a ratio to the time of fastgd, in bold if it is below 1."""
    text = f"{times:.2f}"
    return text if float(text) >= 1 or name.startswith(BESIDE) else f"**{text}**"


def in_units(seconds):
    """Format a time with three digits and its unit."""
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def budgets(benchmarks):
    """List the lines of a table: each count or ratio of `bench_calls.py` beside its budget; empty if none was made."""
    rows = [row for bench in benchmarks for row in bench.extra_info.get("budgets", ())]
    return ["| count or ratio | measured | budget |", "|---|---:|---:|",
            *(f"| {' | '.join(map(str, row))} |" for row in rows)] if rows else []


def write(root, cases):
    """Write both tables, or neither if a case of README.md was not measured; return the lines to print."""
    if missing(cases):
        return [*missing(cases), "No table was written"]
    above = [f"{measured_on()} {HOW_TO_READ}", ""]
    put(root / "bench" / "README.md", [*above, *table(cases)])
    put(root / "README.md", [*above, *table({case: cases[case] for case in CASES_OF_README})])
    return ["Written to README.md and bench/README.md"]


def put(path, lines):
    """Replace the lines between the comments."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no place for a table: {BEGIN} ... {END}")
    path.write_text("\n".join([before + BEGIN, *lines, "", END + after]), encoding="utf-8")
