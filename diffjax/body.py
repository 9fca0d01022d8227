"""SMPL-family bodies: forward kinematics and linear blend skinning (Loper et al. 2015).

Metres, y up at rest, rotations as matrices. The root rotates about the shaped rest pelvis, translation comes last.
"""

import dataclasses
import pathlib
import zipfile
from typing import NamedTuple, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import skeleton, unpickle


@no_type_check  # JAX rebuilds pytrees with placeholders, which a checked __init__ would refuse.
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BodyModel:
    """Constants of one body. Arrays are leaves; the tree of joints is static."""

    template: Float[Array, "verts 3"]
    shape_dirs: Float[Array, "verts 3 betas"]
    pose_dirs: Float[Array, "verts 3 features"]
    """features = 9 * (joints - 1): the row-major R - I of every joint but the root."""
    joint_regressor: Float[Array, "joints verts"]
    skin_weights: Float[Array, "verts joints"]
    joint_template: Float[Array, "joints 3"]
    joint_dirs: Float[Array, "joints 3 betas"]
    parents: tuple[int, ...] = dataclasses.field(metadata={"static": True})


class Posed(NamedTuple):
    joints: Float[Array, "*batch joints 3"]
    vertices: Float[Array, "*batch verts 3"]


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class KeypointModel:
    """Keypoints of the posed mesh without the mesh: skinning folded into the regressor.

    keypoint_k = sum over its bones j of R_j (offset + dirs [betas, pose]) + weight t_j.
    """

    offset: Float[Array, "pairs 3"]
    dirs: Float[Array, "pairs 3 features"]
    weight: Float[Array, " pairs"]
    bones: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    """Bone of each pair."""
    keypoints: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    """Keypoint of each pair, ascending."""
    joint_template: Float[Array, "joints 3"]
    joint_dirs: Float[Array, "joints 3 betas"]
    parents: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    count: int = dataclasses.field(metadata={"static": True})
    """Number of keypoints."""


def body_from_arrays(
    template: np.ndarray,
    shape_dirs: np.ndarray,
    pose_dirs: np.ndarray | None,
    joint_regressor: np.ndarray,
    skin_weights: np.ndarray,
    parents: tuple[int, ...] = skeleton.SMPL_PARENTS,
) -> BodyModel:
    """A body from its arrays; the joints' own template and directions are precomputed in float64."""
    if pose_dirs is None:
        pose_dirs = np.zeros((len(template), 3, 9 * (len(parents) - 1)))
    exact = np.asarray(joint_regressor, np.float64)

    def single(x):
        return jnp.asarray(np.asarray(x), jnp.float32)

    return BodyModel(
        template=single(template),
        shape_dirs=single(shape_dirs),
        pose_dirs=single(pose_dirs),
        joint_regressor=single(joint_regressor),
        skin_weights=single(skin_weights),
        joint_template=single(exact @ template),
        joint_dirs=single(np.einsum("jv,vcb->jcb", exact, shape_dirs)),
        parents=tuple(int(p) for p in parents),
    )


def _read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no body file here; use converted_weights/open_body.npz, or convert yours with "
            "`python scripts/convert.py smpl`"
        )
    if path.suffix == ".pkl":
        return unpickle.load_smpl_pickle(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: wanted a body, .npz or official .pkl, found something else; convert yours with "
            "`python scripts/convert.py smpl`, or use converted_weights/open_body.npz"
        ) from error


_SHAPES = {
    "v_template": "(V, 3)",
    "shapedirs": "(V, 3, betas)",
    "J_regressor": "(24, V)",
    "weights": "(V, 24)",
    "kintree_table": "(2, 24)",
}


