"""The diffusion vectors: sizes, order, round trips, and validity of whatever comes out."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import pose, rotations


def random_pose(batch, rng):
    matrices = rotations.matrix_from_axis_angle(
        jnp.asarray(rng.normal(size=(*batch, 24, 3)), jnp.float32)
    )
    return pose.Pose(matrices, jnp.asarray(rng.normal(size=(*batch, 10)), jnp.float32))


@pytest.mark.parametrize("layout", pose.VECTOR_SIZE)
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_a_pose_survives_its_vector(layout, batch, rng):
    p = random_pose(batch, rng)
    x = pose.vector_from_pose(p, layout)
    assert x.shape == (*batch, pose.VECTOR_SIZE[layout])
    back = pose.pose_from_vector(x, layout, p.betas if layout == "sixd144" else None)
    np.testing.assert_allclose(back.rotations, p.rotations, atol=2e-6)
    np.testing.assert_array_equal(back.betas, p.betas)


def test_the_paper_vector_is_root_first_row_major_then_betas(rng):
    p = random_pose((), rng)
    x = pose.vector_from_pose(p, "rotmat226")
    np.testing.assert_array_equal(x[:9], p.rotations[0].reshape(9))
    np.testing.assert_array_equal(x[216:], p.betas)


@pytest.mark.parametrize("layout", ["rotmat226", "sixd154"])
def test_any_vector_becomes_rotations(layout, rng):
    x = jnp.asarray(rng.normal(size=(50, pose.VECTOR_SIZE[layout])), jnp.float32)
    r = np.asarray(pose.pose_from_vector(x, layout).rotations)
    np.testing.assert_allclose(np.linalg.det(r), 1.0, atol=1e-4)
    np.testing.assert_allclose(
        r @ np.swapaxes(r, -1, -2), np.broadcast_to(np.eye(3), r.shape), atol=1e-5
    )


def test_standardising_gives_zero_mean_unit_std_and_comes_back(rng):
    x = rng.normal(size=(500, 154)) * 3 + 2
    x[:, 5] = 7.0
    n = pose.fit_normaliser(x)
    z = pose.standardise(n, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.delete(np.asarray(z.std(0)), 5), 1, atol=1e-3)
    np.testing.assert_allclose(pose.unstandardise(n, z), x, atol=1e-4)


def test_sixd144_asks_for_betas(rng):
    with pytest.raises(ValueError, match="betas"):
        pose.pose_from_vector(jnp.zeros(144), "sixd144")


def test_what_never_moves_is_no_larger_than_the_floor_allows():
    x = np.zeros((9, 2))
    x[:, 1] = np.arange(9)
    n = pose.fit_normaliser(x, 0.1)
    np.testing.assert_allclose(n.std, [0.1, x[:, 1].std()], rtol=1e-6)
