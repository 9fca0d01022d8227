"""SMPL-H as a 24-joint body: its fingers flat, each hand on one joint."""

import numpy as np

from diffjax import skeleton

JOINTS = 52
_BODY = 22
_HANDS = {22: (20, range(22, 37)), 23: (21, range(37, 52))}
"""SMPL's hand joint: the wrist, and SMPL-H's finger joints (index, middle, pinky, ring, thumb)."""

_MIDDLE = (25, 40)
"""The first joints of the middle fingers, where SMPL has its hand joints."""


def as_smpl(arrays: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The arrays of a 24-joint body that equals SMPL-H with flat fingers, vertex by vertex.

    A finger joint without rotation moves with its wrist, wherever it sits, so that its skin weight
    may go to any joint that does too; and its nine pose features R - I are 0. With SMPL's hand
    joints turned, whole hands turn about the bases of their middle fingers, and no pose blend
    shape answers, as SMPL-H has none for it.
    """
    _check(arrays, where)
    kept = [*range(_BODY), *_MIDDLE]
    weights = arrays["weights"]
    hands = [weights[:, list(fingers)].sum(1) for _, fingers in _HANDS.values()]
    tree = np.array([skeleton.SMPL_PARENTS, range(24)])
    small = {
        **arrays,
        "J_regressor": arrays["J_regressor"][kept],
        "weights": np.concatenate([weights[:, :_BODY], np.stack(hands, -1)], -1),
        "kintree_table": tree,
    }
    if "posedirs" in arrays:
        body = arrays["posedirs"][..., : 9 * (_BODY - 1)]
        rest = np.zeros((*body.shape[:-1], 9 * 2), body.dtype)
        small["posedirs"] = np.concatenate([body, rest], -1)
    return small


def _check(arrays: dict[str, np.ndarray], where: str) -> None:
    """ValueError unless sizes fit each other and fingers hang on the wrists."""
    verts = arrays["v_template"].shape[0] if arrays["v_template"].ndim else 0
    wanted = {
        "J_regressor": (JOINTS, verts),
        "weights": (verts, JOINTS),
        "posedirs": (verts, 3, 9 * (JOINTS - 1)),
    }
    for name, shape in wanted.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(
                f"{where}: field {name}: wanted {shape} as of SMPL-H's {JOINTS} joints, found "
                f"{arrays[name].shape}; download the file again"
            )
    parents = arrays["kintree_table"][0].astype(np.int64)
    body = tuple(parents[1:_BODY]) == skeleton.SMPL_PARENTS[1:_BODY]
    hands = all(
        parents[joint] in (wrist, joint - 1)
        for wrist, fingers in _HANDS.values()
        for joint in fingers
    )
    if not (body and hands and all(parents[j] == w for j, (w, _) in zip(_MIDDLE, _HANDS.values()))):
        raise ValueError(
            f"{where}: field kintree_table: wanted SMPL-H's tree, found parents "
            f"{parents.tolist()}; is it another body of {JOINTS} joints?"
        )
