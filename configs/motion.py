r"""ScoreHMR's prior of real motion (AMASS's layout), without a condition.

    python scripts/train.py --config configs/motion.py --workdir runs/motion \
        --data.train motion:DIR/train --data.val motion:DIR/val

Reads every motion file below the two directories; nothing needs to be converted. Split people, not
clips, between them. Vectors are standardised, for the strengths of configs/scorehmr_demo.py. Not run to
its end here: the time on a GPU is not known.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="motion",
        data=config.Data(
            train="motion:data/motion/train",
            val="motion:data/motion/val",
            motion_every=4,  # Of 60 frames a second: neighbours are alike.
        ),
        model=config.Model(kind="scorehmr", width=1024, depth=3, vector="sixd144"),
        diffusion=config.Diffusion(schedule="linear", prediction="eps", std_floor=0.1),
        train=config.Train(
            target="annotation",
            batch_size=128,
            steps=20_000,
            learning_rate=1e-3,
            anneal="cosine",
            adam_betas=(0.9, 0.99),
            clip=1.0,
            ema_rates=(0.995,),
            ema_every=10,
            ema_warm_up=True,
            log_every=500,
            save_every=5000,
            keep="best",
        ),
    )
