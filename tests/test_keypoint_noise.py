"""How keypoints err: a density whose least squares climb it, and what people with truth say of its numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.confidence import keypoint_errors
from diffjax.methods import keypoint_noise
from diffjax.methods.keypoint_noise import ASSUMED, Noise

DETECTOR = Noise(
    np.full(2, 0.02), np.array([7.5, 32.0]), np.array([4.0, 8.0]), power=0.0, temperature=1.5
)
EITHER = pytest.mark.parametrize("noise", [ASSUMED, DETECTOR], ids=["assumed", "learned"])


@EITHER
def test_what_a_keypoint_weighs_is_the_slope_of_its_likelihood(noise):
    errors = keypoint_noise.expected(noise, jnp.linspace(0.1, 1.0, 6), 300.0)
    squares = jnp.linspace(0.0, 0.02, 18).reshape(6, 3)

    def whole(squares):
        return keypoint_noise.log_likelihood(errors, squares).sum()

    slope = jax.grad(whole)(squares)
    np.testing.assert_allclose(keypoint_noise.trust(errors, squares), -2 * slope, rtol=1e-4)
    at_once = keypoint_noise.trust(errors, jnp.zeros((6, 1)))[:, 0]
    assert (keypoint_noise.precision(errors) <= at_once).all()


@EITHER
def test_whom_nobody_could_mean_has_no_weight(noise):
    errors = keypoint_noise.expected(noise, jnp.array([0.9, 0.3]), 300.0)
    near, far = (keypoint_noise.trust(errors, jnp.full((2, 1), x**2)) for x in (0.01, 1.0))
    assert (far < 1e-6 * near).all()


@EITHER
def test_a_keypoint_is_somewhere(noise):
    """Its density over the plane sums to one, but for the floor under it, and the factor that is left out."""
    errors = keypoint_noise.expected(noise, jnp.array([0.5]), 300.0)._replace(
        weight=jnp.ones((1, 1))
    )
    line = jnp.linspace(-1.0, 1.0, 801)
    squares = (line[:, None] ** 2 + line**2).reshape(1, -1)
    density = jnp.exp(keypoint_noise.log_likelihood(errors, squares))
    cell = float(line[1] - line[0]) ** 2
    assert float((density - keypoint_noise._FLOOR).sum()) * cell == pytest.approx(
        2 * np.pi, rel=1e-3
    )


@EITHER
def test_what_is_missing_weighs_nothing(noise):
    errors = keypoint_noise.expected(noise, jnp.array([0.0, 0.7]), 300.0)
    np.testing.assert_array_equal(errors.weight[:, 0] > 0, [False, True])
    one, other = (
        keypoint_noise.log_likelihood(errors, jnp.array([[x], [1e-3]])) for x in (0.0, 9.0)
    )
    np.testing.assert_array_equal(one, other)


def test_pixels_matter_more_in_a_small_picture():
    near, far = (keypoint_noise.expected(DETECTOR, jnp.ones(1), side) for side in (600.0, 100.0))
    assert float(near.narrow[0, 0]) == pytest.approx(np.hypot(0.02, 7.5 / 600))
    assert float(far.wide[0, 0]) == pytest.approx(np.hypot(0.02, 0.32))
    sizes = [keypoint_noise.expected(ASSUMED, jnp.ones(1), side) for side in (600.0, 100.0)]
    assert sizes[0] == sizes[1]


def detections(count, seed=0):
    """Errors of 7 and 30 px, and confidences that partly tell which."""
    random = np.random.default_rng(seed)
    bad = random.random(count) < 0.2
    confidence = np.clip(np.where(bad, 0.5, 0.8) + 0.12 * random.normal(size=count), 0.05, 1.0)
    return np.where(bad, 30.0, 7.0)[:, None] * random.normal(size=(count, 2)), confidence, bad


def test_a_mixture_is_found_again():
    errors, confidence, bad = detections(20000)
    found = keypoint_errors.learn(errors, confidence)
    np.testing.assert_allclose(found.px, [7.0, 30.0], rtol=0.03)
    said = np.asarray(keypoint_noise.expected(found, jnp.asarray(confidence), 300.0).bad)[:, 0]
    assert said.mean() == pytest.approx(0.2, abs=0.01)
    for low in (0.4, 0.6, 0.7, 0.8):
        there = (confidence >= low) & (confidence < low + 0.1)
        assert said[there].mean() == pytest.approx(bad[there].mean(), abs=0.06)


def test_of_an_annotator_who_is_always_sure_only_the_width_is_learned():
    errors = 4.0 * np.random.default_rng(0).normal(size=(5000, 2))
    found = keypoint_errors.learn(errors, np.ones(5000))
    squares = jnp.asarray((errors / 400.0) ** 2).sum(-1)
    same = Noise(found.sides, np.full(2, 4.0), np.zeros(2), 0.0, found.temperature)
    told = [
        keypoint_noise.log_likelihood(
            keypoint_noise.expected(x, jnp.ones(5000), 400.0), squares[:, None]
        )
        for x in (found, same)
    ]
    assert told[0][0] == pytest.approx(float(told[1][0]), rel=1e-3)


def test_some_far_away_make_no_keypoint_good():
    errors, confidence, _ = detections(5000)
    wild = np.random.default_rng(1).random(5000) < 0.01
    found = keypoint_errors.learn(np.where(wild[:, None], 2000.0, errors), confidence)
    assert found.px[0] < 20 < found.px[1]
    doubted = np.asarray(keypoint_noise.expected(found, jnp.array([0.2, 0.9]), 300.0).bad)
    assert doubted[0] > doubted[1]


@pytest.mark.parametrize("exact", [0.5, 0.9, 1.0])
def test_exact_keypoints_beside_others_are_the_good_ones(exact):
    errors, confidence, _ = detections(2000)
    errors[: int(2000 * exact)] = 0.0
    found = keypoint_errors.learn(errors, confidence)
    assert all(np.isfinite(x).all() for x in found)
    assert found.px[0] == pytest.approx(0.1, abs=0.05)
    assert found.px[1] > 5 or exact == 1.0


def test_who_learns_from_many_learns_from_some_of_them():
    few, many = (keypoint_errors.learn(*detections(n)[:2]) for n in (5000, 100_000))
    np.testing.assert_allclose(few.px, many.px, rtol=0.05)
    np.testing.assert_allclose(few.doubt, many.doubt, rtol=0.3)


def test_of_few_keypoints_nothing_is_learned():
    errors, confidence, _ = detections(keypoint_errors.FEWEST - 1)
    assert keypoint_errors.learn(errors, confidence) is ASSUMED
