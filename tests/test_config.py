import dataclasses
import os
import re
import subprocess
import sys

import pytest

from diffjax import config

CONFIGS = sorted((config.ROOT / "configs").glob("*.py"))
DEMO = str(config.ROOT / "configs" / "demo.py")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_survives_json(path):
    run = config.load(path)
    assert run.name == path.stem
    assert config.from_json(config.to_json(run)) == run


def test_the_paper_config_is_the_papers_setting():
    run = config.load("configs/3dpw.py")
    assert (run.model.kind, run.model.width, run.model.legacy) == ("paper", 226, False)
    assert (run.diffusion.steps, run.diffusion.step_sampler) == (1000, "uniform")
    assert (run.train.learning_rate, run.train.ema_rates) == (8e-5, (0.9999,))
    assert run.search.patience == 10


def test_fields_are_overridden_by_name():
    argv = ["--config", DEMO, "--workdir", "there", "--train.steps", "7", "--name", "mine"]
    argv += ["--model.condition", "estimate", "--search.patience", "None"]
    run, workdir = config.parse([*argv, "--guided.labels.strength", "2"])
    assert str(workdir) == "there"
    assert (run.name, run.train.steps, run.model.condition) == ("mine", 7, ("estimate",))
    assert run.search.patience is None
    assert run.guided.labels.strength == 2.0
    assert run.train.batch_size == config.load(DEMO).train.batch_size


def test_the_default_workdir_is_named_after_the_run():
    assert str(config.parse(["--config", DEMO, "--name", "mine"])[1]) == "runs/mine"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--train.batch_siez", "4"], "--train.batch-size"),
        (["--train.batch-size", "-1"], "train.batch_size: wanted 1 or more, got -1"),
        (["--model.vector", "axis_angle"], "sixd154"),
        (["--train.ema-rates", "1.5"], "train.ema_rates"),
        (["--search.keypoints", "coco"], "coco17"),
    ],
)
def test_wrong_usage_says_what_was_meant_and_exits_with_2(argv, words, capsys):
    with pytest.raises(SystemExit) as stop:
        config.parse(["--config", DEMO, *argv])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert words in " ".join((said.out + said.err).replace("│", " ").split())


def helped(word, capsys, first=("mode", "parts", "guided.labels.rounds")):
    with pytest.raises(SystemExit) as stop:
        config.parse(["--config", DEMO, word], "What it does.", first)
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_the_short_help_lists_the_settings_that_are_named_and_the_way_to_all(capsys):
    short = helped("--help", capsys)
    assert "What it does." in short
    assert "--help-all" in short
    options = set(re.findall(r"--[\w.-]+", short))
    assert {"--workdir", "--mode", "--parts.prior", "--guided.labels.rounds"} <= options
    assert not {"--name", "--train.seed", "--guided.labels.start"} & options
    assert "{None}" not in short
    assert "The frontend's cross-fitted residuals" in short  # The text below a field.


def test_the_whole_help_lists_every_setting(capsys):
    options = set(re.findall(r"--[\w.-]+", helped("--help-all", capsys)))
    settings = {f"--train.{f.name.replace('_', '-')}" for f in dataclasses.fields(config.Train)}
    assert settings <= options
    assert {"--name", "--guided.labels.start", "--scorehmr.video.velocity"} <= options


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: config.Model(width=0), "model.width"),
        (lambda: config.Model(kind="residual", legacy=True), "model.legacy"),
        (lambda: config.Model(condition=("estimate", "estimate")), "model.condition"),
        (lambda: config.Diffusion(steps=0), "diffusion.steps"),
        (lambda: config.Train(learning_rate=0.0), "train.learning_rate"),
        (lambda: config.Train(gamma_3d=float("nan")), "train.gamma_3d"),
        (lambda: config.Train(seed=-1), "train.seed"),
        (lambda: config.Train(max_time=-1), "train.max_time"),
        (lambda: config.Search(patience=-1), "search.patience"),
        (lambda: config.Guidance(strength=1.0, rounds=0), "guidance.rounds"),
        (lambda: config.Guidance(strength=1.0, rounds=1, start=5), "guidance.start"),
        (lambda: config.Data(train=""), "data.train"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make, field):
    with pytest.raises(ValueError, match=f"{field}: wanted .*, got"):
        make()


def test_an_unknown_field_of_a_saved_run_is_refused():
    text = config.to_json(config.Run()).replace('"width"', '"breadth"')
    with pytest.raises(ValueError, match="breadth"):
        config.from_json(text)


def test_a_missing_or_foreign_config_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"configs/demo\.py"):
        config.load(tmp_path / "none.py")
    (tmp_path / "other.py").write_text("def get_config():\n    return 3\n")
    with pytest.raises(ValueError, match="wanted get_config"):
        config.load(tmp_path / "other.py")


def test_relative_paths_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.locate("configs/demo.py") == config.ROOT / "configs" / "demo.py"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.py").touch()
    assert str(config.locate("configs/demo.py")) == "configs/demo.py"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("a.npz: field pose:\n  wanted this"), 2, "a.npz: field pose: wanted this\n"),
        (FileNotFoundError("b.npz: missing"), 2, "b.npz: missing\n"),
        (KeyboardInterrupt("saved"), 130, "saved\n"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(error, code, said, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    monkeypatch.setattr(os, "_exit", sys.exit)

    def main():
        raise error

    with pytest.raises(SystemExit) as stop:
        config.run_main(main)
    assert stop.value.code == code
    assert capsys.readouterr().err.endswith(said)


def test_a_reader_who_has_left_is_not_told_of_it():
    """As `--help | head -1`: what print has kept back is written while we can still meet the error."""
    code = "from diffjax import config; config.run_main(lambda: print('seen'))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_misspelt_config_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no config here; did you mean scorehmr_demo\.py\?"
    ):
        config.load("configs/scorehmr_demos.py")
    with pytest.raises(FileNotFoundError, match=r"configs/demo\.py needs no data"):
        config.load(tmp_path / "none.py")


def test_work_whose_output_nobody_wanted_is_no_failure():
    """As of a supervisor that starts us without a standard output; and errors stay what they were."""
    for ends, code in (("print('seen')", 0), ("int('x')", 2)):
        start = f"import sys; sys.stdout = None; from diffjax import config; config.run_main(lambda: {ends})"
        done = subprocess.run([sys.executable, "-c", start], stderr=subprocess.PIPE, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_ctrl_c_in_a_callback_that_cannot_raise_still_stops():
    code = """
import signal, time
from diffjax import config

class Lost:
    def __del__(self):
        raise KeyboardInterrupt

def main():
    Lost()
    time.sleep(60)

signal.signal(signal.SIGINT, signal.default_int_handler)
config.run_main(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=50
    )
    assert (done.returncode, done.stderr) == (130, "stopped\n")


def test_a_bug_is_not_hidden_behind_one_line(monkeypatch):
    def main():
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        config.run_main(main)


def test_runs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.Run().name = "other"  # pyright: ignore
