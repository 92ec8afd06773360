"""Kill a stage at its n-th change on the disk, and report the damage.

python -m tests.run.killed PROJECT WHOLE SCRATCH STAGE N,N,... (or `count`). PROJECT is the project before
the stage, WHOLE is the project after an undisturbed run of it. Prints one line of JSON for each N,
with the errors.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

from cll.components.features import windows
from cll.pipeline import stages
from cll.pipeline.dataset import tables
from cll.pipeline.featurize import stage as featurize_stage
from cll.pipeline.featurize.windows import block_sums, running_median, search
from cll.pipeline.ingest import stage as ingest_stage
from cll.system import manifest
from cll.types.errors import CllError

DATA = ("data/signals", "data/features")
RESULTS = (*DATA, "registry", "reports")
_CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Imported before the first fork, because each import takes a while, Numba's most of all.
_USED = (featurize_stage, ingest_stage, windows, running_median, search, block_sums)


class Clock:
    """Counts changes on the disk, and kills the process before change number `end`."""

    def __init__(self, end):
        self.end, self.count = end, 0
        sys.addaudithook(self.hear)
        sync, fdopen = os.fsync, os.fdopen

        def fsync(handle):
            self.tick()
            sync(handle)

        def write_bytes(path, data):
            with path.open("wb") as file:
                Halting(file, self).write(data)

        os.fsync = fsync
        os.fdopen = lambda handle, mode: Halting(fdopen(handle, mode), self)
        Path.write_bytes = write_bytes

    def hear(self, event, words):
        opens = event == "open" and isinstance(words[2], int) and words[2] & _WRITES
        if event in _CHANGES or (opens and not isinstance(words[0], int)):
            self.tick()

    def tick(self):
        if self.count == self.end:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


class Halting:
    """A file that is written in two halves, so that a kill can fall between them."""

    def __init__(self, file, clock):
        self.file, self.clock = file, clock

    def write(self, data):
        middle = len(data) // 2
        self.file.write(data[:middle])
        self.file.flush()
        self.clock.tick()
        self.file.write(data[middle:])

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def forked(does):
    """Run a function in its own process; return the exit code and the returned value."""
    receives, sends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receives)
            said = does()
            os.write(sends, json.dumps(said).encode())
        except BaseException:  # noqa: BLE001  reported to the parent
            os.write(sends, json.dumps([traceback.format_exc()]).encode())
        os._exit(0)
    os.close(sends)
    with os.fdopen(receives, "rb") as pipe:
        said = pipe.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return ended, json.loads(said) if said else None


def run(folder, *names):
    os.chdir(folder)
    os.environ["CLL_QUIET"] = "1"
    return [name for name in names if stages.main(name)]


def run_until(folder, stage, end):
    clock = Clock(end)
    failed = run(folder, stage)
    return [clock.count, failed]


def contents(root, names=RESULTS):
    """Return the files of a project, without the temporary files of a killed write (see `cll gc`)."""
    found = {}
    for path in (path for name in names for path in (root / name).rglob("*")):
        name = path.relative_to(root).as_posix()
        is_left = path.name.endswith(".tmp") and not name.startswith("data/")
        if path.is_file() and not is_left:
            found[name] = path.read_bytes()
    return found


def wrong(root, before, whole):
    """Return errors: damaged data that can be read, and results of the next run that differ from WHOLE."""
    found = []
    old, new = contents(before), contents(whole)
    for name in DATA:
        try:
            manifest.unseal(root / name)
            tables.read(root / name)
        except CllError as refusal:
            if str(root / name) not in str(refusal):
                found.append(f"{name} is refused without its name: {refusal}")
            continue
        there = contents(root, [name])
        wanted = [{f: d for f, d in one.items() if f.startswith(name)} for one in (old, new)]
        if there not in wanted:
            found.append(f"{name} reads as data, and is neither the old nor the new")
    found += [f"{name}: failed" for name in run(root, "ingest", "featurize")]
    there = contents(root)
    found += [n for n in sorted({*there, *new}) if there.get(n) != new.get(n)]
    found += [path.name for path in (root / "data").rglob(".*")]
    return found + [path.name for path in (root / ".cll").rglob(".making-*")]


def main(project, whole, scratch, stage, points):
    here = [Path(one).resolve() for one in (project, whole, scratch)]
    for end in [None] if points == "count" else map(int, points.split(",")):
        shutil.rmtree(here[2], ignore_errors=True)
        shutil.copytree(here[0], here[2])
        ended, said = forked(lambda end=end: run_until(here[2], stage, end))
        if ended == -signal.SIGKILL:
            said = forked(lambda: wrong(here[2], here[0], here[1]))[1]
        print(json.dumps([end, ended, said]), flush=True)  # noqa: T201  output of the script


if __name__ == "__main__":
    main(*sys.argv[1:])
