import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import config, demo, rotations
from diffjax.data import motion, records, splits


@pytest.fixture
def few(monkeypatch):
    clips = motion.generate(0, range(2), 1)
    monkeypatch.setattr(splits, "generated_clips", lambda part: clips)


@pytest.mark.parametrize("part", ["train", "val"])
def test_generated_people_are_a_valid_set_with_their_truth(few, toy_body, part):
    people = demo.poses(part, toy_body)
    records.check(people, "demo")
    assert people.pose is not None
    np.testing.assert_array_equal(people.pose, people.pred_pose)
    assert records.count(people) > 10
    unit = rotations.project_to_so3(jnp.asarray(people.pose))
    np.testing.assert_allclose(unit, people.pose, atol=1e-5)


def test_generated_people_are_the_same_every_time(few, toy_body):
    first, second = (demo.poses("train", toy_body) for _ in range(2))
    np.testing.assert_array_equal(first.pred_pose, second.pred_pose)
    np.testing.assert_array_equal(first.pred_betas, second.pred_betas)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("train", {"target": "prediction"}),
        ("train", {"gamma_3d": 1.0}),
        ("train", {"gamma_2d": 1.0}),
        ("model", {"condition": ("keypoints",)}),
    ],
)
def test_what_poses_alone_cannot_teach_is_refused(part, values):
    run = config.Run()
    changed = dataclasses.replace(getattr(run, part), **values)
    with pytest.raises(ValueError, match=rf"{part}.{next(iter(values))}: wanted .*make_estimates"):
        demo.check(dataclasses.replace(run, **{part: changed}))
    demo.check(run)
