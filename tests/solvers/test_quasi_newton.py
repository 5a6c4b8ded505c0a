"""alpha="adaptive" on one number: few passes whatever the data, and at kinks the order statistic itself."""
import numpy as np
import pytest
from helpers import DTYPES, LOSSES, descend, oracle, quiet

from fastgd import (
    EpsilonInsensitive,
    Huber,
    Pinball,
    abs_loss,
    huber_loss,
    log_cosh,
    minimize,
    mse,
    penalties,
    quartic_loss,
)

CONVEX = [name for name, loss in LOSSES.items() if loss.is_convex]
SMOOTH = [name for name in CONVEX if not LOSSES[name].kinks]
DRAWS = {"normal": lambda rng, n: rng.normal(15, 3, n), "log-normal": lambda rng, n: rng.lognormal(2, 1, n),
         "t": lambda rng, n: rng.standard_t(1.5, n), "beta": lambda rng, n: rng.beta(1, 99, n)}


def draw(name, kind, n, seed=0):
    """Points of this kind, within (0, 1) where the loss wants them there, and their spread."""
    y = DRAWS[kind](np.random.default_rng(seed), n)
    if LOSSES[name].link == "logit":
        y = np.clip(np.abs(y) / 30, 0.01, 0.99)
    return y, float(np.ptp(y)) or 1.0


def adaptive(loss, y, *, gradient=None, **options):
    return minimize(loss, gradient, y, "adaptive", False, full_output=True, **options)


def penalised(loss, y, penalty, weights):
    """The mean loss plus the penalty of a number, in double."""
    return lambda theta: loss(theta, y.astype(float), sample_weight=weights) + penalty(theta)


def least_of_kinked(loss, y, penalty, weights):
    """The least of a loss that is straight, or with l2 a parabola, between its kinks: the best of all candidates."""
    y = y.astype(float)
    kinks = np.unique(np.concatenate([[0.0], *(y - offset for offset, _ in loss.kinks)]))
    candidates = kinks.tolist()
    if penalty.l2:
        between = np.concatenate([[kinks[0] - 1], (kinks[1:] + kinks[:-1]) / 2, [kinks[-1] + 1]])
        candidates += [-(loss.gradient(t, y, sample_weight=weights) + penalty.l1 * np.sign(t)) / penalty.l2
                       for t in between]
    return min(map(penalised(loss, y, penalty, weights), candidates))


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("kind", DRAWS)
def test_arrives_in_sixteen_passes(name, kind):
    for n in (1, 2, 5, 244, 10_000, 200_000):
        y, spread = draw(name, kind, n)
        result = adaptive(LOSSES[name], y, tol=1e-12 * spread)
        assert result.success, result.message
        assert result.nit <= 16
        if name in SMOOTH:
            assert abs(result.jac) < 1e-9 * max(1.0, spread)


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("kind", DRAWS)
def test_arrives_from_afar(name, kind):
    y, spread = draw(name, kind, 5)
    near = adaptive(LOSSES[name], y, tol=1e-12 * spread)
    for theta0 in (-30.0, 30.0) if LOSSES[name].link == "logit" else (-1e6, 1e6):
        far = adaptive(LOSSES[name], y, tol=1e-12 * spread, theta0=theta0)
        assert far.success, far.message
        assert far.nit <= 40
        # Within epsilon all thetas are as good.
        assert far.fun == pytest.approx(near.fun, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n", [5, 244, 20_000])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e9])
@pytest.mark.parametrize("is_called", [False, True])
def test_a_probe_ends_no_run(n, scale, is_called):
    # The first step may be shorter than tol by far, where slopes are bounded and points are not.
    for seed in range(3):
        y = scale * np.exp(2 * np.random.default_rng(seed).normal(size=n))
        for tol in (1e-3 * scale, 1e-12 * float(np.ptp(y))):
            if not is_called:
                quantile = float(np.quantile(y, 0.1, method="inverted_cdf"))
                assert adaptive(Pinball(0.1), y, tol=tol).x == quantile
            for delta in (scale, scale * 1e-2):
                loss = Huber(delta)
                gradient = (lambda theta, y, loss=loss: float(loss.gradient(theta, y))) if is_called else None
                run = adaptive(loss, y, gradient=gradient, tol=tol)
                assert run.success, run.message
                below, above = (float(np.mean(np.clip(run.x + side * (2 * tol + 1e-12 * run.x) - y, -delta, delta)))
                                for side in (-1, 1))
                assert below <= 1e-12 * delta
                assert above >= -1e-12 * delta


@pytest.mark.parametrize("loss_of", [Huber, lambda scale: log_cosh, lambda scale: Pinball(0.01, smoothing=scale / 2)])
@pytest.mark.parametrize("kind", DRAWS)
def test_few_passes_whatever_the_units(loss_of, kind):
    for n in (40, 3000, 20_000):
        for scale in (1e-4, 1.0, 1e6):
            loss = loss_of(scale)
            y = scale * DRAWS[kind](np.random.default_rng(n), n)
            spread = float(np.ptp(y))
            for theta0 in (0.0, -1e6 * spread):
                assert adaptive(loss, y, theta0=theta0, tol=1e-9 * spread).nit <= 16


@pytest.mark.parametrize("loss", [huber_loss, log_cosh, Pinball(0.3, smoothing=2.0), Pinball(0.3)], ids=repr)
def test_weights_are_points_that_are_there_so_often(loss):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.choice([4, 40, 900]))
        y, weights = rng.normal(3, 4, n), rng.integers(1, 5, n)
        repeated = adaptive(loss, np.repeat(y, weights))
        assert adaptive(loss, y, sample_weight=weights).x == pytest.approx(repeated.x, rel=1e-12, abs=1e-12)
        is_kept = rng.random(n) < 0.7
        is_kept[0] = True
        kept = adaptive(loss, y[is_kept], sample_weight=weights[is_kept])
        assert adaptive(loss, y, sample_weight=weights * is_kept).x == kept.x


