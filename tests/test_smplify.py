"""SMPLify's terms, and a denoiser as an energy: what is right costs nothing, and the gradient is x - x_0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import joint_limits, pose, schedule
from diffjax.methods import denoised, smplify
from diffjax.pose import Pose

pytestmark = pytest.mark.usefixtures("quick_to_compile")

SCHEDULE = schedule.make_schedule("linear", 300)
NORMALISER = pose.Normaliser(np.zeros(154, np.float32), np.full(154, 0.5, np.float32))


def nothing(people, evidence):
    return jnp.zeros(people.betas.shape[:-1])


def rest(*batch):
    return Pose(jnp.broadcast_to(jnp.eye(3), (*batch, 24, 3, 3)), jnp.zeros((*batch, 10)))


def test_what_is_possible_and_mean_costs_nothing():
    energy = smplify.total(nothing, nothing, smplify.Weights())
    value, gradient = jax.jit(jax.value_and_grad(lambda p: energy(p, None)))(rest())
    assert value == 0
    assert all(jnp.abs(x).max() == 0 for x in gradient)


def test_every_term_has_its_weight(rng):
    person = tiny.person((3,), rng, scale=2.0)
    ones = lambda people, evidence: jnp.ones(people.betas.shape[:-1])  # noqa: E731
    energy = smplify.total(ones, ones, smplify.Weights(2.0, 3.0, 4.0))
    limits = jax.jit(joint_limits.joint_limits)(person.rotations)
    assert (limits > 0).all()
    wanted = 1 + 2 + 3 * limits + 2 * jnp.sum(person.betas**2, -1)
    np.testing.assert_allclose(jax.jit(energy)(person, None), wanted, rtol=1e-5)


def shrinking(x, t, context):
    """A denoiser that takes half of what it sees."""
    return 0.5 * x


def test_a_denoiser_that_keeps_a_pose_is_silent(rng):
    person = tiny.person((2,), rng)
    signal = SCHEDULE.signal[200].astype(np.float32)
    energy = denoised.energy(lambda x, t, c: x / signal, SCHEDULE, NORMALISER, "sixd154")
    np.testing.assert_allclose(energy(person, None), 0.0, atol=1e-8)


def test_the_gradient_is_what_the_denoiser_would_change(rng):
    """Through betas, which the vector holds as they are but for their scale."""
    person = tiny.person((2,), rng)
    energy = denoised.energy(shrinking, SCHEDULE, NORMALISER, "sixd154", 200)
    gradient = jax.grad(lambda b: jnp.sum(energy(person._replace(betas=b), None)))(person.betas)
    x = person.betas / 0.5
    wanted = (x - 0.5 * SCHEDULE.signal[200] * x) / 0.5
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4)
