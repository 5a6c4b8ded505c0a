import contextlib
import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import fastgd

# A slow machine is no failure; what failed can be run again from what is printed.
settings.register_profile("fastgd", deadline=None, print_blob=True)
settings.load_profile("fastgd")


def pytest_configure():
    """Refuse to test modules that were built from other sources; an installed wheel has none to compare with.

    A build makes every module newer than all sources, also those that needed no compiler.
    """
    package = Path(fastgd.__file__).parent
    translated = sorted(package.glob("_kernels/*.pyx"))
    shared = [package.parent / "setup.py", *sorted(package.glob("_kernels/*.px[di]"))] if translated else []
    for source in translated:
        module = find_spec(f"fastgd._kernels.{source.stem}")
        for file in (source, *shared):
            name = file.relative_to(package.parent).as_posix()
            if module is None or file.stat().st_mtime > Path(module.origin).stat().st_mtime:
                state = "is not built" if module is None else f"is newer than {Path(module.origin).name}"
                raise pytest.UsageError(
                    f"{name} {state}: build first: python setup.py build_ext --inplace (which needs Cython), or "
                    "pip install -e .")


@pytest.fixture(scope="session")
def pcttip():
    return fastgd.datasets.load_tips()["pcttip"].to_numpy()


@pytest.fixture
def five_points():
    return np.array([12.1, 12.8, 14.9, 16.3, 17.2])


@pytest.fixture(scope="session")
def many_points():
    """More points in [0, 1) than one slice or thread takes; not to be written to."""
    points = np.random.default_rng(0).random(1_200_077)
    points.flags.writeable = False
    return points


@pytest.fixture
def interrupted():
    """A context in which KeyboardInterrupt is raised after 0.1 s, as by Ctrl-C."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no interval timer")

    def interrupt(*_):
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def context():
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            with pytest.raises(KeyboardInterrupt):
                yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return context


def pytest_collection_modifyitems(items):
    """What waits for a signal runs in the main thread, which alone gets one."""
    for item in items:
        if "interrupted" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.thread_unsafe(reason="signals"))
