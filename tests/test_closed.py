"""Denoisers in closed form: linear algebra, Monte Carlo, limits, and the law of a DDIM chain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import guidance, sampling
from diffjax import schedule as noising
from diffjax.denoisers import closed

SIZE = 6
SCHEDULE = noising.make_schedule("cosine", 1000)


def covariance_and_mean(seed=0):
    random = np.random.default_rng(seed)
    mix = random.normal(size=(SIZE, SIZE)) * np.linspace(0.1, 1.0, SIZE)
    return mix @ mix.T, random.normal(size=SIZE)


@pytest.fixture(scope="module")
def gaussian():
    covariance, mean = covariance_and_mean()
    values, columns = np.linalg.eigh(covariance)
    return closed.Gaussian(mean, columns, values)


def test_the_fit_is_the_samples_mean_and_covariance():
    covariance, mean = covariance_and_mean()
    vectors = np.random.default_rng(1).multivariate_normal(mean, covariance, 500)
    found = closed.fit_gaussian(vectors, ridge=0.01)
    rebuilt = (found.eigenvectors * found.eigenvalues) @ found.eigenvectors.T
    np.testing.assert_allclose(rebuilt, np.cov(vectors.T, bias=True) + 0.01 * np.eye(SIZE))
    np.testing.assert_allclose(found.mean, vectors.mean(0))
    assert all(part.dtype == np.float64 for part in found)


def test_a_fit_of_few_or_constant_vectors_is_usable_and_of_nan_refused():
    found = closed.fit_gaussian(np.ones((2, SIZE)), ridge=0.25)
    np.testing.assert_allclose(found.eigenvalues, 0.25)
    denoise = closed.gaussian_prior(SCHEDULE, found)
    assert np.isfinite(denoise(jnp.zeros((3, SIZE)), 50, None)).all()
    with pytest.raises(ValueError, match="1 of them not finite"):
        closed.fit_gaussian(np.array([[1.0], [np.nan]]))


@pytest.mark.parametrize("t", [0, 1, 50, 500, 999])
def test_the_denoiser_is_the_conditional_mean_of_linear_algebra(gaussian, t):
    """E[x_0 | x_t] = mean + s C (s^2 C + (1 - s^2) I)^-1 (x_t - s mean), in float64."""
    covariance, mean = covariance_and_mean()
    bar = SCHEDULE.alpha_bar[t]
    x_t = np.random.default_rng(2).normal(size=(5, SIZE))
    precision = np.linalg.inv(bar * covariance + (1 - bar) * np.eye(SIZE))
    signal = np.sqrt(bar)
    wanted = mean + signal * (x_t - signal * mean) @ precision @ covariance
    with jax.enable_x64(True):
        found = closed.gaussian_prior(SCHEDULE, gaussian)(jnp.asarray(x_t), t, None)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    single = closed.gaussian_prior(SCHEDULE, gaussian)(jnp.asarray(x_t, jnp.float32), t, None)
    np.testing.assert_allclose(single, wanted, rtol=1e-4, atol=1e-4)


def test_the_denoiser_is_the_regression_of_x_0_on_x_t(gaussian):
    """By drawing pairs: knows nothing of the formula."""
    covariance, mean = covariance_and_mean()
    random, t = np.random.default_rng(3), 400
    x_0 = random.multivariate_normal(mean, covariance, 200_000)
    x_t = SCHEDULE.signal[t] * x_0 + SCHEDULE.noise[t] * random.normal(size=x_0.shape)
    ones = np.ones((len(x_t), 1))
    slopes = np.linalg.lstsq(np.concatenate([x_t, ones], 1), x_0, rcond=None)[0]
    probe = np.concatenate([random.normal(size=(20, SIZE)), np.ones((20, 1))], 1)
    found = closed.gaussian_prior(SCHEDULE, gaussian)(jnp.asarray(probe[:, :-1], jnp.float32), t)
    np.testing.assert_allclose(found, probe @ slopes, atol=0.03)


def test_little_noise_leaves_x_and_much_noise_leaves_the_mean(gaussian):
    x = jnp.asarray(np.random.default_rng(4).normal(size=(3, SIZE)), jnp.float32)
    wide = gaussian._replace(eigenvalues=gaussian.eigenvalues + 1.0)
    denoise = closed.gaussian_prior(SCHEDULE, wide)
    np.testing.assert_allclose(denoise(x, 0), x, atol=1e-3)
    far = np.broadcast_to(gaussian.mean, x.shape)
    np.testing.assert_allclose(denoise(x, 999), far, atol=1e-3)


def test_a_very_wide_gaussian_is_no_prior(gaussian):
    x = jnp.asarray(np.random.default_rng(4).normal(size=(2, 3, SIZE)), jnp.float32)
    wide = gaussian._replace(eigenvalues=np.full(SIZE, 1e6))
    found = closed.gaussian_prior(SCHEDULE, wide)(x, 300)
    np.testing.assert_allclose(found, closed.no_prior(SCHEDULE)(x, 300), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_one_time_a_sample_is_one_sample_at_a_time(gaussian, batch):
    random = np.random.default_rng(5)
    x = jnp.asarray(random.normal(size=(*batch, SIZE)), jnp.float32)
    t = jnp.asarray(random.integers(0, 1000, batch), jnp.int32)
    for denoise in (closed.no_prior(SCHEDULE), closed.gaussian_prior(SCHEDULE, gaussian)):
        together = np.asarray(denoise(x, t, None)).reshape(-1, SIZE)
        flat = zip(x.reshape(-1, SIZE), t.reshape(-1))
        alone = np.stack([denoise(row, int(time), None) for row, time in flat])
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_a_ddim_chain_maps_the_unit_normal_to_the_gaussian(gaussian):
    """The chain is linear here: its matrix, read off the unit vectors, squares to the covariance."""
    # Every tenth step: what is left is the discretisation.
    times = tuple(range(999, -1, -3))
    with jax.enable_x64(True):
        denoise = closed.gaussian_prior(SCHEDULE, gaussian)
        start = jnp.concatenate([jnp.eye(SIZE), jnp.zeros((1, SIZE))])
        end = np.asarray(sampling.ddim_chain(denoise, SCHEDULE, start, None, times))
    np.testing.assert_allclose(end[-1], gaussian.mean, atol=0.02)
    matrix = end[:-1] - end[-1]
    covariance, _ = covariance_and_mean()
    np.testing.assert_allclose(matrix.T @ matrix, covariance, atol=0.02 * np.trace(covariance))


def test_weights_are_arguments_of_compiled_code(gaussian):
    """Another Gaussian, and no prior of another schedule, compile nothing."""
    traced = []

    @jax.jit
    def run(denoiser, x):
        traced.append(0)
        return denoiser(x, 50, None)

    x = jnp.ones((2, SIZE))
    for scale in (1.0, 2.0):
        run(closed.gaussian_prior(SCHEDULE, gaussian._replace(mean=scale * gaussian.mean)), x)
    assert len(traced) == 1
    other = noising.make_schedule("linear", 1000)
    for schedule in (SCHEDULE, other):
        np.testing.assert_allclose(
            run(closed.no_prior(schedule), x), 1.0 / schedule.signal[50], rtol=1e-5
        )
    assert len(traced) == 2


def test_inversion_and_sampling_without_a_prior_return_the_vector():
    x = jnp.asarray(np.random.default_rng(6).normal(size=(2, SIZE)), jnp.float32)
    found = guidance.invert_and_guide(
        closed.no_prior(SCHEDULE),
        SCHEDULE,
        lambda x, context: 0.0 * jnp.sum(x, -1),
        x,
        None,
        strength=1.0,
        rounds=3,
    )
    # Times 0 to 50 and back to 0, whose alpha_bar is not quite 1.
    np.testing.assert_allclose(found, x, atol=1e-3)
