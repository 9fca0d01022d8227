"""Annotation sets as ScoreHMR's cache of predictions, which its own evaluation reads in place of HMR2's."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import batched, crops, writing
from diffjax.data import records


def convert(
    source: Path,
    out: Path,
    which: writing.Which = "estimate",
    entries: batched.Entries = "video",
) -> None:
    """Writes an annotation set as ScoreHMR's cache, .npz or a batched .pkl.

    Args:
        source: An annotation set, .npz or a folder of shards, in the order of ScoreHMR's data file.
        out: cache/hmr2b/NAME.npz; or NAME.pkl, a list of clips or of instants, as neighbouring rows are.
        which: Whose SMPL parameters: the estimate's or the truth's.
        entries: What an entry of a .pkl is: a person's clip, or one instant seen by several cameras.
    """
    write_scorehmr_cache(out, records.read(source), which, entries)


def write_scorehmr_cache(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    entries: batched.Entries = "video",
    say: Callable[[str], None] = print,
) -> None:
    """pred_pose, pred_betas, pred_cam of the crop `bbox_px`, pred_cam_t at a focal length of 5000; rows in order."""
    pose, betas, cam_t = writing.chosen(annotations, which)
    content = {
        "pred_pose": pose,
        "pred_betas": betas,
        **_cameras(annotations, cam_t, str(path), say),
    }
    content = {name: np.asarray(value, np.float32) for name, value in content.items()}
    if Path(path).suffix.lower() != ".pkl":
        records.save_arrays(path, content)
        say(f"{path}: {len(pose)} people ({which})")
        return
    starts = _starts(annotations, entries, str(path))
    parts = {name: np.split(value, starts[1:]) for name, value in content.items()}
    whole = [dict(zip(parts, rows)) for rows in zip(*parts.values())]
    with writing.whole_file(path) as temporary:
        temporary.write_bytes(pickle.dumps(whole, 4))
    say(f"{path}: {len(pose)} people ({which}) in {len(whole)} entries")


def _cameras(
    a: records.AnnotationSet, cam_t: np.ndarray | None, where: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """The same place in the image, and the same size, seen at 5000 px about the middle of the image.

    t_z' = t_z 5000 / f, t_xy' = (f t_xy / t_z + c - size / 2) t_z' / 5000; s = 2 * 5000 / (side t_z') and
    [tx, ty] = t_xy' - (box centre - size / 2) t_z' / 5000, as `crops.place` undoes.
    """
    needed = {"pred_cam_t": cam_t, "focal_px": a.focal_px, "center_px": a.center_px}
    needed |= {"image_size_px": a.image_size_px, "bbox_px": a.bbox_px}
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise ValueError(
            f"{where}: field {missing[0]}: wanted places, cameras and the boxes of the crops, found a set without "
            f"{', '.join(missing)}; join it to one that has them"
        )
    t, focal, center, size, box = (np.asarray(value, np.float64) for value in needed.values())
    if not (t[:, 2] > 0).all():
        raise ValueError(
            f"{where}: field pred_cam_t: wanted people in front of the camera; leave the others out"
        )
    if not np.allclose(focal, crops.FOCAL_PX) or not np.allclose(center, size / 2):
        say(
            f"{where}: ScoreHMR's only camera is 5000 px about the image's middle: "
            "depths and places are changed so that people look the same there"
        )
    depth = t[:, 2:] * crops.FOCAL_PX / focal[:, :1]
    pixels = focal * t[:, :2] / t[:, 2:] + center - size / 2
    place = np.concatenate([pixels * depth / crops.FOCAL_PX, depth], -1)
    side = box[:, 2:].max(-1, keepdims=True)
    middle = box[:, :2] + box[:, 2:] / 2 - size / 2
    shift = place[:, :2] - middle * depth / crops.FOCAL_PX
    cam = np.concatenate([2 * crops.FOCAL_PX / (side * depth), shift], -1)
    return {"pred_cam": cam, "pred_cam_t": place}


def _starts(a: records.AnnotationSet, entries: batched.Entries, where: str) -> np.ndarray:
    """Where entries begin: at another person, sequence and camera (or frame, of views) than the row before."""
    keys = [a.subject, a.sequence, a.view if entries == "video" else a.frame]
    if a.subject is None or (entries == "views" and a.frame is None):
        raise ValueError(
            f"{where}: field {'frame' if a.subject is not None else 'subject'}: wanted to know which rows are one "
            "entry of the list, found a set without it; write .npz"
        )
    new = np.any([key[1:] != key[:-1] for key in keys if key is not None], 0)
    return np.r_[0, 1 + np.flatnonzero(new)]
