"""The mirror image: its own inverse, and what a refiner averaged over it does."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import skeleton
from diffjax.methods import mirroring

NAMES = skeleton.keypoint_set("h36m17_native")
MIRROR = skeleton.mirror_permutation(NAMES)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_a_flip_is_its_own_inverse_and_swaps_sides(batch, rng):
    points = jnp.asarray(rng.normal(size=(*batch, 17, 3)), jnp.float32)
    flipped = mirroring.flip(points, MIRROR)
    np.testing.assert_array_equal(mirroring.flip(flipped, MIRROR), points)
    left, right = NAMES.index("left_knee"), NAMES.index("right_knee")
    np.testing.assert_array_equal(
        flipped[..., left, :], points[..., right, :] * jnp.asarray([-1.0, 1, 1])
    )


def test_a_flip_averaged_refiner_commutes_with_the_flip(rng):
    y = jnp.asarray(rng.normal(size=(5, 17, 3)), jnp.float32)
    p = jnp.asarray(rng.normal(size=(5, 17, 2)), jnp.float32)
    weight = jnp.asarray(rng.normal(size=(17, 3)), jnp.float32)
    both = mirroring.flip_averaged(lambda y, p: y * weight + p[..., :1], MIRROR)
    one = mirroring.flip(both(y, p), MIRROR)
    other = both(mirroring.flip(y, MIRROR), mirroring.flip(p, MIRROR))
    np.testing.assert_allclose(one, other, atol=1e-6)
    same = mirroring.flip_averaged(lambda y, p: y, MIRROR)
    np.testing.assert_array_equal(same(y, p), y)
