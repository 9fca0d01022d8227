"""DiffAnnot on MPI-INF-3DHP, the paper's setting with this data set's 17 joints.

    python scripts/convert.py --help     # makes data/mpi_inf_3dhp/{train,test}.npz and the body
    python scripts/train.py --config configs/mpi_inf_3dhp.py --workdir runs/mpi_inf_3dhp
    python scripts/sweep_steps.py --config configs/mpi_inf_3dhp.py --workdir runs/mpi_inf_3dhp

Needs mmhuman3d's cached HMR output on MPI-INF-3DHP and its HumanData files, and the SMPL body.
The paper (2,875 test rows): MPJPE 125.17 -> 124.63 mm, PA-MPJPE 90.36 -> 86.28 mm.
Not run here: needs licensed data.
"""

from diffjax import config


def get_config() -> config.Run:
    return config.Run(
        name="mpi_inf_3dhp",
        data=config.Data(
            train="data/mpi_inf_3dhp/train.npz",
            val="",  # The data set has no validation split.
            test="data/mpi_inf_3dhp/test.npz",
            body="data/body/smpl_neutral.npz",
        ),
        model=config.Model(kind="paper", width=226, depth=2, vector="rotmat226"),
        diffusion=config.Diffusion(schedule="linear", steps=1000, standardise=False),
        train=config.Train(
            target="prediction",
            gamma_3d=5.0,
            joint_error="pa_mpjpe",
            batch_size=256,
            steps=200_000,
            learning_rate=8e-5,
            anneal="none",
            ema_rates=(0.9999,),
            log_every=500,
            save_every=10_000,
        ),
        search=config.Search(max_step=60, patience=10, error="pa_mpjpe", keypoints="mpii3d17"),
    )
