"""Figures of the step search: loss against step, bodies at several steps, keypoints over bodies.

Each function writes one PNG, under a temporary name first, so that a figure on disk is whole.
matplotlib (the extra `viz`) is imported when the first figure is drawn, and pyplot never.
"""

import os
import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffjax import camera as cameras
from diffjax import raster

INK, GREY, PALE = "#22272e", "#7b838f", "#e4e7eb"
BLUE, RED, SINGLES = "#2f5d8a", "#c2512f", ("#4f7f86", "#b07d3b", "#7a5c86", "#5d7f4d")
CLAY = np.array([0.86, 0.88, 0.91])
"""Colour of the body in full light."""
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}

Points = Float[Array | np.ndarray, "points 3"]
Path = str | os.PathLike[str]


def loss_against_step(
    curve: Float[Array | np.ndarray, "*batch starts"],
    path: Path,
    *,
    quantity: str = "PA-MPJPE",
    unit: str = "mm",
    singles: int = 4,
) -> None:
    """The error of every start (DiffAnnot, Fig. 4), over all samples and for a few of them.

    `curve` is `Search.curve`. Its mean and quantiles are drawn for the starts that every sample was
    evaluated at: over those still searching alone they would flatter. An exhaustive search gives
    them in full.
    """
    errors = np.asarray(curve, float).reshape(-1, curve.shape[-1])
    errors = errors[np.isfinite(errors).any(axis=1)]
    if not len(errors):
        raise ValueError(f"{path}: wanted a curve with a finite error, found none in {curve.shape}")
    with matplotlib_or_say().rc_context(_STYLE):
        figure = _figure(9.2, 3.5)
        axes = figure.subplots(1, 2, gridspec_kw={"wspace": 0.2, "width_ratios": (1.15, 1)})
        figure.subplots_adjust(left=0.07, right=0.985, top=0.89, bottom=0.15)
        _draw_summary(axes[0], errors, unit)
        _draw_singles(axes[1], errors, singles)
        for side in axes:
            side.set_xlabel("start s (reverse steps from the input)")
            side.set_ylabel(f"{quantity} ({unit})")
            side.margins(x=0.02)
            side.xaxis.get_major_locator().set_params(integer=True)
            side.grid(axis="y", color=PALE, linewidth=0.8)
            side.set_axisbelow(True)
        _save(figure, path)


def _draw_summary(axes: Any, errors: np.ndarray, unit: str) -> None:
    shared = errors[:, np.isfinite(errors).all(axis=0)]
    steps = np.flatnonzero(np.isfinite(errors).all(axis=0))
    axes.set_title(f"all {len(errors):,} samples" if len(errors) > 1 else "the sample")
    if not len(steps):
        return
    low, lower, upper, high = np.quantile(shared, (0.1, 0.25, 0.75, 0.9), axis=0)
    mean, best = shared.mean(axis=0), np.nanmin(errors, axis=1).mean()
    axes.fill_between(steps, low, high, color=BLUE, alpha=0.12, linewidth=0, label="10–90 %")
    axes.fill_between(steps, lower, upper, color=BLUE, alpha=0.20, linewidth=0, label="25–75 %")
    at = int(mean.argmin())
    label = f"mean, best at step {steps[at]}: {mean[at]:.1f} {unit}"
    axes.plot(steps, mean, color=BLUE, linewidth=1.8, label=label)
    axes.axhline(
        best,
        color=RED,
        linewidth=1,
        dashes=(4, 3),
        label=f"each at its own best: {best:.1f} {unit}",
    )
    _mark(axes, steps[at], mean[at], BLUE)
    axes.legend(loc="upper left", ncols=2, fontsize=8, handlelength=1.6)
    _make_room(axes, below=0.0, above=0.22)


