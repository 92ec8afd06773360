"""Signals and features by content under .cll/store: made once for all runs that would make them."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from cll.config import project as config_project
from cll.config.project import Tree
from cll.pipeline import stages
from cll.pipeline.featurize import stage as featurize_stage
from cll.pipeline.ingest import arrival_log
from cll.pipeline.ingest import stage as ingest_stage
from cll.system import disk, links, locks, manifest, progress
from cll.system.partitions import Standing
from cll.system.stat_cache import memo
from cll.system.workspace import Workspace
from cll.types.errors import CllError

_KEPT = {"ingest": "signals", "featurize": "features"}


def made_once(ws: Workspace, stage: str, tree: Tree, world: config_project.World) -> Workspace:
    """Make a stage's folder once for all jobs that would compute the same bytes.

    That may be the project's own. A folder is believed by its manifest only; one that is damaged
    is made again.
    """
    made_of = _key(ws, stage, tree, world)
    project = ws.root / "data" / _KEPT[stage]
    folder = ws.cache / "store" / f"{stage}-{disk.digest(made_of)[:16]}"
    if Standing(project).key == made_of and _sound(ws, project):
        folder = project
    with locks.in_turn(ws.root, folder.name):  # one job makes it, and the others wait
        if folder == project or _sound(ws, folder):
            progress.note(f"{stage}: as kept in {folder}")
        else:
            links.remove(folder, ignore_errors=True)
            _make(ws, stage, tree, world, folder)
    if stage == "ingest":
        return replace(ws, signals_folder=folder)
    return replace(ws, features_folder=folder)


def data(ws: Workspace, tree: Tree, world: config_project.World) -> Workspace:
    """Make signals and features once for all jobs that would compute the same bytes."""
    return made_once(made_once(ws, "ingest", tree, world), "featurize", tree, world)


def _key(ws: Workspace, stage: str, tree: Tree, world: config_project.World) -> dict[str, Any]:
    if stage == "featurize":
        return featurize_stage.key(ws, tree)
    seen = arrival_log.see(ws, ingest_stage.source_of(tree), world.as_of)
    return ingest_stage.key(tree, world, seen.files)


def _sound(ws: Workspace, folder: Path) -> bool:
    remembered = memo(ws)
    try:
        manifest.unseal(folder, remembered.sha256)
    except CllError:
        return False
    remembered.save()
    return True


def _make(ws: Workspace, stage: str, tree: Tree, world: config_project.World, folder: Path) -> None:
    """Make `folder` elsewhere first: under its name it is whole, or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        making = Workspace(ws.root, scratch, signals_folder=ws.signals_folder)
        stages.STAGES[stage](making, tree, world)
        (scratch / "data" / _KEPT[stage]).rename(folder)
    finally:
        links.remove(scratch, ignore_errors=True)
