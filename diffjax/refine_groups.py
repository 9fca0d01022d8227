"""Refining a set whose rows may belong together, or are told what they are worth: piece by piece, and on from a stop.

The set is held in memory, since a track may lie anywhere in it.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import (
    annotate,
    config,
    evaluate,
    fitting,
    metrics,
    segments,
    skeleton,
    tracks,
)
from diffjax.confidence import modes
from diffjax.data import checks, jobs, records, shards
from diffjax.pose import Pose

_PIECE = {"cpu": 512}
"""Rows of a piece, more or less, by backend: what a killed run has to do again. Elsewhere as in `refine`."""


def begin(
    directory: Path, source: shards.Source, mode: modes.Mode, rows: int
) -> tuple[jobs.Job, records.AnnotationSet, list[tracks.Piece]]:
    """The job in a directory, all its people, checked, and which of them are fitted together."""
    people = records.concatenate(list(shards.survey(source)))
    groups = fitting.groups_of(people, mode.use, source.name)
    rows = rows or _PIECE.get(jax.default_backend(), 2048)
    plan = fitting.pieces_of(groups, mode.use, rows)
    edges = tuple(np.cumsum([0, *(piece.keep.sum() for piece in plan)]).tolist())
    facts = {"data": source.digest, "evidence": mode.kind, **mode.facts}
    job = jobs.open_job(directory, facts, source.count, rows, "choose another --out", edges)
    return job, people, plan


def work(
    job: jobs.Job, people: records.AnnotationSet, plan: list[tracks.Piece], mode: modes.Mode
) -> None:
    """Does the pieces of this process that are not done."""
    first = {start: index for index, start in enumerate(job.edges)}

    def read(start: int, _: int) -> tracks.Piece:
        return plan[first[start]]

    def do(piece: tracks.Piece, bar: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        some = records.take(people, piece.rows)
        refined, seconds = modes.refine_rows(mode, some, piece.group, "annotations", bar)
        arrays = {
            "pred_pose": refined.pose.rotations,
            "pred_betas": refined.pose.betas,
            "pred_cam_t": refined.translation,
            **{f"quality/{name}": value for name, value in refined.quality.items()},
        }
        kept = {name: np.asarray(value)[piece.keep] for name, value in arrays.items()}
        checks.check_values({name: kept[name] for name in checks.ESTIMATE}, "refined")
        return kept | {"rows": piece.rows[piece.keep]}, {"seconds": seconds}

    jobs.work(job, read, do, mode.name)


def gather(
    job: jobs.Job, people: records.AnnotationSet
) -> tuple[records.AnnotationSet, dict[str, np.ndarray], float]:
    """The set with its estimates replaced, the quality of every row, and seconds."""
    parts: dict[str, list[np.ndarray]] = {}
    for file in jobs.shards(job):
        with np.load(file) as arrays:
            for name in arrays.files:
                parts.setdefault(name, []).append(arrays[name])
    whole = {name: np.concatenate(part) for name, part in parts.items()}
    order = np.argsort(whole.pop("rows"))
    whole = {name: array[order] for name, array in whole.items()}
    quality = {k.removeprefix("quality/"): v for k, v in whole.items() if k.startswith("quality/")}
    fields = {name: array for name, array in whole.items() if not name.startswith("quality/")}
    seconds = sum(note["seconds"] for note in jobs.notes(job))
    return dataclasses.replace(people, **fields), quality, seconds


def beside(out: Path) -> Path:
    """Where the quality of a set's rows is."""
    return out.with_name(f"{out.stem}_quality.npz")


def save(out: Path, better: records.AnnotationSet, quality: dict[str, np.ndarray]) -> Path:
    """Writes the set and, beside it, the quality of every row."""
    told = beside(out)
    records.save_arrays(told, quality)  # First: the set is what says that all is done.
    if out.suffix:
        records.write(out, better)
    else:
        records.write_shards(out, better)
    return told


def table(
    run: config.Run,
    name: str,
    before: records.AnnotationSet,
    after: records.AnnotationSet,
    use: tracks.Use,
    seconds: float,
) -> Iterator[str]:
    """Lines that compare both with the truth, and say what of it; none where the set does not know it."""
    if not evaluate.sees_joints(before) and not evaluate.sees_image(before):
        return
    judge = evaluate.make_judge(run.data.body, before, run.search.keypoints)
    truth = evaluate.truth_of(judge, before)
    scores = [evaluate.score(judge, _people(a), truth) for a in (before, after)]
    groups = np.arange(records.count(before)) if before.sequence is None else before.sequence
    known = [name for name in ("pose", "keypoints3d") if getattr(before, name) is not None]
    yield f"against the set's own {' and '.join(known) or '2D keypoints'}, as the truth:"
    yield evaluate.header()
    ms = 1e3 * seconds / records.count(before)
    rows = zip(("estimate", name.split(",")[0]), ("-", name.split(", ")[-1]), scores, (np.nan, ms))
    for row in rows:
        yield evaluate.line(evaluate.summary(evaluate.Row(*row), scores[0], groups))
    if use == "video" and truth.joints is not None:
        a, b = (acceleration_mm(judge, _people(x), truth, before) for x in (before, after))
        if np.isfinite(a):
            yield f"Acceleration error of the joints, frame by frame: {a:.1f} -> {b:.1f} mm per frame^2"


def hint(people: records.AnnotationSet, use: tracks.Use, wanted: str) -> Iterator[str]:
    """A line for rows that were refined alone though most of them follow one another in time."""
    if use == "frames" and wanted == "auto" and people.frame is not None and people.view is None:
        found = fitting.groups_of(people, "video")
        next_to = sum(int((np.diff(people.frame[rows]) == 1).sum()) for rows in found)
        if next_to > records.count(people) / 2:
            yield (
                "frame: most rows follow one another, and were refined alone; --scorehmr.use video fits tracks, and "
                "gains more"
            )


def _people(annotations: records.AnnotationSet) -> Pose:
    return annotate.estimate_of(annotations)


def acceleration_mm(
    judge: evaluate.Judge, people: Pose, truth: evaluate.Truth, a: records.AnnotationSet
) -> float:
    """Mean over all frames that have two neighbours and a truth, on the set's root; NaN without any."""
    found = tracks.tracks(a.sequence, a.subject, a.view, a.frame)
    order = np.concatenate(found)
    ids = jnp.asarray(np.repeat(np.arange(len(found)), [len(rows) for rows in found]))
    if len(ids) < 3:
        return float("nan")
    root, counted = skeleton.root_of(judge.names), np.asarray(skeleton.counted(judge.names))
    points = evaluate.joints_of(judge, people)
    ours, theirs = (
        metrics.center(jnp.asarray(x[order]), root)[:, counted]
        for x in (points, truth.joints[..., :3])
    )
    inside = np.asarray(segments.joined(ids, 2))
    error = np.asarray(metrics.acceleration_error_mm(ours, theirs, ids))
    inside = inside & np.isfinite(error)
    return float(error[inside].mean()) if inside.any() else float("nan")
