"""Laws of the noise schedule. Parity with Improved DDPM is in tests/parity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import schedule

BATCHES = [(), (1,), (2, 3)]


def draw(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("steps", [50, 1000, 4000])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_signal_and_noise_lie_on_the_unit_circle(name, steps):
    tables = schedule.make_schedule(name, steps)
    np.testing.assert_allclose(tables.signal**2 + tables.noise**2, 1.0, rtol=0, atol=1e-15)
    assert np.all(np.diff(tables.alpha_bar) < 0)
    assert all(np.all(np.isfinite(table)) for table in tables)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_respacing_keeps_alpha_bar(name):
    full = schedule.make_schedule(name, 1000)
    part = schedule.make_schedule(name, 1000, "10,15,20")
    assert len(part.betas) == 45
    # The last beta of cosine is nearly 1: its 1 - beta keeps twelve digits.
    np.testing.assert_allclose(part.alpha_bar, full.alpha_bar[part.network_time], rtol=1e-11)


def test_the_posterior_is_bayes_rule():
    """q(x_{t-1} | x_t, x_0) from the product of two Gaussians (Ho et al. 2020, eq. 7)."""
    tables = schedule.make_schedule("linear", 100)
    prior, step = 1 - tables.alpha_bar_prev[1:], tables.betas[1:]
    variance = 1 / (1 / prior + (1 - step) / step)
    np.testing.assert_allclose(tables.posterior_variance[1:], variance, rtol=1e-11)
    coef1 = variance * np.sqrt(tables.alpha_bar_prev[1:]) / prior
    np.testing.assert_allclose(tables.posterior_mean_coef1[1:], coef1, rtol=1e-11)
    coef2 = variance * np.sqrt(1 - step) / step
    np.testing.assert_allclose(tables.posterior_mean_coef2[1:], coef2, rtol=1e-11)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("t", [0, 7, 60])
def test_eps_x0_and_v_are_one_thing(batch, t):
    tables = schedule.make_schedule("cosine", 100)
    x_0, eps = draw(0, (*batch, 5)), draw(1, (*batch, 5))
    x_t = schedule.add_noise(tables, x_0, t, eps)
    v = schedule.v_from_x0_and_eps(tables, x_0, t, eps)
    # Dividing by noise (0.02 at t = 0) magnifies float32's rounding.
    close = {"atol": 3e-4, "rtol": 1e-5}
    np.testing.assert_allclose(schedule.eps_from_x0(tables, x_t, t, x_0), eps, **close)
    np.testing.assert_allclose(schedule.x0_from_eps(tables, x_t, t, eps), x_0, **close)
    np.testing.assert_allclose(schedule.x0_from_v(tables, x_t, t, v), x_0, atol=1e-6)
    np.testing.assert_allclose(schedule.eps_from_v(tables, x_t, t, v), eps, atol=1e-6)
    np.testing.assert_allclose(schedule.v_from_x0(tables, x_t, t, x_0), v, **close)
    np.testing.assert_allclose(schedule.v_from_eps(tables, x_t, t, eps), v, **close)
    previous = schedule.posterior_mean(tables, x_t, t, x_0)
    np.testing.assert_allclose(
        schedule.x0_from_previous(tables, x_t, t, previous), x_0, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("mean_type", ["epsilon", "x_start", "v", "previous_x"])
def test_a_perfect_output_of_any_type_gives_x0(mean_type):
    tables = schedule.make_schedule("linear", 100)
    t = jnp.asarray([0, 4, 30])
    x_0, eps = draw(0, (3, 5)), draw(1, (3, 5))
    x_t = schedule.add_noise(tables, x_0, t, eps)
    output = {
        "epsilon": eps,
        "x_start": x_0,
        "v": schedule.v_from_x0_and_eps(tables, x_0, t, eps),
        "previous_x": schedule.posterior_mean(tables, x_t, t, x_0),
    }[mean_type]
    found = schedule.x0_from_output(tables, x_t, t, output, mean_type)
    np.testing.assert_allclose(found, x_0, atol=1e-4)


def test_a_step_per_sample_equals_one_sample_at_a_time():
    tables = schedule.make_schedule("linear", 100)
    t = jnp.asarray([[0, 5, 99], [3, 50, 2]])
    x_0, eps = draw(0, (2, 3, 4)), draw(1, (2, 3, 4))
    together = schedule.add_noise(tables, x_0, t, eps)
    for i in np.ndindex(2, 3):
        np.testing.assert_array_equal(together[i], schedule.add_noise(tables, x_0[i], t[i], eps[i]))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_tables_take_the_type_of_x_also_when_traced(dtype):
    tables = schedule.make_schedule("linear", 100)
    x, t = jnp.ones((2, 3), dtype), np.asarray([1, 2])
    moved = schedule.add_noise(tables, x, t, x)
    traced = jax.jit(schedule.add_noise)(tables, x, t, x)
    assert moved.dtype == traced.dtype == dtype
    np.testing.assert_allclose(
        np.asarray(moved, np.float32), np.asarray(traced, np.float32), rtol=1e-2
    )


@pytest.mark.parametrize(
    ("respacing", "kept"),
    [
        ("", range(20)),
        ("ddim5", range(0, 20, 4)),
        ("1", [0]),
        ("20", range(20)),
        ("2", [0, 19]),
        ("2,3", [0, 9, 10, 14, 19]),
        (" 2, 3", [0, 9, 10, 14, 19]),
    ],
)
def test_a_respacing_string_keeps_these_steps(respacing, kept):
    assert list(schedule.kept_steps(20, respacing)) == list(kept)


@pytest.mark.parametrize(
    "respacing", ["ddim8", "ddim", "ddim0", "21", "0", "-3", "2,x", "11,1", ",", "1.5"]
)
def test_a_respacing_string_that_cannot_be_is_refused_by_name(respacing):
    with pytest.raises(ValueError, match=f"respacing '{respacing}'"):
        schedule.kept_steps(20, respacing)


@pytest.mark.parametrize("steps", [0, -1, 20])
def test_a_linear_schedule_of_too_few_steps_is_refused(steps):
    with pytest.raises(ValueError, match=str(steps)):
        schedule.make_schedule("linear", steps)


def test_one_step_has_finite_tables():
    for tables in (schedule.make_schedule("cosine", 1), schedule.make_schedule("linear", 99, "1")):
        assert all(np.all(np.isfinite(table)) for table in tables)


@pytest.mark.parametrize(
    ("t", "alpha_bar"),
    [(0, 0.999958716), (2, 0.999861581), (50, 0.991724685), (100, 0.971575682), (950, 0.005820149)],
)
def test_the_cosine_schedule_has_the_published_numbers(t, alpha_bar):
    found = schedule.make_schedule("cosine", 1000).alpha_bar[t]
    np.testing.assert_allclose(found, alpha_bar, atol=1e-9)
