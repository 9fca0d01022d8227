"""ScoreHMR's loop: the algebra of a guided step, rows that do not interact, and evidence that is not there."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import annotate, body, camera, guidance, pose, rotations, sampling
from diffjax.methods import diffannot, scorehmr, scorehmr_evidence, scorehmr_loop
from diffjax.schedule import make_schedule

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SCHEDULE = make_schedule("cosine", 1000)
KEYPOINTS = tiny.keypoint_models().image
SHORT = scorehmr.Loop(rounds=2, start=20, stride=5)


def denoiser(x, t, _):
    """Of a Gaussian about the rest pose with a standard deviation of 0.3: smooth in x."""
    rest = jnp.tile(jnp.asarray([1.0, 0, 0, 0, 1, 0], x.dtype), 24)
    signal, noise = (jnp.asarray(a, x.dtype)[t] for a in (SCHEDULE.signal, SCHEDULE.noise))
    share = 0.09 * signal / (0.09 * signal**2 + noise**2)
    return rest + share * (x - signal * rest)


PRIOR = diffannot.Prior(denoiser, SCHEDULE, pose.identity_normaliser(144))


def points(p):
    return body.pose_keypoints(KEYPOINTS, p.rotations, p.betas)


@pytest.fixture(scope="module")
def problem():
    """(estimates, translations, evidence) of five people, 0.2 rad and 10 cm off."""
    known = tiny.annotations(5, seed=4)
    estimate = pose.Pose(jnp.asarray(known.pred_pose), jnp.asarray(known.betas))
    view = camera.Camera(*(jnp.asarray(x) for x in _camera(known)))
    nobody = jnp.full(5, -1)
    observed = scorehmr.Observed(jnp.asarray(known.labels2d), view, nobody, nobody)
    return estimate, jnp.asarray(known.pred_cam_t), observed


def _camera(known):
    return known.focal_px, known.center_px, known.image_size_px


def fit(problem, rows=slice(None), **changes):
    estimate, translation, observed = jax.tree.map(lambda a: a[rows], problem)

    def run(estimate, translation, observed):
        given = estimate, translation, observed
        return scorehmr_loop.fit(PRIOR, points, *given, **({"loop": SHORT} | changes))

    return jax.jit(run)(estimate, translation, observed)


def test_without_evidence_the_loop_returns_the_pose(problem):
    estimate, translation, observed = problem
    blind = observed._replace(keypoints2d=jnp.zeros_like(observed.keypoints2d))
    found = fit((estimate, translation, blind), loop=scorehmr.Loop(rounds=1))
    x = pose.vector_from_pose(estimate, "sixd144")
    # What is returned is denoised once more at t = 2: nearer to the prior's mean by 0.15 %.
    np.testing.assert_allclose(found.x, x, atol=4e-3)
    np.testing.assert_array_equal(found.translation, translation)


def test_inversion_is_undone_as_well_as_its_steps_are_small(problem):
    x = pose.vector_from_pose(problem[0], "sixd144")

    def error(stride):
        times = guidance.levels(50, stride)
        noisy = sampling.ddim_invert(denoiser, SCHEDULE, x, None, times)
        back = sampling.ddim_chain(denoiser, SCHEDULE, noisy, None, times[::-1])
        return float(jnp.abs(back - x).mean())

    coarse, fine = error(10), error(2)
    assert fine < 1e-3
    assert fine < 0.4 * coarse


def test_a_corrected_inversion_is_undone_in_every_dimension():
    """The embedded prior at the original's stride, on poses of others than it learned from."""
    prior, layout = annotate.load_prior("converted_weights/demo_scorehmr.npz", None)[:2]
    turns = rotations.matrix_from_axis_angle(
        0.3 * jax.random.normal(jax.random.key(0), (32, 24, 3))
    )
    people = pose.Pose(turns, jnp.zeros((32, 10)))
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(people, layout))
    times = guidance.levels(50, 2)

    @functools.partial(jax.jit, static_argnums=1)
    def error(x, corrections):
        how = prior.denoiser, prior.schedule
        noisy = sampling.ddim_invert(*how, x, None, times, corrections)
        back = sampling.ddim_chain(*how, noisy, None, times[::-1])
        return jnp.abs((back - x) * prior.normaliser.std)

    assert error(x, 0).max() > 1e-3
    assert error(x, 5).max() < 1e-3


def test_a_frozen_step_is_gradient_descent_on_the_denoised_pose(problem):
    """x_0' = x_0 - scale (1 - alpha_bar) / alpha_bar dL/dx_0: one guided step, from t = 5 to 0."""
    estimate, translation, observed = problem
    loop, weights = scorehmr.Loop(1, 5, 5, scale=3.0), scorehmr.Weights()
    found = fit(problem, loop=loop)
    x = pose.vector_from_pose(estimate, "sixd144")
    x_t = sampling.ddim_invert(denoiser, SCHEDULE, x, None, (0, 5))
    x_0 = denoiser(x_t, jnp.asarray(5), None)

    def loss(x_0):
        p = pose.pose_from_vector(x_0, "sixd144", estimate.betas)
        return weights.keypoints * jnp.sum(
            scorehmr_evidence.keypoint_loss(points(p), translation, observed)
        )

    ratio = float(SCHEDULE.noise[5] ** 2 / SCHEDULE.signal[5] ** 2)
    np.testing.assert_allclose(found.x, x_0 - 3.0 * ratio * jax.grad(loss)(x_0), atol=1e-5)
    # Adam's first step is the sign of the gradient.
    moved = np.abs(found.translation - translation)
    np.testing.assert_allclose(moved, 1e-2, rtol=1e-3)


