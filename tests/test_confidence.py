"""Expected errors, risk against coverage, and gates, on people made up so that the answer is known."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax import config, rotations
from diffjax.confidence import (
    calibration,
    companions,
    curves,
    files,
    judging,
    keypoint_errors,
    part_way,
)
from diffjax.methods import map_fit
from diffjax.pose import Pose, Refined


def made_up(count=600, seed=0, sequences=20):
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
    return signals, target, np.arange(count) * sequences // count


def fitted(signals, target, groups, positive=True):
    return calibration.fit_expectation(signals, target, groups, positive=positive)


def expected(found, signals):
    return calibration.expected_mm(found, calibration.predict(found, signals))


# The expected error.


def test_it_ranks_new_people_better_than_any_signal_and_is_right_on_average():
    found = fitted(*made_up(2000)).expectation
    signals, target, _ = made_up(2000, seed=1)
    error = expected(found, signals)
    rank = stats.spearmanr(error, target).statistic
    alone = [abs(stats.spearmanr(x, target).statistic) for x in signals.values()]
    assert rank > max(max(alone) + 0.02, 0.85)
    np.testing.assert_allclose(error.mean(), target.mean(), rtol=0.03)
    # And not only over all: of those of whom little is expected, too.
    low = error < np.quantile(error, 0.3)
    np.testing.assert_allclose(error[low].mean(), target[low].mean(), rtol=0.05)
    weights = dict(zip(found.scale.names, found.weights))
    assert weights["follows"] > 0 > weights["against"]
    assert abs(weights["noise"]) < 0.02


def test_the_mean_of_held_out_predictions_is_that_of_the_people():
    signals, target, groups = made_up()
    found = fitted(signals, target, groups)
    on_them = calibration.expected_mm(found.expectation, found.held_out)
    np.testing.assert_allclose(on_them.mean(), target.mean(), rtol=1e-6)


def test_more_predicted_is_never_less_expected():
    found = fitted(*made_up()).expectation
    rising = calibration.expected_mm(found, np.linspace(-5, 20, 400))
    assert (np.diff(rising) >= 0).all()
    assert rising[-1] > rising[0]
    between = calibration.expected_mm(found, np.linspace(*found.knots[[0, -1], 0], 400))
    assert (np.diff(between) > 0).all()


def test_whoever_is_held_out_had_no_say():
    """Another truth of one sequence changes nothing of what is predicted of it, at one ridge."""
    signals, target, groups = made_up(200, sequences=5)
    x = calibration.standardised(calibration.fit_scale(signals), signals)
    other = np.where(groups == 2, 3.0 * target, target)
    one, two = (calibration._held_out(x, y, groups)[1] for y in (target, other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "RIDGES", (10.0,))
        one, two = (calibration._held_out(x, y, groups)[1] for y in (target, other))
    np.testing.assert_allclose(one[groups == 2], two[groups == 2])
    assert np.abs(one - two)[groups != 2].max() > 0.1


def test_the_weights_solve_the_ridge_problem():
    """The gradient of |y - b - X w|^2 + ridge |w|^2 vanishes, with signals standardised by hand."""
    signals, target, _ = made_up(300)
    scale = calibration.fit_scale(signals)
    raw = np.stack([signals[name] for name in scale.names], -1)
    x, y = stats.zscore(np.arcsinh(raw / scale.size)), np.log(target)
    np.testing.assert_allclose(calibration.standardised(scale, signals), x, atol=1e-9)
    weights, intercept = calibration._ridge(x, y, 7.0)
    np.testing.assert_allclose(x.T @ (y - intercept - x @ weights), 7.0 * weights, atol=1e-8)


def test_a_gain_may_be_negative():
    signals, target, groups = made_up()
    gain = np.log(target) - np.log(50.0)
    error = expected(fitted(signals, gain, groups, positive=False).expectation, signals)
    assert stats.spearmanr(error, gain).statistic > 0.85
    assert error.min() < 0 < error.max()


def test_unknown_signals_and_targets_spoil_nothing():
    signals, target, groups = made_up()
    whole = expected(fitted(signals, target, groups).expectation, signals)
    broken = {name: x.copy() for name, x in signals.items()}
    broken["follows"][:5] = np.nan
    broken["noise"][:] = np.nan
    target[10:15] = np.nan
    found = fitted(broken, target, groups)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.held_out)), np.arange(10, 15))
    error = expected(found.expectation, broken)
    assert np.isfinite(error).all()
    np.testing.assert_allclose(error[20:], whole[20:], rtol=0.15)
    del broken["follows"]
    with pytest.raises(ValueError, match="missing \\['follows'\\]"):
        expected(found.expectation, broken)
    with pytest.raises(ValueError, match="found 1"):
        fitted({"a": np.ones(2)}, np.array([1.0, -1.0]), np.arange(2))


@pytest.mark.parametrize("groups", [np.zeros(40), np.arange(40)])
def test_one_sequence_is_enough(groups):
    signals, target, _ = made_up(40)
    assert np.isfinite(fitted(signals, target, groups).held_out).all()


def test_a_constant_signal_has_no_say():
    signals, target, groups = made_up(100)
    found = fitted(signals | {"constant": np.full(100, 3.0)}, target, groups).expectation
    assert abs(dict(zip(found.scale.names, found.weights))["constant"]) < 1e-6


# Risk against coverage.


def test_a_perfect_score_is_the_oracle_and_a_constant_one_is_random():
    error = np.random.default_rng(0).gamma(3.0, 20.0, 500)
    perfect = curves.risk_coverage(np.sqrt(error), error)
    assert perfect.share == pytest.approx(1.0)
    assert perfect.area == pytest.approx(perfect.oracle)
    constant = curves.risk_coverage(np.ones(500), error)
    assert constant.share == pytest.approx(0.0)
    np.testing.assert_allclose(constant.curve[:, 1], error.mean())
    assert curves.risk_coverage(-error, error).share < -0.5


def test_the_area_is_the_mean_over_coverages_by_hand():
    found = curves.risk_coverage(np.array([3.0, 1.0, 2.0]), np.array([30.0, 20.0, 10.0]))
    # In the order of the score: 20, 10, 30; risks 20, 15, 20. Sorted: 10, 15, 20.
    assert found.area == pytest.approx(55 / 3)
    assert (found.random, found.oracle) == (pytest.approx(20.0), pytest.approx(15.0))
    assert found.share == pytest.approx(1 / 3)
    np.testing.assert_allclose(found.curve, [[1 / 3, 20.0], [2 / 3, 15.0], [1.0, 20.0]])


def test_people_of_one_score_come_in_any_order():
    random = np.random.default_rng(0)
    score, error = np.round(random.normal(size=200)), random.gamma(2.0, 10.0, 200)
    mixed = random.permutation(200)
    one, two = (curves.risk_coverage(score[i], error[i]) for i in (np.arange(200), mixed))
    np.testing.assert_allclose(one.curve, two.curve)


def test_the_curve_ends_at_the_mean_error_and_nan_counts_nowhere():
    random = np.random.default_rng(0)
    score, error = random.normal(size=300), random.gamma(2.0, 10.0, 300)
    error[:10], score[5:20] = np.nan, np.nan
    found = curves.risk_coverage(score, error)
    assert len(found.curve) == curves.POINTS
    np.testing.assert_allclose(found.curve[-1], [1.0, error[20:].mean()])
    assert np.isnan(curves.risk_coverage(score[:3], error[:3]).share)


def test_the_better_of_both_has_no_regret():
    before, after = np.array([10.0, 20.0, 30.0]), np.array([15.0, 10.0, np.nan])
    assert curves.regret(after < before, before, after) == 0.0
    assert curves.regret(np.full(3, True), before, after) == pytest.approx(2.5)
    assert curves.regret(np.full(3, False), before, after) == pytest.approx(5.0)


def test_rank_correlation_of_what_does_not_differ_is_not_known():
    assert np.isnan(curves.spearman(np.ones(5), np.arange(5.0)))
    assert curves.spearman(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1.0)


# The gate, and the file.


def calibrated(seed=0, count=600):
    """People who gain what the signals say, but for chance, in proportion to the way; and what they tell."""
    signals, after, groups = made_up(count, seed)
    gain = 4.0 + 8.0 * signals["signed"] + 6.0 * np.random.default_rng(seed).normal(size=count)
    origin = files.Origin("fast", "labels", "frames", "map_weight 1.0", "cheap", "h36m14")
    errors = map_fit.error_model_from_covariance(0.01 * np.eye(82))
    trust = config.Guidance(1.0, 1, map_weight=3.0, robust_px_share=0.1)
    on_the_way = (after + gain)[:, None] - gain[:, None] * np.array(judging.SHARES)
    told = judging.calibrate(origin, signals, after + gain, on_the_way, groups, errors, trust)
    return told, signals, after + gain, after


def test_people_of_another_kind_are_told_from_a_second_draw():
    told, *_ = calibrated()
    signals = made_up(seed=1)[0]
    assert judging.unlike(told, signals) == ()
    assert judging.unlike(told, {name: x[:3] for name, x in signals.items()}) == ()
    name = told.error.scale.names[0]
    strange = signals | {name: 1e6 * (1.0 + np.abs(signals[name]))}
    assert judging.unlike(told, strange) == (name,)


@pytest.mark.parametrize("max_harm", [0.0, 0.02, 0.05, 0.2, 1.0])
def test_no_more_of_the_people_behind_it_are_harmed_than_promised(max_harm):
    told, *_ = calibrated()
    worth = judging.Worth(*[told.held_out_gain] * 4)
    share = judging.way(told, worth, max_harm)
    whole = told.change_mm[:, 0]
    assert (share * whole > 1.0).mean() <= max_harm
    if max_harm >= (whole > 1.0).mean():
        assert (share == 1.0).all()
    assert len(np.unique(share[share > 0])) <= 1


def test_new_people_of_the_same_kind_are_harmed_about_as_rarely_and_keep_most_of_the_gain():
    told, *_ = calibrated(count=3000)
    _, signals, before, after = calibrated(seed=1, count=3000)
    share = judging.way(told, judging.expect(told, signals), 0.05)
    gain = before - after
    assert np.mean(gain < -1) > 0.2
    assert np.mean(share * gain < -1) == pytest.approx(0.05, abs=0.015)
    assert (share * gain).sum() > 0.8 * gain.sum()


def test_a_calibration_comes_back_from_its_file_to_the_bit(tmp_path):
    told, signals, *_ = calibrated()
    files.save(tmp_path / "told.npz", told)
    again = files.load(tmp_path / "told.npz")
    assert again.origin == told.origin
    assert again.guidance == told.guidance
    assert again.guidance.map_weight == 3.0
    np.testing.assert_array_equal(again.errors.factor, told.errors.factor)
    for one, two in zip(judging.expect(told, signals), judging.expect(again, signals)):
        np.testing.assert_array_equal(one, two)


def test_the_noise_of_the_keypoints_travels(tmp_path):
    told = calibrated()[0]
    learned = keypoint_errors.learn(np.random.default_rng(0).normal(size=(300, 2)), np.ones(300))
    files.save(tmp_path / "told.npz", told._replace(noise=learned))
    for one, two in zip(files.load(tmp_path / "told.npz").noise, learned):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("origin", None, "field origin: wanted a calibration of quality, found none"),
        ("origin", np.str_("{"), "field origin"),
        ("origin", np.str_("[1]"), "field origin: wanted method, kind"),
        ("factor", np.ones((3, 3)), r"field factor: wanted finite numbers of shape \(82, 82\)"),
        (
            "guidance",
            np.str_('{"strength": -1.0, "rounds": 1}'),
            "field guidance: guidance.strength",
        ),
        ("guidance", np.str_('{"strong": 1}'), "field guidance: .*argument"),
        ("guidance", None, "field guidance: wanted a calibration of quality, found none"),
        (
            "error/weights",
            np.ones(9),
            r"field error/weights: wanted finite numbers of shape \(4,\)",
        ),
        ("gain/mean", np.full(4, np.nan), "field gain/mean: wanted finite numbers"),
        ("gain/std", np.zeros(4), "field gain: wanted positive scales"),
        ("error/knots", np.array([[0.0, 2.0], [1.0, 1.0]]), "field error: wanted positive scales"),
        (
            "change_mm",
            np.zeros((3, 6)),
            r"field change_mm: wanted finite numbers of shape \(600, 6\)",
        ),
        ("sequence", None, "field sequence: wanted a calibration of quality, found none"),
        ("shares", np.linspace(0, 1, 6), "field shares: wanted shares of the way above 0"),
        ("shares", None, "field shares: wanted a calibration of quality, found none"),
        ("noise", None, "field noise: wanted a calibration of quality, found none"),
        ("noise", np.zeros(8), "field noise: wanted positive deviations"),
        ("noise", np.ones(7), r"field noise: wanted finite numbers of shape \(8,\)"),
    ],
)
def test_a_damaged_calibration_says_what_is_wrong(name, value, said, tmp_path):
    files.save(tmp_path / "good.npz", calibrated()[0])
    arrays = dict(np.load(tmp_path / "good.npz"))
    arrays.pop(name)
    np.savez(tmp_path / "bad.npz", **arrays, **({} if value is None else {name: value}))
    with pytest.raises(ValueError, match=f"bad.npz: {said}.*evaluate.py"):
        files.load(tmp_path / "bad.npz")


def test_a_perfect_expectation_is_judged_perfect():
    random = np.random.default_rng(0)
    before, after = random.gamma(3.0, 20.0, (2, 400))
    gain = before - after
    found = judging.quality(judging.Worth(after, gain, after, gain), before, after)
    assert found["spearman_error"] == found["spearman_gain"] == pytest.approx(1.0)
    assert found["aurc_share"] == pytest.approx(1.0)
    assert found["regret_mm"] == pytest.approx(0.0, abs=1e-9)
    assert found["regret_ungated_mm"] > 5
    assert found["bias_mm"] == 0.0


def between(share):
    """Five people, others as their fit, and where each ends at its share of the way."""
    import tiny

    people, other = tiny.annotations(5), tiny.annotations(5, seed=9)
    fit = Refined(Pose(other.pred_pose, other.pred_betas), other.pred_cam_t + 1, {})
    return people, fit, part_way.sent(people, fit, share)


def test_nobody_moves_at_0_and_all_are_the_fit_at_1_to_the_bit():
    share = np.array([1.0, 0.0, 1.0, 0.0, 0.5])
    people, fit, found = between(share)
    came = people.pred_pose, people.pred_betas, people.pred_cam_t
    for one, two, three in zip(
        came, (*fit.pose, fit.translation), (*found.pose, found.translation)
    ):
        np.testing.assert_array_equal(three[share == 0], one[share == 0])
        np.testing.assert_array_equal(three[share == 1], two[share == 1])


def test_part_of_the_way_is_that_part_of_every_turn():
    people, fit, found = between(np.full(5, 0.25))
    came, went, met = map(jnp.asarray, (people.pred_pose, fit.pose.rotations, found.pose.rotations))
    whole, part, rest = (
        rotations.geodesic_angle(*x) for x in ((came, went), (came, met), (met, went))
    )
    np.testing.assert_allclose(part, 0.25 * whole, atol=2e-3)
    np.testing.assert_allclose(rest, 0.75 * whole, atol=2e-3)
    for one, two, three in (
        (people.pred_betas, fit.pose.betas, found.pose.betas),
        (people.pred_cam_t, fit.translation, found.translation),
    ):
        np.testing.assert_allclose(three, 0.75 * one + 0.25 * two, atol=1e-5)


# Rows that belong together.


def test_neighbours_in_a_track_are_averaged_and_those_of_other_tracks_are_not():
    import tiny

    people = dataclasses.replace(
        tiny.annotations(24),
        sequence=np.repeat(["a", "b"], [20, 4]),
        subject=np.full(24, "x"),
        frame=np.concatenate([np.arange(20)[::-1], np.arange(4)]),
    )
    value = np.random.default_rng(0).random(24).astype(np.float32)
    found = companions.of(people, "video", {"one": value, "two": 2 * value})
    in_order = value[:20][::-1]
    for frame in (0, 3, 10, 19):
        near = in_order[max(frame - 7, 0) : frame + 8].mean()
        assert found["one_near"][19 - frame] == pytest.approx(near)
    np.testing.assert_allclose(found["one_near"][20:], value[20:].mean(), rtol=1e-6)
    np.testing.assert_allclose(found["two_near"], 2 * found["one_near"], rtol=1e-6)


def test_views_of_an_instant_are_averaged_and_rows_alone_have_nobody():
    import tiny

    people = dataclasses.replace(
        tiny.annotations(6), sequence=np.full(6, "a"), subject=np.full(6, "x"),
        frame=np.array([0, 1, 0, 1, 0, 1]), view=np.array(["0", "0", "1", "1", "2", "2"]),
    )  # fmt: skip
    value = np.arange(6, dtype=np.float32)
    found = companions.of(people, "views", {"one": value})["one_near"]
    np.testing.assert_allclose(found, [2, 3, 2, 3, 2, 3])
    assert companions.of(people, "frames", {"one": value}) == {}


def test_a_number_that_is_not_known_spoils_no_neighbour():
    import tiny

    people = dataclasses.replace(
        tiny.annotations(40),
        sequence=np.full(40, "a"),
        subject=np.full(40, "x"),
        frame=np.arange(40),
    )
    value = np.ones(40)
    value[[5, 6]] = np.nan, np.inf
    found = companions.of(people, "video", {"one": value, "none": np.full(40, np.nan)})
    np.testing.assert_array_equal(found["one_near"], 1.0)
    np.testing.assert_array_equal(found["none_near"], 0.0)
