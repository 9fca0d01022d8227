"""Curves and intervals as inline SVG, with their numbers as text beside them: letters keep their size on a phone."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diffjax.markup import text

STYLE = """
.plot{position:relative;height:240px;margin:14px 14px 46px 46px}
.plot svg,.range svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot path,.plot line,.range line{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-width:1}.zero{stroke:var(--soft);stroke-width:1}
.plot .dots{stroke-width:7;stroke-linecap:round}
.x,.y{position:absolute;font-size:14px;line-height:1;color:var(--soft);white-space:nowrap}
.y{right:100%;transform:translateY(-50%);margin-right:7px}
.x{top:100%;transform:translateX(-50%);margin-top:7px}
.axis{left:0;right:0;margin-top:26px;line-height:1.3;text-align:center;transform:none;white-space:normal}
.keys{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:15px}
.keys svg{width:30px;height:10px;margin-right:6px;overflow:visible}.keys path{fill:none}
.entry{grid-area:name}.n{grid-area:value;text-align:right;font-variant-numeric:tabular-nums}
.row{display:grid;grid-template:"name range value"/minmax(0,1fr) minmax(0,1.4fr) 150px;gap:0 14px;font-size:15px}
.row>*{padding:4px 0}.range{grid-area:range;position:relative;min-height:20px}
.range .wide-line{stroke-width:2}.range .dot{stroke-width:9;stroke-linecap:round}
@media(max-width:600px){.row{grid-template:"name value" "range range"/minmax(0,1fr) max-content}
.row .range{margin:0 10px}}
"""
_COLOURS, _DASHES = 8, ("", "7 4", "2 4")


class Line(NamedTuple):
    """A curve; numbers that are None or NaN are gaps."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    reference: bool = False
    """Drawn as a soft broken line."""


def curves(
    lines: Sequence[Line], x_title: str, y_title: str, names: Sequence[str] | None = None
) -> str:
    """Curves over one axis with a key below; nothing where no number is known. `names` of x = 0, 1, ..."""
    known = [(float(line.x[i]), y) for line in lines for i, y in enumerate(map(_number, line.y))
             if math.isfinite(y)]  # fmt: skip
    if not known:
        return ""
    xs, ys = zip(*known)
    up = ticks(min(ys), max(ys))
    across = [(x, f"{x:g}") for x in ticks(min(xs), max(xs), inside=True)]
    across = across if names is None else [(float(i), name) for i, name in enumerate(names)]
    span = (0.0, len(names) - 1.0) if names else (min(xs), max(xs))
    box = span, (min(up[0], *ys), max(up[-1], *ys))
    said = f"{y_title} against {x_title}: {', '.join(line.name for line in lines)}"
    grid = "".join(f'<path class="grid" d="M0 {_down(y, box[1])}H100"/>' for y in up)
    drawn = "".join(_curve(line, i, box) for i, line in enumerate(lines))
    svg = (
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{text(said)}">'
        f"{grid}{drawn}</svg>"
    )
    beside = "".join(f'<span class="y" style="top:{_down(y, box[1])}%">{y:g}</span>' for y in up)
    below = "".join(
        f'<span class="x" style="left:{_share(x, box[0])}%">{text(name)}</span>'
        for x, name in across
    )
    below += f'<span class="x axis">{text(x_title)}</span>'
    keys = "".join(f"<li>{_key(line, i)}{text(line.name)}</li>" for i, line in enumerate(lines))
    return (
        f'<p class="soft">{text(y_title)}</p><div class="plot">{svg}{beside}{below}</div>'
        f'<ul class="keys">{keys}</ul>'
    )


def _number(y: float | None) -> float:
    return math.nan if y is None else float(y)


def _share(x: float, span: tuple[float, float]) -> str:
    """Percent of the way."""
    low, high = span
    return f"{100 * (x - low) / (high - low):.2f}" if high > low else "50.00"


def _down(y: float, span: tuple[float, float]) -> str:
    return _share(-y, (-span[1], -span[0]))


