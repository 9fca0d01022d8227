"""Which command to run on one's own data: the best row that never saw the truth, as a command line."""

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from diffjax import config
from diffjax.comparison import people


class Files(NamedTuple):
    """The config files of the runs, as a command line names them."""

    run: str
    loop: str


MATTERS = ("mode", "guided", "scorehmr", "parts", "data")
"""Fields of a run that scripts/refine.py looks at."""
_OF_PARTS = {"guided": ("prior",), "fast": ("residuals",), "scorehmr": ("prior",)}


def command(run: config.Run, kind: str | None, files: Files, data: str = "YOUR.npz") -> str:
    """The call of scripts/refine.py that refines by this run: what differs from its config is said."""
    file = files.loop if run.mode == "scorehmr" else files.run
    own = config.load(file)
    said = [f"--config {shlex.quote(file)}", f"--data {data}", f"--evidence {kind}"]
    if own.mode != run.mode:
        said.append(f"--mode {run.mode}")
    if own.data.body != run.data.body:
        said.append(f"--data.body {shlex.quote(run.data.body)}")
    for part in _OF_PARTS[run.mode]:
        value = getattr(run.parts, part)
        if value != getattr(own.parts, part):
            said.append(f"--parts.{part} {shlex.quote(value)}")
    section = "scorehmr" if run.mode == "scorehmr" else "guided"
    said += flags(getattr(own, section), getattr(run, section), section)
    return f"python scripts/refine.py {' '.join(said)} --out better.npz"


def flags(own: Any, wanted: Any, name: str) -> Iterator[str]:
    """The fields of a record that are others than those of `own`, as flags of the command line."""
    for field in dataclasses.fields(wanted):
        a, b = getattr(own, field.name), getattr(wanted, field.name)
        path = f"{name}.{field.name}"
        if dataclasses.is_dataclass(b):
            yield from flags(a, b, path)
        elif a != b and isinstance(b, bool):
            yield f"--{path}" if b else f"--{name}.no-{field.name.replace('_', '-')}"
        elif a != b:
            yield f"--{path} {b}"


def best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By kind of evidence, the row with the least PA-MPJPE of those that saw no truth and have a command."""
    found: dict[str, Any] = {}
    for row in rows:
        fit = row.get("command") and row["honest"] and row["pa_mpjpe_mm"] is not None
        if fit and _below(row, found.get(row["evidence"])):
            found[row["evidence"]] = row
    return {kind: {"name": row["name"], "command": row["command"]} for kind, row in found.items()}


def _below(row: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return other is None or row["pa_mpjpe_mm"] < other["pa_mpjpe_mm"]


def words(
    rows: Sequence[dict[str, Any]], advice: dict[str, Any], test: people.Crowd
) -> Iterator[str]:
    """What to run on one's own data, what it gains, and what it may break."""
    yield "\nWhich command should I run on my own data?"
    judged = [row for row in rows if row.get("pa_mpjpe_mm") is not None]
    if not test.counts["with_truth"]:
        yield (
            "Nobody's 3D truth is known here, so no row is better than another: fewer pixels are not a better "
            "pose. Compare on people whose truth is known."
        )
        return
    if not advice:
        yield "No row here that saw no truth has a command; leave the estimates alone."
    for kind, chosen in advice.items():
        row = next(r for r in judged if r["name"] == chosen["name"] and r["evidence"] == kind)
        yield f"With {kind}: {_gain(row, judged[0])}"
        if not _helps(row):
            yield "    This is not shown to help: leave these estimates alone."
            continue
        yield f"    {chosen['command']}"
        yield from _better(row, judged)


def _gain(row: dict[str, Any], base: dict[str, Any]) -> str:
    low, high = row["pa_change_95"]
    interval = "" if low is None else f" (change {low:+.1f} to {high:+.1f})"
    turned = ""
    if row["rotation_deg"] is not None:
        turned = f", rotations {base['rotation_deg']:.2f} -> {row['rotation_deg']:.2f} degrees"
    return (
        f"{row['name']} takes PA-MPJPE from {base['pa_mpjpe_mm']:.1f} to {row['pa_mpjpe_mm']:.1f} mm{interval}"
        f"{turned}; {100 * row['improved']:.0f} % get better, {100 * row['harmed']:.0f} % worse by more than 1 mm."
    )


def _helps(row: dict[str, Any]) -> bool:
    """Whether the whole interval is below 0; without one, the mean."""
    high = row["pa_change_95"][1]
    return (row["pa_change_mm"] if high is None else high) < 0


def _better(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Rows without a command that were better still."""
    honest = [r for r in rows if r["honest"] and not r.get("command")]
    same = [r for r in honest if r["evidence"] == row["evidence"]]
    for other in same:
        if other["pa_mpjpe_mm"] < row["pa_mpjpe_mm"]:
            yield (
                f"    {other['name']} had {other['pa_mpjpe_mm']:.1f} mm; it is a row of this table and "
                "no mode of refine.py."
            )
