"""What is said of a set under a protocol, beside its numbers."""

import numpy as np

from diffjax import evaluate, skeleton
from diffjax.data import records
from diffjax.protocols import errors, in_time, truth
from diffjax.protocols.protocol import Protocol


def partly(protocol: Protocol, known: truth.Truth) -> tuple[str, ...]:
    """People of whom some joints that count are not known."""
    if protocol.truth in ("table", "image"):
        return ()
    names = skeleton.keypoint_set(protocol.joints)
    at = [names.index(name) for name in protocol.counted]
    part = known.joints[:, at, 3] > 0
    some = int((part.any(-1) & ~part.all(-1)).sum())
    roots = [[names.index(name) for name in root] for root in protocol.root]
    first, *rest = ((known.joints[:, root, 3] > 0).all(-1) for root in roots)
    other = int((np.any(rest, 0) & ~first).sum()) if rest else 0
    said = [f"{some} rows are judged on fewer than {len(at)} joints"] * (some > 0)
    if other:
        said.append(f"{other} rows stand on the middle of the hips, for their truth has no pelvis")
    return tuple(said)


def lacks(
    protocol: Protocol,
    a: records.AnnotationSet,
    own: evaluate.Truth,
    placed: bool,
    tracks: in_time.Tracks,
) -> tuple[str, ...]:
    """What the set is not, where its tracks are, and how 2D errors are placed."""
    said = [f"WARNING: {found}" for check in protocol.checks if (found := check(a))]
    measures = {column.measure for column in protocol.columns}
    if measures & set(errors.IN_TIME):
        said += tracks.notes
    if protocol.truth == "image":
        said.append(
            "translation: " + ("the estimate's own" if placed else "solved, none is stored")
        )
        image = own.image.keypoints2d if own.image is not None else np.zeros((0, 1, 3))
        blind = int((~(np.asarray(image)[..., 2] > 0).any(-1)).sum())
        said += [f"{blind} rows have no keypoint and are not judged"] * (blind > 0)
    return tuple(said)
