"""The DiffAnnot authors' torch checkpoint as a model."""

from pathlib import Path

import numpy as np

from diffjax import checkpoint, config, pose

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

    Reads the plain state dict that improved-diffusion saves, also its EMA files. The file can hold
    nothing but tensors: torch is told weights_only.
    """
    state = _state_dict(Path(path))
    _check_names(set(state), str(path))
    params = {
        ours: {"kernel": state[f"{theirs}.weight"].T, "bias": state[f"{theirs}.bias"]}
        for ours, theirs in _LAYERS.items()
    }
    _check_shapes(params, str(path))
    return {
        name: {leaf: np.ascontiguousarray(array, np.float32) for leaf, array in layer.items()}
        for name, layer in params.items()
    }


def diffannot_model(path: str | Path) -> checkpoint.Model:
    """The checkpoint as a model: raw vectors of 226 numbers, linear schedule, eps, the final ReLU.

    The authors' default of 82 (axis-angle and betas) is no vector of ours: ValueError.
    """
    params = load_diffannot_mlp(path)
    size, width = params["layer_0"]["kernel"].shape
    if size != 226:
        raise ValueError(
            f"{path}: field module.0.weight: wanted an input of 226 (24 matrices, 10 betas), found "
            f"{size}; only checkpoints over rotation matrices can be used"
        )
    network = config.Model(kind="paper", width=width, depth=2, vector="rotmat226", legacy=True)
    run = config.Run("diffannot", model=network, diffusion=config.Diffusion(standardise=False))
    return checkpoint.make_model(run, params, pose.identity_normaliser(size))


def _state_dict(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; check the path")
    try:
        import torch  # Only here: who never converts never installs it.
    except ImportError as error:
        raise ValueError(
            "torch is needed to read its checkpoints: pip install 'diffjax[convert]'"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and runtime errors, by torch version.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: wanted a torch state dict of tensors, could not read it ({first}); "
            "save model.state_dict() again"
        ) from error
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise ValueError(
            f"{path}: wanted a torch state dict, name to tensor, found a {type(state).__name__} "
            "of other things; save model.state_dict() alone"
        )
    return {str(key): value.detach().float().numpy() for key, value in state.items()}


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
