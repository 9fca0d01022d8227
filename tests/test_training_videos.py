"""Videos of training people: no frontend saw its subject, and every take is a video of its own."""

import jax
import numpy as np
import pytest
import tiny

from diffjax import simulate, training_videos
from diffjax.data import amass, moments, motion, records, splits, synthetic
from diffjax.frontends import keypoint_hmr


@pytest.fixture(scope="module")
def scene():
    return synthetic.scene_of(tiny.bones(), np.eye(24)[:17], np.eye(24)[:14])


def _clip(rng, name, frames):
    poses = rng.normal(0, 0.2, (frames, 24, 3)).astype(np.float32)
    place, shape = np.zeros((frames, 3), np.float32), np.zeros(10, np.float32)
    return motion.Clip(amass.Motion(poses, place, shape, 30.0, "neutral"), name, name.split("_")[0])


@pytest.mark.usefixtures("quick_to_compile")
def test_no_frontend_saw_the_subject_that_it_films(rng, scene, monkeypatch):
    monkeypatch.setattr(moments, "WINDOW", 4)
    monkeypatch.setattr(simulate, "_ROWS", 8)
    clips = [_clip(rng, name, 9) for name in ("a_1", "b_1", "c_1")] + [_clip(rng, "d_1", 2)]
    frames = moments.with_mirrors(moments.gather(clips, 1))
    params, trained, filmed = keypoint_hmr.init(jax.random.key(0), width=8), [], []

    def train(key, coco, pool, index, **_):
        trained.append(set(frames.subject[np.asarray(index)]))
        return params

    def film(seed, windows, *rest, original=simulate.track_set):
        filmed.append((len(trained) - 1, set(windows.subject)))
        return original(seed, windows, *rest)

    monkeypatch.setattr(keypoint_hmr, "train", train)
    monkeypatch.setattr(simulate, "track_set", film)
    sampling = splits.Sampling(train_every=1)
    made = training_videos.cross_fitted(clips, scene, sampling, takes=2, steps=1)
    assert len(trained) == 4
    # One subject's clip is too short for a window: he trains frontends, and is in no video.
    assert len(filmed) == 2 * 3
    assert all(not trained[i] & seen for i, seen in filmed)
    assert records.count(made) == 2 * 3 * 2 * 4
    assert set(made.subject) == {"a", "b", "c"}
    names, sizes = np.unique(made.sequence, return_counts=True)
    assert len(names) == 12
    assert set(sizes) == {4}
    first, second = (made.keypoints2d[np.char.endswith(made.sequence, f"take {i}")] for i in (0, 1))
    assert not np.isclose(first, second).all()
