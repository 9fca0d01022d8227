"""ScoreHMR as its authors run and train it: image features as the condition, their numbers throughout.

    python scripts/refine.py --config configs/scorehmr.py --parts.prior data/weights/scorehmr.npz --data people.npz \\
        --evidence detections --out better.npz
    python scripts/train.py --config configs/scorehmr.py --data.train "h36m.npz, coco.npz, mpi_inf_3dhp.npz"

The sets need the field `features` (docs/methods.md). Needs licensed data and weights: not run here.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="scorehmr",
        data=config.Data(
            train="data/h36m.npz, data/coco.npz, data/mpi_inf_3dhp.npz",
            train_weights=(0.5, 0.3, 0.2),
            val="data/coco_val.npz",
            test="data/3dpw_test.npz",
            body="data/body/smpl_neutral.npz",
        ),
        model=config.Model(
            kind="scorehmr", width=1024, depth=3, vector="sixd144", condition=("features",)
        ),
        diffusion=config.Diffusion(schedule="cosine", prediction="eps", standardise=False),
        train=config.Train(
            batch_size=128,
            steps=1_000_000,
            learning_rate=1e-4,
            adam_betas=(0.9, 0.99),
            clip=1.0,
            anneal="none",
            ema_rates=(0.995,),
            ema_every=10,
            ema_warm_up=True,
            log_every=10_000,
            save_every=100_000,
        ),
        mode="scorehmr",
    )
