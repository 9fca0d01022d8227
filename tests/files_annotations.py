"""Small EFT, NeuralAnnot and generic files, model files and checkpoints with the keys and quirks of real ones."""

import contextlib
import functools
import io
import json
import pickle
from pathlib import Path

import made
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from diffjax import schedule, skeleton
from diffjax.convert import (
    eft,
    generic,
    neuralannot,
    scorehmr_weights,
    smpl,
    stcformer,
    weights,
)
from diffjax.data import records
from diffjax.denoisers import stcformer_weights

PEOPLE = 6
SIZE = (640.0, 480.0)


def axis_angle(seed=0, people=PEOPLE) -> np.ndarray:
    """(N, 24, 3) radians, some angles near pi."""
    vectors = np.random.default_rng(seed).normal(0, 0.5, (people, 24, 3))
    vectors[0, :4] *= (np.pi - 1e-7) / np.linalg.norm(vectors[0, :4], axis=-1, keepdims=True)
    vectors[1, 5] = 0.0
    return vectors


def matrices(seed=0, people=PEOPLE) -> np.ndarray:
    """(N, 24, 3, 3)."""
    flat = Rotation.from_rotvec(axis_angle(seed, people).reshape(-1, 3))
    return flat.as_matrix().reshape(people, 24, 3, 3)


def apart(a, b) -> float:
    """The largest angle between rotations, radians, exact where it is small."""
    exact = [np.asarray(m, np.float64).reshape(-1, 3, 3) for m in (a, b)]
    turn = Rotation.from_matrix(exact[0]).inv() * Rotation.from_matrix(exact[1])
    return float(turn.magnitude().max())


def annotations(seed=0, **changes) -> records.AnnotationSet:
    """A set with estimates, truth, detections, labels and a camera."""
    random = np.random.default_rng(seed)
    points = random.uniform(20, 400, (PEOPLE, 25 + 17, 3))
    points[..., 2] = random.random((PEOPLE, 42)) > 0.3
    points *= points[..., 2:]
    low = points[:, :25, :2].max(1) / 4
    fields = {
        "pred_pose": matrices(seed),
        "pred_betas": random.normal(size=(PEOPLE, 10)),
        "pred_cam_t": random.normal(size=(PEOPLE, 3)) + np.array([0, 0, 6]),
        "pose": matrices(seed + 1),
        "betas": random.normal(size=(PEOPLE, 10)),
        "keypoints2d": points[:, :25],
        "keypoints2d_set": "openpose25",
        "labels2d": points[:, 25:],
        "labels2d_set": "coco17",
        "focal_px": np.full((PEOPLE, 2), 5000.0),
        "center_px": np.tile(np.array(SIZE) / 2, (PEOPLE, 1)),
        "image_size_px": np.tile(SIZE, (PEOPLE, 1)),
        "image": np.array([f"COCO_train2014_{i:012d}.jpg" for i in range(PEOPLE)]),
        "subject": np.array([str(476384 + i) for i in range(PEOPLE)]),
        "bbox_px": np.concatenate([low, np.full((PEOPLE, 2), 190.0)], -1),
    } | changes
    return records.from_arrays({k: v for k, v in fields.items() if v is not None}, "made")


def _convert(function, *arguments, **options):
    """A CLI function with the output path last to come, in silence."""

    def convert(out):
        with contextlib.redirect_stdout(io.StringIO()):
            function(*arguments, out, **options)

    return convert


# --- EFT -----------------------------------------------------------------------------------------


def eft_people(seed=0) -> list[dict]:
    """Entries of COCO2014-Part-ver01.json: OpenPose's slots empty, COCO's labels with flags 1 and 2."""
    random, found = np.random.default_rng(seed), []
    for i, rotation in enumerate(matrices(seed)):
        points = np.zeros((49, 3))
        points[25:, :2] = random.uniform(50, 400, (24, 2))
        points[25:, 2] = random.integers(0, 3, 24)
        points[25:] *= points[25:, 2:] > 0
        found.append(
            {
                "parm_pose": rotation.astype(np.float32).tolist(),
                "parm_shape": random.normal(size=10).tolist(),
                "parm_cam": [0.9, 0.02 * i, -0.05],
                "bbox_scale": 1.1 + 0.1 * i,
                "bbox_center": [200.0 + i, 240.5],
                "joint_validity_openpose18": [True] * 18,
                "smpltype": "smpl",
                "annotId": 183014 + i,
                "imageName": f"COCO_train2014_{i:012d}.jpg",
                "subjectId": None,
                "gt_keypoint_2d": points.tolist(),
            }
        )
        del found[-1]["subjectId"]
    return found


