"""The axes of sweeps: what is made better or worse, at which values, and on whom."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffjax import annotate, config, simulate, tracks
from diffjax.comparison import conditions, people
from diffjax.data import moments, records


class Given(NamedTuple):
    """The people of a sweep as they are on disk."""

    run: config.Run
    name: str
    test: records.AnnotationSet
    val: records.AnnotationSet | None
    use: tracks.Use
    fps: float = moments.RATE
    """Of tracks."""
    more: tuple[tuple[str, records.AnnotationSet, records.AnnotationSet | None], ...] = ()
    """Other frontends' estimates: a name, the set, and its own validation set."""
    seed: int = 0


class Made(NamedTuple):
    """Everybody at one value."""

    sets: people.Sets
    fps: float | None = None
    """Where it is another."""


class Point(NamedTuple):
    """A value, and how to make people of it."""

    value: Any
    make: Callable[[], Made]
    alone: bool = False
    """Whether settings are chosen anew, on validation people of the same kind."""


class Axis(NamedTuple):
    """An axis: all that has to be written to sweep it."""

    name: str
    title: str
    unit: str
    told: str
    """What is simulated, what stays, and how settings are chosen."""
    points: Callable[[Given], list[Point]]
    methods: tuple[str, ...]
    """Those that are taken where none are named."""
    kinds: tuple[annotate.Kind, ...] = ("labels",)
    demo: str = "demo"
    use: str = "auto"


NOISE_PX = (0.0, 2.0, 4.0, 8.0, 12.0, 16.0, 20.0)
MISSING = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0)
STRIDES = (6, 3, 2, 1)
SIGHTS = (("weak", 2.0), ("medium", 1.0), ("strong", 0.25))
"""The demo's frontend, shown 2D whose errors are so many times the detector's."""


def _crowd(
    given: Given, a: records.AnnotationSet, value: Any, seen: np.ndarray | None = None
) -> people.Crowd:
    return people.crowd_of(given.run, a, f"{given.name}, {value}", given.use, seen)


def _val(given: Given) -> people.Crowd | None:
    return None if given.val is None else _crowd(given, given.val, "validation")


def _labelled(given: Given, values: tuple[float, ...], noise: Callable, missing: Callable):
    """Points with labels of the given noise and share of missing keypoints; one validation set for all."""
    if given.use == "views":
        raise ValueError(
            "sweeps of keypoints: wanted rows alone or tracks, found views; pass --use frames"
        )
    path, val = given.run.data.body, functools.cache(lambda: _val(given))
    judged = conditions.told_by_truth(given.test)

    def make(value: float) -> Made:
        a = conditions.simulated_labels(path, given.test, noise(value), missing(value), given.seed)
        return Made(people.Sets(_crowd(given, a, value, judged), val()))

    return [Point(value, functools.partial(make, value)) for value in values]


def _noise(given: Given) -> list[Point]:
    return _labelled(given, NOISE_PX, lambda px: px, lambda px: conditions.MISSING)


def _missing(given: Given) -> list[Point]:
    return _labelled(given, MISSING, lambda _: conditions.NOISE_PX, lambda percent: percent / 100)


def _frontends(given: Given) -> list[Point]:
    if not given.more and given.name not in simulate.DEMOS:
        raise ValueError(
            "--sweep frontends: wanted sets of the same people by several frontends, found one; name them: "
            "--sets weak=WEAK.npz medium=MEDIUM.npz strong=STRONG.npz (with their own validation people: "
            "weak=WEAK.npz,WEAK_VAL.npz)"
        )
    val = functools.cache(lambda: _val(given))

    def make(name: str, test: records.AnnotationSet, own: records.AnnotationSet | None) -> Made:
        other = val() if own is None else _crowd(given, own, f"{name}, validation")
        return Made(people.Sets(_crowd(given, test, name), other))

    if given.more:
        return [
            Point(name, functools.partial(make, name, test, own), own is not None)
            for name, test, own in given.more
        ]
    sights = [
        (name, functools.partial(_seen_by, given, name, sight, val)) for name, sight in SIGHTS
    ]
    return [Point(name, work) for name, work in sights]


