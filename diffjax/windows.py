"""Sequences of any length as windows of one length, and back.

Sequences lie one after another in the rows of an array. A window is cut from one of them; windows
overlap, and where they do the results are blended with triangular weights, which add up to one in
every row: a function that changes nothing gives its input back.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

Gaps = Literal["refuse", "fill"]


class Plan(NamedTuple):
    """Where each window lies. A window longer than its sequence reaches over both ends."""

    first: Int[np.ndarray, " windows"]
    """Row of its first frame, which may be before `low`."""
    low: Int[np.ndarray, " windows"]
    """First row of its sequence."""
    high: Int[np.ndarray, " windows"]
    """Last row of its sequence."""
    total: Float[np.ndarray, " rows"]
    """What the weights of all windows add up to, before they are divided by it."""
    time: int
    """Frames of a window."""


class Windows(NamedTuple):
    """Windows to gather and to blend."""

    rows: Int[Array | np.ndarray, "windows time"]
    """The row that each frame shows; beyond the ends of a sequence, its last."""
    weight: Float[Array | np.ndarray, "windows time"]
    """Share in the blended row; 0 beyond the ends."""


def plan(lengths: Sequence[int], time: int, stride: int | None = None) -> Plan:
    """Windows of `time` frames every `stride` (half a window unless given); the last ends with its sequence.

    ValueError for a sequence of no frames, or a stride that leaves frames out.
    """
    stride = max(time // 2, 1) if stride is None else stride
    if time < 1 or not 1 <= stride <= time:
        raise ValueError(f"windows: wanted 1 <= stride <= frames, got stride {stride} of {time}")
    if not len(lengths) or min(lengths) < 1:
        raise ValueError("windows: wanted sequences of one frame or more, found an empty one")
    ends = np.cumsum(lengths)
    firsts = [e - n + _starts(n, time, stride) for e, n in zip(ends, lengths)]
    counts = [len(f) for f in firsts]
    low, high = np.repeat(ends - lengths, counts), np.repeat(ends - 1, counts)
    bare = Plan(np.concatenate(firsts), low, high, np.ones(ends[-1]), time)
    total = np.zeros(ends[-1])
    for some in batches(bare, 1024):
        np.add.at(total, some.rows, some.weight)
    return bare._replace(total=total)


def _starts(length: int, time: int, stride: int) -> np.ndarray:
    """First frames in a sequence; a shorter sequence is in the middle of its only window."""
    if length <= time:
        return np.array([-((time - length) // 2)])
    return np.append(np.arange(0, length - time, stride), length - time)


def windows(where: Plan, index: Int[np.ndarray, " some"] | slice = slice(None)) -> Windows:
    """The windows of a plan at `index`, or all of them."""
    ramp = np.arange(where.time)
    at = where.first[index][:, None] + ramp
    low, high = where.low[index][:, None], where.high[index][:, None]
    rows = np.clip(at, low, high)
    triangle = np.minimum(ramp + 1, where.time - ramp)
    weight = np.where(rows == at, triangle / where.total[rows], 0.0)
    return Windows(rows, weight.astype(np.float32))


def batches(where: Plan, size: int) -> Iterator[Windows]:
    """All windows, `size` at a time; the last batch is filled up with windows of weight 0."""
    count = len(where.first)
    for first in range(0, count, size):
        index = np.arange(first, first + size)
        some = windows(where, np.minimum(index, count - 1))
        yield some._replace(weight=some.weight * (index < count)[:, None].astype(np.float32))


def touching(where: Plan, first: int, end: int) -> tuple[Plan, int, int]:
    """The windows that have a share in rows first .. end - 1, and the rows (low, high - 1) that they see.

    The plan is of these rows alone, and blends rows first .. end - 1 as the whole plan does.
    """
    last = np.minimum(where.first + where.time - 1, where.high)
    begin = np.maximum(where.first, where.low)
    index = np.flatnonzero((begin < end) & (last >= first))
    low, high = int(begin[index].min()), int(last[index].max()) + 1
    starts, lowest, highest = (x[index] - low for x in (where.first, where.low, where.high))
    return Plan(starts, lowest, highest, where.total[low:high], where.time), low, high


def over_windows(
    function: Callable[..., Float[Array, "windows time ..."]],
    cut: Windows,
    *rows: Shaped[Array, "rows ..."],
) -> Float[Array, "rows ..."]:
    """function(windows of every array) blended back into rows: one call, to be compiled as a whole."""
    made = function(*(a[cut.rows] for a in rows))
    weight = jnp.asarray(cut.weight, made.dtype).reshape(*cut.rows.shape, *(1,) * (made.ndim - 2))
    empty = jnp.zeros((len(rows[0]), *made.shape[2:]), made.dtype)
    return empty.at[cut.rows].add(weight * made)


def over_batches(
    function: Callable[..., Float[Array, "windows time ..."]],
    where: Plan,
    *rows: Shaped[np.ndarray, "..."],
    size: int = 64,
    advance: Callable[[int], Any] = lambda count: None,
) -> Float[np.ndarray, "rows ..."]:
    """As `over_windows` for sequences of any length: `size` windows are in memory at a time.

    `function` sees one shape only; hand it in compiled. `advance` is told how many windows are done.
    """
    check_rows(where, rows)
    blended, left = None, len(where.first)
    for some in batches(where, size):
        made = np.asarray(function(*(a[some.rows] for a in rows)))
        if blended is None:
            blended = np.zeros((len(where.total), *made.shape[2:]), made.dtype)
        weight = some.weight.reshape(*some.rows.shape, *(1,) * (made.ndim - 2))
        np.add.at(blended, some.rows, weight * made)
        advance(min(size, left))
        left -= size
    assert blended is not None  # A plan has a window.
    return blended


def check_rows(where: Plan, rows: Sequence[np.ndarray]) -> None:
    """ValueError unless every array has the rows of the plan."""
    found = sorted({len(a) for a in rows})
    if found != [len(where.total)]:
        raise ValueError(
            f"sequences: wanted {len(where.total)} frames in every array (2D and 3D of the same "
            f"frames), found {found}; cut the longer one"
        )


def fill_gaps(
    x: Float[np.ndarray, "rows ..."],
    lengths: Sequence[int],
    gaps: Gaps = "refuse",
    name: str = "sequences",
) -> tuple[Float[np.ndarray, "rows ..."], Bool[np.ndarray, " rows"]]:
    """x without NaN, and which rows had any: `fill` takes a line between the neighbours in the sequence.

    Before the first and after the last finite number, that number. ValueError for `refuse`, or for a
    coordinate that is finite nowhere in its sequence.
    """
    if gaps not in ("refuse", "fill"):
        raise ValueError(f"gaps: wanted 'refuse' or 'fill', got {gaps!r}")
    flat = x.reshape(len(x), -1)
    seen = np.isfinite(flat)
    missing = np.asarray(~seen.all(1))
    if not missing.any():
        return x, missing
    if gaps == "refuse":
        raise ValueError(
            f"{name}: wanted finite coordinates, found {missing.sum()} frames with others, the first is "
            f"row {int(missing.argmax())}; fill the gaps (gaps='fill', --sequence.gaps fill) or leave these "
            "frames out"
        )
    filled = flat.copy()
    ends = np.cumsum(lengths)
    for sequence, (first, end) in enumerate(zip(ends - lengths, ends)):
        if missing[first:end].any():
            filled[first:end] = _filled(flat[first:end], f"{name}: sequence {sequence}")
    return filled.reshape(x.shape), missing


def _filled(flat: Float[np.ndarray, "time d"], name: str) -> Float[np.ndarray, "time d"]:
    """One sequence with every gap filled."""
    seen, time = np.isfinite(flat), np.arange(len(flat))[:, None]
    if not seen.any(0).all():
        raise ValueError(
            f"{name}: wanted each joint in one frame or more, found coordinate "
            f"{int(seen.any(0).argmin())} in none; leave the sequence out"
        )
    before = np.maximum.accumulate(np.where(seen, time, -1), 0)
    after = np.minimum.accumulate(np.where(seen, time, len(flat))[::-1], 0)[::-1]
    before, after = np.where(before < 0, after, before), np.where(after == len(flat), before, after)
    span = after - before
    part = ((time - before) / np.maximum(span, 1)).astype(flat.dtype)
    early, late = np.take_along_axis(flat, before, 0), np.take_along_axis(flat, after, 0)
    # A seen number is its own neighbour on both sides.
    return np.where(seen, flat, early + part * (late - early))