def write_json(path: Path, content) -> Path:
    path.write_text(json.dumps(content))
    return path


def _eft(folder: Path) -> made.Case:
    path = write_json(folder / "eft.json", {"ver": 0.1, "data": eft_people()})
    return made.Case(_convert(eft.convert, path, image_size=SIZE), [path])


# --- NeuralAnnot ---------------------------------------------------------------------------------


def smpl_param(row: int, seed=0) -> dict:
    random = np.random.default_rng([seed, row])
    return {
        "pose": axis_angle(seed)[row % PEOPLE].ravel().tolist(),
        "shape": random.normal(size=10).tolist(),
        "trans": (random.normal(size=3) * 0.3 + [0, 0, 4]).tolist(),
    }


def neuralannot_content() -> dict:
    """MSCOCO_train_SMPL_NeuralAnnot.json."""
    cam = {"focal": [5000.0, 5000.0], "princpt": [320.0, 240.0]}
    return {str(476384 + 7 * i): {"smpl_param": smpl_param(i), "cam_param": cam} for i in range(6)}


def coco_content() -> dict:
    """person_keypoints_train2017.json of the same people, in another order, with others."""
    points = np.random.default_rng(3).uniform(20, 300, (7, 17, 3)).round()
    points[..., 2] = np.random.default_rng(4).integers(0, 3, (7, 17))
    points[..., :2] *= points[..., 2:] > 0
    people = [
        {"id": 476384 + 7 * i, "image_id": 9 - i // 2, "bbox": [10.0 + i, 20.0, 100.0, 200.0],
         "keypoints": points[i].ravel().tolist(), "num_keypoints": 9}
        for i in reversed(range(7))
    ]  # fmt: skip
    images = [
        {"id": i, "file_name": f"{i:012d}.jpg", "width": 640, "height": 400 + i}
        for i in range(5, 10)
    ]
    return {"images": images, "annotations": people}


def world_content(seed=0) -> dict:
    """Human36M_subject1_SMPL_NeuralAnnot.json: [action][subaction][frame]."""
    return {
        "2": {"1": {str(f): smpl_param(f, seed) for f in (0, 5)}, "2": {"0": smpl_param(2, seed)}},
        "3": {"1": {"0": smpl_param(3, seed)}},
    }


def view(seed: int) -> dict:
    """A camera with its translation in millimetres."""
    turn = Rotation.random(random_state=seed).as_matrix()
    return {"R": turn.tolist(), "t": [120.0 * seed, -300.0, 5200.0]}


def human36m_cameras() -> dict:
    """Human36M_subject1_camera.json: the intrinsics are f and c."""
    return {
        str(i): view(i) | {"f": [1145.0 + i, 1144.0], "c": [512.5, 515.5]} for i in (1, 2, 3, 4)
    }


def mpi_inf_3dhp_cameras() -> dict:
    """MPI-INF-3DHP_camera_1k.json: [subject][sequence][camera], the intrinsics are focal and princpt."""
    inner = [{"focal": [1500.0, 1500.0], "princpt": [1024.0, 1020.0]} | view(i) for i in (5, 6, 7)]
    return {
        "2": {"1": {"0": inner[0]}, "2": {"0": inner[1]}},
        "3": {"1": {"0": inner[2]}},
    }


def _neuralannot(folder: Path) -> made.Case:
    path = write_json(folder / "MSCOCO_train_SMPL_NeuralAnnot.json", neuralannot_content())
    coco = write_json(folder / "person_keypoints_train2017.json", coco_content())
    return made.Case(_convert(neuralannot.convert, path, coco=coco), [path, coco])


