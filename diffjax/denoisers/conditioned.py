"""ScoreHMR's network: an MLP over pose vectors, conditioned on the features of an image in every block.

In the authors' model that also diffuses betas, pose and betas are two of these, which never see each
other's numbers: `TwoBranches`. As in `mlp`, what depends on the step alone can become a table.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util
from jax import lax
from jaxtyping import Array, Float, Int

from diffjax import step_embedding

Context = Mapping[str, Array]
"""`features` "*batch c": all that is shown of the image, standardised (`denoisers.context_of`)."""

_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Within 1 / sqrt(fan_in): how the released weights began."""

_EPSILON = 1e-5


def _gelu(x: Array) -> Array:
    """By the error function, not its usual approximation."""
    return nn.gelu(x, approximate=False)


class Linear(nn.Module):
    """x W + b along `axis`; for columns (axis 0) the kernel is (out, in)."""

    width: int
    dtype: Any = None
    """Of the product's factors; sums are always in the type of x."""

    @nn.compact
    def __call__(self, x: Array, axis: int = -1) -> Array:
        shape = (x.shape[axis], self.width)
        kernel = self.param("kernel", _UNIFORM, shape if axis else shape[::-1])
        bias = self.param("bias", _within(x.shape[axis] ** -0.5), (self.width,))
        factors = (x, kernel) if axis else (kernel, x)
        if self.dtype is not None:
            factors = tuple(factor.astype(self.dtype) for factor in factors)
        product = jnp.matmul(*factors, preferred_element_type=x.dtype)
        return product + _along(bias, axis, x)


