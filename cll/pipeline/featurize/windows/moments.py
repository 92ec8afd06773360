"""Mean, spread, slope, extremes and more of event-time windows, summed up from two halves of each.

The older half of a window ends with a block and the younger half begins with one, so sums climb
each block once from either side. They count from a value and a time of the window itself: the last
of the older half, or the first of the younger where the older holds none. No digit is lost to a
level far from 0 or to a level shift outside the window, and a result depends on its window's rows
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

# Those behind "missing" compare a row with its window up to its ties, itself left out.
STATISTICS = ("mean", "std", "slope", "min", "max", "missing", "z", "ratio", "change")
_LEAST_PAST = 3  # values without which a z-score says nothing
_PART = 65_536  # rows that a thread works at once

Kind = TypeVar("Kind", np.float32, np.float64)


def over(
    rows: Rows,
    values: Floats,
    width: int,
    asked: Sequence[str],
    kind: type[Kind],
    least: int = _LEAST_PAST,
    floor: float = 0.0,
) -> NDArray[Kind]:
    """Return statistics of each row's window of `width` microseconds, as (asked, rows).

    NaN and infinities are missing. `z` needs `least` values, and a spread is `floor` at least.

    >>> rows = Rows(np.array([0, 0, 1]), np.array([0, 5, 5]))
    >>> over(rows, np.array([1.0, 3.0, 9.0]), 10, ["mean", "change"], np.float64)
    array([[ 1.,  2.,  9.],
           [nan,  2., nan]])
    """
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return begin(pool, rows, values, width, asked, kind, least, floor)()


def begin(
    pool: Executor,
    rows: Rows,
    values: Floats,
    width: int,
    asked: Sequence[str],
    kind: type[Kind],
    least: int = _LEAST_PAST,
    floor: float = 0.0,
) -> Callable[[], NDArray[Kind]]:
    """Let `pool` work what `over` returns; the result is asked for by a call.

    Where several are begun before the first is asked for, no thread waits for another's last part.
    """
    from cll.pipeline.featurize.windows import block_sums

    places = np.full(len(STATISTICS), -1)
    places[[STATISTICS.index(name) for name in asked]] = np.arange(len(asked))
    found, x = np.empty((len(asked), len(values)), kind), np.ascontiguousarray(values)
    loop = block_sums.windows(found.dtype)

    def work(part: tuple[int, int]) -> None:
        first, last = np.searchsorted(rows.bounds, part)
        loop(rows.time, rows.bounds[first : last + 1], x, width, places, least, floor, found)

    parts = rows.parts(_PART)
    begun = [pool.submit(work, part) for part in parts] if len(parts) > 1 else []

    def done() -> NDArray[Kind]:
        for one in begun:
            one.result()  # raises what a part raises
        for part in parts if not begun else []:
            work(part)
        return found

    return done
