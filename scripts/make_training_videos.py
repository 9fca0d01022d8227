"""Videos to train refiners of people on: python scripts/make_training_videos.py --motion DIR --out train_video.npz"""

import time
from pathlib import Path

import tyro

from diffjax import config, simulate, training_videos
from diffjax.data import records, splits, synthetic


def make_training_videos(
    motion: str,
    out: Path,
    body: Path = Path("converted_weights/open_body.npz"),
    takes: int = 3,
    folds: int = 4,
    steps: int = 2000,
    correlation: float = 0.0,
    eyesight: float = 1.0,
    seed: int = 0,
) -> None:
    """Writes an annotation set of training people's videos, with estimates by frontends that never saw them.

    Args:
        motion: "generated", or a directory with train/ of AMASS-layout .npz files (the subject is the part of
            a file name before the first "_"), as for make_estimates.py.
        out: The file to write, .npz. Then: scripts/convert.py to-sequences.
        body: SMPL-format body with coco17 and h36m17 regressors.
        takes: Each window of 2.1 s is filmed so often, each time by another camera.
        folds: Frontends to cross-fit with.
        steps: Training steps of each of them, as those of make_estimates.py.
        correlation: Of the detections' errors with those of the frame before.
        eyesight: As for make_estimates.py.
        seed: Of weights, views and noise.
    """
    start = time.perf_counter()
    if out.suffix != ".npz" or out.exists():
        raise ValueError(f"{out}: wanted a new name ending in .npz; choose one")
    if takes < 1:
        raise ValueError(f"--takes: wanted 1 or more, got {takes}")
    scene = synthetic.load_scene(str(body))._replace(eyesight=eyesight)
    generated = motion == "generated"
    read = splits.generated_split if generated else lambda parts: splits.read_split(motion, parts)
    sampling = splits.GENERATED_SAMPLING if generated else splits.Sampling()
    people = training_videos.cross_fitted(
        read(("train",)).train, scene, sampling, takes=takes, folds=folds, seed=seed, steps=steps,
        correlation=correlation,
    )  # fmt: skip
    records.write(out, people)
    errors = simulate.frontend_errors(people, scene)
    text = ", ".join(f"{what} {value:.1f}" for what, value in errors.items())
    print(f"{out}: {records.count(people)} frames, {text}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(make_training_videos))
