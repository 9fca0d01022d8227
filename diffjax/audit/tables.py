"""The report's tables and histograms, as HTML."""

from collections.abc import Sequence

import numpy as np

from diffjax import skeleton
from diffjax.audit import charts
from diffjax.audit.reasons import REASONS, Flags
from diffjax.markup import table, text


def found(flags: Flags, before: Flags | None) -> str:
    """What is flagged, most often first; with `before`, how often it was then."""
    rows = []
    for name in sorted(flags.flagged, key=lambda name: -int(flags.flagged[name].sum())):
        count = int(flags.flagged[name].sum())
        then = before.flagged.get(name) if before else None
        if count or (then is not None and then.any()):
            middle = [] if before is None else ["" if then is None else f"{int(then.sum()):,}"]
            rows.append([text(REASONS[name].title), *middle, f"{count:,}"])
    if not rows:
        return ""
    head = ["", *([] if before is None else ["Before"]), "Rows"]
    return "<h2>What was found</h2>" + table(head, rows)


def checked(flags: Flags) -> str:
    """Every check with its bound and how many rows it could be made of."""
    rows = []
    for name, bound in flags.bounds.items():
        reason = REASONS[name]
        known = int(np.isfinite(flags.numbers.values[name]).sum())
        told = f'{text(reason.title)}<br><span class="soft">{text(name)}, of {known:,} rows</span>'
        rows.append([told, text(("< " if reason.below else "> ") + reason.shown(bound))])
    said = '<p class="soft">Every number of every row is in audit.npz, under these names.</p>'
    return f"<h2>What was checked</h2>{said}{table(['', 'Flagged'], rows)}"


def unchecked(flags: Flags) -> str:
    if not flags.numbers.missing:
        return ""
    why: dict[str, list[str]] = {}
    for name, reason in flags.numbers.missing.items():
        why.setdefault(reason, []).append(REASONS[name].title)
    items = "".join(
        f"<li>{text('; '.join(titles))}: <b>{text(reason)}</b>.</li>"
        for reason, titles in why.items()
    )
    return f"<h2>What could not be checked</h2><ul>{items}</ul>"


def joints(flags: Flags) -> str:
    """Joints that moved, distances by keypoint, joints beyond their limits: those that are known."""
    numbers, names = flags.numbers, skeleton.SMPL24
    found = ""
    if "moved" in numbers.by_joint:
        found += _bars("Joints that moved", "Mean of all rows, pelvis on pelvis.",
                       names, numbers.by_joint["moved"], "{:.0f} mm")  # fmt: skip
    if len(numbers.keypoints):
        found += _bars("Distance by keypoint", "Mean of the rows where it was seen, translation solved.",
                       numbers.keypoints, numbers.by_keypoint_px, "{:.1f} px")  # fmt: skip
    limits = 100 * numbers.by_joint["beyond_limit"]
    if (limits > 0).any():
        found += _bars("Joints beyond their limits", "Share of the rows, by any angle.",
                       names, limits, "{:.1f} %")  # fmt: skip
    return found


def _bars(title: str, said: str, names: Sequence[str], values: np.ndarray, unit: str) -> str:
    """A bar for each name, the longest first; those that are 0 are left out."""
    order = [i for i in np.argsort(-np.nan_to_num(values), kind="stable") if values[i] > 0]
    most = max((float(values[i]) for i in order), default=1.0)
    rows = (
        [
            text(names[i].replace("_", " ")) + charts.bar(float(values[i]) / most),
            unit.format(values[i]),
        ]
        for i in map(int, order)
    )
    return f'<h2>{text(title)}</h2><p class="soft">{text(said)}</p>{table(["", ""], rows)}'


def histograms(flags: Flags) -> str:
    """A histogram of each number that is not the same everywhere."""
    drawn, same = [], []
    for name in flags.bounds:
        one = _histogram(flags, name)
        drawn.append(one)
        same += [] if one else [REASONS[name].title]
    said = f'<p class="soft">The same in all rows, not drawn: {text("; ".join(same))}.</p>'
    intro = '<h2>Histograms</h2><p class="soft">The dashed line is the bound.</p>'
    return intro + "".join(drawn) + said * bool(same)


def _histogram(flags: Flags, name: str) -> str:
    reason, values = REASONS[name], flags.numbers.values[name]
    some = values[np.isfinite(values)]
    if not len(some) or not np.ptp(some):
        return ""
    bound, middle = flags.bounds[name], float(np.median(some))
    told = (
        f"bound {reason.shown(bound)}, median {reason.shown(middle)}, "
        f"{int(flags.flagged[name].sum()):,} flagged"
    )
    chart = charts.histogram(values, bound, reason.shown, reason.title)
    title = f'<h3>{text(reason.title)}</h3><p class="soft">{text(told)}</p>'
    return f'<section class="card">{title}{chart}</section>'
