"""Refiners of 3D joint sequences without diffusion: what D3PRefiner has to beat, and what wraps one.

A refiner is `(y, p) -> x`: a lifter's root-relative sequence and its normalised 2D in, a sequence out.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax.methods import conditional_noise, error_statistics

Refiner = Callable[[Array, Array], Array]
"""(y "*batch time J 3", p "*batch time J 2") -> "*batch time J 3"; metres."""


def bias(stats: error_statistics.Statistics, root: int = 0) -> Float[np.ndarray, "J 3"]:
    """The mean error of a lifter on training data, in metres; zero at the root."""
    mean, _ = error_statistics.moments(stats)
    mean[root] = 0.0
    return mean


def remove_bias(
    of_lifter: Float[Array | np.ndarray, "J 3"], y: Float[Array, "*batch J 3"]
) -> Float[Array, "*batch J 3"]:
    """y without the error that the lifter makes on the mean."""
    return y - jnp.asarray(of_lifter, y.dtype)


def linear_gaussian(
    model: conditional_noise.NoiseModel,
    y: Float[Array, "*batch J 3"],
    p: Float[Array, "*batch J 2"],
) -> Float[Array, "*batch J 3"]:
    """y - mu(p, y): the error that least squares expects, taken off."""
    return y - conditional_noise.mean(model, p, y)


def flip(points: Float[Array, "*batch J d"], mirror: tuple[int, ...]) -> Float[Array, "*batch J d"]:
    """The mirror image: x -> -x, left and right joints swapped (`skeleton.mirror_permutation`).

    Of camera-frame joints, or of 2D normalised about the middle of the image.
    """
    swapped = points[..., jnp.asarray(mirror), :]
    return swapped.at[..., 0].multiply(-1.0)


def flip_averaged(refiner: Refiner, mirror: tuple[int, ...]) -> Refiner:
    """The refiner, averaged over a sequence and its mirror image: commutes with `flip`."""

    def both(y: Array, p: Array) -> Array:
        mirrored = flip(refiner(flip(y, mirror), flip(p, mirror)), mirror)
        return 0.5 * (refiner(y, p) + mirrored)

    return both


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