def _check(path, arrays: dict[str, np.ndarray]) -> None:
    verts = arrays["v_template"].shape[0] if "v_template" in arrays else 0
    joints = len(skeleton.SMPL24)
    wanted = {
        "v_template": (verts, 3),
        "J_regressor": (joints, verts),
        "weights": (verts, joints),
        "kintree_table": (2, joints),
    }
    for name, text in _SHAPES.items():
        if name not in arrays:
            raise ValueError(
                f"{path}: field {name}: wanted {text}, found nothing; is this a SMPL body?"
            )
        if name in wanted and arrays[name].shape != wanted[name]:
            raise ValueError(
                f"{path}: field {name}: wanted shape {wanted[name]}, found {arrays[name].shape}; "
                "only 24-joint SMPL bodies are supported"
            )
        if not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"{path}: field {name}: wanted finite numbers, found NaN; convert it again"
            )
    if arrays["shapedirs"].ndim != 3 or arrays["shapedirs"].shape[2] < 10:
        raise ValueError(
            f"{path}: field shapedirs: wanted (V, 3, 10 or more), found {arrays['shapedirs'].shape}"
        )


def load_body(path: str | pathlib.Path, betas: int = 10) -> BodyModel:
    """A body from an SMPL-format .npz, or an official .pkl (read without running code from it).

    Files with more shape components (v1.1 has 300) are cut to the first `betas`.
    Raises FileNotFoundError, or ValueError naming file, field, wanted and found.
    """
    arrays = _read(path)
    _check(path, arrays)
    # The root's parent is stored as 2**32 - 1 (uint32); through int32 it becomes -1.
    parents = arrays["kintree_table"][0].astype(np.int64).astype(np.int32)
    parents = (-1, *(int(p) for p in parents[1:]))
    if parents != skeleton.SMPL_PARENTS:
        raise ValueError(
            f"{path}: field kintree_table: wanted SMPL's tree, found {parents}; SMPL-H/X are not supported"
        )
    return body_from_arrays(
        arrays["v_template"],
        arrays["shapedirs"][:, :, :betas],
        arrays.get("posedirs"),
        arrays["J_regressor"],
        arrays["weights"],
        parents,
    )


def load_faces(path: str | pathlib.Path) -> np.ndarray:
    """Triangles of a body file, (F, 3) vertex indices."""
    return _read(path)["f"].astype(np.int64)


def load_regressor(path: str | pathlib.Path, name: str) -> np.ndarray:
    """The (K, V) regressor of a keypoint set stored in a body file as `regressor_<name>`.

    `h36m14`, `lsp14` and `mpii3d17` are rows of `h36m17`; `smpl24` is the joint regressor.
    """
    arrays = _read(path)
    if name == "smpl24":
        return arrays["J_regressor"].astype(np.float64)
    for source in (name, "h36m17", "halpe26", "openpose25"):
        key, index = f"regressor_{source}", skeleton.keypoint_map(source, name)
        if key in arrays and min(index) >= 0:
            return arrays[key][list(index)].astype(np.float64)
    stored = sorted(k.removeprefix("regressor_") for k in arrays if k.startswith("regressor_"))
    raise ValueError(
        f"{path}: field regressor_{name}: wanted a regressor for {name}, found only {stored}; "
        "add one with `python scripts/convert.py smpl --regressor NAME=FILE.npy`"
    )


def _kinematics(rotations, joints, parents):
    """World rotation of every joint and posed joints, unrolled over the static tree."""
    world, position = [rotations[..., 0, :, :]], [joints[..., 0, :]]
    for j in range(1, len(parents)):
        parent = parents[j]
        bone = joints[..., j, :] - joints[..., parent, :]
        world.append(_matmul(world[parent], rotations[..., j, :, :]))
        position.append(_apply(world[parent], bone) + position[parent])
    return jnp.stack(world, -3), jnp.stack(position, -2)


def _matmul(a, b):
    """3x3 product by elementwise sums: XLA's batched 3x3 matmul is slow on CPU."""
    return sum(a[..., :, k, None] * b[..., None, k, :] for k in range(3))


def _apply(a, v):
    return sum(a[..., :, k] * v[..., None, k] for k in range(3))


def _shaped_joints(model, betas):
    return model.joint_template + jnp.einsum("jcb,...b->...jc", model.joint_dirs, betas)


def _pose_feature(rotations):
    """Row-major R - I of every joint but the root (SMPL's pose blend shape input)."""
    difference = rotations[..., 1:, :, :] - jnp.eye(3, dtype=rotations.dtype)
    return difference.reshape(*difference.shape[:-3], -1)


