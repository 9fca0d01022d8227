"""Protocols by name, each on a small set in the shape of its data, against NumPy loops with the papers' own indices."""

import dataclasses

import files_datasets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.spatial.transform import Rotation

from diffjax import body, config, skeleton
from diffjax.comparison import people, scoring
from diffjax.convert import pw3d
from diffjax.data import records
from diffjax.pose import Pose
from diffjax.protocols import averages, naming, referee, table

pytestmark = pytest.mark.usefixtures("quick_to_compile")

H36M_TO_J14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
"""SPIN's and mmhuman3d's constant: 14 joints of the 17 that J_regressor_h36m.npy gives."""
TEST_TO_H36M = [14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
"""SPIN's joints17_idx: MPI-INF-3DHP's 17 joints in the order of that regressor."""
LIMBS = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
PARTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]
POSED = jax.jit(body.pose_body)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("protocols")
    tiny.write_body(path / "body.npz")
    with np.load(path / "body.npz") as stored:
        halpe = np.eye(24)[np.arange(26) % 24]
        arrays = {**stored, "regressor_halpe26": halpe}
    np.savez(path / "body.npz", **arrays)
    for gender, size in (("male", 1.1), ("female", 0.9)):
        bigger = {**arrays, "v_template": size * arrays["v_template"]}
        np.savez(path / f"SMPL_{gender.upper()}.npz", **bigger)
    return path


@pytest.fixture(scope="module")
def bodies(folder):
    return folder / "SMPL_MALE.npz", folder / "SMPL_FEMALE.npz"


@pytest.fixture(scope="module")
def run(folder):
    return config.Run(data=config.Data("-", "-", "-", str(folder / "body.npz")))


@pytest.fixture(scope="module")
def gendered(folder, bodies):
    """3DPW as its converter reads it, with estimates of the neutral body."""
    source = files_datasets.write_pw3d(folder, frames=9, models=bodies)
    fields = pw3d.read_pw3d(source, bodies=bodies, say=lambda _: None)
    return records.from_arrays(estimated(fields), "3dpw")


def estimated(fields):
    random = np.random.default_rng(3)
    count = len(next(iter(fields.values())))
    pose = fields.get("pose", tiny.person((count,), random).rotations)
    turns = Rotation.from_rotvec(0.2 * random.normal(size=(24 * count, 3))).as_matrix()
    pred = np.asarray(pose, np.float64) @ turns.reshape(count, 24, 3, 3)
    betas = 0.3 * random.normal(size=(count, 10))
    return {
        **fields,
        "pred_pose": pred.astype(np.float32),
        "pred_betas": betas.astype(np.float32),
    }


def measured(run, a, name, bodies=()):
    """The referee, and the numbers of the estimates."""
    judge = scoring.make_referee(run, a, "set.npz", name, bodies)
    return judge, referee.metrics_of(judge, Pose(a.pred_pose, a.pred_betas), a.pred_cam_t)


def values(numbers):
    return {title: number["value"] for title, number in numbers.items()}


def meshes(path, pose, betas):
    model = body.load_body(path)
    posed = POSED(model, *(jnp.asarray(x, jnp.float32) for x in (pose, betas)))
    return (np.asarray(x, np.float64) for x in (posed.vertices, posed.joints))


def h36m17(path, vertices):
    with np.load(path) as stored:
        return np.einsum("kv,nvc->nkc", stored["regressor_h36m17"], vertices)


def true_meshes(a, bodies):
    """Vertices and joints of everyone, on the body of one's gender."""
    found = [np.zeros((records.count(a), 24, 3)) for _ in range(2)]
    for path, gender in zip(bodies, ("male", "female")):
        rows = a.gender == gender
        for whole, part in zip(found, meshes(path, a.pose[rows], a.betas[rows])):
            whole[rows] = part
    return found


def mpjpe(one, other):
    return 1e3 * np.linalg.norm(one - other, axis=-1).mean(-1)


