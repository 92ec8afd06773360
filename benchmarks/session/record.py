"""Run the session that README.md shows in a fresh clone, and print the output of its commands.

Each `$` line of README.md's console block is run by a shell, as if a person had typed it. If FOLDER is given,
the clone is made there and can be inspected afterwards. It takes one to two minutes.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHO = {
    f"GIT_{role}_{what}": f"session{'@localhost' if what == 'EMAIL' else ''}"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def commands(readme: str) -> Iterator[str]:
    block = re.search(r"```console\n(.*?)```", readme, re.DOTALL)
    for line in block[1].splitlines() if block else ():
        if line.startswith("$ "):
            yield line[2:]


def live(folder: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = WHO | {name: value for name, value in os.environ.items() if name != "CLL_QUIET"}
    for command in commands((ROOT / "README.md").read_text(encoding="utf-8")):
        print(f"$ {command}", flush=True)
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=env
            | {"PATH": path, "PYTHONPATH": str(folder)},  # so that the clone's own code runs
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout, end="", flush=True)
        if done.returncode:
            print(f"exit {done.returncode}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        live(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            live(Path(made) / "project")
