"""ScoreHMR's torch checkpoint as parameters of `denoisers.conditioned`, by its published names."""

import functools
import json
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from diffjax import schedule
from diffjax.denoisers import conditioned

FORMAT = "diffjax scorehmr network 1"

_LAYERS = {
    r"time_mlp{b}\.1": "time_0",
    r"time_mlp{b}\.3": "time_1",
    r"init_mlp{b}": "inward",
    r"final_mlp{b}": "outward",
    r"blocks{b}\.(0|[1-9]\d*)\.mlp\.1": r"block_\1/film",
    r"blocks{b}\.(0|[1-9]\d*)\.block\.layer_norm([12])": r"block_\1/norm_\2",
    r"blocks{b}\.(0|[1-9]\d*)\.block\.linear_layer([12])": r"block_\1/linear_\2",
}
"""Their name of each layer, and ours; {b} is nothing in the pose branch, _betas in the shape branch."""

_SETTINGS = ("size", "hidden", "depth", "condition_size")
_DEEPEST, _LONGEST = 64, 20_000
"""Blocks and steps beyond which a file is no checkpoint of this network."""

_BRANCHES = {"pose": "", "shape": "_betas"}

BUFFERS = {
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped",
    "posterior_mean_coef1", "posterior_mean_coef2", "p2_loss_weight",
}  # fmt: skip
"""Tables of the noise schedule: one of them names it, the others follow from it."""


def is_scorehmr(content: dict[Any, Any]) -> bool:
    """Whether a checkpoint's names are ScoreHMR's: the whole file, its EMA, or the bare network."""
    return "ema" in content or any(str(key).endswith("init_mlp.weight") for key in content)


def tensors(state: Any, where: str) -> dict[str, np.ndarray]:
    """A state dict, name to finite float32 array; ValueError unless it is one."""
    whole = isinstance(state, dict) and all(isinstance(v, np.ndarray) for v in state.values())
    if not whole:
        raise ValueError(
            f"{where}: wanted a torch state dict, name to tensor, found a {type(state).__name__} "
            "of other things; save model.state_dict() alone"
        )
    for name, array in state.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(
                f"{where}: field {name}: wanted finite numbers, found NaN, infinity or "
                f"{array.dtype}; take another checkpoint"
            )
    with np.errstate(over="ignore"):
        return {str(name): array.astype(np.float32) for name, array in state.items()}


def arrays_of(content: Any, where: str) -> dict[str, np.ndarray]:
    """`pose/...` (and `shape/...` with betas): parameters by flax's names; `facts`: JSON of what they are.

    Of the whole file the moving average counts; the raw weights and the optimiser's state are left
    alone by name. Any other name, and any parameter without one, is listed and refused.
    """
    state, left = _network_state(content, where)
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {"format": FORMAT, "prediction": "eps", **_schedule(state, where)}
    used, unfilled = {name for name in state if name in BUFFERS}, []
    for branch, suffix in _BRANCHES.items():
        named = _named(state, suffix)
        if branch == "shape" and not named:
            continue
        network = _network(named, state, where)
        wanted = _shapes(network)
        _check_shapes(named, state, wanted, where)
        used |= {theirs for ours, theirs in named.items() if ours in wanted}
        unfilled += [f"{branch}/{name}" for name in wanted if name not in named]
        facts[branch] = {name: getattr(network, name) for name in _SETTINGS}
        arrays |= {f"{branch}/{ours}": _turned(ours, state[name]) for ours, name in named.items()}
    left += sorted(set(state) - used)
    if left or unfilled:
        raise ValueError(
            f"{where}: wanted the weights of ScoreHMR's network; left over in the file: "
            f"{left[:20] or 'none'}; not filled: {unfilled[:20] or 'none'}"
        )
    return arrays | {"facts": np.array(json.dumps(facts))}


