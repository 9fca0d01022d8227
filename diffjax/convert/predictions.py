"""mmhuman3d's cached predictions as annotation sets.

The cache names no images: its row i is row i of the HumanData file that was evaluated. So the pair
is checked: the body posed on the cached parameters against the cached keypoints, the estimate
against the truth.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import skeleton
from diffjax.convert import humandata, pairing, parsing
from diffjax.data import records


def from_mmhuman3d(
    result: str | Path,
    human_data: str | Path,
    *,
    body_path: str | Path | None = None,
    regressor: str | Path | None = None,
    gendered_bodies: Mapping[str, str | Path] | None = None,
    keypoint_set: str | None = None,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> records.AnnotationSet:
    """mmhuman3d's `result_keypoints.json`, joined by row with the HumanData that was evaluated.

    With `body_path` (the neutral body; `regressor` is J_regressor_h36m.npy unless the body file
    holds regressor_h36m17) the cached keypoints must be the body's own within 1 mm.
    `gendered_bodies` ('male', 'female') add the joint truth of 3DPW: h36m14 of the true
    parameters, camera axes.
    """
    cached = _read_result(Path(result))
    data = humandata.read_human_data(human_data)
    pairing.check_count(len(cached["poses"]), data["length"], str(result), str(human_data))
    if body_path is None:
        say(f"{result}: not checked against a body; give the neutral one with --body")
    else:
        pairing.check_body(cached, body_path, regressor, allow_mismatch, str(result), say)
    fields: dict[str, Any] = {"pred_pose": cached["poses"], "pred_betas": cached["betas"]}
    fields |= _human_data_fields(data, keypoint_set, str(human_data), say)
    if gendered_bodies:
        fields |= _joint_truth(fields, gendered_bodies, body_path, regressor, str(human_data))
    where = f"{result} with {human_data}"
    if "pose" in fields:
        pairing.check_roots(fields["pred_pose"], fields["pose"], allow_mismatch, where, say)
    elif "keypoints3d" in fields and cached["keypoints"].shape[1] == 17:
        truth, name = fields["keypoints3d"], str(fields["keypoints3d_set"])
        pairing.check_joints(cached["keypoints"], truth, name, allow_mismatch, where, say)
    return records.from_arrays(fields, where)


def _read_result(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; mmhuman3d's tools/test.py --work-dir makes it"
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{path}: wanted JSON, found something else ({error}); export again"
        ) from error
    if isinstance(content, list):
        raise ValueError(
            f"{path}: wanted keypoints, poses and betas, found a list: mmpose's file of that name, "
            "which holds no SMPL parameters; use mmhuman3d's"
        )
    wanted = {"keypoints": (None, 3), "poses": (24, 3, 3), "betas": (10,)}
    if not isinstance(content, dict) or set(wanted) - set(content):
        found = (
            ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        )
        raise ValueError(
            f"{path}: wanted keypoints, poses and betas, found {found}; "
            "tools/test.py --out writes metrics only, use --work-dir"
        )
    return {
        name: parsing.number_array(content[name], name, shape, str(path))
        for name, shape in wanted.items()
    }


def _human_data_fields(
    data: dict[str, Any], keypoint_set: str | None, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    fields: dict[str, Any] = {**_smpl_truth(data, where, say), **humandata.cameras(data, where)}
    for key in ("keypoints2d", "keypoints3d"):
        found = humandata.keypoints(data, key, keypoint_set, where)
        if found is not None:
            fields |= {key: found.values, f"{key}_set": found.name}
    gender = humandata.genders(data, where)
    if gender is not None:
        fields["gender"] = gender
    return fields | humandata.frame_fields(data.get("image_path"), fields.get("betas"))


def _smpl_truth(data: dict[str, Any], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    """pose and betas of the `smpl` dict, by name: its order of insertion means nothing."""
    stored = data.get("smpl")
    if not stored:
        return {}
    if not np.all(data.get("has_smpl", 1)):
        say(f"{where}: some rows have no SMPL truth (has_smpl 0), so pose and betas are left out")
        return {}
    for name, size in (("global_orient", 3), ("body_pose", 69), ("betas", 10)):
        if name not in stored or np.size(stored[name]) < data["length"] * size:
            found = np.shape(stored[name]) if name in stored else "nothing"
            raise ValueError(
                f"{where}: field smpl.{name}: wanted {data['length']} rows, found {found}; "
                "make the file again"
            )
    parts = [np.asarray(stored[name], np.float32) for name in ("global_orient", "body_pose")]
    pose = np.concatenate([part.reshape(data["length"], -1) for part in parts], -1)
    betas = np.asarray(stored["betas"], np.float32)
    if betas.shape[-1] > 10:
        say(f"{where}: betas have {betas.shape[-1]} components; the first 10 are kept")
    return {
        "pose": parsing.rotation_matrices(pose, f"{where}: field smpl"),
        "betas": betas[..., :10],
    }


def _joint_truth(
    fields: dict[str, Any],
    gendered_bodies: Mapping[str, str | Path],
    neutral: str | Path | None,
    regressor: str | Path | None,
    where: str,
) -> dict[str, Any]:
    """keypoints3d (h36m14) of the true parameters on the body of each row's gender."""
    if "pose" not in fields or "gender" not in fields:
        raise ValueError(
            f"{where}: field smpl: wanted true parameters and genders for --gendered-bodies, "
            "found none; leave the bodies out"
        )
    paths = {**({} if neutral is None else {"neutral": neutral}), **gendered_bodies}
    missing = sorted(set(fields["gender"].tolist()) - set(paths))
    if missing:
        raise ValueError(
            f"{where}: field meta.gender: wanted {sorted(paths)}, found {missing}; add the body"
        )
    points = np.zeros((len(fields["pose"]), 17, 3), np.float32)
    for gender in np.unique(fields["gender"]):
        rows = fields["gender"] == gender
        model = pairing.keypoint_model(paths[gender], regressor)
        points[rows] = pairing.pose_rows(model, fields["pose"][rows], fields["betas"][rows])
    chosen = points[:, list(skeleton.keypoint_map("h36m17", "h36m14"))]
    seen = np.ones((*chosen.shape[:2], 1), np.float32)
    return {"keypoints3d": np.concatenate([chosen, seen], -1), "keypoints3d_set": "h36m14"}
