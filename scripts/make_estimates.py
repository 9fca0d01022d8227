"""People without images: python scripts/make_estimates.py --motion generated --out runs/demo"""

import time
from pathlib import Path

import tyro
from tqdm import tqdm

from diffjax import config, simulate
from diffjax.data import records, synthetic
from diffjax.frontends import keypoint_hmr


def make_estimates(
    motion: str,
    out: Path,
    body: Path = Path("converted_weights/open_body.npz"),
    steps: int = 2000,
    views: int = 3,
    seed: int = 0,
) -> None:
    """Writes train.npz, val.npz, test.npz, residuals.npz and frontend.npz.

    Args:
        motion: "generated", or a directory with train/, val/ and test/ of AMASS-layout .npz files
            split by subject (the part of a file name before the first "_").
        out: A new directory.
        body: SMPL-format body with coco17 and h36m17 regressors.
        steps: Training steps of each of the five frontends, 256 people a step.
        views: Random cameras for each training pose.
        seed: Of weights, views and noise.
    """
    if (out / "train.npz").exists():
        raise ValueError(f"{out}: already holds train.npz; choose a new --out, or remove it")
    generated = motion == "generated"
    scene = synthetic.load_scene(str(body))
    clips = simulate.generated_split() if generated else simulate.read_split(motion)
    sampling = simulate.GENERATED_SAMPLING if generated else simulate.Sampling()
    start = time.perf_counter()
    made = simulate.make_estimates(
        clips, scene, sampling, seed=seed, views=views, steps=steps, report=tqdm.write
    )
    out.mkdir(parents=True, exist_ok=True)
    for part in ("train", "val", "test"):
        annotations = getattr(made, part)
        records.write(out / f"{part}.npz", annotations)
        errors = simulate.frontend_errors(annotations, scene)
        text = ", ".join(f"{name} {value:.1f}" for name, value in errors.items())
        print(f"{part}: {records.count(annotations)} people, {text}")
    records.save_arrays(out / "residuals.npz", {"covariance": made.covariance})
    keypoint_hmr.save(out / "frontend.npz", made.frontend)
    print(f"written to {out} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(make_estimates))
