"""A file of annotations in, a file of better ones out."""

from pathlib import Path

import numpy as np

from diffjax import annotate, body, config, simulate
from diffjax.data import records
from diffjax.pose import Refined


def refine_file(
    run: config.Run,
    data: str,
    out: Path,
    *,
    kind: annotate.Kind | None = None,
    mode: str = "guided",
    workdir: Path | None = None,
) -> str:
    """Writes the set `data` with its estimates refined; says what the evidence thinks of them.

    Args:
      data: an annotation set (file or directory of shards), or `demo`.
      out: the file to write, whole or not at all.
      kind: of evidence; by default the first that the set holds.
      workdir: where the prior was trained, for a run that names none (default: runs/NAME).
    """
    _check_out(data, out)
    annotations = load_set(run, data)
    kind = kind or _first_kind(annotations, data)
    kit = load_kit(run, mode, workdir or Path("runs") / run.name)
    settings = getattr(run.guided, kind)
    refined, ms = annotate.refine_set(kit, annotations, kind, settings, mode=mode, where=data)
    records.write(out, annotate.with_refined(annotations, refined))
    return f"{out}: {describe(refined, kind)}, {ms:.2f} ms a person"


def _check_out(data: str, out: Path) -> None:
    """Refuses before the work is done what could not be written, or would be lost."""
    if out.suffix != ".npz":
        raise ValueError(f"{out}: wanted a file name ending in .npz; choose another --out")
    source = Path(data).resolve()
    if data != "demo" and source in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"{out}: wanted another file than the input {data}; choose another --out")


def load_set(run: config.Run, data: str) -> records.AnnotationSet:
    """The annotation set of a path; `demo` is the demo's test set."""
    if data != "demo":
        return records.read(data)
    if not run.parts.frontend:
        raise ValueError(
            "data demo: wanted a keypoint frontend, found none; pass --parts.frontend FILE"
        )
    paths = (config.locate(path) for path in (run.parts.frontend, run.data.body))
    return simulate.demo_sets(*paths)[1]


def _first_kind(annotations: records.AnnotationSet, data: str) -> annotate.Kind:
    kinds = annotate.kinds_of(annotations)
    if not kinds:
        fields = ", ".join(annotate.FIELD_OF.values())
        raise ValueError(f"{data}: fields {fields}: wanted evidence, found none; add one of them")
    return kinds[0]


def load_kit(run: config.Run, mode: str, workdir: Path) -> annotate.Kit:
    """What a mode needs of the parts of a run, and no more."""
    model = body.load_body(config.locate(run.data.body))
    prior, residuals = run.parts.prior or run.parts.denoiser or workdir, run.parts.residuals
    return annotate.Kit(
        run.data.body,
        model,
        annotate.load_prior(prior, model) if mode == "guided" else None,
        annotate.load_error_model(residuals) if mode == "fast" and residuals else None,
    )


_QUALITY = {
    "labels": ("reprojection", "px", "of reprojection"),
    "detections": ("reprojection", "px", "of reprojection"),
    "joints3d": ("joints3d", "mm", "to the joints"),
}


def describe(refined: Refined, kind: annotate.Kind) -> str:
    """What one kind of evidence says before and after, over the people of whom it says anything."""
    name, unit, what = _QUALITY[kind]
    before, after = (refined.quality[f"{name}{when}_{unit}"] for when in ("_before", ""))
    seen = np.asarray(before) > 0  # 0 where there is no evidence.
    change = "no evidence"
    if seen.any():
        change = f"{before[seen].mean():.1f} -> {after[seen].mean():.1f} {unit} {what}"
    kept = int(np.sum(refined.quality["kept"]))
    return f"{change} ({kind}), {len(seen)} people, {kept} kept as they came"
