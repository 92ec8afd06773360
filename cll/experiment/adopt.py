"""Write the config of one job of `cll run` into params.yaml, so that `dvc repro` repeats the job.

The job's resolved.yaml decides, not its overrides, since params.yaml and conf/ may have changed
since. Before anything is written, the new params.yaml is composed and must give the job's config.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cll.config import catalog, components, project, trees, yaml_loader
from cll.config.project import Tree, load_world
from cll.experiment import job_config, yaml_edit
from cll.pipeline.compose import compose
from cll.system import disk, links, locks, progress
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError
from cll.types.times import format_instant, parse_instant

_NONE = "no such key"
_SHOWN = 60  # characters of a value in an error


def adopt(root: Path, job: Path) -> list[str]:
    """Write the job's choices and values into params.yaml; return lines that report the changes."""
    conf, path = root / "conf", root / "params.yaml"
    world = load_world(Workspace(root))
    with locks.only_one(root):
        links.refuse_on_way(root, path)
        ran = job_config.read(job)
        params = components.load_yaml(path)
        compose.refuse_unsafe(conf, params)
        compose.baseline(conf, params)  # raises if params.yaml has an error, before it is edited
        wanted = _wanted(conf, params, ran, job)
        text = path.read_bytes().decode()
        plain_text = text.replace("\r\n", "\n")
        new = yaml_edit.amended(plain_text, params, wanted)
        _refuse_misread(path, new, wanted)
        _prove(conf, yaml_loader.parse(path, new), ran)
        if new != plain_text:
            new = new if plain_text == text else new.replace("\n", "\r\n")
            disk.write_bytes(path, new.encode())
    _note_other_time(job, world)
    return _report(path.name, params, wanted)


def _wanted(conf: Path, params: Mapping[str, Any], ran: Tree, job: Path) -> dict[str, Any]:
    """Return the new params.yaml: choices, and under `set` the values that deviate from them."""
    chosen = _choices(conf, params, ran)
    base, in_force = compose.composed(conf, compose.baseline(conf, chosen))
    tree = {key: ran[key] for key in (*catalog.GROUPS, "seed")}
    _refuse_lost(trees.flatten(base), trees.flatten(tree))
    try:
        compose.checked(conf, tree, ran["choices"])
    except CllError as error:
        raise type(error)(f"{job / 'resolved.yaml'}: {error}") from None
    before = params.get("set")
    values = _values(before or {}, base, tree, in_force)
    if values or "set" in params:
        chosen["set"] = values or (before and {})
    return chosen


def _choices(conf: Path, params: Mapping[str, Any], ran: Tree) -> dict[str, Any]:
    """Return params with the job's choices; those that follow from defaults are left out."""
    chosen = {key: value for key, value in params.items() if key != "set"}
    wanted = dict(ran["choices"])
    for group in catalog.NAMED - set(wanted):  # if several are chosen, Hydra names no choice
        wanted[group] = _listed(conf, group, ran[group])
    experiment = wanted.get(compose.EXPERIMENT)
    if chosen.get(compose.EXPERIMENT) != experiment:
        chosen[compose.EXPERIMENT] = experiment
    overrides = compose.baseline(conf, {compose.EXPERIMENT: experiment})
    _, given = compose.composed(conf, overrides)
    for group in catalog.GROUPS:
        if chosen.get(group) != wanted[group]:
            if given.get(group) != wanted[group]:
                chosen[group] = wanted[group]
            elif group in chosen:
                chosen[group] = None
    return chosen


def _listed(conf: Path, group: str, entries: Mapping[str, Any]) -> list[str]:
    """Return the fewest choices that together give these entries, in their order."""
    leaves, order = trees.flatten(entries), list(entries)
    files = {
        choice: components.load_yaml(conf / group / f"{choice}.yaml")
        for choice in compose.choices_of(conf)[group]
    }
    positions, given = {}, set[str]()
    for choice, file in sorted(files.items(), key=lambda item: -len(item[1])):
        is_contained = all(trees.has(leaves, *leaf) for leaf in trees.flatten(file).items())
        if is_contained and not given.issuperset(file):
            given |= set(file)
            positions[choice] = order.index(next(iter(file)))
    return sorted(positions, key=lambda choice: positions[choice])


