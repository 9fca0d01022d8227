"""Small batched `.pkl`, EMDB sequences and track folders with the keys, types and names of the real ones."""

import json
import pickle

import files_datasets
import files_mmhuman3d
import jax.numpy as jnp
import made
import numpy as np
from scipy.spatial.transform import Rotation

from diffjax import body
from diffjax.convert import delivery, emdb, scorehmr_cache, slahmr
from diffjax.data import records

ROWS = files_mmhuman3d.ROWS
COUNTS = (3, 1, 2)
VIDEO = [
    *(f"imageFiles/run_00/image_{i:05d}.jpg" for i in (0, 1, 3)),
    "imageFiles/run_00/image_00005.jpg",
    *(f"imageFiles/run_01/image_{i:05d}.jpg" for i in (0, 1)),
]
H36M = [
    *(f"images/S9_Directions_1.{c}_000001.jpg" for c in ("54138969", "55011271", "58860488")),
    "images/S9_Directions_1.54138969_000006.jpg",
    *(f"images/S11_Sitting.{c}_000001.jpg" for c in ("54138969", "60457274")),
]


def silent(_):
    pass


# --- batched files -------------------------------------------------------------------------------


def split(arrays, counts=COUNTS):
    """A dict a clip or view set."""
    ends = np.cumsum(counts)
    pairs = list(zip(ends - counts, ends))
    return [{name: np.asarray(v)[a:b] for name, v in arrays.items()} for a, b in pairs]


def write_list(path, entries):
    path.write_bytes(pickle.dumps(entries, 4))
    return path


def batched(folder, images=VIDEO, **changes):
    """ScoreHMR's data file and the cache of HMR2's estimates beside it; and both as `.npz`."""
    flat = folder / "flat.npz", folder / "flat_cache.npz"
    changes = {"imgname": np.array(images), "extra_info": None} | changes
    evaluation = files_mmhuman3d.hmr2(flat[0], **changes)
    with np.load(files_mmhuman3d.scorehmr(flat[1], evaluation)) as stored:
        cache = dict(stored)
    data = write_list(folder / "data.pkl", split(evaluation))
    return data, write_list(folder / "cache.pkl", split(cache)), flat


def _batched_case(folder):
    data, cache, _ = batched(folder)

    def convert(out):
        found = scorehmr_cache.from_scorehmr(cache, data, entries="video", say=silent)
        records.write(out, found)

    return made.Case(convert, [cache, data])


# --- EMDB ----------------------------------------------------------------------------------------

SIZE = (1440, 1920)


