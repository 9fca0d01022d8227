"""One protocol for all methods: tuned on validation people, judged once, row by row, on from where it was stopped."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import ablation, annotate, evaluate, report
from diffjax.comparison import advice, answers, method, people, results, worth
from diffjax.comparison.evidence import posed
from diffjax.comparison.method import Kit, Method, Outcome, Task
from diffjax.data import jobs, records
from diffjax.protocols import printed, referee

Say = Callable[[str], Any]
RESULTS = results.NAME
print_now = functools.partial(print, flush=True)
"""A row is read as it comes."""


class Sets(NamedTuple):
    """Who is judged, and who tells the settings."""

    test: people.Crowd
    val: people.Crowd | None


Key = tuple[str, annotate.Kind | None]


def compare(
    methods: Sequence[Method],
    kit: Kit,
    sets: Sets,
    out: Path,
    *,
    files: advice.Files,
    overwrite: bool = False,
    told: dict[str, str] | None = None,
    trust: worth.Asked | None = None,
    say: Say = print_now,
) -> dict[str, Any]:
    """Prints a line a row as it comes, then what to run; returns and keeps results.json in `out`, and its page.

    The same call goes on where a stopped one was. Beside it, in `out`/people, every person's scores and signals.
    `told` is what else is to be kept: the command line, a note on the people. With `trust` each row is told what its
    people are worth without the truth.
    """
    began = time.perf_counter()
    facts = facts_of(kit, sets) | {"quality": worth.facts(trust)}
    result: dict[str, Any] = results.begin(out, facts, overwrite) | (told or {})
    result |= {"sets": {part: results.of_set(crowd) for part, crowd in sets._asdict().items()}}
    result |= {"tuning": kit.tuning, "seed": kit.seed, "warnings": warnings(sets)}
    if sets.test.referee is not None:
        result["protocol"] = referee.describe(sets.test.referee)
    before = result.get("seconds") or 0.0
    chosen: dict[Key, Any] = {}
    for line in head(sets):
        say(line)
    try:
        for entry in methods:
            for row in _rows_of(entry, kit, sets, result, chosen, files, out, trust):
                for line in (line_of(row), *worth.lines(row)):
                    say(line)
                result["seconds"] = before + time.perf_counter() - began
    except KeyboardInterrupt as stop:
        done = len(result["rows"])
        raise KeyboardInterrupt(
            f"stopped; {done} rows are kept in {out / RESULTS}, and the same command goes on from there"
        ) from stop
    order = [entry.name for entry in methods]
    wanted = [row for row in result["rows"] if row["method"] in order]
    wanted = sorted(wanted, key=lambda row: order.index(row["method"]))
    result |= {"finished": True, "rows": wanted, "advice": answers.best(wanted)}
    result["seconds"] = before + time.perf_counter() - began
    results.write(out, result)
    for line in printed.table(sets.test.referee, wanted):
        say(line)
    for line in answers.words(wanted, sets.test.counts["with_truth"]):
        say(line)
    say(
        f"\n{result['seconds']:.0f} s; open {out / results.PAGE} for all of it; the numbers are in {out / RESULTS}"
    )
    return result


def warnings(sets: Sets) -> list[str]:
    """What a reader should know before the numbers."""
    return [] if sets.val is None else people.shared(sets.test, sets.val)


def head(sets: Sets) -> list[str]:
    """Who is judged, who tuned the settings, and the head of the table."""
    said = [people.describe(sets.test)]
    if sets.val is None:
        said.append("no validation people: settings as configured")
    else:
        said.append(f"settings tuned on {people.describe(sets.val)}")
    said += warnings(sets)
    acceleration = "     acc" if sets.test.use == "video" else ""
    return [*said, "", *evaluate.header(acceleration).splitlines()]


def line_of(row: dict[str, Any]) -> str:
    """A row as the terminal shows it."""
    if "left_out" in row:
        return f"{row['name']:<25}{row['sees']:<11}  {row['left_out']}"
    nan = {name: float("nan") if x is None else x for name, x in row.items()}
    pairs = ("pa_change_95", "rotation_change_95")
    nan |= {name: [float("nan") if x is None else x for x in row[name]] for name in pairs}
    return ablation.line(nan)


def _rows_of(
    entry: Method,
    kit: Kit,
    sets: Sets,
    result: dict[str, Any],
    chosen: dict[Key, Any],
    files: advice.Files,
    out: Path,
    trust: worth.Asked | None,
):
    """The rows of a method, kept as soon as they are there; those that are kept already are not made again."""
    lacks = method.lacking(entry, kit, *sets)
    if lacks:
        yield _keep(out, result, _left_out(entry, None, f"needs {', '.join(lacks)}"))
        return
    for kind in method.kinds_for(entry, sets.test):
        kept = [r for r in result["rows"] if (r["method"], r["evidence"]) == (entry.name, kind)]
        kept = [row for row in kept if "left_out" not in row]
        if kept:
            yield from kept
            continue
        began = time.perf_counter()
        try:
            settings = setting_of(entry, kind, kit, sets, chosen)
            task = Task(kind, settings, sets.val)
            outcomes = refine(entry, sets.test.people, kit, task)
        except ValueError as error:
            yield _keep(out, result, _left_out(entry, kind, str(error)))
            continue
        rows = []
        for outcome in outcomes:
            known = trust and worth.of(entry, task, kit, sets.test, outcome, trust)
            rows.append(_judged(entry, kind, settings, kit, sets, outcome, files, out, known))
            if known and trust and trust.max_harm is not None and entry.sees:
                mild = worth.gated(known, sets.test, outcome, trust.max_harm)
                row = _judged(entry, kind, settings, kit, sets, mild, files, out)
                rows.append(worth.mild(row, rows[-1], trust.max_harm))
        seconds = time.perf_counter() - began
        yield from _keep_all(out, result, [row | {"wall_seconds": seconds} for row in rows])


def refine(entry: Method, given: ablation.People, kit: Kit, task: Task) -> list[Outcome]:
    """What a method makes of people, of whom it sees no more than it may."""
    shown = given if entry.oracle else method.hidden(given, task.kind)
    found = entry.refine(shown, kit, task, kit.seed)
    if method.is_truth(task.kind, given):
        found = [
            o._replace(name=f"{o.name}, ORACLE", sees="the truth", honest=False) for o in found
        ]
    return found


def setting_of(
    entry: Method, kind: annotate.Kind | None, kit: Kit, sets: Sets, chosen: dict[Key, Any]
) -> Any:
    """The setting with the least PA-MPJPE on validation; the configured one where nobody can tell."""
    if (entry.name, kind) not in chosen:
        chosen[entry.name, kind] = _tuned(entry, kind, kit, sets, chosen)
    return chosen[entry.name, kind]


def kept_settings(
    methods: Sequence[Method], kit: Kit, result: dict[str, Any], facts: dict[str, Any]
) -> dict[Key, Any]:
    """Settings that a table of the same facts has chosen: they need not be chosen again."""
    begun = result.get("facts") or {}
    apart = ("quality", "protocol")  # Not what settings are chosen by.
    if not begun or any(begun[name] != facts.get(name) for name in begun if name not in apart):
        return {}
    kept = {(row["method"], row["evidence"]): row.get("settings") for row in result["rows"]}
    found: dict[Key, Any] = {}
    for entry in methods:
        for kind in entry.sees:
            then = kept.get((entry.name, kind))
            same = [x for x in entry.grid(kit, kind) if x is not None and told_settings(x) == then]
            if same:
                found[entry.name, kind] = same[0]
    return found


def _tuned(entry, kind, kit, sets: Sets, chosen) -> Any:
    if entry.parts:
        own = [kind if kind in part.sees else None for part in entry.parts]
        return tuple(setting_of(part, k, kit, sets, chosen) for part, k in zip(entry.parts, own))
    grid = entry.grid(kit, kind)
    val = sets.val
    told = val is not None and val.counts["with_truth"] > 0
    told &= val is not None and (kind is None or method.usable(kind, val))
    if len(grid) == 1 or kit.tuning == "none" or not told:
        return grid[0]
    assert val is not None

    def error(settings: Any) -> float:
        (found, *_) = refine(entry, val.people, kit, Task(kind, settings, val))
        scores = ablation.scored(val.people, found.refined)
        return float(np.nanmean(scores.pa_mpjpe_mm[val.people.seen]))

    return min(grid, key=error)


def _judged(
    entry: Method,
    kind: annotate.Kind | None,
    settings: Any,
    kit: Kit,
    sets: Sets,
    outcome: Outcome,
    files: advice.Files,
    out: Path,
    known: worth.Worth | None = None,
) -> dict[str, Any]:
    """A row as numbers; the scores and signals of every person go to a file."""
    test = sets.test.people
    scores = ablation.scored(test, outcome.refined)
    told = entry.told(settings)
    name = f"{outcome.name}, {told}" if told else outcome.name
    tracked = posed(outcome.refined) if sets.test.use == "video" else None
    summary = ablation.summarise(test, (name, outcome.sees), scores, outcome.seconds, tracked)
    run = entry.run(kit, kind, settings) if outcome.honest else None
    words = dict.fromkeys((entry.name, outcome.name, kind or outcome.sees))
    slug = _slug("-".join(words))
    file = Path("people") / f"{slug}.npz"
    told_of_all = outcome.refined.quality | (worth.arrays(known) if known else {})
    signals = {f"quality/{k}": np.asarray(v) for k, v in told_of_all.items()}
    records.save_arrays(out / file, scores._asdict() | signals)
    quality = worth.row(known, sets.test.people, scores, out, slug) if known else {}
    return {
        "method": entry.name,
        "evidence": kind,
        "settings": told_settings(settings),
        "honest": outcome.honest,
        "command": None if run is None else advice.command(run, kind, files),
        "people": str(file),
        **summary,
        **_measured(sets.test, outcome),
        **quality,
    }


def _measured(test: people.Crowd, outcome: Outcome) -> dict[str, Any]:
    """The numbers of the protocol that is asked for by name, where one is."""
    if test.referee is None:
        return {}
    refined = outcome.refined
    return {"metrics": referee.metrics_of(test.referee, posed(refined), refined.translation)}


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "+-" else "_" for c in name)


def told_settings(settings: Any) -> Any:
    """Settings as JSON holds them."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return dataclasses.asdict(settings)
    return [told_settings(x) for x in settings] if isinstance(settings, tuple) else settings


