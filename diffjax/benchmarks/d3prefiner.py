"""How many training steps a second, and how many refined frames, does D3PRefiner's network make?

Against PyTorch, eager, with the same weights: STCFormer's attention as published, and the same put as fast as we
can. Both sides must give the same poses and the same losses before they are timed. Everything is in memory, noise
drawn; a step is forward, backward and Adam; refining is the published chain of two steps, with both network calls.

Windows go through two at a time, so that what lies between two layers stays in the cache: ours in both tasks (a
step adds up gradients, whatever its batch), PyTorch where it gains by it, which is refining alone.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from diffjax import criss_cross, skeleton
from diffjax import schedule as schedules
from diffjax.benchmarks import timing
from diffjax.denoisers import sequence

PEERS = "torch, eager, as published", "torch, eager, our layout and its own attention"
CHAIN = (49, 24), (24, None)
"""From step to step; None is the end."""
FRAMES, JOINTS, HEADS, RATE = 27, "h36m17_native", 8, 1e-3
STEPS, CHUNK = 4, 2
"""Steps of a dispatch; windows at a time."""
ERROR_M = 0.03
"""Standard deviation of a coordinate of the estimate's error."""
_STEPS = schedules.make_schedule("cosine", 50)
SIGNAL, NOISE = (np.asarray(x, np.float32) for x in (_STEPS.signal, _STEPS.noise))


class Case(NamedTuple):
    """A network, and how many windows it takes at once."""

    width: int
    blocks: int
    train_windows: int
    refine_windows: int


QUICK = (Case(128, 4, 8, 16),)
CASES = (*QUICK, Case(256, 4, 8, 32))


class Windows(NamedTuple):
    """Sequences and the errors of their estimates, metres; a step for each."""

    truth: Any
    error: Any
    """Of the estimate, in units of ERROR_M: what the network is to say."""
    poses2d: Any
    t: Any


def make_windows(count: int, frames: int = FRAMES, seed: int = 0) -> Windows:
    """Seeded numbers of the right size."""
    random = np.random.default_rng(seed)

    def normal(size, scale=1.0):
        return (scale * random.normal(size=(count, frames, 17, size))).astype(np.float32)

    t = random.integers(0, len(SIGNAL), count).astype(np.int32)
    return Windows(normal(3, 0.3), normal(3), normal(2), t)


def network_of(case: Case) -> sequence.PoseDenoiser:
    """STCFormer's layout: the one that the peer has."""
    return sequence.PoseDenoiser(case.width, case.blocks, HEADS, JOINTS, layout="compat")


def _loss(predict: Callable, windows: Windows, signal: Any, noise: Any) -> Any:
    """(7) and (8): mean square of what is said of the error in x_t = (a + b) x_0 + b e. Of either library."""
    a, b = (x[windows.t][:, None, None, None] for x in (signal, noise))
    x_t = (a + b) * windows.truth + b * ERROR_M * windows.error
    return ((predict(x_t, windows.poses2d, windows.t) - windows.error) ** 2).mean()


def _chunks(windows: Windows) -> Windows:
    return jax.tree.map(lambda x: x.reshape(-1, CHUNK, *x.shape[1:]), windows)


def _refine(predict: Callable, windows: Windows) -> Any:
    """(9) from the estimate itself. Of either library."""
    x = windows.truth + ERROR_M * windows.error
    for t, t_next in CHAIN:
        error = ERROR_M * predict(x, windows.poses2d, t)
        a, b = float(SIGNAL[t]), float(NOISE[t])
        x_0 = (x - b * error) / (a + b)
        a, b = (1.0, 0.0) if t_next is None else (float(SIGNAL[t_next]), float(NOISE[t_next]))
        x = (a + b) * x_0 + b * error
    return x


class Ours:
    """The two jitted calls, and Adam's state."""

    def __init__(self, case: Case, params: Any):
        network = network_of(case)
        optimiser = optax.adam(RATE)
        self.params = params
        self._begin = lambda: jax.tree.map(jnp.copy, (params, optimiser.init(params)))
        self.begin()

        def loss(params, windows):
            predict = functools.partial(network.apply, {"params": params})
            return _loss(predict, windows, jnp.asarray(SIGNAL), jnp.asarray(NOISE))

        def step(state, chunks):
            params, moments = state

            def add(total, chunk):
                value, gradient = jax.value_and_grad(loss)(params, chunk)
                return jax.tree.map(jnp.add, total, gradient), value

            total, values = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), chunks)
            mean = jax.tree.map(lambda x: x / len(values), total)
            with jax.numpy_dtype_promotion("standard"):  # Adam's powers of a count.
                updates, moments = optimiser.update(mean, moments)
            return (optax.apply_updates(params, updates), moments), jnp.mean(values)

        def steps(state, windows):
            # As `train` does: what lies between two steps stays allocated.
            chunks = _chunks(windows)
            return jax.lax.scan(lambda state, _: step(state, chunks), state, length=STEPS)

        def refine(params, windows):
            def predict(x, poses2d, t):
                return network.apply({"params": params}, x, poses2d, jnp.full((1,), t))

            return jax.lax.map(lambda chunk: _refine(predict, chunk), _chunks(windows))

        self._step, self._refine = jax.jit(steps, donate_argnums=0), jax.jit(refine)

    def begin(self) -> None:
        """Training starts anew."""
        self.state = self._begin()

    def step(self, windows: Windows) -> jax.Array:
        """A dispatch of STEPS; the loss before each."""
        self.state, losses = self._step(self.state, windows)
        return losses

    def refine(self, windows: Windows) -> jax.Array:
        """With the weights that it began with."""
        return self._refine(self.params, windows).reshape(windows.truth.shape)


