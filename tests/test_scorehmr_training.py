"""Training ScoreHMR's prior: conditions, statistics, mixtures of sets, its optimiser, what is kept."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from diffjax import checkpoint, config, denoisers, loop, losses, motion_sets, objective, train
from diffjax.data import pipeline, records, statistics
from diffjax.denoisers import conditioned, hoisted, mlp

pytestmark = pytest.mark.usefixtures("quick_to_compile")
WIDTH, KEYPOINTS = 5, 17
MODEL = config.Model(kind="scorehmr", width=8, depth=1, vector="sixd154")
EVERYTHING = dataclasses.replace(
    MODEL, condition=("features", "keypoints"), branches="separate", shape_features=2
)


def people(count, seed, width=WIDTH) -> Any:
    random = np.random.default_rng(seed)
    features = random.normal(50, 4, (count, width)).astype(np.float32)
    return dataclasses.replace(tiny.annotations(count, seed), features=features)


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Equal programs are taken from a cache on disk."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    yield
    jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three sets and a body."""
    directory = tmp_path_factory.mktemp("data")
    tiny.write_body(directory / "body.npz")
    for name, (count, width) in {"a": (9, 5), "b": (6, 5), "val": (7, 5), "wide": (6, 4)}.items():
        records.write(directory / f"{name}.npz", people(count, count, width))
    return directory


def make_run(folder, model=MODEL, names="ab", **settings) -> config.Run:
    quick = {"batch_size": 8, "steps": 8, "steps_per_dispatch": 2, "log_every": 2}
    data = {key: settings.pop(key) for key in ("train_weights", "stats", "val") if key in settings}
    data = {"val": str(folder / "val.npz")} | data
    betas = settings.pop("betas", "same")
    return config.Run(
        data=config.Data(
            train=", ".join(str(folder / f"{name}.npz") for name in names),
            body=str(folder / "body.npz"),
            **data,
        ),
        model=model,
        diffusion=config.Diffusion(schedule="cosine", steps=30, betas=betas),
        train=config.Train(**(quick | settings)),
    )


def with_everything(folder, **settings) -> config.Run:
    options = {
        "train_weights": (0.7, 0.3),
        "betas": "min_max",
        "adam_betas": (0.9, 0.99),
        "clip": 0.5,
        "ema_rates": (0.9, 0.5),
        "ema_every": 3,
        "ema_warm_up": True,
        "keep": "best",
        "anneal": "none",
    }
    return make_run(folder, EVERYTHING, **(options | settings))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """(run, directory, model) of a run with every option."""
    run, directory = with_everything(folder), tmp_path_factory.mktemp("run")
    return run, directory, train.train(run, directory)


def test_with_every_option_resumed_training_equals_uninterrupted_training(
    trained, folder, tmp_path
):
    run, whole, model = trained
    train.train(dataclasses.replace(run, train=dataclasses.replace(run.train, steps=5)), tmp_path)
    again = train.train(run, tmp_path)
    task = objective.make_task(run)
    state = train.init_state(run, task)
    like = {"state": state._replace(ema=()), "ema": state.ema, "best": state.ema[0]}
    trees = [checkpoint.restore(path, 8, like) for path in (whole, tmp_path)]
    for a, b in zip(*(jax.tree.leaves(tree) for tree in trees), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)
    assert checkpoint.read_facts(whole, 8) == checkpoint.read_facts(tmp_path, 8)
    for a, b in zip(jax.tree.leaves(model.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_are_standardised_alike_in_training_and_after_loading(trained):
    run, directory, model = trained
    task, known = objective.make_task(run), [people(9, 9), people(6, 6)]
    raw = np.concatenate([part.features for part in known])
    wanted = (raw - raw.mean(0, np.float64)) / raw.std(0, dtype=np.float64)
    np.testing.assert_allclose(task.examples.features, wanted, atol=2e-5)
    both = records.concatenate(known)
    seen = objective.context_of(run, jax.tree.map(jnp.asarray, task.examples))
    assert seen["features"].shape == (15, 3 + 51)
    assert seen["shape_features"].shape == (15, 2 + 51)
    given = {"features": both.features, "keypoints": both.keypoints2d}
    for loaded in (model, *map(checkpoint.load_model, (directory, directory / "model.npz"))):
        found = checkpoint.context(loaded, given, "people.npz")
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, seen)
        jax.tree.map(np.testing.assert_array_equal, loaded.params, model.params)
        jax.tree.map(np.testing.assert_array_equal, loaded.normaliser, model.normaliser)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": np.zeros((2, 4))}, r"field features: wanted \(5,\) .* found \(4,\)"),
        ({"features": None}, "field features: wanted .* found nothing"),
        ({"keypoints": np.zeros((2, 25, 3))}, r"field keypoints2d: wanted \(17, 3\) .*\(25, 3\)"),
    ],
)
def test_people_that_the_model_cannot_be_shown_are_refused(trained, change, words):
    given = {"features": np.zeros((2, 5)), "keypoints": np.zeros((2, 17, 3))} | change
    with pytest.raises(ValueError, match=rf"people\.npz: {words}.*; give"):
        checkpoint.context(trained[2], given, "people.npz")