def _left_out(entry: Method, kind: annotate.Kind | None, why: str) -> dict[str, Any]:
    row = {"method": entry.name, "evidence": kind, "name": entry.name, "sees": kind or "-"}
    return row | {"left_out": " ".join(why.split())}


def _keep(out: Path, result: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return _keep_all(out, result, [row])[0]


def _keep_all(
    out: Path, result: dict[str, Any], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Writes the results with these rows in place of those of the same method and evidence."""
    new = {(row["method"], row["evidence"]) for row in rows}
    old = [row for row in result["rows"] if (row["method"], row["evidence"]) not in new]
    result["rows"] = [*old, *report.without_nan(rows)]
    results.write(out, result)
    return rows


def facts_of(kit: Kit, sets: Sets) -> dict[str, Any]:
    """All that a row depends on."""
    loaded = {"guided": kit.guided.prior, "loop": kit.fitting.prior, "denoiser": kit.denoiser}
    arrays = {name: None if x is None else x.prior for name, x in loaded.items()}
    more = {"body": kit.guided.model, "residuals": kit.guided.error_model, "frontend": kit.frontend}
    more["refiner"] = None if kit.refiner is None else (kit.refiner.params, kit.refiner.process)
    return {
        "data": {part: _digest(crowd) for part, crowd in sets._asdict().items()},
        "use": sets.test.use,
        "tuning": kit.tuning,
        "seed": kit.seed,
        "fps": kit.fps,
        "protocol": None if sets.test.referee is None else referee.facts(sets.test.referee),
        "guided": dataclasses.asdict(kit.run.guided),
        "scorehmr": dataclasses.asdict(kit.loop.scorehmr),
        "search": dataclasses.asdict(kit.run.search),
        "parts": {name: jobs.fingerprint(x) for name, x in (arrays | more).items()},
    }


def _digest(crowd: people.Crowd | None) -> str | None:
    return None if crowd is None else jobs.fingerprint(records.arrays_of(crowd.people.annotations))
