"""Cuts improved_diffusion.npz from a larger file printed by openai/improved-diffusion @ 1bc7bbb.

python tests/parity/make_improved_diffusion.py LARGER.npz

The reference ran in float64. Kept: the whole tables of 50 and 100 steps, 51 rows of those of 1000
and 4000 (`rows/T`), every respacing, and a toy network: output = x @ W + b + t c, learned variance
values tanh(x @ W_var), x_t drawn from x_start with the linear schedule of 100 steps, every random
draw equal to `toy/noise`, nothing clipped but where a name says clip1.
"""

import sys
from pathlib import Path

import numpy as np

PREFIXES = (
    "respace/", "toy/", "p_mean_variance/", "p_sample/", "ddim_sample/", "ddim_reverse/",
    "training_losses/",
)  # fmt: skip


def cut(whole: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kept = {name: array for name, array in whole.items() if name.startswith(PREFIXES)}
    for name, array in whole.items():
        if name.startswith("schedule/"):
            steps = len(array)
            rows = np.arange(steps) if steps <= 100 else np.linspace(0, steps - 1, 51).astype(int)
            kept[f"rows/{steps}"], kept[name] = rows, array[rows]
    return kept


def pack(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One array a shape, its names beside it: 300 zip entries would outweigh the numbers."""
    shapes = sorted({(a.dtype.str, a.shape) for a in arrays.values()})
    packed = {}
    for i, shape in enumerate(shapes):
        names = [name for name, a in arrays.items() if (a.dtype.str, a.shape) == shape]
        packed[f"names{i}"] = np.asarray(names)
        packed[f"arrays{i}"] = np.stack([arrays[name] for name in names])
    return packed


if __name__ == "__main__":
    with np.load(sys.argv[1]) as larger:
        small = pack(cut(dict(larger)))
    np.savez_compressed(Path(__file__).with_name("improved_diffusion.npz"), **small)
