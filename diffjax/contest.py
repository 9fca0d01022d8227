"""Every way to refine, on pieces of an annotation set: what each makes of the people, and how long it takes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from diffjax import annotate, choosing, chunks, config, devices, evaluate
from diffjax.data import jobs, records, shards
from diffjax.frontends import keypoint_hmr
from diffjax.methods import controls
from diffjax.pose import Evidence, Pose


class Contest(NamedTuple):
    """All that takes part, prepared for people with the fields of one set."""

    parts: choosing.Parts
    kinds: tuple[annotate.Kind, ...]
    searcher: choosing.Searcher
    refiners: list[annotate.Refiner]
    fixed: int
    """The step chosen on validation."""
    neutral: bool
    """Of `evaluate.Whole`."""
    where: str


class Piece(NamedTuple):
    """Some people in the order of `controls.pairs`."""

    annotations: records.AnnotationSet
    ids: np.ndarray
    kept: int
    """The rest are there as companions only."""


class Entry(NamedTuple):
    """What a method makes of a piece."""

    name: str
    sees: str
    people: Pose
    seconds: float
    """NaN where nothing was computed."""


def make_contest(
    parts: choosing.Parts,
    head: records.AnnotationSet,
    kinds: tuple[annotate.Kind, ...],
    run: config.Run,
    *,
    fixed: int,
    neutral: bool,
    where: str,
) -> Contest:
    """The step search, and every mode that there are parts for, on every kind of evidence."""
    modes = ["guided"] if parts.kit.error_model is None else ["fast", "guided", "combined"]
    refiners = [
        annotate.make_refiner(parts.kit, head, kind, getattr(run.guided, kind), mode)
        for kind in kinds
        for mode in modes
    ]
    searcher = choosing.make_searcher(parts, head, kinds, run.search, fixed)
    return Contest(parts, kinds, searcher, refiners, fixed, neutral, where)


def reader(source: shards.Source) -> Callable[[int, int], Piece]:
    """(first, last) -> the people in these slots of `controls.pairs`."""
    order = controls.pairs(source.count)

    def read(first: int, last: int) -> Piece:
        ids = order[first:last]
        return Piece(source.take(ids), ids, min(last, source.count) - first)

    return read


def problem_of(contest: Contest, piece: Piece) -> choosing.Problem:
    """A piece as the methods and the judge want it."""
    judge, people = contest.parts.judge, piece.annotations
    return choosing.make_problem(
        judge, people, contest.kinds, contest.where, piece.ids, contest.neutral
    )


def search(contest: Contest, piece: Piece, bar: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The step search alone: the curves of a piece."""
    problem = problem_of(contest, piece)
    searched, _ = choosing.search_all(contest.searcher, problem, bar=bar)
    return _kept({"ids": piece.ids, "curve": searched.curve}, piece), {}


