"""Baselines of sequence refinement: each undoes the error it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import skeleton
from diffjax.methods import conditional_noise, error_statistics
from diffjax.methods import sequence_baselines as baselines

NAMES = skeleton.keypoint_set("h36m17_native")
MIRROR = skeleton.mirror_permutation(NAMES)
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def people(rng, batch=(4,), time=200):
    x = rng.normal(size=(*batch, time, 17, 3)) * 0.3
    p = rng.normal(size=(*batch, time, 17, 2))
    return p, x - x[..., :1, :]


def arrays(*many):
    return tuple(jnp.asarray(a, jnp.float32) for a in many)


def test_a_constant_error_is_removed(rng):
    p, x = people(rng)
    off = rng.normal(size=(17, 3)) * 0.05
    off[0] = 0.0
    stats = error_statistics.add(error_statistics.none(17), p, x + off, x)
    bias = baselines.bias(stats)
    np.testing.assert_allclose(bias, off, atol=1e-9)
    np.testing.assert_allclose(baselines.remove_bias(bias, *arrays(x + off)), x, atol=1e-6)


def test_an_error_linear_in_what_is_known_is_removed_on_new_data(rng):
    p, x = people(rng)
    mix = rng.normal(size=(34, 51)) * 0.01
    mix[:, :3] = 0.0
    y = (
        x
        + 0.02 * (np.arange(17) > 0)[:, None]
        + (p.reshape(*p.shape[:2], 34) @ mix).reshape(x.shape)
    )
    train, test = slice(3), slice(3, None)
    stats = error_statistics.none(17)
    model = conditional_noise.fit(error_statistics.add(stats, p[train], y[train], x[train]))
    found = baselines.linear_gaussian(model, *arrays(y[test], p[test]))
    np.testing.assert_allclose(found, x[test], atol=1e-4)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_a_flip_is_its_own_inverse_and_swaps_sides(batch, rng):
    points = jnp.asarray(rng.normal(size=(*batch, 17, 3)), jnp.float32)
    flipped = baselines.flip(points, MIRROR)
    np.testing.assert_array_equal(baselines.flip(flipped, MIRROR), points)
    left, right = NAMES.index("left_knee"), NAMES.index("right_knee")
    np.testing.assert_array_equal(
        flipped[..., left, :], points[..., right, :] * jnp.asarray([-1.0, 1, 1])
    )


def test_a_flip_averaged_refiner_commutes_with_the_flip(rng):
    p, y = arrays(*(a[0] for a in people(rng, time=5)))
    weight = jnp.asarray(rng.normal(size=(17, 3)), jnp.float32)
    both = baselines.flip_averaged(lambda y, p: y * weight + p[..., :1], MIRROR)
    one = baselines.flip(both(y, p), MIRROR)
    other = both(baselines.flip(y, MIRROR), baselines.flip(p, MIRROR))
    np.testing.assert_allclose(one, other, atol=1e-6)
    same = baselines.flip_averaged(lambda y, p: y, MIRROR)
    np.testing.assert_array_equal(same(y, p), y)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_bones_get_their_lengths_and_keep_their_directions(batch, rng):
    joints = jnp.asarray(rng.normal(size=(*batch, 17, 3)), jnp.float32)
    lengths = jnp.asarray(rng.uniform(0.1, 0.5, 17), jnp.float32).at[0].set(0.0)
    moved = baselines.with_bone_lengths(joints, lengths, PARENTS)
    found = baselines.bone_lengths(moved, PARENTS)
    np.testing.assert_allclose(found, np.broadcast_to(lengths, found.shape), atol=1e-5)
    np.testing.assert_array_equal(moved[..., 0, :], joints[..., 0, :])
    index = np.array(PARENTS[1:])
    before, after = (a[..., 1:, :] - a[..., index, :] for a in (joints, moved))
    cosine = jnp.sum(before * after, -1) / jnp.linalg.norm(before, axis=-1) / lengths[1:]
    np.testing.assert_allclose(cosine, 1.0, atol=1e-4)
    again = baselines.with_bone_lengths(joints, baselines.bone_lengths(joints, PARENTS), PARENTS)
    np.testing.assert_allclose(again, joints, atol=1e-5)


def test_steady_bones_have_the_median_length_and_a_rigid_person_stays(rng):
    joints = jnp.asarray(rng.normal(size=(9, 17, 3)), jnp.float32)
    steady = baselines.steady_bones(joints, PARENTS)
    lengths = baselines.bone_lengths(steady, PARENTS)
    median = np.median(baselines.bone_lengths(joints, PARENTS), 0)
    np.testing.assert_allclose(lengths, np.broadcast_to(median, (9, 17)), atol=1e-5)
    still = jnp.broadcast_to(joints[:1], joints.shape)
    np.testing.assert_allclose(baselines.steady_bones(still, PARENTS), still, atol=1e-5)


def test_a_collapsed_bone_has_a_finite_gradient():
    def total(joints):
        return jnp.sum(baselines.steady_bones(joints, PARENTS) ** 2)

    assert np.isfinite(jax.jit(jax.grad(total))(jnp.zeros((3, 17, 3)))).all()
