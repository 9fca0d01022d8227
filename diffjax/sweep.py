"""Every way to refine one annotation set, and the controls, in one table with pictures."""

import dataclasses
import functools
import shlex
import time
from pathlib import Path
from typing import Any, Literal

from diffjax import (
    annotate,
    choosing,
    config,
    contest,
    devices,
    evaluate,
    report,
    simulate,
)
from diffjax.data import jobs, pipeline, records, shards
from diffjax.frontends import keypoint_hmr

_PIECE = 512
"""People of a piece, more or less: what a killed sweep has to do again."""


def _check_truth(head: records.AnnotationSet, error: str, where: str) -> None:
    """ValueError unless the oracle finds what it minimises."""
    if not evaluate.sees_image(head) and error == "reprojection":
        raise ValueError(
            f"{where}: field labels2d: wanted 2D keypoints and their camera for search.error "
            "reprojection, found none; pass --search.error pa_mpjpe, or add them"
        )
    if not evaluate.sees_image(head) and not evaluate.sees_joints(head):
        raise ValueError(
            f"{where}: fields pose, keypoints3d, labels2d, keypoints2d: wanted something to judge "
            "by, found nothing; add one of them, or refine without a table: scripts/refine.py"
        )


def load_parts(
    run: config.Run,
    workdir: Path,
    annotations: records.AnnotationSet,
    moving: tuple[int, ...] | None = None,
) -> choosing.Parts:
    """Everything that the run names; what was trained for another body is refused.

    With `moving` (of an `evaluate.Whole`), only the fields of the annotations are looked at.
    """
    names = evaluate.JOINTS if run.search.error == "reprojection" else run.search.keypoints
    judge = evaluate.make_judge(run.data.body, annotations, names, moving)
    own, rough = run.parts.denoiser or workdir, run.search.precision
    denoiser = annotate.load_prior(own, judge.model, rough)
    prior = annotate.load_prior(run.parts.prior or own, judge.model)
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


def open_set(run: config.Run, split: Literal["val", "test"]) -> shards.Source | None:
    """The set of `load_set`, not loaded."""
    name = getattr(run.data, split)
    if not name:
        return None
    if name != "demo" and config.locate(name).exists():
        return dataclasses.replace(shards.open_set(config.locate(name)), name=name)
    found = load_set(run, split)  # Which says what to do where there is no such file.
    return None if found is None else shards.of_set(found, name)


def sweep(
    run: config.Run,
    workdir: Path,
    kinds: tuple[annotate.Kind, ...] = (),
    rows: int | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Runs every row on the test set of a run, prints the table, and writes table, curves and pictures.

    Writes sweep.txt (the table), sweep.json, sweep.npz, loss_against_step.png and bodies.png into the working
    directory; while it runs, pieces of about `rows` people below it, from which the same call goes on if stopped.
    A finished sweep is replaced only with `overwrite`, and only when the new one is whole.
    Of several processes each takes its share of the pieces, and the first one writes and prints.
    """
    began = time.perf_counter()
    _refuse_finished(workdir, overwrite)
    val, test = open_set(run, "val"), open_set(run, "test")
    if test is None:
        raise ValueError("data.test: wanted an annotation set, got no name; pass --data.test FILE")
    kinds = kinds or annotate.kinds_of(test.head)
    for source in (test, val) if val else (test,):
        _check_truth(source.head, run.search.error, source.name)
        for kind in kinds:
            annotate.evidence_of(source.head, kind, source.name)  # Refuses what is absent.
    whole = evaluate.survey(shards.survey(test))
    parts = load_parts(run, workdir, test.head, whole.moving)
    common = {"parts": parts, "kinds": kinds, "run": run, "rows": rows, "below": workdir / "sweep"}
    fixed = _fixed_step(val, **common) if val else 0
    job = _run(test, "test", whole, fixed, **common)
    if not devices.is_first():
        return []
    result = contest.result(job)
    summaries, table = _table(result, whole, test, run, began)
    print(table, flush=True)
    report.write(workdir, run, result, summaries, table, time.perf_counter() - began)
    report.draw(workdir, run, parts, test, result)
    jobs.forget(job._replace(directory=workdir / "sweep"))
    return summaries


def _refuse_finished(workdir: Path, overwrite: bool) -> None:
    file = workdir / report.NAME
    if file.exists() and not overwrite:
        raise ValueError(
            f"{file}: a finished sweep is there{_again(workdir / report.TABLE)}; choose another --workdir, or pass "
            "--overwrite"
        )


def _again(table: Path) -> str:
    """Where its table is, of sweeps that kept it, and how to see it."""
    return f", its table in {table} (cat {shlex.quote(str(table))})" if table.exists() else ""


def _table(
    result: contest.Result,
    whole: evaluate.Whole,
    test: shards.Source,
    run: config.Run,
    began: float,
) -> tuple[list[dict[str, Any]], str]:
    """The rows, and the table as text."""
    base = result.rows[0].scores
    summaries = [evaluate.summary(row, base, whole.groups) for row in result.rows]
    width = evaluate.name_width(summary["name"] for summary in summaries)
    lines = [report.head(whole, run.data.test), evaluate.header(width=width)]
    lines += [evaluate.line(summary, width) for summary in summaries]
    solid, seconds = evaluate.sees_joints(test.head), time.perf_counter() - began
    return summaries, "\n".join([*lines, report.explain(result, solid, run.search.error, seconds)])


def _fixed_step(val: shards.Source, **common: Any) -> int:
    """The step with the least mean error on validation."""
    whole = evaluate.survey(shards.survey(val))
    return choosing.best_fixed_step(contest.gather(_run(val, "val", whole, 0, **common))["curve"])


def _run(
    source: shards.Source,
    split: Literal["val", "test"],
    whole: evaluate.Whole,
    fixed: int,
    *,
    parts: choosing.Parts,
    kinds: tuple[annotate.Kind, ...],
    run: config.Run,
    rows: int | None,
    below: Path,
) -> jobs.Job:
    """The job of one split, finished by all processes together."""
    slots = source.count + source.count % 2
    rows = rows or devices.piece(slots, _PIECE)
    facts = _facts(source, parts, kinds, run) | {"fixed": fixed}
    job = jobs.open_job(below / split, facts, slots, rows, "choose another --workdir")
    entrants = contest.make_contest(
        parts, source.head, kinds, run, fixed=fixed, neutral=whole.neutral, where=source.name,
    )  # fmt: skip
    do = contest.compete if split == "test" else contest.search
    label = "sweep" if split == "test" else "validation"
    jobs.work(job, contest.reader(source), functools.partial(do, entrants), label)
    jobs.wait(job)
    return job


def _facts(
    source: shards.Source,
    parts: choosing.Parts,
    kinds: tuple[annotate.Kind, ...],
    run: config.Run,
) -> dict[str, Any]:
    """All that the scores depend on."""
    search = dataclasses.asdict(run.search)
    search.pop("tile", None)  # Changes no result.
    models = {"denoiser": parts.denoiser.prior, "prior": parts.kit.prior}
    models |= {"residuals": parts.kit.error_model, "frontend": parts.frontend}
    return {
        "data": source.digest,
        "evidence": list(kinds),
        "search": search,
        "guided": {kind: dataclasses.asdict(getattr(run.guided, kind)) for kind in kinds},
        "body": jobs.fingerprint(parts.judge[:3]),
        **{name: jobs.fingerprint(_arrays(model)) for name, model in models.items()},
    }


def _arrays(model: Any) -> Any:
    """The arrays of a part: a prior carries the name of its layout too."""
    return model.prior if isinstance(model, annotate.LoadedPrior) else model
