"""Sequence sets in milliseconds: smooth motion of 17 joints, and a lifter's errors that depend on it."""

import numpy as np

from diffjax import config
from diffjax.data import sequence_sets

LENGTHS = (30, 12, 1, 21)


def videos(lengths=LENGTHS, seed=0, subjects=2, **changes) -> sequence_sets.SequenceSet:
    """Videos of subjects by turns, with estimates some centimetres off."""
    random = np.random.default_rng(seed)
    rows = sum(lengths)
    drift = random.normal(size=(2, rows, 17, 3)).cumsum(1) * 0.01
    truth = 0.3 * np.random.default_rng(99).normal(size=(17, 3)) + np.clip(drift[0], -0.5, 0.5)
    truth -= truth[:, :1]
    error = 0.05 * truth[..., ::-1] + 0.02 * random.normal(size=truth.shape) + 0.01
    error[:, 0] = 0.0
    number = np.repeat(np.arange(len(lengths)), lengths)
    fields = {
        "poses2d": (0.3 * truth[..., :2] + 0.1).astype(np.float32),
        "joint_set": "h36m17",
        "sequence": np.array([f"v{i}" for i in number]),
        "subject": np.array([f"s{i % subjects}" for i in number]),
        "view": np.full(rows, "0"),
        "action": np.array([f"a{i % 2}" for i in number]),
        "frame": np.concatenate([np.arange(n) for n in lengths]),
        "estimate3d": (truth + error).astype(np.float32),
        "truth3d": truth.astype(np.float32),
    }
    return sequence_sets.from_arrays(fields | changes, "made")


def arrays(made: sequence_sets.SequenceSet) -> dict:
    """Its fields, to be spoilt."""
    return {k: v for k, v in vars(made).items() if v is not None}


def run(train="", val="", test="", **changes) -> config.Run:
    """One block of width 16 over windows of 9 frames."""
    told = config.PAPER | {"window": 9, "width": 16, "blocks": 1, "heads": 2} | changes
    return config.Run(
        name="tiny",
        mode="d3prefiner",
        data=config.Data(train=train or "demo", val=val, test=test or "demo"),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(**told),
        train=config.Train(
            batch_size=4,
            steps=4,
            log_every=2,
            save_every=2,
            steps_per_dispatch=2,
            ema_rates=(0.5,),
            anneal="none",
        ),
    )
