"""Everything one run is told."""

import dataclasses
from typing import Literal

from diffjax.config.diffannot import Guided, Search
from diffjax.config.scorehmr import ScoreHMR
from diffjax.config.sequences import Sequences
from diffjax.config.training import Data, Diffusion, Model, Train


@dataclasses.dataclass(frozen=True)
class Parts:
    """Trained parts that refining uses: working directories or .npz files."""

    denoiser: str = ""
    """What the step search denoises with; empty for what this run trains."""
    prior: str = ""
    """What the modes `guided` and `combined` denoise with; empty for the same."""
    residuals: str = ""
    """The frontend's cross-fitted residuals (modes `fast` and `combined`); empty for none."""
    frontend: str = ""
    """The keypoint frontend, to run it again on new keypoints; empty for none."""
    refiner: str = ""
    """What the mode `d3prefiner` refines with; empty for what this run trains."""
    poses: str = ""
    """Known poses, of the mode `recall` and of what tells errors without the truth: named as `data.train` is; empty
    for that."""


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
    mode: Literal[
        "guided", "fast", "combined", "recall", "recall+combined", "scorehmr", "d3prefiner"
    ] = "guided"
    """How scripts/refine.py refines, sequence sets by `d3prefiner`; docs/evaluation.md: "Which mode, when"."""
    parts: Parts = dataclasses.field(default_factory=Parts)
