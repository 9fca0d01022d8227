"""What to do with a file: the command that works as it is printed, or what to do before one does."""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.convert.inspection import folders, formats, recognise
from diffjax.convert.inspection.verdict import Finding


class Advice(NamedTuple):
    """A command and what to mind."""

    command: str | None
    note: str


def of(look: recognise.Look, findings: list[Finding]) -> Advice:
    """The line that converts or uses it."""
    if look.format is None:
        return Advice(None, "")
    values = {key: value for finding in findings for key, value in finding.values.items()}
    source = folders.source(look)
    line, note = _CHOICES.get(look.format.name, _as_listed)(look, look.format, values)
    if not line or source.path is None:
        return Advice(None, note if source.path is not None else source.why)
    filled = line.format(**_places(look, source.path, findings)) + source.options
    whole = filled if filled.startswith("python ") else f"python scripts/convert.py {filled}"
    return Advice(whole, note)


def _as_listed(
    look: recognise.Look, row: formats.Format, values: dict[str, Any]
) -> tuple[str, str]:
    return row.command, row.note


def _set(look: recognise.Look, row: formats.Format, values: dict[str, Any]) -> tuple[str, str]:
    """Refining, only where it would run."""
    if values.get("refused"):
        return "", "it is refused as it is: mend what is wrong above, or convert it again"
    if row.name == "evidence":
        return row.command, row.note
    if not values.get("refine"):
        path = shlex.quote(str(look.path))
        other = path if values.get("joins_itself") else "EVIDENCE.npz"
        focal = "--focal PX " if values.get("focal", True) else ""
        join = f"join --estimates {path} --evidence {other} {focal}--out JOINED.npz"
        return "", f"nothing refines it yet; add what it lacks: python scripts/convert.py {join}"
    return row.command + values.get("options", ""), row.note


def _videos(look: recognise.Look, row: formats.Format, values: dict[str, Any]) -> tuple[str, str]:
    return row.command, "" if "estimate3d" in look.fields else row.note


def _motion(look: recognise.Look, row: formats.Format, values: dict[str, Any]) -> tuple[str, str]:
    """Motion has its vertical axis named, which can be y or z."""
    up: dict[str, float] = values.get("up", {})
    best = max(up, key=lambda name: up[name]) if up else "+z"
    if up and up[best] >= 0.5 and best not in ("+y", "+z"):
        if best != "-y":
            return (
                "",
                f"bodies stand along {best}: turn the motion until y or z is up, then convert it",
            )
        note = "it is in camera axes, y down: write it upright, from its set with to-amass --up y"
        return "", f"{note}, and convert that"
    notes = [_other_betas(look.fields)]
    if up and up[best] < 0.5:
        notes.append("no axis is clearly up: z is AMASS's own")
    return row.command, "; ".join(note for note in notes if note)


def _other_betas(fields: dict[str, Any]) -> str:
    size, betas = formats.last(fields, "poses"), fields.get("betas")
    some = isinstance(betas, np.ndarray) and betas.dtype.kind in "fiu" and betas.any()
    body = {156: "SMPL-H", 165: "SMPL-X"}.get(size)
    return f"betas were fitted on {body}" if body and some else ""


def _people_of_openpose(
    look: recognise.Look, row: formats.Format, values: dict[str, Any]
) -> tuple[str, str]:
    source = folders.source(look).path
    nobody = look.fields.get("people") == [] and source is not None and not source.is_dir()
    return (
        ("", "it holds nobody: give the folder of all frames")
        if nobody
        else _as_listed(look, row, values)
    )


def _people_of_coco(
    look: recognise.Look, row: formats.Format, values: dict[str, Any]
) -> tuple[str, str]:
    """Keypoints with their third number; `--estimates` is named, which joins them at once."""
    points = formats.width(look.fields, row.needs.split()[0])
    if points % 3 and points % 2 == 0:
        text = f"{points} numbers a person are x and y without a third: write x, y, score for each keypoint"
        return "", f"{text} (score 1 where none is known), or the detector's own file"
    return row.command, f"{row.note}; --estimates SET.npz joins them to its people at once"


