"""Fits without a prior: energies fall, nothing seen moves nothing, and NaN never leaves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import energies, pose, rotations
from diffjax.methods import plain
from diffjax.pose import Pose

pytestmark = pytest.mark.usefixtures("quick_to_compile")

NORMALISER = pose.Normaliser(np.zeros(154, np.float32), np.full(154, 0.3, np.float32))
KEYPOINTS = tiny.keypoint_models()
ENERGY = energies.total(energies.reprojection(KEYPOINTS.image), energies.joints3d(KEYPOINTS.space))
FITS = {"adam": plain.fit_adam, "lbfgs": plain.fit_lbfgs}


@functools.partial(jax.jit, static_argnames=("method", "layout"))
def fit(estimate, evidence, pull=0.0, method="lbfgs", layout="sixd154"):
    size = pose.VECTOR_SIZE[layout]
    normaliser = pose.Normaliser(NORMALISER.mean[:size], NORMALISER.std[:size])
    settings = {"layout": layout, "pull": pull, "iterations": 40}
    return FITS[method](estimate, evidence, ENERGY, normaliser, **settings)


misfit = jax.jit(ENERGY)


def problem(of_2d=1.0, of_3d=0.0, seed=0):
    random = np.random.default_rng(seed)
    truth = tiny.person((4,), random)
    turn = jnp.asarray(0.2 * random.normal(size=(4, 24, 3)), jnp.float32)
    estimate = Pose(truth.rotations @ rotations.matrix_from_axis_angle(turn), 0.5 * truth.betas)
    return estimate, tiny.observe(KEYPOINTS, truth, of_2d, of_3d)


@pytest.mark.parametrize("method", FITS)
@pytest.mark.parametrize(("of_2d", "of_3d"), [(1.0, 0.0), (0.0, 1.0)])
def test_the_evidence_is_explained_better(method, of_2d, of_3d):
    estimate, evidence = problem(of_2d, of_3d)
    found = fit(estimate, evidence, method=method)
    before, after = misfit(estimate, evidence), misfit(found, evidence)
    assert (after < (0.5 if method == "adam" else 0.1) * before).all()
    gram = jnp.swapaxes(found.rotations, -1, -2) @ found.rotations
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-5)


@pytest.mark.parametrize("method", FITS)
def test_a_person_nobody_saw_is_the_estimate_bit_for_bit(method):
    estimate, evidence = problem()
    blind = evidence.keypoints2d.at[1].set(jnp.asarray([jnp.nan, jnp.nan, 0.0]))
    found = fit(estimate, evidence._replace(keypoints2d=blind), method=method)
    np.testing.assert_array_equal(found.rotations[1], estimate.rotations[1])
    np.testing.assert_array_equal(found.betas[1], estimate.betas[1])
    assert np.abs(found.rotations[0] - estimate.rotations[0]).max() > 0.01


@pytest.mark.parametrize("method", FITS)
def test_nan_evidence_returns_the_estimate_and_spoils_nobody_else(method):
    estimate, evidence = problem()
    broken = evidence._replace(keypoints2d=evidence.keypoints2d.at[2, 3, 0].set(jnp.nan))
    found, whole = fit(estimate, broken, method=method), fit(estimate, evidence, method=method)
    np.testing.assert_array_equal(found.rotations[2], estimate.rotations[2])
    assert all(np.isfinite(leaf).all() for leaf in found)
    np.testing.assert_allclose(found.rotations[:2], whole.rotations[:2], atol=1e-4)


@pytest.mark.parametrize("method", FITS)
def test_a_stronger_pull_moves_less(method):
    estimate, evidence = problem()
    moved = [
        float(rotations.geodesic_angle(found.rotations, estimate.rotations).mean())
        for found in (fit(estimate, evidence, pull, method) for pull in (0.0, 10.0, 1e4))
    ]
    assert moved[0] > moved[1] > moved[2]


def test_a_layout_without_betas_keeps_them():
    estimate, evidence = problem()
    found = fit(estimate, evidence, layout="sixd144")
    np.testing.assert_array_equal(found.betas, estimate.betas)
    assert (misfit(found, evidence) < 0.3 * misfit(estimate, evidence)).all()
