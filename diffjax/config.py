"""What a run is told: frozen, validated values, read from a Python file and overridden by name."""

import argparse
import dataclasses
import functools
import json
import logging
import os
import pathlib
import runpy
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import tyro

from diffjax import skeleton

ROOT = pathlib.Path(__file__).resolve().parent.parent
"""The repository: relative paths that are not in the working directory are looked up here."""


def _require(ok: bool, field: str, wanted: str, value: object) -> None:
    if not ok:
        raise ValueError(f"{field}: wanted {wanted}, got {value!r}")


def _check_choices(record: Any) -> None:
    """ValueError unless every field annotated `Literal` (or a tuple of it) holds one of its values."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        choices, values = field.type, (value,)
        if typing.get_origin(field.type) is tuple:
            choices, values = typing.get_args(field.type)[0], value
        if typing.get_origin(choices) is Literal:
            options = typing.get_args(choices)
            name = f"{type(record).__name__.lower()}.{field.name}"
            _require(all(v in options for v in values), name, f"one of {options}", value)


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
        _require(whole, "data.train", "paths or 'demo', joined by commas", self.train)
        weights = self.train_weights
        ok = all(0 < weight < float("inf") for weight in weights)
        count = len(self.train_sets)
        ok &= len(weights) in (0, count)
        _require(ok, "data.train_weights", f"none, or {count} above 0, one a set", weights)
        _require(self.motion_every >= 1, "data.motion_every", "1 or more", self.motion_every)
        _require(bool(self.body), "data.body", "a path", self.body)

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
        _check_choices(self)
        _require(self.width >= 1, "model.width", "1 or more", self.width)
        _require(self.depth >= 1, "model.depth", "1 or more", self.depth)
        unique = len(set(self.condition)) == len(self.condition)
        _require(unique, "model.condition", "each condition once", self.condition)
        ok = self.kind == "paper" or not self.legacy
        _require(ok, "model.legacy", "False unless model.kind is 'paper'", self.legacy)
        two = self.branches == "separate"
        ok = not two or (self.kind == "scorehmr" and self.vector == "sixd154")
        _require(ok, "model.branches", "'joint' unless scorehmr over sixd154", self.branches)
        ok = self.shape_features >= 0 and (two or not self.shape_features)
        _require(ok, "model.shape_features", "0 unless branches are separate", self.shape_features)


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
        _check_choices(self)
        _require(self.steps >= 1, "diffusion.steps", "1 or more", self.steps)
        _require(self.std_floor > 0, "diffusion.std_floor", "more than 0", self.std_floor)


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
        _check_choices(self)
        for name in (
            "batch_size",
            "steps",
            "steps_per_dispatch",
            "log_every",
            "save_every",
            "ema_every",
        ):
            value = getattr(self, name)
            _require(value >= 1, f"train.{name}", "1 or more", value)
        for name in ("gamma_3d", "gamma_2d", "weight_decay"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), f"train.{name}", "0 or more", value)
        _require(self.learning_rate > 0, "train.learning_rate", "more than 0", self.learning_rate)
        moments = self.adam_betas
        _require(all(0 <= b < 1 for b in moments), "train.adam_betas", "both in [0, 1)", moments)
        clipped = self.clip is None or 0 < self.clip < float("inf")
        _require(clipped, "train.clip", "more than 0, or None", self.clip)
        rates_ok = bool(self.ema_rates) and all(0 <= rate < 1 for rate in self.ema_rates)
        _require(rates_ok, "train.ema_rates", "one or more in [0, 1)", self.ema_rates)
        _require((self.max_time or 0) >= 0, "train.max_time", "0 or more", self.max_time)
        _require(0 <= self.seed < 2**32, "train.seed", "0 .. 2^32 - 1", self.seed)


@dataclasses.dataclass(frozen=True)
class Search:
    """The step search (Algorithm 1)."""

    max_step: int = 60
    """Largest start tried."""
    patience: int | None = 10
    """Stop after more rises in a row than this; None tries every start."""
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    candidate: Literal["chain", "one_step"] = "chain"
    """s reverse steps (the paper), or one network call at s (the authors' code)."""
    error: Literal["pa_mpjpe", "mpjpe", "reprojection"] = "pa_mpjpe"
    """What chooses."""
    keypoints: str = "h36m14"
    """The joints that `error` and the table compare; the 2D ones are those of the evidence."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the factors of the denoiser's matrix products; sums and all else stay float32."""
    tile: int | None = None
    """(sample, start) pairs denoised at once, a multiple of 64; None for what suits the device."""

    def __post_init__(self):
        _check_choices(self)
        _require(self.max_step >= 0, "search.max_step", "0 or more", self.max_step)
        patient = self.patience is None or self.patience >= 1
        _require(patient, "search.patience", "1 or more, or None", self.patience)
        whole = self.tile is None or (self.tile > 0 and self.tile % 64 == 0)
        _require(whole, "search.tile", "a multiple of 64, or None", self.tile)
        known = tuple(sorted(skeleton.KEYPOINT_SETS))
        _require(self.keypoints in known, "search.keypoints", f"one of {known}", self.keypoints)


@dataclasses.dataclass(frozen=True)
class Guidance:
    """One kind of evidence inside the denoising."""

    strength: float
    """Weight of the energy's gradient."""
    rounds: int
    """How often the chain is run."""
    start: int = 50
    """The estimate is inverted (DDIM) to this step."""
    stride: int = 10
    """Steps between denoiser calls on the way back."""
    robust_px_share: float = 0.1
    """Residuals beyond this share of the person's box stop pulling; 0 for plain squares."""
    map_weight: float = 1.0
    """Weight of the frontend's error model in the mode `fast`: grows with the noise of the evidence."""
    through_network: bool = True
    """Take the gradient through the denoiser too."""

    def __post_init__(self):
        _require(self.strength >= 0, "guidance.strength", "0 or more", self.strength)
        _require(self.rounds >= 1, "guidance.rounds", "1 or more", self.rounds)
        _require(self.stride >= 1, "guidance.stride", "1 or more", self.stride)
        _require(self.start >= self.stride, "guidance.start", "guidance.stride or more", self.start)
        share = self.robust_px_share
        _require(share >= 0, "guidance.robust_px_share", "0 or more", share)
        _require(self.map_weight >= 0, "guidance.map_weight", "0 or more", self.map_weight)


@dataclasses.dataclass(frozen=True)
class Guided:
    """Guidance per kind of evidence, fixed on validation."""

    labels: Guidance = Guidance(strength=4.0, rounds=40, map_weight=0.3)
    """2D keypoints that people clicked."""
    detections: Guidance = Guidance(strength=1.0, rounds=20, map_weight=3.0)
    """2D keypoints of a detector."""
    joints3d: Guidance = Guidance(strength=2.0, rounds=40, robust_px_share=0.0, map_weight=0.3)
    """3D joints."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """ScoreHMR's loop on one kind of evidence; the defaults are the original's."""

    rounds: int = 10
    """Of inversion and guided sampling."""
    start: int = 50
    """The estimate is inverted (DDIM) to this step."""
    stride: int = 2
    """Steps between denoiser calls."""
    strength: float = 1.0
    """Of the gradient."""
    clip: float = 0.0
    """Of the gradient's coordinates, before the strength; 0 for none."""
    through_network: bool = False
    """Take the gradient through the denoiser too."""
    prior: Literal["network", "none"] = "network"
    """`none` switches the denoiser off (eps = 0): the evidence alone, in the prior's units. Its network is not run."""
    pixels: Literal["image", "box"] = "image"
    """What pixel errors are relative to: an image of 1000 px (squared confidence, robust in x and y apart), or the
    box of the person's keypoints (confidence, robust in the distance)."""
    robust: float = 100.0
    """Residuals beyond this stop pulling: pixels, or a share of the box."""
    standing: Literal["adam", "solved"] = "adam"
    """Where people stand: optimised beside the pose, or solved at every step."""
    rate: float = 1e-2
    """Adam's, of where people stand."""
    keypoints: float = 0.003
    """Weight of the keypoints, as of all that follow."""
    views: float = 0.005
    """Of one body in all views whose cameras are not known."""
    velocity: float = 30.0
    """Of small steps from frame to frame, of 6D rotations."""
    acceleration: float = 0.0
    camera_velocity: float = 0.0
    """Of where people stand."""
    camera_acceleration: float = 0.0
    joint_limits: float = 0.0
    """Of bends beyond what joints allow (squared rad)."""
    stop: Literal["never", "freeze", "leave"] = "leave"
    """People who have converged go on; keep what they were, and are computed on; or are left out."""
    tolerance: float = 1e-5
    """People have converged when their keypoint loss changes by less, as a share."""
    smooth_before: int = 0
    """Frames of the Savitzky-Golay window over the estimates of a track; 0 for none."""
    smooth_after: int = 0
    """The same, over what was fitted."""
    margin: float | None = None
    """Whose reprojection error falls by less (shares of the box) comes back as it was; None takes everybody."""

    def __post_init__(self):
        _check_choices(self)
        _require(self.rounds >= 1, "fit.rounds", "1 or more", self.rounds)
        _require(self.stride >= 1, "fit.stride", "1 or more", self.stride)
        whole = self.start >= self.stride and self.start % self.stride == 0
        _require(whole, "fit.start", "a multiple of fit.stride", self.start)
        _require(self.robust > 0, "fit.robust", "more than 0", self.robust)
        for name in ("strength", "clip", "rate", "keypoints", "views", "velocity", "acceleration"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), f"fit.{name}", "0 or more", value)
        for name in ("smooth_before", "smooth_after"):
            value = getattr(self, name)
            _require(value == 0 or value % 2 == 1, f"fit.{name}", "0 or an odd number", value)


