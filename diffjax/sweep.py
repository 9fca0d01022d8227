"""Every way to refine one annotation set, and the controls, in one table with pictures."""

import dataclasses
import functools
import json
import time
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import (
    annotate,
    body,
    choosing,
    config,
    evaluate,
    plots,
    simulate,
)
from diffjax.data import pipeline, records
from diffjax.frontends import keypoint_hmr
from diffjax.pose import Pose


def _check_truth(problem: choosing.Problem, error: str, where: str) -> None:
    """ValueError unless the oracle finds what it minimises."""
    if problem.truth.image is None and error == "reprojection":
        raise ValueError(
            f"{where}: field labels2d: wanted 2D keypoints and their camera for search.error "
            "reprojection, found none; pass --search.error pa_mpjpe, or add them"
        )
    if problem.truth.image is None and problem.truth.joints is None:
        raise ValueError(
            f"{where}: fields pose, keypoints3d, labels2d, keypoints2d: wanted something to judge "
            "by, found nothing; add one of them, or refine without a table: scripts/refine.py"
        )


def rows(
    parts: choosing.Parts,
    problem: choosing.Problem,
    run: config.Run,
    searched: choosing.Searched,
    search_ms: float,
):
    """One row a method: the estimate first."""
    judge, nan = parts.judge, float("nan")
    truth = "the truth" if problem.truth.joints is not None else "the 2D judge"

    def row(name, sees, people, ms):
        scores = evaluate.score(judge, people, problem.truth)
        return evaluate.Row(name, sees, scores, ms, people)

    yield row("estimate", "-", problem.estimate, nan)
    fixed = int(searched.steps["fixed"][0])
    yield row(f"paper, fixed step {fixed}", "validation", searched.chosen["fixed"], search_ms)
    for kind in problem.evidence:
        if kind in searched.chosen:
            yield row("paper, chosen by 2D", kind, searched.chosen[kind], search_ms)
    yield row("paper, ORACLE", truth, searched.chosen["oracle"], search_ms)
    for name in searched.chosen:
        if name.startswith("control"):
            yield row(name, truth, searched.chosen[name], nan)
    for kind in problem.evidence:
        again = rerun_frontend(parts.frontend, problem, kind)
        if again is not None:
            yield row("frontend, run again", kind, *again)
        for mode in ("fast", "guided"):
            if mode == "guided" or parts.kit.error_model is not None:
                settings = getattr(run.guided, kind)
                refined, ms = annotate.refine_set(
                    parts.kit, problem.annotations, kind, settings, mode=mode
                )
                yield row(mode, kind, refined.pose, ms)


def rerun_frontend(params: Any, problem: choosing.Problem, kind: str) -> tuple[Pose, float] | None:
    """The keypoint frontend on the new 2D keypoints, and milliseconds a sample.

    None without a frontend, without coco17, and on the detections, which the estimates came from.
    """
    name = problem.annotations.labels2d_set
    if params is None or kind != "labels" or name != "coco17":
        return None
    evidence = problem.evidence[kind]

    batch = (evidence.keypoints2d, evidence.camera)
    return annotate.in_chunks(_again, batch, params, size=1024, label="frontend")


def _again(batch, params):
    return keypoint_hmr.predict(params, *batch).pose


def load_parts(
    run: config.Run, workdir: Path, annotations: records.AnnotationSet
) -> choosing.Parts:
    """Everything that the run names; what was trained for another body is refused."""
    names = evaluate.JOINTS if run.search.error == "reprojection" else run.search.keypoints
    judge = evaluate.make_judge(run.data.body, annotations, names)
    denoiser = annotate.load_prior(run.parts.denoiser or workdir, judge.model)
    prior = annotate.load_prior(run.parts.prior, judge.model) if run.parts.prior else denoiser
    residuals, frontend = run.parts.residuals, run.parts.frontend
    error_model = annotate.load_error_model(residuals) if residuals else None
    params = keypoint_hmr.load(config.locate(frontend)) if frontend else None
    return choosing.Parts(
        annotate.Kit(run.data.body, judge.model, prior, error_model), denoiser, judge, params
    )