def aligned(pred, true):
    """The similarity by SciPy, person by person."""
    laid, turns = [], []
    for p, t in zip(pred, true):
        p, t, middle = p - p.mean(0), t - t.mean(0), t.mean(0)
        turn = Rotation.align_vectors(t, p)[0].as_matrix()
        scale = (t * (p @ turn.T)).sum() / (p * p).sum()
        laid.append(scale * p @ turn.T + middle)
        turns.append(turn)
    return np.array(laid), np.array(turns)


def orientations(local):
    found = np.array(local, np.float64)
    for joint, parent in enumerate(skeleton.SMPL_PARENTS):
        if parent >= 0:
            found[:, joint] = found[:, parent] @ found[:, joint]
    return found[:, PARTS]


def angles(one, other):
    gap = (one @ other.swapaxes(-1, -2)).reshape(-1, 3, 3)
    return np.rad2deg(Rotation.from_matrix(gap).magnitude()).mean()


def test_3dpw_measures_neutral_predictions_against_gendered_bodies(run, gendered, bodies, folder):
    judge, found = measured(run, gendered, "3dpw", bodies)
    ours, _ = meshes(folder / "body.npz", gendered.pred_pose, gendered.pred_betas)
    theirs, _ = true_meshes(gendered, bodies)
    pred, true = (h36m17(folder / "body.npz", v) for v in (ours, theirs))
    one, other = (x[:, H36M_TO_J14] - x[:, :1] for x in (pred, true))
    laid, _ = aligned(one, other)
    wanted = {
        "MPJPE": mpjpe(one, other).mean(),
        "PA-MPJPE": mpjpe(laid, other).mean(),
        "PVE": mpjpe(ours - pred[:, :1], theirs - true[:, :1]).mean(),
    }
    got = values(found)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)
    assert found["PVE"]["count"] == records.count(gendered) == 16
    told = "; ".join(judge.notes)
    assert "8 rows: truth posed on the male body" in told
    assert "the truth is neutral" not in told
    assert "35,515" in told


def test_3dpw_without_its_bodies_measures_cached_joints_and_says_so(run, gendered, bodies):
    judge, found = measured(run, gendered, "3dpw")
    whole = values(measured(run, gendered, "3dpw", bodies)[1])
    got = values(found)
    assert got["PA-MPJPE"] == pytest.approx(whole["PA-MPJPE"], rel=1e-3)
    assert got["MPJPE"] != pytest.approx(whole["MPJPE"], rel=1e-2)
    assert np.isnan(got["PVE"])
    assert found["PVE"]["count"] == 0
    told = "; ".join(judge.notes)
    assert "16 rows: truth is the set's 3D joints (h36m14)" in told
    assert "16 rows stand on the middle of the hips" in told


def test_neutral_truth_under_3dpw_is_warned_of(run, gendered):
    neutral = dataclasses.replace(gendered, gender=np.full(16, "neutral"))
    judge, found = measured(run, neutral, "3dpw")
    assert any("the truth is neutral" in note for note in judge.notes)
    assert found["PVE"]["count"] == 16


def test_the_challenge_is_that_of_its_script(run, gendered, bodies, folder):
    _, found = measured(run, gendered, "3dpw-challenge", bodies)
    _, pred = meshes(folder / "body.npz", gendered.pred_pose, gendered.pred_betas)
    _, true = true_meshes(gendered, bodies)
    one, other = (x - x[:, :1] for x in (pred, true))
    laid, turns = aligned(one, other)
    ours, theirs = (orientations(x) for x in (gendered.pred_pose, gendered.pose))
    limbs = 1e3 * np.linalg.norm(one - other, axis=-1)[:, LIMBS]
    curve = [(limbs <= t).mean() for t in range(200)]
    wanted = {
        "MPJPE": mpjpe(one, other).mean(),
        "PA-MPJPE": mpjpe(laid, other).mean(),
        "PCK@50": 100 * (limbs <= 50).mean(),
        "AUC": 100 * np.trapezoid(curve, np.arange(200) / 199),
        "MPJAE": angles(ours, theirs),
        "PA-MPJAE": angles(turns[:, None] @ ours, theirs),
    }
    got = values(found)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)


