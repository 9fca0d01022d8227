"""Mirror images of pose sequences, and refiners averaged over them."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

Refiner = Callable[[Array, Array], Array]
"""(y "*batch time J 3", p "*batch time J 2") -> "*batch time J 3": a lifter's root-relative poses in metres
and their normalised 2D in, poses out."""


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
