"""The training step of `diffjax.train` in PyTorch: the same networks, losses, optimiser and average.

As fast as we can write it: data in memory, index order ready, sinusoids and coefficients in tables,
one fused AdamW, one fused average, keypoints folded as ours are, and closed-form gradients where
those of a library SVD are slow and singular. `usual` is the loop of a tutorial instead. Imports
torch: import this module only inside functions.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from diffjax import body
from diffjax import schedule as schedules


def _linear(layer: Mapping[str, Any]) -> nn.Linear:
    kernel, bias = (torch.from_numpy(np.array(layer[name])) for name in ("kernel", "bias"))
    made = nn.Linear(*kernel.shape)
    made.weight.data, made.bias.data = kernel.T.contiguous(), bias
    return made


def _norm(layer: Mapping[str, Any]) -> nn.LayerNorm:
    made = nn.LayerNorm(len(layer["bias"]), eps=1e-6)
    made.weight.data, made.bias.data = (
        torch.from_numpy(np.array(layer[name])) for name in ("scale", "bias")
    )
    return made


def _by_step(features: Callable, sinusoids: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Features of every sample's step; of every step once where there are fewer of these."""
    if len(t) < len(sinusoids):
        return features(sinusoids[t])
    return features(sinusoids)[t]


def _sinusoids(steps: int, size: int) -> torch.Tensor:
    """A row of `mlp.sinusoid` a step."""
    frequency = torch.exp(-math.log(10000.0) * torch.arange(size // 2) / (size // 2))
    angle = torch.arange(steps)[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


class PaperMLP(nn.Module):
    """`mlp.PaperMLP` with these parameters."""

    def __init__(self, params: Mapping[str, Any], steps: int):
        super().__init__()
        self.time_0, self.time_1 = _linear(params["time_0"]), _linear(params["time_1"])
        names = sorted(name for name in params if name.startswith("layer_"))
        self.layers = nn.ModuleList(_linear(params[name]) for name in names)
        self.sinusoids = _sinusoids(steps, self.time_0.in_features)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        h = x + _by_step(self._time, self.sinusoids, t)
        for layer in self.layers[:-1]:
            h = torch.relu(layer(h))
        return self.layers[-1](h)

    def _time(self, sinusoids: torch.Tensor) -> torch.Tensor:
        return self.time_1(functional.silu(self.time_0(sinusoids)))


class ResidualMLP(nn.Module):
    """`mlp.ResidualMLP` with silu and these parameters."""

    def __init__(self, params: Mapping[str, Any], steps: int):
        super().__init__()
        self.time, self.film = _linear(params["time"]), _linear(params["film"])
        self.inward, self.head = _linear(params["inward"]), _linear(params["head"])
        depth = sum(name.startswith("expand_") for name in params)
        self.head_norm = _norm(params["head_norm"])
        self.norm = nn.ModuleList(_norm(params[f"norm_{i}"]) for i in range(depth))
        self.expand = nn.ModuleList(_linear(params[f"expand_{i}"]) for i in range(depth))
        self.contract = nn.ModuleList(_linear(params[f"contract_{i}"]) for i in range(depth))
        self.sinusoids = _sinusoids(steps, self.time.in_features)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        films = _by_step(self._time, self.sinusoids, t).chunk(2 * len(self.norm), -1)
        h = self.inward(x)
        for i, (norm, expand, contract) in enumerate(zip(self.norm, self.expand, self.contract)):
            block = norm(h) * (1.0 + films[2 * i]) + films[2 * i + 1]
            h = h + contract(functional.silu(expand(block)))
        return self.head(self.head_norm(h))

    def _time(self, sinusoids: torch.Tensor) -> torch.Tensor:
        return self.film(functional.silu(self.time(sinusoids)))


class _NearestRotation(torch.autograd.Function):
    """The nearest rotation by SVD; its gradient in closed form, finite where singular values tie."""

    @staticmethod
    def forward(ctx, matrix):
        u, s, vh = torch.linalg.svd(matrix)
        sign = torch.linalg.det(u @ vh).sign()
        last = torch.ones_like(s)
        last[..., 2] = sign
        rotation = u @ (last[..., None] * vh)
        ctx.save_for_backward(rotation, s * last, vh)
        return rotation

    @staticmethod
    def backward(ctx, *grads):
        rotation, s, vh = ctx.saved_tensors
        a = rotation.mT @ grads[0]
        vee = torch.stack([a[..., 2, 1], a[..., 0, 2], a[..., 1, 0]], -1)
        vee = vee - torch.stack([a[..., 1, 2], a[..., 2, 0], a[..., 0, 1]], -1)
        pairs = s.sum(-1, keepdim=True) - s
        pairs = torch.where(pairs.abs() < 1e-6, torch.full_like(pairs, 1e-6), pairs)
        w = (vh.mT @ ((vh @ vee[..., None]) / pairs[..., None]))[..., 0]
        x, y, z = w.unbind(-1)
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
        return rotation @ skew.reshape(rotation.shape)


def _tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(values))


def pa_mpjpe(pred: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """As `metrics.pa_mpjpe_mm` with all joints seen, in metres."""
    p, q = (points - points.mean(1, keepdim=True) for points in (pred, true))
    covariance = q.mT @ p
    turn = _NearestRotation.apply(covariance)
    scale = (turn * covariance).sum((-1, -2)) / (p * p).sum((-1, -2))
    return (scale[:, None, None] * (p @ turn.mT) - q).norm(dim=-1).mean(-1)


class MeshBody:
    """Keypoints as is usual: every vertex by smplx, then the regressor."""

    def __init__(self, model: body.BodyModel, regressor: np.ndarray):
        from smplx import lbs

        self.skin, self.parents = lbs.lbs, torch.tensor(model.parents)
        constants = (model.template, model.shape_dirs, model.joint_regressor, model.skin_weights)
        self.constants = [_tensor(x) for x in constants]
        self.pose_dirs = torch.zeros(207, 3 * len(model.template))
        if model.pose_dirs.size:
            self.pose_dirs = _tensor(model.pose_dirs).reshape(-1, 207).T.contiguous()
        self.regressor = _tensor(regressor).float()

    def keypoints(self, rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """Keypoints (B, K, 3), as `body.pose_keypoints`."""
        template, shapes, joints, skin = self.constants
        vertices, _ = self.skin(
            betas,
            rotations,
            template,
            shapes,
            self.pose_dirs,
            joints,
            self.parents,
            skin,
            pose2rot=False,
        )
        return self.regressor @ vertices


class FoldedBody:
    """Keypoints without the mesh: skinning folded into the regressor, a term a keypoint and bone."""

    def __init__(self, model: body.BodyModel, regressor: np.ndarray):
        self.parents = model.parents
        self.joint_template, dirs = _tensor(model.joint_template), _tensor(model.joint_dirs)
        self.joint_dirs = dirs.reshape(-1, dirs.shape[-1]).T
        skin, rest = (np.asarray(x, np.float64) for x in (model.skin_weights, model.template))
        basis = np.concatenate([model.shape_dirs, model.pose_dirs], -1).astype(np.float64)
        keypoints, bones = np.nonzero((regressor != 0).astype(float) @ (skin != 0))
        mass = regressor[keypoints] * skin[:, bones].T
        self.bones, self.offset = torch.tensor(bones), _tensor(mass @ rest).float()
        self.weight = _tensor(mass.sum(1)).float()[:, None]
        dirs = np.einsum("pv,vcf->pcf", mass, basis).reshape(3 * len(bones), -1)
        self.dirs = _tensor(dirs).float().T.contiguous()
        self.scatter = _tensor(np.arange(len(regressor))[:, None] == keypoints).float()

    def keypoints(self, rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """Keypoints (B, K, 3), as `body.pose_keypoints`."""
        count = len(betas)
        joints = self.joint_template + (betas @ self.joint_dirs).reshape(count, -1, 3)
        parents = list(self.parents)
        bones = joints - joints[:, [0, *parents[1:]]]
        local, moves = rotations.unbind(1), bones[..., None].unbind(1)
        world, place = [local[0]], [joints[:, 0, :, None]]
        for j in range(1, len(parents)):
            parent = parents[j]
            place.append(torch.baddbmm(place[parent], world[parent], moves[j]))
            world.append(torch.bmm(world[parent], local[j]))
        turned, placed = torch.stack(world, 1), torch.stack(place, 1)
        shift = (placed - turned @ joints[..., None])[..., 0]
        features = betas
        if len(self.dirs) > betas.shape[1]:  # Not for a body without pose blend shapes.
            pose = (rotations[:, 1:] - torch.eye(3)).reshape(count, -1)
            features = torch.cat([betas, pose], 1)
        folded = (features @ self.dirs).reshape(count, -1, 3) + self.offset
        terms = (turned[:, self.bones] @ folded[..., None])[..., 0]
        return self.scatter @ (terms + self.weight * shift[:, self.bones])


Loss = Callable[[dict[str, torch.Tensor], torch.Tensor, torch.Tensor], torch.Tensor]
"""(batch, t, eps) -> mean loss."""


def make_loss(
    network: nn.Module,
    schedule: schedules.Schedule,
    person: FoldedBody | MeshBody | None,
    gamma: float,
) -> Loss:
    """L_ori of a network that predicts eps; with a body, gamma L_3D of rotmat226 vectors."""
    tables = (schedule.signal, schedule.noise, schedule.alpha_bar)
    signal, noise, trust = (torch.tensor(x, dtype=torch.float32)[:, None] for x in tables)

    def loss(batch, t, eps):
        of_x, of_eps = signal[t], noise[t]
        x_t = of_x * batch["x_0"] + of_eps * eps
        output = network(x_t, t)
        total = (output - eps).square().mean()
        if person is None:
            return total
        x_0 = (x_t - of_eps * output) / of_x
        rotations = _NearestRotation.apply(x_0[:, :216].reshape(-1, 24, 3, 3))
        metres = pa_mpjpe(person.keypoints(rotations, x_0[:, 216:]), batch["joints3d"][..., :3])
        return total + gamma * (trust[t][:, 0] * metres).mean()

    return loss


class Loop:
    """Optimiser steps on data in memory. Call it for a number of steps: the last loss."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        data: Mapping[str, np.ndarray],
        *,
        batch_size: int,
        rate: float,
        average: float,
        usual: bool = False,
    ):
        self.network, self.loss, self.size = network, loss, batch_size
        self.data = {name: torch.from_numpy(values) for name, values in data.items()}
        self.params = list(network.parameters())
        self.ema, self.average = [p.detach().clone() for p in self.params], average
        fused = None if usual else True
        self.optimiser = torch.optim.AdamW(self.params, lr=rate, weight_decay=0.0, fused=fused)
        self._batches = self._loader() if usual else self._slices()
        self.average_weights = self._one_by_one if usual else self._at_once

    def _slices(self):
        people = len(self.data["x_0"])
        while True:
            order = torch.randperm(people)
            for rows in order[: people - people % self.size].split(self.size):
                yield {name: values[rows] for name, values in self.data.items()}

    def _loader(self):
        names, columns = zip(*self.data.items())
        people = torch.utils.data.TensorDataset(*columns)
        options = {"batch_size": self.size, "shuffle": True, "drop_last": True}
        while True:
            for values in torch.utils.data.DataLoader(people, **options):
                yield dict(zip(names, values))

    def _at_once(self):
        lerp: Any = torch._foreach_lerp_  # pyright: ignore[reportPrivateImportUsage]
        lerp(self.ema, self.params, 1.0 - self.average)

    def _one_by_one(self):
        for mean, value in zip(self.ema, self.params):
            mean.mul_(self.average).add_(value, alpha=1.0 - self.average)

    def __call__(self, steps: int) -> float:
        loss = torch.zeros(())
        for _ in range(steps):
            batch = next(self._batches)
            t = torch.randint(len(self.network.sinusoids), (self.size,))
            eps = torch.randn_like(batch["x_0"])
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.loss(batch, t, eps)
            loss.backward()
            self.optimiser.step()
            with torch.no_grad():
                self.average_weights()
        return loss.item()
