"""Energies vanish at the truth, ignore what was not seen, and have finite gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import body, camera, energies, rotations
from diffjax.pose import Evidence, Pose


def person(batch, rng, scale=0.4):
    v = jnp.asarray(rng.normal(size=(*batch, 24, 3)) * scale, jnp.float32)
    return Pose(
        rotations.matrix_from_axis_angle(v), jnp.asarray(rng.normal(size=(*batch, 10)), jnp.float32)
    )


def observe(keypoints, pose):
    """Exact 2D and 3D evidence of a pose, 6 m away."""
    batch = pose.betas.shape[:-1]
    points = body.pose_keypoints(keypoints, pose.rotations, pose.betas)
    two = jnp.ones((*batch, 2), jnp.float32)
    cam = camera.Camera(1500 * two, 500 * two, 1000 * two)
    pixels = camera.project(cam, points + jnp.asarray([0.2, -0.1, 6.0]))
    one = jnp.ones((*batch, 17, 1), jnp.float32)
    return Evidence(
        jnp.concatenate([pixels, one], -1), jnp.concatenate([points + 3.0, one], -1), cam
    )


def all_energies(keypoints):
    return [
        energies.reprojection(keypoints),
        energies.reprojection(keypoints, 0.1),
        energies.joints3d(keypoints),
        energies.total(energies.reprojection(keypoints, 0.1), energies.joints3d(keypoints)),
    ]


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_the_truth_has_no_energy_and_anything_else_has(keypoints, index, batch, rng):
    energy, truth = all_energies(keypoints)[index], person(batch, rng)
    evidence = observe(keypoints, truth)
    at_truth = energy(truth, evidence)
    assert at_truth.shape == batch
    np.testing.assert_allclose(at_truth, 0.0, atol=1e-3)
    assert float(jnp.min(energy(person(batch, rng), evidence))) > 0.1


@pytest.mark.parametrize("index", range(4))
def test_unseen_evidence_has_neither_value_nor_gradient(keypoints, index, rng):
    energy, truth, other = all_energies(keypoints)[index], person((3,), rng), person((3,), rng)
    evidence = observe(keypoints, truth)
    # What stands where nothing was seen may be anything, also NaN.
    blind = evidence._replace(
        keypoints2d=evidence.keypoints2d.at[:, :, :2].set(jnp.nan).at[..., 2].set(0.0),
        keypoints3d=evidence.keypoints3d.at[:, :, :3].set(jnp.nan).at[..., 3].set(0.0),
    )
    value, gradient = jax.value_and_grad(lambda p: energy(p, blind).sum())(other)
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    for g in jax.tree.leaves(gradient):
        np.testing.assert_allclose(g, 0.0, atol=1e-6)


def test_the_energy_does_not_depend_on_where_the_person_stands(keypoints, rng):
    truth, other = person((3,), rng), person((3,), rng)
    evidence = observe(keypoints, truth)
    moved = evidence._replace(keypoints3d=evidence.keypoints3d.at[..., :3].add(7.0))
    energy = energies.joints3d(keypoints)
    np.testing.assert_allclose(energy(other, moved), energy(other, evidence), rtol=1e-4)


def test_the_energy_does_not_depend_on_the_resolution(keypoints, rng):
    truth, other = person((3,), rng), person((3,), rng)
    evidence = observe(keypoints, truth)
    twice = Evidence(
        evidence.keypoints2d * jnp.asarray([2.0, 2.0, 1.0]),
        evidence.keypoints3d,
        jax.tree.map(lambda x: 2 * x, evidence.camera),
    )
    energy = energies.reprojection(keypoints, 0.1)
    np.testing.assert_allclose(energy(other, twice), energy(other, evidence), rtol=1e-3)


def test_one_outlier_moves_the_robust_translation_less(keypoints, rng):
    truth = person((), rng)
    evidence = observe(keypoints, truth)
    points = body.pose_keypoints(keypoints, truth.rotations, truth.betas)
    spoiled = evidence._replace(keypoints2d=evidence.keypoints2d.at[0, :2].add(150.0))
    true = np.asarray([0.2, -0.1, 6.0])
    plain, robust = (
        np.abs(energies.place(points, spoiled, w) - true).max() for w in (jnp.inf, 0.05)
    )
    assert robust < 0.5 * plain


def test_the_gradient_equals_finite_differences(keypoints, rng):
    truth, other = person((), rng), person((), rng)
    evidence = observe(keypoints, truth)
    energy = energies.reprojection(
        keypoints
    )  # Without the robust reweighting, which is held fixed.

    def f(betas):
        return energy(Pose(other.rotations, betas), evidence)

    direction = jnp.asarray(rng.normal(size=10), jnp.float32)
    slope = (f(other.betas + 1e-2 * direction) - f(other.betas - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose(jax.grad(f)(other.betas) @ direction, slope, rtol=2e-2)


def test_reprojection_error_is_in_pixels(keypoints, rng):
    truth = person((), rng)
    evidence = observe(keypoints, truth)
    points = body.pose_keypoints(keypoints, truth.rotations, truth.betas)
    shifted = evidence._replace(
        keypoints2d=evidence.keypoints2d.at[..., :2].add(jnp.asarray([3.0, 4.0]))
    )
    error = energies.reprojection_error_px(points, jnp.asarray([0.2, -0.1, 6.0]), shifted)
    np.testing.assert_allclose(error, 5.0, rtol=1e-3)
