"""Annotation sets as `.smpl` files (Meshcapade's, through smplcodec): one body or one track a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from diffjax.convert import parsing, track, writing
from diffjax.data import records


def write_smpl(
    path: str | Path,
    annotations: records.AnnotationSet,
    which: writing.Which = "estimate",
    *,
    fps: float = 30.0,
    where: str = "annotations",
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Writes each track to a file of the new folder `path`, or the only one to the file `path`.smpl.

    float32 axis-angle of 24 joints, metres, camera axes. One person is a track of one frame.
    """
    path = Path(path)
    if not 0 < fps < 10_000:
        raise ValueError(f"--fps: wanted frames a second above 0, got {fps:g}")
    tracks = track.tracks(annotations, which, where, say)
    if path.suffix == ".smpl":
        if len(tracks) > 1:
            raise ValueError(f"{path}: wanted a folder for {len(tracks)} tracks, got a file name")
        with writing.whole_file(path, (".smpl",)) as temporary:
            _write(temporary, tracks[0], fps)
        return [path]
    with writing.whole_folder(path) as folder:
        for t in tracks:
            _write(folder / f"{t.name}.smpl", t, fps)
    return [path / f"{t.name}.smpl" for t in tracks]


def convert(source: Path, out: Path, which: writing.Which = "estimate", fps: float = 30.0) -> None:
    """Writes an annotation set's tracks as .smpl files.

    Args:
        source: Annotation set, .npz or a folder of shards.
        out: New folder for a file a track; or a name ending in .smpl, for one track.
        which: The estimate or the truth.
        fps: Frames a second of the video.
    """
    annotations = records.read(source)
    files = write_smpl(out, annotations, which, fps=fps, where=str(source))
    print(f"{out}: {len(files)} files, {records.count(annotations)} bodies")


def _write(path: Path, t: track.Track, fps: float) -> None:
    codec = parsing.needed("smplcodec")
    translation = None if t.translation is None else t.translation.astype(np.float32)
    codec.SMPLCodec(
        smpl_version=parsing.needed("smplcodec.codec").SMPLVersion.SMPL,
        gender=parsing.needed("smplcodec.codec").SMPLGender[t.gender.upper()],
        shape_parameters=t.betas.astype(np.float32),
        frame_count=len(t.rows),
        frame_rate=float(fps),
        body_pose=t.poses.astype(np.float32),
        body_translation=translation,
    ).write(path)
