"""DiffAnnot's own denoiser on generated motion: what the step search of the demo denoises with.

    python scripts/train.py --config configs/demo_paper.py --workdir runs/demo_paper

The paper's MLP over 24 rotation matrices and 10 betas, trained on true parameters. About a minute on two CPU cores.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="demo_paper",
        model=config.Model(kind="paper", width=226, depth=2, vector="rotmat226"),
        diffusion=config.Diffusion(schedule="linear", steps=1000, prediction="eps"),
        train=config.Train(target="annotation", batch_size=256, steps=5000, learning_rate=1e-3),
    )
