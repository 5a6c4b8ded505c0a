"""What a type checker says of the package, of its stubs and of the README's code. It takes mypy, and a minute."""
import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import README, blocks_of_the_readme

import fastgd
from fastgd import _types

HERE = Path(__file__).parent
PROMISES = '''
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from fastgd import (
    DescentResult, Huber, grad_mse, huber_loss, is_convex, minimize, minimize_mini_batch, minimize_sgd, mse, schedules,
    simple_minimize)

y = [12.1, 12.8, 14.9]
X = np.ones((3, 1))


def loss(theta: float, y: NDArray[np.float64]) -> float:
    return float(np.mean(np.abs(y - theta)))


def linear_gradient(theta: NDArray[np.float64], X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return X.T @ np.sign(X @ theta - y) / len(y)


def show(intermediate_result: DescentResult) -> None:
    print(intermediate_result.nit)


assert_type(mse(14.0, y), float)
assert_type(mse([14.0], y, X=X), float)
assert_type(grad_mse(14.0, y), float)
assert_type(grad_mse([14.0], y, X=X), NDArray[np.float64])
assert_type(Huber(delta=2).delta, float)
assert_type(mse.curve([14, 15], y), NDArray[np.float64])
assert_type(simple_minimize(loss, y, [14, 15]), float)
assert_type(minimize(loss, None, y, callback=show), float)
assert_type(minimize(mse, grad_mse, y, X=X), NDArray[np.float64])
assert_type(minimize(None, linear_gradient, y, X=X), NDArray[np.float64])
assert_type(minimize(mse, grad_mse, y, history=True), DescentResult[float])
assert_type(minimize(mse, grad_mse, y, X=X, full_output=True), DescentResult[NDArray[np.float64]])
assert_type(minimize_sgd(mse, grad_mse, y, schedules.constant(0.1), rng=0).is_integer(), bool)
assert_type(minimize_mini_batch(mse, grad_mse, y, 2, lambda t: 1 / (1 + t), full_output=True), DescentResult[float])
assert_type(bool(is_convex(huber_loss, y, (10, 20))), bool)

minimize(mse, grad_mse, y, stop="epoch")    # type: ignore[call-overload]
minimize(mse, 3.0, y)    # type: ignore[call-overload]
'''

pytest.importorskip("mypy")

pytestmark = pytest.mark.thread_unsafe(reason="one mypy takes a minute, and all the memory there is")


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """A function that runs mypy or stubtest with these arguments, and fails with what it says."""
    folder = tmp_path_factory.mktemp("types")
    root = Path(fastgd.__file__).parents[1]
    # mypy finds what is installed by itself, but not the source tree behind an editable install.
    environment = {**os.environ, "MYPYPATH": "" if root.name == "site-packages" else str(root)}

    def run(module, *arguments):
        done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=folder,
                              env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    config = HERE.parent / "pyproject.toml"

    def mypy(*arguments):
        run("mypy", "--strict", *(["--config-file", str(config)] if config.exists() else []), *arguments)

    def stubtest(*arguments):
        run("mypy.stubtest", *arguments, *(["--mypy-config-file", str(config)] if config.exists() else []))

    return {"mypy": mypy, "stubtest": stubtest, "folder": folder}


def test_the_package_is_strictly_typed(check):
    check["mypy"]("--package", "fastgd")


def test_the_stubs_say_what_the_kernels_have(check):
    check["stubtest"]("fastgd", "--allowlist", str(HERE / "stubtest_allowlist.txt"))


def test_the_annotations_promise_what_a_caller_gets(check):
    (check["folder"] / "promises.py").write_text(PROMISES)
    check["mypy"]("promises.py")


@pytest.mark.skipif(not README.exists(), reason="the README is not part of the installed package")
def test_the_code_of_the_readme_is_well_typed(check):
    blocks = blocks_of_the_readme()
    if importlib.util.find_spec("numba") is None:    # unknown, it makes what it decorates untyped
        blocks = [block for block in blocks if "import numba" not in block]
    assert blocks
    files = [f"readme_{number}.py" for number in range(len(blocks))]
    for file, block in zip(files, blocks, strict=True):
        (check["folder"] / file).write_text(block)
    check["mypy"](*files)


def fields_of(module, name):
    """Keys of a TypedDict that a module defines for type checkers alone, with those of its bases."""
    classes = {node.name: node for source in (_types, module) for node in ast.walk(ast.parse(inspect.getsource(source)))
               if isinstance(node, ast.ClassDef)}
    bases = [base.id for base in classes[name].bases if base.id in classes]
    own = {statement.target.id for statement in classes[name].body if isinstance(statement, ast.AnnAssign)}
    return own.union(*(fields_of(module, base) for base in bases))


@pytest.mark.parametrize(("verb", "options"), [
    (fastgd.minimize, "Options"), (fastgd.minimize_sgd, "StochasticOptions"),
    (fastgd.minimize_mini_batch, "StochasticOptions")])
@pytest.mark.parametrize("kind", ["OfPoints", "OfRows"])
def test_the_options_of_the_overloads_are_those_of_the_verb(verb, options, kind):
    """Those that decide what is returned stand in the overloads themselves."""
    keywords = {name for name, parameter in inspect.signature(verb).parameters.items()
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    module = sys.modules[verb.__module__]
    assert fields_of(module, options + kind) == keywords - {"X", "history", "full_output"}
