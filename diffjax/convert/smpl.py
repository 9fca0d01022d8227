"""Official SMPL, SMPL-H and SMPL-X files as clean `.npz`: plain arrays, ten betas, keypoint regressors beside them.

No chumpy, SciPy or pickle is needed to read the result. The licence of the body stays its maker's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import skeleton, unpickle
from diffjax.convert import finite, landmarks, model_files, reduction, smplx_check
from diffjax.data import records

_HINT = {10475: "; SMPL's regressors do not fit SMPL-X's own mesh"}
"""What to mind of a mesh, by its vertices."""


def convert_smpl(
    path: str | Path,
    regressors: Mapping[str, str | Path] | None = None,
    *,
    betas: int = 10,
    say: Callable[[str], None] = print,
) -> dict[str, np.ndarray]:
    """The arrays of a clean body file from an official SMPL, SMPL-H or SMPL-X `.pkl` or `.npz`.

    `regressors` maps names of keypoint sets to `.npy` files (K, V) that are stored beside them as
    `regressor_<name>`. For the meshes of SMPL and SMPL-X, regressors of coco17, halpe26 and openpose25
    are made of their joints and of the vertices that stand for nose, eyes, ears and feet. Those that a
    clean body file already has are kept.
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
    larger = reduction.BODIES.get(arrays["kintree_table"].shape[1])
    if larger is not None:
        arrays = reduction.as_smpl(arrays, where)
        say(f"{where}: {reduction.told(larger)}")
    clean = model_files.clean(arrays, where)
    found = clean["shapedirs"].shape[2]
    if found > betas:
        say(f"{where}: shapedirs has {found} components; the first {betas} are kept")
        clean["shapedirs"] = clean["shapedirs"][:, :, :betas]
    clean.update(landmarks.regressors(clean))
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
            f"the file must fit both the keypoint set and the mesh{_HINT.get(wanted[1], '')}"
        )
    return matrix.astype(np.float32)


def convert(
    source: Path,
    out: Path,
    regressor: tuple[str, ...] = (),
    verify_with_smplx: bool = False,
) -> None:
    """An official SMPL, SMPL-H or SMPL-X model file as a clean body file.

    Args:
        source: SMPL_NEUTRAL.pkl, basicmodel_m_lbs_10_207_0_v1.1.0.pkl, smplh/male/model.npz,
            SMPLX_NEUTRAL.npz, ...
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
