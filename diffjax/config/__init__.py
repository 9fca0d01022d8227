"""What a run is told: frozen, validated values, read from a Python file and overridden by name."""

from diffjax.config.command import Fields, call, config_of, keep_compiled, parse, run_main
from diffjax.config.diffannot import Guidance, Guided, Search, recalling
from diffjax.config.files import ROOT, from_json, load, locate, to_json
from diffjax.config.run import Parts, Run
from diffjax.config.scorehmr import Fit, Quality, ScoreHMR, relative_fit
from diffjax.config.sequences import PAPER, Sequences
from diffjax.config.training import Data, Diffusion, Model, Train

__all__ = [
    "PAPER", "ROOT", "Data", "Diffusion", "Fields", "Fit", "Guidance", "Guided", "Model", "Parts", "Quality",
    "Run", "ScoreHMR", "Search", "Sequences", "Train", "call", "config_of", "from_json", "keep_compiled", "load",
    "locate", "parse", "recalling", "relative_fit", "run_main", "to_json",
]  # fmt: skip
