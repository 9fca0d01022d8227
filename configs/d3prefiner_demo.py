"""D3PRefiner on generated motion: no data or licence needed.

    python scripts/train.py --config configs/d3prefiner_demo.py
    python scripts/refine.py --config configs/d3prefiner_demo.py
    python scripts/compare_sequences.py --config configs/d3prefiner_demo.py

The first command films generated motion with four simulated cameras and trains the lifters, once. A light network:
the paper does not say its width (see config.Sequences).
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_demo",
        mode="d3prefiner",
        data=config.Data(train="demo", val="demo", test="demo"),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=27, width=64, blocks=2, heads=4, noise="iid"),
        train=config.Train(
            batch_size=16,
            steps=600,
            learning_rate=1e-3,
            anneal="cosine",
            ema_rates=(0.99,),
            keep="last",
            log_every=50,
            save_every=200,
        ),
    )
