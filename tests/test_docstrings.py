"""Every public object has a numpydoc docstring: its parameters, what it returns and raises, an example that runs."""
import doctest
import inspect
import re
import sys
import types
from importlib.util import find_spec

import pytest

import fastgd
from fastgd import datasets, descent, diagnostics, losses, multistart, plot, results, schedules

#: Each needs scikit-learn.
ESTIMATORS = [fastgd.estimators] if find_spec("sklearn") else []
MODULES = [*ESTIMATORS, fastgd, datasets, descent, diagnostics, losses, multistart, plot, results, schedules]
#: What stands behind a signature of an object that is no function or class.
VALUES = (losses.Loss, losses.Gradient)
#: Methods of a loss that are there for the other modules of fastgd and take arguments that were checked.
INTERNAL = ("version",)
HEADINGS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes", "References",
            "Examples")


def public_objects():
    """The functions and classes that can be had by a public name, and the public methods of these classes."""
    found = {}
    for module in MODULES:
        own = [name for name, thing in vars(module).items()
               if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__]
        for name in getattr(module, "__all__", own):
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
            elif isinstance(thing, VALUES):
                found[f"{type(thing).__module__}.{type(thing).__qualname__}"] = type(thing)
    for thing in list(found.values()):
        if inspect.isclass(thing):
            for name, member in inspect.getmembers(thing, inspect.isfunction):
                if not name.startswith("_") and name not in INTERNAL and member.__module__.startswith("fastgd"):
                    found[f"{member.__module__}.{member.__qualname__}"] = member
    return found


def sections(docstring):
    """By heading, the lines under it; by "" those before the first."""
    parts, heading = {"": []}, ""
    lines = docstring.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch("-{3,}", line):
            continue
        if re.fullmatch("-{3,}", following):
            heading = line
            assert heading in HEADINGS, heading
            assert len(following) == len(heading), f"the line under {heading} is not as long as it"
            parts[heading] = []
        else:
            parts[heading].append(line)
    return parts


def described(lines):
    """The names that a section describes: each is at the left margin, several with commas between them."""
    text = " ".join(line.partition(" : ")[0] + "," for line in lines if line and not line.startswith(" "))
    return {name.strip().lstrip("*") for name in text.split(",") if name.strip()}


OBJECTS = public_objects()
#: The modules that the public objects are defined in, where doctest looks for their examples.
HOMES = {thing.__module__ for thing in OBJECTS.values()} | {module.__name__ for module in MODULES}
#: Classes whose constructor is public.
MADE_BY_THE_USER = [type(loss) for loss in losses.REGISTRY.values()] + [
    getattr(schedules, name) for name in schedules.__all__]


@pytest.mark.parametrize("path", OBJECTS)
def test_every_docstring_has_its_sections(path):
    thing = OBJECTS[path]
    found = sections(inspect.getdoc(thing) or "")
    first, *rest = found[""]
    assert first, "no docstring"
    assert first[0].isupper() or first[0] in "\"'(a", first
    assert first.rstrip().endswith((".", ")")) or not rest or not rest[0], first
    if isinstance(thing, types.FunctionType):
        names = [name for name in inspect.signature(thing).parameters if name != "self"]
        assert described(found.get("Parameters", [])) == set(names)
        assert not names or list(found).index("Parameters") == 1
        assert "Returns" in found or "Yields" in found
        assert "Raises" in found or not names
    assert any(line.startswith(">>> ") for line in found.get("Examples", [])), "no example"
    if thing in MADE_BY_THE_USER:
        names = [*inspect.signature(thing).parameters]
        assert described(found.get("Parameters", [])) == set(names)
        assert ("Raises" in found) == bool(names)


# Those of fastgd.plot are in test_plot.py, beside what closes their figures; that of open_parquet in test_parquet.py.
@pytest.mark.thread_unsafe(reason="doctest replaces sys.stdout")
@pytest.mark.parametrize("name", sorted(HOMES - {plot.__name__, "fastgd._data.parquet"}))
def test_every_example_runs(name):
    done = doctest.testmod(sys.modules[name])
    assert done.failed == 0
    assert done.attempted or name == "fastgd", "no example was found"


def test_every_attribute_of_a_result_is_described():
    for thing in (diagnostics.Convexity, multistart.MultistartResult, diagnostics.GradientCheck, results.DescentResult):
        public = {name for name in thing.__dataclass_fields__ if not name.startswith("_")}
        assert described(sections(inspect.getdoc(thing))["Attributes"]) == public, thing
