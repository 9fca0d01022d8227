"""What is suspicious in an annotation set, without its truth: flags.csv, audit.npz and a page to look at.

A row is flagged by numbers that one sentence explains (`reasons`), against bounds that are documented (`bounds`).
"""

import contextlib
import csv
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import annotate, config, draw, draw_people
from diffjax.audit import page, ranking, reading, reasons
from diffjax.audit.bounds import Bounds
from diffjax.audit.reasons import REASONS, Flags, Numbers, Reason
from diffjax.data import records

__all__ = ["REASONS", "Bounds", "Flags", "Numbers", "Reason", "audit_file"]

_PAGE = 3_000_000
"""Bytes of all pictures of a page; no picture has more than 60,000."""


def audit_file(
    path: str | Path,
    out: str | Path,
    *,
    before: str | Path | None = None,
    images: Path | None = None,
    worst: int = 40,
    say: Callable[[str], Any] = print,
    evidence: annotate.Kind | None = None,
    body_path: str = config.Data.body,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable.
) -> Flags:
    """Audits a set and writes flags.csv, audit.npz and report.html into the folder `out`.

    Needs no truth. Memory does not grow with the set, but for some 200 bytes a row, and its image's name; joints
    wait in a scratch file in `out` (288 bytes a row, twice that with `before`) while it works.

    Args:
      path: an annotation set, .npz or a directory of shards; or `demo`, `demo_video`, `demo_views`.
      before: the same people before they were refined: what moved, and what got worse.
      images: the folder of the images that the field `image` names.
      worst: so many rows are drawn.
      evidence: `labels` or `detections`; by default the first of them that the set holds.
      body_path: the body of the set.
      bounds: when a row is flagged.
    """
    out, start = Path(out), time.perf_counter()
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: wanted a folder to write to, found a file; choose another --out")
    if worst < 0:
        raise ValueError(f"worst: wanted a number of rows to draw, 0 or more, got {worst}")
    earlier = None if before is None else str(before)
    kit = draw.load_kit(
        str(path), before=earlier, evidence=evidence, images=images, body_path=body_path
    )
    out.mkdir(parents=True, exist_ok=True)
    flags, old = _flags(kit, out, bounds)
    chosen = ranking.worst_rows(flags, worst)
    pictures = [_picture(kit, row, _PAGE // max(len(chosen), 1)) for row in chosen]
    _write_flags(out / "flags.csv", flags)
    _write_numbers(out / "audit.npz", flags)
    facts = _facts(kit, earlier, time.perf_counter() - start)
    with _whole(out / "report.html") as file:
        file.write_text(page.page(kit.source.name, flags, old, pictures, facts), encoding="utf-8")
    _tell(flags, out, say)
    return flags


def _flags(kit: draw_people.Kit, out: Path, bounds: Bounds) -> tuple[Flags, Flags | None]:
    """Flags of the set, and of the set before."""
    count = kit.source.count
    with reading.scratch(out, "joints", count) as joints:
        numbers = reading.measure(kit, joints, "audit", bounds.far_apart)
        if kit.before is None:
            return reasons.flags_of(numbers, bounds), None
        with reading.scratch(out, "joints_before", count) as first:
            earlier = kit._replace(source=kit.before, before=None)
            old = reading.measure(earlier, first, "audit of the set before", bounds.far_apart)
            numbers = reading.compared(kit, first, joints, old, numbers)
            return reasons.flags_of(numbers, bounds), reasons.flags_of(old, bounds)


def _picture(kit: draw_people.Kit, row: int, limit: int) -> page.Picture:
    """A row drawn, before and after where both are known; or why it cannot be."""
    kits = [kit._replace(before=None)]
    if kit.before is not None:
        kits.insert(0, kit._replace(source=kit.before, before=None, refined=False))
    limit, pngs, why = min(limit // len(kits), 60_000), [], ""
    for one in kits:
        try:
            with np.errstate(all="ignore"):  # Bodies of impossible numbers.
                pngs.append(draw.row_png(one, row, limit))
        except (ValueError, ArithmeticError, IndexError, MemoryError) as error:
            why = str(error)
    return page.Picture(row, tuple(pngs), why)


def _write_flags(file: Path, flags: Flags) -> None:
    """One line a row and reason."""
    numbers, rows = flags.numbers, len(flags.numbers.track)
    told = numbers.columns | {"image": numbers.image}
    told = {name: told[name] for name in ("sequence", "frame", "image")}
    names = list(flags.flagged)
    with _whole(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("row", *told, "reason", "value", "bound", "part"))
        for row in np.flatnonzero(reasons.any_flag(flags)) if rows else ():
            where = ["" if x is None else x[row] for x in told.values()]
            for name in names:
                if flags.flagged[name][row]:
                    value = f"{flags.numbers.values[name][row]:.6g}"
                    part = reasons.part_of(flags.numbers, name, int(row))
                    lines.writerow((row, *where, name, value, f"{flags.bounds[name]:.6g}", part))


def _write_numbers(file: Path, flags: Flags) -> None:
    """Every number of every row, NaN where it is not known, under the name of its reason; bounds as bound_NAME."""
    bounds = {f"bound_{name}": np.float64(bound) for name, bound in flags.bounds.items()}
    numbers = flags.numbers
    arrays = numbers.values | numbers.more | bounds | {"track": numbers.track}
    arrays["flagged"] = reasons.any_flag(flags)
    records.save_arrays(file, arrays)


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A temporary name; the file appears whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _facts(kit: draw_people.Kit, before: str | None, seconds: float) -> list[tuple[str, str]]:
    told = [("set", kit.source.name), ("checksum", kit.source.digest)]
    told += [] if before is None else [("before", before)]
    told += [("keypoints", kit.kind or "none")]
    return [*told, ("rows", f"{kit.source.count:,} in {seconds:.0f} s")]


def _tell(flags: Flags, out: Path, say: Callable[[str], Any]) -> None:
    some = reasons.any_flag(flags)
    for note in flags.numbers.notes:
        say(note)
    for name, flagged in flags.flagged.items():
        if flagged.any():
            bound = REASONS[name].shown(flags.bounds[name])
            say(f"{int(flagged.sum()):8d}  {name} ({REASONS[name].title}; bound {bound})")
    lacking: dict[str, list[str]] = {}
    for name, why in flags.numbers.missing.items():
        lacking.setdefault(why, []).append(name)
    for why, names in lacking.items():
        say(f"not checked: {', '.join(names)}: {why}")
    say(
        f"{int(some.sum())} of {len(some)} rows are flagged: {out / 'report.html'}, flags.csv, audit.npz"
    )
