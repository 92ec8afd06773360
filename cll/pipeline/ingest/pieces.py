"""All pieces of a source, read side by side, each below the header that is in force there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import polars as pl

from cll.pipeline.ingest.readers import csv_headers
from cll.pipeline.ingest.segments import Facts, Segments
from cll.system import progress
from cll.types.records import Arrived, Header, Piece


def read_all(
    source: Callable[[Sequence[Arrived]], Iterable[Piece]],
    files: Sequence[Arrived],
    segments: Segments,
    known: Mapping[str, Facts],
) -> dict[str, Facts]:
    """Return the facts of all pieces by name; read those that are not known.

    Each part of a file is read below the header that is in force there.
    """
    before: dict[str, list[Header]] = {}
    for facts in known.values():
        if header := _header(facts):
            before.setdefault(facts["file"], []).append(header)

    def read(files: Sequence[Arrived]) -> csv_headers.Reading[dict[str, Facts]]:
        pieces = list(source(files))
        # One more than there are processors, for what waits for the disk, or for another thread.
        with ThreadPoolExecutor(pl.thread_pool_size() + 1) as pool:
            found = pool.map(partial(segments.of, known=known), pieces)
            named = list(progress.track(found, "ingest", total=len(pieces)))
        last = [_last_header(facts for _, facts in of_piece) for of_piece in named]
        return pieces, last, dict(one for of_piece in named for one in of_piece)

    guessed = [csv_headers.headed(file, before.get(file.file, ())) for file in files]
    return csv_headers.read_in_force(guessed, read)


def _last_header(chunks: Iterable[Facts]) -> Header | None:
    return next((header for header in reversed([*map(_header, chunks)]) if header), None)


def _header(facts: Facts) -> Header | None:
    header = facts.get("header")
    return header and Header(header["row"], header["text"], tuple(header["names"]))
