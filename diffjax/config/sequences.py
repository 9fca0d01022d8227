"""The refiner of joint sequences."""

import dataclasses
from typing import Any, Literal

from diffjax.config.rules import check_choices, require


@dataclasses.dataclass(frozen=True)
class Sequences:
    """D3PRefiner: windows, network, noise and reverse process; the steps and their schedule are `diffusion`'s.

    The defaults are what was best on validation (docs/methods.md); `PAPER` is what the paper has in their place.

    The paper does not say the width, and says "4 blocks" and "depth 8": a block has two attentions, so
    that 4 blocks are read as both. STCFormer, from whose code the attention is, is 256 wide.
    """

    window: int = 27
    """Frames."""
    stride: int = 0
    """Frames from one window to the next when refining, where overlaps are blended; 0 for half a window."""
    training_stride: int = 0
    """The same for training windows; 0 for a whole window."""
    width: int = 128
    blocks: int = 4
    heads: int = 8
    layout: Literal["clean", "compat"] = "clean"
    """Of the attention: `compat` is as STCFormer published it."""
    structure: Literal["parts", "joints", "none"] = "parts"
    """What the structure embedding tells apart."""
    remat: bool = False
    """Recompute activations for the gradient: long windows in little memory."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the network's products and of what lies between them; weights and sums stay float32."""
    attention: Literal["auto", "own", "xla", "cudnn"] = "auto"
    """What computes attention (see `criss_cross.Attention`); cudnn wants an NVIDIA GPU and bfloat16."""
    at_once: int | None = None
    """Windows that go through together; None for what suits the device."""
    noise: Literal["iid", "shared", "ar1", "residual"] = "iid"
    """In time, of the conditional Gaussian: each frame by itself (as the paper can be read), one draw for a window,
    or tied to the frame before; `residual` takes the lifter's real errors instead of a model of them."""
    ridge: float = 1e-6
    """Of the noise model's covariances, as a share of the mean variance."""
    normaliser: Literal["coordinate", "magnitude", "mean"] = "coordinate"
    """What the paper's "average value" is read as: see `error_normaliser`."""
    diffusion: bool = False
    """The paper's process. Without it the network only sees the last step, and refines in one: plain regression of
    the error."""
    precondition: bool = False
    """Show the network x_t / (a_t + b_t)."""
    init: Literal["paper", "scaled"] = "paper"
    """x_T is the estimate, or (a_T + b_T) of it."""
    iterations: int = 2
    """Of DDIM."""
    mirror: bool = True
    """Mirror half of the training windows."""
    flip: bool = True
    """Average the refinement with that of the mirror image."""
    bones: float = 0.0
    """Share of the way, after refining, to bones of their median length in each video."""
    decay: float = 1.0
    """Of the learning rate after each epoch, beside `train.anneal`."""
    gaps: Literal["refuse", "fill"] = "refuse"
    """NaN in 2D or in the estimate of a set: refused, or filled from the neighbours in the video."""
    network: Literal["criss_cross", "frames"] = "frames"
    """The paper's criss_cross, with a token for each joint of each frame; or `denoisers.frames`, with a token a frame,
    to which heads, layout, structure, remat, dtype and attention say nothing."""
    loss: Literal["square", "distance"] = "distance"
    """The paper's mean square of normalised errors, or the mean distance of joints, as MPJPE counts."""
    real: float = 0.5
    """Share of training windows that keep the lifter's real error, whatever `noise` is."""
    points: bool = True
    """Show the network the 2D; without it, it can only smooth."""

    def __post_init__(self):
        check_choices(self)
        for name in ("window", "width", "blocks", "heads", "iterations"):
            require(getattr(self, name) >= 1, f"sequence.{name}", "1 or more", getattr(self, name))
        for name in ("stride", "training_stride"):
            value, wanted = getattr(self, name), f"0 to {self.window}, the window"
            require(0 <= value <= self.window, f"sequence.{name}", wanted, value)
        wide = self.width % (2 * self.heads) == 0
        require(wide, "sequence.width", f"a multiple of {2 * self.heads}, 2 heads", self.width)
        require(
            self.at_once is None or self.at_once >= 1, "sequence.at_once", "1 or more", self.at_once
        )
        fused = self.attention != "cudnn" or self.dtype == "bfloat16"
        require(fused, "sequence.dtype", "bfloat16 for attention cudnn", self.dtype)
        require(0 < self.decay <= 1, "sequence.decay", "in (0, 1]", self.decay)
        require(0 <= self.ridge < 1, "sequence.ridge", "in [0, 1)", self.ridge)
        for name in ("real", "bones"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"sequence.{name}", "in [0, 1]", value)


PAPER: dict[str, Any] = {
    "network": "criss_cross", "loss": "square", "diffusion": True, "noise": "iid", "real": 0.0, "flip": False,
    "decay": 0.96,
}  # fmt: skip
"""Where the defaults are not the paper's: `config.Sequences(..., **config.PAPER)`."""