def body_file(folder: Path) -> Path:
    """A clean toy body."""
    path = folder / "body.npz"
    source = folder / "source.npz"
    np.savez(source, **smpl_arrays(24))
    records.save_arrays(path, smpl.convert_smpl(source, say=lambda _: None))
    return path


def _neuralannot_world(cameras, name: str, folder: Path) -> made.Case:
    path = write_json(folder / "Human36M_subject1_SMPL_NeuralAnnot.json", world_content())
    views = write_json(folder / "cameras.json", cameras())
    options = {"cameras": views, "camera": name, "body": body_file(folder)}
    return made.Case(_convert(neuralannot.convert, path, **options), [path, views])


# --- generic dumps -------------------------------------------------------------------------------


def six(layout: str, seed=0) -> np.ndarray:
    """(N, 144) by the definitions of the layouts."""
    columns = matrices(seed)[..., :2]
    flat = {
        "6d-columns": np.swapaxes(columns, -1, -2),
        "6d-interleaved": columns,
        "6d-rows": matrices(seed)[..., :2, :],
    }[layout]
    return flat.reshape(PEOPLE, 144).astype(np.float32)


def _generic_npz(folder: Path) -> made.Case:
    path, random = folder / "dump.npz", np.random.default_rng(0)
    points = random.uniform(30, 400, (PEOPLE, 17, 2))
    np.savez(
        path,
        rot6d=six("6d-interleaved"),
        betas=random.normal(size=(PEOPLE, 10)),
        trans=random.normal(size=(PEOPLE, 3)) + np.array([0, 0, 8]),
        kp=points,
        names=np.array([f"{i}.jpg".encode() for i in range(PEOPLE)], dtype=object),
    )
    options = {
        "pose_field": "rot6d",
        "layout": "6d-interleaved",
        "cam_t_field": "trans",
        "fields": ("keypoints2d=kp", "keypoints2d_set=coco17", "image=names"),
    }
    return made.Case(_convert(generic.convert, path, **options), [path])


def _generic_npy(folder: Path) -> made.Case:
    path = folder / "pose.npy"
    np.save(path, axis_angle())
    return made.Case(_convert(generic.convert, path), [path])


def _generic_pt(folder: Path) -> made.Case:
    """The tensors of HMR2's output: root and body apart, each with its own axis of joints."""
    path, pose = folder / "out.pt", torch.from_numpy(matrices().astype(np.float32))
    params = {"global_orient": pose[:, :1], "body_pose": pose[:, 1:], "betas": torch.zeros(6, 10)}
    torch.save({"pred_smpl_params": params}, path)
    options = {
        "pose_field": "pred_smpl_params.global_orient+pred_smpl_params.body_pose",
        "betas_field": "pred_smpl_params.betas",
    }
    return made.Case(_convert(generic.convert, path, **options), [path])


def _generic_pkl(folder: Path) -> made.Case:
    path = folder / "dump.pkl"
    content = {"thetas": axis_angle().reshape(PEOPLE, 72).tolist(), "shape": np.zeros(10)}
    path.write_bytes(pickle.dumps(content, 2))
    return made.Case(_convert(generic.convert, path), [path])


# --- bodies and checkpoints ----------------------------------------------------------------------


def parents_of(joints: int) -> np.ndarray:
    """SMPL's 24; SMPL-H's 52 and SMPL-X's 55: 22 of the body, jaw and eyes, five chains of three on each wrist."""
    if joints == 24:
        return np.array(skeleton.SMPL_PARENTS)
    fingers = [np.array([wrist, joint, joint + 1]) for wrist, first in ((20, joints - 30), (21, joints - 15))
               for joint in range(first, first + 15, 3)]  # fmt: skip
    return np.concatenate([skeleton.SMPL_PARENTS[:22], [15] * (joints - 52), *fingers])


