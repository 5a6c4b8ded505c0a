"""The compiled modules; everything else about the package is in pyproject.toml.

Two builds are to be tested and not to be used, each in a copy of the tree as in .ci: FASTGD_CHECKED=1 has bounds checks
in the kernels, FASTGD_SANITIZED=1 GCC's address and undefined behaviour sanitizers.
"""
import os
import platform
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

THIS = Path("setup.py")
KERNELS = Path("fastgd/_kernels")
SHARED = "fastgd._kernels._cyutility"    # what every kernel needs to take arrays

CHECKED = os.environ.get("FASTGD_CHECKED") == "1"
SANITIZED = os.environ.get("FASTGD_SANITIZED") == "1"

# One wheel for every CPython from 3.11 on. Free-threaded CPython and PyPy have no stable ABI and get the ordinary
# build, which is tested together with the bounds checks.
STABLE_ABI = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED") and not CHECKED

# -O3 vectorises; the two -fno options allow selections in place of branches and change no result;
# -ffp-contract=off keeps a * b + c two roundings, as numpy has it, on machines with fused multiply-add.
# Without debug information (Python's own flags ask for it) and local symbols the modules are a tenth of the size.
UNIX_FLAGS = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
# A 32-bit x86 computes in the 80 bits of its x87 unless it is told to use SSE2, which rounds each step as numpy does.
if sys.maxsize < 2**32 and platform.machine().lower() in {"i386", "i486", "i586", "i686", "x86", "x86_64", "amd64"}:
    UNIX_FLAGS += ["-msse2", "-mfpmath=sse"]
MSVC_FLAGS = ["/O2", "/fp:precise"]
STRIPPED = ["-Wl,-x"] if sys.platform == "darwin" else ["-Wl,-s"]
# -fno-wrapv: Python's flags make the overflow of a signed integer defined, and so invisible.
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SANITIZE_FLAGS = [*UNIX_FLAGS, "-O1", "-g1", "-fno-omit-frame-pointer", "-fno-wrapv", *SANITIZE]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "initializedcheck": CHECKED,
    "wraparound": False,
    "cdivision": True,
    "freethreading_compatible": True,    # no module has state that a call changes
}


class BuildKernels(build_ext):
    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            flags, link_flags = [*MSVC_FLAGS, self.no_contractions()], []
        else:
            flags, link_flags = (SANITIZE_FLAGS, SANITIZE) if SANITIZED else (UNIX_FLAGS, STRIPPED)
        # Cython looks at the sources alone, and translates anew what cimports a changed one; the directives are here.
        outdated = [path for path in KERNELS.glob("*.c") if path.stat().st_mtime < THIS.stat().st_mtime]
        in_c = cythonize(self.extensions, compiler_directives=DIRECTIVES, shared_utility_qualified_name=SHARED,
                         force=bool(self.force or outdated))
        for extension, translated in zip(self.extensions, in_c, strict=True):
            extension.sources = translated.sources
            extension.extra_compile_args, extension.extra_link_args = flags, link_flags
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()
        # What needed no compiler is as new as the rest: tests/conftest.py compares its time with those of all sources.
        for extension in self.extensions:
            os.utime(self.get_ext_fullpath(extension.name))

    def no_contractions(self):
        """The flag that begins each C file with a pragma: before Visual Studio 2022 17.0 a * b + c is one rounding."""
        header = Path(self.build_temp, "no_contractions.h").absolute()
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text("#pragma fp_contract (off)\n")
        return f"/FI{header}"


def kernel(name, source, **options):
    if STABLE_ABI:
        options.update(py_limited_api=True, define_macros=[("Py_LIMITED_API", "0x030B0000")])
    return Extension(name, [source.as_posix()], depends=[THIS.as_posix()], **options)


setup(
    ext_modules=[kernel(SHARED, KERNELS / "_cyutility.c")] + [
        kernel(f"fastgd._kernels.{source.stem}", source) for source in sorted(KERNELS.glob("*.pyx"))],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