def test_sets_with_other_features_are_refused(trained, folder, tmp_path):
    run = with_everything(folder)
    wide = dataclasses.replace(run.data, val=str(folder / "wide.npz"))
    with pytest.raises(ValueError, match=r"wide\.npz: field features: wanted 5 .* found 4; "):
        objective.make_task(dataclasses.replace(run, data=wide))
    with pytest.raises(ValueError, match=r"wide\.npz: field features: wanted \(5,\) as in"):
        objective.make_task(make_run(folder, EVERYTHING, names=("a", "wide")))
    statistics.write(tmp_path / "s.npz", statistics.of_files([folder / "wide.npz"]))
    with pytest.raises(ValueError, match=r"s\.npz: field features_mean: wanted 5 .* found 4; "):
        objective.make_task(with_everything(folder, stats=str(tmp_path / "s.npz")))
    plain = dataclasses.replace(people(6, 0), features=None)
    records.write(tmp_path / "plain.npz", plain)
    data = dataclasses.replace(run.data, train=str(tmp_path / "plain.npz"), train_weights=())
    with pytest.raises(ValueError, match=r"plain\.npz: field features: wanted by model.condition"):
        objective.make_task(dataclasses.replace(run, data=data))


def test_a_saved_run_of_other_features_is_not_resumed(trained, folder, tmp_path):
    run = make_run(folder, dataclasses.replace(MODEL, condition=("features",)), names="a", steps=1)
    moved = dataclasses.replace(run, data=dataclasses.replace(run.data, val=""))
    source = tmp_path / "set.npz"
    moved = dataclasses.replace(moved, data=dataclasses.replace(moved.data, train=str(source)))
    records.write(source, people(6, 0))
    train.train(moved, tmp_path / "run")
    records.write(source, people(6, 0, width=4))
    with pytest.raises(ValueError, match=r"set\.npz: field features: wanted 5 .* found 4"):
        train.train(moved, tmp_path / "run")


def test_given_statistics_are_used(folder, tmp_path):
    statistics.write(tmp_path / "s.npz", statistics.of_files([folder / "val.npz"]))
    run = with_everything(folder, stats=str(tmp_path / "s.npz"))
    task, known = objective.make_task(run), people(7, 7)
    assert task.held_out is not None
    np.testing.assert_allclose(task.held_out.features.mean(0), 0, atol=1e-5)
    betas = task.held_out.x_0[:, -10:]
    np.testing.assert_allclose([betas.min(0), betas.max(0)], [[-1] * 10, [1] * 10], atol=1e-5)
    assert known.features is not None
    np.testing.assert_allclose(
        task.normaliser.mean[-10:], (known.betas.min(0) + known.betas.max(0)) / 2, atol=1e-6
    )


def test_several_sets_need_only_the_fields_that_the_run_reads(folder, tmp_path):
    records.write(tmp_path / "c.npz", tiny.without(people(5, 5), "keypoints3d", "sequence"))
    names = [str(folder / "a.npz"), str(tmp_path / "c.npz")]
    run = make_run(folder)
    data = dataclasses.replace(run.data, train=",".join(names))
    task = objective.make_task(dataclasses.replace(run, data=data))
    assert (len(task.examples.x_0), task.mixture) == (14, None)
    of_3d = dataclasses.replace(run.train, gamma_3d=1.0)
    with pytest.raises(ValueError, match=r"c\.npz: wanted the fields of .*a\.npz.*keypoints3d"):
        objective.make_task(dataclasses.replace(run, data=data, train=of_3d))


def test_a_mixture_draws_sets_by_weight_and_people_evenly():
    mixture = pipeline.Mixture((10, 30, 5), (0.5, 0.3, 0.2))
    batches = pipeline.batches(np.arange(45, dtype=np.int32), 1000, 3, mixture)
    rows = np.concatenate([next(batches) for _ in range(20)])
    assert rows.dtype == np.int32
    counts = np.bincount(rows, minlength=45) / len(rows)
    shares = np.array([part.sum() for part in np.split(counts, [10, 40])])
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.012)  # Three standard errors.
    np.testing.assert_allclose(counts[:10], 0.05, atol=0.006)
    np.testing.assert_allclose(counts[10:40], 0.01, atol=0.003)


