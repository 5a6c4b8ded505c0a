"""What a run says of itself is true: on random problems, whose least loss Newton's method tells."""
import pytest
from honesty import FALSE_SUCCESS, Finding, Problem, finding, hard_problem_of, problem_of, shown

from fastgd import minimize
from fastgd.losses import REGISTRY

#: Seeds of a test; there are as many tests as make 300.
SEEDS = 50


@pytest.mark.parametrize("first", range(0, 300, SEEDS))
def test_no_success_is_false_and_no_alarm(first):
    found = [(seed, finding(problem_of(seed))) for seed in range(first, first + SEEDS)]
    untrue = [shown(seed, each) for seed, each in found if each.kind.startswith("false")]
    assert not untrue, "\n".join(untrue)
    assert sum(each.kind == "success" for _, each in found) >= SEEDS / 10    # there was something to be wrong about


@pytest.mark.parametrize("first", range(0, 105, 35))
def test_no_end_is_untrue_where_it_hides(first):
    """From a sample of the rows, behind an offset, beyond saturated probabilities, from the metric, without a loss."""
    found = [(seed, finding(hard_problem_of(seed))) for seed in range(first, first + 35)]
    untrue = [shown(seed, each) for seed, each in found if each.kind.startswith("false")]
    assert not untrue, "\n".join(untrue)


#: Penalties whose slope the rows do not have, or the steps do not show; unlike slopes on two sides; no minimum;
#: a dummy that few rows carry, and a rate that fell to 0.
@pytest.mark.parametrize(("seed", "wide"), [
    (8, True), (81, True), (128, True), (253, True), (505, True), (572, True), (716, True), (836, True), (1298, True),
    (1697, False), (1817, False)])
def test_no_end_of_hard_problems_is_untrue(seed, wide):
    found = finding(problem_of(seed, wide))
    assert not found.kind.startswith(("false", "diverged")), shown(seed, found)


def test_a_false_success_would_be_found(monkeypatch):
    """The tests above would pass on nothing."""
    monkeypatch.setattr("fastgd._convergence.report.find_better_point", lambda *_: None)
    found = [finding(problem_of(seed)) for seed in range(30)]
    assert sum(each.kind == "false success" for each in found) >= 5
    assert all(each.excess > FALSE_SUCCESS for each in found if each.kind == "false success")


def test_what_is_shown_of_a_finding_says_how_to_get_it():
    problem = Problem(minimize, REGISTRY["mse"], problem_of(3).y, {"alpha": 0.3, "tol": 1e-3})
    result = minimize(problem.loss, None, problem.y, 0.3, False, full_output=True)
    line = shown(3, Finding("false success", problem, result, 1.0, 0.5))
    assert line.startswith("3 false success: minimize(mse, y of ")