def load_set(run: config.Run, split: Literal["val", "test"]) -> records.AnnotationSet | None:
    """The validation or test set of a run; None where the run names none. `demo` makes the demo's people."""
    name = getattr(run.data, split)
    if name != "demo":
        return pipeline.read_set(name, split) if name else None
    paths = (config.locate(path) for path in (run.parts.frontend, run.data.body))
    return dict(zip(("val", "test"), _demo_sets(*paths)))[split]


_demo_sets = functools.cache(simulate.demo_sets)


def sweep(
    run: config.Run, workdir: Path, kinds: tuple[annotate.Kind, ...] = ()
) -> list[dict[str, Any]]:
    """Runs every row on the test set of a run, prints the table, and writes table, curves and pictures.

    Writes sweep.json, sweep.npz, loss_against_step.png and bodies.png into the working directory.
    """
    began = time.perf_counter()
    val, test = load_set(run, "val"), load_set(run, "test")
    if test is None:
        raise ValueError("data.test: wanted an annotation set, got no name; pass --data.test FILE")
    kinds = kinds or annotate.kinds_of(test)
    parts = load_parts(run, workdir, test)
    problem = choosing.make_problem(parts.judge, test, kinds, run.data.test)
    _check_truth(problem, run.search.error, run.data.test)
    fixed = 0
    if val is not None:
        held_out = choosing.make_problem(parts.judge, val, kinds, run.data.val)
        _check_truth(held_out, run.search.error, run.data.val)
        fixed = choosing.best_fixed_step(
            choosing.search_all(parts, held_out, run.search, 0)[0].curve
        )
    searched, search_ms = choosing.search_all(parts, problem, run.search, fixed)
    summaries, base = [], None
    made: dict[str, evaluate.Row] = {}
    print(_head(problem, run), evaluate.header(), sep="\n", flush=True)
    for row in rows(parts, problem, run, searched, search_ms):
        base = base or row.scores
        made[f"{row.name}, {row.sees}"] = row
        summaries.append(evaluate.summary(row, base, problem.groups))
        print(evaluate.line(summaries[-1]), flush=True)
    seconds = time.perf_counter() - began
    print(_explain(problem, run, searched, seconds))
    _write(workdir, run, searched, summaries, made, seconds)
    _draw(workdir, run, parts, problem, searched, made)
    return summaries


def _head(problem: choosing.Problem, run: config.Run) -> str:
    people, sequences = len(problem.groups), len(np.unique(problem.groups))
    source = (
        "generated motion, simulated cameras and keypoints"
        if run.data.test == "demo"
        else run.data.test
    )
    return f"{people} people in {sequences} sequences: {source}"


