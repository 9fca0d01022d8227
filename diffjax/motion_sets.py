"""Motion as training data: poses of many clips in front of random cameras, with no estimates of them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body, config, pose
from diffjax.data import amass, moments, motion, records, synthetic

PREFIX = "motion:"
"""Before a directory of motion files, where a config wants the path of a set."""
SEEDS = {"train": 0, "val": 1, "test": 2}
_VIEWS = 3


def check(run: config.Run, name: str) -> None:
    """ValueError where a run needs more of `name` (`motion:DIR` or `demo`) than poses."""
    wanted = {
        "train.target": run.train.target == "prediction",
        "train.gamma_3d": run.train.gamma_3d > 0,
        "train.gamma_2d": run.train.gamma_2d > 0,
        "model.condition": bool(run.model.condition),
    }
    source = "generated" if name == "demo" else name.removeprefix(PREFIX)
    for field in (field for field, asked in wanted.items() if asked):
        raise ValueError(
            f"{field}: wanted estimates, keypoints or features, which the set '{name}' has not; make "
            f"estimates and keypoints with `python scripts/make_estimates.py --motion {source} --out "
            "runs/people` and pass --data.train runs/people/train.npz --data.val runs/people/val.npz"
        )


def read(name: str, every: int, part: str, model: body.BodyModel) -> records.AnnotationSet:
    """The people of `motion:DIR`: every n-th frame of each file, with mirror images to train on."""
    frames = gather(Path(name.removeprefix(PREFIX)), every)
    frames = moments.with_mirrors(frames) if part == "train" else frames
    return people(frames.rotations, frames.betas, SEEDS[part], model)


def gather(directory: Path, every: int) -> moments.Frames:
    """Every n-th frame of all motion files below a directory, a file at a time in memory."""
    directory = config.locate(directory)
    files = sorted(path for path in directory.rglob("*.npz") if not _is_shape(path))
    if not files:
        raise FileNotFoundError(
            f"{directory}: wanted motion files (.npz, AMASS's layout) below this directory, found none; "
            "pass --data.train motion:DIR with the directory that holds them"
        )
    return moments.joined([moments.gather([_clip(file, directory)], every) for file in files])


def _is_shape(path: Path) -> bool:
    """Whether a file is one of AMASS's that hold a subject's body, not a motion."""
    return path.stem == "shape" or path.stem.endswith("_stagei")


def _clip(file: Path, directory: Path) -> motion.Clip:
    name = str(file.relative_to(directory).with_suffix(""))
    return motion.Clip(amass.read_motion(file), name, name.rpartition("/")[0])


def people(
    rotations: np.ndarray, betas: np.ndarray, seed: int, model: body.BodyModel
) -> records.AnnotationSet:
    """Poses (y up) seen by three random cameras each; betas of zero are drawn anew for each.

    What stands for the estimate is the truth.
    """
    shape_key, view_key = jax.random.split(jax.random.key(seed))
    matrices = jnp.tile(jnp.asarray(rotations), (_VIEWS, 1, 1, 1))
    known = jnp.tile(jnp.asarray(betas), (_VIEWS, 1))
    drawn = synthetic.SHAPE_SPREAD * jax.random.normal(shape_key, (len(matrices), 10))
    shape = jnp.where(jnp.any(known != 0, -1, keepdims=True), known, drawn)
    seen, _ = jax.jit(synthetic.look_at)(view_key, pose.Pose(matrices, shape), model)
    arrays = tuple(np.asarray(x, np.float32) for x in seen)
    return records.AnnotationSet(*arrays, pose=arrays[0], betas=arrays[1])
