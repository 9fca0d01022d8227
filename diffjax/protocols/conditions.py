"""What must be true of a set so that its numbers may stand beside a paper's; said where it is not."""

from collections.abc import Sequence

import numpy as np

from diffjax.data import records
from diffjax.protocols import naming
from diffjax.protocols.protocol import Check


def gendered(a: records.AnnotationSet) -> str:
    """3DPW and EMDB: truth of male and female bodies, predictions of the neutral one."""
    known = a.pose is not None or a.keypoints3d is not None
    if known and (a.gender is None or (a.gender == "neutral").all()):
        return (
            "the truth is neutral: published numbers measure neutral predictions against male and female "
            "bodies (field gender), which is harder"
        )
    return ""


def rows_of(*counts: int, of: str) -> Check:
    """As many rows as papers have."""

    def check(a: records.AnnotationSet) -> str:
        if records.count(a) in counts:
            return ""
        wanted = " or ".join(f"{count:,}" for count in counts)
        return f"{records.count(a):,} rows: {of} has {wanted}"

    return check


def detected(a: records.AnnotationSet) -> str:
    """The challenge leaves out frames without a detection."""
    if a.keypoints2d is None:
        return "no keypoints2d: frames without a detection, which the challenge leaves out, cannot be told"
    blind = int((~(a.keypoints2d[..., 2] > 0).any(-1)).sum())
    return f"{blind} rows have no detection: the challenge leaves them out" if blind else ""


def universal(a: records.AnnotationSet) -> str:
    """Which of two skeletons the joints are is not stored."""
    return (
        "the joints are taken as univ_annot3 (convert mpi-inf-3dhp --joints universal, its default); a set "
        "does not say it, and annot3 gives other numbers"
    )


def human36m(cameras: Sequence[str] = ()) -> Check:
    """Subjects 9 and 11, of these cameras or all, with the action in the sequence's name."""

    def check(a: records.AnnotationSet) -> str:
        found = naming.recordings(a.sequence, records.count(a))
        said = []
        unnamed = int((found.action == "").sum())
        if unnamed:
            said.append(f"{unnamed} rows whose sequence names no action, as S9/Walking 1/54138969")
        others = sorted(set(np.unique(found.subject).tolist()) - {"S9", "S11", ""})
        if others:
            said.append(f"subjects {', '.join(others)}: papers test on S9 and S11")
        extra = sorted(set(np.unique(found.camera).tolist()) - {*cameras, ""})
        if cameras and extra:
            said.append(f"cameras {', '.join(extra)}: papers take {', '.join(cameras)} alone")
        return "; ".join(said)

    return check
