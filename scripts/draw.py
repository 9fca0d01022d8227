"""Draws people of an annotation set, for judging by eye: python scripts/draw.py better.npz --before people.npz"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from diffjax import annotate, config, devices, draw, simulate


def main(argv: Sequence[str] | None = None) -> None:
    def command(
        data: Annotated[str, tyro.conf.Positional],
        before: str | None = None,
        rows: tuple[int, ...] = (),
        worst: int = 0,
        random: int = 0,
        out: Path | None = None,
        images: Path | None = None,
        evidence: annotate.Kind | None = None,
        body: str = config.Data.body,
    ) -> None:
        """Writes one picture: a row a person, each body over its keypoints and from the side.

        Args:
            data: An annotation set, .npz or a directory of shards; "demo", "demo_video" and "demo_views" are
                generated people.
            before: The same people before they were refined, drawn beside them.
            rows: Which people, counted from 0.
            worst: So many people that miss their keypoints by most: the estimates of --before, if given.
            random: So many people by lot (default: 6).
            out: The picture, .png (default: beside the set, drawn.png).
            images: The folder of the images that the field `image` names (default: that of the set).
            evidence: labels or detections. By default the first of them that the set holds.
            body: The body of the set, SMPL-format .npz or .pkl.
        """
        if bool(rows) + bool(worst) + bool(random) > 1 or min(worst, random) < 0:
            raise ValueError("wanted one of --rows, --worst N and --random N, found more, or N < 0")
        kit = draw.load_kit(data, before=before, evidence=evidence, images=images, body_path=body)
        chosen = list(rows) or (
            draw.worst_rows(kit, worst) if worst else draw.random_rows(kit, random or 6)
        )
        beside = Path("runs") if data in simulate.DEMOS else Path(data).parent
        print(draw.draw_file(kit, chosen, out or beside / "drawn.png"))

    argv = devices.start(sys.argv[1:] if argv is None else argv)
    tyro.cli(command, args=argv, description=__doc__)


if __name__ == "__main__":
    config.run_main(main)
