"""Laws of the training losses, the step samplers and the averages. Parity is in tests/parity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import losses, sampling, schedule

TABLES = schedule.make_schedule("linear", 50)
MEANS = ["epsilon", "x_start", "v", "previous_x"]
KEY = jax.random.key(0)


def draw(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def perfect_output(x_0, t, eps, mean_type):
    x_t = schedule.add_noise(TABLES, x_0, t, eps)
    return {
        "epsilon": eps,
        "x_start": x_0,
        "v": schedule.v_from_x0_and_eps(TABLES, x_0, t, eps),
        "previous_x": schedule.posterior_mean(TABLES, x_t, t, x_0),
    }[mean_type]


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("mean_type", MEANS)
def test_a_perfect_output_has_no_loss(batch, mean_type):
    x_0, eps = draw(0, (*batch, 4)), draw(1, (*batch, 4))
    output = perfect_output(x_0, 9, eps, mean_type)
    kinds = {"mean_type": mean_type}
    simple = losses.training_losses(TABLES, output, x_0, 9, eps, **kinds)
    bound = losses.training_losses(TABLES, output, x_0, 9, eps, loss_type="kl", **kinds)
    assert simple.loss.shape == bound.vb.shape == batch
    np.testing.assert_allclose(simple.loss, 0.0, atol=1e-9)
    np.testing.assert_allclose(bound.loss, 0.0, atol=1e-6)


def test_the_bound_at_time_zero_is_a_gaussian_density_in_bits():
    x_0, eps = draw(0, (3, 4)), draw(1, (3, 4))
    output = x_0 + 0.01
    found = losses.training_losses(TABLES, output, x_0, 0, eps, mean_type="x_start", loss_type="kl")
    variance = np.exp(TABLES.posterior_log_variance_clipped[0])
    nats = 0.5 * (np.log(2 * np.pi * variance) + 1e-4 / variance)
    np.testing.assert_allclose(found.loss, nats / np.log(2), rtol=1e-4)


def test_the_divergence_is_the_mean_log_ratio():
    """KL by 400,000 draws from the posterior, at a learned variance."""
    x_0, eps, t = draw(0, (1,)), draw(1, (1,)), 9
    x_t = schedule.add_noise(TABLES, x_0, t, eps)
    output = jnp.concatenate([x_0 + 0.5, jnp.asarray([0.7])])
    kinds = {"mean_type": "x_start", "variance_type": "learned_range"}
    found = losses.variational_term(TABLES, output, x_0, x_t, t, **kinds)
    reverse = sampling.reverse_distribution(TABLES, x_t, t, output, **kinds)
    mean = float(schedule.posterior_mean(TABLES, x_t, t, x_0)[0])
    spread = float(np.sqrt(TABLES.posterior_variance[t]))
    x = mean + spread * np.random.default_rng(0).normal(size=400_000)

    def log_density(x, mean, variance):
        return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)

    q = log_density(x, float(reverse.mean[0]), float(jnp.exp(reverse.log_variance[0])))
    ratio = log_density(x, mean, spread**2) - q
    error = 4 * ratio.std() / np.sqrt(x.size)
    np.testing.assert_allclose(found, ratio.mean() / np.log(2), atol=error / np.log(2))


def test_the_hybrid_loss_moves_the_variance_by_the_bound_and_the_mean_by_the_mse():
    x_0, eps, t = draw(0, (3, 4)), draw(1, (3, 4)), jnp.asarray([0, 5, 30])
    output = draw(2, (3, 8))

    def total(output, variance_type, loss_type):
        return jnp.sum(
            losses.training_losses(
                TABLES, output, x_0, t, eps, variance_type=variance_type, loss_type=loss_type
            ).loss
        )

    hybrid = jax.grad(total)(output, "learned_range", "mse")
    simple = jax.grad(total)(output[:, :4], "fixed_small", "mse")
    bound = jax.grad(total)(output, "learned_range", "kl")
    np.testing.assert_allclose(hybrid[:, :4], simple, rtol=1e-6)
    np.testing.assert_allclose(hybrid[:, 4:], bound[:, 4:], rtol=1e-6)
    assert np.all(np.abs(bound[:, 4:]) > 0)


def test_rescaling_counts_the_steps():
    x_0, eps, output = draw(0, (3, 4)), draw(1, (3, 4)), draw(2, (3, 8))

    def found(loss_type):
        return losses.training_losses(
            TABLES, output, x_0, 5, eps, variance_type="learned", loss_type=loss_type
        )

    mse, kl = found("rescaled_mse"), found("rescaled_kl")
    np.testing.assert_allclose(mse.loss, mse.mse + mse.vb * 0.05, rtol=1e-6)
    np.testing.assert_allclose(kl.loss, 50 * found("kl").loss, rtol=1e-6)


def test_uniform_steps_weigh_one():
    drawn = losses.draw_steps(KEY, losses.uniform_probabilities(50), (4000,))
    np.testing.assert_allclose(drawn.weight, 1.0, rtol=1e-6)
    assert set(np.asarray(drawn.t).tolist()) == set(range(50))


def test_weighted_losses_of_any_step_sampler_have_the_uniform_mean():
    per_step = jnp.arange(1.0, 6.0)
    drawn = losses.draw_steps(KEY, per_step / 15.0, (100_000,))
    weighted = np.asarray(drawn.weight * per_step[drawn.t])
    np.testing.assert_allclose(weighted.mean(), 3.0, rtol=1e-4)


def reference_history(batches, steps, kept):
    """The sampler's definition: the last `kept` losses of every step, one at a time."""
    history = [[] for _ in range(steps)]
    for t, loss in batches:
        for step, value in zip(t, loss):
            history[step] = [*history[step], value][-kept:]
    return history


