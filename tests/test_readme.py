"""The README: its code gives what it says, and it names what there is."""
import ast
import importlib.util
import re
import shutil

import pytest
from helpers import README, blocks_of_the_readme

import fastgd
from fastgd.losses import REGISTRY


@pytest.mark.skipif(not README.exists(), reason="the README is not part of the installed package")
class TestReadme:
    def test_every_block_runs_and_gives_what_it_says(self, tmp_path, monkeypatch):
        """A line `expression  # value` is checked: its repr starts with the value, up to a final ellipsis."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MPLBACKEND", "agg")
        namespace, checked = {}, 0
        for block in blocks_of_the_readme():
            missing = [name for word, name in (("import numba", "numba"), ("import plot", "matplotlib"))
                       if word in block and not importlib.util.find_spec(name)]
            if missing or ('"cc ' in block and not shutil.which("cc")):
                continue    # these are no requirement of fastgd
            lines = block.splitlines()
            for node in ast.parse(block).body:
                start = min([node, *getattr(node, "decorator_list", [])], key=lambda part: part.lineno).lineno
                code = "\n".join(lines[start - 1:node.end_lineno])
                said = lines[node.end_lineno - 1].partition("  # ")[2]
                if isinstance(node, ast.Expr) and said:
                    value = repr(eval(code, namespace))
                    expected = said.removesuffix("...")
                    assert value.startswith(expected) if said.endswith("...") else value == said, code
                    checked += 1
                else:
                    exec(code, namespace)
        assert checked >= 5

    @pytest.mark.skipif(not (README.parent / "bench").exists(), reason="the pictures are part of the source tree")
    def test_the_pictures_are_there(self):
        pictures = re.findall(r"!\[.+\]\((.+)\)", README.read_text(encoding="utf-8"))
        assert len(pictures) == 3
        for picture in pictures:
            assert (README.parent / picture).stat().st_size < 40_000

    def test_every_loss_is_in_the_table(self):
        text = README.read_text(encoding="utf-8")
        for name in REGISTRY:
            assert f"| `{name}`" in text, f"give {name} a line in the README's table of losses"

    def test_every_public_name_is_mentioned(self):
        text = README.read_text(encoding="utf-8")
        for name in fastgd.__all__:
            thing = getattr(fastgd, name)
            is_in_short = name.startswith("grad_") or (isinstance(thing, type) and issubclass(thing, fastgd.losses.Loss)
                                                       and not thing().parameters)
            assert name in text or is_in_short, f"the README does not mention {name}"
