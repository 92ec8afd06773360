"""Parse and check the command line of `cll run`, before a folder is made."""

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
class Arguments:
    """Hydra's flags, and the overrides after them."""

    flags: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def is_sweep(self) -> bool:
        return bool(_SWEEP & {*self.flags})

    @property
    def is_experiment(self) -> bool:
        """False if only help, completion or a version is requested."""
        return not _NO_RUN & {*self.flags}


@dataclass(frozen=True)
class Plan:
    """Overrides for Hydra besides `Arguments.flags`, and the config that they give."""

    baseline: tuple[str, ...]  # params.yaml as overrides
    overrides: tuple[str, ...]  # overrides on the command line
    tree: Tree | None  # the checked config; None for a sweep, whose jobs compose their own
    folder: Path  # folder of the sweep, or of the run


def read(arguments: Sequence[str]) -> Arguments:
    """Split the command line into Hydra's flags and overrides."""
    flags, texts = _divide(arguments)
    return Arguments(tuple(flags), tuple(texts))


def _divide(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split flags and overrides, since Hydra's argparse does not accept flags between overrides.

    Only flags that can neither add another conf/ nor load a pickle are accepted.
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
        raise ConfigError(f"{', '.join(modes)}: only one of these flags at a time.")
    return flags, overrides


def _parse(text: str, *, sweeping: bool) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(f"{text}: {first_line(error)} Write KEY=VALUE.") from None
    name = override.key_or_group
    if not name:
        raise ConfigError(f"{text}: names no key; write KEY=VALUE.")
    if override.type is OverrideType.DEL and name in {*catalog.GROUPS, "seed"}:
        raise ConfigError(f"{text}: {name} is required; write {name}=VALUE.")
    if override.is_sweep_override() and not sweeping:
        raise ConfigError(f"{text}: several values; add -m to run each.")
    return override


def plan(conf: Path, params: Mapping[str, Any], arguments: Arguments) -> Plan:
    """Check as much as possible before a folder is made; a sweep's jobs are composed one by one."""
    compose.refuse_unsafe(conf, params, arguments.texts)
    overrides = [_parse(text, sweeping=arguments.is_sweep) for text in arguments.texts]
    if (
        arguments.is_sweep
    ):  # values under `set` belong to a choice, and each job has its own choices
        params = {name: value for name, value in params.items() if name != "set"}
    ours = [_listed(override) for override in overrides if not override.is_hydra_override()]
    first = compose.baseline(conf, params, ours)
    groups = compose.choices_of(conf)
    forced = [_forced(override, groups) for override in overrides]
    pairs = zip(forced, overrides, strict=True)
    single = [text for text, override in pairs if not override.is_sweep_override()]
    words, where = [*first, *single], str(conf.resolve())
    with one_line(), limits(conf), initialize_config_dir(where, version_base=None):
        cfg = hydra.compose("config", overrides=words, return_hydra_config=True)
        place = cfg.hydra.sweep.dir if arguments.is_sweep else cfg.hydra.run.dir
    if cfg.hydra.mode is not None:
        raise ConfigError(f"hydra.mode={cfg.hydra.mode.name}: remove it; -m asks for a sweep.")
    tree = None
    if not arguments.is_sweep:
        tree = compose.checked(conf, *compose.split(cfg, cfg.hydra.runtime.choices))
    return Plan(tuple(first), tuple(forced), tree, Path(place))


def _listed(override: Override) -> str:
    """Return a sweep over choices as a list of them, so that each is checked."""
    if isinstance(override.value(), ChoiceSweep):
        return f"{override.key_or_group}=[{','.join(override.sweep_string_iterator())}]"
    return str(override.input_line)


def _forced(override: Override, groups: Collection[str]) -> str:
    """Return a plain override with ++, so that our schema reports an unknown key and not Hydra."""
    name = override.key_or_group
    is_choice = name in groups or "/" in name or override.package is not None
    is_change = override.type is OverrideType.CHANGE
    plain = is_change and not is_choice and not override.is_hydra_override()
    return f"{'++' * plain}{override.input_line}"
