"""Networks, and the one place where a network becomes a denoiser `(x_t, t, context) -> x_0`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, PyTree

from diffjax import config, pose
from diffjax import schedule as schedules
from diffjax.denoisers import conditioned, mlp

Params = dict[str, Any]
"""A plain dict tree of arrays."""

MEAN_TYPES: dict[str, schedules.MeanType] = {"eps": "epsilon", "x_0": "x_start", "v": "v"}
"""A config's `prediction` in the words of `schedule` and `losses`."""


def make_network(
    model: config.Model, diffusion: config.Diffusion, features: int = 0, keypoints: int = 0
) -> nn.Module:
    """The network of a config. Learned variances come after the prediction, in as many numbers.

    `features` and `keypoints` say how many there are, where it is conditioned on them.
    """
    if model.kind == "scorehmr":
        return _make_scorehmr(model, diffusion, features, keypoints)
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


def _make_scorehmr(
    model: config.Model, diffusion: config.Diffusion, features: int, keypoints: int
) -> nn.Module:
    if diffusion.variance.startswith("learned"):
        raise ValueError(
            f"diffusion.variance: wanted a fixed one for model.kind 'scorehmr', got "
            f"{diffusion.variance!r}; its output has no room for a variance"
        )
    if model.shape_features and model.shape_features >= features:
        raise ValueError(
            f"model.shape_features: wanted less than the {features} features there are, got "
            f"{model.shape_features}; condition on features, or pass --model.shape_features 0"
        )
    size = pose.VECTOR_SIZE[model.vector]
    widths = {"features": features, "keypoints": 3 * keypoints, "estimate": size}
    width, own = sum(widths[name] for name in model.condition), model.shape_features
    if model.branches == "joint":
        return conditioned.ConditionedMLP(size, model.width, model.depth, width)
    return conditioned.TwoBranches(
        size=size,
        split=pose.VECTOR_SIZE["sixd144"],
        hidden=model.width,
        depth=model.depth,
        condition_sizes=(width - own, width - features + own if own else width),
    )


def context_of(model: config.Model, known: Mapping[str, Array]) -> Any:
    """What a config's network takes as context, of all that is known of the people.

    `known`: `estimate` "*batch d" (a vector in the space of x), `keypoints` "*batch K 3" (pixels,
    confidence), `features` "*batch f" (standardised); any that the network is not conditioned on may
    be missing. ScoreHMR's network takes one row of numbers: what `model.condition` names, in its order.
    """
    if model.kind != "scorehmr":
        return known
    if missing := set(model.condition) - set(known):
        found = sorted(known)
        raise ValueError(f"denoiser context: wanted {sorted(missing)} too, found {found}")
    if not model.condition:
        return None
    if not model.shape_features:
        row = _row(model.condition, known)
        return {"features": row} | ({"shape_features": row} if model.branches == "separate" else {})
    features = known["features"]
    of_pose, of_shape = jnp.split(features, [features.shape[-1] - model.shape_features], -1)
    return {
        "features": _row(model.condition, {**known, "features": of_pose}),
        "shape_features": _row(model.condition, {**known, "features": of_shape}),
    }


def _row(names: tuple[str, ...], known: Mapping[str, Array]) -> Array:
    parts = {name: known[name] for name in names}
    if "keypoints" in parts:
        parts["keypoints"] = mlp.keypoint_features(parts["keypoints"])
    return jnp.concatenate([parts[name] for name in names], -1)


def init_params(key: Array, network: nn.Module, x: Array, context: PyTree = None) -> Params:
    """Fresh parameters for vectors and a context shaped as these."""
    return dict(network.init(key, x, jnp.zeros(x.shape[:-1], jnp.int32), context)["params"])


@no_type_check  # JAX rebuilds pytrees with placeholders, which a checked __init__ would refuse.
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Bound:
    """A network with its parameters: a denoiser, and the same one over columns.

    A pytree: passed to jit as an argument, its weights are no constants of the compiled code.
    """

    params: Params
    turned: Params | None
    """For columns: see `mlp.turned`."""
    table: Array | None
    """`time_features` of every step."""
    predict: Callable[..., Array] = dataclasses.field(metadata={"static": True})
    """(params, table, x_t, t, context, axis) -> x_0."""
    network: nn.Module = dataclasses.field(metadata={"static": True})
    prediction: str = dataclasses.field(metadata={"static": True})
    """What the network says: a key of MEAN_TYPES."""

    def __call__(self, x_t: Array, t: Any, context: PyTree) -> Array:
        """x_0 "*batch d" of x_t "*batch d", at one step t or at one a sample."""
        return self.predict(self.params, self.table, x_t, jnp.asarray(t), context, -1)

    def columns(self, x_t: Array, t: Any, context: PyTree) -> Array:
        """x_0 "d slots" of x_t "d slots", at one step t; the context is still a row a sample."""
        return self.predict(self.turned, self.table, x_t, jnp.asarray(t), context, 0)


def bind(
    network: nn.Module,
    params: Params,
    schedule: schedules.Schedule,
    prediction: str = "eps",
    tables: bool = True,
    dtype: Any = None,
) -> Bound:
    """The denoiser of a network with these parameters.

    With `tables`, all that depends on t alone (`network.time_features`) is computed here, once for
    every step of the schedule; without, at each call, which can be differentiated by the parameters
    and has no columns. `dtype` (bfloat16) is that of the factors of matrix products, all else stays
    as it is. Call it inside jit where params are traced.
    """
    if prediction not in MEAN_TYPES:
        raise ValueError(f"prediction: wanted one of {tuple(MEAN_TYPES)}, got {prediction!r}")
    mean_type = MEAN_TYPES[prediction]
    network_time = jnp.asarray(schedule.network_time)
    network = network if dtype is None else network.clone(dtype=jnp.dtype(dtype))

    def predict(params, table, x_t, t, context, axis):
        variables, size = {"params": params}, x_t.shape[axis]
        if table is None:
            output: Any = network.apply(variables, x_t, network_time[t], context)
        else:
            output = network.apply(variables, x_t, table[t], context, axis, method="from_features")
        predicted = lax.slice_in_dim(output, 0, size, axis=axis)
        return schedules.x0_from_output(schedule, x_t, t, predicted, mean_type)

    if not tables:
        return Bound(params, None, None, predict, network, prediction)
    table = network.apply({"params": params}, network_time, method="time_features")
    return Bound(params, mlp.turned(params), table, predict, network, prediction)


def count_params(params: Params) -> int:
    """Number of trained values."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