class Theirs:
    """The same in PyTorch."""

    def __init__(self, network: Any):
        import torch

        self.torch, self.network = torch, network
        self.signal, self.noise = torch.from_numpy(SIGNAL), torch.from_numpy(NOISE)
        self.adam = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)

    def step(self, windows: Windows) -> list[float]:
        """STEPS of them; the loss before each."""
        losses = []
        for _ in range(STEPS):
            self.adam.zero_grad()
            loss = _loss(self.network, windows, self.signal, self.noise)
            loss.backward()
            self.adam.step()
            losses.append(loss.item())
        return losses

    def refine(self, windows: Windows) -> Any:
        """With the weights of now."""
        chunks = zip(*(x.split(CHUNK) for x in windows))
        with self.torch.inference_mode():
            return self.torch.cat([_refine(self._predict, Windows(*chunk)) for chunk in chunks])

    def _predict(self, x: Any, poses2d: Any, t: int) -> Any:
        return self.network(x, poses2d, self.torch.tensor([t]))


def make(case: Case) -> tuple[Ours, dict[str, Theirs]]:
    """Both sides with the same weights: PyTorch's fresh ones, or ours where it is not installed."""
    try:
        import torch

        from diffjax.benchmarks import torch_sequence
    except ImportError:
        x, p, _, t = (jnp.asarray(a[:1]) for a in make_windows(1))
        params = jax.jit(network_of(case).init)(jax.random.key(0), x, p[..., :2], t)["params"]
        return Ours(case, params), {}
    parts = criss_cross.part_table(skeleton.keypoint_set(JOINTS))

    def fresh():
        torch.manual_seed(0)
        return torch_sequence.PoseDenoiser(case.width, case.blocks, HEADS, parts)

    params = jax.tree.map(jnp.asarray, fresh().arrays())
    networks = fresh(), torch_sequence.tuned(fresh())
    return Ours(case, params), {name: Theirs(net) for name, net in zip(PEERS, networks)}


def tensors(windows: Windows) -> Windows:
    """The same for PyTorch."""
    import torch

    made = Windows(*(torch.from_numpy(np.array(a)) for a in windows))
    return made._replace(t=made.t.long())


def agreement(ours: Ours, theirs: Theirs, windows: Windows) -> str:
    """How far their refined poses are apart; RuntimeError unless poses and losses of two steps are the same."""
    here, there = jax.tree.map(jnp.asarray, windows), tensors(windows)
    off = np.abs(np.asarray(ours.refine(here)) - theirs.refine(there).numpy()).max()
    ours.begin()
    # Adam's first step takes the sign of a gradient that is all rounding for what it is.
    apart = np.abs(np.asarray(ours.step(here)) / theirs.step(there) - 1.0)
    ours.begin()
    if not (off < 1e-5 and apart[0] < 1e-5 and apart[1] < 1e-3):
        raise RuntimeError(
            f"the two networks differ by {off:.1e} m, their losses by {apart[0]:.1e} and, after a step, "
            f"{apart[1]:.1e}: they are not the same"
        )
    return f"agrees to {off:.0e} m"


def flops_of(case: Case, frames: int) -> float:
    """Of one forward pass: its matrix products, attention's too."""
    tokens, c = frames * 17, case.width
    attention = 4 * c * c + c * (17 + FRAMES)
    return 2.0 * tokens * (case.blocks * (2 * attention + 8 * c * c) + 8 * c)


def _ceiling(tokens: int, width: int) -> float:
    """Flops a second of the network's largest product, in float32."""
    x, up, down = (
        jnp.ones(s) / width for s in ((tokens, width), (width, 4 * width), (4 * width, width))
    )
    product = jax.jit(lambda x, up, down: (x @ up) @ down)
    seconds = timing.interleaved({"x": lambda: product(x, up, down)}, rounds=3)["x"].median
    return 16.0 * tokens * width * width / seconds


def rows(case: Case, rounds: int) -> Iterator[timing.Row]:
    """Training, then refining."""
    ours, peers = make(case)
    size = f"{case.width} wide, {case.blocks} blocks"
    notes = {n: agreement(ours, p, make_windows(CHUNK)) for n, p in make(case)[1].items()}
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"
    for what, count in (("step", case.train_windows), ("refine", case.refine_windows)):
        windows = make_windows(count)
        here = jax.tree.map(jnp.asarray, windows)
        contenders = {"diffjax": lambda what=what, here=here: getattr(ours, what)(here)}
        for name, peer in peers.items():
            there = tensors(windows)
            contenders[name] = lambda what=what, p=peer, x=there: getattr(p, what)(x)
        frames, training = count * FRAMES, what == "step"
        name = f"{'training' if training else 'refining'}, {size}, {count} windows of {FRAMES}"
        yield from timing.rows_of(
            name,
            timing.interleaved(contenders, rounds=rounds, clock=clock),
            items=float(STEPS) if training else float(frames),
            item="step" if training else "frame",
            flops=(3 if training else 2 / frames) * flops_of(case, frames),
            ceiling=_ceiling(frames * 17, case.width),
            notes=notes,
        )
        if not peers:
            note = "No module named 'torch'; pip install -e '.[dev]'"
            yield from (timing.Row(name, peer, None, note=note) for peer in PEERS)


def run(quick: bool = False) -> Iterator[timing.Row]:
    """Width 128, the light network, and width 256, STCFormer's; `quick` takes the light one."""
    for case in QUICK if quick else CASES:
        yield from rows(case, 5 if quick else 7)
