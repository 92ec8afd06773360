"""Run a module and copy its stderr; the output of its child processes is not copied.

`python -m cll.vcs.echo --copy FD MODULE ...` copies stderr to a descriptor. With `--only FD` stderr goes
only there, and stdout is discarded.
"""

import os
import runpy
import sys
from pathlib import Path
from typing import Any, TextIO, cast


class Copied:
    """A stream that also writes a copy; it still counts as a terminal, so that progress bars work."""

    def __init__(self, stream: TextIO, copy: TextIO) -> None:
        self._stream, self._copy = stream, copy

    def write(self, text: str) -> int:
        """Write to both; the copy is flushed, since a killed process could not flush it."""
        self._copy.write(text)
        self._copy.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _listen(option: str, descriptor: int) -> None:
    copy = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace")
    if option == "--only":
        sys.stderr = copy
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open until the process ends
    else:
        sys.stderr = cast(TextIO, Copied(sys.stderr, copy))


if __name__ == "__main__":
    _listen(sys.argv[1], int(sys.argv[2]))
    del sys.argv[:3]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
