"""Threads that are kept: who takes which part, errors and Ctrl-C, forks, and the end of the process."""
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import numpy as np
import pytest
from helpers import in_threads, quiet

import fastgd
from fastgd import _thread_pool
from fastgd._thread_pool import ThreadPool, map_parts

alone = pytest.mark.thread_unsafe(reason="one pool for the process")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def pool(monkeypatch):
    """A pool of the test's own, without a thread."""
    pool = _thread_pool._Workers()
    monkeypatch.setattr(_thread_pool, "_pool", pool)
    yield pool
    pool.close()


def number_of(pool):
    return len(pool._threads)


class TestParts:
    @pytest.mark.parametrize("count", [2, 3, 7])
    def test_are_answered_in_order(self, count):
        assert map_parts(str, range(1000), count) == [str(k) for k in range(1000)]

    def test_one_part_after_another_goes_to_whoever_is_free(self):
        by, is_over = {}, threading.Event()

        def work(part):
            by[part] = threading.get_ident()
            if part == 0:    # a late thread, for which nothing is kept
                assert is_over.wait(10)
            if part == 19:
                is_over.set()

        map_parts(work, range(20), 2)
        assert len({by[part] for part in range(1, 20)}) == 1
        assert by[0] != by[1]

    @alone
    def test_the_caller_waits_for_no_thread_that_has_not_come(self, pool):
        """All threads are kept elsewhere, as a machine that is busy may do."""
        both_are_kept, goes_on = threading.Barrier(3), threading.Event()
        kept = threading.Thread(target=map_parts, args=(
            lambda part: both_are_kept.wait(10) + goes_on.wait(10), range(2), 2))
        kept.start()
        both_are_kept.wait(10)
        pool._lent.clear()    # so that the pool starts no other
        assert map_parts(abs, range(-5, 0), 2) == [5, 4, 3, 2, 1]
        assert number_of(pool) == 1
        goes_on.set()
        kept.join()

    def test_a_part_may_be_shared_itself(self):
        expected = [[k * j for j in range(5)] for k in range(8)]
        assert map_parts(lambda k: map_parts(lambda j: k * j, range(5), 3), range(8), 3) == expected

    @quiet
    def test_callers_at_once_get_their_own_answers(self, many_points):
        starts, y = [0.0, 0.2, 0.4, 0.9], np.tile(many_points, 2)
        losses = [fastgd.mse, fastgd.huber_loss, fastgd.abs_loss, fastgd.quartic_loss]

        def work(k, n_threads=2):
            return fastgd.minimize(losses[k], None, y, 0.1, progress=False, theta0=starts[k], max_iter=10,
                                   n_threads=n_threads)

        expected = [work(k, None) for k in range(4)]
        for _ in range(3):
            assert in_threads(4, work) == expected