def _draw_singles(axes: Any, errors: np.ndarray, count: int) -> None:
    """Samples from the earliest best step to the latest, evenly by rank."""
    best = np.nanargmin(errors, axis=1)
    ranks = np.linspace(0, len(errors) - 1, min(count, len(errors))).round().astype(int)
    axes.set_title("single samples" if len(ranks) > 1 else "a single sample")
    for number, sample in enumerate(np.argsort(best, kind="stable")[ranks]):
        colour, step = SINGLES[number % len(SINGLES)], best[sample]
        axes.plot(errors[sample], color=colour, linewidth=1.4, label=f"best at step {step}")
        _mark(axes, step, errors[sample, step], colour)
    axes.legend(loc="upper left", ncols=2, fontsize=8, handlelength=1.6)
    _make_room(axes, below=0.0, above=0.22)


def _mark(axes: Any, x: Any, y: Any, colour: str) -> None:
    """A dot, in front of the axis too."""
    axes.plot(x, y, "o", color=colour, mec="white", ms=7, clip_on=False, zorder=4)


def _make_room(axes: Any, below: float, above: float) -> None:
    """Widens the y axis by shares of its length, for what is written there."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - below * (top - bottom), top + above * (top - bottom))


def speed(lines: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Samples a second against the largest start, (start, samples / s) by contender, on log scales."""
    with matplotlib_or_say().rc_context(_STYLE):
        figure = _figure(7.6, 3.6)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.09, right=0.68, top=0.96, bottom=0.14)
        axes.set(xscale="log", yscale="log", xlabel="largest start", ylabel="samples / second")
        colours = iter((*SINGLES, GREY, GREY))
        # In the order in which they end, which is that of the legend.
        for name, points in sorted(lines.items(), key=lambda line: -line[1][-1][1]):
            own = name.startswith("diffjax")
            colour = (RED if "patience" in name else BLUE) if own else next(colours)
            width = 2.2 if own else 1.2
            axes.plot(*zip(*points), color=colour, marker="o", ms=3.5, lw=width, label=name)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8.5)
        axes.grid(color=PALE, linewidth=0.8)
        axes.set_axisbelow(True)
        _save(figure, path)


def bodies(
    vertices_list: Sequence[Float[Array | np.ndarray, "verts 3"]],
    faces: Int[Array | np.ndarray, "faces 3"],
    titles: Sequence[str],
    path: Path,
    *,
    frame: Literal["camera", "world"] = "camera",
) -> None:
    """Bodies side by side, as seen and from the side (DiffAnnot, Fig. 5), on one scale, in metres.

    `camera`: x right, y down, z away from the viewer. `world`: x right, y up, z towards the viewer.
    """
    if not len(vertices_list) or len(vertices_list) != len(titles):
        raise ValueError(
            f"{path}: wanted a title a body, got {len(vertices_list)} and {len(titles)}"
        )
    turn = np.diag([1.0, -1.0, -1.0]) if frame == "camera" else np.eye(3)
    fronts = [np.asarray(vertices, float) @ turn for vertices in vertices_list]
    rows = (fronts, [front[:, (2, 1, 0)] * (-1, 1, 1) for front in fronts])
    lows, highs = zip(*(_bounds(row) for row in rows))
    widths, height = [high[0] - low[0] for low, high in zip(lows, highs)], highs[0][1] - lows[0][1]
    scale = 2.9 / height  # Inches a metre.
    with matplotlib_or_say().rc_context(_STYLE):
        wide, tall = len(titles) * max(*widths, 0.45 * height) * scale, 2 * 2.9 + 0.35
        figure = _figure(wide, tall)
        grid = figure.subplots(2, len(titles), squeeze=False)
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.32 / tall, wspace=0, hspace=0)
        for row, places, low, high in zip(grid, rows, lows, highs):
            for axes, vertices in zip(row, places):
                axes.add_collection(_mesh(vertices[:, :2], vertices, faces))
                axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
                axes.set_axis_off()
        for axes, title in zip(grid[0], titles):
            axes.set_title(title, loc="center", pad=4)
        views = ("camera" if frame == "camera" else "front", "side")
        for axes, view in zip(grid[:, 0], views):
            axes.text(0.04, 0.97, view, transform=axes.transAxes, color=GREY, fontsize=8, va="top")
        _save(figure, path)


