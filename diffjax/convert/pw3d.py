"""3DPW's sequence files: truth in world coordinates, brought into the camera of every frame."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax.convert import delivery, gendered, order, parsing, pw3d_files, rows

Joints = Literal["h36m14", "smpl24"]
Say = Callable[[str], None]


@np.errstate(all="ignore")
def read_pw3d(
    path: str | Path,
    *,
    split: pw3d_files.Split | None = None,
    bodies: Sequence[str | Path] = (),
    regressor: str | Path | None = None,
    joints: Joints | None = None,
    drop_undetected: bool = False,
    say: Say = print,
) -> dict[str, Any]:
    """The truth of 3DPW and its OpenPose detections: files by name, in a file actors, then frames.

    `bodies` (male, female[, neutral]) place the model (`cam_t`) and give the joints of the protocol
    (`h36m14`); without them keypoints3d are the stored SMPL joints, and there is no `cam_t`.
    """
    models = gendered.by_gender(bodies)
    files = pw3d_files.sequence_files(Path(path), split)
    people = rows.concatenate([part for file in files for part in pw3d_files.actors(file)])
    if drop_undetected:
        people = _detected(people, str(path), say)
    fields = _fields(people, str(path), say)
    if models:
        fields["cam_t"] = _translation(people, models, str(path))
    else:
        say(f"{path}: no --bodies, so cam_t is left out: it needs the rest pelvis of each actor")
    if _protocol(joints, models, regressor, str(path), say):
        fields |= gendered.protocol_joints(fields, models, regressor, str(path))
    else:
        fields |= {"keypoints3d": rows.with_confidence(people["joints"])}
        fields["keypoints3d_set"] = "smpl24"
    return rows.checked(fields, str(path))


def _translation(
    people: dict[str, np.ndarray], models: Mapping[str, Path], where: str
) -> np.ndarray:
    """t' = R t + T + (R - I) J0: SMPL turns about its rest pelvis J0, not about the origin."""
    pelvis = gendered.rest_pelvis(people, models, where)
    return people["place"] + pw3d_files.turned(people["turn"] - np.eye(3, dtype=np.float32), pelvis)


def _protocol(
    joints: Joints | None,
    models: Mapping[str, Path],
    regressor: str | Path | None,
    where: str,
    say: Say,
) -> bool:
    """Whether keypoints3d are to be the protocol's joints; said where they could not be."""
    able = bool(models) and gendered.have_protocol_joints(models, regressor)
    if joints == "h36m14" and not able:
        raise ValueError(
            f"{where}: --joints h36m14: wanted --bodies with an h36m17 regressor, found none; add "
            "--regressor J_regressor_h36m.npy, or take --joints smpl24"
        )
    if joints is None and not able:
        say(
            f"{where}: keypoints3d are the stored smpl24 joints; the 14 of the protocol need --bodies "
            "and --regressor J_regressor_h36m.npy"
        )
    return able if joints is None else joints == "h36m14"


def _detected(people: dict[str, np.ndarray], where: str, say: Say) -> dict[str, np.ndarray]:
    """The frames with a detection, as the 3DPW challenge takes them."""
    seen = (people["keypoints2d"][..., 2] > 0).any(-1)
    say(f"{where}: {len(seen) - seen.sum()} of {len(seen)} rows have no detection and are dropped")
    if not seen.any():
        raise ValueError(f"{where}: field poses2d: wanted a detection, found none; keep all rows")
    return {name: values[seen] for name, values in people.items()}


def _fields(people: dict[str, np.ndarray], where: str, say: Say) -> dict[str, Any]:
    """What needs no body: the root turned into the camera, detections, cameras, names."""
    kept = ("betas", "gender", "sequence", "subject", "frame", "keypoints2d")
    fields: dict[str, Any] = {name: people[name] for name in kept}
    fields["keypoints2d_set"] = "openpose18"
    most = int(people["components"].max())
    if most > 10:
        say(f"{where}: betas have {most} components; the first 10 are kept")
    pose = parsing.rotation_matrices(people["axis_angle"], f"{where}: field poses").copy()
    pose[:, 0] = people["turn"] @ pose[:, 0]
    fields["pose"] = pose
    # Images are numbered by their place in the sequence; img_frame_ids are those of the 60 Hz sensors.
    pairs = zip(people["sequence"].tolist(), people["frame"].tolist())
    fields["image"] = np.array([f"imageFiles/{name}/image_{i:05d}.jpg" for name, i in pairs])
    for name in ("focal_px", "center_px", "image_size_px"):
        fields[name] = people[name]
    upright = int((people["image_size_px"][:, 1] > people["image_size_px"][:, 0]).sum())
    say(
        f"{where}: image sizes are not stored: taken from the principal point, 1080x1920 in "
        f"{upright} rows and 1920x1080 in {len(pose) - upright}"
    )
    return fields | _boxes(fields["keypoints2d"], where, say)


def _boxes(keypoints2d: np.ndarray, where: str, say: Say) -> dict[str, np.ndarray]:
    """bbox_px, where every row has detections."""
    found = rows.boxes(keypoints2d)
    if found is not None:
        return {"bbox_px": found}
    empty = int(((keypoints2d[..., 2] > 0).sum(-1) < 2).sum())
    say(f"{where}: {empty} rows have no detection, so bbox_px is left out; or --drop-undetected")
    return {}


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    split: pw3d_files.Split | None = None,
    bodies: tuple[Path, ...] = (),
    regressor: Path | None = None,
    joints: Joints | None = None,
    drop_undetected: bool = False,
    order_like: Path | None = None,
) -> None:
    """Reads 3DPW's sequence files: truth in the camera frame, and detections.

    Args:
        source: A sequence's .pkl, a folder of them, or sequenceFiles.
        out: The set to write, .npz.
        estimates: An annotation set whose people are given this truth.
        split: Which folder of sequenceFiles.
        bodies: Male, female and perhaps neutral SMPL: cam_t and the joints of the protocol.
        regressor: J_regressor_h36m.npy, unless the body files hold one.
        joints: What keypoints3d are; h36m14 where the bodies allow it.
        drop_undetected: Drop frames without a detection, as the 3DPW challenge does.
        order_like: Take the rows of this HumanData, SPIN or annotation .npz, in its order.
    """
    fields = read_pw3d(
        source,
        split=split,
        bodies=bodies,
        regressor=regressor,
        joints=joints,
        drop_undetected=drop_undetected,
    )
    if order_like is not None:
        fields = order.order_like(fields, order_like, str(source))
    delivery.deliver(out, fields, str(source), estimates)
