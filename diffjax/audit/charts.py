"""Histograms as inline SVG, with their numbers as text beside them: letters keep their size on a phone."""

import html
from collections.abc import Callable

import numpy as np

_BINS, _HEIGHT = 40, 60
_OUTLIERS = 0.5
"""Percent of the values at either end that may be drawn in the outermost bin."""


def histogram(values: np.ndarray, bound: float, shown: Callable[[float], str], label: str) -> str:
    """The histogram of a number with its bound as a dashed line; nothing without values."""
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = _range(values, bound)
    counts = np.histogram(np.clip(values, low, high), _BINS, (low, high))[0]
    x = (bound - low) / (high - low) * _BINS
    told = f"{label}: {len(values)} rows, median {shown(float(np.median(values)))}"
    clipped = shown(high) + (
        f"; largest {shown(float(values.max()))}" if values.max() > high else ""
    )
    start = shown(low) + (f"; least {shown(float(values.min()))}" if values.min() < low else "")
    return (
        f'<svg class="bars" viewBox="0 0 {_BINS} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(told, quote=True)}"><path d="{_bars(counts)}"/>'
        f'<line x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="{_HEIGHT}"/></svg>'
        f'<p class="ends"><span>{html.escape(start)}</span><span>{html.escape(clipped)}</span></p>'
    )


def _range(values: np.ndarray, bound: float) -> tuple[float, float]:
    """From low to high, around the bound and all but a few outliers."""
    low, high = np.percentile(values, (_OUTLIERS, 100 - _OUTLIERS))
    low, high = min(float(low), bound), max(float(high), bound)
    room = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
    low = low if low == 0 or low >= 0 > low - room else low - room
    return low, high + room


def _bars(counts: np.ndarray) -> str:
    """One path: a bar that is not empty can be seen, however small its share."""
    share = counts / max(counts.max(), 1)
    heights = np.where(counts > 0, np.maximum(share * (_HEIGHT - 2), 1.5), 0)
    return "".join(
        f"M{i + 0.06:.2f} {_HEIGHT}v-{height:.1f}h.88v{height:.1f}z"
        for i, height in enumerate(heights)
        if height
    )


def bar(share: float) -> str:
    """A bar of a share of the cell."""
    return f'<span class="bar"><i style="width:{100 * min(max(share, 0.0), 1.0):.0f}%"></i></span>'
