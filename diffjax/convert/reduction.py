"""SMPL-H and SMPL-X as 24-joint bodies: what they have besides SMPL's joints stays at rest."""

from typing import NamedTuple

import numpy as np

from diffjax import skeleton

_BODY = 22
"""Joints that SMPL, SMPL-H and SMPL-X share: all of SMPL's but the hands."""

_HEAD, _WRISTS = 15, (20, 21)


class Body(NamedTuple):
    """What a larger body has after the joints that it shares with SMPL."""

    name: str
    face: range
    """Jaw and eyes, which hang on the head."""
    hands: tuple[range, range]
    """Joints of the left and right fingers, three each: index, middle, pinky, ring, thumb."""
    remark: str

    @property
    def joints(self) -> int:
        return self.hands[-1].stop


BODIES: dict[int, Body] = {
    body.joints: body
    for body in (
        Body("SMPL-H", range(22, 22), (range(22, 37), range(37, 52)), ""),
        Body(
            "SMPL-X",
            range(22, 25),
            (range(25, 40), range(40, 55)),
            "; jaw and eyes go with the head, without expression; its betas are not SMPL's: use it with "
            "people whose betas are SMPL-X's",
        ),
    )
}
"""By the number of their joints."""

_SHAPES, _ALL_SHAPES = 10, 300
_WITH_EXPRESSION = 400
"""SMPL-X's shape components are followed by those of expression: 300 + 100, in older files 10 + 10."""


def told(kind: Body) -> str:
    """What becomes of it, for people."""
    return (
        f"{kind.name}'s {kind.joints} joints become SMPL's 24: joints 22 and 23 are the bases of the middle "
        "fingers and carry whole hands, fingers stay flat (its mean hand pose is not used)"
        f"{kind.remark}"
    )


def as_smpl(arrays: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The arrays of a 24-joint body that equals the larger one with flat fingers, vertex by vertex.

    A joint without rotation moves with the joint above it, wherever it sits, so that its skin weight
    may go to any joint that does too; and its nine pose features R - I are 0. So jaw and eyes give
    their skin to the head, and fingers theirs to SMPL's hand joints, the bases of the middle fingers.
    With those turned, whole hands turn, and no pose blend shape answers, as there is none for it.
    """
    kind = BODIES[arrays["kintree_table"].shape[1]]
    _check(arrays, kind, where)
    carried = [[joint] for joint in range(_BODY)] + [list(fingers) for fingers in kind.hands]
    carried[_HEAD] += kind.face
    skin = [arrays["weights"][:, joints].sum(1) for joints in carried]
    middles = [fingers[3] for fingers in kind.hands]
    small = {
        **arrays,
        "shapedirs": arrays["shapedirs"][..., : _shapes(arrays, kind)],
        "J_regressor": arrays["J_regressor"][[*range(_BODY), *middles]],
        "weights": np.stack(skin, -1),
        "kintree_table": np.array([skeleton.SMPL_PARENTS, range(24)]),
    }
    if "posedirs" in arrays:
        moving = arrays["posedirs"][..., : 9 * (_BODY - 1)]
        small["posedirs"] = np.pad(moving, ((0, 0), (0, 0), (0, 9 * 2)))
    return small


def _shapes(arrays: dict[str, np.ndarray], kind: Body) -> int:
    """Components of shape, those of expression left out."""
    found = arrays["shapedirs"].shape[-1]
    if not kind.face:
        return found
    return _ALL_SHAPES if found >= _WITH_EXPRESSION else _SHAPES


def _parents(kind: Body) -> list[int]:
    """Of every joint: SMPL's, then the face's on the head, then five chains of three on each wrist."""
    parents = [*skeleton.SMPL_PARENTS[:_BODY], *[_HEAD for _ in kind.face]]
    for wrist, fingers in zip(_WRISTS, kind.hands):
        parents += [wrist if i % 3 == 0 else joint - 1 for i, joint in enumerate(fingers)]
    return parents


def _check(arrays: dict[str, np.ndarray], kind: Body, where: str) -> None:
    """ValueError unless sizes fit each other and face and fingers hang where they should."""
    verts = arrays["v_template"].shape[0] if arrays["v_template"].ndim else 0
    wanted = {
        "J_regressor": (kind.joints, verts),
        "weights": (verts, kind.joints),
        "posedirs": (verts, 3, 9 * (kind.joints - 1)),
    }
    for name, shape in wanted.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(
                f"{where}: field {name}: wanted {shape} as of {kind.name}'s {kind.joints} joints, found "
                f"{arrays[name].shape}; download the file again"
            )
    if arrays["shapedirs"].ndim != 3:
        raise ValueError(
            f"{where}: field shapedirs: wanted shape ({verts}, 3, components), found "
            f"{arrays['shapedirs'].shape}; download the file again"
        )
    parents = arrays["kintree_table"][0].astype(np.int64).tolist()
    if parents[1:] != _parents(kind)[1:]:
        raise ValueError(
            f"{where}: field kintree_table: wanted {kind.name}'s tree, found parents "
            f"{parents}; is it another body of {kind.joints} joints?"
        )
