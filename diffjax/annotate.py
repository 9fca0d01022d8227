"""From an annotation set to a better one: what the methods want, made of what is on disk.

A `Kit` holds the loaded parts, a `Refiner` one method over one kind of evidence; `refine_set` does all at once.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from diffjax import body, camera, checkpoint, chunks, config, devices, pose, skeleton, unpickle
from diffjax.data import records
from diffjax.methods import diffannot, gates, map_fit, recall
from diffjax.pose import Evidence, Pose, Refined

Kind = Literal["labels", "detections", "joints3d"]
KINDS: tuple[Kind, ...] = ("labels", "detections", "joints3d")
"""`labels`: the 2D keypoints people clicked (`labels2d`). `detections`: those of a detector
(`keypoints2d`). `joints3d`: `keypoints3d`."""

FIELD_OF = {"labels": "labels2d", "detections": "keypoints2d", "joints3d": "keypoints3d"}


class LoadedPrior(NamedTuple):
    """A prior and the vectors it speaks."""

    prior: diffannot.Prior
    layout: pose.Layout
    model: checkpoint.Model | None = None
    """Of a prior with a condition: see `checkpoint.context`."""


def load_prior(
    path: str | Path,
    model: body.BodyModel | None = None,
    precision: str = "float32",
    conditioned: bool = False,
) -> LoadedPrior:
    """The model of a working directory or an .npz, as a prior; with `model`, only if made for that body.

    `precision` is that of its matrix products: see `checkpoint.denoiser`. A prior with a condition is refused
    unless `conditioned`.
    """
    loaded = checkpoint.load_model(path, model=model)
    if loaded.run.model.condition and not conditioned:
        raise ValueError(
            f"{path}: field model.condition: wanted a prior without condition, found "
            f"{loaded.run.model.condition}; train one with --model.condition"
        )
    prior = diffannot.Prior(
        checkpoint.denoiser(loaded, precision), loaded.schedule, loaded.normaliser
    )
    told = loaded if loaded.run.model.condition else None
    return LoadedPrior(prior, loaded.run.model.vector, told)


def load_error_model(path: str | Path) -> map_fit.ErrorModel:
    """The Gaussian of a frontend's residuals, from the file that make_estimates.py writes."""
    file = config.locate(path)
    if not file.exists():
        raise FileNotFoundError(
            f"{path}: no residuals here; make them with `python scripts/make_estimates.py`"
        )
    try:
        covariance = np.asarray(unpickle.load_npz(file, objects=False)["covariance"])
        found = str(covariance.shape)
    except (KeyError, ValueError, OSError) as error:
        covariance, found = np.zeros(0), f"nothing ({error})"
    if covariance.shape == (map_fit.RESIDUAL_SIZE,) * 2:
        found = "NaN, or no covariance"
        if np.isfinite(covariance).all() and np.linalg.eigvalsh(covariance).min() > -1e-6:
            return map_fit.error_model_from_covariance(covariance)
    raise ValueError(
        f"{path}: field covariance: wanted the (82, 82) covariance of residuals, found {found}; "
        "make it with `python scripts/make_estimates.py`"
    )


def estimate_of(annotations: records.AnnotationSet) -> Pose:
    """The cached estimates. Slightly stretched matrices are put onto SO(3)."""
    matrices, _ = chunks.in_chunks(
        pose.nearest_rotations,
        annotations.pred_pose,
        size=devices.rows_at_once(),
        label="estimates",
        bar=False,
    )
    return Pose(matrices, annotations.pred_betas)


def kinds_of(annotations: records.AnnotationSet) -> tuple[Kind, ...]:
    """The kinds of evidence that a set holds."""
    return tuple(kind for kind in KINDS if getattr(annotations, FIELD_OF[kind]) is not None)


def keypoints_of(
    path: str, model: body.BodyModel, annotations: records.AnnotationSet, kind: Kind
) -> diffannot.Keypoints:
    """The body as one kind of evidence sees it; kinds that are absent are coco17 and h36m14."""
    field = FIELD_OF["detections" if kind == "joints3d" else kind]
    names = (
        getattr(annotations, f"{field}_set") or "coco17",
        annotations.keypoints3d_set or "h36m14",
    )
    regressors = (body.load_regressor(config.locate(path), name) for name in names)
    return diffannot.Keypoints(*(body.fold_keypoints(model, r) for r in regressors))


