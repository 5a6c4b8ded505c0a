"""After the benches: a row a case, with every contender as a ratio to fastgd; ``--tables`` writes the rows down."""
from pathlib import Path

import harness
import machine
import pytest
import tables

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser):
    group = parser.getgroup("fastgd")
    group.addoption("--tables", action="store_true",
                    help="write the full table to bench/README.md and ten rows of it to README.md")
    group.addoption("--small", action="store_true", help="a 500th of the data, once: do the benches run at all?")


def pytest_configure(config):
    harness.Settings.is_small = config.getoption("--small")
    if harness.Settings.is_small and config.getoption("--tables"):
        raise pytest.UsageError("--small measures nothing that belongs in a table")


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    cases = tables.cases_of(session.benchmarks if session else [])
    if harness.Settings.is_small:
        said = tables.missing(cases)
    else:
        said = ["", machine.measured_on(), "", *tables.table(cases)] if cases else []
        said += ["", *tables.write(ROOT, cases)] if cases and config.getoption("--tables") else []
    for line in said:
        terminalreporter.write_line(line)
