"""Makes original_mlp_226.npz: python tests/parity/original_mlp_226.py WEIGHTS.pt GOLDEN.npz

The weights are a torch state_dict of the DiffAnnot authors' MLP (their commit 506f553) with random
values, GOLDEN.npz holds what that module puts out (`original_mlp_226/{x,t,y}`). Only names and
layout are changed here.
"""

import pathlib
import sys

import numpy as np
import torch

LAYERS = {
    "time_embed.0": "time_0",
    "time_embed.2": "time_1",
    "module.0": "layer_0",
    "module.2": "layer_1",
    "module.4": "layer_2",
}
weights = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
golden = np.load(sys.argv[2])
arrays = {name: golden[f"original_mlp_226/{name}"] for name in ("x", "y")}
arrays["t"] = golden["original_mlp_226/t"].astype(np.int32)
for theirs, ours in LAYERS.items():
    arrays[f"{ours}/kernel"] = weights[f"{theirs}.weight"].numpy().T
    arrays[f"{ours}/bias"] = weights[f"{theirs}.bias"].numpy()
np.savez_compressed(pathlib.Path(__file__).with_suffix(".npz"), **arrays)
