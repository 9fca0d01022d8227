"""EMDB's sequences: SMPL truth in world coordinates, brought into the moving camera of every frame.

One pickled dict a sequence, P0/09_outdoor_walk/P0_09_outdoor_walk_data.pkl, as the data set's own dataset.md has it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import body
from diffjax.convert import delivery, emdb_files, gendered, pairing, parsing, pw3d_files, rows

_OFF_PX = 2.0
"""Median distance of kp2d, the projected joints, that body, world and camera may have if they are the right ones."""

_JOINTS = jax.jit(body.pose_joints)


@np.errstate(all="ignore")
def read_emdb(
    path: str | Path,
    *,
    part: emdb_files.Part = "emdb1",
    bodies: Sequence[str | Path] = (),
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The truth of every good frame: files by name, then frames. `bodies`: male, female[, neutral].

    They give `cam_t` and `keypoints3d` (smpl24), and prove both by the stored 2D joints, which are the truth's own
    and therefore no evidence: they are not kept.
    """
    models = gendered.by_gender(bodies)
    found = [emdb_files.good_frames(file, part) for file in emdb_files.sequence_files(Path(path))]
    parts = [frames for frames in found if frames is not None]
    if not parts:
        raise ValueError(
            f"{path}: field {part}: wanted a sequence of this part with a good frame, found none; give --part all"
        )
    if len(parts) < len(found):
        say(f"{path}: {len(parts)} of {len(found)} sequences have frames of {part}")
    people = rows.concatenate(parts)
    fields = _fields(people, str(path), say)
    if models:
        fields |= _placed(people, fields, models, str(path))
        _check_projection(people, fields, models, allow_mismatch, str(path), say)
    else:
        say(
            f"{path}: no --bodies, so there are no joints and no cam_t: they need the actor's own body"
        )
    return rows.checked(fields, str(path))


def _fields(
    people: Mapping[str, np.ndarray], where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """What needs no body: the root turned into the camera, cameras, boxes, names."""
    kept = ("betas", "gender", "sequence", "frame", "focal_px", "center_px", "image_size_px")
    fields: dict[str, Any] = {name: people[name] for name in kept}
    angles = np.concatenate([people["root"], people["body"]], -1)
    pose = parsing.rotation_matrices(angles, f"{where}: field smpl").copy()
    pose[:, 0] = people["turn"] @ pose[:, 0]
    names = [name.partition("_") for name in people["sequence"].tolist()]
    fields |= {"pose": pose, "subject": np.array([subject for subject, _, _ in names])}
    images = [
        f"{a}/{b}/images/{i:05d}.jpg" for (a, _, b), i in zip(names, people["frame"].tolist())
    ]
    fields["image"] = np.array(images)
    box = np.concatenate(
        [people["corners"][:, :2], people["corners"][:, 2:] - people["corners"][:, :2]], -1
    )
    bad = int((~(box[:, 2:] > 0)).any(-1).sum())
    if bad:
        say(f"{where}: {bad} good frames have an empty box, so bbox_px is left out")
        return fields
    return fields | {"bbox_px": box}


def _placed(
    people: Mapping[str, np.ndarray], fields: dict[str, Any], models: Mapping[str, Path], where: str
) -> dict[str, Any]:
    """t' = R t + T + (R - I) J0, as SMPL turns about its rest pelvis J0; and the joints of the gendered body."""
    named = {**people, "betas": fields["betas"]}
    pelvis = gendered.rest_pelvis(named, models, where)
    turn = people["turn"] - np.eye(3, dtype=np.float32)
    place = pw3d_files.turned(people["turn"], people["trans"]) + people["origin"]
    cam_t = place + pw3d_files.turned(turn, pelvis)

    def joints(path: Path, index: np.ndarray) -> np.ndarray:
        model = body.fold_keypoints(body.load_body(path), body.load_regressor(path, "smpl24"))
        return pairing.pose_rows(model, fields["pose"][index], fields["betas"][index])

    points = gendered.by_row(fields["gender"], models, joints, where) + cam_t[:, None]
    return {
        "cam_t": cam_t,
        "keypoints3d": rows.with_confidence(points),
        "keypoints3d_set": "smpl24",
    }


def _check_projection(
    people: Mapping[str, np.ndarray],
    fields: dict[str, Any],
    models: Mapping[str, Path],
    allow_mismatch: bool,
    where: str,
    say: Callable[[str], None],
) -> None:
    """The joints of the body's tree, seen by the camera, are the stored kp2d."""

    def joints(path: Path, index: np.ndarray) -> np.ndarray:
        turns, betas = (jnp.asarray(fields[name][index], jnp.float32) for name in ("pose", "betas"))
        return np.asarray(_JOINTS(body.load_body(path), turns, betas))

    points = gendered.by_row(fields["gender"], models, joints, where) + fields["cam_t"][:, None]
    seen = (
        fields["focal_px"][:, None] * points[..., :2] / points[..., 2:]
        + fields["center_px"][:, None]
    )
    off = float(np.median(np.linalg.norm(seen - people["kp2d"], axis=-1)))
    finding = f"{where}: the truth's joints are {off:.2g} px from the stored kp2d (median)"
    step = f"wanted below {_OFF_PX:g}: give SMPL v1.0 or v1.1 as male, female, neutral"
    pairing.judge(off < _OFF_PX, finding, step, allow_mismatch, say)


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    part: emdb_files.Part = "emdb1",
    bodies: tuple[Path, ...] = (),
    allow_mismatch: bool = False,
) -> None:
    """Reads EMDB's sequences: truth in the camera frame, cameras and boxes.

    Args:
        source: A sequence's *_data.pkl, or a folder that holds some: P0, or all of them.
        out: The annotation set to write, .npz.
        estimates: An annotation set whose people are given this truth.
        part: EMDB 1 (what methods are compared on), EMDB 2, or all sequences.
        bodies: Male, female and perhaps neutral SMPL: cam_t and the 24 joints.
        allow_mismatch: Go on where the bodies do not give the stored 2D joints.
    """
    fields = read_emdb(source, part=part, bodies=bodies, allow_mismatch=allow_mismatch)
    delivery.deliver(out, fields, str(source), estimates)
