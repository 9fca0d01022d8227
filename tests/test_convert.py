"""Converters: small files with the keys, types and quirks of the real ones."""

import numpy as np
import pytest

from diffjax.convert import motion
from diffjax.data import amass


def _silent(_: str) -> None:
    pass


def test_a_folder_of_motion_keeps_its_tree(tmp_path, rng):
    for name in ("a/walk.npz", "b/run.npz", "b/shape.npz"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            tmp_path / "in" / name,
            **({"betas": np.zeros(16)} if "shape" in name else {}),
            **({} if "shape" in name else {
                "poses": rng.normal(0, 0.2, (8, 156)), "trans": np.zeros((8, 3)),
                "mocap_framerate": 120.0, "gender": "male"}),
        )  # fmt: skip
    paths = motion.convert_motion(tmp_path / "in", tmp_path / "out", up="z", fps=30.0, say=_silent)
    assert paths == [tmp_path / "out" / "a" / "walk.npz", tmp_path / "out" / "b" / "run.npz"]
    found = amass.read_motion(paths[0])
    assert (len(found.poses), found.fps, found.gender) == (2, 30.0, "male")
    with pytest.raises(FileNotFoundError, match=r"wanted motion \.npz files, found none"):
        motion.convert_motion(tmp_path / "none", tmp_path / "out", up="y", say=_silent)
