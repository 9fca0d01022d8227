"""The error model and the MAP fit: inverse moves, the covariance, and a fit that goes where the evidence is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import body, camera, energies, metrics, rotations
from diffjax.methods import map_fit
from diffjax.pose import Evidence, Pose

SIZE = map_fit.RESIDUAL_SIZE


pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def energy(keypoints):
    return energies.total(energies.reprojection(keypoints), energies.joints3d(keypoints))


def person(batch, rng, scale=0.4):
    v = jnp.asarray(rng.normal(size=(*batch, 24, 3)) * scale, jnp.float32)
    betas = jnp.asarray(rng.normal(size=(*batch, 10)), jnp.float32)
    return Pose(rotations.matrix_from_axis_angle(v), betas)


def observe(keypoints, truth, of_2d=1.0, of_3d=1.0):
    """Exact 2D and 3D evidence of a pose, 6 m away, with these confidences."""
    batch = truth.betas.shape[:-1]
    points = pose_keypoints(keypoints, truth.rotations, truth.betas)
    two, one = jnp.ones((*batch, 2)), jnp.ones((*batch, 17, 1))
    view = camera.Camera(1500 * two, 500 * two, 1000 * two)
    pixels = camera.project(view, points + jnp.asarray([0.2, -0.1, 6.0]))
    flat = jnp.concatenate([pixels, of_2d * one], -1)
    return Evidence(flat, jnp.concatenate([points + 3.0, of_3d * one], -1), view)


def isotropic(scale=0.3):
    return map_fit.ErrorModel(scale * np.eye(SIZE, dtype=np.float32))


@functools.partial(jax.jit, static_argnames="energy")
def fit(estimate, evidence, error_model, prior_weight, energy):
    """Always four people and 100 iterations: compiled once."""
    weight = {"prior_weight": prior_weight, "iterations": 100}
    return map_fit.fit_map(estimate, evidence, error_model, energy, **weight)


@functools.partial(jax.jit, static_argnames="energy")
def misfit(energy, people, evidence):
    return energy(people, evidence)


residual, move = jax.jit(map_fit.residual), jax.jit(map_fit.move)
pose_keypoints = jax.jit(body.pose_keypoints)


@pytest.mark.parametrize(
    ("batch", "angle"), [((), 3.0), ((1,), 0.0), ((2, 3), 1e-8), ((2, 3), 0.5)]
)
def test_a_move_undoes_the_residual(batch, angle, rng):
    pred = person(batch, rng)
    axis = rng.normal(size=(*batch, 24, 3))
    turn = angle * axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    wanted = np.concatenate([turn.reshape(*batch, 72), rng.normal(size=(*batch, 10))], -1)
    wanted = jnp.asarray(wanted, jnp.float32)
    moved = move(pred, wanted)
    # Close to pi a logarithm in float32 loses a few digits.
    np.testing.assert_allclose(residual(pred, moved), wanted, atol=2e-3 if angle > 2 else 2e-5)
    back = move(pred, residual(pred, moved))
    np.testing.assert_allclose(back.rotations, moved.rotations, atol=1e-3 if angle > 2 else 2e-5)
    np.testing.assert_allclose(back.betas, moved.betas, atol=1e-6)


def test_equal_poses_have_no_residual_and_no_move_is_no_change(rng):
    pred = person((4,), rng)
    np.testing.assert_allclose(residual(pred, pred), 0.0, atol=2e-7)
    moved = move(pred, jnp.zeros((4, SIZE)))
    np.testing.assert_allclose(moved.rotations, pred.rotations, atol=1e-7)


def test_a_residual_turns_the_joint_in_its_own_frame(rng):
    """Right-multiplied: R_pred exp(v) = R_true, joint by joint."""
    pred, true = person((), rng), person((), rng)
    v = residual(pred, true)[:72].reshape(24, 3)
    turned = pred.rotations @ rotations.matrix_from_axis_angle(v)
    np.testing.assert_allclose(turned, true.rotations, atol=1e-5)


def test_the_factor_reproduces_the_second_moment_of_the_residuals(rng):
    mix = rng.normal(size=(SIZE, SIZE)) * 0.02
    samples = rng.normal(size=(400, SIZE)) @ mix.T + 0.05  # The mean belongs to the moment.
    pred = person((400,), rng)
    true = move(pred, jnp.asarray(samples, jnp.float32))
    covariance = map_fit.residual_covariance(pred, true)
    model = map_fit.error_model_from_covariance(covariance, ridge=1e-6)
    factor = np.asarray(model.factor, np.float64)
    wanted = samples.T @ samples / 400
    np.testing.assert_allclose(factor @ factor.T, wanted, atol=1e-3 * np.abs(wanted).max())
    assert np.all(np.triu(factor, 1) == 0)


def test_joints_that_never_err_stay_in_play(rng):
    pred = person((2 * SIZE,), rng)
    covariance = map_fit.residual_covariance(pred, pred)
    factor = map_fit.error_model_from_covariance(covariance, ridge=1e-4).factor
    np.testing.assert_allclose(factor, 1e-2 * np.eye(SIZE), atol=1e-5)


def test_without_evidence_the_fit_stays_put(keypoints, energy, rng):
    estimate, truth = person((4,), rng), person((4,), rng)
    blind = observe(keypoints, truth, 0.0, 0.0)
    blind = blind._replace(  # What stands there may be anything.
        keypoints2d=blind.keypoints2d.at[..., :2].set(jnp.nan),
        keypoints3d=blind.keypoints3d.at[..., :3].set(jnp.nan),
    )
    for weight in (0.0, 1.0):
        found = fit(estimate, blind, isotropic(), weight, energy)
        np.testing.assert_allclose(found.rotations, estimate.rotations, atol=1e-6)
        np.testing.assert_allclose(found.betas, estimate.betas, atol=1e-6)


@pytest.mark.parametrize(("of_2d", "of_3d"), [(1.0, 0.0), (0.0, 1.0)])
def test_exact_evidence_and_a_weak_prior_reach_the_truths_keypoints(
    of_2d, of_3d, keypoints, energy, rng
):
    truth = person((4,), rng)
    estimate = move(truth, jnp.asarray(rng.normal(size=(4, SIZE)) * 0.15, jnp.float32))
    evidence = observe(keypoints, truth, of_2d, of_3d)
    found = fit(estimate, evidence, isotropic(), 1e-3, energy)

    def share_left(p):
        return np.asarray(misfit(energy, p, evidence) / misfit(energy, estimate, evidence)).max()

    def far(p):
        points = (pose_keypoints(keypoints, q.rotations, q.betas) for q in (p, truth))
        return float(metrics.pa_mpjpe_mm(*points).mean())

    assert share_left(found) < 0.01
    # Pixels leave the depth open; joints do not.
    assert far(found) < (0.1 if of_3d else 0.8) * far(estimate)


def test_a_stronger_prior_moves_less(keypoints, energy, rng):
    estimate, truth = person((4,), rng), person((4,), rng)
    evidence = observe(keypoints, truth)
    moves = [
        residual(estimate, fit(estimate, evidence, isotropic(), weight, energy))
        for weight in (0.1, 10.0, 1e3, 1e5)
    ]
    lengths = [float(jnp.linalg.norm(move, axis=-1).mean()) for move in moves]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < 0.3 * lengths[0]  # Adam's first steps have a length of their own.


def test_the_fit_moves_where_the_frontend_errs(keypoints, energy, rng):
    """Directions outside of the covariance are left alone."""
    estimate, truth = person((4,), rng), person((4,), rng)
    errs = np.zeros(SIZE, np.float32)
    errs[3 * 16 : 3 * 17] = 0.5  # The left shoulder.
    found = fit(
        estimate, observe(keypoints, truth), map_fit.ErrorModel(np.diag(errs)), 1e-2, energy
    )
    moved = np.abs(residual(estimate, found)).max(0)
    assert moved[48:51].max() > 0.05
    np.testing.assert_allclose(np.delete(moved, [48, 49, 50]), 0.0, atol=1e-5)


def test_a_person_is_fitted_alike_in_any_batch(keypoints, energy, rng):
    estimate, truth = person((4,), rng), person((4,), rng)
    evidence = observe(keypoints, truth)
    found = fit(estimate, evidence, isotropic(), 1.0, energy)
    others = jax.tree.map(lambda x: x.at[1:].set(x[:1]), (estimate, evidence))
    again = fit(*others, isotropic(), 1.0, energy)
    np.testing.assert_allclose(again.rotations[0], found.rotations[0], atol=1e-5)
    assert np.abs(again.rotations[1:] - found.rotations[1:]).max() > 0.1


def test_one_unseen_nan_keypoint_spoils_nothing(keypoints, energy, rng):
    estimate, truth = person((4,), rng), person((4,), rng)
    evidence = observe(keypoints, truth)
    missing = evidence._replace(
        keypoints2d=evidence.keypoints2d.at[:, 3].set(jnp.asarray([jnp.nan, jnp.inf, 0.0])),
        keypoints3d=evidence.keypoints3d.at[:, 5].set(jnp.asarray([jnp.nan] * 3 + [0.0])),
    )
    found = fit(estimate, missing, isotropic(), 1.0, energy)
    assert all(np.isfinite(leaf).all() for leaf in found)
    before, after = (misfit(energy, p, missing).mean() for p in (estimate, found))
    assert after < 0.5 * before
