"""A mixture of poses: one component is a Gaussian, many are their sum, and the gradient is finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import stats

from diffjax.methods import mixture

pytestmark = pytest.mark.usefixtures("quick_to_compile")

surprise = jax.jit(mixture.surprise)


def some(components, d, rng):
    """Weights, means and covariances."""
    factors = rng.normal(size=(components, d, d)) * 0.3 + np.eye(d)
    weights = rng.dirichlet(np.ones(components))
    return weights, rng.normal(size=(components, d)), factors @ factors.swapaxes(-1, -2)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_one_component_is_half_the_squared_mahalanobis_distance(batch, rng):
    _, means, covariances = some(1, 4, rng)
    x = rng.normal(size=(*batch, 4)).astype(np.float32)
    off = x - means[0]
    wanted = 0.5 * np.einsum("...i,ij,...j->...", off, np.linalg.inv(covariances[0]), off)
    model = mixture.from_moments(np.ones(1), means, covariances)
    np.testing.assert_allclose(surprise(model, x), wanted, rtol=1e-4)


def test_differences_are_those_of_scipys_densities(rng):
    weights, means, covariances = some(3, 4, rng)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    density = sum(
        w * stats.multivariate_normal(m, c).pdf(x) for w, m, c in zip(weights, means, covariances)
    )
    found = surprise(mixture.from_moments(weights, means, covariances), x)
    np.testing.assert_allclose(found - found[0], -np.log(density / density[0]), atol=1e-4)


def test_it_is_below_the_likeliest_component_by_the_log_of_their_number_at_most(rng):
    """SMPLify takes the likeliest for the sum."""
    weights, means, covariances = some(3, 4, rng)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    whole = mixture.from_moments(weights, means, covariances)
    scales = whole.log_scales - whole.log_scales.max()
    alone = [surprise(mixture.Mixture(*(part[i : i + 1] for part in whole)), x) for i in range(3)]
    least = np.min([one - scale for one, scale in zip(alone, scales)], 0)
    found = surprise(whole, x)
    assert (found <= least + 1e-5).all()
    assert (found >= least - np.log(3) - 1e-5).all()


def test_far_away_the_gradient_is_finite_and_leads_back(rng):
    model = mixture.from_moments(*some(3, 4, rng))
    far = jnp.full((4,), 1e3)
    gradient = jax.grad(lambda x: surprise(model, x))(far)
    assert jnp.isfinite(gradient).all()
    assert surprise(model, far - 0.1 * gradient / jnp.linalg.norm(gradient)) < surprise(model, far)


def test_two_heaps_are_found(rng):
    heaps = np.concatenate([rng.normal(size=(60, 5)) * 0.1 + m for m in (-1.0, 1.0)])
    model = mixture.fit_mixture(heaps, 2)
    np.testing.assert_allclose(np.sort(model.means.mean(-1)), [-1, 1], atol=0.1)
    at_heap, between = (
        surprise(model, np.ones(5, np.float32)),
        surprise(model, np.zeros(5, np.float32)),
    )
    assert at_heap < between


def test_too_few_poses_or_nan_are_refused(rng):
    with pytest.raises(ValueError, match="at least 16 finite poses, found 15"):
        mixture.fit_mixture(rng.normal(size=(15, 5)))
    poses = rng.normal(size=(20, 5))
    poses[3] = np.nan
    with pytest.raises(ValueError, match="found 20, 1 of them not finite"):
        mixture.fit_mixture(poses)


def test_the_root_does_not_matter(rng):
    person, other = (tiny.person((2,), rng) for _ in range(2))
    turned = person._replace(rotations=person.rotations.at[:, 0].set(other.rotations[:, 0]))
    numbers = jax.jit(mixture.body_numbers)
    assert numbers(person).shape == (2, 69)
    np.testing.assert_array_equal(numbers(person), numbers(turned))
