import contextlib
import signal

import numpy as np
import pytest

import fastgd


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


def pytest_sessionstart(session):
    session.config.addinivalue_line("markers", "thread_unsafe: pytest-run-parallel runs the test in one thread.")


def pytest_collection_modifyitems(items):
    """What waits for a signal runs in the main thread, which alone gets one."""
    for item in items:
        if "interrupted" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.thread_unsafe(reason="signals"))
