"""What DVC would run again, and so whether a verdict is that of the project as it stands."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cll.config import components
from cll.config.project import load_world
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, DataRefused, Unavailable
from cll.types.times import format_instant
from cll.vcs.commands import for_child, python

ANSWERS = ("promote", "reject", "not enough evidence")
# A clone without DVC's cache lacks what is large; what it has says whether the verdict holds.
_ABSENT = {"deleted", "not in cache"}
_RELEASED = "registry/models/"
# What a tick leaves as it is where no trigger fires, though these went on.
_TAUGHT = {"train", "evaluate", "gate", "report"}
_GOES_ON = {
    *("data/signals", "data/features", "data/signals/quarantine.parquet"),
    *("world.yaml: as_of", "world.yaml: champion"),
}


def stale(ws: Workspace) -> CllError | None:
    """Say why the verdict is not the one of the project as it stands, or None."""
    changes = list(_changes(_status(ws.root)))
    if changes and (refused := _refused(ws)):
        return refused
    for stage, why in _due(ws.root, changes).items():
        return ConfigError(f"{stage}: {why} since the verdict; run `dvc repro`.")
    form = ws.candidate / "model.json"
    if form.is_file() and disk.read_json(form)["model_id"] != read_verdict(ws)["model_id"]:
        return ConfigError(f"{form}: is not the model of reports/verdict.json; run `dvc repro`.")
    return None


def would_run(root: Path) -> dict[str, str]:
    """Say of each stage that `dvc repro` would run why. What only DVC's cache lacks is no reason.

    Nor is it that data came in, where the triggers said that they ask for no training.
    What follows from these stages is not told: DVC can't look through a stage that it has to run.
    """
    changes, decided = list(_changes(_status(root))), _decided(root)
    return _due(
        root, [c for c in changes if not (decided and c[0] in _TAUGHT and c[1] in _GOES_ON)]
    )


def read_verdict(ws: Workspace) -> Mapping[str, Any]:
    """Read the gate's answer, whether or not it still holds."""
    path = ws.reports / "verdict.json"
    found = disk.read_json(path)
    if not isinstance(found, Mapping) or found.get("answer") not in ANSWERS:
        raise DataRefused(f"{path}: not a verdict; run `dvc repro` again.")
    return found


def _decided(root: Path) -> bool:
    """Tell whether the triggers, asked at this `as_of`, said not to train."""
    told = root / "reports" / "trigger.json"
    if not told.is_file():
        return False
    found, world = disk.read_json(told), load_world(Workspace(root))
    as_of = format_instant(world.as_of)
    return isinstance(found, Mapping) and (found.get("fires"), found.get("as_of")) == (False, as_of)


def _due(root: Path, changes: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    in_git = _in_git(root) if changes else set()
    due: dict[str, str] = {}
    for stage, path, word in changes:
        if word not in _ABSENT or (word == "deleted" and path in in_git):
            due.setdefault(stage, f"{path} is {word}")
    return due


def _in_git(root: Path) -> set[str]:
    """Name what a clone has, also without DVC's cache: code, conf/, and what is not cached."""
    stages = components.load_yaml(root / "dvc.yaml").get("stages", {}).values()
    deps = {str(dep) for stage in stages for dep in stage.get("deps", ())}
    made = [out for stage in stages for key in ("outs", "metrics") for out in stage.get(key, ())]
    options = {name: o for out in made if isinstance(out, Mapping) for name, o in out.items()}
    uncached = {name for name, o in options.items() if o and o.get("cache") is False}
    return uncached | {dep for dep in deps if Path(dep).parts[0] in {"cll", "conf"}}


def _status(folder: Path) -> Mapping[str, Any]:
    command = python("dvc", "status", "--json")
    done = subprocess.run(  # noqa: S603  our own arguments
        command, cwd=folder, env=for_child(), capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        says = (done.stderr.strip().splitlines() or ["no word"])[0].removeprefix("ERROR: ")
        raise Unavailable(f"`dvc status` can't tell what changed: {says.rstrip('.')}; run it.")
    return found


def _changes(status: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield stage, path and what became of it."""
    for stage, entries in status.items():
        if stage.startswith(_RELEASED):  # no stage reads these without a check of its own
            continue
        for entry in entries:
            if not isinstance(entry, Mapping):  # "changed command"
                yield stage, str(entry).removeprefix("changed "), "changed"
                continue
            for path, word in (item for paths in entry.values() for item in paths.items()):
                if isinstance(word, Mapping):  # parameters: one that is gone is no missing file
                    key, what = next(iter(word.items()))
                    yield stage, f"{path}: {key}", "removed" if what == "deleted" else what
                else:
                    yield stage, path, word


def _refused(ws: Workspace) -> CllError | None:
    """Return what the stage said that failed last."""
    try:
        found = disk.read_json(ws.reports / "refusal.json")
        error = CllError(str(found["says"]))
        error.exit_code = int(found["exit_code"])
    except (CllError, TypeError, KeyError, ValueError):
        return None
    return error