def emdb_sequence(models, name="P0_09_outdoor_walk", frames=6, seed=0, **changes):
    """A female actor before a moving camera; frame 2 is bad. kp2d are her joints, projected."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.3, (frames, 24, 3))
    trans, betas = rng.normal(0, 0.3, (frames, 3)), rng.normal(size=10)
    cameras = np.tile(np.eye(4), (frames, 1, 1))
    turns = Rotation.from_rotvec(rng.normal([np.pi, 0, 0], 0.2, (frames, 3)))
    cameras[:, :3, :3] = turns.as_matrix()
    cameras[:, :3, 3] = rng.normal([0, 0.5, 6.0], 0.1, (frames, 3))
    intrinsics = np.array([[1450.0, 0, 721], [0, 1452.0, 958], [0, 0, 1]])
    matrices = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    model = body.load_body(models[1])
    given = (jnp.asarray(x, jnp.float32) for x in (matrices, np.tile(betas, (frames, 1))))
    world = np.asarray(body.pose_joints(model, *given)) + trans[:, None]
    seen = np.einsum("fij,fkj->fki", cameras[:, :3, :3], world) + cameras[:, None, :3, 3]
    pixels = np.einsum("ij,fkj->fki", intrinsics, seen)
    pixels = pixels[..., :2] / pixels[..., 2:]
    good = np.arange(frames) != 2
    return {
        "gender": "female",
        "name": name,
        "emdb1": True,
        "emdb2": False,
        "n_frames": frames,
        "good_frames_mask": good,
        "camera": {
            "intrinsics": intrinsics,
            "extrinsics": cameras,
            "width": SIZE[0],
            "height": SIZE[1],
        },
        "smpl": {
            "poses_root": poses[:, 0],
            "poses_body": poses[:, 1:].reshape(frames, 69),
            "trans": trans,
            "betas": betas,
        },
        "kp2d": pixels,
        "bboxes": {
            "bboxes": np.concatenate([pixels.min(1), pixels.max(1)], -1),
            "invalid_idxs": np.array([2]),
        },
    } | changes


def write_emdb(folder, sequence):
    subject, _, rest = sequence["name"].partition("_")
    path = folder / subject / rest / f"{sequence['name']}_data.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(sequence, 4))
    return path


def _emdb_case(folder):
    models = files_datasets.write_bodies(folder)
    path = write_emdb(folder, emdb_sequence(models))

    def convert(out):
        fields = emdb.read_emdb(path, bodies=models, say=silent)
        delivery.deliver(out, fields, str(path), say=silent)

    return made.Case(convert, [path])


# --- track folders -------------------------------------------------------------------------------

WIDTH, HEIGHT = 1280, 720


def track_person(rng, size=(WIDTH, HEIGHT), focal=5000.0):
    """FRAME_smpl.json as export_phalp.py makes it."""
    corner, box = rng.uniform(50, 300, 2), rng.uniform(100, 300, 2)
    center, cam = corner + box / 2, np.array([0.9, 0.03, 0.2]) + rng.normal(0, 0.01, 3)
    side = box.max() * cam[0] + 1e-6
    shift = 2 * (center - np.array(size) / 2) / side
    return {
        "betas": rng.normal(size=10).tolist(),
        "body_pose": rng.normal(0, 0.3, (23, 3)).tolist(),
        "global_orient": rng.normal(0, 0.3, 3).tolist(),
        "cam_trans": [*(cam[1:] + shift).tolist(), 2 * focal / side],
        "box_center": center.tolist(),
        "box_scale": box.tolist(),
        "cam_bbox": cam.tolist(),
    }


def write_tracks(folder, **options):
    """track_preds/dance with tracks 001 (frames 1 to 3) and 012 (frames 2 and 3); a cut before frame 3."""
    rng = np.random.default_rng(1)
    root = folder / "track_preds" / "dance"
    for track, frames in (("001", (1, 2, 3)), ("012", (2, 3))):
        (root / track).mkdir(parents=True)
        for frame in frames:
            points = np.zeros((25, 3))
            points[[0, 5, 2]] = [[50.0, 60, 0.9], [70, 80, 1.04], [30, 80, 0.2]]
            person = {"people": [{"pose_keypoints_2d": points.tolist()}]}
            stem = root / track / f"{frame:06d}"
            smpl = json.dumps(track_person(rng, **options), indent=1)
            stem.with_name(f"{stem.name}_smpl.json").write_text(smpl)
            stem.with_name(f"{stem.name}_keypoints.json").write_text(json.dumps(person))
    shots = folder / "shot_idcs" / "dance.json"
    shots.parent.mkdir()
    shots.write_text(json.dumps({f"{i:06d}.jpg": int(i > 2) for i in (1, 2, 3)}))
    return root, shots


def _slahmr_case(folder):
    root, shots = write_tracks(folder)

    def convert(out):
        fields = delivery.in_role(slahmr.read_slahmr(root, shots, say=silent), "estimate")
        delivery.deliver(out, fields, str(root), say=silent)

    one = root / "012" / "000003_smpl.json"
    return made.Case(convert, [one, one.with_name("000003_keypoints.json")])


CASES = {"scorehmr_batched": _batched_case, "emdb": _emdb_case, "slahmr": _slahmr_case}
