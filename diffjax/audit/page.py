"""The report as one HTML file: no script, no request, readable on a phone, by day and by night."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

from diffjax import markup
from diffjax.audit import reasons, tables
from diffjax.audit.reasons import REASONS, Flags
from diffjax.markup import text

_STYLE = """
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:8px;margin-top:8px}
.pair img{display:block;width:100%;max-width:480px;height:auto;border-radius:4px;background:#fff}
.bars{display:block;width:100%;height:72px;margin-top:8px;border-bottom:1px solid var(--line)}
.bars path{fill:var(--bar)}
.bars line{stroke:var(--bad);stroke-width:2;stroke-dasharray:4 3;vector-effect:non-scaling-stroke}
.ends{display:flex;justify-content:space-between;margin:0;font-size:14px;color:var(--soft)}
.bar{display:block;background:var(--line);height:10px;margin-top:7px;min-width:60px}
.bar i{display:block;height:10px;background:var(--bar)}
.key i{font-style:normal;white-space:nowrap;margin-right:10px}
"""


class Picture(NamedTuple):
    """A row that is shown."""

    row: int
    pngs: tuple[bytes, ...]
    """One, or two: before and after. Beside each other, or on a phone below."""
    why: str
    """Why there is none."""


def page(
    name: str,
    flags: Flags,
    before: Flags | None,
    pictures: Sequence[Picture],
    facts: Sequence[tuple[str, str]],
) -> str:
    """The whole report. `before` are the flags of the same people before they were refined."""
    title = f"Audit of {name}"
    body = "".join((
        f"<h1>{text(title)}</h1>",
        _counts(flags, before),
        "".join(f'<p class="note">{text(note)}</p>' for note in flags.numbers.notes),
        tables.found(flags, before),
        tables.unchecked(flags),
        _worst(flags, pictures),
        tables.joints(flags),
        tables.checked(flags),
        tables.histograms(flags),
        _about(facts),
    ))  # fmt: skip
    return markup.document(title, body, _STYLE)


def _counts(flags: Flags, before: Flags | None) -> str:
    rows, some = len(flags.numbers.track), reasons.any_flag(flags)
    cells = [
        (f"{rows:,}", "rows"),
        (f"{int(flags.numbers.track.max(initial=-1)) + 1:,}", "tracks"),
        (f"{int(some.sum()):,}", f"rows flagged ({some.mean():.1%})"),
        (f"{len(flags.flagged)} of {len(REASONS) - 2 * (before is None)}", "checks made"),
    ]
    if before is not None:
        cells.insert(3, (f"{int(reasons.any_flag(before).sum()):,}", "rows flagged before"))
    items = "".join(f"<li><b>{number}</b>{text(word)}</li>" for number, word in cells)
    return f'<ul class="counts">{items}</ul>'


def _worst(flags: Flags, pictures: Sequence[Picture]) -> str:
    if not pictures:
        return "<h2>Worst frames</h2><p>No row is flagged.</p>"
    cards = "".join(_card(flags, picture) for picture in pictures)
    key = (
        '<p class="soft key"><i><b style="color:#d98e00">●</b> left</i>'
        '<i><b style="color:#2f86d6">■</b> right</i>'
        '<i>◆ middle</i><i><b style="color:#c8352b">—</b> from a keypoint to where the body has it</i></p>'
    )
    said = (
        f'<p class="soft">{len(pictures)} rows: the worst of each reason, then those with the largest numbers '
        "against their bounds, of one track at most one in ten frames. flags.csv has all.</p>"
    )
    return f"<h2>Worst frames first</h2>{said}{key}{cards}"


def _card(flags: Flags, picture: Picture) -> str:
    row = picture.row
    told = "".join(f"<li>{text(sentence)}</li>" for sentence in reasons.sentences(flags, row))
    alt = f"Row {row}: the body over its keypoints"
    shown = "".join(
        f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        for png in picture.pngs
    )
    shown = f'<div class="pair">{shown}</div>' if picture.pngs else ""
    if picture.why:
        shown += f'<p class="soft">No drawing: {text(picture.why)}</p>'
    return (
        f'<article class="card"><h3>{text(_place(flags, row))}</h3><ul>{told}</ul>{shown}</article>'
    )


def _place(flags: Flags, row: int) -> str:
    columns = flags.numbers.columns
    known = {name: x[row] for name, x in columns.items() if x is not None}
    told = [str(known[k]) for k in ("sequence", "subject", "view") if k in known]
    told += [f"frame {known['frame']}"] if "frame" in known else []
    told += [] if flags.numbers.image is None else [str(flags.numbers.image[row])]
    return " · ".join([f"Row {row}", *(word for word in told if word)])


def _about(facts: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<li>{text(name)}: {text(value)}</li>" for name, value in facts)
    return (
        f"<h2>About this report</h2><ul>{items}</ul>"
        '<p class="soft">No flag and no number in a table comes from a truth; drawings show it where the set has '
        "one. A flag says where to look, not that the row is wrong; a row without flags may be wrong in ways that no "
        "check sees, depth above all.</p>"
    )
