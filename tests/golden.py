"""The golden record: 2,000 calls of fastgd, and what each of them did, to the last bit where that is promised.

``python tests/golden.py`` writes the record, ``tests/golden/streams.json.xz``, anew. That is for a change of behaviour
that is intended, and for nothing else: the commit then says which cases changed, and why. ``python tests/golden.py 17``
shows case 17, as code that can be pasted, and what it does now. `tests/test_golden.py` compares with the record, and
``tests/golden/cases.py`` has the cases.
"""
import contextlib
import functools
import importlib.util
import io
import json
import lzma
import re
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

import fastgd
from fastgd import losses, schedules

RECORD = Path(__file__).with_name("golden") / "streams.json.xz"
COUNT, GROUP = 2000, 50
#: Output, warnings and numpy's global generator belong to the process: one case at a time.
_ONE_AT_A_TIME = threading.Lock()
_INPUTS = ("y", "X", "theta0", "theta", "thetas", "starts")


def _module_of_cases():
    spec = importlib.util.spec_from_file_location("fastgd_golden_cases", RECORD.with_name("cases.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make_case = _module_of_cases().make_case


def bits(numbers):
    """Floats as texts that keep each bit."""
    return [float(number).hex() for number in np.ravel(numbers)]


def digits(numbers):
    """Floats as texts of seven digits, for what follows from theta where that is not compared by bits."""
    return [format(float(number), ".7g") for number in np.ravel(numbers)]


def number_of(text):
    """The float that `bits` or `digits` wrote."""
    return float.fromhex(text) if "0x" in text else float(text)


def digest(*arrays):
    """A short hash of numbers, the same on every machine."""
    return zlib.crc32(b"".join(np.ascontiguousarray(array, dtype="<f8").tobytes() for array in arrays))


def mean_size(numbers):
    """The mean of absolute values over the first axis, in which nothing cancels."""
    with np.errstate(over="ignore"):
        return np.abs(numbers).mean(axis=0)


def run(case):
    """What the case does: a digest of its data, and a dict of facts that json keeps.

    Lists of texts in it are floats, by `bits` or `digits`.
    """
    with _ONE_AT_A_TIME:
        state = np.random.get_state()
        try:
            done = _Run(case)
            return done.inputs, done.record
        finally:
            np.random.set_state(state)


def _set_up(case):
    """The names that a case has before its call."""
    names = {"np": np, "pd": pd, "fastgd": fastgd, "losses": losses, "schedules": schedules}
    exec(compile(case.setup, f"<case {case.number}>", "exec"), names)
    return names


class _Run:
    """A case that was run, `inputs` a digest of its data and `record` the facts."""

    def __init__(self, case):
        self.case = case
        self.names = _set_up(case)
        inputs = {name: self.names[name] for name in _INPUTS if name in self.names}
        before = {name: _known_by(value) for name, value in inputs.items()}
        data = [np.asarray(value, dtype=float).ravel() for value in inputs.values()]
        self.inputs = digest([zlib.crc32(case.code.encode())], *data)
        self.record = {}
        self._by = bits if case.tolerance == 0 else digits
        self._call()
        changed = [name for name, value in inputs.items() if _known_by(value) != before[name]]
        self.record["changed"] = {name: digest(inputs[name]) for name in changed}
        self._look_at_generator()
        if "seen" in self.names:
            self._look_at_callback(self.names["seen"])

    def _call(self):
        filename = f"<case {self.case.number}>"
        output, result, error = io.StringIO(), None, None
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(output):
            warnings.simplefilter("always")
            try:
                result = eval(compile(self.case.call, filename, "eval"), self.names)
            except Exception as raised:
                error = raised
        if error is None:
            self._look_at(result)
        else:
            self.record["error"] = type(error).__name__
            if isinstance(error, fastgd.DivergenceError):
                self._look_at_result(error.result)
        # What numpy warns of in a function of the user's own is numpy's affair.
        said = [warning for warning in caught if not (self.case.in_python and warning.category is RuntimeWarning)]
        if said:
            self.record["warnings"] = [warning.category.__name__ for warning in said]
            self.record["warned where it was called"] = all(warning.filename == filename for warning in said)
        if output.getvalue():
            self._look_at_output(output.getvalue())

    def _look_at(self, result):
        self.record["type"] = type(result).__name__
        if isinstance(result, fastgd.DescentResult):
            self._look_at_result(result)
        elif hasattr(result, "minima"):
            self._look_at_starts(result)
        elif self.case.verb == "call":
            self.record.update(shape=list(np.shape(result)))
            self.record["slopes" if "grad" in self.case.call else "losses"] = bits(result)
        else:
            self.record.update(shape=list(np.shape(result)), theta=bits(result))

    def _look_at_result(self, result):
        self.record.update(
            theta=bits(result.x), losses=bits(result.fun), slopes=self._by(result.jac), nit=result.nit,
            status=result.status, success=result.success, types=[type(result.x).__name__, type(result.nit).__name__],
            names=[result.fit_intercept, *(result.feature_names or ())])
        if result.history is not None:
            columns = [result.history[name].to_numpy() for name in result.history]
            self.record["columns"] = [*result.history, len(result.history)]
            self.record["history"] = (digest(*columns) if self.case.tolerance == 0 else
                                      digits([mean_size(column) for column in columns]))

    def _look_at_starts(self, result):
        runs = result.runs
        self.record.update(
            theta=bits([result.x, *result.minima, *(run.x for run in runs)]),
            losses=bits([result.fun, *result.losses, *(run.fun for run in runs)]),
            slopes=self._by([run.jac for run in runs]), labels=result.labels.tolist(), success=result.success,
            nit=[run.nit for run in runs], statuses=[run.status for run in runs])

    def _look_at_output(self, output):
        if self.case.loss_tolerance == 0:
            self.record["output"] = zlib.crc32(output.encode())
        else:
            lines = output.splitlines()
            self.record.update(lines=len(lines), **{"last line": lines[-1]})

    def _look_at_generator(self):
        generator = self.names.get("rng")
        if "np.random.seed" in self.case.setup:
            state = np.random.get_state(legacy=False)
        elif isinstance(generator, np.random.RandomState):
            state = generator.get_state(legacy=False)
        elif isinstance(generator, (np.random.BitGenerator, np.random.Generator)):
            state = getattr(generator, "bit_generator", generator).state
        else:
            return
        self.record["generator"] = zlib.crc32(json.dumps(state, sort_keys=True, default=np.ndarray.tolist).encode())

    def _look_at_callback(self, seen):
        updates, thetas, values = ([row[k] for row in seen] for k in range(3))
        self.record["seen"] = digest(updates, *([] if self.case.tolerance else [np.ravel(theta) for theta in thetas]))
        if seen:
            self.record["seen theta"] = self._by(mean_size(thetas))
            self.record["seen losses"] = (bits if self.case.loss_tolerance == 0 else digits)(np.mean(values))


def _known_by(value):
    """What tells whether a caller's data were changed: type, dtype, and bits."""
    array = np.asarray(value)
    return type(value), array.dtype, array.shape, array.tobytes()


def size_of_inputs(case):
    """What the errors of sums over this case's data grow with: the largest number, squared, in points and rows."""
    names = _set_up(case)
    arrays = [np.asarray(names[name], dtype=float) for name in ("y", "X") if name in names]
    return float(np.prod([max(1.0, np.abs(array).max()) for array in arrays])) ** 2


_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)(?![\w])")


def words_and_numbers(text):
    """The text with each number replaced by "#", and the numbers."""
    return _NUMBER.sub("#", text), [float(number) for number in _NUMBER.findall(text)]


@functools.cache
def recorded():
    """What was written: "inputs", a digest of the data of each group of cases, and "facts", a dict for each case."""
    with lzma.open(RECORD, "rt", encoding="utf-8") as file:
        return json.load(file)


def run_group(group):
    """The cases of a group, a digest of their data, and their facts."""
    cases = [make_case(number) for number in range(group * GROUP, (group + 1) * GROUP)]
    inputs, facts = zip(*map(run, cases), strict=True)
    return cases, digest(inputs), facts


def _write():
    _, inputs, groups = zip(*map(run_group, range(COUNT // GROUP)), strict=True)
    lines = [json.dumps(facts, separators=(",", ":")) for group in groups for facts in group]
    text = f'{{"inputs": {json.dumps(inputs)}, "facts": [\n' + ",\n".join(lines) + "\n]}\n"
    RECORD.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(lines)} cases, {len(text)} characters, {RECORD.stat().st_size} bytes")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        chosen = make_case(int(argument))
        print(f"{chosen.code}\n# tolerance of theta {chosen.tolerance:g}, of losses {chosen.loss_tolerance:g}")
        print(json.dumps(run(chosen)[1], indent=1))
    if len(sys.argv) == 1:
        _write()
