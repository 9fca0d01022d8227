import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import camera, metrics, pose, skeleton, supervision

HIPS = skeleton.root_of("h36m14")


def joints_and_truth(batch):
    keys = jax.random.split(jax.random.key(0), 3)
    joints = jax.random.normal(keys[0], (*batch, 14, 3))
    true = joints + 0.1 * jax.random.normal(keys[1], joints.shape)
    weight = jax.random.uniform(keys[2], (*batch, 14, 1), minval=0.2)
    return joints, jnp.concatenate([true, weight], -1)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_l_3d_is_the_metric_in_metres(batch):
    joints, observed = joints_and_truth(batch)
    true, weight = observed[..., :3], observed[..., 3]
    aligned = supervision.joint_error(joints, observed, "pa_mpjpe", HIPS)
    np.testing.assert_allclose(1000 * aligned, metrics.pa_mpjpe_mm(joints, true, weight), rtol=1e-5)
    rooted = supervision.joint_error(joints, observed, "mpjpe", HIPS)
    wanted = metrics.mpjpe_mm(metrics.center(joints, HIPS), metrics.center(true, HIPS), weight)
    np.testing.assert_allclose(1000 * rooted, wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", ["mpjpe", "pa_mpjpe"])
@pytest.mark.parametrize("missing", [slice(None), slice(2, None)])
def test_too_little_3d_truth_is_zero_with_a_finite_gradient_of_zero(kind, missing):
    joints, observed = joints_and_truth(())
    observed = observed.at[missing, 3].set(0.0).at[missing, :3].set(jnp.nan)
    error = jax.value_and_grad(supervision.joint_error)
    value, grad = error(joints, observed, kind, HIPS)
    assert value == 0.0
    np.testing.assert_array_equal(grad, 0.0)


@pytest.mark.parametrize("kind", ["mpjpe", "pa_mpjpe"])
def test_joints_without_confidence_do_not_count(kind):
    joints, observed = joints_and_truth(())
    elbow = skeleton.KEYPOINT_SETS["h36m14"].index("left_elbow")
    hidden = observed.at[elbow, 3].set(0.0)
    value, grad = jax.value_and_grad(supervision.joint_error)(joints, hidden, kind, HIPS)
    moved = hidden.at[elbow, :3].add(5.0)
    np.testing.assert_allclose(supervision.joint_error(joints, moved, kind, HIPS), value, rtol=1e-6)
    np.testing.assert_allclose(grad[elbow], 0.0, atol=1e-7)
    assert value > 0


def evidence(keypoints2d):
    view = camera.Camera(jnp.full(2, 900.0), jnp.full(2, 300.0), jnp.full(2, 600.0))
    return pose.Evidence(keypoints2d, jnp.zeros((0, 4)), view)


def test_l_2d_is_zero_where_the_keypoints_project_and_grows_with_pixels():
    joints = 0.4 * jax.random.normal(jax.random.key(1), (17, 3))
    view = evidence(jnp.zeros((17, 3))).camera
    pixels = camera.project(view, joints + jnp.asarray([0.2, 0.1, 4.0]))
    exact = jnp.concatenate([pixels, jnp.ones((17, 1))], -1)
    np.testing.assert_allclose(supervision.pixel_error(joints, evidence(exact)), 0.0, atol=1e-4)
    noisy = exact.at[:, :2].add(10.0 * jax.random.normal(jax.random.key(2), (17, 2)))
    error = supervision.pixel_error(joints, evidence(noisy))
    # Two coordinates of 10 px are 12.5 px on average; a translation absorbs a little.
    side = float(jnp.max(jnp.ptp(noisy[:, :2], 0)))
    assert 6.0 / side < error < 16.0 / side


def test_no_2d_truth_is_zero_with_a_finite_gradient_of_zero():
    joints = jax.random.normal(jax.random.key(1), (17, 3))
    nothing = evidence(jnp.zeros((17, 3)))
    value, grad = jax.value_and_grad(supervision.pixel_error)(joints, nothing)
    assert value == 0.0
    np.testing.assert_array_equal(grad, 0.0)


def test_every_keypoint_set_has_a_root_or_says_so():
    for name in skeleton.KEYPOINT_SETS:
        assert skeleton.root_of(name)
    with pytest.raises(ValueError, match="wanted one of"):
        skeleton.root_of("nothing")
