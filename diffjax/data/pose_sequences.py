"""Videos for lifters and their refiners: normalised 2D and root-relative 3D, one record a video.

As VideoPose3D has it (Pavllo et al. 2019): 2D in [-1, 1] across the width of the image, 3D in the
camera's axes relative to the root.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from diffjax import skeleton, tracks


class PoseSequence(NamedTuple):
    """One video. What is not known is NaN."""

    p: Float[np.ndarray, "time J 2"]
    """`normalised` 2D."""
    x: Float[np.ndarray, "time J 3"]
    """Metres, camera axes, relative to the root."""
    root_cam: Float[np.ndarray, "time 3"]
    """Metres, camera frame."""
    frame: Int[np.ndarray, " time"]
    """In the video."""
    name: str
    """Of the video."""
    subject: str
    action: str
    """Without the number of the take: 'Walking' of 'Walking 1'."""
    camera: str


def normalised(
    pixels: Float[np.ndarray, "*batch J 2"], image_size_px: Float[np.ndarray, "*batch 2"]
) -> Float[np.ndarray, "*batch J 2"]:
    """Pixels as x / w * 2 - [1, h / w]: the width is -1 .. 1, and lengths keep their ratios."""
    width = image_size_px[..., None, :1]
    return (2.0 * pixels - image_size_px[..., None, :]) / width


def pixels_from_normalised(
    p: Float[np.ndarray, "*batch J 2"], image_size_px: Float[np.ndarray, "*batch 2"]
) -> Float[np.ndarray, "*batch J 2"]:
    """Inverse of `normalised`."""
    return (p * image_size_px[..., None, :1] + image_size_px[..., None, :]) / 2.0


def check_normalised(p: Float[np.ndarray, "*batch J 2"], where: str) -> None:
    """Refuses pixels where normalised 2D is wanted: a person is not three images away."""
    largest = np.nanmax(np.abs(p), initial=0.0)
    if largest > 3.0:
        raise ValueError(
            f"{where}: wanted 2D normalised to [-1, 1] by the width of the image, found {largest:.4g}, which "
            "looks like pixels; pass them through pose_sequences.normalised"
        )


def mean_over_actions(
    errors: Float[np.ndarray, " frames"], actions: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """The mean of the actions' means, and these: how Human3.6M is reported; an action is one a frame."""
    names, which = np.unique(np.asarray(actions), return_inverse=True)
    means = np.bincount(which, errors) / np.bincount(which)
    return float(means.mean()), {str(name): float(mean) for name, mean in zip(names, means)}


def root_index(names: str) -> int:
    """The pelvis of a joint set; ValueError for a set without one."""
    joints = skeleton.keypoint_set(names)
    if "pelvis" not in joints:
        raise ValueError(f"joint set {names!r}: wanted a pelvis as its root, found none")
    return joints.index("pelvis")


def sequences_from_fields(fields: dict[str, Any], where: str) -> list[PoseSequence]:
    """The tracks in an annotation set's fields: one person, one camera, frames in order.

    `keypoints2d` and `keypoints3d` must be of one joint set. Without `view`, the camera is the end of
    a `sequence` like 'S1/Walking 1/54138969'. Coordinates of confidence 0 are NaN.
    """
    _check(fields, where)
    root = root_index(str(fields["keypoints3d_set"]))
    sequence, subject, frame = (fields[name] for name in ("sequence", "subject", "frame"))
    found = tracks.tracks(sequence, subject, fields.get("view"), frame, where)
    return [_sequence(fields, rows, root) for rows in found]


def _check(fields: dict[str, Any], where: str) -> None:
    needed = "keypoints2d keypoints2d_set keypoints3d keypoints3d_set sequence frame subject image_size_px"
    for name in needed.split():
        if fields.get(name) is None:
            raise ValueError(
                f"{where}: field {name}: wanted it for sequences, found none; convert the data with 2D "
                "keypoints and cameras"
            )
    sets = fields["keypoints2d_set"], fields["keypoints3d_set"]
    if sets[0] != sets[1]:
        raise ValueError(
            f"{where}: field keypoints2d_set: wanted {sets[1]} like the 3D joints, found {sets[0]}; take "
            "2D keypoints of the same joints"
        )
    if not len(fields["frame"]):
        raise ValueError(f"{where}: field frame: wanted frames, found none")


def _sequence(fields: dict[str, Any], rows: np.ndarray, root: int) -> PoseSequence:
    flat, solid = fields["keypoints2d"][rows], fields["keypoints3d"][rows]
    p = normalised(flat[..., :2], fields["image_size_px"][rows])
    joints = np.where(solid[..., 3:] > 0, solid[..., :3], np.nan)
    root_cam = joints[:, root]
    name, action, camera = _names(fields, int(rows[0]))
    return PoseSequence(
        p=np.where(flat[..., 2:] > 0, p, np.nan).astype(np.float32),
        x=(joints - root_cam[:, None]).astype(np.float32),
        root_cam=root_cam.astype(np.float32),
        frame=np.asarray(fields["frame"])[rows],
        name=name,
        subject=str(fields["subject"][rows[0]]),
        action=action,
        camera=camera,
    )


def _names(fields: dict[str, Any], row: int) -> tuple[str, str, str]:
    """Sequence, action and camera of a row."""
    name, view = str(fields["sequence"][row]), fields.get("view")
    parts = name.split("/")
    as_h36m = len(parts) == 3
    action = parts[1].rsplit(" ", 1)[0] if as_h36m else name
    if view is not None:
        return name, action, str(view[row])
    return name, action, parts[2] if as_h36m else ""
