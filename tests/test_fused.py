"""The fused kernel computes what the XLA engine does, and lowers for a GPU that is not there."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.denoisers import mlp
from diffjax.search import fused

pytest.importorskip(
    "jax._src.pallas.mosaic_gpu.interpret.gpu_callbacks",
    reason="this version of JAX cannot interpret Mosaic GPU kernels",
)
import fused_cases

SCRIPT = pathlib.Path(__file__).with_name("fused_cases.py")


@pytest.fixture(scope="module")
def interpreted():
    # NPROC: how many threads XLA takes for the CPU's.
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "NPROC": "16"}
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_kernel_computes_what_the_engine_does(interpreted):
    exact = {name: case["error"] for name, case in interpreted.items() if "bf" not in name}
    assert len(exact) == 3
    assert max(exact.values()) < 1e-5, exact


def test_the_kernel_in_bfloat16_stays_near_the_engine(interpreted):
    # Both round the factors of products; the kernel also rounds the noise.
    assert 0 < interpreted["226 wide, bfloat16"]["error"] < 1e-2


def test_start_zero_keeps_every_bit_and_warpgroups_do_not_race(interpreted):
    assert all(case["kept"] and not case["races"] for case in interpreted.values()), interpreted


def test_samples_in_a_row_are_found_to_be():
    count = 5
    samples = jnp.arange(2 * fused.BLOCK) % count
    starts = jnp.arange(2 * fused.BLOCK) // 100
    together, origins = fused._origins(samples, starts, count)
    assert together
    np.testing.assert_array_equal(origins, samples[:: fused.ROWS])
    assert not fused._origins(samples[::-1], starts, count)[0]
    assert fused._origins(samples[::-1], 0 * starts, count)[0]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_the_kernel_lowers_for_a_gpu_without_one(sampler):
    problem = fused_cases.make_problem(226, 226, dtype=jnp.bfloat16, sampler=sampler)
    slots = jax.ShapeDtypeStruct((1024,), jnp.int32)
    fuse = jax.jit(functools.partial(fused.run_tile, problem, fused_cases.make_noise(problem)))
    text = fuse.trace(slots, slots).lower(lowering_platforms=("cuda",)).as_text()
    assert "mosaic_gpu" in text


def test_what_the_kernel_is_not_for_is_said():
    good = fused_cases.make_problem(dtype=jnp.bfloat16)

    def other(network):
        return good._replace(denoiser=dataclasses.replace(good.denoiser, network=network))

    network = good.denoiser.network
    assert fused.supports(good)
    assert not fused.supports(good._replace(one_step=True))
    assert not fused.supports(good._replace(denoiser=lambda x_t, t, context: x_t))
    assert not fused.supports(other(mlp.ResidualMLP(6, dtype=jnp.bfloat16)))
    for change in {"width": 257}, {"dtype": None}, {"condition": ("estimate",)}:
        assert not fused.supports(other(network.clone(**change)))
