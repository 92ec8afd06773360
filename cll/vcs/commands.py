"""Calls of git and DVC as child processes; a failure becomes a one-line error."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cll.types.errors import Unavailable

# Wide output, so that no line is cut; in English; without prompts, which nobody could answer.
_PLAIN = {"COLUMNS": "1000", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(r"(ERROR|fatal|error): ")
_OF_YAML = re.compile(r"'.*' (validation failed|is invalid).*")


def for_child() -> dict[str, str]:
    """Return an environment in which DVC's stages call this `cll` and this `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path}


def python(module: str, *words: str) -> list[str]:
    """Return a command that runs a module with this Python, never one from the current folder."""
    return [sys.executable, "-P", "-m", module, *words]


def dvc(root: Path, *words: str) -> str:
    """Run DVC, and return its stdout."""
    return _checked(root, python("dvc"), ["dvc", *words]).decode(errors="replace")


def git(root: Path, *words: str, index: Path | None = None) -> str:
    """Run git, with another index file if one is given; return its stdout without the last line end."""
    variables = {} if index is None else {"GIT_INDEX_FILE": str(index)}
    return (
        _checked(root, ["git"], ["git", *words], more=variables)
        .decode(errors="replace")
        .rstrip("\n")
    )


def git_bytes(root: Path, *words: str, given: bytes | None = None) -> bytes:
    return _checked(root, ["git"], ["git", *words], given)


def git_knows(root: Path, *words: str) -> bool:
    """Return whether a git command succeeds."""
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
        reason = cause(done.stderr.decode(errors="replace"))
        shown = " ".join(words[:4])
        raise Unavailable(f"`{shown}` failed: {reason or 'no message'}; run it to see more.")
    return done.stdout


def cause(stderr: str) -> str:
    r"""Return the error that git or DVC wrote to stderr, in one line without a period at its end.

    DVC writes no "ERROR: " before a message on a YAML file, and lists blocking processes on lines
    of their own.

    >>> cause("ERROR: 'out' is busy, it is being blocked by:\n  (PID 7): dvc repro\n\nIf")
    "'out' is busy, it is being blocked by: (PID 7): dvc repro"
    >>> cause("'./dvc.lock' validation failed.\n\nrequired key not provided, in schema")
    "'./dvc.lock' validation failed: required key not provided, in schema"
    """
    lines = [line.strip() for line in _ANSI.sub("", stderr).replace("\r", "\n").splitlines()]
    for number, line in enumerate(lines):
        if match := _ERROR.match(line):
            listed = itertools.takewhile(str, lines[number + 1 :]) if line.endswith(":") else ()
            return " ".join([line[match.end() :], *listed]).rstrip(".")
        if _OF_YAML.fullmatch(line):
            detail = next(filter(None, lines[number + 1 :]), "")
            return f"{line.rstrip('.')}: {detail}".rstrip(".:, ")
    return next(filter(None, reversed(lines)), "").rstrip(".")


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