def _bounds(row: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    points = np.concatenate(row)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.04 * (high - low).max()
    return low - margin, high + margin


def keypoints_over_body(
    keypoints2d: Float[Array | np.ndarray, "K 3"],
    projected: Sequence[Float[Array | np.ndarray, "K 2"]],
    vertices_cam: Sequence[Float[Array | np.ndarray, "verts 3"]],
    faces: Int[Array | np.ndarray, "faces 3"],
    camera: cameras.Camera,
    titles: Sequence[str],
    path: Path,
) -> None:
    """2D evidence (rings, fainter where less certain) against the keypoints (dots) of some bodies.

    Evidence of confidence 0 is left out, also of the mean distance that a title states. `projected`
    is in pixels, `vertices_cam` in metres in the camera's frame: the estimate's, the refined one's.
    """
    if not len(titles) == len(projected) == len(vertices_cam) > 0:
        found = len(titles), len(projected), len(vertices_cam)
        raise ValueError(f"{path}: wanted as many titles, keypoints and bodies, got {found}")
    pixels = [np.asarray(cameras.project(camera, jnp.asarray(v))) for v in vertices_cam]
    low, high = _bounds([*pixels, np.asarray(keypoints2d)[np.asarray(keypoints2d)[:, 2] > 0, :2]])
    wide, tall = (high - low) * 4.2 / (high - low)[1]
    with matplotlib_or_say().rc_context(_STYLE):
        figure = _figure(max(wide, 2.1) * len(titles), tall + 0.4)
        row = figure.subplots(1, len(titles), squeeze=False)[0]
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.36 / (tall + 0.4), wspace=0)
        for axes, title, places, uv, vertices in zip(row, titles, projected, pixels, vertices_cam):
            upright = np.asarray(vertices, float) * (1, -1, -1)
            axes.add_collection(_mesh(uv, upright, faces))
            error = _draw_keypoints(axes, np.asarray(keypoints2d, float), np.asarray(places, float))
            axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
            axes.set_axis_off()
            axes.set_title(f"{title}: {error:.1f} px", loc="center", pad=5)
        _save(figure, path)


def _draw_keypoints(axes: Any, evidence: np.ndarray, places: np.ndarray) -> float:
    """Draws evidence, keypoints and what is between them; their mean distance in pixels."""
    from matplotlib.colors import to_rgba_array

    seen = evidence[:, 2] > 0
    evidence, places = evidence[seen], places[seen]
    sure = 0.35 + 0.65 * evidence[:, 2].clip(0, 1)
    for here, there, alpha in zip(evidence, places, sure):
        axes.plot((here[0], there[0]), (here[1], there[1]), color=RED, linewidth=1.2, alpha=alpha)
    axes.scatter(*places.T, s=16, color=BLUE, edgecolors="white", linewidths=0.6, zorder=3)
    rings = to_rgba_array([RED] * len(sure), sure)
    axes.scatter(*evidence[:, :2].T, 34, "none", edgecolors=rings, linewidths=1.3, zorder=4)
    return float(np.linalg.norm(evidence[:, :2] - places, axis=-1).mean()) if seen.any() else np.nan


def _mesh(flat: np.ndarray, vertices: np.ndarray, faces: Any) -> Any:
    """Shaded triangles at `flat`, far to near.

    `vertices` are x right, y up, z towards the viewer; faces turned away are left out, as those of
    a closed mesh are hidden.
    """
    from matplotlib.collections import PolyCollection

    faces = np.asarray(faces)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    order = np.argsort(corners[..., 2].mean(axis=1))
    front = order[normals[order, 2] > 0]
    light = raster.shade(normals, faces, len(vertices))[front]
    colours = (light[:, None] * CLAY).clip(0, 1)
    triangles: Any = flat[faces[front]]  # One array: lists of triangles draw four times slower.
    # Edges of a face's own colour close the seams that antialiasing leaves.
    edges = {"edgecolors": colours, "linewidths": 0.35}
    return PolyCollection(triangles, facecolors=colours, **edges)


def matplotlib_or_say() -> ModuleType:
    """matplotlib; ModuleNotFoundError says how to get it."""
    try:
        import matplotlib
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "figures need matplotlib; install it with `pip install -e '.[viz]'`"
        ) from missing
    return matplotlib


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.canvas.print_png(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
