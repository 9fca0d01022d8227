"""Agreement with openai/improved-diffusion in float64 (numbers: make_improved_diffusion.py).

Tables agree directly. For the rest the reference rounds every coefficient to float32 as it gathers
it, even where x is float64, and then divides differences by 1e-2 (eps from x_0): its own numbers
are 1e-5 from its formulas. So the formulas stand here once more in NumPy, `formulas`, with that
rounding as a switch. Rounded they give the reference's numbers; unrounded they are what ours must
equal, far more strictly than a tolerance wide enough for the rounding would.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import losses, sampling, schedule

TABLES = {
    "betas": "betas",
    "alphas_cumprod": "alpha_bar",
    "posterior_variance": "posterior_variance",
    "posterior_log_variance_clipped": "posterior_log_variance_clipped",
    "posterior_mean_coef1": "posterior_mean_coef1",
    "posterior_mean_coef2": "posterior_mean_coef2",
}
MEANS = ["epsilon", "x_start", "previous_x"]
VARIANCES = ["fixed_small", "fixed_large", "learned", "learned_range"]
LOSSES = ["mse", "rescaled_mse", "kl", "rescaled_kl"]
TABLE = {"rtol": 1e-12, "atol": 0}
"""Both sides are float64 NumPy; the order of operations may differ."""
UNDERSTOOD = {"rtol": 1e-6, "atol": 1e-6}
"""The reference's numbers from its formulas; its float32 exp is not NumPy's to the last bit."""
EXACT = {"rtol": 1e-9, "atol": 1e-9}
"""Ours from the formulas, both float64, through coefficients that magnify by 1e4 at most."""
DIRECT = {"rtol": 2e-5, "atol": 2e-5}
"""Ours from the reference's numbers: its rounding, magnified by 1 / noise."""


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("improved_diffusion.npz")) as packed:
        count = len(packed.files) // 2
        pairs = [zip(packed[f"names{i}"], packed[f"arrays{i}"]) for i in range(count)]
        return {str(name): array for pair in pairs for name, array in pair}


def toy_output(golden: dict[str, np.ndarray], x_t: np.ndarray, variance: str) -> np.ndarray:
    of_t = golden["toy/t"][:, None] * golden["toy/c"]
    output = x_t @ golden["toy/W"] + golden["toy/b"] + of_t
    if not variance.startswith("learned"):
        return output
    return np.concatenate([output, np.tanh(x_t @ golden["toy/W_var"])], -1)


def formulas(golden: dict[str, np.ndarray], mean: str, variance: str, rounding: type) -> dict:
    """What the file holds for a mean and a variance type, by the reference's equations."""
    betas, alpha_bar = (
        golden["schedule/linear/100/betas"],
        golden["schedule/linear/100/alphas_cumprod"],
    )
    before, after = np.append(1.0, alpha_bar[:-1]), np.append(alpha_bar[1:], 0.0)
    posterior = golden["schedule/linear/100/posterior_variance"]
    coef1, coef2 = (golden[f"schedule/linear/100/posterior_mean_coef{i}"] for i in (1, 2))
    t, x_0, noise = golden["toy/t"], golden["toy/x_start"], golden["toy/noise"]

    def row(table):
        return table[t].astype(rounding)[:, None]

    x_t = row(np.sqrt(alpha_bar)) * x_0 + row(np.sqrt(1 - alpha_bar)) * noise
    output, *values = np.split(toy_output(golden, x_t, variance), [12], -1)
    small, large = row(np.log(np.append(posterior[1], posterior[1:]))), row(np.log(betas))
    spread = {
        "fixed_small": lambda: small,
        "fixed_large": lambda: row(np.log(np.append(posterior[1], betas[1:]))),
        "learned": lambda: values[0],
        "learned_range": lambda: (values[0] + 1) / 2 * large + (1 - (values[0] + 1) / 2) * small,
    }[variance]()
    recip, recipm1 = row(np.sqrt(1 / alpha_bar)), row(np.sqrt(1 / alpha_bar - 1))
    found = {"x_t": x_t}
    for clip in (1, 0):
        pred = {
            "epsilon": lambda: recip * x_t - recipm1 * output,
            "x_start": lambda: output,
            "previous_x": lambda: row(1 / coef1) * output - row(coef2 / coef1) * x_t,
        }[mean]()
        pred = np.clip(pred, -1, 1) if clip else pred
        centre = output if mean == "previous_x" else row(coef1) * pred + row(coef2) * x_t
        prefix = f"p_mean_variance/{mean}/{variance}/clip{clip}"
        found |= {f"{prefix}/mean": centre, f"{prefix}/pred_xstart": pred}
        found[f"{prefix}/log_variance"] = np.broadcast_to(spread, x_t.shape)
    found[f"p_sample/{mean}/{variance}"] = centre + (t > 0)[:, None] * np.exp(0.5 * spread) * noise
    eps, now, prev, next_ = (recip * x_t - pred) / recipm1, row(alpha_bar), row(before), row(after)
    for eta in (0.0, 1.0):
        sigma = eta * np.sqrt((1 - prev) / (1 - now)) * np.sqrt(1 - now / prev)
        moved = pred * np.sqrt(prev) + np.sqrt(1 - prev - sigma**2) * eps
        drawn = moved + (t > 0)[:, None] * sigma * noise
        found[f"ddim_sample/{mean}/{variance}/eta{eta}"] = drawn
    found[f"ddim_reverse/{mean}/{variance}"] = pred * np.sqrt(next_) + np.sqrt(1 - next_) * eps
    true = row(coef1) * x_0 + row(coef2) * x_t
    mse = np.mean(({"epsilon": noise, "x_start": x_0, "previous_x": true}[mean] - output) ** 2, -1)
    distance = (true - centre) ** 2 * np.exp(-spread)
    bits = np.mean(0.5 * (-1 + spread - small + np.exp(small - spread) + distance), -1) / np.log(2)
    learned = variance.startswith("learned")
    for loss in LOSSES:
        total = bits if loss == "kl" else bits * 100
        if loss.endswith("mse"):
            vb = bits * (0.1 if loss == "rescaled_mse" else 1.0)
            total = mse + vb if learned else mse
            found[f"training_losses/{mean}/{variance}/{loss}/mse"] = mse
        found[f"training_losses/{mean}/{variance}/{loss}/loss"] = total
    return found


