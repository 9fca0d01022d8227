"""How the search does its work: no wasted call, the same bits in any batch, no word between devices."""

import functools
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import config, denoisers, schedule, search
from diffjax.search import plan as planning

STEPS, SIZE, KEY = 300, 144, jax.random.key(3)
TABLES = schedule.make_schedule("linear", STEPS)


def rms(x, context):
    return jnp.sqrt(jnp.mean((x - context["target"]) ** 2, -1))


def network(width=96, kind="paper"):
    model = config.Model(kind=kind, width=width, depth=2, vector="sixd144")
    made = denoisers.make_network(model, config.Diffusion())
    params = denoisers.init_params(jax.random.key(0), made, jnp.zeros((1, SIZE)))
    return denoisers.bind(made, params, TABLES)


@functools.partial(
    jax.jit, static_argnames=("max_step", "patience", "candidate", "sampler", "tile", "error")
)
def run(denoiser, x, target, ids=None, *, max_step, patience, error=rms, **how):
    return search.search_and_count(
        denoiser, TABLES, x, error, {"target": target},
        max_step=max_step, patience=patience, key=KEY, ids=ids, **how,
    )  # fmt: skip


@functools.cache
def people(count, far=25, sampler="ddpm"):
    """Inputs, and as targets their own candidates of starts up to `far`, so that searches stop."""
    x = 0.5 * jax.random.normal(jax.random.key(1), (count, SIZE))
    ends = search.candidates(network(), TABLES, x, None, max_step=far, key=KEY, sampler=sampler)
    best = np.random.default_rng(0).integers(0, far + 1, count)
    return x, ends[best, np.arange(count)], best


def same_bits(ours, theirs):
    for name, left in ours._asdict().items():
        assert np.asarray(left).tobytes() == np.asarray(getattr(theirs, name)).tobytes(), name


WAYS = [
    (None, "ddpm", "chain"),
    (3, "ddpm", "chain"),
    (3, "ddim", "chain"),
    (3, "ddpm", "one_step"),
]


@pytest.mark.parametrize(("patience", "sampler", "candidate"), WAYS)
@pytest.mark.parametrize("tile", [64, 128, 192])
def test_a_sample_has_the_same_bits_in_any_batch_order_and_tile(tile, patience, sampler, candidate):
    x, target, _ = people(70)
    how = {"max_step": 30, "patience": patience, "sampler": sampler, "candidate": candidate}
    whole, _ = run(network(), x, target, **how, tile=128)
    for some in (np.random.default_rng(2).permutation(70), np.arange(5, 38), np.array([11])):
        part, _ = run(network(), x[some], target[some], jnp.asarray(some), **how, tile=tile)
        same_bits(part, jax.tree.map(lambda leaf, some=some: leaf[some], whole))


@pytest.mark.parametrize("group", [16, 7])
def test_groups_change_nothing(monkeypatch, group):
    x, target, _ = people(40)
    how = {"max_step": 30, "patience": 3}
    run.clear_cache()
    whole, _ = run(network(), x, target, **how)
    small = planning.MACHINES["cpu"]._replace(group=group)
    monkeypatch.setitem(planning.MACHINES, "cpu", small)
    run.clear_cache()
    grouped, _ = run(network(), x, target, **how)
    run.clear_cache()
    same_bits(grouped, whole)


