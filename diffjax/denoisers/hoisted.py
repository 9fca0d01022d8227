"""ScoreHMR's network for a loop: what depends on the step or on the features alone is computed before it.

The features go through a layer norm together with the state, and still leave the loop by exact algebra. With
u = [h; c] of n numbers, kernel W, scale g and shift b of the norm,

    W LN(u) + bias = (W_h g_h h + P - m r) / sqrt(v + 1e-5) + k,    P = W_c g_c c,  r = W g,  k = W b + bias,

where m and v need only sum(c) and sum(c^2). For 3072 features that is a twelfth of the products.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_EPSILON = 1e-5


class Block(NamedTuple):
    """One block, its first layer folded with the norm before it."""

    of_state: Float[Array, "size hidden"]
    of_features: Float[Array, "features hidden"]
    of_mean: Float[Array, " hidden"]
    offset: Float[Array, " hidden"]
    scale: Float[Array, " hidden"]
    """Of the second norm, folded into the layer behind it."""
    shift: Float[Array, " size"]
    outward: Float[Array, "hidden size"]


class Network(NamedTuple):
    """A folded network; a pytree to pass to jit."""

    inward: tuple[Array, Array]
    """Kernel and bias."""
    blocks: tuple[Block, ...]
    outward: tuple[Array, Array]
    table: Float[Array, "steps depth 2 size"]
    """Scale and shift of every block at every step."""


class Projected(NamedTuple):
    """What the features are to the loop; made once a sample."""

    rows: Float[Array, "*batch depth hidden"]
    total: Float[Array, "*batch"]
    squares: Float[Array, "*batch"]
    count: Float[Array, "*batch"]
    """How many features there are."""


def fold(
    params: Mapping[str, Any], time_features: Float[Array, "steps features"], depth: int
) -> Network:
    """The network with these parameters (of `conditioned.ConditionedMLP`), and its `time_features` of every step."""
    size = params["inward"]["kernel"].shape[1]
    return Network(
        inward=_pair(params["inward"]),
        blocks=tuple(_folded(params[f"block_{i}"], size) for i in range(depth)),
        outward=_pair(params["outward"]),
        table=time_features.reshape(len(time_features), depth, 2, size),
    )


def _pair(layer: Mapping[str, Array]) -> tuple[Array, Array]:
    return layer["kernel"], layer["bias"]


def _folded(block: Mapping[str, Any], size: int) -> Block:
    first, second = block["norm_1"], block["norm_2"]
    kernel, bias = _pair(block["linear_1"])
    scaled = kernel * first["scale"][:, None]
    outward, last = _pair(block["linear_2"])
    return Block(
        of_state=scaled[:size],
        of_features=scaled[size:],
        of_mean=jnp.sum(scaled, 0),
        offset=first["bias"] @ kernel + bias,
        scale=second["scale"],
        shift=second["bias"] @ outward + last,
        outward=outward,
    )


def project(network: Network, features: Float[Array, "*batch features"]) -> Projected:
    """The context of the loop, from standardised features."""
    return Projected(
        rows=jnp.stack([features @ block.of_features for block in network.blocks], -2),
        total=jnp.sum(features, -1),
        squares=jnp.sum(features**2, -1),
        count=jnp.full(features.shape[:-1], features.shape[-1], features.dtype),
    )


def predict(
    network: Network, x: Float[Array, "*batch size"], t: Int[Array, ""], context: Projected
) -> Float[Array, "*batch size"]:
    """eps of x at one row t of the table."""
    kernel, bias = network.inward
    h = x @ kernel + bias
    for i, block in enumerate(network.blocks):
        scale, shift = network.table[t, i]
        h = h * (1.0 + scale) + shift
        h = h + _inner(block, h, context, context.rows[..., i, :])
    kernel, bias = network.outward
    return h @ kernel + bias


def _inner(block: Block, h: Array, context: Projected, row: Array) -> Array:
    count = context.count + h.shape[-1]
    mean = (jnp.sum(h, -1) + context.total) / count
    variance = (jnp.sum(h**2, -1) + context.squares) / count - mean**2
    product = h @ block.of_state + row - mean[..., None] * block.of_mean
    inner = _gelu(product * jax.lax.rsqrt(variance + _EPSILON)[..., None] + block.offset)
    offset = inner - jnp.mean(inner, -1, keepdims=True)
    unit = offset * jax.lax.rsqrt(jnp.mean(offset**2, -1, keepdims=True) + _EPSILON)
    return _gelu((unit * block.scale) @ block.outward + block.shift)


def _gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)
