"""Gates and expected errors on people made up so that the answer is known."""

import numpy as np
import pytest
from scipy import stats

from diffjax.methods import gates


def made_up(count=2000, seed=0):
    """Signals that follow the error in log space, one that has a sign, one that knows nothing."""
    random = np.random.default_rng(seed)
    level = random.normal(size=count)
    target = 50.0 * np.exp(0.3 * level)
    signals = {
        "follows": np.exp(level + 0.5 * random.normal(size=count)),
        "against": np.exp(-level + random.normal(size=count)),
        "signed": level + random.normal(size=count),
        "noise": np.exp(random.normal(size=count)),
    }
    return signals, target


def test_the_quality_ranks_new_people_better_than_any_signal():
    quality = gates.ridge_quality(*made_up(seed=0))
    signals, target = made_up(seed=1)
    expected = gates.expected_error(quality, signals)
    rank = stats.spearmanr(expected, target).statistic
    alone = [abs(stats.spearmanr(x, target).statistic) for x in signals.values()]
    assert rank > max(alone) + 0.02
    assert rank > 0.85
    # In the target's units, without a bias.
    np.testing.assert_allclose(expected.mean(), target.mean(), rtol=0.03)
    weights = dict(zip(quality.names, quality.weights))
    assert weights["follows"] > 0 > weights["against"]
    assert abs(weights["noise"]) < 0.02


def test_the_weights_solve_the_ridge_problem():
    """The gradient of the objective vanishes, with signals standardised by hand."""
    signals, target = made_up(300)
    quality = gates.ridge_quality(signals, target, ridge=7.0)
    raw = np.stack([signals[name] for name in quality.names], -1)
    x = stats.zscore(np.arcsinh(raw / quality.scale))
    y = np.log(target)
    left = y - y.mean() - x @ quality.weights
    np.testing.assert_allclose(x.T @ left, 7.0 * quality.weights, atol=1e-8)


def test_a_gain_may_be_negative():
    signals, target = made_up()
    gain = np.log(target) - np.log(50.0)
    quality = gates.ridge_quality(signals, gain, log_target=False)
    expected = gates.expected_error(quality, signals)
    assert stats.spearmanr(expected, gain).statistic > 0.85
    assert expected.min() < 0 < expected.max()


def test_more_ridge_is_smaller_weights():
    sizes = [
        np.linalg.norm(gates.ridge_quality(*made_up(200), ridge=r).weights) for r in (0.0, 1e2, 1e6)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_unknown_signals_and_targets_spoil_nothing():
    signals, target = made_up(500)
    whole = gates.ridge_quality(signals, target)
    signals["follows"][:5] = np.nan
    signals["noise"][:] = np.nan
    target[10:15] = np.nan
    quality = gates.ridge_quality(signals, target)
    found = gates.expected_error(quality, signals)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(
        found[20:], gates.expected_error(whole, made_up(500)[0])[20:], rtol=0.1
    )
    del signals["follows"]
    with pytest.raises(ValueError, match="missing \\['follows'\\]"):
        gates.expected_error(quality, signals)
    with pytest.raises(ValueError, match="found 1"):
        gates.ridge_quality({"a": np.ones(2)}, np.array([1.0, -1.0]))


def test_a_constant_signal_has_no_say():
    signals, target = made_up(100)
    quality = gates.ridge_quality(signals | {"constant": np.full(100, 3.0)}, target)
    assert abs(dict(zip(quality.names, quality.weights))["constant"]) < 1e-6


@pytest.mark.parametrize("max_harm", [0.0, 0.03, 0.05, 0.2])
def test_the_margin_is_the_smallest_that_keeps_the_promise(max_harm):
    random = np.random.default_rng(0)
    gain = np.round(random.normal(size=400), 1)  # With ties.
    harmed = random.random(400) < 1 / (1 + np.exp(3 * gain))
    margin = gates.choose_margin(gain, harmed, max_harm)

    def harm(m):
        return np.mean(harmed & gates.gate(gain, np.zeros(400), m))

    assert harm(margin) <= max_harm
    lower = gain[gain < margin]
    assert all(harm(m) > max_harm for m in [-np.inf, *lower])


def test_harmless_fits_need_no_gate_and_hopeless_ones_are_all_refused():
    gain = np.array([0.5, -1.0, 2.0])
    assert gates.choose_margin(gain, np.zeros(3, bool), 0.0) == -np.inf
    assert gates.choose_margin(gain, np.ones(3, bool), 0.0) == 2.0
    assert gates.choose_margin(gain, np.ones(3, bool), 1.0) == -np.inf
    with pytest.raises(ValueError, match="share from 0 to 1"):
        gates.choose_margin(gain, np.ones(3, bool), 5.0)


def test_a_gain_of_nan_is_never_accepted():
    gain, harmed = np.array([np.nan, 1.0, 2.0]), np.array([True, False, False])
    assert gates.choose_margin(gain, harmed, 0.0) == -np.inf
    np.testing.assert_array_equal(gates.gate(gain, np.zeros(3), -np.inf), [False, True, True])


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_who_is_not_accepted_is_as_before(batch):
    random = np.random.default_rng(1)
    before, after = ({"x": random.normal(size=(*batch, 3)), "y": np.zeros(batch)} for _ in "ab")
    accepted = random.random(batch) < 0.5
    found = gates.keep_or_accept(np.asarray(accepted), before, after)
    wanted = np.where(accepted[..., None], after["x"], before["x"]).astype(np.float32)
    np.testing.assert_array_equal(found["x"], wanted)
