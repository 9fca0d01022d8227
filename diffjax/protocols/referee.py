"""A set under a protocol: who is judged, by what, and what any prediction of its people scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from diffjax import chunks, devices, evaluate, skeleton
from diffjax.data import jobs, records
from diffjax.pose import Pose
from diffjax.protocols import averages, errors, in_time, naming, notes, truth
from diffjax.protocols.protocol import Protocol


class Referee(NamedTuple):
    """All that stays as it is while methods change."""

    settings: errors.Settings
    judge: evaluate.Judge
    bodies: truth.Bodies
    truth: truth.Truth
    image: Any
    """Evidence that 2D errors are measured against, or None."""
    seen: np.ndarray
    """(N,) rows that count."""
    groups: averages.Groups
    tracks: in_time.Tracks
    before: dict[str, np.ndarray]
    """Numbers of the estimate, which harm is measured against."""
    notes: tuple[str, ...]
    """What is known of whom, and what the set lacks."""


def make(
    protocol: Protocol,
    judge: evaluate.Judge,
    own: evaluate.Truth,
    a: records.AnnotationSet,
    *,
    body_path: str,
    bodies: Sequence[str | Path] = (),
    seen: np.ndarray | None = None,
    where: str = "set",
) -> Referee:
    """The referee of a set; `judge` and `own` are what the table of methods has of it.

    ValueError where the protocol cannot judge anybody, or a body lacks its regressor.
    """
    count = records.count(a)
    loaded = truth.load_bodies(body_path, bodies, protocol.joints)
    known = truth.truth_of(protocol, loaded, a, own, where)
    if protocol.truth == "table":
        known = known._replace(body=np.where(own.same_body & known.turned, 0, -1))
    if protocol.truth == "image" and own.image is None:
        raise ValueError(
            f"{where}: protocol {protocol.name}: wanted labels2d or keypoints2d with focal_px, found none; "
            "add them with scripts/convert.py join"
        )
    placed = protocol.placed and a.pred_cam_t is not None
    names = skeleton.KEYPOINT_SETS.get(_image_set(a), ())
    posed = protocol.truth != "table" or bool(own.same_body.all())
    settings = errors.Settings(protocol, judge.moving, placed, names, posed)
    seen = np.full(count, True) if seen is None else seen
    tracks = in_time.tracks_of(a, protocol.gaps, where)
    told = (*known.told, *notes.partly(protocol, known))
    told += notes.lacks(protocol, a, own, placed, tracks)
    found = Referee(
        settings, judge, loaded, known, own.image, seen, _groups(protocol, a), tracks, {}, told
    )
    estimate = Pose(a.pred_pose, a.pred_betas)
    return found._replace(before=score(found, estimate, a.pred_cam_t))


def _image_set(a: records.AnnotationSet) -> str:
    return (a.labels2d_set if a.labels2d is not None else a.keypoints2d_set) or ""


def _groups(protocol: Protocol, a: records.AnnotationSet) -> averages.Groups:
    """Rows without the name of a sequence are one each; Human3.6M's cameras of one recording are drawn at once."""
    count = records.count(a)
    rows = np.array([f"row {i}" for i in range(count)])
    sequence = rows if a.sequence is None else np.where(a.sequence == "", rows, a.sequence)
    if not protocol.recordings:
        return averages.Groups(sequence, sequence, sequence)
    found = naming.recordings(a.sequence, count)
    trial = np.where(found.trial == "", sequence, found.trial)
    return averages.Groups(trial, sequence, np.where(found.action == "", "other", found.action))


