"""Annotation sets, and what frontends leave behind."""

from diffjax.convert.inspection.formats import Fields, Format, last, shape
from diffjax.data import checks


def _is_set(fields: Fields) -> bool:
    poses = [name for name in ("pred_pose", "pose") if name in fields]
    wide = {"keypoints2d": 3, "labels2d": 3, "keypoints3d": 4}
    points = [name for name in wide if name in fields]
    ours = set(fields) <= set(checks.NAMES) and len(fields) > 1
    matrices = all(shape(fields, name)[1:] == (24, 3, 3) for name in poses)
    return ours and matrices and all(last(fields, name) == wide[name] for name in points)


_SET_PARTS = (
    "pose=pred_pose pose=pose betas=pred_betas betas=betas joints=keypoints3d pixels=keypoints2d "
    "pixels=labels2d box=bbox_px focal=focal_px size=image_size_px gender=gender sequence=sequence "
    "frame=frame subject=subject image=image"
)
_HUMAN = (
    "body=smpl/body_pose root=smpl/global_orient betas=smpl/betas box=bbox_xywh gender=meta/gender "
    "image=image_path frame=frame_id subject=person_id corners=bboxes_xyxy"
)
_ROWS = "rows are matched by position: give the very file that was evaluated, row order differs by machine"


def _is_spin(fields: Fields) -> bool:
    """Fields that only SPIN has in these shapes."""
    points = {"part": (24, 3), "openpose": (25, 3), "S": (24, 4)}
    fits = {"pose", "shape", "has_smpl"} <= set(fields)
    return fits or any(shape(fields, name)[1:] == size for name, size in points.items())


OURS = (
    Format(
        "annotation-set",
        "annotation set of diffjax",
        "pred_pose pred_betas",
        _SET_PARTS,
        "python scripts/refine.py --data {path} --out {better}",
        test=_is_set,
        axes="camera",
    ),
    Format(
        "evidence",
        "annotation set of diffjax, without estimates",
        "pose|keypoints2d|labels2d|keypoints3d",
        _SET_PARTS,
        "join --estimates SET.npz --evidence {path} --out {joined}",
        "it waits for its estimates",
        test=_is_set,
        axes="camera",
    ),
    Format(
        "sequence-set",
        "sequence set of diffjax",
        "poses2d|keypoints2d joint_set sequence frame",
        command="python scripts/refine.py --config configs/d3prefiner_demo.py --data {path} --out {better}",
        note="train its refiner first (scripts/train.py, the same --config); without estimate3d there is nothing to "
        "refine yet: scripts/lift.py lifts",
    ),
    Format(
        "sequence-model",
        "sequence refiner of diffjax",
        "facts params/** noise/** normaliser/**",
        command="python scripts/refine.py --config configs/d3prefiner_demo.py --parts.refiner {path}",
    ),
    Format(
        "lifter",
        "lifter of diffjax, of 2D videos",
        "settings params/inward/kernel",
        command="python scripts/lift.py --data VIDEOS.npz --lifter {path} --out {out}",
    ),
    Format(
        "diffjax-model",
        "model of diffjax (a denoiser)",
        "facts params/**",
        command="python scripts/sweep_steps.py --parts.denoiser {path}",
    ),
    Format("diffjax-frontend", "frontend of diffjax's demo", "Dense_0/kernel LayerNorm_0/scale"),
)

