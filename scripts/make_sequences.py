"""Videos for sequence refiners: python scripts/make_sequences.py --motion generated --out runs/sequences"""

from pathlib import Path

import tyro

from diffjax import config
from diffjax.sequences import making
from diffjax.sequences.recipes import Recipe


def main(out: Path, recipe: Recipe = Recipe()) -> None:  # noqa: B008 - immutable.
    """Writes train, val and test: 2D, a lifter's 3D (of train out of fold) and the truth; and the lifter.

    Args:
        out: A new directory.
        recipe: What the videos are of, and who lifts them.
    """
    print(making.make_sequences(out, recipe))


if __name__ == "__main__":
    config.run_main(lambda: tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,)))
