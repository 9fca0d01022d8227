"""SMPLify-X results: one pickle a person, results/IMAGE/PERSON.pkl.

By default `body_pose` there is the latent of VPoser (32 numbers), which only its network can turn into
angles: refused. With `use_vposer: false` it is axis-angle of 21 (SMPL-X, SMPL-H) or 23 joints (SMPL).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diffjax import unpickle
from diffjax.convert import delivery, finite, parsing

_JOINTS = {63: "SMPL-X or SMPL-H", 69: "SMPL"}


def read_smplifyx(
    path: str | Path,
    *,
    focal: float = 5000.0,
    keep_betas: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The person in a file, or all people below a folder, by path.

    `focal` (px) is what the fit was run with (its conf.yaml; 5000). Betas of SMPL-X are of another shape
    space than SMPL's: zeros stand for them, or with `keep_betas` the set is one for SMPL-X's own body.
    """
    path = Path(path)
    if not 0 < focal < finite.LARGEST:
        raise ValueError(f"--focal: wanted pixels above 0, got {focal:g}")
    files = [path] if path.is_file() else sorted(path.rglob("*.pkl"))
    if not files:
        raise FileNotFoundError(f"{path}: wanted results/IMAGE/PERSON.pkl, found none")
    people = [_person(file) for file in files]
    other = sum(not person["smpl"] for person in people)
    if other:
        what = (
            "kept, for a body of theirs"
            if keep_betas
            else "zeros written (--keep-betas keeps them)"
        )
        say(f"{path}: {other} people are of SMPL-X or SMPL-H; their betas are not SMPL's, {what}")
    pose = np.stack([person["pose"] for person in people])
    fields = {
        "pose": parsing.rotation_matrices(pose, str(path)),
        "betas": np.stack(
            [person["betas"] * (keep_betas or person["smpl"]) for person in people]
        ).astype(np.float32),
        "cam_t": np.stack([person["cam_t"] for person in people]).astype(np.float32),
        "focal_px": np.full((len(people), 2), focal, np.float32),
        "image": np.array([file.resolve().parent.name for file in files]),
        "subject": np.array([file.stem for file in files]),
    }
    return fields


def convert(
    source: Path,
    out: Path,
    focal: float = 5000.0,
    keep_betas: bool = False,
    role: delivery.Role = "estimate",
    estimates: Path | None = None,
) -> None:
    """Reads SMPLify-X results that were made without VPoser (.pkl).

    Args:
        source: results/IMAGE/PERSON.pkl or the folder results.
        out: The annotation set to write, .npz.
        focal: Focal length in pixels of the fit.
        keep_betas: Keep betas of SMPL-X and SMPL-H too, for use with that body (command smpl).
        role: Whether the poses are what is refined or what is compared with.
        estimates: Annotation set whose people these are.
    """
    fields = read_smplifyx(source, focal=focal, keep_betas=keep_betas)
    delivery.deliver(out, delivery.in_role(fields, role), str(source), estimates)


def _person(path: Path) -> dict[str, Any]:
    content, where = unpickle.load_pickle(path), str(path)

    def numbers(name: str, size: int | None) -> np.ndarray:
        value = parsing.field(content, name, where, "a SMPLify-X result")
        shape = (1, *((3, 3) if size == 9 else (size,)))
        return finite.array(value, name, shape, where)[0]

    body_pose = numbers("body_pose", None)
    if len(body_pose) not in _JOINTS:
        found = (
            "VPoser's latent of 32 numbers" if len(body_pose) == 32 else f"{len(body_pose)} numbers"
        )
        raise ValueError(
            f"{where}: field body_pose: wanted axis-angle (63 or 69 numbers), found {found}; decode it "
            "with VPoser where it was made, or fit with use_vposer: false"
        )
    if not np.allclose(numbers("camera_rotation", 9), np.eye(3), atol=1e-4):
        raise ValueError(
            f"{where}: field camera_rotation: wanted the identity, found another rotation; "
            "turn the body into the camera's axes first"
        )
    smpl = len(body_pose) == 69
    translation = numbers("camera_translation", 3)
    if "transl" in content:
        translation = translation + numbers("transl", 3)
    pose = np.concatenate([numbers("global_orient", 3), body_pose, np.zeros(69 - len(body_pose))])
    betas = numbers("betas", 10)
    return {"pose": pose, "betas": betas, "cam_t": translation, "smpl": smpl}