def relative_fit(strength: float, rounds: int, **changes: Any) -> Fit:
    """Errors relative to the person, whose place is solved, and a clipped gradient through the denoiser.

    Unlike the original's it goes as far as the evidence leads: it does not stop early.
    """
    ours: dict[str, Any] = {
        "stride": 10, "clip": 20.0, "through_network": True, "pixels": "box", "robust": 0.1,
        "standing": "solved", "keypoints": 1.0, "velocity": 0.0, "stop": "never",
    }  # fmt: skip
    return Fit(strength=strength, rounds=rounds, **(ours | changes))


Quality = Literal["cheap", "full"]


@dataclasses.dataclass(frozen=True)
class ScoreHMR:
    """The loop for each kind of evidence and for what belongs together; the defaults are the original's."""

    use: Literal["auto", "frames", "video", "views"] = "auto"
    """Rows are fitted alone, as tracks, or as views of one person. `auto`: alone, unless the field `view` names their
    cameras; then as views where `view_rotation` says how these stand, else as tracks."""
    labels: Fit = dataclasses.field(default_factory=Fit)
    """Single frames with clicked keypoints."""
    detections: Fit = dataclasses.field(default_factory=Fit)
    """Single frames with a detector's."""
    video: Fit = dataclasses.field(default_factory=functools.partial(Fit, stop="never"))
    """Tracks, with either."""
    views: Fit = dataclasses.field(
        default_factory=functools.partial(Fit, rounds=2, start=100, stride=10, stop="never")
    )
    """Several views of one person, with either."""
    quality: Quality = "cheap"
    """What is told of each fit: `full` fits three times more, for flip consistency and held-out keypoints."""

    def __post_init__(self):
        _check_choices(self)


