"""Tests about the tests: each of them is found and run."""
import ast
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

import fastgd

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.py"))
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(HERE).as_posix())
def test_no_test_stands_inside_a_function(file):
    assert nested_tests(ast.parse(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(HERE).as_posix())
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(HERE).as_posix())
def test_no_file_of_tests_is_skipped_whole(file):
    for module in needed_by_the_file(ast.parse(file.read_text(encoding="utf-8"))):
        assert importlib.util.find_spec(module.partition(".")[0]), (
            f"all of {file.name} is skipped, as there is no {module}: pip install 'fastgd[test]'")


def test_the_guard_sees_what_a_file_needs():
    tree = ast.parse("pytest.importorskip('a.b')\nc = pytest.importorskip('c')\n"
                     "def test_d(): pytest.importorskip('d')\n")
    assert needed_by_the_file(tree) == ["a.b", "c"]
    assert sum(bool(needed_by_the_file(ast.parse(file.read_text(encoding="utf-8")))) for file in FILES) > 5


#: The files that compare wording: messages of the package, and those of the command line.
MAY_COMPARE_WORDING = {"test_messages.py", "test_main.py"}
#: More than three ordinary words in a row.
PROSE = re.compile(r"(?<![\w'.=])[a-z]+(?:,? [a-z]+){3}(?![\w'=(])")


def names_in(*nodes):
    return {inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def strings_in(node):
    return [inner.value for inner in ast.walk(node)
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str)]


def is_of_a_message(node):
    """Whether an expression has a message in it: `.message`, `message` or `str(error.value)`."""
    return any((isinstance(inner, ast.Attribute) and inner.attr == "message")
               or (isinstance(inner, ast.Name) and inner.id == "message")
               or (isinstance(inner, ast.Call) and re.match(r"str\((error|caught|raised|info|e)\b", ast.unparse(inner)))
               for inner in ast.walk(node))


def compared_with_messages(scope):
    """The expressions of `match=`, of comparisons and calls with a message, and of `"words" in ...`."""
    for node in ast.walk(scope):
        if isinstance(node, ast.keyword) and node.arg == "match":
            yield node.value
        elif isinstance(node, (ast.Compare, ast.Call)) and is_of_a_message(node):
            yield node
        elif (isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn))
              and isinstance(node.left, (ast.Constant, ast.JoinedStr))):
            yield node.left


def values_of(scope, names):
    """The expressions that give these names their values in a function: assigned, looped over or parametrized."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and names & names_in(*node.targets):
            yield node.value
        elif isinstance(node, (ast.For, ast.comprehension)) and names & names_in(node.target):
            yield node.iter
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("parametrize") and names & {
                name for string in strings_in(node.args[0]) for name in re.split(r"\W+", string)}:
            yield node.args[1]


def prose_in(tree):
    """What a file of tests compares with messages and is more than a name, a number or a keyword."""
    constants = {name: node.value for node in tree.body if isinstance(node, ast.Assign)
                 for name in names_in(*node.targets)}
    found = []
    for scope in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
        nodes = list(compared_with_messages(scope))
        nodes += values_of(scope, names_in(*nodes))
        nodes += [constants[name] for name in sorted(names_in(*nodes) & set(constants))]
        found += [string for node in nodes for string in strings_in(node) if PROSE.search(string)]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("file", [file for file in FILES if file.name not in MAY_COMPARE_WORDING],
                         ids=lambda file: file.relative_to(HERE).as_posix())
def test_wording_is_compared_in_the_tests_of_messages_alone(file):
    assert prose_in(ast.parse(file.read_text(encoding="utf-8"))) == [], (
        "match a name, a number or a keyword; test_messages.py has the words")


def test_the_guard_sees_prose():
    tree = ast.parse('WORDS = {1: "one of a table"}\n'
                     '@pytest.mark.parametrize("words", ["two of a kind", "row 3"])\n'
                     'def test_a(words):\n    with pytest.raises(E, match=words): pass\n'
                     'def test_b():\n    for words in WORDS:\n        assert words in result.message\n'
                     'def test_c():\n    said = r"x1.*three of some kind"\n'
                     '    assert re.search(said, str(error.value))\n'
                     'def test_d():\n    assert "four words of prose" in text\n'
                     'def test_e():\n    with pytest.raises(E, match=f"five or six, or {seven}, or so"): pass\n'
                     'def test_f():\n    with pytest.raises(E, match="\'alpha\'.*no real number"): pass\n'
                     'def test_g():\n    note = "words that nothing compares"\n')
    assert prose_in(tree) == ["two of a kind", "one of a table", "x1.*three of some kind", "four words of prose",
                              "five or six, or "]


PACKAGE = Path(fastgd.__file__).parent


@pytest.mark.parametrize("module", sorted(
    path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not path.name.startswith("__")), ids=str)
def test_every_module_has_its_tests(module):
    """In the file that mirrors it, or where the page on the tests says."""
    *folders, name = (part.lstrip("_") for part in module.with_suffix("").parts)
    if not HERE.joinpath(*folders, f"test_{name}.py").exists():
        lines = (HERE / "README.md").read_text(encoding="utf-8").splitlines()
        modules = [line.split(" | ")[0] for line in lines if line.startswith("| `")]
        assert any(f"{module.name}`" in cell for cell in modules), (
            f"fastgd/{module} has no file of tests, and tests/README.md does not name another one")


def test_the_files_that_the_page_on_the_tests_names_are_there():
    text = (HERE / "README.md").read_text(encoding="utf-8")
    missing = [name for name in re.findall(r"`((?:\w+/)?test_\w+\.py)`", text) if not (HERE / name).exists()]
    assert not missing
