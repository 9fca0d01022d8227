"""Inverse kinematics by smplfitter (Sarandi & Pons-Moll 2024), an optional peer: rotations in closed form, iterated.

It fits a body to its own mesh and 24 joints, of which evidence shows some points. What it is given is the estimate's
mesh, its parts moved and turned with the joints that the evidence shows; and again from what that gave.
"""

import functools
import pickle
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from diffjax import ablation, annotate, body, skeleton
from diffjax.comparison.method import Kit, Outcome, Task
from diffjax.methods import diffannot
from diffjax.pose import Pose

ROUNDS = (2, 1, 4)
"""Of carrying the mesh along, tuned on validation."""
ITERATIONS = 2
"""Of smplfitter in each."""
BETAS = 1.0
"""Its regulariser of shape, towards the estimate's."""
LEAVES = tuple(j for j in range(24) if j not in skeleton.SMPL_PARENTS)
_FILE = "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"


def inverse_kinematics(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """The estimates, refitted to 3D joints."""
    a, model = given.annotations, kit.guided.model
    keypoints = annotate.keypoints_of(kit.run.data.body, model, a, "joints3d")
    estimate, evidence = annotate.estimate_of(a), annotate.evidence_of(a, "joints3d")
    fitter = _fitter(model)
    began, people = time.perf_counter(), estimate
    names = a.keypoints3d_set or "h36m14"
    for _ in range(task.settings):
        people = _once(fitter, model, keypoints.space, people, evidence.keypoints3d, names)
    seconds = time.perf_counter() - began
    refined = _finish(estimate, people, evidence, keypoints, jnp.inf)
    return [Outcome("smplfitter", "joints3d", refined, seconds)]


_finish = jax.jit(diffannot.finish)


def _once(fitter: Any, model, points, people: Pose, seen: Any, names: str) -> Pose:
    posed = _posed(model, points, people)
    joints, vertices, ours = (np.asarray(x) for x in posed)
    moves = carried(np.asarray(seen)[..., :3] - ours, np.asarray(seen)[..., 3], names)
    stiff = [j for j in LEAVES if skeleton.keypoint_map(names, "smpl24")[j] < 0]
    given = turned(vertices, joints, joints + moves, np.asarray(model.skin_weights), stiff)
    found = fitter.fit(
        *given,
        num_iter=ITERATIONS,
        beta_regularizer=BETAS,
        initial_pose_rotvecs=_rotation_vectors(people).astype(np.float32),
        initial_shape_betas=np.asarray(people.betas),
        requested_keys=("relative_orientations", "shape_betas"),
    )
    return Pose(found["relative_orientations"], found["shape_betas"])


@jax.jit
def _posed(model: body.BodyModel, points: body.KeypointModel, people: Pose):
    posed = body.pose_body(model, people.rotations, people.betas)
    return *posed, body.pose_keypoints(points, people.rotations, people.betas)


def _rotation_vectors(people: Pose) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(np.asarray(people.rotations, np.float64).reshape(-1, 3, 3))
    return flat.as_rotvec().reshape(-1, 72)


def carried(
    moves: Float[np.ndarray, "people K 3"],
    weight: Float[np.ndarray, "people K"],
    names: str,
) -> Float[np.ndarray, "people 24 3"]:
    """By how much SMPL's joints move when those of another keypoint set do, wherever the origin is (metres).

    Joints that are not seen follow their neighbours in the tree: the squared differences along bones are least.
    """
    where = np.asarray(skeleton.keypoint_map(names, "smpl24"))
    held = np.where(where >= 0, weight[:, where], 0.0) > 0
    total = np.maximum(weight.sum(1), 1e-6)[:, None, None]
    moves = np.where(weight[..., None] > 0, moves, 0.0)
    moves = moves - np.sum(moves * weight[..., None], 1, keepdims=True) / total
    wanted = np.where(held[..., None], moves[:, where], 0.0)
    stiff = held[..., None] * np.eye(24) * 1e3
    return np.linalg.solve(_laplacian() + stiff + 1e-9 * np.eye(24), stiff @ wanted)


def turned(
    vertices: Float[np.ndarray, "people verts 3"],
    joints: Float[np.ndarray, "people 24 3"],
    wanted: Float[np.ndarray, "people 24 3"],
    weights: Float[np.ndarray, "verts 24"],
    stiff: Sequence[int],
) -> tuple[Float[np.ndarray, "people verts 3"], Float[np.ndarray, "people 24 3"]]:
    """A mesh whose parts go with their joints, each turned with its parent and then along its bones; and the joints.

    Where the joints `stiff` are wanted does not matter: they go rigidly with their parents.
    """
    turns, wanted = list[np.ndarray](), wanted.copy()
    for joint, parent in enumerate(skeleton.SMPL_PARENTS):
        children = [i for i, p in enumerate(skeleton.SMPL_PARENTS) if p == joint and i not in stiff]
        before = turns[parent] if joint else np.broadcast_to(np.eye(3), (len(joints), 3, 3))
        if joint in stiff:
            arm = joints[:, joint] - joints[:, parent]
            wanted[:, joint] = wanted[:, parent] + np.einsum("nij,nj->ni", before, arm)
        if children:
            old, new = (p[:, children] - p[:, [joint]] for p in (joints, wanted))
            before = _onto(np.einsum("nij,nkj->nki", before, old), new) @ before
        turns.append(before)
    found = np.zeros_like(vertices)
    for joint, turn in enumerate(turns):
        moved = np.einsum("nij,nvj->nvi", turn, vertices - joints[:, [joint]]) + wanted[:, [joint]]
        found += weights[:, joint, None] * moved
    return found, wanted


def _onto(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(n, 3, 3) the least rotation of bones (n, k, 3) onto others, in least squares.

    Of one bone nothing says how it turns about itself: the third axis is held by a small multiple of the identity.
    """
    held = 1e-6 * np.eye(3)
    left, _, right = np.linalg.svd(np.einsum("nki,nkj->nij", new, old) + held)
    sign = np.linalg.det(left @ right)
    left[..., -1] *= sign[:, None]
    return left @ right


@functools.cache
def _laplacian() -> np.ndarray:
    """Of SMPL's tree."""
    bones = np.zeros((23, 24))
    for i, parent in enumerate(skeleton.SMPL_PARENTS[1:]):
        bones[i, i + 1], bones[i, parent] = 1.0, -1.0
    return bones.T @ bones


def _fitter(model: body.BodyModel) -> Any:
    """smplfitter's of the run's body, which it reads from a folder like SMPL's."""
    from smplfitter import np as peer  # An extra.

    arrays = _arrays(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / _FILE).write_bytes(pickle.dumps(arrays, protocol=2))
        np.save(folder / "kid_template.npy", np.zeros_like(arrays["v_template"]))
        return peer.BodyFitter(peer.BodyModel("smpl", "neutral", str(folder)))


def _arrays(model: body.BodyModel) -> dict[str, np.ndarray]:
    """The body under SMPL's names; its triangles are not needed."""
    template, blend = np.asarray(model.template), np.asarray(model.pose_dirs)
    return {
        "v_template": template,
        "shapedirs": np.asarray(model.shape_dirs),
        "posedirs": blend if blend.shape[-1] else np.zeros((*template.shape, 207), np.float32),
        "J_regressor": np.asarray(model.joint_regressor),
        "weights": np.asarray(model.skin_weights),
        "kintree_table": np.stack([np.asarray(model.parents), np.arange(24)]),
        "f": np.zeros((1, 3), np.int64),
    }
