"""SMPL-family bodies: forward kinematics and linear blend skinning (Loper et al. 2015).

Metres, y up at rest, rotations as matrices. The root rotates about the shaped rest pelvis, translation comes last.

Inside, the batch is one axis, the last one of small arrays and the first one of meshes, whose x, y and z lie apart.
"""

import dataclasses
import math
import pathlib
from typing import NamedTuple, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffjax import kinematics, skeleton, skinning, unpickle


@no_type_check  # JAX rebuilds pytrees with placeholders, which a checked __init__ would refuse.
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BodyModel:
    """Constants of one body. Arrays are leaves; the tree of joints is static."""

    template: Float[Array, "verts 3"]
    basis: Float[Array, "features 3 padded"]
    """Shape directions, then pose blend shapes (none where all are zero), as a matrix to multiply from the
    left; x, y, z apart, and vertices filled up with zeros to whole tiles."""
    joint_regressor: Float[Array, "joints verts"]
    skin_weights: Float[Array, "verts joints"]
    joint_template: Float[Array, "joints 3"]
    joint_dirs: Float[Array, "joints 3 betas"]
    parents: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    @property
    def shape_dirs(self) -> Float[Array, "verts 3 betas"]:
        """Metres a unit of each shape component."""
        return self._directions(slice(self.joint_dirs.shape[-1]))

    @property
    def pose_dirs(self) -> Float[Array, "verts 3 features"]:
        """features = 9 * (joints - 1): the row-major R - I of every joint but the root; or none."""
        return self._directions(slice(self.joint_dirs.shape[-1], None))

    def _directions(self, rows: slice):
        return jnp.transpose(self.basis[rows, :, : len(self.template)], (2, 1, 0))


class Posed(NamedTuple):
    joints: Float[Array, "*batch joints 3"]
    vertices: Float[Array, "*batch verts 3"]


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class KeypointModel:
    """Keypoints of the posed mesh without the mesh: skinning and chain folded into the regressor.

    keypoint = mix [root; R_b arm_b], over arms: vectors in the frame of a bone, linear in shape and pose.
    First those of the skin (one for each bone a keypoint hangs on), then bones of the skeleton.
    """

    arm_template: Float[Array, "all 3"]
    """The root joint, then every arm."""
    arm_dirs: Float[Array, "all 3 betas"]
    skin_pose_dirs: Float[Array, "skins 3 features"]
    """Pose blend shapes of the skin's arms, for R (not R - I) of every joint but the root; or none."""
    mix: Float[Array, "K all"]
    """What a keypoint is of the root joint, then of every turned arm."""
    bones: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    """The joint that turns each arm."""
    joint_template: Float[Array, "joints 3"]
    joint_dirs: Float[Array, "joints 3 betas"]
    parents: tuple[int, ...] = dataclasses.field(metadata={"static": True})


def body_from_arrays(
    template: np.ndarray,
    shape_dirs: np.ndarray,
    pose_dirs: np.ndarray | None,
    joint_regressor: np.ndarray,
    skin_weights: np.ndarray,
    parents: tuple[int, ...] = skeleton.SMPL_PARENTS,
) -> BodyModel:
    """A body from its arrays; the joints' own template and directions are precomputed in float64."""
    exact = np.asarray(joint_regressor, np.float64)
    return BodyModel(
        template=_single(template),
        basis=_single(_basis(shape_dirs, pose_dirs)),
        joint_regressor=_single(joint_regressor),
        skin_weights=_single(skin_weights),
        joint_template=_single(exact @ template),
        joint_dirs=_single(np.einsum("jv,vcb->jcb", exact, shape_dirs)),
        parents=tuple(int(p) for p in parents),
    )


def _single(x) -> Float[Array, "..."]:
    return jnp.asarray(np.asarray(x), jnp.float32)


