"""A second opinion on a converted body: the package smplx poses the same model, and vertices must agree."""

import collections
import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import body, rotations
from diffjax.convert import reduction

_POSES = 4
_LARGEST_M = 1e-5


def verify(source: dict[str, np.ndarray], clean: dict[str, np.ndarray], where: str) -> None:
    """Compares posed vertices of a few random bodies; ValueError above 0.01 mm.

    `source` are the arrays as stored in the file, `clean` those of the body file. smplx is given the
    arrays and not the file: it would run whatever a pickle asks for, and needs chumpy to open
    official ones. Reading the arrays is therefore shared, all that follows is smplx's own.
    """
    random = np.random.default_rng(0)
    pose = random.normal(0, 0.4, (_POSES, 24, 3)).astype(np.float32)
    betas = random.normal(0, 1, (_POSES, 10)).astype(np.float32)
    known = min(10, clean["shapedirs"].shape[2])
    betas[:, known:] = 0
    if source["kintree_table"].shape[-1] in reduction.BODIES:
        pose[:, 22:] = 0  # They have no such joints.
    theirs = _theirs(source, pose, betas[:, :known])
    ours = _ours(clean, pose, betas[:, :known])
    apart = float(np.linalg.norm(theirs - ours, axis=-1).max())
    if not apart < _LARGEST_M:
        raise ValueError(
            f"{where}: wanted the vertices that smplx poses, found them up to {1000 * apart:.3g} mm "
            "away; report this with the model's version"
        )
    print(
        f"{where}: {_POSES} random bodies agree with smplx within {1000 * apart:.2g} mm "
        "(smplx was given the arrays, not the file: it would run what a pickle asks for)"
    )


def _ours(clean: dict[str, np.ndarray], pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    model = body.body_from_arrays(
        template=clean["v_template"],
        shape_dirs=clean["shapedirs"],
        pose_dirs=clean.get("posedirs"),
        joint_regressor=clean["J_regressor"],
        skin_weights=clean["weights"],
    )
    local = rotations.matrix_from_axis_angle(jnp.asarray(pose))
    return np.asarray(body.pose_body(model, local, jnp.asarray(betas)).vertices)


def _theirs(source: dict[str, np.ndarray], pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    try:
        import torch  # Only here: who never verifies never installs them.
    except ImportError as error:
        raise _absent() from error
    joints = source["kintree_table"].shape[-1]
    model = _model(source, {"num_betas": betas.shape[1], "batch_size": len(pose)})
    moving = pose[:, 1 : 22 if joints in reduction.BODIES else 24].reshape(len(pose), -1)
    with torch.no_grad():
        posed = model(
            betas=torch.from_numpy(betas),
            global_orient=torch.from_numpy(pose[:, 0].copy()),
            body_pose=torch.from_numpy(moving.copy()),
        )
    return posed.vertices.numpy()


def _model(source: dict[str, np.ndarray], options: dict[str, Any]) -> Any:
    """smplx's own body of these arrays; fingers flat."""
    try:
        import smplx
        from smplx.utils import Struct
    except ImportError as error:
        raise _absent() from error
    arrays: dict[str, Any] = dict(source)
    shape = (len(source["v_template"]), 3, 9 * (source["weights"].shape[1] - 1))
    arrays.setdefault("posedirs", np.zeros(shape))
    larger = reduction.BODIES.get(source["kintree_table"].shape[-1])
    if larger is not None:  # 45 angles of each hand, all 0.
        arrays |= {f"hands_mean{side}": np.zeros(45) for side in "lr"}
        arrays |= {f"hands_components{side}": np.eye(45) for side in "lr"}
        options = options | {"use_pca": False, "flat_hand_mean": True}
    with contextlib.redirect_stdout(io.StringIO()):  # It warns of ten betas.
        if larger is not None and larger.face:
            return _smplx(arrays, options)
        kind = smplx.SMPL if larger is None else smplx.SMPLH
        # Vertices that it appends to the joints, which nobody asks for here.
        options = options | {"vertex_ids": collections.defaultdict(int)}
        return kind("", data_struct=Struct(**arrays), **options)


def _smplx(arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    """SMPL-X, which it only takes as a file, and with landmarks of the face."""
    import smplx

    face = {"lmk_faces_idx": np.zeros(1, int), "lmk_bary_coords": np.zeros((1, 3))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        np.savez(path, **arrays, **face)
        model: Any = smplx.SMPLX(str(path), **options)
    model.vertex_joint_selector.extra_joints_idxs.zero_()  # As above.
    return model


def _absent() -> ValueError:
    return ValueError("smplx and torch are needed for --verify-with-smplx: pip install smplx torch")
