"""Kill `dvc repro` at its n-th change on the disk, also in the middle of a write.

python -m tests.run.killed_dvc PROJECT SCRATCH N,N,... (or `count`): prints one line of JSON for each N, with
the names of DVC's files that are empty after the kill. SCRATCH/N is the copy of PROJECT that was killed.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import ruamel.yaml
from dvc import cli

_CHANGES = (
    "os.rename",
    "os.link",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "shutil.copyfile",
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_IN_PLACE = (".dvc/tmp/rwlock", "dvc.lock")  # files that DVC writes in place


class Clock:
    """Counts changes and writes in place, and kills the process before number `end`."""

    def __init__(self, end):
        self.end, self.count = end, 0
        dump, dump_yaml = json.dump, ruamel.yaml.YAML.dump

        def halting(*words, **more):
            self.tick()
            return dump(*words, **more)

        def halting_yaml(*words, **more):
            self.tick()
            return dump_yaml(*words, **more)

        json.dump, ruamel.yaml.YAML.dump = halting, halting_yaml
        sys.addaudithook(self.hear)

    def hear(self, event, words):
        opens = event == "open" and isinstance(words[2], int) and words[2] & _WRITES
        if event in _CHANGES or (opens and not isinstance(words[0], int)):
            self.tick()

    def tick(self):
        if self.count == self.end:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def reproduced(folder, end):
    """Run `dvc repro` in its own process; return the number of changes, or None if it was killed."""
    receives, sends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            clock = Clock(end)
            if cli.main(["repro", "-q"]) == 0:
                os.write(sends, str(clock.count).encode())
        finally:
            os._exit(0)
    os.close(sends)
    with os.fdopen(receives) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return int(said) if said else None


def main(project, scratch, points):
    os.environ["DVC_NO_ANALYTICS"] = "1"
    for end in [None] if points == "count" else map(int, points.split(",")):
        folder = Path(scratch, str(end))
        shutil.copytree(project, folder)
        count = reproduced(folder, end)
        empty = [n for n in _IN_PLACE if (folder / n).is_file() and not (folder / n).read_bytes()]
        print(json.dumps([end, count, empty]), flush=True)  # noqa: T201  output of the script


if __name__ == "__main__":
    main(*sys.argv[1:])
