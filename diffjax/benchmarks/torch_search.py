"""The step search in PyTorch: the authors' way, and the best that we can write. Peers, not API.

Both take the weights, the noise and the error of ours, so that all contenders compute the same curve.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from diffjax import schedule as noising


class Weights(NamedTuple):
    """A PaperMLP: (out, in) kernels and biases, as torch.nn.Linear has them."""

    time: list[tuple[torch.Tensor, torch.Tensor]]
    layers: list[tuple[torch.Tensor, torch.Tensor]]


def weights_of(params: Any) -> Weights:
    """The torch copy of a PaperMLP's parameters."""

    def linear(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        kernel, bias = (np.array(params[name][leaf]) for leaf in ("kernel", "bias"))
        return torch.from_numpy(np.ascontiguousarray(kernel.T)), torch.from_numpy(bias)

    depth = sum(name.startswith("layer_") for name in params)
    return Weights(
        [linear(f"time_{i}") for i in range(2)], [linear(f"layer_{i}") for i in range(depth)]
    )


def _embed(t: torch.Tensor, size: int) -> torch.Tensor:
    """Sinusoids of steps (*batch,): cosines, then sines."""
    half = size // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angle = t[:, None].float() * frequency
    return torch.cat([torch.cos(angle), torch.sin(angle)], -1)


def _network(weights: Weights, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """eps of x (b, d) at steps t (b,)."""
    (w0, b0), (w1, b1) = weights.time
    h = functional.linear(functional.silu(functional.linear(_embed(t, x.shape[1]), w0, b0)), w1, b1)
    h = x + h
    for w, b in weights.layers[:-1]:
        h = functional.relu(functional.linear(h, w, b))
    return functional.linear(h, *weights.layers[-1])


class StepByStep:
    """Improved DDPM's sampler, with what the published one does at every step, for one batch at a time.

    The step is looked up in a map that is made a tensor anew; both fixed variances are put together,
    one is used; eight tables are each made a tensor, looked up, cast and spread; the posterior's
    variance is looked up though only its mean is wanted.
    """

    def __init__(self, weights: Weights, schedule: noising.Schedule, noise: torch.Tensor):
        self.weights, self.noise = weights, noise
        """noise: (steps, n, d)."""
        bar = np.asarray(schedule.alpha_bar)
        self.steps = list(range(len(bar)))
        self.betas = np.asarray(schedule.betas)
        self.recip, self.recipm1 = np.sqrt(1 / bar), np.sqrt(1 / bar - 1)
        self.mean_0 = np.asarray(schedule.posterior_mean_coef1)
        self.mean_t = np.asarray(schedule.posterior_mean_coef2)
        self.variance = np.asarray(schedule.posterior_variance)
        self.log_variance = np.asarray(schedule.posterior_log_variance_clipped)

    @staticmethod
    def _extract(table: np.ndarray, t: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        row = torch.from_numpy(table)[t].float()
        return row.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)

    def step(self, x: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """x (b, d) at steps t (b,), one reverse step on."""
        at, shape = self._extract, x.shape
        eps = _network(self.weights, x, torch.tensor(self.steps, dtype=t.dtype)[t])
        large = [np.append(self.variance[1], self.betas[1:]) for _ in range(2)]
        variance = {
            "fixed_large": (large[0], np.log(large[1])),
            "fixed_small": (self.variance, self.log_variance),
        }["fixed_small"]
        spread = [at(table, t, shape) for table in variance]
        x_0 = at(self.recip, t, shape) * x - at(self.recipm1, t, shape) * eps
        x_0 = x_0.clamp(-1e9, 1e9)
        mean = at(self.mean_0, t, shape) * x_0 + at(self.mean_t, t, shape) * x
        _ = at(self.variance, t, shape), at(self.log_variance, t, shape)
        moves = (t != 0).float().view(-1, *[1] * (len(shape) - 1))
        return mean + moves * torch.exp(0.5 * spread[1]) * noise

    def candidate(self, x: torch.Tensor, start: int, sample: int) -> torch.Tensor:
        """The end of one sample's chain (1, d)."""
        for i in reversed(range(start)):
            x = self.step(x, torch.tensor([i]), self.noise[i, sample : sample + 1])
        return x


@torch.inference_mode()
def sequential(
    sampler: StepByStep,
    x: torch.Tensor,
    error: Callable[[torch.Tensor, int], float],
    max_step: int,
    patience: int | None,
) -> list[list[float]]:
    """Algorithm 1 the authors' way, one sample and one step at a time: the curve of every sample."""
    curves = []
    for sample in range(len(x)):
        curve: list[float] = []
        last, rises = math.inf, 0
        for start in range(max_step + 1):
            now = error(sampler.candidate(x[sample : sample + 1], start, sample), sample)
            curve.append(now)
            rises = rises + 1 if now > last else 0
            if patience is not None and rises > patience:
                break
            last = now
        curves.append(curve)
    return curves


class LockStep:
    """All (sample, start) slots together, longest first: at t the active ones are a prefix.

    Time embeddings go through the first layer once, into a table of biases; coefficients are folded
    into x' = a x + b eps + c noise; only active slots are computed, so nothing is wasted.
    """

    def __init__(self, weights: Weights, schedule: noising.Schedule, noise: torch.Tensor, n: int):
        steps = np.arange(len(schedule.betas))
        (w0, b0), (w1, b1) = weights.time
        size = noise.shape[-1]
        embedded = functional.linear(_embed(torch.from_numpy(steps), size), w0, b0)
        embedded = functional.linear(functional.silu(embedded), w1, b1)
        first, bias = weights.layers[0]
        self.bias = functional.linear(embedded, first, bias)
        self.layers = [(w.T.contiguous(), b) for w, b in weights.layers]
        bar = np.asarray(schedule.alpha_bar)
        c0, ct = (
            np.asarray(c) for c in (schedule.posterior_mean_coef1, schedule.posterior_mean_coef2)
        )
        self.of_x = (c0 / np.sqrt(bar) + ct).tolist()
        self.of_eps = (-c0 * np.sqrt(1 / bar - 1)).tolist()
        spread = np.exp(0.5 * np.asarray(schedule.posterior_log_variance_clipped))
        spread[0] = 0.0
        self.noise = noise * torch.from_numpy(spread).float()[:, None, None]
        self.count = n

    def _step(self, x: torch.Tensor, t: int) -> None:
        """x (active, d) one reverse step on, in place."""
        (w, _), *rest = self.layers
        h = torch.addmm(self.bias[t], x, w)
        for w, b in rest:
            h = torch.addmm(b, h.relu_(), w)
        x.mul_(self.of_x[t]).add_(h, alpha=self.of_eps[t])
        x.view(-1, *self.noise.shape[1:]).add_(self.noise[t])

    @torch.inference_mode()
    def candidates(self, x: torch.Tensor, max_step: int) -> torch.Tensor:
        """(starts, n, d): the end of every chain, start 0 first."""
        slots = x.repeat(max_step, 1)  # The last start in front.
        for t in reversed(range(max_step)):
            self._step(slots[: (max_step - t) * self.count], t)
        return torch.cat([x[None], slots.view(max_step, *x.shape).flip(0)])

    @torch.inference_mode()
    def in_tiles(self, x: torch.Tensor, max_step: int, tile: int) -> torch.Tensor:
        """The same with slots in blocks of about `tile`, whose activations stay in the cache."""
        found = [x[None]]
        for low, high in self._blocks(max_step, tile):
            slots = x.repeat(high - low, 1)
            for t in reversed(range(high)):
                self._step(slots[: (high - max(t, low)) * self.count], t)
            found.append(slots.view(high - low, *x.shape).flip(0))
        return torch.cat(found)

    def _blocks(self, max_step: int, tile: int) -> list[tuple[int, int]]:
        each = max(1, tile // self.count)
        return [(low, min(low + each, max_step)) for low in range(0, max_step, each)]

    @torch.inference_mode()
    def in_columns(self, x: torch.Tensor, max_step: int, tile: int) -> torch.Tensor:
        """`in_tiles` with slots as columns (d, slots), for products W^T x."""
        turned = [(w.T.contiguous(), b[:, None]) for w, b in self.layers]
        bias, noise = self.bias[..., None], self.noise.transpose(1, 2).contiguous()
        found = [x[None]]
        for low, high in self._blocks(max_step, tile):
            slots = x.T.repeat(1, high - low)
            for t in reversed(range(high)):
                starts = high - max(t, low)
                live = slots[:, : starts * self.count]
                h = torch.mm(turned[0][0], live).add_(bias[t])
                for w, b in turned[1:]:
                    h = torch.mm(w, h.relu_()).add_(b)
                live.mul_(self.of_x[t]).add_(h, alpha=self.of_eps[t])
                live.view(len(slots), starts, -1).add_(noise[t][:, None])
            found.append(slots.T.reshape(high - low, *x.shape).flip(0))
        return torch.cat(found)
