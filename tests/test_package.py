"""The package as a whole: what importing it does, and what it is made of."""
from importlib import metadata

from helpers import in_a_new_process

import fastgd
from fastgd import reference


def test_import_is_light():
    imported = in_a_new_process("import fastgd, sys; print(*sys.modules)").split()
    assert not {"pandas", "matplotlib", "scipy", "tqdm", "numba"} & set(imported)
    assert not {"fastgd.plot", "fastgd.datasets", "fastgd.reference", "fastgd.multistart"} & set(imported)


def test_what_is_imported_when_it_is_wanted_is_there_all_the_same():
    assert in_a_new_process("""
import fastgd
from fastgd import *
print(datasets.__name__, is_convex.__module__, fastgd.reference.__name__, fastgd.multistart.minimize_multistart is
      minimize_multistart, "plot" in dir(fastgd), fastgd.plot.__name__, hasattr(fastgd, "nothing"))
""") == "fastgd.datasets fastgd.diagnostics fastgd.reference True True fastgd.plot False"


def test_functions_of_the_modules_are_found_in_the_package():
    """Each public function of a module whose functions have names of their own."""
    modules = fastgd.datasets, fastgd.diagnostics, fastgd.multistart, fastgd.penalties, fastgd.plot
    names = {name: module for module in (*modules, fastgd.schedules) for name in module.__all__}
    for kept in ("Convexity", "GradientCheck", "MultistartResult", "Penalty"):    # nobody makes one
        del names[kept]
    assert all(getattr(fastgd, name) is getattr(module, name) for name, module in names.items())
    assert names.keys() <= set(dir(fastgd))


def test_a_function_of_a_module_is_imported_at_its_first_access():
    assert in_a_new_process("""
import sys, fastgd
before = {"fastgd.plot", "fastgd.datasets", "fastgd.estimators", "pandas", "matplotlib"} & set(sys.modules)
dir(fastgd)
unasked = "fastgd.plot" in sys.modules
fastgd.plot_loss
print(before, unasked, "fastgd.plot" in sys.modules, "matplotlib" in sys.modules, "plot_loss" in vars(fastgd))
""") == "set() False True False True"


def test_star_import_brings_no_names_of_the_modules_for_pictures_and_schedules():
    assert in_a_new_process("""
import sys
sys.modules |= {"sklearn": None, "matplotlib": None}
from fastgd import *
print({"plot", "plot_loss", "constant", "L1"} & set(globals()))
""") == "set()"


def test_the_oracle_runs_on_numpy_alone():
    assert in_a_new_process(f"""
import importlib.util, sys
import numpy as np, numpy.random
sys.modules["fastgd"] = None    # an import of it would fail
known = {{*sys.modules, *sys.stdlib_module_names}}
spec = importlib.util.spec_from_file_location("oracle", {reference.__file__!r})
oracle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oracle)
y = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
print(oracle.minimize(oracle.mse, oracle.grad_mse, y, progress=False), oracle.simple_minimize(oracle.abs_loss, y, y),
      oracle.minimize_sgd(None, oracle.grad_huber_loss, y, rng=0) > 0,
      [name for name in set(sys.modules) - known if not name.startswith("numpy.")])
""") == "14.658511131035242 14.9 True []"


def test_denormals_still_work():
    assert in_a_new_process("import fastgd, numpy; print(numpy.float64(5e-324) / 1 > 0)") == "True"


def test_the_version_is_that_of_the_metadata_and_every_name_exists():
    assert fastgd.__version__ == metadata.version("fastgd")
    assert sorted(fastgd.__all__) == list(fastgd.__all__)
    assert all(hasattr(fastgd, name) for name in fastgd.__all__)
