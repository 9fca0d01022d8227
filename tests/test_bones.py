"""Bones: lengths are put in, directions stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.methods import bones

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_bones_get_their_lengths_and_keep_their_directions(batch, rng):
    joints = jnp.asarray(rng.normal(size=(*batch, 17, 3)), jnp.float32)
    lengths = jnp.asarray(rng.uniform(0.1, 0.5, 17), jnp.float32).at[0].set(0.0)
    moved = bones.with_bone_lengths(joints, lengths, PARENTS)
    found = bones.bone_lengths(moved, PARENTS)
    np.testing.assert_allclose(found, np.broadcast_to(lengths, found.shape), atol=1e-5)
    np.testing.assert_array_equal(moved[..., 0, :], joints[..., 0, :])
    index = np.array(PARENTS[1:])
    before, after = (a[..., 1:, :] - a[..., index, :] for a in (joints, moved))
    cosine = jnp.sum(before * after, -1) / jnp.linalg.norm(before, axis=-1) / lengths[1:]
    np.testing.assert_allclose(cosine, 1.0, atol=1e-4)
    again = bones.with_bone_lengths(joints, bones.bone_lengths(joints, PARENTS), PARENTS)
    np.testing.assert_allclose(again, joints, atol=1e-5)


def test_children_may_stand_before_their_parents(rng):
    joints = jnp.asarray(rng.normal(size=(17, 3)), jnp.float32)
    order = rng.permutation(17)
    place = np.argsort(order)
    parents = tuple(-1 if PARENTS[j] < 0 else int(place[PARENTS[j]]) for j in order)
    lengths = jnp.ones(17, jnp.float32)
    found = bones.with_bone_lengths(joints[order], lengths, parents)
    wanted = bones.with_bone_lengths(joints, lengths, PARENTS)
    np.testing.assert_allclose(found, wanted[order], atol=1e-6)


def test_a_collapsed_bone_has_a_finite_gradient():
    def total(joints):
        return jnp.sum(bones.with_bone_lengths(joints, jnp.ones(17), PARENTS) ** 2)

    assert np.isfinite(jax.jit(jax.grad(total))(jnp.zeros((3, 17, 3)))).all()
