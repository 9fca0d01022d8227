"""What the rows of a method are worth without the truth: told by validation people, judged on the others."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import ablation, config, evaluate
from diffjax.comparison import people, telling
from diffjax.comparison.evidence import posed
from diffjax.comparison.method import Kit, Method, Outcome, Task
from diffjax.confidence import files, judging, part_way, rivals, signals
from diffjax.data import jobs, records
from diffjax.methods.keypoint_noise import ASSUMED
from diffjax.pose import Refined


class Asked(NamedTuple):
    """What is asked of the quality of rows."""

    much: config.Quality = "cheap"
    max_harm: float | None = None
    more: tuple[people.Crowd, ...] = ()
    """People whose truth is known who tell what signals are worth, beside those of validation."""


class Worth(NamedTuple):
    """Of a row, by the people of the table."""

    signals: signals.Signals
    expected: judging.Worth
    calibration: files.Calibration
    seconds: float
    """By the clock, for all signals and all fits behind them."""
    poses: str = ""
    """Where the known poses come from that signals were made with."""


def facts(asked: Asked | None) -> Any:
    """All that a row's quality depends on beside the row."""
    if asked is None:
        return None
    crowds = [records.arrays_of(crowd.people.annotations) for crowd in asked.more]
    return [asked.much, asked.max_harm, [jobs.fingerprint(arrays) for arrays in crowds]]


def of(
    entry: Method, task: Task, kit: Kit, test: people.Crowd, outcome: Outcome, asked: Asked
) -> Worth | None:
    """The worth of a row; None for what sees the truth, or where too few people know it."""
    crowds = [crowd for crowd in (task.val, *asked.more) if crowd is not None]
    crowds = [crowd for crowd in crowds if telling.usable(crowd, task.kind)]
    if entry.oracle or not outcome.honest or not crowds:
        return None
    began = time.perf_counter()
    told = telling.told_of(entry, task, kit, crowds)
    found, before, after, groups = [], [], [], []
    for crowd in crowds:
        refined = telling.again(entry, task, kit, crowd)(crowd.people.annotations)
        rows = crowd.people.seen
        some = telling.signals_of(entry, task, kit, crowd, refined, told, asked.much)
        found.append({name: x[rows] for name, x in some.items()})
        before.append(crowd.people.base.pa_mpjpe_mm[rows])
        after.append(_on_the_way(crowd.people, refined)[rows])
        groups.append(telling.sequences(crowd.people.annotations)[rows])
    whole = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    assert told.errors is not None
    assert told.guidance is not None
    calibration = judging.calibrate(
        telling.origin_of(entry, task, kit, test, asked.much),
        whole,
        np.concatenate(before),
        np.concatenate(after),
        np.concatenate(groups),
        told.errors,
        told.guidance,
    )
    poses = ""
    if told.known is not None and rivals.are_told(calibration.error.scale.names):
        poses = kit.run.parts.poses or kit.run.data.train
        poses_of = jobs.fingerprint(kit.guided.poses)
        calibration = calibration._replace(poses=poses_of, noise=told.known.noise)
    own = telling.signals_of(entry, task, kit, test, outcome.refined, told, asked.much)
    expected = judging.expect(calibration, own)
    return Worth(own, expected, calibration, time.perf_counter() - began, poses)


def _on_the_way(given: ablation.People, refined: Refined) -> np.ndarray:
    """(people, shares) PA-MPJPE at each share of the way from the estimates."""
    count = records.count(given.annotations)
    bare = Refined(posed(refined), refined.translation, {})
    met = (part_way.sent(given.annotations, bare, np.full(count, x)) for x in judging.SHARES)
    return np.stack([ablation.scored(given, some).pa_mpjpe_mm for some in met], -1)


def gated(worth: Worth, test: people.Crowd, outcome: Outcome, max_harm: float) -> Outcome:
    """The row with those left alone of whom too little gain is expected."""
    share = judging.way(worth.calibration, worth.expected, max_harm)
    refined = Refined(posed(outcome.refined), outcome.refined.translation, {"refined": share})
    sent = part_way.sent(test.people.annotations, refined, share)
    return outcome._replace(name=gated_name(outcome.name, max_harm), refined=sent)


