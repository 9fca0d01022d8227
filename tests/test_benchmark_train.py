"""Both sides of the training benchmark compute the same; nothing is timed here."""

import dataclasses

import numpy as np
import pytest

from diffjax import objective
from diffjax.benchmarks import timing, train

CASES = [
    train.Case("paper", "paper", 16),
    train.Case("residual", "residual", 16),
    train.Case("L_3D", "paper", 16, gamma_3d=5.0),
]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return train._write_people(tmp_path_factory.mktemp("people"), 96)


def short(case, path):
    run = train.run_of(case, path)
    return dataclasses.replace(run, train=dataclasses.replace(run.train, steps_per_dispatch=2))


@pytest.mark.usefixtures("quick_to_compile")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_peers_have_the_same_loss_and_gradient_and_learn(people, case):
    run = short(case, people)
    task = objective.make_task(run)
    for name in ("torch", "torch, as in tutorials"):
        loop = train._peer(name, run, task, case)  # Raises where the numbers differ.
        assert np.isfinite(loop())
    ours = train._Ours(run, task)
    assert all(np.isfinite(ours.loop()) for _ in range(2))


@pytest.mark.usefixtures("quick_to_compile")
def test_other_weights_are_not_the_same_training(people):
    import torch

    from diffjax.benchmarks import torch_train

    run = short(CASES[0], people)
    task = objective.make_task(run)
    network = torch_train.PaperMLP(train.train.init_state(run, task).params, 1000)
    loss = torch_train.make_loss(network, task.schedule, None, 0.0)
    torch.nn.init.zeros_(network.layers[0].weight)
    with pytest.raises(ValueError, match="loss"):
        train.check_same(run, task, network, loss, {"x_0": task.examples.x_0})


@pytest.mark.usefixtures("quick_to_compile")
def test_a_peer_that_is_not_installed_is_a_row_that_says_so(people, monkeypatch):
    def missing(*_):
        raise ImportError("No module named 'torch'")

    def untimed(contenders, **_):
        for call in contenders.values():
            call()
        return {name: timing.Timing(1.0, 1.0, 1.0, np.ones(3)) for name in contenders}

    monkeypatch.setattr(train, "_peer", missing)
    monkeypatch.setattr(timing, "interleaved", untimed)
    found = train.rows(CASES[0], people, quick=True)
    assert [row.name for row in found if row.seconds] == ["diffjax", "diffjax, step alone"]
    assert "waiting for data" in found[0].note
    for row in found[2:]:
        assert "No module named 'torch'" in row.note
        assert "pip install" in row.note
