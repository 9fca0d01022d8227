"""Joint and keypoint sets by name, and the maps between them."""

_SMPL24 = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist left_hand right_hand"
)
SMPL24 = tuple(_SMPL24.split())
"""SMPL's joints in SMPL's order; joint 0 is the root (global orientation)."""

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each SMPL joint; -1 for the root."""

MOVING_JOINTS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)
"""Local joints that motion capture usually moves: not the root, spine2, toes or hands."""

_COCO17 = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
_FEET6 = "left_big_toe right_big_toe left_small_toe right_small_toe left_heel right_heel"
_OPENPOSE18 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
)
_LEGS_ARMS = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist neck head_top"
)

_OPENPOSE25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow "
    "left_wrist pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye "
    "left_eye right_ear left_ear left_big_toe left_small_toe left_heel right_big_toe "
    "right_small_toe right_heel"
)
_J19 = f"{_LEGS_ARMS} pelvis thorax spine head head_top_h36m"

KEYPOINT_SETS: dict[str, tuple[str, ...]] = {
    name: tuple(names.split()) if isinstance(names, str) else names
    for name, names in {
        "smpl24": SMPL24,
        # The order of J_regressor_h36m.npy: LEFT leg first.
        "h36m17": "pelvis left_hip left_knee left_ankle right_hip right_knee right_ankle spine neck "
        "head head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
        # Human3.6M's own order, as in VideoPose3D: RIGHT leg first. Its "thorax" and "neck/nose" are the
        # neck and the head of the regressor above.
        "h36m17_native": "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine "
        "neck head head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
        # The 14 joints of the 3DPW protocol, in SPIN's order.
        "h36m14": _LEGS_ARMS,
        "lsp14": _LEGS_ARMS,
        "mpii3d17": "head_top neck right_shoulder right_elbow right_wrist left_shoulder left_elbow "
        "left_wrist right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine head",
        "coco17": _COCO17,
        "halpe26": f"{_COCO17} head_top neck pelvis {_FEET6}",
        "openpose18": _OPENPOSE18,
        "openpose25": _OPENPOSE25,
        # Its upper neck lies above the others' neck, which is between the shoulders.
        "openpose25b": f"{_COCO17} upper_neck head_top left_big_toe left_small_toe left_heel "
        "right_big_toe right_small_toe right_heel",
        # The rows of SMPL_to_J19.pkl: LSP's 14, MPII's pelvis and thorax, Human3.6M's spine, jaw (our head)
        # and head, which is the top of the head too, but not LSP's.
        "j19": _J19,
        # SPIN's and HMR2's order: OpenPose's, then j19's; where both have a name, the second is `_extra`.
        "hmr44": (
            *_OPENPOSE25.split(),
            *(f"{n}_extra" if n in _OPENPOSE25.split() else n for n in _J19.split()),
        ),
        # What ScoreHMR judges, in that order: 3DPW and Human3.6M (with the pelvis, `UNCOUNTED`), Mannequin.
        "scorehmr14": f"{_LEGS_ARMS.removesuffix(' head_top')} head_top_h36m pelvis",
        "scorehmr17": f"{_LEGS_ARMS.removesuffix(' head_top')} pelvis spine head head_top_h36m",
    }.items()
}
"""Name of each keypoint, in file order. halpe26's 17 'head' is the top of the head."""

UNCOUNTED: dict[str, tuple[str, ...]] = {"scorehmr14": ("pelvis",)}
"""Keypoints of a set that errors are not counted at: they are there to be centred on."""

_ON_PELVIS = ("j19", "scorehmr14", "scorehmr17")
"""Sets whose authors centre on MPII's pelvis (39 of HMR2's 44), though they have hips."""

_ABOVE = {
    "hip": "pelvis", "knee": "hip", "ankle": "knee", "foot": "ankle", "heel": "ankle",
    "big_toe": "ankle", "small_toe": "ankle", "spine": "pelvis", "spine1": "pelvis", "spine2": "spine1",
    "spine3": "spine2", "thorax": "spine", "neck": "thorax spine3 spine", "head": "neck",
    "nose": "head neck", "eye": "nose", "ear": "nose", "head_top": "head neck", "head_top_h36m": "head neck",
    "collar": "spine3 neck", "shoulder": "collar neck thorax", "elbow": "shoulder", "wrist": "elbow", "hand": "wrist",
}  # fmt: skip
"""What a joint hangs on, the first that a set has; on the pelvis otherwise. Sides go with sides, extras with extras."""


def keypoint_set(name: str) -> tuple[str, ...]:
    """The names of a set; ValueError lists the known ones."""
    if name not in KEYPOINT_SETS:
        raise ValueError(f"keypoint set: wanted one of {sorted(KEYPOINT_SETS)}, got {name!r}")
    return KEYPOINT_SETS[name]


def root_of(name: str) -> tuple[int, ...]:
    """The joints whose mean is the root of a set: the hips (as 3DPW does), else the pelvis.

    ScoreHMR's sets are centred on MPII's pelvis.
    """
    names = keypoint_set(name)
    hips, pelvis = ("left_hip", "right_hip"), ("pelvis",)
    for root in (pelvis, hips) if name in _ON_PELVIS else (hips, pelvis):
        if set(root) <= set(names):
            return tuple(names.index(joint) for joint in root)
    raise ValueError(f"keypoint set {name!r}: wanted hips or a pelvis, found neither")


def counted(name: str) -> tuple[bool, ...]:
    """For each keypoint of a set, whether errors are counted at it."""
    return tuple(joint not in UNCOUNTED.get(name, ()) for joint in keypoint_set(name))


def keypoint_map(source: str, target: str) -> tuple[int, ...]:
    """For each keypoint of `target`, its index in `source`; -1 where `source` lacks it."""
    index = {name: i for i, name in enumerate(keypoint_set(source))}
    return tuple(index.get(name, -1) for name in keypoint_set(target))


def mirror_permutation(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each keypoint, the index of its left/right partner (itself on the midline)."""
    swap = {"left": "right", "right": "left"}
    partner = ["_".join(swap.get(part, part) for part in name.split("_")) for name in names]
    return tuple(names.index(name) for name in partner)


def keypoint_parents(name: str) -> tuple[int, ...]:
    """For each keypoint of a set with a pelvis, the index of what it hangs on; -1 for the pelvis."""
    names = keypoint_set(name)
    if "pelvis" not in names:
        raise ValueError(f"keypoint set {name!r}: wanted a pelvis, found none")
    return tuple(-1 if n == "pelvis" else names.index(_above(n, names)) for n in names)


def _above(name: str, names: tuple[str, ...]) -> str:
    """The keypoint of a set that one hangs on."""
    side, _, plain = name.partition("_")
    side, plain = (f"{side}_", plain) if side in ("left", "right") else ("", name)
    end = "_extra" if plain.endswith("_extra") else ""
    wanted = _ABOVE.get(plain.removesuffix(end), "").split()
    tried = (f"{s}{n}{e}" for n in wanted for s in (side, "") for e in (end, ""))
    return next((n for n in tried if n in names), "pelvis")
