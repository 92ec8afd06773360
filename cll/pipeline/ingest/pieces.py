"""Read all pieces of a source in parallel, each with the CSV header that applies to it."""

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
    earlier: Mapping[str, Facts],
) -> dict[str, Facts]:
    """Return the facts of all segments by name; read the pieces without facts in `earlier`.

    Each part of a CSV file is read with the last header that stands before it.
    """
    headers: dict[str, list[Header]] = {}
    for facts in earlier.values():
        if header := _header(facts):
            headers.setdefault(facts["file"], []).append(header)

    def read(files: Sequence[Arrived]) -> csv_headers.Reading[dict[str, Facts]]:
        pieces = list(source(files))
        # One thread more than processors, since some wait for the disk or for another thread.
        with ThreadPoolExecutor(pl.thread_pool_size() + 1) as pool:
            results = pool.map(partial(segments.read, earlier=earlier), pieces)
            named = list(progress.track(results, "ingest", total=len(pieces)))
        last_headers = [_last_header(facts for _, facts in of_piece) for of_piece in named]
        return pieces, last_headers, dict(segment for of_piece in named for segment in of_piece)

    guessed = [csv_headers.headed(file, headers.get(file.file, ())) for file in files]
    return csv_headers.read_in_force(guessed, read)


def _last_header(chunks: Iterable[Facts]) -> Header | None:
    return next((header for header in reversed([*map(_header, chunks)]) if header), None)


def _header(facts: Facts) -> Header | None:
    header = facts.get("header")
    return header and Header(header["row"], header["text"], tuple(header["names"]))
