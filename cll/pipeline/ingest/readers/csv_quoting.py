"""Find the records and fields of CSV by its newlines, commas and quotes (RFC 4180).

If quotes do not pair up, each line is a record, so that a stray quote spoils its own line and not the
rest of the file.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cll.pipeline.ingest.readers.records import Numbers
from cll.types.arrays import Flags

NEWLINE, COMMA, QUOTE = b'\n,"'


@dataclass(frozen=True)
class Cuts:
    """The start and end (after the newline) of each record, and facts about it."""

    starts: Numbers
    ends: Numbers
    lines: Numbers  # the line on which each record starts, from 1
    fields: Numbers
    unpaired: Flags  # records with quotes that open or close in mid-field, or never close


def cut(buffer: NDArray[np.uint8]) -> Cuts:
    """Return the records of CSV bytes."""
    newlines = np.flatnonzero(buffer == NEWLINE)
    commas = np.flatnonzero(buffer == COMMA)
    quotes = np.flatnonzero(buffer == QUOTE)
    if not len(quotes):
        return _records(newlines, newlines, commas, len(buffer))
    # 1 after an odd number of quotes, that is, inside a quoted field.
    inside = np.cumsum(buffer == QUOTE, dtype=np.uint8) & 1
    outer = newlines[inside[newlines] == 0]
    cuts = _records(outer, newlines, commas[inside[commas] == 0], len(buffer))
    stray = _stray(buffer, quotes, inside[quotes] == 1)
    unpaired = _mark(cuts, stray)
    unpaired[-1] |= inside[-1] == 1
    if not unpaired.any() or len(outer) == len(newlines):
        return replace(cuts, unpaired=unpaired)
    # Each line is a record: it starts outside of quotes, whatever precedes it.
    offset = np.concatenate(([0], inside[newlines]))
    cuts = _records(newlines, newlines, commas, len(buffer))
    offset = offset[: len(cuts.starts)]
    at_comma = inside[commas] ^ offset[np.searchsorted(cuts.ends, commas, side="right")]
    at_quote = inside[quotes] ^ offset[np.searchsorted(cuts.ends, quotes, side="right")]
    cuts = _records(newlines, newlines, commas[at_comma == 0], len(buffer))
    unpaired = _mark(cuts, _stray(buffer, quotes, at_quote == 1))
    return replace(cuts, unpaired=unpaired | (inside[cuts.ends - 1] != offset))


def _stray(buffer: NDArray[np.uint8], quotes: Numbers, opens: Flags) -> Numbers:
    """Return the quotes that open or close in mid-field."""
    before = np.where(quotes > 0, buffer[quotes - 1], NEWLINE)
    behind = np.where(quotes < len(buffer) - 1, buffer[(quotes + 1) % len(buffer)], NEWLINE)
    beside = np.where(opens, before, behind)
    fine = (beside == NEWLINE) | (beside == COMMA) | (beside == QUOTE)
    strays: Numbers = quotes[~fine]
    return strays


def _mark(cuts: Cuts, places: Numbers) -> Flags:
    marked = np.zeros(len(cuts.starts), dtype=np.bool_)
    marked[np.searchsorted(cuts.ends, places, side="right")] = True
    return marked


def _records(cuts: Numbers, newlines: Numbers, commas: Numbers, size: int) -> Cuts:
    edges = np.concatenate(([0], cuts + 1))
    edges = edges if edges[-1] == size else np.append(edges, size)
    return Cuts(
        starts=edges[:-1],
        ends=edges[1:],
        lines=np.searchsorted(newlines, edges[:-1]) + 1,
        fields=np.diff(np.searchsorted(commas, edges)) + 1,
        unpaired=np.zeros(len(edges) - 1, dtype=np.bool_),
    )


def undecodable(text: bytes, cuts: Cuts) -> Flags:
    """Return a mask of the records that are not UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        pieces = zip(cuts.starts.tolist(), cuts.ends.tolist(), strict=True)
        return np.array([not decodes(text[start:end]) for start, end in pieces])
    return np.zeros(len(cuts.starts), dtype=np.bool_)


def decodes(piece: bytes) -> bool:
    """Return whether bytes are UTF-8."""
    if piece.isascii():
        return True
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
