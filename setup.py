"""The compiled modules; everything else about the package is in pyproject.toml.

FASTGD_CHECKED=1 builds the kernels with bounds checks, to be tested and not to be used.
"""
import os
from pathlib import Path

from Cython.Distutils import build_ext
from setuptools import Extension, setup

KERNELS = Path("fastgd/_kernels")

# -O3 vectorises; the two -fno options allow selections in place of branches and change no result;
# -ffp-contract=off keeps a * b + c two roundings, as numpy has it, on machines with fused multiply-add.
UNIX_FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
MSVC_FLAGS = ["/O2", "/fp:precise"]

CHECKED = os.environ.get("FASTGD_CHECKED") == "1"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "initializedcheck": CHECKED,
    "wraparound": False,
    "cdivision": True,
}


class BuildKernels(build_ext):
    def build_extensions(self):
        flags = MSVC_FLAGS if self.compiler.compiler_type == "msvc" else UNIX_FLAGS
        for extension in self.extensions:
            extension.extra_compile_args = flags
        super().build_extensions()


def kernel(source):
    extension = Extension(
        f"fastgd._kernels.{source.stem}",
        [source.as_posix()],
        depends=[path.as_posix() for path in sorted(KERNELS.glob("*.pxd"))],
    )
    extension.cython_directives = DIRECTIVES
    return extension


setup(
    ext_modules=[kernel(source) for source in sorted(KERNELS.glob("*.pyx"))],
    cmdclass={"build_ext": BuildKernels},
)
