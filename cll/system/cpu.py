"""Number of processors that this process may use, shared among workers."""

import mmap
import os

from threadpoolctl import threadpool_limits

_OWN: list["Share"] = []  # one element in a worker process


def cores() -> int:
    """Return the number of processors that the machine gives this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Share:
    """A worker's share of the processors, in memory that the parent and all workers can access.

    Once fewer jobs are left than there are workers, the busy workers share all processors.
    """

    def __init__(self, count: int) -> None:
        self.count = count  # number of workers
        self._left = mmap.mmap(-1, 1)

    def tell(self, left: int) -> None:
        """Record the number of jobs that run or wait."""
        self._left[0] = min(left, 255)

    @property
    def threads(self) -> int:
        return max(1, cores() // max(1, min(self.count, self._left[0])))


def own(share: Share) -> None:
    """Make this process a worker with this share."""
    _OWN[:] = [share]


def threads() -> int:
    """Return the number of processors that this process may use now."""
    return _OWN[0].threads if _OWN else cores()


def take() -> None:
    """Limit OpenMP to a worker's current share of processors; do nothing outside of a worker."""
    if _OWN:
        threadpool_limits(threads(), user_api="openmp")
