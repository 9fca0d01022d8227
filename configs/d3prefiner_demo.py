"""The sequence refiner on generated motion: no data or licence needed. The paper's: `d3prefiner_demo_paper.py`.

    python scripts/train.py --config configs/d3prefiner_demo.py
    python scripts/refine.py --config configs/d3prefiner_demo.py
    python scripts/compare_sequences.py --config configs/d3prefiner_demo.py

The first command films generated motion with four simulated cameras and trains the lifters, once: two and a half
minutes of one core, refining 15 s more. Test: 67.8 to 66.4 mm MPJPE, 50.8 to 49.2 P-MPJPE; 67.2 and 50.4 without the
steadied bones (`--sequence.bones 0`). The lifter is of the refiner's own kind: on other sets refining such a one
adds nothing at all (docs/results.md).
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="d3prefiner_demo",
        mode="d3prefiner",
        data=config.Data(train="demo", val="demo", test="demo"),
        diffusion=config.Diffusion(schedule="cosine", steps=50),
        sequence=config.Sequences(window=27, training_stride=9, width=128, blocks=4, bones=0.5),
        train=config.Train(
            batch_size=32,
            steps=1000,
            learning_rate=2e-3,
            anneal="cosine",
            clip=1.0,
            ema_rates=(0.99,),
            keep="last",
            log_every=250,
            save_every=500,
        ),
    )
