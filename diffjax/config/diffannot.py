"""The step search, and evidence inside the denoising."""

import dataclasses
from typing import Literal

from diffjax import skeleton
from diffjax.config.rules import check_choices, require


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
        check_choices(self)
        require(self.max_step >= 0, "search.max_step", "0 or more", self.max_step)
        patient = self.patience is None or self.patience >= 1
        require(patient, "search.patience", "1 or more, or None", self.patience)
        whole = self.tile is None or (self.tile > 0 and self.tile % 64 == 0)
        require(whole, "search.tile", "a multiple of 64, or None", self.tile)
        known = tuple(sorted(skeleton.KEYPOINT_SETS))
        require(self.keypoints in known, "search.keypoints", f"one of {known}", self.keypoints)


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
    error_weight: float = 0.3
    """Of the frontend's error model in the mode `combined`."""
    prior_weight: float = 1.0
    """Of the denoiser in the mode `combined`."""
    prior_time: int = 200
    """The step that the denoiser of the mode `combined` is told."""
    iterations: int = 240
    """Steps of Adam in the mode `combined`."""
    combined_px_share: float = 0.1
    """As `robust_px_share`, of the mode `combined`."""
    recall: float = 0.5
    """Share of the way to the known poses that explain the keypoints, of the modes `recall` and `recall+combined`: 1
    for the estimates of a frontend that saw no more than these keypoints, less the more it saw."""

    def __post_init__(self):
        require(self.strength >= 0, "guidance.strength", "0 or more", self.strength)
        require(self.rounds >= 1, "guidance.rounds", "1 or more", self.rounds)
        require(self.stride >= 1, "guidance.stride", "1 or more", self.stride)
        require(self.start >= self.stride, "guidance.start", "guidance.stride or more", self.start)
        shares = ("robust_px_share", "combined_px_share")
        for name in (*shares, "map_weight", "error_weight", "prior_weight"):
            value = getattr(self, name)
            require(value >= 0, f"guidance.{name}", "0 or more", value)
        require(self.prior_time >= 0, "guidance.prior_time", "0 or more", self.prior_time)
        require(self.iterations >= 1, "guidance.iterations", "1 or more", self.iterations)
        require(0 < self.recall <= 1, "guidance.recall", "above 0 and up to 1", self.recall)


@dataclasses.dataclass(frozen=True)
class Guided:
    """Guidance per kind of evidence, fixed on validation."""

    labels: Guidance = Guidance(
        strength=4.0,
        rounds=40,
        map_weight=0.3,
        error_weight=0.2,
        prior_weight=0.5,
        combined_px_share=0.2,
    )
    """2D keypoints that people clicked."""
    detections: Guidance = Guidance(strength=1.0, rounds=20, map_weight=3.0, error_weight=0.7)
    """2D keypoints of a detector."""
    joints3d: Guidance = Guidance(
        strength=2.0,
        rounds=40,
        robust_px_share=0.0,
        map_weight=0.3,
        error_weight=0.05,
        prior_weight=0.15,
        combined_px_share=0.0,
    )
    """3D joints."""


def recalling(share: float) -> Guided:
    """The defaults, with this share of the way to known poses for all evidence."""
    kinds = dataclasses.asdict(Guided())
    return Guided(
        **{kind: Guidance(**fields | {"recall": share}) for kind, fields in kinds.items()}
    )