def ours(golden: dict[str, np.ndarray], mean: str, variance: str) -> dict:
    """The same by diffjax."""
    tables = schedule.make_schedule("linear", 100)
    t, x_0, noise = (jnp.asarray(golden[f"toy/{name}"]) for name in ("t", "x_start", "noise"))
    x_t = schedule.add_noise(tables, x_0, t, noise)
    output = jnp.asarray(toy_output(golden, np.asarray(x_t), variance))
    types = {"mean_type": mean, "variance_type": variance}
    found = {"x_t": x_t}
    for clip in (1.0, None):
        reverse = sampling.reverse_distribution(tables, x_t, t, output, clip=clip, **types)
        prefix = f"p_mean_variance/{mean}/{variance}/clip{0 if clip is None else 1}"
        found |= {f"{prefix}/mean": reverse.mean, f"{prefix}/pred_xstart": reverse.x_0}
        found[f"{prefix}/log_variance"] = jnp.broadcast_to(reverse.log_variance, x_t.shape)
    found[f"p_sample/{mean}/{variance}"] = sampling.draw_previous(reverse, t, noise)
    for eta in (0.0, 1.0):
        found[f"ddim_sample/{mean}/{variance}/eta{eta}"] = sampling.ddim_step(
            tables, x_t, reverse.x_0, t, t - 1, eta=eta, noise=noise
        )
    up = sampling.ddim_step(tables, x_t, reverse.x_0, t, t + 1)
    found[f"ddim_reverse/{mean}/{variance}"] = up
    for loss in LOSSES:
        result = losses.training_losses(tables, output, x_0, t, noise, loss_type=loss, **types)
        found[f"training_losses/{mean}/{variance}/{loss}/loss"] = result.loss
        if loss.endswith("mse"):
            found[f"training_losses/{mean}/{variance}/{loss}/mse"] = result.mse
    return found


def compare(found: dict, wanted: dict, tolerance: dict) -> None:
    for name, array in found.items():
        # At t = 0, the first sample, the reference's bound is of 1/255 bins, ours of a density.
        rows = slice(1, None) if name.endswith("/loss") else slice(None)
        # A hundred times the kl, and its tolerance.
        scale = 100 if name.endswith("rescaled_kl/loss") else 1
        left, right = np.asarray(array)[rows], np.asarray(wanted[name])[rows]
        np.testing.assert_allclose(left / scale, right / scale, err_msg=name, **tolerance)


@pytest.mark.parametrize("steps", [50, 100, 1000, 4000])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_schedules(golden, name, steps):
    tables, rows = schedule.make_schedule(name, steps), golden[f"rows/{steps}"]
    for theirs, mine in TABLES.items():
        wanted = golden[f"schedule/{name}/{steps}/{theirs}"]
        np.testing.assert_allclose(getattr(tables, mine)[rows], wanted, err_msg=theirs, **TABLE)


def test_respacing(golden):
    names = [name for name in golden if name.startswith("respace/") and name.endswith("timesteps")]
    assert len(names) == 10
    for name in names:
        _, steps, respacing, _ = name.split("/")
        tables = schedule.make_schedule("linear", int(steps), respacing)
        np.testing.assert_array_equal(tables.network_time, golden[name], err_msg=name)
        betas = golden.get(name.replace("timesteps", "betas_linear"))
        if betas is not None:
            np.testing.assert_allclose(tables.betas, betas, err_msg=name, **TABLE)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mean", MEANS)
def test_the_formulas_with_rounded_coefficients_are_the_reference(golden, mean, variance):
    wanted = golden | {"x_t": golden["toy/x_t"]}
    found = formulas(golden, mean, variance, np.float32)
    compare(found, wanted, UNDERSTOOD)
    kinds = f"/{mean}/{variance}"
    compared = {name for name in wanted if kinds + "/" in name or name.endswith(kinds)}
    # `variance` is the exp of the logarithm, `vb` is a part of the loss.
    rest = {name for name in compared - set(found) if not name.endswith(("/variance", "/vb"))}
    assert not rest


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mean", MEANS)
def test_ours_are_the_formulas(golden, mean, variance):
    with jax.enable_x64(True):
        found = ours(golden, mean, variance)
    assert all(array.dtype == np.float64 for array in found.values())
    compare(found, formulas(golden, mean, variance, np.float64), EXACT)
    compare(found, golden | {"x_t": golden["toy/x_t"]}, DIRECT)
