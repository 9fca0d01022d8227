"""Generated people to train the demo's prior on: poses in front of cameras, with no estimates of them."""

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, config, pose, simulate
from diffjax.data import records, synthetic

NAME = "demo"
"""Stands for generated people where a config wants the path of a set."""
_SEEDS = {"train": 0, "val": 1}
_VIEWS = 3


def check(run: config.Run) -> None:
    """ValueError where a run needs more of generated people than their poses."""
    wanted = {
        "train.target": run.train.target == "prediction",
        "train.gamma_3d": run.train.gamma_3d > 0,
        "train.gamma_2d": run.train.gamma_2d > 0,
        "model.condition": bool(run.model.condition),
    }
    for field in (name for name, asked in wanted.items() if asked):
        raise ValueError(
            f"{field}: wanted estimates or keypoints, which the set 'demo' has not; make them with "
            "`python scripts/make_estimates.py --motion generated --out runs/people` and pass "
            "--data.train runs/people/train.npz --data.val runs/people/val.npz"
        )


def poses(part: str, model: body.BodyModel) -> records.AnnotationSet:
    """The generated people of a split (`train` with mirror images), each seen by three random cameras.

    What stands for the estimate is the truth.
    """
    sampling = simulate.GENERATED_SAMPLING
    every = sampling.train_every if part == "train" else sampling.val_every
    frames = simulate.gather(simulate.generated_clips(part), every)
    frames = simulate.with_mirrors(frames) if part == "train" else frames
    shape_key, view_key = jax.random.split(jax.random.key(_SEEDS[part]))
    matrices = jnp.tile(jnp.asarray(frames.rotations), (_VIEWS, 1, 1, 1))
    betas = synthetic.SHAPE_SPREAD * jax.random.normal(shape_key, (len(matrices), 10))
    seen, _ = jax.jit(synthetic.look_at)(view_key, pose.Pose(matrices, betas), model)
    arrays = tuple(np.asarray(x, np.float32) for x in seen)
    return records.AnnotationSet(*arrays, pose=arrays[0], betas=arrays[1])