def cached_only(count, name, sequence, seed=5):
    """People of whom nothing but 3D joints is known."""
    random = np.random.default_rng(seed)
    joints = random.normal(0, 0.4, (count, len(skeleton.KEYPOINT_SETS[name]), 4))
    joints[..., 3] = 1.0
    fields = {"keypoints3d": joints.astype(np.float32), "frame": np.arange(count)}
    fields |= {"sequence": np.array(sequence)}
    a = records.from_arrays(estimated(fields) | {"keypoints3d_set": name}, name)
    return dataclasses.replace(a, pred_cam_t=np.zeros((count, 3), np.float32))


def test_mpi_inf_3dhp_has_seventeen_joints_and_counts_fourteen_of_them_near(run, folder):
    a = cached_only(7, "mpii3d17", ["TS1"] * 3 + ["TS2"] * 4)
    judge, found = measured(run, a, "mpi-inf-3dhp")
    mesh, _ = meshes(folder / "body.npz", a.pred_pose, a.pred_betas)
    pred, true = h36m17(folder / "body.npz", mesh), a.keypoints3d[:, TEST_TO_H36M, :3]
    one, other = (x - x[:, :1] for x in (pred, true))
    laid, _ = aligned(one, other)
    # In this order all but the pelvis, the spine and the head.
    near = np.delete(np.arange(17), [0, 7, 9])
    errors, after = (1e3 * np.linalg.norm(x - other, axis=-1)[:, near] for x in (one, laid))
    wanted = {
        "MPJPE": mpjpe(one, other).mean(),
        "PA-MPJPE": mpjpe(laid, other).mean(),
        "PCK@150": 100 * (errors < 150).mean(),
        "AUC": 100 * np.mean([(errors < t).mean() for t in range(0, 151, 5)]),
        "PA-PCK@150": 100 * (after < 150).mean(),
        "PA-AUC": 100 * np.mean([(after < t).mean() for t in range(0, 151, 5)]),
    }
    got = values(found)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)
    assert any("2,929 or 2,875" in note for note in judge.notes)


def test_hmr2_has_fourteen_joints_of_j19_on_the_pelvis_of_mpii(run, tmp_path):
    j19 = np.eye(24)[np.arange(19) + 3]
    with np.load(run.data.body) as stored:
        np.savez(tmp_path / "body.npz", **stored, regressor_j19=j19)
    a = cached_only(5, "j19", ["a"] * 5)
    _, found = measured(
        config.Run(data=config.Data("-", "-", "-", str(tmp_path / "body.npz"))), a, "3dpw-hmr2"
    )
    mesh, _ = meshes(tmp_path / "body.npz", a.pred_pose, a.pred_betas)
    pred, true = np.einsum("kv,nvc->nkc", j19, mesh), a.keypoints3d[..., :3]
    # Of its 44 joints 25..37 and 43, less 39: of the last nineteen 0..12 and 18, less 14.
    one, other = (x[:, [*range(13), 18]] - x[:, 14:15] for x in (pred, true))
    laid, _ = aligned(one, other)
    wanted = {"MPJPE": mpjpe(one, other).mean(), "PA-MPJPE": mpjpe(laid, other).mean()}
    got = values(found)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)


