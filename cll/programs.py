"""git and DVC, run as programs of their own; what they refuse becomes one line."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cll.errors import Unavailable

# Wide, so that no line is cut; in English; and without a question that nobody would hear.
_PLAIN = {"COLUMNS": "1000", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}


def for_child() -> dict[str, str]:
    """Return the environment of a DVC whose stages find this `cll`, and this `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path}


def python(module: str, *words: str) -> list[str]:
    """Return a command that runs a module with this Python, and searches no project folder for it."""
    return [sys.executable, "-P", "-m", module, *words]


def dvc(root: Path, *words: str) -> str:
    """Run DVC; return what it says."""
    return _checked(root, python("dvc"), ["dvc", *words]).decode(errors="replace")


def git(root: Path, *words: str, index: Path | None = None) -> str:
    """Run git, perhaps with an index of its own; return what it says, without the last line's end."""
    told = {} if index is None else {"GIT_INDEX_FILE": str(index)}
    return _checked(root, ["git"], ["git", *words], more=told).decode(errors="replace").rstrip("\n")


def git_bytes(root: Path, *words: str, given: bytes | None = None) -> bytes:
    return _checked(root, ["git"], ["git", *words], given)


def git_knows(root: Path, *words: str) -> bool:
    """Tell whether git answers a question with yes."""
    return _run(root, ["git", *words]).returncode == 0


def _checked(
    root: Path,
    program: Sequence[str],
    words: Sequence[str],
    given: bytes | None = None,
    more: Mapping[str, str] | None = None,
) -> bytes:
    done = _run(root, [*program, *words[1:]], given, more)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        found = [one for one in lines if one.startswith(("ERROR: ", "fatal: ", "error: "))]
        told = (found or lines[-1:])[0].partition(": ")[2] if found else lines[-1]
        shown = " ".join(words[:4])
        raise Unavailable(f"`{shown}` failed: {told.rstrip('.')}; run it to see more.")
    return done.stdout


def _run(
    root: Path,
    command: Sequence[str],
    given: bytes | None = None,
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603  our own arguments
            command,
            cwd=root,
            env={**for_child(), **_PLAIN, **(more or {})},
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"{command[0]}: no such program; install it.") from None
