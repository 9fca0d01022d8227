"""Small files with the keys, types and quirks of mmhuman3d's, ScoreHMR's, HMR2's and SPIN's."""

import json
from pathlib import Path

import jax.numpy as jnp
import made
import numpy as np
import tiny
from scipy.spatial.transform import Rotation

from diffjax import body
from diffjax.convert import (
    delivery,
    hmr2_evaluation,
    humandata,
    inference_result,
    predictions,
    scorehmr_cache,
    spin,
    spin_result,
)
from diffjax.data import records

ROWS = 6


def silent(_: str) -> None:
    pass


def matrices(axis) -> np.ndarray:
    """(..., 3, 3) float64."""
    return Rotation.from_rotvec(np.reshape(axis, (-1, 3))).as_matrix().reshape(*axis.shape, 3)


def write_body(path: Path, seed: int = 1) -> Path:
    """tiny's body; another seed, another body."""
    tiny.write_body(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["v_template"] = arrays["v_template"] + 0.1 * np.random.default_rng(seed).normal(
        size=(24, 3)
    )
    np.savez(path, **arrays)
    return path


def regressed(path, pose, betas, name="h36m17") -> np.ndarray:
    """Keypoints by way of the mesh."""
    arrays = (jnp.asarray(array, jnp.float32) for array in (pose, betas))
    posed = body.pose_body(body.load_body(path), *arrays)
    return body.load_regressor(path, name) @ np.asarray(posed.vertices)


def people(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True axis-angle (N, 24, 3), and an estimate near it: rotations and betas."""
    random = np.random.default_rng(seed)
    axis = random.normal(0, 0.3, (ROWS, 24, 3))
    axis[:, 0, 1] += np.linspace(0, 5, ROWS)  # People face every way.
    pred = matrices(axis) @ matrices(random.normal(0, 0.1, (ROWS, 24, 3)))
    return axis, pred, random.normal(0, 1, (ROWS, 10))


def result_keypoints(folder: Path, neutral: Path | None = None) -> Path:
    """As mmhuman3d's tools/test.py --work-dir leaves it: three keys, no names."""
    _, pred, betas = people()
    keypoints = regressed(neutral or write_body(folder / "neutral.npz"), pred, betas)
    result = {"keypoints": keypoints.tolist(), "poses": pred.tolist(), "betas": betas.tolist()}
    path = folder / "result_keypoints.json"
    path.write_text(json.dumps(result))
    return path


def human_data(path: Path, axis: np.ndarray | None = None, **changes) -> Path:
    """As np.savez_compressed(path, **HumanData) writes it: dicts and numbers are object arrays."""
    axis = people()[0] if axis is None else axis
    betas = np.repeat(np.random.default_rng(5).normal(size=(2, 10)), ROWS // 2, 0)
    cam = {"H": 1920, "W": 1080, "in_mat": [[1961.0, 0, 540], [0, 1969, 960], [0, 0, 1]], "k1": 0.0}
    data = {
        "__key_strict__": np.array(False),
        "__data_len__": np.array(ROWS),
        "__keypoints_compressed__": np.array(False),
        "image_path": np.array([f"imageFiles/run_00/image_{i:05d}.jpg" for i in range(ROWS)]),
        "bbox_xywh": np.array([[10.0, 20, 100, 300, 1]] * ROWS),
        "config": np.array("pw3d"),
        "smpl": {"body_pose": axis[:, 1:], "global_orient": axis[:, 0], "betas": betas},
        "meta": {"gender": np.array(["m"] * (ROWS // 2) + ["f"] * (ROWS // 2))},
        "cam_param": np.array([cam] * ROWS, dtype=object),
        **changes,
    }
    np.savez_compressed(path, **{k: v for k, v in data.items() if v is not None})
    return path


def compressed(index, channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All 190 columns, the mask, and the columns of the mask alone."""
    random, mask = np.random.default_rng(seed), np.zeros(190, np.uint8)
    mask[list(index)] = 1
    full = np.zeros((ROWS, 190, channels))
    full[:, list(index)] = random.uniform(10, 400, (ROWS, len(index), channels))
    full[..., -1] = mask
    return full, mask, full[:, mask == 1]


def inference(path: Path, **changes) -> Path:
    """demo/estimate_smpl.py: frames 0, 1, 4, two people; verts of a frame left out are zero."""
    axis, _, betas = people()
    verts = np.ones((ROWS, 20, 3))
    verts[3] = 0
    data = {
        "__key_strict__": np.array(False),
        "__data_len__": np.array(ROWS),
        "__keypoints_compressed__": np.array(False),
        "smpl": {"body_pose": axis[:, 1:], "global_orient": axis[:, 0], "betas": betas},
        "verts": verts,
        "pred_cams": np.array([[0.9, 0.02, -0.05]] * ROWS),
        "bboxes_xyxy": np.array([[100.0, 200, 300, 700, 0.98]] * ROWS),
        "image_path": np.array([f"images/{i:06d}.png" for i in (0, 0, 1, 1, 4, 4)]),
        "person_id": np.array([3, 7, 3, 7, 3, 7]),
        "frame_id": np.array([0, 0, 1, 1, 4, 4]),
        **changes,
    }
    np.savez_compressed(path, **{k: v for k, v in data.items() if v is not None})
    return path


def hmr2(path: Path, **changes) -> dict:
    """4D-Humans' evaluation file: the root inside of body_pose, scale in pixels, objects beside."""
    random = np.random.default_rng(3)
    data = {
        "imgname": np.array([f"imageFiles/run_00/image_{i:05d}.jpg" for i in range(ROWS)]),
        "center": random.uniform(300, 900, (ROWS, 2)),
        "scale": random.uniform(200, 600, ROWS),
        "body_pose": people()[0].reshape(ROWS, 72),
        "betas": np.zeros((ROWS, 10)),
        "has_body_pose": np.ones(ROWS),
        "has_betas": np.ones(ROWS),
        "body_keypoints_2d": np.full((ROWS, 25, 3), 99.0) * [1, 1, 0.01],
        "extra_keypoints_2d": np.full((ROWS, 19, 3), 77.0) * [1, 1, 0.01],
        "body_keypoints_3d": np.zeros((ROWS, 25, 4)),
        "extra_keypoints_3d": random.uniform(0.1, 1, (ROWS, 19, 4)),
        "extra_info": np.array([{"a": 1}] * ROWS, dtype=object),
        **changes,
    }
    kept = {key: value for key, value in data.items() if value is not None}
    np.savez(path, **kept)
    return kept


def scorehmr(path: Path, evaluation: dict) -> Path:
    """The cache of the same rows; images are 1080 x 1920."""
    random = np.random.default_rng(4)
    cam = np.concatenate([random.uniform(0.6, 1, (ROWS, 1)), random.normal(0, 0.1, (ROWS, 2))], -1)
    scale = cam[:, :1] * evaluation["scale"].reshape(ROWS, -1).max(-1)[:, None]
    shift = 2 * (evaluation["center"] - np.array([540, 960])) / scale
    cam_t = np.concatenate([cam[:, 1:] + shift, 2 * 5000 / scale], -1)
    np.savez(
        path,
        pred_pose=matrices(people()[0]).astype(np.float32),
        pred_betas=np.zeros((ROWS, 10), np.float32),
        pred_cam=cam.astype(np.float32),
        pred_cam_t=cam_t.astype(np.float32),
    )
    return path


def pare(path: Path, **changes) -> Path:
    """PARE's cache of the same rows: features channel by channel, no translation."""
    random = np.random.default_rng(5)
    data = {
        "pose_feats": random.normal(size=(ROWS, 128, 24)).astype(np.float32),
        "cam_shape_feats": random.normal(size=(ROWS, 64, 24)).astype(np.float32),
        "pred_pose": matrices(people()[0]).astype(np.float32),
        "pred_betas": np.zeros((ROWS, 10), np.float32),
        "pred_cam": np.tile(np.float32([0.8, 0.1, 0.0]), (ROWS, 1)),
        **changes,
    }
    np.savez(path, **{key: value for key, value in data.items() if value is not None})
    return path


def spin_data(path: Path, **changes) -> Path:
    """dataset_extras as SPIN's base_dataset.py reads it."""
    random = np.random.default_rng(6)
    seen = np.concatenate([random.uniform(50, 900, (ROWS, 24, 2)), np.ones((ROWS, 24, 1))], -1)
    seen[:, 14:] = 0
    joints = np.concatenate([random.uniform(-1, 1, (ROWS, 24, 3)), np.ones((ROWS, 24, 1))], -1)
    joints[:, [18, 19, 20, 21, 22, 23]] = 0
    data = {
        "imgname": np.array([f"imageFiles/run_00/image_{i:05d}.jpg" for i in range(ROWS)]),
        "center": random.uniform(300, 900, (ROWS, 2)),
        "scale": random.uniform(1, 4, ROWS),
        "part": seen,
        "openpose": np.concatenate(
            [random.uniform(50, 900, (ROWS, 25, 2)), np.full((ROWS, 25, 1), 0.7)], -1
        ),
        "pose": people()[0].reshape(ROWS, 72),
        "shape": random.normal(size=(ROWS, 10)),
        "has_smpl": np.ones(ROWS),
        "S": joints,
        "gender": np.array(["m", "f"] * (ROWS // 2)),
        **changes,
    }
    np.savez(path, **{k: v for k, v in data.items() if v is not None})
    return path


def spin_eval(path: Path, neutral: Path) -> Path:
    """SPIN's eval.py --result_file: estimates of the rows of `spin_data`."""
    _, pred, betas = people()
    np.savez(
        path,
        pred_joints=regressed(neutral, pred, betas),
        pose=Rotation.from_matrix(pred.reshape(-1, 3, 3)).as_rotvec().reshape(ROWS, 72),
        betas=betas,
        camera=np.array([[0.9, 0.02, -0.05]] * ROWS),
    )
    return path


# --- what hostile tests break --------------------------------------------------------------------


def _deliver(read, path, **options):
    def convert(out: Path) -> None:
        delivery.deliver(out, read(path, say=silent, **options), str(path), say=silent)

    return convert


def _mmhuman3d(folder: Path) -> made.Case:
    neutral = write_body(folder / "neutral.npz")
    files = [result_keypoints(folder, neutral), human_data(folder / "pw3d_test.npz")]

    def convert(out: Path) -> None:
        found = predictions.from_mmhuman3d(*files, body_path=neutral, say=silent)
        records.write(out, found)

    return made.Case(convert, files)


def _humandata(folder: Path) -> made.Case:
    _, mask, points = compressed(range(153, 178), 3)
    path = human_data(
        folder / "humandata.npz",
        keypoints2d=points,
        keypoints2d_mask=mask,
        __keypoints_compressed__=np.array(True),
    )
    return made.Case(_deliver(humandata.read_humandata, path), [path])


def _inference(folder: Path) -> made.Case:
    path = inference(folder / "inference_result.npz")
    size = (1080.0, 1920.0)
    return made.Case(
        _deliver(inference_result.read_inference_result, path, image_size=size), [path]
    )


def _scorehmr(folder: Path) -> made.Case:
    evaluation = folder / "3dpw_test.npz"
    cache = scorehmr(folder / "cache.npz", hmr2(evaluation))
    features = pare(folder / "pare.npz")

    def convert(out: Path) -> None:
        found = scorehmr_cache.from_scorehmr(cache, evaluation, features=features, say=silent)
        records.write(out, found)

    return made.Case(convert, [cache, evaluation, features])


def _hmr2(folder: Path) -> made.Case:
    path = folder / "hmr2.npz"
    hmr2(path)
    return made.Case(_deliver(hmr2_evaluation.read_hmr2_evaluation, path), [path])


def _spin(folder: Path) -> made.Case:
    path = spin_data(folder / "spin.npz")
    return made.Case(_deliver(spin.read_spin, path), [path])


def _spin_result(folder: Path) -> made.Case:
    neutral = write_body(folder / "neutral.npz")
    files = [spin_eval(folder / "result.npz", neutral), spin_data(folder / "3dpw_test.npz")]

    def convert(out: Path) -> None:
        found = spin_result.from_spin(
            *files, body_path=neutral, image_size_px=(1080.0, 1920.0), say=silent
        )
        records.write(out, found)

    return made.Case(convert, files)


CASES = {
    "mmhuman3d": _mmhuman3d,
    "humandata": _humandata,
    "inference_result": _inference,
    "scorehmr_cache": _scorehmr,
    "hmr2_evaluation": _hmr2,
    "spin": _spin,
    "spin_result": _spin_result,
}
