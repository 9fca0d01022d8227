"""Generated people to train the demo's prior on: poses in front of cameras, with no estimates of them."""

import numpy as np

from diffjax import body, config, motion_sets
from diffjax.data import moments, records, splits

NAME = "demo"
"""Stands for generated people where a config wants the path of a set."""


def check(run: config.Run) -> None:
    """ValueError where a run needs more of generated people than their poses."""
    motion_sets.check(run, NAME)


def poses(part: str, model: body.BodyModel) -> records.AnnotationSet:
    """The generated people of a split (`train` with mirror images), each seen by three random cameras.

    What stands for the estimate is the truth.
    """
    sampling = splits.GENERATED_SAMPLING
    every = sampling.train_every if part == "train" else sampling.val_every
    frames = moments.gather(splits.generated_clips(part), every)
    frames = moments.with_mirrors(frames) if part == "train" else frames
    anyone = np.zeros_like(frames.betas)  # Every view draws its own.
    return motion_sets.people(frames.rotations, anyone, motion_sets.SEEDS[part], model)
