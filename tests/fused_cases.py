"""The fused kernel in Pallas's GPU interpreter against the XLA engine; prints what was found as JSON.

A process of its own: the interpreter's threads wait for each other inside of XLA's, and need more of those
than this machine may have cores.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.pallas.mosaic_gpu.interpret import gpu_callbacks, params

from diffjax import denoisers, schedule
from diffjax.denoisers import mlp
from diffjax.search import fused, tiles

STEPS, COUNT = 20, 5


def make_problem(
    size=6,
    width=7,
    depth=2,
    prediction="eps",
    sampler="ddpm",
    dtype=None,
    legacy=False,
    output=None,
):
    network = mlp.PaperMLP(size, output or size, width, depth, legacy=legacy)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (COUNT, size))
    tables = schedule.make_schedule("cosine", STEPS)
    weights = denoisers.init_params(keys[1], network, x)
    weights = jax.tree.map(lambda p: p + 0.05 * jax.random.normal(keys[2], p.shape), weights)
    denoiser = denoisers.bind(network, weights, tables, prediction, dtype=dtype)
    key = jax.random.key(3) if sampler == "ddpm" else None
    return tiles.Problem(denoiser, tables, x, None, jnp.arange(COUNT), key, False)


def make_noise(problem, rows=STEPS):
    everyone, count = jnp.arange(COUNT), jnp.asarray(COUNT)
    more = functools.partial(tiles.more_noise, problem, tiles.no_noise(problem, rows))
    return jax.jit(more)(jnp.asarray(rows), everyone, count)


def compare(problem, starts, samples=None, rows=STEPS, races=False):
    """The largest difference relative to the largest result, and whether start 0 kept every bit."""
    starts = jnp.asarray(starts)
    samples = jnp.asarray((np.arange(len(starts)) * 3 + 1) % COUNT if samples is None else samples)
    noise = make_noise(problem, rows)
    interpret = params.InterpretGPUParams(detect_races=races)
    fuse = functools.partial(fused.run_tile, problem, noise, interpret=interpret)
    found = np.asarray(jax.jit(fuse)(samples, starts))
    wanted = jax.jit(functools.partial(tiles.run_tile, problem, noise))(samples, starts)
    idle = np.asarray(starts) == 0
    kept = np.array_equal(found[idle], np.asarray(problem.x[samples])[idle])
    error = float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))
    return {"error": error, "kept": kept, "races": races and gpu_callbacks.get_races().races_found}


def main():
    slots = np.arange(fused.BLOCK)
    cases = {
        "eps, steps above the noise table": lambda: compare(
            make_problem(), [0, 3, 18, 20, 1], rows=17, races=True
        ),
        "v, ddim, one layer, authors' last ReLU": lambda: compare(
            make_problem(prediction="v", sampler="ddim", depth=1, legacy=True), [2, 0, 1]
        ),
        "x_0, three layers, learned variance, consecutive samples": lambda: compare(
            make_problem(prediction="x_0", depth=3, output=12), slots // 60, slots % COUNT
        ),
        "226 wide, bfloat16": lambda: compare(
            make_problem(226, 226, dtype=jnp.bfloat16), [0, 2, 1]
        ),
    }
    print(json.dumps({name: case() for name, case in cases.items()}))


if __name__ == "__main__":
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_disable_most_optimizations", True)
    main()
