"""Networks, and the one place where a network becomes a denoiser `(x_t, t, context) -> x_0`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PyTree

from diffjax import config, pose, sampling
from diffjax import schedule as schedules
from diffjax.denoisers import mlp

Params = dict[str, Any]
"""A plain dict tree of arrays."""

MEAN_TYPES: dict[str, schedules.MeanType] = {"eps": "epsilon", "x_0": "x_start", "v": "v"}
"""A config's `prediction` in the words of `schedule` and `losses`."""


def make_network(model: config.Model, diffusion: config.Diffusion) -> nn.Module:
    """The network of a config. Learned variances come after the prediction, in as many numbers."""
    size = pose.VECTOR_SIZE[model.vector]
    output_size = 2 * size if diffusion.variance.startswith("learned") else size
    settings: dict[str, Any] = {
        "output_size": output_size,
        "width": model.width,
        "depth": model.depth,
        "condition": model.condition,
    }
    if model.kind == "paper":
        return mlp.PaperMLP(size, legacy=model.legacy, **settings)
    return mlp.ResidualMLP(activation=model.activation, **settings)


def init_params(key: Array, network: nn.Module, x: Array, context: PyTree = None) -> Params:
    """Fresh parameters for vectors and a context shaped as these."""
    return dict(network.init(key, x, jnp.zeros(x.shape[:-1], jnp.int32), context)["params"])


def bind(
    network: nn.Module,
    params: Params,
    schedule: schedules.Schedule,
    prediction: str = "eps",
    tables: bool = True,
) -> sampling.Denoiser:
    """The denoiser of a network with these parameters.

    With `tables`, all that depends on t alone (`network.time_features`) is computed here, once for
    every step of the schedule; without, at each call. Call it inside jit where params are traced.
    """
    if prediction not in MEAN_TYPES:
        raise ValueError(f"prediction: wanted one of {tuple(MEAN_TYPES)}, got {prediction!r}")
    mean_type = MEAN_TYPES[prediction]
    variables = {"params": params}
    network_time = jnp.asarray(schedule.network_time)

    def time_features(t):
        return network.apply(variables, network_time[t], method="time_features")

    table = time_features(jnp.arange(network_time.shape[0])) if tables else None

    def denoise(variables, table, x_t, t, context):
        t = jnp.asarray(t)
        features = time_features(t) if table is None else table[t]
        output: Any = network.apply(variables, x_t, features, context, method="from_features")
        predicted = output[..., : x_t.shape[-1]]
        return schedules.x0_from_output(schedule, x_t, t, predicted, mean_type)

    # A pytree: passed to jit as an argument, the weights are no constants of the compiled code.
    return jax.tree_util.Partial(denoise, variables, table)


def count_params(params: Params) -> int:
    """Number of trained values."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
