"""Projection, and the closed-form translation that undoes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import camera


def make(batch, rng):
    one = jnp.ones((*batch, 2), jnp.float32)
    cam = camera.Camera(
        1500.0 * one, jnp.asarray([960.0, 540.0]) * one, jnp.asarray([1920.0, 1080.0]) * one
    )
    points = jnp.asarray(rng.normal(size=(*batch, 17, 3)) * 0.5, jnp.float32)
    translation = jnp.asarray([0.3, -0.2, 6.0], jnp.float32) + jnp.zeros((*batch, 3), jnp.float32)
    return cam, points, translation


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_fit_translation_recovers_an_exact_translation(batch, rng):
    cam, points, translation = make(batch, rng)
    pixels = camera.project(cam, points + translation[..., None, :])
    evidence = jnp.concatenate([pixels, jnp.ones_like(pixels[..., :1])], -1)
    np.testing.assert_allclose(
        camera.fit_translation(cam, points, evidence), translation, atol=2e-4
    )


def test_fit_translation_ignores_keypoints_of_confidence_zero(rng):
    cam, points, translation = make((4,), rng)
    pixels = camera.project(cam, points + translation[..., None, :])
    evidence = jnp.concatenate([pixels, jnp.ones_like(pixels[..., :1])], -1)
    evidence = evidence.at[:, :5].set(jnp.asarray([9e3, -9e3, 0.0]))
    np.testing.assert_allclose(
        camera.fit_translation(cam, points, evidence), translation, atol=2e-4
    )


@pytest.mark.parametrize("seen", [0, 1, 2])
def test_fit_translation_is_finite_with_little_or_no_evidence(seen, rng):
    cam, points, _ = make((), rng)
    evidence = jnp.zeros((17, 3), jnp.float32).at[:seen].set(jnp.asarray([960.0, 540.0, 1.0]))
    value, gradient = jax.value_and_grad(lambda p: camera.fit_translation(cam, p, evidence).sum())(
        points
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_projection_matches_the_pinhole_matrix(rng):
    cam, points, translation = make((), rng)
    k = np.array([[1500.0, 0, 960.0], [0, 1500.0, 540.0], [0, 0, 1]])
    homogeneous = (np.asarray(points) + np.asarray(translation)) @ k.T
    np.testing.assert_allclose(
        camera.project(cam, points + translation),
        homogeneous[:, :2] / homogeneous[:, 2:],
        rtol=1e-5,
    )


def test_crop_camera_and_full_camera_agree_about_the_box_centre():
    """A point at the crop's centre (root at weak tx = ty = 0) projects onto the box centre."""
    cam = camera.Camera(*(jnp.asarray(v) for v in ([5e3, 5e3], [960.0, 540.0], [1920.0, 1080.0])))
    translation = camera.full_translation_from_crop(
        jnp.asarray([0.9, 0.0, 0.0]), jnp.asarray([400.0, 700.0]), jnp.asarray(300.0), cam
    )
    np.testing.assert_allclose(camera.project(cam, translation[None])[0], [400.0, 700.0], rtol=1e-5)
