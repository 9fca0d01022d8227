"""DiffAnnot on 3DPW, the paper's setting (ICIPMC 2023): its MLP over matrices and betas.

    python scripts/convert.py mmhuman3d --help     # makes data/3dpw/{train,test}.npz; smpl: the bodies
    python scripts/train.py --config configs/3dpw.py --workdir runs/3dpw
    python scripts/sweep_steps.py --config configs/3dpw.py --workdir runs/3dpw

Needs mmhuman3d's cached HMR output on 3DPW, its HumanData files, and SMPL (smpl.is.tue.mpg.de).
The paper: MPJPE 112.34 -> 111.14 mm, PA-MPJPE 67.53 -> 65.53 mm. Not run here: needs licensed data.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="3dpw",
        data=config.Data(
            train="data/3dpw/train.npz",
            val="",  # mmhuman3d makes train and test only.
            test="data/3dpw/test.npz",
            body="data/body/smpl_neutral.npz",
        ),
        model=config.Model(kind="paper", width=226, depth=2, vector="rotmat226"),
        diffusion=config.Diffusion(schedule="linear", steps=1000, standardise=False),
        train=config.Train(
            target="prediction",  # The x_0 of the paper is the frontend's output.
            gamma_3d=5.0,  # 1 / 200 per millimetre, the authors' code; the paper gives no number.
            joint_error="pa_mpjpe",
            batch_size=256,
            steps=200_000,
            learning_rate=8e-5,
            anneal="none",
            ema_rates=(0.9999,),
            log_every=500,
            save_every=10_000,
        ),
        search=config.Search(max_step=60, patience=10, error="pa_mpjpe", keypoints="h36m14"),
    )