def _values(
    before: Mapping[str, Any], base: Tree, tree: Tree, in_force: Mapping[str, str]
) -> dict[str, Any]:
    """Return the new `set`: deviations for the selected choices, and the old values for others."""
    values = dict(before)
    for group in (group for group in catalog.GROUPS if group in in_force):
        old, choice = values.get(group) or {}, in_force[group]
        defaults = trees.flatten(base[group])
        deviates = {
            k: v for k, v in trees.flatten(tree[group]).items() if not trees.has(defaults, k, v)
        }
        if deviates:
            values[group] = {**old, choice: trees.nested(deviates)}
        elif old.get(choice):
            values[group] = {name: value for name, value in old.items() if name != choice}
            if not values[group]:
                del values[group]
    values.pop("seed", None)
    return values if tree["seed"] == base["seed"] else {**values, "seed": tree["seed"]}


def _refuse_lost(ours: trees.Leaves, theirs: trees.Leaves) -> None:
    """Raise ConfigError if the job lacks a key of conf/, since params.yaml can't remove keys."""
    for keys in trees.gone(ours, theirs):
        raise _differs(keys, _NONE, _short(ours[keys]))


def _refuse_misread(path: Path, text: str, wanted: Mapping[str, Any]) -> None:
    """Raise ConfigError if the edited text does not parse to the wanted values."""
    try:
        parsed = trees.flatten(yaml_loader.parse(path, text))
    except CllError:
        parsed = {}
    expected = trees.flatten(wanted)
    for keys in [*expected, *parsed]:
        if keys not in expected or not trees.has(parsed, keys, expected[keys]):
            raise ConfigError(
                f"{path}: {trees.dotted(keys)} can't be edited as it is laid out; write it as "
                f"{yaml_edit.inline(expected.get(keys))}, or a plain line for each key."
            )


def _prove(conf: Path, params: Mapping[str, Any], ran: Tree) -> None:
    """Raise ConfigError unless params give the job's config, value for value, in any order."""
    resolved = compose.resolve(conf, params)
    if resolved["code"] != ran["code"]:
        progress.note("adopt: the code of cll changed since the job ran, so figures may differ.")
    ours, theirs = (trees.flatten({**tree, "code": {}}) for tree in (resolved, ran))
    _refuse_lost(ours, theirs)
    for keys, value in theirs.items():
        if not trees.has(ours, keys, value):
            raise _differs(keys, _short(value), _at(resolved, keys))


def _differs(keys: trees.Keys, theirs: str, ours: str) -> ConfigError:
    return ConfigError(
        f"{trees.dotted(keys)}: the job has {theirs}, and params.yaml can only give {ours}: a key was "
        "taken away with ~, or conf/ has changed since; run it again with conf/ as it is now."
    )


def _at(tree: Any, keys: trees.Keys) -> str:
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return _NONE
        tree = tree[key]
    return _short(tree)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _note_other_time(job: Path, world: project.World) -> None:
    """Print a note if the job's model has another as_of than world.yaml, so that metrics differ."""
    path = job / "models" / "candidate" / "model.json"
    with contextlib.suppress(CllError, OSError, ValueError, TypeError, KeyError):
        made = parse_instant(disk.read_json(path)["created"])
        if made != world.as_of:
            then, now = format_instant(made), format_instant(world.as_of)
            progress.note(
                f"{job}: made at as_of={then}, where world.yaml has {now}: its figures will differ."
            )


def _report(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the changes as one line if they fit, else as a line for each."""
    old, new = trees.flatten(before), trees.flatten({key: v for key, v in after.items() if v != {}})
    changes = [
        f"{trees.dotted(keys)}: {yaml_edit.inline(value)}"
        for keys, value in new.items()
        if not trees.has(old, keys, value)
    ]
    changes += [
        f"{trees.dotted(keys)}: taken out" for keys in trees.gone(old, new) if old[keys] != {}
    ]
    if not changes:
        return [f"{name}: has these values already."]
    line = f"{name}: {'; '.join(changes)}"
    return [line] if len(line) <= yaml_edit.WIDTH else [f"{name}: {change}" for change in changes]
