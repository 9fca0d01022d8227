"""Small files of Halpe, COCO and OpenPose with their keys and quirks, and estimates of the same people."""

import contextlib
import functools
import io
import json
from pathlib import Path

import made
import numpy as np

from diffjax import skeleton
from diffjax.convert import coco, halpe, join, openpose
from diffjax.data import records

PEOPLE = [0, 0, 1, 2, 3, 3, 3]
"""The image of each annotated person."""
SIZES = [(640, 480), (640, 480), (480, 640), (800, 600)]


def boxes(people=PEOPLE) -> np.ndarray:
    """(N, 4) left, top, width, height: people of an image stand side by side."""
    place = np.array([people[:i].count(image) for i, image in enumerate(people)])
    top = 40 + 10 * np.arange(len(people))
    return np.stack([20 + 150 * place, top, 0 * place + 120, 0 * place + 300], -1).astype(float)


def points(people=PEOPLE, count=136, seed=0) -> np.ndarray:
    """(N, count, 2) pixels that fill the boxes."""
    random = np.random.default_rng(seed)
    inside = random.random((len(people), count, 2)).round(3)
    inside[:, :2] = [[0, 0], [1, 1]]
    box = boxes(people)[:, None]
    return box[..., :2] + inside * box[..., 2:]


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def halpe_content(seed=0) -> dict:
    """halpe_train_v1.json: COCO's tables, 136 scored keypoints, wrong num_keypoints, hoi fields."""
    score = np.random.default_rng(seed).uniform(0.65, 1.2, (len(PEOPLE), 136, 1)).round(3)
    keypoints = np.concatenate([points(seed=seed), score], -1)
    annotations = [
        {
            "id": 100 + i,
            "image_id": 7 + image,
            "category_id": 1,
            "bbox": box.tolist(),
            "keypoints": person.ravel().tolist(),
            "num_keypoints": 3,
            "hoi": [{"object_id": 1, "verb": 2}],
        }
        for i, (image, box, person) in enumerate(zip(PEOPLE, boxes(), keypoints))
    ]
    for i, wrong in ((200, {}), (201, {"keypoints": None}), (202, {"keypoints": 0})):
        annotations.append(
            {"id": i, "image_id": 8, "category_id": 1, "bbox": [1, 2, 30, 40], **wrong}
        )
    images = [
        {"id": 7 + i, "file_name": f"HICO_train2015_{i:08d}.jpg", "width": w, "height": h}
        for i, (w, h) in enumerate(SIZES)
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }


def coco_content() -> dict:
    """person_keypoints_val2017.json: flags 0, 1, 2; a crowd; a person without keypoints."""
    flags = np.random.default_rng(1).integers(0, 3, (len(PEOPLE), 17, 1))
    flags[:, :2] = 2
    keypoints = np.concatenate([points(count=17).round(), flags], -1) * (flags > 0)
    annotations = [
        {
            "segmentation": [[0.0, 1.0, 2.0, 3.0]],
            "num_keypoints": int((flags[i] > 0).sum()),
            "area": 100.0,
            "iscrowd": 0,
            "keypoints": keypoints[i].astype(int).ravel().tolist(),
            "image_id": 7 + image,
            "bbox": boxes()[i].tolist(),
            "category_id": 1,
            "id": 442619 + i,
        }
        for i, image in enumerate(PEOPLE)
    ]
    nobody = {"num_keypoints": 0, "keypoints": [0] * 51, "bbox": [1.0, 2.0, 3.0, 4.0], "id": 1}
    crowd = {"num_keypoints": 0, "keypoints": [0] * 51, "bbox": [0.0, 0.0, 99.0, 99.0], "id": 2}
    crowd["segmentation"] = {"counts": [1, 2], "size": [480, 640]}
    annotations.append({**nobody, "image_id": 8, "iscrowd": 0, "category_id": 1})
    annotations.append({**crowd, "image_id": 8, "iscrowd": 1, "category_id": 1})
    images = [
        {"id": 7 + i, "file_name": f"{7 + i:012d}.jpg", "width": w, "height": h, "license": 4}
        for i, (w, h) in enumerate(SIZES)
    ]
    return {
        "info": {"year": 2017},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"supercategory": "person", "id": 1, "name": "person"}],
    }


def results_content(count=17) -> list:
    """Detections of a pose estimator, in COCO's format of results."""
    score = np.random.default_rng(2).uniform(0.1, 1, (len(PEOPLE), count, 1)).round(3)
    keypoints = np.concatenate([points(count=count), score], -1)
    return [
        {
            "image_id": 7 + image,
            "category_id": 1,
            "keypoints": keypoints[i].ravel().tolist(),
            "score": 0.3 + 0.1 * i,
        }
        for i, image in enumerate(PEOPLE)
    ]


