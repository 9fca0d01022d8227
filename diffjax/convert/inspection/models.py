"""What there is to say of files that hold no people: bodies, skeletons, networks."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from diffjax.convert.inspection.verdict import Finding, count, number

_COMPONENTS = {
    10: "v1.0's, as mmhuman3d uses",
    300: "v1.1's; the first 10 are kept",
    20: "SMPL-X's 10 of shape and 10 of expression; the first 10 are kept",
    400: "SMPL-X's 300 of shape and 100 of expression; the first 10 are kept",
}
"""What a number of components tells."""


def findings(fields: Mapping[str, Any]) -> list[Finding]:
    """Of a body model, of a BVH skeleton, or of a network's weights."""
    if "v_template" in fields:
        return _body(fields)
    if "offsets" in fields and "frame_time" in fields:
        return _skeleton(fields)
    layers = {
        name: value for name, value in fields.items() if name.endswith((".weight", "/kernel"))
    }
    return _network(layers) if layers else []


def _body(fields: Mapping[str, Any]) -> list[Finding]:
    template, shapes = fields["v_template"], fields.get("shapedirs")
    out = []
    if isinstance(template, np.ndarray) and template.ndim == 2 and template.dtype.kind == "f":
        height = float(np.ptp(template, axis=0).max())
        text = f"{len(template):,} vertices, {number(height)} tall"
        mark = "ok" if 1.0 < height < 2.5 else "wrong"
        out.append(
            Finding(
                "size",
                mark,
                f"{text}: {'metres' if mark == 'ok' else 'no metres'}",
                {"height": height},
            )
        )
    if isinstance(shapes, np.ndarray) and shapes.ndim == 3:
        size = shapes.shape[-1]
        more = _COMPONENTS.get(size, "the first 10 are kept")
        facts = {"components": size}
        out.append(
            Finding(
                "shapes", "ok" if size == 10 else "look", f"{size} shape components: {more}", facts
            )
        )
    tree = fields.get("kintree_table")
    if isinstance(tree, np.ndarray) and tree.ndim == 2 and tree.size:
        out.append(
            Finding(
                "joints", "ok" if tree.shape[1] == 24 else "look", count(tree.shape[1], "joint")
            )
        )
    stored = sorted(
        name.removeprefix("regressor_") for name in fields if name.startswith("regressor_")
    )
    text = (
        f"regressors of {', '.join(stored)}"
        if stored
        else "no keypoint regressor inside: give --regressor"
    )
    return [*out, Finding("keypoints", "ok" if stored else "look", text, {"regressors": stored})]


def _skeleton(fields: Mapping[str, Any]) -> list[Finding]:
    offsets, joints = np.asarray(fields["offsets"], float), fields["joints"]
    length = float(np.nan_to_num(np.linalg.norm(offsets, axis=-1)).sum())
    units = {
        "metres": (2, 12),
        "inches or so": (60, 240),
        "centimetres": (240, 1200),
        "millimetres": (2000, 12000),
    }
    unit = next(
        (name for name, (low, high) in units.items() if low <= length <= high), "no usual unit"
    )
    text = f"{np.size(joints)} joints, bones of {number(length)} in all: {unit}?"
    facts = {"joints": int(np.size(joints)), "length": length, "unit": unit}
    return [
        Finding("skeleton", "ok" if unit == "metres" else "look", text, facts),
        Finding(
            "names",
            "ok",
            ", ".join(np.ravel(joints)[:8].tolist()) + (", ..." if np.size(joints) > 8 else ""),
        ),
    ]


def _network(layers: dict[str, Any]) -> list[Finding]:
    sizes = [np.shape(value) for value in layers.values()]
    total = sum(int(np.prod(shape)) for shape in sizes)
    first = next((shape for shape in sizes if len(shape) == 2), ())
    text = f"{count(len(layers), 'layer')}, {total:,} weights" + (
        f", the first {first}" if first else ""
    )
    return [Finding("network", "ok", text, {"layers": len(layers), "weights": total})]
