"""Signals and features by content under .cll/store: made once for all runs that would make them."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from cll import config, intake, progress, stages, store
from cll.errors import CllError
from cll.values import format_instant
from cll.workspace import Tree, Workspace, arrivals, key, load_tree, load_world

_KEPT = {"ingest": "signals", "featurize": "features"}


def made_once(ws: Workspace, stage: str, tree: Tree, world: config.World) -> Workspace:
    """Make a stage's folder once for all jobs that would compute the same bytes.

    A folder is believed by its manifest only; one that is damaged is made again.
    """
    kept = ws.root / ".cll" / "store"
    made_of = key(ws, stage, **_INPUTS[stage](ws, tree, world))
    folder = kept / f"{stage}-{store.digest(made_of)[:16]}"
    if _sound(folder):
        progress.note(f"{stage}: as kept in {folder}")
    else:
        _make(ws, stage, tree, world, folder)
    return replace(ws, **{f"{_KEPT[stage]}_folder": folder})


def is_behind(ws: Workspace) -> bool:
    """Tell whether the source reads other files now than the project's signals were made of."""
    reads = intake.source_of(load_tree(ws)).reads
    now = arrivals(ws, progress.track(reads, "hash"), load_world(ws).as_of)
    made_of: Tree = store.read_json(ws.signals / store.MANIFEST)["key"]["inputs"]["files"]
    return {one.file: one.sha256 for one in now} != made_of


def _sound(folder: Path) -> bool:
    try:
        store.unseal(folder)
    except CllError:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


def _make(ws: Workspace, stage: str, tree: Tree, world: config.World, folder: Path) -> None:
    """Make `folder` elsewhere first: under its name it is whole, or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        making = Workspace(ws.root, scratch, signals_folder=ws.signals_folder)
        stages.STAGES[stage](making, tree, world)
        try:
            (scratch / "data" / _KEPT[stage]).rename(folder)
        except OSError:
            if not folder.is_dir():  # else another job was faster: its bytes are the same
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _ingested_from(ws: Workspace, tree: Tree, world: config.World) -> dict[str, Any]:
    source = intake.source_of(tree)
    seen = arrivals(ws, source.reads, world.as_of)
    files = [[one.file, one.sha256, format_instant(one.as_of)] for one in seen]
    known = {"as_of": format_instant(world.as_of), "files": files}
    return {**known, "source": tree["source"], "fallback": tree["fallback"]}


def _featurized_from(ws: Workspace, tree: Tree, _: config.World) -> dict[str, Any]:
    signals = store.sha256(ws.signals / store.MANIFEST)
    return {"signals": signals, "features": tree["features"]}


_INPUTS = {"ingest": _ingested_from, "featurize": _featurized_from}
