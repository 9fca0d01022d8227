"""DiffAnnot's modes on a Gaussian prior, whose denoiser is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import energies, metrics, pose, schedule, search, skeleton
from diffjax.methods import diffannot, map_fit
from diffjax.pose import Pose

SCHEDULE = schedule.make_schedule("linear", 1000)
HIPS = tuple(skeleton.KEYPOINT_SETS["h36m14"].index(n) for n in ("left_hip", "right_hip"))
N = 4
"""People in every call: each mode is compiled once."""


pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def keypoints():
    return tiny.keypoint_models()


def denoise(signal, x_t, t, context):
    """E[x_0 | x_t] of x_0 ~ N(0, I)."""
    return signal[jnp.asarray(t)][..., None] * x_t


def prior(layout):
    denoiser = jax.tree_util.Partial(denoise, jnp.asarray(SCHEDULE.signal, jnp.float32))
    return diffannot.Prior(denoiser, SCHEDULE, tiny.normaliser(layout))


def guided(estimate, evidence, keypoints, strength=4.0, rounds=20):
    settings = diffannot.GuidedSettings(jnp.float32(strength), jnp.int32(rounds), jnp.float32(0.2))
    return diffannot.refine_jit(estimate, evidence, keypoints, prior("sixd154"), settings)


def fast(estimate, evidence, keypoints):
    model = map_fit.ErrorModel(0.3 * np.eye(82, dtype=np.float32))
    how = {"prior_weight": jnp.float32(1e-2), "width": jnp.float32(0.2)}
    return diffannot.refine_jit(estimate, evidence, keypoints, model, mode="fast", **how)


def combined(estimate, evidence, keypoints, weight=1e-2):
    model = map_fit.ErrorModel(0.3 * np.eye(82, dtype=np.float32))
    trust = diffannot.Trust(*map(jnp.float32, (1e-2, weight)), jnp.int32(200), jnp.float32(0.2))
    known = keypoints, prior("sixd154"), model, trust
    return diffannot.refine_jit(estimate, evidence, *known, mode="combined", iterations=60)


def near(truth, rng, off=0.1):
    delta = jnp.asarray(rng.normal(size=(*truth.betas.shape[:-1], 82)) * off, jnp.float32)
    return map_fit.move(truth, delta)


def assert_valid(people):
    product = np.einsum("...ki,...kj->...ij", people.rotations, people.rotations)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=2e-4)
    np.testing.assert_allclose(np.linalg.det(people.rotations), 1.0, atol=2e-4)
    assert np.isfinite(people.betas).all()


def test_an_unknown_mode_is_refused(keypoints, rng):
    truth = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, truth)
    with pytest.raises(
        ValueError,
        match=r"mode: wanted one of \['combined', 'fast', 'guided', 'paper'\], got 'best'",
    ):
        diffannot.refine(truth, evidence, keypoints, mode="best")


@pytest.mark.parametrize("mode", ["guided", "fast", "combined", "paper"])
def test_refine_hands_everything_to_the_named_mode(mode, keypoints, rng, monkeypatch):
    truth = tiny.person((), rng)
    evidence = tiny.observe(keypoints, truth)
    monkeypatch.setitem(diffannot.MODES, mode, lambda *args, **settings: (args, settings))
    named = {} if mode == "guided" else {"mode": mode}
    args, settings = diffannot.refine(truth, evidence, keypoints, "prior", size=3, **named)
    assert args[3:] == ("prior",)
    assert args[0] is truth
    assert settings == {"size": 3}


def test_a_start_beyond_the_schedule_is_refused(keypoints, rng):
    """JAX would read the last row instead."""
    truth = tiny.person((N,), rng)
    known = prior("sixd154")._replace(schedule=schedule.make_schedule("linear", 40))
    evidence = tiny.observe(keypoints, truth)
    with pytest.raises(ValueError, match="start below the 40 steps of the schedule, got 50"):
        diffannot.refine_jit(truth, evidence, keypoints, known, diffannot.GuidedSettings())


def test_without_strength_guided_is_about_the_input(keypoints, rng):
    estimate = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, tiny.person((N,), rng))
    found = guided(estimate, evidence, keypoints, strength=0.0, rounds=1)
    # DDIM there and back, five steps each way.
    np.testing.assert_allclose(found.pose.rotations, estimate.rotations, atol=0.03)
    np.testing.assert_allclose(found.pose.betas, estimate.betas, atol=0.1)


def test_the_more_the_prior_weighs_the_nearer_a_fit_is_to_its_mean(keypoints, rng):
    """The prior's mean is a vector of zeros."""
    estimate = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, estimate)
    norms = []
    for weight in (0.0, 1.0, 100.0):
        people = combined(estimate, evidence, keypoints, weight).pose
        x = pose.standardise(tiny.normaliser("sixd154"), pose.vector_from_pose(people, "sixd154"))
        norms.append(jnp.linalg.norm(x, axis=-1))
    assert (norms[1] < norms[0]).all()
    assert (norms[2] < norms[1]).all()


