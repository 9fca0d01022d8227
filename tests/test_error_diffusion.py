"""The forward process ends at the estimate, the chain has its closed form, and a perfect network undoes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import schedule as noising
from diffjax import windows
from diffjax.methods import (
    baselines,
    conditional_noise,
    error_normaliser,
    error_statistics,
)
from diffjax.methods import error_diffusion as diffusion

SCHEDULE = noising.make_schedule("cosine", 50)
J = 4

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def poses(rng, batch=(), time=5, scale=0.3):
    x = rng.normal(size=(*batch, time, J, 3)) * scale
    return jnp.asarray(x - x[..., :1, :], jnp.float32)


def identity():
    scale = np.ones((J, 3))
    scale[0] = 0.0
    return error_normaliser.Normaliser(np.zeros((J, 3)), scale)


def process(normaliser=None, **options):
    return diffusion.Process(SCHEDULE, normaliser or identity(), **options)


def flat(rng, batch=(), time=5):
    return jnp.asarray(rng.normal(size=(*batch, time, J, 2)), jnp.float32)


def statistics(rng, error):
    y = np.asarray(poses(rng, (20,), 30))
    stats = error_statistics.none(J)
    return error_statistics.add(stats, np.zeros((20, 30, J, 2)), y, y - error)


def test_the_schedule_has_the_published_values():
    np.testing.assert_allclose(SCHEDULE.alpha_bar[[0, 24]], [0.99825, 0.4938], rtol=1e-4)
    np.testing.assert_allclose(SCHEDULE.alpha_bar[[48, 49]], [9.7e-4, 9.7e-7], rtol=5e-3)
    share = diffusion.share(SCHEDULE)
    np.testing.assert_allclose(share[[49, 24]], [0.99902, 0.50308], atol=1e-5)
    assert np.all(np.diff(share) > 0)
    assert diffusion.total(SCHEDULE).argmax() == 24
    np.testing.assert_allclose(diffusion.total(SCHEDULE)[24], np.sqrt(2.0), rtol=1e-4)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_the_bridge_is_the_forward_process_in_units_of_its_size(batch, rng):
    x_0, error = poses(rng, batch), poses(rng, batch, scale=0.05)
    t = jnp.asarray(rng.integers(0, 50, batch), jnp.int32)
    size = jnp.asarray(diffusion.total(SCHEDULE), jnp.float32)[t][..., None, None, None]
    x_t = diffusion.forward(SCHEDULE, x_0, error, t)
    bridge = diffusion.bridge(SCHEDULE, x_0, error, t)
    np.testing.assert_allclose(x_t / size, bridge, atol=1e-6)
    shown = diffusion.shown(process(precondition=True), x_t, t)
    np.testing.assert_allclose(shown, bridge, atol=1e-6)
    np.testing.assert_array_equal(diffusion.shown(process(), x_t, t), x_t)
    again = diffusion.state_of_estimate(SCHEDULE, x_0 + error, error, t)
    np.testing.assert_allclose(again, x_t, atol=1e-6)


def test_at_the_last_step_the_noise_is_the_noisy_pose(rng):
    x_0, error = poses(rng), poses(rng, scale=0.05)
    last = diffusion.forward(SCHEDULE, x_0, error, 49)
    np.testing.assert_allclose(last, x_0 + error, atol=2e-3)


def test_two_iterations_of_fifty_visit_49_and_24():
    assert diffusion.timesteps(50, 2) == (49, 24, -1)
    assert diffusion.timesteps(50, 1) == (49, -1)
    assert diffusion.timesteps(50, 50) == (*range(49, -1, -1), -1)
    for iterations in range(1, 51):
        assert len(set(diffusion.timesteps(50, iterations))) == iterations + 1
    for wrong in (0, 51):
        with pytest.raises(ValueError, match="wanted 1 to 50"):
            diffusion.timesteps(50, wrong)


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_the_chain_has_its_closed_form(iterations, batch, rng):
    """x_0 = x_T / (a + b)_T - sum_k (g_k - g_{k+1}) e_k, with g = 0 at the end."""
    y, p = poses(rng, batch), flat(rng, batch)
    errors = jnp.asarray(rng.normal(size=(50, *y.shape[-3:])), jnp.float32).at[..., 0, :].set(0.0)
    predict = jax.jit(lambda x_t, p, t: errors[t])
    for init in ("paper", "scaled"):
        found = diffusion.refine(predict, process(), y, p, iterations=iterations, init=init)
        times = diffusion.timesteps(50, iterations)[:-1]
        g = np.append(diffusion.share(SCHEDULE)[list(times)], 0.0)
        wanted = np.asarray(y, np.float64) / (
            diffusion.total(SCHEDULE)[49] if init == "paper" else 1
        )
        for k, t in enumerate(times):
            wanted = wanted - (g[k] - g[k + 1]) * np.asarray(errors[t], np.float64)
        np.testing.assert_allclose(found, wanted, atol=3e-6)
    if iterations == 2:
        np.testing.assert_allclose(g[:2] - g[1:], [0.4959, 0.5031], atol=1e-4)


def test_a_perfect_network_leaves_a_shrink_of_a_thousandth_or_a_thousandth_of_the_error(rng):
    x_0, error = poses(rng, (8,)), poses(rng, (8,), scale=0.03)
    left = {
        init: diffusion.refine(
            lambda x_t, p, t: error, process(), x_0 + error, flat(rng, (8,)), init=init
        )
        - x_0
        for init in ("paper", "scaled")
    }
    shrink = 1.0 - 1.0 / diffusion.total(SCHEDULE)[49]
    np.testing.assert_allclose(shrink, 0.98e-3, rtol=1e-2)
    np.testing.assert_allclose(left["paper"], -shrink * x_0, atol=1e-6)
    np.testing.assert_allclose(left["scaled"], shrink * error, atol=1e-6)
    assert np.abs(left["scaled"]).max() < 0.15 * np.abs(left["paper"]).max()


def test_no_error_said_is_no_change(rng):
    y, p = poses(rng, (2,)), flat(rng, (2,))
    nothing = error_normaliser.fit(statistics(rng, 0.0))
    loud = lambda x_t, p, t: jnp.ones_like(x_t)  # noqa: E731
    # Coordinates that never err are not moved, whatever the network says.
    found = diffusion.refine(loud, process(nothing), y, p, init="scaled")
    np.testing.assert_allclose(found, y, atol=1e-6)


@pytest.mark.parametrize("kind", ["coordinate", "magnitude", "mean"])
def test_normalisers_are_undone_and_have_the_statistics_they_name(kind, rng):
    error = rng.normal(size=(20, 30, J, 3)) * rng.uniform(0.01, 0.1, (J, 3)) + 0.05
    error[..., 0, :] = 0.0
    by = error_normaliser.fit(statistics(rng, error), kind)
    said = error_normaliser.normalise(by, jnp.asarray(error, jnp.float32))
    np.testing.assert_allclose(error_normaliser.denormalise(by, said), error, atol=1e-6)
    assert not np.asarray(said)[..., 0, :].any()
    moving = np.asarray(said, np.float64)[..., 1:, :]
    if kind == "magnitude":
        np.testing.assert_allclose(np.abs(moving).mean(), 1.0, rtol=1e-5)
        assert np.unique(np.asarray(by.scale)[1:]).size == 1
    else:
        np.testing.assert_allclose(moving.mean((0, 1)), 0.0, atol=1e-5)
    if kind == "coordinate":
        np.testing.assert_allclose(moving.std((0, 1)), 1.0, rtol=1e-4)


def test_the_loss_is_zero_for_the_normalised_error_and_counts_what_errs(rng):
    by = error_normaliser.Normaliser(
        0.1 * np.ones((J, 3)) * (np.arange(J) > 0)[:, None], identity().scale / 3
    )
    x_0, error, p = poses(rng, (6,)), poses(rng, (6,), scale=0.05), flat(rng, (6,))
    t = jnp.arange(6, dtype=jnp.int32) * 9
    perfect = error_normaliser.normalise(by, error)
    weight = jnp.ones((6, 5)).at[:, 3:].set(0.0)

    def loss(said, weight=None):
        return diffusion.loss(lambda x_t, p, t: said, process(by), x_0, error, p, t, weight)

    np.testing.assert_allclose(loss(perfect), 0.0, atol=1e-10)
    np.testing.assert_allclose(loss(perfect + 2.0), 4.0, rtol=1e-5)
    np.testing.assert_allclose(loss(perfect.at[..., 0, :].add(9.0)), 0.0, atol=1e-10)
    np.testing.assert_allclose(loss(perfect.at[:, 3:].add(9.0), weight), 0.0, atol=1e-10)
    np.testing.assert_allclose(loss(perfect.at[:, :3].add(2.0), weight), 4.0, rtol=1e-5)


def test_the_network_sees_the_state_the_2d_and_its_own_time(rng):
    thinned = noising.make_schedule("cosine", 50, "10")
    x_0, error, p = poses(rng, (2,)), poses(rng, (2,), scale=0.05), flat(rng, (2,))
    t, seen = jnp.asarray([0, 9], jnp.int32), {}

    def predict(x_t, p, t):
        seen.update(x_t=x_t, p=p, t=t)
        return jnp.zeros_like(x_t)

    both = diffusion.Process(thinned, identity(), precondition=True)
    diffusion.loss(predict, both, x_0, error, p, t)
    np.testing.assert_array_equal(seen["t"], [0, 49])
    np.testing.assert_array_equal(seen["p"], p)
    np.testing.assert_allclose(seen["x_t"], diffusion.bridge(thinned, x_0, error, t), atol=1e-6)


def test_a_linear_chain_of_a_bridge_is_exact_with_the_true_error(rng):
    """From any state on the way, the true error leads to the truth."""
    x_0, error, p = poses(rng, (3,)), poses(rng, (3,), scale=0.05), flat(rng, (3,))
    for start, iterations in ((50, 2), (25, 1), (10, 5), (1, 1)):
        x = diffusion.forward(SCHEDULE, x_0, error, start - 1)
        times = diffusion.timesteps(start, iterations)
        found = diffusion.chain(lambda x_t, p, t: error, process(), x, p, times)
        np.testing.assert_allclose(found, x_0, atol=1e-6)


def test_an_ensemble_averages_to_its_prediction_and_starts_differ(rng):
    y, p = np.asarray(poses(rng, (20,), 30)), np.asarray(flat(rng, (20,), 30))
    error = 0.05 * rng.normal(size=y.shape)
    error[..., 0, :] = 0.0
    stats = error_statistics.add(error_statistics.none(J), p, y, y - error)
    model = conditional_noise.fit(stats)
    how = {"members": 64, "start": 25, "iterations": 1, "time": "iid"}
    some = jnp.asarray(y[0]), jnp.asarray(p[0])
    found = diffusion.ensemble(
        jax.random.key(0), lambda x_t, p, t: jnp.zeros_like(x_t), process(), model, *some, **how
    )
    assert found.shape == (64, *y[0].shape)
    # No error said: the start itself, y - (1 - g) e~.
    g = diffusion.share(SCHEDULE)[24]
    np.testing.assert_allclose(found.std(0)[:, 1:].mean(), (1 - g) * 0.05, rtol=0.1)
    wanted = some[0] - (1 - g) * conditional_noise.mean(model, some[1], some[0])
    np.testing.assert_allclose(found.mean(0), wanted, atol=0.02)


def test_a_network_that_says_the_conditional_mean_is_the_linear_baseline(rng):
    """A whole video, windows and chain in one compiled call."""
    p, y = np.asarray(flat(rng, (), 65)), np.asarray(poses(rng, (), 65))
    error = 0.02 * np.tanh(p[..., :1]) * np.ones(3) * (np.arange(J) > 0)[:, None]
    stats = error_statistics.add(error_statistics.none(J), p, y, y - error)
    model = conditional_noise.fit(stats)
    by = error_normaliser.fit(stats)
    cut = windows.windows(windows.plan((40, 25), 9))

    @jax.jit
    def video(y, p):
        expected = conditional_noise.mean(model, p, y)

        def refiner(y, p, expected):
            predict = lambda x_t, p, t: error_normaliser.normalise(by, expected)  # noqa: E731
            return diffusion.refine(predict, process(by), y, p, init="scaled")

        return windows.over_windows(refiner, cut, y, p, expected)

    baseline = baselines.linear_gaussian(model)(y, p, np.zeros(65, int))
    np.testing.assert_allclose(video(y, p), baseline, atol=1e-4)
    assert np.abs(baseline - y).max() > 0.01


def test_refining_compiles_whole_and_its_gradient_is_finite(rng):
    y, p = poses(rng, (2,)), flat(rng, (2,))

    def total(scale, y):
        predict = lambda x_t, p, t: scale * x_t * (t[:, None, None, None] + 1).astype(jnp.float32)  # noqa: E731
        return jnp.sum(diffusion.refine(predict, process(precondition=True), y, p) ** 2)

    gradient = jax.jit(jax.grad(total, (0, 1)))(jnp.float32(0.1), y)
    assert all(np.isfinite(g).all() for g in gradient)


def test_unknown_names_are_refused(rng):
    with pytest.raises((ValueError, TypeError), match=r"kind|normaliser"):
        error_normaliser.fit(statistics(rng, 0.0), "median")
    with pytest.raises((ValueError, TypeError), match="init"):
        diffusion.refine(lambda x_t, p, t: x_t, process(), poses(rng), flat(rng), init="noise")


def test_the_distance_is_in_metres_and_of_frames_that_count(rng):
    x_0, error = poses(rng, (2,)), poses(rng, (2,))
    weight = jnp.asarray([[1.0, 1, 0, 0, 0], [1.0, 1, 1, 1, 1]])
    off = jnp.zeros_like(error).at[:, :2, 1:].set(jnp.asarray([0.3, 0.0, 0.4]))

    def predict(x_t, p, t):
        return error + off

    each = diffusion.loss(
        predict, process(), x_0, error, flat(rng, (2,)), jnp.asarray([3, 49]), weight, "distance"
    )
    np.testing.assert_allclose(each, [0.5 * 3 / 4, 0.5 * 3 / 4 * 2 / 5], rtol=1e-3)
