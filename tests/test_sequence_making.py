"""Sequence sets from Human3.6M's files and from what a recipe says; what it cannot mean is refused at once."""

import dataclasses
import runpy
from pathlib import Path

import files_datasets
import files_sequences
import numpy as np
import pytest
import tyro

from diffjax import config
from diffjax.convert import h36m_sequences
from diffjax.data import sequence_sets
from diffjax.frontends import stcformer
from diffjax.sequences import filming, making, recipes
from diffjax.sequences.recipes import H36M, Film, Recipe, Training

pytestmark = pytest.mark.usefixtures("quick_to_compile")
PAIR = H36M(Path("3d.npz"), Path("2d.npz"))
TRAINED = (Path("lifter.npz"),)


@pytest.fixture
def h36m(tmp_path, monkeypatch):
    """Files of three subjects, one for each set."""
    monkeypatch.setattr(h36m_sequences, "TRAIN", ("S1", "S8"))
    monkeypatch.setattr(h36m_sequences, "TEST", ("S9",))
    monkeypatch.setattr(files_datasets, "h36m_positions", positions)
    return H36M(*files_datasets.write_h36m(tmp_path))


def positions(joints):
    random = np.random.default_rng(0)
    return {
        subject: {"Walking": random.normal([0, 0, 1], 0.3, (6, joints, 3)).astype(np.float32)}
        for subject in ("S1", "S8", "S9")
    }


IDLE = {
    "average": Recipe(lifter=TRAINED, training=Training(average=2)),
    "folds": Recipe(lifter=TRAINED, training=Training(folds=3)),
    "network": Recipe(lifter=TRAINED, training=Training(network="stcformer")),
    "steps": Recipe(
        h36m=dataclasses.replace(PAIR, h36m_estimates=Path("said.npz")), training=Training(steps=25)
    ),
    "motion": Recipe(Film("moves"), PAIR),
    "true-2d": Recipe(Film(true_2d=True), PAIR),
}


@pytest.mark.parametrize("flag", IDLE)
def test_what_would_have_no_effect_is_refused(flag):
    with pytest.raises(ValueError, match=rf"^--{flag}: wanted nothing beside --.*; leave one out"):
        recipes.check(IDLE[flag])


SENSELESS = {
    "--val: wanted it beside --h36m3d and --h36m2d only": Recipe(h36m=H36M(val=("S7",))),
    "--steps: wanted nothing beside --lifter": Recipe(lifter=TRAINED, training=Training(steps=10)),
    "wanted both files, found fewer": Recipe(h36m=H36M(Path("3d.npz"))),
    "--h36m2d: wanted both": Recipe(h36m=H36M(h36m_estimates=Path("said.npz"))),
    "wanted one, found both": Recipe(
        h36m=dataclasses.replace(PAIR, h36m_estimates=Path("said.npz")), lifter=TRAINED
    ),
    "--average: wanted 1 or more, found 0": Recipe(training=Training(average=0)),
    "--folds: wanted 2 or more, found 1": Recipe(training=Training(folds=1)),
    "steps: wanted a multiple of 25, got 30": Recipe(training=Training(steps=30)),
    "window: wanted 1 or more, got 0": Recipe(training=Training(window=0)),
    "width: wanted a multiple of 8, 2 heads, got 12": Recipe(
        training=Training(network="stcformer", width=12)
    ),
}


@pytest.mark.parametrize("message", SENSELESS)
def test_what_cannot_be_is_refused_before_anything_is_filmed(message, monkeypatch):
    monkeypatch.setattr(filming, "film", None)
    with pytest.raises(ValueError, match=message):
        making.make(SENSELESS[message])


@pytest.mark.parametrize("told", [{"takes": 0}, {"fps": 0.0}])
def test_motion_is_filmed_once_or_more_at_a_rate(told):
    with pytest.raises(ValueError, match="wanted --takes of 1 or more and --fps above 0"):
        filming.film("generated", "no body", **told)


def test_a_network_has_its_own_settings_but_for_what_is_told():
    assert recipes.settings_of(Training()) == stcformer.LIGHT
    other = recipes.settings_of(Training(network="stcformer", depth=6))
    assert other == stcformer.Settings(depth=6)


def test_every_option_is_a_flag_of_its_own_name(monkeypatch):
    seen = []
    monkeypatch.setattr(making, "make_sequences", lambda *told: seen.append(told))
    command = runpy.run_path(str(config.ROOT / "scripts/make_sequences.py"))["main"]
    said = "--out x --motion moves --fps 25 --takes 3 --true-2d --average 2 --network stcformer --seed 4"
    tyro.cli(command, args=said.split(), config=(tyro.conf.OmitArgPrefixes,))
    film, training = (
        Film("moves", fps=25.0, takes=3, true_2d=True),
        Training(2, network="stcformer"),
    )
    assert seen == [(Path("x"), Recipe(film, training=training, seed=4))]


def test_human36m_with_anothers_estimates_becomes_three_sets(h36m, tmp_path):
    def say(world):
        return [np.full((len(world) + 2, 17, 3), 0.1, np.float32)] * 4

    said = {who: {"Walking": say(x["Walking"])} for who, x in positions(17).items()}
    np.savez(tmp_path / "said.npz", positions_3d=said)
    told = Recipe(h36m=dataclasses.replace(h36m, h36m_estimates=tmp_path / "said.npz"))
    text = making.make_sequences(tmp_path / "out", told)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"train.npz", "val.npz", "test.npz"}
    made = {
        name: sequence_sets.read(tmp_path / f"out/{name}.npz") for name in ("train", "val", "test")
    }
    assert [set(part.subject) for part in made.values()] == [{"S1"}, {"S8"}, {"S9"}]
    assert all(not part.estimate3d.any() for part in made.values())
    far = 1000 * np.linalg.norm(made["val"].truth3d, axis=-1).mean()
    assert f"val: 24 frames, MPJPE {far:.1f} mm, P-MPJPE" in text
    with pytest.raises(ValueError, match=r"out: already holds train.npz; choose a new --out"):
        making.make_sequences(tmp_path / "out", told)
    with pytest.raises(ValueError, match=r"said.npz: wanted a directory, found a file"):
        making.make_sequences(tmp_path / "said.npz", told)


def test_lifters_that_are_there_lift_everything_and_are_kept(h36m, tmp_path, monkeypatch):
    files = [files_sequences.lifter(tmp_path / f"{i}.npz") for i in range(2)]

    def predict(lifter, p, sizes):
        return np.where(np.arange(17)[:, None] > 0, np.ones((len(p), 17, 3), np.float32), 0)

    monkeypatch.setattr(stcformer, "predict", predict)
    making.make_sequences(tmp_path / "out", Recipe(h36m=h36m, lifter=tuple(files)))
    for name in filming.Videos._fields:
        assert (sequence_sets.read(tmp_path / f"out/{name}.npz").estimate3d[:, 1:] == 1).all()
    for file, name in zip(files, ("lifter", "lifter_2")):
        pair = stcformer.load(file), stcformer.load(tmp_path / f"out/{name}.npz")
        assert pair[0].settings == pair[1].settings


@pytest.mark.parametrize("val", [(), ("S9",), ("S1", "S8"), ("S1", "S2")])
def test_nobody_is_chosen_on_who_is_trained_or_tested_on(val, h36m):
    with pytest.raises(ValueError, match=r"--val: wanted some of S1, S8, but not all, found"):
        making.make(Recipe(h36m=dataclasses.replace(h36m, val=val)))
