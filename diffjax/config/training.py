"""What is learned from, and how: data, network, diffusion, optimisation."""

import dataclasses
from typing import Literal

from diffjax.config.rules import check_choices, require


@dataclasses.dataclass(frozen=True)
class Data:
    """Annotation sets (an .npz, or a directory of shards) and the body that poses them."""

    train: str = "demo"
    """What the denoiser learns from: sets, joined by commas. `demo` generates motion, no file needed;
    `motion:DIR` takes poses from all motion files (AMASS's layout) below a directory."""
    val: str = "demo"
    """Held-out people: where training reports a loss and fixed steps are chosen. Empty for none."""
    test: str = "demo"
    """People whose annotations are refined and judged."""
    body: str = "converted_weights/open_body.npz"
    """SMPL-format body, .npz or .pkl."""
    train_weights: tuple[float, ...] = ()
    """How often each set of `train` is drawn from; empty draws in proportion to their sizes."""
    motion_every: int = 4
    """Of `motion:DIR`, every n-th frame of a file."""
    stats: str = ""
    """Statistics of features and betas (scripts/stats.py); empty takes them from `train`."""

    def __post_init__(self):
        whole = bool(self.train) and all(self.train_sets)
        require(whole, "data.train", "paths or 'demo', joined by commas", self.train)
        weights = self.train_weights
        ok = all(0 < weight < float("inf") for weight in weights)
        count = len(self.train_sets)
        ok &= len(weights) in (0, count)
        require(ok, "data.train_weights", f"none, or {count} above 0, one a set", weights)
        require(self.motion_every >= 1, "data.motion_every", "1 or more", self.motion_every)
        require(bool(self.body), "data.body", "a path", self.body)

    @property
    def train_sets(self) -> tuple[str, ...]:
        """The sets of `train`."""
        return tuple(name.strip() for name in self.train.split(","))


@dataclasses.dataclass(frozen=True)
class Model:
    """The denoiser."""

    kind: Literal["paper", "residual", "scorehmr"] = "residual"
    """`paper` is DiffAnnot's MLP; `residual` has pre-norm blocks with FiLM time; `scorehmr` is ScoreHMR's
    MLP, which sees its condition in every block."""
    width: int = 256
    """Hidden width."""
    depth: int = 3
    """Hidden layers (paper: 2) or residual blocks."""
    activation: Literal["silu", "gelu"] = "silu"
    """Of the residual blocks; the paper's MLP has its own."""
    vector: Literal["rotmat226", "sixd144", "sixd154"] = "sixd154"
    """What a pose is to the diffusion: 24 matrices or 6D rotations, and 10 betas but for sixd144."""
    condition: tuple[Literal["estimate", "keypoints", "features"], ...] = ()
    """What else the network sees: the estimate's vector, the 2D keypoints in their own box, the cached
    image features, standardised."""
    branches: Literal["joint", "separate"] = "joint"
    """`separate` diffuses betas by a second network of 2 blocks, which sees no pose, nor the first any
    betas; only of `scorehmr` over sixd154."""
    shape_features: int = 0
    """Of `separate`: the last so many features are the betas' alone, the others the pose's; 0 shows all
    of them to both."""
    legacy: bool = False
    """The final ReLU of the authors' code, for their checkpoints; only of `paper`."""

    def __post_init__(self):
        check_choices(self)
        require(self.width >= 1, "model.width", "1 or more", self.width)
        require(self.depth >= 1, "model.depth", "1 or more", self.depth)
        unique = len(set(self.condition)) == len(self.condition)
        require(unique, "model.condition", "each condition once", self.condition)
        ok = self.kind == "paper" or not self.legacy
        require(ok, "model.legacy", "False unless model.kind is 'paper'", self.legacy)
        two = self.branches == "separate"
        ok = not two or (self.kind == "scorehmr" and self.vector == "sixd154")
        require(ok, "model.branches", "'joint' unless scorehmr over sixd154", self.branches)
        ok = self.shape_features >= 0 and (two or not self.shape_features)
        require(ok, "model.shape_features", "0 unless branches are separate", self.shape_features)


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """The process (Improved DDPM)."""

    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = 1000
    """Diffusion steps."""
    respacing: str = ""
    """'ddim50', '250' or '10,15,20' keep fewer steps; empty keeps all."""
    prediction: Literal["eps", "x_0", "v"] = "eps"
    """What the network puts out."""
    variance: Literal["fixed_small", "fixed_large", "learned", "learned_range"] = "fixed_small"
    """Of a reverse step; the learned ones double the network's output."""
    loss: Literal["mse", "rescaled_mse", "kl", "rescaled_kl"] = "mse"
    """L_ori."""
    step_sampler: Literal["uniform", "loss_second_moment"] = "uniform"
    """How training draws the step t."""
    standardise: bool = True
    """Standardise vectors per dimension by the training set; the paper diffuses raw numbers."""
    std_floor: float = 0.01
    """Least standard deviation: what never moves in training is as large as this in people who move it."""
    betas: Literal["same", "min_max"] = "same"
    """`min_max` takes betas to [-1, 1] by the smallest and largest of the training set; `same` treats
    them as the rest of the vector."""

    def __post_init__(self):
        check_choices(self)
        require(self.steps >= 1, "diffusion.steps", "1 or more", self.steps)
        require(self.std_floor > 0, "diffusion.std_floor", "more than 0", self.std_floor)