def test_h36m_is_the_mean_over_actions_and_draws_recordings(run):
    names = [
        "S9/Walking 1/54138969",
        "S9/Walking/60457274",
        "S11/Eating/54138969",
        "S5/Eating/55011271",
    ]
    a = cached_only(9, "h36m17_native", np.repeat(names, [4, 2, 2, 1]))
    judge, found = measured(run, a, "h36m")
    rows = judge.before["mpjpe"]
    wanted = (rows[:6].mean() + rows[6:].mean()) / 2
    assert found["MPJPE"]["value"] == pytest.approx(wanted)
    assert found["MPJPE"]["value"] != pytest.approx(rows.mean(), rel=1e-3)
    assert "subjects S5" in "; ".join(judge.notes)
    assert set(judge.groups.drawn) == {"S9 Walking 1", "S9 Walking", "S11 Eating", "S5 Eating"}
    frontal = table.PROTOCOLS["h36m-14"].checks[0](a)
    assert "cameras 54138969, 55011271" in frontal
    nameless = dataclasses.replace(a, sequence=np.full(9, "one"))
    assert "9 rows whose sequence names no action" in table.PROTOCOLS["h36m"].checks[0](nameless)


def test_emdb_stands_on_the_hips_and_has_jitter_over_sequences(run, folder):
    a = tiny.annotations(11)
    frames = np.array([0, 1, 2, 3, 40, 41, 0, 1, 2, 3, 4])
    sequence = np.repeat(["P0_one", "P1_two"], [6, 5])
    a = dataclasses.replace(a, sequence=sequence, frame=frames)
    a = tiny.without(a, "keypoints3d")
    _, found = measured(run, a, "emdb")
    mesh, pred = meshes(folder / "body.npz", a.pred_pose, a.pred_betas)
    true_mesh, true = meshes(folder / "body.npz", a.pose, a.betas)
    roots = [x[:, 1:3].mean(1, keepdims=True) for x in (pred, true)]
    laid, _ = aligned(pred, true)
    jitter = []
    for rows in (slice(0, 6), slice(6, 11)):
        still = pred[rows].copy()
        still[:, [0, 7, 8, 10, 11, 20, 21, 22, 23]] = 0
        third = still[3:] - 3 * still[2:-1] + 3 * still[1:-2] - still[:-3]
        jitter.append(np.linalg.norm(third * 30**3, axis=-1).mean() / 10)
    wanted = {
        "MPJPE": mpjpe(pred - roots[0], true - roots[1]).mean(),
        "PA-MPJPE": mpjpe(laid, true).mean(),
        "MVE": mpjpe(mesh - roots[0], true_mesh - roots[1]).mean(),
        "jitter": np.mean(jitter),
    }
    got = values(found)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)


def test_halpe_is_measured_where_the_estimate_stands(run):
    a = tiny.annotations(5)
    exact = dataclasses.replace(a, pred_pose=a.pose, pred_betas=a.betas, pred_cam_t=a.cam_t)
    _, found = measured(run, exact, "halpe")
    assert found["2D"]["value"] < 0.1
    assert found["PCK@0.05"]["value"] == 100.0
    assert found["PCKh@0.5"]["count"] == 0  # coco17 has no head to measure.
    judge, moved = measured(
        run, dataclasses.replace(exact, pred_cam_t=a.cam_t + np.float32([0.1, 0, 0])), "halpe"
    )
    assert moved["2D"]["value"] > 10.0
    assert any("estimate's own" in note for note in judge.notes)
    judge, solved = measured(run, tiny.without(exact, "pred_cam_t"), "halpe")
    assert solved["2D"]["value"] < 0.1
    assert any("solved" in note for note in judge.notes)


def test_halpe_measures_heads_where_they_are_labelled(run):
    a = tiny.annotations(4)
    random = np.random.default_rng(0)
    labels = np.ones((4, 26, 3), np.float32)
    labels[..., :2] = random.uniform(100, 900, (4, 26, 2))
    labels[3, 17, 2] = 0.0
    labels[2, :, 2] = 0.0
    a = dataclasses.replace(tiny.without(a, "keypoints2d"), labels2d=labels)
    a = dataclasses.replace(a, labels2d_set="halpe26")
    judge, found = measured(run, a, "halpe")
    assert {name: number["count"] for name, number in found.items()} == {
        "2D": 3, "2D share": 3, "PCK@0.05": 3, "PCK@0.1": 3, "PCKh@0.5": 2,
    }  # fmt: skip
    assert "1 rows have no keypoint and are not judged" in judge.notes


