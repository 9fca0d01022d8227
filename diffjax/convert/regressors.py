"""Joints and keypoints as weighted means of vertices, fitted on people, alike left and right."""

import numpy as np
from scipy import optimize

from diffjax import skeleton
from diffjax.convert import makehuman, people

_FLIP = np.array([-1.0, 1.0, 1.0])


def _locally_linear(
    points: np.ndarray, goal: np.ndarray, reach: float, stiffness: float
) -> np.ndarray:
    """Weights w, sum 1, that minimise mean |sum_v w_v (x_v - goal)|^2 + a penalty on far vertices.

    With the sum fixed the minimum of w' H w is H^-1 1, normalised. points (S, V, 3), goal (S, 3).
    """
    delta = points - goal[:, None]
    far = np.mean(np.sum(delta**2, -1), 0)
    flat = delta.transpose(0, 2, 1).reshape(-1, delta.shape[1])
    normal = flat.T @ flat / len(points) + stiffness * np.diag(far + reach**2)
    weights = np.linalg.solve(normal, np.ones(len(normal)))
    return weights / weights.sum()


def fit_regressor(
    points: np.ndarray, goal: np.ndarray, candidates: np.ndarray, size: int, stiffness: float
) -> np.ndarray:
    """(V,) small signed weights that find `goal` (S, 3) from the `size` best candidates."""
    weights = _locally_linear(points[:, candidates], goal, 0.03, stiffness)
    best = np.sort(candidates[np.argsort(-np.abs(weights), kind="stable")[:size]])
    out = np.zeros(points.shape[1])
    out[best] = _locally_linear(points[:, best], goal, 0.03, stiffness)
    return out


def _symmetric(rows: np.ndarray, names: tuple[str, ...], mirror: np.ndarray) -> np.ndarray:
    """Right rows mirror the left ones; midline rows are averaged with their mirror image."""
    swap = skeleton.mirror_permutation(names)
    flipped = rows[list(swap)][:, mirror]
    out = [
        flipped[k] if n.startswith("right_") else rows[k] if n.startswith("left_") else
        (rows[k] + flipped[k]) / 2
        for k, n in enumerate(names)
    ]  # fmt: skip
    return np.array(out)


def fit_joints(shapes: people.Shapes, mirror: np.ndarray) -> np.ndarray:
    """(24, V) joint regressor fitted on sampled people in the rest pose."""
    rows = []
    for j in range(len(skeleton.SMPL24)):
        far = np.linalg.norm(shapes.vertices.mean(0) - shapes.joints[:, j].mean(0), axis=1)
        near = np.argsort(np.round(far, 6), kind="stable")[:300]
        rows.append(fit_regressor(shapes.vertices, shapes.joints[:, j], near, 96, 1e-4))
    return _symmetric(np.array(rows), skeleton.SMPL24, mirror)


def fit_moving_joints(
    posed: people.Shapes, shapes: people.Shapes, skin: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """(24, V) regressor of the joints from *posed* vertices, those of the two bones that meet."""
    rows = []
    for j, parent in enumerate(skeleton.SMPL_PARENTS):
        bones = [j] if parent < 0 else [j, parent]
        far = np.linalg.norm(shapes.vertices.mean(0) - shapes.joints[:, j].mean(0), axis=1)
        far = np.round(far, 6) + 10 * (1 - skin[:, bones].sum(1))
        near = np.argsort(far, kind="stable")[:150]
        rows.append(fit_regressor(posed.vertices, posed.joints[:, j], near, 32, 1e-3))
    return _symmetric(np.array(rows), skeleton.SMPL24, mirror)


def error_mm(regressor: np.ndarray, shapes: people.Shapes) -> np.ndarray:
    """(24,) mean distance between regressed and true joints of sampled people."""
    found = np.einsum("jv,svc->sjc", regressor, shapes.vertices)
    return 1000 * np.linalg.norm(found - shapes.joints, axis=-1).mean(0)


def landmarks(source: makehuman.Source, rest: np.ndarray) -> dict[str, np.ndarray]:
    """Points on the average body `rest` (V, 3): MakeHuman's own groups, and extremes."""
    head, foot = source.skin[:, 15] > 0.9, source.skin[:, [7, 10]].sum(1) > 0.9
    left = rest[:, 0] > 0

    def at(group: str) -> np.ndarray:
        goal = source.vertices[source.groups[group]]
        goal = goal[np.argmax(goal[:, 2])] if "eye" in group else goal.mean(0)
        return rest[np.argmin(np.sum((source.vertices[: len(rest)] - goal) ** 2, 1))]

    def extreme(mask: np.ndarray, direction) -> np.ndarray:
        return rest[mask][np.argmax(rest[mask] @ np.array(direction))]

    return {
        "nose": extreme(head, (0, 0, 1)) * [0, 1, 1],
        "left_eye": at("helper-l-eye"),
        "left_ear": extreme(head & left, (1, 0, 0)),
        "head_top": extreme(head, (0, 1, 0)) * [0, 1, 1],
        "left_big_toe": at("joint-l-toe-1-3"),
        "left_small_toe": at("joint-l-toe-5-4"),
        "left_heel": extreme(foot & left, (0, -0.6, -1)),
    }


def _surface_row(template: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(V,) weights >= 0 of the nearest vertices whose mean comes closest to `goal`."""
    near = np.argsort(np.round(np.linalg.norm(template - goal, axis=1), 6), kind="stable")[:6]
    # The heavy last row asks for a sum of one; the light ones ask for near vertices.
    far = np.linalg.norm(template[near] - goal, axis=1)
    system = np.concatenate(
        [(template[near] - goal).T, np.ones((1, len(near))), 0.1 * np.diag(far)]
    )
    weights, _ = optimize.nnls(system, np.r_[np.zeros(3), 1, np.zeros(len(near))])
    out = np.zeros(len(template))
    out[near] = weights / weights.sum()
    return out


def keypoint_rows(
    template: np.ndarray, joints: np.ndarray, landmarks: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Weights on the posed mesh (V,) for every keypoint name; `joints` is `fit_moving_joints`'s."""
    rows: dict[str, np.ndarray] = dict(zip(skeleton.SMPL24, joints))
    for name, goal in landmarks.items():
        rows[name] = _surface_row(template, goal)
        if name.startswith("left_"):
            rows[name.replace("left", "right")] = _surface_row(template, goal * _FLIP)
    rows["spine"] = rows["spine2"]
    # Human3.6M's index 9 sits inside the face, between the skull's joint and the nose.
    rows["head"] = 0.5 * (rows["head"] + rows["nose"])
    return rows


def keypoint_regressor(name: str, rows: dict[str, np.ndarray], mirror: np.ndarray) -> np.ndarray:
    """(K, V) regressor of a set; OpenPose's and Halpe's neck is midway between the shoulders."""
    if name in ("openpose25", "halpe26"):
        rows = rows | {"neck": 0.5 * (rows["left_shoulder"] + rows["right_shoulder"])}
    names = skeleton.KEYPOINT_SETS[name]
    return _symmetric(np.array([rows[n] for n in names]), names, mirror)
