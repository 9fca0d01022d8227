"""Every format that is known."""

from diffjax.convert.inspection import known_bodies, known_caches, known_datasets
from diffjax.convert.inspection.formats import Format

WEIGHTS = (
    Format(
        "diffannot-weights",
        "DiffAnnot checkpoint of its authors (torch)",
        "module.0.weight time_embed.0.weight",
        command="weights --source {path} --out {stem}.npz",
        note="only a checkpoint over 226 numbers (rotation matrices) can be used",
    ),
    Format(
        "scorehmr-weights",
        "ScoreHMR checkpoint (torch, with its average)",
        "**ema_model.model.init_mlp.weight",
        command="weights --source {path} --stats pare_feat_stats.npz --out {stem}.npz",
        note="the averaged weights (ema_model) are the ones that are used",
    ),
    Format(
        "pare-statistics",
        "mean and standard deviation of PARE's features (ScoreHMR)",
        "pose_feats_mean pose_feats_std",
        note="goes with ScoreHMR's checkpoint: scripts/convert.py weights --stats",
    ),
    Format(
        "stcformer-weights",
        "STCFormer checkpoint (torch), a lifter of 2D videos",
        "**stcformer.stc_block.0.stc_att.qkv.weight",
        command="stcformer --source {path} --window 81 --out {stem}.npz",
        note="the weights do not tell the window it was trained on: 27 or 81 frames in those published",
    ),
    Format(
        "torch-weights",
        "torch weights of another network",
        "**.weight",
        note="DiffAnnot's and ScoreHMR's denoisers and STCFormer are known, this is none of them",
        container="torch pickle",
    ),
)


TABLE: tuple[Format, ...] = (
    *known_caches.OURS,
    *known_caches.CACHES,
    *known_bodies.BODIES,
    *known_bodies.MOTION,
    *known_datasets.DATASETS,
    *known_datasets.JSON,
    *WEIGHTS,
)
"""The first that fits is taken; a dump with something like a pose comes after all of them."""

_FOLDERS = "annotation-set 3dpw amass aist bvh openpose smplify-x mpi-inf-3dhp mpi-inf-3dhp-train "
_FOLDERS += "emdb slahmr"
FOLDERS = frozenset(_FOLDERS.split())
"""Formats whose command takes a whole folder."""
