"""Searches on N forced host devices under shard_map; exits 1 where the compiled code has a collective.

python tests/sharded_search.py DEVICES OUT.npz
"""

import os
import re
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[1]}"

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from diffjax import config, denoisers, schedule, search

COLLECTIVE = r"all-(reduce|gather|to-all)|collective-permute|reduce-scatter"


def rms(x, context):
    return jnp.sqrt(jnp.mean((x - context["target"]) ** 2, -1))


def main() -> None:
    tables = schedule.make_schedule("linear", 100)
    model = config.Model(kind="paper", width=32, depth=2, vector="sixd144")
    network = denoisers.make_network(model, config.Diffusion())
    params = denoisers.init_params(jax.random.key(0), network, jnp.zeros((1, 144)))
    denoiser = denoisers.bind(network, params, tables)
    x, target = jax.random.normal(jax.random.key(1), (2, 8, 144))
    mesh, batch = Mesh(np.asarray(jax.devices()), ("data",)), PartitionSpec("data")

    @jax.jit
    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(PartitionSpec(), batch, batch, batch),
        out_specs=batch,
        check_vma=False,  # Loops start from constants, which are alike on all devices.
    )
    def sharded(denoiser, x, target, ids):
        return search.search_steps(
            denoiser, tables, x, rms, {"target": target},
            max_step=20, patience=2, key=jax.random.key(2), ids=ids,
        )  # fmt: skip

    arguments = denoiser, x, target, jnp.arange(8)
    compiled = sharded.lower(*arguments).compile().as_text()
    assert "while" in compiled
    if re.search(COLLECTIVE, compiled):
        sys.exit("a collective in the compiled search")
    found = sharded(*arguments)
    np.savez(sys.argv[2], **found._asdict())


if __name__ == "__main__":
    main()
