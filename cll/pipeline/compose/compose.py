"""Composition of conf/, params.yaml and the command line by Hydra into the tree of resolved.yaml.

Precedence: conf/ < experiment < params.yaml < command line. params.yaml is turned into Hydra
overrides, so that `dvc repro`, `cll run` and a sweep compose in the same way.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cll.config import catalog, components, fingerprint, resolvers, safety, secret_values
from cll.pipeline.compose import conf_files, override_grammar, row_clock
from cll.pipeline.compose.hydra_errors import first_line, one_line
from cll.pipeline.compose.hydra_limits import limits
from cll.types.directions import TREE_KEY, Directions, directions_of
from cll.types.errors import ConfigError

HEADER = (
    "# Composed from conf/ and params.yaml by the compose stage of dvc.yaml. Committed, so that a\n"
    "# review shows what changed and each stage can depend on the part it reads. Never edited.\n"
)
EXPERIMENT = "experiment"
SEEDS = 2**31


def resolve(conf: Path, params: Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the composed and checked tree of resolved.yaml: seed, choices, a subtree per group."""
    refuse_unsafe(conf, params, overrides)
    tree, choices = composed(conf, baseline(conf, params, overrides) + list(overrides))
    return checked(conf, tree, choices)


def refuse_unsafe(conf: Path, params: Mapping[str, Any], overrides: Sequence[str] = ()) -> None:
    """Refuse unsafe values in conf/, params.yaml and overrides, before Hydra reads them."""
    conf_files.refuse_unsafe(conf)
    names = partial(conf_files.names, conf)
    secret_values.refuse(params, "params.yaml", names)
    safety.refuse_unsafe(params, "params.yaml")
    for override in overrides:
        key, _, value = override.partition("=")
        secret_values.refuse(key, "", names)
        secret_values.refuse(value, key, names)
        safety.refuse_unsafe_string(key, override)


def checked(conf: Path, tree: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """Return a composed tree, checked against the catalog and each component's annotations."""
    secret_values.refuse(tree, "", partial(conf_files.names, conf))
    safety.refuse_unsafe(tree, "")
    tree = row_clock.with_delays_as_time(tree)
    for key in sorted(set(tree) - {*catalog.GROUPS, "seed"}):
        raise ConfigError(f"{key}: unknown key; {_hint(key, [*catalog.GROUPS, 'seed'])}")
    seed = tree.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
        raise ConfigError(f"seed={seed}: write an integer from 0 to {SEEDS - 1}.")
    for group in catalog.GROUPS:
        if group not in tree:
            raise ConfigError(f"{group}: not chosen; name it in the defaults of conf/config.yaml.")
        components.build(group, tree[group])
    for name, node in tree["update"].get("settings", {}).items():
        components.build("update", node, f"update.settings.{name}")
    directions = directions_of(components.build("metric", tree["metric"]))
    _refuse_unknown_metrics(tree)
    _refuse_contrary_bounds(tree["gate"], directions)
    fallback = tree["source"].get("fallback", "none")
    simulated = (
        components.load_yaml(conf / "source" / f"{fallback}.yaml") if fallback != "none" else None
    )
    # An experiment may read other data, so its schema is stored under its own name.
    section = choices.get(EXPERIMENT) or choices["source"]
    derived = {TREE_KEY: directions, "fallback": simulated, "schema": section}
    composed = {"choices": dict(choices), **tree, **derived}
    return {**composed, "code": fingerprint.codes(composed)}


def _refuse_unknown_metrics(tree: Mapping[str, Any]) -> None:
    """Refuse settings of the gate that name metrics which evaluate does not compute."""
    gate, metrics = tree["gate"], tree["metric"]
    required = {"gate.metric": [gate["metric"]]}
    required |= {"gate.slices.metric": [gate["slices"]["metric"]]} if gate.get("slices") else {}
    required |= {f"gate.{kind}": list(gate.get(kind) or ()) for kind in ("floors", "ceilings")}
    for key, names in required.items():
        for name in names:
            if name not in metrics:
                raise ConfigError(f"{key}={name}: not a chosen metric; {_hint(name, metrics)}")
    by_slice, paired = gate.get("slices"), tree["evaluate"]["slice_paired"]
    if by_slice and by_slice["metric"] not in paired:
        raise ConfigError(
            f"gate.slices.metric={by_slice['metric']}: evaluate.slice_paired lacks it, so no slice"
            " has an interval; name it there, or set gate.slices to null."
        )
    if gate["metric"] not in tree["evaluate"]["paired"]:
        raise ConfigError(
            f"gate.metric={gate['metric']}: evaluate.paired lacks it, so its gain has no interval; "
            "name it there (and in evaluate.baseline_metrics)."
        )


def _refuse_contrary_bounds(gate: Mapping[str, Any], directions: Directions) -> None:
    """Refuse a floor for a metric whose lower values are better, and a ceiling for any other."""
    for kind, better, other in (("floors", "lower", "ceilings"), ("ceilings", "higher", "floors")):
        for name, bound in (gate.get(kind) or {}).items():
            if bound is not None and directions[name] == better:
                raise ConfigError(
                    f"gate.{kind}.{name}={bound}: a {better} {name} is better; write the bound under"
                    f" gate.{other}."
                )


def render(tree: Mapping[str, Any]) -> str:
    """Return the text of resolved.yaml; equal trees give equal text."""
    return HEADER + yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, width=100)


