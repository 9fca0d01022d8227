"""Errors of 3D people in one place: metres in; millimetres, degrees, pixels or shares out, as the names say.

One number a sample, over any leading axes. Masks are weights that are not negative. What is not known is NaN, but in
the errors that losses are made of (MPJPE, PA-MPJPE, N-MPJPE, PCK), where it is 0 until `known` has seen it.
"""

from diffjax.metrics.alignment import (
    Similarity,
    moved,
    pa_mpjpe_mm,
    pa_vertex_error_mm,
    procrustes,
    similarity,
)
from diffjax.metrics.motion import (
    acceleration_error,
    acceleration_error_mm,
    differences_mm,
    velocity_error_mm,
)
from diffjax.metrics.pixels import box_px, head_px, image_error_px, image_pck
from diffjax.metrics.points import center, known, mpjpe_mm, n_mpjpe_mm, vertex_error_mm
from diffjax.metrics.shares import MPI_THRESHOLDS_MM, area_under_pck, auc, harm_rate, pck
from diffjax.metrics.turns import PARTS, orientation_error_deg, orientations, rotation_error_deg

__all__ = [
    "MPI_THRESHOLDS_MM", "PARTS", "Similarity", "acceleration_error", "acceleration_error_mm", "area_under_pck",
    "auc", "box_px", "center", "differences_mm", "harm_rate", "head_px", "image_error_px", "image_pck", "known",
    "moved", "mpjpe_mm", "n_mpjpe_mm", "orientation_error_deg", "orientations", "pa_mpjpe_mm",
    "pa_vertex_error_mm", "pck", "procrustes", "rotation_error_deg", "similarity", "velocity_error_mm",
    "vertex_error_mm",
]  # fmt: skip
