"""mmhuman3d's cached predictions as annotation sets.

The cache names no images: its row i is row i of the HumanData file that was evaluated. So the pair
is checked: the body posed on the cached parameters against the cached keypoints, the estimate
against the truth.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import skeleton
from diffjax.convert import humandata, humandata_fields, json_columns, pairing
from diffjax.data import records

_SHAPES = {"keypoints": (None, 3), "poses": (24, 3, 3), "betas": (10,)}


def convert(
    result: Path,
    human_data: Path,
    out: Path,
    body: Path | None = None,
    regressor: Path | None = None,
    gendered_bodies: tuple[Path, Path] | None = None,
    keypoint_set: str | None = None,
    allow_mismatch: bool = False,
) -> None:
    """Joins result_keypoints.json with the HumanData .npz that was evaluated.

    Args:
        result: result_keypoints.json of tools/test.py --work-dir.
        human_data: pw3d_test.npz, mpi_inf_3dhp_test.npz, ...
        out: The annotation set to write, .npz.
        body: Neutral SMPL, .pkl or .npz: checks the cached keypoints.
        regressor: J_regressor_h36m.npy, unless the body file holds one.
        gendered_bodies: Male, then female SMPL: adds the joint truth.
        keypoint_set: Which keypoints to take where the file fills several sets.
        allow_mismatch: Go on where a check fails.
    """
    annotations = from_mmhuman3d(
        result,
        human_data,
        body_path=body,
        regressor=regressor,
        gendered_bodies=dict(zip(("male", "female"), gendered_bodies)) if gendered_bodies else None,
        keypoint_set=keypoint_set,
        allow_mismatch=allow_mismatch,
    )
    records.write(out, annotations)
    print(f"{out}: {records.count(annotations)} people")


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
    data = humandata.load(human_data)
    pairing.check_count(len(cached["poses"]), data["length"], str(result), str(human_data))
    if body_path is None:
        say(f"{result}: not checked against a body; give the neutral one with --body")
    else:
        pairing.check_body(cached, body_path, regressor, allow_mismatch, str(result), say)
    fields: dict[str, Any] = {"pred_pose": cached["poses"], "pred_betas": cached["betas"]}
    fields |= humandata_fields.fields_of(data, keypoint_set, str(human_data), say)
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
    found = json_columns.read_columns(path, _SHAPES)
    if not found:
        raise ValueError(
            f"{path}: wanted keypoints, poses and betas, found a list or nothing: mmpose's file of "
            "that name is a list without SMPL parameters; use mmhuman3d's"
        )
    if set(_SHAPES) - set(found):
        raise ValueError(
            f"{path}: wanted keypoints, poses and betas, found {', '.join(list(found)[:12])}; "
            "tools/test.py --out writes metrics only, use --work-dir"
        )
    counts = {name: len(found[name]) for name in _SHAPES}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"{path}: wanted as many keypoints as poses and betas, found {counts}; export again"
        )
    return {name: found[name] for name in _SHAPES}


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
