"""Refines annotations every way there is, with controls: python scripts/sweep_steps.py --config configs/demo.py"""

from diffjax import config, sweep


def main() -> None:
    run, workdir = config.parse(description=__doc__ or "")
    sweep.sweep(run, workdir)


if __name__ == "__main__":
    config.run_main(main)