def _stroke(line: Line, i: int) -> str:
    if line.reference:
        return 'style="stroke:var(--soft);stroke-width:2;stroke-dasharray:2 4"'
    dash = _DASHES[i // _COLOURS % len(_DASHES)]
    return f'style="stroke:var(--c{i % _COLOURS});stroke-width:2;stroke-dasharray:{dash or "none"}"'


def _curve(line: Line, i: int, box) -> str:
    points = [(_share(float(x), box[0]), _down(_number(y), box[1]) if math.isfinite(_number(y)) else None)
              for x, y in zip(line.x, line.y)]  # fmt: skip
    parts = [list(part) for seen, part in itertools.groupby(points, lambda p: p[1] is not None)
             if seen]  # fmt: skip
    path = "".join("M" + "L".join(f"{x} {y}" for x, y in part) for part in parts)
    dots = "".join(f"M{x} {y}h0" for part in parts for x, y in part) if len(points) <= 20 else ""
    colour = "var(--soft)" if line.reference else f"var(--c{i % _COLOURS})"
    marks = f'<path class="dots" style="stroke:{colour}" d="{dots}"/>' * bool(dots)
    return f'<path d="{path}" {_stroke(line, i)}/>{marks}'


def _key(line: Line, i: int) -> str:
    return (
        f'<svg viewBox="0 0 30 10" aria-hidden="true"><path d="M0 5H30" {_stroke(line, i)}/></svg>'
    )


class Range(NamedTuple):
    """A value with its interval; None where there is none."""

    name: str
    """HTML."""
    value: float | None
    low: float | None
    high: float | None
    shown: str
    """The numbers as text."""
    colour: str = "var(--c0)"


def ranges(entries: Sequence[Range], title: str) -> str:
    """Values with intervals below each other on one axis that holds 0; nothing where no number is known."""
    known = [x for e in entries for x in (e.value, e.low, e.high) if x is not None]
    known = [x for x in known if math.isfinite(x)]
    if not known:
        return ""
    marks = ticks(min(0.0, *known), max(0.0, *known))
    span = min(marks[0], *known), max(marks[-1], *known)
    rows = "".join(_range(entry, span, marks) for entry in entries)
    below = "".join(f'<span class="x" style="top:0;left:{_share(x, span)}%">{_signed(x)}</span>'
                    for x in marks[:: max(1, len(marks) // 4)])  # fmt: skip
    axis = f'<div class="row"><div class="range">{below}</div></div>'
    return f'<p class="soft">{text(title)}</p>{rows}{axis}'


def _signed(x: float) -> str:
    return f"{x:+g}" if x else "0"


def _range(entry: Range, span: tuple[float, float], marks: Sequence[float]) -> str:
    def at(x: float | None) -> str:
        return _share(_number(x), span)

    lines = "".join(
        f'<line class="{"zero" if x == 0 else "grid"}" x1="{at(x)}" x2="{at(x)}" y1="0" y2="10"/>'
        for x in marks
    )
    known = [x is not None and math.isfinite(x) for x in (entry.value, entry.low, entry.high)]
    if known[1] and known[2]:
        lines += (
            f'<line class="wide-line" style="stroke:{entry.colour}" x1="{at(entry.low)}" '
            f'x2="{at(entry.high)}" y1="5" y2="5"/>'
        )
    if known[0]:
        lines += (
            f'<line class="dot" style="stroke:{entry.colour}" x1="{at(entry.value)}" '
            f'x2="{at(entry.value)}" y1="5" y2="5"/>'
        )
    svg = f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{lines}</svg>'
    return (
        f'<div class="row"><div class="entry">{entry.name}</div><div class="range">{svg}</div>'
        f'<div class="n">{text(entry.shown)}</div></div>'
    )


def ticks(low: float, high: float, inside: bool = False) -> list[float]:
    """Four to eight round numbers around a range, or within it."""
    if not high > low:
        return [low]
    rough = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * next(s for s in (1, 2, 5, 10) if s * scale >= rough * 0.999)
    first = math.ceil(low / step - 1e-9) if inside else math.floor(low / step + 1e-9)
    last = math.floor(high / step + 1e-9) if inside else math.ceil(high / step - 1e-9)
    return [float(np.round(i * step, 10)) for i in range(first, last + 1)]
