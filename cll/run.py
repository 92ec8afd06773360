"""One experiment in one process, as a Hydra app over the same conf/ that DVC's stages use.

Hydra brings the command line (`-m`, `--cfg job`, completion) and each job's folder; what is
computed there comes from the same functions as in `dvc repro`. Signals and features are kept by
content under .cll/store, so that jobs share them.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cll import compose, config, progress, stages, store, table
from cll.errors import CllError
from cll.workspace import Tree, Workspace, key, load_world

_FLAGS_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--info", "-i", "--config-dir", "-cd"}


def main(root: Path, arguments: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    flags, overrides = _divide(arguments)
    conf, params = root / "conf", config.load_yaml(root / "params.yaml")
    if "-m" not in flags and "--multirun" not in flags:
        compose.resolve(conf, params, overrides)  # one-line errors, before Hydra has its say
    else:
        compose.refuse_unsafe_folder(conf)
    first = compose.baseline(conf, params, overrides)
    failures: list[CllError] = []

    def job(cfg: DictConfig) -> None:
        hydra_cfg = HydraConfig.get()
        tree, choices = compose.split(cfg, hydra_cfg.runtime.choices)
        try:
            experiment(
                root, Path(hydra_cfg.runtime.output_dir), compose.checked(conf, tree, choices)
            )
        except CllError as error:
            progress.note(f"cll: {error}")
            failures.append(error)

    argv, sys.argv = sys.argv, ["cll", *flags, *first, *overrides]
    try:
        wrap = hydra.main(version_base=None, config_path=str(conf.resolve()), config_name="config")
        wrap(job)()
    finally:
        sys.argv = argv
    return failures[0].exit_code if failures else 0


def experiment(root: Path, folder: Path, tree: Tree) -> None:
    """Run one composed experiment into `folder`, and show what came out."""
    ws = Workspace(root, folder)
    world = load_world(ws)
    store.write_bytes(ws.resolved, compose.render(tree).encode())
    ws = _shared(ws, "ingest", tree, world)
    ws = _shared(ws, "featurize", tree, world)
    for stage in ("train", "evaluate", "gate", "report"):
        stages.STAGES[stage](ws, tree, world)
    table.show(folder)


def _divide(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part Hydra's flags from overrides: argparse takes overrides in one piece only."""
    flags: list[str] = []
    overrides: list[str] = []
    expects_value = False
    for argument in arguments:
        is_flag = argument.startswith("-") or expects_value
        (flags if is_flag else overrides).append(argument)
        expects_value = argument in _FLAGS_WITH_VALUE
    return flags, overrides


def _shared(ws: Workspace, stage: str, tree: Tree, world: config.World) -> Workspace:
    """Make a stage's folder once for all jobs that would compute the same bytes."""
    inputs: dict[str, Any] = {
        group: tree.get(group) for group in ("source", "fallback", "features")
    }
    if stage == "ingest":
        source = stages.source_of(tree)
        del inputs["features"]
        inputs["as_of"] = str(world.as_of)
        inputs["files"] = {str(path): store.sha256(path) for path in source.reads}
    else:
        inputs["signals"] = store.sha256(ws.signals / store.MANIFEST)
    kept = ws.root / ".cll" / "store"
    folder = kept / f"{stage}-{store.digest(key(ws, stage, **inputs))[:16]}"
    name = {"ingest": "signals", "featurize": "features"}[stage]
    if not folder.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=kept, prefix=".making-"))
        making = Workspace(ws.root, scratch, signals_folder=ws.signals_folder)
        stages.STAGES[stage](making, tree, world)
        try:
            (scratch / "data" / name).rename(folder)
        except OSError:
            if not folder.is_dir():  # another job was faster: its bytes are the same
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return replace(ws, **{f"{name}_folder": folder})
