"""DiffAnnot's step search in the table: fixed, chosen by 2D keypoints, by the truth, and the controls."""

import jax
import numpy as np

from diffjax import ablation, annotate, choosing, contest
from diffjax.comparison import people
from diffjax.comparison.method import Kit, Outcome, Task
from diffjax.data import records
from diffjax.methods import controls
from diffjax.pose import Refined


def search(given: ablation.People, kit: Kit, task: Task, seed: int) -> list[Outcome]:
    """Algorithm 1 on everybody, by every chooser. The fixed step is that of the validation people."""
    kinds = tuple(kind for kind in annotate.kinds_of(given.annotations) if kind != "joints3d"
                  and given.annotations.focal_px is not None)  # fmt: skip
    fixed = 0 if task.val is None else _fixed(task.val, kit, kinds, seed)
    searched, seconds = _searched(given, kit, kinds, fixed, seed)
    solid = given.truth.joints is not None
    return [
        _row(entry, given) for entry in contest.searched_entries(searched, fixed, solid, seconds)
    ]


def _fixed(val: people.Crowd, kit: Kit, kinds: tuple[annotate.Kind, ...], seed: int) -> int:
    # The same choosers as of those who are judged: the search is compiled once.
    held = tuple(kind for kind in kinds if kind in annotate.kinds_of(val.people.annotations))
    searched, _ = _searched(val.people, kit, held, 0, seed)
    return choosing.best_fixed_step(np.asarray(searched.curve))


def _searched(
    given: ablation.People,
    kit: Kit,
    kinds: tuple[annotate.Kind, ...],
    fixed: int,
    seed: int,
) -> tuple[choosing.Searched, float]:
    """The search of all people, in pairs of companions, and back in their order."""
    a, run = given.annotations, kit.run
    assert kit.denoiser is not None
    order = controls.pairs(records.count(a))
    mixed = records.take(a, order)
    problem = choosing.make_problem(given.judge, mixed, kinds, "annotations", order)
    parts = choosing.Parts(kit.guided, kit.denoiser, given.judge, None)
    searcher = choosing.make_searcher(parts, mixed, kinds, run.search, fixed, seed)
    searched, seconds = choosing.search_all(searcher, problem)
    # Where the number is odd, someone comes twice.
    _, first = np.unique(order, return_index=True)
    return jax.tree.map(lambda x: np.asarray(x)[first], searched), seconds


def _row(entry: contest.Entry, given: ablation.People) -> Outcome:
    place = np.zeros((records.count(given.annotations), 3), np.float32)
    honest = entry.sees not in ("the truth", "the 2D judge")
    return Outcome(entry.name, entry.sees, Refined(entry.people, place, {}), entry.seconds, honest)