def test_the_tables_own_protocol_has_the_numbers_of_the_table(run, tmp_path):
    a = tiny.annotations(7)
    records.write(tmp_path / "set.npz", a)
    test = people.gather(run, str(tmp_path / "set.npz"), "test")
    judge = scoring.of_crowd(run, test, "diffjax", ())
    found = values(referee.metrics_of(judge, Pose(a.pred_pose, a.pred_betas)))
    wanted = {
        "MPJPE": "mpjpe_mm", "PA-MPJPE": "pa_mpjpe_mm", "PVE": "pve_mm", "rotation": "rotation_deg",
        "root": "root_deg",
    }  # fmt: skip
    for title, name in wanted.items():
        assert found[title] == pytest.approx(getattr(test.people.base, name).mean(), rel=1e-4), (
            title
        )
    assert found["PA-PVE"] < found["PVE"]
    assert found["harmed"] == 0.0


@pytest.mark.parametrize("name", ["3dpw", "diffjax", "3dpw-challenge"])
def test_truth_that_is_not_a_number_is_counted_and_judges_nobody(run, name):
    a = tiny.annotations(7)
    a = tiny.without(dataclasses.replace(a, sequence=None), "keypoints3d")
    kept = measured(run, records.take(a, np.arange(7) != 2), name)[1]
    pose = a.pose.copy()
    pose[2] = np.nan
    judge, found = measured(run, dataclasses.replace(a, pose=pose), name)
    assert found["MPJPE"]["count"] == 6
    for title in (title for title in found if not title.startswith("2D")):
        one, other = found[title], kept[title]
        assert one["count"] == other["count"], title
        assert one["value"] == pytest.approx(other["value"], rel=1e-4, nan_ok=True), title
    told = "; ".join(judge.notes)
    assert "1 of 7 rows have no truth and are not judged" in told
    in_time = name != "3dpw-challenge"  # It measures nothing of the kind.
    assert ("no sequence: nothing is measured in time" in told) == in_time
    assert not in_time or np.isnan(found["Accel"]["value"])


def test_accelerations_a_second_are_those_a_frame_times_the_rate_squared(run):
    a = tiny.annotations(7)
    a = dataclasses.replace(a, sequence=np.full(7, "s"), frame=np.arange(7))
    for told, rate in (((), 30.0), ((60.0,), 60.0)):
        judge = scoring.make_referee(run, a, "set.npz", "3dpw", (), *told)
        found = values(referee.metrics_of(judge, Pose(a.pred_pose, a.pred_betas), a.pred_cam_t))
        assert found["Accel"] > 1.0
        assert found["Accel/s"] == pytest.approx(found["Accel"] * rate**2)


def test_joints_that_are_not_known_are_said(run):
    a = cached_only(5, "mpii3d17", ["TS1"] * 5)
    joints = a.keypoints3d.copy()
    joints[1, 4, 3] = joints[2, 14, 3] = 0.0
    joints[3, :, 3] = 0.0
    judge, found = measured(run, dataclasses.replace(a, keypoints3d=joints), "mpi-inf-3dhp")
    assert "2 rows are judged on fewer than 17 joints" in judge.notes
    # Without the pelvis there is no root, but an alignment.
    assert (found["MPJPE"]["count"], found["PA-MPJPE"]["count"]) == (3, 4)


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        (
            "3dpw",
            r"set.npz: protocol 3dpw: wanted .*h36m17 or h36m14.*found .*smpl24; give --bodies",
        ),
        ("mpi-inf-3dhp", "wanted 3D joints of mpii3d17 .*found .*smpl24"),
    ],
)
def test_a_set_that_cannot_be_judged_is_refused(run, protocol, wanted):
    with pytest.raises(ValueError, match=wanted):
        measured(run, cached_only(3, "smpl24", ["a"] * 3), protocol)


