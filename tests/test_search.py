"""The step search against Algorithm 1 in plain Python: sample by sample, start by start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import sampling, schedule, search

STEPS, MAX_STEP = 20, 14
WAYS = [("chain", "ddpm"), ("chain", "ddim"), ("one_step", "ddpm")]
KEY = jax.random.key(7)
TABLES = schedule.make_schedule("cosine", STEPS)
NOISE = np.stack([sampling.step_noise(KEY, jnp.arange(10), t, 5) for t in range(STEPS)])

run = jax.jit(
    functools.partial(search.search_steps, schedule=TABLES),
    static_argnames=("denoiser", "error", "max_step", "patience", "candidate", "sampler"),
)


def algorithm_1(loss, max_step, patience):
    """The paper's loop as it is printed, on Python floats; `loss(i)` is the error of start i."""
    last, best_loss, best, rises, curve = np.inf, np.inf, 0, 0, []
    for i in range(max_step + 1):
        now = loss(i)
        curve.append(now)
        rises = rises + 1 if now > last else 0
        if patience is not None and rises > patience:
            break
        if now < best_loss:
            best, best_loss = i, now
        last = now
    unseen = [np.nan] * (max_step + 1 - len(curve))
    return {"step": best, "error": curve[best], "stop": len(curve) - 1, "curve": curve + unseen}


# One sample by hand, in float64 NumPy, from the schedule's noise levels alone.


def plain_denoiser(x, t, target):
    return 0.7 * x + 0.2 * np.sin(target) + 0.1 * np.cos(0.7 * t)


def plain_candidate(x, start, target, candidate, sampler, sample):
    if candidate == "one_step":
        return plain_denoiser(x, start - 1, target) if start else x
    alpha_bar = np.append(1.0, np.asarray(TABLES.alpha_bar, float))  # Of time t at [t + 1].
    for t in reversed(range(start)):
        x_0, now, after = plain_denoiser(x, t, target), alpha_bar[t + 1], alpha_bar[t]
        if sampler == "ddim":
            eps = (x - np.sqrt(now) * x_0) / np.sqrt(1 - now)
            x = np.sqrt(after) * x_0 + np.sqrt(1 - after) * eps
        else:
            beta = 1 - now / after
            mean = np.sqrt(after) * beta * x_0 + np.sqrt(now / after) * (1 - after) * x
            # At t = 0 `after` is 1: no noise.
            spread = np.sqrt(beta * (1 - after) / (1 - now))
            x = mean / (1 - now) + spread * NOISE[t, sample]
    return x


def plain_error(x_0, target):
    return np.mean(np.abs(x_0 - target))


def jax_denoiser(x, t, target):
    wave = jnp.cos(0.7 * jnp.asarray(t).astype(x.dtype))
    return 0.7 * x + 0.2 * jnp.sin(target) + 0.1 * wave


def jax_error(x_0, target):
    return jnp.mean(jnp.abs(x_0 - target), axis=-1)


def draw(batch, d=5):
    rng = np.random.default_rng(len(batch) + 3)
    near = rng.choice(
        [0.0, 0.2, 1.0], size=(*batch, 1)
    )  # Inputs that are right, nearly right and wrong.
    target = rng.normal(size=(*batch, d))
    x = target + near * rng.normal(size=(*batch, d))
    return jnp.asarray(x, jnp.float32), jnp.asarray(target, jnp.float32)


@pytest.mark.parametrize(("candidate", "sampler"), WAYS)
@pytest.mark.parametrize(
    ("batch", "patience"), [((), 1), ((1,), None), ((2, 5), 1), ((2, 5), None)]
)
def test_the_search_is_algorithm_1_on_real_chains(batch, candidate, sampler, patience):
    x, target = draw(batch)
    how = {"max_step": MAX_STEP, "patience": patience, "candidate": candidate, "sampler": sampler}
    found = run(jax_denoiser, x=x, error=jax_error, context=target, key=KEY, **how)
    for sample, place in enumerate(np.ndindex(*batch)):
        start_x, aim = np.asarray(x[place], float), np.asarray(target[place], float)
        make = functools.partial(
            plain_candidate,
            start_x,
            target=aim,
            candidate=candidate,
            sampler=sampler,
            sample=sample,
        )
        wanted = algorithm_1(
            lambda s, make=make, aim=aim: plain_error(make(s), aim), MAX_STEP, patience
        )
        assert found.step[place] == wanted["step"]
        assert found.stop[place] == wanted["stop"]
        # float32 chains of up to 14 steps against float64.
        np.testing.assert_allclose(found.curve[place], wanted["curve"], atol=5e-6)
        np.testing.assert_allclose(found.error[place], wanted["error"], atol=5e-6)
        np.testing.assert_allclose(found.x[place], make(wanted["step"]), atol=5e-6)