def gently_guided(estimate, evidence, keypoints):
    """A strength of 4 overshoots on this body, and then the last bit decides how far."""
    return guided(estimate, evidence, keypoints, strength=1.0)


@pytest.mark.parametrize("mode", [gently_guided, fast, combined])
@pytest.mark.parametrize("kind", ["joints3d", "reprojection"])
def test_evidence_is_approached_and_quality_says_so(mode, kind, keypoints, rng):
    truth = tiny.person((N,), rng)
    estimate = near(truth, rng)
    share = (0.0, 1.0) if kind == "joints3d" else (1.0, 0.0)
    evidence = tiny.observe(keypoints, truth, *share)
    found = mode(estimate, evidence, keypoints)
    unit = "mm" if kind == "joints3d" else "px"
    before, after = (found.quality[f"{kind}{when}_{unit}"] for when in ("_before", ""))
    assert np.all(after < 0.6 * before)
    assert_valid(found.pose)
    for absent in {"joints3d_mm", "reprojection_px"} - {f"{kind}_{unit}"}:
        np.testing.assert_array_equal(found.quality[absent], 0.0)
    np.testing.assert_array_equal(found.quality["kept"], 0.0)
    # What quality says of joints is checked by hand.
    if kind == "joints3d":
        points = tiny.pose_keypoints(keypoints.space, found.pose.rotations, found.pose.betas)
        gap = np.asarray(points) - np.asarray(evidence.keypoints3d[..., :3])
        gap = np.linalg.norm(gap - gap.mean(-2, keepdims=True), axis=-1).mean(-1)
        np.testing.assert_allclose(after, 1e3 * gap, rtol=1e-2, atol=1e-2)
    else:
        assert np.abs(found.translation - tiny.PLACE).max() < 1.5


@pytest.mark.parametrize("mode", [guided, fast])
def test_what_comes_out_is_a_body_whatever_goes_in(mode, keypoints, rng):
    sound = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, tiny.person((N,), rng))
    garbage = Pose(
        sound.rotations.at[0]
        .multiply(3.0)
        .at[1, 4]
        .set(0.0)
        .at[2]
        .set(jnp.asarray(rng.normal(size=(24, 3, 3)), jnp.float32)),
        sound.betas.at[3].set(1e3),
    )
    wild = evidence._replace(
        keypoints2d=evidence.keypoints2d.at[0].set(jnp.nan).at[1, :, :2].set(1e30).at[2].set(0.0),
        keypoints3d=evidence.keypoints3d.at[1].set(jnp.inf).at[3, :, :3].set(0.0),
    )
    for people, seen in ((garbage, evidence), (sound, wild), (garbage, wild)):
        assert_valid(mode(people, seen, keypoints).pose)


