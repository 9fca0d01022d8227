"""The bytes of a file, unpacked where they are compressed, never more than the bounds allow."""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffjax.unpickle import bounds

_CHUNK = 1 << 20
_LZMA_MEMORY = 256 << 20  # `xz -9` needs 65 MiB.


def packed_bytes(path: str | Path, largest: int = bounds.LARGEST) -> bytes:
    """The bytes of a file as they are on disk, at most `largest` of them."""
    path = existing(path)
    with bounds.refusals(str(path), "a file"):
        size = path.stat().st_size
        if size > largest:
            raise ValueError(
                f"wanted at most {largest >> 20} MiB, found {size / 2**20:.1f}; split it"
            )
        return path.read_bytes()


def start(path: str | Path, size: int) -> bytes:
    """The first `size` bytes of a file."""
    path = existing(path)
    with bounds.refusals(str(path), "a file"), path.open("rb") as file:
        return file.read(size)


def existing(path: str | Path) -> Path:
    """`path`, of a file that is there."""
    path = Path(path)
    with bounds.refusals(str(path), "a file"):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; check the path")
    return path


def unpacked(data: bytes) -> bytes:
    """`data` itself, or what it was before zlib, gzip, bz2, xz, lzma or lz4."""
    for magic, decompressor in _DECOMPRESSORS.items():
        if data.startswith(magic):
            return _decompressed(data, decompressor)
    if data.startswith(b"ZF0x"):
        raise ValueError(
            "written by joblib before 0.10, which is not read; load it there and save it with "
            "a newer joblib"
        )
    return data


def _decompressed(data: bytes, new: Callable[[], Any]) -> bytes:
    """All frames of `data`, one after another, each chunk counted before the next is asked for."""
    packed, result, decompressor, rest = len(data), bytearray(), new(), memoryview(data)
    while True:
        given = bytes(rest[:_CHUNK]) if _hungry(decompressor) else b""
        piece = decompressor.decompress(given, _CHUNK)
        result += piece
        bounds.check_unpacked(len(result), packed)
        if decompressor.eof:
            rest = rest[len(given) - len(decompressor.unused_data or b"") :]
            if bytes(rest[:2]) != data[:2]:  # gzip and xz files may be several in a row.
                return bytes(result)
            decompressor = new()
            continue
        if not piece and not given and _hungry(decompressor):
            raise ValueError("the compressed data ends too early; is the file complete?")
        rest = rest[len(given) - len(getattr(decompressor, "unconsumed_tail", b"")) :]


def _hungry(decompressor: Any) -> bool:
    """Whether it takes input; zlib, which does not say, gives back what it has not taken."""
    return getattr(decompressor, "needs_input", True)


def _lz4() -> Any:
    try:
        frame = importlib.import_module("lz4.frame")
    except ImportError as error:
        raise ValueError(
            "compressed by lz4, which needs the package lz4: pip install lz4, or save the file "
            "with another compression"
        ) from error
    return frame.LZ4FrameDecompressor()


_DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x78": zlib.decompressobj,  # Not an operation that a pickle can begin with; nor the others.
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY),
    b"\x04\x22\x4d\x18": _lz4,
}
