"""A BVH skeleton's motion on SMPL's joints.

Every joint of SMPL takes the *global* rotation of the joint that is named like it, times a constant
that makes up for the different rest poses (SMPL's is a T-pose that faces +z):

    G_smpl(t) = G_bvh(t) G_rest^-1 M Y

where Y turns SMPL's rest pose to the heading of the skeleton's, and M is the smallest rotation that takes
SMPL's rest bone onto the skeleton's. Exact: the global rotations, hence every angle of a skeleton that
rests as SMPL does. Approximate: the twist of a limb whose rest directions differ, the curve of the spine
(one M for the whole trunk), hands (as the forearm), and the place of the pelvis inside the
body (that of a mean body). The body's shape is not fitted: bones keep SMPL's lengths.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from diffjax import skeleton
from diffjax.convert import writing

_PELVIS = np.array([0.0, -0.22, 0.03])
"""Rest pelvis of a mean body (converted_weights/open_body.npz), metres."""

_BONES = {
    "hip": ("knee", (0.08, -1.0, -0.02)),
    "knee": ("ankle", (0.0, -1.0, -0.06)),
    "ankle": ("foot", (0.08, -0.33, 0.94)),
    "shoulder": ("elbow", (1.0, 0.0, -0.04)),
    "elbow": ("wrist", (1.0, 0.0, -0.01)),
}
"""End of the bone of each limb joint, and its rest direction on the left side of that mean body."""

_SIDED = {
    "upleg": "hip", "leg": "knee", "foot": "ankle", "toebase": "foot", "toe": "foot",
    "shoulder": "collar", "arm": "shoulder", "forearm": "elbow", "hand": "wrist",
}  # fmt: skip
"""CMU's, Mixamo's and LAFAN1's names behind Left and Right."""
_ANATOMIC = {
    "hip": "hip", "knee": "knee", "ankle": "ankle", "foot": "foot", "toe": "foot",
    "collar": "collar", "shoulder": "shoulder", "elbow": "elbow", "wrist": "wrist", "hand": "hand",
}  # fmt: skip
"""SMPL's own names, and those of older BVH files."""
_MIDDLE = {"hips": "pelvis", "hip": "pelvis", "pelvis": "pelvis", "neck": "neck", "head": "head"}
_SPINE = re.compile(r"(spine|chest|lowerback|upperback|back|torso|abdomen|belly)\d*$")
_IDLE = re.compile(
    r"(thumb|index|middle|ring|pinky|finger|hipjoint|neck\d|toe_?end|toes?\d|headtop|headend|eye|jaw|"
    r"nub|end)",
)
"""Joints that no joint of SMPL follows: left out in silence."""
_ABOVE = re.compile(r"(reference|armature|root|world|scene)\d*$")

# Metres a unit, by the length of a leg in units: metres, CMU's (1 / 0.45 inches), inches, cm, mm.
_UNITS = (
    (1.0, 0.5, 1.3),
    (0.0254 / 0.45, 10.0, 20.0),
    (0.0254, 21.0, 48.0),
    (0.01, 52.0, 130.0),
    (0.001, 500.0, 1300.0),
)
_LEAST_UPRIGHT = 0.7  # Cosine of 45 degrees.


