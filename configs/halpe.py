"""DiffAnnot on Halpe (2D only), the paper's setting: reprojection supervises and chooses the step.

    python scripts/convert.py smpl --help     # makes the body
    python scripts/train.py --config configs/halpe.py --workdir runs/halpe
    python scripts/sweep_steps.py --config configs/halpe.py --workdir runs/halpe

There is no converter for Halpe yet: write data/halpe/{train,test}.npz by the layout of docs/data.md,
HMR's output as pred_pose, pred_betas, and Halpe's 26 body keypoints as keypoints2d with the camera. As
the paper did, drop people who are mostly unseen and crowded images (it kept 11,809 of 38,118).
The paper: 2D error 103.54 -> 99.94. Not run here: needs licensed data.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="halpe",
        data=config.Data(
            train="data/halpe/train.npz",
            val="",
            test="data/halpe/test.npz",
            body="data/body/smpl_neutral.npz",
        ),
        model=config.Model(kind="paper", width=226, depth=2, vector="rotmat226"),
        diffusion=config.Diffusion(schedule="linear", steps=1000, standardise=False),
        train=config.Train(
            target="prediction",
            gamma_2d=1.0,  # Per box; the paper gives no number.
            batch_size=256,
            steps=200_000,
            learning_rate=8e-5,
            anneal="none",
            ema_rates=(0.9999,),
            log_every=500,
            save_every=10_000,
        ),
        search=config.Search(max_step=60, patience=10, error="reprojection", keypoints="halpe26"),
    )