@dataclasses.dataclass(frozen=True)
class Train:
    """Optimisation of L = L_ori + gamma_3d L_3D + gamma_2d L_2D."""

    target: Literal["annotation", "prediction"] = "annotation"
    """What x_0 is: the true parameters, or the estimate itself (the authors' code)."""
    gamma_3d: float = 0.0
    """Per metre of L_3D."""
    gamma_2d: float = 0.0
    """Per box (the larger side of the person's keypoints) of L_2D."""
    joint_error: Literal["pa_mpjpe", "mpjpe"] = "pa_mpjpe"
    """What L_3D is."""
    max_time: int | None = None
    """L_3D and L_2D are weighted by alpha_bar_t, and by zero above this t; None for no limit."""
    batch_size: int = 256
    steps: int = 2000
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's moments."""
    clip: float | None = None
    """Largest global norm of a gradient; None for any."""
    anneal: Literal["none", "linear", "cosine"] = "cosine"
    """The learning rate falls to zero over `steps`."""
    ema_rates: tuple[float, ...] = (0.998,)
    """Averages of the weights; the first is the one that is used."""
    ema_every: int = 1
    """Optimiser steps from one update of the averages to the next."""
    ema_warm_up: bool = False
    """Averages are copies up to step 100, then forget by min(rate, 1 - (step - 100)^(-2/3))."""
    keep: Literal["last", "best"] = "last"
    """Which averages are the model: those of the last step, or those with the lowest held-out eps loss
    at t = 50, looked at every `log_every` steps."""
    steps_per_dispatch: int = 25
    """Optimiser steps per call of the compiled function."""
    log_every: int = 100
    save_every: int = 1000
    seed: int = 0
    tensorboard: bool = False
    """Also write TensorBoard events (needs the extra `log`)."""

    def __post_init__(self):
        check_choices(self)
        for name in (
            "batch_size",
            "steps",
            "steps_per_dispatch",
            "log_every",
            "save_every",
            "ema_every",
        ):
            value = getattr(self, name)
            require(value >= 1, f"train.{name}", "1 or more", value)
        for name in ("gamma_3d", "gamma_2d", "weight_decay"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), f"train.{name}", "0 or more", value)
        require(self.learning_rate > 0, "train.learning_rate", "more than 0", self.learning_rate)
        moments = self.adam_betas
        require(all(0 <= b < 1 for b in moments), "train.adam_betas", "both in [0, 1)", moments)
        clipped = self.clip is None or 0 < self.clip < float("inf")
        require(clipped, "train.clip", "more than 0, or None", self.clip)
        rates_ok = bool(self.ema_rates) and all(0 <= rate < 1 for rate in self.ema_rates)
        require(rates_ok, "train.ema_rates", "one or more in [0, 1)", self.ema_rates)
        require((self.max_time or 0) >= 0, "train.max_time", "0 or more", self.max_time)
        require(0 <= self.seed < 2**32, "train.seed", "0 .. 2^32 - 1", self.seed)
