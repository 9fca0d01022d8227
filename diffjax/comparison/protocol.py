"""One protocol for all methods: tuned on validation people, judged once, row by row, on from where it was stopped."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from diffjax import ablation, annotate, evaluate, report
from diffjax.comparison import advice, method, people
from diffjax.comparison.evidence import posed
from diffjax.comparison.method import Kit, Method, Outcome, Task
from diffjax.data import jobs, records

Say = Callable[[str], Any]
RESULTS = "results.json"
_print = functools.partial(print, flush=True)  # A row is read as it comes.


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
    say: Say = _print,
) -> dict[str, Any]:
    """Prints a line a row as it comes, then what to run; returns and keeps results.json in `out`.

    The same call goes on where a stopped one was. Beside it, in `out`/people, every person's scores and signals.
    """
    began, result = time.perf_counter(), _open(out, _facts(kit, sets), overwrite)
    chosen: dict[Key, Any] = {}
    for line in head(kit, sets):
        say(line)
    try:
        for entry in methods:
            for row in _rows_of(entry, kit, sets, result, chosen, files, out):
                say(line_of(row))
    except KeyboardInterrupt as stop:
        done = len(result["rows"])
        raise KeyboardInterrupt(
            f"stopped; {done} rows are kept in {out / RESULTS}, and the same command goes on from there"
        ) from stop
    order = [entry.name for entry in methods]
    wanted = [row for row in result["rows"] if row["method"] in order]
    wanted = sorted(wanted, key=lambda row: order.index(row["method"]))
    result["advice"] = advice.best(wanted)
    result |= {"finished": True, "rows": wanted, "seconds": time.perf_counter() - began}
    _write(out, result)
    for line in advice.words(wanted, result["advice"], sets.test):
        say(line)
    say(f"\n{result['seconds']:.0f} s; all numbers are in {out / RESULTS}")
    return result


def head(kit: Kit, sets: Sets) -> list[str]:
    """Who is judged, who tuned the settings, and the head of the table."""
    said = [people.describe(sets.test)]
    if sets.val is None:
        said.append("no validation people: settings as configured")
    else:
        said.append(f"settings tuned on {people.describe(sets.val)}")
        said += people.shared(sets.test, sets.val)
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
        try:
            settings = setting_of(entry, kind, kit, sets, chosen)
            outcomes = refine(entry, sets.test.people, kit, Task(kind, settings, sets.val))
        except ValueError as error:
            yield _keep(out, result, _left_out(entry, kind, str(error)))
            continue
        rows = [
            _judged(entry, kind, settings, kit, sets, outcome, files, out) for outcome in outcomes
        ]
        yield from _keep_all(out, result, rows)


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
    file = Path("people") / f"{_slug('-'.join(words))}.npz"
    signals = {f"quality/{k}": np.asarray(v) for k, v in outcome.refined.quality.items()}
    records.save_arrays(out / file, scores._asdict() | signals)
    return {
        "method": entry.name,
        "evidence": kind,
        "settings": _told(settings),
        "honest": outcome.honest,
        "command": None if run is None else advice.command(run, kind, files),
        "people": str(file),
        **summary,
    }


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "+-" else "_" for c in name)


def _told(settings: Any) -> Any:
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return dataclasses.asdict(settings)
    return [_told(x) for x in settings] if isinstance(settings, tuple) else settings


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
    _write(out, result)
    return rows


def _facts(kit: Kit, sets: Sets) -> dict[str, Any]:
    """All that a row depends on."""
    loaded = {"guided": kit.guided.prior, "loop": kit.fitting.prior, "denoiser": kit.denoiser}
    arrays = {name: None if x is None else x.prior for name, x in loaded.items()}
    more = {"body": kit.guided.model, "residuals": kit.guided.error_model, "frontend": kit.frontend}
    return {
        "data": {part: _digest(crowd) for part, crowd in sets._asdict().items()},
        "use": sets.test.use,
        "tuning": kit.tuning,
        "seed": kit.seed,
        "guided": dataclasses.asdict(kit.run.guided),
        "scorehmr": dataclasses.asdict(kit.loop.scorehmr),
        "search": dataclasses.asdict(kit.run.search),
        "parts": {name: jobs.fingerprint(x) for name, x in (arrays | more).items()},
    }


def _digest(crowd: people.Crowd | None) -> str | None:
    return None if crowd is None else jobs.fingerprint(records.arrays_of(crowd.people.annotations))


def _open(out: Path, facts: dict[str, Any], overwrite: bool) -> dict[str, Any]:
    """The result in a folder: begun, or gone on with if it is made of the same facts."""
    file = out / RESULTS
    fresh = {
        "format": 1,
        "finished": False,
        "device": str(jax.local_devices()[0]),
        "facts": facts,
        "rows": [],
    }
    facts = json.loads(json.dumps(facts))
    if overwrite or not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        return fresh
    begun = refuse_finished(out)
    if begun["facts"] != facts:
        other = sorted(name for name in facts if begun["facts"].get(name) != facts[name])
        raise ValueError(
            f"{file}: wanted to go on with the comparison that began here, found another {', '.join(other)}; "
            "choose another --out, or pass --overwrite"
        )
    return begun


def refuse_finished(out: Path) -> dict[str, Any]:
    """What is in a folder. ValueError where it is no comparison, or a finished one."""
    file, other = out / RESULTS, "choose another --out, or pass --overwrite"
    if not file.exists():
        return {}
    try:
        begun = json.loads(file.read_text())
        finished = begun["finished"] and begun["facts"] is not None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: wanted the results of a comparison, found something else ({error}); {other}"
        ) from error
    if finished:
        raise ValueError(f"{file}: a finished comparison is there; {other}")
    return begun


def _write(out: Path, result: dict[str, Any]) -> None:
    jobs.write_json(out / RESULTS, report.without_nan(result))
