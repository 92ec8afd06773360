"""One experiment in one process, as a Hydra app over the same conf/ that DVC's stages use.

Hydra brings the command line (`-m`, `--cfg job`, completion) and each job's folder; what is
computed there comes from the same functions as in `dvc repro`. Signals and features are kept by
content under .cll/store, so that jobs share them.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cll import compose, config, progress, stages, store, table
from cll.errors import CllError, ConfigError, SecurityRefusal
from cll.workspace import Tree, Workspace, arrivals, key, load_world

_SWEEPS = {"-m", "--multirun"}
_SHOWS = {"--cfg", "-c", "--info", "-i"}
_ASIDE = {"--shell-completion", "-sc", "--hydra-help", "--version"}  # no experiment is asked for
_SWITCHES = {*_SWEEPS, *_ASIDE, "--resolve"}
_VALUED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins")),
    **dict.fromkeys(("--package", "-p"), ()),
}
# Logging could call any function by its name, so nothing configures it; Hydra reports a refusal
# by raising it.
_QUIET_LOGGING = ["++hydra.job_logging.root=null", "++hydra.hydra_logging.root=null"]
_FULL_ERROR = "HYDRA_FULL_ERROR"
_PLUGINS = ("hydra_plugins.", "hydra._internal.core_plugins.", "optuna.samplers.")
_KEPT = {"ingest": "signals", "featurize": "features"}


def main(root: Path, arguments: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    OmegaConf.register_new_resolver("pid", lambda: str(os.getpid()), replace=True)
    flags, overrides = _divide(arguments)
    conf = root / "conf"
    if not conf.is_dir():
        raise ConfigError(f"{conf}: no such folder; is this the project's folder?")
    if _ASIDE & set(flags):
        return _hydra(conf, [*flags, *overrides], [])
    load_world(Workspace(root))
    params = config.load_yaml(root / "params.yaml")
    sweeping = bool(_SWEEPS & set(flags))
    asked = [_parse(text, sweeping=sweeping) for text in overrides]
    plain = [_forced(one, conf) for one in asked]
    tree = None if sweeping else compose.resolve(conf, params, [t for t in plain if not _own(t)])
    first = _before(conf, params, asked)
    _refuse_foreign_code(conf, [*first, *(t for t, o in zip(plain, asked, strict=True) if _one(o))])
    refused: list[CllError] = []

    def job(_cfg: DictConfig) -> None:
        found = HydraConfig.get()
        folder = Path(found.runtime.output_dir)
        try:
            task = [text for text in found.overrides.task if not _own(text)]
            experiment(root, folder, tree or compose.resolve(conf, params, task))
        except CllError as error:
            refused.append(error)
            if sweeping:  # the other jobs go on
                store.write_json(folder / "reports" / "refusal.json", stages.refusal(error, "run"))
                progress.say(f"cll: {table.near(folder)}: {error}")

    _hydra(conf, [*flags, *first, *plain, *_QUIET_LOGGING], [job])
    if refused and not sweeping:
        raise refused[0]
    return refused[0].exit_code if refused else 0