@pytest.mark.parametrize("mode", [guided, fast])
def test_a_refinement_that_is_not_finite_gives_back_the_input(mode, keypoints, rng):
    estimate = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, tiny.person((N,), rng))
    spoilt = evidence._replace(keypoints2d=evidence.keypoints2d.at[1, 2, 0].set(jnp.nan))
    found = mode(estimate, spoilt, keypoints)
    np.testing.assert_array_equal(found.quality["kept"], [0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.pose.rotations[1], estimate.rotations[1])
    np.testing.assert_array_equal(found.pose.betas[1], estimate.betas[1])
    np.testing.assert_allclose(found.quality["moved_mm"][1], 0.0, atol=1e-3)
    assert found.quality["moved_mm"][0] > 1.0


@pytest.mark.parametrize("mode", [guided, fast])
def test_a_person_does_not_change_with_the_others(mode, keypoints, rng):
    truth = tiny.person((N,), rng)
    estimate, evidence = near(truth, rng), tiny.observe(keypoints, truth)
    found = mode(estimate, evidence, keypoints)
    others = jax.tree.map(lambda x: x.at[1:].set(x[:1]), (estimate, evidence))
    again = mode(*others, keypoints)
    np.testing.assert_allclose(again.pose.rotations[0], found.pose.rotations[0], atol=1e-5)
    assert np.abs(again.pose.rotations[1:] - found.pose.rotations[1:]).max() > 0.1


# The paper's mode.


def paper(estimate, evidence, keypoints, error, context, **settings):
    def work(estimate, evidence, context, key):
        how = {"max_step": 6, "patience": 2, "context": context, "key": key} | settings
        return diffannot.refine(
            estimate, evidence, keypoints, prior("rotmat226"), error, mode="paper", **how
        )

    return jax.jit(work)(estimate, evidence, context, jax.random.key(3))


def test_the_paper_is_the_step_search_and_its_best_step_a_body(keypoints, rng):
    truth = tiny.person((N,), rng)
    estimate, evidence = near(truth, rng, 0.3), tiny.observe(keypoints, truth)
    vectors = tiny.normaliser("rotmat226")
    error = diffannot.joint_error(keypoints.space, vectors, "rotmat226", "h36m14")
    context = {"joints3d": evidence.keypoints3d}
    refined, found = paper(estimate, evidence, keypoints, error, context)
    x = pose.standardise(vectors, pose.vector_from_pose(estimate, "rotmat226"))
    known = prior("rotmat226")
    how = {"max_step": 6, "patience": 2, "key": jax.random.key(3)}
    wanted = jax.jit(
        lambda x: search.search_steps(known.denoiser, SCHEDULE, x, error, context, **how)
    )(x)
    np.testing.assert_array_equal(found.step, wanted.step)
    np.testing.assert_allclose(found.curve, wanted.curve, rtol=1e-4)
    assert_valid(refined.pose)
    points = tiny.pose_keypoints(keypoints.space, refined.pose.rotations, refined.pose.betas)
    errors = metrics.pa_mpjpe_mm(points, evidence.keypoints3d[..., :3])
    np.testing.assert_allclose(errors, found.error, rtol=1e-3, atol=1e-2)
    assert np.all(found.error <= found.curve[:, 0])


def test_the_paper_gives_back_the_input_bit_for_bit_where_no_step_is_better(keypoints, rng):
    estimate = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, estimate)
    vectors = tiny.normaliser("rotmat226")
    error = diffannot.joint_error(keypoints.space, vectors, "rotmat226", "h36m14", aligned=False)
    refined, found = paper(estimate, evidence, keypoints, error, {"joints3d": evidence.keypoints3d})
    np.testing.assert_array_equal(found.step, 0)
    assert np.asarray(refined.pose.rotations).tobytes() == np.asarray(estimate.rotations).tobytes()
    assert np.asarray(refined.pose.betas).tobytes() == np.asarray(estimate.betas).tobytes()


@pytest.mark.parametrize(("layout", "aligned"), [("sixd154", True), ("sixd144", False)])
def test_the_joint_error_is_the_metric(layout, aligned, keypoints, rng):
    ours, truth = tiny.person((N,), rng), tiny.person((N,), rng)
    vectors = pose.identity_normaliser(pose.VECTOR_SIZE[layout])
    evidence = tiny.observe(keypoints, truth)
    joints3d = evidence.keypoints3d.at[:, 6, 3].set(0.0)  # One joint is not known.
    joints3d = joints3d.at[:, 6, :3].add(9.0)
    error = diffannot.joint_error(keypoints.space, vectors, layout, "h36m14", aligned=aligned)
    x = pose.vector_from_pose(ours, layout)
    found = jax.jit(error)(x, {"joints3d": joints3d, "betas": ours.betas})
    points = tiny.pose_keypoints(keypoints.space, ours.rotations, ours.betas)
    true, weight = joints3d[..., :3], joints3d[..., 3]
    if aligned:
        wanted = metrics.pa_mpjpe_mm(points, true, weight)
    else:
        gap = metrics.center(points, HIPS) - metrics.center(true, HIPS)
        wanted = 1e3 * jnp.linalg.norm(jnp.delete(gap, 6, axis=-2), axis=-1).mean(-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_the_image_error_is_the_distance_in_pixels(keypoints, rng):
    truth = tiny.person((N,), rng)
    evidence = tiny.observe(keypoints, truth)
    vectors = tiny.normaliser("sixd154")
    error = jax.jit(diffannot.image_error(keypoints.image, vectors, "sixd154"))
    x = pose.standardise(vectors, pose.vector_from_pose(truth, "sixd154"))
    np.testing.assert_allclose(error(x, {"evidence": evidence}), 0.0, atol=0.1)
    off = evidence._replace(keypoints2d=evidence.keypoints2d.at[:, 0, 0].add(40.0))
    points = tiny.pose_keypoints(keypoints.image, truth.rotations, truth.betas)
    wanted = energies.reprojection_error_px(points, energies.place(points, off, jnp.inf), off)
    found = error(x, {"evidence": off})
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert np.all((found > 40 / 17) & (found < 3 * 40 / 17))
