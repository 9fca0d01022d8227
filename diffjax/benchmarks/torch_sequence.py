"""The networks of `denoisers.sequence` in PyTorch, eager: peers of its benchmark, not API. Imports torch.

`Published` is the attention as STCFormer has it, with its names of parameters; `Tuned` is the same in the order of
channels that is fastest here, with PyTorch's own attention.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from diffjax.denoisers import stcformer_weights


class Published(nn.Module):
    """Criss-cross attention over (batch, T, J, c): q, k, v innermost, the halves joined head by head."""

    def __init__(self, width: int, heads: int, parts: tuple[int, ...]):
        super().__init__()
        half = width // 2
        self.heads, self.scale = heads, half**-0.5
        self.layer_norm = nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.emb = nn.Embedding(max(parts) + 1, half // heads)
        self.sep2_s, self.sep2_t = (
            nn.Conv2d(half, half, 3, padding=1, groups=half) for _ in range(2)
        )
        self.register_buffer("parts", torch.tensor(parts), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, frames, joints, width = x.shape
        parts = self.qkv(self.layer_norm(x)).reshape(batch, frames, joints, width, 3).unbind(-1)
        half = (batch, frames, joints, self.heads, -1)
        (q_s, q_t), (k_s, k_t), (v_s, v_t) = (part.chunk(2, -1) for part in parts)
        # (batch, heads, T, J, d), and for time (batch, heads, J, T, d).
        space = self._attend(*(a.reshape(half).permute(0, 3, 1, 2, 4) for a in (q_s, k_s, v_s)))
        time = self._attend(*(a.reshape(half).permute(0, 3, 2, 1, 4) for a in (q_t, k_t, v_t)))
        space = space + self._image(self.sep2_s, v_s)
        time = time.transpose(2, 3) + self._image(self.sep2_t, v_t)
        embedding = self.emb(self.parts)
        both = torch.cat([space + 1e-4 * embedding, time + 1e-9 * embedding], -1)
        return x + self.proj(both.permute(0, 2, 3, 1, 4).reshape(x.shape))

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ k.mT * self.scale, -1) @ v

    def _image(self, conv: nn.Conv2d, values: torch.Tensor) -> torch.Tensor:
        """(batch, heads, T, J, d) of the convolution over (T, J)."""
        found = conv(values.permute(0, 3, 1, 2))
        return found.unflatten(1, (self.heads, -1)).permute(0, 1, 3, 4, 2)

    def arrays(self) -> dict[str, Any]:
        """Our parameters."""
        return stcformer_weights.attention_of(lambda name: _arrays(getattr(self, name)), self.heads)


class Tuned(nn.Module):
    """`criss_cross.CrissCross(layout="compat")` with these parameters."""

    def __init__(self, params: Mapping[str, Any], heads: int, parts: tuple[int, ...]):
        super().__init__()
        self.heads, self.norm = heads, _norm(params["norm"])
        self.qkv, self.out = _linear(params["qkv"]), _linear(params["out"])
        width = self.out.in_features
        self.scale = (width // 2) ** -0.5
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        kernel = np.asarray(params["kernel"]).transpose(2, 0, 1)[:, None]
        self.conv.weight.data = _tensor(kernel)
        self.conv.bias = nn.Parameter(_tensor(params["bias"]))
        self.structure = nn.Parameter(_tensor(params["structure"]))
        self.register_buffer("parts", torch.tensor(parts))
        self.shares = torch.tensor([[[1e-4]], [[1e-9]]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (*x.shape[:3], 3, 2, self.heads, -1)
        qkv = self.qkv(self.norm(x)).reshape(shape)
        space = self._attend(*qkv[..., 0, :, :].permute(3, 0, 1, 4, 2, 5))
        time = self._attend(*qkv[..., 1, :, :].permute(3, 0, 2, 4, 1, 5))
        both = torch.stack([space.permute(0, 1, 3, 2, 4), time.permute(0, 3, 1, 2, 4)], 3)
        both = both + self.structure[self.parts][:, None, None] * self.shares
        image = qkv[:, :, :, 2].reshape(x.shape).permute(0, 3, 1, 2)
        return x + self.out(both.reshape(x.shape) + self.conv(image).permute(0, 2, 3, 1))

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q, k, v, scale=self.scale)


class Mlp(nn.Module):
    """x + W_2 GELU(W_1 LayerNorm(x)), without biases."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width, bias=False)
        self.contract = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.contract(functional.gelu(self.expand(self.norm(x))))


class PoseDenoiser(nn.Module):
    """`sequence.PoseDenoiser(layout="compat")`, with fresh weights."""

    def __init__(self, width: int, blocks: int, heads: int, parts: tuple[int, ...]):
        super().__init__()
        self.width = width
        self.time = nn.ModuleList([nn.Linear(width, 2 * width), nn.Linear(2 * width, width)])
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.inward, self.outward = nn.Linear(5, width), nn.Linear(width, 3)
        self.first, self.second = (
            nn.ModuleList(Published(width, heads, parts) for _ in range(blocks)) for _ in range(2)
        )
        self.mlp = nn.ModuleList(Mlp(width) for _ in range(blocks))

    def forward(self, x: torch.Tensor, poses2d: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        te = self.time[1](functional.gelu(self.time[0](sinusoid(t, self.width))))
        h = self.inward(torch.cat([poses2d, x], -1))
        for first, second, project, mlp in zip(self.first, self.second, self.project, self.mlp):
            h = mlp(second(first(h) + project(te)[..., None, None, :]))
        return self.outward(h)

    def arrays(self) -> dict[str, Any]:
        """Our parameters."""
        params = {name: _arrays_of(getattr(self, name)) for name in ("inward", "outward")}
        for kind in ("time", "project", "first", "second", "mlp"):
            for i, module in enumerate(getattr(self, kind)):
                params[f"{kind}_{i}"] = _arrays_of(module)
        return params


def tuned(network: PoseDenoiser) -> PoseDenoiser:
    """The same network with every attention `Tuned`; takes the network's other layers for its own."""
    params = network.arrays()
    for kind in ("first", "second"):
        old = getattr(network, kind)
        made = (
            Tuned(params[f"{kind}_{i}"], module.heads, tuple(module.parts.tolist()))
            for i, module in enumerate(old)
        )
        setattr(network, kind, nn.ModuleList(made))
    return network


def sinusoid(t: torch.Tensor, size: int) -> torch.Tensor:
    """Sines, then cosines."""
    half = size // 2
    angle = t[:, None].float() * torch.exp(-math.log(1e4) * torch.arange(half) / (half - 1))
    return torch.cat([angle.sin(), angle.cos()], -1)


def _arrays_of(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, Published):
        return module.arrays()
    if isinstance(module, Mlp):
        return {name: _arrays_of(child) for name, child in module.named_children()}
    made = stcformer_weights.norm_of if isinstance(module, nn.LayerNorm) else None
    return (made or stcformer_weights.linear_of)(_arrays(module))


def _arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy().copy() for name, p in module.named_parameters()}


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def _linear(layer: Mapping[str, Any]) -> nn.Linear:
    made = nn.Linear(*layer["kernel"].shape)
    made.weight.data, made.bias.data = _tensor(layer["kernel"].T), _tensor(layer["bias"])
    return made


def _norm(layer: Mapping[str, Any]) -> nn.LayerNorm:
    made = nn.LayerNorm(len(layer["bias"]))
    made.weight.data, made.bias.data = _tensor(layer["scale"]), _tensor(layer["bias"])
    return made
