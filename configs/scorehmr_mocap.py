"""ScoreHMR on real motion capture: a prior of poses, and people simulated from held-out subjects.

    python scripts/make_estimates.py --motion DIR --out runs/mocap_data      # DIR holds train/ val/ test/ by subject
    python scripts/train.py --config configs/scorehmr_mocap.py --workdir runs/scorehmr_mocap
    python scripts/refine.py --config configs/scorehmr_mocap.py --evidence detections

Settings are those that `scripts/ablate.py` chose on validation; docs/results.md has what they give.
"""

from diffjax import config


def get_config() -> config.Run:
    data = "runs/mocap_data"
    return config.Run(
        name="scorehmr_mocap",
        data=config.Data(train=f"{data}/train.npz", val=f"{data}/val.npz", test=f"{data}/test.npz"),
        model=config.Model(kind="residual", width=256, depth=3, vector="sixd154"),
        diffusion=config.Diffusion(std_floor=0.1),
        train=config.Train(target="annotation", steps=4000, learning_rate=1e-3, keep="best"),
        mode="scorehmr",
        scorehmr=config.ScoreHMR(
            labels=config.relative_fit(4.0, 80),
            detections=config.relative_fit(2.0, 40),
            video=config.relative_fit(3.0, 40, velocity=30.0, smooth_before=15, smooth_after=15),
            views=config.relative_fit(2.0, 20),
        ),
        parts=config.Parts(prior="runs/scorehmr_mocap", frontend=f"{data}/frontend.npz"),
    )