def _dump(look: recognise.Look, row: formats.Format, values: dict[str, Any]) -> tuple[str, str]:
    """Arrays that `generic` can find: in its kinds of file, and not in lists of people."""
    if look.first.suffix not in (".npz", ".npy", ".pt", ".pth", ".pkl", ".pickle", ".joblib"):
        return "", "it looks like a dump of poses: save its arrays as .npz, then inspect that"
    if any(mark in row.needs for mark in ("[]", "*")):
        return (
            "",
            "poses are in lists of people: save them as one array of an .npz, then inspect that",
        )
    return row.command, row.note


def _in_its_folder(
    look: recognise.Look, row: formats.Format, values: dict[str, Any]
) -> tuple[str, str]:
    """MPI-INF-3DHP says by folders alone whose a file is."""
    wanted = {"mpi-inf-3dhp": r"TS[1-6]", "mpi-inf-3dhp-train": r"S[1-8]/Seq[12]"}[row.name]
    bad = [file for file in look.like if not re.search(f"(^|/){wanted}$", _folder(file))]
    if not bad:
        return row.command, row.note
    where = "TS1 to TS6" if row.name == "mpi-inf-3dhp" else "S1/Seq1 to S8/Seq2"
    return "", f"{bad[0].name} must lie in its own folder, {where}, which names the subject"


def _folder(file: Path) -> str:
    return file.resolve().parent.as_posix()


def _body(look: recognise.Look, row: formats.Format, values: dict[str, Any]) -> tuple[str, str]:
    return "", f"it can be used as it is: --data.body {shlex.quote(str(look.path))}"


_CHOICES = {
    "annotation-set": _set,
    "evidence": _set,
    "sequence-set": _videos,
    "amass": _motion,
    "openpose": _people_of_openpose,
    "coco": _people_of_coco,
    "coco-detections": _people_of_coco,
    "ready-body": _body,
    "generic": _dump,
    "mpi-inf-3dhp": _in_its_folder,
    "mpi-inf-3dhp-train": _in_its_folder,
}


_REGRESSORS = {"h36m": "h36m17", "j19": "j19", "j14": "h36m14"}
"""Keypoint sets by what regressors of them are called."""


def _places(look: recognise.Look, path: Path, findings: list[Finding]) -> dict[str, str]:
    """What stands in a command's braces."""
    stem = (path.resolve().name if path.is_dir() else path.stem) or "converted"
    names = {
        "out": _named(stem, "set", path),
        "joined": _named(stem, "joined", path),
        "better": _named(stem, "better", path),
        # SMPL-X's files are often both there, .pkl and .npz.
        "model": _named(stem, "body", path) if path.with_suffix(".npz").exists() else f"{stem}.npz",
        "stem": stem,
    }
    return {
        **{name: shlex.quote(value) for name, value in names.items()},
        "path": shlex.quote(str(path)),
        "folder": shlex.quote(str(path)),
        "up": _up(findings),
        "layout": _layout(findings),
        "six": _six(findings),
        "regressor": next((n for w, n in _REGRESSORS.items() if w in stem.lower()), "NAME"),
    }


def _named(stem: str, ending: str, source: Path) -> str:
    """A name for what is written that is not the source's, and repeats no ending."""
    bare = stem
    for word in ("_set", f"_{ending}") if ending != "better" else ("_better",):
        bare = bare.removesuffix(word)
    name = f"{bare}_{ending}.npz" if bare != ending else f"{bare}.npz"
    return f"{bare}_converted.npz" if name == source.name else name


def _up(findings: list[Finding]) -> str:
    """The vertical axis, if bodies stand along one; AMASS's own without that."""
    ups = [finding.values["up"] for finding in findings if "up" in finding.values]
    return "y" if ups and ups[0]["+y"] > 0.5 else "z"


def _layout(findings: list[Finding]) -> str:
    """OpenPose's name for the keypoints that were found; its default's without any."""
    found = {str(finding.values.get("set")) for finding in findings}
    names = {"openpose18": "coco18", "openpose25b": "body25b"}
    return next((name for ours, name in names.items() if ours in found), "body25")


def _six(findings: list[Finding]) -> str:
    """The 6D layout that fits, else one of them: it has to be chosen."""
    found = [f.values["layout"] for f in findings if f.values.get("layout")]
    return found[0].partition(" ")[0] if found else "6d-columns"
