"""The posterior spread of a pose: against linear algebra in float64, and what evidence must do to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax.confidence import posterior
from diffjax.methods import map_fit

pytestmark = pytest.mark.usefixtures("quick_to_compile")

ERRORS = map_fit.error_model_from_covariance(0.02 * np.eye(82))


def test_elimination_solves_what_linear_algebra_solves():
    random = np.random.default_rng(0)
    root = random.normal(size=(30, 40))
    a, b = root @ root.T + np.eye(30), random.normal(size=(30, 5))
    found = posterior._solve(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    np.testing.assert_allclose(found, np.linalg.solve(a, b), rtol=1e-3, atol=1e-4)


def test_moves_that_a_similarity_takes_out_are_none():
    points = jnp.asarray(np.random.default_rng(0).normal(size=(14, 3)), jnp.float32)
    arm = points - points.mean(0)
    shift, scale = jnp.ones((14, 3)), 0.3 * arm
    turn = jnp.cross(jnp.asarray([0.2, -1.0, 0.5]), points)
    bend = jnp.zeros((14, 3)).at[3, 1].set(1.0)
    left = posterior._aligned(points, jnp.stack([shift, scale, turn, bend], -1))
    np.testing.assert_allclose(left[:, :3], 0.0, atol=1e-4)
    assert 0.5 < np.linalg.norm(left[:, 3]) < 1.0


@pytest.fixture(scope="module")
def spreads():
    """Of three people: unseen, seen, seen four times as sharply; in 2D, and in 3D beside."""
    models = tiny.keypoint_models()
    person = tiny.person((3,), np.random.default_rng(0))
    person = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), person)
    evidence = tiny.observe(models, person, of_3d=0.0)
    flat = evidence.keypoints2d.at[..., 2].set(jnp.asarray([0.0, 1.0, 4.0])[:, None])
    solid = evidence.keypoints3d.at[..., 3].set(jnp.asarray([0.0, 1.0, 1.0])[:, None])

    @jax.jit
    def find(seen):
        shared = models.image, models.space, models.space, ERRORS
        return posterior.spread(person, seen, *shared, weight=1.0, width=0.1)

    two = evidence._replace(keypoints2d=flat)
    return find(two), find(two._replace(keypoints3d=solid)), person, models


def test_nothing_seen_is_the_frontends_errors_and_more_seen_is_surer(spreads):
    found, both, *_ = spreads
    unseen, seen, sharp = np.asarray(found.joints_mm)
    np.testing.assert_allclose(unseen, found.prior_mm[0], rtol=1e-3)
    np.testing.assert_allclose(found.prior_mm, found.prior_mm[0], rtol=1e-5)
    assert unseen > 1.05 * seen > 1.05 * sharp > 0
    assert (both.joints_mm[1:] < 0.9 * found.joints_mm[1:]).all()
    # Exact evidence leaves nothing.
    np.testing.assert_allclose(found.residual, 0.0, atol=1e-2)


def test_the_frontends_errors_carry_joints_as_far_as_it_says(spreads):
    """The linear spread without evidence, against people moved by such errors: small ones, aligned."""
    from diffjax import body
    from diffjax.metrics import alignment

    found, _, person, models = spreads
    random, small = np.random.default_rng(0), 0.05
    noise = jnp.asarray(small * random.normal(size=(400, 82)), jnp.float32)
    one = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], (400, *x.shape[1:])), person)
    moved = map_fit.move(one, noise @ jnp.asarray(ERRORS.factor).T)
    points = [body.pose_keypoints(models.space, p.rotations, p.betas) for p in (moved, one)]
    off = np.asarray(alignment.procrustes(*points) - points[1]) / small
    spread = 1000 * np.sqrt((off**2).sum(-1).mean(0)).mean()
    np.testing.assert_allclose(found.prior_mm[0], spread, rtol=0.1)


def test_a_move_of_one_standard_deviation_is_a_surprise_of_one():
    person = tiny.person((82,), np.random.default_rng(0))
    moved = map_fit.move(person, jnp.asarray(ERRORS.factor).T)
    found = map_fit.surprise(map_fit.whitener(ERRORS), person, moved)
    np.testing.assert_allclose(found, 1.0, rtol=1e-2)
