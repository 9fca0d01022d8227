"""People to compare methods on: what is known of whom is counted, and nobody is dropped in silence."""

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np

from diffjax import ablation, annotate, config, evaluate, fitting, simulate, tracks
from diffjax.comparison import words
from diffjax.data import checks, records, shards
from diffjax.methods import recall
from diffjax.protocols.referee import Referee

_TRUTH = ("pose", "betas", "cam_t", "keypoints3d")
_MASKED = {"joints_not_finite": "keypoints3d", "place_not_finite": "cam_t"}


class Crowd(NamedTuple):
    """One set, ready to be refined and judged."""

    people: ablation.People
    name: str
    use: tracks.Use
    """How its rows belong together."""
    groups: list[np.ndarray]
    """Rows that do."""
    counts: dict[str, Any]
    """What there is of whom; see `count`."""
    referee: Referee | None = None
    """By whose protocol every row of the table is measured, too."""


class Sets(NamedTuple):
    """Who is judged, and who tells the settings."""

    test: Crowd
    val: Crowd | None


def read(run: config.Run, name: str, split: Literal["val", "test"]) -> records.AnnotationSet:
    """The set at a path, or of a demo's name. Truth that is not a number is NaN in pose and betas.

    Everything else is checked as always. Rows without the name of a sequence get one of their own.
    """
    return _read(run, name, split)[0]


def _read(
    run: config.Run, name: str, split: Literal["val", "test"]
) -> tuple[records.AnnotationSet, dict[str, np.ndarray]]:
    """And the rows of which some of the truth is masked, for it is not a number."""
    if name in simulate.DEMOS:
        if not run.parts.frontend:
            raise ValueError(
                f"data {name}: wanted a keypoint frontend, found none; pass --parts.frontend FILE"
            )
        paths = (config.locate(path) for path in (run.parts.frontend, run.data.body))
        return simulate.demo_split(name, *paths)[split == "test"], {}
    source = shards.open_set(config.locate(name))
    raw = source.read(0, source.count)
    masked = {what: ~_finite(getattr(raw, field), raw) for what, field in _MASKED.items()}
    return _named(tolerated(raw, source.name)), masked


def tolerated(a: records.AnnotationSet, where: str) -> records.AnnotationSet:
    """The set, checked but for numbers of the truth that are not finite: those people have none."""
    whole = _finite(a.pose, a) & _finite(a.betas, a)
    stand_in = {
        "pose": a.pred_pose,
        "betas": a.pred_betas,
        "cam_t": np.zeros((len(whole), 3), np.float32),
    }
    filled = {
        name: np.where(_spread(_finite(known, a), known), known, stand_in[name])
        for name in stand_in
        if (known := getattr(a, name)) is not None
    }
    if a.keypoints3d is not None:
        sure = np.isfinite(a.keypoints3d).all(-1, keepdims=True)
        filled["keypoints3d"] = np.where(sure, a.keypoints3d, np.float32(0))
    checks.check_values(records.arrays_of(a) | filled, where)
    unknown = {
        name: np.where(_spread(whole, known), known, np.float32(np.nan))
        for name in ("pose", "betas")
        if (known := getattr(a, name)) is not None
    }
    return dataclasses.replace(a, **(filled | unknown))


def _finite(values: Any, a: records.AnnotationSet) -> np.ndarray:
    """(N,) rows of finite numbers; a field that is absent has nothing wrong."""
    if values is None:
        return np.full(records.count(a), True)
    return np.isfinite(values).reshape(len(values), -1).all(-1)


def _spread(rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, *[1] * (like.ndim - 1))


def unnamed(a: records.AnnotationSet) -> np.ndarray:
    """(N,) whose sequence has no name."""
    if a.sequence is None:
        return np.full(records.count(a), True)
    return np.isin(np.char.lower(np.char.strip(a.sequence)), ("", "nan", "none"))


def _named(a: records.AnnotationSet) -> records.AnnotationSet:
    missing = unnamed(a)
    if a.sequence is None or not missing.any():
        return a
    own = np.array([f"{_ALONE}{row}" for row in range(len(missing))])
    return dataclasses.replace(a, sequence=np.where(missing, own, a.sequence))


_ALONE = "(no sequence) row "


def nameless(a: records.AnnotationSet) -> np.ndarray:
    """(N,) whose sequence had no name when the set was read."""
    return unnamed(a) if a.sequence is None else np.char.startswith(a.sequence, _ALONE)


def some(a: records.AnnotationSet, use: tracks.Use, limit: int) -> records.AnnotationSet:
    """About `limit` people, whole groups evenly over the set; 0 for everybody."""
    return _taken(a, _rows_of_some(a, use, limit))


def _taken(a: records.AnnotationSet, rows: np.ndarray) -> records.AnnotationSet:
    return a if len(rows) == records.count(a) else records.take(a, rows)


def _rows_of_some(a: records.AnnotationSet, use: tracks.Use, limit: int) -> np.ndarray:
    if not limit or limit >= records.count(a):
        return np.arange(records.count(a))
    groups = fitting.groups_of(a, use)
    wanted = max(round(len(groups) * limit / records.count(a)), 1)
    picked = np.linspace(0, len(groups) - 1, wanted).round().astype(int)
    return np.sort(np.concatenate([groups[i] for i in picked]))


