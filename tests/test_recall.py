"""Known poses that explain keypoints: the right one is found wherever it stands, and nothing unseen has a say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import annotate, body, config, objective, rotations
from diffjax.confidence import rivals
from diffjax.data import records
from diffjax.methods import recall
from diffjax.pose import Pose

pytestmark = pytest.mark.usefixtures("quick_to_compile")
POSES, TURNED = 60, 5


@pytest.fixture(scope="module")
def image():
    return tiny.keypoint_models().image


def random_rotations(count, seed=0, scale=0.4):
    vectors = scale * np.random.default_rng(seed).normal(size=(count, 24, 3))
    return rotations.matrix_from_axis_angle(jnp.asarray(vectors, jnp.float32))


@pytest.fixture(scope="module")
def bank(image):
    return recall.make_bank(random_rotations(POSES), image)


def look_of(bank, pose, turn, scale=300.0, place=(900.0, 500.0)):
    """(1, K, 3) pixels of a known pose from one of the views."""
    look = np.asarray(bank.looks[:, :, pose * recall.VIEWS + turn]).T
    points = scale * look + np.array(place)
    return jnp.asarray(np.concatenate([points, np.ones((len(look), 1))], -1)[None], jnp.float32)


def chosen(found):
    return int(found.row[0, jnp.argmax(found.weight[0])])


@pytest.mark.parametrize("turn", [0, TURNED])
def test_a_known_pose_is_recognised_from_its_look(bank, turn):
    found = recall.recall(bank, look_of(bank, 7, turn))
    assert chosen(found) == 7
    np.testing.assert_allclose(found.weight.sum(), 1.0, rtol=1e-5)
    best = recall.posed(bank, found)[0, 0]
    root = bank.turns[turn] @ bank.rotations[7, 0]
    np.testing.assert_allclose(best[0], root, atol=1e-4)
    np.testing.assert_array_equal(best[1:], bank.rotations[7, 1:])


def test_neither_place_nor_size_matters(bank):
    near, far = (
        recall.recall(bank, look_of(bank, 3, 1, scale, place))
        for scale, place in ((700.0, (10.0, 20.0)), (40.0, (-300.0, 0.0)))
    )
    np.testing.assert_array_equal(near.row, far.row)
    np.testing.assert_allclose(near.weight, far.weight, atol=1e-3)
    np.testing.assert_allclose(near.misfit, far.misfit, atol=1e-3)


def test_what_is_missing_has_no_say(bank):
    seen = look_of(bank, 3, 1).at[0, 4, 2].set(0.0)
    other = seen.at[0, 4, :2].set(jnp.asarray([5e3, -7e3]))
    for a, b in zip(recall.recall(bank, seen), recall.recall(bank, other)):
        np.testing.assert_array_equal(a, b)


def test_one_keypoint_far_off_does_not_change_who_it_is(bank):
    wild = look_of(bank, 9, 2).at[0, 6, 0].add(150.0)
    found = recall.recall(bank, wild)
    assert chosen(found) == 9
    assert found.misfit[0] > recall.recall(bank, look_of(bank, 9, 2)).misfit[0]


def test_people_are_told_one_by_one_what_they_are_told_together(bank):
    many = jnp.concatenate([look_of(bank, i, i % recall.VIEWS) for i in range(20)])
    together = recall.recall(bank, many)
    for i in (0, 19):
        alone = recall.recall(bank, many[i : i + 1])
        np.testing.assert_array_equal(alone.row[0], together.row[i])
        np.testing.assert_allclose(alone.weight[0], together.weight[i], atol=1e-5)


@pytest.mark.parametrize(("degrees", "wanted"), [(4.0, 4.0), (-30.0, None)])
def test_a_look_is_laid_over_its_own_image(bank, degrees, wanted):
    """Scale, place and roll that made an image are found again; the roll only within bounds."""
    look = np.asarray(bank.looks[:, :, :3])
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = jnp.asarray((0.7 * turn @ look[:, :, 0]).T + np.array([0.2, 0.4]), jnp.float32)
    trust = jnp.ones(look.shape[1:])
    squares, roll = recall._laid(jnp.asarray(look), points, trust)
    if wanted is None:
        assert roll[0] == pytest.approx(-recall.ROLL)
        assert squares[:, 0].max() > 1e-3
    else:
        assert np.degrees(roll[0]) == pytest.approx(wanted, abs=0.01)
        np.testing.assert_allclose(squares[:, 0], 0.0, atol=1e-9)


def test_few_are_sorted_and_none_of_the_best_is_missed(monkeypatch):
    monkeypatch.setattr(recall, "SCREENED", 20)
    score = np.random.default_rng(0).normal(size=(100, 12)).astype(np.float32)
    score[3] += 4.0  # Many of the best are of one pose.
    found = recall._screened(jnp.asarray(score.reshape(-1)), 12)
    np.testing.assert_array_equal(found, np.argsort(-score.reshape(-1))[:20])


def test_the_rough_score_is_what_least_squares_leave(bank):
    """Scale and place of each view by NumPy's least squares: the same order, the same rest."""
    random = np.random.default_rng(1)
    points, weight = random.uniform(size=(17, 2)), random.uniform(0.1, 1.0, 17)
    found = recall._rough(bank.looks, jnp.asarray(points), jnp.asarray(weight))
    share = np.sqrt(np.repeat(weight / weight.sum(), 2))
    centred = points - weight @ points / weight.sum()
    whole = float((share**2 * centred.reshape(-1) ** 2).sum())
    for view in (0, 100, 500):
        look = np.asarray(bank.looks[:, :, view], np.float64).T.reshape(-1)
        design = np.stack([look, np.tile([1.0, 0.0], 17), np.tile([0.0, 1.0], 17)], -1)
        _, rest, *_ = np.linalg.lstsq(
            share[:, None] * design, share * points.reshape(-1), rcond=None
        )
        if found[view] > 1e-4:  # Least squares may turn a look inside out; we do not.
            assert found[view] == pytest.approx(whole - rest[0], rel=1e-3, abs=1e-5)