def compete(contest: Contest, piece: Piece, bar: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of everyone in a piece by every method, and a note of what the methods are."""
    problem, part = problem_of(contest, piece), 1 / _stages(contest, piece.annotations)
    how = {"bar": bar, "part": part}
    searched, seconds = choosing.search_all(contest.searcher, problem, **how)
    arrays = {"ids": piece.ids, "curve": searched.curve, "stop": searched.stop}
    arrays |= {f"step/{name}": step for name, step in searched.steps.items()}
    arrays |= {f"error/{name}": error for name, error in searched.errors.items()}
    note, guided = {"names": [], "sees": [], "seconds": []}, None
    for entry in _entries(contest, problem, searched, seconds, **how):
        scores = evaluate.score(contest.parts.judge, entry.people, problem.truth)
        name = f"{entry.name}, {entry.sees}"
        arrays |= {f"{name}/{field}": x for field, x in scores._asdict().items()}
        note["names"].append(entry.name)
        note["sees"].append(entry.sees)
        note["seconds"].append(None if np.isnan(entry.seconds) else entry.seconds)
        if entry.name == "guided" and guided is None and problem.truth.joints is not None:
            guided = entry.sees, entry.people, scores.pa_mpjpe_mm
    arrays = _kept(arrays, piece)
    example, note["example"] = _example(arrays, guided)
    return arrays | example, note


def _stages(contest: Contest, annotations: records.AnnotationSet) -> int:
    """How often a person is computed."""
    again = any(_can_run_again(contest, annotations, kind) for kind in contest.kinds)
    return 1 + len(contest.refiners) + again


def _kept(arrays: dict[str, Any], piece: Piece) -> dict[str, Any]:
    return {name: np.asarray(array)[: piece.kept] for name, array in arrays.items()}


def _entries(
    contest: Contest, problem: choosing.Problem, searched: choosing.Searched, took: float, **how
) -> Iterator[Entry]:
    """One entry a method: the estimate first."""
    yield Entry("estimate", "-", problem.estimate, float("nan"))
    yield from searched_entries(searched, contest.fixed, problem.truth.joints is not None, took)
    for kind in contest.kinds:
        if _can_run_again(contest, problem.annotations, kind):
            evidence = problem.evidence[kind]
            yield run_again(contest.parts.frontend, evidence, kind, **how)
        for refiner in contest.refiners:
            if refiner.kind == kind:
                refined, seconds = annotate.refine_people(
                    refiner, problem.estimate, problem.evidence[kind], **how
                )
                yield Entry(refiner.name.split(",")[0], kind, refined.pose, seconds)


def searched_entries(
    searched: choosing.Searched, fixed: int, solid: bool, took: float
) -> Iterator[Entry]:
    """The step search by every chooser, and its controls. `solid`: the oracle sees 3D joints."""
    chosen, nan = searched.chosen, float("nan")
    truth = "the truth" if solid else "the 2D judge"
    yield Entry(f"paper, fixed step {fixed}", "validation", chosen["fixed"], took)
    for kind in annotate.KINDS:
        if kind in chosen:
            yield Entry("paper, chosen by 2D", kind, chosen[kind], took)
    yield Entry("paper, ORACLE", truth, chosen["oracle"], took)
    for name in chosen:
        if name.startswith("control"):
            yield Entry(name, truth, chosen[name], nan)


def _can_run_again(contest: Contest, annotations: records.AnnotationSet, kind: str) -> bool:
    """Whether there is a frontend that reads the labels; its estimates came from the detections."""
    known = contest.parts.frontend is not None and annotations.labels2d_set == "coco17"
    return known and kind == "labels"


def run_again(frontend: Any, evidence: Evidence, kind: annotate.Kind, **how) -> Entry:
    """The keypoint frontend on new 2D keypoints."""
    size = devices.rows_at_once()
    people, seconds = chunks.in_chunks(
        _again, (evidence.keypoints2d, evidence.camera), frontend,
        size=size, label="frontend", **how,
    )  # fmt: skip
    return Entry("frontend, run again", kind, people, seconds)


def _again(batch, params):
    return keypoint_hmr.predict(params, *batch).pose


def _example(arrays: dict[str, Any], guided: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Someone whose error falls by steps and by guidance: the product of both gains is largest."""
    gain = arrays["curve"][:, 0] - arrays["error/oracle"]
    if guided is not None:
        better = arrays["curve"][:, 0] - guided[2][: len(gain)]
        gain = gain * np.maximum(better, 0.0)
    gain = np.where(np.isfinite(gain), gain, -np.inf)
    who = int(np.argmax(gain))
    note = {"id": int(arrays["ids"][who]), "gain": float(max(gain[who], -1.0))}
    if guided is None:
        return {}, note
    people = jax.tree.map(lambda x: np.asarray(x)[who : who + 1], guided[1])
    shown = {f"example/{field}": x for field, x in people._asdict().items()}
    return shown, note | {"sees": guided[0], "pa_mpjpe_mm": float(guided[2][who])}


class Result(NamedTuple):
    """A finished contest: everyone in the order of the set."""

    arrays: dict[str, np.ndarray]
    """By name: curve, stop, step/NAME, error/NAME and METHOD, SEES/SCORE."""
    rows: list[evaluate.Row]
    example: dict[str, Any]
    """Who is shown: id; and what the guidance made of them, with its PA-MPJPE."""

    @property
    def curve(self) -> np.ndarray:
        """(N, starts) error of every start against the truth."""
        return self.arrays["curve"]


def gather(job: jobs.Job) -> dict[str, np.ndarray]:
    """The arrays of all pieces, joined in the order of ids."""
    found: dict[str, list[np.ndarray]] = {}
    for file in jobs.shards(job):
        with np.load(file) as arrays:
            for name in arrays.files:
                if not name.startswith("example/"):
                    found.setdefault(name, []).append(arrays[name])
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    order = np.argsort(joined.pop("ids"))
    return {name: array[order] for name, array in joined.items()}


def result(job: jobs.Job) -> Result:
    """What all pieces of a finished job say."""
    arrays, notes = gather(job), jobs.notes(job)
    people, rows = len(arrays["curve"]), []
    for i, (name, sees) in enumerate(zip(notes[0]["names"], notes[0]["sees"])):
        fields = (arrays[f"{name}, {sees}/{field}"] for field in evaluate.Scores._fields)
        seconds = [note["seconds"][i] for note in notes]
        ms = float("nan") if None in seconds else 1e3 * sum(seconds) / people
        rows.append(evaluate.Row(name, sees, evaluate.Scores(*fields), ms))
    best = max(range(len(notes)), key=lambda i: notes[i]["example"]["gain"])
    example = dict(notes[best]["example"])
    if "sees" in example:
        with np.load(jobs.shard(job, best)) as shard:
            example["people"] = Pose(*(shard[f"example/{field}"] for field in Pose._fields))
    return Result(arrays, rows, example)
