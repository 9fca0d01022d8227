"""The arrays of SMPL, SMPL-H and SMPL-X files, checked: another body, damage, or units but metres are refused."""

from pathlib import Path

import numpy as np

from diffjax import skeleton, unpickle
from diffjax.convert import reduction

REGRESSOR = "regressor_"
"""What names of keypoint regressors in a body file begin with."""

_LARGEST = 1e6
"""Of any number but the root's parent: what is larger is damaged."""


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a model file by SMPL's names, as stored: numbers of SMPL's, SMPL-H's or SMPL-X's joints."""
    path, where = Path(path), str(path)
    read = unpickle.load_smpl_pickle if path.suffix == ".pkl" else _archived
    arrays = read(path)
    found = {key: _numbers(arrays[key], key, where) for key in unpickle.SMPL_KEYS if key in arrays}
    _refuse_others(found, where)
    return found


def _archived(path: Path) -> dict[str, object]:
    """What a body needs of an `.npz`: SMPL-X's files hold arrays of objects besides."""
    arrays = unpickle.load_npz(path, unpickle.SMPL_KEYS)
    missing = [key for key in unpickle.SMPL_KEYS if key not in arrays and key != "posedirs"]
    if missing:
        found = ", ".join(sorted(unpickle.check_npz(path, objects=True))[:12]) or "nothing"
        raise ValueError(
            f"{path}: field {missing[0]}: wanted an SMPL file, found {found}; "
            "give SMPL's own .pkl or .npz"
        )
    return arrays


def read_regressors(path: str | Path) -> dict[str, object]:
    """Keypoint regressors of a clean body file, by the names of their sets; nothing of an official file."""
    if Path(path).suffix == ".pkl":
        return {}
    names = [name for name in unpickle.check_npz(path, objects=True) if name.startswith(REGRESSOR)]
    arrays = unpickle.load_npz(path, names) if names else {}
    return {name.removeprefix(REGRESSOR): array for name, array in arrays.items()}


def _numbers(value: object, name: str, where: str) -> np.ndarray:
    """An array of finite numbers, but for its shape."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or not value.size:
        what = value.dtype if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise ValueError(
            f"{where}: field {name}: wanted an array of numbers, found {what}; "
            "download the file again"
        )
    limit = _LARGEST if name != "kintree_table" else 2.0**32
    if not (np.abs(value.astype(np.float64)) <= limit).all():  # NaN is not.
        raise ValueError(
            f"{where}: field {name}: wanted finite numbers, found NaN, infinity or above {limit:g}; "
            "download the file again"
        )
    return value


def _refuse_others(arrays: dict[str, np.ndarray], where: str) -> None:
    """STAR and the bigger bodies look like SMPL, and their numbers mean something else."""
    if "posedirs" in arrays and 93 in arrays["posedirs"].shape:
        raise ValueError(
            f"{where}: field posedirs: wanted SMPL's 207 pose features, found STAR's 93; "
            "STAR's betas live in another shape space, use an SMPL file"
        )
    shape, joints = arrays["kintree_table"].shape, (len(skeleton.SMPL24), *reduction.BODIES)
    if shape not in [(2, count) for count in joints]:
        raise ValueError(
            f"{where}: field kintree_table: wanted 24 joints of SMPL, 52 of SMPL-H or 55 of SMPL-X, found "
            f"shape {shape} (MANO has 16, FLAME 5); use the file of a whole body"
        )


def clean(arrays: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The arrays of a 24-joint body with the types of a body file; ValueError unless they fit."""
    verts, joints = len(np.atleast_1d(arrays["v_template"])), len(skeleton.SMPL24)
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
    _check_metres(arrays["v_template"], where)
    if arrays["f"].min() < 0 or arrays["f"].max() >= verts:
        raise ValueError(
            f"{where}: field f: wanted vertices 0 to {verts - 1}, found {arrays['f'].min()} to "
            f"{arrays['f'].max()}; download the file again"
        )
    floats = {k: v.astype(np.float32) for k, v in arrays.items() if k not in ("kintree_table", "f")}
    return {**floats, "kintree_table": _tree(arrays, where), "f": arrays["f"].astype(np.int32)}


def _check_metres(template: np.ndarray, where: str) -> None:
    height = float(np.ptp(template[:, 1]))
    if not 0.3 < height < 3.0:
        raise ValueError(
            f"{where}: field v_template: wanted a person of 0.3 to 3 m along y, "
            f"found {height:.3g}; scale to metres, turn y up"
        )


def _tree(arrays: dict[str, np.ndarray], where: str) -> np.ndarray:
    """The root's parent is 2**32 - 1 in official files (-1 as uint32)."""
    tree = arrays["kintree_table"].astype(np.int64)
    tree[0, 0] = -1
    if tuple(tree[0].tolist()) != skeleton.SMPL_PARENTS:
        raise ValueError(
            f"{where}: field kintree_table: wanted SMPL's tree, found parents {tree[0].tolist()}; "
            "is it another body of 24 joints?"
        )
    return tree.astype(np.int32)