def _network_state(content: Any, where: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """The network's weights and the schedule's tables by name, and names nobody knows."""
    left: list[str] = []
    if isinstance(content, dict) and "ema" in content:
        left += sorted(f"{key}" for key in set(content) - {"step", "model", "opt", "ema"})
        content = content["ema"]
    if not isinstance(content, dict):
        raise ValueError(f"{where}: wanted a dict of weights, found a {type(content).__name__}")
    average = {str(k): v for k, v in content.items() if str(k).startswith("ema_model.")}
    if average:
        mirrored = {name.replace("ema_model.", "online_model.", 1) for name in average}
        left += sorted(set(map(str, content)) - set(average) - mirrored - {"initted", "step"})
        content = {name.removeprefix("ema_model."): value for name, value in average.items()}
    bare = {str(name).removeprefix("model."): value for name, value in content.items()}
    if len(bare) != len(content):
        raise ValueError(f"{where}: wanted every weight once, found some with and without `model.`")
    return tensors(bare, where), left


def _named(state: dict[str, np.ndarray], suffix: str) -> dict[str, str]:
    """Our names of one branch's parameters, such as block_0/film/kernel, and theirs."""
    named = {}
    for name in state:
        layer, _, leaf = name.rpartition(".")
        for theirs, ours in _LAYERS.items():
            match = re.fullmatch(theirs.replace("{b}", suffix), layer, flags=re.ASCII)
            if match and leaf in ("weight", "bias"):
                path = match.expand(ours)
                weight = "scale" if "norm_" in path else "kernel"
                named[f"{path}/{weight if leaf == 'weight' else 'bias'}"] = name
    return named


def _turned(ours: str, array: np.ndarray) -> np.ndarray:
    """torch keeps (out, in), flax (in, out)."""
    return np.ascontiguousarray(array.T) if ours.endswith("kernel") else array


def _network(
    named: dict[str, str], state: dict[str, np.ndarray], where: str
) -> conditioned.ConditionedMLP:
    """The network whose sizes the weights tell."""
    needed = ("inward/kernel", "block_0/linear_1/kernel")
    shapes: list[Any] = [state[named[name]].shape if name in named else () for name in needed]
    depth = len({name.split("/")[0] for name in named if name.startswith("block_")})
    if any(len(shape) != 2 for shape in shapes) or depth > _DEEPEST:
        raise ValueError(
            f"{where}: wanted the weights of ScoreHMR's network; left over in the file: "
            f"{sorted(state)[:20]}; not filled: {needed} as matrices of at most {_DEEPEST} blocks"
        )
    size, (hidden, seen) = shapes[0][0], shapes[1][:2]
    if not (0 < size <= seen and hidden > 0):
        raise ValueError(
            f"{where}: field {named[needed[1]]}: wanted (hidden, {size} or more), found {shapes[1]}"
        )
    return conditioned.ConditionedMLP(size, hidden, depth, seen - size)


def _shapes(network: conditioned.ConditionedMLP) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, by name; nothing is computed."""
    x = jnp.zeros((1, network.size))
    context = {"features": jnp.zeros((1, network.condition_size))}
    init = functools.partial(network.init, jax.random.key(0))
    params = jax.eval_shape(init, x, jnp.zeros((1,), jnp.int32), context)["params"]
    flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
    return {name: tuple(leaf.shape) for name, leaf in flat.items()}


def _check_shapes(
    named: dict[str, str],
    state: dict[str, np.ndarray],
    wanted: dict[str, tuple[int, ...]],
    where: str,
) -> None:
    for ours, theirs in named.items():
        found = _turned(ours, state[theirs]).shape
        if ours in wanted and found != wanted[ours]:
            raise ValueError(
                f"{where}: field {theirs}: wanted {wanted[ours]} (in, out), found {found}; "
                "the checkpoint is of another network"
            )


def _schedule(state: dict[str, np.ndarray], where: str) -> dict[str, Any]:
    """Name and steps of the noise schedule, from its cumulative products."""
    found = state.get("alphas_cumprod")
    if found is None:
        return {}
    if found.ndim == 1 and 0 < len(found) <= _LONGEST:
        for name in ("cosine", "linear"):
            signal = schedule.make_schedule(name, len(found)).alpha_bar
            if np.abs(signal - found).max() < 1e-4:
                return {"schedule": name, "steps": len(found)}
    raise ValueError(
        f"{where}: field alphas_cumprod: wanted a cosine or linear schedule, found another of shape "
        f"{found.shape}; its steps would mean other noise"
    )