def gather(
    run: config.Run, name: str, split: Literal["val", "test"], use: str = "auto", limit: int = 0
) -> Crowd:
    """The people of a set, judged before anything is done to them."""
    a, masked = _read(run, name, split)
    way = fitting.use_of(records.take(a, slice(0, 0)), use)
    rows = _rows_of_some(a, way, limit)
    a = _taken(a, rows)
    if not evaluate.sees_joints(a) and not evaluate.sees_image(a):
        raise ValueError(
            f"{name}: fields {', '.join((*_TRUTH, 'labels2d', 'keypoints2d'))}: wanted something to "
            "judge by, found nothing; add one of them, or ask for a report without truth: --audit"
        )
    crowd = crowd_of(run, a, name, way)
    counts = crowd.counts | {what: int(bad[rows].sum()) for what, bad in masked.items()}
    return crowd._replace(counts=counts)


def crowd_of(
    run: config.Run,
    a: records.AnnotationSet,
    name: str,
    use: tracks.Use,
    seen: np.ndarray | None = None,
) -> Crowd:
    """People of a set in memory, judged before anything is done to them. Rows that are not `seen` do not count."""
    groups = fitting.groups_of(a, use, name)
    if seen is None:
        seen = np.full(records.count(a), use != "views")
        if use == "views":
            seen[[rows[0] for rows in groups]] = True
    known = _finite(a.pose, a) & _finite(a.betas, a)
    moving = evaluate.survey([records.take(a, known)]).moving if known.any() else None
    people = ablation.judged(run, a, seen, moving)
    return Crowd(people, name, use, groups, count(people, use, groups))


def count(people: ablation.People, use: tracks.Use, groups: list[np.ndarray]) -> dict[str, Any]:
    """How many rows there are, have a truth, evidence of each kind, a sequence, and in what tracks."""
    a, known = people.annotations, np.isfinite(people.base.pa_mpjpe_mm)
    alone = nameless(a)
    told = {
        kind: int((getattr(a, annotate.FIELD_OF[kind])[..., -1] > 0).any(-1).sum())
        for kind in annotate.kinds_of(a)
    }
    lengths = [len(rows) for rows in groups] if use != "frames" else []
    return {
        "people": records.count(a),
        "judged": int((people.seen & known).sum()),
        "with_truth": int(known.sum()),
        "truth_not_finite": int((~(_finite(a.pose, a) & _finite(a.betas, a))).sum()),
        "with_evidence": told,
        "sequences": 0 if a.sequence is None else len(np.unique(a.sequence[~alone])),
        "without_sequence": int(alone.sum()),
        "use": use,
        "groups": len(lengths),
        "groups_of_one": sum(length == 1 for length in lengths),
    }


def shared(test: Crowd, val: Crowd) -> list[str]:
    """A warning where the sequences of validation people are judged, too."""
    one, other = (_names(crowd.people.annotations) for crowd in (test, val))
    both = len(one & other)
    return [f"WARNING: {both} of the {len(other)} validation sequences are judged, too"] * (
        both > 0
    )


def remembered(crowd: Crowd, known: np.ndarray | None) -> list[str]:
    """A warning where true poses of these people are among the known ones, which `recall` lays over keypoints."""
    pose = crowd.people.annotations.pose
    if known is None or pose is None:
        return []
    count = int(recall.among(np.asarray(pose), known).sum())
    return [
        f"WARNING: {crowd.name}: the true poses of {count} of {len(pose)} people are among the known poses of recall, "
        "whose rows and whose signals rivals_* say too much; name other motion by --parts.poses"
    ] * (count > 0)


def _names(a: records.AnnotationSet) -> set[tuple[str, str]]:
    """Every sequence with its subject."""
    if a.sequence is None:
        return set()
    subject = np.full(len(a.sequence), "") if a.subject is None else a.subject
    return set(zip(a.sequence.tolist(), subject.tolist()))


def describe(crowd: Crowd) -> str:
    """The counts as a sentence."""
    n = crowd.counts
    said = [f"{n['people']} people", f"{n['with_truth']} with truth"]
    if n["truth_not_finite"]:
        said.append(f"{n['truth_not_finite']} whose truth is not a number")
    said += [f"{n[what]} {told}" for what, told in words.MASKED.items() if n.get(what)]
    said += [f"{number} with {kind}" for kind, number in n["with_evidence"].items()]
    said.append(f"{n['sequences']} sequences")
    if n["without_sequence"]:
        said.append(f"{n['without_sequence']} without a sequence, each its own")
    if n["use"] == "video":
        said.append(f"{n['groups']} tracks, {n['groups_of_one']} of one frame")
    if n["use"] == "views":
        said.append(
            f"{n['groups']} instants, {n['groups_of_one']} of one view, judged in the first view"
        )
    source = source_of(crowd)
    return f"{crowd.name}: {', '.join(said)}" + f"; {source}" * bool(source)


def source_of(crowd: Crowd) -> str:
    """What of the people is simulated, where that is known."""
    demo = crowd.name.split(",")[0] in simulate.DEMOS
    return "generated motion, simulated cameras and keypoints" if demo else ""
