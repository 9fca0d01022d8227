"""Two MLPs over pose vectors: DiffAnnot's, and a residual one with FiLM time.

Both split their call in two, so that what depends on the step alone can become a table:
`network(x, t, context) = from_features(x, time_features(t), context)`. With `axis=0` the second part
takes a batch as columns, (d, slots): its matrix products W^T x are faster on CPUs than x W, and the
features of the one t that all columns share are a bias vector. It then wants `turned` parameters.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from diffjax import camera

Context = Mapping[str, Array]
"""`estimate` "*batch d": the estimate's vector, in the space of x; `keypoints` "*batch K 3": pixels
and confidence; `features` "*batch f": cached image features, standardised."""

_ACTIVATIONS = {"silu": nn.silu, "gelu": nn.gelu}


def sinusoid(t: Int[Array, "*batch"], size: int) -> Float[Array, "*batch size"]:
    """Timestep embedding of Improved DDPM: cosines, then sines, of periods 2 pi to 10000 * 2 pi."""
    half = size // 2
    frequency = jnp.exp(-jnp.log(10000.0) * jnp.arange(half, dtype=jnp.float32) / half)
    angle = t[..., None].astype(jnp.float32) * frequency
    padding = jnp.zeros((*t.shape, size % 2), jnp.float32)
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle), padding], -1)


def keypoint_features(keypoints2d: Float[Array, "*batch K 3"]) -> Float[Array, "*batch features"]:
    """2D keypoints in their own box, (-1, 1) along its larger side, and confidence: 3 K numbers.

    Keypoints of confidence 0 neither shape the box nor show where they were.
    """
    xy, confidence = keypoints2d[..., :2], keypoints2d[..., 2:]
    seen = confidence > 0
    center, side = camera.keypoint_box(keypoints2d)
    offset = 2.0 * (xy - center[..., None, :]) / side[..., None, None]
    inside = jnp.where(seen, offset, 0.0)
    features = jnp.concatenate([inside, confidence], -1)
    return features.reshape(*features.shape[:-2], -1)


class Linear(nn.Module):
    """flax's Dense, for columns too, with its bias replaced on request."""

    width: int
    dtype: Any = None
    """Of the product's factors; sums are always in the type of x."""
    kernel_init: Any = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array, axis: int = -1, bias: Array | None = None) -> Array:
        shape = (x.shape[axis], self.width)
        kernel = self.param("kernel", self.kernel_init, shape if axis else shape[::-1])
        own = self.param("bias", nn.initializers.zeros, (self.width,))
        factors = (x, kernel) if axis else (kernel, x)
        if self.dtype is not None:
            factors = tuple(factor.astype(self.dtype) for factor in factors)
        product = jnp.matmul(*factors, preferred_element_type=x.dtype)
        return product + _along(own if bias is None else bias, axis, product)


def _along(vector: Array, axis: int, x: Array) -> Array:
    """A vector, or one a sample, ready to be added to x."""
    return vector[:, None] if axis == 0 and vector.ndim < x.ndim else vector


class LayerNorm(nn.Module):
    """Zero mean and unit variance over the features, then a scale and a shift of each."""

    @nn.compact
    def __call__(self, x: Array, axis: int = -1) -> Array:
        size = (x.shape[axis],)
        scale = self.param("scale", nn.initializers.ones, size)
        bias = self.param("bias", nn.initializers.zeros, size)
        mean = jnp.mean(x, axis, keepdims=True)
        variance = jnp.maximum(jnp.mean(x * x, axis, keepdims=True) - mean * mean, 0.0)
        unit = (x - mean) * lax.rsqrt(variance + 1e-6)
        return unit * _along(scale, axis, x) + _along(bias, axis, x)


def turned(params: PyTree) -> PyTree:
    """The parameters with every kernel as (out, in): what `axis=0` wants."""

    def turn(path, leaf):
        return leaf.T if path[-1].key == "kernel" else leaf

    return jax.tree_util.tree_map_with_path(turn, params)


def _conditions(names: tuple[str, ...], size: int) -> dict[str, Linear]:
    """A linear map to `size` for every condition."""
    return {name: Linear(size) for name in names}


