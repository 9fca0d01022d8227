"""People part of the way from what came in to a fit: what a gate does with them.

PA-MPJPE falls fastest at the beginning of the way and rises, where it does, towards its end: a part of it keeps most of
the gain and harms fewer.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from diffjax import annotate, chunks, devices
from diffjax.data import records
from diffjax.methods import map_fit
from diffjax.pose import Pose, Refined

Numbers = Float[np.ndarray, " people"]


def sent(people: records.AnnotationSet, refined: Refined, share: Numbers) -> Refined:
    """The people at their `share` of the way: joints turned, betas and place moved so far; at 0 and 1 to the bit."""
    came, went = annotate.estimate_of(people), Pose(*(np.asarray(x) for x in refined.pose))
    pose = came if (share == 0).all() else went
    if ((share > 0) & (share < 1)).any():
        how = {"size": devices.rows_at_once(), "label": "part of the way", "bar": False}
        pose, _ = chunks.in_chunks(_toward, (came, went, share.astype(np.float32)), **how)
    pose = Pose(*(_at(share, *x) for x in zip(came, went, pose)))
    place = refined.translation
    if people.pred_cam_t is not None:
        before, after = people.pred_cam_t, np.asarray(place)
        between = before + share[:, None].astype(np.float32) * (after - before)
        place = _at(share, before, after, between)
    return refined._replace(pose=pose, translation=place)


def _toward(batch):
    before, after, share = batch
    return map_fit.move(before, share[:, None] * map_fit.residual(before, after))


def _at(share: Numbers, before: Any, after: Any, between: Any) -> np.ndarray:
    share = share.reshape(-1, *[1] * (np.ndim(before) - 1))
    return np.where(share == 0, before, np.where(share == 1, after, between))