def _within(bound: float) -> Callable[..., Array]:
    """Uniform in +-bound."""

    def draw(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


class LayerNorm(nn.Module):
    """Zero mean and unit variance over `axis`, then a scale and a shift of each number."""

    @nn.compact
    def __call__(self, x: Array, axis: int = -1) -> Array:
        size = (x.shape[axis],)
        scale = self.param("scale", nn.initializers.ones, size)
        bias = self.param("bias", nn.initializers.zeros, size)
        offset = x - jnp.mean(x, axis, keepdims=True)
        unit = offset * lax.rsqrt(jnp.mean(offset * offset, axis, keepdims=True) + _EPSILON)
        return unit * _along(scale, axis, x) + _along(bias, axis, x)


def _along(vector: Array, axis: int, x: Array) -> Array:
    """A vector, or one a sample, ready to be added to x."""
    return vector[:, None] if axis == 0 and vector.ndim < x.ndim else vector


class Block(nn.Module):
    """g + GELU(W_2 LN(GELU(W_1 LN([g | c])))) with g = h (1 + scale_t) + shift_t and condition c."""

    size: int
    hidden: int
    dtype: Any = None

    def setup(self):
        self.film = Linear(2 * self.size)
        self.norm_1, self.norm_2 = LayerNorm(), LayerNorm()
        self.linear_1 = Linear(self.hidden, self.dtype)
        self.linear_2 = Linear(self.size, self.dtype)

    def time_features(self, embedded: Float[Array, "*batch e"]) -> Float[Array, "*batch film"]:
        """Scale, then shift."""
        return self.film(nn.silu(embedded))

    def __call__(self, h: Array, film: Array, condition: Array | None, axis: int = -1) -> Array:
        scale, shift = (_along(part, axis, h) for part in jnp.split(film, 2, -1))
        h = h * (1.0 + scale) + shift
        seen = h if condition is None else jnp.concatenate([h, condition], axis)
        inner = _gelu(self.linear_1(self.norm_1(seen, axis), axis))
        # The last layer's GELU is no slip: the released weights were trained with it.
        return h + _gelu(self.linear_2(self.norm_2(inner, axis), axis))


class ConditionedMLP(nn.Module):
    """eps of (x_t, t, condition): a linear map in, `depth` blocks, a linear map out."""

    size: int = 144
    """Of x; the time layers are four times as wide."""
    hidden: int = 1024
    depth: int = 3
    condition_size: int = 3072
    """Of context["features"], standardised; 0 takes no context."""
    dtype: Any = None
    """Of the factors of matrix products, such as bfloat16; None leaves them as they are."""

    def setup(self):
        self.time = [Linear(4 * self.size) for _ in range(2)]
        self.inward = Linear(self.size, self.dtype)
        self.block = [Block(self.size, self.hidden, self.dtype) for _ in range(self.depth)]
        self.outward = Linear(self.size, self.dtype)

    def time_features(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """Scale and shift of every block at step t (an original step, 0 to 999), flat."""
        embedded = self.time[1](_gelu(self.time[0](step_embedding.sinusoid(t, self.size))))
        return jnp.concatenate([block.time_features(embedded) for block in self.block], -1)

    def from_features(
        self, x: Array, features: Array, context: Context | None = None, axis: int = -1
    ) -> Array:
        """The output, given `time_features(t)`. The context is a row a sample."""
        h = self.inward(x, axis)
        condition = self._condition(context)
        if condition is not None:
            condition = condition.T if axis == 0 else condition
            batch = h.shape[1:] if axis == 0 else h.shape[:-1]
            wanted = (self.condition_size, *batch) if axis == 0 else (*batch, self.condition_size)
            condition = jnp.broadcast_to(condition, wanted)
        for block, film in zip(self.block, jnp.split(features, self.depth, -1)):
            h = block(h, film, condition, axis)
        return self.outward(h, axis)

    def _condition(self, context: Context | None) -> Array | None:
        if not self.condition_size:
            return None
        if context is None or "features" not in context:
            raise ValueError(f"denoiser context: wanted features, found {sorted(context or ())}")
        found = context["features"].shape[-1]
        if found != self.condition_size:
            raise ValueError(
                f"denoiser context: wanted {self.condition_size} features, found {found}"
            )
        return context["features"]

    def __call__(
        self,
        x: Float[Array, "*batch d"],
        t: Int[Array, "*#batch"],
        context: Context | None = None,
    ) -> Float[Array, "*batch d"]:
        return self.from_features(x, self.time_features(t), context)


class TwoBranches(nn.Module):
    """Two networks over one vector, its first `split` numbers and the others; neither sees the other's.

    The second has two blocks, and context["shape_features"] for its features.
    """

    size: int = 154
    split: int = 144
    hidden: int = 1024
    depth: int = 3
    """Blocks of the first."""
    condition_sizes: tuple[int, int] = (3072, 1536)
    dtype: Any = None

    def setup(self):
        shared = {"hidden": self.hidden, "dtype": self.dtype}
        first, second = self.condition_sizes
        self.pose = ConditionedMLP(self.split, depth=self.depth, condition_size=first, **shared)
        rest = self.size - self.split
        self.shape = ConditionedMLP(rest, depth=2, condition_size=second, **shared)

    def time_features(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """Those of the first, then those of the second."""
        return jnp.concatenate([self.pose.time_features(t), self.shape.time_features(t)], -1)

    def from_features(
        self, x: Array, features: Array, context: Context | None = None, axis: int = -1
    ) -> Array:
        """The output, given `time_features(t)`. The context is a row a sample."""
        parts = jnp.split(x, [self.split], axis)
        tables = jnp.split(features, [2 * self.split * self.depth], -1)
        seen = context or {}
        seconds = {"features": seen["shape_features"]} if "shape_features" in seen else None
        return jnp.concatenate(
            [
                self.pose.from_features(parts[0], tables[0], context, axis),
                self.shape.from_features(parts[1], tables[1], seconds, axis),
            ],
            axis,
        )

    def __call__(
        self,
        x: Float[Array, "*batch d"],
        t: Int[Array, "*#batch"],
        context: Context | None = None,
    ) -> Float[Array, "*batch d"]:
        return self.from_features(x, self.time_features(t), context)


def params_of(arrays: Mapping[str, Any], branch: str = "pose") -> dict[str, Any]:
    """One branch's parameters of a converted checkpoint: arrays by names such as pose/block_0/film/kernel."""
    flat = {
        name.removeprefix(f"{branch}/"): jnp.asarray(array)
        for name, array in arrays.items()
        if name.startswith(f"{branch}/")
    }
    return traverse_util.unflatten_dict(flat, sep="/")
