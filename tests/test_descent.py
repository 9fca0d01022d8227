"""Minimisers: quadratics reach their minimum, L-BFGS beats Adam, and samples do not interact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from diffjax import descent

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def bowl(x):
    """Minimum at 1, 2, ..., curvatures from 1 to 100."""
    wanted = jnp.arange(1.0, x.shape[-1] + 1.0)
    return 0.5 * jnp.sum(jnp.logspace(0, 2, x.shape[-1]) * (x - wanted) ** 2, -1)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_lbfgs_reaches_the_minimum_of_a_quadratic(batch):
    start = jnp.asarray(np.random.default_rng(0).normal(size=(*batch, 8)), jnp.float32)
    found = jax.jit(lambda x: descent.descend_lbfgs(bowl, x, iterations=60))(start)
    np.testing.assert_allclose(found, np.broadcast_to(np.arange(1, 9), found.shape), atol=1e-3)


def test_adam_reaches_the_minimum_of_a_quadratic():
    start = jnp.zeros((2, 8))
    found = descent.descend_adam(bowl, start, iterations=1000, learning_rate=0.3)
    np.testing.assert_allclose(found, np.tile(np.arange(1, 9), (2, 1)), atol=1e-2)


def rosenbrock(x):
    return jnp.sum(100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2, -1)


def test_lbfgs_beats_adam_at_equal_gradients():
    start = jnp.asarray(np.random.default_rng(1).normal(size=(5, 6)), jnp.float32)
    for objective, gradients in ((bowl, 30), (rosenbrock, 150)):
        ours = objective(descent.descend_lbfgs(objective, start, iterations=gradients))
        adams = [
            objective(descent.descend_adam(objective, start, iterations=gradients, learning_rate=r))
            for r in (0.01, 0.03, 0.1, 0.3, 1.0)
        ]
        assert np.mean(ours) < np.mean(adams, -1).min()


def test_lbfgs_never_rises_whatever_the_number_of_gradients():
    start = jnp.asarray(3 * np.random.default_rng(2).normal(size=(5, 6)), jnp.float32)
    run = jax.jit(
        lambda x, n: descent.descend_lbfgs(rosenbrock, x, iterations=n, memory=3), static_argnums=1
    )
    values = np.stack([rosenbrock(run(start, n)) for n in (1, 2, 3, 5, 9, 20)])
    np.testing.assert_array_equal(run(start, 1), start)
    assert (np.diff(values, axis=0) <= 1e-5 * values[:-1]).all()


def test_lbfgs_ends_as_low_as_scipys():
    start = np.random.default_rng(3).normal(size=6)
    with jax.enable_x64(True):
        found = descent.descend_lbfgs(rosenbrock, jnp.asarray(start), iterations=200)
    wanted = optimize.minimize(optimize.rosen, start, jac=optimize.rosen_der, method="L-BFGS-B")
    assert optimize.rosen(np.asarray(found)) <= max(wanted.fun, 1e-8)


def test_each_sample_searches_its_own_line():
    """Scales of 1e-3 to 1e3 side by side, and each ends as it would alone."""
    scale = jnp.asarray([[1e-3], [1.0], [1e3]])
    objective = lambda x: scale[: len(x), 0] * rosenbrock(x)  # noqa: E731
    start = jnp.tile(jnp.asarray([[-1.0, 0.5, 0.3]]), (3, 1))
    together = descent.descend_lbfgs(objective, start, iterations=120)
    np.testing.assert_allclose(together, 1.0, atol=0.02)
    alone = descent.descend_lbfgs(objective, start[:1], iterations=120)
    np.testing.assert_allclose(together[:1], alone, atol=1e-3)


def test_a_cliff_of_nan_is_backed_away_from():
    def cliff(x):
        return jnp.sum(x - 2.0 * jnp.log(x), -1)  # NaN below 0; the minimum is 2.

    found = descent.descend_lbfgs(cliff, jnp.asarray([[0.05], [30.0]]), iterations=60)
    np.testing.assert_allclose(found, 2.0, atol=1e-2)