@alone
class TestThePool:
    def test_starts_a_thread_when_it_is_first_wanted_and_keeps_it(self, pool, many_points):
        for n_threads, threads in ((None, 0), (1, 0), (2, 1), (2, 1), (4, 3), (2, 3)):
            fastgd.huber_loss(0.3, many_points, n_threads=n_threads)
            assert number_of(pool) == threads
        fastgd.minimize(fastgd.huber_loss, None, many_points, progress=False, n_threads=4)
        assert number_of(pool) == 3
        assert not pool._lent

    def test_starts_no_more_than_there_are_parts(self, pool):
        assert ThreadPool(1000).map(sum, [[1, 2], [3], [4, 5]]) == [3, 3, 9]
        assert ThreadPool(1000).map(sum, [[1, 2]]) == [3]
        assert ThreadPool(1000).map(sum, []) == []
        assert number_of(pool) == 2

    def test_has_threads_for_all_callers_at_once(self, pool):
        meeting = threading.Barrier(8)

        def work(k):
            return map_parts(lambda part: meeting.wait(10), range(2), 2)

        in_threads(4, work)    # each of the 8 parts waits for all others
        assert number_of(pool) == 4

    def test_does_without_a_thread_that_cannot_be_started(self, pool, monkeypatch):
        def refuse(thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert map_parts(abs, range(-5, 0), 3) == [5, 4, 3, 2, 1]
        assert number_of(pool) == 0

    def test_keeps_no_data(self, pool):
        class Data:
            pass

        data = Data()
        gone = weakref.ref(data)
        map_parts(lambda part, data=data: time.sleep(1e-3), range(8), 3)
        del data
        while not pool._offers.empty():
            time.sleep(1e-3)
        for _ in range(1000):
            if gone() is None:
                break
            time.sleep(1e-3)    # until the last thread has let go
            gc.collect()
        assert gone() is None

    def test_works_alone_once_it_is_closed(self, pool):
        assert map_parts(abs, [-1, -2], 2) == [1, 2]
        pool.close()
        assert not any(thread.is_alive() for thread in pool._threads)
        assert map_parts(abs, [-1, -2], 2) == [1, 2]


class TestErrors:
    @pytest.mark.parametrize("by_caller", [True, False])
    def test_of_a_part_reach_the_caller_and_the_pool_goes_on(self, by_caller):
        caller, both_are_here, seen = threading.get_ident(), threading.Barrier(2), []

        def work(part):
            seen.append(part)
            if part < 2:
                both_are_here.wait(10)
            if (threading.get_ident() == caller) == by_caller:
                raise ZeroDivisionError(part)
            time.sleep(0.05)

        with pytest.raises(ZeroDivisionError):
            map_parts(work, range(1000), 2)
        assert len(seen) < 10
        assert map_parts(str, range(9), 2) == [str(k) for k in range(9)]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_the_others_leave_after_the_part_they_are_at(self, error):
        caller, both_are_here, done = threading.get_ident(), threading.Barrier(2), []

        def work(part):
            if part < 2:
                both_are_here.wait(10)
            if threading.get_ident() == caller:
                raise error
            time.sleep(0.1)
            done.append(part)

        with pytest.raises(error):
            map_parts(work, range(1000), 2)
        assert len(done) == 1    # it was waited for
        time.sleep(0.2)
        assert len(done) == 1

    def test_ctrl_c_is_answered_and_the_pool_goes_on(self, interrupted):
        for _ in range(3):
            with interrupted():
                while True:
                    map_parts(time.sleep, [1e-4] * 100, 3)
            assert map_parts(str, range(9), 3) == [str(k) for k in range(9)]
        assert not _thread_pool._pool._lent

    def test_nan_in_a_part_leaves_the_pool_in_order(self, many_points):
        y = many_points.copy()
        y[-1] = np.nan
        for _ in range(3):
            with pytest.raises(ValueError, match="contains NaN"):
                fastgd.huber_loss.gradient(0.3, y, n_threads=3)
        assert fastgd.mse(0.3, many_points, n_threads=3) == fastgd.mse(0.3, many_points)


@alone
@forks
class TestFork:
    def test_a_child_begins_without_threads_and_has_the_bits(self, pool, many_points):
        expected = fastgd.grad_huber_loss(0.3, many_points)
        for _ in range(5):
            assert fastgd.grad_huber_loss(0.3, many_points, n_threads=3) == expected
            child = os.fork()
            if child == 0:
                is_right = not _thread_pool._pool._threads and fastgd.grad_huber_loss(
                    0.3, many_points, n_threads=3) == expected and len(_thread_pool._pool._threads) == 2
                os._exit(0 if is_right else 1)
            assert os.waitpid(child, 0)[1] == 0
        assert fastgd.grad_huber_loss(0.3, many_points, n_threads=3) == expected

    def test_while_another_thread_shares_its_work(self, pool, many_points):
        """Nothing that was held at the fork is waited for in the child, and that call ends as it should."""
        goes_on, all_are_here, answers = threading.Event(), threading.Barrier(4), []

        def work(part):
            if part < 3:
                all_are_here.wait(10)
            return goes_on.wait(10)

        other = threading.Thread(target=lambda: answers.append(map_parts(work, range(9), 3)))
        other.start()
        all_are_here.wait(10)
        child = os.fork()
        if child == 0:
            expected = fastgd.mse(0.3, many_points)
            os._exit(0 if fastgd.mse(0.3, many_points, n_threads=3) == expected else 1)
        assert os.waitpid(child, 0)[1] == 0
        goes_on.set()
        other.join()
        assert answers == [[True] * 9]

    def test_multiprocessing(self, many_points):
        code = """
            import multiprocessing, numpy, fastgd

            y = numpy.random.default_rng(0).random(1_200_077)

            def work(n_threads):
                return fastgd.minimize(fastgd.huber_loss, None, y, progress=False, n_threads=n_threads)

            expected = work(2)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(work, [1, 2, 3, 7]) == [expected] * 4
            assert work(3) == expected
            """
        assert_ends_in_silence(code)


def assert_ends_in_silence(code, status=0):
    """Fail unless a new interpreter that runs this code ends soon, with this status and without a word."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True,
                          timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@alone
class TestTheEndOfTheProcess:
    BEGIN = """
        import atexit, os, sys, threading, numpy, fastgd
        y = numpy.random.default_rng(0).random(1_200_077)
        def work():
            return fastgd.grad_huber_loss(0.3, y, n_threads=3)
        """

    @pytest.mark.parametrize(("end", "status"), [
        ("work()", 0),
        ("work(); sys.exit(3)", 3),
        ("""
        try:
            fastgd.minimize(fastgd.huber_loss, None, y, progress=False, n_threads=3, callback=lambda result: 1 / 0)
        except ZeroDivisionError:
            pass
        """, 0),
        # Where no thread can be started any more, and where none is there any more.
        ("atexit.register(lambda: work() == fastgd.grad_huber_loss(0.3, y) or os._exit(1))", 0),
        ("atexit.register(lambda: work() == fastgd.grad_huber_loss(0.3, y) or os._exit(1)); work()", 0),
        # A thread of the user's own that goes on to the end.
        ("threading.Thread(target=lambda: [work() for _ in range(100)]).start()", 0),
        ("""
        def for_ever():
            while True:
                work()
        threading.Thread(target=for_ever, daemon=True).start()
        work()
        """, 0),
    ])
    def test_comes_soon_and_in_silence(self, end, status):
        assert_ends_in_silence(textwrap.dedent(self.BEGIN) + textwrap.dedent(end), status)
