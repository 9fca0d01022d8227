"""Figures: whole files, upright bodies, hidden backs, a clear word without matplotlib."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import image

from diffjax import camera, plots, raster

# A pyramid, its base at y = 0 and its tip at y = 1; faces run anticlockwise seen from outside.
VERTICES = np.array([[-1, 0, 1], [1, 0, 1], [1, 0, -1], [-1, 0, -1], [0, 1, 0]], float)
FACES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [0, 2, 1], [0, 3, 2]])


def read(path):
    """How dark each pixel is, in [0, 1]."""
    return 1 - image.imread(path)[..., :3].mean(axis=-1)


def widths(picture):
    """Dark pixels of each row of the left half's upper picture, below its title."""
    return (picture[40 : len(picture) // 2] > 0.05).sum(axis=1)


@pytest.mark.parametrize("shape", [(9,), (1, 9), (3, 4, 30)])
def test_a_curve_with_early_stops_is_drawn(shape, tmp_path):
    curve = np.random.default_rng(0).random(shape)
    curve[..., -3:] = np.nan
    plots.loss_against_step(jnp.asarray(curve), tmp_path / "new" / "curve.png", unit="px")
    assert read(tmp_path / "new" / "curve.png").mean() > 0.005
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["curve.png"]


def test_a_curve_whose_samples_share_no_start_is_drawn(tmp_path):
    curve = np.array([[1.0, np.nan, np.nan], [np.nan, 2.0, np.nan], [np.nan, np.nan, np.nan]])
    plots.loss_against_step(curve, tmp_path / "curve.png")
    assert read(tmp_path / "curve.png").mean() > 0.005


@pytest.mark.parametrize(("frame", "turn"), [("world", (1, 1, 1)), ("camera", (1, -1, -1))])
def test_bodies_stand_upright_in_either_frame(frame, turn, tmp_path):
    plots.bodies([VERTICES * turn] * 2, FACES, ["a", "b"], tmp_path / "b.png", frame=frame)
    rows = widths(read(tmp_path / "b.png"))
    drawn = rows[rows > 0]
    assert drawn[-10:].mean() > 3 * drawn[:10].mean()  # The tip is on top.


def test_what_faces_away_is_not_drawn(tmp_path):
    plots.bodies([VERTICES], FACES[:1], ["front"], tmp_path / "front.png", frame="world")
    plots.bodies([VERTICES], FACES[:1, ::-1], ["back"], tmp_path / "back.png", frame="world")
    assert (
        widths(read(tmp_path / "front.png")).sum() > 50 * widths(read(tmp_path / "back.png")).sum()
    )


def test_a_face_lit_from_the_front_is_brighter_than_one_lit_from_behind():
    toward, away = raster.shade(
        np.array([[0.0, 0, 1], [0, 0, -1]]), np.array([[0, 1, 2], [3, 4, 5]]), 6
    )
    assert np.all(toward > away)
    assert np.all((away > 0) & (toward <= 1))


def test_keypoints_are_drawn_over_bodies_with_their_distance(tmp_path, monkeypatch):
    said = []
    draw = plots._draw_keypoints
    monkeypatch.setattr(
        plots, "_draw_keypoints", lambda *given: said.append(draw(*given)) or said[-1]
    )
    wide = camera.Camera(*(jnp.full(2, size) for size in (500.0, 250.0, 500.0)))
    evidence = np.array([[200.0, 200, 1], [250, 250, 0.2], [0, 0, 0]])
    before, after = evidence[:, :2] + [3, 4], evidence[:, :2]
    stands = VERTICES * (1, -1, -1) + [0, 0, 5]
    plots.keypoints_over_body(
        evidence,
        [before, after],
        [stands, stands],
        FACES,
        wide,
        ["estimate", "refined"],
        tmp_path / "k.png",
    )
    assert said == [5.0, 0.0]  # Of the keypoints seen.
    assert read(tmp_path / "k.png").mean() > 0.01


def test_a_figure_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "b.png"
    plots.bodies([VERTICES], FACES, ["whole"], path)
    whole = path.read_bytes()

    def fail(canvas, file, **_):
        file.write_bytes(whole[:100])
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.bodies([VERTICES], FACES, ["half"], path)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_missing_matplotlib_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '\.\[viz\]'"):
        plots.bodies([VERTICES], FACES, ["one"], tmp_path / "b.png")


def test_what_cannot_be_drawn_is_refused(tmp_path):
    path = tmp_path / "x.png"
    with pytest.raises(ValueError, match=r"x\.png: wanted a curve with a finite error"):
        plots.loss_against_step(np.full((2, 3), np.nan), path)
    with pytest.raises(ValueError, match=r"x\.png: wanted a title a body, got 1 and 2"):
        plots.bodies([VERTICES], FACES, ["one", "two"], path)
    assert not path.exists()
