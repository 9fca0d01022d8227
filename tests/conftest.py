"""Harsh flags for every test: no GPU, strict dtype promotion, a small body."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Halves the time it takes to compile the body's gradient, and the memory maps; the compiled code is as fast.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

import jax
import numpy as np
import pytest

from diffjax import body

jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps():
    """Compiled code that no test will call again goes, long before the kernel's limit of 65,530 maps."""
    yield
    maps = Path("/proc/self/maps")  # Linux only; elsewhere there is no such limit.
    if maps.exists() and maps.read_bytes().count(b"\n") > 12_000:
        jax.clear_caches()


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
def keypoints(toy_body) -> body.KeypointModel:
    """17 keypoints of the toy body."""
    regressor = np.random.default_rng(1).random((17, 60)) ** 12
    return body.fold_keypoints(toy_body, regressor / regressor.sum(1, keepdims=True))


@pytest.fixture
def rng() -> np.random.Generator:
    """Begins anew in every test: what a test draws does not depend on those run before it."""
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def quick_to_compile():
    """What runs for milliseconds need not be optimised for seconds."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
