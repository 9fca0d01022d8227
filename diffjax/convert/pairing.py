"""Evidence that the rows of two files belong together, and to the body that is claimed."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from diffjax import body, rotations, skeleton
from diffjax.convert import smpl

_CHUNK = 2048  # Rows posed at a time.
_FAR_DEG = 45.0  # Median root error: regressors are at 10 to 20, shuffled rows far above.
_FAR_MM = 250.0  # The same for joints about their mean: regressors are at 60 to 130.
_SAME_FILE = "wanted the very file that was evaluated: row order differs from machine to machine"


def check_count(found: int, wanted: int, where: str, other: str) -> None:
    if found != wanted or not found:
        raise ValueError(
            f"{where}: field poses: wanted {wanted} rows as in {other}, found {found}; "
            "rows are joined by place, so give the very file that was evaluated"
        )


def judge(
    good: bool, finding: str, wanted: str, allow_mismatch: bool, say: Callable[[str], None]
) -> None:
    """Says a finding that is good or allowed; refuses any other."""
    if not good and not allow_mismatch:
        raise ValueError(f"{finding}, {wanted}, or allow the mismatch with --allow-mismatch")
    say(finding if good else f"{finding} (allowed mismatch)")


def keypoint_model(path: str | Path, regressor: str | Path | None) -> body.KeypointModel:
    """The h36m17 keypoints of a body file."""
    model = body.load_body(path)
    if regressor is None:
        return body.fold_keypoints(model, body.load_regressor(path, "h36m17"))
    matrix = smpl.load_regressor(regressor, "h36m17", model.template.shape[0])
    return body.fold_keypoints(model, matrix)


_POSE = jax.jit(body.pose_keypoints)


def pose_rows(model: body.KeypointModel, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(N, K, 3) metres, in chunks of one size, so that it compiles once."""
    chunks = []
    starts = range(0, len(pose), _CHUNK)
    quick = len(pose) <= _CHUNK
    for start in tqdm(starts, "posing, 2048 people a step", leave=False, disable=quick or None):
        index = np.minimum(np.arange(start, start + _CHUNK), len(pose) - 1)
        arrays = (jnp.asarray(array[index], jnp.float32) for array in (pose, betas))
        chunks.append(np.asarray(_POSE(model, *arrays)))
    return np.concatenate(chunks)[: len(pose)]


def check_body(
    cached: dict[str, np.ndarray],
    body_path: str | Path,
    regressor: str | Path | None,
    allow_mismatch: bool,
    where: str,
    say: Callable[[str], None],
) -> None:
    """The cached `keypoints` are the body's own, posed on the cached `poses` and `betas`."""
    if cached["keypoints"].shape[1] != 17:
        raise ValueError(
            f"{where}: field keypoints: wanted the 17 of the h36m regressor to check the body, "
            f"found {cached['keypoints'].shape[1]}; leave the body out to go on unchecked"
        )
    found = pose_rows(keypoint_model(body_path, regressor), cached["poses"], cached["betas"])
    away = found - cached["keypoints"].astype(np.float64)
    distance = 1000 * np.linalg.norm(away, axis=-1).mean(-1)
    message = (
        f"cached keypoints are {distance.mean():.3g} mm (worst row {distance.argmax()}: "
        f"{distance.max():.3g} mm) from {body_path} posed on the cached parameters"
    )
    step = "give SMPL_NEUTRAL v1.0 and J_regressor_h36m.npy of mmhuman3d"
    judge(
        bool(distance.max() <= 1.0),
        f"{where}: {message}",
        f"wanted within 1 mm in every row; {step}",
        allow_mismatch,
        say,
    )


def check_roots(
    pred: np.ndarray, true: np.ndarray, allow_mismatch: bool, where: str, say: Callable[[str], None]
) -> None:
    """Estimate and truth (N, 24, 3, 3) of the same person face the same way."""
    roots = (jnp.asarray(pose[:, 0], jnp.float32) for pose in (pred, true))
    angle = float(np.median(np.rad2deg(np.asarray(rotations.geodesic_angle(*roots)))))
    finding = f"{where}: estimate and truth differ by {angle:.0f} degrees (median root)"
    judge(angle <= _FAR_DEG, finding, _SAME_FILE, allow_mismatch, say)


def check_joints(
    h36m17: np.ndarray,
    truth: np.ndarray,
    name: str,
    allow_mismatch: bool,
    where: str,
    say: Callable[[str], None],
) -> None:
    """The same for joints: h36m17 (N, 17, 3) against keypoints (N, K, 4) of set `name`."""
    index = np.array(skeleton.keypoint_map(name, "h36m17"))
    shared = index >= 0
    pred, true = (
        points.astype(np.float64) for points in (h36m17[:, shared], truth[:, index[shared], :3])
    )
    difference = (pred - pred.mean(1, keepdims=True)) - (true - true.mean(1, keepdims=True))
    far = 1000 * float(np.median(np.linalg.norm(difference, axis=-1).mean(-1)))
    finding = f"{where}: estimate and truth differ by {far:.0f} mm (median joint)"
    judge(far <= _FAR_MM, finding, _SAME_FILE, allow_mismatch, say)
