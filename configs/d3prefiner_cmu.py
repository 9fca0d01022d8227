"""The sequence refiner on motion capture that won where there was something to win: light, without diffusion.

    python scripts/make_sequences.py --motion DIR --fps 25 --takes 3 --out runs/cmu_sequences
    python scripts/train.py --config configs/d3prefiner_cmu.py
    python scripts/refine.py --config configs/d3prefiner_cmu.py
    python scripts/compare_sequences.py --config configs/d3prefiner_cmu.py

DIR holds train/, val/ and test/ of AMASS-layout motion split by subject; cameras and detections are simulated. Seven
minutes of one core for the lifters, 80 s for the refiner. Test, MPJPE: a weak lifter (`--network stcformer
--steps 700`) from 89.2 to 64.5 mm; the good one of these commands, 59.0 mm, is made worse by 2 mm, by 1,500 steps
(docs/results.md).

Not the paper's: one token a frame, the distance of joints as the loss, one iteration, and errors half of which are the
lifter's own, half drawn as the paper's; then half of the way to steady bones, which no number above is with.
`d3prefiner_cmu_paper.py` is as the paper has it.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_cmu",
        mode="d3prefiner",
        data=config.Data(
            train="runs/cmu_sequences/train.npz",
            val="runs/cmu_sequences/val.npz",
            test="runs/cmu_sequences/test.npz",
        ),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=27, training_stride=9, width=128, blocks=4, bones=0.5),
        train=config.Train(
            batch_size=32,
            steps=3000,
            learning_rate=2e-3,
            anneal="cosine",
            clip=1.0,
            ema_rates=(0.99,),
            log_every=500,
            save_every=1500,
        ),
    )