CACHES = (
    Format(
        "inference-result",
        "inference_result.npz of mmhuman3d's demo",
        "smpl/body_pose pred_cams bboxes_xyxy",
        _HUMAN,
        "inference-result --source {path} --out {out}",
        "person_id is the tracker's, not the data set's; frames without people are left out",
        axes="camera",
    ),
    Format(
        "humandata",
        "HumanData of mmhuman3d",
        "__data_len__|__temporal_len__|__key_strict__",
        _HUMAN + " joints@human_data=keypoints3d pixels@human_data=keypoints2d",
        "humandata --source {path} --out {out}",
        "compressed keypoints hold the columns of their mask alone",
        axes="camera",
    ),
    Format(
        "scorehmr-cache",
        "ScoreHMR's cache of HMR2 predictions",
        "pred_pose pred_betas pred_cam",
        "pose=pred_pose betas=pred_betas",
        "scorehmr-cache --cache {path} --evaluation EVALUATION.npz --out {out}",
        f"no names: {_ROWS}",
        test=lambda fields: shape(fields, "pred_pose")[-3:] == (24, 3, 3),
        axes="camera",
    ),
    Format(
        "hmr2",
        "evaluation .npz of HMR2 / ScoreHMR",
        "imgname center scale body_pose|body_keypoints_2d|extra_keypoints_2d|body_keypoints_3d",
        "pose=body_pose betas=betas pixels@openpose25=body_keypoints_2d joints@openpose25=body_keypoints_3d "
        "image=imgname pixel_scale=scale gender=gender",
        "hmr2 --source {path} --out {out}",
        "scale is the box in pixels; body_pose holds the root too",
        axes="camera",
    ),
    Format(
        "scorehmr-cache-batched",
        "ScoreHMR's cache of HMR2 predictions, a list of clips or view sets",
        "[]/pred_pose []/pred_betas []/pred_cam",
        "pose=[]/pred_pose betas=[]/pred_betas",
        "scorehmr-cache --cache {path} --evaluation EVALUATION.pkl --entries video --out {out}",
        f"--entries views where an entry is one instant; no names: {_ROWS}",
        axes="camera",
        container="pickle",
    ),
    Format(
        "hmr2-batched",
        "evaluation .pkl of ScoreHMR, a list of clips or view sets",
        "[]/imgname []/center []/scale",
        "pose=[]/body_pose betas=[]/betas image=[]/imgname",
        "hmr2 --source {path} --entries video --out {out}",
        "--entries views where an entry is one instant seen by several cameras",
        axes="camera",
        container="pickle",
    ),
    Format(
        "slahmr",
        "a person in a frame, of ScoreHMR's or SLAHMR's track folders",
        "global_orient body_pose cam_trans box_center cam_bbox",
        "root=global_orient body=body_pose betas=betas",
        "slahmr --source {path} --out {out}",
        "give the video's folder; shot_idcs/VIDEO.json (--shots) parts tracks at cuts",
        axes="camera",
        container="json",
    ),
    Format(
        "spin-eval",
        "eval.py --result_file of SPIN",
        "pred_joints pose betas camera",
        "cached@h36m17=pred_joints pose=pose betas=betas",
        "spin-result --result {path} --dataset DATASET.npz --out {out}",
        f"no names: {_ROWS}",
        axes="camera",
    ),
    Format(
        "spin",
        "SPIN-style .npz (dataset_extras)",
        "imgname center scale",
        "pose=pose betas=shape joints@spin24=S pixels@spin24=part pixels@openpose25=openpose gender=gender "
        "image=imgname spin_scale=scale",
        "spin --source {path} --out {out}",
        "absent fields are absent supervision; scale is the box / 200",
        axes="camera",
    ),
    Format(
        "spin",
        "SPIN-style .npz without boxes",
        "imgname",
        "pose=pose betas=shape joints@spin24=S pixels@spin24=part pixels@openpose25=openpose gender=gender "
        "image=imgname",
        "spin --source {path} --out {out}",
        "without center and scale, people are joined by names alone",
        axes="camera",
        test=_is_spin,
        container="npz",
    ),
    Format(
        "spin-fits",
        "static fits of SPIN",
        "pose shape has_smpl",
        "pose=pose betas=shape",
        "spin-result --result {path} --dataset DATASET.npz --out {out}",
        f"no names: {_ROWS}",
    ),
    Format(
        "mean-params",
        "smpl_mean_params.npz",
        "pose shape cam",
        "pose=pose betas=shape",
        note="a frontend's starting point, no annotation: nothing to convert",
        test=lambda fields: shape(fields, "pose") in ((144,), (72,)),
    ),
)
