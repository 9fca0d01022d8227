"""What is true of the people of a set under a protocol, and how it is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax import body, chunks, config, devices, evaluate, skeleton
from diffjax.data import records
from diffjax.pose import Pose
from diffjax.protocols.protocol import Protocol

GENDERS = ("neutral", "male", "female")


class Bodies(NamedTuple):
    """The bodies that truth was posed with, by gender; predictions are posed with the neutral one."""

    genders: tuple[str, ...]
    models: tuple[body.BodyModel, ...]
    joints: tuple[body.KeypointModel, ...]


class Truth(NamedTuple):
    """One row a person; what is not known is masked."""

    joints: np.ndarray
    """(N, J, 4): metres, any origin; weight."""
    pose: Pose
    """The estimate's where no pose is known."""
    turned: np.ndarray
    """(N,) whether the true rotations are known."""
    body: np.ndarray
    """(N,) which of the bodies posed the joints; -1 where they are cached, or nothing is known."""
    told: tuple[str, ...]
    """How many rows are known in what way."""


def load_bodies(neutral: str, gendered: Sequence[str | Path], joints: str) -> Bodies:
    """The run's body, and male and female ones; ValueError where a file lacks the regressor."""
    if len(gendered) not in (0, 2):
        raise ValueError(f"--bodies: wanted male and female, found {len(gendered)} files")
    paths = [config.locate(neutral), *map(Path, gendered)]
    models = tuple(body.load_body(path) for path in paths)
    sizes = {len(model.template) for model in models}
    if len(sizes) > 1:
        raise ValueError(
            f"--bodies: wanted meshes like that of {neutral}, found {sorted(sizes)} vertices; vertices of "
            "other meshes cannot be compared (--data.body names the neutral body)"
        )
    seen = zip(models, paths)
    folded = tuple(body.fold_keypoints(m, body.load_regressor(path, joints)) for m, path in seen)
    return Bodies(GENDERS[: len(paths)], models, folded)


def truth_of(
    protocol: Protocol, bodies: Bodies, a: records.AnnotationSet, own: evaluate.Truth, where: str
) -> Truth:
    """The truth of a set, whose pose and betas may be NaN. ValueError where nobody's is known."""
    count = records.count(a)
    pose, turned = _poses(a)
    posed = _bodies_of(protocol, bodies, a, turned)
    names = skeleton.keypoint_set(protocol.joints)
    joints = np.zeros((count, len(names), 4), np.float32)
    cached = _cached(protocol, a, own)
    if cached is not None:
        joints = cached.copy()
    if protocol.truth != "table":
        for index, model in enumerate(bodies.joints):
            rows = np.flatnonzero(posed == index)
            if len(rows):
                some = Pose(pose.rotations[rows], pose.betas[rows])
                joints[rows] = _ones(_posed_joints(some, model))
    known = (joints[..., 3] > 0).any(-1)
    told = _told(protocol, bodies, a, posed, known)
    if protocol.truth != "image" and protocol.truth != "table" and not known.any():
        raise ValueError(_nothing(protocol, bodies, a, where))
    return Truth(joints, pose, turned, posed, told)


def _poses(a: records.AnnotationSet) -> tuple[Pose, np.ndarray]:
    """True poses, the estimate's where there are none; and which rows have one."""
    if a.pose is None or a.betas is None:
        return Pose(a.pred_pose, a.pred_betas), np.full(records.count(a), False)
    finite = np.isfinite(a.pose).all((1, 2, 3)), np.isfinite(a.betas).all(1)
    numbers = np.logical_and(*finite)
    pose = np.where(numbers[:, None, None, None], a.pose, a.pred_pose)
    return Pose(pose, np.where(numbers[:, None], a.betas, a.pred_betas)), numbers


def _bodies_of(
    protocol: Protocol, bodies: Bodies, a: records.AnnotationSet, turned: np.ndarray
) -> np.ndarray:
    """The index of each row's own body, -1 where it is not given or the truth is not to be posed."""
    if protocol.truth in ("joints", "image"):
        return np.full(len(turned), -1)
    gender = np.full(len(turned), "neutral") if a.gender is None else a.gender
    index = np.full(len(turned), -1)
    for i, name in enumerate(bodies.genders):
        index[(gender == name) & turned] = i
    return index


def _cached(protocol: Protocol, a: records.AnnotationSet, own: evaluate.Truth) -> np.ndarray | None:
    if protocol.truth == "table":
        if own.joints is None:
            return None
        known = np.isfinite(own.joints).all(-1, keepdims=True)
        return np.where(known, own.joints, np.float32(0))
    if a.keypoints3d is None or a.keypoints3d_set not in protocol.cached:
        return None
    index = np.asarray(skeleton.keypoint_map(a.keypoints3d_set, protocol.joints))
    points = a.keypoints3d[:, np.maximum(index, 0)]
    seen = (points[..., 3] > 0) & (index >= 0)
    return np.concatenate([points[..., :3], seen[..., None].astype(np.float32)], -1)


def _posed_joints(people: Pose, model: body.KeypointModel) -> np.ndarray:
    how: dict[str, Any] = {"size": devices.rows_at_once(), "label": "truth", "bar": False}
    return chunks.in_chunks(_pose, people, model, **how)[0]


def _pose(people: Pose, model: body.KeypointModel):
    return body.pose_keypoints(model, people.rotations, people.betas)


def _ones(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones_like(points[..., :1])], -1)


def _told(
    protocol: Protocol,
    bodies: Bodies,
    a: records.AnnotationSet,
    posed: np.ndarray,
    known: np.ndarray,
) -> tuple[str, ...]:
    if protocol.truth == "image":
        return ()
    lost = f"{int((~known).sum())} of {len(known)} rows have no truth and are not judged"
    if protocol.truth == "table":
        return () if known.all() else (lost,)
    counts = [(int((posed == i).sum()), name) for i, name in enumerate(bodies.genders)]
    said = [f"{n} rows: truth posed on the {name} body" for n, name in counts if n]
    cached = int((known & (posed < 0)).sum())
    if cached:
        said.append(f"{cached} rows: truth is the set's 3D joints ({a.keypoints3d_set})")
    if not known.all():
        said.append(lost)
    return tuple(said)


def _nothing(protocol: Protocol, bodies: Bodies, a: records.AnnotationSet, where: str) -> str:
    genders = "" if a.gender is None else f" ({', '.join(np.unique(a.gender).tolist())})"
    found = [f"a pose{genders}"] if a.pose is not None else []
    found += [f"keypoints3d of {a.keypoints3d_set}"] if a.keypoints3d is not None else []
    wanted = f"3D joints of {' or '.join(protocol.cached)} (field keypoints3d)"
    step = "convert the truth of this data set: see docs/evaluation.md, Protocols by name"
    if protocol.truth == "body":
        wanted += f", or a pose of a {' or '.join(bodies.genders)} body"
        step = "give --bodies MALE.npz FEMALE.npz, or " + step
    return f"{where}: protocol {protocol.name}: wanted {wanted}, found {' and '.join(found) or 'neither'}; {step}"
