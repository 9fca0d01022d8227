"""The people of an annotation set, posed, placed and measured, to be drawn."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import annotate, body, camera, config, drawing, simulate, skeleton
from diffjax.data import checks, records, shards
from diffjax.drawing import photos

_FRONTEND = "converted_weights/demo_frontend.npz"
_SAME = ("sequence", "subject", "view", "frame", "image", "keypoints2d", "labels2d")


class Kit(NamedTuple):
    """A set, and what draws its rows. Make it once: `row_png` then takes a fraction of a second."""

    source: shards.Source
    before: shards.Source | None
    """The same people before they were refined."""
    refined: bool
    """Whether the set's estimates are refined ones."""
    kind: annotate.Kind | None
    """Of 2D keypoints; None without any."""
    model: body.BodyModel
    faces: np.ndarray | None
    keypoints: body.KeypointModel | None
    images: Path | None


def load_kit(
    data: str,
    *,
    before: str | None = None,
    evidence: annotate.Kind | None = None,
    images: Path | None = None,
    body_path: str = config.Data.body,
) -> Kit:
    """Opens a set, and perhaps another of the same people before they were refined; loads the body.

    Sets are files, directories of shards, or generated ones: `demo`, `demo_video`, `demo_views`.
    """
    source = _open(data, body_path)
    other = _open(before, body_path) if before else None
    if other is not None and other.count != source.count:
        raise ValueError(
            f"{before}: wanted the {source.count} people of {data} before they were refined, found "
            f"{other.count}; name the set that refine.py was given"
        )
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"{images}: wanted a folder of images, found none; see --images")
    file = config.locate(body_path)
    kind = _kind(source, evidence)
    refined = other is not None or quality_file(data).is_file()
    model = body.load_body(file)
    keypoints = _keypoints(source, kind, model, file) if kind else None
    return Kit(source, other, refined, kind, model, _faces(file), keypoints, images)


def quality_file(data: str) -> Path:
    """Where refine.py writes what it thinks of every row."""
    return Path(data).with_name(f"{Path(data).stem}_quality.npz")


def _open(data: str, body_path: str) -> shards.Source:
    if data not in simulate.DEMOS:
        return shards.open_set(data)
    files = (config.locate(path) for path in (_FRONTEND, body_path))
    return shards.of_set(simulate.demo_split(data, *files)[1], data)


def _kind(source: shards.Source, wanted: annotate.Kind | None) -> annotate.Kind | None:
    known: list[annotate.Kind] = [
        kind for kind in annotate.kinds_of(source.head) if kind != "joints3d"
    ]
    if wanted is not None and wanted not in known:
        raise ValueError(
            f"{source.name}: field {annotate.FIELD_OF[wanted]}: wanted 2D keypoints to draw, found nothing; "
            f"--evidence may be {' or '.join(known) or 'left out: the set has none'}"
        )
    return wanted or (known[0] if known else None)


def _keypoints(
    source: shards.Source, kind: annotate.Kind, model: body.BodyModel, file: Path
) -> body.KeypointModel | None:
    """The keypoints of the body; None where its file does not know them."""
    names = getattr(source.head, f"{annotate.FIELD_OF[kind]}_set")
    try:
        return body.fold_keypoints(model, body.load_regressor(file, names))
    except ValueError:
        return None


def _faces(file: Path) -> np.ndarray | None:
    try:
        return body.load_faces(file)
    except ValueError:  # Then skeletons are drawn.
        return None


def people(kit: Kit, rows: Sequence[int]) -> Iterator[drawing.Person]:
    """What is drawn of each row, one after the other."""
    for row in rows:
        if not 0 <= row < kit.source.count:
            raise ValueError(
                f"{kit.source.name}: wanted rows from 0 to {kit.source.count - 1}, found {row}; "
                "the first row is 0"
            )
        after = kit.source.read(row, row + 1)
        before = kit.before.read(row, row + 1) if kit.before else None
        _check_finite(after, f"{kit.source.name}, row {row}")
        if before is not None:
            _check_finite(before, f"{_name(kit.before)}, row {row}")
            _check_same(kit, before, after, row)
        yield _person(kit, row, before, after)


def _name(source: shards.Source | None) -> str:
    return source.name if source else ""


def _check_finite(a: records.AnnotationSet, where: str) -> None:
    names = (*checks.ESTIMATE, "pred_cam_t", "pose", "betas", "cam_t", "keypoints2d", "labels2d")
    for name in names:
        found = getattr(a, name)
        if found is not None and not np.isfinite(found).all():
            raise ValueError(
                f"{where}: field {name}: wanted finite numbers, found NaN; convert the file again"
            )


def _check_same(kit: Kit, before: Any, after: Any, row: int) -> None:
    for name in _SAME:
        first, second = getattr(before, name), getattr(after, name)
        if first is not None and second is not None and not np.array_equal(first, second):
            raise ValueError(
                f"{_name(kit.before)}: field {name}: wanted at row {row} what {kit.source.name} has, found "
                "something else; name the set that refine.py was given"
            )


