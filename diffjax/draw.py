"""Rows of an annotation set on disk, drawn: those named, some by lot, or the worst."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, body, camera, drawing, unpickle
from diffjax.data import records
from diffjax.draw_people import Kit, load_kit, people, quality_file

__all__ = ["draw_file", "load_kit", "people", "random_rows", "row_png", "worst_rows"]

MOST = 60
"""Rows of one picture."""
_PIECE = 2048


def draw_file(kit: Kit, rows: Sequence[int], out: Path) -> str:
    """Writes one PNG of some rows; says what is in it."""
    if out.suffix != ".png":
        raise ValueError(f"{out}: wanted a file name ending in .png; choose another --out")
    if not 0 < len(rows) <= MOST:
        raise ValueError(
            f"{out}: wanted 1 to {MOST} rows a picture, found {len(rows)}; draw several pictures"
        )
    drawn = list(people(kit, rows))
    data = drawing.png(drawn, kit.faces)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    lacking = (
        "" if any(person.photo for person in drawn) else "; no images: --images names their folder"
    )
    alone = (
        "" if kit.before or not kit.refined else "; --before SET shows the estimates beside them"
    )
    return f"{out}: rows {' '.join(map(str, rows))} of {kit.source.name}{lacking}{alone}"


def row_png(kit: Kit, row: int, limit: int = 60_000) -> bytes:
    """One row as a PNG of at most `limit` bytes, without a legend: for pages that show many."""
    return drawing.png(list(people(kit, [row])), kit.faces, legend=False, limit=limit)


def random_rows(kit: Kit, count: int, seed: int = 0) -> list[int]:
    """So many rows by lot, in order."""
    draw = np.random.default_rng(seed)
    return sorted(
        draw.choice(kit.source.count, min(count, kit.source.count), replace=False).tolist()
    )


def worst_rows(kit: Kit, count: int) -> list[int]:
    """The rows whose first column misses its keypoints by most, in shares of their box; the worst first.

    Where the quality file beside the set says what keypoints do that the fit did not see, that counts.
    """
    name = "held_out_before" if kit.before else "held_out_after"
    score = _told(kit, name)
    if score is None:
        score = _shares(kit)
    return np.argsort(-score, kind="stable")[:count].tolist()


def _told(kit: Kit, name: str) -> np.ndarray | None:
    file = quality_file(kit.source.name)
    score = unpickle.load_npz(file, objects=False).get(name) if file.is_file() else None
    if score is not None and score.shape != (kit.source.count,):
        raise ValueError(
            f"{file}: field {name}: wanted {kit.source.count} numbers, a row each, found {score.shape}; "
            "it belongs to another set: refine again, or remove it"
        )
    return score


def _shares(kit: Kit) -> np.ndarray:
    head = kit.source.head
    if kit.kind is None or kit.keypoints is None or head.focal_px is None or head.center_px is None:
        raise ValueError(
            f"{kit.source.name}: fields keypoints2d, labels2d, focal_px, center_px: wanted keypoints and their "
            "camera to find the worst rows, found them incomplete; choose by --rows or --random"
        )
    source, found = kit.before or kit.source, []
    for first in range(0, source.count, _PIECE):
        some = source.read(first, min(first + _PIECE, source.count))
        found.append(_shares_of(kit, some))
    return np.concatenate(found)


def _shares_of(kit: Kit, a: records.AnnotationSet) -> np.ndarray:
    seen = jax.tree.map(jnp.asarray, annotate.evidence_of(a, kit.kind or "labels"))
    return np.asarray(_shares_at(kit.keypoints, seen, a.pred_pose, a.pred_betas, a.pred_cam_t))


@jax.jit
def _shares_at(keypoints, seen, rotations, betas, at):
    """Mean distance over the keypoints in shares of their box; 0 where nothing was seen."""
    points = body.pose_keypoints(keypoints, rotations, betas)
    at = camera.fit_translation(seen.camera, points, seen.keypoints2d) if at is None else at
    there = camera.project(seen.camera, points + at[:, None])
    weight = seen.keypoints2d[..., 2]
    distance = jnp.linalg.norm(there - seen.keypoints2d[..., :2], axis=-1)
    mean = jnp.sum(weight * distance, -1) / jnp.maximum(jnp.sum(weight, -1), 1e-6)
    return mean / camera.keypoint_box(seen.keypoints2d)[1]
