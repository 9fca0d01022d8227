"""D3PRefiner as the paper has it, on the sets of `d3prefiner_cmu.py`. Its network was not trained here.

On one core of a CPU it goes through a small part of the frames that the light network of that config does.

    python scripts/train.py --config configs/d3prefiner_cmu_paper.py

Square loss, noise of every frame by itself given the estimate, two iterations. Width, batch and steps are not in the
paper. `--sequence.network frames --sequence.width 128` trains the light network in its place.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_cmu_paper",
        mode="d3prefiner",
        data=config.Data(
            train="runs/cmu_sequences/train.npz",
            val="runs/cmu_sequences/val.npz",
            test="runs/cmu_sequences/test.npz",
        ),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=27, width=256, blocks=4, heads=8, **config.PAPER),
        train=config.Train(
            batch_size=128,
            steps=20000,
            learning_rate=1e-3,
            anneal="none",
            ema_rates=(0.0,),
            log_every=500,
            save_every=1000,
        ),
    )
