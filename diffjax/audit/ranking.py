"""Which rows are shown, the worst first."""

import numpy as np

from diffjax.audit.reasons import REASONS, Flags


def severity(flags: Flags) -> np.ndarray:
    """How wrong each row is: over its reasons, how many times the bound its number is (1 to 10), summed."""
    total = np.zeros(len(flags.numbers.track))
    for name, flagged in flags.flagged.items():
        value, bound = flags.numbers.values[name], max(abs(flags.bounds[name]), 1e-9)
        with np.errstate(invalid="ignore", divide="ignore"):
            times = bound / value if REASONS[name].below else value / bound
        # Below zero is as far beyond a bound from below as can be.
        times = np.where(value < 0, 10.0, times) if REASONS[name].below else times
        times = np.ones_like(times) if name in ("frozen", "frame_twice") else times
        total += np.where(flagged, np.clip(np.nan_to_num(times, posinf=10.0), 1.0, 10.0), 0.0)
    return total


def worst_rows(flags: Flags, count: int, apart: int = 10) -> list[int]:
    """Flagged rows, the worst first: the worst of each reason, and others `apart` frames from the next of a track."""
    score = severity(flags)
    order = np.argsort(-score, kind="stable")
    order = order[score[order] > 0]
    heads = [int(order[f[order]][0]) for f in flags.flagged.values() if f[order].any()]
    chosen = list(dict.fromkeys(heads))[:count]
    near = {_spot(flags, row, apart) for row in chosen}
    for row in order.tolist():
        if len(chosen) >= count:
            break
        spots = [(t, n + i) for t, n in [_spot(flags, row, apart)] for i in (-1, 0, 1)]
        if row not in chosen and not near & {spot for spot in spots if spot[0] >= 0}:
            chosen.append(row)
            near.add(spots[1])
    return sorted(chosen, key=lambda row: -score[row])


def _spot(flags: Flags, row: int, apart: int) -> tuple[int, int]:
    """Track, and place in it in steps of so many frames."""
    frame = flags.numbers.columns["frame"]
    return int(flags.numbers.track[row]), 0 if frame is None else int(frame[row]) // apart
