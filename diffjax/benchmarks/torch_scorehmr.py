"""ScoreHMR's guided loop in PyTorch as its authors run it: eager, whole mesh, two backward passes. A peer, not API."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional


class Observed(NamedTuple):
    """What one batch is fitted to."""

    keypoints2d: torch.Tensor
    """(batch, K, 3): pixels and confidence."""
    focal_px: torch.Tensor
    center_px: torch.Tensor
    side_px: torch.Tensor
    """(batch,) the longer side of the image."""
    features: torch.Tensor


class Original:
    """The network, the body and the loop; `seen` keypoints come first among those of the regressor."""

    def __init__(self, params: Any, layer: Any, regressor: torch.Tensor, schedule: Any, seen: int):
        self.params = _tensors(params)
        self.layer, self.regressor, self.seen = layer, regressor, seen
        self.signal, self.noise = (
            torch.tensor(np.asarray(x, np.float32)) for x in (schedule.signal, schedule.noise)
        )

    def eps(self, x: torch.Tensor, t: int, features: torch.Tensor) -> torch.Tensor:
        """The network, all of it, at every step."""
        p = self.params
        embedded = _linear(p["time_0"], _sinusoid(torch.full((len(x),), t), x.shape[1]))
        embedded = _linear(p["time_1"], functional.gelu(embedded))
        h = _linear(p["inward"], x)
        for i in range(sum(name.startswith("block_") for name in p)):
            h = _block(p[f"block_{i}"], h, embedded, features)
        return _linear(p["outward"], h)

    def keypoint_loss(self, x_0, betas, translation, observed: Observed) -> torch.Tensor:
        """(batch,) robust squared pixel errors of the keypoints of the whole mesh."""
        turns = _matrices(x_0.reshape(-1, 24, 6))
        out = self.layer(global_orient=turns[:, :1], body_pose=turns[:, 1:], betas=betas)
        points = (self.regressor @ out.vertices)[:, : self.seen] + translation[:, None]
        pixels = points[..., :2] / points[..., 2:] * observed.focal_px[:, None]
        squared = (pixels + observed.center_px[:, None] - observed.keypoints2d[..., :2]) ** 2
        robust = 1e4 * squared / (1e4 + squared)
        confidence = observed.keypoints2d[..., 2:] ** 2
        return (1000 / observed.side_px) ** 2 * (confidence * robust).sum((-1, -2))

    def fit(self, x, betas, translation, observed: Observed, rounds: int, start=50, stride=2):
        """x_0 of the last step and the translation."""
        gamma = translation.clone().requires_grad_()
        adam, times, x_0 = torch.optim.Adam([gamma], lr=1e-2), range(0, start + 1, stride), x
        for _ in range(rounds):
            for t, t_next in itertools.pairwise(times):
                x = self._move(x, self._x_0(x, t, observed), t, t_next)
            for t, t_next in itertools.pairwise(times[::-1]):
                x_0 = self._guided(x, t, betas, gamma, adam, observed)
                x = self._move(x, x_0, t, t_next)
        return x_0, gamma.detach()

    def _x_0(self, x, t, observed: Observed) -> torch.Tensor:
        with torch.no_grad():
            return (x - self.noise[t] * self.eps(x, t, observed.features)) / self.signal[t]

    def _move(self, x, x_0, t, t_next) -> torch.Tensor:
        eps = (x - self.signal[t] * x_0) / self.noise[t]
        return self.signal[t_next] * x_0 + self.noise[t_next] * eps

    def _guided(self, x, t, betas, gamma, adam, observed: Observed) -> torch.Tensor:
        x_0 = self._x_0(x, t, observed).requires_grad_()
        loss = self.keypoint_loss(x_0, betas, gamma, observed).sum()
        adam.zero_grad()
        loss.backward(retain_graph=True, inputs=[gamma])
        gradient = torch.autograd.grad(0.003 * loss, x_0)[0]
        adam.step()
        return (x_0 - (self.noise[t] / self.signal[t]) ** 2 * gradient).detach()


def _tensors(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _tensors(leaf) for name, leaf in tree.items()}
    return torch.tensor(np.asarray(tree))


def _linear(layer: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, layer["kernel"].T, layer["bias"])


def _sinusoid(t: torch.Tensor, size: int) -> torch.Tensor:
    half = size // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half) / (half - 1))
    angle = t[:, None].float() * frequency
    return torch.cat([torch.sin(angle), torch.cos(angle)], -1)


def _block(p: dict[str, Any], h, embedded, features) -> torch.Tensor:
    scale, shift = _linear(p["film"], functional.silu(embedded)).chunk(2, -1)
    h = h * (1 + scale) + shift
    inner = _norm(p["norm_1"], torch.cat([h, features], -1))
    inner = functional.gelu(_linear(p["linear_1"], inner))
    return h + functional.gelu(_linear(p["linear_2"], _norm(p["norm_2"], inner)))


def _norm(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], p["scale"], p["bias"], 1e-5)


def _matrices(sixd: torch.Tensor) -> torch.Tensor:
    first = functional.normalize(sixd[..., :3], dim=-1)
    second = sixd[..., 3:] - (first * sixd[..., 3:]).sum(-1, keepdim=True) * first
    second = functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.cross(first, second, dim=-1)], -1)