def openpose_person(numbers: np.ndarray, track=-1, key="pose_keypoints_2d") -> dict:
    """One of `people`, with the face and hands that OpenPose always writes."""
    empty = {f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")}
    return {"person_id": [track], key: np.asarray(numbers).ravel().tolist(), **empty}


def openpose_points(name="openpose25", people=3, seed=0) -> np.ndarray:
    """(people, K, 3): the middle of the hips is there, one point is missing."""
    names = skeleton.KEYPOINT_SETS[name]
    xy = points([0] * people, len(names), seed)
    if "pelvis" in names:
        hips = [names.index("left_hip"), names.index("right_hip")]
        xy[:, names.index("pelvis")] = xy[:, hips].mean(1)
    out = np.concatenate([xy, np.full((*xy.shape[:2], 1), 0.75)], -1).round(3)
    out[:, names.index("left_ear")] = 0
    return out


def openpose_folder(folder: Path, frames=(9, 10, 11), name="openpose25") -> Path:
    """walk_000000000009_keypoints.json, ...: two people a frame, then nobody."""
    for i, frame in enumerate(frames):
        people = [openpose_person(p) for p in openpose_points(name, 2, seed=i)]
        content = {"version": 1.3, "people": people if i < len(frames) - 1 else []}
        write(folder / f"walk_{frame:012d}_keypoints.json", content)
    return folder


def estimates(images, box, **more) -> dict:
    """Fields of a frontend's estimates of the people in these boxes."""
    rows = len(images)
    return {
        "pred_pose": np.tile(np.eye(3, dtype=np.float32), (rows, 24, 1, 1)),
        "pred_betas": np.arange(10 * rows, dtype=np.float32).reshape(rows, 10) / 100,
        "pred_cam_t": np.tile(np.float32([0.1, 0.2, 9.0]), (rows, 1)),
        "focal_px": np.full((rows, 2), 5000, np.float32),
        "image": np.array(images),
        "bbox_px": np.asarray(box, np.float32),
        **more,
    }


def write_estimates(path: Path, **more) -> Path:
    """Estimates of Halpe's people in the boxes of a detector, in another order."""
    order = np.argsort([3, 1, 4, 0, 5, 2, 6])
    images = [f"hico/images/HICO_train2015_{PEOPLE[i]:08d}.jpg" for i in order]
    moved = boxes()[order] + [4, -3, 5, 6]
    records.write_fields(path, estimates(images, moved, **more))
    return path


def _quiet(convert, *args, **options):
    """The command, in silence."""
    with contextlib.redirect_stdout(io.StringIO()):
        convert(*args, **options)


def _case(convert, options: dict, *files: Path, **others: Path) -> made.Case:
    def run(out: Path) -> None:
        _quiet(convert, files[0], out=out, **options, **others)

    return made.Case(run, [file for path in (*files, *others.values()) for file in _all(path)])


def _all(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _halpe(folder: Path) -> made.Case:
    return _case(halpe.convert, {}, write(folder / "halpe_train_v1.json", halpe_content()))


def _halpe_joined(folder: Path) -> made.Case:
    source = write(folder / "halpe_train_v1.json", halpe_content())
    return _case(
        halpe.convert, {"max_people": 2}, source, estimates=write_estimates(folder / "hmr.npz")
    )


def _coco(folder: Path) -> made.Case:
    return _case(coco.convert, {}, write(folder / "person_keypoints_val2017.json", coco_content()))


def _coco_results(folder: Path) -> made.Case:
    source = write(folder / "results.json", results_content())
    images = write(folder / "person_keypoints_val2017.json", coco_content())
    return _case(coco.convert, {"min_person_score": 0.35}, source, images=images)


def _alphapose(folder: Path) -> made.Case:
    content = [{**p, "image_id": f"{p['image_id']}.jpg"} for p in results_content(136)]
    return _case(coco.convert, {}, write(folder / "alphapose-results.json", content))


def _openpose(name: str, layout: str, folder: Path) -> made.Case:
    return _case(openpose.convert, {"layout": layout}, openpose_folder(folder / "json", name=name))


def _join(folder: Path) -> made.Case:
    path = write_estimates(folder / "hmr.npz")
    found = write(folder / "halpe_train_v1.json", halpe_content())
    evidence = folder / "halpe.npz"
    _quiet(halpe.convert, found, evidence)
    return _case(join.convert, {}, path, evidence=evidence)


CASES = {
    "halpe": _halpe,
    "halpe_joined": _halpe_joined,
    "coco": _coco,
    "coco_results": _coco_results,
    "alphapose": _alphapose,
    "openpose_body25": functools.partial(_openpose, "openpose25", "body25"),
    "openpose_body25b": functools.partial(_openpose, "openpose25b", "body25b"),
    "openpose_coco18": functools.partial(_openpose, "openpose18", "coco18"),
    "join": _join,
}
