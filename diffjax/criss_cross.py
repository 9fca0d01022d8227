"""Spatio-temporal criss-cross attention: half the channels look along a frame's joints, half along time.

The module of STCFormer (Tang et al. 2023), which D3PRefiner's network repeats. With y = LayerNorm(x) and
queries, keys and values of y, for the space half (a frame's joints) and the time half (a joint's frames),

    CrissCross(x) = x + W_o [softmax(s q k^T) v + conv(v)] + b_o,

where conv is a depthwise 3 x 3 convolution over the (T, J) plane of the values. It is written as nine shifted
products: on CPUs about 30 times faster than a grouped convolution of XLA, and one fused loop elsewhere.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Bool, Float

Layout = Literal["clean", "compat"]
"""`compat` is STCFormer as published, for its checkpoints: scores are scaled by (c/2)^-0.5, and the structure
embedding is added to the output of attention, 1e-4 of it to the space half and 1e-9 to the time half, where
it says next to nothing. `clean`: scale of one head's size; the embedding is added in full to the space half's
queries, keys and values, so that the network knows which joint is which."""

Attention = Literal["auto", "own", "xla", "cudnn"]
"""What computes softmax attention: `own` keeps its weights for the gradient, `xla` and `cudnn` are those of
`jax.nn.dot_product_attention` (cudnn: fused, of bfloat16, on NVIDIA's GPUs); `auto` takes the first for few keys."""

_LEGS = ("hip", "knee", "ankle", "foot", "heel", "toe")
_ARMS = ("collar", "shoulder", "elbow", "wrist", "hand")
_PARTS = {("right", "leg"): 1, ("left", "leg"): 2, ("left", "arm"): 3, ("right", "arm"): 4}
_OUTPUT_SHARES = 1e-4, 1e-9
_NEVER = -1e30
_LIBRARY: Any = {"xla": "xla", "cudnn": "cudnn"}
_UNIT: Any = nn.initializers.normal(1.0)
_ZEROS: Any = nn.initializers.zeros
_FAN_IN_9: Any = nn.initializers.variance_scaling(
    1 / 3, "fan_in", "uniform", in_axis=(0, 1), out_axis=(), batch_axis=2
)
"""Of a depthwise kernel: within 1 / 3."""

SHORT = 64
"""Up to so many keys, attention's weights are few and are kept for the gradient; it takes about two thirds of
the time of `jax.nn.dot_product_attention` on a CPU. Beyond, that one serves."""


def part_table(names: tuple[str, ...]) -> tuple[int, ...]:
    """The body part of each joint: 0 trunk and head, 1 right leg, 2 left leg, 3 left arm, 4 right arm."""

    def part(name: str) -> int:
        side, _, rest = name.partition("_")
        limb = "leg" if rest.endswith(_LEGS) else "arm" if rest.endswith(_ARMS) else ""
        return _PARTS.get((side, limb), 0)

    return tuple(part(name) for name in names)


@jax.custom_jvp
def gelu(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """x Phi(x), by the error function."""
    return nn.gelu(x, approximate=False)


@gelu.defjvp
def _gelu_jvp(primals, tangents):
    """Its slope is kept for the gradient: XLA would make the error function again for each use of it."""
    (x,), (dx,) = primals, tangents
    below = 0.5 * (1.0 + lax.erf(x * np.sqrt(0.5).astype(x.dtype)))
    density = jnp.exp(-0.5 * x * x) * np.sqrt(0.5 / np.pi).astype(x.dtype)
    return x * below, dx * (below + x * density)


@jax.custom_vjp
def convolve(
    values: Float[Array, "*batch T J c"],
    kernel: Float[Array, "3 3 c"],
    bias: Float[Array, " c"],
) -> Float[Array, "*batch T J c"]:
    """Depthwise, over frames and neighbours in the order of the joints; zeros lie outside."""
    return sum((w * k for w, k in zip(_windows(values), kernel.reshape(9, -1))), bias)


def _windows(values: Array) -> list[Array]:
    """The values moved by -1, 0, 1 frames and joints: nine of them."""
    frames, joints = values.shape[-3:-1]
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
    return [padded[..., i : i + frames, j : j + joints, :] for i in range(3) for j in range(3)]


def _convolve_forward(values, kernel, bias):
    return convolve(values, kernel, bias), (values, kernel)


def _convolve_backward(kept, slope):
    """Towards the values it is the turned convolution: XLA would pad nine products one by one."""
    values, kernel = kept
    axes = tuple(range(values.ndim - 1))
    of_kernel = [jnp.sum(window * slope, axes) for window in _windows(values)]
    of_values = convolve(slope, kernel[::-1, ::-1], jnp.zeros_like(kernel[0, 0]))
    return of_values, jnp.stack(of_kernel).reshape(kernel.shape), jnp.sum(slope, axes)


convolve.defvjp(_convolve_forward, _convolve_backward)


def attend(
    queries: Float[Array, "n Q heads d"],
    keys: Float[Array, "n K heads d"],
    values: Float[Array, "n K heads d"],
    scale: float,
    valid: Bool[Array, "n K"] | None = None,
    by: Attention = "auto",
) -> Float[Array, "n Q heads d"]:
    """Softmax attention to the valid keys; where there are none, to all of them alike."""
    if by == "own" or (by == "auto" and keys.shape[1] <= SHORT):
        bias = None if valid is None else jnp.where(valid, 0.0, _NEVER)[:, None, None, :]
        return _attend_short(queries * jnp.asarray(scale, queries.dtype), keys, values, bias)
    mask = None if valid is None else valid[:, None, None, :]
    # Inside, it adds numbers of several types.
    with jax.numpy_dtype_promotion("standard"):
        return jax.nn.dot_product_attention(
            queries, keys, values, mask=mask, scale=scale, implementation=_LIBRARY.get(by)
        )


@jax.custom_vjp
def _attend_short(q: Array, k: Array, v: Array, bias: Array | None) -> Array:
    return _attend_forward(q, k, v, bias)[0]


def _attend_forward(q, k, v, bias):
    scores = jnp.einsum("nqhd,nkhd->nhqk", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(scores if bias is None else scores + bias, -1).astype(v.dtype)
    out = jnp.einsum("nhqk,nkhd->nqhd", weights, v)
    return out, (q, k, v, weights, out)


def _attend_backward(kept, slope):
    """Of a row of weights w, w (s - w.s) with slopes s = g.V; and w.s is g.(w V), of d numbers only."""
    q, k, v, weights, out = kept
    of_weights = jnp.einsum("nqhd,nkhd->nhqk", slope, v)
    mean = jnp.einsum("nqhd,nqhd->nhq", slope, out)[..., None]
    of_scores = weights * (of_weights - mean)
    return (
        jnp.einsum("nhqk,nkhd->nqhd", of_scores, k),
        jnp.einsum("nhqk,nqhd->nkhd", of_scores, q),
        jnp.einsum("nhqk,nqhd->nkhd", weights, slope),
        None,
    )


_attend_short.defvjp(_attend_forward, _attend_backward)


class CrissCross(nn.Module):
    """x + attention along joints and along time: "*batch T J c" to the same."""

    heads: int = 8
    """Of each half: one is c / 2 / heads wide."""
    parts: tuple[int, ...] = ()
    """Row of the structure embedding for each joint, as `part_table` says; () has no embedding."""
    layout: Layout = "clean"
    conv: bool = True
    """Without it and without parts, the joints are a set."""
    apart: bool = False
    """Time attention goes joint by joint and is computed again for its gradient: a J-th of its memory."""
    dtype: Any = None
    """Of products and of what lies between them, such as bfloat16; x keeps its own."""
    attention: Attention = "auto"

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch T J c"], valid: Bool[Array, "*batch T"] | None = None
    ) -> Float[Array, "*batch T J c"]:
        width = x.shape[-1]
        size = width // (2 * self.heads)
        # Tokens as rows: XLA's gradient of a product over several leading axes takes twice the time.
        tokens = x.reshape(-1, width)
        y = nn.LayerNorm(epsilon=1e-5, name="norm")(tokens)
        qkv = nn.Dense(3 * width, dtype=self.dtype, name="qkv")(y)
        # (q, k, v), then (space, time).
        qkv = qkv.reshape(*x.shape[:-1], 3, 2, self.heads, size)
        space, time = qkv[..., 0, :, :], qkv[..., 1, :, :]
        structure = self._structure(size)
        if structure is not None and self.layout == "clean":
            space = space + structure.astype(space.dtype)
        scale = float((size if self.layout == "clean" else width // 2) ** -0.5)
        along = _along_joints(space, scale, self.attention), self._along_time(time, scale, valid)
        out = jnp.stack(along, -3)
        if structure is not None and self.layout == "compat":
            shares = jnp.asarray(_OUTPUT_SHARES, out.dtype)[:, None, None]
            out = out + structure[:, None, None].astype(out.dtype) * shares
        out = out.reshape(tokens.shape)
        if self.conv:
            values = jnp.stack([space[..., 2, :, :], time[..., 2, :, :]], -3).reshape(x.shape)
            out = out + self._convolved(values, valid).reshape(tokens.shape)
        out = tokens + nn.Dense(width, dtype=self.dtype, name="out")(out).astype(x.dtype)
        return out.reshape(x.shape)

    def _structure(self, size: int) -> Array | None:
        """Of each joint: "J 3 heads size" of q, k, v; in `compat` "J size", shared by the heads."""
        if not self.parts:
            return None
        inner = (3, self.heads, size) if self.layout == "clean" else (size,)
        shape = (max(self.parts) + 1, *inner)
        return self.param("structure", _UNIT, shape)[jnp.asarray(self.parts)]

    def _along_time(
        self, qkv: Float[Array, "*batch T J 3 heads d"], scale: float, valid: Array | None
    ) -> Float[Array, "*batch T J heads d"]:
        frames, joints = qkv.shape[-5:-3]
        flat = qkv.reshape(-1, *qkv.shape[-5:])
        seen = None if valid is None else valid.reshape(-1, frames)
        if self.apart:

            @jax.checkpoint
            def one(of_joint):
                return _attend_packed(of_joint, scale, seen, self.attention)

            out = jnp.moveaxis(lax.map(one, jnp.moveaxis(flat, 2, 0)), 0, 2)
        else:
            flat = jnp.swapaxes(flat, 1, 2).reshape(-1, frames, *qkv.shape[-3:])
            seen = None if seen is None else jnp.repeat(seen, joints, 0)
            out = _attend_packed(flat, scale, seen, self.attention)
            out = jnp.swapaxes(out.reshape(-1, joints, *out.shape[1:]), 1, 2)
        return out.reshape(*qkv.shape[:-3], *qkv.shape[-2:])

    def _convolved(self, values: Array, valid: Array | None) -> Array:
        width = values.shape[-1]
        kernel = self.param("kernel", _FAN_IN_9, (3, 3, width))
        bias = self.param("bias", _ZEROS, (width,))
        if valid is not None:
            values = values * valid[..., None, None].astype(values.dtype)
        return convolve(values, kernel.astype(values.dtype), bias.astype(values.dtype))


def _along_joints(
    qkv: Float[Array, "*batch T J 3 heads d"], scale: float, by: Attention
) -> Float[Array, "*batch T J heads d"]:
    flat = qkv.reshape(-1, *qkv.shape[-4:])
    out = _attend_packed(flat, scale, None, by)
    return out.reshape(*qkv.shape[:-3], *qkv.shape[-2:])


def _attend_packed(
    qkv: Float[Array, "n L 3 heads d"], scale: float, valid: Array | None, by: Attention
) -> Float[Array, "n L heads d"]:
    return attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], scale, valid, by)


class Mlp(nn.Module):
    """x + W_2 GELU(W_1 LayerNorm(x)), four times as wide inside."""

    bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "*batch c"]) -> Float[Array, "*batch c"]:
        width, common = x.shape[-1], {"use_bias": self.bias, "dtype": self.dtype}
        tokens = x.reshape(-1, width)
        y = nn.LayerNorm(epsilon=1e-5, name="norm")(tokens)
        y = gelu(nn.Dense(4 * width, name="expand", **common)(y))
        out = tokens + nn.Dense(width, name="contract", **common)(y).astype(x.dtype)
        return out.reshape(x.shape)