def _basis(shape_dirs: np.ndarray, pose_dirs: np.ndarray | None) -> np.ndarray:
    """Directions (verts, 3, features) as (features, 3, verts), filled up to whole tiles."""
    blend = pose_dirs is not None and np.any(pose_dirs)
    directions = np.asarray(shape_dirs)
    if blend:
        directions = np.concatenate([directions, np.asarray(pose_dirs)], -1)
    spare = -len(directions) % skinning.TILE if len(directions) > skinning.TILE else 0
    return np.pad(directions, ((0, spare), (0, 0), (0, 0))).transpose(2, 1, 0)


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
        return unpickle.load_npz(path, objects=False)
    except ValueError as error:
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
                "SMPL-H and SMPL-X become bodies of 24 joints by `python scripts/convert.py smpl`"
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
            f"{path}: field kintree_table: wanted SMPL's tree, found {parents}; is it another body?"
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
    """Triangles of a body file, (F, 3) vertex indices. ValueError where it holds none."""
    found = np.asarray(_read(path).get("f", ()))
    number = found.dtype.kind in "iuf" and bool(np.isfinite(found).all())
    if not number or (found != np.round(found)).any() or found.ndim != 2 or found.shape[1] != 3:
        said = f"{found.dtype} of {found.shape}" if found.size else "nothing"
        raise ValueError(
            f"{path}: field f: wanted the (F, 3) vertex indices of triangles, found {said}; convert the body "
            "from its own file with `python scripts/convert.py smpl`, which keeps them"
        )
    return found.astype(np.int64)


def load_regressor(path: str | pathlib.Path, name: str) -> np.ndarray:
    """The (K, V) regressor of a keypoint set stored in a body file as `regressor_<name>`.

    `h36m14`, `lsp14` and `mpii3d17` are rows of `h36m17`, `scorehmr14` and `scorehmr17` of `j19`; `smpl24` is
    the joint regressor.
    """
    arrays = _read(path)
    if name == "smpl24":
        return arrays["J_regressor"].astype(np.float64)
    extra = ("j19",) if name in ("scorehmr14", "scorehmr17") else ()
    for source in (name, "h36m17", "halpe26", "openpose25", *extra):
        key, index = f"regressor_{source}", skeleton.keypoint_map(source, name)
        if key in arrays and min(index) >= 0:
            return arrays[key][list(index)].astype(np.float64)
    stored = sorted(k.removeprefix("regressor_") for k in arrays if k.startswith("regressor_"))
    raise ValueError(
        f"{path}: field regressor_{name}: wanted a regressor for {name}, found only {stored}; "
        "add one with `python scripts/convert.py smpl --regressor NAME=FILE.npy`"
    )


class _Input(NamedTuple):
    """A flat batch, also of one, in one precision."""

    rotations: Float[Array, "batch joints 3 3"]
    betas: Float[Array, "batch betas"]


def _flat(model, rotations, betas):
    """The model and the input in the input's precision, and the batch axes to come back to."""
    # NumPy promotes also where JAX is told not to: single precision constants, double precision input.
    dtype = np.result_type(rotations.dtype, betas.dtype, model.joint_template.dtype)
    batch = jnp.broadcast_shapes(rotations.shape[:-3], betas.shape[:-1])
    wanted = ((*batch, *rotations.shape[-3:]), (*batch, betas.shape[-1]))
    whole = [jnp.broadcast_to(x, s) for x, s in zip((rotations, betas), wanted)]
    size = math.prod(batch)
    flat = [x.reshape(size, *x.shape[len(batch) :]).astype(dtype) for x in whole]
    return jax.tree.map(lambda x: x.astype(dtype), model), _Input(*flat), batch


def _batch_last(rotations: Float[Array, "batch joints 3 3"]) -> Float[Array, "joints 3 3 batch"]:
    flat = rotations.reshape(len(rotations), 9 * rotations.shape[1]).T
    return jax.lax.optimization_barrier(flat).reshape(*rotations.shape[1:], len(rotations))


def _batch_first(points: Float[Array, "n 3 batch"]) -> Float[Array, "batch n 3"]:
    return points.transpose(2, 0, 1)


