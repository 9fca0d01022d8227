"""People whom a camera saw, in the files that users have of them: HMR2's cache, COCO, tracks of PHALP, OpenPose."""

from pathlib import Path
from typing import NamedTuple

import files_keypoints
import files_tracks
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from diffjax import body, config, skeleton

BODY = config.locate("converted_weights/open_body.npz")
SIZE = np.array([1280, 720])
SIDE = 600.0  # Of everybody's square crop, pixels.


class Seen(NamedTuple):
    """Estimates that are off, where they stand, and the true keypoints."""

    rotations: np.ndarray
    betas: np.ndarray
    cam_t: np.ndarray
    focal_px: float
    keypoints2d: np.ndarray
    """(N, K, 3) pixels, confidence."""
    center: np.ndarray
    """(N, 2) middle of the crop."""

    def box(self) -> np.ndarray:
        """(N, 4) left, top, width, height of the whole person, a tenth larger on each side than the keypoints."""
        low, high = (f(self.keypoints2d[..., :2], 1) for f in (np.min, np.max))
        return np.concatenate([low - 0.1 * (high - low), 1.2 * (high - low)], -1)

    def weak(self) -> np.ndarray:
        """(N, 3) s, tx, ty of the crops."""
        scale = 2 * self.focal_px / (SIDE * self.cam_t[:, 2])
        shift = 2 * (self.center - SIZE / 2) / (scale[:, None] * SIDE)
        return np.concatenate([scale[:, None], self.cam_t[:, :2] - shift], -1)


def people(count: int, names: str, focal_px=5000.0, seed: int = 0, moving=False, x=0.2) -> Seen:
    """People upright before the camera, alone or (`moving`) one of them, frame by frame."""
    random, joints = np.random.default_rng(seed), len(skeleton.SMPL24)
    turns = 0.25 * random.normal(size=(1 if moving else count, joints, 3))
    turns = turns + 0.02 * np.arange(count)[:, None, None] * moving * random.normal(
        size=(joints, 3)
    )
    truth = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(count, joints, 3, 3)
    upright = Rotation.from_euler("x", 180, degrees=True).as_matrix()
    truth[:, 0] = upright @ truth[:, 0]
    betas = 0.5 * random.normal(size=(1 if moving else count, 10)).repeat(count if moving else 1, 0)
    place = np.array([x, 0.0, focal_px * 1.7 / 500])
    off = Rotation.from_rotvec(0.12 * random.normal(size=(count * joints, 3))).as_matrix()
    model = body.load_body(BODY)
    seen = body.fold_keypoints(model, body.load_regressor(BODY, names))
    points = body.pose_keypoints(seen, *(jnp.asarray(x, jnp.float32) for x in (truth, betas)))
    points = np.asarray(points, np.float64) + place
    pixels = focal_px * points[..., :2] / points[..., 2:] + SIZE / 2
    confidence = np.full((*pixels.shape[:2], 1), 0.9)
    return Seen(
        truth @ off.reshape(truth.shape),
        betas,
        np.tile(place, (count, 1)),
        focal_px,
        np.concatenate([pixels, confidence], -1),
        (pixels.min(1) + pixels.max(1)) / 2,
    )


def write_hmr2_cache(folder: Path, found: Seen, images: list[str]) -> tuple[Path, Path]:
    """cache/hmr2b/x.npz of ScoreHMR's script, and the evaluation file whose rows it follows."""
    cache, evaluation = folder / "hmr2b_people.npz", folder / "people_eval.npz"
    np.savez(
        cache,
        pred_pose=found.rotations.astype(np.float32),
        pred_betas=found.betas.astype(np.float32),
        pred_cam=found.weak().astype(np.float32),
        pred_cam_t=found.cam_t.astype(np.float32),
    )
    side = np.full(len(images), SIDE)
    np.savez(evaluation, imgname=np.array(images), center=found.center, scale=side)
    return cache, evaluation


def write_coco(path: Path, found: Seen, images: list[str]) -> Path:
    """person_keypoints_val2017.json: whole pixels, flag 2."""
    flat = np.concatenate(
        [found.keypoints2d[..., :2].round(), np.full((*found.keypoints2d.shape[:2], 1), 2)], -1
    )
    annotations = [
        {
            "id": 100 + i,
            "image_id": i,
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": 17,
            "bbox": found.box()[i].tolist(),
            "keypoints": flat[i].astype(int).ravel().tolist(),
        }
        for i in range(len(images))
    ]
    width, height = SIZE.tolist()
    tables = {
        "images": [
            {"id": i, "file_name": name, "width": width, "height": height}
            for i, name in enumerate(images)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    return files_keypoints.write(path, tables)


def write_phalp(path: Path, tracks: list[Seen]) -> Path:
    """demo_VIDEO.pkl of 4D-Humans' track.py: images from 1, everybody in every frame."""
    random, frames = np.random.default_rng(0), {}
    for i in range(len(tracks[0].cam_t)):
        frame = {"time": i, "shot": 0, "tid": [], "tracked_ids": []}
        for track, found in enumerate(tracks, 1):
            rotations, weak = found.rotations[i].astype(np.float32), found.weak()[i]
            person = files_tracks.phalp_person(random) | {
                "smpl": {
                    "global_orient": rotations[:1],
                    "body_pose": rotations[1:],
                    "betas": found.betas[i].astype(np.float32),
                },
                "bbox": found.box()[i],
                "camera_bbox": weak.astype(np.float32),
                "center": found.center[i],
                "scale": np.array([SIDE, SIDE]),
                "size": SIZE[::-1].tolist(),
                "extra_data": None,
            }
            frame["tid"].append(track)
            frame["tracked_ids"].append(track)
            for key, value in person.items():
                frame.setdefault(key, []).append(value)
        frames[f"outputs/_DEMO/walk/img/{i + 1:06d}.jpg"] = frame
    return files_tracks.write_phalp(path, frames)


def write_openpose(folder: Path, tracks: list[Seen]) -> Path:
    """walk_000000000000_keypoints.json ...: frames from 0, people in any order, nobody tracked."""
    for i in range(len(tracks[0].cam_t)):
        order = tracks if i % 2 else tracks[::-1]
        found = [files_keypoints.openpose_person(seen.keypoints2d[i].round(3)) for seen in order]
        content = {"version": 1.3, "people": found}
        files_keypoints.write(folder / f"walk_{i:012d}_keypoints.json", content)
    return folder
