"""Chooses the settings of fast, guided and combined on validation: python scripts/tune.py --config configs/demo.py"""

from diffjax import config, tune


def main() -> None:
    run, workdir = config.parse(description=__doc__ or "")
    tune.tune(run, workdir)


if __name__ == "__main__":
    config.run_main(main)
