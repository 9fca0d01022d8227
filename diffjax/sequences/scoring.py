"""Judging refined sequences: one line of a table a method.

Errors are of joints relative to the pelvis, in mm. Frames are averaged over each action, then actions over each
other, as Human3.6M is reported; intervals are a bootstrap over videos.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from diffjax import evaluate, metrics, segments
from diffjax.data import pose_sequences, sequence_sets
from diffjax.data.sequence_sets import SequenceSet

HARM_MM = 1.0
"""A frame whose MPJPE rises by more is harmed."""


class Scores(NamedTuple):
    """Errors of each frame, pair and triple."""

    mpjpe_mm: Float[np.ndarray, " rows"]
    pa_mpjpe_mm: Float[np.ndarray, " rows"]
    n_mpjpe_mm: Float[np.ndarray, " rows"]
    velocity_mm: Float[np.ndarray, " pairs"]
    """Per frame; NaN between videos."""
    acceleration_mm: Float[np.ndarray, " triples"]
    """Per frame^2; NaN across videos."""


@jax.jit
def _frames(x, truth):
    each = metrics.mpjpe_mm, metrics.pa_mpjpe_mm, metrics.n_mpjpe_mm
    return tuple(error(x, truth) for error in each)


def score(x: Float[np.ndarray, "rows J 3"], videos: SequenceSet) -> Scores:
    """Of poses x of the frames of a set with the truth."""
    if videos.truth3d is None:
        raise ValueError("scores: field truth3d: wanted the truth, found none; score another set")
    pair = jnp.asarray(x, jnp.float32), jnp.asarray(videos.truth3d)
    ids = jnp.asarray(sequence_sets.video_ids(videos))
    steps = (
        np.where(segments.joined(ids, apart), error(*pair, ids), np.nan)
        if len(ids) > apart
        else np.zeros(0, np.float32)
        for apart, error in ((1, metrics.velocity_error_mm), (2, metrics.acceleration_error_mm))
    )
    return Scores(*(np.asarray(error) for error in (*_frames(*pair), *steps)))


def summary(name: str, scores: Scores, base: Scores, videos: SequenceSet) -> dict[str, Any]:
    """The numbers of a line; changes are against `base`, the lifter's own scores."""
    actions = np.asarray(videos.sequence if videos.action is None else videos.action).tolist()
    change = scores.mpjpe_mm - base.mpjpe_mm
    ids = sequence_sets.video_ids(videos)
    values: dict[str, Any] = {"name": name}
    for field in ("mpjpe_mm", "pa_mpjpe_mm", "n_mpjpe_mm"):
        values[field] = pose_sequences.mean_over_actions(getattr(scores, field), actions)[0]
    for field in ("velocity_mm", "acceleration_mm"):
        error = getattr(scores, field)
        values[field] = float(np.nanmean(error)) if np.isfinite(error).any() else float("nan")
    return values | {
        "change_95_mm": evaluate.bootstrap(change, ids),
        "pa_change_95_mm": evaluate.bootstrap(scores.pa_mpjpe_mm - base.pa_mpjpe_mm, ids),
        "harmed": float(np.mean(change > HARM_MM)),
    }


def mean_of_seeds(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One line of several seeds: means, and the least and greatest MPJPE."""
    first = summaries[0]
    values = {
        k: tuple(np.mean([s[k] for s in summaries], 0).tolist()) if isinstance(v, tuple)
        else v if isinstance(v, str) else float(np.mean([s[k] for s in summaries]))
        for k, v in first.items()
    }  # fmt: skip
    mpjpe = [s["mpjpe_mm"] for s in summaries]
    return values | {"seeds": len(summaries), "spread_mm": (min(mpjpe), max(mpjpe))}


def header() -> str:
    """The head of the table."""
    head = (
        f"{'method':<34}{'MPJPE':>7}{'change 95 %':>16}{'P-':>7}{'change 95 %':>16}{'N-':>7}"
        f"{'vel':>7}{'acc':>7}{'worse':>7}{'of seeds':>14}"
    )
    return f"{head}\n{'-' * len(head)}"


def line(values: dict[str, Any]) -> str:
    """A summary as one line: mm, mm per frame, mm per frame^2; `worse` loses more than 1 mm."""
    spread = values.get("spread_mm")
    seeds = "" if spread is None or values["seeds"] == 1 else f"{spread[0]:.1f} .. {spread[1]:.1f}"
    cells = [
        (f"{values['mpjpe_mm']:.1f}", 7), (_interval(values["change_95_mm"]), 16),
        (f"{values['pa_mpjpe_mm']:.1f}", 7), (_interval(values["pa_change_95_mm"]), 16),
        (f"{values['n_mpjpe_mm']:.1f}", 7), (f"{values['velocity_mm']:.2f}", 7),
        (f"{values['acceleration_mm']:.2f}", 7), (f"{100 * values['harmed']:.0f} %", 7),
        (seeds, 14),
    ]  # fmt: skip
    return f"{values['name']:<34}" + "".join(f"{text:>{width}}" for text, width in cells)


def _interval(pair: tuple[float, float]) -> str:
    low, high = pair
    return "-" if not np.isfinite(low) or low == high == 0 else f"[{low:+.1f},{high:+.1f}]"
