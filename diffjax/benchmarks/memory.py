"""What large programs need on accelerators that are not here, by the account of XLA's compilers for them.

A compiler needs no device: `pip install libtpu` brings TPUs', `pip install jax-cuda12-plugin jax-cuda12-pjrt` (of
JAX's own version) that of NVIDIA's GPUs. Then, with two switches that keep them from looking for a device:

    JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1 python scripts/benchmark.py memory

Nothing runs: this is memory and whether a program compiles, not time.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jaxtyping import PyTree

from diffjax import config
from diffjax.benchmarks import body as bodies
from diffjax.benchmarks import scorehmr
from diffjax.benchmarks.timing import Row
from diffjax.methods import d3prefiner
from diffjax.sequences import tasks, training

_H100 = """
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "sm_90a, 132 cores, 80 GB"
gpu_device_info {
  cuda_compute_capability { major: 9 } core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  device_memory_size: 84978434048 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
}
"""
TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "H100": ("cuda", {"topology_name": "", "topology": "1x1x1", "target_config": _H100}),
    "TPU v5e": ("tpu", {"topology_name": "v5e:2x2"}),
}
"""By name: JAX's platform, and how its compiler is told of the device."""
_CONFIG = "configs/d3prefiner_h36m_243.py"
_JOINTS, _JOINT_SET = 17, "h36m17"


class Program(NamedTuple):
    """A jitted function and what it is called with."""

    call: Any
    arguments: tuple[PyTree, ...]
    """Trees of arrays or of their shapes; all else is static."""


def device_of(name: str) -> Any:
    """A jax.Device of a target to compile for; RuntimeError where its compiler is not installed."""
    platform, told = TARGETS[name]
    try:
        return topologies.get_topology_desc(platform=platform, **told).devices[0]
    except Exception as error:  # Of a plugin that is not there, or of another version.
        raise RuntimeError(f"{type(error).__name__}: {_first_line(error)}") from error


def compiled(program: Program, device: Any) -> jax.stages.Compiled:
    """The program for that device, whether it is here or not."""
    where = jax.sharding.SingleDeviceSharding(device)

    def placed(leaf: Any) -> Any:
        if not hasattr(leaf, "shape"):
            return leaf
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    return program.call.lower(*(jax.tree.map(placed, x) for x in program.arguments)).compile()


def gigabytes(done: jax.stages.Compiled) -> float:
    """10^9 bytes of arguments, results and all between; what is donated counts once."""
    found = done.memory_analysis()
    assert found is not None
    held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return (held + found.temp_size_in_bytes) / 1e9


def fits(batch: int) -> Program:
    """ScoreHMR's loop as published (`benchmarks.scorehmr`)."""
    figure = bodies.make_figure(6890)
    regressor = scorehmr.make_regressor(6890)
    setting = scorehmr.make_setting(figure, regressor, batch)
    keypoints = scorehmr.keypoints_of(figure, regressor)
    return Program(scorehmr.ours, (setting, keypoints, scorehmr.ROUNDS))


def refiner_step(run: config.Run) -> Program:
    """A training step of a sequence refiner, the state given away."""
    random, frames = np.random.default_rng(0), 64
    p, y, x = (random.normal(size=(frames, _JOINTS, d)).astype(np.float32) for d in (2, 3, 3))
    statistics = d3prefiner.statistics_of(p, y, x, [frames])
    model = d3prefiner.fit(run, _JOINT_SET, statistics)
    rows = run.train.batch_size, run.sequence.window
    shapes = ((_JOINTS, 2), (_JOINTS, 3), (_JOINTS, 3), ())
    batch = tasks.Examples(*(jnp.zeros((*rows, *shape)) for shape in shapes))
    task = tasks.Task(model, batch, None)
    state = jax.eval_shape(lambda: training.init_state(run, task))
    return Program(jax.jit(training.make_step(run, task), donate_argnums=0), (state, batch))


def _long_windows(at_once: int) -> Program:
    run = config.load(config.locate(_CONFIG))
    return refiner_step(
        dataclasses.replace(run, sequence=dataclasses.replace(run.sequence, at_once=at_once))
    )


PROGRAMS: dict[str, Callable[[], Program]] = {
    "ScoreHMR's loop, 10 rounds, 4096 people": lambda: fits(4096),
    "D3PRefiner, a training step of 128 windows of 243 frames, 16 at a time": lambda: _long_windows(16),
    "the same, all at once": lambda: _long_windows(128),
}  # fmt: skip


def run(quick: bool = False) -> Iterator[Row]:
    """Every program on every target; `quick` takes the first."""
    for case, make in list(PROGRAMS.items())[: 1 if quick else None]:
        make = functools.cache(make)
        for name in TARGETS:
            yield Row(case, name, None, note=_account(make, name))


def _account(make: Callable[[], Program], name: str) -> str:
    start = time.perf_counter()
    try:
        device = device_of(name)
        done = compiled(make(), device)
    except RuntimeError as error:  # No compiler, or what does not fit the device.
        return f"not compiled: {_first_line(error)}"
    return f"{gigabytes(done):.2f} GB, compiled in {time.perf_counter() - start:.0f} s"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:160]
