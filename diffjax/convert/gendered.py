"""Truth on the bodies it was made with: by gender, the rest pelvis and the protocol's joints."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import body, skeleton
from diffjax.convert import pairing, rows

_GENDERS = ("male", "female", "neutral")
_IN_NAMES = {
    "female": "female",
    "male": "male",
    "neutral": "neutral",
    "_f_": "female",
    "_m_": "male",
}


def by_gender(paths: Sequence[str | Path]) -> dict[str, Path]:
    """Bodies by gender: they come as male, female and perhaps neutral, which their names may tell."""
    if len(paths) not in (0, 2, 3):
        raise ValueError(f"--bodies: wanted male, female and perhaps neutral, found {len(paths)}")
    for gender, path in zip(_GENDERS, paths):
        says = re.search("|".join(_IN_NAMES), Path(path).name.lower())
        if says and _IN_NAMES[says[0]] != gender:
            raise ValueError(
                f"--bodies: wanted male, female, neutral in this order, found {path} as {gender}"
            )
    return dict(zip(_GENDERS, map(Path, paths)))


def rest_pelvis(
    people: Mapping[str, np.ndarray], models: Mapping[str, Path], where: str
) -> np.ndarray:
    """(N, 3) the root joint of each one's shaped, unposed body, metres."""

    def pelvis(path: Path, index: np.ndarray) -> np.ndarray:
        model = body.load_body(path)
        template, dirs = np.asarray(model.joint_template[0]), np.asarray(model.joint_dirs[0])
        return template + people["betas"][index] @ dirs.T

    return by_row(people["gender"], models, pelvis, where)


def have_protocol_joints(models: Mapping[str, Path], regressor: str | Path | None) -> bool:
    """Whether h36m14 can be regressed: a matrix is given, or every body file has one."""
    if regressor is not None:
        return True
    try:
        for path in models.values():
            body.load_regressor(path, "h36m17")
    except ValueError:
        return False
    return True


def protocol_joints(
    fields: Mapping[str, Any],
    models: Mapping[str, Path],
    regressor: str | Path | None,
    where: str,
) -> dict[str, Any]:
    """keypoints3d (h36m14, camera frame) of the truth posed on the body of each one's gender."""

    def joints(path: Path, index: np.ndarray) -> np.ndarray:
        model = pairing.keypoint_model(path, regressor)
        return pairing.pose_rows(model, fields["pose"][index], fields["betas"][index])

    points = by_row(fields["gender"], models, joints, where)
    chosen = points[:, list(skeleton.keypoint_map("h36m17", "h36m14"))]
    placed = rows.with_confidence(chosen + fields["cam_t"][:, None])
    return {"keypoints3d": placed, "keypoints3d_set": "h36m14"}


def by_row(
    gender: np.ndarray,
    models: Mapping[str, Path],
    function: Callable[[Path, np.ndarray], np.ndarray],
    where: str,
) -> np.ndarray:
    """function(body, rows) of every gender's rows, in the order of the people."""
    groups = {name: np.flatnonzero(gender == name) for name in np.unique(gender).tolist()}
    missing = sorted(set(groups) - set(models))
    if missing:
        raise ValueError(
            f"{where}: field genders: wanted {sorted(models)}, found {missing}; add the body"
        )
    values = np.concatenate([function(models[name], index) for name, index in groups.items()])
    return values[np.argsort(np.concatenate(list(groups.values())))]
