"""Tests about the tests: each of them is found and run."""
import ast
import importlib.util
from collections import Counter
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.glob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

pytestmark = pytest.mark.thread_unsafe(reason="ast.parse of Python 3.11 is not safe in threads")


def is_test(node):
    return isinstance(node, NAMED) and node.name.lower().startswith("test")


def nested_tests(tree):
    """The tests that stand inside a function, where pytest does not look for them."""
    return [inner.name for outer in ast.walk(tree) if isinstance(outer, FUNCTIONS)
            for inner in ast.walk(outer) if inner is not outer and is_test(inner)]


def replaced_tests(tree):
    """The tests of whose name there are several in one file or class: the last of them is the one that pytest runs."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef))]
    return [name for scope in scopes for name, times in Counter(
        node.name for node in statements(scope) if is_test(node)).items() if times > 1]


def statements(scope):
    """The statements of a module or class, and those under its ifs, withs and tries."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, NAMED):
            yield from statements(node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_test_stands_inside_a_function(file):
    assert nested_tests(ast.parse(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_test_replaces_another_of_its_name(file):
    assert replaced_tests(ast.parse(file.read_text(encoding="utf-8"))) == []


def test_these_guards_find_what_they_look_for():
    nested = ast.parse("def test_a():\n    if True:\n        class TestB:\n            def test_c(self): pass\n"
                       "class TestD:\n    def test_e(self): pass\n    def help(self):\n        def test_f(): pass\n")
    assert nested_tests(nested) == ["TestB", "test_c", "test_f"]
    assert replaced_tests(nested) == []
    replaced = ast.parse("def test_a(): pass\nif True:\n    def test_a(): pass\n"
                         "class TestB:\n    def test_a(self): pass\n    def test_c(self): pass\n"
                         "    def test_c(self): pass\nclass TestB: pass\n")
    assert replaced_tests(replaced) == ["test_a", "TestB", "test_c"]


def needed_by_the_file(tree):
    """The modules without which a whole file of tests is skipped."""
    return [call.args[0].value for node in tree.body for call in ast.walk(node)
            if not isinstance(node, NAMED) and isinstance(call, ast.Call)
            and ast.unparse(call.func) == "pytest.importorskip"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_of_tests_is_skipped_whole(file):
    for module in needed_by_the_file(ast.parse(file.read_text(encoding="utf-8"))):
        assert importlib.util.find_spec(module.partition(".")[0]), (
            f"all of {file.name} is skipped, as there is no {module}: pip install 'fastgd[test]'")


def test_the_guard_sees_what_a_file_needs():
    tree = ast.parse("pytest.importorskip('a.b')\nc = pytest.importorskip('c')\n"
                     "def test_d(): pytest.importorskip('d')\n")
    assert needed_by_the_file(tree) == ["a.b", "c"]
    assert sum(bool(needed_by_the_file(ast.parse(file.read_text(encoding="utf-8")))) for file in FILES) > 5
