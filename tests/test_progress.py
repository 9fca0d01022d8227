"""What a training shows: a bar on a terminal, a few lines elsewhere."""

import io
import sys

import numpy as np

from diffjax import progress


class Terminal(io.StringIO):
    """What stderr is where somebody looks."""

    def isatty(self):
        return True


def train(done=0):
    """Forty steps, two at a time; every fourth has something to say."""
    with progress.steps(40, "lifter", done=done) as show:
        for step in range(done + 2, 42, 2):
            show(step, f"{step} mm" if step % 4 == 0 else "")


def test_a_file_gets_a_line_each_quarter_and_of_the_last_step(capsys):
    train()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"lifter: step {step}/40, {step} mm" for step in (12, 20, 32, 40)
    ]


def test_what_goes_on_begins_where_it_was(capsys):
    train(done=28)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "lifter: step 32/40",
        "lifter: step 40/40",
    ]


def test_a_terminal_gets_one_bar_that_stays(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train()
    said = terminal.getvalue()
    assert said.count("\n") == 1
    assert "lifter: 100%" in said.splitlines()[-1].split("\r")[-1]
    assert "40/40" in said
    assert "40 mm" in said


def refined(monkeypatch, seconds, count=25):
    """`count` people out of 25, one after the other, each of which takes so long."""
    clock = iter(seconds * np.arange(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with progress.over(25, "guided", 25 - count) as bar:
        for _ in range(count):
            bar.set_description_str("guided: compiling")
            bar.update()


def test_people_are_a_line_each_tenth_in_a_file(monkeypatch, capsys):
    refined(monkeypatch, 20.0)
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == ""
    assert "\r" not in said.err
    assert len(lines) == 10
    assert lines[0] == "guided: 3 of 25 people, 440 s left"
    assert lines[-1] == "guided: 25 of 25 people, 0 s left"


def test_work_that_was_done_before_says_nothing(capsys):
    with progress.over(10, "guided", 10):
        pass
    assert capsys.readouterr().err == ""


def test_people_are_no_line_within_ten_seconds_of_another(monkeypatch, capsys):
    refined(monkeypatch, 2.0)
    assert len(capsys.readouterr().err.splitlines()) == 5
    refined(monkeypatch, 0.1)
    assert capsys.readouterr().err == ""


def test_the_time_left_does_not_count_what_was_done_before(monkeypatch, capsys):
    refined(monkeypatch, 20.0, count=10)
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == "guided: 15 of 25 people, going on"
    assert second == "guided: 18 of 25 people, 140 s left"


def test_a_terminal_gets_a_bar_of_people_that_goes(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.over(25, "guided") as bar:
        bar.update(5)
    assert "guided:" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()


def test_of_several_processes_one_speaks(monkeypatch, capsys):
    monkeypatch.setattr(progress.devices, "is_first", lambda: False)
    train()
    refined(monkeypatch, 20.0)
    assert capsys.readouterr().err == ""