def evidence_of(
    annotations: records.AnnotationSet, kind: Kind, where: str = "annotations"
) -> Evidence:
    """One kind of evidence of every sample; the other kinds have confidence 0."""
    a, field = annotations, FIELD_OF[kind]
    count = records.count(a)
    if getattr(a, field) is None:
        there = kinds_of(a)
        instead = f"; pass --evidence {there[0]}, or add {field}" if there else f"; add {field}"
        raise ValueError(
            f"{where}: field {field}: wanted {kind}, found nothing; "
            f"it holds {' and '.join(there) or 'no evidence'}{instead}"
        )
    if kind != "joints3d":
        _check_camera(a, where)
    image = getattr(a, FIELD_OF["detections" if kind == "joints3d" else kind])
    names = skeleton.keypoint_set(a.keypoints3d_set or "h36m14")
    image = np.zeros((count, 17, 3), np.float32) if image is None else image
    space = np.zeros((count, len(names), 4), np.float32) if a.keypoints3d is None else a.keypoints3d
    image, space = (
        (np.zeros_like(image), space) if kind == "joints3d" else (image, np.zeros_like(space))
    )
    fields = (a.focal_px, a.center_px, a.image_size_px)
    view = (np.ones((count, 2), np.float32) if x is None else x for x in fields)
    return Evidence(image, space, camera.Camera(*view))


def _check_camera(a: records.AnnotationSet, where: str) -> None:
    """ValueError with the fields that 2D keypoints lack, and with what adds them."""
    lacking = [name for name in ("focal_px", "center_px") if getattr(a, name) is None]
    if not lacking:
        return
    focal = "" if a.focal_px is not None else " --focal PX"
    paths = f"--estimates {where} --evidence {where}"
    step = f"run scripts/convert.py join {paths}{focal} --out OUT.npz"
    if a.center_px is None and a.image_size_px is None:
        step = "convert again with image_size_px, whose middle is the centre"
    step += " (HMR's focal length is 5000)" if focal else ""
    raise ValueError(
        f"{where}: field {' and '.join(lacking)}: wanted the camera of the 2D keypoints, found "
        f"nothing; {step}, or use --evidence joints3d"
    )


class Kit(NamedTuple):
    """What the refining modes need."""

    body_path: str
    model: body.BodyModel
    prior: LoadedPrior | None
    """Of `guided`, `combined` and `recall+combined`."""
    error_model: map_fit.ErrorModel | None
    """Of `fast`, `combined` and `recall+combined`."""
    poses: np.ndarray | None = None
    """(poses, 24, 3, 3) that are known, of `recall` and `recall+combined`; see `objective.known_poses`."""


class Refiner(NamedTuple):
    """A mode with all that it needs, for one kind of evidence."""

    name: str
    kind: Kind
    work: Callable[..., Refined]
    """((estimate, evidence), *shared) -> Refined: one function for each static setting."""
    shared: tuple[Any, ...]
    """The body as the evidence sees it, then what the mode knows; the rest are settings."""


def make_refiner(
    kit: Kit,
    head: records.AnnotationSet,
    kind: Kind,
    settings: config.Guidance,
    mode: str = "guided",
) -> Refiner:
    """The refiner of people with the fields of `head`, by one of the modes that see rows alone."""
    width = np.float32(settings.robust_px_share or np.inf)
    keypoints = keypoints_of(kit.body_path, kit.model, head, kind)
    if mode == "guided":
        if kit.prior is None:
            raise ValueError("mode guided: wanted a prior, found none; pass --parts.prior")
        # One compilation for all kinds of evidence and all strengths.
        values = diffannot.GuidedSettings(
            np.float32(settings.strength), np.int32(settings.rounds), width
        )
        shared: tuple[Any, ...] = (kit.prior.prior, values)
        work = _guided(kit.prior.layout, settings.start, settings.stride, settings.through_network)
    elif mode == "fast":
        if kit.error_model is None:
            raise ValueError(
                "mode fast: wanted the frontend's residuals, found none; pass --parts.residuals"
            )
        shared, work = (kit.error_model, np.float32(settings.map_weight), width), _fast
    elif mode == "combined":
        shared, work = combined_parts(kit.prior, kit.error_model, settings)
    elif mode == "recall":
        bank = _bank(kit, kind, keypoints)
        shared, work = (bank, np.float32(settings.recall), width), _recall
    elif mode == "recall+combined":
        bank = _bank(kit, kind, keypoints), np.float32(settings.recall)
        shared, after = combined_parts(kit.prior, kit.error_model, settings)
        shared, work = (bank, *shared), _recalled_first(after)
    else:
        raise ValueError(
            f"mode: wanted guided, fast, combined, recall or recall+combined, got {mode!r}"
        )
    return Refiner(f"{mode}, {kind}", kind, work, (keypoints, *shared))


def refine_people(
    refiner: Refiner, estimate: Pose, evidence: Evidence, *, bar: Any = None, part: float = 1.0
) -> tuple[Refined, float]:
    """The people refined, and seconds; `bar` and `part` are those of `chunks.in_chunks`."""
    how = {"size": devices.rows_at_once(), "label": refiner.name, "bar": bar, "part": part}
    return chunks.in_chunks(refiner.work, (estimate, evidence), *refiner.shared, **how)


