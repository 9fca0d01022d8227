"""Sampled people in the T-pose: MakeHuman's shapes on SMPL's 24 joints, skinned in NumPy."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import transform

from diffjax import skeleton
from diffjax.convert import makehuman

_CUBES = {
    "pelvis": "pelvis",
    "left_hip": "l-upper-leg",
    "spine1": "spine-4",
    "left_knee": "l-knee",
    "spine2": "spine-2",
    "left_ankle": "l-ankle",
    "spine3": "spine-1",
    "left_foot": "l-toe-3-1",
    "neck": "neck",
    "left_collar": "l-clavicle",
    "head": "head",
    "left_shoulder": "l-shoulder",
    "left_elbow": "l-elbow",
    "left_wrist": "l-hand",
    "left_hand": "l-finger-3-1",
}
"""MakeHuman's joint cube (their mean is the joint) for each SMPL joint; right ones mirror these."""

_REST = {
    "left_shoulder": (1, 0.0, -0.04),
    "left_elbow": (1, 0, -0.01),
    "left_wrist": (1, -0.03, 0),
    "left_hip": (0.08, -1, -0.02),
    "left_knee": (0.0, -1, -0.06),
}
"""Direction of the bone that leaves each joint in the rest pose."""

_BONE_END = {
    "left_shoulder": "left_elbow",
    "left_elbow": "left_wrist",
    "left_wrist": "left_hand",
    "left_hip": "left_knee",
    "left_knee": "left_ankle",
}


class Shapes(NamedTuple):
    """People in the rest pose, pelvis at the origin, metres."""

    vertices: np.ndarray
    """(S, V, 3)."""
    joints: np.ndarray
    """(S, 24, 3)."""


def _joint_vertices(source: makehuman.Source) -> np.ndarray:
    """(24, N) the mean of a cube's vertices for each joint."""
    out = np.zeros((len(skeleton.SMPL24), len(source.vertices)))
    for j, name in enumerate(skeleton.SMPL24):
        cube = _CUBES[name.replace("right_", "left_")]
        cube = cube.replace("l-", "r-", 1) if name.startswith("right_") else cube
        ids = source.groups[f"joint-{cube}"]
        out[j, ids] = 1 / len(ids)
    return out


def _rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes direction a to direction b (not opposite)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + a @ b)


def skin_mesh(
    vertices: np.ndarray, joints: np.ndarray, skin: np.ndarray, world: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mesh and joints posed by world rotations (24, 3, 3).

    Linear blend skinning, Loper et al. 2015, without correctives.
    """
    posed = joints.copy()
    for j, parent in enumerate(skeleton.SMPL_PARENTS[1:], 1):
        posed[j] = posed[parent] + world[parent] @ (joints[j] - joints[parent])
    offset = posed - np.einsum("jab,jb->ja", world, joints)
    blended = (skin @ world.reshape(-1, 9)).reshape(-1, 3, 3)
    return np.einsum("vab,vb->va", blended, vertices) + skin @ offset, posed


def _rest_rotations(joints: np.ndarray) -> np.ndarray:
    """World rotations that straighten MakeHuman's A-pose into the T-pose; feet stay flat."""
    world = np.tile(np.eye(3), (len(joints), 1, 1))
    for name, direction in _REST.items():
        for side, flip in (("left", 1), ("right", -1)):
            start, end = (
                skeleton.SMPL24.index(n.replace("left", side)) for n in (name, _BONE_END[name])
            )
            world[start] = _rotation_between(
                joints[end] - joints[start], np.multiply(direction, (flip, 1, 1))
            )
    for hand, wrist in ((22, 20), (23, 21)):
        world[hand] = world[wrist]
    return world


def _rest_pose(points: np.ndarray, joints: np.ndarray, skin: np.ndarray):
    vertices, joints = skin_mesh(points, joints, skin, _rest_rotations(joints))
    return vertices - joints[0], joints - joints[0]


def sample_shapes(
    source: makehuman.Source, kept: np.ndarray, crowd: list[makehuman.Person]
) -> Shapes:
    """The kept vertices and the joints of each person in the rest pose."""
    cubes = _joint_vertices(source)
    rows = (source.vertices[kept], cubes @ source.vertices)
    target_vertices, target_joints = source.targets[:, kept], cubes @ source.targets
    vertices, joints = [], []
    for person in crowd:
        weights = makehuman.target_weights(source.keys, person)
        points = rows[0] + np.tensordot(weights, target_vertices, 1)
        bones = rows[1] + np.tensordot(weights, target_joints, 1)
        points, bones = _rest_pose(points, bones, source.skin[kept])
        vertices.append(points)
        joints.append(bones)
    return Shapes(np.array(vertices), np.array(joints))


def _random_rotations(rng: np.random.Generator, spread: float) -> np.ndarray:
    """(24, 3, 3) world rotations of a random pose, `spread` rad on each axis of each joint."""
    world = [np.eye(3)]
    local = transform.Rotation.from_rotvec(rng.normal(0, spread, (24, 3))).as_matrix()
    for j, parent in enumerate(skeleton.SMPL_PARENTS[1:], 1):
        world.append(world[parent] @ local[j])
    return np.array(world)


def pose_shapes(
    shapes: Shapes, skin: np.ndarray, rng: np.random.Generator, spread: float
) -> Shapes:
    """The same people, each in a random pose."""
    posed = [
        skin_mesh(v, j, skin, _random_rotations(rng, spread))
        for v, j in zip(shapes.vertices, shapes.joints)
    ]
    return Shapes(np.array([v for v, _ in posed]), np.array([j for _, j in posed]))
