"""What is fast, against whom: python scripts/benchmark.py search

Prints, row by row, medians with quartiles, ratios against named peers measured in the same process in turn,
and the share of the matrix-product ceiling of the same run. On a CPU it pins itself to --cores cores.
"""

import argparse
import os
import sys
from pathlib import Path

MODULES = (
    "search",
    "body",
    "train",
    "scorehmr",
    "d3prefiner",
    "cores",
    "precision",
    "speed",
    "memory",
    "fused",
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=MODULES)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--figure", type=Path, help="of `speed`: also draw it (.png)")
    parser.add_argument("--quick", action="store_true", help="smaller cases, in about a minute")
    parser.add_argument("--cores", type=int, default=1, help="CPU cores to use (default 1)")
    parser.add_argument(
        "--gate",
        action="store_true",
        help="exit 1 if a ratio fell by more than 25 %% of the baseline",
    )
    told = parser.parse_args()
    if told.figure and told.what != "speed":
        parser.error("--figure: only `speed` has one")
    return told


def main() -> None:
    arguments = _arguments()
    # Before JAX and torch count the cores.
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if cores:
        os.sched_setaffinity(0, cores[-arguments.cores :])
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.cores))
    from diffjax.benchmarks import report

    told = vars(arguments)
    told.pop("cores")
    sys.exit(report.main(told.pop("what"), **told))


if __name__ == "__main__":
    main()
