"""A sequence set in, a refined one out."""

import dataclasses
from pathlib import Path

import numpy as np
from tqdm import tqdm

from diffjax import config, devices, sequence_checkpoint, sequence_scores, sequence_sources
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import d3prefiner

REFINING = ("stride", "at_once", "init", "iterations", "flip", "gaps")
"""Settings of refining alone: of a trained model they may be changed."""


def refine_file(
    run: config.Run,
    data: str,
    out: Path,
    workdir: Path | None = None,
) -> str:
    """Writes the sequence set `data` with its estimates refined; says what that changed.

    Args:
      data: a file, or `demo`.
      out: an .npz to write, whole or not at all.
      workdir: where the refiner was trained, unless `parts.refiner` says (default: runs/NAME).
    """
    if out.suffix != ".npz" or (Path(data).exists() and out.resolve() == Path(data).resolve()):
        raise ValueError(f"{out}: wanted a name ending in .npz, and not the set itself; choose one")
    workdir = workdir or Path("runs") / run.name
    where = run.parts.refiner or workdir
    videos = sequence_sources.open_set(run, data, "test", workdir)
    model = sequence_checkpoint.load(where, videos.joint_set)
    sequence_checkpoint.check_window(model, run.sequence.window, where)
    refined = refine_set(with_settings(model, run.sequence), videos, data)
    if not devices.is_first():
        return ""
    sequence_sets.write(out, refined)
    return f"{out}: {describe(videos, refined)}"


def with_settings(model: d3prefiner.Model, told: config.Sequences) -> d3prefiner.Model:
    """The model, refining as it is told now: stride, iterations, start, mirror averaging."""
    changed = {name: getattr(told, name) for name in REFINING}
    now = dataclasses.replace(model.run.sequence, **changed)
    return dataclasses.replace(model, run=dataclasses.replace(model.run, sequence=now))


def refine_set(model: d3prefiner.Model, videos: SequenceSet, where: str) -> SequenceSet:
    """The set with its estimates refined, with a progress bar over frames."""
    if videos.estimate3d is None:
        raise ValueError(
            f"{where}: field estimate3d: wanted a lifter's 3D to refine, found nothing; lift the 2D first"
        )
    bar = tqdm(total=len(videos.frame), desc="d3prefiner", unit=" frames", leave=False)
    with bar:
        better = d3prefiner.refine_sequences(
            model,
            videos.estimate3d,
            videos.poses2d,
            sequence_sets.lengths(videos),
            bar.update,
        )
    # The root has no error: what blending left of it is rounding.
    better[:, d3prefiner.root_of(videos.joint_set)] = 0.0
    return dataclasses.replace(videos, estimate3d=better.astype(np.float32))


def describe(videos: SequenceSet, refined: SequenceSet) -> str:
    """What changed, in words; errors where the truth is known."""
    frames, sizes = sequence_sets.count(videos), sequence_sets.lengths(videos)
    said = f"{frames} frames of {len(sizes)} videos"
    assert videos.estimate3d is not None
    assert refined.estimate3d is not None
    if videos.truth3d is None:
        moved = np.linalg.norm(refined.estimate3d - videos.estimate3d, axis=-1).mean()
        return f"{said}, joints moved by {1000 * moved:.1f} mm on the mean"
    before, after = (sequence_scores.score(v.estimate3d, videos) for v in (videos, refined))
    parts = (
        f"{name} {getattr(before, field).mean():.1f} -> {getattr(after, field).mean():.1f} mm"
        for name, field in (("MPJPE", "mpjpe_mm"), ("P-MPJPE", "pa_mpjpe_mm"))
    )
    return f"{said}, {', '.join(parts)}"
