"""A prior of real motion capture (AMASS layout), and the sweep on people simulated from it.

    python scripts/make_estimates.py --motion DIR --out runs/mocap_data      # DIR holds train/ val/ test/ by subject
    python scripts/train.py --config configs/mocap.py --workdir runs/mocap
    python scripts/train.py --config configs/mocap_paper.py --workdir runs/mocap_paper
    python scripts/sweep_steps.py --config configs/mocap.py --workdir runs/mocap

Any AMASS-style folder will do; docs/results.md has the numbers on the CMU database.
"""

from diffjax import config


def get_config() -> config.Run:
    data = "runs/mocap_data"
    return config.Run(
        name="mocap",
        data=config.Data(train=f"{data}/train.npz", val=f"{data}/val.npz", test=f"{data}/test.npz"),
        model=config.Model(kind="residual", width=256, depth=3, vector="sixd154"),
        train=config.Train(target="annotation", steps=2000, learning_rate=1e-3),
        search=config.Search(max_step=60, patience=10, sampler="ddpm", candidate="chain"),
        guided=config.recalling(1.0),  # Its frontend sees no more than the keypoints.
        parts=config.Parts(
            denoiser="runs/mocap_paper",
            prior="runs/mocap",
            residuals=f"{data}/residuals.npz",
            frontend=f"{data}/frontend.npz",
            refiner="runs/mocap_refiner",
        ),
    )
