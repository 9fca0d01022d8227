"""What a method is to the table: a name, what it needs, and a function from people to better ones."""

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from diffjax import ablation, annotate, config, evaluate, tracks
from diffjax.comparison import people
from diffjax.data import records
from diffjax.methods import d3prefiner
from diffjax.pose import Refined

Tuning = Literal["none", "quick", "full"]


class Kit(NamedTuple):
    """What is loaded once for all methods; what is not there is None, and `missing` says why."""

    run: config.Run
    """Of guided, fast and the step search."""
    loop: config.Run
    """Of ScoreHMR's loop and its rivals."""
    guided: annotate.Kit
    fitting: annotate.Kit
    denoiser: annotate.LoadedPrior | None
    """Of the step search."""
    frontend: Any
    use: tracks.Use
    missing: dict[str, str]
    """By part: prior, loop, denoiser, residuals, frontend, refiner, poses."""
    tuning: Tuning
    seed: int
    refiner: d3prefiner.Model | None = None
    """Of sequences."""
    fps: float = 30.0
    """Of tracks, frames a second: annotation sets do not tell."""


class Task(NamedTuple):
    """What a method is told beside the people."""

    kind: annotate.Kind | None
    """The evidence that it may look at."""
    settings: Any
    val: people.Crowd | None
    """People whose truth is known, none of whom is judged."""


class Outcome(NamedTuple):
    """What a method makes of people: a row of the table."""

    name: str
    sees: str
    refined: Refined
    seconds: float
    """Without compiling; NaN where nothing was computed."""
    honest: bool = True
    """Whether nobody who decided saw the truth that judges."""


Refine = Callable[[ablation.People, Kit, Task, int], list[Outcome]]
"""(people, kit, task, seed) -> rows. The truth of the people is there for oracles alone."""


class Method(NamedTuple):
    """A method: all that has to be written to have a row in the table."""

    name: str
    """On the command line, and of its rows."""
    refine: Refine
    sees: tuple[annotate.Kind, ...] = ()
    """Kinds of evidence, each a row; a method that sees none has one."""
    needs: tuple[str, ...] = ()
    """Of `NEEDS`."""
    grid: Callable[[Kit, annotate.Kind | None], list[Any]] = lambda kit, kind: [None]
    """Settings, tuned on validation; the first is the configured one."""
    told: Callable[[Any], str] = lambda settings: ""
    """A setting in words."""
    run: Callable[[Kit, annotate.Kind | None, Any], config.Run | None] = lambda *_: None
    """The run by which scripts/refine.py does the same; None where it cannot."""
    oracle: bool = False
    """Whether it is shown the truth."""
    parts: tuple["Method", ...] = ()
    """Of a chain."""
    default: bool = True
    """Whether it is in a table for which nobody names the methods."""


def _has_tracks(kit: Kit, test: people.Crowd, val: people.Crowd | None) -> bool:
    return test.use == "video"


def _has_views(kit: Kit, test: people.Crowd, val: people.Crowd | None) -> bool:
    a = test.people.annotations
    return test.use == "views" and a.view_rotation is not None


def _has_truth(kit: Kit, test: people.Crowd, val: people.Crowd | None) -> bool:
    return test.counts["with_truth"] > 0


def _has_validation(kit: Kit, test: people.Crowd, val: people.Crowd | None) -> bool:
    return val is not None and val.counts["with_truth"] > 1


def _has_poses(kit: Kit, test: people.Crowd, val: people.Crowd | None) -> bool:
    return val is not None and int(known(val.people).sum()) > 1


def _installed(package: str) -> Callable[..., bool]:
    return lambda kit, test, val: importlib.util.find_spec(package) is not None


def _loaded(part: str) -> Callable[..., bool]:
    return lambda kit, test, val: part not in kit.missing


NEEDS: dict[str, Callable[[Kit, people.Crowd, people.Crowd | None], bool]] = {
    "tracks": _has_tracks,
    "calibrated views": _has_views,
    "truth": _has_truth,
    "validation people": _has_validation,
    "validation poses": _has_poses,
    "a prior": _loaded("prior"),
    "ScoreHMR's prior": _loaded("loop"),
    "DiffAnnot's denoiser": _loaded("denoiser"),
    "the frontend's residuals": _loaded("residuals"),
    "the frontend": _loaded("frontend"),
    "a refiner of sequences": _loaded("refiner"),
    "known poses": _loaded("poses"),
    "scikit-learn": _installed("sklearn"),
    "smplfitter": _installed("smplfitter"),
}
"""What a method may need beside evidence, in words, and whether it is there."""
_EVIDENCE = {"labels": "2D keypoints", "detections": "2D keypoints", "joints3d": "3D joints"}


