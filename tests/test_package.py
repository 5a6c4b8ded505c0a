"""The package as a whole: what importing it does, what it ships, what its documentation says."""
import ast
import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastgd
from fastgd import datasets, reference
from fastgd.losses import REGISTRY

README = Path(__file__).parent.parent / "README.md"


def in_a_new_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_is_light():
    imported = in_a_new_process("import fastgd, sys; print(*sys.modules)").split()
    assert not {"pandas", "matplotlib", "scipy", "tqdm", "numba"} & set(imported)
    assert "fastgd.plot" not in imported
    assert "fastgd.datasets" in imported
    assert "fastgd.reference" in imported


def test_the_oracle_knows_no_kernel():
    tree = ast.parse(inspect.getsource(reference))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [alias.name for node in imports for alias in node.names] == ["numpy"]


def test_denormals_still_work():
    assert in_a_new_process("import fastgd, numpy; print(numpy.float64(5e-324) / 1 > 0)") == "True"


def test_version_and_names():
    assert fastgd.__version__ == metadata.version("fastgd")
    assert sorted(fastgd.__all__) == list(fastgd.__all__)
    assert all(hasattr(fastgd, name) for name in fastgd.__all__)


def test_tips():
    tips = datasets.load_tips()
    assert isinstance(tips, pd.DataFrame)
    assert tips.shape == (244, 8)
    assert list(tips.columns) == ["total_bill", "tip", "sex", "smoker", "day", "time", "size", "pcttip"]
    assert np.array_equal(tips["pcttip"], tips["tip"] / tips["total_bill"] * 100)
    assert tips["pcttip"].mean() == pytest.approx(16.080258, abs=1e-6)
    assert tips["pcttip"].median() == pytest.approx(15.476977, abs=1e-6)
    tips.loc[:, "tip"] = 0.0
    assert datasets.load_tips()["tip"].iloc[0] == 1.01


@pytest.mark.skipif(not README.exists(), reason="the README is not part of the installed package")
class TestReadme:
    def blocks(self):
        return [block.split("```")[0] for block in README.read_text().split("```python\n")[1:]]

    def test_every_block_runs_and_gives_what_it_says(self, tmp_path, monkeypatch):
        """A line `expression  # value` is checked: its repr starts with the value, up to a final ellipsis."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MPLBACKEND", "agg")
        namespace, checked = {}, 0
        for block in self.blocks():
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
        pictures = re.findall(r"!\[.+\]\((.+)\)", README.read_text())
        assert len(pictures) == 3
        for picture in pictures:
            assert (README.parent / picture).stat().st_size < 40_000

    def test_every_loss_is_in_the_table(self):
        text = README.read_text()
        for name in REGISTRY:
            assert f"| `{name}`" in text, f"give {name} a line in the README's table of losses"

    def test_every_public_name_is_mentioned(self):
        text = README.read_text()
        for name in fastgd.__all__:
            assert name in text or name.startswith("grad_"), f"the README does not mention {name}"