def test_a_body_without_the_regressor_is_refused(run, tmp_path):
    with np.load(run.data.body) as stored:
        np.savez(
            tmp_path / "bare.npz",
            **{k: stored[k] for k in stored if k not in ("regressor_h36m17", "regressor_halpe26")},
        )
    bare = config.Run(data=config.Data("-", "-", "-", str(tmp_path / "bare.npz")))
    with pytest.raises(ValueError, match=r"field regressor_h36m1[47]: wanted .*--regressor"):
        measured(bare, tiny.annotations(3), "3dpw")


def test_bodies_are_two_and_of_one_mesh(run, gendered, bodies, toy_body, tmp_path):
    with pytest.raises(ValueError, match="--bodies: wanted male and female, found 1"):
        measured(run, gendered, "3dpw", bodies[:1])
    with np.load(bodies[0]) as stored:
        more = {
            k: np.concatenate([stored[k], stored[k][:1]])
            for k in ("v_template", "shapedirs", "weights")
        }
        wide = {k: np.pad(stored[k], ((0, 0), (0, 1))) for k in stored if "regressor" in k}
        np.savez(tmp_path / "other.npz", **{**stored, **more, **wide})
    with pytest.raises(ValueError, match=r"found \[24, 25\] vertices"):
        measured(run, gendered, "3dpw", (bodies[0], tmp_path / "other.npz"))


def test_an_unknown_protocol_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"--protocol 3dwp: wanted one of .*3dpw-challenge"):
        table.named("3dwp", "h36m14")


def test_every_protocol_names_joints_that_there_are():
    for name, protocol in table.PROTOCOLS.items():
        names = skeleton.keypoint_set(protocol.joints)
        for joint in (*protocol.counted, *sum(protocol.root, ()), *protocol.near.joints):
            assert joint in names, name
        assert all(cached in skeleton.KEYPOINT_SETS for cached in protocol.cached)


def test_means_over_frames_actions_and_sequences_by_hand():
    values = np.array([1.0, 2.0, 3.0, 10.0, np.nan])
    sequence = np.array(["a", "a", "b", "c", "d"])
    groups = averages.Groups(sequence, sequence, np.array(["x", "x", "x", "y", "z"]))
    assert averages.mean(values, groups, "frames") == 4.0
    assert averages.mean(values, groups, "actions") == 6.0
    assert averages.mean(values, groups, "sequences") == pytest.approx(14.5 / 3)
    assert averages.by_group(values, sequence) == {"a": 1.5, "b": 3.0, "c": 10.0}
    for over in ("frames", "actions", "sequences"):
        low, high = averages.interval(values, groups, over)
        assert 1.0 <= low < averages.mean(values, groups, over) < high <= 10.0
        assert np.isnan(averages.mean(np.full(5, np.nan), groups, over))
        assert np.isnan(
            averages.interval(values[:2], averages.Groups(*(g[:2] for g in groups)), over)
        ).all()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("S9/Walking 1/54138969", ("S9", "Walking", "S9 Walking 1", "54138969")),
        ("S11/Directions/60457274", ("S11", "Directions", "S11 Directions", "60457274")),
        ("S9_Directions_1.54138969", ("S9", "Directions", "S9 Directions 1", "54138969")),
        ("downtown_walking_00", ("", "", "", "")),
    ],
)
def test_names_of_human36m_are_read(name, wanted):
    found = naming.recordings(np.array([name]), 1)
    assert tuple(str(column[0]) for column in found) == wanted


def test_scenes_of_mpi_inf_3dhp_are_two_sequences_each():
    found = naming.scenes(np.array(["TS1", "TS2", "TS3", "TS5", "TS6", "TS7", "S1"]))
    assert [name.split(" (")[0] for name in found] == [
        *["green screen"] * 2,
        "no green screen",
        *["outdoors"] * 2,
        "",
        "",
    ]