def known(people: ablation.People) -> np.ndarray:
    """(N,) whose true pose is known."""
    a = people.annotations
    if a.pose is None or a.betas is None:
        return np.full(records.count(a), False)
    return np.isfinite(people.base.rotation_deg) & people.truth.same_body


def kinds_for(method: Method, test: people.Crowd) -> list[annotate.Kind | None]:
    """The kinds of evidence at hand that a method can see, a row each."""
    if not method.sees:
        return [None]
    return [kind for kind in annotate.kinds_of(test.people.annotations) if usable(kind, test)
            and kind in method.sees]  # fmt: skip


def usable(kind: annotate.Kind, test: people.Crowd) -> bool:
    """Whether evidence is there, with its camera."""
    a = test.people.annotations
    camera = a.focal_px is not None and a.center_px is not None
    return test.counts["with_evidence"].get(kind, 0) > 0 and (kind == "joints3d" or camera)


def lacking(method: Method, kit: Kit, test: people.Crowd, val: people.Crowd | None) -> list[str]:
    """What a method needs and nobody has."""
    found = [need for need in method.needs if not NEEDS[need](kit, test, val)]
    if method.sees and not kinds_for(method, test):
        held = [kind for kind in method.sees if kind in test.counts["with_evidence"]]
        words = dict.fromkeys(_EVIDENCE[kind] for kind in method.sees)
        camera = (
            held and held != ["joints3d"] and any(test.counts["with_evidence"][k] for k in held)
        )
        found.append("the camera of its 2D keypoints" if camera else " or ".join(words))
    return found


def hidden(given: ablation.People, kind: annotate.Kind | None) -> ablation.People:
    """The people as an honest method may see them: no truth, no evidence of another kind."""
    a = given.annotations
    hide: dict[str, Any] = dict.fromkeys(("pose", "betas", "cam_t"))
    for other, field in annotate.FIELD_OF.items():
        if other != kind:
            hide |= {field: None, f"{field}_set": None}
    truth = given.truth._replace(pose=None, joints=None, image=None)
    nothing = np.full(records.count(a), np.nan)
    return given._replace(
        annotations=dataclasses.replace(a, **hide),
        truth=truth,
        base=evaluate.Scores(*[nothing] * len(evaluate.Scores._fields)),
    )


def is_truth(kind: annotate.Kind | None, given: ablation.People) -> bool:
    """Whether a kind of evidence is what judges: 3D joints, where no pose of the judge's body is known."""
    a = given.annotations
    solid = a.pose is not None and a.betas is not None and bool(given.truth.same_body.all())
    return kind == "joints3d" and not solid


def chain(first: Method, second: Method) -> Method:
    """`second` on what `first` makes of the people; each with the setting that is its own."""

    name = f"{first.name}+{second.name}"

    def refine(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
        one, two = task.settings
        kind = task.kind if task.kind in first.sees else None
        begun = first.refine(
            hidden(given, kind), kit, task._replace(kind=kind, settings=one), seed
        )[0]
        pose = begun.refined.pose
        a = dataclasses.replace(
            given.annotations,
            pred_pose=np.asarray(pose.rotations, np.float32),
            pred_betas=np.asarray(pose.betas, np.float32),
        )
        (ended,) = second.refine(
            given._replace(annotations=a), kit, task._replace(settings=two), seed
        )
        seconds = float(np.nansum([begun.seconds, ended.seconds]))
        saw = ended.sees if second.sees else begun.sees
        return [ended._replace(name=name, sees=saw, seconds=seconds)]

    sees = tuple(k for k in annotate.KINDS if k in (second.sees or first.sees)
                 and (not first.sees or not second.sees or k in first.sees))  # fmt: skip
    needs = tuple(dict.fromkeys((*first.needs, *second.needs)))
    return Method(name, refine, sees, needs, parts=(first, second))
