"""rng: what is taken for one, when it is drawn from, and by whom."""
import threading

import numpy as np
import pytest
from helpers import in_threads, is_free, quiet, same_state, sgd

import fastgd
from fastgd import ConvergenceWarning, minimize_mini_batch, minimize_sgd, reference


@quiet
@pytest.mark.thread_unsafe(reason="numpy's global generator")
def test_every_kind_of_generator_and_seed(pcttip):
    expected = sgd("huber_loss", pcttip, rng=7)
    for rng in (np.int64(7), np.random.SeedSequence(7), np.random.PCG64(7), np.random.default_rng(7),
                np.random.RandomState(np.random.PCG64(7))):
        assert sgd("huber_loss", pcttip, rng=rng) == expected
    np.random.seed(3)
    by_global = sgd("huber_loss", pcttip)
    assert sgd("huber_loss", pcttip, rng=np.random.RandomState(3)) == by_global
    np.random.seed(3)
    assert sgd("huber_loss", pcttip, rng=np.random) == by_global


@pytest.mark.parametrize("rng", ["0", 1.5, True, [1], object(), -1])
def test_other_kinds_are_refused(rng, pcttip):
    with pytest.raises((TypeError, ValueError), match="'rng' parameter"):
        minimize_sgd(None, fastgd.grad_mse, pcttip, rng=rng)


def test_nothing_is_drawn_before_the_checks(pcttip):
    rng = np.random.default_rng(0)
    for bad in ({"alpha": -1}, {"tol": -1}, {"stop": "never"}, {"max_epochs": 0}, {"dataset": [np.nan]},
                {"in_place": True, "dataset": [1.0]}, {"callback": 3}, {"progress": "x"}):
        with pytest.raises((TypeError, ValueError)):
            minimize_sgd(**{"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": pcttip, "rng": rng,
                            **bad})
    assert same_state(rng.bit_generator, np.random.PCG64(0))


@quiet
def test_the_lock_is_not_held_while_python_runs(pcttip):
    rng = np.random.default_rng(0)

    def others_can_draw():
        return in_threads(1, lambda k: is_free(rng)) == [True]

    assert sgd("mse", pcttip, rng=rng, tol=0, max_epochs=2, callback=lambda r: others_can_draw() or 1 / 0)

    def gradient(theta, y):
        assert others_can_draw()
        return reference.grad_mse(theta, y)

    with pytest.warns(ConvergenceWarning):
        minimize_sgd(None, gradient, pcttip[:5], rng=rng, max_epochs=1, tol=0)


@quiet
def test_threads_on_one_generator(pcttip):
    rng = np.random.default_rng(0)
    answers = in_threads(4, lambda k: [
        minimize_mini_batch(None, fastgd.grad_huber_loss, pcttip, 10, 0.5, rng=rng, tol=0, max_epochs=20)
        for _ in range(20)])
    assert np.shape(answers) == (4, 20)
    assert all(10 < theta < 20 for theta in np.ravel(answers))
    assert 0 <= rng.random() < 1


@quiet
@pytest.mark.parametrize("source", [fastgd, reference])
def test_who_shuffles_waits_for_the_lock(source, pcttip):
    X = np.ones((len(pcttip), 1))
    for call in (lambda rng: sgd("mse", pcttip, rng=rng, source=source, max_epochs=1),
                 lambda rng: minimize_mini_batch(None, source.grad_mse, pcttip, 10, X=X, rng=rng, max_epochs=1)):
        rng, ended = np.random.default_rng(0), threading.Event()
        with rng.bit_generator.lock:
            thread = threading.Thread(target=lambda call=call, rng=rng, ended=ended: (call(rng), ended.set()))
            thread.start()
            assert not ended.wait(0.2)
        thread.join()
        assert ended.is_set()
