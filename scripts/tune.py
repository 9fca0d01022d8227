"""Chooses the settings of fast, guided and combined on validation: python scripts/tune.py --config configs/demo.py"""

from diffjax import config, tune

_FIRST = ("data.val", "data.body", "parts")
"""What the short help lists of all settings."""


def main() -> None:
    run, workdir = config.parse(description=__doc__ or "", first=_FIRST)
    tune.tune(run, workdir)


if __name__ == "__main__":
    config.run_main(main)
