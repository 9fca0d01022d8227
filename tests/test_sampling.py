"""Laws of reverse steps and chains. Parity with Improved DDPM is in tests/parity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import sampling, schedule

TABLES = schedule.make_schedule("cosine", 40)
KEY = jax.random.key(0)
BATCHES = [(), (1,), (2, 3)]


def draw(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def shrink(x_t, t, context):
    """A denoiser that is nobody's oracle: pulls to the context, less at small t."""
    return 0.9 * x_t + 0.01 * jnp.asarray(t + 1, x_t.dtype)[..., None] * (context - x_t)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_chain_with_an_oracle_denoiser_returns_the_sample(batch, sampler):
    x_0, x = draw(0, (*batch, 4)), draw(1, (*batch, 4))
    found = sampling.chain(lambda x, t, c: c, TABLES, x, 40, x_0, sampler=sampler, key=KEY)
    np.testing.assert_allclose(found, x_0, atol=1e-6)


def test_ddim_down_to_the_clean_sample_with_an_oracle_returns_it():
    x_0, x = draw(0, (2, 4)), draw(1, (2, 4))
    found = sampling.ddim_chain(lambda x, t, c: c, TABLES, x, x_0, (39, 20, 3, -1))
    np.testing.assert_array_equal(found, x_0)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("times", [(0, 2, 4, 30), (0, 1), (5,)])
def test_inversion_then_ddim_with_constant_eps_is_the_identity(batch, times):
    eps, x = draw(0, (*batch, 4)), draw(1, (*batch, 4))

    def denoiser(x_t, t, context):
        return schedule.x0_from_eps(TABLES, x_t, t, context)

    noisy = sampling.ddim_invert(denoiser, TABLES, x, eps, times)
    back = sampling.ddim_chain(denoiser, TABLES, noisy, eps, jnp.asarray(times[::-1]))
    # float32 through a signal of 0.37 at t = 30 and back, at most 2 x 3 steps.
    np.testing.assert_allclose(back, x, atol=1e-5)


def test_inversion_raises_the_noise_to_its_level():
    """With the noise known, x_0's state at 0 becomes x_0's state at 30."""
    x_0, eps = draw(0, (4,)), draw(1, (4,))
    first = schedule.add_noise(TABLES, x_0, 0, eps)
    found = sampling.ddim_invert(lambda x, t, c: c, TABLES, first, x_0, (0, 10, 30))
    np.testing.assert_allclose(found, schedule.add_noise(TABLES, x_0, 30, eps), atol=1e-4)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_start_zero_returns_x_bit_for_bit(sampler):
    x = draw(1, (3, 4)).at[0, 0].set(-0.0).at[1, 1].set(jnp.nan)
    for start in (0, jnp.asarray(0), jnp.zeros(3, int)):
        found = sampling.chain(shrink, TABLES, x, start, x, sampler=sampler, key=KEY)
        assert np.asarray(found).tobytes() == np.asarray(x).tobytes()


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_start_per_sample_equals_one_sample_at_a_time(sampler):
    x, context, starts = (
        draw(0, (2, 3, 4)),
        draw(1, (2, 3, 4)),
        jnp.asarray([[0, 1, 7], [40, 2, 7]]),
    )

    def run(x, start, context, ids):
        return sampling.chain(
            shrink, TABLES, x, start, context, sampler=sampler, key=KEY, eta=0.5, ids=ids
        )

    run = jax.jit(run)
    together = run(x, starts, context, jnp.arange(6).reshape(2, 3))
    for n, i in enumerate(np.ndindex(2, 3)):
        alone = run(x[i], starts[i], context[i], jnp.asarray(n))
        np.testing.assert_allclose(together[i], alone, atol=1e-6)


def test_a_start_known_when_traced_has_gradients():
    x = draw(0, (2, 4))

    def end(x):
        return jnp.sum(sampling.chain(shrink, TABLES, x, 40, x, key=KEY) ** 2)

    assert np.all(np.isfinite(jax.grad(end)(x)))


@pytest.mark.parametrize("batch", BATCHES)
def test_noise_of_a_sample_does_not_depend_on_its_batch(batch):
    ids = jnp.arange(10, 10 + int(np.prod(batch))).reshape(batch)
    noise = sampling.step_noise(KEY, ids, jnp.full(batch, 7), 5)
    for i in np.ndindex(*batch):
        np.testing.assert_array_equal(noise[i], sampling.step_noise(KEY, ids[i], 7, 5))
    other = sampling.step_noise(KEY, ids, 8, 5)
    assert not np.any(other == noise)


