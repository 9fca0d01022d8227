"""D3PRefiner over 243 frames on Human3.6M in VideoPose3D's files. Not run here: the data are licensed.

    python scripts/make_sequences.py --h36m3d data_3d_h36m.npz --h36m2d data_2d_h36m_cpn_ft_h36m_dbb.npz \\
        --out data/h36m --network stcformer --window 27 --width 256 --depth 6 --steps 60000 --batch 128
    python scripts/train.py --config configs/d3prefiner_h36m_243.py
    python scripts/refine.py --config configs/d3prefiner_h36m_243.py

The longer of the paper's two windows; all else is as in `d3prefiner_h36m.py`. Activations are computed again for the
gradient, products are of bfloat16, and 16 windows go through at a time: batches of 128 take 16 GB on
a CPU and, by the account of XLA's compiler for an H100, 2 GB (all at once, `--sequence.at-once 128`: 15 GB; see
`denoisers/sequence.py`). On a recent NVIDIA GPU, also try `--sequence.attention cudnn`.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_h36m_243",
        mode="d3prefiner",
        data=config.Data(
            train="data/h36m/train.npz", val="data/h36m/val.npz", test="data/h36m/test.npz"
        ),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(
            window=243,
            width=256,
            blocks=4,
            heads=8,
            remat=True,
            dtype="bfloat16",
            at_once=16,
            **config.PAPER,
        ),
        train=config.Train(
            batch_size=128,
            steps=20000,
            learning_rate=1e-3,
            anneal="none",
            ema_rates=(0.0,),
            keep="last",
            log_every=500,
            save_every=1000,
        ),
    )
