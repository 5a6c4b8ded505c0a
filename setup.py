"""The compiled modules; everything else about the package is in pyproject.toml.

Two builds are to be tested and not to be used, each in a copy of the tree as in .ci: FASTGD_CHECKED=1 has bounds checks
in the kernels, FASTGD_SANITIZED=1 GCC's address and undefined behaviour sanitizers.
"""
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

THIS = Path("setup.py")
KERNELS = Path("fastgd/_kernels")
# What loops over points or rows is built for each level of CPUs, but for the Gram matrix, whose panels of 4 columns
# fill the vectors of v3, and whose build for v3 is that of v4 too.
LOOPS = {"v3": ("descent", "gram", "libm", "linear", "mean"),
         "v4": ("descent", "libm", "linear", "mean")}
SHARED = "fastgd._kernels._cyutility"    # what every kernel needs to take arrays

CHECKED = os.environ.get("FASTGD_CHECKED") == "1"
SANITIZED = os.environ.get("FASTGD_SANITIZED") == "1"

# One wheel for every CPython from 3.11 on. Free-threaded CPython and PyPy have no stable ABI and get the ordinary
# build, which is tested together with the bounds checks.
STABLE_ABI = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED") and not CHECKED

# -O3 vectorises; the two -fno options allow selections in place of branches and change no result;
# -ffp-contract=off keeps a * b + c two roundings, as numpy has it, on machines with fused multiply-add.
# Without debug information (Python's own flags ask for it) and local symbols the modules are a tenth of the size.
UNIX_FLAGS = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
              "-fno-asynchronous-unwind-tables"]
# Clones of functions for constant arguments, which make a fifth of the code of rows, and gain nothing there.
NO_CLONES = ["-fno-ipa-cp-clone"]
# A 32-bit x86 computes in the 80 bits of its x87 unless it is told to use SSE2, which rounds each step as numpy does.
if sys.maxsize < 2**32 and platform.machine().lower() in {"i386", "i486", "i586", "i686", "x86", "x86_64", "amd64"}:
    UNIX_FLAGS += ["-msse2", "-mfpmath=sse"]
MSVC_FLAGS = ["/O2", "/fp:precise"]
# Of x86-64, above the baseline; fastgd._kernels chooses at import. No flag of these lets a compiler change a result.
UNIX_LEVELS = {"v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}
MSVC_LEVELS = {"v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}
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
        baseline = [each for each in self.extensions if level_of(each) is None]
        in_c = cythonize(baseline, compiler_directives=DIRECTIVES, shared_utility_qualified_name=SHARED,
                         force=bool(self.force or outdated))
        for extension, translated in zip(baseline, in_c, strict=True):
            extension.sources = translated.sources
            extension.extra_compile_args, extension.extra_link_args = flags_of(extension, flags), link_flags
        self.extensions = baseline + self.for_levels(flags, link_flags)
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()
        # What needed no compiler is as new as the rest: tests/conftest.py compares its time with those of all sources.
        for extension in self.extensions:
            os.utime(self.get_ext_fullpath(extension.name))

    def for_levels(self, flags, link_flags):
        """The extensions of the levels that the compiler knows, each with a C file that includes the baseline's."""
        levels = MSVC_LEVELS if self.compiler.compiler_type == "msvc" else UNIX_LEVELS
        known = {level for level, more in levels.items() if self.compiles_with(more)}
        extensions = [each for each in self.extensions if level_of(each) in known]
        for extension in extensions:
            in_c = KERNELS.absolute() / f"{extension.name.rpartition('.')[2]}.c"
            source = Path(self.build_temp, level_of(extension), in_c.name)
            self.mkpath(source.parent.as_posix())
            include = f'#include "{in_c.as_posix()}"\n'
            if not source.exists() or source.read_text() != include:    # a new one would be compiled anew
                source.write_text(include)
            extension.sources, extension.depends = [source.as_posix()], [in_c.as_posix()]
            extension.extra_compile_args = flags_of(extension, flags) + levels[level_of(extension)]
            extension.extra_link_args = link_flags
        return extensions

    def compiles_with(self, flags):
        """Whether the compiler takes the flags, and for an x86-64."""
        probe = Path(self.build_temp, "probe.c")
        self.mkpath(self.build_temp)
        probe.write_text("#if !defined(__x86_64__) && !defined(_M_X64)\n#error another CPU\n#endif\nint probe;\n")
        try:
            self.compiler.compile([probe.as_posix()], output_dir=self.build_temp, extra_postargs=flags)
        except CompileError:
            return False
        return True

    def copy_extensions_to_source(self):
        built = {level_of(extension) for extension in self.extensions}
        for level in UNIX_LEVELS:
            shutil.rmtree(KERNELS / level, ignore_errors=True)    # what another build left would be found
            if level in built:
                (KERNELS / level).mkdir()
        super().copy_extensions_to_source()

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


def flags_of(extension, flags):
    """The flags for one of the extensions."""
    return flags + NO_CLONES if extension.name.endswith(".linear") and flags[:1] == UNIX_FLAGS[:1] else flags


def level_of(extension):
    """The level of CPUs that it is for, or None for the baseline."""
    folder = extension.name.split(".")[-2]
    return folder if folder in UNIX_LEVELS else None


# The builds for a level have the module's own name, in a folder which is then the one that is searched. A build that is
# to be tested has none: what it tests is the source, which is one.
setup(
    ext_modules=[kernel(SHARED, KERNELS / "_cyutility.c")] + [
        kernel(f"fastgd._kernels.{source.stem}", source) for source in sorted(KERNELS.glob("*.pyx"))] + [
        kernel(f"fastgd._kernels.{level}.{name}", KERNELS / f"{name}.pyx")
        for level in UNIX_LEVELS if not CHECKED and not SANITIZED for name in LOOPS[level]],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
