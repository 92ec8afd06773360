"""Packed files as the bytes in them, up to a limit: a bomb is left off where it passes that."""

import gzip
import io
import zlib
from typing import Protocol

import pyarrow as pa

from cll.pipeline.ingest.readers.limits import Limits, refuse_over
from cll.pipeline.ingest.readers.records import TRUNCATED
from cll.types.errors import DataRefused

_STEP = 2**20


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def unpack(name: str, data: bytes, limits: Limits) -> bytes:
    """Return what a .gz or .zst holds; other bytes are returned as they are."""
    opener = {"gz": _gzip, "zst": _zstd}.get(name.lower().rpartition(".")[2])
    if opener is None:
        return data
    try:
        return _drain(opener(data), limits.decompressed_size)
    except EOFError:
        raise DataRefused(f"{TRUNCATED}.") from None
    except (OSError, zlib.error) as why:
        # What Arrow says of a stream that ends too early.
        said = TRUNCATED if "runcated" in str(why) else f"can't be unpacked: {why}"
        raise DataRefused(f"{said}.") from None


def _gzip(data: bytes) -> _Stream:
    return gzip.GzipFile(fileobj=io.BytesIO(data))


def _zstd(data: bytes) -> _Stream:
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd")  # type: ignore[no-any-return]


def _drain(stream: _Stream, most: int) -> bytes:
    text = io.BytesIO()
    while piece := stream.read(_STEP):
        refuse_over("decompressed_size", text.tell() + len(piece), most)
        text.write(piece)
    return text.getvalue()
