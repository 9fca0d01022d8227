"""A file of annotations in, a file of better ones out: piece by piece, and on from where it was stopped."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import (
    annotate,
    body,
    config,
    devices,
    fitting,
    objective,
    refine_groups,
    simulate,
    smoothing,
)
from diffjax.confidence import files, judging, modes, rivals
from diffjax.data import checks, jobs, records, shards
from diffjax.fitting import rates
from diffjax.pose import Refined
from diffjax.sequences import refining

_PIECE = 2048
"""People of a piece, more or less: what a killed run has to do again."""
_FAR = 0.25
"""Boxes from their keypoints, on average: detectors err by some hundredths, wrong sets by more than one."""
_LEANING = ("fast", "combined")
"""Modes that know how the frontend errs."""


def refine_file(
    run: config.Run,
    data: str,
    out: Path,
    *,
    kind: annotate.Kind | None = None,
    mode: str = "",
    workdir: Path | None = None,
    rows: int | None = None,
    quality_from: Path | None = None,
    max_harm: float | None = None,
    fps: float = smoothing.RATE,
) -> str:
    """Writes the set `data` with its estimates refined; says what the evidence thinks of them.

    The same call again goes on where a stopped one was. Of several processes each refines its share,
    and the first one writes the whole and has something to say.

    Args:
      data: an annotation set (file or directory of shards), or `demo`.
      out: a file to write, whole or not at all; or a directory, in which shards appear one by one.
      kind: of evidence; by default the first that the set holds.
      mode: `guided`, `fast`, `combined`, `recall`, `recall+combined`, `scorehmr` or `d3prefiner` (of a sequence set);
        by default that of the run.
      workdir: where the prior was trained, for a run that names none (default: runs/NAME).
      rows: of a piece; by default about 2048.
      quality_from: a calibration; then the file NAME_quality.npz beside the output says what to expect of each row.
      max_harm: leaves those alone of whom too little is expected, and takes the others as far to their fit as pays, so
        that at most this share gets worse.
      fps: frames a second of tracks: the run's settings of them are meant at 30.
    """
    if max_harm is not None and quality_from is None:
        raise ValueError(
            "--max-harm: wanted a calibration to tell who is likely to be harmed, found none; pass "
            "--quality-from FILE, which scripts/evaluate.py --quality cheap writes"
        )
    if (mode or run.mode) == "d3prefiner":
        if quality_from is not None:
            raise ValueError(
                f"--quality-from {quality_from}: wanted an annotation set, found mode d3prefiner, of sequence sets; "
                "choose another --mode"
            )
        return refining.refine_file(run, data, out, workdir)
    video = rates.at_rate(run.scorehmr.video, fps)
    run = dataclasses.replace(run, scorehmr=dataclasses.replace(run.scorehmr, video=video))
    _check_out(data, out)
    source = open_set(run, data)
    kind, mode = kind or _first_kind(source.head, data), mode or run.mode
    annotate.evidence_of(source.head, kind, data)  # Refuses what is absent.
    told = None if quality_from is None else files.load(config.locate(quality_from))
    known = told is not None and rivals.are_told(told.error.scale.names)
    kit = load_kit(run, mode, workdir or Path("runs") / run.name, known)
    if mode == "scorehmr" or quality_from is not None:
        asked = dataclasses.replace(run, mode=mode)  # pyright: ignore[reportArgumentType]
        way = _mode(asked, source, kind, kit, told, str(quality_from), max_harm)
        return _refine_groups(asked, source, out, way, rows)
    settings = getattr(run.guided, kind)
    refiner = annotate.make_refiner(kit, source.head, kind, settings, mode)
    rows = rows or devices.piece(source.count, _PIECE)
    job = _open_job(out, source, _facts(source, refiner, kit, settings, mode), rows)
    do = functools.partial(_refine, refiner=refiner, where=data)
    jobs.work(job, source.read, do, refiner.name)
    jobs.wait(job)
    if not devices.is_first():
        return ""
    notes = jobs.notes(job)
    _join(job, out, source, notes)
    refine_groups.beside(out).unlink(missing_ok=True)  # It told of a set that was there before.
    ms = 1e3 * sum(note["seconds"] for note in notes) / source.count
    return f"{out}: {describe(notes, kind)}, {ms:.2f} ms a person"


def _mode(
    run: config.Run,
    source: shards.Source,
    kind: annotate.Kind,
    kit: annotate.Kit,
    found: files.Calibration | None,
    where: str,
    max_harm: float | None,
) -> modes.Mode:
    """The run's mode, with what is told of each row."""
    told = modes.told_of(kit, source.head, kind, found)
    much = run.scorehmr.quality
    if run.mode == "scorehmr":
        mode = modes.of_fitter(
            fitting.make_fitter(kit, source.head, kind, run.scorehmr), told, much
        )
    else:
        settings = getattr(run.guided, kind)
        refiner = annotate.make_refiner(kit, source.head, kind, settings, run.mode)
        matters = {name: getattr(settings, name) for name in modes.MATTERS[run.mode]}
        mode = modes.of_refiner(refiner, matters, told, much)
    if found is None:
        return mode
    origin = modes.origin_of(run, kind, mode.use)
    return modes.calibrated(mode, found, max_harm, origin, where)


