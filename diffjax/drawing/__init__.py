"""Pictures for judging an annotation by eye: bodies over their keypoints as the camera sees them, and from the side.

A row a person, a column a body and view. Left is a circle, right a square, the middle a diamond; colours repeat it.
matplotlib and Pillow (the extra `viz`) are imported when the first picture is drawn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffjax import plots
from diffjax.drawing import person, sheets
from diffjax.drawing.person import Body, Person

__all__ = ["Body", "Person", "png"]


def png(
    people: Sequence[Person],
    faces: np.ndarray | None,
    *,
    legend: bool = True,
    limit: int | None = None,
) -> bytes:
    """The picture of some people, as the bytes of a PNG of at most `limit` bytes, if that is said.

    Without `faces` skeletons are drawn. A smaller file has fewer colours, and at last fewer pixels.
    """
    plots.matplotlib_or_say()
    picture = _picture(people, faces, legend)
    if limit is None:
        return sheets.encoded(picture, 256 if any(one.photo for one in people) else 128)
    for colours in (256, 128, 64, 32, 16):
        data = sheets.encoded(picture, colours)
        if len(data) <= limit:
            return data
    while len(data) > limit and picture.width > 200:
        picture = picture.resize((picture.width * 4 // 5, picture.height * 4 // 5))
        data = sheets.encoded(picture, 32)
    return data


def _picture(people: Sequence[Person], faces: np.ndarray | None, legend: bool) -> Any:
    """Pillow's image of a grid of panels."""
    from PIL import Image

    columns = 2 * max(len(one.bodies) for one in people)
    width = columns * (sheets.PANEL[0] + sheets.GAP) + sheets.GAP
    heights = [
        sheets.LABEL + sheets.PANEL[1] + sheets.CAPTION + sheets.NOTE * len(one.notes)
        for one in people
    ]
    sheet = sheets.Sheet(width, sheets.HEAD + sum(heights) + sheets.GAP + sheets.LEGEND * legend)
    for number, body in enumerate(max(people, key=lambda one: len(one.bodies)).bodies):
        for place, view in ((number, ""), (number + columns // 2, ", side")):
            x = sheets.GAP + (place + 0.5) * (sheets.PANEL[0] + sheets.GAP) - sheets.GAP / 2
            sheet.write(x, sheets.HEAD / 2, body.name + view, weight="bold", ha="center")
    for top, one in zip(sheets.HEAD + np.cumsum([0, *heights]), people):
        person.draw(sheet, one, faces, int(top), columns)
    if legend:
        _draw_legend(sheet, any(one.truth is not None for one in people))
    return Image.fromarray(sheet.pixels())


def _draw_legend(sheet: sheets.Sheet, truth: bool) -> None:
    height, x = sheet.canvas.shape[0], sheets.GAP + 14.0
    first, second = height - sheets.LEGEND + 18, height - sheets.LEGEND + 56
    for side, word in (("left", "left"), ("right", "right"), ("", "middle")):
        marker, colour = sheets.SIDES[side]
        sheet.axes.plot(x, first, marker, ms=12, color=colour, mec=sheets.INK, mew=1.3)
        sheet.write(x + 14, first, word, size=sheets.TEXT - 3)
        x += 40 + 15.0 * len(word)
    sheet.write(x - 8, first, "small: unsure", size=sheets.TEXT - 3)
    sheet.axes.plot(
        (sheets.GAP + 4, sheets.GAP + 34), (second, second), color=sheets.LINE, linewidth=3
    )
    text = "miss" + ("   outline: the truth, pelvis on pelvis" if truth else "")
    sheet.write(sheets.GAP + 44, second, text, size=sheets.TEXT - 3)