def smpl_arrays(joints: int, verts=60, betas=10, seed=0) -> dict[str, np.ndarray]:
    """A toy of SMPL (24 joints), SMPL-H (52) or SMPL-X (55), with the dtypes of official files."""
    random = np.random.default_rng(seed)
    skin, regressor = random.random((verts, joints)) ** 8, random.random((joints, verts)) ** 8
    return {
        "v_template": random.normal(size=(verts, 3)) * 0.3,
        "shapedirs": random.normal(size=(verts, 3, betas)) * 0.02,
        "posedirs": random.normal(size=(verts, 3, 9 * (joints - 1))) * 0.01,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": skin / skin.sum(1, keepdims=True),
        "kintree_table": np.array([parents_of(joints), range(joints)]).astype(np.uint32),
        "f": random.integers(0, verts, (20, 3)).astype(np.uint32),
    }


def smplx_besides(verts=60) -> dict[str, np.ndarray]:
    """What SMPL-X's files hold that a body does not need; some of it objects."""
    return {
        "hands_meanl": np.full(45, 0.3),
        "hands_meanr": np.full(45, 0.3),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "lmk_faces_idx": np.zeros(51, np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
        "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
        "vt": np.zeros((verts, 2)),
        "ft": np.zeros((20, 3), np.uint32),
        "joint2num": np.array({"Pelvis": 0, "Jaw": 22}, dtype=object),
        "part2num": np.array({"Head": 15}, dtype=object),
    }


def posed(arrays, rotation, betas):
    """Vertices by linear blend skinning, written plainly: (joints, 3, 3) and (betas,)."""
    shaped = arrays["v_template"] + arrays["shapedirs"] @ betas
    joints = arrays["J_regressor"] @ shaped
    feature = (rotation[1:] - np.eye(3)).ravel()
    rest = shaped + arrays["posedirs"] @ feature
    parents = arrays["kintree_table"][0].astype(np.int64)
    world = []
    for joint, local in enumerate(rotation):
        place = np.eye(4)
        place[:3, :3] = local
        place[:3, 3] = joints[joint] - (joints[parents[joint]] if joint else 0)
        world.append(world[parents[joint]] @ place if joint else place)
    moved = [(rest - j) @ w[:3, :3].T + w[:3, 3] for j, w in zip(joints, world)]
    return np.einsum("vj,jvi->vi", arrays["weights"], np.array(moved))


def _body(joints: int, suffix: str, folder: Path) -> made.Case:
    path, arrays = folder / f"model{suffix}", smpl_arrays(joints, verts=12)
    if joints == 55:
        arrays |= smplx_besides(12) | {"shapedirs": smpl_arrays(55, 12, betas=20)["shapedirs"]}
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(arrays | {"bs_type": "lrotmin"}, 2))
    else:
        np.savez(path, **arrays)
    return made.Case(_convert(smpl.convert, path), [path])


def diffannot_state(width=8) -> dict[str, torch.Tensor]:
    """The authors' state dict."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"{block}.{i}.{leaf}": torch.randn(*shape, generator=generator)
        for block, places in {"time_embed": (0, 2), "module": (0, 2, 4)}.items()
        for i in places
        for leaf, shape in (("weight", (width, width)), ("bias", (width,)))
    }


def network_state() -> dict[str, torch.Tensor]:
    """ScoreHMR's network by its own names, at 12 numbers, 8 hidden, 16 condition features."""
    with np.load(Path(__file__).parent / "parity" / "scorehmr_network.npz") as golden:
        names = [name for name in golden.files if name.startswith("state_dict/")]
        return {n.removeprefix("state_dict/"): torch.from_numpy(golden[n]) for n in names}


def pose_state(condition=16, hidden=8, depth=1, size=144, suffix="") -> dict[str, torch.Tensor]:
    """The same network of other sizes, at random; `suffix` is _betas for the one of betas."""
    generator, inner = torch.Generator().manual_seed(0), 4 * size
    layers = {
        f"time_mlp{suffix}.1": (inner, size),
        f"time_mlp{suffix}.3": (inner, inner),
        f"init_mlp{suffix}": (size, size),
        f"final_mlp{suffix}": (size, size),
    }
    for i in range(depth):
        block = f"blocks{suffix}.{i}"
        layers |= {
            f"{block}.mlp.1": (2 * size, inner),
            f"{block}.block.layer_norm1": (size + condition,),
            f"{block}.block.linear_layer1": (hidden, size + condition),
            f"{block}.block.layer_norm2": (hidden,),
            f"{block}.block.linear_layer2": (size, hidden),
        }
    state = {}
    for name, shape in layers.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / shape[-1] ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) / 10
    return state


