"""Which file or folder a converter is given: a folder only where it would take all that lies in it."""

from pathlib import Path
from typing import NamedTuple

from diffjax.convert.inspection import contents, known, recognise
from diffjax.convert.inspection.verdict import Finding

_ENDING = "_keypoints.json"
_READ = {
    "3dpw": ".pkl",
    "amass": ".npz",
    "aist": ".pkl",
    "bvh": ".bvh",
    "smplify-x": ".pkl",
    "annotation-set": ".npz",
    "openpose": _ENDING,
    "emdb": "_data.pkl",
    "slahmr": "_smpl.json",
}
"""What the converters of folders take for theirs, by the ends of names."""
_SPLITS = ("train", "validation", "test")
_FLAT = ("annotation-set", "3dpw")
"""Formats whose folders are not searched any deeper."""
_NEIGHBOURS = 50


class Source(NamedTuple):
    """What a command is to name."""

    path: Path | None
    """None where no file can be converted as it is."""
    why: str = ""
    """Why it is not the folder."""
    options: str = ""


def findings(look: recognise.Look) -> list[Finding]:
    """What keeps a converter from taking the file or folder as it is."""
    why = source(look).why
    return [Finding("folder" if look.path.is_dir() else "name", "look", why)] if why else []


def source(look: recognise.Look) -> Source:
    """The file, or its folder where the converter takes one."""
    name = look.format.name if look.format else ""
    if name == "openpose":
        return _openpose(look)
    if not look.path.is_dir() or name not in known.FOLDERS:
        return Source(look.first)
    stray = _stray(look)
    if stray is not None:
        return Source(look.first, _mixed(stray))
    if name in _FLAT and any(file.parent != look.path for file in look.like):
        return _split(look) if name == "3dpw" else Source(look.first, _deep(look))
    return Source(look.path)


def _stray(look: recognise.Look) -> Path | None:
    """A file that the converter would read and refuse."""
    assert look.format is not None
    ending, flat = _READ.get(look.format.name), look.format.name in _FLAT
    files = (
        file
        for file in look.unlike
        if ending and file.name.endswith(ending) and not (flat and file.parent != look.path)
    )
    return next((file for file in files if file.name != "shape.npz"), None)


def _mixed(stray: Path) -> str:
    return (
        f"the folder also holds {stray.name}, which its converter refuses: move such files away, "
        "or convert file by file"
    )


def _deep(look: recognise.Look) -> str:
    deep = next(file for file in look.like if file.parent != look.path)
    return f"files lie deeper, as {deep.relative_to(look.path)} does: take folder by folder"


def _split(look: recognise.Look) -> Source:
    """3DPW's folder of train, validation and test."""
    folders = {file.parent for file in look.like}
    roots = (look.path, look.path / "sequenceFiles")
    if not all(f.name in _SPLITS and f.parent in roots for f in folders):
        return Source(look.first, _deep(look))
    names = [name for name in _SPLITS if name in {folder.name for folder in folders}]
    return Source(look.path, options=f" --split {'all' if len(names) == 3 else names[0]}")


def _openpose(look: recognise.Look) -> Source:
    """Of a folder only files named FRAME_keypoints.json are read."""
    badly = [file for file in look.like if not file.name.endswith(_ENDING)]
    unseen = f"OpenPose names its files FRAME{_ENDING}; {badly[0].name} must be " if badly else ""
    if not look.path.is_dir():
        if badly:
            return Source(look.path, f"{unseen}named so to be found in a folder")
        return Source(look.path.parent if _has_neighbours(look.path) else look.path)
    if len(badly) == len(look.like):
        return Source(None, f"{unseen}named so before the folder can be converted")
    stray = _stray(look)
    if stray is not None:
        first = next(file for file in look.like if file not in badly)
        return Source(first, _mixed(stray))
    return Source(look.path, f"{unseen}named so, else it is left out" if badly else "")


def _has_neighbours(path: Path) -> bool:
    """Do other frames, and nothing else under such names, lie beside it?"""
    files = [file for file, _ in zip(path.parent.glob(f"*{_ENDING}"), range(_NEIGHBOURS))]
    try:
        kinds = [recognise.of(contents.read(file)) for file in files]
    except (ValueError, OSError):
        return False
    return len(kinds) > 1 and all(kind is not None and kind.name == "openpose" for kind in kinds)