def test_the_way_is_to_the_mean_and_back_onto_rotations(bank):
    seen, estimate = look_of(bank, 7, 0), Pose(random_rotations(1, seed=3), jnp.ones((1, 10)))
    mean = recall.mean_rotations(bank, recall.recall(bank, seen))
    whole, half = (recall.toward(estimate, bank, seen, share) for share in (1.0, 0.5))
    np.testing.assert_allclose(whole.rotations, rotations.project_to_so3(mean), atol=1e-5)
    between = rotations.project_to_so3(0.5 * (estimate.rotations + mean))
    np.testing.assert_allclose(half.rotations, between, atol=1e-5)
    np.testing.assert_array_equal(whole.betas, estimate.betas)


def test_of_few_keypoints_nothing_is_recalled(bank, image):
    few = look_of(bank, 7, 0).at[0, recall.SEEN - 1 :, 2].set(0.0)
    none = jnp.zeros_like(few)
    estimate = Pose(random_rotations(1, seed=3), jnp.ones((1, 10)))
    for seen in (few, none):
        came = recall.toward(estimate, bank, seen, 1.0)
        np.testing.assert_array_equal(came.rotations, estimate.rotations)
    known = rivals.known_of(np.asarray(bank.rotations), image, image)
    told = rivals.of(known, image, estimate, estimate, none)
    assert all(np.isfinite(x).all() for x in told.values())
    assert told["rivals_mm"][0] == 0


def test_rivals_of_the_right_pose_are_the_pose_itself(bank, image):
    """Who the keypoints can only be is expected to be right; the estimate is as far off as it is from them."""
    known = rivals.known_of(np.asarray(bank.rotations), image, image)
    still = jnp.zeros((1, 10))
    right = Pose(bank.rotations[7:8], still)
    wrong = Pose(random_rotations(1, seed=3), still)
    told = rivals.of(known, image, wrong, right, look_of(bank, 7, 0))
    back = rivals.of(known, image, right, wrong, look_of(bank, 7, 0))
    assert told["rivals_mm"][0] < 0.2 * back["rivals_mm"][0]
    assert told["rivals_gain_mm"][0] == pytest.approx(-float(back["rivals_gain_mm"][0]), rel=1e-3)
    assert told["rivals_gain_mm"][0] > 0
    assert told["rivals_harm"][0] < 0.1 < 0.9 < back["rivals_harm"][0]


