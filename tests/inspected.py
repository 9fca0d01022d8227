"""People who stand before a camera as people do, for files that are inspected."""

import functools
import json
import pathlib
import pickle

import files_sequences
import h5py
import joblib
import numpy as np
import torch
from scipy import io
from scipy.spatial.transform import Rotation

from diffjax import body
from diffjax.convert import pairing

BODY = pathlib.Path(__file__).parents[1] / "converted_weights" / "open_body.npz"


@functools.cache
def people(count=12, seed=0):
    """Axis-angle (N, 24, 3), matrices, betas (N, 10) and h36m17 joints (N, 17, 3) in metres, camera axes."""
    random = np.random.default_rng(seed)
    turns = random.normal(0, 0.1, (count, 24, 3))
    turns[:, (4, 5), 0] += random.uniform(0.4, 1.2, (count, 2))
    turns[:, 18, 1] -= random.uniform(0.4, 1.2, count)
    turns[:, 19, 1] += random.uniform(0.4, 1.2, count)
    yaw = Rotation.from_rotvec(np.outer(random.uniform(-1, 1, count), [0, 1, 0]))
    turns[:, 0] = (Rotation.from_rotvec([np.pi, 0, 0]) * yaw).as_rotvec()
    matrices = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    betas = random.normal(0, 0.8, (count, 10))
    return turns.astype(np.float32), matrices.astype(np.float32), betas.astype(np.float32)


@functools.cache
def joints(name="h36m17", count=12, seed=0):
    """Keypoints of these people on the open body."""
    _, matrices, betas = people(count, seed)
    model = body.fold_keypoints(body.load_body(BODY), body.load_regressor(BODY, name))
    return pairing.pose_rows(model, matrices, betas)


def pixels(name="coco17", count=12):
    """(N, K, 3): the same, seen by a camera of 1000 px, 5 m away; half of the eyes and ears unseen."""
    points = joints(name, count) + np.array([0, 0, 5.0])
    flat = 1000 * points[..., :2] / points[..., 2:] + [960, 540]
    seen = np.full((*flat.shape[:2], 1), 0.9)
    seen[::2, 3:5] = 0
    return np.concatenate([flat * (seen > 0), seen], -1).astype(np.float32)


# --- one small file of every format -----------------------------------------------------------------


def _npz(name, **arrays):
    def write(folder):
        with (folder / name).open("wb") as file:
            np.savez(file, **arrays)
        return folder / name

    return write


def _pickle(name, content, compress=0):
    def write(folder):
        joblib.dump(content, folder / name, compress=compress) if compress else (
            folder / name
        ).write_bytes(pickle.dumps(content, 2))
        return folder / name

    return write


def _json(name, content):
    def write(folder):
        (folder / name).write_text(json.dumps(content, default=lambda value: value.tolist()))
        return folder / name

    return write


def _torch(name, content):
    def write(folder):
        as_tensors = {key: torch.as_tensor(value) for key, value in content.items()}
        torch.save({"state": as_tensors} if name.startswith("deep") else as_tensors, folder / name)
        return folder / name

    return write


def _hdf5(name, **arrays):
    def write(folder):
        with h5py.File(folder / name, "w") as file:
            for key, value in arrays.items():
                file[key] = value
        return folder / name

    return write


def _matlab(folder):
    cells = np.empty((14, 1), object)
    for i in range(14):
        cells[i, 0] = np.ones((5, 84))
    io.savemat(folder / "annot.mat", {"annot2": cells, "annot3": cells})
    return folder / "annot.mat"


def _bvh(folder):
    joint = "{ OFFSET 0 10 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 5 0 } }"
    root = f"ROOT Hips {{\nOFFSET 0 0 0\nCHANNELS 6 a b c d e f\nJOINT Chest\n{joint}\n}}"
    motion = "MOTION\nFrames: 3\nFrame Time: 0.00833\n" + "0 0 0 0 0 0 0 0 0\n" * 3
    (folder / "walk.bvh").write_text(f"HIERARCHY\n{root}\n{motion}")
    return folder / "walk.bvh"


def _shards(folder):
    arrays = {"pred_pose": people()[1], "pred_betas": people()[2]}
    (folder / "set").mkdir()
    for i in range(2):
        np.savez(folder / "set" / f"shard-{i:05d}-of-00002.npz", **arrays)
    return folder / "set"


def _several(name, write):
    """A folder of three files."""

    def fill(folder):
        for i in range(3):
            (folder / name / str(i)).mkdir(parents=True)
            write(folder / name / str(i))
        return folder / name

    return fill