@dataclasses.dataclass(frozen=True)
class Sequences:
    """D3PRefiner: windows, network, noise and reverse process; the steps and their schedule are `diffusion`'s.

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
    diffusion: bool = True
    """Without it the network only sees the last step, and refines in one: the same network, plainly trained."""
    precondition: bool = False
    """Show the network x_t / (a_t + b_t)."""
    init: Literal["paper", "scaled"] = "paper"
    """x_T is the estimate, or (a_T + b_T) of it."""
    iterations: int = 2
    """Of DDIM."""
    mirror: bool = True
    """Mirror half of the training windows."""
    flip: bool = False
    """Average the refinement with that of the mirror image."""
    decay: float = 0.96
    """Of the learning rate after each epoch, beside `train.anneal`."""
    gaps: Literal["refuse", "fill"] = "refuse"
    """NaN in 2D or in the estimate of a set: refused, or filled from the neighbours in the video."""
    network: Literal["criss_cross", "frames"] = "criss_cross"
    """The paper's, with a token for each joint of each frame; or `denoisers.frames`, with a token a frame, to which
    heads, layout, structure, remat, dtype and attention say nothing."""
    loss: Literal["square", "distance"] = "square"
    """The paper's mean square of normalised errors, or the mean distance of joints, as MPJPE counts."""
    real: float = 0.0
    """Share of training windows that keep the lifter's real error, whatever `noise` is."""
    points: bool = True
    """Show the network the 2D; without it, it can only smooth."""

    def __post_init__(self):
        _check_choices(self)
        for name in ("window", "width", "blocks", "heads", "iterations"):
            _require(getattr(self, name) >= 1, f"sequence.{name}", "1 or more", getattr(self, name))
        for name in ("stride", "training_stride"):
            value, wanted = getattr(self, name), f"0 to {self.window}, the window"
            _require(0 <= value <= self.window, f"sequence.{name}", wanted, value)
        wide = self.width % (2 * self.heads) == 0
        _require(wide, "sequence.width", f"a multiple of {2 * self.heads}, 2 heads", self.width)
        _require(
            self.at_once is None or self.at_once >= 1, "sequence.at_once", "1 or more", self.at_once
        )
        fused = self.attention != "cudnn" or self.dtype == "bfloat16"
        _require(fused, "sequence.dtype", "bfloat16 for attention cudnn", self.dtype)
        _require(0 < self.decay <= 1, "sequence.decay", "in (0, 1]", self.decay)
        _require(0 <= self.ridge < 1, "sequence.ridge", "in [0, 1)", self.ridge)
        _require(0 <= self.real <= 1, "sequence.real", "in [0, 1]", self.real)


