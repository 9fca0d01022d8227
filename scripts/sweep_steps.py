"""Refines annotations every way there is, with controls: python scripts/sweep_steps.py --config configs/demo.py

Uses every device there is; a stopped sweep goes on with the same command. --distributed: see refine.py --help.
"""

import sys

from diffjax import config, devices, sweep


def main() -> None:
    run, workdir = config.parse(devices.start(sys.argv[1:]), description=__doc__ or "")
    sweep.sweep(run, workdir)


if __name__ == "__main__":
    config.run_main(main)
