"""Keypoints of official meshes: the joints, and the vertices that stand for face and feet."""

import numpy as np

from diffjax import skeleton

_SMPL = {
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
_SMPLX = {
    "nose": 9120,
    "right_eye": 9929,
    "left_eye": 9448,
    "right_ear": 616,
    "left_ear": 6,
    "left_big_toe": 5770,
    "left_small_toe": 5780,
    "left_heel": 8846,
    "right_big_toe": 8463,
    "right_small_toe": 8474,
    "right_heel": 8635,
}
_VERTEX = {6890: _SMPL, 10475: _SMPLX}
"""Vertices at keypoints of the face and feet, by the size of the mesh; SMPL-H's is SMPL's."""

_MIDDLE = {"neck": "shoulder", "pelvis": "hip"}
"""Keypoints that detectors put halfway between two joints."""

_SETS = ("coco17", "halpe26", "openpose25")


def regressors(clean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(K, V) of the detectors' keypoint sets, as `regressor_<name>`; none of a mesh that is not known."""
    if len(clean["v_template"]) not in _VERTEX:
        return {}
    return {
        f"regressor_{name}": np.stack([_row(clean, k) for k in skeleton.keypoint_set(name)])
        for name in _SETS
    }


def _row(clean: dict[str, np.ndarray], keypoint: str) -> np.ndarray:
    """Weights over the vertices that give a keypoint of the posed mesh."""
    if keypoint in _MIDDLE:
        sides = [f"{side}_{_MIDDLE[keypoint]}" for side in ("left", "right")]
        return 0.5 * (_row(clean, sides[0]) + _row(clean, sides[1]))
    if keypoint in skeleton.SMPL24:
        return clean["J_regressor"][skeleton.SMPL24.index(keypoint)]
    template = clean["v_template"]
    top = int(np.argmax(template[:, 1]))
    one_hot = np.zeros(len(template), np.float32)
    one_hot[top if keypoint == "head_top" else _VERTEX[len(template)][keypoint]] = 1.0
    return one_hot
