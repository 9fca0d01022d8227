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

Packed = tuple[Array, Array, Array]
"""Queries, keys and values, "*batch T J heads d" each."""

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
    wide = jnp.promote_types(values.dtype, jnp.float32)
    # All nine along the joints in one pass: one by one, each would copy its window first.
    along = lax.reduce(
        tuple((window * slope).astype(wide) for window in _windows(values)),
        (np.zeros((), wide),) * 9,
        lambda sums, more: tuple(a + b for a, b in zip(sums, more)),
        (values.ndim - 2,),
    )
    of_kernel = jnp.stack([jnp.sum(a, axes[:-1]) for a in along])
    of_values = convolve(slope, kernel[::-1, ::-1], jnp.zeros_like(kernel[0, 0]))
    of_kernel = of_kernel.reshape(kernel.shape).astype(kernel.dtype)
    return of_values, of_kernel, jnp.sum(slope, axes)


convolve.defvjp(_convolve_forward, _convolve_backward)


@jax.custom_vjp
def normalise(
    x: Float[Array, "*batch c"], scale: Float[Array, " c"], bias: Float[Array, " c"]
) -> Float[Array, "*batch c"]:
    """LayerNorm over c, with epsilon 1e-5."""
    return _normalise_forward(x, scale, bias)[0]


def _normalise_forward(x, scale, bias):
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(x * x, -1, keepdims=True) - mean * mean
    rate = lax.rsqrt(jnp.maximum(variance, 0.0) + 1e-5)
    return (x - mean) * (rate * scale) + bias, (x, mean, rate, scale)


def _normalise_backward(kept, slope):
    """With y the normalised x and s = scale * slope: rate * (s - mean(s) - y mean(s y))."""
    x, mean, rate, scale = kept
    y, s = (x - mean) * rate, slope * scale
    common = jnp.mean(s, -1, keepdims=True) + y * jnp.mean(s * y, -1, keepdims=True)
    axes = tuple(range(x.ndim - 1))
    return rate * (s - common), jnp.sum(slope * y, axes), jnp.sum(slope, axes)


normalise.defvjp(_normalise_forward, _normalise_backward)


@jax.custom_vjp
def narrow(x: Float[Array, "n wide"], kernel: Float[Array, "wide c"]) -> Float[Array, "n c"]:
    """x @ kernel, for a kernel with more rows than columns."""
    return x @ kernel


def _narrow_backward(kept, slope):
    """The kernel's as slope^T x, transposed: on CPUs x^T slope takes half as long again."""
    x, kernel = kept
    return slope @ kernel.T, lax.optimization_barrier(slope.T @ x).T


narrow.defvjp(lambda x, kernel: (narrow(x, kernel), (x, kernel)), _narrow_backward)


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


class LayerNorm(nn.Module):
    """`nn.LayerNorm(epsilon=1e-5)` with a gradient of few passes."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch c"]) -> Float[Array, "*batch c"]:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", _ZEROS, x.shape[-1:])
        kind = jnp.promote_types(x.dtype, scale.dtype)
        return normalise(*(a.astype(kind) for a in (x, scale, bias)))


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
        y = LayerNorm(name="norm")(tokens)
        qkv = nn.Dense(3 * width, dtype=self.dtype, name="qkv")(y)
        # Split, not indexed: its gradient is laid end to end, where XLA would add up arrays mostly of zeros.
        qkv = jnp.split(qkv.reshape(*x.shape[:-1], -1), 3, -1)
        structure = self._structure(size)
        if structure is not None and self.layout == "clean":
            added = jnp.pad(structure.reshape(-1, 3, width // 2), ((0, 0), (0, 0), (0, width // 2)))
            qkv = [a + added[:, i].astype(a.dtype) for i, a in enumerate(qkv)]
        space, time = _halves(qkv, self.heads)
        scale = float((size if self.layout == "clean" else width // 2) ** -0.5)
        along = _along_joints(space, scale, self.attention), self._along_time(time, scale, valid)
        out = jnp.stack(along, -3)
        if structure is not None and self.layout == "compat":
            shares = jnp.asarray(_OUTPUT_SHARES, out.dtype)[:, None, None]
            out = out + structure[:, None, None].astype(out.dtype) * shares
        out = out.reshape(tokens.shape)
        if self.conv:
            out = out + self._convolved(qkv[2], valid).reshape(tokens.shape)
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
        self, qkv: Packed, scale: float, valid: Array | None
    ) -> Float[Array, "*batch T J heads d"]:
        shape = qkv[0].shape
        frames, joints = shape[-4:-2]
        flat = tuple(a.reshape(-1, *shape[-4:]) for a in qkv)
        seen = None if valid is None else valid.reshape(-1, frames)
        if self.apart:

            @jax.checkpoint
            def one(of_joint):
                queries, keys, values = of_joint
                return attend(queries, keys, values, scale, seen, self.attention)

            by_joint = tuple(jnp.moveaxis(a, 2, 0) for a in flat)
            return jnp.moveaxis(lax.map(one, by_joint), 0, 2).reshape(shape)
        queries, keys, values = (
            jnp.swapaxes(a, 1, 2).reshape(-1, frames, *shape[-2:]) for a in flat
        )
        seen = None if seen is None else jnp.repeat(seen, joints, 0)
        out = attend(queries, keys, values, scale, seen, self.attention)
        return jnp.swapaxes(out.reshape(-1, joints, *out.shape[1:]), 1, 2).reshape(shape)

    def _convolved(self, values: Array, valid: Array | None) -> Array:
        width = values.shape[-1]
        kernel = self.param("kernel", _FAN_IN_9, (3, 3, width))
        bias = self.param("bias", _ZEROS, (width,))
        if valid is not None:
            values = values * valid[..., None, None].astype(values.dtype)
        return convolve(values, kernel.astype(values.dtype), bias.astype(values.dtype))


def _halves(qkv: list[Array], heads: int) -> tuple[Packed, Packed]:
    """The space half of queries, keys and values "*batch T J c", and the time half."""
    halves = (jnp.split(a.reshape(*a.shape[:-1], 2 * heads, -1), 2, -2) for a in qkv)
    space, time = zip(*halves)
    return space, time


def _along_joints(qkv: Packed, scale: float, by: Attention) -> Float[Array, "*batch T J heads d"]:
    queries, keys, values = (a.reshape(-1, *a.shape[-3:]) for a in qkv)
    return attend(queries, keys, values, scale, None, by).reshape(qkv[0].shape)


def _narrow_as_told(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """`narrow` where Dense looks for lax.dot_general."""
    return narrow(x, kernel)


class Mlp(nn.Module):
    """x + W_2 GELU(W_1 LayerNorm(x)), four times as wide inside."""

    bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "*batch c"]) -> Float[Array, "*batch c"]:
        width, common = x.shape[-1], {"use_bias": self.bias, "dtype": self.dtype}
        tokens = x.reshape(-1, width)
        y = LayerNorm(name="norm")(tokens)
        y = gelu(nn.Dense(4 * width, name="expand", **common)(y))
        out = nn.Dense(width, name="contract", dot_general=_narrow_as_told, **common)(y)
        return (tokens + out.astype(x.dtype)).reshape(x.shape)
