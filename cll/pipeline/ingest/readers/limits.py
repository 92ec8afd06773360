"""Limits on the size of files, records and values; a larger one is quarantined before parsing."""

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
    """Limits against inputs that would fill the memory or take too long."""

    file_size: Annotated[int, Ge(1)] = 2**36  # bytes on disk
    decompressed_size: Annotated[int, Ge(1)] = 2**31  # bytes of .gz, .zst and .json, unpacked
    rows: Annotated[int, Ge(1)] = 10**9  # rows of one file
    bad_records: Annotated[int, Ge(1)] = 10**6  # bad records of one file, or of a part of 30 MiB
    line_length: Annotated[int, Ge(1)] = 2**20  # bytes of a line
    page_size: Annotated[int, Ge(1)] = 2**26  # bytes of a Parquet page, unpacked, of all columns
    text_length: Annotated[int, Ge(1)] = 2**12  # bytes of an entity's, kind's or group's name
    nesting: Annotated[int, Interval(ge=1, le=500)] = 64  # brackets within brackets


def over(name: str, limit: int) -> str:
    """Return the reason for a passed limit, the same for every format.

    >>> over("rows", 5)
    'more than source.limits.rows=5; cut it up, or raise the limit'
    """
    return f"more than source.limits.{name}={limit}; cut it up, or raise the limit"


def refuse_over(name: str, value: int, limit: int) -> None:
    """Raise DataRefused for a file that passes a limit."""
    if value > limit:
        raise DataRefused(f"{over(name, limit)}.")


def count(text: bytes | memoryview, byte: int) -> int:
    """Return how often a frequent byte occurs.

    Stretches are large, since each call takes the interpreter lock.

    >>> count(b"a,b,c", ord(","))
    2
    """
    buffer = np.frombuffer(text, dtype=np.uint8)
    starts = range(0, len(buffer), _STRETCH)
    return sum(int(np.count_nonzero(buffer[i : i + _STRETCH] == byte)) for i in starts)


def has_longer(text: bytes, limit: int) -> bool:
    """Return whether a line is longer than `limit`; looks for one newline per `limit` bytes."""
    at = 0
    while at + limit < len(text):
        newline = text.rfind(b"\n", at, at + limit + 1)
        if newline < 0:
            return True
        at = newline + 1
    return False


def depth(text: bytes) -> int:
    """Return the deepest nesting of brackets in JSON, not counting those in strings.

    >>> depth(b'{"a": [1, "[[["]}')
    2
    """
    bare = np.frombuffer(_STRING.sub(b"", text), dtype=np.uint8)
    opens, closes = np.isin(bare, _OPENS), np.isin(bare, _CLOSES)
    return int(np.cumsum(opens.astype(np.int64) - closes).max(initial=0))