def _linear(template, dirs, betas) -> Float[Array, "n 3 batch"]:
    """Points that move with the shape."""
    moved = dirs.reshape(-1, dirs.shape[-1]) @ betas.T
    return template[..., None] + moved.reshape(*template.shape, len(betas))


def pose_joints(
    model: BodyModel | KeypointModel,
    rotations: Float[Array, "*#batch joints 3 3"],
    betas: Float[Array, "*#batch betas"],
) -> Float[Array, "*batch joints 3"]:
    """Posed joints (m) without the mesh."""
    model, x, batch = _flat(model, rotations, betas)

    def joints(x: _Input):
        world = kinematics.world_rotations(_batch_last(x.rotations), model.parents)
        return _batch_first(_posed_joints(model, world, x.betas))

    return _points_in_chunks(joints, x, batch)


def _points_in_chunks(function, x: _Input, batch) -> Float[Array, "*batch n 3"]:
    """Multiples of 64 leave the last bits of a sample alone; the gradient computes a chunk again."""
    points = skinning.in_chunks(function, x, skinning.POINTS_CHUNK, multiple=64, again=True)
    return points.reshape(*batch, *points.shape[1:])


def _posed_joints(model, world, betas) -> Float[Array, "joints 3 batch"]:
    """Every joint is the root and the turned bones above it, summed."""
    rest = _linear(
        kinematics.bones(model.joint_template, model.parents),
        kinematics.bones(model.joint_dirs, model.parents),
        betas,
    )
    turned = kinematics.turn(world[np.asarray(model.parents[1:])], rest[1:])
    arms = jax.lax.optimization_barrier(jnp.concatenate([rest[:1], turned]))
    mix = jnp.asarray(kinematics.ancestry(model.parents), arms.dtype)
    return jax.lax.optimization_barrier(kinematics.gathered(mix, arms))


def pose_body(
    model: BodyModel,
    rotations: Float[Array, "*#batch joints 3 3"],
    betas: Float[Array, "*#batch betas"],
    translation: Float[Array, "*#batch 3"] | None = None,
) -> Posed:
    """Posed joints and vertices (m). SMPL Eqs. 2-10: shape, pose correctives, skinning, then translation."""
    model, x, batch = _flat(model, rotations, betas)
    flat = skinning.in_chunks(lambda part: _posed(model, part), x, skinning.CHUNK)
    joints, vertices = (y.reshape(*batch, *y.shape[1:]) for y in flat)
    if translation is None:
        return Posed(joints, vertices)
    return Posed(joints + translation[..., None, :], vertices + translation[..., None, :])


def _posed(model: BodyModel, x: _Input):
    """Joints (batch, joints, 3) and vertices (batch, verts, 3) of a flat batch."""
    world = kinematics.world_rotations(_batch_last(x.rotations), model.parents)
    joints = _posed_joints(model, world, x.betas)
    rest = _linear(model.joint_template, model.joint_dirs, x.betas)
    shift = jax.lax.optimization_barrier(joints - kinematics.turn(world, rest))
    transforms = jax.lax.optimization_barrier(jnp.concatenate([world, shift[:, :, None]], 2))
    vertices = skinning.skin(
        model.template, model.basis, model.skin_weights, transforms, _features(model, x)
    )
    return joints.transpose(2, 0, 1), vertices


def _features(model: BodyModel, x: _Input) -> Float[Array, "batch features"]:
    """What multiplies the basis: shape, then row-major R - I of every joint but the root."""
    spare = len(model.basis) - x.betas.shape[-1]
    if not spare:
        return x.betas
    difference = x.rotations[:, 1:] - jnp.eye(3, dtype=x.betas.dtype)
    return jnp.concatenate([x.betas, difference.reshape(len(x.betas), spare)], -1)


