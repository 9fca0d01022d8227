"""D3PRefiner for the tracks of annotation sets, whose poses are SMPL's: the demo's refiner of people.

    python scripts/make_training_videos.py --motion generated --takes 2 --folds 2 --steps 1000 \\
        --out runs/people/train_video.npz
    python scripts/make_estimates.py --motion generated --frontend converted_weights/demo_frontend.npz \\
        --out runs/people/held
    python scripts/convert.py to-sequences --source runs/people/train_video.npz --evidence detections labels \\
        --out runs/people/train.npz
    python scripts/convert.py to-sequences --source runs/people/held/val_video.npz --evidence detections labels \\
        --out runs/people/val.npz
    python scripts/train.py --config configs/d3prefiner_people.py
    python scripts/evaluate.py --data demo_video --methods smooth d3prefiner d3prefiner+smooth scorehmr-video \\
        --parts.refiner runs/d3prefiner_people/model.npz

Training people are others than those of val and test, and each is estimated by a frontend that never saw him. With both
kinds of evidence one refiner serves labels and detections. For motion capture: `--motion DIR`, and the frontend of DIR.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_people",
        mode="d3prefiner",
        data=config.Data(
            train="runs/people/train.npz", val="runs/people/val.npz", test="runs/people/val.npz"
        ),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=27, training_stride=9, width=96, blocks=4, at_once=32),
        train=config.Train(
            batch_size=32,
            steps=2000,
            learning_rate=2e-3,
            anneal="cosine",
            clip=1.0,
            ema_rates=(0.99,),
            log_every=500,
            save_every=2000,
        ),
    )
