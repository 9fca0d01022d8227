"""The peer of ScoreHMR's benchmark runs the same loop; nothing is timed here."""

import pytest

from diffjax.benchmarks import body, scorehmr

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def test_the_authors_way_and_ours_make_the_same_fit(tmp_path):
    figure = body.make_figure(2200)
    regressor = scorehmr.make_regressor(2200)
    setting = scorehmr.make_setting(figure, regressor, 4)
    keypoints = scorehmr.keypoints_of(figure, regressor)
    peer = scorehmr._peer(setting, figure, regressor, tmp_path)
    assert scorehmr._agreement(setting, keypoints, peer).startswith("agrees")
    moved = setting._replace(translation=setting.translation + 0.1)
    with pytest.raises(RuntimeError, match="two loops differ"):
        scorehmr._agreement(moved, keypoints, peer)


def test_a_fit_is_one_gigaflop():
    figure = body.make_figure(2200)
    setting = scorehmr.make_setting(figure, scorehmr.make_regressor(2200), 1)
    assert 0.9e9 < scorehmr.flops_of(setting) < 1.0e9
