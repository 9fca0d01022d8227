"""Body models, and motion of bodies."""

import numpy as np

from diffjax.convert.inspection.formats import Fields, Format, last, shape

_SMPL = "v_template shapedirs weights kintree_table"


def _joints_of_body(fields: Fields) -> int:
    """Joints of a model file, 0 if it says none."""
    return last(fields, "kintree_table")


def _is_ready(fields: Fields) -> bool:
    """24 joints, with keypoint regressors or the signed root that official files do not have."""
    tree = fields.get("kintree_table")
    if _joints_of_body(fields) != 24 or not isinstance(tree, np.ndarray) or tree.ndim != 2:
        return False
    signed = tree.dtype.kind == "i" and tree[0, 0] == -1 and last(fields, "shapedirs") <= 10
    return signed or any(name.startswith("regressor_") for name in fields)


BODIES = (
    Format(
        "star",
        "STAR model",
        "v_template shapedirs posedirs",
        note="STAR's betas live in another space: no SMPL parameters fit it; get SMPL_NEUTRAL.pkl",
        test=lambda fields: (
            last(fields, "posedirs") == 93 or shape(fields, "posedirs")[:1] == (93,)
        ),
    ),
    Format(
        "ready-body",
        "body of diffjax, converted already",
        _SMPL,
        test=_is_ready,
        container="npz",
    ),
    Format(
        "smpl",
        "SMPL body model",
        _SMPL,
        command="smpl --source {path} --out {model}",
        note="v1.0 has 10 shape components, v1.1 has 300: their betas are not the same; further keypoints "
        "come with --regressor h36m17=J_regressor_h36m.npy",
        test=lambda fields: _joints_of_body(fields) == 24,
    ),
    Format(
        "smplh",
        "SMPL-H body model",
        _SMPL,
        command="smpl --source {path} --out {model}",
        note="52 joints, of which a set uses the first 22",
        test=lambda fields: _joints_of_body(fields) == 52,
    ),
    Format(
        "smplx",
        "SMPL-X body model",
        _SMPL,
        command="smpl --source {path} --out {model}",
        note="55 joints become SMPL's 24: hands flat, the face at rest; its betas are not SMPL's, so use it "
        "with people whose betas are SMPL-X's",
        test=lambda fields: _joints_of_body(fields) == 55,
    ),
    Format(
        "body",
        "model of another body part",
        _SMPL,
        note="a hand (16 joints) or a head (5): only whole bodies are used",
    ),
    Format(
        "regressor",
        "keypoint regressor of SMPL",
        "array|value",
        command="smpl --source SMPL_NEUTRAL.pkl --out smpl_neutral.npz --regressor {regressor}={path}",
        test=lambda fields: len(fields) == 1 and last(fields, "array", "value") == 6890,
    ),
    Format(
        "regressor-smplx",
        "keypoint regressor of SMPL-X",
        "array|value",
        command="smpl --source SMPLX_NEUTRAL.npz --out smplx_neutral.npz --regressor {regressor}={path}",
        test=lambda fields: len(fields) == 1 and last(fields, "array", "value") == 10475,
    ),
)

MOTION = (
    Format(
        "3dpw",
        "3DPW sequence",
        "poses betas cam_poses",
        "pose=poses betas=betas world@smpl24=jointPositions channel_first@openpose18=poses2d "
        "gender=genders valid=campose_valid frame=img_frame_ids",
        "3dpw --source {path} --out {out}",
        "poses2d is channel first, img_frame_ids number the 60 Hz video",
        axes="world",
    ),
    Format(
        "phalp",
        "PHALP / 4D-Humans tracks",
        "**/tid **/smpl**",
        "body=*/smpl[]/body_pose root=*/smpl[]/global_orient betas=*/smpl[]/betas "
        "cached=*/3d_joints box=*/bbox subject=*/tid tracked=*/tracked_ids",
        "phalp --source {path} --out {out}",
        "lists follow tid, which counts ghosts: people tracked but not seen in the frame",
        axes="camera",
    ),
    Format(
        "vibe",
        "VIBE tracks",
        "*/pred_cam */pose */betas",
        "pose=*/pose betas=*/betas cached=*/joints3d middle=*/bboxes frame=*/frame_ids",
        "vibe --source {path} --out {out}",
        "the tracker's ids are not the data set's people",
        axes="camera",
    ),
    Format(
        "aist",
        "AIST++ motion",
        "smpl_poses smpl_trans smpl_scaling",
        "pose=smpl_poses",
        "aist --source {path} --out motion",
        "translation is in the rig's units: it is divided by smpl_scaling; the body is male, betas 0",
        axes="world",
    ),
    Format(
        "amass",
        "AMASS motion",
        "poses trans mocap_framerate|mocap_frame_rate|betas|gender",
        "pose=poses betas=betas gender=gender",
        "amass --source {path} --up {up} --out motion",
        test=lambda fields: last(fields, "poses") in (3, 66, 72, 156, 165),
        container="npz",
    ),
    Format(
        "amass",
        "AMASS motion (SMPL-X release)",
        "root_orient pose_body trans",
        "root=root_orient body=pose_body betas=betas gender=gender",
        "amass --source {path} --up {up} --out motion",
        container="npz",
    ),
    Format(
        "amass-shape",
        "shape.npz of AMASS",
        "betas gender",
        "betas=betas",
        note="it has no motion: nothing to convert, the amass command skips it",
        test=lambda fields: len(fields) <= 3 and len(shape(fields, "betas")) == 1,
        container="npz",
    ),
    Format(
        "bvh",
        "BVH motion",
        "joints channels frame_time",
        command="bvh --source {path} --out motion",
        note="units and names of joints are each program's own",
        container="bvh",
    ),
    Format(
        "smplcodec",
        "motion of smplcodec (.smpl)",
        "codecVersion|smplVersion bodyPose|frameCount",
        "body=bodyPose",
        note="written by to-smpl; there is no way back yet",
    ),
    Format(
        "smplify-x",
        "SMPLify-X result, one person",
        "camera_rotation|camera_translation body_pose betas",
        "betas=betas",
        note="32 numbers of body_pose are VPoser's latent: decode them with VPoser first",
        test=lambda fields: last(fields, "body_pose") == 32,
        axes="camera",
    ),
    Format(
        "smplify-x",
        "SMPLify-X result, one person",
        "camera_rotation|camera_translation body_pose betas global_orient",
        "root=global_orient body=body_pose betas=betas",
        "smplify-x --source {path} --out {out}",
        "63 numbers of body_pose are 21 joints: SMPL's two hands are missing",
        axes="camera",
    ),
    Format(
        "eft-bodymocap",
        "bodymocap pickle of EFT / FrankMocap",
        "**parm_pose **parm_shape parm_cam",
        "pose=parm_pose betas=parm_shape",
        "generic --source {path} --pose-field parm_pose --betas-field parm_shape --layout matrices --out {out}",
        container="pickle",
    ),
)
