"""Harsh flags for every test: no GPU, strict dtype promotion, a small body."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Halves the time it takes to compile the body's gradient; the compiled code is as fast.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import jax
import numpy as np
import pytest

from diffjax import body

jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(scope="session")
def toy_body() -> body.BodyModel:
    """A 24-joint body of 60 random vertices with non-zero pose blend shapes: no licence, no file."""
    random = np.random.default_rng(0)
    skin = random.random((60, 24)) ** 8 + 1e-6
    regressor = random.random((24, 60)) ** 8 + 1e-6
    return body.body_from_arrays(
        template=random.normal(size=(60, 3)) * 0.5,
        shape_dirs=random.normal(size=(60, 3, 10)) * 0.02,
        pose_dirs=random.normal(size=(60, 3, 207)) * 0.01,
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        skin_weights=skin / skin.sum(1, keepdims=True),
    )


@pytest.fixture(scope="session")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def quick_to_compile():
    """What runs for milliseconds need not be optimised for seconds."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
