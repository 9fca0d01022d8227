"""Sweeps as HTML: a curve a method, the estimate as the broken line, and all numbers below."""

from collections.abc import Sequence
from typing import Any

from diffjax import markup
from diffjax.comparison import words as say
from diffjax.markup import charts, text

Sweep = dict[str, Any]


def sweeps(found: Sequence[Sweep]) -> str:
    """A section for each sweep."""
    parts = "".join(_sweep(one) for one in found if one.get("lines"))
    return f"<h2>What if the evidence were better or worse?</h2>{parts}" if parts else ""


def _sweep(sweep: Sweep) -> str:
    values = sweep["values"]
    numbers = all(isinstance(value, (int, float)) for value in values)
    x = [float(value) for value in values] if numbers else [float(i) for i in range(len(values))]
    names = None if numbers else [str(value) for value in values]
    lines = [
        charts.Line(_name(line), x, line["pa_mpjpe_mm"], line["method"] == "estimate")
        for line in sweep["lines"]
        if "left_out" not in line
    ]
    title = sweep.get("title", sweep["axis"])
    picture = charts.curves(
        lines, f"{title}, {sweep['unit']}" if sweep["unit"] else title, "PA-MPJPE, mm", names
    )
    stopped = (
        "" if sweep.get("finished", True) else " This sweep was stopped; the same command goes on."
    )
    out = "".join(
        f"<li>{text(_name(line))}: {text(line['left_out'])}</li>"
        for line in sweep["lines"]
        if "left_out" in line
    )
    run = markup.command(sweep["command"]) if sweep.get("command") else ""
    return (
        f'<section class="card"><h3>{text(title[:1].upper() + title[1:])}</h3>'
        f'<p class="soft">{text(_who(sweep) + sweep.get("told", "") + stopped)}</p>{picture}'
        f"{f'<ul>{out}</ul>' if out else ''}"
        f"<details><summary>The numbers</summary>{_numbers(sweep)}{run}</details></section>"
    )


def _who(sweep: Sweep) -> str:
    if not sweep.get("judged"):
        return ""
    return f"{sweep['data']}, {say.judged(sweep['judged'])}. "


def _name(line: dict[str, Any]) -> str:
    kind = line.get("evidence")
    return f"{line['name']}, {say.SHORT.get(kind, kind)}" if kind else line["name"]


def _numbers(sweep: Sweep) -> str:
    """A row a value: PA-MPJPE with the interval of its change, and the share of people harmed."""
    lines = [line for line in sweep["lines"] if "left_out" not in line]
    head = [text(sweep["unit"]), *(text(_name(line)) for line in lines)]
    rows = [
        [
            text(value if isinstance(value, str) else f"{value:g}"),
            *(_cell(line, i) for line in lines),
        ]
        for i, value in enumerate(sweep["values"])
    ]
    return (
        markup.table(head, rows)
        + '<p class="soft">PA-MPJPE in mm; below it the 95 % interval of its change, and harmed.</p>'
    )


def _cell(line: dict[str, Any], i: int) -> str:
    told = say.interval(line["pa_change_95"][i])
    sub = f"{told}, {say.share(line['harmed'][i])}" if told else ""
    return say.number(line["pa_mpjpe_mm"][i]) + (
        f'<span class="sub">{text(sub)}</span>' if sub else ""
    )
