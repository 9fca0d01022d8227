"""Guidance: its closed forms on a Gaussian prior, and the loop's laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import guidance, schedule

SCHEDULE = schedule.make_schedule("linear", 1000)


def gaussian_denoiser(x_t, t, context):
    """The exact denoiser of x_0 ~ N(0, I): E[x_0 | x_t] = signal x_t."""
    del context
    return jnp.asarray(SCHEDULE.signal, jnp.float32)[t][..., None] * x_t


def pull(x_0, target):
    return 0.5 * jnp.sum((x_0 - target) ** 2, -1)


def test_without_strength_guidance_changes_nothing(rng):
    x, target = (jnp.asarray(rng.normal(size=(4, 6)), jnp.float32) for _ in range(2))
    guided = guidance.guide(gaussian_denoiser, SCHEDULE, pull, 0.0)
    np.testing.assert_array_equal(
        guided(x, jnp.asarray(30), target), gaussian_denoiser(x, jnp.asarray(30), None)
    )


@pytest.mark.parametrize("through", [True, False])
def test_guidance_adds_the_gradient_of_the_paper(through, rng):
    """x_0' = x_0 - rho noise^2 / signal dE/dx_t; dx_0/dx_t is signal through, 1 / signal frozen."""
    x, target = (jnp.asarray(rng.normal(size=(4, 6)), jnp.float32) for _ in range(2))
    t = jnp.asarray(50)
    signal, noise = float(SCHEDULE.signal[50]), float(SCHEDULE.noise[50])
    x_0 = signal * x
    slope = signal if through else 1 / signal
    expected = x_0 - 3.0 * noise**2 / signal * slope * (x_0 - target)
    guided = guidance.guide(gaussian_denoiser, SCHEDULE, pull, 3.0, through_network=through)
    np.testing.assert_allclose(guided(x, t, target), expected, rtol=1e-5, atol=1e-6)


def test_guided_eps_form_equals_guided_x0_form(rng):
    """eps' = eps + noise rho g and then x_0(eps') is the x_0 form (Dhariwal & Nichol 2021, Alg. 2)."""
    x, target = (jnp.asarray(rng.normal(size=(3, 6)), jnp.float32) for _ in range(2))
    t = jnp.asarray(20)
    x_0 = gaussian_denoiser(x, t, None)
    gradient = jax.grad(lambda x: pull(gaussian_denoiser(x, t, None), target).sum())(x)
    eps = schedule.eps_from_x0(SCHEDULE, x, t, x_0) + 2.0 * float(SCHEDULE.noise[20]) * gradient
    expected = schedule.x0_from_eps(SCHEDULE, x, t, eps)
    guided = guidance.guide(gaussian_denoiser, SCHEDULE, pull, 2.0)
    np.testing.assert_allclose(guided(x, t, target), expected, rtol=1e-4, atol=1e-5)


def run(x, target, strength, rounds, through=True):
    return guidance.invert_and_guide(
        gaussian_denoiser,
        SCHEDULE,
        pull,
        x,
        target,
        strength=strength,
        rounds=rounds,
        through_network=through,
    )


def test_inversion_and_unguided_sampling_return_the_sample(rng):
    x = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)
    np.testing.assert_allclose(run(x, jnp.zeros_like(x), 0.0, 1), x, atol=2e-2)


@pytest.mark.parametrize("through", [True, False])
def test_guidance_goes_to_the_target_and_more_rounds_go_further(through, rng):
    x, target = (jnp.asarray(rng.normal(size=(4, 6)), jnp.float32) for _ in range(2))
    distance = [float(pull(run(x, target, 1.0, n, through), target).sum()) for n in (0, 1, 5, 20)]
    assert distance[0] == float(pull(x, target).sum())
    assert distance == sorted(distance, reverse=True)


def test_strength_and_rounds_do_not_recompile(rng):
    x = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)
    jitted = jax.jit(run)
    for strength, rounds in ((1.0, 1), (2.0, 7)):
        jitted(x, x, jnp.asarray(strength), jnp.asarray(rounds))
    assert jitted._cache_size() == 1


def test_samples_do_not_interact(rng):
    x, target = (jnp.asarray(rng.normal(size=(5, 6)), jnp.float32) for _ in range(2))
    np.testing.assert_allclose(
        run(x, target, 2.0, 3)[1:2], run(x[1:2], target[1:2], 2.0, 3), atol=1e-5
    )


def test_a_huge_gradient_is_clipped(rng):
    x = jnp.asarray(rng.normal(size=(2, 6)), jnp.float32)
    t = jnp.asarray(10)
    guided = guidance.guide(gaussian_denoiser, SCHEDULE, lambda x_0, c: 1e9 * x_0.sum(-1), 1.0)
    limit = guidance.GRADIENT_CLIP * float(SCHEDULE.noise[10]) ** 2 / float(SCHEDULE.signal[10])
    moved = gaussian_denoiser(x, t, None) - guided(x, t, None)
    np.testing.assert_allclose(moved, limit, rtol=1e-3)


@pytest.mark.parametrize(("start", "stride"), [(50, 0), (50, 20), (5, 10)])
def test_levels_that_do_not_meet_the_start_are_refused(start, stride):
    with pytest.raises(ValueError, match="multiple of stride"):
        guidance.levels(start, stride)
