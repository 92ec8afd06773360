"""One experiment in one process, as a Hydra app over the same conf/ that DVC's stages use.

Hydra brings the command line (`-m`, `--cfg job`, completion) and each job's folder; what is
computed there comes from the same functions as in `dvc repro`. Signals and features are kept by
content under .cll/store, so that jobs share them.
"""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cll import compose, config, progress, stages, store, table
from cll.errors import CllError, ConfigError, SecurityRefusal
from cll.kept import made_once
from cll.workspace import Tree, Workspace, load_world

_SWEEP = {"-m", "--multirun"}
_SWITCHES = {*_SWEEP, "--resolve", "--hydra-help", "--version"}
_COMPLETIONS = ("install=bash", "query=bash", "uninstall=bash", "install=zsh", "install=fish")
_VALUED = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins")),
    **dict.fromkeys(("--package", "-p"), ()),
    "-sc": _COMPLETIONS,
}
# Logging's config can call any function by its name, so none is applied.
_NO_LOGGING = ("++hydra.job_logging.root=null", "++hydra.hydra_logging.root=null")
_PLUGINS = ("hydra_plugins.", "hydra._internal.core_plugins.", "optuna.samplers.")
_FULL_ERROR = "HYDRA_FULL_ERROR"  # Hydra then raises its errors instead of printing pages