def gated_name(name: str, max_harm: float) -> str:
    """Of the row beside the one of that name. The share is an aim: whom the gate really harms stands in the row."""
    return f"{name}, gated, aim {100 * max_harm:g} %"


def row(
    worth: Worth, test: ablation.People, scores: evaluate.Scores, out: Path, name: str
) -> dict[str, Any]:
    """How good the expectations are, by the truth of the people of the table; and the file that has them."""
    rows = test.seen
    expected = judging.Worth(*(x[rows] for x in worth.expected))
    pair = test.base.pa_mpjpe_mm[rows], scores.pa_mpjpe_mm[rows]
    told = {"told_by": len(worth.calibration.change_mm), "seconds": worth.seconds}
    told |= {"known_poses": worth.poses, "keypoints_px": _learned_px(worth.calibration)}
    file = save(worth, out, name)
    return {"quality": judging.quality(expected, *pair) | told | {"file": file}}


def _learned_px(calibration: files.Calibration) -> list[float] | None:
    """Standard deviations of good and bad keypoints, where these people told them."""
    noise = calibration.noise
    return None if noise is ASSUMED else np.asarray(noise.px).tolist()


def mild(
    row: dict[str, Any], ungated: dict[str, Any], max_harm: float, outcome: Outcome
) -> dict[str, Any]:
    """The row of a gate: how many it lets go how far, how much of the gain that keeps, and its command."""
    command, whole = row["command"], ungated["pa_change_mm"]
    if command is not None:
        file, poses = (ungated["quality"][name] for name in ("file", "known_poses"))
        command = f"{command} --quality-from {file} --max-harm {max_harm:g}"
        command += f" --parts.poses {shlex.quote(poses)}" * bool(poses)
    kept = row["pa_change_mm"] / whole if whole else None
    share = np.asarray(outcome.refined.quality["refined"])
    gate = {"max_harm": max_harm, "gain_kept": kept, "refined": float((share > 0).mean())}
    name = gated_name(row["method"], max_harm)
    return row | {"name": name, "command": command, **gate, "way": float(share.max(initial=0.0))}


def arrays(worth: Worth) -> dict[str, np.ndarray]:
    """What is kept of every person."""
    return worth.signals | {
        "expected_pa_mpjpe_mm": worth.expected.error_mm,
        "expected_gain_mm": worth.expected.gain_mm,
        "gain_score": worth.expected.gain_score,
    }


def save(worth: Worth, out: Path, name: str) -> str:
    """Writes the calibration; where, in words of a command line."""
    file = out / "quality" / f"{name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    files.save(file, worth.calibration)
    return str(file)


def lines(row: dict[str, Any]) -> Iterator[str]:
    """The quality of a row, as the terminal shows it."""
    if row.get("gain_kept") is not None:
        kept = f"keeps {100 * row['gain_kept']:.0f} % of the mean gain"
        if row["gain_kept"] < 0:
            kept = "its mean gain has the opposite sign of the one without a gate"
        yield (
            f"    {kept}; {100 * row['harmed']:.1f} % harmed, {100 * row['max_harm']:.0f} % aimed at; "
            f"{100 * row['refined']:.0f} % of the people go {100 * row['way']:.0f} % of the way to the fit"
        )
    q = row.get("quality")
    if not q:
        return
    error, gain, share = (
        "-" if q[name] is None or not np.isfinite(q[name]) else f"{scale * q[name]:.{digits}f}"
        for name, scale, digits in (
            ("spearman_error", 1, 2),
            ("spearman_gain", 1, 2),
            ("aurc_share", 100, 0),
        )
    )
    yield (
        f"    quality without truth: rank correlation {error} with the error, {gain} with the gain; risk-coverage "
        f"{share} % of the way from random to oracle"
    )
    if not q["regret_ungated_mm"] or not np.isfinite(q["regret_ungated_mm"]):
        return
    yield (
        f"    keeping whoever is expected to gain: {q['regret_mm']:.1f} mm from the better of both for everybody "
        f"({q['regret_ungated_mm']:.1f} without a choice); told by {q['told_by']} people"
    )
    if q.get("keypoints_px"):
        good, bad = q["keypoints_px"]
        yield f"    their keypoints err by {good:.1f} px a coordinate, bad ones by {bad:.1f}"
