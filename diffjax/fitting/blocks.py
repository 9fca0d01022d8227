"""Rows of any number in blocks of a few fixed sizes, of whole groups each, on every device."""

from typing import Any, NamedTuple

import jax
import numpy as np

from diffjax import annotate, body, chunks, config, devices, tracks
from diffjax.denoisers import closed
from diffjax.fitting import programs
from diffjax.fitting.programs import Method, Rows
from diffjax.methods import scorehmr_leave
from diffjax.pose import Refined
from diffjax.tracks import Piece, Use

_BLOCK = 512
"""Rows that are computed at once on a CPU."""
OVERLAP = 16
"""Rows that parts of a long track share on either side."""


class Fitter(NamedTuple):
    """The loop with all that it needs, for one kind of evidence."""

    name: str
    kind: annotate.Kind
    use: Use
    model: body.BodyModel
    keypoints: body.KeypointModel
    loaded: annotate.LoadedPrior
    settings: config.Fit
    method: Method = "loop"


def fit(fitter: Fitter, rows: Rows, bar: Any) -> tuple[Refined, float]:
    """All rows, block by block. Those that bind none another fill blocks to the brim."""
    count = len(rows.translation)
    ids = np.maximum(rows.observed.track, rows.observed.views)
    groups = (
        np.split(np.arange(count), np.flatnonzero(np.diff(ids)) + 1) if ids.max() >= 0 else None
    )
    size = _size(count)
    groups = [np.array([row]) for row in range(count)] if groups is None else groups
    parts = tracks.pieces(groups, size, OVERLAP if fitter.use == "video" else 0)
    run = _leaving if fitter.method == "loop" and fitter.settings.stop == "leave" else _whole
    result, seconds = run(fitter, rows, parts, size, bar)
    place, keep = (np.concatenate(x) for x in zip(*((part.rows, part.keep) for part in parts)))
    order = np.flatnonzero(keep)[np.argsort(place[keep])]
    return jax.tree.map(lambda x: x[order], result), seconds


def _shared(fitter: Fitter) -> tuple[Any, ...]:
    """What all blocks are given."""
    settings, prior = fitter.settings, fitter.loaded.prior
    if settings.prior == "none":
        prior = prior._replace(denoiser=closed.no_prior(prior.schedule))
    return (
        fitter.keypoints,
        prior,
        programs.weights_of(settings),
        programs.numbers_of(settings),
    )


def _whole(
    fitter: Fitter, rows: Rows, parts: list[Piece], size: int, bar: Any
) -> tuple[Refined, float]:
    """All rows of all parts, in their order, by one program for all rounds; and seconds."""
    settings, layout = fitter.settings, fitter.loaded.layout
    work = programs.loop(layout, *programs.static_of(settings))
    if fitter.method != "loop":
        how = fitter.method, settings.rounds, settings.pixels
        work = programs.unguided(layout, *how)
    blocks = [_block(rows, part, size) for part in parts]
    results, seconds = [], 0.0
    done = chunks.in_blocks(work, blocks, *_shared(fitter), label=fitter.name, bar=bar)
    for part, (result, took) in zip(parts, done):
        count = len(part.rows)
        results.append(jax.tree.map(lambda x, count=count: x[:count], result))
        seconds += took
        if bar:
            bar.update(int(part.keep.sum()))
    whole = jax.tree.map(lambda *xs: np.concatenate(xs), *results)
    return _with_rounds(whole, np.full(len(whole.translation), settings.rounds)), seconds


def _leaving(
    fitter: Fitter, rows: Rows, parts: list[Piece], size: int, bar: Any
) -> tuple[Refined, float]:
    """The same, round by round: whoever has converged is computed no more."""
    place = np.concatenate([part.rows for part in parts])
    sizes = [int(part.group[-1]) + 1 for part in parts]
    first = np.cumsum([0, *sizes])
    units = np.concatenate([part.group + start for part, start in zip(parts, first)])

    def block(piece: Piece, wanted: int) -> Rows:
        return _block(rows, piece._replace(rows=place[piece.rows]), wanted)

    settings = fitter.settings
    static = programs.static_of(settings)
    parts_of_loop = programs.leaving(fitter.loaded.layout, *static)
    how = {"label": fitter.name, "bar": bar}
    ran = scorehmr_leave.run(
        parts_of_loop, block, units, size, settings.rounds, *_shared(fitter), **how
    )
    if bar:
        bar.update(sum(int(part.keep.sum()) for part in parts))
    return _with_rounds(ran.result, ran.rounds), ran.seconds


def _with_rounds(refined: Refined, rounds: np.ndarray) -> Refined:
    return refined._replace(quality=refined.quality | {"rounds": rounds.astype(np.float32)})


def _size(count: int) -> int:
    """Rows of a block: as many as there are, up to what suits the device, rounded up to 64, 128, 256 ..."""
    most = _BLOCK if jax.default_backend() == "cpu" else devices.rows_at_once()
    size = devices.FLOOR
    while size < min(count, most):
        size *= 2
    return size


def _block(rows: Rows, part: Piece, size: int) -> Rows:
    """The rows of a part, filled up with its first one, of whom nothing is known there."""
    index = scorehmr_leave.padded(part.rows, size)
    taken = jax.tree.map(lambda x: np.asarray(x)[index], rows)
    seen = np.arange(size) < len(part.rows)
    group = np.concatenate([part.group, np.full(size - len(part.rows), -1)])
    observed = taken.observed
    bound = {
        name: np.where(seen & (getattr(observed, name) >= 0), group, -1)
        for name in ("track", "views")
    }
    keypoints = observed.keypoints2d.copy()
    keypoints[~seen] = 0.0
    return taken._replace(observed=observed._replace(keypoints2d=keypoints, **bound))
