"""One finding about a file, and how it is said."""

from typing import Any, Literal, NamedTuple

import numpy as np

Mark = Literal["ok", "look", "wrong"]


class Finding(NamedTuple):
    """What was checked, how it turned out, in words and in numbers."""

    name: str
    mark: Mark
    text: str
    values: dict[str, Any] = {}  # noqa: RUF012 - never written to.


def share(part: float) -> str:
    """A share as percent: 'none' and 'all' only where it is so."""
    if part in (0.0, 1.0):
        return "all" if part else "none"
    return f"{min(max(100 * part, 0.1), 99.9):.3g} %"


def count(number: int, one: str, many: str = "") -> str:
    """1 person, 2,000 people."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def number(value: float | int) -> str:
    """Four digits, as people write them."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def span(values: np.ndarray) -> str:
    """Smallest to largest."""
    if not values.size:
        return "nothing"
    low, high = float(values.min()), float(values.max())
    return f"all {number(low)}" if low == high else f"{number(low)} to {number(high)}"
