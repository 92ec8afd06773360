"""The loop that runs for weeks: a tick at each multiple of an interval, each a process of its own."""

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
_GRACE = 10.0  # seconds that a tick has to put things right, once it is told to end


@dataclass(frozen=True)
class Loop:
    """How often to tick, and when to try again after a failure: `retry`, doubled up to `every`."""

    root: Path
    every: timedelta
    retry: timedelta
    mode: Mode | None = None


def run(loop: Loop) -> NoReturn:
    """Tick until SIGTERM or SIGINT, which end it with 0; failures are told, and waited out."""
    held = locks.alone(
        loop.root / LOCK, "Another `cll loop` runs in this project; `cll status` says what it does."
    )
    failures = 0
    processes.adopt_orphans()
    with held, processes.ending(0, signal.SIGTERM, signal.SIGINT):
        while True:
            as_of, code = _turn(loop)
            failures = failures + 1 if code else 0
            _wait(loop, as_of, code, failures)


def _turn(loop: Loop) -> tuple[str, int]:
    """Tick once; return what `as_of` was to be, and the exit code."""
    try:
        world = project.read_world(loop.root / "world.yaml")
    except CllError as error:
        progress.say(f"cll: {error}")
        return "unknown", error.exit_code
    # Where the clock went back, or the world is simulated, it stays.
    as_of = format_instant(max(backoff.grid(_now(), loop.every), world.as_of))
    _note(loop, ticking=as_of)
    return as_of, _tick(loop, as_of)


def _tick(loop: Loop, as_of: str) -> int:
    """Run `cll tick` in a process group of its own, which is gone when this returns or raises."""
    words = ["tick", "--as-of", as_of, *(["--mode", loop.mode] if loop.mode else [])]
    child = None
    try:
        with processes.unbroken():  # so that no child is started and not known
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
    """Tell a tick and all that it started to end; after a while, end them."""
    if child.poll() is None:
        processes.end_group(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
    processes.end_group(child.pid, signal.SIGKILL)  # what it may have left behind
    child.wait()
    processes.reap_group(child.pid)


def _wait(loop: Loop, as_of: str, code: int, failures: int) -> None:
    """Sleep until the next multiple of the interval, or, after failures, for a while."""
    now = _now()
    wait = backoff.until_next(now, loop.every)
    if failures:
        wait = backoff.back_off(failures, loop.retry, loop.every, random.random())  # noqa: S311  no secret
        why = "the data were refused" if code == DataRefused.exit_code else f"exit code {code}"
        again = format_duration(wait) if wait >= timedelta(seconds=1) else "a moment"
        progress.say(f"loop: the tick to {as_of} failed: {why}; again in {again}.")
    wakes = format_instant((now + wait).replace(microsecond=0))
    _note(loop, as_of=as_of, code=code, failures=failures, next=wakes)
    if not failures:
        progress.note(f"loop: ticked to {as_of}; next at {wakes}.")
    time.sleep(wait.total_seconds())  # by a clock that nobody sets


def _note(loop: Loop, **told: Any) -> None:
    """Keep for `cll status` what the loop does; that it can't be kept, stops nothing."""
    asked = {"pid": os.getpid(), "every": format_duration(loop.every), "mode": loop.mode}
    try:
        disk.write_json(loop.root / STATE, asked | told)
    except (CllError, OSError) as error:
        progress.say(f"loop: {STATE}: not written: {error}")


def _now() -> datetime:
    return datetime.now(UTC)
