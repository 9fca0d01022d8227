"""A refined set alone, measured by a named protocol: no method is run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import config, evaluate, report
from diffjax.comparison import people
from diffjax.data import jobs, records
from diffjax.pose import Pose
from diffjax.protocols import averages, naming, printed, referee, table
from diffjax.protocols.referee import Numbers, Referee

Say = Callable[[str], Any]
NAME = "score.json"
_ROWS = ("sequence", "subject", "view", "frame", "image")
"""What says that two sets are of the same people in the same order."""


class Scored(NamedTuple):
    """What was measured."""

    protocol: dict[str, Any]
    rows: dict[str, Numbers]
    """By name: the estimate, where it is known, and the set that is scored."""
    groups: dict[str, dict[str, float]]
    """By metric, the mean of each action or sequence of the set that is scored."""
    counts: dict[str, int]


def score(
    run: config.Run,
    refined: str | Path,
    data: str | None = None,
    protocol: str = "diffjax",
    bodies: tuple[Path, ...] = (),
    out: Path | None = None,
    fps: float = 30.0,
    say: Say = print,
) -> Scored:
    """The numbers of a set's `pred_pose` against the truth in `data`, or in itself; kept in `out`/score.json.

    With `data`, beside those of its own estimates, which harm is measured against.
    """
    better = people.read(run, str(refined), "test")
    a = better if data is None else people.read(run, data, "test")
    _same_people(better, a, str(refined), str(data))
    judge = make_referee(run, a, data or str(refined), protocol, bodies, fps)
    pred = Pose(better.pred_pose, better.pred_betas)
    found = referee.score(judge, pred, better.pred_cam_t)
    rows = {Path(refined).stem: referee.summary(judge, found)}
    if data is None:
        rows[Path(refined).stem].pop("harmed", None)
    else:
        rows = {"estimate": referee.summary(judge, _harmless(judge))} | rows
    scored = Scored(
        referee.describe(judge), rows, _by_group(judge, found), _counts(a, judge.truth.turned)
    )
    for line in _lines(judge, scored):
        say(line)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        jobs.write_json(out / NAME, report.without_nan(scored._asdict()))
        say(f"\nall numbers are in {out / NAME}")
    return scored


def make_referee(
    run: config.Run,
    a: records.AnnotationSet,
    where: str,
    name: str,
    bodies: tuple[Path, ...] = (),
    fps: float = 30.0,
) -> Referee:
    """The referee of a set that is not in the table."""
    protocol = table.named(name, run.search.keypoints, fps)
    known = np.full(records.count(a), a.pose is not None)
    if a.pose is not None:
        known = np.isfinite(a.pose).all((1, 2, 3))
    moving = evaluate.survey([records.take(a, known)]).moving if known.any() else None
    judge = evaluate.make_judge(run.data.body, a, protocol.joints, moving)
    own = evaluate.truth_of(judge, a)
    return referee.make(
        protocol, judge, own, a, body_path=run.data.body, bodies=bodies, where=where
    )


def of_crowd(
    run: config.Run, test: people.Crowd, name: str, bodies: tuple[Path, ...], fps: float = 30.0
) -> Referee:
    """The referee of people in the table of methods."""
    protocol, given = table.named(name, run.search.keypoints, fps), test.people
    known = {"body_path": run.data.body, "bodies": bodies, "seen": given.seen, "where": test.name}
    return referee.make(protocol, given.judge, given.truth, given.annotations, **known)


def _same_people(one: records.AnnotationSet, other: records.AnnotationSet, a: str, b: str) -> None:
    """ValueError unless both sets hold the same people in the same order, as far as they tell."""
    counts = records.count(one), records.count(other)
    step = "score the set that was made of this data, in its order, or leave --data out"
    if counts[0] != counts[1]:
        raise ValueError(f"{a}: wanted the {counts[1]} people of {b}, found {counts[0]}; {step}")
    for name in _ROWS:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is None or theirs is None:
            continue
        differ = np.flatnonzero(mine != theirs)
        if len(differ):
            row = int(differ[0])
            raise ValueError(
                f"{a}: field {name}: wanted {theirs[row]!s} in row {row} as in {b}, found {mine[row]!s} "
                f"({len(differ)} of {len(mine)} rows differ); {step}"
            )


def _harmless(judge: Referee) -> dict[str, np.ndarray]:
    """The estimate's own numbers."""
    found = dict(judge.before)
    if "pa_mpjpe" in found:
        found["harm"] = np.where(np.isfinite(found["pa_mpjpe"]), 0.0, np.nan)
    return found


def _by_group(judge: Referee, found: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    protocol = judge.settings.protocol
    names = judge.groups.action if protocol.recordings else judge.groups.sequence
    scenes = naming.scenes(judge.groups.sequence)
    known = scenes != ""
    return {
        column.title: averages.by_group(found[column.measure], names)
        | averages.by_group(found[column.measure][known], scenes[known])
        for column in protocol.columns
        if column.measure in found and column.measure != "harm"
    }


def _counts(a: records.AnnotationSet, turned: np.ndarray) -> dict[str, int]:
    broken = 0 if a.pose is None else int((~turned).sum())
    return {
        "rows": records.count(a),
        "truth_not_finite": broken,
        "without_sequence": int(people.nameless(a).sum()),
    }


def _lines(judge: Referee, scored: Scored) -> Iterator[str]:
    yield from printed.head(judge)
    counts = scored.counts
    if counts["truth_not_finite"]:
        yield f"    {counts['truth_not_finite']} rows: the true pose is not a number"
    if counts["without_sequence"]:
        yield f"    {counts['without_sequence']} rows without a sequence, each its own in the intervals"
    yield ""
    yield from printed.numbers(scored.rows, counts["rows"])
    if judge.settings.protocol.listed:
        yield ""
        by = "action" if judge.settings.protocol.recordings else "sequence"
        yield from printed.groups(scored.groups, by)
