"""Which refiner for which evidence: the best row that never saw the truth and is worth what it breaks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from diffjax.comparison import words as say

FEW, MANY = 0.05, 1 / 3
"""Shares of people harmed: that most will bear, and that no gain makes up for."""
SMALL = 0.05
"""A share of the estimate's error: who gains less may harm no more than `FEW`."""
NEARLY, TIMES = 0.9, 5.0
"""A quicker row has so much of the best one's gain, and is so many times as fast."""
LEANING = ("fast", "combined", "recall")
"""Methods that know how the estimator judged here errs, or how little of it is worth keeping."""
Row = dict[str, Any]


class Answer(NamedTuple):
    """What to do with one kind of evidence."""

    kind: str
    """'' is no evidence."""
    row: Row | None
    """The best that has a command and that nothing speaks against; None: leave the estimates alone."""
    doubted: Row | None
    """The best row with a command, where something speaks against it: see `doubt`."""
    careful: Row | None
    """The best of those that harm few, or were to harm few, where `row` harms more."""
    quick: Row | None
    """The fastest of those that have nearly its gain, where `row` takes many times as long."""
    foreign: Row | None
    """The best of those that do not lean on how the estimator judged here errs, where `row` does."""
    beyond: tuple[Row, ...]
    """Rows that were better still and have no command."""
    gated: bool
    """Whether a row left those alone of whom too little gain was expected."""


def answers(rows: Sequence[Row]) -> list[Answer]:
    """One for each kind of evidence that a row of the table saw."""
    known = [row for row in rows if row.get("pa_mpjpe_mm") is not None and row["honest"]]
    known = [row for row in known if row["method"] != "estimate"]
    kinds = {say.kind_of(row) for row in known}
    return [
        _answer(kind, [row for row in known if say.kind_of(row) == kind])
        for kind in say.KIND
        if kind in kinds
    ]


def _answer(kind: str, rows: Sequence[Row]) -> Answer:
    with_command = [row for row in rows if row.get("command")]
    sound = [row for row in with_command if not doubt(row)]
    best, row = _least(with_command), _least(sound)
    limit = float("inf") if row is None else row["pa_mpjpe_mm"]
    unnamed = [r for r in rows if not r.get("command") and not doubt(r)]
    beyond = [r for r in unnamed if r["pa_mpjpe_mm"] < limit]
    few = [r for r in sound if harmed(r) <= FEW or r.get("max_harm") is not None]
    fewer = [r for r in few if row is not None and harmed(r) < harmed(row)]
    return Answer(
        kind,
        row,
        None if best is row else best,
        _least(fewer) if row is not None and harmed(row) > FEW else None,
        None if row is None else _quick(row, sound),
        _least([r for r in sound if not leans(r)]) if row is not None and leans(row) else None,
        tuple(sorted(beyond, key=lambda r: r["pa_mpjpe_mm"])[:3]),
        any(r.get("max_harm") is not None for r in rows),
    )


def _least(rows: Sequence[Row]) -> Row | None:
    return min(rows, key=lambda row: row["pa_mpjpe_mm"], default=None)


def _quick(row: Row, rows: Sequence[Row]) -> Row | None:
    near = [
        r
        for r in rows
        if r["pa_change_mm"] <= NEARLY * row["pa_change_mm"]
        and (r["ms_per_frame"] or 0.0) * TIMES <= (row["ms_per_frame"] or 0.0)
    ]
    return min(near, key=lambda r: r["ms_per_frame"] or 0.0, default=None)


def leans(row: Row) -> bool:
    """Whether a row knows how the estimator judged here errs; another's estimates may err otherwise."""
    return any(part in LEANING for part in row["method"].split("+"))


def doubt(row: Row) -> str:
    """What speaks against a row; '' where nothing does."""
    told = say.interval(row["pa_change_95"])
    if not helps(row):
        return "is not shown to help" + f" (change of PA-MPJPE {told} mm)" * bool(told)
    if harmed(row) <= (FEW if gained(row) < SMALL else MANY):
        return ""
    return (
        f"takes {say.share(gained(row))} off PA-MPJPE and makes {say.share(row['harmed'])} of people worse by "
        "more than 1 mm"
    )


def helps(row: Row) -> bool:
    """Whether the whole interval is below 0; without one, the mean."""
    high = row["pa_change_95"][1]
    return ((row["pa_change_mm"] or 0.0) if high is None or high != high else high) < 0


def gained(row: Row) -> float:
    """Of the estimate's PA-MPJPE, the share that a row takes off."""
    change = row["pa_change_mm"] or 0.0
    before = row["pa_mpjpe_mm"] - change
    return -change / before if before > 0 else 0.0


def harmed(row: Row) -> float:
    """Share of people; 0 where nobody was judged."""
    return row["harmed"] or 0.0
