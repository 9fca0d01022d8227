"""Videos for sequence refiners: python scripts/make_sequences.py --motion generated --out runs/sequences"""

import time
from pathlib import Path

import tyro
from tqdm import tqdm

from diffjax import config
from diffjax.convert import h36m_sequences
from diffjax.data import filmed, sequence_sets
from diffjax.frontends import stcformer
from diffjax.sequences import filming, lifting


def make_sequences(
    out: Path,
    motion: str = "generated",
    body: Path = Path("converted_weights/open_body.npz"),
    h36m3d: Path | None = None,
    h36m2d: Path | None = None,
    h36m_estimates: Path | None = None,
    val: tuple[str, ...] = ("S8",),
    true_2d: bool = False,
    fps: float = 50.0,
    lifter: tuple[Path, ...] = (),
    takes: int = 1,
    folds: int = 4,
    average: int = 1,
    network: stcformer.Network = "frames",
    window: int | None = None,
    width: int | None = None,
    depth: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    seed: int = 0,
) -> None:
    """Writes train, val and test: 2D, a lifter's 3D (of train out of fold) and the truth; and the lifter.

    Args:
        out: A new directory.
        motion: "generated", or a directory with train/, val/ and test/ of AMASS-layout .npz files split by
            subject (the part of a file name before the first "_"); seen by four simulated cameras.
        body: SMPL-format body with a h36m17 regressor.
        h36m3d: VideoPose3D's data_3d_h36m.npz, in place of motion: trains on S1, S5, S6, S7 and S8 less
            --val, tests on S9 and S11.
        h36m2d: A data_2d_h36m_*.npz beside it.
        h36m_estimates: What another's lifter (MixSTE, VideoPose3D, ...) says of these videos, laid out as in h36m2d:
            positions_3d[subject][action] is a list of four cameras, (frames, 17, 3) metres in the camera's axes. Of
            training subjects it must be out of fold.
        val: Human3.6M's training subjects to choose on.
        true_2d: Of motion: a detector that makes no errors.
        fps: Frames a second of motion, at most.
        lifter: A lifter to lift everything with, in place of training some (scripts/convert.py stcformer); of several
            the mean. If it was trained on the people of train, a refiner learns from errors that are too small.
        takes: Training motion is filmed so often, each time by other cameras; where the shape of a body is not
            known, also as another body.
        folds: Lifters to cross-fit with; Human3.6M's subjects are their own folds up to this number.
        average: An estimate is the mean of so many lifters, which differ in their seed; each is cross-fitted.
        network: Of the lifter: with a token a frame, which a CPU trains well in a minute or two, or STCFormer's.
        window: Frames that the lifter sees (27, or 9 of stcformer).
        width: Of the network (128, or 64; STCFormer's own is 256).
        depth: Its blocks (4, or 2; STCFormer's own is 6).
        steps: Training steps of each of the lifters, a multiple of 25 (3000, or 600).
        batch: Windows a step (32, or 48).
        seed: Of weights, cameras and noise.
    """
    start = time.perf_counter()
    for name in ("train", "val", "test", "lifter"):
        if (out / f"{name}.npz").exists():
            raise ValueError(f"{out}: already holds {name}.npz; choose a new --out, or remove it")
    if h36m_estimates and lifter:
        raise ValueError("--h36m-estimates, --lifter: wanted one, found both; leave one out")
    if h36m3d and h36m2d:
        videos = _h36m(h36m3d, h36m2d, val)
    elif h36m3d or h36m2d or h36m_estimates:
        raise ValueError("--h36m3d, --h36m2d: wanted both files, found fewer; pass the other too")
    else:
        detector = filmed.PERFECT if true_2d else filmed.Detector()
        videos = filming.film(motion, str(body), seed=seed, fps=fps, takes=takes, detector=detector)
    told = {"window": window, "width": width, "depth": depth, "steps": steps, "batch": batch}
    settings = (stcformer.LIGHT if network == "frames" else stcformer.Settings())._replace(
        **{name: value for name, value in told.items() if value is not None}
    )
    lifters = [stcformer.load(file) for file in lifter]
    if h36m_estimates:
        made = filming.Videos(*(h36m_sequences.with_estimates(v, h36m_estimates) for v in videos))
    elif lifters:
        where = str(lifter[0])
        made = filming.Videos(*(lifting.with_estimates(v, lifters, where) for v in videos))
    else:
        made, lifters = lifting.lift(
            videos, settings, average=average, folds=folds, seed=seed, report=tqdm.write
        )
    lifting.write(out, made, lifters)
    for name, mpjpe, pa in lifting.errors(made):
        frames = sequence_sets.count(getattr(made, name))
        print(f"{name}: {frames} frames, MPJPE {mpjpe:.1f} mm, P-MPJPE {pa:.1f} mm")
    print(f"written to {out} in {time.perf_counter() - start:.0f} s")


def _h36m(path3d: Path, path2d: Path, val: tuple[str, ...]) -> filming.Videos:
    """Human3.6M, 50 frames a second; the joints are those of its files."""
    train = tuple(s for s in h36m_sequences.TRAIN if s not in val)
    sets = (
        sequence_sets.of_videos(
            h36m_sequences.read_sequences(path3d, path2d, subjects), "h36m17_native", str(path3d)
        )
        for subjects in (train, val, h36m_sequences.TEST)
    )
    return filming.Videos(*sets)


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(make_sequences))