@dataclasses.dataclass(frozen=True)
class Parts:
    """Trained parts that refining uses: working directories or .npz files."""

    denoiser: str = ""
    """What the step search denoises with; empty for what this run trains."""
    prior: str = ""
    """What the mode `guided` denoises with; empty for the same."""
    residuals: str = ""
    """The frontend's cross-fitted residuals (mode `fast`); empty for none."""
    frontend: str = ""
    """The keypoint frontend, to run it again on new keypoints; empty for none."""
    refiner: str = ""
    """What the mode `d3prefiner` refines with; empty for what this run trains."""


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything one run is told."""

    name: str = "demo"
    data: Data = dataclasses.field(default_factory=Data)
    model: Model = dataclasses.field(default_factory=Model)
    diffusion: Diffusion = dataclasses.field(default_factory=Diffusion)
    train: Train = dataclasses.field(default_factory=Train)
    search: Search = dataclasses.field(default_factory=Search)
    guided: Guided = dataclasses.field(default_factory=Guided)
    scorehmr: ScoreHMR = dataclasses.field(default_factory=ScoreHMR)
    sequence: Sequences = dataclasses.field(default_factory=Sequences)
    mode: Literal["guided", "fast", "scorehmr", "d3prefiner"] = "guided"
    """How scripts/refine.py refines. `d3prefiner` is trained and refined on sequence sets."""
    parts: Parts = dataclasses.field(default_factory=Parts)


def load(path: str | pathlib.Path) -> Run:
    """The value of `get_config()` in a config file, run by path."""
    file = locate(path)
    if not file.is_file():
        raise FileNotFoundError(f"{path}: no config here; configs/demo.py needs no data")
    run = runpy.run_path(str(file)).get("get_config", lambda: None)()
    if not isinstance(run, Run):
        raise ValueError(f"{path}: wanted get_config() -> config.Run, got {type(run).__name__}")
    return run


def locate(path: str | pathlib.Path) -> pathlib.Path:
    """The path itself; a relative one that is not in the working directory, in the repository."""
    path = pathlib.Path(path)
    in_repository = ROOT / path
    return in_repository if not path.exists() and in_repository.exists() else path


Fields = Annotated[Run, tyro.conf.arg(name="", prefix_name=False)]
"""A run on a command line: every field by its own name."""


@dataclasses.dataclass(frozen=True)
class _Command:
    config: pathlib.Path
    """A file of configs/; every field below overrides it."""
    workdir: pathlib.Path | None
    """Where the run writes (default: runs/NAME)."""
    run: Fields


def config_of(argv: Sequence[str]) -> pathlib.Path:
    """The file named by `--config`; configs/demo.py where none is."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", default="configs/demo.py")
    return pathlib.Path(first.parse_known_args(argv)[0].config)


def parse(argv: Sequence[str] | None = None, description: str = "") -> tuple[Run, pathlib.Path]:
    """(run, workdir) from `--config FILE --workdir DIR` and any field by name, as `--train.steps 10`.

    Wrong usage prints what was meant and exits with code 2, as argparse does.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    path = config_of(argv)
    default = _Command(path, None, load(path))
    command = tyro.cli(_Command, default=default, args=argv, description=description)
    return command.run, command.workdir or pathlib.Path("runs") / command.run.name


def keep_compiled() -> None:
    """Compiled code is kept between runs: in JAX_COMPILATION_CACHE_DIR, or ~/.cache/diffjax.

    An empty JAX_COMPILATION_CACHE_DIR keeps nothing.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "diffjax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def run_main(main: Callable[[], None]) -> None:
    """Calls main; bad input becomes one line on stderr and exit code 2, Ctrl-C exit code 130.

    DIFFJAX_TRACEBACK=1 in the environment shows where an error came from.
    """
    keep_compiled()
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports every open directory.
    try:
        main()
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr, flush=True)
        sys.stdout.flush()
        # Not sys.exit: threads that are still compiling would crash while Python is taken down.
        os._exit(130)
    except BrokenPipeError:  # Whoever reads our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError) as error:
        if os.environ.get("DIFFJAX_TRACEBACK"):
            raise
        print(f"{pathlib.Path(sys.argv[0]).name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def to_json(run: Run) -> str:
    """The run as text, for checkpoints."""
    return json.dumps(dataclasses.asdict(run), indent=1)


def from_json(text: str) -> Run:
    """The run of `to_json`. An unknown field is refused: it means another version."""
    return _record(Run, json.loads(text), "run")


def _record(kind: Any, values: dict[str, Any], where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"config {where}: unknown fields {unknown}; written by another version?")
    return kind(**{name: _value(fields[name].type, v, where) for name, v in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, f"{where}.{getattr(kind, '__name__', kind)}")
    return tuple(value) if isinstance(value, list) else value