def test_a_mixture_goes_on_where_it_was_and_processes_differ(monkeypatch):
    mixture = pipeline.Mixture((10, 30), (1.0, 1.0))
    people = np.arange(40, dtype=np.int32)

    def start(seed=3) -> Any:
        return pipeline.batches(people, 16, seed, mixture)

    first = start()
    next(first)
    position = first.get_state()
    wanted, again = next(first), start()
    again.set_state(position)
    np.testing.assert_array_equal(next(again), wanted)
    assert not np.array_equal(next(start(4)), next(start()))
    alone = next(start())
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    assert not np.array_equal(next(start()), alone)


def ema_pytorch(values, beta, every):
    """ema-pytorch's average of a number, step by step; `values` is one after each optimiser step."""
    average = None
    for k, value in enumerate(values, 1):
        if (k - 1) % every == 0:
            if average is None or k - 1 <= 100:
                average = value
            else:
                decay = min(max(1 - (1 + max(k - 101, 0)) ** (-2 / 3), 0), beta)
                average = decay * average + (1 - decay) * value
        yield average


@pytest.mark.parametrize("every", [1, 10])
def test_averages_warm_up_as_those_of_ema_pytorch(every):
    values = np.random.default_rng(0).normal(size=400).astype(np.float32)
    wanted: Any = list(ema_pytorch(values, 0.995, every))

    @jax.jit
    def run(values) -> Any:
        def one(carry, given):
            step, value = given
            rate = losses.ema_rate(0.995, step, every, warm_up=True)
            (new,) = losses.ema_update([rate], [carry], value)
            return new, new

        return jax.lax.scan(one, jnp.zeros(()), (jnp.arange(1, 401), values))[1]

    np.testing.assert_allclose(run(jnp.asarray(values)), wanted, atol=1e-6)


def test_the_rate_of_an_average_is_itself_without_options():
    assert losses.ema_rate(0.9, jnp.asarray(7)) == 0.9
    rates = [float(losses.ema_rate(0.9, jnp.asarray(k), every=3)) for k in range(1, 6)]
    np.testing.assert_allclose(rates, [0.9, 1, 1, 0.9, 1], rtol=1e-7)
    late = losses.ema_rate(0.995, jnp.asarray(100_001), 10, warm_up=True)
    np.testing.assert_allclose(late, 0.995, rtol=1e-7)
    assert float(losses.ema_rate(0.995, jnp.asarray(91), 10, warm_up=True)) == 0.0


