"""Sequence sets for refiners: videos of motion or of Human3.6M, a lifter's estimates of them, and the lifter."""

import time
from collections.abc import Sequence
from pathlib import Path

from diffjax.convert import h36m_sequences
from diffjax.data import filmed, records, sequence_sets
from diffjax.frontends import stcformer
from diffjax.sequences import filming, lifting, outputs, recipes
from diffjax.sequences.filming import Videos
from diffjax.sequences.recipes import Recipe


def make_sequences(out: Path, recipe: Recipe) -> str:
    """Writes train.npz, val.npz, test.npz and the lifters to a new directory; describes the sets."""
    start = time.perf_counter()
    outputs.check_directory(out, [f"{name}.npz" for name in (*Videos._fields, "lifter")])
    videos, lifters = make(recipe)
    write(out, videos, lifters)
    said = [f"{name}: {lifting.describe(part)}" for name, part in zip(Videos._fields, videos)]
    return "\n".join([*said, f"written to {out} in {time.perf_counter() - start:.0f} s"])


def make(recipe: Recipe) -> tuple[Videos, list[stcformer.Lifter]]:
    """The sets with estimates, and the lifters that made those of val and test."""
    recipes.check(recipe)
    lifters = [stcformer.load(file) for file in recipe.lifter]
    videos, said = videos_of(recipe), recipe.h36m.h36m_estimates
    if said is not None:
        return Videos(*(h36m_sequences.with_estimates(part, said) for part in videos)), []
    if lifters:
        where = str(recipe.lifter[0])
        return Videos(*(lifting.with_estimates(part, lifters, where) for part in videos)), lifters
    how = recipe.training
    settings = recipes.settings_of(how)
    return lifting.lift(videos, settings, average=how.average, folds=how.folds, seed=recipe.seed)


def videos_of(recipe: Recipe) -> Videos:
    """The sets without estimates."""
    film, h36m = recipe.film, recipe.h36m
    if h36m.h36m3d is not None and h36m.h36m2d is not None:
        return Videos(*h36m_sequences.read_split(h36m.h36m3d, h36m.h36m2d, h36m.val))
    return filming.film(
        film.motion,
        str(film.body),
        seed=recipe.seed,
        fps=film.fps,
        takes=film.takes,
        detector=filmed.PERFECT if film.true_2d else filmed.Detector(),
    )


def write(directory: Path, videos: Videos, lifters: Sequence[stcformer.Lifter]) -> None:
    """train.npz, val.npz, test.npz; the lifters as lifter.npz, lifter_2.npz, ..."""
    for name, part in zip(videos._fields, videos):
        sequence_sets.write(directory / f"{name}.npz", part)
    for i, lifter in enumerate(lifters):
        name = f"lifter_{i + 1}.npz" if i else "lifter.npz"
        records.save_arrays(directory / name, stcformer.arrays_of(lifter))
