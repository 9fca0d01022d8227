"""What D3PRefiner trains on: windows of a sequence set, and what is fitted on it beforehand."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import config, skeleton, windows
from diffjax.data import pipeline, sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import d3prefiner, mirroring
from diffjax.sequences import sources

CHECK = 64
"""Windows of a report."""


class Examples(NamedTuple):
    """Training windows."""

    p: Float[Array | np.ndarray, "windows time J 2"]
    y: Float[Array | np.ndarray, "windows time J 3"]
    """The lifter's, out of fold."""
    x_0: Float[Array | np.ndarray, "windows time J 3"]
    weight: Float[Array | np.ndarray, "windows time"]
    """0 beyond the ends of a video."""


class Task(NamedTuple):
    """What a run trains on."""

    model: d3prefiner.Model
    """Without weights."""
    examples: Examples
    held_out: Examples | None


def examples_of(videos: SequenceSet, told: config.Sequences, where: str) -> Examples:
    """Windows of a set; ValueError unless it has estimates and the truth."""
    for name, what in (("estimate3d", "a lifter's 3D"), ("truth3d", "the true 3D")):
        if getattr(videos, name) is None:
            raise ValueError(
                f"{where}: field {name}: wanted {what} to train on, found nothing; "
                "scripts/make_sequences.py makes sets with both"
            )
    stride = told.training_stride or told.window
    cut = windows.windows(windows.plan(sequence_sets.lengths(videos), told.window, stride))
    columns: Any = (videos.poses2d, videos.estimate3d, videos.truth3d)
    p, y, x_0 = (x[cut.rows] for x in columns)
    return Examples(p, y, x_0, (np.asarray(cut.weight) > 0).astype(np.float32))


def make_task(run: config.Run, workdir: pathlib.Path) -> Task:
    """The sets of a run, and what is fitted on the training set."""
    videos = sources.open_set(run, run.data.train, "train", workdir)
    examples = examples_of(videos, run.sequence, run.data.train)
    p, y, x = videos.poses2d, videos.estimate3d, videos.truth3d
    assert y is not None
    assert x is not None
    stats = d3prefiner.statistics_of(p, y, x, sequence_sets.lengths(videos))
    held_out = None
    if run.data.val:
        val = sources.open_set(run, run.data.val, "val", workdir)
        _check_alike(videos, val, run.data.val)
        held_out = _spread(examples_of(val, run.sequence, run.data.val))
    return Task(d3prefiner.fit(run, videos.joint_set, stats), examples, held_out)


def _check_alike(videos: SequenceSet, val: SequenceSet, where: str) -> None:
    if videos.joint_set != val.joint_set:
        raise ValueError(
            f"{where}: field joint_set: wanted {videos.joint_set} as in data.train, found "
            f"{val.joint_set}; convert both to one joint set"
        )


def _spread(examples: Examples) -> Examples:
    """A fixed number of windows, evenly over the set."""
    index = np.linspace(0, len(examples.p) - 1, CHECK).astype(int)
    return pipeline.take(examples, index)


def mirrored(key: Any, joint_set: str, examples: Examples, error: Array) -> tuple[Examples, Array]:
    """Half of the windows, drawn by the key, as a mirror shows them."""
    mirror = skeleton.mirror_permutation(skeleton.keypoint_set(joint_set))
    turn = jax.random.bernoulli(key, 0.5, (len(error), 1, 1, 1))

    def seen(x):
        return jnp.where(turn, mirroring.flip(x, mirror), x)

    p, y, x_0, weight = examples
    return Examples(seen(p), seen(y), seen(x_0), weight), seen(error)
