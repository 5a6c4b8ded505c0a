"""Public objects have numpydoc docstrings with examples that run; all prose of the package is in the field's terms."""
import ast
import doctest
import inspect
import io
import re
import sys
import tokenize
import types
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

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


PACKAGE = Path(fastgd.__file__).parent
PROSE_FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*")
                     if path.suffix in {".py", ".pyi", ".pyx", ".pxd"})
#: First words of a sentence whose noun is elsewhere.
OPENINGS = re.compile("""["'`(]*(That|Those|This|These|It|Its|They|Their|Such|The same|What|Which|Whether|Where|When"""
                      """|How|Why|If|So|As|Of|By|A number of)\\b""")
#: Words that are not the field's, as regular expressions, and the terms that stand for them.
NOT_OUR_WORDS = {
    r"look(s|ed|ing)?": "check, search, compare, resemble",
    r"tell(s|ing)?|told": "return, show, determine, distinguish",
    r"say(s|ing)?|said": "state, determine, the fact itself",
    r"so many": "the number, or a formula of it",
    r"ask(s|ed|ing)?": "require, request, call, the value of the option",
    r"lets? go|letting go": "release, remove, stop",
    r"knows?|knew": "store, compute, be independent of",
    r"worth": "suboptimality, decrease, cheaper than",
    r"shortfalls?": "suboptimality",
    r"verdicts?|judg(e|es|ed|ing)": "convergence report, message, check",
    r"runners?|drivers?": "loop, solver",
    r"watch(es|ed|ing)?": "monitor",
    r"manners?|metrics?": "preconditioner, proximal parameters",
    r"white": "whitened",
    r"guess(es|ed)?": "warm start, estimate",
    r"spreads?": "variance, range, median absolute deviation, mean absolute deviation",
    r"pieces?|parted": "chunk, part, interval",
    r"tie[sd]?": "collinear columns, equal values",
    r"gets? to|got to": "reach",
    r"arriv(e|es|ed|ing)": "converge, reach",
    r"for ever": "without end",
    r"straight": "linear",
    r"sharp(er|est)?": "nonsmooth, narrow",
    r"afar": "far from the minimum",
    r"unlike": "of opposite sign, different",
    r"cares?|deserves?": "be invariant to, depend on",
}
#: Files in which such a word is plain English.
ALLOWED_WORDS = {("plot/_axes.py", "white")}


def prose(name):
    """The docstrings, the comments and the strings of several words in a file of the package, each with its line."""
    source = (PACKAGE / name).read_text(encoding="utf-8")
    docstrings, comments, texts = [], [], []
    if name.endswith(".py"):
        tree = ast.parse(source)
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = {id(node.body[0].value): node for node in ast.walk(tree)
                 if isinstance(node, documented) and ast.get_docstring(node) is not None}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                group, text = (docstrings, inspect.cleandoc(node.value)) if id(node) in found else (texts, node.value)
                if " " in text:
                    group.append((node.lineno, text))
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    else:
        def blank(match):
            line = source.count("\n", 0, match.start()) + 1
            if not re.search("^ *#(if|define|include)", match[1], re.MULTILINE):    # else C in a Cython file
                docstrings.append((line, inspect.cleandoc(match[1])))
            return "\n" * match[0].count("\n")
        code = re.sub('"""(.*?)"""', blank, source, flags=re.DOTALL)
        comments = [(i, match[0]) for i, line in enumerate(code.splitlines(), 1) if (match := re.search("#.*", line))]
    return docstrings, comments, texts


def descriptions(docstring):
    """The first line of each description in a numpydoc section, which is indented below a name or a type."""
    lines = docstring.splitlines()
    return [line.strip() for above, line in pairwise(lines)
            if line.startswith("    ") and above and not above[0].isspace() and not above.endswith((":", ".", ","))]


def first_lines(comments):
    """The first line of each `#:` comment, which documents the name below it."""
    lines = {line for line, text in comments if text.startswith("#:")}
    return [(line, text[2:].strip()) for line, text in comments if line in lines and line - 1 not in lines]


@pytest.mark.parametrize("name", PROSE_FILES)
def test_sentences_open_with_their_verb_or_noun(name):
    docstrings, comments, _ = prose(name)
    bad = [(line, text.splitlines()[0]) for line, text in docstrings if OPENINGS.match(text)]
    bad += [(line, text) for line, docstring in docstrings for text in descriptions(docstring)
            if OPENINGS.match(text) and not text.startswith("If ")]
    bad += [(line, text) for line, text in first_lines(comments) if OPENINGS.match(text)]
    bad += [(line, text) for line, text in comments if re.match("#:? *Whether ", text)]
    assert not bad


@pytest.mark.parametrize("name", PROSE_FILES)
def test_prose_has_only_the_words_of_the_field(name):
    bad = []
    for line, text in [item for group in prose(name) for item in group]:
        plain = re.sub("`[^`]*`", "", text)    # without names of the code
        for word, term in NOT_OUR_WORDS.items():
            found = re.search(rf"\b({word})\b", plain, re.IGNORECASE)
            if found and (name, found[0].lower()) not in ALLOWED_WORDS:
                context = plain[max(found.start() - 40, 0):found.end() + 40]
                bad.append((line, f"not {found[0]!r} but {term}: {context!r}"))
    assert not bad
