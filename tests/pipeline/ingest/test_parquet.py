import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.pipeline.ingest import parquet
from cll.types.tables import INSTANT, SIGNAL_KEYS

ROWS = 20_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def signals(*columns):
    rng = np.random.default_rng(1)
    times = [START + timedelta(seconds=i // 10) for i in range(ROWS)]
    kinds = {
        "noise": pl.Series(rng.lognormal(size=ROWS)),
        "counts": pl.Series(rng.poisson(20, ROWS), dtype=pl.Float64),
        "percent": pl.Series(rng.random(ROWS).round(2)),
        "same": pl.Series(np.ones(ROWS)),
        "gaps": pl.Series(rng.random(ROWS)).set(pl.Series(rng.random(ROWS) < 0.1), None),
        "nothing": pl.Series([None] * ROWS, dtype=pl.Float64),
        "group": pl.Series(["web", None, "", "bätch"] * (ROWS // 4)),
        "row": pl.Series(rng.permutation(ROWS), dtype=pl.UInt32),
        "date": pl.Series([START.date()] * ROWS),
    }
    entities = pl.Series([f"agent-{i % 10}" for i in range(ROWS)]).sort()
    keys = {"entity": entities, "time": times, "known_at": times}
    frame = pl.DataFrame(keys, schema=SIGNAL_KEYS)
    return frame.with_columns(kinds[name].alias(name) for name in columns or kinds)


def packed(frame):
    file = io.BytesIO()
    parquet.pack(frame, file)
    return file.getvalue()


def read(data):
    return pl.read_parquet(io.BytesIO(data))


@pytest.mark.parametrize("rows", [0, 1, 3, ROWS])
def test_compressed_files_are_read_like_plain_ones(rows):
    frame = signals().head(rows)
    found = read(packed(frame))
    assert found.schema == frame.schema
    assert found.equals(frame)


def test_names_that_lie_in_no_order_are_read_as_they_were():
    frame = pl.DataFrame({"entity": ["b", "a", "b", None], "time": [START] * 4})
    frame = frame.with_columns(pl.col("time").cast(INSTANT))
    assert read(packed(frame)).equals(frame)


def test_names_are_the_same_bytes_as_text_and_as_numbers_of_their_order():
    frame = signals()
    numbered = frame.with_columns(pl.col("entity").cast(pl.Enum(frame["entity"].unique().sort())))
    assert packed(numbered) == packed(frame)
    assert read(packed(numbered)).schema == frame.schema


def test_a_frame_is_the_same_bytes_in_whatever_thread_and_pieces():
    frame = signals()
    cut = pl.concat([frame.head(7), frame.slice(7)], rechunk=False)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(packed, [frame, cut] * 8))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("column", "bytes_a_value"), [("same", 0.1), ("counts", 1), ("percent", 1)]
)
def test_few_values_are_stored_by_their_numbers(column, bytes_a_value):
    bare = len(packed(signals("date")))
    assert len(packed(signals("date", column))) - bare < bytes_a_value * ROWS


def test_of_noise_the_first_bytes_are_packed():
    bare = len(packed(signals("date")))
    assert len(packed(signals("date", "noise"))) - bare < 7.6 * ROWS
