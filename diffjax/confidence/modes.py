"""The modes of scripts/refine.py, with what is told of every row: signals, and, with a calibration, what to expect."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffjax import annotate, body, config, fitting
from diffjax.confidence import judging, part_way, rivals, signals
from diffjax.confidence.files import Calibration, Origin
from diffjax.data import jobs, records
from diffjax.pose import Pose, Refined
from diffjax.tracks import Use

_COMBINED = ("error_weight", "prior_weight", "prior_time", "iterations", "combined_px_share")
MATTERS = {
    "guided": ("strength", "rounds", "start", "stride", "robust_px_share", "through_network"),
    "fast": ("map_weight", "robust_px_share"),
    "combined": _COMBINED,
    "recall": ("recall", "robust_px_share"),
    "recall+combined": ("recall", *_COMBINED),
}
"""Settings that a mode looks at."""
Fit = Callable[[records.AnnotationSet, np.ndarray, str, Any], tuple[Refined, float]]
"""(people, groups of their rows, where from, progress bar) -> people, and seconds."""


class Mode(NamedTuple):
    """A way to refine rows that may belong together."""

    name: str
    kind: annotate.Kind
    use: Use
    fit: Fit
    ungated: Fit
    """The same without a gate, for the fits that signals take."""
    steady: bool
    told: signals.Told
    much: config.Quality
    facts: dict[str, Any]
    """All that a result depends on beside the people."""
    calibration: Calibration | None = None
    max_harm: float | None = None


def of_fitter(fitter: fitting.Fitter, told: signals.Told, much: config.Quality) -> Mode:
    """ScoreHMR's loop."""
    free = fitter._replace(settings=dataclasses.replace(fitter.settings, margin=None))
    facts = {
        "mode": "scorehmr",
        "use": fitter.use,
        "fit": dataclasses.asdict(fitter.settings),
        "quality": much,
        "body": jobs.fingerprint(fitter.keypoints),
        "prior": jobs.fingerprint(fitter.loaded.prior),
    }
    return Mode(
        fitter.name,
        fitter.kind,
        fitter.use,
        lambda *piece: fitting.fit_piece(fitter, *piece),
        lambda *piece: fitting.fit_piece(free, *piece),
        is_steady(fitter.loaded),
        told,
        much,
        facts,
    )


def is_steady(prior: annotate.LoadedPrior | None) -> bool:
    """Whether people may be mirrored before it: features of an image would have to be mirrored, too."""
    model = None if prior is None else prior.model
    return model is None or "features" not in model.run.model.condition


def of_refiner(
    refiner: annotate.Refiner, settings: dict[str, Any], told: signals.Told, much: config.Quality
) -> Mode:
    """A mode of rows alone, with the settings that matter."""

    def fit(people, group, where, bar):
        pair = annotate.estimate_of(people), annotate.evidence_of(people, refiner.kind, where)
        refined, seconds = annotate.refine_people(refiner, *pair, bar=bar or False)
        better = annotate.with_refined(people, refined)
        quality = {name: np.asarray(x) for name, x in refined.quality.items()}
        before, after = (quality.pop(f"reprojection{x}_px") for x in ("_before", ""))
        quality |= {"reprojection_px_before": before, "reprojection_px_after": after}
        quality["refined"] = 1.0 - quality.pop("kept")
        place = refined.translation if better.pred_cam_t is None else better.pred_cam_t
        return Refined(Pose(better.pred_pose, better.pred_betas), place, quality), seconds

    mode = refiner.name.split(",")[0]
    parts = jobs.fingerprint(refiner.shared)
    facts = {"mode": mode, "guidance": settings, "quality": much, "parts": parts}
    return Mode(refiner.name, refiner.kind, "frames", fit, fit, True, told, much, facts)