def test_gradients_are_clipped_before_adam():
    settings = config.Train(clip=1.0, adam_betas=(0.8, 0.99), anneal="none")
    optimiser = loop.make_optimiser(settings)
    grads = {"a": jnp.asarray([3.0, 0.0]), "b": jnp.asarray([4.0])}
    with jax.numpy_dtype_promotion("standard"):
        _, state = optimiser.update(grads, optimiser.init(grads), grads)
    moments = [leaf for leaf in jax.tree.leaves(state) if leaf.size == 2]
    np.testing.assert_allclose(moments[0], [0.2 * 0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(moments[1], [0.01 * 0.36, 0], rtol=1e-5)


def test_the_best_averages_are_kept_and_are_the_model(folder, tmp_path, monkeypatch, capsys):
    """The held-out loss is made to be lowest at step 4 of 8."""
    told = {0: 9.0, 2: 3.0, 4: 1.0, 6: 2.0, 8: 1.5}
    averages, steps = [], iter(told)

    def make_report(run, task):
        def report(params, average):
            averages.append(jax.tree.map(np.array, average))
            return {"val_eps_t29": told[next(steps)]}

        return report

    monkeypatch.setattr(objective, "make_report", make_report)
    model = train.train(make_run(folder, keep="best"), tmp_path)
    assert "kept the averages of step 4, held-out eps loss 1.0" in capsys.readouterr().out
    loaded = [checkpoint.load_model(p) for p in (tmp_path, tmp_path / "model.npz")]
    for found in (model, *loaded):
        jax.tree.map(np.testing.assert_array_equal, found.params, averages[2])


def test_networks_are_made_and_shown_what_the_config_says():
    known = {
        "features": jnp.arange(10.0).reshape(2, 5),
        "keypoints": jax.random.uniform(jax.random.key(0), (2, 17, 3)),
        "estimate": jnp.ones((2, 154)),
    }
    model = dataclasses.replace(MODEL, condition=("estimate", "features", "keypoints"))
    seen = denoisers.context_of(model, known)["features"]
    keypoints = mlp.keypoint_features(known["keypoints"])
    wanted = [known["estimate"], known["features"], keypoints]
    np.testing.assert_array_equal(seen, jnp.concatenate(wanted, -1))
    network = denoisers.make_network(model, config.Diffusion(), 5, 17)
    assert network.condition_size == seen.shape[-1] == 154 + 5 + 51
    assert denoisers.context_of(MODEL, known) is None
    assert denoisers.make_network(MODEL, config.Diffusion()).condition_size == 0
    with pytest.raises(ValueError, match=r"wanted \['features'\] too"):
        denoisers.context_of(model, {k: known[k] for k in ("keypoints", "estimate")})
    learned = config.Diffusion(variance="learned")
    with pytest.raises(ValueError, match=r"diffusion\.variance: wanted a fixed one"):
        denoisers.make_network(MODEL, learned)
    with pytest.raises(ValueError, match=r"model\.shape_features: wanted less than the 0"):
        denoisers.make_network(EVERYTHING, config.Diffusion(), 0, 17)


@pytest.mark.parametrize("kind", ["paper", "residual"])
def test_the_other_networks_see_features_too(kind):
    model = config.Model(kind=kind, width=8, depth=1, condition=("features",))
    network = denoisers.make_network(model, config.Diffusion())
    known = {"features": jnp.ones((3, 5)), "estimate": jnp.ones((3, 154))}
    x, context = jnp.ones((3, 154)), denoisers.context_of(model, known)
    params = denoisers.init_params(jax.random.key(0), network, x, context)
    assert params["conditions_features"]["kernel"].shape[0] == 5


@pytest.mark.parametrize(
    ("branches", "shape_features", "vector", "features", "wanted"),
    [
        ("joint", 0, "sixd144", 3072, 11_307_024),
        ("separate", 1536, "sixd154", 3072 + 1536, 14_510_000),
    ],
)
def test_a_config_gives_the_published_networks(branches, shape_features, vector, features, wanted):
    model = config.Model(
        "scorehmr", 1024, 3, vector=vector, condition=("features",), branches=branches,
        shape_features=shape_features,
    )  # fmt: skip
    network = denoisers.make_network(model, config.Diffusion(), features)

    def init(key):
        x, known = jnp.zeros((1, 144 if vector == "sixd144" else 154)), jnp.zeros((1, features))
        context = denoisers.context_of(model, {"features": known})
        return denoisers.init_params(key, network, x, context)

    assert denoisers.count_params(jax.eval_shape(init, jax.random.key(0))) == wanted


@pytest.fixture(scope="module")
def two_branches():
    """(the network, weights, x of seven, their context)"""
    network = denoisers.make_network(EVERYTHING, config.Diffusion(), WIDTH, KEYPOINTS)
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (7, 154))
    known = {
        "features": jax.random.normal(keys[1], (7, WIDTH)),
        "keypoints": jax.random.uniform(keys[2], (7, KEYPOINTS, 3)),
    }
    context = denoisers.context_of(EVERYTHING, known)
    return network, denoisers.init_params(keys[3], network, x, context), x, context


def test_pose_and_betas_never_see_each_other(two_branches):
    network, params, x, context = two_branches
    apply = jax.jit(lambda x, c: network.apply({"params": params}, x, jnp.full(7, 3), c))
    out = apply(x, context)
    moved = apply(
        x.at[:, 144:].add(1.0), {**context, "shape_features": 0 * context["shape_features"]}
    )
    np.testing.assert_array_equal(moved[:, :144], out[:, :144])
    assert (moved[:, 144:] != out[:, 144:]).all()
    turned = apply(x.at[:, :144].add(1.0), {**context, "features": 0 * context["features"]})
    np.testing.assert_array_equal(turned[:, 144:], out[:, 144:])


def test_both_branches_become_tables_columns_and_bfloat16(two_branches):
    network, params, x, context = two_branches
    process = denoisers.schedules.make_schedule("cosine", 20)
    plain = denoisers.bind(network, params, process, tables=False)(x, 7, context)
    bound = denoisers.bind(network, params, process)
    np.testing.assert_allclose(bound(x, 7, context), plain, atol=2e-5)
    np.testing.assert_allclose(bound.columns(x.T, 7, context).T, plain, atol=2e-5)
    rough = denoisers.bind(network, params, process, dtype=jnp.bfloat16)(x, 7, context)
    assert rough.dtype == jnp.float32
    assert 1e-6 < np.abs(rough - plain).mean() / np.abs(plain).mean() < 0.02


def test_a_trained_branch_can_be_hoisted(two_branches):
    network, params, x, context = two_branches
    alone = conditioned.ConditionedMLP(144, 8, 1, WIDTH - 2 + 51)
    variables = {"params": params["pose"]}
    table = alone.apply(variables, jnp.arange(20), method="time_features")
    folded = hoisted.fold(params["pose"], table, 1)
    rows = hoisted.project(folded, context["features"])
    found = hoisted.predict(folded, x[:, :144], jnp.asarray(7), rows)
    wanted = network.apply({"params": params}, x, jnp.full(7, 7), context)[:, :144]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_weights_and_biases_begin_within_one_over_root_fan_in(two_branches):
    pose = two_branches[1]["pose"]
    for layer, fan_in in (("inward", 144), ("time_0", 144), ("time_1", 576)):
        for leaf in ("kernel", "bias"):
            bound = fan_in**-0.5
            largest = float(jnp.max(jnp.abs(pose[layer][leaf])))
            assert 0.9 * bound < largest <= bound


def test_motion_files_become_people(folder, tmp_path):
    random = np.random.default_rng(0)
    for name, frames, betas in (("one/walk_poses", 9, 0.0), ("two/deep/run", 5, 0.5)):
        file = tmp_path / f"{name}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            file,
            poses=random.normal(0, 0.3, (frames, 156)),
            trans=np.zeros((frames, 3)),
            betas=np.full(16, betas),
            mocap_framerate=60.0,
            gender="neutral",
        )
    np.savez(tmp_path / "one" / "shape.npz", betas=np.zeros(16))
    model = tiny.bones()
    known, train_ = (
        motion_sets.read(f"motion:{tmp_path}", 4, part, model) for part in ("val", "train")
    )
    # Frames 0, 4, 8 and 0, 4, each seen three times; training adds mirror images.
    assert (records.count(known), records.count(train_)) == (15, 30)
    records.check(known, "motion")
    assert known.betas is not None
    np.testing.assert_allclose(known.betas[3:5], 0.5)
    assert len(np.unique(known.betas[[0, 5, 10]], axis=0)) == 3
    run = make_run(folder, dataclasses.replace(MODEL, vector="sixd144"), val=f"motion:{tmp_path}")
    data = dataclasses.replace(run.data, train=f"motion:{tmp_path}")
    task = objective.make_task(dataclasses.replace(run, data=data))
    assert len(task.examples.x_0) == 30
    conditioned_ = dataclasses.replace(run.model, condition=("features",))
    with pytest.raises(ValueError, match=r"model.condition: wanted .* the set 'motion:.*' has not"):
        objective.make_task(dataclasses.replace(run, data=data, model=conditioned_))
    with pytest.raises(FileNotFoundError, match="wanted motion files"):
        motion_sets.gather(tmp_path / "none", 4)


