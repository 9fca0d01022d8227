"""The sequence refiner that was best on validation: D3PRefiner's frame with a light network and no diffusion.

    python scripts/make_sequences.py --motion DIR --fps 25 --takes 3 --steps 700 --out runs/cmu_sequences
    python scripts/train.py --config configs/d3prefiner_cmu.py
    python scripts/refine.py --config configs/d3prefiner_cmu.py
    python scripts/compare_sequences.py --config configs/d3prefiner_cmu.py

DIR holds train/, val/ and test/ of AMASS-layout motion split by subject; cameras and detections are simulated. A
minute or two of one core. Test: 89.2 to 64.5 mm MPJPE, 63.4 to 51.5 P-MPJPE, of a weak lifter, and mostly by lifting
anew (docs/results.md). Not the paper's: one token a frame, the distance of joints as the loss, one iteration, and
errors half of which are the lifter's own, half drawn as the paper's. `d3prefiner_cmu_paper.py` is as the paper has it.
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
        sequence=config.Sequences(
            window=27,
            training_stride=9,
            network="frames",
            width=128,
            blocks=4,
            loss="distance",
            diffusion=False,
            noise="iid",
            real=0.5,
            flip=True,
            decay=1.0,
            at_once=32,
        ),
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
