"""A finished contest in words, files and pictures."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, body, choosing, config, contest, evaluate, plots
from diffjax.data import jobs, records, shards
from diffjax.pose import Pose

NAME, TABLE = "sweep.json", "sweep.txt"
_QUANTITY = {
    "pa_mpjpe": ("PA-MPJPE", "mm"),
    "mpjpe": ("MPJPE", "mm"),
    "reprojection": ("reprojection", "px"),
}


def head(whole: evaluate.Whole, where: str) -> str:
    """Whose people they are."""
    people, sequences = len(whole.groups), len(np.unique(whole.groups))
    source = "generated motion, simulated cameras and keypoints" if where == "demo" else where
    return f"{people} people in {sequences} sequences: {source}"


def explain(result: contest.Result, solid: bool, error: str, seconds: float) -> str:
    """What the table says, in words, with the numbers of this run. `solid`: judged by 3D joints."""
    arrays, curve = result.arrays, result.curve
    known = np.isfinite(curve[:, 0]) & np.isfinite(arrays["error/oracle"])

    def gain(name):
        """Of the people whose errors are numbers."""
        change = curve[known, 0] - arrays[f"error/{name}"][known]
        return float(np.nanmean(change)) if len(change) else float("nan")

    names = [name.removeprefix("error/") for name in arrays if name.startswith("error/control")]
    stop = arrays["stop"].astype(np.int64)
    quantity, unit = _quantity(solid, error)
    shown = "truth" if solid else "2D keypoints it is judged by"
    return (
        f"PA: PA-MPJPE. mm and degrees; change: 95 % interval over sequences; better, worse: share of people, worse "
        f"by more than 1 mm.\n\nBy looking at the {shown} the oracle gains {gain('oracle'):.2f} {unit} of {quantity}. "
        "Under the same oracle, moves that know nothing gain "
        + ", ".join(f"{gain(name):.2f} ({name.removeprefix('control, ')})" for name in names)
        + ".\nOracle minus control, what the denoiser itself is worth: "
        + ", ".join(f"{gain('oracle') - gain(name):+.2f}" for name in names)
        + f" {unit}.\nAlgorithm 1 needs {int(np.sum(stop * (stop + 1) // 2))} denoiser calls here. "
        f"{seconds:.0f} s in all." + _unknown(known)
    )


def _unknown(known: np.ndarray) -> str:
    """A sentence about those whose error is no number."""
    if known.all():
        return ""
    return (
        f"\n{(~known).sum()} of {len(known)} people have no finite error; they keep their estimate."
    )


def _quantity(solid: bool, error: str) -> tuple[str, str]:
    """What the oracle minimises, and its unit."""
    return _QUANTITY[error if solid else "reprojection"]


def write(
    workdir: Path,
    run: config.Run,
    result: contest.Result,
    summaries: Any,
    table: str,
    seconds: float,
) -> None:
    """sweep.txt, sweep.json and sweep.npz."""
    facts = {
        "run": dataclasses.asdict(run), "device": str(jax.local_devices()[0]),
        "devices": jax.device_count(), "seconds": seconds, "rows": summaries,
    }  # fmt: skip
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / TABLE).write_text(f"{table}\n", encoding="utf-8")
    jobs.write_json(workdir / NAME, without_nan(facts))
    records.save_arrays(workdir / "sweep.npz", result.arrays)


def without_nan(value: Any) -> Any:
    """What is not a number is null in JSON."""
    if isinstance(value, dict):
        return {key: without_nan(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(x) for x in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def draw(
    workdir: Path,
    run: config.Run,
    parts: choosing.Parts,
    source: shards.Source,
    result: contest.Result,
) -> None:
    """The paper's Fig. 4, and its Fig. 5 for a person whom both the oracle and the guidance help."""
    solid = evaluate.sees_joints(source.head)
    name, unit = _quantity(solid, run.search.error)
    known = np.isfinite(result.curve).all(1)
    if known.any():
        plots.loss_against_step(
            result.curve[known], workdir / "loss_against_step.png", quantity=name, unit=unit
        )
    try:
        faces = body.load_faces(config.locate(run.data.body))
    except ValueError as error:
        print(f"bodies.png is left out: {error}", flush=True)
        return
    shown = _shown(run, parts, source.take(np.asarray([result.example["id"]])), result, unit)
    pose_body = jax.jit(body.pose_body)
    meshes = [pose_body(parts.kit.model, p.rotations, p.betas).vertices for _, p in shown]
    plots.bodies(meshes, faces, [title for title, _ in shown], workdir / "bodies.png")


def _shown(
    run: config.Run,
    parts: choosing.Parts,
    one: records.AnnotationSet,
    result: contest.Result,
    unit: str,
) -> list[tuple[str, Pose]]:
    """One person with titles: the estimate, some steps, guided, and the truth where it is known."""
    who, example = result.example["id"], result.example
    best = int(result.arrays["step/oracle"][who])
    steps = sorted({0, best // 2, best, run.search.max_step})
    named = {best: f"step {best}, the oracle's", 0: "estimate"}
    poses = jax.jit(
        lambda p: choosing.candidates(parts.denoiser, run.search, p, jnp.asarray([who]), 0)
    )(annotate.estimate_of(one))
    shown = [
        (
            f"{named.get(s, f'step {s}')}: {result.curve[who, s]:.0f} {unit}",
            jax.tree.map(lambda x, s=s: x[s, 0], poses),
        )
        for s in steps
    ]
    if "people" in example:
        title = f"guided by {example['sees']}: {example['pa_mpjpe_mm']:.0f} mm"
        shown.append((title, jax.tree.map(lambda x: x[0], example["people"])))
    if one.pose is not None and one.betas is not None:
        shown.append(("truth", Pose(one.pose[0], one.betas[0])))
    return shown
