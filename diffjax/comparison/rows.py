"""A method's rows of the table: their numbers, their command, and a file of everybody's scores."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import ablation, annotate
from diffjax.comparison import advice, people, tuning, worth
from diffjax.comparison.evidence import posed
from diffjax.comparison.method import Kit, Method, Outcome, Task
from diffjax.data import records
from diffjax.protocols import referee

Row = dict[str, Any]


class Table(NamedTuple):
    """What is the same for all rows."""

    kit: Kit
    sets: people.Sets
    files: advice.Files
    out: Path
    trust: worth.Asked | None
    """What is asked of the quality of rows."""


def of(table: Table, entry: Method, kind: annotate.Kind | None, setting: Any) -> list[Row]:
    """The rows of a method with one kind of evidence."""
    task, rows = Task(kind, setting, table.sets.val), []
    for outcome in tuning.refine(entry, table.sets.test.people, table.kit, task):
        known = table.trust and worth.of(
            entry, task, table.kit, table.sets.test, outcome, table.trust
        )
        rows.append(_row(table, entry, task, outcome, known))
        if known and table.trust and table.trust.max_harm is not None and entry.sees:
            limit = table.trust.max_harm
            mild = worth.gated(known, table.sets.test, outcome, limit)
            rows.append(worth.mild(_row(table, entry, task, mild), rows[-1], limit, mild))
    return rows


def _row(
    table: Table, entry: Method, task: Task, outcome: Outcome, known: worth.Worth | None = None
) -> Row:
    """A row as numbers; the scores and signals of every person go to a file."""
    test, told = table.sets.test, entry.told(task.settings)
    scores = ablation.scored(test.people, outcome.refined)
    name = f"{outcome.name}, {told}" if told else outcome.name
    tracked = posed(outcome.refined) if test.use == "video" else None
    names = name, outcome.sees
    summary = ablation.summarise(test.people, names, scores, outcome.seconds, tracked)
    run = entry.run(table.kit, task.kind, task.settings) if outcome.honest else None
    slug = _slug(entry.name, outcome.name, task.kind or outcome.sees)
    return {
        "method": entry.name,
        "evidence": task.kind,
        "settings": tuning.told(task.settings),
        "honest": outcome.honest,
        "command": None if run is None else advice.command(run, task.kind, table.files),
        "people": _keep_people(table.out, slug, scores, outcome, known),
        **summary,
        **_measured(test, outcome),
        **(worth.row(known, test.people, scores, table.out, slug) if known else {}),
    }


def _keep_people(out: Path, slug: str, scores: Any, outcome: Outcome, known: Any) -> str:
    """Everybody's scores and signals; the name of the file in `out`."""
    file = Path("people") / f"{slug}.npz"
    told = outcome.refined.quality | (worth.arrays(known) if known else {})
    signals = {f"quality/{k}": np.asarray(v) for k, v in told.items()}
    records.save_arrays(out / file, scores._asdict() | signals)
    return str(file)


def _measured(test: people.Crowd, outcome: Outcome) -> Row:
    """The numbers of the protocol that is asked for by name, where one is."""
    if test.referee is None:
        return {}
    refined = outcome.refined
    return {"metrics": referee.metrics_of(test.referee, posed(refined), refined.translation)}


def _slug(*words: str) -> str:
    name = "-".join(dict.fromkeys(words))
    return "".join(c if c.isalnum() or c in "+-" else "_" for c in name)


def left_out(entry: Method, kind: annotate.Kind | None, why: str) -> Row:
    """A row without numbers, and why."""
    row = {"method": entry.name, "evidence": kind, "name": entry.name, "sees": kind or "-"}
    return row | {"left_out": " ".join(why.split())}
