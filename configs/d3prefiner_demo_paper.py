"""D3PRefiner as the paper has it, on the generated motion of `d3prefiner_demo.py`.

    python scripts/train.py --config configs/d3prefiner_demo_paper.py
    python scripts/refine.py --config configs/d3prefiner_demo_paper.py

A light network: the paper does not say its width. A minute and a half of one core for these 300 steps
(1.7 epochs), after the demo's lifters. Test: 67.8 to 68.7 mm MPJPE, 50.8 to 52.0 P-MPJPE (docs/results.md).
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_demo_paper",
        mode="d3prefiner",
        data=config.Data(train="demo", val="demo", test="demo"),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=27, width=64, blocks=2, heads=4, **config.PAPER),
        train=config.Train(
            batch_size=16,
            steps=300,
            learning_rate=1e-3,
            anneal="cosine",
            ema_rates=(0.99,),
            keep="last",
            log_every=50,
            save_every=150,
        ),
    )
