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
    """The same root and directions of bones, with these lengths."""
    now = bone_lengths(joints, parents)
    ratio = jnp.where(now > 0, lengths / jnp.where(now > 0, now, 1.0), 0.0)
    bones = (joints - _of_parents(joints, parents)) * ratio[..., None]
    placed: dict[int, Array] = {}
    for joint in sorted(range(len(parents)), key=lambda j: _depth(j, parents)):
        above = parents[joint]
        root = above < 0
        placed[joint] = joints[..., joint, :] if root else placed[above] + bones[..., joint, :]
    return jnp.stack([placed[joint] for joint in range(len(parents))], -2)


def _depth(joint: int, parents: tuple[int, ...]) -> int:
    """Bones from the root to a joint."""
    return 0 if parents[joint] < 0 else 1 + _depth(parents[joint], parents)


def _of_parents(joints: Array, parents: tuple[int, ...]) -> Array:
    """Each joint's parent; the root's is itself."""
    index = jnp.asarray([j if parent < 0 else parent for j, parent in enumerate(parents)])
    return joints[..., index, :]
