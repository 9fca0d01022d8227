"""Statistics that training standardises by: python scripts/stats.py --data A.npz B.npz --out stats.npz"""

from pathlib import Path
from typing import Literal

import tyro

from diffjax import config
from diffjax.data import statistics


def stats(
    data: tuple[Path, ...],
    out: Path,
    target: Literal["annotation", "prediction"] = "annotation",
) -> None:
    """Mean and spread of image features, smallest and largest betas, of all people of one or more sets.

    Args:
        data: Annotation sets (.npz, or directories of shards), read a piece at a time.
        out: The file to write, .npz; train with it by --data.stats.
        target: Whose betas: the truth's (the estimate's where it is not known), or the estimate's.
    """
    found = statistics.of_files(data, target)
    statistics.write(out, found)
    features = "no features" if found.features is None else f"{len(found.features.mean)} features"
    low, high = found.betas_min.min(), found.betas_max.max()
    print(f"{out}: {features}, betas from {low:.2f} to {high:.2f}; pass --data.stats {out}")


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(stats))
