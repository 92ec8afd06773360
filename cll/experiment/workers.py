"""Run work in parallel processes, forked after the imports and before anything is computed.

A fork after Polars or LightGBM ran would hang, since a fork does not copy their threads. So the
parent must compute nothing before the last worker is forked. A worker that died is replaced by
another fork of the same idle parent.
"""

import multiprocessing
import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from cll.system import cpu, processes
from cll.system.cpu import Share
from cll.types.errors import CllError

_FORK = multiprocessing.get_context("fork")
_POOL = re.compile(r"polars-\d")
Ask = Callable[[Any], Any]  # sends a worker's question to the parent, and returns the answer
Work = Callable[[Any, Ask], Any]


def refuse_late_fork() -> None:
    """Raise if Polars' thread pool runs already, since a fork would hang without these threads."""
    names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
    if any(_POOL.match(name) for name in names):  # Polars' other threads start at its import
        raise CllError(
            "This process has computed already, so it can't be forked; use hydra/launcher=basic."
        )


@dataclass(frozen=True)
class Lost:
    """Result of an item whose worker process ended: it was killed, or out of memory."""

    exit_code: int  # minus the signal's number if a signal ended it

    def __str__(self) -> str:
        how = f"signal {-self.exit_code}" if self.exit_code < 0 else f"exit code {self.exit_code}"
        killed = "; out of memory?" if self.exit_code == -9 else ""  # noqa: PLR2004  SIGKILL
        return f"its process ended with {how}{killed}"


@dataclass(frozen=True)
class Failed:
    """Error that `work` raised, as text."""

    says: str
    trace: str
    exit_code: int = 1


class Workers:
    """Up to `count` worker processes, each with its share of the processors, until `close`.

    If fewer items than processes are left, their processes share the idle processors.
    """

    def __init__(self, work: Work, count: int) -> None:
        self._work, self._count = work, count
        self._share = Share(count)
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []

    def map(
        self,
        items: Sequence[Any],
        answer: Callable[[int, Any], Any] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield each item's number and result, in the order in which they end.

        `answer` is called with an item's number and a question of its worker, and returns the reply.
        `tick` is called about once a second.
        """
        waiting, busy = list(enumerate(items))[::-1], dict[Any, tuple[_Worker, int]]()
        while waiting or busy:
            self._share.tell(len(waiting) + len(busy))
            while waiting and (worker := self._free()) is not None:
                number, item = waiting.pop()
                worker.pipe.send(item)
                busy[worker.pipe] = (worker, number)
            for pipe in connection.wait(list(busy), timeout=1.0):
                worker, number = busy[pipe]
                kind, message = worker.receive()
                if kind == "asks":
                    worker.reply(answer(number, message) if answer else None)
                    continue
                del busy[pipe]
                if kind == "lost":
                    self._all.remove(worker)
                else:
                    self._idle.append(worker)
                yield number, message
            if tick:
                tick()

    def close(self) -> None:
        """End all workers, idle and busy."""
        for worker in self._all:
            worker.end()
        self._all, self._idle = [], []

    def _free(self) -> "_Worker | None":
        """Return an idle worker, or a new one, or None if all are busy."""
        if self._idle:
            return self._idle.pop()
        if len(self._all) == self._count:
            return None
        refuse_late_fork()
        worker = _Worker(self._work, self._share, [other.pipe for other in self._all])
        self._all.append(worker)
        return worker


class _Worker:
    """One forked process, as its parent sees it."""

    def __init__(self, work: Work, share: Share, others: list[Any]) -> None:
        self.pipe, theirs = _FORK.Pipe()
        given = (work, share, theirs, [*others, self.pipe])
        self._process = _FORK.Process(target=_serve, args=given, daemon=True)
        with warnings.catch_warnings():
            # OpenBLAS starts threads when NumPy is imported, but handles forks correctly.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()

    def receive(self) -> tuple[str, Any]:
        """Return the kind of the worker's message (asks, done or lost), and its content."""
        try:
            kind, message = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return "lost", Lost(self._process.exitcode or 0)
        return str(kind), message

    def reply(self, message: Any) -> None:
        """Send a reply; if the worker has ended, the next `receive` reports it."""
        try:
            self.pipe.send(message)
        except OSError:
            return

    def end(self) -> None:
        self.pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(work: Work, share: Share, pipe: Any, others: list[Any]) -> None:
    """Work on items in a forked process until the parent closes the pipe, or ends."""
    processes.die_with_parent()
    cpu.own(share)
    threads = max(1, cpu.cores() // share.count)
    for other in others:  # otherwise pipes of other workers would stay open in this process
        other.close()
    os.environ["POLARS_MAX_THREADS"] = str(threads)

    def ask(question: Any) -> Any:
        pipe.send(("asks", question))
        return pipe.recv()

    with threadpool_limits(threads, user_api="openmp"), threadpool_limits(1, user_api="blas"):
        while True:
            try:
                item = pipe.recv()
            except (EOFError, KeyboardInterrupt):
                return
            try:
                message = ("done", work(item, ask))
            except Exception as error:  # noqa: BLE001  the parent reports any error
                message = ("done", _failed(error))
            pipe.send(message)


def _failed(error: Exception) -> Failed:
    """Return the message, traceback and exit code of an error."""
    ours = isinstance(error, CllError)
    message = str(error) if ours else f"{type(error).__name__}: {error}"
    code = error.exit_code if isinstance(error, CllError) else 1
    return Failed(message.partition("\n")[0], traceback.format_exc(), code)