def test_keypoints_are_better_explained_afterwards(problem):
    for through_network in (False, True):
        loss = np.asarray(fit(problem, through_network=through_network).keypoint_loss)
        assert loss.shape == (8, 5)
        assert (loss[-1] < 0.7 * loss[0]).all()


def test_people_without_a_segment_do_not_interact(problem):
    whole, alone = fit(problem), fit(problem, slice(1, 3))
    np.testing.assert_allclose(whole.x[1:3], alone.x, atol=1e-5)
    np.testing.assert_allclose(whole.translation[1:3], alone.translation, atol=1e-5)


def test_tracks_of_different_lengths_share_a_batch(problem):
    estimate, translation, observed = problem
    track = jnp.asarray([0, 0, 0, 1, 1])
    both = fit((estimate, translation, observed._replace(track=track, views=track)))
    for rows in (slice(0, 3), slice(3, 5)):
        one = observed._replace(track=track * 0, views=track * 0)
        alone = fit((estimate, translation, one), rows)
        np.testing.assert_allclose(both.x[rows], alone.x, atol=1e-5)


def test_views_and_time_pull_together(problem):
    estimate, translation, observed = problem
    together = observed._replace(track=jnp.zeros(5, int), views=jnp.zeros(5, int))
    # One round at the published start: 900 eta overshoots at first, and then contracts.
    loop = scorehmr.Loop(rounds=2, start=100, stride=10)
    free = fit(problem, loop=loop)
    near = fit((estimate, translation, together), loop=loop)

    def spread(found):
        return float(jnp.sum(jnp.var(found.x[:, 6:], 0)))

    assert spread(near) < 0.05 * spread(free)
    smooth = scorehmr.Weights(views=0.0, velocity=0.0, acceleration=30.0, camera_velocity=100.0)
    bent = fit((estimate, translation, together), weights=smooth)
    second = np.diff(np.asarray(bent.x), 2, axis=0)
    assert np.sum(second**2) < np.sum(np.diff(np.asarray(fit(problem).x), 2, axis=0) ** 2)


def test_nothing_seen_and_nan_where_nothing_was_seen_stay_finite(problem):
    estimate, translation, observed = problem
    hidden = observed.keypoints2d.at[0].set(0.0).at[1, 3].set(jnp.asarray([jnp.nan, jnp.nan, 0.0]))
    behind = translation.at[2, 2].set(-4.0)
    found = fit((estimate, behind, observed._replace(keypoints2d=hidden)))
    assert np.isfinite(found.x).all()
    assert np.isfinite(found.translation).all()
    np.testing.assert_array_equal(found.translation[0], translation[0])


def refine(problem, **changes):
    def run(*given):
        return scorehmr.refine(*given, KEYPOINTS, PRIOR, **({"loop": SHORT} | changes))

    return jax.jit(run)(*problem)


def test_refining_explains_the_keypoints_better_and_gives_valid_bodies(problem):
    refined = refine(problem)
    quality = refined.quality
    assert quality["refined"].all()
    assert (quality["reprojection_px_after"] < quality["reprojection_px_before"]).all()
    r = refined.pose.rotations
    np.testing.assert_allclose(r @ jnp.swapaxes(r, -1, -2), np.eye(3) + 0 * r, atol=1e-5)
    np.testing.assert_array_equal(refined.pose.betas, problem[0].betas)


@pytest.mark.parametrize("case", ["unseen", "nan keypoint", "nan pose", "behind", "nan place"])
def test_a_row_that_cannot_be_used_comes_back_and_harms_nobody(problem, case):
    estimate, translation, observed = problem
    seen, rotations = observed.keypoints2d, estimate.rotations
    if case == "unseen":
        seen = seen.at[1].set(0.0)
    elif case == "nan keypoint":
        seen = seen.at[1, 2, 0].set(jnp.nan)
    elif case == "nan pose":
        rotations = rotations.at[1, 5, 0, 0].set(jnp.nan)
    elif case == "behind":
        translation = translation.at[1, 2].set(-3.0)
    else:
        translation = translation.at[1, 0].set(jnp.nan)
    given = estimate._replace(rotations=rotations), translation, observed._replace(keypoints2d=seen)
    refined, whole = refine(given), refine(problem)
    np.testing.assert_array_equal(refined.quality["refined"], [1, 0, 1, 1, 1])
    np.testing.assert_array_equal(refined.pose.rotations[1], rotations[1])
    np.testing.assert_array_equal(refined.translation[1], translation[1])
    others = jnp.asarray([0, 2, 3, 4])
    np.testing.assert_allclose(
        refined.pose.rotations[others], whole.pose.rotations[others], atol=1e-5
    )


def test_a_gate_returns_who_gains_too_little(problem):
    gains = np.asarray(refine(problem).quality["gain"])
    margin = float(np.sort(gains)[2:4].mean())
    gated = refine(problem, margin=margin)
    np.testing.assert_array_equal(gated.quality["refined"], gains > margin)
    back = gains <= margin
    np.testing.assert_array_equal(gated.pose.rotations[back], problem[0].rotations[back])


def test_one_frame_is_a_track(problem):
    estimate, translation, observed = jax.tree.map(lambda a: a[:1], problem)
    one = observed._replace(track=jnp.zeros(1, int), views=jnp.zeros(1, int))
    refined = refine((estimate, translation, one), weights=scorehmr.Weights(acceleration=10.0))
    np.testing.assert_allclose(
        refined.pose.rotations, refine((estimate, translation, observed)).pose.rotations, atol=1e-5
    )