def test_step_noise_is_standard_normal():
    noise = np.asarray(sampling.step_noise(KEY, jnp.arange(20000), 3, 4))
    # Four standard errors of 80,000 draws.
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)


def test_ddim_with_eta_one_and_ancestral_sampling_are_one_distribution():
    """Equal mean and spread of x_{t-1} (Song et al. 2021, section 4.1), read at noise 0 and 1."""
    x_t, x_0 = draw(0, (39, 4)), draw(1, (39, 4))
    t = jnp.arange(39)
    for noise in (jnp.zeros_like(x_t), jnp.ones_like(x_t)):
        ancestral = sampling.ddpm_step(TABLES, x_t, x_0, t, noise)
        ddim = sampling.ddim_step(TABLES, x_t, x_0, t, t - 1, eta=1.0, noise=noise)
        np.testing.assert_allclose(ddim, ancestral, atol=2e-4)


@pytest.mark.parametrize("variance_type", ["fixed_small", "fixed_large", "learned_range"])
def test_the_last_step_gives_x0_whatever_the_noise(variance_type):
    x_t, x_0 = draw(0, (3, 4)), draw(1, (3, 4))
    values = jnp.zeros_like(x_t)
    spread = sampling.log_variance(TABLES, x_t, 0, variance_type, values)
    np.testing.assert_array_equal(
        sampling.ddpm_step(TABLES, x_t, x_0, 0, 1e6 * x_t, log_variance=spread), x_0
    )
    np.testing.assert_array_equal(
        sampling.ddim_step(TABLES, x_t, x_0, 0, -1, eta=1.0, noise=1e6 * x_t), x_0
    )


def test_a_learned_range_ends_at_the_two_fixed_variances():
    x, t = draw(0, (5, 4)), jnp.asarray([1, 2, 9, 20, 39])
    small = sampling.log_variance(TABLES, x, t, "fixed_small")
    large = sampling.log_variance(TABLES, x, t, "fixed_large")
    low = sampling.log_variance(TABLES, x, t, "learned_range", -jnp.ones_like(x))
    high = sampling.log_variance(TABLES, x, t, "learned_range", jnp.ones_like(x))
    np.testing.assert_allclose(low, jnp.broadcast_to(small, x.shape), rtol=1e-6)
    np.testing.assert_allclose(high, jnp.broadcast_to(large, x.shape), rtol=1e-6)


def test_a_chain_of_a_network_with_learned_variance_is_a_descent():
    """At the low end of the range it is the ordinary chain."""
    x, ids = draw(0, (3, 4)), jnp.arange(3)

    def step(x, t):
        output = jnp.concatenate([0.9 * x, -jnp.ones_like(x)], -1)
        reverse = sampling.reverse_distribution(
            TABLES, x, t, output, mean_type="x_start", variance_type="learned_range"
        )
        return sampling.draw_previous(reverse, t, sampling.step_noise(KEY, ids, t, 4))

    plain = sampling.chain(lambda x, t, c: 0.9 * x, TABLES, x, 40, key=KEY)
    np.testing.assert_allclose(sampling.descend(step, x, 40), plain, atol=1e-5)


def test_clipping_is_off_by_default_and_bounds_x0_when_asked():
    x = 5.0 * draw(0, (8, 4))
    assert np.abs(sampling.chain(lambda x, t, c: x, TABLES, x, 1, key=KEY)).max() > 1
    bounded = sampling.clipped(lambda x, t, c: x, 1.0)
    np.testing.assert_array_equal(
        sampling.chain(bounded, TABLES, x, 1, key=KEY), jnp.clip(x, -1, 1)
    )


def test_what_would_trace_into_a_wrong_answer_is_refused():
    x = draw(0, (2, 4))
    with pytest.raises(ValueError, match="start: wanted 0 to 40"):
        sampling.chain(shrink, TABLES, x, 41, x, key=KEY)
    with pytest.raises(ValueError, match="key: wanted"):
        sampling.chain(shrink, TABLES, x, 4, x)
    with pytest.raises(ValueError, match="key: wanted"):
        sampling.chain(shrink, TABLES, x, 4, x, sampler="ddim", eta=1.0)
    with pytest.raises(ValueError, match="needs noise"):
        sampling.ddim_step(TABLES, x, x, 4, 3, eta=1.0)
    with pytest.raises(ValueError, match="wanted 8 numbers"):
        sampling.reverse_distribution(TABLES, x, 3, x, mean_type="epsilon", variance_type="learned")
