"""A sequence set in, a refined one out."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import config, devices, progress, unpickle
from diffjax.data import jobs, sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import d3prefiner
from diffjax.sequences import outputs, scoring, sources, steadying, store

REFINING = (
    "stride", "at_once", "init", "iterations", "flip", "bones", "gaps", "remat", "dtype", "attention",
)  # fmt: skip
"""Settings that may be changed of a trained model: of refining alone, or of how the network is computed."""
_CALLS = 4
"""Compiled calls a piece, on every device: what a killed run has to do again."""


def refine_file(
    run: config.Run,
    data: str,
    out: Path,
    workdir: Path | None = None,
) -> str:
    """Writes the sequence set `data` with its estimates refined; says what that changed.

    The same call again goes on where a stopped one was. Of several processes each refines its share, and the first
    one writes the whole and has something to say.

    Args:
      data: a file, or `demo`.
      out: an .npz to write, whole or not at all.
      workdir: where the refiner was trained, unless `parts.refiner` says (default: runs/NAME).
    """
    workdir = workdir or Path("runs") / run.name
    where = run.parts.refiner or workdir
    outputs.check_file(out, data, where, Path(where) / store.EXPORTED)
    there = out.exists()
    videos = sources.open_set(run, data, "test", workdir)
    _check_estimates(videos, data)
    model = _load(run, where)
    seen = sequence_sets.in_order_of(model.joint_set, videos, str(where))
    job = _open_job(out, model, seen)
    _work(job, model, seen)
    jobs.wait(job)
    if not devices.is_first():
        return ""
    refined = sequence_sets.in_order_of(videos.joint_set, _joined(job, model, seen), data)
    sequence_sets.write(out, refined)
    jobs.forget(job)
    said = f"{out}: {describe(videos, refined)}"
    return f"{said}\n{out} was there before: replaced" if there else said


def _load(run: config.Run, where: str | Path) -> d3prefiner.Model:
    """The refiner in a working directory or file, to refine as the run says."""
    model = store.load(where)
    store.check_window(model, run.sequence.window, where)
    return with_settings(model, run.sequence)


def _open_job(out: Path, model: d3prefiner.Model, videos: SequenceSet) -> jobs.Job:
    """The job of an output, in a directory beside it; all that the result depends on are its facts."""
    run, process = model.run, model.process
    facts = {
        "data": jobs.fingerprint((videos.poses2d, videos.estimate3d, videos.frame)),
        "videos": jobs.fingerprint(sequence_sets.lengths(videos)),
        "refiner": jobs.fingerprint((model.params, process.schedule, process.normaliser)),
        "sequence": dataclasses.asdict(run.sequence),
        "diffusion": dataclasses.asdict(run.diffusion),
    }
    rows = d3prefiner.rows_at_once(model, _CALLS)
    directory, frames = out.with_name(f".{out.name}.part"), sequence_sets.count(videos)
    return jobs.open_job(directory, facts, frames, rows, "choose another --out", what="frames")


def _work(job: jobs.Job, model: d3prefiner.Model, videos: SequenceSet) -> None:
    """Does the pieces of this process that are not done."""
    plan = d3prefiner.plan_of(model, sequence_sets.lengths(videos))

    def do(span: tuple[int, int], bar: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        pair = videos.estimate3d, videos.poses2d
        better = d3prefiner.refine_rows(model, *pair, plan, *span, bar.update)
        return {"estimate3d": _rooted(better, videos)}, {}

    jobs.work(job, lambda first, end: (first, end), do, "d3prefiner")


def _joined(job: jobs.Job, model: d3prefiner.Model, videos: SequenceSet) -> SequenceSet:
    """The set as all pieces have refined it, its bones steadied."""
    parts = [unpickle.load_npz(file, objects=False)["estimate3d"] for file in jobs.shards(job)]
    refined = dataclasses.replace(videos, estimate3d=np.concatenate(parts))
    return steadying.steadied(refined, model.run.sequence.bones)


def _check_estimates(videos: SequenceSet, where: str) -> None:
    if videos.estimate3d is None:
        raise ValueError(
            f"{where}: field estimate3d: wanted a lifter's 3D to refine, found nothing; scripts/lift.py lifts 2D"
        )


def _rooted(better: np.ndarray, videos: SequenceSet) -> np.ndarray:
    """The root has no error: what blending left of it is rounding."""
    better[:, d3prefiner.root_of(videos.joint_set)] = 0.0
    return better.astype(np.float32)


def with_settings(model: d3prefiner.Model, told: config.Sequences) -> d3prefiner.Model:
    """The model, refining as it is told now (`REFINING`)."""
    changed = {name: getattr(told, name) for name in REFINING}
    now = dataclasses.replace(model.run.sequence, **changed)
    return dataclasses.replace(model, run=dataclasses.replace(model.run, sequence=now))


def refine_set(model: d3prefiner.Model, videos: SequenceSet, where: str) -> SequenceSet:
    """The set with its estimates refined, with a progress bar over frames."""
    _check_estimates(videos, where)
    sizes, pair = sequence_sets.lengths(videos), (videos.estimate3d, videos.poses2d)
    with progress.over(sequence_sets.count(videos), "d3prefiner", what="frames") as bar:
        better = d3prefiner.refine_sequences(model, *pair, sizes, bar.update)
    refined = dataclasses.replace(videos, estimate3d=_rooted(better, videos))
    return steadying.steadied(refined, model.run.sequence.bones)


def describe(videos: SequenceSet, refined: SequenceSet) -> str:
    """What changed, in words; errors where the truth is known."""
    frames, sizes = sequence_sets.count(videos), sequence_sets.lengths(videos)
    said = f"{frames} frames of {len(sizes)} videos"
    assert videos.estimate3d is not None
    assert refined.estimate3d is not None
    if videos.truth3d is None:
        moved = np.linalg.norm(refined.estimate3d - videos.estimate3d, axis=-1).mean()
        return f"{said}, joints moved by {1000 * moved:.1f} mm on the mean"
    before, after = (scoring.score(v.estimate3d, videos) for v in (videos, refined))
    parts = (
        f"{name} {getattr(before, field).mean():.1f} -> {getattr(after, field).mean():.1f} mm"
        for name, field in (("MPJPE", "mpjpe_mm"), ("P-MPJPE", "pa_mpjpe_mm"))
    )
    return f"{said}, {', '.join(parts)}"
