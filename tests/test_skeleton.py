"""Every keypoint set is consistent with itself and with the others."""

import numpy as np
import pytest

from diffjax import skeleton


@pytest.mark.parametrize("name", skeleton.KEYPOINT_SETS)
def test_a_set_has_the_size_of_its_name_and_no_duplicates(name):
    names = skeleton.KEYPOINT_SETS[name]
    assert len(names) == len(set(names))
    assert sum(skeleton.counted(name)) == int("".join(c for c in name if c.isdigit())[-2:])


@pytest.mark.parametrize("name", skeleton.KEYPOINT_SETS)
def test_mirroring_twice_is_the_identity(name):
    names = skeleton.KEYPOINT_SETS[name]
    mirror = skeleton.mirror_permutation(names)
    assert [mirror[i] for i in mirror] == list(range(len(names)))
    assert all(("left" in names[i]) == ("right" in names[j]) for i, j in enumerate(mirror))


def test_parents_come_before_children():
    assert all(parent < joint for joint, parent in enumerate(skeleton.SMPL_PARENTS))


def test_keypoints_hang_on_each_other_as_in_smpl_and_human36m():
    assert skeleton.keypoint_parents("smpl24") == skeleton.SMPL_PARENTS
    tree = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert skeleton.keypoint_parents("h36m17") == skeleton.keypoint_parents("h36m17_native") == tree
    with pytest.raises(ValueError, match="wanted a pelvis"):
        skeleton.keypoint_parents("coco17")


@pytest.mark.parametrize("name", [n for n, s in skeleton.KEYPOINT_SETS.items() if "pelvis" in s])
def test_every_keypoint_hangs_on_the_pelvis_in_the_end(name):
    names, parents = skeleton.KEYPOINT_SETS[name], skeleton.keypoint_parents(name)
    reached = np.arange(len(names))
    for _ in names:
        reached = np.where(np.array(parents)[reached] < 0, reached, np.array(parents)[reached])
    assert {names[joint] for joint in reached} == {"pelvis"}
    arms = {n: names[parents[i]] for i, n in enumerate(names) if "wrist" in n or "ankle" in n}
    up = {"wrist": "elbow", "ankle": "knee"}
    assert arms == {n: n.replace(w, up[w]) for n in arms for w in up if w in n}


def test_maps_follow_names():
    index = skeleton.keypoint_map("h36m17", "h36m14")
    assert index == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
    assert skeleton.keypoint_map("coco17", "halpe26")[17] == -1
    # The order by which MPI-INF-3DHP's test joints become Human3.6M's.
    assert skeleton.keypoint_map("mpii3d17", "h36m17") == (
        14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4,
    )  # fmt: skip


def test_human36m_itself_has_the_right_leg_first_and_the_regressor_the_left():
    native, regressed = (skeleton.KEYPOINT_SETS[name] for name in ("h36m17_native", "h36m17"))
    assert native[1:4] == ("right_hip", "right_knee", "right_ankle") == regressed[4:7]
    assert skeleton.keypoint_map("h36m17_native", "h36m17") == (
        0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    )  # fmt: skip
    # The left and right joints as VideoPose3D's files list them.
    sides = [[i for i, n in enumerate(native) if side in n] for side in ("left", "right")]
    assert sides == [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


def test_the_upper_neck_of_25b_is_nobodys_neck():
    assert "neck" not in skeleton.KEYPOINT_SETS["openpose25b"]
    assert skeleton.keypoint_map("openpose25b", "coco17") == tuple(range(17))
    feet = skeleton.keypoint_map("openpose25b", "halpe26")[20:]
    assert feet == (19, 22, 20, 23, 21, 24)


def test_scorehmrs_sets_are_the_indices_of_its_44_joints():
    """KEYPOINT_LIST of its datasets.yaml; PELVIS_IND is 39, hips are 27 and 28."""
    names = skeleton.KEYPOINT_SETS
    all44 = [name.removesuffix("_extra") for name in names["hmr44"]]
    assert all44 == [*names["openpose25"], *names["j19"]]
    assert all44[39] == "pelvis"
    assert all44[27:29] == ["right_hip", "left_hip"]
    fourteen, seventeen = [*range(25, 38), 43], [*range(25, 38), 39, 41, 42, 43]
    counted = [n for n, yes in zip(names["scorehmr14"], skeleton.counted("scorehmr14")) if yes]
    assert [all44[i] for i in fourteen] == counted
    assert tuple(all44[i] for i in seventeen) == names["scorehmr17"]


def test_scorehmrs_sets_are_centred_on_the_pelvis_and_others_on_the_hips():
    assert skeleton.root_of("h36m17") == (1, 4)
    assert skeleton.root_of("j19") == (14,)
    assert skeleton.root_of("scorehmr14") == (14,)
    assert skeleton.root_of("scorehmr17") == (13,)
    assert skeleton.counted("h36m17") == (True,) * 17


def test_an_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="coco17"):
        skeleton.keypoint_map("coco", "h36m17")