def _body(joints, **more):
    arrays = {"v_template": np.random.default_rng(0).normal(0, 0.4, (30, 3))}
    arrays |= {"shapedirs": np.zeros((30, 3, 10)), "posedirs": np.zeros((30, 3, 9 * (joints - 1)))}
    arrays |= {"J_regressor": np.ones((joints, 30)) / 30, "weights": np.ones((30, joints)) / joints}
    return {
        **arrays,
        "kintree_table": np.zeros((2, joints), np.uint32),
        "f": np.zeros((4, 3), int),
        **more,
    }


def _halpe(width):
    annotations = [
        {
            "id": i,
            "image_id": i,
            "bbox": [1, 2, 30, 40],
            "keypoints": [9.0, 8.0, 0.9] * (width // 3),
        }
        for i in range(4)
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 300, "width": 400} for i in range(4)]
    return {
        "images": images,
        "annotations": [*annotations, {"id": 9, "image_id": 0, "keypoints": 0}],
    }


def _sequence(batch=12):
    turns = people()[0].reshape(batch, 72)
    return {
        "sequence": "walk",
        "poses": [turns, turns],
        "trans": [np.ones((batch, 3))] * 2,
        "betas": [np.zeros(10), np.zeros(10)],
        "jointPositions": [joints("smpl24").reshape(batch, 72)] * 2,
        "poses2d": [np.ones((batch, 3, 18)) * 100] * 2,
        "cam_poses": np.tile(np.eye(4), (batch, 1, 1)),
        "campose_valid": [np.ones(batch, np.uint8)] * 2,
        "img_frame_ids": np.arange(0, 2 * batch, 2),
        "genders": ["m", "f"],
    }


def _tracks():
    _, matrices, betas = people()
    parameters = [
        {"global_orient": m[:1], "body_pose": m[1:], "betas": b} for m, b in zip(matrices, betas)
    ]
    frame = {"tid": [1, 2], "tracked_ids": [1], "bbox": [np.array([1.0, 2, 30, 40])] * 2}
    frame |= {"3d_joints": [np.ones((45, 3))] * 2}
    return {f"{i:06d}.jpg": {**frame, "smpl": parameters[2 * i : 2 * i + 2]} for i in range(3)}


def _emdb():
    turns, _, betas = people()
    camera = {"intrinsics": np.diag([900.0, 900, 1]), "width": 1440, "height": 1920}
    return {
        "gender": "female",
        "name": "P0_09_outdoor_walk",
        "emdb1": True,
        "n_frames": len(turns),
        "good_frames_mask": np.ones(len(turns), bool),
        "camera": camera | {"extrinsics": np.tile(np.eye(4), (len(turns), 1, 1))},
        "smpl": {
            "poses_root": turns[:, 0],
            "poses_body": turns[:, 1:].reshape(-1, 69),
            "trans": np.zeros((len(turns), 3)),
            "betas": betas[0],
        },
        "kp2d": np.ones((len(turns), 24, 2)),
        "bboxes": {"bboxes": np.ones((len(turns), 4)), "invalid_idxs": np.array([], int)},
    }


def _parts(sizes, arrays):
    """A dict for each entry of a batched file."""
    ends = np.cumsum(sizes)
    return [{k: v[e - n : e] for k, v in arrays.items()} for n, e in zip(sizes, ends)]


def _track(folder):
    turns, _, betas = people()
    person = {"betas": betas[0], "body_pose": turns[0, 1:], "global_orient": turns[0, 0]}
    person |= {"cam_trans": [0, 0, 40.0], "box_center": [9, 9], "box_scale": [3, 4]}
    smpl = {**person, "cam_bbox": [0.9, 0, 0]}
    (folder / "dance" / "001").mkdir(parents=True)
    _json("dance/001/000001_smpl.json", smpl)(folder)
    _json(
        "dance/001/000001_keypoints.json", {"people": [{"pose_keypoints_2d": [[5.0, 6, 0.9]] * 25}]}
    )(folder)
    return folder / "dance"


