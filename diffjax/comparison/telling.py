"""Who tells what signals are worth, and by what means: people, the frontend's errors, a prior, the method again."""

from typing import Any

import numpy as np

from diffjax import ablation, annotate, body, config
from diffjax.comparison import conditions, method, people
from diffjax.comparison.method import Kit, Method, Task
from diffjax.confidence import files, keypoint_errors, modes, rivals, signals
from diffjax.data import records
from diffjax.methods import map_fit
from diffjax.methods.keypoint_noise import Noise
from diffjax.pose import Pose, Refined

TURN = np.deg2rad(5.0)
"""A frontend's error in each joint, where nobody's true pose is known."""


def usable(crowd: people.Crowd, kind: annotate.Kind | None) -> bool:
    return crowd.counts["with_truth"] > 1 and (kind is None or method.usable(kind, crowd))


def sequences(a: records.AnnotationSet) -> np.ndarray:
    return np.arange(records.count(a)).astype(str) if a.sequence is None else a.sequence


def again(entry: Method, task: Task, kit: Kit, crowd: people.Crowd):
    """The method as a function from people to people."""

    def refine(a: records.AnnotationSet) -> Refined:
        shown = method.hidden(crowd.people._replace(annotations=a), task.kind)
        return entry.refine(shown, kit, task, kit.seed)[0].refined

    return refine


def signals_of(entry, task: Task, kit: Kit, crowd: people.Crowd, refined, told, much):
    mode = _mode(entry, task, kit)
    steady = mode != "scorehmr" or modes.is_steady(kit.fitting.prior)
    use = crowd.use if mode in ("", "scorehmr") else "frames"  # As scripts/refine.py has them.
    way = signals.Way(again(entry, task, kit, crowd), task.kind, use, steady)
    still = not entry.sees and entry.name == "estimate"
    shown = method.hidden(crowd.people, task.kind).annotations
    return signals.of(way, told, shown, refined, "cheap" if still else much)


def told_of(entry: Method, task: Task, kit: Kit, crowds: list[people.Crowd]) -> signals.Told:
    a, path = crowds[0].people.annotations, kit.run.data.body
    keypoints = annotate.keypoints_of(path, kit.guided.model, a, task.kind or "labels")
    guidance = getattr(kit.run.guided, task.kind or "labels")
    errors = kit.guided.error_model or _errors(crowds)
    prior = _prior(entry, task, kit)
    joints, known = crowds[0].people.judge.joints, None
    if kit.guided.poses is not None and task.kind in ("labels", "detections"):
        noise = _noise(crowds, task.kind, keypoints.image)
        known = rivals.known_of(kit.guided.poses, keypoints.image, joints, noise)
    return signals.Told(keypoints, joints, errors, guidance, prior, known)


def _mode(entry: Method, task: Task, kit: Kit) -> str:
    """Of scripts/refine.py; '' of a method that it does not have."""
    run = entry.run(kit, task.kind, task.settings)
    return "" if run is None else run.mode


def _prior(entry: Method, task: Task, kit: Kit) -> annotate.LoadedPrior | None:
    """Who is asked what poses are usual: the prior that scripts/refine.py has in the same mode."""
    mode = _mode(entry, task, kit)
    found = kit.fitting.prior if mode == "scorehmr" else kit.guided.prior
    return None if found is None or found.model is not None or mode in ("fast", "recall") else found


def _errors(crowds: list[people.Crowd]) -> map_fit.ErrorModel:
    """Of the frontend, as these people's truth says; the same for every joint where no pose is known."""
    pairs = [_pair(crowd.people) for crowd in crowds if method.known(crowd.people).any()]
    if sum(len(pair[0]) for pair in pairs) < 2:
        variance = np.where(np.arange(map_fit.RESIDUAL_SIZE) < 72, TURN**2, 1.0)
        return map_fit.error_model_from_covariance(np.diag(variance))
    parts = [np.concatenate(column) for column in zip(*pairs)]
    pred, true = Pose(parts[0], parts[1]), Pose(parts[2], parts[3])
    return map_fit.error_model_from_covariance(map_fit.residual_covariance(pred, true))


def _noise(crowds: list[people.Crowd], kind: annotate.Kind, image: body.KeypointModel) -> Noise:
    """Of the keypoints, as the truth of these people says where it has their places and cameras."""
    errors, confidence = [np.zeros((0, 2))], [np.zeros(0)]
    for crowd in crowds:
        a = crowd.people.annotations
        known = conditions.seen_truly(a)
        if not known.any() or _set_of(a, kind) != _set_of(crowds[0].people.annotations, kind):
            continue
        pixels, ahead = conditions.true_pixels(image, a)
        found = np.asarray(annotate.evidence_of(a, kind).keypoints2d)
        error = found[..., :2] - pixels
        box = np.ptp(pixels, axis=1).max(-1, keepdims=True)
        own = np.linalg.norm(error, axis=-1) < box  # Farther off they are somebody else's.
        used = own & ahead & (found[..., 2] > 0) & known[:, None]
        errors.append(error[used])
        confidence.append(found[used, 2])
    return keypoint_errors.learn(np.concatenate(errors), np.concatenate(confidence))


def _set_of(a: records.AnnotationSet, kind: annotate.Kind) -> str:
    """Which keypoints it has of this evidence."""
    return getattr(a, f"{annotate.FIELD_OF[kind]}_set")


def _pair(given: ablation.People) -> list[Any]:
    """Estimate and truth of those whose pose is known."""
    a, rows = given.annotations, method.known(given)
    return [np.asarray(x)[rows] for x in (a.pred_pose, a.pred_betas, a.pose, a.betas)]


def origin_of(entry: Method, task: Task, kit: Kit, test: people.Crowd, much: config.Quality):
    run = None if task.kind is None else entry.run(kit, task.kind, task.settings)
    joints = kit.run.search.keypoints
    if run is None or task.kind is None:
        told = str(task.settings)
        return files.Origin(entry.name, str(task.kind), test.use, told, much, joints)
    return modes.origin_of(run, task.kind, test.use)._replace(much=much, joints=joints)
