"""The judge: nothing is wrong with the truth, units are what they say, intervals resample sequences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import body, evaluate, rotations
from diffjax.pose import Pose

PARAMETERS = ("rotation_deg", "root_deg", "pve_mm")


pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny.write_body(tmp_path_factory.mktemp("body") / "body.npz")


@pytest.fixture(scope="module")
def people():
    return tiny.annotations()


def scores(path, annotations, pred=None):
    judge = evaluate.make_judge(path, annotations)
    truth = evaluate.truth_of(judge, annotations)
    pred = pred or Pose(annotations.pred_pose, annotations.pred_betas)
    return evaluate.score(judge, pred, truth, chunk=4)


def truth(people):
    return Pose(people.pose, people.betas)


def test_the_truth_has_no_error(path, people):
    for name, values in scores(path, people, truth(people))._asdict().items():
        assert values.shape == (7,), name
        np.testing.assert_allclose(values, 0.0, atol=0.05, err_msg=name)


def test_errors_are_in_millimetres_degrees_and_pixels(path, people):
    """The whole person turned by 10 degrees about its pelvis: aligned away, but for the root."""
    turn = rotations.matrix_from_axis_angle(jnp.asarray([0.0, 0.0, np.deg2rad(10)]))
    turned = people.pose.copy()
    turned[:, 0] = turn @ turned[:, 0]
    found = scores(path, people, Pose(turned, people.betas))
    np.testing.assert_allclose(found.root_deg, 10.0, rtol=1e-3)
    np.testing.assert_allclose(found.rotation_deg, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.pa_mpjpe_mm, 0.0, atol=0.05)
    # A point r metres from the axis moves by 2 r sin(5 degrees).
    posed = jax.jit(body.pose_body)(tiny.bones(), people.pose, people.betas)
    reach = np.asarray(posed.vertices - posed.joints[:, :1])
    wanted = 2e3 * np.sin(np.deg2rad(5)) * np.linalg.norm(reach[..., :2], axis=-1).mean(-1)
    np.testing.assert_allclose(found.pve_mm, wanted, rtol=1e-2)
    assert np.all(found.mpjpe_mm > 10)
    assert np.all(found.image_px > 5)


def test_the_rotation_error_is_of_the_joints_that_move_in_the_truth(path, people):
    still = people.pose.copy()
    still[:, 1:20] = np.eye(3)
    known = dataclasses.replace(people, pose=still)
    judge = evaluate.make_judge(path, known)
    assert judge.moving == (20, 21, 22, 23)
    pred = still.copy()
    pred[:, [2, 21]] = (
        rotations.matrix_from_axis_angle(jnp.asarray([np.deg2rad(20), 0, 0])) @ pred[:, [2, 21]]
    )
    found = evaluate.score(
        judge, Pose(pred, people.betas), evaluate.truth_of(judge, known), chunk=4
    )
    np.testing.assert_allclose(found.rotation_deg, 5.0, rtol=1e-3)


def test_a_person_is_scored_alike_in_any_chunk(path, people):
    judge = evaluate.make_judge(path, people)
    known, pred = evaluate.truth_of(judge, people), Pose(people.pred_pose, people.pred_betas)
    for one, other in zip(*(evaluate.score(judge, pred, known, chunk=n) for n in (4, 7))):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_gendered_truth_is_judged_by_its_cached_joints(path, people):
    moved = people.keypoints3d.copy()
    moved[..., 0, 0] += 0.14  # One of 14 joints: 10 mm on average, before the hips.
    known = dataclasses.replace(people, keypoints3d=moved)
    neutral = scores(path, known, truth(people))
    np.testing.assert_allclose(neutral.mpjpe_mm, 0.0, atol=0.05)
    gendered = dataclasses.replace(known, gender=np.array(["female"] * 7))
    np.testing.assert_allclose(scores(path, gendered, truth(people)).mpjpe_mm, 10.0, rtol=1e-3)


def test_scorehmrs_fourteen_are_centred_on_a_pelvis_that_does_not_count(path, people, tmp_path):
    with np.load(path) as stored:
        j19 = np.eye(24)[np.arange(19) + 3]
        np.savez(tmp_path / "body.npz", **stored, regressor_j19=j19)
    judge = evaluate.make_judge(str(tmp_path / "body.npz"), people, "scorehmr14")
    known = evaluate.truth_of(judge, people)
    found = evaluate.score(judge, Pose(people.pred_pose, people.pred_betas), known, chunk=4)
    pred = evaluate.joints_of(judge, Pose(people.pred_pose, people.pred_betas))
    ours, theirs = (x - x[:, 14:15] for x in (np.asarray(pred), known.joints[..., :3]))
    wanted = 1000 * np.linalg.norm(ours - theirs, axis=-1)[:, :14].mean(-1)
    np.testing.assert_allclose(found.mpjpe_mm, wanted, rtol=1e-3)
    moved = known.joints.copy()
    moved[:, 14, 0] += 0.1
    again = evaluate.score(
        judge, Pose(people.pred_pose, people.pred_betas), known._replace(joints=moved), chunk=4
    )
    np.testing.assert_allclose(again.pa_mpjpe_mm, found.pa_mpjpe_mm, rtol=1e-3)


def test_the_shape_of_another_body_is_no_truth(path, people):
    """Betas of the female body mean nothing to the neutral one."""
    gendered = dataclasses.replace(people, gender=np.array(["female"] * 7))
    found = scores(path, gendered, truth(people))
    assert np.isnan(found.pve_mm).all()
    np.testing.assert_allclose(found.rotation_deg, 0.0, atol=1e-3)
    # Nor do they make joints where none are cached.
    assert np.isnan(scores(path, tiny.without(gendered, "keypoints3d")).pa_mpjpe_mm).all()


def test_joints_without_confidence_are_not_judged(path, people):
    joints = people.keypoints3d.copy()
    joints[:, 3, :3] += 5.0
    joints[:, 3, 3] = 0.0
    known = tiny.without(dataclasses.replace(people, keypoints3d=joints), "pose", "betas")
    np.testing.assert_allclose(scores(path, known, truth(people)).pa_mpjpe_mm, 0.0, atol=0.05)


def test_people_of_whom_nothing_is_known_have_no_score(path, people):
    joints, labels = people.keypoints3d.copy(), people.labels2d.copy()
    joints[2, :, 3], labels[5, :, 2] = 0.0, 0.0
    known = dataclasses.replace(people, keypoints3d=joints, labels2d=labels)
    found = scores(path, tiny.without(known, "pose", "betas"))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.pa_mpjpe_mm)), [2])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.mpjpe_mm)), [2])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.image_px)), [5])


@pytest.mark.parametrize(
    ("absent", "unknown"),
    [
        (("pose", "betas"), PARAMETERS),
        (("pose", "betas", "keypoints3d"), (*PARAMETERS, "mpjpe_mm", "pa_mpjpe_mm")),
        (("keypoints2d", "labels2d"), ("image_px",)),
        (("focal_px",), ("image_px",)),
    ],
)
def test_what_the_truth_does_not_say_is_nan_and_a_dash_in_the_table(path, people, absent, unknown):
    found = scores(path, tiny.without(people, *absent))
    for name, values in found._asdict().items():
        assert np.isnan(values).all() == (name in unknown), name
        assert np.isnan(values).any() == (name in unknown), name
    row = evaluate.summary(evaluate.Row("guided", "labels", found, 0.5), found, people.sequence)
    dashes = {"pa_mpjpe_mm": 4, "mpjpe_mm": 1, "rotation_deg": 2, "pve_mm": 1, "image_px": 1}
    wanted = sum(dashes.get(name, 0) for name in unknown)
    # Of itself no row is a change: two dashes more, unless they are unknown.
    wanted += ("pa_mpjpe_mm" not in unknown) + ("rotation_deg" not in unknown)
    assert evaluate.line(row).split().count("-") == wanted


# Intervals.


def test_the_interval_covers_the_mean_and_most_means_of_other_draws(rng):
    covered = 0
    for i in range(60):
        values = rng.normal(1.0, 1.0, 80)
        low, high = evaluate.bootstrap(values, np.arange(80), draws=400, seed=i)
        assert low < values.mean() < high
        covered += low < 1.0 < high
    assert 51 <= covered <= 60  # 57 of 60 are 95 %.


def test_fewer_groups_make_a_wider_interval(rng):
    group = np.repeat(np.arange(20), 20)
    values = np.repeat(rng.normal(size=20), 20) + 0.1 * rng.normal(size=400)
    width = [np.diff(evaluate.bootstrap(values, g))[0] for g in (group, np.arange(400))]
    assert width[0] > 3 * width[1]


def test_whole_groups_are_drawn():
    """Frames scatter, sequences do not: nothing is left to chance."""
    values, group = np.tile([0.0, 1.0, 5.0], 8), np.repeat(np.arange(8), 3)
    np.testing.assert_allclose(evaluate.bootstrap(values, group), 2.0)
    assert np.isnan(evaluate.bootstrap(values[:3], np.zeros(3))).all()


def test_groups_count_by_their_frames(rng):
    """A mean of frames, not of the means of sequences of unequal length."""
    values, group = np.array([0.0] * 90 + [1.0] * 10), np.array(["a"] * 90 + ["b"] * 10)
    low, high = evaluate.bootstrap(values, group)
    assert (low, high) == (0.0, 1.0)
    many = np.repeat(np.arange(200), 1 + 8 * (np.arange(200) % 2))
    low, high = evaluate.bootstrap((many % 2).astype(float), many)
    assert low < 0.9 < high
    assert low > 0.6


def test_unknown_values_are_left_out_of_the_interval():
    values = np.array([1.0, np.nan, 3.0, np.nan])
    assert evaluate.bootstrap(values, np.arange(4)) == (1.0, 3.0)
    assert np.isnan(evaluate.bootstrap(np.full(4, np.nan), np.arange(4))).all()


# The table.


def made(pa, **others):
    nothing = np.full(len(pa), np.nan)
    values = (
        dict.fromkeys(evaluate.Scores._fields, nothing) | {"pa_mpjpe_mm": np.asarray(pa)} | others
    )
    return evaluate.Scores(**values)


def test_a_summary_counts_who_gains_and_who_is_harmed():
    base = made([50.0, 50.0, 50.0, 50.0, np.nan], rotation_deg=np.full(5, 10.0))
    after = made([40.0, 50.5, 51.5, 50.0, np.nan], rotation_deg=np.full(5, 9.0))
    s = evaluate.summary(evaluate.Row("guided", "labels", after, 0.25), base, np.arange(5))
    assert (s["improved"], s["harmed"]) == (0.25, 0.25)  # Of the four who are known.
    np.testing.assert_allclose(s["pa_change_mm"], -2.0)
    np.testing.assert_allclose(s["rotation_change_95"], (-1.0, -1.0))
    low, high = s["pa_change_95"]
    assert low < -2.0 < high
    assert np.isnan(s["pve_mm"])


@pytest.mark.parametrize("pa", [3.0, 99.9, np.nan])
def test_header_and_lines_line_up(pa, rng):
    scores = evaluate.Scores(*(np.full(4, pa) for _ in evaluate.Scores._fields))
    base = evaluate.Scores(*(rng.uniform(80, 90, 4) for _ in evaluate.Scores._fields))
    names = ["estimate", "control, another's moves", "paper, fixed step 1000"]
    rows = [
        evaluate.Row(name, "detections", scores, ms)
        for name, ms in zip(names, (np.nan, 1.0, 123.45))
    ]
    lines = [evaluate.line(evaluate.summary(row, base, np.arange(4))) for row in rows]
    head, rule = evaluate.header().split("\n")
    assert {len(text) for text in (*lines, head, rule)} == {len(head)}
    for text, name in zip(lines, names):
        assert text.startswith(f"{name} ")
        # Columns are set apart: no two cells touch.
        cut = len(head.split("MPJPE")[0]) + len("MPJPE")
        assert text[cut] == " "