def _formats():
    turns, matrices, betas = people()
    flat = turns.reshape(-1, 72)
    n, images = len(flat), np.array([f"imageFiles/walk/image_{i:05d}.jpg" for i in range(12)])
    ours = {"pred_pose": matrices, "pred_betas": betas}
    view = {"focal_px": np.full((n, 2), 1000.0), "center_px": np.tile([960.0, 540], (n, 1))}
    smpl = {"body_pose": turns[:, 1:], "global_orient": turns[:, 0], "betas": betas}
    human = {
        "smpl": smpl,
        "image_path": images,
        "meta": {"gender": ["m"] * n},
        "bbox_xywh": np.ones((n, 5)),
    }
    crop = {"imgname": images, "center": np.ones((n, 2)), "scale": np.ones(n)}
    demo = {
        "smpl": smpl,
        "pred_cams": np.ones((n, 3)),
        "bboxes_xyxy": np.array([[1.0, 2, 9, 9, 1]] * n),
    }
    mocap = {"poses": np.pad(flat, ((0, 0), (0, 84))), "trans": np.ones((n, 3))}
    track = {"pred_cam": np.ones((n, 3)), "pose": flat, "betas": betas, "frame_ids": np.arange(n)}
    spoken = {"smpl_param": {"pose": flat[0], "shape": betas[0], "trans": [0, 0, 3]}}
    spoken["cam_param"] = {"focal": [900, 900], "princpt": [200, 200]}
    fit = {
        "parm_pose": matrices[0],
        "parm_shape": betas[0],
        "parm_cam": [1, 0, 0],
        "imageName": "a_01.jpg",
    }
    coco = {
        "annotations": [{"keypoints": [5, 6, 2] * 17, "bbox": [1, 2, 3, 4]}] * 3,
        "images": [{"id": 1}],
    }
    person = {"pose_keypoints_2d": [50.0, 60, 0.9] * 25}
    mat = {
        "annot2": np.ones((5, 1, 17, 2)),
        "annot3": np.ones((5, 1, 17, 3)),
        "valid_frame": np.ones((5, 1)),
    }
    layers = ("module.0", "module.2", "module.4", "time_embed.0", "time_embed.2")
    six = matrices[..., :2]
    return {
        "annotation-set": _npz(
            "set.npz", **ours, **view, keypoints2d=pixels(), keypoints2d_set="coco17"
        ),
        "annotation-set/shards": _shards,
        "sequence-set": lambda folder: files_sequences.sequence_set(folder / "videos.npz"),
        "sequence-model": lambda folder: files_sequences.model(folder / "refiner.npz"),
        "lifter": lambda folder: files_sequences.lifter(folder / "lifter.npz"),
        "evidence": _npz("labels.npz", keypoints2d=pixels(), keypoints2d_set="coco17"),
        "inference-result": _npz("inference_result.npz", **demo, __data_len__=n),
        "humandata": _npz("pw3d_test.npz", **human, __data_len__=n, __key_strict__=False),
        "humandata/old": _npz("old.npz", **human, __temporal_len__=n),
        "scorehmr-cache": _npz(
            "cache.npz", **ours, pred_cam=np.ones((n, 3)), pred_cam_t=np.ones((n, 3))
        ),
        "hmr2": _npz(
            "hmr2.npz", **{**crop, "scale": 200 * crop["scale"]}, body_pose=flat, betas=betas
        ),
        "hmr2-batched": _pickle("data.pkl", _parts((7, 5), {**crop, "body_pose": flat})),
        "scorehmr-cache-batched": _pickle(
            "cache.pkl", _parts((7, 5), {**ours, "pred_cam": np.ones((n, 3))})
        ),
        "scorehmr-cache-batched/even": _pickle(
            "cache.pkl", _parts((6, 6), {**ours, "pred_cam": np.ones((n, 3))})
        ),
        "slahmr": lambda folder: _track(folder) / "001" / "000001_smpl.json",
        "slahmr/folder": _track,
        "emdb": _pickle("P0_09_outdoor_walk_data.pkl", _emdb()),
        "emdb/folder": _several("P0", _pickle("P0_09_outdoor_walk_data.pkl", _emdb())),
        "spin": _npz("spin.npz", **crop, pose=flat, shape=betas, gender=np.array(["m"] * n)),
        "spin/without-boxes": _npz(
            "spin.npz", imgname=images, pose=flat, shape=betas, has_smpl=np.ones(n)
        ),
        "spin-eval": _npz(
            "eval.npz", pred_joints=joints(), pose=flat, betas=betas, camera=np.ones((n, 3))
        ),
        "spin-fits": _npz("fits.npz", pose=flat, shape=betas, has_smpl=np.ones(n)),
        "mean-params": _npz(
            "smpl_mean_params.npz", pose=np.ones(144), shape=np.ones(10), cam=np.ones(3)
        ),
        "star": _npz("star.npz", **_body(24, posedirs=np.zeros((30, 3, 93)))),
        "smpl": _npz("smpl.npz", **_body(24)),
        "ready-body": _npz("ready.npz", **_body(24), regressor_coco17=np.ones((17, 30)) / 30),
        "smpl/pickle": _pickle("SMPL_NEUTRAL.pkl", _body(24)),
        "smplh": _npz("smplh.npz", **_body(52)),
        "smplx": _npz("smplx.npz", **_body(55, joint2num=np.array({"Jaw": 22}, object))),
        "body": _pickle("MANO_LEFT.pkl", _body(16)),
        "regressor": lambda folder: (
            np.save(folder / "J_regressor_h36m.npy", np.ones((17, 6890))),
            folder / "J_regressor_h36m.npy",
        )[1],
        "regressor-smplx": _pickle("SMPLX_to_J14.pkl", np.ones((14, 10475))),
        "regressor/pickle": _pickle("SMPL_to_J19.pkl", np.ones((19, 6890))),
        "3dpw": _pickle("walk.pkl", _sequence()),
        "3dpw/folder": _several("sequenceFiles", _pickle("walk.pkl", _sequence())),
        "phalp": _pickle("demo.pkl", _tracks(), 3),
        "vibe": _pickle("vibe_output.pkl", {1: track, 4: {**track, "pose": flat[:4]}}, 3),
        "aist": _pickle(
            "gBR.pkl", {"smpl_poses": flat, "smpl_trans": flat[:, :3], "smpl_scaling": np.ones(1)}
        ),
        "amass": _npz("156.npz", **mocap, mocap_framerate=120.0, gender="male", betas=np.zeros(16)),
        "amass/165": _npz(
            "165.npz", poses=np.zeros((n, 165)), trans=np.ones((n, 3)), mocap_frame_rate=60.0
        ),
        "amass/parts": _npz(
            "p.npz", root_orient=turns[:, 0], pose_body=turns[:, 1:22], trans=flat[:, :3]
        ),
        "amass-shape": _npz("shape.npz", betas=np.zeros(16), gender="male"),
        "bvh": _bvh,
        "smplcodec": _npz("a.smpl", smplVersion=1, bodyPose=turns[:, :22], frameCount=n),
        "smplify-x": _pickle(
            "000.pkl",
            {"camera_rotation": np.eye(3), "body_pose": np.ones((1, 32)), "betas": betas[:1]},
        ),
        "eft-bodymocap": _pickle("body.pkl", fit),
        "mpi-inf-3dhp": _hdf5("annot_data.mat", **mat, univ_annot3=900 * mat["annot3"]),
        "mpi-inf-3dhp-train": _matlab,
        "h36m": _npz("data_3d_h36m.npz", positions_3d={"S9": {"Eating 1": np.ones((6, 32, 3))}}),
        "h36m-2d": _npz(
            "data_2d.npz", positions_2d={"S9": {"Eating 1": [np.ones((6, 17, 2))] * 4}}, metadata={}
        ),
        "mmhuman3d": _json(
            "result_keypoints.json", {"keypoints": joints(), "poses": matrices, "betas": betas}
        ),
        "mmpose-result": _json(
            "old.json", [{"keypoints": k, "image": "a.jpg"} for k in joints("smpl24")]
        ),
        "halpe": _json("halpe.json", _halpe(408)),
        "coco": _json("person_keypoints.json", coco),
        "coco-detections": _json(
            "dets.json", [{"image_id": 1, "keypoints": [5.0] * 51, "score": 0.5}] * 2
        ),
        "coco-boxes": _json(
            "boxes.json", [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}] * 2
        ),
        "openpose": _json("a_keypoints.json", {"version": 1.3, "people": [person]}),
        "openpose/nobody": _json("b_keypoints.json", {"version": 1.3, "people": []}),
        "openpose/folder": _several("json", _json("a_keypoints.json", {"people": [person]})),
        "eft": _json("eft.json", {"ver": 1.0, "data": [fit, fit]}),
        "neuralannot": _json("MSCOCO.json", {"1234": spoken, "88": spoken}),
        "neuralannot-world": _json(
            "S1.json", {"2": {"1": {"0": {"pose": flat[0], "shape": betas[0], "trans": [0, 0, 1]}}}}
        ),
        "diffannot-weights": _torch(
            "model.pt", {f"{a}.{b}": np.ones((9, 9)) for a in layers for b in ("weight", "bias")}
        ),
        "scorehmr-weights": _torch("deep.pt", {"ema_model.model.init_mlp.weight": np.ones((9, 9))}),
        "stcformer-weights": _torch(
            "model.pth", {"module.stcformer.stc_block.0.stc_att.qkv.weight": np.ones((9, 9))}
        ),
        "pare-statistics": _npz(
            "stats.npz", pose_feats_mean=np.zeros(3072), pose_feats_std=np.ones(3072)
        ),
        "torch-weights": _torch("other.pt", {"conv1.weight": np.ones((9, 9))}),
        "generic": _npz("dump.npz", thetas=flat, shape=betas),
        "generic/matrices": _pickle("dump.pkl", {"pred_rotmat": matrices}),
        "generic/torch": _torch("dump.pt", {"poses": flat.copy()}),
        "generic/6d": _npz("six.npz", pose_6d=np.swapaxes(six, -1, -2).reshape(n, 144)),
        "generic/parts": _npz("two.npz", global_orient=turns[:, 0], body_pose=turns[:, 1:]),
        "generic/npy": lambda folder: (np.save(folder / "p.npy", matrices), folder / "p.npy")[1],
    }


FORMATS = _formats()
"""Writers by the format's name, a slash and a variant."""