def test_the_second_moment_sampler_remembers_the_last_losses_of_every_step(rng):
    batches = [(rng.integers(0, 4, 9), rng.random(9).astype(np.float32)) for _ in range(6)]
    batches.append((np.full(9, 2), rng.random(9).astype(np.float32)))
    state, record = losses.new_history(4, kept=5), jax.jit(losses.record_losses)
    for t, loss in batches:
        state = record(state, jnp.asarray(t), jnp.asarray(loss))
    wanted = reference_history(batches, 4, 5)
    np.testing.assert_array_equal(np.sort(state.losses, -1), np.sort(np.asarray(wanted), -1))
    moments = np.sqrt(np.mean(np.square(wanted), -1))
    expected = moments / moments.sum() * 0.999 + 0.001 / 4
    np.testing.assert_allclose(losses.step_probabilities(state), expected, rtol=1e-5)


def test_the_second_moment_sampler_is_uniform_until_every_step_has_a_full_history():
    state = losses.new_history(3, kept=2)
    state = losses.record_losses(state, jnp.asarray([0, 0, 1, 1, 2]), jnp.arange(1.0, 6.0))
    np.testing.assert_allclose(losses.step_probabilities(state), 1 / 3, rtol=1e-6)
    state = losses.record_losses(state, jnp.asarray([2]), jnp.asarray([9.0]))
    assert losses.step_probabilities(state)[2] > 0.5


def test_losses_that_are_all_zero_keep_the_sampler_uniform():
    state = losses.new_history(2, kept=1)
    state = losses.record_losses(state, jnp.asarray([0, 1]), jnp.zeros(2))
    np.testing.assert_allclose(losses.step_probabilities(state), 0.5)


def test_averages_follow_their_own_rates():
    params = {"w": jnp.asarray([1.0, 2.0])}
    averages = (params, params)
    moved = {"w": jnp.asarray([3.0, 0.0])}
    slow, fast = jax.jit(losses.ema_update, static_argnums=0)((0.9, 0.5), averages, moved)
    np.testing.assert_allclose(slow["w"], [1.2, 1.8], rtol=1e-6)
    np.testing.assert_allclose(fast["w"], [2.0, 1.0], rtol=1e-6)
    with pytest.raises(ValueError, match="one a rate"):
        losses.ema_update((0.9,), averages, moved)
