"""All that is known of each row, folded, and why some methods have none: HTML."""

from collections.abc import Sequence
from typing import Any

from diffjax import markup
from diffjax.comparison import page_rows
from diffjax.comparison import words as say
from diffjax.markup import charts, text

Row = dict[str, Any]


def details(rows: Sequence[Row]) -> str:
    """Everything that is known of each row, folded."""
    parts = "".join(_details(row) for _, some in page_rows.groups(rows) for row in some)
    return f"<h2>Every row in detail</h2>{parts}" if parts else ""


def _details(row: Row) -> str:
    lines = [
        ("MPJPE", f"{say.number(row['mpjpe_mm'])} mm"),
        ("PA-MPJPE", f"{say.number(row['pa_mpjpe_mm'])} mm"),
        ("median", f"{say.number(row.get('pa_median_mm'))} mm"),
        ("worst 5 %", f"{say.number(row.get('pa_p95_mm'))} mm and more"),
        ("rotations", f"{say.number(row['rotation_deg'], 2)} degrees" + _change(row, "rotation", 2)),
        ("root", f"{say.number(row.get('root_deg'), 2)} degrees"),
        ("PVE", f"{say.number(row['pve_mm'])} mm"),
        ("2D", f"{say.number(row['image_px'])} px"),
        ("better, harmed", f"{say.share(row['improved'])}, {say.share(row['harmed'])}"),
        ("kept of the gain", say.share(row.get("gain_kept"))),
        ("acceleration", f"{say.number(row.get('acceleration_mm'))} mm a frame squared"),
        ("time", f"{say.number(row['ms_per_frame'], 2)} ms a person; "
                 f"{say.number(row.get('wall_seconds'), 0)} s in all, with compiling and choosing its settings"),
        ("settings", _settings(row.get("settings"))),
    ]  # fmt: skip
    items = "".join(
        f"<dt>{text(a)}</dt><dd>{text(b)}</dd>" for a, b in lines if not b.startswith("-")
    )
    run = markup.command(row["command"]) if row.get("command") else ""
    return (
        f'<details><summary>{text(row["name"])} <span class="soft">{text(page_rows.saw(row))}</span></summary>{run}'
        f'<dl class="facts">{items}</dl>{_metrics(row)}{_quality(row)}</details>'
    )


def _change(row: Row, name: str, digits: int) -> str:
    told = say.interval(row.get(f"{name}_change_95"), digits)
    return f" (change {told})" if told else ""


def _settings(settings: Any) -> str:
    if isinstance(settings, dict):
        return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    if isinstance(settings, (list, tuple)):
        return "; ".join(_settings(one) or "-" for one in settings)
    return "-" if settings is None else str(settings)


def _metrics(row: Row) -> str:
    """The metrics of a protocol, where the row has them."""
    found = row.get("metrics") or {}
    lines = "".join(
        f"<dt>{text(name)}</dt><dd>{text(_metric(one))}</dd>"
        for name, one in found.items()
        if say.number(one.get("value")) != "-"
    )
    return f'<h3>All metrics</h3><dl class="facts">{lines}</dl>' if lines else ""


def _metric(one: dict[str, Any]) -> str:
    told = say.interval((one.get("low"), one.get("high")), 2).replace("+", "")
    people = f", {one['count']:,} people" if one.get("count") is not None else ""
    unit = one.get("unit", "")
    return f"{say.number(one.get('value'), 2)} {unit}" + (f" ({told})" if told else "") + people


_QUALITY = (
    ("spearman_error", "rank correlation of the score with the true error", 2),
    ("spearman_gain", "rank correlation with the true gain", 2),
    ("aurc_mm", "mean error over all coverages, mm", 1),
    ("regret_mm", "keeping whoever is expected to gain: behind the better of both for everybody, mm", 1),
    ("regret_ungated_mm", "the same without a choice, mm", 1),
)  # fmt: skip


def _quality(row: Row) -> str:
    """What the score without truth is worth, where the row has one."""
    found = row.get("quality") or {}
    lines = [(told, say.number(found.get(name), digits)) for name, told, digits in _QUALITY]
    lines.append(
        ("of the way from a random order to the true one", say.share(found.get("aurc_share")))
    )
    items = "".join(f"<dt>{text(a)}</dt><dd>{b}</dd>" for a, b in lines if b != "-")
    curve = [point for point in found.get("curve") or [] if None not in point]
    if not items and not curve:
        return ""
    line = charts.Line(row["name"], [100 * x for x, _ in curve], [y for _, y in curve])
    picture = charts.curves([line], "% of people kept, the best score first", "mean PA-MPJPE, mm")
    return (
        f'<h3>Its score without truth</h3><dl class="facts">{items}</dl>{picture if curve else ""}'
    )


def left_out(rows: Sequence[Row], unnamed: Sequence[str] = ()) -> str:
    """Methods that did not run, and why; those that run only if they are named."""
    why = [row for row in rows if "left_out" in row]
    items = "".join(
        f"<li>{text(row['name'])}"
        + (
            f" with {text(say.SHORT.get(row['evidence'] or '', row['evidence']))}"
            if row["evidence"]
            else ""
        )
        + f": {text(row['left_out'])}</li>"
        for row in why
    )
    if unnamed:
        how = "only if named (<code>--methods</code>, or <code>--methods all</code>)"
        items += f"<li>{how}: {text(', '.join(unnamed))}; and chains a+b</li>"
    return f"<h2>What did not run here, and why</h2><ul>{items}</ul>" if items else ""
