"""The README: each block of its code runs alone and gives the values beside it; its tables and links are complete."""
import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import README, blocks_of_the_readme

import fastgd
from fastgd.losses import REGISTRY

TREE = README.parent
in_the_tree = pytest.mark.skipif(not (TREE / "bench").exists(), reason="the benches are part of the source tree")


def blocks_of_a_docstring(docstring):
    """List the indented blocks of code after "::"."""
    return [textwrap.dedent(block) for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", docstring)]


def pieces():
    """Return each block of code that can be pasted into a new Python, by name."""
    found = {}
    if README.exists():
        found |= {f"README {number}": block for number, block in enumerate(blocks_of_the_readme(), 1)}
    for number, block in enumerate(blocks_of_a_docstring(fastgd.losses.__doc__), 1):
        found[f"help(fastgd.losses) {number}"] = block
    return found


PIECES = pieces()
#: Headings of the README below its title, which stands above what fastgd is.
PARTS = [
    "Install", "From a csv file to a robust line and a quantile line", "The textbook's functions",
    "Which function for which job", "In place of scikit-learn's and statsmodels' models", "Data larger than memory",
    "When it warns", "Speed", "Where to read on",
]
MARK = "value: "


def with_values(block):
    """Return a script that prints the repr of each `expression  # value` of a block, and these values."""
    script, values, lines = ["import json"], [], block.splitlines()
    for node in ast.parse(block).body:
        start = min([node, *getattr(node, "decorator_list", [])], key=lambda part: part.lineno).lineno
        code = "\n".join(lines[start - 1:node.end_lineno])
        value = lines[node.end_lineno - 1].partition("  # ")[2]
        if isinstance(node, ast.Expr) and value:
            code = f"print({MARK!r} + json.dumps(repr({ast.unparse(node)})))"
            values.append(value)
        script.append(code)
    return "\n".join(script), values


@pytest.mark.thread_unsafe(reason="ast.parse of Python 3.11 is not safe in threads")
@pytest.mark.parametrize("name", PIECES)
def test_each_block_of_code_runs_alone_and_gives_its_values(name, tmp_path):
    """Run a block in a new Python and an empty folder; a value that ends with an ellipsis is the start of a repr."""
    block = PIECES[name]
    for needed, module in (("import numba", "numba"), ("_parquet(", "pyarrow"), ("import dask", "distributed"),
                           ("DescentRegressor", "sklearn"), ("import matplotlib", "matplotlib")):
        if needed in block and not importlib.util.find_spec(module):
            pytest.skip(f"there is no {module}")
    if '"cc ' in block and not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    script, values = with_values(block)
    # The package that is tested here, which may have been found in the folder that pytest was started in.
    environment = {**os.environ, "PYTHONPATH": str(Path(fastgd.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=tmp_path,
                          env=environment, check=False)
    assert done.returncode == 0, done.stderr
    printed = [json.loads(line.removeprefix(MARK)) for line in done.stdout.splitlines() if line.startswith(MARK)]
    assert values, "no expression of the block has a value beside it"
    assert len(printed) == len(values)
    for got, value in zip(printed, values, strict=True):
        assert got.startswith(value.removesuffix("...")) if value.endswith("...") else got == value


@pytest.mark.skipif(not README.exists(), reason="the README is not part of the installed package")
class TestReadme:
    text = README.read_text(encoding="utf-8") if README.exists() else ""

    def test_a_stranger_can_read_it_at_a_stretch(self):
        assert len(self.text.splitlines()) <= 200
        assert len(blocks_of_the_readme()) >= 3

    def test_its_parts_are_in_the_order_of_a_strangers_questions(self):
        assert re.findall(r"^## (.*)", self.text, re.MULTILINE) == PARTS

    def test_its_two_commands_begin_as_the_checks_expect(self):
        for environment in (".venv", ".venv-test"):
            (command,) = re.findall(rf"^python3 -m venv {environment} .*", self.text, re.MULTILINE)
            assert f"{environment}/bin/pip install -q -e " in command

    @in_the_tree
    def test_its_links_exist(self):
        places = re.findall(r"\]\((?!https?:)([^)#]+)\)", self.text)
        assert {"bench/README.md", "tests/README.md", "CHANGELOG.md"} <= set(places)
        for place in places:
            assert (TREE / place).exists(), place

    @in_the_tree
    def test_its_pictures_are_small_and_all_that_there_are(self):
        pictures = {TREE / place for place in re.findall(r"!\[.+\]\((.+)\)", self.text)}
        assert pictures == set((TREE / "bench" / "pictures").iterdir())
        assert all(picture.stat().st_size < 40_000 for picture in pictures)

    @in_the_tree
    def test_its_five_rows_of_speed_are_rows_of_the_full_table(self):
        def rows(page):
            begin, end = "<!-- written by python -m pytest bench --tables -->", "<!-- end -->"
            lines = page.partition(begin)[2].partition(end)[0].splitlines()
            return [line for line in lines if line.startswith("|")][2:]

        full = rows((TREE / "bench" / "README.md").read_text(encoding="utf-8"))
        assert len(rows(self.text)) == 5
        assert set(rows(self.text)) <= set(full)

    def test_every_loss_is_in_the_table(self):
        for name in REGISTRY:
            assert f"| `{name}`" in self.text, f"give {name} a line in the README's table of losses"

    def test_every_public_name_is_mentioned(self):
        for name in fastgd.__all__:
            thing = getattr(fastgd, name)
            is_in_short = name.startswith("grad_") or (isinstance(thing, type) and issubclass(thing, fastgd.losses.Loss)
                                                       and not thing().parameters)
            assert name in self.text or is_in_short, f"the README does not mention {name}"


def test_values_are_found_in_a_block():
    """Without a value that is found the tests above would pass."""
    script, values = with_values("x = [1,\n     2]  # no value\nx  # [1, 2]\nfor k in x:\n    k  # 1\nx[0]; y = 3\n")
    assert values == ["[1, 2]"]
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True).stdout == MARK + '"[1, 2]"\n'
    assert blocks_of_a_docstring("One::\n\n    a\n\n    b\n\nTwo:\n\n    c\n\nThree::\n\n    d\n") == [
        "a\n\nb\n\n", "d\n"]
