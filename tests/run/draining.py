"""Read a source piece by piece, like the ingest stage."""

import json
from datetime import UTC, datetime

from cll.pipeline.ingest.readers.limits import Limits
from cll.pipeline.ingest.readers.splitter import survey
from cll.types.records import Arrived, Part


def arrived(path, *seen, limits=None, settled=True):
    """Survey a file; `seen` are (size, as_of) of its earlier arrivals, then (None, as_of) of the present one.

    With `settled`, a last line without its newline counts as complete.
    """
    *earlier, (_, last) = seen or [(None, datetime(2026, 1, 31, tzinfo=UTC))]
    found = survey(path, [size for size, _ in earlier], limits or Limits(), settled=settled)
    parts = [
        Part(
            cut.start,
            cut.stop,
            cut.row,
            cut.sha256,
            next(
                (as_of for size, as_of in earlier if cut.start < size and cut.stop <= size + 2),
                last,
            ),
        )
        for cut in found.cuts
    ]
    return Arrived(path.as_posix(), found.sha256, tuple(parts), found.torn)


def pieces(source, as_of, files=None):
    """Return all pieces, after checking that their keys are JSON and distinct."""
    if files is None:
        files = [arrived(path) for path in source.reads]
    found = list(source(as_of, files))
    keys = [json.dumps([piece.table, dict(piece.key)], sort_keys=True) for piece in found]
    assert len(set(keys)) == len(keys)
    return found


def chunks(source, as_of, files=None):
    found = [piece.read() for piece in pieces(source, as_of, files)]
    for chunk in found:
        assert chunk.records == chunk.rows.height + chunk.rejects.height + chunk.pending
    return found