@pytest.mark.parametrize("patience", [None, 10])
def test_calls_are_those_of_the_sequential_algorithm(patience):
    x, target, best = people(64)
    found, slots = run(network(), x, target, max_step=60, patience=patience)
    stop = np.asarray(found.stop)
    np.testing.assert_array_equal(found.denoiser_calls, stop * (stop + 1) // 2)
    np.testing.assert_array_equal(found.step, best)
    assert np.all(stop == 60) if patience is None else np.median(stop) < 40
    assert float(slots) >= float(np.sum(found.denoiser_calls))


def test_one_step_candidates_are_one_call_each():
    x, target, _ = people(16)
    found, _ = run(network(), x, target, max_step=20, patience=2, candidate="one_step")
    np.testing.assert_array_equal(found.denoiser_calls, found.stop)


def test_little_is_wasted_on_an_exhaustive_search():
    x, target, _ = people(16)
    found, slots = run(network(8), x, target, max_step=300, patience=None)
    assert float(slots) <= 1.05 * np.sum(np.asarray(found.denoiser_calls, float))


def test_little_is_wasted_with_patience_and_many_samples():
    x, target, _ = people(512, far=60, sampler="ddim")
    found, slots = run(network(), x, target, max_step=300, patience=10, sampler="ddim")
    assert float(slots) <= 1.05 * np.sum(np.asarray(found.denoiser_calls, float))


def test_starts_beyond_the_noise_table_draw_the_same_noise():
    x, target, _ = people(5)
    far = planning.make_plan(5, SIZE, STEPS, 150, 11).noise_rows
    assert far < 150
    endless = functools.partial(run, network(), x, target, max_step=150, error=restless)
    patient, _ = endless(patience=10)
    every, _ = endless(patience=None)
    assert np.all(patient.stop == 150)
    assert np.any(patient.step > far)
    same_bits(patient, every)


def restless(x, context):
    """Any number, and NaN now and then, so that it never rises for long."""
    wild = jnp.sin(1e3 * x)
    return jnp.where(wild[..., 0] > 0, wild[..., 1], jnp.nan)


@pytest.mark.parametrize("patience", [0, 1, 100])
def test_any_patience_ends(patience):
    x, target, _ = people(3)
    found, _ = run(network(8), x, target, max_step=130, patience=patience, tile=64)
    chosen = search.choose(found.curve, patience)
    np.testing.assert_array_equal(found.stop, chosen.stop)
    np.testing.assert_array_equal(found.step, chosen.step)


def test_a_residual_network_is_searched_in_columns_as_in_rows():
    x, target, _ = people(20)
    denoiser = network(16, "residual")
    how = {"max_step": 20, "patience": None}
    columns, _ = run(denoiser, x, target, **how)
    rows, _ = run(jax.tree_util.Partial(calls, denoiser), x, target, **how)
    np.testing.assert_allclose(columns.curve, rows.curve, rtol=1e-5)


def calls(denoiser, x, t, context):
    return denoiser(x, t, context)


def test_a_context_is_seen_sample_by_sample():
    """The denoiser is told the truth, so every candidate is it."""
    x, target, _ = people(70)
    told = jax.tree_util.Partial(lambda x, t, context: context["target"])
    found, _ = run(told, x, target, max_step=9, patience=None, sampler="ddim")
    np.testing.assert_allclose(found.curve[:, 1:], 0.0, atol=1e-5)


@pytest.mark.parametrize("tile", [0, 32, 100])
def test_tiles_of_other_sizes_are_refused(tile):
    x, target, _ = people(3)
    with pytest.raises(ValueError, match="tile: wanted a multiple of 64"):
        run(network(8), x, target, max_step=3, patience=None, tile=tile)


@pytest.mark.parametrize("count", [1, 3, 1024, 1025, 5000])
@pytest.mark.parametrize(("max_step", "width"), [(1000, 11), (1000, 1001), (5, 6)])
def test_a_plan_has_room_for_all_and_a_bounded_noise_table(count, max_step, width):
    plan = planning.make_plan(count, 226, 1000, max_step, width)
    machine = planning.MACHINES["cpu"]
    assert plan.groups * plan.group >= count > (plan.groups - 1) * plan.group
    assert 4 * 226 * plan.group * plan.noise_rows <= machine.table_mib * 2**20
    assert all(size % 64 == 0 for size in plan.tiles)
    assert list(plan.tiles) == sorted(plan.tiles, reverse=True)


SHARDED = pathlib.Path(__file__).parent / "sharded_search.py"


def test_devices_do_not_talk_and_answer_alike(tmp_path):
    """Four devices, and one: see sharded_search.py."""
    paths = []
    for devices in (1, 4):
        paths.append(tmp_path / f"{devices}.npz")
        command = [sys.executable, SHARDED, str(devices), paths[-1]]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, four = (np.load(path) for path in paths)
    for name in one.files:
        assert one[name].tobytes() == four[name].tobytes(), name
