"""Two MLPs over pose vectors: DiffAnnot's, and a residual one with FiLM time.

Both split their call in two, so that what depends on the step alone can become a table:
`network(x, t, context) = from_features(x, time_features(t), context)`.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from diffjax import camera

Context = Mapping[str, Array]
"""`estimate` "*batch d": the estimate's vector, in the space of x; `keypoints` "*batch K 3": pixels
and confidence."""

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


def _conditions(names: tuple[str, ...], size: int) -> dict[str, nn.Dense]:
    """A linear map to `size` for every condition."""
    return {name: nn.Dense(size) for name in names}


def _apply_conditions(layers: Mapping[str, nn.Dense], context: Context | None) -> Array | float:
    """The sum of the conditions' maps; 0 without conditions."""
    if not layers:
        return 0.0
    if context is None or set(layers) - set(context):
        found = sorted(context or ())
        raise ValueError(f"denoiser context: wanted {sorted(layers)}, found {found}")
    seen = dict(context)
    if "keypoints" in layers:
        seen["keypoints"] = keypoint_features(seen["keypoints"])
    return sum(layers[name](seen[name]) for name in sorted(layers))


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

    def setup(self):
        self.time = [nn.Dense(self.size), nn.Dense(self.size)]
        widths = [self.width] * self.depth + [self.output_size]
        self.layer = [nn.Dense(width) for width in widths]
        self.conditions = _conditions(self.condition, self.size)

    def time_features(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """What is added to the input at step t."""
        return self.time[1](nn.silu(self.time[0](sinusoid(t, self.size))))

    def from_features(
        self,
        x: Float[Array, "*batch d"],
        features: Float[Array, "*#batch features"],
        context: Context | None = None,
    ) -> Float[Array, "*batch out"]:
        """The output, given `time_features(t)`."""
        h = x + features + _apply_conditions(self.conditions, context)
        for layer in self.layer[:-1]:
            h = nn.relu(layer(h))
        h = self.layer[-1](h)
        return nn.relu(h) if self.legacy else h

    def __call__(
        self, x: Float[Array, "*batch d"], t: Int[Array, "*#batch"], context: Context | None = None
    ) -> Float[Array, "*batch out"]:
        return self.from_features(x, self.time_features(t), context)


class ResidualMLP(nn.Module):
    """h + MLP(FiLM_t(LayerNorm(h))), `depth` times; the head starts at zero."""

    output_size: int
    width: int = 256
    depth: int = 3
    activation: str = "silu"
    time_width: int = 128
    condition: tuple[str, ...] = ()

    def setup(self):
        self.time = nn.Dense(self.time_width)
        self.film = nn.Dense(2 * self.width * self.depth, kernel_init=nn.initializers.zeros)
        self.inward = nn.Dense(self.width)
        self.norm = [nn.LayerNorm() for _ in range(self.depth)]
        self.expand = [nn.Dense(self.width) for _ in range(self.depth)]
        self.contract = [nn.Dense(self.width) for _ in range(self.depth)]
        self.head_norm = nn.LayerNorm()
        self.head = nn.Dense(self.output_size, kernel_init=nn.initializers.zeros)
        self.conditions = _conditions(self.condition, self.width)

    def time_features(self, t: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """Scale and shift of every block at step t, flat."""
        return self.film(nn.silu(self.time(sinusoid(t, self.time_width))))

    def from_features(
        self,
        x: Float[Array, "*batch d"],
        features: Float[Array, "*#batch features"],
        context: Context | None = None,
    ) -> Float[Array, "*batch out"]:
        """The output, given `time_features(t)`."""
        act = _ACTIVATIONS[self.activation]
        films = jnp.split(features, 2 * self.depth, -1)
        h = self.inward(x) + _apply_conditions(self.conditions, context)
        for i in range(self.depth):
            block = self.norm[i](h) * (1.0 + films[2 * i]) + films[2 * i + 1]
            h = h + self.contract[i](act(self.expand[i](block)))
        return self.head(self.head_norm(h))

    def __call__(
        self, x: Float[Array, "*batch d"], t: Int[Array, "*#batch"], context: Context | None = None
    ) -> Float[Array, "*batch out"]:
        return self.from_features(x, self.time_features(t), context)