def fold_keypoints(
    model: BodyModel, regressor: Float[Array | np.ndarray, "K verts"]
) -> KeypointModel:
    """Folds a (K, V) vertex regressor into arms of bones: exact algebra, done once in float64.

    With mass = sum_v r_kv w_vj, bone j carries the arm sum_v r_kv w_vj (T_v - J_j) of keypoint k, and the
    joint J_j itself, mass times, hangs on the bones above it.
    """
    regressor, skin = (np.asarray(x, np.float64) for x in (regressor, model.skin_weights))
    template, dirs, pose = (
        np.asarray(x, np.float64) for x in (model.template, model.shape_dirs, model.pose_dirs)
    )
    joint, joint_dirs = (
        np.asarray(x, np.float64) for x in (model.joint_template, model.joint_dirs)
    )
    mass = np.einsum("kv,vj->kj", regressor, skin)
    pairs = [
        (k, j)
        for j in range(skin.shape[1])
        for k in range(len(regressor))
        if np.any(regressor[k] * skin[:, j] != 0.0)
    ]
    part = np.stack([regressor[k] * skin[:, j] for k, j in pairs])
    owner = np.asarray([j for _, j in pairs])
    total = part.sum(1)
    pose_arms = np.einsum("pv,vcf->pcf", part, pose)
    upright = np.tile(np.eye(3).ravel(), pose.shape[-1] // 9)
    skin_arms = part @ template - total[:, None] * joint[owner] - pose_arms @ upright
    skin_dirs = np.einsum("pv,vcb->pcb", part, dirs) - total[:, None, None] * joint_dirs[owner]
    chain = mass @ kinematics.ancestry(model.parents)
    used = [j for j in range(1, len(joint)) if np.any(chain[:, j] != 0.0)]
    bone, bone_dirs = (kinematics.bones(x, model.parents)[used] for x in (joint, joint_dirs))
    own = np.asarray([[k == pair[0] for pair in pairs] for k in range(len(regressor))], float)
    return KeypointModel(
        arm_template=_single(np.concatenate([joint[:1], skin_arms, bone])),
        arm_dirs=_single(np.concatenate([joint_dirs[:1], skin_dirs, bone_dirs])),
        skin_pose_dirs=_single(pose_arms),
        mix=_single(np.concatenate([chain[:, :1], own, chain[:, used]], 1)),
        bones=(*owner.tolist(), *[model.parents[j] for j in used]),
        joint_template=model.joint_template,
        joint_dirs=model.joint_dirs,
        parents=model.parents,
    )


def pose_keypoints(
    model: KeypointModel,
    rotations: Float[Array, "*#batch joints 3 3"],
    betas: Float[Array, "*#batch betas"],
) -> Float[Array, "*batch K 3"]:
    """Keypoints of the posed mesh (m), equal to regressing them from `pose_body`'s vertices."""
    model, x, batch = _flat(model, rotations, betas)

    def keypoints(x: _Input):
        local = _batch_last(x.rotations)
        arms = _arms(model, local, x.betas)
        world = kinematics.world_rotations(local, model.parents)
        turned = kinematics.turn(world[np.asarray(model.bones)], arms[1:])
        turned = jax.lax.optimization_barrier(jnp.concatenate([arms[:1], turned]))
        return _batch_first(jax.lax.optimization_barrier(kinematics.gathered(model.mix, turned)))

    return _points_in_chunks(keypoints, x, batch)


def _arms(model: KeypointModel, local, betas) -> Float[Array, "all 3 batch"]:
    """The root joint and the arms of this shape and pose, each in the frame of its bone."""
    arms = jax.lax.optimization_barrier(_linear(model.arm_template, model.arm_dirs, betas))
    skins, _, features = model.skin_pose_dirs.shape
    if not features:
        return arms
    blend = model.skin_pose_dirs.reshape(-1, features) @ local[1:].reshape(features, len(betas))
    skin = arms[1 : skins + 1] + blend.reshape(skins, 3, len(betas))
    parts = [arms[:1], jax.lax.optimization_barrier(skin), arms[skins + 1 :]]
    return jax.lax.optimization_barrier(jnp.concatenate(parts))