def refine_set(
    kit: Kit,
    annotations: records.AnnotationSet,
    kind: Kind,
    settings: config.Guidance,
    *,
    mode: str = "guided",
    where: str = "annotations",
) -> tuple[Refined, float]:
    """Every sample refined by a mode of `make_refiner` from one kind of evidence; and milliseconds a sample."""
    refiner = make_refiner(kit, annotations, kind, settings, mode)
    evidence = evidence_of(annotations, kind, where)
    refined, seconds = refine_people(refiner, estimate_of(annotations), evidence)
    return refined, 1e3 * seconds / records.count(annotations)


@functools.cache
def _guided(layout, start, stride, through_network):
    """`guided` of a piece: one function for each static setting, so that it is compiled once."""

    def work(batch, keypoints, prior, settings):
        static = {"start": start, "stride": stride, "through_network": through_network}
        return diffannot.guided(
            *batch, keypoints=keypoints, prior=prior, settings=settings, layout=layout, **static
        )

    return work


def combined_parts(
    prior: LoadedPrior | None, errors: map_fit.ErrorModel | None, settings: config.Guidance
) -> tuple[tuple[Any, ...], Callable[..., Refined]]:
    """What `combined` is given beside people and keypoints, and its function. ValueError for what is lacking."""
    if prior is None or errors is None:
        lacking = "prior" if prior is None else "residuals"
        raise ValueError(f"mode combined: wanted {lacking}, found none; pass --parts.{lacking}")
    steps = len(prior.prior.schedule.betas)
    if settings.prior_time >= steps:
        raise ValueError(
            f"guided.prior_time: wanted a step below the {steps} of the prior, found {settings.prior_time}; "
            "pass --guided.labels.prior_time, or that of the evidence at hand"
        )
    trust = diffannot.Trust(
        np.float32(settings.error_weight),
        np.float32(settings.prior_weight),
        np.int32(settings.prior_time),
        np.float32(settings.combined_px_share or np.inf),
    )
    return (prior.prior, errors, trust), _combined(prior.layout, settings.iterations)


@functools.cache
def _combined(layout, iterations):
    """`combined` of a piece."""

    def work(batch, keypoints, prior, error_model, trust):
        how = {"layout": layout, "iterations": iterations}
        estimate, evidence = batch
        return diffannot.combined(estimate, evidence, keypoints, prior, error_model, trust, **how)

    return work


def _bank(kit: Kit, kind: Kind, keypoints: diffannot.Keypoints) -> recall.Bank:
    if kit.poses is None:
        raise ValueError("mode recall: wanted known poses, found none; pass --parts.poses")
    if kind == "joints3d":
        raise ValueError(
            "mode recall: wanted 2D keypoints, found joints3d; pass --evidence labels or detections, or another --mode"
        )
    return recall.make_bank(kit.poses, keypoints.image)


def _recall(batch, keypoints, bank, share, width):
    estimate, evidence = batch
    found = recall.toward(estimate, bank, evidence.keypoints2d, share)
    return diffannot.finish(estimate, found, evidence, keypoints, width)


@functools.cache
def _recalled_first(after: Callable[..., Refined]) -> Callable[..., Refined]:
    """A mode from what is recalled, and what the evidence thinks of the estimate itself before."""

    def work(batch, keypoints, known, *shared):
        estimate, evidence = batch
        begun = recall.toward(estimate, known[0], evidence.keypoints2d, known[1])
        found = after((begun, evidence), keypoints, *shared)
        kept = found.quality["kept"]
        people = gates.keep_or_accept(kept == 0, estimate, found.pose)
        whole = diffannot.finish(estimate, people, evidence, keypoints, shared[-1].width)
        return whole._replace(quality=whole.quality | {"kept": kept})

    return work


def _fast(batch, keypoints, error_model, prior_weight, width):
    estimate, evidence = batch
    return diffannot.fast(
        estimate, evidence, keypoints, error_model, prior_weight=prior_weight, width=width
    )


def with_refined(annotations: records.AnnotationSet, refined: Refined) -> records.AnnotationSet:
    """The set with its estimates replaced by the refined ones; all else is kept.

    A translation is known only where the evidence had 2D keypoints; elsewhere the cached one stays.
    """
    translation = annotations.pred_cam_t
    placed = np.asarray(refined.quality["reprojection_before_px"]) > 0  # 0 without keypoints.
    if translation is not None or placed.all():
        cached = np.zeros(3, np.float32) if translation is None else translation
        translation = np.where(placed[:, None], refined.translation, cached).astype(np.float32)
    return dataclasses.replace(
        annotations,
        pred_pose=np.asarray(refined.pose.rotations, np.float32),
        pred_betas=np.asarray(refined.pose.betas, np.float32),
        pred_cam_t=translation,
    )
