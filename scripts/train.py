"""Trains a denoiser: python scripts/train.py --config configs/demo.py --workdir runs/demo"""

from diffjax import config, train
from diffjax.sequences import training

_FIRST = (
    "name", "mode", "data.train", "data.val",
    "data.body", "train.steps", "train.batch_size", "train.learning_rate",
)  # fmt: skip
"""What the short help lists of all settings."""


def main() -> None:
    run, workdir = config.parse(description=__doc__ or "", first=_FIRST)
    if run.mode == "d3prefiner":
        training.train_refiner(run, workdir)
        print(f"{workdir / 'model.npz'}: the trained refiner. Use it by --parts.refiner {workdir}")
        return
    train.train(run, workdir)
    print(
        f"{workdir / 'model.npz'}: the trained model. Refine with it by --parts.prior {workdir}, search "
        f"steps with it by --parts.denoiser {workdir} (scripts/refine.py, scripts/sweep_steps.py)"
    )


if __name__ == "__main__":
    config.run_main(main)
