"""ScoreHMR on annotation sets: rows alone, tracks, and views of one person."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, checkpoint, config, pose, progress, smoothing, tracks
from diffjax.data import records
from diffjax.fitting import blocks, views
from diffjax.fitting.blocks import Fitter
from diffjax.fitting.programs import Method, Rows
from diffjax.methods import scorehmr
from diffjax.pose import Pose, Refined
from diffjax.tracks import Piece, Use

__all__ = [
    "Fitter", "Method", "fit_piece", "fit_set", "groups_of", "make_fitter", "pieces_of", "use_of",
]  # fmt: skip


def make_fitter(
    kit: annotate.Kit, head: records.AnnotationSet, kind: annotate.Kind, run: config.ScoreHMR
) -> Fitter:
    """The fitter of people with the fields of `head`. ValueError for evidence or fields that are not there."""
    if kind == "joints3d":
        raise ValueError(
            "mode scorehmr: wanted 2D evidence, got joints3d; pass --evidence labels or detections, or "
            "--mode guided, which takes 3D joints"
        )
    if kit.prior is None:
        raise ValueError("mode scorehmr: wanted a prior, found none; pass --parts.prior")
    keypoints = annotate.keypoints_of(kit.body_path, kit.model, head, kind).image
    use = use_of(head, run.use)
    name = {"frames": "scorehmr", "video": "scorehmr, video", "views": "scorehmr, views"}[use]
    settings = getattr(run, kind if use == "frames" else use)
    if settings.pixels == "image" and head.image_size_px is None:
        raise ValueError(
            "field image_size_px: wanted by pixels 'image', which measures errors by it, found nothing; add it, or "
            f"pass --scorehmr.{kind if use == 'frames' else use}.pixels box"
        )
    return Fitter(f"{name}, {kind}", kind, use, kit.model, keypoints, kit.prior, settings)


def use_of(head: records.AnnotationSet, wanted: str) -> Use:
    """How rows belong together: what is wanted, or what the field `view` says, if there is one.

    A sequence and a frame number alone are not enough: the rows of many sets are frames picked here and there.
    """
    if wanted == "auto":
        if head.view is None or head.frame is None:
            return "frames"
        return "video" if head.view_rotation is None else "views"
    needed = {"frames": (), "video": ("frame",), "views": ("frame", "view")}[wanted]
    for field in needed:
        if getattr(head, field) is None:
            raise ValueError(
                f"field {field}: wanted by scorehmr.use {wanted!r}, found nothing; add it (with sequence and "
                "subject, where there are several), or pass --scorehmr.use frames"
            )
    return wanted  # pyright: ignore[reportReturnType]


def groups_of(annotations: records.AnnotationSet, use: Use, where: str = "set") -> list[np.ndarray]:
    """Rows that belong together, group by group."""
    a = annotations
    columns = a.sequence, a.subject, a.view
    if use == "video":
        return tracks.tracks(*columns, a.frame, where)
    if use == "views":
        return tracks.instants(*columns, a.frame, where)
    return [np.array([row]) for row in range(records.count(a))]


def pieces_of(groups: list[np.ndarray], use: Use, rows: int) -> list[Piece]:
    """Pieces of about `rows` rows, which can be fitted one by one."""
    return tracks.pieces(groups, rows, blocks.OVERLAP if use == "video" else 0)


def fit_piece(
    fitter: Fitter, people: records.AnnotationSet, group: np.ndarray, where: str, bar: Any = None
) -> tuple[Refined, float]:
    """The rows of a piece refined, in their order, and seconds without compiling. `group` as in `tracks.Piece`."""
    calibrated = fitter.use == "views" and people.view_rotation is not None
    estimate = annotate.estimate_of(people)
    if fitter.use == "video":
        estimate = smoothing.smooth_poses(estimate, group, fitter.settings.smooth_before)
    evidence = annotate.evidence_of(people, fitter.kind, where)
    if calibrated:
        index = views.index_of(group)
        merged = views.merge(estimate, people.view_rotation, index)
        fitted, seconds = blocks.fit(
            fitter, views.of_instants(fitter, people, merged, evidence, index), bar
        )
        refined = views.apart(fitter, fitted, people, estimate, index)
    else:
        refined, seconds = blocks.fit(
            fitter, _of_rows(fitter, people, estimate, evidence, group, where), bar
        )
    if fitter.use == "video":
        smooth = smoothing.smooth_poses(refined.pose, group, fitter.settings.smooth_after)
        refined = refined._replace(pose=smooth)
    if not calibrated and fitter.settings.standing == "solved":
        unseen = ~(np.asarray(evidence.keypoints2d)[..., 2] > 0).any(-1)
        neighbours = group if fitter.use == "video" else np.arange(len(group))
        stand = _stand(people, refined.translation, neighbours, unseen)
        refined = refined._replace(translation=stand)
    return _returned(people, refined), seconds


def _stand(people: records.AnnotationSet, solved: Any, group: np.ndarray, unseen: Any) -> Any:
    """Where rows stand that no keypoint places: between their neighbours in a track, else where they came from."""
    found = np.array(solved)
    if people.pred_cam_t is not None:
        found[unseen] = people.pred_cam_t[unseen]
    for track in np.unique(group[unseen]):
        rows = np.flatnonzero(group == track)
        gaps, known = rows[unseen[rows]], rows[~unseen[rows]]
        if len(known) and people.frame is not None:
            time = people.frame.astype(np.float64)
            known = known[np.argsort(time[known])]
            for axis in range(3):
                found[gaps, axis] = np.interp(time[gaps], time[known], found[known, axis])
    return found


def _returned(people: records.AnnotationSet, refined: Refined) -> Refined:
    """Who was not refined is, to the bit, what came in: neither smoothed nor placed."""
    back = np.asarray(refined.quality["refined"]) == 0

    def choose(came: Any, found: Any) -> np.ndarray:
        return np.where(back.reshape(-1, *[1] * (came.ndim - 1)), came, np.asarray(found))

    translation = refined.translation
    if people.pred_cam_t is not None:
        translation = choose(people.pred_cam_t, translation)
    rotations = choose(people.pred_pose, refined.pose.rotations)
    return Refined(
        Pose(rotations, choose(people.pred_betas, refined.pose.betas)), translation, refined.quality
    )


def _of_rows(fitter, people, estimate, evidence, group, where) -> Rows:
    nobody = np.full(len(group), -1)
    observed = scorehmr.Observed(
        evidence.keypoints2d,
        evidence.camera,
        group if fitter.use == "video" else nobody,
        group if fitter.use == "views" else nobody,
    )
    translation = people.pred_cam_t
    if translation is None or fitter.settings.standing == "solved":
        translation = views.placed(fitter, estimate, observed)
    return Rows(estimate, translation, observed, _context(fitter, people, estimate, where))


def _context(fitter: Fitter, people: records.AnnotationSet, estimate: Pose, where: str) -> Any:
    prior, layout, model = fitter.loaded
    if model is None or fitter.settings.prior == "none":
        return None
    estimate = jax.tree.map(jnp.asarray, estimate)
    vector = pose.standardise(prior.normaliser, pose.vector_from_pose(estimate, layout))
    known = {"features": people.features, "estimate": vector}
    known["keypoints"] = getattr(people, annotate.FIELD_OF[fitter.kind])
    known = {name: value for name, value in known.items() if value is not None}
    return jax.tree.map(np.asarray, checkpoint.context(model, known, where))


def fit_set(
    fitter: Fitter, annotations: records.AnnotationSet, where: str = "annotations"
) -> tuple[Refined, float]:
    """Every row of a set in memory, refined; and seconds without compiling."""
    groups = groups_of(annotations, fitter.use, where)
    found = pieces_of(groups, fitter.use, max(records.count(annotations), 64))
    results, seconds = [], 0.0
    with progress.over(records.count(annotations), fitter.name) as bar:
        for piece in found:
            people = records.take(annotations, piece.rows)
            refined, took = fit_piece(fitter, people, piece.group, where, bar)
            results.append(jax.tree.map(lambda x, p=piece: np.asarray(x)[p.keep], refined))
            seconds += took
    order = np.argsort(np.concatenate([piece.rows[piece.keep] for piece in found]))
    return jax.tree.map(lambda *xs: np.concatenate(xs)[order], *results), seconds
