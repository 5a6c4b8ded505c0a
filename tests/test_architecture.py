"""The storeys of the house: an import that climbs, a circle, what grew too long to be read, each fails by name."""
import ast
import re
from pathlib import Path

import pytest

import fastgd

PACKAGE = Path(fastgd.__file__).parent

#: From the ground up; modules of one storey may import each other, as long as there is no ring.
STOREYS = [
    ["_kernels"],
    ["_validation", "_format", "_pairwise", "_thread_pool", "_immutable", "_types", "_frames", "_progress", "_random",
     "results"],
    ["_data"],
    ["losses", "penalties", "schedules"],
    ["_objective", "_options"],
    ["_solvers"],
    ["_convergence"],
    ["descent", "stochastic", "multistart", "diagnostics", "plot", "estimators", "_config"],
    ["__init__", "_cli", "__main__"],
]
STAND_APART = ["datasets", "reference"]
FLOOR = {name: floor for floor, names in enumerate([*STOREYS[:-1], [*STOREYS[-1], *STAND_APART]]) for name in names}
#: These import nothing of the package but this.
APART = {"reference": set(), "datasets": set(), "_immutable": set(), "_kernels": {"_kernels"}}
LONGEST_MODULE, LONGEST_FUNCTION = 700, 50


def sources():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def module_of(path):
    """The dotted name below fastgd: `_solvers.loop`, `losses` for its __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in sources()}


def is_type_checking(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"


def statements(tree, for_types):
    """All statements but those for type checkers; with `for_types` these too."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node) and not for_types:
            continue
        yield node
        yield from statements(node, for_types)


def imported(path, at_import_only=False, for_types=False):
    """Modules of the package that a file imports, as dotted names below fastgd; `for_types` in annotations too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if not is_type_checking(node)] if at_import_only else statements(tree,
                                                                                                         for_types)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    inside = {name.removeprefix("fastgd.") if name != "fastgd" else "__init__"
              for name in found if name == "fastgd" or name.startswith("fastgd.")}
    known = {name for name in inside if name in MODULES or name.split(".")[0] == "_kernels"}
    # `from fastgd import plot` asks for the module, and not for what the package's own __init__ holds.
    return known - {"__init__"} if known - {"__init__"} and not is_of_init(tree) else known


def is_of_init(tree):
    """Whether a file takes from `fastgd` what is no module of it."""
    names = {alias.name for node in statements(tree, False) if isinstance(node, ast.ImportFrom)
             and node.module == "fastgd" for alias in node.names}
    return any(name not in MODULES for name in names) or any(
        isinstance(node, ast.Import) and any(alias.name == "fastgd" for alias in node.names)
        for node in statements(tree, False))


def storey(module):
    return FLOOR[module.split(".")[0]]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_storey(module):
    assert module.split(".")[0] in FLOOR, f"{module} is in no storey of STOREYS, above: say where it belongs"


@pytest.mark.parametrize("module", MODULES)
def test_no_import_climbs(module):
    for other in imported(MODULES[module], for_types=module != "__init__"):
        assert storey(other) <= storey(module), (
            f"fastgd.{module} (storey {storey(module)}) imports fastgd.{other} (storey {storey(other)}): "
            "what both need belongs below both")


@pytest.mark.parametrize("module", MODULES)
def test_what_stands_apart_imports_nothing(module):
    allowed = APART.get(module.split(".")[0])
    if allowed is not None:
        climbing = {other for other in imported(MODULES[module]) if other.split(".")[0] not in allowed}
        assert not climbing, f"fastgd.{module} imports {climbing}"


def test_there_is_no_circle():
    graph = {module: imported(path, at_import_only=True) & set(MODULES) - {module} for module, path in MODULES.items()}
    done, path = set(), []

    def visit(module):
        if module in done:
            return
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module):], module])}"
        path.append(module)
        for other in graph[module]:
            # A package's __init__ is the door of its modules, which may stand on each other.
            if not other.startswith(f"{module}.") and not module.startswith(f"{other}."):
                visit(other)
        done.add(path.pop())

    for module in graph:
        visit(module)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_one_can_read(module):
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"fastgd.{module} has {lines} lines; {LONGEST_MODULE} is the most"


@pytest.mark.parametrize("module", MODULES)
def test_every_function_fits_on_a_screen(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            lines = node.end_lineno - node.lineno + 1 - (len(docstring.splitlines()) if docstring else 0)
            assert lines <= LONGEST_FUNCTION, f"fastgd.{module}.{node.name} has {lines} lines without its docstring"


def test_the_look_at_imports_sees_what_there_is():
    """The tests above would pass on nothing."""
    assert "_pairwise" in imported(MODULES["_data.arrays"])
    assert "_types" in imported(MODULES["_data.arrays"], for_types=True)
    assert "_kernels.mean" in imported(MODULES["_validation"])
    assert "_cli.main" in imported(MODULES["__main__"])
    assert len(MODULES) > 30


def test_messages_are_made_of_the_report_alone():
    allowed = {"_convergence", "_convergence.report", "_format", "results"}
    assert imported(MODULES["_convergence.messages"], for_types=True) <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_nobody_changes_an_objective(module):
    """Its attributes are set where it is made; a solver that needs another loss makes another objective."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, (ast.Name, ast.Attribute)):
                owner = getattr(target.value, "id", getattr(target.value, "attr", ""))
                assert "objective" not in owner, f"fastgd.{module}:{node.lineno} sets {owner}.{target.attr}"


def constants():
    """Name, module and value of the upper-case constants of the package, of the kernels too."""
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign):
                continue
            targets, values = node.targets[:1], [node.value]
            if isinstance(targets[0], ast.Tuple):
                targets, values = targets[0].elts, getattr(node.value, "elts", [])
            for target, value in zip(targets, values, strict=False):
                if isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_"):
                    yield target.id, module, ast.unparse(value)
    for path in PACKAGE.glob("_kernels/*.p[yx][xd]"):
        for name, value in re.findall(r"^(?:cdef double|   ) ([A-Z][A-Z_0-9]+) = ([^#\n]+?)(?:  #.*)?$",
                                      path.read_text(encoding="utf-8"), re.MULTILINE):
            yield name, path.name, value.strip()


def test_no_constant_has_one_name_and_two_values():
    found = {}
    for name, module, value in constants():
        found.setdefault(name, {}).setdefault(value, []).append(module)
    assert len(found) > 50
    assert not {name: values for name, values in found.items() if len(values) > 1}


def test_no_two_classes_have_one_name():
    """But for the kernel of a loss, and the warning that scikit-learn's users meet under the name of fastgd's."""
    found = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module)
    for path in PACKAGE.glob("_kernels/*.pyx"):
        if path.stem == "losses":
            continue
        for name in re.findall(r"^cdef class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(name, []).append(f"_kernels.{path.stem}")
    assert len(found) > 50
    assert not {name: modules for name, modules in found.items() if len(modules) > 1 and name != "ConvergenceWarning"}
