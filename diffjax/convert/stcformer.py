"""STCFormer's published checkpoints as lifters of ours. No torch is needed."""

from pathlib import Path
from typing import Any

from diffjax import unpickle
from diffjax.convert import scorehmr_weights
from diffjax.data import records
from diffjax.denoisers import stcformer_weights
from diffjax.frontends import stcformer


def read_stcformer(path: str | Path, window: int) -> stcformer.Lifter:
    """The lifter of a checkpoint: as published, of Human3.6M's own joints."""
    where = str(path)
    if not 1 <= window <= 10_000:
        raise ValueError(f"--window: wanted 1 to 10000 frames, found {window}")
    content = unpickle.load_torch(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    params = stcformer_weights.params_of_stcformer(scorehmr_weights.tensors(content, where), where)
    width, depth, heads = stcformer_weights.sizes_of(params)
    told: dict[str, Any] = {"centred": False, "anneal": False, "layout": "compat"}
    settings = stcformer.Settings(window, width, depth, heads, "h36m17_native", **told)
    return stcformer.Lifter(settings, params)


def convert(source: Path, out: Path, window: int) -> None:
    """STCFormer's checkpoint as a lifter of 2D videos.

    Args:
        source: The .pth of its authors, or of your own training with their code.
        out: The lifter to write, .npz: for scripts/make_sequences.py --lifter.
        window: Frames that it was trained on, such as 27 or 81: the weights do not tell.
    """
    lifter = read_stcformer(source, window)
    records.save_arrays(out, stcformer.arrays_of(lifter))
    told = lifter.settings
    print(
        f"{out}: STCFormer of width {told.width}, {told.depth} blocks, {told.heads} heads, windows of {window}; "
        f"lift with it by scripts/make_sequences.py --lifter {out}"
    )
