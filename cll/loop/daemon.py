"""Run the loop for weeks: one `cll tick`, in its own process, at each multiple of an interval."""

import contextlib
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from cll.config import project
from cll.loop import backoff
from cll.release.policy import Mode
from cll.system import disk, locks, processes, progress
from cll.types.errors import CllError, DataRefused
from cll.types.times import format_duration, format_instant
from cll.vcs.commands import for_child, python

LOCK, STATE = Path(".cll") / "loop.lock", Path(".cll") / "loop.json"
_GRACE = 10.0  # seconds between SIGTERM and SIGKILL, in which a tick restores its files


@dataclass(frozen=True)
class LoopSettings:
    """Interval between ticks, and the wait after a failure."""

    root: Path
    every: timedelta
    retry: timedelta  # wait after the first failure; each further one doubles it, up to `every`
    mode: Mode | None = None


def run(loop: LoopSettings) -> NoReturn:
    """Tick until SIGTERM or SIGINT, which end it with exit code 0.

    A failed tick is reported on stderr and tried again after a wait.
    """
    held = locks.alone(
        loop.root / LOCK, "Another `cll loop` runs in this project; `cll status` shows its state."
    )
    failures = 0
    processes.adopt_orphans()
    with held, processes.ending(0, signal.SIGTERM, signal.SIGINT):
        while True:
            as_of, code = _tick_once(loop)
            failures = failures + 1 if code else 0
            _wait(loop, as_of, code, failures)


def _tick_once(loop: LoopSettings) -> tuple[str, int]:
    """Tick once; return the `as_of` that the tick was to reach, and its exit code."""
    try:
        world = project.read_world(loop.root / "world.yaml")
    except CllError as error:
        progress.say(f"cll: {error}")
        return "unknown", error.exit_code
    # as_of never moves back: the clock may have been set back, or simulated data may be ahead of it.
    as_of = format_instant(max(backoff.grid(_now(), loop.every), world.as_of))
    _note(loop, ticking=as_of)
    return as_of, _tick(loop, as_of)


def _tick(loop: LoopSettings, as_of: str) -> int:
    """Run `cll tick` in its own process group, and return its exit code.

    No process of the group is left when this returns or raises.
    """
    words = ["tick", "--as-of", as_of, *(["--mode", loop.mode] if loop.mode else [])]
    child = None
    try:
        with processes.unbroken():  # a signal here could leave a child that nobody ends
            child = subprocess.Popen(  # noqa: S603  our own arguments
                python("cll.system.processes", "cll", *words),
                cwd=loop.root,
                env=for_child(),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return child.wait()
    finally:
        if child is not None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a tick and every process that it started: SIGTERM first, SIGKILL after `_GRACE`."""
    if child.poll() is None:
        processes.end_group(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
    processes.end_group(child.pid, signal.SIGKILL)  # processes that outlived the tick
    child.wait()
    processes.reap_group(child.pid)


def _wait(loop: LoopSettings, as_of: str, code: int, failures: int) -> None:
    """Sleep until the next multiple of the interval, or, after failures, for the back-off wait."""
    now = _now()
    wait = backoff.until_next(now, loop.every)
    if failures:
        wait = backoff.back_off(failures, loop.retry, loop.every, random.random())  # noqa: S311  no secret
        reason = "the data were refused" if code == DataRefused.exit_code else f"exit code {code}"
        pause = format_duration(wait) if wait >= timedelta(seconds=1) else "a moment"
        progress.say(f"loop: the tick to {as_of} failed: {reason}; again in {pause}.")
    wakes = format_instant((now + wait).replace(microsecond=0))
    _note(loop, as_of=as_of, code=code, failures=failures, next=wakes)
    if not failures:
        progress.note(f"loop: ticked to {as_of}; next at {wakes}.")
    time.sleep(wait.total_seconds())  # on the monotonic clock, which can't be set


def _note(loop: LoopSettings, **state: Any) -> None:
    """Write the loop's state for `cll status`; a failure to write it is reported, not raised."""
    settings = {"pid": os.getpid(), "every": format_duration(loop.every), "mode": loop.mode}
    try:
        disk.write_json(loop.root / STATE, settings | state)
    except (CllError, OSError) as error:
        progress.say(f"loop: {STATE}: not written: {error}")


def _now() -> datetime:
    return datetime.now(UTC)
