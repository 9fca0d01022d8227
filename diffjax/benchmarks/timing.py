"""Interleaved timing: every contender runs once a round, A B C A B C, so that a noisy neighbour hits all alike.

Ratios are taken within a round and their median is reported: what slows a whole round cancels.
"""

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
"""`cpu` counts the seconds of all threads of this process: steady on a shared machine, and equal to
`wall` on an idle one where the process is pinned to one core. A device's time is seen by `wall` alone."""


_SETTLE = 0.05


class Timing(NamedTuple):
    """Seconds a call of one contender, over rounds."""

    median: float
    low: float
    """Lower quartile."""
    high: float
    """Upper quartile."""
    rounds: np.ndarray
    """Of every round: those of two contenders are pairs."""


def interleaved(
    contenders: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 7,
    clock: str = "cpu",
    least: float = 0.1,
) -> dict[str, Timing]:
    """Times contenders in turn; each call is repeated within a round until it takes `least` seconds.

    A contender's results are waited for. One call of each goes first, uncounted: it compiles.
    """
    repeats = {name: _repeats(call, clock, least) for name, call in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in contenders.items():
                seconds[name].append(_measure(call, repeats[name], clock) / repeats[name])
    finally:
        gc.enable()
    return {name: _timing(np.asarray(values)) for name, values in seconds.items()}


def _repeats(call: Callable[[], Any], clock: str, least: float) -> int:
    _measure(call, 1, clock)
    once = _measure(call, 1, clock)
    return max(1, int(np.ceil(least / max(once, 1e-7)))) if once < least else 1


def _measure(call: Callable[[], Any], repeats: int, clock: str) -> float:
    """Seconds of `repeats` calls. A short call goes uncounted first, while the memory that the one before
    left behind (gigabytes, where it went through meshes) is still being given back."""
    now = CLOCKS[clock]
    if repeats > 1:
        jax.block_until_ready(call())
        time.sleep(_SETTLE)
    start = now()
    for _ in range(repeats):
        jax.block_until_ready(call())
    return now() - start


def _timing(seconds: np.ndarray) -> Timing:
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return Timing(float(median), float(low), float(high), seconds)


def ratio(ours: Timing, peer: Timing) -> float:
    """How many times faster ours is: the median over rounds of peer / ours."""
    return float(np.median(peer.rounds / ours.rounds))


class Row(NamedTuple):
    """One contender in one case of a benchmark."""

    case: str
    """What was run, with its sizes: `226 wide, 16 samples, 300 starts`."""
    name: str
    """`diffjax ...`, or the peer."""
    seconds: float | None
    """Median seconds of one item; None where nothing was measured: `note` says why."""
    low: float | None = None
    high: float | None = None
    item: str = "call"
    """What the seconds are of: `evaluation`, `sample`, `step`."""
    ratio: float | None = None
    """How many times faster the first row of the case is; None in that row."""
    gflops: float | None = None
    """10^9 floating point operations a second, counted from the arithmetic, useful ones only."""
    share: float | None = None
    """Of the matrix-product ceiling measured in the same run."""
    note: str = ""
    """What was extrapolated, or why nothing was measured."""


def rows_of(
    case: str,
    timings: Mapping[str, Timing],
    *,
    items: Mapping[str, float] | float = 1.0,
    item: str = "call",
    flops: float | None = None,
    ceiling: float | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """The rows of a case, the first contender being ours; `items` are what one call of each does.

    `flops` are those of one item, `ceiling` the measured flops a second of a matrix product.
    """
    first = next(iter(timings))
    count = dict.fromkeys(timings, items) if isinstance(items, int | float) else items
    rows = []
    for name, timing in timings.items():
        median, low, high = (float(x / count[name]) for x in timing[:3])
        against = None
        if name != first:
            against = ratio(timings[first], timing) * count[first] / count[name]
        rate = None if flops is None else flops / median
        share = None if rate is None or ceiling is None else rate / ceiling
        gflops = None if rate is None else rate / 1e9
        note = (notes or {}).get(name, "")
        rows.append(Row(case, name, median, low, high, item, against, gflops, share, note))
    return rows
