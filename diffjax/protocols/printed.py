"""A protocol's numbers as lines for the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from diffjax import evaluate
from diffjax.protocols import errors
from diffjax.protocols.protocol import Protocol
from diffjax.protocols.referee import Numbers, Referee


def head(referee: Referee) -> Iterator[str]:
    """What is measured, of whom, and what the set lacks."""
    protocol = referee.settings.protocol
    yield f"protocol {protocol.name}: {what(protocol)}"
    if protocol.beside:
        yield f"    stands beside: {protocol.beside}"
    for note in referee.notes:
        yield f"    {note}"


def what(protocol: Protocol) -> str:
    """Over which joints, about which root, and how people count."""
    if protocol.truth == "image":
        return "2D keypoints"
    roots = " or ".join(" and ".join(root) for root in protocol.root)
    return f"{len(protocol.counted)} joints of {protocol.joints}, root {roots}, mean over {protocol.average}"


def table(referee: Referee | None, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a row of the table of methods, in the columns of its protocol; nothing for the table's own."""
    judged = [row for row in rows if row.get("metrics")]
    if referee is None or referee.settings.protocol.truth == "table" or not judged:
        return
    yield ""
    yield from head(referee)
    columns = referee.settings.protocol.columns
    titles = [f"{c.title} {errors.UNITS[c.measure].replace(' ', '')}" for c in columns]
    widths = [max(len(title) + 2, 10) for title in titles]
    width = evaluate.name_width(row["name"] for row in judged)
    line = evaluate.first_columns("method", "sees", width)
    line += "".join(f"{title:>{width}}" for title, width in zip(titles, widths))
    yield from ("", line, "-" * len(line))
    for row in judged:
        cells = (_number(row["metrics"][c.title]["value"]) for c in columns)
        first = evaluate.first_columns(row["name"], row["sees"], width)
        yield first + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths))


def numbers(found: dict[str, Numbers], many: int) -> Iterator[str]:
    """A line a metric, side by side for several predictions of the same people: value, interval, people."""
    names = list(found)
    width = max(32, *(len(name) + 2 for name in names))
    yield (
        f"{'':<14}{'':<12}"
        + "".join(f"{name:>{width}}" for name in names)
        + f"{'of ' + str(many):>10}"
    )
    for title, first in found[names[0]].items():
        cells = "".join(f"{_with_interval(found[name][title]):>{width}}" for name in names)
        counts = dict.fromkeys(str(found[n][title]["count"]) for n in names if title in found[n])
        yield f"{title:<14}{first['unit']:<12}{cells}{'/'.join(counts):>10}"


def groups(means: dict[str, dict[str, float]], by: str) -> Iterator[str]:
    """A line a group (action or sequence), a column a metric."""
    titles = list(means)
    names = sorted({name for column in means.values() for name in column})
    width = max([36, *(len(name) + 1 for name in names)])
    yield f"{by:<{width}}" + "".join(f"{title:>14}" for title in titles)
    for name in names:
        cells = (_number(means[title].get(name, float("nan"))) for title in titles)
        yield f"{name:<{width}}" + "".join(f"{cell:>14}" for cell in cells)


def _with_interval(number: dict[str, Any]) -> str:
    value, low, high = (number[key] for key in ("value", "low", "high"))
    if low is None or not np.isfinite(low):
        return _number(value)
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.2f}"
