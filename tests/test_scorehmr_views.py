"""Several calibrated views of one person, places that are solved, and errors relative to the person."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.spatial.transform import Rotation

from diffjax import body, camera, energies, guidance, pose
from diffjax.methods import diffannot, scorehmr, scorehmr_evidence, scorehmr_loop
from diffjax.schedule import make_schedule

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SCHEDULE = make_schedule("linear", 1000)
KEYPOINTS = tiny.keypoint_models().image
OURS = {
    "loop": scorehmr.Loop(rounds=2, start=50, stride=10, scale=1.0, clip=20.0),
    "weights": scorehmr.Weights(keypoints=1.0, robust=0.5),
    "pixels": "box",
    "standing": "solved",
}
VIEWS = 3


def no_prior(x, t, _):
    return x / jnp.asarray(SCHEDULE.signal, x.dtype)[t]


PRIOR = diffannot.Prior(no_prior, SCHEDULE, pose.identity_normaliser(144))


@pytest.fixture(scope="module")
def people():
    """Truth and estimate of four people in world axes, where they stand, and three cameras 6 m away."""
    known = tiny.annotations(4, seed=4)
    true = pose.Pose(jnp.asarray(known.pose), jnp.asarray(known.betas))
    estimate = pose.Pose(jnp.asarray(known.pred_pose), jnp.asarray(known.betas))
    where = jnp.asarray(np.random.default_rng(0).normal(0, 0.3, (4, 3)), jnp.float32)
    turns = Rotation.from_euler("yx", [[0, 5], [90, -5], [200, 0]], degrees=True).as_matrix()
    rotation = jnp.broadcast_to(jnp.asarray(turns, jnp.float32), (4, VIEWS, 3, 3))
    position = jnp.broadcast_to(jnp.asarray([0.1, -0.2, 6.0]), (4, VIEWS, 3))
    return true, estimate, where, rotation, position


def look(people, position=True):
    """What the cameras see of the truth."""
    true, _, where, rotation, away = people
    points = body.pose_keypoints(KEYPOINTS, true.rotations, true.betas) + where[:, None]
    seen = jnp.einsum("nvij,nkj->nvki", rotation, points) + away[:, :, None]
    two = jnp.ones((4, VIEWS, 2))
    view = camera.Camera(1500 * two, 500 * two, 1000 * two)
    pixels = camera.project(view, seen)
    keypoints = jnp.concatenate([pixels, jnp.ones_like(pixels[..., :1])], -1)
    nobody = jnp.full(4, -1)
    return scorehmr.Observed(keypoints, view, nobody, nobody, rotation, away if position else None)


def points_of(p):
    return body.pose_keypoints(KEYPOINTS, p.rotations, p.betas)


@pytest.mark.parametrize("position", [True, False], ids=["place known", "only directions"])
def test_the_truth_is_placed_where_it_stands(people, position):
    true, _, where, rotation, away = people
    observed = look(people, position)
    seen = scorehmr_evidence.in_cameras(points_of(true), observed)
    found = scorehmr_evidence.place(seen, observed, jnp.inf)
    wanted = jnp.einsum("nvij,nj->nvi", rotation, where) + away
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_a_view_that_sees_nothing_is_placed_by_the_others(people):
    true, _, where, rotation, away = people
    observed = look(people)
    observed = observed._replace(keypoints2d=observed.keypoints2d.at[:, 1].set(0.0))
    seen = scorehmr_evidence.in_cameras(points_of(true), observed)
    found = scorehmr_evidence.place(seen, observed, jnp.inf)
    wanted = jnp.einsum("nvij,nj->nvi", rotation, where) + away
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def run(people, observed, **changes):
    estimate = people[1]

    def work(estimate, observed):
        away = jnp.zeros((4, VIEWS, 3)).at[..., 2].set(6.0)
        how = OURS | changes
        return scorehmr.refine(estimate, away, observed, KEYPOINTS, PRIOR, **how)

    return jax.jit(work)(estimate, observed)


def error_mm(people, found):
    gap = points_of(found) - points_of(people[0])
    gap = gap - gap.mean(1, keepdims=True)
    return 1e3 * jnp.linalg.norm(gap, axis=-1).mean(-1)


def test_every_view_pulls_at_the_same_body(people):
    long = OURS["loop"]._replace(rounds=20)
    before = error_mm(people, people[1])
    all_views = error_mm(people, run(people, look(people), loop=long).pose)
    one = look(people)
    one = one._replace(keypoints2d=one.keypoints2d.at[:, 1:].set(0.0))
    one_view = error_mm(people, run(people, one, loop=long).pose)
    assert (all_views < 0.6 * before).all()
    assert all_views.mean() < one_view.mean()


def test_the_order_of_views_says_nothing(people):
    observed = look(people)
    turned = jax.tree.map(lambda x: x[:, ::-1] if x.ndim > 1 else x, observed)
    once = OURS["loop"]._replace(rounds=1)  # a second round makes rounding thirty times larger
    one, other = run(people, observed, loop=once), run(people, turned, loop=once)
    np.testing.assert_allclose(one.pose.rotations, other.pose.rotations, atol=2e-4)
    np.testing.assert_allclose(one.translation, other.translation[:, ::-1], atol=2e-3)


def test_one_view_along_the_axes_is_no_view(people):
    """An axis of one view whose camera is the world's gives what rows without that axis give."""
    whole = look(people, position=False)
    one = jax.tree.map(lambda x: x[:, :1] if x.ndim > 1 else x, whole)
    one = one._replace(rotation=jnp.broadcast_to(jnp.eye(3), (4, 1, 3, 3)))
    flat = one._replace(
        keypoints2d=one.keypoints2d[:, 0],
        camera=jax.tree.map(lambda x: x[:, 0], one.camera),
        rotation=None,
    )
    estimate, away = people[1], jnp.full((4, 3), 6.0)
    with_axis = scorehmr_loop.fit(PRIOR, points_of, estimate, away[:, None], one, **OURS)
    without = scorehmr_loop.fit(PRIOR, points_of, estimate, away, flat, **OURS)
    np.testing.assert_allclose(with_axis.x, without.x, atol=1e-4)
    np.testing.assert_allclose(with_axis.translation[:, 0], without.translation, atol=1e-4)


