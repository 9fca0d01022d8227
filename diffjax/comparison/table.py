"""The table of methods. A new method is one entry."""

from collections.abc import Sequence
from typing import Any

from diffjax import annotate
from diffjax.comparison import evidence, peer, plain, sequence, smplify, steps
from diffjax.comparison.method import Method, chain

FLAT: tuple[annotate.Kind, ...] = ("labels", "detections")


def _mode(name: str, told, *needs: str, sees: tuple[annotate.Kind, ...] = annotate.KINDS) -> Method:
    """A mode of DiffAnnot, or beside it."""
    return Method(
        name,
        evidence.guidance(name),
        sees,
        needs,
        evidence.guidance_grid(name),
        told,
        evidence.guidance_run(name),
    )


def _rival(name: str, method, prior: str) -> Method:
    """ScoreHMR's evidence without its network: rows as they belong together in the set."""
    told = evidence.told_fit if method == "loop" else evidence.told_gradients
    return Method(
        name,
        evidence.fit(name, method, prior, "set"),
        FLAT,
        ("ScoreHMR's prior",),
        evidence.fit_grid(method, "set"),
        told,
    )


def _scorehmr(name: str, use: str, *needs: str, **changes: Any) -> Method:
    """The loop as scripts/refine.py runs it."""
    return Method(
        name,
        evidence.fit(name, "loop", "network", use),
        FLAT,
        ("ScoreHMR's prior", *needs),
        evidence.fit_grid("loop", use, **changes),
        evidence.told_fit,
        evidence.fit_run(use),
    )


def _smplify(name: str, descent: smplify.Descent, prior: smplify.Prior, **more: Any) -> Method:
    """SMPLify with one of its descents and priors."""
    return Method(
        name,
        smplify.rows(name, descent, prior),
        FLAT,
        ("ScoreHMR's prior", *(("scikit-learn",) if prior == "mixture" else ())),
        smplify.grid(prior),
        smplify.told,
        **more,
    )


METHODS: tuple[Method, ...] = (
    Method("estimate", plain.identity),
    Method("mean-shift", plain.mean_shift, needs=("validation poses",)),
    Method("linear", plain.linear, needs=("validation poses",)),
    Method(
        "smooth",
        plain.smooth,
        needs=("tracks",),
        grid=lambda kit, kind: plain.windows(kit),
        told=lambda window: f"{window} frames",
    ),
    Method(
        "one-euro",
        plain.one_euro,
        needs=("tracks",),
        grid=lambda kit, kind: list(plain.CUTOFFS),
        told=lambda setting: f"{setting[0]:g} Hz",
    ),
    Method("paper", steps.search, needs=("truth", "DiffAnnot's denoiser"), oracle=True),
    Method("frontend", evidence.frontend, ("labels",), ("the frontend",)),
    _rival("adam", "adam", "eps = 0"),
    _rival("lbfgs", "lbfgs", "eps = 0"),
    Method(
        "ik",
        evidence.inverse_kinematics,
        ("joints3d",),
        ("a prior",),
        lambda kit, kind: list(evidence.PULLS),
        lambda pull: f"pull {pull:g}",
    ),
    _smplify("smplify", "lbfgs", "mixture"),
    _smplify("smplify-adam", "adam", "mixture", default=False),
    _smplify("smplify-diffusion", "adam", "diffusion", default=False),
    Method(
        "smplfitter",
        peer.inverse_kinematics,
        ("joints3d",),
        ("smplfitter",),
        lambda kit, kind: list(peer.ROUNDS),
        lambda rounds: f"{rounds} rounds",
        default=False,
    ),
    _mode("fast", evidence.told_fast, "the frontend's residuals"),
    _mode("guided", evidence.told_guided, "a prior"),
    _mode("combined", evidence.told_combined, "the frontend's residuals", "a prior"),
    _mode("recall", evidence.told_recall, "known poses", sees=FLAT),
    _mode(
        "recall+combined",
        evidence.told_recall_combined,
        *("known poses", "the frontend's residuals", "a prior"),
        sees=FLAT,
    ),
    Method(
        "d3prefiner",
        sequence.refine,
        FLAT,
        ("tracks", "a refiner of sequences", "a prior"),
        lambda kit, kind: list(sequence.PULLS),
        lambda pull: f"pull {pull:g}",
    ),
    _scorehmr("loop", "set", prior="none"),
    _rival("gaussian", "loop", "Gaussian"),
    _scorehmr("scorehmr", "frames"),
    _scorehmr("scorehmr-video", "video", "tracks"),
    _scorehmr("scorehmr-views", "views", "calibrated views"),
)
"""In the order of rows. `loop` is ScoreHMR's with eps = 0: the prior knows nothing."""


def chosen(names: Sequence[str], methods: Sequence[Method] = METHODS) -> list[Method]:
    """The methods of these names, `a+b` for one after the other, `all` for all; without names those of `default`.

    The estimate is always there, for all others are compared with it.
    """
    known = {method.name: method for method in methods}
    some = [methods if name == "all" else [_named(name, known)] for name in names]
    found = [m for part in some for m in part] or [m for m in methods if m.default]
    first = known["estimate"]
    return [first, *dict.fromkeys(method for method in found if method != first)]


def _named(name: str, known: dict[str, Method]) -> Method:
    if name in known:
        return known[name]
    parts = name.split("+")
    for part in parts:
        if part not in known:
            raise ValueError(
                f"--methods {name}: wanted all, names of {', '.join(known)}, or chains a+b, found {part!r}"
            )
        if len(parts) > 1 and known[part].oracle:
            raise ValueError(f"--methods {name}: {part} is judged by the truth; it is in no chain")
    whole = known[parts[0]]
    for part in parts[1:]:
        whole = _checked(chain(whole, known[part]), name)
    return whole


def _checked(method: Method, name: str) -> Method:
    if not method.sees and all(part.sees for part in method.parts):
        raise ValueError(f"--methods {name}: wanted parts that see the same evidence, found none")
    return method
