"""Controls keep what they claim to keep: sizes, the start, and whose moves they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax.methods import controls, map_fit

STARTS, PEOPLE = 5, 6


@pytest.fixture(scope="module")
def moves():
    """Residuals of every start: joints of different sizes, some at rest; start 0 does not move."""
    random = np.random.default_rng(2)
    delta = 0.3 * random.normal(size=(STARTS, PEOPLE, 82))
    delta[:, :, 9:12], delta[0] = 0.0, 0.0
    return jnp.asarray(delta, jnp.float32)


def sizes(delta):
    joints = np.linalg.norm(np.reshape(delta[..., :72], (*delta.shape[:-1], 24, 3)), axis=-1)
    return joints, np.linalg.norm(delta[..., 72:], axis=-1)


def test_the_moves_of_candidates_lead_to_them(moves, rng):
    estimate = tiny.person((PEOPLE,), rng)
    candidates = jax.jit(controls.apply_moves)(estimate, moves)
    found = jax.jit(controls.candidate_moves)(estimate, candidates)
    np.testing.assert_allclose(found, moves, atol=1e-4)


def test_random_directions_keep_every_joints_angle_and_the_length_of_betas(moves):
    found = controls.same_size_moves(jax.random.key(0), jnp.arange(PEOPLE), moves)
    for ours, wanted in zip(sizes(found), sizes(moves)):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(found[0], 0.0)


def test_random_directions_know_nothing_of_the_moves(moves):
    found = np.asarray(
        controls.same_size_moves(
            jax.random.key(1), jnp.arange(PEOPLE), jnp.tile(moves[1:], (100, 1, 1))
        )
    )
    ours, theirs = (x.reshape(-1, 82) for x in (found, np.tile(moves[1:], (100, 1, 1))))
    cosine = np.sum(ours * theirs, -1) / np.linalg.norm(theirs, axis=-1) ** 2
    assert abs(cosine.mean()) < 4 * cosine.std() / np.sqrt(len(cosine))
    other = controls.same_size_moves(jax.random.key(2), jnp.arange(PEOPLE), moves)
    assert np.abs(found[:4] - other[1:]).max() > 0.1


def test_start_0_is_the_estimate_bit_for_bit(moves, rng):
    estimate = tiny.person((PEOPLE,), rng)
    # Even where a move says otherwise.
    poses = jax.jit(controls.apply_moves)(estimate, moves.at[0].set(1.0))
    assert np.asarray(poses.rotations[0]).tobytes() == np.asarray(estimate.rotations).tobytes()
    assert np.asarray(poses.betas[0]).tobytes() == np.asarray(estimate.betas).tobytes()
    wanted = map_fit.move(estimate, moves[3])
    np.testing.assert_allclose(poses.rotations[3], wanted.rotations, atol=1e-6)


def test_random_directions_are_a_samples_own_in_any_batch(moves):
    key, ids = jax.random.key(3), jnp.arange(10, 10 + PEOPLE)
    found = controls.same_size_moves(key, ids, moves)
    some = jnp.asarray([4, 1])
    np.testing.assert_array_equal(
        controls.same_size_moves(key, ids[some], moves[:, some]), found[:, some]
    )


def test_anothers_moves_are_those_of_the_same_start(moves):
    found = np.asarray(controls.other_moves(moves))
    for i in range(PEOPLE):
        np.testing.assert_array_equal(found[:, i], moves[:, i ^ 1])


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 64, 65, 129])
def test_everyone_has_a_companion_half_the_set_away(count):
    order = controls.pairs(count)
    assert len(order) == count + count % 2
    np.testing.assert_array_equal(np.sort(order[:count]), np.arange(count))
    first, second = order[::2], order[1::2]
    if count > 1:
        assert np.all(first != second)
    away = np.abs(first - second)[: count // 2]
    np.testing.assert_array_equal(away, count // 2)
