"""The table as the terminal shows it: who is judged, and a line a row as it comes."""

import functools
from collections.abc import Sequence
from typing import Any

from diffjax import ablation, evaluate
from diffjax.comparison import method, people, worth
from diffjax.comparison.method import Kit, Method
from diffjax.protocols import printed

print_now = functools.partial(print, flush=True)
"""A row is read as it comes."""


def warnings(sets: people.Sets, kit: Kit, more: Sequence[people.Crowd] = ()) -> list[str]:
    """What a reader should know before the numbers; `more` are people who tell beside those of validation."""
    said = [] if sets.val is None else people.shared(sets.test, sets.val)
    for crowd in (*sets, *more):
        if crowd is not None:
            said += people.remembered(crowd, kit.guided.poses)
    return said


def head(sets: people.Sets, warned: Sequence[str], width: int) -> list[str]:
    """Who is judged, who tuned the settings, and the head of the table."""
    said = [people.describe(sets.test)]
    if sets.val is None:
        said.append("no validation people: settings as configured")
    else:
        said.append(f"validation, for what is tuned: {people.describe(sets.val)}")
    if sets.test.referee is not None:
        said.append(f"errors over {printed.what(sets.test.referee.settings.protocol)}")
    said += warned
    acceleration = "     acc" if sets.test.use == "video" else ""
    return [*said, "", *evaluate.header(acceleration, width).splitlines()]


def width(
    methods: Sequence[Method], kit: Kit, test: people.Crowd, max_harm: float | None = None
) -> int:
    """Of the names of all rows that may come, with whatever settings."""
    more = "" if max_harm is None else worth.gated_name("", max_harm)
    names = [
        name + more * bool(entry.sees) for entry in methods for name in _names(entry, kit, test)
    ]
    return evaluate.name_width(names)


def _names(entry: Method, kit: Kit, test: people.Crowd) -> list[str]:
    names = [entry.name]
    for kind in method.kinds_for(entry, test):
        name = entry.name + ", ORACLE" * method.is_truth(kind, test.people)
        told = (entry.told(one) for one in entry.grid(kit, kind))
        names += [f"{name}, {words}" if words else name for words in told]
    return names


def line(row: dict[str, Any], width: int) -> str:
    """A row."""
    if "left_out" in row:
        return f"{evaluate.first_columns(row['name'], row['sees'], width)}  {row['left_out']}"
    nan = {name: float("nan") if x is None else x for name, x in row.items()}
    pairs = ("pa_change_95", "rotation_change_95")
    nan |= {name: [float("nan") if x is None else x for x in row[name]] for name in pairs}
    return ablation.line(nan, width)