@pytest.mark.parametrize("name", ["demo_prior", "demo_paper"])
def test_a_checkpoint_of_before_is_still_loaded(name):
    model = checkpoint.load_model(f"converted_weights/{name}.npz")
    assert model.features is None
    assert checkpoint.context(model, {}, "nobody") is None
    assert model.run.train.keep == "last"


def test_a_model_in_16_bits_is_near(trained, tmp_path):
    checkpoint.export(tmp_path / "half.npz", trained[2], half=True)
    found = checkpoint.load_model(tmp_path / "half.npz")
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(trained[2].params)):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    with np.load(tmp_path / "half.npz") as file:
        assert json.loads(str(file["facts"]))["features"] == WIDTH


def test_fields_that_do_not_go_together_are_refused(folder):
    for words, settings in (
        ("diffusion.betas: wanted 'same'", {"betas": "min_max"}),
        ("train.keep: wanted 'last'", {"keep": "best", "val": ""}),
    ):
        run = make_run(folder, dataclasses.replace(MODEL, vector="sixd144"), **settings)
        with pytest.raises(ValueError, match=words):
            objective.make_task(run)
    wrong = {
        "data.train_weights": lambda: config.Data(train="a,b", train_weights=(1.0,)),
        "data.train:": lambda: config.Data(train="a,,b"),
        "train.clip": lambda: config.Train(clip=0.0),
        "train.adam_betas": lambda: config.Train(adam_betas=(0.9, 1.0)),
        "train.ema_every": lambda: config.Train(ema_every=0),
        "model.branches": lambda: config.Model(branches="separate"),
        "model.shape_features": lambda: config.Model(kind="scorehmr", shape_features=3),
    }
    for field, make in wrong.items():
        with pytest.raises(ValueError, match=f"{field}.* wanted|{field} wanted"):
            make()
