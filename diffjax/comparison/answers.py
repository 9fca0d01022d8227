"""Which refiner for which evidence: the best row that never saw the truth, what it gains and whom it harms."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from diffjax.comparison import words as say

FEW = 0.05
"""A share of people harmed that most will bear."""
NEARLY, TIMES = 0.9, 5.0
"""A quicker row has so much of the best one's gain, and is so many times as fast."""
UNJUDGED = (
    "Nobody's 3D truth is known here, so no row is better than another: fewer pixels are not a better pose. "
    "Compare on people whose truth is known."
)
Row = dict[str, Any]


class Answer(NamedTuple):
    """What to do with one kind of evidence."""

    kind: str
    """'' is no evidence."""
    row: Row | None
    """The best that has a command and was shown to help; None: leave the estimates alone."""
    careful: Row | None
    """The best of those that harm few, where `row` harms more."""
    quick: Row | None
    """The fastest of those that have nearly its gain, where `row` takes many times as long."""
    beyond: tuple[Row, ...]
    """Rows that were better still and have no command."""
    tried: Row | None
    """The best row with a command, where it was not shown to help."""


def answers(rows: Sequence[Row]) -> list[Answer]:
    """One for each kind of evidence that a row of the table saw."""
    known = [row for row in rows if row.get("pa_mpjpe_mm") is not None and row["honest"]]
    kinds = dict.fromkeys(say.kind_of(row) for row in known if row["method"] != "estimate")
    order = [kind for kind in say.KIND if kind in kinds]
    return [_answer(kind, [row for row in known if say.kind_of(row) == kind]) for kind in order]


def best(rows: Sequence[Row]) -> dict[str, Any]:
    """The answers as they are kept: by kind of evidence, the row to run and its command."""
    return {
        answer.kind: {name: answer.row[name] for name in ("name", "command")}
        for answer in answers(rows)
        if answer.row is not None
    }


def _answer(kind: str, rows: Sequence[Row]) -> Answer:
    def least(some: Sequence[Row]) -> Row | None:
        return min(some, key=lambda row: row["pa_mpjpe_mm"], default=None)

    rows = [row for row in rows if row["method"] != "estimate"]
    with_command = [row for row in rows if row.get("command")]
    tried, row = least(with_command), least([row for row in with_command if helps(row)])
    limit = float("inf") if row is None else row["pa_mpjpe_mm"]
    beyond = [r for r in rows if not r.get("command") and helps(r) and r["pa_mpjpe_mm"] < limit]
    few = [r for r in with_command if helps(r) and (r["harmed"] or 0.0) <= FEW]
    careful = least(few) if row is not None and (row["harmed"] or 0.0) > FEW else None
    quick = None if row is None else _quick(row, [r for r in with_command if helps(r)])
    beyond = sorted(beyond, key=lambda r: r["pa_mpjpe_mm"])[:3]
    return Answer(kind, row, careful, quick, tuple(beyond), tried if row is None else None)


def _quick(row: Row, rows: Sequence[Row]) -> Row | None:
    near = [
        r
        for r in rows
        if r["pa_change_mm"] <= NEARLY * row["pa_change_mm"]
        and (r["ms_per_frame"] or 0.0) * TIMES <= (row["ms_per_frame"] or 0.0)
    ]
    return min(near, key=lambda r: r["ms_per_frame"] or 0.0, default=None)


def helps(row: Row) -> bool:
    """Whether the whole interval is below 0; without one, the mean."""
    high = row["pa_change_95"][1]
    return ((row["pa_change_mm"] or 0.0) if high is None or high != high else high) < 0


def words(rows: Sequence[Row], with_truth: int) -> Iterator[str]:
    """What to run on one's own data, what it gains, what it may break, and how one knows."""
    yield "\nWhich command should I run on my own data?"
    if not with_truth:
        yield UNJUDGED
        return
    base = next((row for row in rows if row["method"] == "estimate"), None)
    found = answers(rows)
    if base is None or not any(answer.row for answer in found):
        yield "No row here that saw no truth has a command and was shown to help; leave the estimates alone."
    for answer in found:
        if base is not None:
            yield from _told(answer, base)


def _told(answer: Answer, base: Row) -> Iterator[str]:
    yield f"\nIf you have {say.KIND[answer.kind]}: {verdict(answer)}"
    if answer.row is not None:
        yield f"    gain: {gain(answer.row, base)}"
        yield f"    harm: {harm(answer.row, base)}"
        yield f"    run:  {answer.row['command']}"
    for why, row in others(answer):
        yield f"  {why}: {row['name']}"
        yield f"    gain: {gain(row, base)}"
        yield f"    harm: {harm(row, base)}"
        yield f"    run:  {row['command']}"
    yield from (f"    {line}" for line in better(answer))


def others(answer: Answer) -> Iterator[tuple[str, Row]]:
    """Rows that someone may want instead, and why."""
    if answer.careful is not None:
        yield "to harm fewer", answer.careful
    if answer.quick is not None and answer.quick is not answer.careful:
        assert answer.row is not None
        times = answer.row["ms_per_frame"] / max(answer.quick["ms_per_frame"] or 0.0, 0.01)
        yield f"{times:.0f} times as fast", answer.quick


def verdict(answer: Answer) -> str:
    """The answer in a few words."""
    if answer.row is not None:
        return answer.row["name"]
    if answer.tried is None:
        return "leave the estimates alone"
    told = say.interval(answer.tried["pa_change_95"])
    return (
        f"leave the estimates alone: the best row with a command, {answer.tried['name']}, is not shown to help"
        + f" (change of PA-MPJPE {told} mm)" * bool(told)
    )


def gain(row: Row, base: Row) -> str:
    """What a row gains, with its interval."""
    told = say.interval(row["pa_change_95"])
    less = ""
    if base["pa_mpjpe_mm"]:
        less = f" ({100 * (row['pa_mpjpe_mm'] / base['pa_mpjpe_mm'] - 1):+.0f} %"
        less += f"; change {told} mm)" if told else ")"
    turned = ""
    if row["rotation_deg"] is not None and base["rotation_deg"] is not None:
        turned = (
            f", rotation error {say.number(base['rotation_deg'], 2)} -> "
            f"{say.number(row['rotation_deg'], 2)} degrees"
        )
    return f"PA-MPJPE {say.number(base['pa_mpjpe_mm'])} -> {say.number(row['pa_mpjpe_mm'])} mm{less}{turned}"


def harm(row: Row, base: Row) -> str:
    """Whom a row harms."""
    worst = ""
    if row.get("pa_p95_mm") is not None and base.get("pa_p95_mm") is not None:
        worst = (
            f"; one in twenty has more than {say.number(row['pa_p95_mm'], 0)} mm "
            f"(before: {say.number(base['pa_p95_mm'], 0)})"
        )
    return (
        f"{say.share(row['harmed'])} of people get worse by more than 1 mm, "
        f"{say.share(row['improved'])} get better{worst}"
    )


def better(answer: Answer) -> Iterator[str]:
    """Rows without a command that were better still."""
    for row in answer.beyond:
        yield (
            f"{row['name']} had {say.number(row['pa_mpjpe_mm'])} mm; it is a row of this table and no mode of "
            "refine.py."
        )
