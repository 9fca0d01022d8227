"""Official SMPL and SMPL-H files as clean `.npz`: plain arrays, ten betas, keypoint regressors beside them.

No chumpy, SciPy or pickle is needed to read the result. The licence of the body stays its maker's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import skeleton, unpickle
from diffjax.convert import finite, model_files, smplh, smplx_check
from diffjax.data import records

_SMPL_VERTICES = 6890
_VERTEX = {
    "nose": 332,
    "right_eye": 6260,
    "left_eye": 2800,
    "right_ear": 4071,
    "left_ear": 583,
    "left_big_toe": 3216,
    "left_small_toe": 3226,
    "left_heel": 3387,
    "right_big_toe": 6617,
    "right_small_toe": 6624,
    "right_heel": 6787,
}
"""Vertices of SMPL's mesh at keypoints of the face and feet."""

_MIDDLE = {"neck": "shoulder", "pelvis": "hip"}
"""Keypoints that detectors put halfway between two joints."""


def convert_smpl(
    path: str | Path,
    regressors: Mapping[str, str | Path] | None = None,
    *,
    betas: int = 10,
    say: Callable[[str], None] = print,
) -> dict[str, np.ndarray]:
    """The arrays of a clean body file from an official SMPL or SMPL-H `.pkl` or `.npz`.

    `regressors` maps names of keypoint sets to `.npy` files (K, V) that are stored beside them as
    `regressor_<name>`. For SMPL's own mesh, regressors of coco17, halpe26 and openpose25 are made
    of its joints and of the vertices that stand for nose, eyes, ears and feet. Those that a clean body file
    already has are kept.
    """
    return _clean(model_files.read_arrays(path), path, regressors, betas, say)


def _clean(
    arrays: dict[str, np.ndarray],
    path: str | Path,
    regressors: Mapping[str, str | Path] | None,
    betas: int,
    say: Callable[[str], None],
) -> dict[str, np.ndarray]:
    where = str(path)
    if arrays["kintree_table"].shape == (2, smplh.JOINTS):
        arrays = smplh.as_smpl(arrays, where)
        say(
            f"{where}: SMPL-H's 52 joints become SMPL's 24: joints 22 and 23 are the bases of the "
            "middle fingers and carry whole hands, fingers stay flat (its mean hand pose is not used)"
        )
    clean = model_files.clean(arrays, where)
    found = clean["shapedirs"].shape[2]
    if found > betas:
        say(f"{where}: shapedirs has {found} components; the first {betas} are kept")
        clean["shapedirs"] = clean["shapedirs"][:, :, :betas]
    clean.update(_vertex_regressors(clean))
    clean.update(_kept_regressors(path, regressors or {}, len(clean["v_template"]), say))
    for name, file in (regressors or {}).items():
        clean[f"regressor_{name}"] = load_regressor(file, name, len(clean["v_template"]))
    if {"regressor_openpose25", "regressor_j19"} <= set(clean):
        clean["regressor_hmr44"] = _hmr44(clean)
    return clean


def _hmr44(clean: dict[str, np.ndarray]) -> np.ndarray:
    """HMR2's 44: OpenPose's, whose neck and pelvis are SMPL's joints there, then the 19 extra ones."""
    body25, names = clean["regressor_openpose25"].copy(), skeleton.keypoint_set("openpose25")
    for joint in ("neck", "pelvis"):
        body25[names.index(joint)] = clean["J_regressor"][skeleton.SMPL24.index(joint)]
    return np.concatenate([body25, clean["regressor_j19"]]).astype(np.float32)


def _kept_regressors(
    path: str | Path, replaced: Mapping[str, Any], vertices: int, say: Callable[[str], None]
) -> dict[str, np.ndarray]:
    """Those of the file itself that no other is given for."""
    stored = model_files.read_regressors(path)
    unknown = sorted(set(stored) - set(skeleton.KEYPOINT_SETS))
    if unknown:
        say(f"{path}: regressors of unknown keypoint sets are left out: {', '.join(unknown)}")
    kept = {
        f"regressor_{name}": _fitting(stored[name], name, vertices, path)
        for name in sorted(set(stored) - set(unknown) - set(replaced))
    }
    if kept:
        say(f"{path}: its own {', '.join(kept)} are kept")
    return kept


def load_regressor(path: str | Path, name: str, vertices: int) -> np.ndarray:
    """The (K, V) regressor of keypoint set `name` from an `.npy` or a pickled array."""
    skeleton.keypoint_set(name)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such regressor; check the path")
    load = unpickle.load_npy if Path(path).suffix == ".npy" else unpickle.load_pickle
    return _fitting(load(path), name, vertices, path)


def _fitting(value: Any, name: str, vertices: int, path: str | Path) -> np.ndarray:
    """The regressor as float32, refused unless it fits its keypoint set and the mesh."""
    wanted = (len(skeleton.keypoint_set(name)), vertices)
    matrix = finite.array(value, name, (None, None), str(path))
    if matrix.shape != wanted:
        raise ValueError(
            f"{path}: regressor {name}: wanted shape {wanted}, found {matrix.shape}; "
            "the file must fit both the keypoint set and the mesh"
        )
    return matrix.astype(np.float32)


def _vertex_regressors(clean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if len(clean["v_template"]) != _SMPL_VERTICES:
        return {}
    return {
        f"regressor_{name}": np.stack(
            [_row(clean, keypoint) for keypoint in skeleton.keypoint_set(name)]
        )
        for name in ("coco17", "halpe26", "openpose25")
    }


def _row(clean: dict[str, np.ndarray], keypoint: str) -> np.ndarray:
    """Weights over the vertices that give a keypoint of the posed mesh."""
    one_hot = np.zeros(_SMPL_VERTICES, np.float32)
    if keypoint in _MIDDLE:
        sides = [f"{side}_{_MIDDLE[keypoint]}" for side in ("left", "right")]
        return 0.5 * (_row(clean, sides[0]) + _row(clean, sides[1]))
    if keypoint in skeleton.SMPL24:
        return clean["J_regressor"][skeleton.SMPL24.index(keypoint)]
    top = int(np.argmax(clean["v_template"][:, 1]))
    one_hot[top if keypoint == "head_top" else _VERTEX[keypoint]] = 1.0
    return one_hot


def convert(
    source: Path,
    out: Path,
    regressor: tuple[str, ...] = (),
    verify_with_smplx: bool = False,
) -> None:
    """An official SMPL or SMPL-H model file as a clean body file.

    Args:
        source: SMPL_NEUTRAL.pkl, basicmodel_m_lbs_10_207_0_v1.1.0.pkl, smplh/male/model.npz, ...
        out: The body file to write, .npz.
        regressor: NAME=FILE of further keypoints, as h36m17=J_regressor_h36m.npy, j19=SMPL_to_J19.pkl.
        verify_with_smplx: Pose both with the package smplx and compare, before anything is written.
    """
    for pair in regressor:
        if "=" not in pair:
            raise ValueError(f"--regressor: wanted NAME=FILE, got {pair!r}")
    arrays = model_files.read_arrays(source)
    files = dict(pair.split("=", 1) for pair in regressor)
    clean = _clean(arrays, source, files, 10, print)
    if verify_with_smplx:
        smplx_check.verify(arrays, clean, str(source))
    records.save_arrays(out, clean)
    print(f"{out}: written; the licence of {source} holds for it too")
