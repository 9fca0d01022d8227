"""The protocols by name. What is not sure is said in docs/evaluation.md."""

from typing import Literal, get_args

from diffjax import skeleton
from diffjax.protocols import conditions
from diffjax.protocols.protocol import Column, Near, Protocol

Name = Literal[
    "diffjax", "3dpw", "3dpw-hmr2", "3dpw-challenge", "mpi-inf-3dhp", "h36m", "h36m-14", "emdb", "halpe"
]  # fmt: skip
_HIPS, _PELVIS = ("left_hip", "right_hip"), ("pelvis",)
_FOURTEEN = skeleton.KEYPOINT_SETS["h36m14"]
_TEST = skeleton.KEYPOINT_SETS["mpii3d17"]
_LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in ("left", "right")
)
_MPJPE, _PA = Column("MPJPE", "mpjpe"), Column("PA-MPJPE", "pa_mpjpe")
_PVE, _HARM = Column("PVE", "pve"), Column("harmed", "harm")
_ANGLES = Column("MPJAE", "mpjae"), Column("PA-MPJAE", "pa_mpjae")
_ACCELERATION = Column("Accel", "acceleration_error"), Column("Accel/s", "acceleration_error_s")

_ALL = (
    _MPJPE,
    _PA,
    Column("N-MPJPE", "n_mpjpe"),
    _PVE,
    Column("PA-PVE", "pa_pve"),
    Column("rotation", "rotation"),
    Column("root", "root"),
    *_ANGLES,
    Column("PCK@150", "pck"),
    Column("AUC", "auc"),
    *_ACCELERATION,
    Column("jerk", "jerk"),
    Column("2D", "px"),
    Column("2D PCK@0.05", "pck2d_05"),
    Column("2D PCK@0.1", "pck2d_10"),
    Column("PCKh@0.5", "pckh"),
    _HARM,
)


def own(names: str) -> Protocol:
    """The one of the table of methods: joints of the run, on the set's root."""
    everyone = skeleton.keypoint_set(names)
    root = tuple(everyone[i] for i in skeleton.root_of(names))
    counted = tuple(n for n, yes in zip(everyone, skeleton.counted(names)) if yes)
    return Protocol("diffjax", names, counted, (root,), "table", _ALL, near=Near(counted))


_NAMED = (
    Protocol(
        "3dpw",
        "h36m17",
        _FOURTEEN,
        (_PELVIS, _HIPS),
        "body",
        (_MPJPE, _PA, _PVE, *_ACCELERATION, _HARM),
        cached=("h36m17", "h36m14"),
        checks=(conditions.gendered, conditions.rows_of(35515, of="3DPW's test set")),
        beside="SPIN, mmhuman3d, CLIFF, BEDLAM; PA-MPJPE also HMR and VIBE",
    ),
    Protocol(
        "3dpw-hmr2",
        "scorehmr14",
        tuple(name for name in skeleton.KEYPOINT_SETS["scorehmr14"] if name != "pelvis"),
        (_PELVIS,),
        "joints",
        (_MPJPE, _PA, _HARM),
        cached=("j19", "scorehmr14"),
        beside="HMR2 (4D-Humans), ScoreHMR",
    ),
    Protocol(
        "3dpw-challenge",
        "smpl24",
        skeleton.SMPL24,
        (_PELVIS,),
        "body",
        (_MPJPE, _PA, Column("PCK@50", "pck"), Column("AUC", "auc"), *_ANGLES, _HARM),
        cached=("smpl24",),
        near=Near(_LIMBS, 50.0, 200),
        checks=(conditions.gendered, conditions.detected),
        beside="the 3DPW challenge, where all three splits are in the set",
    ),
    Protocol(
        "mpi-inf-3dhp",
        "mpii3d17",
        _TEST,
        (_PELVIS,),
        "joints",
        (_MPJPE, _PA, Column("PCK@150", "pck"), Column("AUC", "auc"), Column("PA-PCK@150", "pa_pck"),
         Column("PA-AUC", "pa_auc"), _HARM),
        cached=("mpii3d17",),
        near=Near(_TEST[:14]),
        listed=True,
        checks=(conditions.rows_of(2929, 2875, of="the test set"), conditions.universal),
        beside="SPIN, HMR, mmhuman3d's HMR as DiffAnnot reports it",
    ),
    Protocol(
        "h36m",
        "h36m17",
        skeleton.KEYPOINT_SETS["h36m17"],
        (_PELVIS,),
        "joints",
        (_MPJPE, _PA, Column("N-MPJPE", "n_mpjpe"), _HARM),
        cached=("h36m17_native", "h36m17"),
        average="actions",
        listed=True,
        recordings=True,
        checks=(conditions.human36m(),),
        beside="papers that lift 2D to 3D: protocols 1 (MPJPE), 2 (PA-MPJPE) and 3 (N-MPJPE), 17 joints",
    ),
    Protocol(
        "h36m-14",
        "h36m17",
        _FOURTEEN,
        (_PELVIS,),
        "joints",
        (_MPJPE, _PA, _HARM),
        cached=("h36m17_native", "h36m17"),
        recordings=True,
        checks=(conditions.human36m(("60457274",)),),
        beside="SPIN and papers that use its files: protocol 2, the frontal camera, every fifth frame",
    ),
    Protocol(
        "emdb",
        "smpl24",
        skeleton.SMPL24,
        (_HIPS,),
        "body",
        (_MPJPE, _PA, Column("MVE", "pve"), Column("PA-MVE", "pa_pve"), *_ANGLES,
         Column("jitter", "jitter", "sequences"), _HARM),
        cached=("smpl24",),
        gaps=False,
        checks=(conditions.gendered,),
        beside="EMDB's own evaluation of EMDB 1",
    ),
    Protocol(
        "halpe",
        "coco17",
        (),
        (),
        "image",
        (Column("2D", "px"), Column("2D share", "box"), Column("PCK@0.05", "pck2d_05"),
         Column("PCK@0.1", "pck2d_10"), Column("PCKh@0.5", "pckh")),
        placed=True,
        beside="nothing published: DiffAnnot's 2D error on Halpe has no unit",
    ),
)  # fmt: skip
PROTOCOLS = {protocol.name: protocol for protocol in _NAMED}


def named(name: str, keypoints: str, fps: float = 30.0) -> Protocol:
    """The protocol of a name, at so many frames a second; `diffjax` with the joints of the run."""
    if name == "diffjax":
        return own(keypoints)._replace(fps=fps)
    if name not in PROTOCOLS:
        raise ValueError(
            f"--protocol {name}: wanted one of {', '.join(get_args(Name))}, found {name!r}"
        )
    return PROTOCOLS[name]._replace(fps=fps)
