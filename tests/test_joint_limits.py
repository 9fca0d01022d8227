"""Joint limits: motion within anatomy is free, what no body can do pays, and the gradient is finite everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import joint_limits, pose, rotations, skeleton
from diffjax.data import anatomy, motion

NAMES = skeleton.SMPL24


def turned(joint, degrees, axis):
    """The rest pose with one joint turned about one axis."""
    v = np.zeros((24, 3), np.float32)
    v[NAMES.index(joint), axis] = np.deg2rad(degrees)
    return rotations.matrix_from_axis_angle(jnp.asarray(v))


value_and_grad = jax.jit(jax.value_and_grad(joint_limits.joint_limits))
cost = jax.jit(joint_limits.joint_limits)


def test_the_rest_pose_is_free_and_has_no_gradient():
    value, gradient = value_and_grad(jnp.broadcast_to(jnp.eye(3), (24, 3, 3)))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(
    ("joint", "degrees", "axis"),
    [
        ("left_knee", -40, 0),
        ("right_knee", -40, 0),
        ("left_elbow", 40, 1),
        ("right_elbow", -40, 1),
        ("head", 150, 1),
        ("head", -150, 1),
        ("neck", 150, 1),
        ("left_ankle", 120, 0),
        ("right_hip", 160, 0),
        ("left_hip", 90, 1),
        ("spine2", -90, 0),
        ("left_wrist", 110, 2),
    ],
)
def test_what_no_body_can_do_pays_and_is_pulled_back(joint, degrees, axis):
    value, gradient = value_and_grad(turned(joint, degrees, axis))
    assert value > 0.1
    # Turning less pays less; only this joint is pulled.
    assert cost(turned(joint, 0.9 * degrees, axis)) < value
    pulled = np.flatnonzero(np.abs(gradient).max((1, 2)) > 1e-6)
    np.testing.assert_array_equal(pulled, [NAMES.index(joint)])


@pytest.mark.parametrize(
    ("joint", "degrees", "axis"),
    [
        ("left_knee", 140, 0),
        ("right_knee", 140, 0),
        ("left_elbow", -140, 1),
        ("right_elbow", 140, 1),
        ("left_shoulder", -80, 2),
        ("right_shoulder", 80, 2),
        ("left_hip", -115, 0),
        ("head", 45, 1),
        ("pelvis", 180, 1),
    ],
)
def test_what_bodies_do_is_free_and_has_no_gradient(joint, degrees, axis):
    value, gradient = value_and_grad(turned(joint, degrees, axis))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_excess_is_the_angle_beyond_the_limit():
    found = joint_limits.excess(turned("left_knee", -40, 0))
    np.testing.assert_allclose(np.rad2deg(found[NAMES.index("left_knee")]), [30, 0, 0], atol=1e-3)


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-3, np.pi - 1e-4, np.pi])
def test_the_gradient_is_finite_at_any_angle(angle):
    axes = np.concatenate([np.eye(3), np.ones((1, 3)) / 3**0.5])
    for axis in axes:
        v = jnp.asarray(np.tile(angle * axis, (24, 1)), jnp.float32)
        value, gradient = value_and_grad(rotations.matrix_from_axis_angle(v))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_a_mirrored_pose_pays_the_same():
    random = np.random.default_rng(0)
    v = jnp.asarray(random.normal(size=(50, 24, 3)), jnp.float32)
    people = pose.Pose(rotations.matrix_from_axis_angle(v), jnp.zeros((50, 10)))
    other = pose.mirror(people)
    np.testing.assert_allclose(cost(people.rotations), cost(other.rotations), rtol=1e-4)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_people_do_not_interact(batch):
    v = jnp.asarray(np.random.default_rng(1).normal(size=(*batch, 24, 3)), jnp.float32)
    matrices = rotations.matrix_from_axis_angle(v)
    alone = [joint_limits.joint_limits(m) for m in matrices.reshape(-1, 24, 3, 3)]
    together = joint_limits.joint_limits(matrices)
    assert together.shape == batch
    np.testing.assert_allclose(np.ravel(together), alone, rtol=1e-5)


def test_each_anatomical_angle_is_free_within_its_own_range():
    """The narrower ranges that motion is generated within, one at a time."""
    rows = []
    for i, angle in enumerate(anatomy.ANGLES):
        for bound in (angle.low, angle.high):
            track = np.zeros(len(anatomy.ANGLES))
            track[i] = bound if np.isfinite(bound) else 180.0
            rows.append(track)
    matrices = anatomy.rotations_from_track(np.stack(rows))
    found = np.asarray(cost(jnp.asarray(matrices, jnp.float32)))
    worst = {anatomy.ANGLES[i // 2].name: v for i, v in enumerate(found.tolist()) if v > 0}
    assert not worst


def test_generated_motion_almost_never_pays():
    clips = motion.generate(0, range(2), 4)
    v = np.concatenate([clip.motion.poses[::10] for clip in clips])
    found = cost(rotations.matrix_from_axis_angle(jnp.asarray(v)))
    assert np.mean(np.asarray(found) > 0.01) < 0.01
