"""Networks over pose sequences: STCFormer, which lifts 2D to 3D, and D3PRefiner's PoseDenoiser.

Both repeat the criss-cross attention of `criss_cross`. Leading axes are free; a sequence has T frames of J joints.

Memory of the gradient, 243 frames in batches of 128, width 256: the state of all tokens (128 x 243 x 17 x 256) is
0.54 GB in float32. With `remat` the inputs of PoseDenoiser's 8 attentions and 4 MLPs stay, 6.5 GB, and one module's
own needs are added; an attention's 243 x 243 weights are made joint by joint: 0.24 GB, all at once 4.1. By the account
of XLA's compiler for an H100 a training step of all 128 windows takes 15.3 GB, 16 windows at a time, their gradients
summed, 2.2 GB (`benchmarks.memory`); it has not run on one. XLA for CPUs recomputes in another order, and in float32:
123 GB (226 without `remat`), 16 windows at a time 15.3 GB; a training step of `configs/d3prefiner_h36m_243.py` on a
CPU held 16.1 GB at most.
"""

from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from diffjax import criss_cross, skeleton, step_embedding

Structure = Literal["parts", "joints", "none"]
"""What the structure embedding tells apart: STCFormer's five body parts, or every joint."""
OF_BLOCK = "mlp_{}/norm/bias"
"""A weight that block {} of both networks has."""


def _ids(joints: str, structure: Structure) -> tuple[int, ...]:
    """The row of the structure embedding for each joint of a set."""
    names = skeleton.keypoint_set(joints)
    parts = {"parts": criss_cross.part_table(names), "joints": tuple(range(len(names)))}
    return parts.get(structure, ())


def _check(poses: Array, joints: str, width: int, heads: int) -> None:
    wanted = len(skeleton.keypoint_set(joints))
    if poses.shape[-2] != wanted:
        raise ValueError(
            f"pose sequence: wanted {wanted} joints ({joints}), found {poses.shape[-2]}; convert it to "
            f"{joints}, or make the network for its own set"
        )
    if width % (2 * heads):
        raise ValueError(f"network: wanted a width divisible by {2 * heads}, found {width}")


def _modules(net: Any) -> tuple[Any, Any]:
    """Makers, from a name, of an attention and of an MLP with the settings of a network."""
    attention, mlp = criss_cross.CrissCross, criss_cross.Mlp
    if net.remat:
        attention, mlp = nn.remat(attention), nn.remat(mlp)
    parts = _ids(net.joints, net.structure)
    settings = (net.heads, parts, net.layout, net.conv, net.remat, net.dtype, net.attention)
    bias = net.layout == "clean"
    return (
        lambda name: attention(*settings, name=name),
        lambda name: mlp(bias, net.dtype, name=name),
    )


class STCFormer(nn.Module):
    """3D poses "*batch T J 3" of 2D poses "*batch T J k": the base lifter.

    As published: width 256, 6 blocks, 8 heads; with layout `compat` 4.748 M parameters, which
    `stcformer_weights.params_of_stcformer` takes from its checkpoints. k is 2, or 3 with confidence.
    """

    width: int = 256
    depth: int = 6
    """Blocks; 0 is a linear map of GELU of a linear map."""
    heads: int = 8
    joints: str = "h36m17"
    """A set of `skeleton`; published checkpoints are of `h36m17_native`."""
    structure: Structure = "parts"
    layout: criss_cross.Layout = "clean"
    conv: bool = True
    remat: bool = False
    """Recompute each attention and each MLP for its gradient: little memory, a third more time."""
    dtype: Any = None
    """Of products and of what lies between them, such as bfloat16."""
    attention: criss_cross.Attention = "auto"

    @nn.compact
    def __call__(
        self, poses2d: Float[Array, "*batch T J k"], valid: Bool[Array, "*batch T"] | None = None
    ) -> Float[Array, "*batch T J 3"]:
        """Frames that are not `valid` (padding) change no other frame; their own output means nothing."""
        _check(poses2d, self.joints, self.width, self.heads)
        bias, (attention, mlp) = self.layout == "clean", _modules(self)
        h = nn.gelu(nn.Dense(self.width, bias, name="inward")(poses2d), approximate=False)
        for i in range(self.depth):
            h = mlp(f"mlp_{i}")(attention(f"attention_{i}")(h, valid))
        return nn.Dense(3, bias, name="outward")(h)


class PoseDenoiser(nn.Module):
    """Normalised error "*batch T J 3" of noisy poses x_t "*batch T J 3", given 2D poses and the step.

    h = W_in [p, x_t]; in each block h = A(h), h = B(h + P e(t)), h = MLP(h), with criss-cross
    attentions A and B; the head starts at zero, so that a new network says the mean error. The
    paper does not say the width: 256 is STCFormer's, 128 a light one. It says 4 blocks and also
    "depth 8": a block has two attentions, so that `blocks=4` is read as both.
    """

    width: int = 256
    blocks: int = 4
    heads: int = 8
    joints: str = "h36m17"
    structure: Structure = "parts"
    layout: criss_cross.Layout = "clean"
    conv: bool = True
    remat: bool = False
    """Recompute each attention and each MLP for its gradient: little memory, a third more time."""
    dtype: Any = None
    """Of products and of what lies between them, such as bfloat16."""
    attention: criss_cross.Attention = "auto"

    def setup(self):
        dense, (attention, mlp) = nn.Dense, _modules(self)
        self.time = [dense(2 * self.width), dense(self.width)]
        self.project = [dense(self.width) for _ in range(self.blocks)]
        self.inward = dense(self.width)
        self.first = [attention(f"first_{i}") for i in range(self.blocks)]
        self.second = [attention(f"second_{i}") for i in range(self.blocks)]
        self.mlp = [mlp(f"mlp_{i}") for i in range(self.blocks)]
        self.outward = dense(3, kernel_init=nn.initializers.zeros)

    def time_features(self, t: Int[Array, "*steps"]) -> Float[Array, "*steps blocks c"]:
        """What step t adds before the second attention of each block."""
        embedded = nn.gelu(self.time[0](step_embedding.sinusoid(t, self.width)), approximate=False)
        embedded = self.time[1](embedded)
        added = [project(embedded) for project in self.project]
        shape = (*t.shape, self.blocks, self.width)
        return jnp.stack(added, -2) if added else jnp.zeros(shape)

    def from_features(
        self,
        x_t: Float[Array, "*batch T J 3"],
        poses2d: Float[Array, "*batch T J k"],
        features: Float[Array, "*#batch blocks c"],
        valid: Bool[Array, "*batch T"] | None = None,
    ) -> Float[Array, "*batch T J 3"]:
        """The error, given `time_features(t)`."""
        _check(x_t, self.joints, self.width, self.heads)
        h = self.inward(jnp.concatenate([poses2d, x_t], -1))
        for i in range(self.blocks):
            h = self.first[i](h, valid)
            h = self.second[i](h + features[..., i, None, None, :], valid)
            h = self.mlp[i](h)
        return self.outward(h)

    def __call__(
        self,
        x_t: Float[Array, "*batch T J 3"],
        poses2d: Float[Array, "*batch T J k"],
        t: Int[Array, "*#batch"],
        valid: Bool[Array, "*batch T"] | None = None,
    ) -> Float[Array, "*batch T J 3"]:
        return self.from_features(x_t, poses2d, self.time_features(t), valid)
