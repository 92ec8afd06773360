"""Control of child processes and signals: a stage ends with DVC, and a commit is not interrupted.

A killed DVC would leave its stages running, so a stage asks the kernel to end it with its parent.

`python -P -m cll.system.processes MODULE ...` runs a module that ends when the process that started it does.
"""

import contextlib
import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Iterator

from cll.types.errors import Unavailable

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_FILES = 64  # open files that a stage needs; with fewer, Polars' threads abort


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends (on Linux only)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent ended before the call
            os.kill(os.getpid(), signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of orphaned grandchildren (on Linux only), to wait until they end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group, if any of its processes is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def reap_group(group: int) -> None:
    """Wait until no process of a group is left, not even as a zombie.

    DVC would wait for a zombie forever, since it takes it for a running process.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def enough_files() -> None:
    """Raise Unavailable if this process may open too few files."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_FILES))
    except OSError as error:
        message = f"{error.strerror}: a stage needs {_FILES} at once; raise `ulimit -n`."
        raise Unavailable(message) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


@contextlib.contextmanager
def ending(code: int, *signals: signal.Signals) -> Iterator[None]:
    """Raise SystemExit at the first of `signals` (SIGTERM by default), and ignore later ones.

    The exception lets `finally` blocks clean up.
    """
    chosen = signals or (signal.SIGTERM,)

    def end(*_: object) -> None:
        for number in chosen:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(code)

    before = [(number, signal.signal(number, end)) for number in chosen]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Delay SIGTERM and SIGINT, here and in child processes, until the block ends."""
    waiting: list[int] = []
    ends = (signal.SIGTERM, signal.SIGINT)
    # Children inherit the mask. In this process another thread could still receive the signal, so the
    # handlers are replaced as well.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    before = [(number, signal.signal(number, lambda n, _: waiting.append(n))) for number in ends]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before:
            signal.signal(number, handler)
        for caught in dict.fromkeys(waiting):
            signal.raise_signal(caught)


if __name__ == "__main__":
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # it may have been started within `unbroken`
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
