"""ScoreHMR's loop."""

import dataclasses
import functools
from typing import Any, Literal

from diffjax.config.rules import check_choices, require


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
        check_choices(self)
        require(self.rounds >= 1, "fit.rounds", "1 or more", self.rounds)
        require(self.stride >= 1, "fit.stride", "1 or more", self.stride)
        whole = self.start >= self.stride and self.start % self.stride == 0
        require(whole, "fit.start", "a multiple of fit.stride", self.start)
        require(self.robust > 0, "fit.robust", "more than 0", self.robust)
        for name in ("strength", "clip", "rate", "keypoints", "views", "velocity", "acceleration"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), f"fit.{name}", "0 or more", value)
        for name in ("smooth_before", "smooth_after"):
            value = getattr(self, name)
            odd = value > 0 and value % 2 == 1
            require(value == 0 or odd, f"fit.{name}", "0 or an odd number", value)


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
"""Of what is told of a fit."""


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
        check_choices(self)
