"""Makes scorehmr_network.npz: one call of ScoreHMR's denoiser (f623ed1) and its small weights.

python tests/parity/make_scorehmr_network.py GOLDEN.npz, a file with `network/{x,t,cond,eps}` and
`network/state_dict/*` that were printed by the public implementation: pose of 12 numbers, 8 hidden,
16 condition features, three blocks, CPU, float32.
"""

import pathlib
import sys

import numpy as np

with np.load(sys.argv[1]) as golden:
    arrays = {
        name.removeprefix("network/"): golden[name]
        for name in golden.files
        if name.startswith("network/")
    }
np.savez_compressed(pathlib.Path(__file__).with_name("scorehmr_network.npz"), **arrays)
