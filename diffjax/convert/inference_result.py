"""mmhuman3d's `inference_result.npz`: what its demo found in a video, as estimates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.convert import crops, delivery, humandata, humandata_fields, row_numbers

_ENLARGED = 1.25  # The demo's crop: a square about the box, this much longer than its longer side.


def convert(
    source: Path,
    out: Path,
    estimates: Path | None = None,
    image_size: tuple[float, float] | None = None,
    focal_px: float = crops.FOCAL_PX,
    sequence: str | None = None,
) -> None:
    """Reads inference_result.npz of mmhuman3d's demo as estimates.

    Args:
        source: inference_result.npz of demo/estimate_smpl.py --output.
        out: The annotation set to write, .npz.
        estimates: Another annotation set, whose people get the boxes of this file.
        image_size: Width and height of the video: places people in the full image.
        focal_px: The focal length that their depth is given at.
        sequence: The name of the video; that of the file's folder without it.
    """
    fields = read_inference_result(source, image_size, focal_px, sequence)
    delivery.deliver(out, fields, str(source), estimates)


def read_inference_result(
    path: str | Path,
    image_size: tuple[float, float] | None = None,
    focal_px: float = crops.FOCAL_PX,
    sequence: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Estimates with frame = frame_id and subject = person_id, a tracker's number.

    A frame without a detection has no row, so the row says nothing of the frame. `verts` are not
    read: they are zero in frames that --speed_up_type left out, whose parameters are interpolated.
    """
    data, where = humandata.load(path, ("pred_cams", "bboxes_xyxy")), str(path)
    for name in ("frame_id", "person_id", "smpl"):
        if name not in data:
            raise ValueError(
                f"{where}: field {name}: wanted mmhuman3d's inference_result.npz, found "
                f"{', '.join(sorted(data)[:12])}; another HumanData file? use the command humandata"
            )
    fields = humandata_fields.fields_of(data, None, where, say)
    fields["sequence"] = np.full(data["length"], sequence or Path(path).resolve().parent.name)
    boxes = _boxes(data, where)
    if boxes is not None:
        fields["bbox_px"] = boxes
    fields |= _places(data, boxes, image_size, focal_px, where, say)
    return delivery.in_role(fields, "estimate")


def _boxes(data: dict[str, Any], where: str) -> np.ndarray | None:
    if "bboxes_xyxy" not in data:
        return None
    corners = row_numbers.flat(data["bboxes_xyxy"], "bboxes_xyxy", where, data["length"])
    if corners.shape[1] not in (4, 5) or not (corners[:, 2:4] > corners[:, :2]).all():
        raise ValueError(
            f"{where}: field bboxes_xyxy: wanted left, top, right, bottom (and score) of every row, "
            f"found shape {corners.shape} or corners in another order; make the file again"
        )
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], -1)


def _places(
    data: dict[str, Any],
    boxes: np.ndarray | None,
    image_size: tuple[float, float] | None,
    focal_px: float,
    where: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    if "pred_cams" not in data:
        return {}
    weak = row_numbers.array(data["pred_cams"], "pred_cams", (3,), where, data["length"])
    crop = None
    if boxes is not None:
        crop = crops.Crops(boxes[:, :2] + boxes[:, 2:] / 2, _ENLARGED * boxes[:, 2:].max(-1))
    return crops.place(weak, crop, image_size, focal_px, where, say)
