"""Mean, standard deviation, slope, extremes and comparisons of event-time windows.

Each window is the sum of two parts: the end of one block of time and the beginning of the next. So
each block is summed once backwards and once forwards, whatever the number of windows. Values and
times are summed as differences from one value and time inside the window: the last of the older
part, or the first of the younger part where the older has none. So no precision is lost when the
level is far from 0 or shifts outside the window, and a result depends on the rows of its window
alone, to the last bit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.featurize.windows.rolling import Rows
from cll.types.arrays import Floats

# Those after "missing" compare a row with the part of its window before the row and its ties.
STATISTICS = ("mean", "std", "slope", "min", "max", "missing", "z", "ratio", "change")
_LEAST_PAST = 3  # a z-score needs at least this many values
_PART = 65_536  # rows that a thread computes at once

Kind = TypeVar("Kind", np.float32, np.float64)


def over(
    rows: Rows,
    values: Floats,
    width: int,
    statistics: Sequence[str],
    kind: type[Kind],
    least: int = _LEAST_PAST,
    floor: float = 0.0,
) -> NDArray[Kind]:
    """Return statistics of each row's window of `width` microseconds, as (statistics, rows).

    NaN and infinities are missing. `z` needs `least` values; its standard deviation is at least
    `floor`.

    >>> rows = Rows(np.array([0, 0, 1]), np.array([0, 5, 5]))
    >>> over(rows, np.array([1.0, 3.0, 9.0]), 10, ["mean", "change"], np.float64)
    array([[ 1.,  2.,  9.],
           [nan,  2., nan]])
    """
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return begin(pool, rows, values, width, statistics, kind, least, floor)()


def begin(
    pool: Executor,
    rows: Rows,
    values: Floats,
    width: int,
    statistics: Sequence[str],
    kind: type[Kind],
    least: int = _LEAST_PAST,
    floor: float = 0.0,
) -> Callable[[], NDArray[Kind]]:
    """Start computing in `pool` what `over` returns; return a function that waits for the result.

    Start several before waiting for the first: then no thread is idle while another finishes.
    """
    from cll.pipeline.featurize.windows import block_sums

    places = np.full(len(STATISTICS), -1)
    places[[STATISTICS.index(name) for name in statistics]] = np.arange(len(statistics))
    out, x = np.empty((len(statistics), len(values)), kind), np.ascontiguousarray(values)
    loop = block_sums.compile_loop(out.dtype)

    def compute_part(part: tuple[int, int]) -> None:
        first, last = np.searchsorted(rows.bounds, part)
        loop(rows.time, rows.bounds[first : last + 1], x, width, places, least, floor, out)

    parts = rows.parts(_PART)
    futures = [pool.submit(compute_part, part) for part in parts] if len(parts) > 1 else []

    def result() -> NDArray[Kind]:
        for future in futures:
            future.result()  # raises the error of a part
        for part in parts if not futures else []:
            compute_part(part)
        return out

    return result
