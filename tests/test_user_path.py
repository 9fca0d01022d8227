"""From the files that users have to refined SMPL, by the commands that docs/methods.md tells."""

import dataclasses
import json
import shlex

import files_annotations
import files_mmhuman3d
import numpy as np
import pytest
import seen
import torch
from scipy.spatial.transform import Rotation

from diffjax import config, refine
from diffjax.convert import commands
from diffjax.data import records

pytestmark = pytest.mark.usefixtures("quick_to_compile")
IMAGES = [f"{i:012d}.jpg" for i in range(6)]
FOCAL_OF_PHALP = 5000 / 256 * 1280


def convert(line: str) -> None:
    """`python scripts/convert.py LINE`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["convert.py", *shlex.split(line)])
        commands.main("converters")


def refined(data, out, kind, prior, **changes):
    """`python scripts/refine.py --mode scorehmr ...` with few rounds: the set, its quality, what is said."""
    short = config.relative_fit(1.0, 4, through_network=False)
    settings = config.ScoreHMR(**{"labels": short, "detections": short, "video": short, **changes})
    run = config.Run(mode="scorehmr", scorehmr=settings, parts=config.Parts(prior=str(prior)))
    said = refine.refine_file(run, str(data), out, kind=kind)
    return records.read(out), np.load(out.with_name(f"{out.stem}_quality.npz")), said


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """HMR2's cache of six images and COCO's annotations of them, joined."""
    folder = tmp_path_factory.mktemp("people")
    found = seen.people(6, "coco17")
    cache, evaluation = seen.write_hmr2_cache(folder, found, IMAGES)
    coco = seen.write_coco(folder / "person_keypoints.json", found, IMAGES)
    convert(f"scorehmr-cache --cache {cache} --evaluation {evaluation} --out {folder}/hmr2.npz")
    convert(f"coco --source {coco} --estimates {folder}/hmr2.npz --out {folder}/people.npz")
    return folder, found


def test_hmr2s_cache_and_cocos_keypoints_become_refined_smpl(people, capsys):
    folder, found = people
    given = records.read(folder / "people.npz")
    np.testing.assert_allclose(given.pred_cam_t, found.cam_t, rtol=1e-5)
    np.testing.assert_array_equal(given.image_size_px, np.tile(seen.SIZE, (6, 1)))
    assert given.labels2d_set == "coco17"
    better, quality, said = refined(
        folder / "people.npz",
        folder / "better.npz",
        "labels",
        "converted_weights/demo_scorehmr.npz",
        labels=config.relative_fit(2.0, 10, through_network=False),
    )
    before, after = (quality[f"reprojection_px_{when}"] for when in ("before", "after"))
    assert (after < 0.8 * before).all()
    assert "6 people, 0 as they came" in said
    for field in ("image", "labels2d", "focal_px", "image_size_px", "pred_betas", "bbox_px"):
        np.testing.assert_array_equal(getattr(better, field), getattr(given, field))
    convert(f"to-spin --source {folder}/better.npz --out {folder}/spin.npz")
    back = folder / "back.npz"
    convert(f"spin --source {folder}/spin.npz --role estimate --out {back}")
    np.testing.assert_allclose(records.read(back).pred_pose, better.pred_pose, atol=1e-5)
    convert(f"to-json --source {folder}/better.npz --out {folder}/better.json --body {seen.BODY}")
    written = json.loads((folder / "better.json").read_text())["people"]
    assert [person["image"] for person in written] == IMAGES
    np.testing.assert_allclose([p["betas"] for p in written], better.pred_betas, rtol=1e-6)
    turns = np.concatenate([written[2]["global_orient"], np.ravel(written[2]["body_pose"])])
    matrices = Rotation.from_rotvec(turns.reshape(24, 3)).as_matrix()
    np.testing.assert_allclose(matrices, better.pred_pose[2], atol=1e-5)
    pelvis, place = (np.array(written[2][name]) for name in ("joints3d", "cam_t"))
    assert np.linalg.norm(pelvis[0] - place) < 0.4


def test_a_prior_of_scorehmrs_authors_takes_pares_features(people):
    folder, found = people
    state = files_annotations.pose_state(3072, 4, 1)
    state |= {name: torch.zeros_like(state[name]) for name in state if name.startswith("final")}
    torch.save(files_annotations.scorehmr_checkpoint(state, 1000), folder / "model-100.pt")
    stats, _ = files_annotations.write_statistics(folder, 3072)
    convert(f"weights --source {folder}/model-100.pt --stats {stats} --out {folder}/prior.npz")
    features = files_mmhuman3d.pare(folder / "pare.npz", pred_pose=found.rotations)
    convert(
        f"scorehmr-cache --cache {folder}/hmr2b_people.npz --evaluation {folder}/people_eval.npz "
        f"--features {features} --out {folder}/seen.npz"
    )
    convert(
        f"join --estimates {folder}/seen.npz --evidence {folder}/people.npz --out {folder}/both.npz"
    )
    assert records.read(folder / "both.npz").features.shape == (6, 3072)
    out = folder / "conditioned.npz"
    better, quality, _ = refined(folder / "both.npz", out, "labels", folder / "prior.npz")
    assert (quality["reprojection_px_after"] < 0.9 * quality["reprojection_px_before"]).all()
    assert better.features is not None
    with pytest.raises(
        ValueError, match=r"field features: wanted \(3072,\) a person, .* found nothing"
    ):
        refined(folder / "people.npz", folder / "no.npz", "labels", folder / "prior.npz")


def test_openposes_folder_and_phalps_tracks_become_a_smoother_video(tmp_path):
    tracks = [
        seen.people(8, "openpose25", FOCAL_OF_PHALP, seed, moving=True, x=x)
        for seed, x in ((1, -0.8), (2, 0.8))
    ]
    tracker = seen.write_phalp(tmp_path / "demo_walk.pkl", tracks)
    folder = seen.write_openpose(tmp_path / "json", tracks)
    convert(f"phalp --source {tracker} --out {tmp_path}/tracks.npz")
    convert(
        f"openpose --source {folder} --layout body25 --frame-offset 1 --estimates {tmp_path}/tracks.npz "
        f"--out {tmp_path}/video.npz"
    )
    given = records.read(tmp_path / "video.npz")
    for track, found in enumerate(tracks, 1):
        rows = given.subject == str(track)
        np.testing.assert_allclose(given.keypoints2d[rows], found.keypoints2d, atol=0.01)
    smooth = config.relative_fit(1.0, 4, through_network=False, velocity=30.0, smooth_after=5)
    better, quality, said = refined(
        tmp_path / "video.npz", tmp_path / "better.npz", "detections",
        "converted_weights/demo_scorehmr.npz", use="video", video=smooth,
    )  # fmt: skip
    before, after = (quality[f"reprojection_px_{when}"] for when in ("before", "after"))
    assert after.mean() < before.mean()
    assert "scorehmr, video" in said

    def jitter(people):
        rows = people.subject == "1"
        return np.abs(np.diff(people.pred_pose[rows], 2, axis=0)).mean()

    assert jitter(better) < 0.5 * jitter(given)
    np.testing.assert_array_equal(better.frame, given.frame)
    np.testing.assert_array_equal(better.subject, given.subject)
    convert(
        f"to-mesh --source {tmp_path}/better.npz --body {seen.BODY} --out {tmp_path}/meshes --kind ply"
    )
    assert len(list((tmp_path / "meshes").iterdir())) == 16


def test_errors_relative_to_the_image_need_its_size(people):
    """Else a pixel would weigh a million times as much."""
    folder, _ = people
    some = dataclasses.replace(records.read(folder / "people.npz"), image_size_px=None)
    records.write(folder / "sizeless.npz", some)
    prior = "converted_weights/demo_scorehmr.npz"
    how = {"labels": config.Fit()}
    with pytest.raises(ValueError, match=r"field image_size_px: .* --scorehmr\.labels\.pixels box"):
        refined(folder / "sizeless.npz", folder / "no.npz", "labels", prior, **how)
