"""Light networks over pose sequences: one token a frame, mixed in time by dilated convolutions.

One is a denoiser for D3PRefiner, one a lifter. Not the paper's: STCFormer and PoseDenoiser have a token for every joint
of every frame; here a frame is one vector, so that on a CPU a frame costs a fraction of it at as many weights.
"""

from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from diffjax import step_embedding

DILATIONS = 1, 3, 9
"""Of the blocks by turns, in frames."""
OF_BLOCK = "norm_{}/bias"
"""A weight that block {} has."""
_STEPS = 64
_METRES, _IMAGES = 0.3, 0.2
"""Usual distances of a joint from the pelvis, and of a person from the middle of the image."""
_SPREAD = 0.15
"""Usual distance, in the image, of a joint from the middle of the person."""


def metric_2d(
    p: Float[Array, "*batch J 2"], x: Float[Array, "*batch J 3"]
) -> tuple[Float[Array, "*batch J 2"], Float[Array, "*batch 1 2"], Float[Array, "*batch 1 1"]]:
    """The 2D about its mean in the metres of x, that mean, and the metres of a unit of 2D.

    The metres are those that fit x's first two axes best, frame by frame: weak perspective.
    """
    middle = jnp.mean(p, -2, keepdims=True)
    about, of_x = p - middle, x[..., :2] - jnp.mean(x[..., :2], -2, keepdims=True)
    both = jnp.sum(about * of_x, (-2, -1), keepdims=True)
    metres = both / jnp.maximum(jnp.sum(about**2, (-2, -1), keepdims=True), 1e-6)
    return metres * about, middle, metres


def moved(h: Float[Array, "*batch T c"], frames: int) -> Float[Array, "*batch T c"]:
    """What stands so many frames later; beyond the ends, the end."""
    time = h.shape[-2]
    return h[..., np.clip(np.arange(time) + frames, 0, time - 1), :]


def _block(width: int, i: int, h: Array, step: Array | None = None) -> Array:
    """Block i's change of h; to be called inside a module."""
    apart = DILATIONS[i % len(DILATIONS)]
    y = nn.LayerNorm(name=f"norm_{i}")(h)
    near = jnp.concatenate([moved(y, -apart), y, moved(y, apart)], -1)
    y = nn.Dense(width, name=f"mix_{i}")(near)
    if step is not None:
        y = y + nn.Dense(width, name=f"step_{i}")(step)
    return nn.Dense(width, name=f"back_{i}")(nn.gelu(y))


def _flat(parts: Iterable[Array]) -> Array:
    """What is told of each frame, as one vector."""
    return jnp.concatenate([a.reshape(*a.shape[:-2], -1) for a in parts], -1)


class FrameDenoiser(nn.Module):
    """Normalised error "*batch T J 3" of noisy poses x_t "*batch T J 3", given 2D poses and the step.

    h = W_in [metric 2D, x_t]; in each block h += W_2 GELU(W_1 [frames -d, 0, d of LayerNorm(h)] + P e(t)). The head
    starts at zero, so that a new network says the mean error.
    """

    width: int = 256
    blocks: int = 4

    @nn.compact
    def __call__(
        self,
        x_t: Float[Array, "*batch T J 3"],
        poses2d: Float[Array, "*batch T J 2"],
        t: Int[Array, "*#batch"],
    ) -> Float[Array, "*batch T J 3"]:
        seen, middle, metres = metric_2d(poses2d, x_t)
        told = _flat((seen / _METRES, x_t / _METRES, middle / _IMAGES, metres / 2.0 - 1.0))
        h = nn.Dense(self.width, name="inward")(told)
        step = nn.gelu(nn.Dense(_STEPS, name="step")(step_embedding.sinusoid(t, _STEPS)))
        for i in range(self.blocks):
            h = h + _block(self.width, i, h, step[..., None, :])
        h = nn.LayerNorm(name="norm")(h)
        out = nn.Dense(x_t.shape[-2] * 3, kernel_init=nn.initializers.zeros, name="outward")(h)
        return out.reshape(x_t.shape)


class FrameLifter(nn.Module):
    """3D poses "*batch T J 3", metres, of 2D poses "*batch T J 2": FrameDenoiser's blocks, without an estimate.

    It sees the 2D of a frame about its mean, in units of the window's spread, and that mean and that spread.
    """

    width: int = 256
    blocks: int = 4

    @nn.compact
    def __call__(self, poses2d: Float[Array, "*batch T J 2"]) -> Float[Array, "*batch T J 3"]:
        middle = jnp.mean(poses2d, -2, keepdims=True)
        about = poses2d - middle
        spread = jnp.sqrt(jnp.mean(jnp.sum(about**2, -1), (-2, -1))) + 1e-6
        spread = jnp.broadcast_to(spread[..., None, None, None], (*poses2d.shape[:-2], 1, 1))
        told = _flat((about / spread, middle / _IMAGES, _SPREAD / spread - 1.0))
        h = nn.Dense(self.width, name="inward")(told)
        for i in range(self.blocks):
            h = h + _block(self.width, i, h)
        out = nn.Dense(poses2d.shape[-2] * 3, name="outward")(nn.LayerNorm(name="norm")(h))
        return _METRES * out.reshape(*poses2d.shape[:-1], 3)
