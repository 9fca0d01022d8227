"""One axis at a time: methods on the same people while the evidence gets better or worse, kept point by point."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from diffjax import ablation, annotate, report
from diffjax.comparison import method, people, results, terminal, tuning
from diffjax.comparison import words as say
from diffjax.comparison.axes import Axis, Made, Point
from diffjax.comparison.method import Kit, Method, Task

Line = dict[str, Any]
Plan = Sequence[tuple[Method, annotate.Kind | None, Line]]
_NUMBERS = ("pa_mpjpe_mm", "pa_change_95", "rotation_deg", "harmed", "improved", "ms_per_frame")
"""Kept of each row at each value; null where it is not there yet."""
_WIDTH = 14


def run(
    axis: Axis,
    points: Sequence[Point],
    methods: Sequence[Method],
    kit: Kit,
    out: Path,
    *,
    facts: dict[str, Any],
    chosen: dict[tuning.Key, Any] | None = None,
    overwrite: bool = False,
    command: str = "",
    tell: Callable[[str], Any] = terminal.print_now,
) -> dict[str, Any]:
    """The sweep of an axis, printed value by value and kept in results.json; a stopped one goes on where it was.

    `chosen` are settings that are known already, of those that stay as they are at all values.
    """
    result = results.read(out) or results.fresh()
    out.mkdir(parents=True, exist_ok=True)
    sweep = _begun(result, axis, points, facts, overwrite)
    result["sweeps"] = [sweep if one["axis"] == axis.name else one for one in result["sweeps"]]
    first = points[0].make()
    plan = list(_plan(methods, axis, kit, first.sets, sweep))
    sweep |= {
        "judged": sweep.get("judged") or [None] * len(points),
        "command": command,
        "data": first.sets.test.name.split(", ")[0],
    }
    result["seed"] = kit.seed
    sweep["judged"][0] = first.sets.test.counts["judged"]
    tell(f"\n{axis.title}, {sweep['judged'][0]} people: PA-MPJPE in mm. {axis.told}")
    tell(_head(axis, plan))
    chosen = dict(chosen or {})
    try:
        for i, point in enumerate(points):
            if any(line["pa_mpjpe_mm"][i] is None for _, _, line in plan):
                made = first if i == 0 else point.make()
                sweep["judged"][i] = made.sets.test.counts["judged"]
                own = {} if point.alone else chosen
                _measure(i, made, plan, kit, own, lambda: results.write(out, result))
            tell(_told(point, i, plan))
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"stopped; what is done is kept in {out / results.NAME}, and the same command goes on from there"
        ) from stop
    if len(set(sweep["judged"])) > 1:
        tell(f"judged: {say.judged(sweep['judged'])}")
    sweep["finished"] = True
    results.write(out, result)
    tell(f"kept in {out / results.NAME}, drawn in {out / results.PAGE}")
    return sweep


def _begun(
    result: dict[str, Any],
    axis: Axis,
    points: Sequence[Point],
    facts: dict[str, Any],
    overwrite: bool,
) -> dict[str, Any]:
    """The sweep of this axis in the results, gone on with if it is made of the same facts."""
    values = [point.value for point in points]
    there = [one for one in result["sweeps"] if one["axis"] == axis.name]
    facts = facts | {"values": values}
    if there and not overwrite:
        results.refuse_other(
            there[0]["facts"], facts, f"sweep {axis.name}: wanted to go on with the one"
        )
        return there[0] | {"finished": False}
    fresh = {"axis": axis.name, "title": axis.title, "unit": axis.unit, "values": values, "told": axis.told,
             "facts": facts, "lines": [], "finished": False}  # fmt: skip
    if not there:
        result["sweeps"].append(fresh)
    return fresh


def _plan(
    methods: Sequence[Method], axis: Axis, kit: Kit, sets: people.Sets, sweep: dict[str, Any]
) -> Iterator[tuple[Method, annotate.Kind | None, Line]]:
    """Every line to be computed, with its place among those of the sweep; methods that lack something say so there."""
    for entry in methods:
        lacks = method.lacking(entry, kit, *sets)
        kinds: list[annotate.Kind | None] = [
            kind
            for kind in method.kinds_for(entry, sets.test)
            if kind is None or kind in axis.kinds
        ]
        if lacks or not kinds:
            why = (
                f"needs {', '.join(lacks)}" if lacks else f"does not see {' or '.join(axis.kinds)}"
            )
            _line(sweep, entry, None)["left_out"] = why
            continue
        for kind in kinds:
            yield entry, kind, _line(sweep, entry, kind)


def _line(sweep: dict[str, Any], entry: Method, kind: annotate.Kind | None) -> Line:
    """The line of a method, as it is there or new."""
    for line in sweep["lines"]:
        if (line["method"], line["evidence"]) == (entry.name, kind):
            line.pop("left_out", None)
            return line
    count = len(sweep["values"])
    line = {"name": entry.name, "method": entry.name, "sees": kind or "-", "evidence": kind,
            "settings": [None] * count} | {name: [None] * count for name in _NUMBERS}  # fmt: skip
    sweep["lines"].append(line)
    return line


def _measure(
    i: int,
    made: Made,
    plan: Plan,
    kit: Kit,
    chosen: dict[tuning.Key, Any],
    keep: Callable[[], None],
) -> None:
    """All lines at one value; each is kept as soon as it is there."""
    kit = kit._replace(fps=made.fps or kit.fps)
    for entry, kind, line in plan:
        if line["pa_mpjpe_mm"][i] is not None:
            continue
        began = time.perf_counter()
        settings = tuning.setting_of(entry, kind, kit, made.sets, chosen)
        test = made.sets.test.people
        (outcome, *_) = tuning.refine(entry, test, kit, Task(kind, settings, made.sets.val))
        scores = ablation.scored(test, outcome.refined)
        row = ablation.summarise(test, (outcome.name, outcome.sees), scores, outcome.seconds)
        line["settings"][i] = tuning.told(settings)
        for name in _NUMBERS:
            line[name][i] = report.without_nan(row[name])
        line["seconds"] = line.get("seconds", 0.0) + time.perf_counter() - began
        keep()


def _names(plan: Plan) -> list[tuple[str, str]]:
    return [(entry.name, kind or "") for entry, kind, _ in plan]


def _width(plan: Plan) -> int:
    """Characters of a column: the longest name and two spaces."""
    return max(_WIDTH, *(len(word) + 2 for pair in _names(plan) for word in pair))


def _head(axis: Axis, plan: Plan) -> str:
    names, width = _names(plan), _width(plan)
    lines = [f"{word:<10}" + "".join(f"{cell:>{width}}" for cell in cells)
             for word, cells in (("", [a for a, _ in names]), (axis.unit, [b for _, b in names]))]  # fmt: skip
    return "\n".join([*lines, "-" * len(lines[0])])


def _told(point: Point, i: int, plan: Plan) -> str:
    value = point.value if isinstance(point.value, str) else f"{point.value:g}"
    cells = (say.number(line["pa_mpjpe_mm"][i]) for _, _, line in plan)
    width = _width(plan)
    return f"{value:<10}" + "".join(f"{cell:>{width}}" for cell in cells)
