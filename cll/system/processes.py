"""What keeps a stage honest while it runs: its inputs stay as they are, and it dies with DVC.

DVC writes a stage's dependencies into dvc.lock after the command ran, so an edit made meanwhile
would be recorded as if it had been used; and a killed DVC leaves its children running.

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
_FILES = 64  # that a stage may have open at once; with fewer, Polars' threads abort


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before we asked
            os.kill(os.getpid(), signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of what a child leaves behind (Linux), to know when that has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group of ours, if any of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def reap_group(group: int) -> None:
    """Wait until nothing of a process group of ours is left, not even as a zombie.

    DVC takes a zombie for a process that is still at work, and waits for it in vain.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def enough_files() -> None:
    """Raise Unavailable where this process may open too few files."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_FILES))
    except OSError as error:
        says = f"{error.strerror}: a stage needs {_FILES} at once; raise `ulimit -n`."
        raise Unavailable(says) from None
    finally:
        for one in opened:
            os.close(one)


@contextlib.contextmanager
def ending(code: int, *signals: signal.Signals) -> Iterator[None]:
    """Raise SystemExit at SIGTERM, or these, to put right what was begun; more are ignored."""
    chosen = signals or (signal.SIGTERM,)

    def end(*_: object) -> None:
        for one in chosen:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(code)

    before = [(one, signal.signal(one, end)) for one in chosen]
    try:
        yield
    finally:
        for one, handler in before:
            signal.signal(one, handler)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Let SIGTERM and SIGINT wait, here and in children, for what must not end half done."""
    waiting: list[int] = []
    ends = (signal.SIGTERM, signal.SIGINT)
    # The mask is for children. Here another thread may get a signal that this one does not.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    before = [(one, signal.signal(one, lambda n, _: waiting.append(n))) for one in ends]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for one, handler in before:
            signal.signal(one, handler)
        for number in dict.fromkeys(waiting):
            signal.raise_signal(number)


if __name__ == "__main__":
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # it may have been started where they wait
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