def test_a_fit_from_the_rivals_begins_at_their_mean_with_the_shape_of_the_estimate(bank, image):
    known, seen = rivals.known_of(np.asarray(bank.rotations), image, image), look_of(bank, 7, 0)
    wrong = Pose(random_rotations(1, seed=3), jnp.ones((1, 10)))
    begun = []

    def nowhere(people):
        begun.append(people)
        return people

    told = rivals.of(known, image, wrong, wrong, seen, nowhere)
    mean = recall.mean_rotations(known.bank, recall.recall(known.bank, seen))
    np.testing.assert_allclose(begun[0].rotations, rotations.project_to_so3(mean), atol=1e-5)
    np.testing.assert_array_equal(begun[0].betas, wrong.betas)
    assert told["rivals_fit_mm_before"][0] > 10
    found = rivals.of(known, image, wrong, begun[0], seen, nowhere)
    assert found["rivals_fit_mm_after"][0] == pytest.approx(0, abs=0.1)
    assert "rivals_fit_mm_after" not in rivals.of(known, image, wrong, wrong, seen)


def run_of(tmp_path, people):
    tiny.write_body(tmp_path / "body.npz")
    records.write(tmp_path / "train.npz", people)
    data = config.Data(train=str(tmp_path / "train.npz"), body=str(tmp_path / "body.npz"))
    return config.Run(data=data)


def test_known_poses_are_those_of_training_and_none_twice(tmp_path):
    people = tiny.annotations(6)
    doubled = records.take(people, np.array([0, 1, 2, 3, 4, 5, 5, 0]))
    turned = doubled.pose.copy()
    turned[6, 0] = turned[1, 0]  # The same pose, by another camera.
    run = run_of(tmp_path, dataclasses.replace(doubled, pose=turned))
    known = objective.known_poses(run)
    assert len(known) == 6
    assert len(objective.known_poses(run, kept=4)) == 4
    np.testing.assert_array_equal(objective.known_poses(run, 4), objective.known_poses(run, 4))


def test_where_no_poses_are_known_it_says_so(tmp_path):
    people = tiny.without(tiny.annotations(3), "pose", "betas")
    with pytest.raises(ValueError, match=r"field pose: wanted true poses.*--parts\.poses"):
        objective.known_poses(run_of(tmp_path, people))
    run = config.Run(parts=config.Parts(poses=str(tmp_path / "no.npz")))
    with pytest.raises(ValueError, match=r"known poses, of .*no\.npz is missing"):
        objective.known_poses(run)
    asked = dataclasses.replace(run, train=config.Train(target="prediction"))
    moving = dataclasses.replace(asked, parts=config.Parts(poses=f"motion:{tmp_path / 'none'}"))
    with pytest.raises(ValueError, match="known poses, of motion:") as told:
        objective.known_poses(moving)
    assert "train.target" not in str(told.value)  # Of training, which nobody asked for.
    kit = annotate.Kit("", tiny.bones(), None, None)
    with pytest.raises(ValueError, match=r"--parts\.poses"):
        annotate._bank(kit, "labels", tiny.keypoint_models())
    with pytest.raises(ValueError, match="wanted 2D keypoints"):
        annotate._bank(kit._replace(poses=np.zeros(1)), "joints3d", tiny.keypoint_models())


def test_a_pose_is_known_whichever_way_it_is_turned():
    known = np.asarray(random_rotations(5))
    asked = np.array(random_rotations(4, seed=1))
    asked[1], asked[2] = known[3], known[0]
    asked[1, 0] = asked[0, 0]
    asked[2, 5] = np.nan
    assert recall.among(asked, known).tolist() == [False, True, False, False]
    assert recall.among(known + np.float32(1e-5), known).all()
    assert not recall.among(known + np.float32(1e-3), known).any()


def test_a_body_of_any_keypoints_has_looks(bank, image):
    assert bank.looks.shape == (2, image.mix.shape[0], POSES * recall.VIEWS)
    spread = jnp.max(bank.looks, 1) - jnp.min(bank.looks, 1)
    np.testing.assert_allclose(jnp.max(spread, 0), 1.0, rtol=1e-5)
    assert isinstance(jax.tree.leaves(bank)[0], jax.Array)
    assert body.pose_keypoints(image, bank.rotations, jnp.zeros(10)).shape[0] == POSES