def baseline(conf: Path, params: Mapping[str, Any], overrides: Sequence[str] = ()) -> list[str]:
    """Return params.yaml as Hydra overrides, without those that `overrides` replaces."""
    groups = choices_of(conf)
    for key in params:
        if key not in {*groups, "set"}:
            raise ConfigError(f"params.yaml: {key}: unknown key; {_hint(key, [*groups, 'set'])}")
    named = {key: value for key, value in params.items() if key != "set" and value is not None}
    requested = _requested(overrides)
    for key, value in {**named, **requested}.items():
        if isinstance(value, list) and key not in catalog.NAMED and value is named.get(key):
            raise ConfigError(f"params.yaml: {key}={value}: name one choice.")
        for choice in value if isinstance(value, list) else [value]:
            _refuse_unknown_choice(groups, key, choice)
    if EXPERIMENT in requested:
        named = {}
    chosen = [f"{key}={override_grammar.quote(value)}" for key, value in named.items()]
    values = params.get("set") or {}
    if not values:
        return chosen
    _, single = composed(
        conf, [*chosen, *(f"{k}={override_grammar.quote(v)}" for k, v in requested.items())]
    )
    listed = {k: v for k, v in {**named, **requested}.items() if isinstance(v, list)}
    selected = {**{group: [choice] for group, choice in single.items()}, **listed}
    return chosen + _set_overrides(conf, groups, values, selected)


def choices_of(conf: Path) -> dict[str, list[str]]:
    """Return each group's choices, by its files; folders below a group are left to Hydra."""
    if not conf.is_dir():
        raise ConfigError(f"{conf}: no such folder; is this the project's folder?")
    return {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(conf.iterdir())
        if folder.is_dir() and folder.name != "hydra"
    }


def _requested(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the group choices among command-line overrides (one choice or a list, by group)."""
    requested: dict[str, Any] = {}
    for override in overrides:
        key, separator, value = override.partition("=")
        if separator and key in {*catalog.GROUPS, EXPERIMENT}:
            try:
                requested[key] = OverridesParser.create().parse_override(override).value()
            except HydraException as error:
                raise ConfigError(f"{override}: {first_line(error)}") from None
            if not isinstance(requested[key], str | list):
                raise ConfigError(f"{key}={value}: name a choice.")
    return requested


def _refuse_unknown_choice(groups: Mapping[str, list[str]], key: str, choice: object) -> None:
    if choice not in groups[key]:
        listed = ", ".join(groups[key])
        raise ConfigError(f"{key}={choice}: no such choice; there are: {listed}.")


def _set_overrides(
    conf: Path, groups: Mapping[str, list[str]], values: object, selected: Mapping[str, list[str]]
) -> list[str]:
    """Return `set: {group: {choice: {key: value}}}` as overrides, for the selected choices."""
    if not isinstance(values, Mapping):
        raise ConfigError("params.yaml: set: write {group: {choice: {key: value}}}.")
    overrides = []
    for group, by_choice in values.items():
        if group == "seed":
            overrides.append(f"seed={override_grammar.quote(by_choice)}")
            continue
        if group not in catalog.GROUPS:
            hint = _hint(group, [*catalog.GROUPS, "seed"])
            raise ConfigError(f"params.yaml: set.{group}: unknown key; {hint}")
        for choice, settings in (by_choice or {}).items() if _is_map(by_choice) else [(None, None)]:
            if choice is None or not _is_map(settings):
                raise ConfigError(
                    f"params.yaml: set.{group}: write {{choice: {{key: value}}}}, "
                    f"with a choice of {', '.join(groups[group])}."
                )
            _refuse_unknown_choice(groups, group, choice)
            components.refuse_unknown_keys(group, conf / group / f"{choice}.yaml", settings or {})
            if choice in selected.get(group, []):
                overrides += override_grammar.flatten(group, settings)
    return overrides


def _is_map(value: object) -> bool:
    return value is None or isinstance(value, Mapping)


def composed(conf: Path, overrides: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Compose with Hydra; return the unchecked tree, and each group's choice."""
    where = str(conf.resolve())
    with one_line(), limits(conf), initialize_config_dir(where, version_base=None, job_name="cll"):
        cfg = hydra_compose("config", overrides=overrides, return_hydra_config=True)
    return split(cfg, cfg.hydra.runtime.choices)


def split(cfg: DictConfig, chosen: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a composed config without Hydra's settings, as plain values, and each group's choice."""
    plain = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    with one_line(), resolvers.restricted():
        tree: Any = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    choices = {group: chosen[group] for group in (EXPERIMENT, *catalog.GROUPS) if chosen.get(group)}
    return tree, choices


def _hint(key: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(names), n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}."
