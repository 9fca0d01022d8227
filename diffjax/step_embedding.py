"""The step of a diffusion as sines and cosines: ScoreHMR's and D3PRefiner's networks begin with it."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def sinusoid(t: Int[Array, "*batch"], size: int) -> Float[Array, "*batch size"]:
    """Timestep embedding of the Transformer: sines, then cosines, of periods 2 pi to 10000 * 2 pi.

    The last period is reached, and sines come first: `denoisers.mlp.sinusoid` differs in both. Of an odd size
    the last number is zero.
    """
    half = size // 2
    steps = np.arange(half) / max(half - 1, 1)
    angle = t[..., None].astype(jnp.float32) * jnp.asarray(1e4**-steps, jnp.float32)
    padding = jnp.zeros((*t.shape, size % 2), jnp.float32)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle), padding], -1)
