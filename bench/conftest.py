"""After the benches: one row a case, every contender as a ratio to fastgd (above 1: fastgd is faster)."""
from collections import defaultdict


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    cases = defaultdict(dict)
    for bench in session.benchmarks if session else []:
        if bench.stats.rounds:
            cases[bench.group][bench.extra_info["contender"]] = bench.stats.min
    rivals = sorted({who for times in cases.values() for who in times} - {"fastgd"})
    terminalreporter.write_line("")
    terminalreporter.write_line("| case | fastgd | " + " | ".join(f"{who} / fastgd" for who in rivals) + " |")
    terminalreporter.write_line("|---|---:|" + "---:|" * len(rivals))
    for case, times in cases.items():
        ours = times.get("fastgd")
        if ours is None:
            continue
        ratios = [f"{times[who] / ours:.2f}" if who in times else "" for who in rivals]
        terminalreporter.write_line(f"| {case} | {in_units(ours)} | " + " | ".join(ratios) + " |")


def in_units(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"
