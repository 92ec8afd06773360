"""Split a stream of bytes into blocks of whole records, so that memory holds one block only.

A block ends after about BLOCK bytes or ROWS lines. Where it can, it ends where a day begins, as the
parts of a plain file do, so that the rows of a day are written once. The cuts depend on the bytes
only. A line over the limit is shortened, but stays over the limit: it is then refused, and the
other lines are read.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cll.pipeline.ingest.readers import day_breaks
from cll.pipeline.ingest.readers.limits import count

BLOCK = 30 * 2**20  # bytes, like a part of a plain file
ROWS = 1_000_000  # approximate number of lines of a block
STEP = 2**20  # bytes that are read at once
_LEAST = 8  # a block that ends where a day begins has at least this share of BLOCK (1 / 8)
_SPARE = 8  # bytes beyond the limit that are kept of a line that is cut

Pull = Callable[[int], bytes]  # returns at most this many next bytes; none at the end


@dataclass(frozen=True)
class Block:
    """Whole records, and the number of lines before them."""

    text: bytes
    before: int = 0


def blocks(
    pull: Pull, kind: str, longest: int, size: int | None = None, block: int | None = None
) -> Iterator[Block]:
    r"""Yield blocks of the records of CSV or JSON Lines.

    `longest` is the limit of a line, `size` the length of the stream if it is known, and `block` the
    size of a block if it is not BLOCK; all are in bytes.

    >>> list(blocks(io.BytesIO(b"a\nb").read, ".csv", 9))
    [Block(text=b'a\nb', before=0)]
    """
    if size is not None and size <= BLOCK + 2 * STEP:
        text = filled(pull, size)
        if count(text, ord("\n")) <= ROWS:
            yield Block(text)
            return
        pull = io.BytesIO(text).read
        del text
    cutter = _Cutter(kind, longest, block or BLOCK)
    for piece in _shortened(pull, kind, longest):
        if (whole := cutter.add(piece)) is not None:
            yield whole
            del whole  # free it before the next is read
    if cutter.size or not cutter.before:
        yield cutter.rest()


def filled(pull: Pull, size: int) -> bytes:
    """Return the next `size` bytes, or all that are left."""
    piece = pull(size)
    if not piece or len(piece) == size:
        return piece
    pieces, left = [piece], size - len(piece)
    while left and (piece := pull(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


class _Cutter:
    """Collects pieces until they make a block."""

    def __init__(self, kind: str, longest: int, block: int) -> None:
        self._kind, self._longest, self._block = kind, max(longest, STEP), block
        self._pieces: list[bytes] = []
        self.size = self._lines = self._quotes = self._over = 0
        self.before = 0  # lines of the blocks so far

    def add(self, piece: bytes) -> Block | None:
        """Add a piece; return a block if one ends in this piece or before it."""
        quotes = self._quotes
        self._pieces.append(piece)
        self.size += len(piece)
        self._lines += count(piece, ord("\n"))
        if self._kind == ".csv" and b'"' in piece:
            self._quotes += count(piece, ord('"'))
        if self.size < self._block and self._lines < ROWS:
            return None
        end = self._end(piece, quotes)
        if end:
            return self._cut(len(self._pieces) - 1, end)
        self._over += len(piece)
        # A quoted field longer than a record may be has a stray quote, so any line ends the block.
        if self._over > self._longest:
            for i in range(len(self._pieces) - 1, -1, -1):
                if end := self._pieces[i].rfind(b"\n") + 1:
                    return self._cut(i, end)
        return None

    def rest(self) -> Block:
        """Return what is left at the end."""
        return Block(b"".join(self._pieces), self.before)

    def _end(self, piece: bytes, quotes: int) -> int:
        """Return where the last record of a piece ends; `quotes` quotes stand before the piece."""
        if self._quotes == 0 or (self._quotes == quotes and quotes % 2 == 0):
            return piece.rfind(b"\n") + 1
        buffer = np.frombuffer(piece, dtype=np.uint8)
        newlines = np.flatnonzero(buffer == ord("\n"))
        before = np.searchsorted(np.flatnonzero(buffer == ord('"')), newlines)
        outer = newlines[(before + quotes) % 2 == 0]
        return int(outer[-1]) + 1 if len(outer) else 0

    def _cut(self, i: int, end: int) -> Block:
        text = b"".join([*self._pieces[:i], self._pieces[i][:end]])
        rest = [self._pieces[i][end:], *self._pieces[i + 1 :]]
        if not self._quotes and (
            day := day_breaks.last_day_start(text, 0, len(text)) or 0
        ) * _LEAST > len(text):
            rest = [text[day:], *rest]
            text = text[:day]
        block = Block(text, self.before)
        self._pieces = [piece for piece in rest if piece]
        self.size = sum(map(len, rest))
        lines = sum(count(piece, ord("\n")) for piece in rest)
        self.before += self._lines - lines
        self._lines = lines
        self._quotes = sum(count(piece, ord('"')) for piece in rest if self._kind == ".csv")
        self._over = 0
        return block


def _shortened(pull: Pull, kind: str, longest: int) -> Iterator[bytes]:
    """Yield the stream in pieces; shorten each line that is longer than both `longest` and STEP."""
    most = max(longest, STEP) + _SPARE
    length = odd = 0  # bytes of the current line; whether an odd number of its quotes was cut off
    while piece := filled(pull, STEP):
        end = piece.find(b"\n")
        first = len(piece) if end < 0 else end
        if length + first > most:
            kept = _whole_letters(piece[: max(0, most - length)])
            odd ^= piece.count(b'"', len(kept), first) % 2
            closed = b'"' if odd and end >= 0 and kind == ".csv" else b""
            yield kept + closed + piece[first:]
        elif piece:
            yield piece
        if end < 0:
            length += len(piece)
        else:
            length, odd = len(piece) - piece.rfind(b"\n") - 1, 0


def _whole_letters(text: bytes) -> bytes:
    """Return text without an incomplete UTF-8 character at its end."""
    for back in range(1, min(4, len(text)) + 1):
        if text[-back] & 0xC0 != 0x80:  # noqa: PLR2004  not a continuation byte
            return text[:-back] if text[-back] >= 0xC0 else text  # noqa: PLR2004  a leading byte
    return text
