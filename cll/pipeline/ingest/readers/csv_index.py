"""Index of a CSV text: the place and the faults of each record, and parsing of chosen records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.ingest.readers.csv_quoting import NEWLINE, Cuts, cut, undecodable
from cll.pipeline.ingest.readers.limits import over
from cll.pipeline.ingest.readers.records import NOT_UTF8, Fault, Numbers, Wanted
from cll.types.arrays import Flags
from cll.types.errors import DataRefused
from cll.types.tables import VALUE_WIDTH


@dataclass(frozen=True)
class IndexedText:
    """A text with the places of its records; masks and arrays have one value per record."""

    data: bytes
    wanted: Wanted
    shift: int  # line number in the file minus the line number in this text

    @cached_property
    def buffer(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.data, dtype=np.uint8)

    @cached_property
    def cuts(self) -> Cuts:
        return cut(self.buffer)

    @cached_property
    def sizes(self) -> Numbers:
        return self.cuts.ends - self.cuts.starts

    @cached_property
    def filled(self) -> Flags:
        """Mask of the records that are not blank lines."""
        filled: Flags = self.sizes - (self.buffer[self.cuts.ends - 1] == NEWLINE) > 0
        return filled

    @cached_property
    def faulty(self) -> list[tuple[Flags, str]]:
        """Masks of the records that no header makes readable, with the reason."""
        longest = self.wanted.limits.line_length
        return [
            (undecodable(self.data, self.cuts), NOT_UTF8),
            (self.sizes > longest + 1, over("line_length", longest)),
            (self.cuts.unpaired, "quotes do not pair up"),
        ]

    @cached_property
    def sound(self) -> Flags:
        """Mask of the records that can be read if they have as many fields as their header."""
        sound = self.filled.copy()
        for mask, _ in self.faulty:
            sound &= ~mask
        return sound

    def record(self, i: int) -> bytes:
        """Return the bytes of a record, with its newline."""
        return self.data[self.cuts.starts[i] : self.cuts.ends[i]]

    def fault(self, i: int, reason: str) -> Fault:
        """Return the fault of a record that can't be read."""
        text = self.record(i)[: 4 * VALUE_WIDTH].rstrip(b"\n").decode(errors="backslashreplace")
        return int(self.cuts.lines[i]), None, text, reason

    def rows(self, taken: Flags, names: Sequence[str]) -> pl.DataFrame:
        """Return the wanted columns of the records that `taken` marks, parsed with these names."""
        if taken[-1] and (first := int(np.argmax(taken))) + int(taken.sum()) == len(taken):
            body = self.data[self.cuts.starts[first] :]
        else:
            body = self.buffer[np.repeat(taken, self.sizes)].tobytes()
        return parse_records(body, list(names), self.wanted.columns, int(taken.sum()))


def parse_records(
    body: bytes, header: list[str], wanted: Sequence[str], height: int
) -> pl.DataFrame:
    """Return the wanted columns of `height` sound records as text."""
    if height == 0:
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    rows = parse_columns(body, header, {name: header.index(name) for name in wanted}, 0)
    if rows is None or rows.height != height:
        actual = "none" if rows is None else f"{rows.height}"
        raise DataRefused(f"can't be parsed: it has {height} records, and Polars reads {actual}.")
    return rows


def parse_columns(
    text: bytes,
    header: list[str],
    places: Mapping[str, int],
    skip: int,
    numbers: frozenset[str] = frozenset(),
) -> pl.DataFrame | None:
    """Return the columns at these places, counted from 0; None if Polars fails to parse them."""
    # Without a header Polars names columns column_1, column_2, ...; the result has our names.
    names = {name: f"column_{place + 1}" for name, place in places.items()}
    schema = {f"column_{i + 1}": pl.String for i in range(len(header))}
    try:
        rows = pl.read_csv(
            text,
            has_header=False,
            skip_rows=skip,
            schema=schema | {names[name]: pl.Float64 for name in numbers},
            columns=list(names.values()),
        )
    except pl.exceptions.PolarsError:
        return None
    return pl.DataFrame([rows[place].alias(name) for name, place in names.items()])
