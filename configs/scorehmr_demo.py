"""ScoreHMR's prior of generated motion, without a condition: no data or licence needed.

    python scripts/train.py --config configs/scorehmr_demo.py --workdir runs/scorehmr_demo

About 90 s of one CPU core. Only rotations are diffused: such a prior goes with every body. They are standardised,
unlike the original's, with which the same loop gained 6 mm less on the demo's people.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="scorehmr_demo",
        data=config.Data(train="demo", val="demo", test="demo"),
        model=config.Model(kind="scorehmr", width=256, depth=3, vector="sixd144"),
        diffusion=config.Diffusion(
            schedule="linear",
            steps=1000,
            prediction="eps",
            std_floor=0.1,  # Spines and hands, which rest in generated motion, move in real people.
        ),
        train=config.Train(
            target="annotation",
            batch_size=128,
            steps=5000,
            learning_rate=2e-3,
            adam_betas=(0.9, 0.99),
            clip=1.0,
            anneal="cosine",
            ema_rates=(0.995,),
            keep="best",
        ),
        mode="scorehmr",
        scorehmr=config.ScoreHMR(
            labels=config.relative_fit(4.0, 40),
            detections=config.relative_fit(1.0, 20),
            video=config.relative_fit(
                3.0, 40, prior="none", velocity=30.0, smooth_before=15, smooth_after=15
            ),
            views=config.relative_fit(2.0, 20),
        ),
        parts=config.Parts(
            prior="converted_weights/demo_scorehmr.npz",
            frontend="converted_weights/demo_frontend.npz",
        ),
    )
