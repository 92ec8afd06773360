"""`dvc repro` as a child, and the exit code of the stage that failed: DVC flattens all to 255."""

import json
import subprocess
from pathlib import Path

from cll import progress
from cll.programs import for_child, python

_STDERR = 2


def run(root: Path, *words: str, silent: bool = False) -> int:
    """Let DVC bring the project, or a stage, up to date; return 0, or the failing stage's code.

    DVC's own lines go to stderr, so that stdout is ours.
    """
    quiet = ["-q"] if silent or progress.quiet() else []
    refusal = root / "reports" / "refusal.json"
    refusal.unlink(missing_ok=True)  # of an earlier run
    done = subprocess.run(  # noqa: S603  our own arguments
        python("cll.guard", "dvc", "repro", *quiet, *words),
        cwd=root,
        stdout=_STDERR,
        env=for_child(),
        check=False,
    )
    if done.returncode == 0:
        return 0
    if not refusal.is_file():  # no stage said why, and a quiet DVC does not either
        asked = " ".join(["dvc repro", *(word for word in words if not word.startswith("-"))])
        progress.say(f"cll: `{asked}` failed; run it to see why.")
    try:
        return int(json.loads(refusal.read_text(encoding="utf-8"))["exit_code"])
    except (OSError, ValueError, KeyError):
        return 1