def _seen_by(given: Given, name: str, eyesight: float, val: Callable) -> Made:
    frontend, body = (config.locate(p) for p in (given.run.parts.frontend, given.run.data.body))
    test = simulate.demo_split(given.name, frontend, body, eyesight)[1]
    limited = people.some(test, given.use, records.count(given.test))
    return Made(people.Sets(_crowd(given, limited, name), val()))


def _views(given: Given) -> list[Point]:
    if given.test.view_rotation is None or given.test.frame is None:
        raise ValueError(
            "--sweep views: wanted rows of several calibrated cameras (fields frame, view, view_rotation), found none; "
            "pass --data with them, or --data demo_views"
        )
    most = conditions.most_views(given.test)
    counts = [2**i for i in range(most.bit_length()) if 2**i <= most]

    def make(count: int) -> Made:
        test, val = (None if a is None else _crowd(given, conditions.first_views(a, count), f"{count} views")
                     for a in (given.test, given.val))  # fmt: skip
        assert test is not None
        return Made(people.Sets(test, val))

    return [Point(count, functools.partial(make, count), alone=True) for count in counts]


def _rate(given: Given) -> list[Point]:
    if given.test.frame is None:
        raise ValueError(
            "--sweep rate: wanted tracks (field frame and, where there are several, sequence and subject), found "
            "none; pass --data with them, or --data demo_video"
        )

    def make(stride: int) -> Made:
        def crowd(a: records.AnnotationSet) -> people.Crowd:
            some, judged = conditions.every(a, stride, STRIDES)
            return _crowd(given, some, f"every {stride}", judged)

        val = None if given.val is None else crowd(given.val)
        return Made(people.Sets(crowd(given.test), val), given.fps / stride)

    return [
        Point(round(given.fps / stride, 2), functools.partial(make, stride), alone=True)
        for stride in STRIDES
    ]


_FRAMES = ("frontend", "lbfgs", "fast", "guided", "combined", "scorehmr")
_KEPT = "Estimates stay as they are; settings are those chosen for the labels of the validation people, at all values."
AXES: tuple[Axis, ...] = (
    Axis(
        "noise", "keypoint noise", "px",
        "Simulated 2D keypoints: the truth, projected, with normal errors of so many pixels a coordinate, 5 % "
        f"missing. {_KEPT}",
        _noise, _FRAMES,
    ),
    Axis(
        "dropout", "missing keypoints", "%",
        "Simulated 2D keypoints: the truth, projected, with errors of 4 px a coordinate, so many of a hundred "
        f"missing. {_KEPT}",
        _missing, _FRAMES,
    ),
    Axis(
        "frontends", "strength of the frontend", "",
        "The same people and keypoints, estimated by frontends of different strength; each has its own estimate. Of "
        "the demo: one network, shown 2D with twice (weak), once (medium) and a quarter (strong) of the detector's "
        "errors; the detections stay as they are, so that the weak one saw worse ones, the strong one better. Settings "
        "are those chosen for the estimates of the middle one, or on a set's own validation people.",
        _frontends, _FRAMES, ("labels", "detections"),
    ),
    Axis(
        "views", "cameras at once", "views",
        "The first cameras of each instant, by name; all are judged in the first. Settings are chosen anew at each "
        "number, on validation people with as many.",
        _views, ("lbfgs", "loop", "scorehmr-views"), ("labels", "detections"), "demo_views", "views",
    ),
    Axis(
        "rate", "frames a second", "Hz",
        "Every 6th, 3rd, 2nd and every frame of the same tracks; judged on the frames that are there at every rate. "
        "Settings are chosen anew at each rate, on validation people of that rate.",
        _rate, ("smooth", "one-euro", "combined", "scorehmr-video"), ("detections",), "demo_video", "video",
    ),
)  # fmt: skip
"""In the order of the page."""
