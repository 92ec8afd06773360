"""Blocks of entity and time: the unit of evidence, since neighbouring rows are nearly copies."""

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray


def number(rows: pl.DataFrame, span: timedelta) -> NDArray[np.int64]:
    """Return each row's block; blocks of `span` are numbered from 0, by entity and then by time.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, h, tzinfo=UTC) for h in (0, 1, 5)]
    >>> frame = pl.DataFrame({"entity": ["a", "a", "a"], "time": times})
    >>> number(frame, timedelta(hours=2)).tolist()
    [0, 0, 1]
    """
    step = int(span.total_seconds() * 1_000_000)
    keys = rows.select("entity", stretch=pl.col("time").dt.epoch("us") // step)
    order = keys.unique().sort("entity", "stretch").with_row_index("block")
    joined = keys.join(order, on=["entity", "stretch"], how="left", maintain_order="left")
    return joined["block"].to_numpy().astype(np.int64)
