"""Signals without the truth: laws of mirrors, halves and a prior's noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import body, camera, pose, rotations, skeleton
from diffjax import schedule as noising
from diffjax.denoisers import closed
from diffjax.methods import diffannot, quality
from diffjax.pose import Evidence, Pose

pytestmark = pytest.mark.usefixtures("quick_to_compile")

NAMES = skeleton.SMPL24
ORDER = np.asarray(skeleton.mirror_permutation(NAMES))
FLIP = np.array([-1.0, 1.0, 1.0])
KEY = jax.random.key(0)
SCHEDULE = noising.make_schedule("cosine", 1000)


def symmetric_body() -> body.KeypointModel:
    """24 vertices that are the joints and the keypoints, left and right alike."""
    random = np.random.default_rng(0)
    template = random.normal(0, 0.4, (24, 3))
    shapes = 0.02 * random.normal(size=(24, 3, 10))
    template = 0.5 * (template + FLIP * template[ORDER])
    shapes = 0.5 * (shapes + FLIP[:, None] * shapes[ORDER])
    model = body.body_from_arrays(template, shapes, None, np.eye(24), np.eye(24))
    return body.fold_keypoints(model, np.eye(24))


MODEL = symmetric_body()


def person(batch=(4,), seed=0, off=0.2):
    """Truth, and an estimate `off` radians from it."""
    random = np.random.default_rng(seed)
    truth = tiny.person(batch, random)
    v = jnp.asarray(off * random.normal(size=(*batch, 24, 3)), jnp.float32)
    return truth, truth._replace(rotations=truth.rotations @ rotations.matrix_from_axis_angle(v))


def observe(truth, off_centre=0.0):
    points = body.pose_keypoints(MODEL, truth.rotations, truth.betas)
    two = jnp.ones((*truth.betas.shape[:-1], 2))
    view = camera.Camera(1500 * two, (500 + off_centre) * two, 1000 * two)
    pixels = camera.project(view, points + tiny.PLACE)
    ones = jnp.ones_like(pixels[..., :1])
    return Evidence(jnp.concatenate([pixels, ones], -1), jnp.concatenate([points, ones], -1), view)


def test_a_mirrored_person_gives_the_mirrored_evidence():
    truth, _ = person()
    evidence = observe(truth, off_centre=30.0)
    flipped = quality.mirrored_evidence(evidence, NAMES, NAMES)
    other = pose.mirror(truth)
    points = body.pose_keypoints(MODEL, other.rotations, other.betas)
    pixels = camera.project(evidence.camera, points + FLIP.astype(np.float32) * tiny.PLACE)
    np.testing.assert_allclose(flipped.keypoints2d[..., :2], pixels, atol=0.02)
    np.testing.assert_allclose(flipped.keypoints3d[..., :3], points, atol=1e-5)


def test_two_mirrors_are_none():
    truth, _ = person()
    twice = pose.mirror(pose.mirror(truth))
    np.testing.assert_allclose(twice.rotations, truth.rotations, atol=1e-7)
    evidence = observe(truth)
    again = quality.mirrored_evidence(
        quality.mirrored_evidence(evidence, NAMES, NAMES), NAMES, NAMES
    )
    np.testing.assert_allclose(again.keypoints2d, evidence.keypoints2d, atol=1e-3)
    np.testing.assert_array_equal(again.keypoints3d, evidence.keypoints3d)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_halves_share_no_keypoint_and_leave_none_out(batch):
    truth, _ = person(batch)
    evidence = observe(truth)
    hidden = evidence.keypoints2d.at[..., 3:8, 2].set(0.0)
    lot = jax.random.uniform(KEY, (*batch, 24))
    halves = quality.halves(evidence._replace(keypoints2d=hidden), lot)
    weights = [np.asarray(half.keypoints2d[..., 2]) for half in halves]
    assert (weights[0] * weights[1] == 0).all()
    np.testing.assert_array_equal(weights[0] + weights[1], hidden[..., 2])
    for weight, wanted in zip(weights, (10, 9)):
        np.testing.assert_array_equal((weight > 0).sum(-1), np.full(batch, wanted))


def test_nothing_seen_is_no_error_and_no_gain():
    truth, estimate = person()
    evidence = observe(truth)
    blind = evidence._replace(keypoints2d=evidence.keypoints2d.at[1].set(jnp.zeros(3) * jnp.nan))
    blind = blind._replace(keypoints2d=blind.keypoints2d.at[1, :, 2].set(0.0))
    share = quality.reprojection_share(MODEL, estimate, blind)
    gain = share - quality.reprojection_share(MODEL, truth, blind)
    assert share[1] == gain[1] == 0
    assert (np.delete(gain, 1) > 0.01).all()
    assert np.isfinite(gain).all()


def prior_of(denoiser):
    return diffannot.Prior(denoiser, SCHEDULE, pose.identity_normaliser(154))


def test_no_prior_has_no_opinion():
    truth, estimate = person()
    losses = [
        quality.denoising_loss(prior_of(closed.no_prior(SCHEDULE)), p, key=KEY)
        for p in (truth, estimate)
    ]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-4)
    np.testing.assert_allclose(losses[0], 1.0, atol=0.3)


def test_who_is_as_the_prior_says_denoises_better():
    """And one that knows the pose exactly finds all the noise."""
    truth, estimate = person((3,))
    for p in (truth, estimate):
        x = pose.vector_from_pose(p, "sixd154")
        exact = prior_of(lambda x_t, t, context: x)  # noqa: B023
        np.testing.assert_allclose(quality.denoising_loss(exact, p, key=KEY), 0.0, atol=1e-6)
    rest = pose.vector_from_pose(Pose(jnp.tile(jnp.eye(3), (24, 1, 1)), jnp.zeros(10)), "sixd154")
    gaussian = closed.Gaussian(np.asarray(rest), np.eye(154), np.full(154, 0.01))
    prior = prior_of(closed.gaussian_prior(SCHEDULE, gaussian))
    near, far = (
        quality.denoising_loss(
            prior,
            tiny.person((5,), np.random.default_rng(0), scale)._replace(betas=jnp.zeros((5, 10))),
            key=KEY,
        )
        for scale in (0.05, 0.8)
    )
    assert (near < far).all()


def test_distances_are_zero_only_where_nothing_moved():
    truth, estimate = person()
    np.testing.assert_allclose(quality.moved_mm(MODEL, truth, truth), 0.0, atol=0.02)
    np.testing.assert_allclose(quality.moved_deg(truth, truth), 0.0, atol=0.05)
    assert (quality.moved_mm(MODEL, truth, estimate) > 10).all()
    # 0.2 rad in each of three coordinates: a mean of 0.2 sqrt(8 / pi) rad.
    np.testing.assert_allclose(quality.moved_deg(truth, estimate).mean(), 18.3, atol=2.0)