def _explain(
    problem: choosing.Problem, run: config.Run, searched: choosing.Searched, seconds: float
) -> str:
    """What the table says, in words, with the numbers of this run."""
    curve = searched.curve

    def best(name):
        return float(np.mean(searched.errors[name]))

    names = [name for name in searched.errors if name.startswith("control")]
    gain = float(curve[:, 0].mean()) - best("oracle")
    known = [(name, float(curve[:, 0].mean()) - best(name)) for name in names]
    calls = int(np.sum(searched.stop * (searched.stop + 1) // 2))
    quantity, unit = _quantity(problem, run)
    shown = "truth" if problem.truth.joints is not None else "2D keypoints it is judged by"
    return (
        f"PA: PA-MPJPE. mm and degrees; change: 95 % interval over sequences; better, worse: share of people, worse "
        f"by more than 1 mm.\n\nBy looking at the {shown} the oracle gains {gain:.2f} {unit} of {quantity}. Under the "
        "same oracle, moves that know nothing gain "
        + ", ".join(f"{k:.2f} ({name.removeprefix('control, ')})" for name, k in known)
        + ".\nOracle minus control, what the denoiser itself is worth: "
        + ", ".join(f"{gain - k:+.2f}" for _, k in known)
        + f" {unit}.\nAlgorithm 1 needs {calls} denoiser calls here. {seconds:.0f} s in all."
    )


def _quantity(problem: choosing.Problem, run: config.Run) -> tuple[str, str]:
    """What the oracle minimises, and its unit."""
    if problem.truth.joints is None:
        return _QUANTITY["reprojection"]
    return _QUANTITY[run.search.error]


def _write(
    workdir: Path, run: config.Run, searched: choosing.Searched, summaries, made, seconds: float
) -> None:
    facts = {
        "run": dataclasses.asdict(run), "device": str(jax.devices()[0]),
        "seconds": seconds, "rows": summaries,
    }  # fmt: skip
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = workdir / ".sweep.json.part"
    temporary.write_text(json.dumps(_without_nan(facts), indent=1, allow_nan=False))
    temporary.replace(workdir / "sweep.json")
    arrays = {"curve": searched.curve, "stop": searched.stop}
    arrays |= {f"step/{name}": step for name, step in searched.steps.items()}
    for name, row in made.items():
        arrays |= {f"{name}/{field}": x for field, x in row.scores._asdict().items()}
    records.save_arrays(workdir / "sweep.npz", arrays)


def _without_nan(value: Any) -> Any:
    """What is not a number is null in JSON."""
    if isinstance(value, dict):
        return {key: _without_nan(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(x) for x in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _draw(
    workdir: Path,
    run: config.Run,
    parts: choosing.Parts,
    problem: choosing.Problem,
    searched: choosing.Searched,
    made,
) -> None:
    """The paper's Fig. 4, and its Fig. 5 for a person whom both the oracle and the guidance help."""
    solid = problem.truth.joints is not None
    name, unit = _quantity(problem, run)
    plots.loss_against_step(
        searched.curve, workdir / "loss_against_step.png", quantity=name, unit=unit
    )
    guided = [row for row in made.values() if row.name == "guided" and solid][:1]
    who = _example(searched, guided)
    best = int(searched.steps["oracle"][who])
    steps = sorted({0, best // 2, best, run.search.max_step})
    named = {best: f"step {best}, the oracle's", 0: "estimate"}
    one = jax.tree.map(lambda x: x[who : who + 1], problem.estimate)
    poses = jax.jit(
        lambda p: choosing.candidates(parts.denoiser, run.search, p, jnp.asarray([who]), 0)
    )(one)
    shown = [
        (
            f"{named.get(s, f'step {s}')}: {searched.curve[who, s]:.0f} {unit}",
            jax.tree.map(lambda x, s=s: x[s, 0], poses),
        )
        for s in steps
    ]
    for row in guided:
        title = f"guided by {row.sees}: {row.scores.pa_mpjpe_mm[who]:.0f} mm"
        shown.append((title, jax.tree.map(lambda x: x[who], row.people)))
    if problem.truth.pose is not None:
        shown.append(("truth", jax.tree.map(lambda x: x[who], problem.truth.pose)))
    pose_body = jax.jit(body.pose_body)
    meshes = [pose_body(parts.kit.model, p.rotations, p.betas).vertices for _, p in shown]
    faces = body.load_faces(config.locate(run.data.body))
    plots.bodies(meshes, faces, [title for title, _ in shown], workdir / "bodies.png")


_QUANTITY = {
    "pa_mpjpe": ("PA-MPJPE", "mm"),
    "mpjpe": ("MPJPE", "mm"),
    "reprojection": ("reprojection", "px"),
}


def _example(searched: choosing.Searched, guided: list[evaluate.Row]) -> int:
    """Someone whose error falls by steps and by guidance: the product of both gains is largest."""
    gain = searched.curve[:, 0] - searched.errors["oracle"]
    if guided:
        gain = gain * np.maximum(searched.curve[:, 0] - guided[0].scores.pa_mpjpe_mm, 0.0)
    return int(np.argmax(gain))
