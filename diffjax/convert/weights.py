"""Other programs' checkpoints, DiffAnnot's and ScoreHMR's, as models. No torch is needed."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffjax import checkpoint, config, denoisers, pose, unpickle
from diffjax.convert import scorehmr_model, scorehmr_weights

_LAYERS = {
    "time_0": "time_embed.0",
    "time_1": "time_embed.2",
    "layer_0": "module.0",
    "layer_1": "module.2",
    "layer_2": "module.4",
}
"""Our name of each linear layer, and theirs; between them sit layers without weights."""


def load_diffannot_mlp(path: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """{'time_0', 'time_1', 'layer_0', 'layer_1', 'layer_2'}: {'kernel' (in, out), 'bias' (out,)}.

    Reads the plain state dict that improved-diffusion saves, also its EMA files.
    """
    return _diffannot_params(unpickle.load_torch(path), str(path))


def diffannot_model(path: str | Path) -> checkpoint.Model:
    """The checkpoint as a model: raw vectors of 226 numbers, linear schedule, eps, the final ReLU.

    The authors' default of 82 (axis-angle and betas) is no vector of ours: ValueError.
    """
    return _diffannot_model(load_diffannot_mlp(path), str(path))


def convert(
    source: Path,
    out: Path,
    kind: Literal["diffannot", "scorehmr"] | None = None,
    stats: Path | None = None,
    betas_stats: Path | None = None,
    raw_features: bool = False,
) -> None:
    """DiffAnnot's or ScoreHMR's torch checkpoint, read without torch.

    Args:
        source: DiffAnnot's model*.pt or ema_*.pt; ScoreHMR's model-100.pt.
        out: The model to write, .npz: DiffAnnot's is for --parts.denoiser, ScoreHMR's for --parts.prior.
        kind: Whose it is; without it the names of its weights say.
        stats: ScoreHMR's data/stats/pare_feat_stats.npz (or prohmr_feat_stats.npz): standardises features.
        betas_stats: ScoreHMR's data/stats/betas_stats_eft_fits.npz, for its network of betas.
        raw_features: Take the features of people as they are, because they are standardised already.
    """
    content, where = unpickle.load_torch(source), str(source)
    if (kind or _kind(content, where)) == "scorehmr":
        how: dict[str, Any] = {"betas_stats": betas_stats, "raw_features": raw_features}
        model = scorehmr_model.model_of(content, where, stats=stats, **how)
        checkpoint.export(out, model)
        weights = denoisers.count_params(model.params)
        print(f"{out}: {weights:,} weights; refine with it by --mode scorehmr --parts.prior {out}")
        return
    if stats is not None or betas_stats is not None or raw_features:
        raise ValueError(
            f"{where}: wanted --stats, --betas-stats and --raw-features with ScoreHMR's checkpoints alone"
        )
    checkpoint.export(out, _diffannot_model(_diffannot_params(content, where), where))
    print(f"{out}: written; search with it by --parts.denoiser {out}")


def _kind(content: Any, where: str) -> str:
    if isinstance(content, dict):
        if any(str(key).startswith(("module.", "time_embed.")) for key in content):
            return "diffannot"
        if scorehmr_weights.is_scorehmr(content):
            return "scorehmr"
    found = sorted(map(str, content))[:8] if isinstance(content, dict) else type(content).__name__
    raise ValueError(
        f"{where}: wanted a checkpoint of DiffAnnot (module.0.weight) or of ScoreHMR (ema, "
        f"init_mlp.weight), found {found}; STCFormer's has the "
        "command stcformer, other networks have no converter"
    )


def _diffannot_model(params: dict[str, dict[str, np.ndarray]], where: str) -> checkpoint.Model:
    size, width = params["layer_0"]["kernel"].shape
    if size != 226:
        raise ValueError(
            f"{where}: field module.0.weight: wanted an input of 226 (24 matrices, 10 betas), found "
            f"{size}; only checkpoints over rotation matrices can be used"
        )
    network = config.Model(kind="paper", width=width, depth=2, vector="rotmat226", legacy=True)
    run = config.Run("diffannot", model=network, diffusion=config.Diffusion(standardise=False))
    return checkpoint.make_model(run, params, pose.identity_normaliser(size))


def _diffannot_params(content: Any, where: str) -> dict[str, dict[str, np.ndarray]]:
    state = scorehmr_weights.tensors(content, where)
    _check_names(set(state), where)
    params = {
        ours: {"kernel": state[f"{theirs}.weight"].T, "bias": state[f"{theirs}.bias"]}
        for ours, theirs in _LAYERS.items()
    }
    _check_shapes(params, where)
    return {
        name: {leaf: np.ascontiguousarray(array) for leaf, array in layer.items()}
        for name, layer in params.items()
    }


def _check_names(found: set[str], where: str) -> None:
    wanted = {f"{layer}.{leaf}" for layer in _LAYERS.values() for leaf in ("weight", "bias")}
    if found != wanted:
        raise ValueError(
            f"{where}: wanted the weights of DiffAnnot's MLP; left over in the file: "
            f"{sorted(found - wanted) or 'none'}; not filled: {sorted(wanted - found) or 'none'}"
        )


def _check_shapes(params: dict[str, dict[str, np.ndarray]], where: str) -> None:
    """Layers must chain: time layers keep the width of the input, to which they are added."""
    for name, layer in params.items():
        kernel, bias = layer["kernel"], layer["bias"]
        if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
            raise ValueError(
                f"{where}: field {_LAYERS[name]}: wanted (out, in) and (out,), found "
                f"{kernel.T.shape} and {bias.shape}; the checkpoint is of another network"
            )
    size = params["layer_0"]["kernel"].shape[0]
    chains = (
        ("time_0", "time_1"),
        ("time_1", "layer_0"),
        ("layer_0", "layer_1"),
        ("layer_1", "layer_2"),
    )
    broken = [
        f"{_LAYERS[a]} to {_LAYERS[b]}"
        for a, b in chains
        if params[a]["kernel"].shape[1] != params[b]["kernel"].shape[0]
    ]
    if broken or params["time_0"]["kernel"].shape[0] != size:
        raise ValueError(
            f"{where}: wanted layers that follow each other from an input of {size}, found a break "
            f"at {', '.join(broken) or _LAYERS['time_0']}; the checkpoint is of another network"
        )
