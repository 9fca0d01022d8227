"""Statistics of sets equal NumPy's in float64, whatever the pieces."""

import dataclasses
import subprocess
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import config, pose
from diffjax.data import records, statistics


def people(count, seed, width=6) -> Any:
    """People with features around 1000, one of them constant."""
    known = tiny.annotations(count, seed)
    features = np.random.default_rng(seed).normal(1000, 3, (count, width)).astype(np.float32)
    features[:, 1] = 7.0
    return dataclasses.replace(known, features=features)


def wanted(sets):
    rows = np.concatenate([part.features for part in sets]).astype(np.float64)
    return rows.mean(0), rows.std(0), np.concatenate([part.betas for part in sets])


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_any_pieces_give_what_numpy_gives(monkeypatch, piece, tmp_path):
    monkeypatch.setattr(statistics, "PIECE", piece)
    sets = [people(7, 0), people(4, 1)]
    names = [tmp_path / f"{i}.npz" for i in range(2)]
    for name, part in zip(names, sets):
        records.write(name, part)
    mean, std, betas = wanted(sets)
    both = records.concatenate(sets)
    for found in (statistics.of_files(names), statistics.of_set(both, "annotation", "both")):
        assert found.features is not None
        np.testing.assert_array_equal(found.features.mean, mean.astype(np.float32))
        np.testing.assert_allclose(found.features.std[[0, 2, 3]], std[[0, 2, 3]], rtol=1e-7)
        assert found.features.std[1] == 1.0
        np.testing.assert_array_equal(found.betas_min, betas.min(0))
        np.testing.assert_array_equal(found.betas_max, betas.max(0))


def test_merging_is_the_same_to_float64():
    rows = np.random.default_rng(0).normal(1e6, 1.0, (50, 3))
    found = statistics.merge(statistics.moments(rows[:7]), statistics.moments(rows[7:]))
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-15)
    np.testing.assert_allclose(found.squares / 50, rows.var(0), rtol=1e-9)
    np.testing.assert_array_equal(found.low, rows.min(0))


def test_betas_are_those_that_training_sees():
    known = people(5, 0)
    assert (statistics.target_betas(known, "prediction") == known.pred_betas).all()
    assert (statistics.target_betas(known, "annotation") == known.betas).all()
    unknown = tiny.without(known, "betas")
    assert (statistics.target_betas(unknown, "annotation") == known.pred_betas).all()


@pytest.mark.parametrize("width", [0, 6])
def test_a_file_holds_what_was_written(tmp_path, width):
    sets = people(5, 0) if width else tiny.annotations(5)
    made = statistics.of_set(sets, "annotation", "set")
    statistics.write(tmp_path / "stats.npz", made)
    found = statistics.read(tmp_path / "stats.npz")
    assert (found.features is None) == (width == 0)
    for a, b in zip(found, made):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("betas_min"), "betas_min: wanted 10 finite numbers, found nothing"),
        (lambda a: a["betas_max"].fill(-99), "betas_max: wanted betas_min or more"),
        (lambda a: a["features_mean"].fill(np.nan), "features_mean: wanted a row of finite"),
        (lambda a: a.update(features_std=np.ones(3)), "features_std: wanted 6 finite numbers"),
        (lambda a: a["features_std"].fill(0), "features_std: wanted above 0"),
        (lambda a: a.update(features_std=np.array("six")), "features_std: wanted 6 finite"),
    ],
)
def test_damaged_statistics_are_refused_by_field(tmp_path, change, words):
    path = tmp_path / "stats.npz"
    statistics.write(path, statistics.of_set(people(5, 0), "annotation", "set"))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    np.savez(path, allow_pickle=False, **arrays)
    with pytest.raises(ValueError, match=rf"stats\.npz: field {words}.*scripts/stats\.py"):
        statistics.read(path)
    with pytest.raises(FileNotFoundError, match=r"scripts/stats\.py"):
        statistics.read(tmp_path / "none.npz")


def test_sets_with_other_features_are_refused():
    for other in (people(4, 1, width=5), tiny.annotations(4)):
        with pytest.raises(ValueError, match="field features: wanted"):
            statistics.of_pieces([people(4, 0), other])


def test_min_max_takes_betas_to_one_and_leaves_the_pose():
    known = people(5, 0)
    low, high = known.betas.min(0), known.betas.max(0)
    plain = pose.fit_normaliser(np.random.default_rng(0).normal(size=(9, 154)))
    scaled = pose.with_betas_range(plain, low, high, "sixd154")
    np.testing.assert_array_equal(scaled.mean[:144], plain.mean[:144])
    x = jnp.concatenate([jnp.zeros((5, 144)), jnp.asarray(known.betas)], 1)
    found = np.asarray(pose.standardise(scaled, x))[:, 144:]
    np.testing.assert_allclose(found, 2 * (known.betas - low) / (high - low) - 1, atol=1e-5)
    with pytest.raises(ValueError, match="sixd144 carries no betas"):
        pose.with_betas_range(plain, low, high, "sixd144")


def test_the_script_writes_the_statistics_of_several_sets(tmp_path):
    names = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for i, name in enumerate(names):
        records.write(name, people(4, i))
    command = [sys.executable, "scripts/stats.py", "--data", *map(str, names)]
    command += ["--out", str(tmp_path / "stats.npz")]
    done = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 features" in done.stdout
    found, made = statistics.read(tmp_path / "stats.npz"), statistics.of_files(names)
    np.testing.assert_array_equal(found.betas_max, made.betas_max)
