"""What the command line of `cll run` asks for, checked before a folder is made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType
from hydra.errors import HydraException

from cll.config import catalog
from cll.config.project import Tree
from cll.pipeline.compose import compose
from cll.pipeline.compose.hydra_errors import first_line, one_line
from cll.pipeline.compose.hydra_limits import limits
from cll.types.errors import ConfigError

_SWEEP = {"-m", "--multirun"}
_SWITCHES = {*_SWEEP, "--resolve", "--hydra-help", "--version"}
_COMPLETIONS = ("install=bash", "query=bash", "uninstall=bash", "install=zsh", "install=fish")
_VALUED = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins")),
    **dict.fromkeys(("--package", "-p"), ()),
    "-sc": _COMPLETIONS,
}
_NO_RUN = {"-sc", "--hydra-help", "--version"}
RESUME = "--resume"


@dataclass(frozen=True)
class Asked:
    """Hydra's flags, and the overrides behind them."""

    flags: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def is_sweep(self) -> bool:
        return bool(_SWEEP & {*self.flags})

    @property
    def is_experiment(self) -> bool:
        """Tell whether an experiment is asked for, or only help."""
        return not _NO_RUN & {*self.flags}


@dataclass(frozen=True)
class Plan:
    """What Hydra is to be given besides `Asked.flags`, and what comes of it."""

    baseline: tuple[str, ...]  # what params.yaml asks for, as overrides
    overrides: tuple[str, ...]  # of the command line
    tree: Tree | None  # composed and checked; None: a sweep's jobs compose their own
    folder: Path  # of the sweep, or of the run


def read(arguments: Sequence[str]) -> Asked:
    """Part Hydra's flags from overrides."""
    flags, texts = _divide(arguments)
    return Asked(tuple(flags), tuple(texts))


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
    try:
        found = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(f"{text}: {first_line(error)} Write KEY=VALUE.") from None
    name = found.key_or_group
    if not name:
        raise ConfigError(f"{text}: names no key; write KEY=VALUE.")
    if found.type is OverrideType.DEL and name in {*catalog.GROUPS, "seed"}:
        raise ConfigError(f"{text}: {name} has to be there; write {name}=VALUE.")
    if found.is_sweep_override() and not sweeping:
        raise ConfigError(f"{text}: several values; add -m to run each.")
    return found


def plan(conf: Path, params: Mapping[str, Any], asked: Asked) -> Plan:
    """Check all that can be before a folder is made; a sweep's jobs are composed one by one."""
    compose.refuse_unsafe(conf, params, asked.texts)
    overrides = [_parse(text, sweeping=asked.is_sweep) for text in asked.texts]
    if asked.is_sweep:  # each job has its own choices, so what is set for one is left to the job
        params = {name: value for name, value in params.items() if name != "set"}
    ours = [_listed(one) for one in overrides if not one.is_hydra_override()]
    first = compose.baseline(conf, params, ours)
    groups = compose.choices_of(conf)
    forced = [_forced(one, groups) for one in overrides]
    single = [f for f, one in zip(forced, overrides, strict=True) if not one.is_sweep_override()]
    words, where = [*first, *single], str(conf.resolve())
    with one_line(), limits(conf), initialize_config_dir(where, version_base=None):
        cfg = hydra.compose("config", overrides=words, return_hydra_config=True)
        place = cfg.hydra.sweep.dir if asked.is_sweep else cfg.hydra.run.dir
    if cfg.hydra.mode is not None:
        raise ConfigError(f"hydra.mode={cfg.hydra.mode.name}: remove it; -m asks for a sweep.")
    tree = None
    if not asked.is_sweep:
        tree = compose.checked(conf, *compose.split(cfg, cfg.hydra.runtime.choices))
    return Plan(tuple(first), tuple(forced), tree, Path(place))


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
