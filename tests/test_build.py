"""What is said of a tree that was not built, or not since it was changed; and how setup.py builds on other machines."""
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastgd

pytestmark = pytest.mark.thread_unsafe(reason="each test starts Python anew, and that is what takes its time")

PACKAGE = Path(fastgd.__file__).parent
TREE = PACKAGE.parent
NOT_BUILT = "fastgd's compiled modules are not built in {}: run `pip install -e .` there (needs a C compiler), or"
in_the_tree = pytest.mark.skipif(not (TREE / "setup.py").exists() or not list(PACKAGE.glob("_kernels/*.pyx")),
                                 reason="the installed package has no sources of its modules")


def python(folder, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def is_compiled(name):
    return name.endswith(tuple(EXTENSION_SUFFIXES))


def copy_of_the_package(folder, leave_out):
    """The package in `folder`, each file with its time, without those whose name `leave_out` is true of."""
    def left_out(_, names):
        return [name for name in names if leave_out(name) or name == "__pycache__"]

    shutil.copytree(PACKAGE, folder / "fastgd", ignore=left_out)
    return folder / "fastgd" / "_kernels"


class TestImport:
    @pytest.mark.parametrize("leave_out", [
        is_compiled, lambda name: is_compiled(name) or name.endswith((".pyx", ".pxd", ".pyi"))],
        ids=["a clone", "Python's files alone"])
    def test_without_the_compiled_modules_it_names_the_command(self, leave_out, tmp_path):
        copy_of_the_package(tmp_path, leave_out)
        done = python(tmp_path, "-c", "import fastgd")
        assert "ImportError: " + NOT_BUILT.format(tmp_path) in done.stderr

    def test_a_kernel_that_came_after_the_build_names_it_too(self, tmp_path):
        kernels = copy_of_the_package(tmp_path, lambda name: False)
        (kernels / "late.pyx").touch()
        done = python(tmp_path, "-c", "import fastgd; from fastgd._kernels import late")
        assert "ImportError: " + NOT_BUILT.format(tmp_path) in done.stderr

    def test_a_module_that_does_not_load_shows_its_own_error(self, tmp_path):
        kernels = copy_of_the_package(tmp_path, lambda name: False)
        (broken,) = (path for path in kernels.glob("schedules.*") if is_compiled(path.name))
        broken.write_bytes(b"")
        done = python(tmp_path, "-c", "import fastgd")
        assert re.search(r"ImportError: .*\bschedules\b", done.stderr)
        assert "not built" not in done.stderr

    def test_what_is_no_kernel_is_an_ordinary_missing_name(self):
        with pytest.raises(AttributeError, match=r"module 'fastgd\._kernels' has no attribute 'nothing'"):
            _ = fastgd._kernels.nothing
        with pytest.raises(ImportError, match="cannot import name 'nothing'"):
            from fastgd._kernels import nothing  # noqa: F401

    def test_a_clone_named_fastgd_does_not_hide_the_installed_package(self, tmp_path):
        where = python(tmp_path, "-c", "import fastgd; print(fastgd.__file__)").stdout.strip()
        if where != fastgd.__file__:
            pytest.skip("the package under test is not installed")
        (tmp_path / "fastgd").mkdir()
        done = python(tmp_path, "-c", "import fastgd; print(fastgd.minimize.__name__)")
        assert done.stdout.strip() == "minimize", done.stderr


@in_the_tree
class TestOutdatedModules:
    BUILT = 1_700_000_000

    @pytest.fixture
    def tree(self, tmp_path):
        """A tree whose modules were built ten seconds after the last change, with a test in it that passes."""
        copy_of_the_package(tmp_path, lambda name: False)
        (tmp_path / "tests").mkdir()
        for path in Path(__file__).parent.glob("*.py"):
            if not path.name.startswith("test_"):
                shutil.copy(path, tmp_path / "tests")
        (tmp_path / "tests" / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        shutil.copy(TREE / "setup.py", tmp_path)
        for path in tmp_path.rglob("*.*"):
            self.change(path, 0 if is_compiled(path.name) else -10)
        return tmp_path

    def change(self, path, after):
        path.touch()
        os.utime(path, (self.BUILT + after, self.BUILT + after))

    def pytest_in(self, tree):
        return python(tree, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "tests")

    def test_tests_run_where_nothing_was_changed_since(self, tree):
        done = self.pytest_in(tree)
        assert "1 passed" in done.stdout, done.stdout + done.stderr

    @pytest.mark.parametrize(("changed", "module"), [
        ("fastgd/_kernels/schedules.pyx", r"schedules\."), ("fastgd/_kernels/losses.pxd", ""), ("setup.py", "")])
    def test_tests_do_not_run_with_a_module_older_than_its_source(self, changed, module, tree):
        self.change(tree / changed, 10)
        done = self.pytest_in(tree)
        assert re.search(rf"ERROR: {re.escape(changed)} is newer than {module}\S+: build first: "
                         r"python setup\.py build_ext --inplace", done.stdout + done.stderr)
        assert "passed" not in done.stdout

    def test_tests_do_not_run_without_a_module(self, tree):
        self.change(tree / "fastgd" / "_kernels" / "late.pyx", -10)
        done = self.pytest_in(tree)
        assert "ERROR: fastgd/_kernels/late.pyx is not built: build first" in done.stdout + done.stderr


@in_the_tree
@pytest.mark.skipif(not find_spec("Cython") or not find_spec("setuptools"), reason="needs what setup.py needs")
class TestSetup:
    def said_by(self, code, folder=TREE):
        """What `code` prints after setup.py has run, up to where it would build."""
        done = python(folder, "-W", "ignore", "-c", f"""
import platform, runpy, sys, setuptools, Cython.Build, setuptools.command.build_ext
setuptools.setup = lambda **options: None
{code}""")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @pytest.mark.parametrize(("machine", "maxsize", "flags"), [
        ("i686", 2**31 - 1, ["-msse2", "-mfpmath=sse"]), ("i386", 2**31 - 1, ["-msse2", "-mfpmath=sse"]),
        ("x86_64", 2**31 - 1, ["-msse2", "-mfpmath=sse"]), ("x86_64", 2**63 - 1, []), ("i686", 2**63 - 1, []),
        ("armv7l", 2**31 - 1, []), ("aarch64", 2**63 - 1, [])])
    def test_only_a_32_bit_x86_is_told_to_round_as_sse2_does(self, machine, maxsize, flags):
        printed = self.said_by(f"platform.machine, sys.maxsize = lambda: {machine!r}, {maxsize}\n"
                               "print(*runpy.run_path('setup.py')['UNIX_FLAGS'])")
        assert [flag for flag in printed.split() if flag.startswith(("-ms", "-mf"))] == flags

    def test_microsofts_compiler_is_kept_from_contractions(self, tmp_path):
        printed = self.said_by(f"""
command = runpy.run_path('setup.py')['BuildKernels'](setuptools.Distribution())
command.build_temp = {str(tmp_path / "not there yet")!r}
print(command.no_contractions())""")
        assert printed.startswith("/FI")
        header = Path(printed.removeprefix("/FI"))
        assert header.is_absolute()
        assert header.read_text() == "#pragma fp_contract (off)\n"