def _person(kit: Kit, row: int, before: Any, after: records.AnnotationSet) -> drawing.Person:
    eye, evidence, names = _sight(kit, after)
    notes = [] if eye is not None else ["no camera: front view"]
    if kit.kind is not None and kit.keypoints is None:
        notes.append("the body's file lacks these keypoints")
    true = _truth(kit, after, notes)
    poses = [(after.pred_pose, after.pred_betas, after.pred_cam_t)]
    if before is not None:
        poses.insert(0, (before.pred_pose, before.pred_betas, before.pred_cam_t))
    told = (
        ("estimate", "refined")
        if before is not None
        else ("refined" if kit.refined else "estimate",)
    )
    bodies = [_body(kit, name, pose, eye, evidence, notes) for name, pose in zip(told, poses)]
    truth = None if true is None else _body(kit, "truth", true, None, None, [])
    photo = None
    if eye is not None and after.image is not None:
        photo, note = photos.photo_of(
            str(after.image[0]), kit.images, Path(kit.source.name).parent, eye.image_size_px
        )
        notes += [note] * bool(note)
    measured = tuple(_with_mm(one, truth) for one in bodies)
    return drawing.Person(
        _title(row, after), measured, truth, eye, evidence, names, photo, tuple(notes)
    )


def _sight(kit: Kit, a: records.AnnotationSet) -> tuple[Any, Any, tuple[str, ...]]:
    """Camera, keypoints and their names, where they are known."""
    eye = None
    if a.focal_px is not None and a.center_px is not None:
        size = 2 * a.center_px if a.image_size_px is None else a.image_size_px
        eye = camera.Camera(a.focal_px[0], a.center_px[0], size[0])
    if kit.kind is None:
        return eye, None, ()
    field = annotate.FIELD_OF[kit.kind]
    return eye, getattr(a, field)[0], skeleton.keypoint_set(getattr(a, f"{field}_set"))


def _truth(kit: Kit, a: records.AnnotationSet, notes: list[str]) -> Any:
    """The true pose, if the body at hand is the one that it was made for."""
    if a.pose is None or a.betas is None:
        return None
    if a.gender is not None and a.gender[0] != "neutral":
        notes.append(f"the truth has a {a.gender[0]} body: not drawn")
        return None
    return a.pose, a.betas, a.cam_t


@jax.jit
def _posed(model: body.BodyModel, keypoints: body.KeypointModel | None, rotations, betas):
    posed = body.pose_body(model, rotations, betas)
    points = None if keypoints is None else body.pose_keypoints(keypoints, rotations, betas)
    return posed.joints, posed.vertices, points


def _body(
    kit: Kit, name: str, pose: Any, eye: Any, evidence: Any, notes: list[str]
) -> drawing.Body:
    """A body where it stands: as the set says, else as its keypoints do."""
    rotations, betas, where = pose
    joints, vertices, points = jax.tree.map(
        lambda x: np.asarray(x)[0], _posed(kit.model, kit.keypoints, rotations, betas)
    )
    at = np.zeros(3) if where is None else where[0]
    placed = eye is not None and where is not None
    if eye is not None and where is None and points is not None and _seen(evidence):
        at, placed = _fitted(eye, points, evidence), True
        notes.append(f"{name}: placed by its keypoints")
    elif eye is not None and where is None:
        notes.append(f"{name}: nobody knows where: front view")
    if placed and (vertices + at)[:, 2].max() < 0.1:
        notes.append(f"{name}: behind the camera")
    one = drawing.Body(name, vertices + at, joints + at, placed)
    return _with_px(one, eye, None if points is None else points + at, evidence)


def _seen(evidence: Any) -> bool:
    return evidence is not None and bool((evidence[:, 2] > 0).sum() > 1)


def _fitted(eye: camera.Camera, points: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    given = (jnp.asarray(points), jnp.asarray(evidence))
    return np.asarray(camera.fit_translation(jax.tree.map(jnp.asarray, eye), *given))


def _with_px(one: drawing.Body, eye: Any, points: Any, evidence: Any) -> drawing.Body:
    """The body with where it has the keypoints, and their mean distance, weighted by confidence."""
    if not one.placed or points is None or points[:, 2].min() < 0.1:
        return one
    there = eye.focal_px * points[:, :2] / points[:, 2:] + eye.center_px
    one = one._replace(keypoints_px=there)
    if not _seen(evidence):
        return one
    distance = np.linalg.norm(evidence[:, :2] - there, axis=-1)
    return one._replace(error_px=float(np.average(distance, weights=evidence[:, 2])))


def _with_mm(one: drawing.Body, truth: drawing.Body | None) -> drawing.Body:
    """The body with the mean distance of its joints from the true ones, pelvis on pelvis."""
    if truth is None:
        return one
    ours, theirs = (x.joints_cam - x.joints_cam[0] for x in (one, truth))
    return one._replace(error_mm=float(1e3 * np.linalg.norm(ours - theirs, axis=-1).mean()))


def _title(row: int, a: records.AnnotationSet) -> str:
    told = [str(x[0]) for x in (a.sequence, a.subject, a.view) if x is not None and str(x[0])]
    told += [] if a.frame is None else [f"frame {a.frame[0]}"]
    return " · ".join([f"row {row}", *told])
