"""People without images: python scripts/make_estimates.py --motion generated --out runs/demo"""

import time
from pathlib import Path

import tyro

from diffjax import config, simulate
from diffjax.data import in_time, moments, records, splits, synthetic
from diffjax.frontends import keypoint_hmr
from diffjax.sequences import outputs


def make_estimates(
    motion: str,
    out: Path,
    body: Path = Path("converted_weights/open_body.npz"),
    frontend: Path | None = None,
    correlation: float = 0.0,
    eyesight: float = 1.0,
    steps: int = 2000,
    views: int = 3,
    seed: int = 0,
) -> None:
    """Writes train, val and test, videos and four views of val and test, residuals and the frontend.

    Args:
        motion: "generated", or a directory with train/, val/ and test/ of AMASS-layout .npz files
            split by subject (the part of a file name before the first "_").
        out: A new directory. Of "generated" it takes 150 MB, most of it train.npz.
        body: SMPL-format body with coco17 and h36m17 regressors.
        frontend: A frontend.npz from before: none is trained, and only the sets of val and test are
            written.
        correlation: Of the videos' detection errors with those of the frame before; 0 is none.
        eyesight: Errors of the 2D that the frontends see, as a share of the detector's, in training too. 1 is
            the detections of the sets; less is a stronger frontend.
        steps: Training steps of each of the five frontends, 256 people a step; few make a weak one.
        views: Random cameras for each training pose.
        seed: Of weights, views and noise.
    """
    start = time.perf_counter()
    outputs.check_directory(out, ("train.npz", "val.npz", "test.npz", "frontend.npz"))
    in_time.memory(moments.WINDOW, correlation)  # Refused before anything is trained.
    if not 0.0 <= eyesight <= 1.0:
        raise ValueError(f"--eyesight: wanted a share from 0 to 1, got {eyesight}")
    generated = motion == "generated"
    scene = synthetic.load_scene(str(body))._replace(eyesight=eyesight)
    parts = ("val", "test") if frontend else splits.Clips._fields
    params = keypoint_hmr.load(frontend) if frontend else None
    clips = splits.generated_split(parts) if generated else splits.read_split(motion, parts)
    sampling = splits.GENERATED_SAMPLING if generated else splits.Sampling()
    if frontend is None:
        made = simulate.make_estimates(
            clips.train, scene, sampling, seed=seed, views=views, steps=steps
        )
        params = made.frontend
        _write(out, "train", made.train, scene)
        records.save_arrays(out / "residuals.npz", {"covariance": made.covariance})
        keypoint_hmr.save(out / "frontend.npz", params)
    for name, people in simulate.held_out(
        clips, sampling, params, scene, seed=seed, correlation=correlation
    ):
        _write(out, name, people, scene)
    size = _megabytes(*out.iterdir())
    print(f"written to {out}: {size} MB, in {time.perf_counter() - start:.0f} s")


def _write(out: Path, name: str, people: records.AnnotationSet, scene: synthetic.Scene) -> None:
    """One set, and what is to be said of it."""
    file = out / f"{name}.npz"
    records.write(file, people)
    errors = simulate.frontend_errors(people, scene)
    text = ", ".join(f"{what} {value:.1f}" for what, value in errors.items())
    print(f"{file}: {_megabytes(file)} MB, {records.count(people)} people, {text}", flush=True)


def _megabytes(*files: Path) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f}"


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(make_estimates))
