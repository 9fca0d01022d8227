"""The rows of the table as HTML: honest ones by evidence, those that saw the truth apart."""

from collections.abc import Sequence
from typing import Any

from diffjax import markup
from diffjax.comparison import words as say
from diffjax.markup import charts, text

Row = dict[str, Any]
_LEARNED = {"validation": "learned on other people"}
_BOUND = "saw the truth: bounds and controls, no methods"


def judged(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if "left_out" not in row]


def groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows under titles: the estimate, then by evidence with the best first, then those that saw the truth."""
    known = judged(rows)
    base = [row for row in known if row["method"] == "estimate"]
    rest = [row for row in known if row["method"] != "estimate"]
    honest = [row for row in rest if row["honest"]]
    found = [("", base)]
    for kind in say.KIND:
        some = [row for row in honest if say.kind_of(row) == kind]
        title = f"with {say.SHORT[kind]}" if kind else "without evidence"
        found.append((title, sorted(some, key=_error)))
    found.append((_BOUND, sorted((row for row in rest if not row["honest"]), key=_error)))
    return [(title, some) for title, some in found if some]


def _error(row: Row) -> float:
    value = row["pa_mpjpe_mm"]
    return float("inf") if value is None or value != value else value


def table(rows: Sequence[Row]) -> str:
    """All rows that were judged. Columns that a phone has no room for are in the rows' details."""
    if not judged(rows):
        return ""
    head = ("", 'PA-<wbr>MPJPE<br>mm<span class="phone">rot. deg</span>', "change<br>95 %",
            '<span class="opt">rotations<br>deg</span>', "harmed",
            '<span class="opt">better</span>', '<span class="opt">ms</span>')  # fmt: skip
    body = ""
    for title, some in groups(rows):
        if title:
            body += f'<tr><th colspan="{len(head)}">{text(title)}</th></tr>'
        body += "".join(_row(row) for row in some)
    kinds = ("", *[' class="n"'] * 2, ' class="n opt"', ' class="n"', *[' class="n opt"'] * 2)
    heads = "".join(f"<th{kind}>{cell}</th>" for kind, cell in zip(kinds, head))
    inner = f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    return f'<h2>The table</h2><div class="wide"><table>{inner}</table></div>'


def _row(row: Row) -> str:
    change = row["pa_change_mm"]
    if row["method"] == "estimate":
        change = None
    colour = ""
    if change is not None and row["honest"] and not _unsure(row):
        colour = " down" if change < 0 else " up"
    told = say.interval(row["pa_change_95"])
    sub = f'<span class="sub">{text(told)}</span>' if told else ""
    own = row["sees"] not in ("-", "the truth", *say.KIND)
    sees = f'<span class="sub">{text(_LEARNED.get(row["sees"], row["sees"]))}</span>' if own else ""
    turned = say.number(row["rotation_deg"], 2)
    return (
        f'<tr><td>{_breaking(row["name"])}{sees}</td><td class="n">{say.number(row["pa_mpjpe_mm"])}'
        f'<span class="sub phone">{turned}</span></td>'
        f'<td class="n{colour}">{say.number(change, 1, "+")}{sub}</td><td class="n opt">{turned}</td>'
        f'<td class="n">{say.share(row["harmed"])}</td><td class="n opt">{say.share(row["improved"])}</td>'
        f'<td class="n opt">{say.number(row["ms_per_frame"], 2)}</td></tr>'
    )


def _breaking(name: str) -> str:
    """A name that may go on in the next line after a +: columns of a phone are narrow."""
    return text(name).replace("+", "+<wbr>")


def _unsure(row: Row) -> bool:
    """Whether the interval holds 0, or there is none."""
    low, high = row["pa_change_95"]
    return low is None or high is None or not (low > 0 or high < 0)


def gains(rows: Sequence[Row]) -> str:
    """What each row changes, with its interval, drawn."""
    known = [row for _, some in groups(rows) for row in some if row["method"] != "estimate"]
    entries = [_gain(row) for row in known]
    picture = charts.ranges(
        entries,
        "Change of PA-MPJPE in mm, with 95 % intervals: left of 0 is better. Red: saw the truth.",
    )
    return f"<h2>Gains</h2>{picture}" if picture else ""


def _gain(row: Row) -> charts.Range:
    low, high = row["pa_change_95"]
    shown = say.interval((low, high)) or say.number(row["pa_change_mm"], 1, "+")
    name = f'{text(row["name"])} <span class="soft">{text(saw(row))}</span>'
    colour = "var(--c0)" if row["honest"] else "var(--bad)"
    return charts.Range(name, row["pa_change_mm"], low, high, shown, colour)


def saw(row: Row) -> str:
    """What a row was shown, in a few words."""
    return say.SHORT[say.kind_of(row)] if row["honest"] else "saw the truth"


def protocol(rows: Sequence[Row], told: dict[str, Any] | None) -> str:
    """A second table, as the papers on this data set measure; nothing where nobody asked for a protocol of theirs."""
    if told and told.get("name") == "diffjax":
        return ""
    some = [row for _, rows_ in groups(rows) for row in rows_ if row.get("metrics")]
    names = list(dict.fromkeys(name for row in some for name in row["metrics"]))
    if not names:
        return ""
    units = [
        next((row["metrics"][n].get("unit") for row in some if n in row["metrics"]), "")
        for n in names
    ]
    head = ["", *(f"{text(name)}<br>{text(unit or '')}" for name, unit in zip(names, units))]
    body = [
        [_named(row), *(say.number(row["metrics"].get(n, {}).get("value"), 2) for n in names)]
        for row in some
    ]
    said = ""
    if told:
        notes = "".join(f"<li>{text(note)}</li>" for note in told.get("notes") or [])
        beside = f" Stands beside {told['beside']}." if told.get("beside") else ""
        what = text(f"{told.get('name', '?')}: {over(told)}{beside}")
        said = f'<p class="soft">{what}</p>' + (f"<ul>{notes}</ul>" if notes else "")
    return f"<h2>By a protocol of its own</h2>{said}{markup.table(head, body)}"


def _named(row: Row) -> str:
    return f'{text(row["name"])}<span class="sub">{text(saw(row))}</span>'


def over(told: dict[str, Any]) -> str:
    """What a protocol counts, and how."""
    joints, counted = told.get("joints", "?"), len(told.get("counted") or [])
    return f"{counted} joints of {joints}; averaged over {told.get('average', '?')}."
