"""What fastgd did before is what it does: 2,000 calls against the record in ``tests/golden``.

If a case fails and the change was meant, ``python tests/golden.py`` writes the record anew; the commit says which cases
changed, and why.
"""
import functools
import importlib.util
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fastgd.losses import REGISTRY


def _golden():
    """`golden.py` beside this file, from wherever the tests are run."""
    spec = importlib.util.spec_from_file_location("fastgd_golden", Path(__file__).with_name("golden.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


golden = _golden()
#: Numbers of a message are the same if they are to 1 in 10,000, or both next to 0: they are shown with 3 to 7 digits.
ROUGHLY = {"rel_tol": 1e-4, "abs_tol": 1e-9}
SEVEN_DIGITS = 2e-7
#: Next to the largest float it is for the order of a sum to say what is infinite and what is NaN.
HUGE = 1e290
#: Facts that are texts with numbers in them, and lists of numbers (a digest of them where all bits must be the same).
TEXTS = ("last line",)
NUMBERS = ("theta", "losses", "slopes", "history", "seen theta", "seen losses")


def same_numbers(expected, got, tolerance, floor=0.0, most=np.inf):
    """Whether two lists of floats are the same to `tolerance` relative to the largest, or as near as `floor`.

    Beyond `most` a number is a number, infinite or NaN by the order of a sum.
    """
    if len(expected) != len(got):
        return False
    one, other = (np.array([golden.number_of(text) for text in texts]) for texts in (expected, got))
    usual = np.abs(one) < most
    if not np.array_equal(usual, np.abs(other) < most):
        return False
    largest = np.abs(one[usual]).max(initial=0.0)
    return bool((np.abs(one[usual] - other[usual]) <= max(tolerance * largest, floor)).all())


def same_text(expected, got):
    """Whether two texts have the same words, and roughly the same numbers."""
    (words, numbers), (others, other_numbers) = map(golden.words_and_numbers, (expected, got))
    return words == others and all(
        math.isclose(one, other, **ROUGHLY) or not (abs(one) < HUGE or abs(other) < HUGE)
        for one, other in zip(numbers, other_numbers, strict=True))


def is_same(case, fact, expected, got):
    """Whether what was recorded of a case and what it does now are the same, by the rule of the case."""
    if type(expected) is not type(got):
        return False
    if fact in TEXTS:
        return expected == got or (case.loss_tolerance > 0 and same_text(expected, got))
    if fact not in NUMBERS or isinstance(expected, int):
        return expected == got
    tolerance = case.loss_tolerance if "losses" in fact else case.tolerance
    if expected == got or tolerance == 0:
        return expected == got
    # Near the least a loss, and more so its slope, is the small difference of large numbers.
    floor, most = (0.0, np.inf) if "theta" in fact else (1e-3 * tolerance * golden.size_of_inputs(case), HUGE)
    return same_numbers(expected, got, max(tolerance, SEVEN_DIGITS if is_short(expected) else 0), floor, most)


def is_short(texts):
    return not any("0x" in text for text in texts)


def differences(case, expected, got):
    """What is not the same, a line for each fact."""
    return [f"  {fact}: was {expected.get(fact)!r}\n  {' ' * len(fact)}   is {got.get(fact)!r}"
            for fact in sorted({*expected, *got})
            if fact not in expected or fact not in got or not is_same(case, fact, expected[fact], got[fact])]


@pytest.mark.parametrize("group", range(golden.COUNT // golden.GROUP))
def test_calls_do_what_they_did(group):
    cases, inputs, facts = golden.run_group(group)
    assert inputs == golden.recorded()["inputs"][group], (
        "the cases have other data or arguments than those of the record: golden/cases.py or numpy's draws changed")
    failed = []
    for case, now in zip(cases, facts, strict=True):
        lines = differences(case, golden.recorded()["facts"][case.number], now)
        if lines:
            failed.append("\n".join([f"case {case.number}, theta to {case.tolerance:g}:", *lines, "", case.code]))
    assert not failed, f"{len(failed)} of {golden.GROUP} cases differ from the record.\n\n" + "\n".join(failed[:5])


@functools.cache
def all_cases():
    return [golden.make_case(number) for number in range(golden.COUNT)]


def test_every_verb_loss_and_end_is_in_the_record():
    cases, facts = all_cases(), golden.recorded()["facts"]
    assert len(facts) == len(cases) == golden.COUNT
    descents = ("minimize", "minimize_sgd", "minimize_mini_batch")
    ends = Counter((case.verb, case.has_rows, now["status"]) for case, now in zip(cases, facts, strict=True)
                   if "status" in now)
    converged, limit, cycle, diverged, stalled, stopped = 0, 1, 2, 3, 4, 99
    wanted = [(verb, rows, end) for verb in descents for rows in (False, True)
              for end in (converged, limit, diverged, stalled, stopped)]
    wanted += [("minimize", False, cycle), ("minimize", True, cycle)]
    assert not [(end, ends[end]) for end in wanted if ends[end] < 5]
    verbs = Counter(case.verb for case in cases)
    assert all(verbs[verb] >= 80 for verb in (*descents, "minimize_multistart", "simple_minimize", "call", "refused"))
    # A loss that is younger than the record has tests of its own.
    losses = Counter((case.loss, case.has_rows) for case in cases if case.loss)
    assert {loss for loss, _ in losses} <= set(REGISTRY)
    assert len(losses) == 16
    assert min(losses.values()) >= 50


@pytest.mark.parametrize("part", [
    "float32", "astype(int)", "tolist()", "pd.Series", "pd.DataFrame", "asfortranarray", "[::-1]", "RandomState(",
    "default_rng(", "MT19937(", "Philox(", "np.random.seed(", "SeedSequence(", "rng = None", "average=True",
    "in_place=True", "history=True", "full_output=True", "progress=True", "callback=callback", "theta0=", "tol=0,",
    "stop='loss'", "stop='epoch'", "fit_intercept=True", "'auto'", "lambda t:", "schedules.cosine(",
    "schedules.constant(", "schedules.step_decay(", "schedules.inverse_scaling(", "schedules.exponential_decay(",
    "losses.Huber(", "losses.Pinball(", "losses.EpsilonInsensitive(", "def loss(theta, y)", "def loss(theta, X, y)",
    "(loss, None", "(None, fastgd.grad", ".curve(", "n_threads=2", "StopIteration"])
def test_every_kind_of_argument_is_in_the_record(part):
    count = sum(part in case.code for case in all_cases())
    assert count >= 10, f"{part} stands in {count} cases"


def test_most_of_what_is_recorded_differs_from_case_to_case():
    thetas = [tuple(now["theta"]) for now in golden.recorded()["facts"] if "theta" in now]
    assert len(set(thetas)) > 0.8 * len(thetas) > 1200
    assert sum(case.tolerance == 0 and case.verb != "refused" for case in all_cases()) >= 600


def moved(text):
    """A number as the record has it, changed by the least that is to be noticed in it."""
    number = golden.number_of(text)
    return np.nextafter(number, np.inf).item().hex() if "0x" in text else format(number + 1e-5 * abs(number), ".7g")


@pytest.mark.parametrize("fact", [
    "theta", "losses", "slopes", "nit", "status", "success", "warnings", "generator", "history", "columns",
    "seen", "output", "error", "changed", "labels", "type"])
def test_a_change_of_any_fact_is_noticed(fact):
    looked_at = 0
    for case, was in zip(all_cases(), golden.recorded()["facts"], strict=True):
        value = was.get(fact)
        if value is None or case.loss_tolerance > 0 or looked_at == 20:
            continue
        if fact == "losses" and "0x" not in value[-1]:    # infinite, or NaN
            continue
        now = dict(was)
        if fact in ("theta", "losses", "slopes"):
            now[fact] = [*value[:-1], moved(value[-1])]
        elif isinstance(value, str):
            now[fact] = value[:-1]
        elif isinstance(value, int):
            now[fact] = 1 - value
        else:
            now[fact] = [*value, 1]
        assert len(differences(case, was, now)) == 1
        assert len(differences(case, was, {name: was[name] for name in was if name != fact})) == 1
        looked_at += 1
    assert looked_at >= 10


def test_a_theta_of_rows_may_move_by_the_tolerance_of_its_case_and_no_more():
    looked_at = 0
    for case, was in zip(all_cases(), golden.recorded()["facts"], strict=True):
        if not case.has_rows or "theta" not in was:
            continue
        theta = np.array([golden.number_of(text) for text in was["theta"]])
        if not 0 < np.abs(theta).max() < 1e300:
            continue
        place = np.abs(theta).argmax()
        for factor, count in ((0.5, 0), (2, 1)):
            other = theta.copy()
            other[place] *= 1 + factor * case.tolerance
            assert len(differences(case, was, {**was, "theta": golden.bits(other)})) == count
        looked_at += 1
    assert looked_at >= 400


def test_words_and_numbers_of_a_message():
    text = "update 12 moved theta to [-1.5e-07 nan x0 inf]; alpha=0.2 of (0, 1]."
    words, numbers = golden.words_and_numbers(text)
    assert words == "update # moved theta to [# # x0 #]; alpha=# of (#, #]."
    assert np.array_equal(numbers, [12, -1.5e-07, np.nan, np.inf, 0.2, 0, 1], equal_nan=True)
    assert same_text("theta 1.00001 after 3", "theta 1.00002 after 3")
    assert same_text("the loss is nan", "the loss is nan")
    assert not same_text("theta 1.0001 after 3", "theta 1.0003 after 3")
    assert not same_text("theta 1 after 3", "theta 1 after 4")
    assert not same_text("theta 1 after 3", "Theta 1 after 3")


def test_a_case_can_be_pasted():
    facts = golden.recorded()["facts"]
    case = next(case for case in all_cases() if case.verb == "minimize" and facts[case.number].get("success"))
    exec(compile(case.code, "<pasted>", "exec"), {})


def test_running_a_case_leaves_the_global_generator_alone():
    case = next(case for case in all_cases() if "np.random.seed" in case.setup)
    before = np.random.get_state()
    golden.run(case)
    assert all(np.array_equal(one, other) for one, other in zip(before, np.random.get_state(), strict=True))
