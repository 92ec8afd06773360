"""How much of a file is read at all: what is larger goes to quarantine before it is parsed."""

import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval

from cll.types.errors import DataRefused

_STRING = re.compile(rb'"(?:[^"\\\n]|\\.)*+"')
_STRETCH = 2**21
_OPENS, _CLOSES = np.frombuffer(b"[{", np.uint8), np.frombuffer(b"]}", np.uint8)


@dataclass(frozen=True)
class Limits:
    """Bounds against what would fill the memory, or take forever."""

    file_size: Annotated[int, Ge(1)] = 2**36  # bytes, as the file lies there
    decompressed_size: Annotated[int, Ge(1)] = 2**31  # bytes of .gz, .zst and .json, unpacked
    rows: Annotated[int, Ge(1)] = 10**9  # of one file
    bad_records: Annotated[int, Ge(1)] = 10**6  # of one file, or of a part of 30 MiB
    line_length: Annotated[int, Ge(1)] = 2**20  # bytes
    page_size: Annotated[int, Ge(1)] = 2**26  # bytes of a Parquet page, unpacked, of all columns
    text_length: Annotated[int, Ge(1)] = 2**12  # bytes of an entity's, kind's or group's name
    nesting: Annotated[int, Interval(ge=1, le=500)] = 64  # brackets within brackets


def over(name: str, limit: int) -> str:
    """Say which limit was passed, in the same words for every format.

    >>> over("rows", 5)
    'more than source.limits.rows=5; cut it up, or raise the limit'
    """
    return f"more than source.limits.{name}={limit}; cut it up, or raise the limit"


def refuse_over(name: str, found: int, limit: int) -> None:
    """Refuse a whole file that passes a limit."""
    if found > limit:
        raise DataRefused(f"{over(name, limit)}.")


def count(text: bytes | memoryview, byte: int) -> int:
    """Count a byte that is frequent, in stretches: few, since threads take turns at each.

    >>> count(b"a,b,c", ord(","))
    2
    """
    buffer = np.frombuffer(text, dtype=np.uint8)
    starts = range(0, len(buffer), _STRETCH)
    return sum(int(np.count_nonzero(buffer[i : i + _STRETCH] == byte)) for i in starts)


def has_longer(text: bytes, limit: int) -> bool:
    """Tell whether a line is longer than `limit`, by a look at each stretch of that size."""
    at = 0
    while at + limit < len(text):
        newline = text.rfind(b"\n", at, at + limit + 1)
        if newline < 0:
            return True
        at = newline + 1
    return False


def depth(text: bytes) -> int:
    """Return how deep brackets are nested in JSON, at most; those in strings don't count.

    >>> depth(b'{"a": [1, "[[["]}')
    2
    """
    bare = np.frombuffer(_STRING.sub(b"", text), dtype=np.uint8)
    opens, closes = np.isin(bare, _OPENS), np.isin(bare, _CLOSES)
    return int(np.cumsum(opens.astype(np.int64) - closes).max(initial=0))
