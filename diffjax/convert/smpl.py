"""Official SMPL files as clean `.npz`: plain arrays, ten betas, keypoint regressors beside them.

No chumpy, SciPy or pickle is needed to read the result. The licence of the body stays its maker's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import skeleton, unpickle

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
    """The arrays of a clean body file from an official SMPL `.pkl` or `.npz`.

    `regressors` maps names of keypoint sets to `.npy` files (K, V) that are stored beside them as
    `regressor_<name>`. For SMPL's own mesh, regressors of coco17, halpe26 and openpose25 are made
    of its joints and of the vertices that stand for nose, eyes, ears and feet.
    """
    where = str(path)
    arrays = _read(Path(path))
    _refuse_others(arrays, where)
    clean = _checked(arrays, where)
    found = clean["shapedirs"].shape[2]
    if found > betas:
        say(f"{where}: shapedirs has {found} components; the first {betas} are kept")
        clean["shapedirs"] = clean["shapedirs"][:, :, :betas]
    clean.update(_vertex_regressors(clean))
    for name, file in (regressors or {}).items():
        clean[f"regressor_{name}"] = load_regressor(file, name, len(clean["v_template"]))
    return clean


def load_regressor(path: str | Path, name: str, vertices: int) -> np.ndarray:
    """The (K, V) regressor of keypoint set `name` from an `.npy` or a pickled array."""
    wanted = (len(skeleton.keypoint_set(name)), vertices)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such regressor; check the path")
    if Path(path).suffix == ".npy":
        matrix = np.load(path, allow_pickle=False)
    else:
        matrix = np.asarray(unpickle.load_pickle(path))
    if matrix.shape != wanted:
        raise ValueError(
            f"{path}: regressor {name}: wanted shape {wanted}, found {matrix.shape}; "
            "the file must fit both the keypoint set and the mesh"
        )
    return matrix.astype(np.float32)


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".pkl":
        return dict(unpickle.load_smpl_pickle(path))
    arrays = unpickle.load_npz(path)
    missing = [key for key in unpickle.SMPL_KEYS if key not in arrays and key != "posedirs"]
    if missing:
        raise ValueError(
            f"{path}: field {missing[0]}: wanted an SMPL file, found {', '.join(sorted(arrays))}; "
            "give SMPL's own .pkl or .npz"
        )
    return {key: np.asarray(arrays[key]) for key in unpickle.SMPL_KEYS if key in arrays}


def _refuse_others(arrays: dict[str, Any], where: str) -> None:
    """STAR and the bigger bodies look like SMPL, and their numbers mean something else."""
    if "posedirs" in arrays and 93 in arrays["posedirs"].shape:
        raise ValueError(
            f"{where}: field posedirs: wanted SMPL's 207 pose features, found STAR's 93; "
            "STAR's betas live in another shape space, use an SMPL file"
        )
    joints = arrays["kintree_table"].shape[-1]
    if joints != len(skeleton.SMPL24):
        raise ValueError(
            f"{where}: field kintree_table: wanted 24 joints, found {joints} "
            "(SMPL-H has 52, SMPL-X 55); use an SMPL file"
        )


def _checked(arrays: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    verts, joints = len(arrays["v_template"]), len(skeleton.SMPL24)
    wanted = {
        "v_template": (verts, 3),
        "shapedirs": (verts, 3, None),
        "posedirs": (verts, 3, 9 * (joints - 1)),
        "J_regressor": (joints, verts),
        "weights": (verts, joints),
        "kintree_table": (2, joints),
        "f": (None, 3),
    }
    for name, array in arrays.items():
        sizes = zip(wanted[name], array.shape)
        if array.ndim != len(wanted[name]) or any(a not in (None, b) for a, b in sizes):
            raise ValueError(
                f"{where}: field {name}: wanted shape {wanted[name]}, found {array.shape}; "
                "download the file again"
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"{where}: field {name}: wanted finite numbers, found NaN; download the file again"
            )
    _check_metres(arrays["v_template"], where)
    floats = {k: v.astype(np.float32) for k, v in arrays.items() if k not in ("kintree_table", "f")}
    return {**floats, "kintree_table": _tree(arrays), "f": arrays["f"].astype(np.int32)}


def _check_metres(template: np.ndarray, where: str) -> None:
    height = float(np.ptp(template[:, 1]))
    if not 0.3 < height < 3.0:
        raise ValueError(
            f"{where}: field v_template: wanted a person of 0.3 to 3 m along y, "
            f"found {height:.3g}; scale to metres, turn y up"
        )


def _tree(arrays: dict[str, Any]) -> np.ndarray:
    """The root's parent is 2**32 - 1 in official files (-1 as uint32)."""
    tree = arrays["kintree_table"].astype(np.int64)
    tree[0, 0] = -1
    return tree.astype(np.int32)


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
