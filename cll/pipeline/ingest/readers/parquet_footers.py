"""Read sizes of a Parquet file's columns from its footer and page headers, in pure Python.

pyarrow crashes the process at a damaged footer: its column chunk metadata does not catch a C++
exception. Here damage raises DataRefused. The format is Thrift's compact protocol:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from cll.pipeline.ingest.readers.records import EMPTY, TRUNCATED
from cll.types.errors import DataRefused

_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
BYTE_ARRAY = 6  # the physical type of text
DELTA_BYTE_ARRAY = 7  # an encoding in which a short page can hold long texts
_TAIL = 8  # bytes after the footer: its length, and the magic
_LONGEST = 2**24  # bytes of a footer; pyarrow needs ten times as much memory
_HEADER = 2**8  # bytes of a page header that are read first
_LONGEST_HEADER = 2**20
_DEEPEST = 32  # structs within structs
_DAMAGED = "can't be read as Parquet: its footer is damaged."
_DAMAGED_PAGE = "can't be read as Parquet: a page is damaged."
_DAMAGE = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
# Fields.
_SCHEMA, _ROW_GROUPS, _COLUMNS, _SIZES, _CRYPTO, _CHILDREN = 2, 4, 1, 3, 8, 5
_POINTER = 16  # bytes
_DATA_PAGES = (5, 8)  # fields of a page header for data pages of version 1 and 2


Source = Callable[[int, int], bytes]  # returns bytes of a file, by start and number


@dataclass(frozen=True)
class ColumnChunk:
    """The values of one column in one row group."""

    kind: int  # the physical type
    encodings: tuple[int, ...]
    values: int
    packed: int  # compressed bytes
    unpacked: int  # uncompressed bytes of its pages
    start: int
    is_numbered: bool  # it is dictionary-encoded
    is_nested: bool  # in a list or a struct
    width: int  # bytes of each value in memory; of a text, bytes of its pointer


@dataclass(frozen=True)
class Group:
    """A row group with its wanted columns."""

    rows: int
    columns: dict[str, list[ColumnChunk]]  # column chunks by the name of their top-level column


def read(source: Source, size: int, wanted: Collection[str]) -> Iterator[Group]:
    """Yield the row groups of a file of `size` bytes."""
    footer = _footer(source, size)
    number = at = 0
    widths: list[int] = []
    try:
        while footer[at]:
            number, kind, at = _field(footer, at, number)
            if number == _ROW_GROUPS and kind == _LIST:
                yield from _groups(footer, at, frozenset(wanted), widths)
                return
            value, at = _value(footer, at, kind, 0)
            if number == _SCHEMA:
                widths = [_width(element) for element in value if not element.get(_CHILDREN)]
    except _DAMAGE:
        raise DataRefused(_DAMAGED) from None
    raise DataRefused(_DAMAGED)


def pages(source: Source, column: ColumnChunk) -> Iterator[tuple[int, int]]:
    """Yield the unpacked bytes and the number of values of each page of a column chunk."""
    at, end, left = column.start, column.start + column.packed, column.values
    while left > 0 and at < end:
        header, size = _page_header(source, at)
        try:
            page = next((header[kind] for kind in _DATA_PAGES if kind in header), {1: 0})
            unpacked, packed, values = _counts(header[2], header[3], page[1])
        except _DAMAGE:
            raise DataRefused(_DAMAGED_PAGE) from None
        yield unpacked, values
        left -= values
        at += size + packed


def _page_header(source: Source, at: int) -> tuple[dict[int, Any], int]:
    size = _HEADER
    while True:
        text = source(at, size)
        try:
            return _struct(text, 0, 0)
        except LookupError:
            if size >= _LONGEST_HEADER or len(text) < size:
                raise DataRefused(_DAMAGED_PAGE) from None
            size *= 16
        except _DAMAGE:
            raise DataRefused(_DAMAGED_PAGE) from None


def _footer(source: Source, size: int) -> bytes:
    head, tail = source(0, 4), source(max(0, size - _TAIL), _TAIL)
    if not head:
        raise DataRefused(f"{EMPTY}.")
    if _ENCRYPTED in (head, tail[4:]):
        raise DataRefused("can't be read as Parquet: it is encrypted.")
    if head == _MAGIC != tail[4:]:
        raise DataRefused(f"{TRUNCATED}.")
    length = int.from_bytes(tail[:4], "little")
    if head != _MAGIC:
        raise DataRefused("can't be read as Parquet: it is something else.")
    if length + _TAIL > size:
        raise DataRefused(_DAMAGED)
    if length > _LONGEST:
        raise DataRefused(f"its footer has {length} bytes, more than {_LONGEST}; cut the file up.")
    return source(size - _TAIL - length, length)


def _width(element: dict[int, Any]) -> int:
    (length,) = _counts(element.get(2, 0))
    return max(_POINTER, length)


def _groups(footer: bytes, at: int, wanted: frozenset[str], widths: list[int]) -> Iterator[Group]:
    count, kind, at = _list(footer, at)
    for _ in range(count):
        if kind != _STRUCT:
            raise ValueError(kind)
        group, at = _struct(footer, at, 0)
        columns: dict[str, list[ColumnChunk]] = {}
        for chunk, width in zip(group[_COLUMNS], widths, strict=True):
            sizes = chunk.get(_SIZES, {})
            name = sizes[3][0].decode(errors="replace") if sizes else ""
            if name in wanted:
                if _CRYPTO in chunk:
                    raise DataRefused(f"can't be read as Parquet: {name!r} is encrypted.")
                columns.setdefault(name, []).append(_column(sizes, width))
        (rows,) = _counts(group[3])
        yield Group(rows, columns)


def _column(sizes: dict[int, Any], width: int) -> ColumnChunk:
    dictionary = sizes.get(11)
    start = min(dictionary, sizes[9]) if dictionary else sizes[9]
    kind, values, packed, unpacked, start = _counts(sizes[1], sizes[5], sizes[7], sizes[6], start)
    return ColumnChunk(
        kind,
        tuple(sizes[2]),
        values,
        packed,
        unpacked,
        start,
        is_numbered=dictionary is not None,
        is_nested=len(sizes[3]) > 1,
        width=width,
    )


def _counts(*numbers: Any) -> tuple[int, ...]:
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(numbers)
    return numbers


# Thrift's compact protocol.

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_WHOLE = frozenset({4, 5, 6})  # i16, i32, i64
_PASSED = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}  # bytes of values that are skipped


def _varint(text: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = text[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  the last byte
            return value, at
        shift += 7
        if shift > 63:  # noqa: PLR2004
            raise ValueError(shift)


def _field(text: bytes, at: int, number: int) -> tuple[int, int, int]:
    """Return number, type and place of a field; `number` is that of the field before it."""
    byte = text[at]
    if byte >> 4:
        return number + (byte >> 4), byte & 15, at + 1
    zigzag, at = _varint(text, at + 1)
    return (zigzag >> 1) ^ -(zigzag & 1), byte & 15, at


def _struct(text: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > _DEEPEST:
        raise ValueError(depth)
    fields: dict[int, Any] = {}
    number = 0
    while text[at]:
        number, kind, at = _field(text, at, number)
        fields[number], at = _value(text, at, kind, depth)
    return fields, at + 1


def _list(text: bytes, at: int) -> tuple[int, int, int]:
    byte = text[at]
    count, at = (byte >> 4, at + 1) if byte >> 4 != 15 else _varint(text, at + 1)  # noqa: PLR2004
    if count > len(text):  # each element has a byte at least
        raise IndexError(count)
    return count, byte & 15, at


def _value(text: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _WHOLE:
        zigzag, at = _varint(text, at)
        return (zigzag >> 1) ^ -(zigzag & 1), at
    if kind == _BINARY:
        size, at = _varint(text, at)
        if at + size > len(text):
            raise IndexError(size)
        return text[at : at + size], at + size
    if kind == _STRUCT:
        return _struct(text, at, depth + 1)
    if kind in (_LIST, _SET):
        return _elements(text, at, depth)
    return None, at + _PASSED[kind]  # Parquet has no maps


def _elements(text: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    count, kind, at = _list(text, at)
    elements = []
    for _ in range(count):
        if kind in (_TRUE, _FALSE):
            value, at = None, at + 1
        else:
            value, at = _value(text, at, kind, depth + 1)
        elements.append(value)
    return elements, at
