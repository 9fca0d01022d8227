"""What rows that saw the truth are worth: beside controls that know nothing, and chose by the same truth."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from diffjax.comparison import words as say
from diffjax.comparison.answers import Row


class Bound(NamedTuple):
    """A row that saw the truth."""

    row: Row
    controls: tuple[Row, ...]
    """Of the same method, and of the same oracle."""


def bounds(rows: Sequence[Row]) -> list[Bound]:
    """Every row that saw the truth by which it is judged, with its controls."""
    known = [row for row in rows if row.get("pa_change_mm") is not None and not row["honest"]]
    return [
        Bound(row, tuple(c for c in known if _is_control(c) and c["method"] == row["method"]))
        for row in known
        if not _is_control(row)
    ]


def _is_control(row: Row) -> bool:
    return row["name"].startswith("control")


def beyond_mm(bound: Bound) -> float | None:
    """By how much a row gains more than its best control; None without one."""
    gains = [-row["pa_change_mm"] for row in bound.controls]
    return -bound.row["pa_change_mm"] - max(gains) if gains else None


def kept(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For results.json."""
    return [
        {
            "name": bound.row["name"],
            "change_mm": bound.row["pa_change_mm"],
            "controls_mm": {row["name"]: row["pa_change_mm"] for row in bound.controls},
            "beyond_mm": beyond_mm(bound),
        }
        for bound in bounds(rows)
    ]


def words(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence or two a row."""
    for bound in bounds(rows):
        changed = say.number(bound.row["pa_change_mm"], 1, "+")
        said = f"{bound.row['name']} was shown the truth that judges it ({changed} mm): a bound, no method."
        yield said + _beside(bound)


def _beside(bound: Bound) -> str:
    beyond = beyond_mm(bound)
    if beyond is None:
        return " It has no control."
    controls = ", ".join(
        f"{say.number(row['pa_change_mm'], 1, '+')} ({row['name'].removeprefix('control, ')})"
        for row in bound.controls
    )
    said = f" Moves that know nothing, chosen by the same truth: {controls}."
    if beyond <= 0:
        return said + " Choosing by the truth explains all of its gain."
    return (
        said
        + f" At most {say.number(beyond, 1)} mm of its gain are more than choosing by the truth."
    )