@pytest.mark.parametrize("name", CONVEX)
def test_ends_without_a_tolerance_too(name):
    y, _ = draw(name, "normal", 101)
    assert adaptive(LOSSES[name], y, tol=0, max_iter=100).success


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("theta0", [0.0, 3e3])
def test_never_leaves_the_bracket(name, theta0):
    y, spread = draw(name, "log-normal", 244)
    low, high = -np.inf, np.inf
    run = minimize(LOSSES[name], None, y, "adaptive", False, history=True, tol=1e-12 * spread,
                   theta0=min(theta0, 20.0) if LOSSES[name].link == "logit" else theta0)
    for theta in run.history["theta"]:
        assert low <= theta <= high
        slope = LOSSES[name].gradient(theta, y)
        low, high = (max(low, theta), high) if slope < 0 else (low, min(high, theta)) if slope > 0 else (low, high)


@pytest.mark.parametrize("q", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 40, 244, 9999])
def test_a_quantile_is_one_of_the_points(n, dtype, q):
    rng = np.random.default_rng(n)
    for y in (rng.lognormal(2, 1, n).astype(dtype), rng.integers(0, 5, n).astype(dtype)):
        expected = float(np.quantile(y, q, method="inverted_cdf"))
        for theta0 in (0.0, 1e6, float(np.median(y))):
            assert adaptive(Pinball(q), y, theta0=theta0, tol=0).x == expected
            assert q != 0.5 or adaptive(abs_loss, y, theta0=theta0, tol=0).x == expected


@pytest.mark.parametrize("loss", [abs_loss, Pinball(0.1), Pinball(0.5), EpsilonInsensitive(0.3)], ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [penalties.L1(0.0), penalties.L1(0.3), penalties.L2(0.1), penalties.L2(3.0),
                                     penalties.ElasticNet(0.05, 0.1)], ids=repr)
def test_kinked_losses_with_weights_and_penalties(loss, weighted, penalty):
    for n in (1, 3, 10, 40, 244):
        rng = np.random.default_rng(n)
        y = rng.normal(1, 2, n).astype(DTYPES[n % 2])
        weights = rng.integers(0, 4, n) + (n == 1) if weighted else np.ones(n)
        least = least_of_kinked(loss, y, penalty, weights)
        for theta0 in (0.0, -3.0, 1e6):
            result = adaptive(loss, y, tol=0, theta0=theta0, penalty=penalty, sample_weight=weights, max_iter=100)
            assert penalised(loss, y, penalty, weights)(result.x) <= least + 1e-6 * (1 + abs(least))
            assert result.success, result.message


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_losses_with_a_penalty_of_l1(name):
    y, spread = draw(name, "normal", 60)
    at_zero = abs(LOSSES[name].gradient(0.0, y))
    for theta0 in (0.0, 5.0, -5.0):
        run = adaptive(LOSSES[name], y, theta0=theta0, tol=1e-12 * spread, penalty=penalties.L1(at_zero / 2))
        assert run.x != 0
        assert abs(run.jac) < 1e-9
        assert adaptive(LOSSES[name], y, theta0=theta0, penalty=penalties.L1(at_zero * 1.01)).x == 0


def test_the_quartic_ends_at_a_local_minimum(pcttip):
    for theta0 in (-10.0, 0.0, 20.0, 100.0):
        run = adaptive(quartic_loss, pcttip, theta0=theta0, tol=1e-10)
        assert abs(run.jac) < 1e-6
        below, above = (quartic_loss(run.x + side, pcttip) for side in (-1e-3, 1e-3))
        assert quartic_loss(run.x, pcttip) < min(below, above)


@pytest.mark.parametrize("name", CONVEX)
def test_functions_in_python(name):
    y, spread = draw(name, "log-normal", 244)
    compiled = adaptive(LOSSES[name], y, tol=1e-12 * spread)
    run = adaptive(oracle(name, ""), y, gradient=oracle(name), tol=1e-9 * spread)
    assert oracle(name, "")(run.x, y) <= compiled.fun + 1e-9 * (1 + compiled.fun)
    assert run.nit <= 60


def test_ends_at_the_nearer_end_of_a_bracket_that_cannot_shrink():
    # Interpolation leads to an end whose slope is rounding, where it once stood still half way.
    y = np.random.default_rng(0).beta(1, 99, 5)
    assert adaptive(LOSSES["AbsoluteError(smoothing=2.5)"], y, theta0=1e6, tol=1e-14).x == pytest.approx(y.mean())


@quiet
def test_one_pass_for_the_squared_error():
    y = np.array([1.0, 2.0, 6.0])
    assert descend(mse, y, "adaptive", max_iter=1) == 3.0
