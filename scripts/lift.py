"""Lifts 2D videos: python scripts/lift.py --data mine.npz --lifter runs/sequences/lifter.npz --out lifted.npz"""

from pathlib import Path

import tyro

from diffjax import config, windows
from diffjax.sequences import lifting


def lift(
    data: Path,
    lifter: tuple[Path, ...],
    out: Path,
    bones: float = 0.0,
    gaps: windows.Gaps = "refuse",
    overwrite: bool = False,
) -> None:
    """Writes a sequence set with `estimate3d`; prints its errors where the truth is known.

    Args:
        data: A sequence set, .npz (docs/methods.md); it needs no estimate and no truth.
        lifter: Of scripts/make_sequences.py or scripts/convert.py stcformer; of several the mean.
        out: The set to write, .npz.
        bones: A share, 0 to 1, of the way to bones of their median length in each video. Where no refiner follows, 0.5
            was best.
        gaps: NaN in the 2D: refused, or filled from the neighbours in the video.
        overwrite: Replace the file that is at --out.
    """
    print(lifting.lift_file(data, lifter, out, bones=bones, gaps=gaps, overwrite=overwrite))


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(lift))
