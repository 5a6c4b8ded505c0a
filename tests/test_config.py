"""The levels of the kernels: which is in use, how one is forced, and that none changes a bit; and what says so."""
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgd

FACTS = fastgd.show_config(mode="dicts")
LEVELS = FACTS["levels"]

#: Prints a digest of what each kernel that loops answers: equal digests are equal bits.
ANSWERS = """
import hashlib
import numpy as np
import fastgd
from fastgd import losses, penalties
from fastgd._kernels import libm

assert fastgd.show_config(mode="dicts")["level"] == LEVEL

def digest(name, *answers):
    print(name, hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in answers)).hexdigest())

rng = np.random.default_rng(0)
numbers = np.concatenate([rng.normal(0, 10, 10_000), rng.random(10_001) * 2.0 ** rng.integers(-1074, 1024, 10_001)])
for name in ("exp", "tanh", "log1p"):
    out = np.empty_like(numbers)
    getattr(libm, name)(numbers, out)
    digest(name, np.nan_to_num(out))
for name, loss in losses.REGISTRY.items():
    for dtype in (np.float64, np.float32):
        for n in (5, 127, 5003):
            points = rng.random(n).astype(dtype)
            weights = rng.random(n)
            thetas = np.linspace(-3, 3, 7)
            digest(f"{name} {dtype.__name__} {n}", loss.curve(thetas, points), loss.gradient.curve(thetas, points),
                   loss.curve(thetas, points, sample_weight=weights), loss.smoothed(0.3).curve(thetas, points))
        digest(f"{name} descents", *(getattr(fastgd, f"minimize{kind}")(
            loss, None, rng.random(999).astype(dtype), *size, alpha=0.01, full_output=True, **options).x
            for kind, size, options in (("", (), {"progress": False, "max_iter": 9}),
                                        ("_sgd", (), {"rng": 0, "max_epochs": 1}),
                                        ("_mini_batch", (10,), {"rng": 0, "max_epochs": 1}))))
        digest(f"{name} starts", *(run.x for run in fastgd.minimize_multistart(
            loss, None, rng.random(99), [0.1, 0.9], alpha=0.01, max_iter=5).runs))
        for p in (1, 3, 4, 7, 16, 37):
            X, y = rng.normal(size=(333, p)).astype(dtype), rng.random(333)
            thetas = rng.normal(size=(3, p + 1))
            digest(f"{name} rows of {p}", loss.curve(thetas, y, X=X, fit_intercept=True),
                   loss.gradient.curve(thetas, y, X=X, fit_intercept=True, sample_weight=rng.random(333)),
                   fastgd.minimize(loss, None, y, X=X, alpha=0.001, max_iter=9, progress=False),
                   fastgd.minimize_sgd(loss, None, y, X=X, alpha=0.001, max_epochs=1, rng=0),
                   fastgd.minimize_sgd(loss, None, y, X=X, alpha=0.001, max_epochs=1, rng=0, precondition="scale",
                                       penalty=penalties.ElasticNet(0.01, 0.1)),
                   fastgd.minimize_mini_batch(loss, None, y, 10, X=X, alpha=0.001, max_epochs=1, rng=0))
from fastgd._objective.second_moments import RowMoments
from fastgd._data import LinearModelData
digest("gram", *RowMoments(LinearModelData(rng.normal(size=(1000, 37)), rng.random(1000), True)).gram())
"""


def python(code, level=None):
    environment = {name: value for name, value in os.environ.items() if name != "FASTGD_CPU"}
    if level is not None:
        environment["FASTGD_CPU"] = level
    folder = Path(fastgd.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True,
                          check=False)


def answers(level):
    done = python(f"LEVEL = {level!r}\n{ANSWERS}", level)
    assert done.returncode == 0, done.stderr
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def of_baseline():
    return answers("baseline")


@pytest.mark.parametrize("level", LEVELS[1:])
def test_every_level_gives_the_bits_of_the_baseline(level, of_baseline):
    found = answers(level)
    assert len(found) > 100
    assert [name for name in of_baseline if found[name] != of_baseline[name]] == []


def test_the_best_level_is_chosen():
    done = python("import fastgd; print(fastgd.show_config(mode='dicts')['level'])")
    assert done.stdout.strip() == LEVELS[-1]


def test_a_level_that_does_not_exist_is_refused():
    done = python("import fastgd", "avx2")
    assert ("ValueError: The environment variable FASTGD_CPU must be 'baseline', 'v3' or 'v4', or not set. "
            "Got 'avx2' instead.") in done.stderr


def test_a_level_that_the_cpu_has_not_is_refused():
    done = python("""
import importlib.util, pathlib, types
folder = pathlib.Path(sys.path[0], "fastgd", "_kernels")
spec = importlib.util.spec_from_file_location("fastgd._kernels", folder / "__init__.py",
                                              submodule_search_locations=[str(folder)])
kernels = importlib.util.module_from_spec(spec)
kernels.cpu = types.SimpleNamespace(x86_level=lambda: 3)
sys.modules.update({"fastgd": types.ModuleType("fastgd"), "fastgd._kernels": kernels,
                    "fastgd._kernels.cpu": kernels.cpu})
spec.loader.exec_module(kernels)
""", "v4")
    assert "ValueError: The environment variable FASTGD_CPU names 'v4'" in done.stderr
    assert "Allowed here: 'baseline'" in done.stderr


def test_config_is_printed_with_a_name_before_each_fact(capsys):
    assert fastgd.show_config() is None
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FACTS)
    assert f"level     {FACTS['level']}" in lines


def test_config_is_of_this_machine():
    assert FACTS["numpy"] == np.__version__
    assert FACTS["version"] == fastgd.__version__
    assert FACTS["level"] in LEVELS
    assert FACTS["threads"] >= 1
    assert FACTS["compiler"].split()[0] in ("GCC", "clang", "MSVC", "unknown")
    if platform.machine() == "x86_64":
        assert FACTS["cpu"]


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match=r"'mode'.*'stdout' or 'dicts'.*'json'"):
        fastgd.show_config(mode="json")
