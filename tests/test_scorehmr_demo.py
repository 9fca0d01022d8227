"""The prior that ships: inversion is undone."""

import jax
import jax.numpy as jnp
import pytest

from diffjax import annotate, body, config, demo, guidance, pose, sampling

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.fixture(scope="module")
def loaded():
    run = config.load("configs/scorehmr_demo.py")
    model = body.load_body(config.locate(run.data.body))
    return annotate.load_prior(run.parts.prior, model), demo.poses("val", model)


def test_inversion_and_unguided_sampling_return_the_pose(loaded):
    """Less than 1e-3 a dimension on average, as the paper has it, with its start and stride, on held-out people."""
    (prior, layout, _), people = loaded
    few = pose.Pose(jnp.asarray(people.pose[::40]), jnp.asarray(people.betas[::40]))
    x = pose.standardise(prior.normaliser, pose.vector_from_pose(few, layout))
    times = guidance.levels(50, 2)

    @jax.jit
    def there_and_back(x):
        noisy = sampling.ddim_invert(prior.denoiser, prior.schedule, x, None, times)
        return sampling.ddim_chain(prior.denoiser, prior.schedule, noisy, None, times[::-1])

    error = jnp.abs(there_and_back(x) - x) * prior.normaliser.std
    assert float(error.mean()) < 1e-3
    assert float(error.max()) < 2e-2
