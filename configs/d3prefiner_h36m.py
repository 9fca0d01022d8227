"""D3PRefiner with the paper's settings on Human3.6M in VideoPose3D's files. Not run here: the data are licensed.

    python scripts/make_sequences.py --h36m3d data_3d_h36m.npz --h36m2d data_2d_h36m_cpn_ft_h36m_dbb.npz \\
        --out data/h36m --network stcformer --window 27 --width 256 --depth 6 --steps 60000 --batch 128
    python scripts/train.py --config configs/d3prefiner_h36m.py
    python scripts/refine.py --config configs/d3prefiner_h36m.py

What the paper says: cosine schedule, 50 steps, DDIM in 2 from x_T = y, Adam 1e-3 times 0.96 an epoch, windows of 81
and 243 (27 in its ablation), two depths (4 blocks; "depth 8"). What it does not say, and is chosen here: the width
(STCFormer's), the batch (STCFormer's), the number of steps, which average normalises the output, the noise in
time. It needs an accelerator; 243 frames in batches of 128 also `--sequence.remat`.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_h36m",
        mode="d3prefiner",
        data=config.Data(
            train="data/h36m/train.npz", val="data/h36m/val.npz", test="data/h36m/test.npz"
        ),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=81, width=256, blocks=4, heads=8, **config.PAPER),
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