def test_relative_to_the_box_it_is_the_guided_mode_of_diffannot(people):
    """With a solved place and a clip: the loop of `guidance.invert_and_guide`, but for the last step."""
    observed = look(people, position=False)
    flat = observed._replace(
        keypoints2d=observed.keypoints2d[:, 0],
        camera=jax.tree.map(lambda x: x[:, 0], observed.camera),
        rotation=None,
    )
    estimate = people[1]
    evidence = scorehmr_evidence.evidence_of(flat)
    energy = energies.reprojection(KEYPOINTS, 0.5)

    def of_vector(x, evidence):
        return energy(pose.pose_from_vector(x, "sixd144", estimate.betas), evidence)

    def denoiser(x, t, _):
        return no_prior(x, t, None)

    x = pose.vector_from_pose(estimate, "sixd144")
    how = {"strength": 1.0, "rounds": 2, "start": 50, "stride": 10, "through_network": False}
    wanted = guidance.invert_and_guide(denoiser, SCHEDULE, of_vector, x, evidence, **how)
    found = scorehmr_loop.fit(PRIOR, points_of, estimate, jnp.full((4, 3), 6.0), flat, **OURS)
    # Both end on the denoised pose of the last step: DDIM to time 0, without noise left but its own.
    signal = float(SCHEDULE.signal[0])
    np.testing.assert_allclose(found.x, wanted / signal, atol=3e-2)


def test_impossible_joints_pay(people):
    """A knee bent backwards is brought back without any keypoint near it."""
    true = people[0]
    knee = jnp.asarray(Rotation.from_euler("x", -60, degrees=True).as_matrix(), jnp.float32)
    broken = true._replace(rotations=true.rotations.at[:, 4].set(knee))
    observed = look(people)
    blind = observed._replace(
        keypoints2d=observed.keypoints2d.at[..., 2].set(0.0).at[:, :, 0, 2].set(1e-3)
    )
    weights = scorehmr.Weights(keypoints=0.0, joint_limits=1000.0)
    away = jnp.zeros((4, VIEWS, 3)).at[..., 2].set(6.0)
    how = OURS | {"weights": weights, "loop": OURS["loop"]._replace(rounds=10)}
    found = scorehmr_loop.fit(PRIOR, points_of, broken, away, blind, **how)
    after = pose.pose_from_vector(found.x, "sixd144", broken.betas)
    angle = Rotation.from_matrix(np.asarray(after.rotations[:, 4])).magnitude()
    assert (np.degrees(angle) < 45).all()
