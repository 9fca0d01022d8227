"""One protocol for all methods: tuned on validation people, judged once, row by row, on from where it was stopped."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from diffjax import annotate, report
from diffjax.comparison import (
    advice,
    answer_words,
    bounds,
    facts,
    method,
    people,
    results,
    rows,
    terminal,
    tuning,
    worth,
)
from diffjax.comparison.method import Kit, Method
from diffjax.protocols import printed, referee

Say = Callable[[str], Any]
RESULTS = results.NAME


def compare(
    methods: Sequence[Method],
    kit: Kit,
    sets: people.Sets,
    out: Path,
    *,
    files: advice.Files,
    overwrite: bool = False,
    told: dict[str, Any] | None = None,
    trust: worth.Asked | None = None,
    say: Say = terminal.print_now,
) -> dict[str, Any]:
    """Prints a line a row as it comes, then what to run; returns and keeps results.json in `out`, and its page.

    The same call goes on where a stopped one was. Beside it, in `out`/people, every person's scores and signals.
    `told` is what else is to be kept: the command line, a note on the people, methods that nobody named. With `trust`
    each row is told what its people are worth without the truth.
    """
    began = time.perf_counter()
    depends = facts.of(kit, sets) | {"quality": worth.facts(trust)}
    result: dict[str, Any] = results.begin(out, depends, overwrite) | (told or {})
    result |= _about(kit, sets, trust)
    before = result.get("seconds") or 0.0
    width = terminal.width(methods, kit, sets.test, trust.max_harm if trust else None)
    for line in terminal.head(sets, result["warnings"], width):
        say(line)
    if result["rows"]:
        say(f"{len(result['rows'])} rows are kept from before, and not made again")
    try:
        for row in _rows(methods, rows.Table(kit, sets, files, out, trust), result):
            for line in (terminal.line(row, width), *worth.lines(row)):
                say(line)
            result["seconds"] = before + time.perf_counter() - began
    except KeyboardInterrupt as stop:
        done = len(result["rows"])
        raise KeyboardInterrupt(
            f"stopped; {done} rows are kept in {out / RESULTS}, and the same command goes on from there"
        ) from stop
    result["seconds"] = before + time.perf_counter() - began
    return _finish(methods, sets, result, out, say)


def _about(kit: Kit, sets: people.Sets, trust: worth.Asked | None) -> dict[str, Any]:
    """Who is judged, and how."""
    found: dict[str, Any] = {"tuning": kit.tuning, "seed": kit.seed}
    found["warnings"] = terminal.warnings(sets, kit, trust.more if trust else ())
    found["sets"] = {part: results.of_set(crowd) for part, crowd in sets._asdict().items()}
    if sets.test.referee is not None:
        found["protocol"] = referee.describe(sets.test.referee)
    return found


def _finish(methods, sets: people.Sets, result: dict[str, Any], out: Path, say: Say):
    """The rows in the order of their methods, and what to make of them: kept, and said."""
    order = [entry.name for entry in methods]
    wanted = [row for row in result["rows"] if row["method"] in order]
    wanted = sorted(wanted, key=lambda row: order.index(row["method"]))
    result |= {"finished": True, "rows": wanted, "advice": answer_words.kept(wanted)}
    result["oracles"] = bounds.kept(wanted)
    results.write(out, result)
    for line in printed.table(sets.test.referee, wanted):
        say(line)
    for line in bounds.words(wanted):
        say(f"\n{line}")
    for line in answer_words.words(wanted, sets.test.counts["with_truth"]):
        say(line)
    say(
        f"\n{result['seconds']:.0f} s; open {out / results.PAGE} for all of it; the numbers are in {out / RESULTS}"
    )
    return result


def _rows(
    methods: Sequence[Method], table: rows.Table, result: dict[str, Any]
) -> Iterator[rows.Row]:
    """All rows, kept as soon as they are there; those that are kept already are not made again."""
    chosen: dict[tuning.Key, Any] = {}
    for entry in methods:
        lacks = method.lacking(entry, table.kit, *table.sets)
        if lacks:
            why = f"needs {', '.join(lacks)}"
            yield from _keep(table.out, result, [rows.left_out(entry, None, why)])
            continue
        for kind in method.kinds_for(entry, table.sets.test):
            kept = [r for r in result["rows"] if (r["method"], r["evidence"]) == (entry.name, kind)]
            kept = [row for row in kept if "left_out" not in row]
            yield from kept or _keep(table.out, result, _made(table, entry, kind, chosen))


def _made(
    table: rows.Table,
    entry: Method,
    kind: annotate.Kind | None,
    chosen: dict[tuning.Key, Any],
) -> list[rows.Row]:
    """The rows of a method and a kind of evidence, with the seconds that they took."""
    began = time.perf_counter()
    try:
        setting = tuning.setting_of(entry, kind, table.kit, table.sets, chosen)
        made = rows.of(table, entry, kind, setting)
    except ValueError as error:
        return [rows.left_out(entry, kind, str(error))]
    seconds = time.perf_counter() - began
    return [row | {"wall_seconds": seconds} for row in made]


def _keep(out: Path, result: dict[str, Any], made: list[rows.Row]) -> list[rows.Row]:
    """Writes the results with these rows in place of those of the same method and evidence."""
    new = {(row["method"], row["evidence"]) for row in made}
    old = [row for row in result["rows"] if (row["method"], row["evidence"]) not in new]
    result["rows"] = [*old, *report.without_nan(made)]
    results.write(out, result)
    return made
