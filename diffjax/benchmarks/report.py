"""Runs one benchmark: prints its rows, writes them as JSON, compares ratios with a baseline."""

import datetime
import importlib
import json as jsons  # `json` is what the command's option is called.
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax

from diffjax.benchmarks.timing import Row

BASELINE = Path(__file__).parent / "baseline.json"
"""{benchmark: {"case | peer": ratio}}, measured on an idle machine."""

TOLERANCE = 0.25
"""How far a ratio may fall below the baseline."""


def main(
    what: str,
    *,
    quick: bool = False,
    json: Path | None = None,
    figure: Path | None = None,
    gate: bool = False,
) -> int:
    """The exit status: 1 where a ratio fell too far."""
    module = importlib.import_module(f"diffjax.benchmarks.{what}")
    print(machine(), flush=True)
    rows, case = [], ""
    for row in module.run(quick):
        if row.case != case:
            case = row.case
            print(f"\n{case}", flush=True)
        print(line(row), flush=True)
        rows.append(row)
    if json is not None:
        write(json, what, rows)
    if figure is not None:
        module.draw(rows, figure)
    if not gate:
        return 0
    fallen = compare(what, rows, BASELINE)
    print("\n".join(["", *fallen] if fallen else ["", "every ratio holds"]), file=sys.stderr)
    return int(bool(fallen))


def machine() -> str:
    """Where this is measured."""
    device = jax.devices()[0]
    name = (
        platform.processor() or platform.machine()
        if device.platform == "cpu"
        else device.device_kind
    )
    return (
        f"{device.platform} ({name}), {len(jax.devices())} device(s), jax {jax.__version__}, "
        f"Python {platform.python_version()}"
    )


_UNITS = ((1.0, "s "), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def _time(seconds: float) -> str:
    scale, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    return f"{seconds / scale:7.2f} {unit}"


def line(row: Row) -> str:
    """A row of the table."""
    parts = [f"  {row.name:<48}"]
    if row.seconds is not None:
        spread = (
            f"({_time(row.low).strip()} .. {_time(row.high).strip()})"
            if row.low and row.high
            else ""
        )
        parts.append(f"{_time(row.seconds)} / {row.item:<10} {spread:<24}")
    if row.ratio is not None:
        parts.append(f"diffjax is x{row.ratio:.3g}")
    if row.gflops is not None:
        parts.append(f"{row.gflops:.1f} GFLOP/s")
    if row.share is not None:
        parts.append(f"{100 * row.share:.0f} % of the ceiling")
    if row.note:
        parts.append(row.note)
    return "  ".join(parts)


def write(out: Path, what: str, rows: Iterable[Row]) -> None:
    """All rows with their machine, as JSON; the file appears whole."""
    facts = {
        "benchmark": what,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "rows": [row._asdict() for row in rows],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.part")
    temporary.write_text(jsons.dumps(facts, indent=1) + "\n")
    temporary.replace(out)


def compare(what: str, rows: Sequence[Row], baseline: Path) -> list[str]:
    """A sentence for every ratio that fell too far, or that a measured case lacks."""
    wanted = jsons.loads(baseline.read_text()).get(what, {})
    found = {f"{row.case} | {row.name}": row.ratio for row in rows}
    cases = {row.case for row in rows}
    here = {name: ratio for name, ratio in wanted.items() if name.split(" | ")[0] in cases}
    if not here:
        return [f"{baseline.name}: no ratio of {what} for any case of this run"]
    fallen = []
    for name, ratio in here.items():
        now = found.get(name)
        if now is None:
            fallen.append(f"{name}: wanted a ratio of {ratio:.3g}, not measured")
        elif now < (1 - TOLERANCE) * ratio:
            fallen.append(f"{name}: wanted at least {(1 - TOLERANCE) * ratio:.3g}, got {now:.3g}")
    return fallen
