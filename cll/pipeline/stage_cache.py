"""Cache of signals and features under .cll/store, addressed by the inputs of their stages."""

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
from cll.system.partitions import SealedFolder
from cll.system.stat_cache import open_stat_cache
from cll.system.workspace import Workspace
from cll.types.errors import CllError

_FOLDERS = {"ingest": "signals", "featurize": "features"}


def made_once(ws: Workspace, stage: str, tree: Tree, world: config_project.World) -> Workspace:
    """Return a workspace whose folder of a stage is computed, once for all jobs with equal inputs.

    If the project's own folder has these inputs, it is used. A folder is used only if all its files
    match its manifest; a damaged one is computed again.
    """
    made_of = _key(ws, stage, tree, world)
    project = ws.root / "data" / _FOLDERS[stage]
    folder = ws.cache / "store" / f"{stage}-{disk.digest(made_of)[:16]}"
    if SealedFolder(project).key == made_of and _sound(ws, project):
        folder = project
    with locks.in_turn(ws.root, folder.name):  # one job computes it, and the others wait
        if folder == project or _sound(ws, folder):
            progress.note(f"{stage}: reused from {folder}")
        else:
            links.remove(folder, ignore_errors=True)
            _make(ws, stage, tree, world, folder)
    if stage == "ingest":
        return replace(ws, signals_folder=folder)
    return replace(ws, features_folder=folder)


def data(ws: Workspace, tree: Tree, world: config_project.World) -> Workspace:
    """Return a workspace with signals and features, each computed once for all jobs with equal inputs."""
    return made_once(made_once(ws, "ingest", tree, world), "featurize", tree, world)


def _key(ws: Workspace, stage: str, tree: Tree, world: config_project.World) -> dict[str, Any]:
    if stage == "featurize":
        return featurize_stage.key(ws, tree)
    seen = arrival_log.inspect(ws, ingest_stage.source_of(tree), world.as_of)
    return ingest_stage.key(tree, world, seen.files)


def _sound(ws: Workspace, folder: Path) -> bool:
    stat_cache = open_stat_cache(ws)
    try:
        manifest.unseal(folder, stat_cache.sha256)
    except CllError:
        return False
    stat_cache.save()
    return True


def _make(ws: Workspace, stage: str, tree: Tree, world: config_project.World, folder: Path) -> None:
    """Compute a folder under another name and rename it, so that it is never seen incomplete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        making = Workspace(ws.root, scratch, signals_folder=ws.signals_folder)
        stages.STAGES[stage](making, tree, world)
        (scratch / "data" / _FOLDERS[stage]).rename(folder)
    finally:
        links.remove(scratch, ignore_errors=True)
