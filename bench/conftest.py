"""Print a row for each case after the benches, every contender as a ratio to fastgd; ``--tables`` writes the rows."""
from pathlib import Path

import harness
import machine
import pytest
import tables

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser):
    group = parser.getgroup("fastgd")
    group.addoption("--tables", action="store_true",
                    help="write the full table to bench/README.md and five rows of it to README.md")
    group.addoption("--small", action="store_true", help="run each bench once, on a 500th of the data")


def pytest_configure(config):
    harness.Settings.is_small = config.getoption("--small")
    if harness.Settings.is_small and config.getoption("--tables"):
        raise pytest.UsageError("--small measures nothing for --tables to write: give one of the two")


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    benchmarks = session.benchmarks if session else []
    cases = tables.cases_of(benchmarks)
    if harness.Settings.is_small:
        lines = tables.missing(cases)
    else:
        lines = ["", machine.measured_on(), "", *tables.table(cases)] if cases else []
        lines += ["", *tables.budgets(benchmarks)]
        lines += ["", *tables.write(ROOT, cases)] if cases and config.getoption("--tables") else []
    for line in lines:
        terminalreporter.write_line(line)