def _refine_groups(
    run: config.Run, source: shards.Source, out: Path, mode: modes.Mode, rows: int | None
) -> str:
    """Rows alone, tracks, or views of one person, and what they are worth. Says the table where the truth is known."""
    there = out.suffix and out.exists()
    directory = out.with_name(f".{out.name}.part")
    if not out.suffix and out.exists() and not jobs.is_begun(directory):
        raise ValueError(f"{out}: already exists; choose another --out, or remove it first")
    job, people, plan = refine_groups.begin(directory, source, mode, rows or 0)
    refine_groups.work(job, people, plan, mode)
    jobs.wait(job)
    if not devices.is_first():
        return ""
    better, quality, seconds = refine_groups.gather(job, people)
    beside = refine_groups.save(out, better, quality)
    jobs.forget(job)
    lines = refine_groups.table(run, mode.name, people, better, mode.use, seconds)
    refined, seen = int((quality["refined"] > 0).sum()), quality["reprojection_px_before"] > 0
    said = ""
    if seen.any():
        fit = f"the fit saw it{'' if mode.max_harm is None else ', before the gate'} ({mode.name})"
        px = (quality[f"reprojection_px_{when}"][seen].mean() for when in ("before", "after"))
        said = f"{' -> '.join(f'{error:.1f}' for error in px)} px of reprojection as {fit}, "
    ms = 1e3 * seconds / source.count
    last = (
        f"{out}: {said}{source.count} people, {source.count - refined} as they came, {ms:.2f} ms a person; "
        f"the quality of each is in {beside}"
    )
    hint = refine_groups.hint(people, mode.use, run.scorehmr.use)
    replaced = [f"{out} was there before: replaced"] if there else []
    said = [*_doubts(quality), *_expectations(mode, quality), *replaced, *hint]
    return "\n".join([*lines, last, *said])


def _doubts(quality: dict[str, np.ndarray]) -> list[str]:
    """A warning where most keypoints cannot be of these people."""
    if "gain" not in quality:
        return []
    before, after = (quality[f"reprojection_px_{when}"] for when in ("before", "after"))
    gain = quality["gain"]
    sure = (gain != 0) & (before != after)  # The gain is in boxes of the person.
    off = after[sure] * gain[sure] / (before[sure] - after[sure])
    if not len(off) or np.median(off) < _FAR:
        return []
    return [
        f"Warning: half of the people end {100 * np.median(off):.0f} % of their keypoints' box or more from their "
        "keypoints. Are these of another keypoint set, image size, or order of rows?"
    ]


def _expectations(mode: modes.Mode, quality: dict[str, np.ndarray]) -> list[str]:
    """What a calibration says of everybody, and whether it may be believed."""
    if mode.calibration is None:
        return []
    after, share = quality["expected_pa_mpjpe_mm"], quality["refined"]
    before = after + share * quality["expected_gain_mm"]
    went = share[share > 0]
    far = f"{len(went)} people went {went.mean() if len(went) else 0:.1f} of the way to the fit"
    said = [f"expected PA-MPJPE: {before.mean():.1f} -> {after.mean():.1f} mm; {far}"]
    strange = judging.unlike(mode.calibration, quality)
    if strange:
        said.append(
            f"Warning: these people are unlike those of the calibration ({', '.join(strange[:3])}): neither what is "
            "expected nor a limit of harm holds for them. Make a calibration of your estimator's people: "
            "scripts/evaluate.py --data WITH_TRUTH.npz --val OTHERS.npz --quality cheap"
        )
    return said


def _check_out(data: str, out: Path) -> None:
    """Refuses before the work is done what could not be written, or would be lost."""
    if out.suffix not in (".npz", ""):
        raise ValueError(
            f"{out}: wanted a file name ending in .npz, or a directory; choose another --out"
        )
    source = Path(data).resolve()
    if data not in simulate.DEMOS and source in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"{out}: wanted another file than the input {data}; choose another --out")


def open_set(run: config.Run, data: str) -> shards.Source:
    """The annotation set of a path, not loaded; `demo` is the demo's test set."""
    if data not in simulate.DEMOS:
        return shards.open_set(data)
    if not run.parts.frontend:
        raise ValueError(
            f"data {data}: wanted a keypoint frontend, found none; pass --parts.frontend FILE"
        )
    paths = (config.locate(path) for path in (run.parts.frontend, run.data.body))
    return shards.of_set(simulate.demo_split(data, *paths)[1], data)


