"""Cuts scorehmr_guided.npz from a larger file printed by statho/ScoreHMR @ f623ed1 (float32, CPU).

python tests/parity/make_scorehmr_guided.py LARGER.npz

The reference ran its guided loop on six rows with toy joints, sum_k A[j, :, k] : (R_k - I) + J0 + B betas,
and a toy denoiser, eps = x @ W + cond @ U + sin(0.01 t) w. Kept: inputs and results.
"""

import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    with np.load(sys.argv[1]) as larger:
        kept = {k.removeprefix("guided/"): larger[k] for k in larger.files if k[:7] == "guided/"}
    np.savez_compressed(Path(__file__).with_name("scorehmr_guided.npz"), **kept)