def _apply_conditions(
    layers: Mapping[str, Linear], context: Context | None, axis: int = -1
) -> Array | float:
    """The sum of the conditions' maps; 0 without conditions. The context is a row a sample."""
    if not layers:
        return 0.0
    if context is None or set(layers) - set(context):
        found = sorted(context or ())
        raise ValueError(f"denoiser context: wanted {sorted(layers)}, found {found}")
    seen = dict(context)
    if "keypoints" in layers:
        seen["keypoints"] = keypoint_features(seen["keypoints"])
    if axis == 0:
        seen = {name: seen[name].T for name in layers}
    return sum(layers[name](seen[name], axis) for name in sorted(layers))


class PaperMLP(nn.Module):
    """DiffAnnot's MLP: the time embedding is added to the input, then ReLU layers and a linear head.

    `legacy` adds the ReLU that ends the authors' code (there, a prediction is never negative).
    """

    size: int
    """Of x; the sinusoid and the time layers have it too."""
    output_size: int
    width: int = 226
    depth: int = 2
    """Hidden layers."""
    condition: tuple[str, ...] = ()
    legacy: bool = False
    dtype: Any = None
    """Of the factors of matrix products, such as bfloat16; None leaves them as they are."""

    def setup(self):
        self.time = [Linear(self.size), Linear(self.size)]
        widths = [self.width] * self.depth + [self.output_size]
        self.layer = [Linear(width, self.dtype) for width in widths]
        self.conditions = _conditions(self.condition, self.size)

    def _embedded(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch d"]:
        return self.time[1](nn.silu(self.time[0](sinusoid(t, self.size))))

    def time_features(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """What step t adds to the first layer: its embedding, taken through that layer."""
        return self.layer[0](self._embedded(t))

    def from_features(
        self, x: Array, features: Array, context: Context | None = None, axis: int = -1
    ) -> Array:
        """The output, given `time_features(t)`."""
        h = x + _apply_conditions(self.conditions, context, axis)
        return self._layers(self.layer[0](h, axis, bias=features), axis)

    def _layers(self, h: Array, axis: int = -1) -> Array:
        for layer in self.layer[1:]:
            h = layer(nn.relu(h), axis)
        return nn.relu(h) if self.legacy else h

    def __call__(
        self, x: Float[Array, "*batch d"], t: Int[Array, "*#batch"], context: Context | None = None
    ) -> Float[Array, "*batch out"]:
        h = x + self._embedded(t) + _apply_conditions(self.conditions, context)
        return self._layers(self.layer[0](h))


class ResidualMLP(nn.Module):
    """h + MLP(FiLM_t(LayerNorm(h))), `depth` times; the head starts at zero."""

    output_size: int
    width: int = 256
    depth: int = 3
    activation: str = "silu"
    time_width: int = 128
    condition: tuple[str, ...] = ()
    dtype: Any = None
    """Of the factors of matrix products, such as bfloat16; None leaves them as they are."""

    def setup(self):
        zeros, dtype = nn.initializers.zeros, self.dtype
        self.time = Linear(self.time_width)
        self.film = Linear(2 * self.width * self.depth, kernel_init=zeros)
        self.inward = Linear(self.width, dtype)
        self.norm = [LayerNorm() for _ in range(self.depth)]
        self.expand = [Linear(self.width, dtype) for _ in range(self.depth)]
        self.contract = [Linear(self.width, dtype) for _ in range(self.depth)]
        self.head_norm = LayerNorm()
        self.head = Linear(self.output_size, dtype, kernel_init=zeros)
        self.conditions = _conditions(self.condition, self.width)

    def time_features(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """Scale and shift of every block at step t, flat."""
        return self.film(nn.silu(self.time(sinusoid(t, self.time_width))))

    def from_features(
        self, x: Array, features: Array, context: Context | None = None, axis: int = -1
    ) -> Array:
        """The output, given `time_features(t)`."""
        act = _ACTIVATIONS[self.activation]
        h = self.inward(x, axis) + _apply_conditions(self.conditions, context, axis)
        films = [_along(film, axis, h) for film in jnp.split(features, 2 * self.depth, -1)]
        for i in range(self.depth):
            block = self.norm[i](h, axis) * (1.0 + films[2 * i]) + films[2 * i + 1]
            h = h + self.contract[i](act(self.expand[i](block, axis)), axis)
        return self.head(self.head_norm(h, axis), axis)

    def __call__(
        self, x: Float[Array, "*batch d"], t: Int[Array, "*#batch"], context: Context | None = None
    ) -> Float[Array, "*batch out"]:
        return self.from_features(x, self.time_features(t), context)
