"""A prior of generated motion, for the demo: no data or licence needed.

    python scripts/train.py --config configs/demo.py --workdir runs/demo

A residual MLP over standardised 6D rotations and betas.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="demo",
        data=config.Data(train="demo", val="demo", test="demo"),
        model=config.Model(kind="residual", width=256, depth=3, vector="sixd154"),
        diffusion=config.Diffusion(schedule="linear", steps=1000, prediction="eps"),
        train=config.Train(
            target="annotation",
            batch_size=256,
            steps=2000,
            learning_rate=1e-3,
            anneal="cosine",
            ema_rates=(0.998,),
        ),
        search=config.Search(max_step=60, patience=10, sampler="ddpm", candidate="chain"),
        guided=config.recalling(1.0),  # Its frontend sees no more than the keypoints.
        parts=config.Parts(
            denoiser="converted_weights/demo_paper.npz",
            prior="converted_weights/demo_prior.npz",
            residuals="converted_weights/demo_residuals.npz",
            frontend="converted_weights/demo_frontend.npz",
            refiner="converted_weights/demo_refiner.npz",
        ),
    )
