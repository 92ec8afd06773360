"""Stages that DVC would run again, and whether the verdict is still up to date."""

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
# A clone without DVC's cache lacks the large files. A change of any other file makes the verdict stale.
_ABSENT = {"deleted", "not in cache"}
_RELEASED = "registry/models/"
# After a tick at which no trigger fired, these stages may be stale, because of these inputs.
_TAUGHT = {"train", "evaluate", "gate", "report"}
_GOES_ON = {
    *("data/signals", "data/features", "data/signals/quarantine.parquet"),
    *("world.yaml: as_of", "world.yaml: champion"),
}


def stale(ws: Workspace) -> CllError | None:
    """Return the reason why the verdict is out of date, as an error; None if it is up to date."""
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
    """Return the stages that `dvc repro` would run, each with the reason.

    A file that only DVC's cache lacks is no reason. New data are no reason for the training stages
    either, if the triggers decided not to train. Stages after a stale one may be missing: DVC does
    not know their inputs before it runs that stage.
    """
    changes, decided = list(_changes(_status(root))), _decided(root)
    return _due(
        root, [c for c in changes if not (decided and c[0] in _TAUGHT and c[1] in _GOES_ON)]
    )


def read_verdict(ws: Workspace) -> Mapping[str, Any]:
    """Read verdict.json, whether or not it is up to date."""
    path = ws.reports / "verdict.json"
    verdict = disk.read_json(path)
    if not isinstance(verdict, Mapping) or verdict.get("answer") not in ANSWERS:
        raise DataRefused(f"{path}: not a verdict; run `dvc repro` again.")
    return verdict


def _decided(root: Path) -> bool:
    """Return whether the triggers decided at this `as_of` not to train."""
    path = root / "reports" / "trigger.json"
    if not path.is_file():
        return False
    decision, world = disk.read_json(path), load_world(Workspace(root))
    as_of = format_instant(world.as_of)
    if not isinstance(decision, Mapping):
        return False
    return (decision.get("fires"), decision.get("as_of")) == (False, as_of)


def _due(root: Path, changes: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    in_git = _in_git(root) if changes else set()
    due: dict[str, str] = {}
    for stage, path, word in changes:
        if word not in _ABSENT or (word == "deleted" and path in in_git):
            due.setdefault(stage, f"{path} is {word}")
    return due


def _in_git(root: Path) -> set[str]:
    """Return the paths that git holds: code, conf/, and outputs that DVC does not cache."""
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
        status = json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        status = None
    if not isinstance(status, Mapping):
        reason = (done.stderr.strip().splitlines() or ["no message"])[0].removeprefix("ERROR: ")
        raise Unavailable(f"`dvc status` can't tell what changed: {reason.rstrip('.')}; run it.")
    return status


def _changes(status: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield stage, path and kind of each change."""
    for stage, entries in status.items():
        if stage.startswith(_RELEASED):  # a stage that reads these checks them itself
            continue
        for entry in entries:
            if not isinstance(entry, Mapping):  # "changed command"
                yield stage, str(entry).removeprefix("changed "), "changed"
                continue
            for path, word in (item for paths in entry.values() for item in paths.items()):
                if isinstance(word, Mapping):  # a removed parameter is no missing file
                    key, what = next(iter(word.items()))
                    yield stage, f"{path}: {key}", "removed" if what == "deleted" else what
                else:
                    yield stage, path, word


def _refused(ws: Workspace) -> CllError | None:
    """Return the error of the stage that failed last, if any."""
    try:
        refusal = disk.read_json(ws.reports / "refusal.json")
        error = CllError(str(refusal["says"]))
        error.exit_code = int(refusal["exit_code"])
    except (CllError, TypeError, KeyError, ValueError):
        return None
    return error
