"""Bones of pose sequences: their lengths, and poses with other lengths."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def bone_lengths(
    joints: Float[Array, "*batch J 3"], parents: tuple[int, ...]
) -> Float[Array, "*batch J"]:
    """Distance of each joint to its parent in metres; 0 for the root."""
    bones = joints - _of_parents(joints, parents)
    square = jnp.sum(bones**2, -1)
    # A bone of no length has gradient zero, not nan.
    return jnp.where(square < 1e-16, 0.0, jnp.sqrt(jnp.maximum(square, 1e-16)))


def with_bone_lengths(
    joints: Float[Array, "*batch J 3"],
    lengths: Float[Array, "*#batch J"],
    parents: tuple[int, ...],
) -> Float[Array, "*batch J 3"]:
    """The same root and directions of bones, with these lengths. Parents come before their children."""
    now = bone_lengths(joints, parents)
    ratio = jnp.where(now > 0, lengths / jnp.where(now > 0, now, 1.0), 0.0)
    bones = (joints - _of_parents(joints, parents)) * ratio[..., None]
    placed: list[Array] = []
    for joint, parent in enumerate(parents):
        root = parent < 0
        placed.append(joints[..., joint, :] if root else placed[parent] + bones[..., joint, :])
    return jnp.stack(placed, -2)


def steady_bones(
    joints: Float[Array, "*batch time J 3"], parents: tuple[int, ...]
) -> Float[Array, "*batch time J 3"]:
    """The sequence with the median length of each bone in every frame."""
    lengths = jnp.median(bone_lengths(joints, parents), axis=-2, keepdims=True)
    return with_bone_lengths(joints, lengths, parents)


def _of_parents(joints: Array, parents: tuple[int, ...]) -> Array:
    """Each joint's parent; the root's is itself."""
    index = jnp.asarray([j if parent < 0 else parent for j, parent in enumerate(parents)])
    return joints[..., index, :]
