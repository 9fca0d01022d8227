"""STCFormer's published checkpoints as parameters of `sequence.STCFormer(layout="compat", joints="h36m17_native")`.

Its channels are put in our order. There, feature k of q, k and v is row 3k, 3k + 1 and 3k + 2 of one matrix, and
the space and time halves alternate head by head before the last product of an attention.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
_PARTS = 5
_BLOCK = "stcformer.stc_block"


def linear_of(layer: Arrays) -> dict[str, np.ndarray]:
    """torch keeps (out, in), flax (in, out)."""
    kernel = {"kernel": layer["weight"].T}
    return kernel | ({"bias": layer["bias"]} if "bias" in layer else {})


def norm_of(layer: Arrays) -> dict[str, np.ndarray]:
    """A layer norm's parameters."""
    return {"scale": layer["weight"], "bias": layer["bias"]}


def attention_of(of: Callable[[str], Arrays], heads: int) -> dict[str, Any]:
    """Parameters of a `CrissCross`; `of` gives the arrays of one of its published layers, by name."""
    qkv, out = of("qkv"), of("proj")
    width = len(out["bias"])
    by_head = (width, heads, 2, width // (2 * heads))
    rows = {name: array.reshape(width, 3, -1).swapaxes(0, 1) for name, array in qkv.items()}
    columns = out["weight"].reshape(by_head).swapaxes(1, 2).reshape(width, width)
    convolutions = of("sep2_s"), of("sep2_t")
    kernel = np.concatenate([layer["weight"][:, 0] for layer in convolutions])
    return {
        "norm": norm_of(of("layer_norm")),
        "qkv": {
            "kernel": rows["weight"].reshape(3 * width, width).T,
            "bias": rows["bias"].reshape(3 * width),
        },
        "structure": of("emb")["weight"],
        "kernel": kernel.transpose(1, 2, 0),
        "bias": np.concatenate([layer["bias"] for layer in convolutions]),
        "out": {"kernel": columns.T, "bias": out["bias"]},
    }


def _heads(first: np.ndarray | None, parts: np.ndarray | None) -> int:
    """How many a half of the channels has, from the sizes of the whole and of one head; 0 if they do not fit."""
    if first is None or parts is None or first.ndim != 2 or parts.ndim != 2:
        return 0
    width, size = len(first), parts.shape[1]
    return width // (2 * size) if size and width % (2 * size) == 0 else 0


def _shapes(width: int, depth: int, heads: int) -> dict[str, tuple[int, ...]]:
    """Of every array of a checkpoint, by torch's name."""
    half = width // 2
    attention = {
        "qkv.weight": (3 * width, width),
        "qkv.bias": (3 * width,),
        "layer_norm.weight": (width,),
        "layer_norm.bias": (width,),
        "proj.weight": (width, width),
        "proj.bias": (width,),
        "emb.weight": (_PARTS, half // heads),
        **{f"{conv}.weight": (half, 1, 3, 3) for conv in ("sep2_t", "sep2_s")},
        **{f"{conv}.bias": (half,) for conv in ("sep2_t", "sep2_s")},
    }
    block = {f"stc_att.{name}": shape for name, shape in attention.items()} | {
        "layer_norm.weight": (width,),
        "layer_norm.bias": (width,),
        "mlp.fc1.weight": (4 * width, width),
        "mlp.fc2.weight": (width, 4 * width),
    }
    blocks = {f"{_BLOCK}.{i}.{name}": shape for i in range(depth) for name, shape in block.items()}
    return {"pose_emb.weight": (width, 2), **blocks, "regress_head.weight": (3, width)}


def sizes_of(params: Mapping[str, Any]) -> tuple[int, int, int]:
    """Width, depth and heads of the network of such parameters."""
    width = params["inward"]["kernel"].shape[1]
    depth = sum(name.startswith("mlp_") for name in params)
    return width, depth, width // (2 * params["attention_0"]["structure"].shape[1])


def params_of_stcformer(state: Mapping[str, Any], where: str = "checkpoint") -> dict[str, Any]:
    """The parameters, from arrays by torch's names (those of data-parallel training too).

    ValueError lists what is missing, left over or of another shape.
    """
    arrays = {str(k).removeprefix("module."): np.asarray(v) for k, v in state.items()}
    if len(arrays) != len(state):
        raise ValueError(
            f"{where}: wanted every weight once, found some with and without `module.`; take another checkpoint"
        )
    first, parts = arrays.get("pose_emb.weight"), arrays.get(f"{_BLOCK}.0.stc_att.emb.weight")
    depth = len({name.split(".")[2] for name in arrays if name.startswith(f"{_BLOCK}.")})
    heads = _heads(first, parts)
    if first is None or not heads:
        found = [None if x is None else x.shape for x in (first, parts)]
        raise ValueError(
            f"{where}: fields pose_emb.weight and {_BLOCK}.0.stc_att.emb.weight: wanted (width, 2) and "
            f"({_PARTS}, width / 2 heads), found {found[0]} and {found[1]}; take a checkpoint "
            "of STCFormer's own model"
        )
    wanted = _shapes(len(first), depth, heads)
    found = {name: array.shape for name, array in arrays.items()}
    if found != wanted:
        wrong = {k: v for k, v in found.items() if wanted.get(k, v) != v}
        raise ValueError(
            f"{where}: wanted the weights of STCFormer; left over: {sorted(set(found) - set(wanted))[:20]}; "
            f"missing: {sorted(set(wanted) - set(found))[:20]}; of another shape: {wrong}; take a checkpoint "
            "of STCFormer's own model"
        )

    def of(layer: str) -> Arrays:
        leaves = (name for name in arrays if name.rpartition(".")[0] == layer)
        return {name.rpartition(".")[2]: arrays[name] for name in leaves}

    params: dict[str, Any] = {
        "inward": linear_of(of("pose_emb")),
        "outward": linear_of(of("regress_head")),
    }
    for i in range(depth):
        block = f"{_BLOCK}.{i}"
        params[f"attention_{i}"] = attention_of(
            lambda name, b=block: of(f"{b}.stc_att.{name}"), heads
        )
        params[f"mlp_{i}"] = {
            "norm": norm_of(of(f"{block}.layer_norm")),
            "expand": linear_of(of(f"{block}.mlp.fc1")),
            "contract": linear_of(of(f"{block}.mlp.fc2")),
        }
    return params