# Scripted errors: the state counts the steps from an input of zeros; a table holds their errors.


def count_in_one_step(x, t, table):
    return jnp.zeros_like(x) + jnp.asarray(t + 1).astype(x.dtype)


def count_in_a_ddim_chain(x, t, table):
    """The x_0 from which the deterministic step lands on x + 1."""
    signal, noise = (jnp.asarray(row, x.dtype) for row in (TABLES.signal, TABLES.noise))
    ahead = jnp.maximum(t - 1, 0)
    after = jnp.where(t > 0, signal[ahead], 1.0), jnp.where(t > 0, noise[ahead], 0.0)
    ratio = after[1] / noise[t]
    return (x + 1 - ratio * x) / (after[0] - ratio * signal[t])


COUNTING = {"one_step": count_in_one_step, "chain": count_in_a_ddim_chain}


def scripted_error(x_0, table):
    count = jnp.round(x_0[..., :1]).astype(int)
    return jnp.take_along_axis(table, count, axis=-1)[..., 0]


def scripts(max_step):
    """Noise, climbs and falls in few values (so ties abound), every other row with NaN and inf."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 6, size=(240, max_step + 1)).astype(np.float32)
    rows[80:160].sort(axis=-1)
    rows[120:160] = rows[120:160, ::-1]
    rows[160:200] += 2 * np.arange(max_step + 1)
    spoilt = rng.random(rows.shape)
    rows[1::2] = np.where(spoilt < 0.12, np.nan, np.where(spoilt > 0.95, np.inf, rows))[1::2]
    rows[0], rows[1], rows[2, 1:], rows[3, :1] = np.nan, np.inf, np.nan, np.nan
    return rows


@pytest.mark.parametrize("candidate", ["one_step", "chain"])
@pytest.mark.parametrize(
    ("max_step", "patience"),
    [(0, 2), (1, 0), (14, 0), (14, 1), (14, 3), (14, 10), (14, None), (18, None)],
)
def test_scripted_errors_with_nans_and_ties_are_searched_as_in_python(
    max_step, patience, candidate
):
    table, x = scripts(max_step), jnp.zeros((240, 2))
    how = {"max_step": max_step, "patience": patience, "candidate": candidate, "sampler": "ddim"}
    denoiser = COUNTING[candidate]
    found = run(denoiser, x=x, error=scripted_error, context=jnp.asarray(table), key=None, **how)
    wanted = [algorithm_1(row.tolist().__getitem__, max_step, patience) for row in table]
    for name in ("step", "stop", "error", "curve"):
        np.testing.assert_array_equal(
            getattr(found, name), np.array([w[name] for w in wanted]), err_msg=name
        )
    np.testing.assert_array_equal(
        np.round(found.x[:, 0]), found.step
    )  # The x of the chosen start, too.
    assert patience in (None, 10) or max_step < 2 or np.any(found.stop < max_step)


@pytest.mark.parametrize(("candidate", "sampler"), WAYS)
def test_start_0_is_the_input_bit_for_bit(candidate, sampler):
    x = jnp.asarray([[-0.0, 1e-40, np.nan], [np.inf, 1 / 3, 3e38]], jnp.float32)
    how = {"candidate": candidate, "sampler": sampler, "key": KEY}
    unused = functools.partial(run, jax_denoiser, x=x, context=jnp.zeros_like(x), **how)
    for found in (unused(error=nan_error, max_step=5), unused(error=jax_error, max_step=0)):
        assert np.asarray(found.x).tobytes() == np.asarray(x).tobytes()
        np.testing.assert_array_equal(found.step, 0)


def nan_error(x_0, context):
    return jnp.full(x_0.shape[:-1], jnp.nan)


def test_only_nan_errors_say_so_and_are_all_tried():
    x, target = draw((3,))
    found = run(jax_denoiser, x=x, error=nan_error, context=target, max_step=5, patience=2, key=KEY)
    assert np.all(np.isnan(found.error))
    np.testing.assert_array_equal(found.stop, 5)


@pytest.mark.parametrize(("candidate", "sampler"), WAYS)
def test_an_exhaustive_search_takes_the_first_least_error_and_never_a_worse_one(candidate, sampler):
    x, target = draw((3, 7))
    how = {"max_step": STEPS, "patience": None, "candidate": candidate, "sampler": sampler}
    found = run(jax_denoiser, x=x, error=jax_error, context=target, key=KEY, **how)
    np.testing.assert_array_equal(found.step, np.nanargmin(found.curve, axis=-1))
    np.testing.assert_array_equal(found.error, np.nanmin(found.curve, axis=-1))
    assert np.all(found.error <= found.curve[..., 0])
    assert len(np.unique(found.step)) > 2  # Else the draw tests nothing.


def test_a_sample_is_searched_alike_in_any_batch_and_order():
    x, target = draw((2, 5))
    how = {"error": jax_error, "max_step": MAX_STEP, "patience": 2, "key": KEY}
    together = run(jax_denoiser, x=x, context=target, **how)
    flat = jax.tree.map(lambda leaf: leaf.reshape(10, *leaf.shape[2:]), together)
    order = np.random.default_rng(1).permutation(10)[:6]
    x, target = x.reshape(10, 5)[order], target.reshape(10, 5)[order]
    apart = run(jax_denoiser, x=x, context=target, ids=jnp.asarray(order), **how)
    # Vectorised loops of other lengths may round the last bit otherwise.
    for name, alone in apart._asdict().items():
        np.testing.assert_allclose(alone, getattr(flat, name)[order], atol=1e-6, err_msg=name)


def test_a_search_that_all_samples_have_left_ends():
    calls = []

    def counted(x_0, table):
        jax.debug.callback(lambda: calls.append(1))
        return scripted_error(x_0, table)

    rising = jnp.broadcast_to(jnp.arange(19.0), (4, 19))
    how = {"max_step": 18, "patience": 2, "candidate": "one_step", "key": None}
    found = run(count_in_one_step, x=jnp.zeros((4, 2)), error=counted, context=rising, **how)
    jax.effects_barrier()
    np.testing.assert_array_equal(found.stop, 3)
    assert len(calls) == 2  # Blocks of three starts, of the seven that there are.


def test_memory_grows_by_the_curve_alone_with_the_last_start():
    x, target = draw((64,), d=50)

    def temporary(max_step):
        how = {"error": jax_error, "max_step": max_step, "patience": 3, "key": KEY}
        compiled = run.lower(jax_denoiser, x=x, context=target, **how).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # A few curves at most; the candidates would be 50 of them.
    assert temporary(20) - temporary(4) < 4 * 16 * 64 * 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_step": 21}, "max_step: wanted 0 to 20"),
        ({"max_step": -1}, "max_step: wanted 0 to 20"),
        ({"patience": -1}, "patience: wanted None or at least 0"),
        ({"key": None}, "key: wanted a random key"),
        (
            {"error": lambda x_0, context: jnp.sum(x_0)},
            r"error: wanted one number a sample, shape \(3,\), got \(\)",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(wrong, message):
    x, target = draw((3,))
    how = {"error": jax_error, "max_step": 3, "key": KEY} | wrong
    with pytest.raises(ValueError, match=message):
        search.search_steps(jax_denoiser, TABLES, x, context=target, **how)


@pytest.mark.parametrize("patience", [None, 0, 2])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_choosing_from_all_candidates_is_the_search(patience, sampler, rng):
    x = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)

    def denoiser(x_t, t, context):
        return 0.7 * x_t + 0.1 * jnp.sin(9.0 * x_t)

    def error(x_0, context):
        return jnp.sum(jnp.cos(3.0 * x_0), -1)

    same = {"max_step": 12, "sampler": sampler, "key": jax.random.key(3)}
    found = search.search_steps(denoiser, TABLES, x, error, None, patience=patience, **same)
    results = search.candidates(denoiser, TABLES, x, None, **same)
    np.testing.assert_array_equal(results[0], x)
    choice = search.choose(jnp.moveaxis(error(results, None), 0, -1), patience)
    np.testing.assert_array_equal(choice.step, found.step)
    np.testing.assert_array_equal(choice.stop, found.stop)
    np.testing.assert_allclose(choice.error, found.error, rtol=1e-5)
    picked = jnp.take_along_axis(results, found.step[None, :, None], 0)[0]
    np.testing.assert_allclose(picked, found.x, rtol=1e-5, atol=1e-6)
