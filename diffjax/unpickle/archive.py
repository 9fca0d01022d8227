"""Zip archives (`.npz`, `.pt`) whose directory is checked before any of them is unpacked."""

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from diffjax.unpickle import bounds, stream

_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_MOST_MEMBERS = 100_000


class Archive(NamedTuple):
    """An open archive: nothing in it is larger, deeper or elsewhere than it says."""

    file: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    def open(self, name: str) -> Any:
        """A stream of the member's bytes, which ends where the directory says it does."""
        return self.file.open(self.members[name])

    def read(self, name: str) -> bytes:
        """All bytes of a member."""
        data = self.file.read(self.members[name])
        if len(data) != self.members[name].file_size:
            raise ValueError(f"{bounds.shown(name)} is shorter than the archive says")
        return data


@contextlib.contextmanager
def opened(path: str | Path, wanted: str) -> Iterator[Archive]:
    """The archive at `path`; `wanted` says in messages what was looked for."""
    path = stream.existing(path)
    with bounds.refusals(str(path), wanted):
        try:
            file = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"wanted {wanted}, found something else ({error})") from error
        with file:
            yield Archive(file, _checked(file.infolist(), os.path.getsize(path)))


def _checked(infos: list[zipfile.ZipInfo], on_disk: int) -> dict[str, zipfile.ZipInfo]:
    if len(infos) > _MOST_MEMBERS:
        raise ValueError(f"holds {len(infos)} members; wanted at most {_MOST_MEMBERS}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        _check_member(info)
        if info.filename in members:
            raise ValueError(f"two members are named {bounds.shown(info.filename)}")
        members[info.filename] = info
    packed = sum(info.compress_size for info in infos)
    if packed > on_disk:
        raise ValueError(
            f"the members take {packed} bytes of a file of {on_disk}: they overlap, which only a "
            "damaged file or a decompression bomb does"
        )
    bounds.check_unpacked(sum(info.file_size for info in infos), on_disk)
    return members


def _check_member(info: zipfile.ZipInfo) -> None:
    name, text = info.filename, bounds.shown(info.filename)
    # `orig_filename` may hold what zipfile cuts off or turns round (a zero byte, backslashes).
    climbs = ".." in re.split(r"[/\\]", info.orig_filename) or name.startswith(("/", "\\"))
    if climbs or "\0" in info.orig_filename or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"a member is named {text}, which leaves the archive")
    if info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{text} is encrypted; unpack it with its password and zip it again")
    if info.compress_type not in _READ:
        raise ValueError(
            f"{text} is compressed in a way that is not read; wanted stored or deflated"
        )
    if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        raise ValueError(f"{text} says that it has two sizes; is the file damaged?")
