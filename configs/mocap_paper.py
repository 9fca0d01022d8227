"""DiffAnnot's own denoiser on the people of configs/mocap.py, for the step search there.

python scripts/train.py --config configs/mocap_paper.py --workdir runs/mocap_paper
"""

from diffjax import config


def get_config() -> config.Run:
    data = "runs/mocap_data"
    return config.Run(
        name="mocap_paper",
        data=config.Data(train=f"{data}/train.npz", val=f"{data}/val.npz", test=f"{data}/test.npz"),
        model=config.Model(kind="paper", width=226, depth=2, vector="rotmat226"),
        train=config.Train(target="annotation", steps=5000, learning_rate=1e-3),
    )