def told_of(
    kit: annotate.Kit,
    head: records.AnnotationSet,
    kind: annotate.Kind,
    calibration: Calibration | None = None,
) -> signals.Told:
    """What signals are made with: of a calibration, where there is one."""
    keypoints = annotate.keypoints_of(kit.body_path, kit.model, head, kind)
    prior = None if kit.prior is None or kit.prior.model is not None else kit.prior
    if calibration is None:
        return signals.Told(keypoints, keypoints.image, prior=prior)
    judged = body.load_regressor(config.locate(kit.body_path), calibration.origin.joints)
    joints = body.fold_keypoints(kit.model, judged)
    known = None
    if kit.poses is not None:
        known = rivals.known_of(kit.poses, keypoints.image, joints, calibration.noise)
    return signals.Told(keypoints, joints, calibration.errors, calibration.guidance, prior, known)


def calibrated(
    mode: Mode, calibration: Calibration, max_harm: float | None, origin: Origin, where: str
) -> Mode:
    """The mode with what a calibration says of its rows. ValueError for the calibration of something else."""
    for name, wanted, found in zip(Origin._fields, origin, calibration.origin):
        if wanted != found and name not in ("much", "joints"):
            raise ValueError(
                f"{where}: field origin: wanted a calibration of {name} {wanted}, found {found}; make it of what is "
                "run here, with scripts/evaluate.py --quality, or run what it is of"
            )
    known = "" if mode.told.known is None else jobs.fingerprint(mode.told.known.bank.rotations)
    if calibration.poses and known != calibration.poses:
        raise ValueError(
            f"{where}: field poses: wanted the known poses that it was made with, found others; name their set by "
            "--parts.poses (evaluate.py printed it), or make the calibration again"
        )
    facts = mode.facts | {
        "calibration": jobs.fingerprint((*calibration[1:7], calibration.noise)),
        "max_harm": max_harm,
        "known": known,
    }
    much = calibration.origin.much
    return mode._replace(calibration=calibration, max_harm=max_harm, facts=facts, much=much)


def refine_rows(
    mode: Mode, people: records.AnnotationSet, group: np.ndarray, where: str, bar: Any
) -> tuple[Refined, float]:
    """Rows refined, with all that is told of them as their quality; and seconds of the fit itself."""
    refined, seconds = mode.fit(people, group, where, bar)

    def again(others: records.AnnotationSet) -> Refined:
        return mode.ungated(others, group, where, None)[0]

    way = signals.Way(again, mode.kind, mode.use, mode.steady)
    found = signals.of(way, mode.told, people, refined, mode.much)
    quality = refined.quality | found
    refined = refined._replace(quality=quality)
    return refined if mode.calibration is None else _told(mode, people, refined), seconds


def _told(mode: Mode, people: records.AnnotationSet, refined: Refined) -> Refined:
    """With what to expect of each row, and those sent back of whom too little is expected."""
    assert mode.calibration is not None
    share = np.where(np.asarray(refined.quality["refined"]) > 0, 1.0, 0.0)
    worth = judging.expect(mode.calibration, refined.quality)
    if mode.max_harm is not None:
        share *= judging.way(mode.calibration, worth, mode.max_harm)
    refined = part_way.sent(people, refined, share)
    expected = worth.error_mm + (1.0 - share) * worth.gain_mm
    more = {
        "expected_pa_mpjpe_mm": expected,
        "expected_gain_mm": worth.gain_mm,
        "refined": share,
    }
    more = {name: x.astype(np.float32) for name, x in more.items()}
    return refined._replace(quality=refined.quality | more)


def origin_of(run: config.Run, kind: annotate.Kind, use: Use) -> Origin:
    """What a run is, to a calibration."""
    if run.mode == "scorehmr":
        settings = dataclasses.asdict(getattr(run.scorehmr, kind if use == "frames" else use))
        settings.pop("margin")
    else:
        guidance = getattr(run.guided, kind)
        settings = {name: getattr(guidance, name) for name in MATTERS[run.mode]}
        use = "frames"
    return Origin(run.mode, kind, use, _words(settings), "cheap", run.search.keypoints)


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))