def main(root: Path, arguments: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    flags, texts = _divide(arguments)
    conf = root / "conf"
    if not conf.is_dir():
        raise ConfigError(f"{conf}: no such folder; is this the project's folder?")
    OmegaConf.register_new_resolver("pid", lambda: str(os.getpid()), replace=True)
    if {*flags} & {"-sc", "--hydra-help", "--version"}:  # no experiment is asked for
        _hydra(conf, [*flags, *texts], lambda _: None)
        return 0
    load_world(Workspace(root))
    params = config.load_yaml(root / "params.yaml")
    sweeping = bool(_SWEEP & {*flags})
    asked = [_parse(text, sweeping=sweeping) for text in texts]
    first, tree = _prepare(conf, params, asked, sweeping=sweeping)
    job, refused = _job(root, params, tree, first)
    forced = [_forced(one, compose.choices_of(conf)) for one in asked]
    _hydra(conf, [*flags, *first, *forced, *_NO_LOGGING], job)
    if refused and not sweeping:
        raise refused[0]
    return refused[0].exit_code if refused else 0


def _job(
    root: Path, params: Mapping[str, Any], tree: Tree | None, first: Sequence[str]
) -> tuple[Callable[[DictConfig], None], list[CllError]]:
    """Return what Hydra is to call, and the list of refusals that it fills.

    Without a composed tree it is a job of a sweep: it composes its own, stops no other, and says
    above its table what it was asked for besides `first`, which params.yaml asks of each job.
    """
    refused: list[CllError] = []

    def job(_: DictConfig) -> None:
        found = HydraConfig.get()
        folder = Path(found.runtime.output_dir)
        try:
            own, title = tree, ""
            if own is None:
                GlobalHydra.instance().clear()  # the sweeper's
                own = compose.resolve(root / "conf", params, found.overrides.task)
                title = f"job      {' '.join(_besides(found.overrides.task, first))}"
            experiment(root, folder, own, title)
        except CllError as error:
            refused.append(error)
            if tree is None:
                progress.say(f"cll: {table.near(folder)}: {error}")

    return job, refused


def _besides(overrides: Sequence[str], first: Sequence[str]) -> list[str]:
    left = list(overrides)
    for one in first:
        if one in left:
            left.remove(one)
    return [one.removeprefix("++") for one in left]


def experiment(root: Path, folder: Path, tree: Tree, title: str = "") -> None:
    """Run one composed experiment into `folder`, and show what came out."""
    ws = Workspace(root, folder)
    world = load_world(ws)
    store.write_bytes(ws.resolved, compose.render(tree).encode())
    ws = made_once(ws, "ingest", tree, world)
    ws = made_once(ws, "featurize", tree, world)
    for stage in ("train", "evaluate", "gate", "report"):
        stages.STAGES[stage](ws, tree, world)
    table.show(folder, title=title)


def _divide(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part Hydra's flags from overrides: argparse takes overrides in one piece only.

    Of Hydra's flags those are taken that can neither bring in another conf/ nor load a pickle.
    """
    flags: list[str] = []
    overrides: list[str] = []
    left = iter(arguments)
    for argument in left:
        name, separator, value = argument.partition("=")
        if not argument.startswith("-"):
            overrides.append(argument)
        elif argument in _SWITCHES:
            flags.append(argument)
        elif name in _VALUED:
            value = value if separator else next(left, "")
            choices = _VALUED[name]
            if value not in choices if choices else not value:
                ways = ", ".join(choices) or "a key"
                raise ConfigError(f"{name}={value}: no such value; there are: {ways}.")
            flags += [name, value]
        else:
            listed = ", ".join(sorted({*_SWITCHES, *_VALUED}))
            raise ConfigError(f"{argument}: no such option of run; there are: {listed}.")
    modes = sorted({*flags} & {*_SWEEP, *_VALUED} - {"-p", "--package"})
    if len(modes) > 1:
        raise ConfigError(f"{', '.join(modes)}: one of them at a time.")
    return flags, overrides


def _parse(text: str, *, sweeping: bool) -> Override:
    config.refuse_unsafe_string(text.partition("=")[0], text)
    try:
        found = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(f"{text}: {compose.first_line(error)} Write KEY=VALUE.") from None
    name = found.key_or_group
    if not name:
        raise ConfigError(f"{text}: names no key; write KEY=VALUE.")
    if found.type is OverrideType.DEL and name in {*config.GROUPS, "seed"}:
        raise ConfigError(f"{text}: {name} has to be there; write {name}=VALUE.")
    if found.is_sweep_override() and not sweeping:
        raise ConfigError(f"{text}: several values; add -m to run each.")
    return found


def _prepare(
    conf: Path, params: Mapping[str, Any], asked: Sequence[Override], *, sweeping: bool
) -> tuple[list[str], Tree | None]:
    """Check all that can be before a folder is made; a sweep's jobs are composed one by one.

    Returns params.yaml's overrides, and the composed tree where there is only one.
    """
    compose.refuse_unsafe_folder(conf)
    config.refuse_unsafe(params, "params.yaml")
    if sweeping:  # each job has its own choices, so what is set for one is left to the job
        params = {name: value for name, value in params.items() if name != "set"}
    ours = [_listed(one) for one in asked if not one.is_hydra_override()]
    first = compose.baseline(conf, params, ours)
    groups = compose.choices_of(conf)
    single = [_forced(one, groups) for one in asked if not one.is_sweep_override()]
    with compose.one_line(), initialize_config_dir(str(conf.resolve()), version_base=None):
        cfg = hydra.compose("config", overrides=[*first, *single], return_hydra_config=True)
    for where, value in _leaves(OmegaConf.to_container(cfg.hydra), "hydra"):
        if where.endswith("._target_") and not str(value).startswith(_PLUGINS):
            raise SecurityRefusal(f"{where}={value}: not a plugin of Hydra's; remove it.")
    if sweeping:
        return first, None
    return first, compose.checked(conf, *compose.split(cfg, cfg.hydra.runtime.choices))


def _listed(one: Override) -> str:
    """Write a sweep over choices as a list of them, to have each looked up."""
    found = one.value()
    if isinstance(found, ChoiceSweep):
        return f"{one.key_or_group}=[{','.join(one.sweep_string_iterator())}]"
    return str(one.input_line)


def _forced(one: Override, groups: Collection[str]) -> str:
    """Set a value also where Hydra knows no such key: the schema's error is the better one."""
    name = one.key_or_group
    is_choice = name in groups or "/" in name or one.package is not None
    plain = one.type is OverrideType.CHANGE and not is_choice and not one.is_hydra_override()
    return f"{'++' * plain}{one.input_line}"


def _leaves(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping | list):
        for name, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _leaves(value, f"{where}.{name}")
    else:
        yield where, node


def _hydra(conf: Path, arguments: Sequence[str], job: Callable[[DictConfig], None]) -> None:
    """Let Hydra run `job` as its command line asks for."""
    before, errors = sys.argv, os.environ.get(_FULL_ERROR)
    sys.argv, os.environ[_FULL_ERROR] = ["cll", *arguments], "1"
    if line := os.environ.get("COMP_LINE"):  # completion doesn't know that `run` is a command
        os.environ["COMP_LINE"] = re.sub(r"^(\S+\s+)run\s", r"\1", line)
    try:
        with compose.one_line():
            wrap = hydra.main(
                version_base=None, config_path=str(conf.resolve()), config_name="config"
            )
            wrap(job)()
    finally:
        sys.argv = before
        if errors is None:
            del os.environ[_FULL_ERROR]
