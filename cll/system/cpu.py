"""How many processors this process may compute with, where others are at work beside it."""

import mmap
import os

from threadpoolctl import threadpool_limits

_OWN: list["Share"] = []  # in a worker


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Share:
    """A worker's part of the processors, as its parent tells it and all of its forks can read.

    Where fewer items are left than workers, those at work share what the others had.
    """

    def __init__(self, count: int) -> None:
        self.count = count  # of workers
        self._left = mmap.mmap(-1, 1)

    def tell(self, left: int) -> None:
        """Say how many items run or wait."""
        self._left[0] = min(left, 255)

    @property
    def threads(self) -> int:
        return max(1, cores() // max(1, min(self.count, self._left[0])))


def own(share: Share) -> None:
    """Be a worker that computes with this share."""
    _OWN[:] = [share]


def threads() -> int:
    """Count the processors that this process may compute with now."""
    return _OWN[0].threads if _OWN else cores()


def take() -> None:
    """Let OpenMP start as many threads as a worker has processors now; elsewhere do nothing."""
    if _OWN:
        threadpool_limits(threads(), user_api="openmp")