def write_statistics(folder: Path, pose=16, shape=0) -> tuple[Path, Path]:
    """pare_feat_stats.npz and betas_stats_eft_fits.npz."""
    random = np.random.default_rng(0)
    parts = {"pose_feats": pose, "cam_shape_feats": shape or 8}
    known = {f"{name}_mean": random.normal(size=n) for name, n in parts.items()}
    known |= {f"{name}_std": random.uniform(0.5, 2, n) for name, n in parts.items()}
    paths = folder / "pare_feat_stats.npz", folder / "betas_stats_eft_fits.npz"
    np.savez(paths[0], **known)
    np.savez(paths[1], betas_min=np.full(10, -3.0), betas_max=np.arange(1.0, 11.0))
    return paths


def scorehmr_checkpoint(state: dict[str, torch.Tensor], steps=1000, **extra) -> dict:
    """As the trainer saves it: step, raw model, optimiser, and the moving average in a wrapper."""
    table = schedule.make_schedule("cosine", steps)
    buffers = {name: torch.zeros(steps) for name in scorehmr_weights.BUFFERS}
    buffers["alphas_cumprod"] = torch.from_numpy(np.asarray(table.alpha_bar, np.float32))
    whole = buffers | {f"model.{name}": value for name, value in state.items()} | extra
    raw = {name: torch.zeros_like(value) for name, value in whole.items()}
    ema = {f"online_model.{name}": value for name, value in raw.items()}
    ema |= {f"ema_model.{name}": value for name, value in whole.items()}
    ema |= {"initted": torch.tensor([True]), "step": torch.tensor([1_000_000])}
    return {"step": 1_000_000, "model": raw, "opt": {"state": {}, "param_groups": []}, "ema": ema}


def _diffannot(folder: Path) -> made.Case:
    path = folder / "ema.pt"
    torch.save(diffannot_state(226), path)
    return made.Case(_convert(weights.convert, path), [path])


def stcformer_state(width=16, depth=1, heads=2) -> dict[str, torch.Tensor]:
    """STCFormer's network by its authors' names, at random."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: 0.1 * torch.randn(shape, generator=generator)
        for name, shape in stcformer_weights._shapes(width, depth, heads).items()
    }


def _stcformer(folder: Path) -> made.Case:
    path = folder / "model.pth"
    torch.save({f"module.{name}": value for name, value in stcformer_state().items()}, path)
    return made.Case(_convert(functools.partial(stcformer.convert, window=9), path), [path])


def _scorehmr(folder: Path) -> made.Case:
    """The bare average alone: what is damaged should be small."""
    path = folder / "model-100.pt"
    state = {f"ema_model.model.{name}": value for name, value in pose_state(hidden=2).items()}
    torch.save({"ema": state}, path)
    stats, _ = write_statistics(folder)
    return made.Case(_convert(functools.partial(weights.convert, stats=stats), path), [path, stats])


CASES = {
    "eft": _eft,
    "neuralannot_coco": _neuralannot,
    "neuralannot_human36m": functools.partial(_neuralannot_world, human36m_cameras, "1"),
    "neuralannot_mpi_inf_3dhp": functools.partial(_neuralannot_world, mpi_inf_3dhp_cameras, "0"),
    "generic_npz": _generic_npz,
    "generic_npy": _generic_npy,
    "generic_pt": _generic_pt,
    "generic_pkl": _generic_pkl,
    "smpl_pkl": functools.partial(_body, 24, ".pkl"),
    "smpl_npz": functools.partial(_body, 24, ".npz"),
    "smplh_npz": functools.partial(_body, 52, ".npz"),
    "smplx_npz": functools.partial(_body, 55, ".npz"),
    "smplx_pkl": functools.partial(_body, 55, ".pkl"),
    "diffannot_weights": _diffannot,
    "scorehmr_weights": _scorehmr,
    "stcformer_weights": _stcformer,
}
