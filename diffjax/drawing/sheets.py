"""Paper to draw on: pixels, and lines and letters of matplotlib over them, cut at the edges of panels."""

import io
from typing import Any

import numpy as np

Number = int | float | np.number
PANEL = (250, 320)
"""Width and height of one panel, px."""
GAP, HEAD, LABEL, CAPTION, NOTE, LEGEND = 8, 42, 44, 38, 34, 84
TEXT = 27
"""Height of letters, px: about 10 of them on a phone, which shows 1040 px in 390."""
_WIDE = 0.56
"""Width of a letter, in sizes."""
GROUND, OUTSIDE, SKIN = (np.array(c) for c in ([0.96] * 3, [0.85] * 3, [0.66, 0.80, 0.95]))
INK, LINE = "#16191d", "#c8352b"
# Okabe and Ito's: told apart by every kind of colour vision, and light from dark.
SIDES = {"left": ("o", "#f0a30a"), "right": ("s", "#0a5fa8"), "": ("D", "#f5f5f5")}
_MEANT = (INK, LINE, "#ffffff", *(colour for _, colour in SIDES.values()))


class Sheet:
    """A canvas of pixels, and what matplotlib writes and draws over it, in the same pixels."""

    def __init__(self, width: int, height: int):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.canvas = np.ones((height, width, 3))
        self.figure = Figure((width / 72, height / 72), dpi=72, facecolor="white")
        self.renderer = FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()

    def write(self, x: Number, y: Number, text: str, *, size: Number = TEXT, **how: Any) -> None:
        """One line, smaller or cut where it is too long for the sheet."""
        room = (self.canvas.shape[1] - (0 if how.get("ha") == "center" else x)) / (_WIDE * size)
        size *= min(1.0, max(room / max(len(text), 1), 0.75))
        room = int(room / 0.75)
        text = text if len(text) <= room else f"{text[: room - 1]}…"
        style = {"fontsize": size, "color": INK, "va": "center", "family": "DejaVu Sans"}
        # A name may hold dollars: they are no formula.
        self.axes.text(x, y, text, parse_math=False, **style | how)

    def pixels(self) -> np.ndarray:
        height, width = self.canvas.shape[:2]
        canvas = (self.canvas.clip(0, 1) * 255).round().astype(np.uint8)
        self.axes.imshow(canvas, extent=(0, width, height, 0), interpolation="nearest")
        self.renderer.draw()
        return np.asarray(self.renderer.buffer_rgba())[..., :3].copy()


class Panel:
    """A panel of a sheet: places in it are its own pixels."""

    def __init__(self, sheet: Sheet, x: int, y: int):
        from matplotlib.patches import Rectangle

        self.sheet, self.corner = sheet, np.array([x, y])
        self.canvas = sheet.canvas[y : y + PANEL[1], x : x + PANEL[0]]
        self.canvas[:] = GROUND
        self.frame = Rectangle((x, y), *PANEL, transform=sheet.axes.transData)

    def line(self, ends: np.ndarray, **how: Any) -> None:
        (drawn,) = self.sheet.axes.plot(*(ends + self.corner).T, solid_capstyle="round", **how)
        drawn.set_clip_path(self.frame)

    def write(self, x: Number, y: Number, text: str, **how: Any) -> None:
        self.sheet.write(self.corner[0] + x, self.corner[1] + y, text, **how)

    def below(self, text: str) -> None:
        self.write(PANEL[0] / 2, PANEL[1] + CAPTION / 2, text, ha="center")

    def outline(self, cover: np.ndarray) -> None:
        """The edge of what is covered."""
        if not cover.min() < 0.5 < cover.max():
            return
        x, y = (c + np.arange(n) + 0.5 for c, n in zip(self.corner, PANEL))
        for colour, width in (("white", 4.5), (INK, 2.0)):
            self.sheet.axes.contour(x, y, cover, [0.5], colors=[colour], linewidths=width, zorder=2)

    def tint(self, colour: np.ndarray, cover: np.ndarray) -> None:
        self.canvas[:] += (colour - self.canvas) * cover[..., None]


def encoded(picture: Any, colours: int) -> bytes:
    """A PNG of so many colours; those that mean something are always among them."""
    from PIL import Image

    meant = np.array([list(bytes.fromhex(colour[1:])) for colour in _MEANT])
    free = picture.quantize(colours - len(meant), dither=0).getpalette()
    free = np.reshape(free, (-1, 3))[: colours - len(meant)]
    distance = np.abs(free[:, None] - meant).max(-1)
    # Pillow takes the nearest colour only nearly: what is almost a meant one becomes it.
    free = np.where(distance.min(1, keepdims=True) < 6, meant[distance.argmin(1)], free)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([meant, free]).ravel().tolist())
    stream = io.BytesIO()
    picture.quantize(palette=palette, dither=0).save(stream, "PNG", optimize=True)
    return stream.getvalue()