def pose_joints(
    model: BodyModel | KeypointModel,
    rotations: Float[Array, "*#batch joints 3 3"],
    betas: Float[Array, "*#batch betas"],
) -> Float[Array, "*batch joints 3"]:
    """Posed joints (m) without the mesh."""
    rotations, betas = _broadcast(rotations, betas)
    return _kinematics(rotations, _shaped_joints(model, betas), model.parents)[1]


def _broadcast(rotations, betas):
    batch = jnp.broadcast_shapes(rotations.shape[:-3], betas.shape[:-1])
    return (
        jnp.broadcast_to(rotations, (*batch, *rotations.shape[-3:])),
        jnp.broadcast_to(betas, (*batch, betas.shape[-1])),
    )


def pose_body(
    model: BodyModel,
    rotations: Float[Array, "*#batch joints 3 3"],
    betas: Float[Array, "*#batch betas"],
    translation: Float[Array, "*#batch 3"] | None = None,
) -> Posed:
    """Posed joints and vertices (m). SMPL Eqs. 2-10: shape, pose correctives, skinning, then translation."""
    rotations, betas = _broadcast(rotations, betas)
    joints = _shaped_joints(model, betas)
    world, position = _kinematics(rotations, joints, model.parents)
    rest = model.template + jnp.einsum("vcb,...b->...vc", model.shape_dirs, betas)
    rest = rest + jnp.einsum("vcf,...f->...vc", model.pose_dirs, _pose_feature(rotations))
    blend = jnp.einsum("vj,...jab->...vab", model.skin_weights, world)
    shift = position - _apply(world, joints)
    vertices = _apply(blend, rest) + jnp.einsum("vj,...jc->...vc", model.skin_weights, shift)
    if translation is None:
        return Posed(position, vertices)
    return Posed(position + translation[..., None, :], vertices + translation[..., None, :])


def fold_keypoints(
    model: BodyModel, regressor: Float[Array | np.ndarray, "K verts"]
) -> KeypointModel:
    """Folds a (K, V) vertex regressor into per-bone terms: exact algebra, done once in float64."""
    exact = [np.asarray(x, np.float64) for x in (regressor, model.skin_weights, model.template)]
    regressor, skin, template = exact
    basis = np.concatenate([model.shape_dirs, model.pose_dirs], -1).astype(np.float64)
    pairs = [
        (k, j)
        for k in range(len(regressor))
        for j in range(skin.shape[1])
        if np.any(regressor[k] * skin[:, j] != 0.0)
    ]
    mass = np.stack([regressor[k] * skin[:, j] for k, j in pairs])
    return KeypointModel(
        offset=jnp.asarray(mass @ template, jnp.float32),
        dirs=jnp.asarray(np.einsum("pv,vcf->pcf", mass, basis), jnp.float32),
        weight=jnp.asarray(mass.sum(1), jnp.float32),
        bones=tuple(j for _, j in pairs),
        keypoints=tuple(k for k, _ in pairs),
        joint_template=model.joint_template,
        joint_dirs=model.joint_dirs,
        parents=model.parents,
        count=len(regressor),
    )


def pose_keypoints(
    model: KeypointModel,
    rotations: Float[Array, "*#batch joints 3 3"],
    betas: Float[Array, "*#batch betas"],
) -> Float[Array, "*batch K 3"]:
    """Keypoints of the posed mesh (m), equal to regressing them from `pose_body`'s vertices."""
    rotations, betas = _broadcast(rotations, betas)
    joints = _shaped_joints(model, betas)
    world, position = _kinematics(rotations, joints, model.parents)
    shift = position - _apply(world, joints)
    features = jnp.concatenate([betas, _pose_feature(rotations)], -1)
    local = model.offset + jnp.einsum("pcf,...f->...pc", model.dirs, features)
    bones, keypoints = np.asarray(model.bones), np.asarray(model.keypoints)
    terms = _apply(world[..., bones, :, :], local)
    terms = terms + model.weight[:, None] * shift[..., bones, :]
    scatter = (np.arange(model.count)[:, None] == keypoints[None]).astype(np.float32)
    return jnp.einsum("kp,...pc->...kc", scatter.astype(terms.dtype), terms)