def smpl_motion(
    recording: Any,
    where: str,
    *,
    up: Literal["y", "z"],
    unit: float | None,
    rest_frame: int | None,
    drop: tuple[str, ...],
    say: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angle (frames, 24, 3) and translation (frames, 3) in metres, y up, of a `bvh.Recording`."""
    source = joints_of(recording.names, recording.parents, where, drop)
    needed = _with_ancestors(set(source.values()), recording.parents)
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) if up == "z" else np.eye(3)
    rotations, places = _forward(recording, recording.values, needed, turn)
    rest, rest_places = _rest(recording, rest_frame, needed, turn, where)
    spots = {name: rest_places[index][0] for name, index in source.items()}
    metres = _metres(spots, unit, where, say)
    offsets = _corrections(spots, where)
    turned = {
        name: rotations[index] @ (rest[index][0].T @ offsets[name])
        for name, index in source.items()
    }
    local = _local(turned, len(recording.values))
    return writing.axis_angle(local), places[source["pelvis"]] * metres - _PELVIS


def joints_of(
    names: tuple[str, ...], parents: tuple[int, ...], where: str, drop: tuple[str, ...] = ()
) -> dict[str, int]:
    """Which joint of a file each joint of SMPL follows; names that mean nothing are refused."""
    plain = [_plain(name) for name in names]
    sided = _SIDED if "leftupleg" in plain else _ANATOMIC
    known = _MIDDLE | {
        f"{side}{a}": f"{side}_{b}" for side in ("left", "right") for a, b in sided.items()
    }
    found: dict[str, int] = {}
    unknown = []
    for index, name in enumerate(plain):
        if names[index] in drop or name in drop:
            continue
        if name in known:
            found.setdefault(known[name], index)
        elif not (_SPINE.search(name) or _IDLE.search(name) or _ABOVE.search(name)):
            unknown.append(names[index])
    if unknown:
        raise ValueError(
            f"{where}: wanted the joint names of CMU, Mixamo, LAFAN1 or SMPL, found also "
            f"{', '.join(unknown)[:400]}; leave them out with --drop, or rename them"
        )
    limbs = [f"{side}_{part}" for side in ("left", "right") for part in ("wrist", "ankle", *_BONES)]
    missing = [name for name in ("pelvis", "neck", *limbs) if name not in found]
    if missing:
        raise ValueError(
            f"{where}: wanted a whole skeleton, found no {', '.join(missing)} among "
            f"{', '.join(names)[:400]}; rename its joints as Mixamo's"
        )
    return found | _spine(found, parents, where)


def _plain(name: str) -> str:
    """mixamorig:LeftUpLeg, L_Hip and left_hip as leftupleg, lefthip, lefthip."""
    plain = re.sub(r"[^a-z0-9]", "", re.split(r"[:|]", name.strip())[-1].lower())
    plain = re.sub(r"^mixamorig\d*", "", plain)
    return re.sub(
        r"^([lr])(?=hip|knee|ankle|foot|toe|collar|shoulder|elbow|wrist|hand)",
        lambda match: {"l": "left", "r": "right"}[match[1]],
        plain,
    )


def _spine(found: dict[str, int], parents: tuple[int, ...], where: str) -> dict[str, int]:
    """spine1 to spine3 of the joints between pelvis and neck: all rotation, however many there are."""
    chain: list[int] = []
    joint = parents[found["neck"]]
    while joint not in (-1, found["pelvis"]):
        chain.insert(0, joint)
        joint = parents[joint]
    if joint < 0:
        raise ValueError(
            f"{where}: wanted the neck below the pelvis, found it elsewhere; rename the joints"
        )
    if not chain:
        return {}
    names = {1: ("spine2",), 2: ("spine1", "spine3")}.get(
        len(chain), ("spine1", "spine2", "spine3")
    )
    picked = np.linspace(0, len(chain) - 1, len(names)).round().astype(int)
    return {name: chain[int(i)] for name, i in zip(names, picked)}


def _with_ancestors(joints: set[int], parents: tuple[int, ...]) -> list[int]:
    kept = set()
    for joint in joints:
        while joint >= 0 and joint not in kept:
            kept.add(joint)
            joint = parents[joint]
    return sorted(kept)


def _forward(recording: Any, values: np.ndarray, needed: list[int], turn: np.ndarray):
    """Global rotations and places of the needed joints, one array (frames, ...) each."""
    starts = np.cumsum([0, *map(len, recording.channels)])
    rotations: dict[int, np.ndarray] = {-1: turn[None]}
    places: dict[int, np.ndarray] = {-1: np.zeros((1, 3))}
    for joint in needed:
        parent = recording.parents[joint]
        channels = recording.channels[joint]
        columns = dict(zip(channels, values[:, starts[joint] :].T))
        shift = np.tile(recording.offsets[joint], (len(values), 1))
        local = np.broadcast_to(np.eye(3), (len(values), 3, 3))
        for channel, column in columns.items():
            axis = "XYZ".index(channel[0])
            if channel.endswith("position"):
                shift[:, axis] = column
            else:
                local = local @ _about(axis, np.radians(column))
        places[joint] = places[parent] + (rotations[parent] @ shift[..., None])[..., 0]
        rotations[joint] = rotations[parent] @ local
    return rotations, places


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(angle), 1, 1))
    matrices[:, i, i] = matrices[:, j, j] = np.cos(angle)
    matrices[:, j, i] = np.sin(angle)
    matrices[:, i, j] = -matrices[:, j, i]
    return matrices


def _rest(recording: Any, rest_frame: int | None, needed: list[int], turn: np.ndarray, where: str):
    """`_forward` of the frame that is told to be a rest pose, or of all rotations zero."""
    if rest_frame is None:
        bare = recording._replace(channels=tuple(() for _ in recording.channels))
        return _forward(bare, np.zeros((1, 0)), needed, turn)
    if not 0 <= rest_frame < len(recording.values):
        raise ValueError(
            f"--rest-frame: wanted a frame of {where}, 0 to {len(recording.values) - 1}, "
            f"got {rest_frame}"
        )
    return _forward(recording, recording.values[rest_frame : rest_frame + 1], needed, turn)


def _metres(
    spots: dict[str, np.ndarray], unit: float | None, where: str, say: Callable[[str], None]
) -> float:
    """Metres a unit: what is told, or what makes legs as long as legs are."""
    chain = [spots[f"left_{part}"] for part in ("hip", "knee", "ankle")]
    leg = float(sum(np.linalg.norm(b - a) for a, b in itertools.pairwise(chain)))
    if unit is not None and not 0 < unit < 1000:
        raise ValueError(f"--unit: wanted metres a unit above 0, got {unit:g}")
    metres = unit or next((size for size, low, high in _UNITS if low <= leg <= high), None)
    if metres is None:
        raise ValueError(
            f"{where}: wanted legs of a person in metres, inches, cm or mm, found {leg:.4g} units; "
            "give metres a unit with --unit"
        )
    say(f"{where}: one unit taken as {metres:.4g} m: legs of {leg * metres:.2f} m")
    return metres


def _corrections(spots: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """M Y of every joint (see the module), from where the joints are at rest."""
    left = (spots["left_hip"] - spots["right_hip"]) * (1, 0, 1)
    trunk = _unit(spots["neck"] - spots["pelvis"])
    legs = [_unit(spots[f"{s}_ankle"] - spots[f"{s}_hip"]) for s in ("left", "right")]
    x = _unit(left)
    y = np.array([0.0, 1.0, 0.0])
    heading = np.stack([x, y, np.cross(x, y)], -1)
    arms = [_unit(spots[f"{s}_wrist"] - spots[f"{s}_shoulder"]) for s in ("left", "right")]
    upright = min(trunk[1], *(-leg[1] for leg in legs))
    ahead = max(abs(float(arm @ heading[:, 2])) for arm in arms)
    if not np.linalg.norm(x) > 0.5 or upright < _LEAST_UPRIGHT or ahead > _LEAST_UPRIGHT:
        raise ValueError(
            f"{where}: wanted a rest pose that stands upright with the arms out or down, found another; "
            "give a frame that does with --rest-frame, or the vertical axis with --up"
        )
    upper = _least_turn(heading @ y, trunk) @ heading
    found: dict[str, np.ndarray] = {name: upper for name in skeleton.SMPL24}  # noqa: C420
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for part, (end, direction) in _BONES.items():
            name, tip = f"{side}_{part}", spots.get(f"{side}_{end}")
            if tip is None or np.linalg.norm(tip - spots[name]) == 0:  # No toes: as the shin.
                found[name] = found[f"{side}_knee"]
                continue
            wanted = heading @ _unit(np.array(direction) * (sign, 1, 1))
            found[name] = _least_turn(wanted, _unit(tip - spots[name])) @ heading
        found[f"{side}_foot"] = found[f"{side}_ankle"]
        found[f"{side}_wrist"] = found[f"{side}_hand"] = found[f"{side}_elbow"]
    return found


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def _least_turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes unit a to unit b: I + [v] + [v]^2 / (1 + a.b), v = a x b."""
    v, c = np.cross(a, b), float(a @ b)
    if c < -0.9999:  # Opposite: half a turn about any axis across.
        across = _unit(np.cross(a, np.eye(3)[np.argmin(np.abs(a))]))
        return 2 * np.outer(across, across) - np.eye(3)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + c)


def _local(turned: dict[str, np.ndarray], frames: int) -> np.ndarray:
    """(frames, 24, 3, 3) relative to the parent; a joint that follows none goes with its parent."""
    world: list[np.ndarray] = []
    local = np.empty((frames, 24, 3, 3))
    for joint, (name, parent) in enumerate(zip(skeleton.SMPL24, skeleton.SMPL_PARENTS)):
        above = world[parent] if parent >= 0 else np.eye(3)
        here = turned.get(name, above)
        local[:, joint] = np.swapaxes(above, -1, -2) @ here
        world.append(here)
    return local