def _first_kind(head: records.AnnotationSet, data: str) -> annotate.Kind:
    kinds = annotate.kinds_of(head)
    if not kinds:
        fields = ", ".join(annotate.FIELD_OF.values())
        raise ValueError(
            f"{data}: fields {fields}: wanted evidence, found none; add keypoints to it with "
            f"scripts/convert.py coco, openpose or join, --estimates {data}"
        )
    return kinds[0]


def load_kit(run: config.Run, mode: str, workdir: Path, poses: bool = False) -> annotate.Kit:
    """What a mode needs of the parts of a run, and no more; known `poses` where they are asked for."""
    model = body.load_body(config.locate(run.data.body))
    prior, residuals = run.parts.prior or run.parts.denoiser or workdir, run.parts.residuals
    conditioned, parts = mode == "scorehmr", mode.split("+")
    alone = mode in ("fast", "recall")
    return annotate.Kit(
        run.data.body,
        model,
        None if alone else annotate.load_prior(prior, model, conditioned=conditioned),
        annotate.load_error_model(residuals) if residuals and parts[-1] in _LEANING else None,
        objective.known_poses(run) if poses or "recall" in parts else None,
    )


def _facts(
    source: shards.Source,
    refiner: annotate.Refiner,
    kit: annotate.Kit,
    settings: config.Guidance,
    mode: str,
) -> dict[str, Any]:
    """All that a result depends on."""
    known = {
        "prior": kit.prior and kit.prior.prior,
        "residuals": kit.error_model,
        "poses": kit.poses,
    }
    return {
        "data": source.digest,
        "evidence": refiner.kind,
        "mode": mode,
        "guidance": {name: getattr(settings, name) for name in modes.MATTERS[mode]},
        "body": jobs.fingerprint(refiner.shared[0]),
        **{name: jobs.fingerprint(part) for name, part in known.items() if part is not None},
    }


def _open_job(out: Path, source: shards.Source, facts: dict[str, Any], rows: int) -> jobs.Job:
    """The job of an output: the directory itself, or one beside the file. Checks all people first."""
    directory = out if not out.suffix else out.with_name(f".{out.name}.part")
    if not jobs.is_begun(directory):
        for _ in shards.survey(source):
            pass
    return jobs.open_job(directory, facts, source.count, rows, "choose another --out")


def _refine(people: records.AnnotationSet, bar: Any, *, refiner, where: str):
    """The fields of better annotations, and what there is to say of them."""
    evidence = annotate.evidence_of(people, refiner.kind, where)
    estimate = annotate.estimate_of(people)
    refined, seconds = annotate.refine_people(refiner, estimate, evidence, bar=bar)
    better = annotate.with_refined(people, refined)
    valid = {"pred_pose": better.pred_pose, "pred_betas": better.pred_betas}
    checks.check_values(valid, f"{where}, refined")
    placed = better.pred_cam_t is not None
    return records.arrays_of(better), {
        **tally(refined, refiner.kind),
        "seconds": seconds,
        "placed": placed,
    }


def _join(job: jobs.Job, out: Path, source: shards.Source, notes: list[dict[str, Any]]) -> None:
    """One file of all pieces; in a directory they only get the same fields."""
    # Someone of whom nobody knows where they stand: then the whole set does not say.
    unplaced = not all(note["placed"] for note in notes)
    leave_out = ["pred_cam_t"] if unplaced else []
    if out.suffix:
        shards.join(jobs.shards(job), out, leave_out)
        return jobs.forget(job)
    for file, note in zip(jobs.shards(job), notes):
        if unplaced and note["placed"]:
            records.write(file, dataclasses.replace(records.read(file), pred_cam_t=None))
    return jobs.tidy(job)


_QUALITY = {
    "labels": ("reprojection", "px", "of reprojection"),
    "detections": ("reprojection", "px", "of reprojection"),
    "joints3d": ("joints3d", "mm", "to the joints"),
}


def tally(refined: Refined, kind: annotate.Kind) -> dict[str, Any]:
    """What one kind of evidence says of some people, as sums over those of whom it says anything."""
    name, unit, _ = _QUALITY[kind]
    before, after = (
        np.asarray(refined.quality[f"{name}{when}_{unit}"], np.float64) for when in ("_before", "")
    )
    seen = before > 0  # 0 where there is no evidence.
    return {
        "people": len(seen),
        "seen": int(seen.sum()),
        "before": float(before[seen].sum()),
        "after": float(after[seen].sum()),
        "kept": int(np.sum(refined.quality["kept"])),
    }


def describe(notes: list[dict[str, Any]], kind: annotate.Kind) -> str:
    """What one kind of evidence says before and after, in words, of the tallies of all people."""
    _, unit, what = _QUALITY[kind]
    names = ("people", "seen", "before", "after", "kept")
    people, seen, before, after, kept = (sum(note[name] for note in notes) for name in names)
    change = "no evidence"
    if seen:
        change = f"{before / seen:.1f} -> {after / seen:.1f} {unit} {what}"
    return f"{change} ({kind}), {people} people, {kept} kept as they came"