def score(referee: Referee, pred: Pose, place: Any = None) -> dict[str, np.ndarray]:
    """(N,) numbers by measure; NaN where nothing is known, and of rows that do not count."""
    known, parts = referee.truth, []
    place = np.zeros((len(known.body), 3)) if place is None else place
    image = referee.image
    if image is not None:
        image = image._replace(keypoints3d=np.zeros((len(known.body), 1, 4), np.float32))
    everyone = errors.Rows(
        Pose(*(np.asarray(x, np.float32) for x in pred)),
        np.asarray(place, np.float32),
        known.pose,
        np.asarray(known.joints, np.float32),
        known.body >= 0,
        known.turned,
        image,
    )
    index = np.maximum(known.body, 0)
    for body_index in np.unique(index):
        rows = np.flatnonzero(index == body_index)
        some = jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], everyone)
        parts.append((rows, _scored(referee, some, int(body_index))))
    joined = {
        name: _scattered([(rows, found[name]) for rows, found in parts], len(index))
        for name in parts[0][1]
    }
    return _whole(referee, joined)


def _scored(referee: Referee, rows: errors.Rows, index: int) -> dict[str, np.ndarray]:
    bodies = referee.bodies
    models = errors.Models(
        bodies.models[0],
        bodies.joints[0],
        referee.judge.image if rows.image is not None else None,
        bodies.models[index],
    )
    size = devices.rows_at_once(4 * bodies.models[0].template.size)
    work = errors.work_of(referee.settings)
    return chunks.in_chunks(work, rows, models, size=size, label="protocol", bar=False)[0]


def _scattered(parts: list[tuple[np.ndarray, np.ndarray]], count: int) -> np.ndarray:
    whole = np.zeros((count, *parts[0][1].shape[1:]))
    for rows, values in parts:
        whole[rows] = values
    return whole


def _whole(referee: Referee, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With the numbers in time and the harm; without the joints."""
    if "raw" in found:
        joints = {name: found.pop(name) for name in ("points", "raw", "sure")}
        found |= in_time.numbers(referee.settings.protocol, referee.tracks, **joints)
    if "pa_mpjpe" in found and "pa_mpjpe" in referee.before:
        change = found["pa_mpjpe"] - referee.before["pa_mpjpe"]
        found["harm"] = np.where(np.isfinite(change), 100.0 * (change > evaluate.HARM_MM), np.nan)
    return {name: np.where(referee.seen, x, np.nan) for name, x in found.items()}


Numbers = dict[str, dict[str, Any]]


def summary(referee: Referee, found: dict[str, np.ndarray]) -> Numbers:
    """Value, unit, 95 % interval and count of every column of the protocol; NaN where nothing is known."""
    protocol, told = referee.settings.protocol, {}
    for column in protocol.columns:
        values = found.get(column.measure, np.full(len(referee.seen), np.nan))
        over = column.over or protocol.average
        low, high = averages.interval(values, referee.groups, over)
        told[column.title] = {
            "value": averages.mean(values, referee.groups, over),
            "unit": errors.UNITS[column.measure],
            "low": low,
            "high": high,
            "count": int(np.isfinite(values).sum()),
        }
    return told


def metrics_of(referee: Referee, pred: Pose, place: Any = None) -> Numbers:
    """The protocol's numbers of a prediction of all people."""
    return summary(referee, score(referee, pred, place))


def facts(referee: Referee) -> dict[str, Any]:
    """What numbers depend on beside the set: protocol and bodies."""
    protocol = referee.settings.protocol
    bodies = dict(zip(referee.bodies.genders, referee.bodies.models))
    return {
        "name": protocol.name,
        "joints": protocol.joints,
        "bodies": {gender: jobs.fingerprint(model) for gender, model in bodies.items()},
    }


def describe(referee: Referee) -> dict[str, Any]:
    """The protocol in words, for results.json and whoever draws it."""
    protocol = referee.settings.protocol
    return {
        "name": protocol.name,
        "joints": protocol.joints,
        "counted": list(protocol.counted),
        "root": [list(root) for root in protocol.root],
        "average": protocol.average,
        "columns": [column.title for column in protocol.columns],
        "beside": protocol.beside,
        "notes": list(referee.notes),
    }
