"""Sequence sets whose bones keep their length: bones do, and no window of a lifter or refiner sees a whole video."""

import dataclasses

from diffjax import skeleton
from diffjax.data import sequence_sets
from diffjax.data.sequence_sets import SequenceSet
from diffjax.methods import baselines


def steadied(videos: SequenceSet, share: float) -> SequenceSet:
    """The set with estimates a share of the way to bones of their median length in each video."""
    if share == 0.0 or videos.estimate3d is None:
        return videos
    steady = baselines.steady_bones(skeleton.keypoint_parents(videos.joint_set), share)
    estimate = steady(videos.estimate3d, videos.poses2d, sequence_sets.video_ids(videos))
    return dataclasses.replace(videos, estimate3d=estimate)
