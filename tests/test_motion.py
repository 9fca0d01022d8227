"""Generated motion: the angles mean what their names say, and people stay people."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import pose, rotations, skeleton
from diffjax.data import activities, anatomy, motion

_BONES = {"left_knee": (0, -0.4, 0), "left_ankle": (0, -0.4, 0), "left_foot": (0, -0.05, 0.1)}
_ARM = {"left_shoulder": (0.15, 0.2, 0), "left_elbow": (0.25, 0, 0), "left_wrist": (0.25, 0, 0)}


def _joints(matrices):
    """Joints of a stick figure in T-pose proportions, in NumPy, one frame."""
    rest = {"spine3": (0, 0.3, 0), "neck": (0, 0.2, 0), "head": (0, 0.1, 0)}
    rest |= {"left_hip": (0.1, -0.1, 0), **_BONES, **_ARM}
    rest |= {
        name.replace("left", "right"): (-x, y, z)
        for name, (x, y, z) in rest.items()
        if name.startswith("left")
    }
    world, place = [matrices[0]], [np.zeros(3)]
    for j in range(1, 24):
        parent = skeleton.SMPL_PARENTS[j]
        bone = np.array(rest.get(skeleton.SMPL24[j], (0.0, 0.0, 0.0)))
        place.append(place[parent] + world[parent] @ bone)
        world.append(world[parent] @ matrices[j])
    return dict(zip(skeleton.SMPL24, place))


def _standing(**angles: float):
    track = np.zeros((1, len(anatomy.ANGLES)))
    for name, degrees in angles.items():
        track[0, anatomy.INDEX[name]] = degrees
    return _joints(anatomy.rotations_from_track(track)[0])


def test_the_zero_track_stands_with_hanging_arms():
    joints = _standing()
    for side in ("left", "right"):
        arm = joints[f"{side}_wrist"] - joints[f"{side}_shoulder"]
        np.testing.assert_allclose(arm, [0, -0.5, 0], atol=1e-12)
        leg = joints[f"{side}_ankle"] - joints[f"{side}_hip"]
        np.testing.assert_allclose(leg, [0, -0.8, 0], atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("angle", "joint", "axis", "sign"),
    [
        ("hip_flexion", "knee", 2, 1),
        ("knee_flexion", "ankle", 2, -1),
        ("ankle_lift", "foot", 1, 1),
        ("shoulder_flexion", "wrist", 2, 1),
        ("elbow_flexion", "wrist", 2, 1),
        ("collar_lift", "elbow", 1, 1),
        ("hip_abduction", "knee", 0, "outwards"),
        ("shoulder_abduction", "wrist", 0, "outwards"),
    ],
)
def test_an_angle_moves_its_limb_where_its_name_says(side, angle, joint, axis, sign):
    outwards = 1 if side == "left" else -1
    sign = outwards if sign == "outwards" else sign
    moved = _standing(**{f"{side}_{angle}": 40.0})[f"{side}_{joint}"]
    assert sign * (moved - _standing()[f"{side}_{joint}"])[axis] > 0.02


def test_the_trunk_bends_forward_and_leans_left():
    assert _standing(trunk_flexion=40.0)["neck"][2] > 0.1
    assert _standing(trunk_side=30.0)["neck"][0] > 0.05


def test_exchanging_left_and_right_angles_mirrors_the_person(rng):
    track = rng.normal(0, 20, (2, len(anatomy.ANGLES)))
    midline = [a.axis != 0 for a in anatomy.ANGLES[: len(anatomy.ANGLES) - 28]]
    swapped = np.concatenate(
        [np.where(midline, -1.0, 1.0) * track[:, :9], track[:, 23:], track[:, 9:23]], 1
    )
    people, other = (
        pose.Pose(jnp.asarray(anatomy.rotations_from_track(t), jnp.float32), jnp.zeros((2, 10)))
        for t in (track, swapped)
    )
    np.testing.assert_allclose(pose.mirror(people).rotations, other.rotations, atol=1e-6)


@pytest.mark.parametrize("name", [*activities.ACTIVITIES, *activities.GAIT_RANGES])
def test_every_activity_keeps_the_limits_and_moves_smoothly(name):
    random = np.random.default_rng(3)
    clock = np.arange(90) / 30.0
    track = motion.draw_track(random, motion.draw_style(random), name, clock)
    low, high = (np.array([getattr(a, side) for a in anatomy.ANGLES]) for side in ("low", "high"))
    assert np.all(track >= low)
    assert np.all(track <= high)
    assert np.abs(np.diff(track, axis=0)).max() * 30.0 < 1200.0  # deg/s: a fast kick.
    assert track[:, 9:].std(0).max() > 1.0


def test_limits_leave_the_middle_of_the_range_alone():
    track = np.zeros((1, len(anatomy.ANGLES)))
    track[0, anatomy.INDEX["left_knee_flexion"]] = 70.0
    index = anatomy.INDEX["left_knee_flexion"]
    np.testing.assert_allclose(anatomy.limit(track)[0, index], 70.0)


def test_a_clip_is_a_function_of_its_numbers():
    first, again, other = (motion.draw_clip(1, s, 0, "sit", 0.5) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.motion.poses, again.motion.poses)
    assert not np.allclose(first.motion.betas, other.motion.betas)
    assert first.subject != other.subject
    assert first.motion.poses.shape == (15, 24, 3)


def test_the_subject_keeps_its_shape_over_clips():
    clips = motion.generate(1, range(2), 2, 0.2)
    np.testing.assert_array_equal(clips[0].motion.betas, clips[1].motion.betas)
    assert len({clip.name for clip in clips}) == 4


def test_the_lower_foot_is_on_the_ground_and_does_not_slide():
    clip = motion.draw_clip(1, 0, 0, "walk", 3.0).motion
    matrices = np.asarray(rotations.matrix_from_axis_angle(jnp.asarray(clip.poses)))
    feet = motion._feet(matrices) + clip.trans[:, None]
    lower = feet[..., 1].argmin(1)
    assert np.abs(feet[..., 1].min(1)).max() < 0.02
    stays = lower[1:] == lower[:-1]
    rows = np.arange(len(lower) - 1)[stays]
    slide = np.linalg.norm(feet[rows + 1, lower[rows]] - feet[rows, lower[rows]], axis=-1)
    assert np.median(slide) < 0.004  # 12 cm/s; the pelvis walks at about 1 m/s.
    assert np.linalg.norm(clip.trans[-1, ::2] - clip.trans[0, ::2]) > 1.0
