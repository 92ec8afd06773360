"""Run of `dvc repro` as a child process, with the exit code of the stage that failed.

DVC itself ends with 255 for every failure. Where no stage failed, its message gives the reason.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cll.system import disk, progress
from cll.types.errors import Busy, CllError
from cll.vcs import repair
from cll.vcs.commands import cause, for_child, python

_STDERR = 2
_BUSY = ("is busy, it is being blocked by", "Unable to acquire lock")


@dataclass(frozen=True)
class Failure:
    """Reason of a failed `dvc repro`, and the exit code for it."""

    exit_code: int
    reason: str


def run(root: Path, *words: str, silent: bool = False) -> Failure | None:
    """Run `dvc repro` for the project or for stages; return the failure, or None.

    DVC's output goes to stderr, so that stdout holds only cll's. If databases of DVC are damaged,
    they are replaced and DVC runs again.
    """
    failure = _run(root, *words, silent=silent)
    if failure is not None and (note := repair.databases(root, failure.reason)):
        progress.note(note)
        failure = _run(root, *words, silent=silent)
    return failure


def _run(root: Path, *words: str, silent: bool) -> Failure | None:
    quiet = silent or progress.quiet()
    refusal = root / "reports" / "refusal.json"
    refusal.unlink(missing_ok=True)  # left by an earlier run
    with tempfile.TemporaryFile() as copy:
        echo = ["cll.vcs.echo", "--only" if quiet else "--copy", str(copy.fileno())]
        done = subprocess.run(  # noqa: S603  our own arguments
            python("cll.system.processes", *echo, "dvc", "repro", *words),
            cwd=root,
            stdout=_STDERR,
            env=for_child(),
            pass_fds=[copy.fileno()],
            check=False,
        )
        copy.seek(0)
        stderr = copy.read().decode(errors="replace")
    if done.returncode == 0:
        return None
    if refused := _refused(refusal):
        return refused  # the stage has printed the refusal
    reason = cause(stderr) or f"it ended with {done.returncode}"
    code = Busy.exit_code if any(text in reason for text in _BUSY) else CllError.exit_code
    if quiet:  # otherwise DVC has printed its message
        command = " ".join(["dvc repro", *(word for word in words if not word.startswith("-"))])
        progress.say(f"cll: `{command}` failed: {reason}.")
    return Failure(code, reason)


def _refused(refusal: Path) -> Failure | None:
    """Return the refusal that a stage wrote, if there is one."""
    if not refusal.is_file():
        return None
    try:
        written = disk.read_json(refusal)
        return Failure(int(written["exit_code"]), str(written["says"]))
    except (CllError, KeyError, TypeError, ValueError):
        return None
