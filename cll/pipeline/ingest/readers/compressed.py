"""Decompress .gz and .zst files, up to a size limit, so that a decompression bomb is refused."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from cll.pipeline.ingest.readers.limits import Limits, refuse_over
from cll.pipeline.ingest.readers.records import TRUNCATED
from cll.pipeline.ingest.readers.streams import STEP, Pull
from cll.types.errors import DataRefused

SUFFIXES = frozenset({".gz", ".zst"})


def unpack(name: str, data: bytes, limits: Limits) -> bytes:
    """Return .gz or .zst data decompressed; other data are returned unchanged."""
    if not is_packed(name):
        return data
    text = io.BytesIO()
    with _pulled(name, io.BytesIO(data), limits) as pull:
        while piece := pull(STEP):
            text.write(piece)
    return text.getvalue()


def is_packed(name: str) -> bool:
    """Return whether a file name has the suffix of a compressed file."""
    return PurePath(name.lower()).suffix in SUFFIXES


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Pull]:
    """Open a compressed file, and yield a function that returns its next decompressed bytes."""
    with path.open("rb") as file, _pulled(path.name, file, limits) as pull:
        yield pull


@contextmanager
def _pulled(name: str, file: Any, limits: Limits) -> Iterator[Pull]:
    taken = 0

    def pull(size: int) -> bytes:
        nonlocal taken
        try:
            piece: bytes = stream.read(size)
        except EOFError:
            raise DataRefused(f"{TRUNCATED}.") from None
        except (OSError, zlib.error) as why:
            # Arrow's message for a stream that ends too early contains "truncated".
            reason = TRUNCATED if "runcated" in str(why) else f"can't be unpacked: {why}"
            raise DataRefused(f"{reason}.") from None
        taken += len(piece)
        refuse_over("decompressed_size", taken, limits.decompressed_size)
        return piece

    gz = name.lower().endswith(".gz")
    stream = gzip.GzipFile(fileobj=file) if gz else pa.CompressedInputStream(file, "zstd")
    with stream:
        yield pull
