"""Make what one job of `cll run` ran with the choice of params.yaml, so that `dvc repro` repeats it.

It goes by the job's resolved.yaml, not by its overrides: params.yaml and conf/ may have changed
since. Nothing is written before the new params.yaml was composed and gave the job's tree.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cll import amend, compose, config, guard, leaves, links, plain, progress, store
from cll.errors import CllError, ConfigError
from cll.values import format_instant, parse_instant
from cll.workspace import Tree, Workspace, load_world

_FIGURES = ("metrics.json", "replay.json")  # what an experiment, or a replay, leaves at its end
_DERIVED = {"choices", "directions", "fallback", "schema"}  # what compose adds to a tree
_NAMED = 2  # jobs of a sweep, in an error
_NONE = "no such key"
_SHOWN = 60  # characters of a value in an error


def adopt(root: Path, job: Path) -> list[str]:
    """Write the job's choices and values into params.yaml; return what changed, to be told."""
    conf, path = root / "conf", root / "params.yaml"
    world = load_world(Workspace(root))
    with guard.only_one(root):
        links.refuse_on_way(root, path)
        ran = _ran(job)
        params = config.load_yaml(path)
        compose.refuse_unsafe(conf, params)
        compose.baseline(conf, params)  # a params.yaml that is wrong is not ours to edit
        wanted = _wanted(conf, params, ran, job)
        text = path.read_bytes().decode()
        plain_text = text.replace("\r\n", "\n")
        new = amend.amended(plain_text, params, wanted)
        _refuse_misread(path, new, wanted)
        _prove(conf, plain.parse(path, new), ran)
        if new != plain_text:
            new = new if plain_text == text else new.replace("\n", "\r\n")
            store.write_bytes(path, new.encode())
    _note_other_time(job, world)
    return _told(path.name, params, wanted)


def _ran(job: Path) -> Tree:
    """Read a job's resolved.yaml, which anyone may have edited, as data that names no code."""
    path = job / "resolved.yaml"
    if not job.is_dir():
        raise ConfigError(f"{job}: no such folder; name a job's, below outputs/ or multirun/.")
    if not path.is_file():
        raise _no_job(job)
    if not any((job / name).is_file() for name in _FIGURES):
        raise ConfigError(
            f"{job}: {_FIGURES[0]} is not there, so the job failed; name one that ran through."
        )
    ran = config.load_yaml(path)
    if not _is_whole(ran):
        raise ConfigError(f"{path}: not what `cll run` writes there; run the job again.")
    for key, node in ran.items():
        config.refuse_unsafe(node, f"{path}: {key}", "source" if key == "fallback" else key)
    return ran


def _is_whole(ran: Mapping[str, Any]) -> bool:
    choices = ran.get("choices")
    return (
        set(ran) == {*_DERIVED, *config.GROUPS, "seed"}
        and all(isinstance(ran[group], dict) for group in config.GROUPS)
        and isinstance(choices, dict)
        and {*config.GROUPS} - config.NAMED <= set(choices) <= {*config.GROUPS, compose.EXPERIMENT}
        and all(isinstance(choice, str) for choice in choices.values())
    )


def _no_job(folder: Path) -> ConfigError:
    jobs = [one.parent for one in folder.glob("*/resolved.yaml")]
    jobs.sort(key=lambda one: (len(one.name), one.name))
    if jobs:
        some = ", ".join([*map(str, jobs[:_NAMED]), *(["..."] if jobs[_NAMED:] else [])])
        return ConfigError(f"{folder}: a whole sweep; name one of its jobs: {some}")
    return ConfigError(
        f"{folder}: holds no resolved.yaml, so no job ran here; name the folder of one that did."
    )


def _wanted(conf: Path, params: Mapping[str, Any], ran: Tree, job: Path) -> dict[str, Any]:
    """Say what params.yaml has to hold: choices, and what is `set` beside what they give."""
    chosen = _choices(conf, params, ran)
    base, in_force = compose.composed(conf, compose.baseline(conf, chosen))
    tree = {key: ran[key] for key in (*config.GROUPS, "seed")}
    _refuse_lost(leaves.of(base), leaves.of(tree))
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
    """Name a choice where neither params.yaml nor the experiment nor conf/config.yaml gives it."""
    chosen = {key: value for key, value in params.items() if key != "set"}
    asked = dict(ran["choices"])
    for group in config.NAMED - set(asked):  # where several are chosen, Hydra names no choice
        asked[group] = _listed(conf, group, ran[group])
    experiment = asked.get(compose.EXPERIMENT)
    if chosen.get(compose.EXPERIMENT) != experiment:
        chosen[compose.EXPERIMENT] = experiment
    overrides = compose.baseline(conf, {compose.EXPERIMENT: experiment})
    _, given = compose.composed(conf, overrides)
    for group in config.GROUPS:
        if chosen.get(group) != asked[group]:
            if given.get(group) != asked[group]:
                chosen[group] = asked[group]
            elif group in chosen:
                chosen[group] = None
    return chosen


def _listed(conf: Path, group: str, entries: Mapping[str, Any]) -> list[str]:
    """Find the fewest choices of which a list gives these entries, in their order."""
    there, order = leaves.of(entries), list(entries)
    files = {
        choice: config.load_yaml(conf / group / f"{choice}.yaml")
        for choice in compose.choices_of(conf)[group]
    }
    found, given = {}, set[str]()
    for choice, file in sorted(files.items(), key=lambda one: -len(one[1])):
        held = all(leaves.has(there, *leaf) for leaf in leaves.of(file).items())
        if held and not given.issuperset(file):
            given |= set(file)
            found[choice] = order.index(next(iter(file)))
    return sorted(found, key=lambda choice: found[choice])


def _values(
    before: Mapping[str, Any], base: Tree, tree: Tree, in_force: Mapping[str, str]
) -> dict[str, Any]:
    """Say what `set` has to hold: for choices in force what deviates, for others what it held."""
    values = dict(before)
    for group in (group for group in config.GROUPS if group in in_force):
        held, choice = values.get(group) or {}, in_force[group]
        there = leaves.of(base[group])
        deviates = {k: v for k, v in leaves.of(tree[group]).items() if not leaves.has(there, k, v)}
        if deviates:
            values[group] = {**held, choice: leaves.nested(deviates)}
        elif held.get(choice):
            values[group] = {name: value for name, value in held.items() if name != choice}
            if not values[group]:
                del values[group]
    values.pop("seed", None)
    return values if tree["seed"] == base["seed"] else {**values, "seed": tree["seed"]}


def _refuse_lost(ours: leaves.Leaves, theirs: leaves.Leaves) -> None:
    """Refuse where the job lacks a key of ours: params.yaml takes none away."""
    for keys in leaves.gone(ours, theirs):
        raise _differs(keys, _NONE, _short(ours[keys]))


def _refuse_misread(path: Path, text: str, wanted: Mapping[str, Any]) -> None:
    """Refuse a text that does not say what was wanted, before anybody reads it."""
    try:
        found = leaves.of(plain.parse(path, text))
    except CllError:
        found = {}
    meant = leaves.of(wanted)
    for keys in [*meant, *found]:
        if keys not in meant or not leaves.has(found, keys, meant[keys]):
            raise ConfigError(
                f"{path}: {leaves.dotted(keys)} can't be edited as it is laid out; write it as "
                f"{amend.inline(meant.get(keys))}, or a plain line for each key."
            )


def _prove(conf: Path, params: Mapping[str, Any], ran: Tree) -> None:
    """Refuse params that do not give the job's tree, value for value; the order of keys says nothing."""
    found = compose.resolve(conf, params)
    ours, theirs = leaves.of(found), leaves.of(ran)
    _refuse_lost(ours, theirs)
    for keys, value in theirs.items():
        if not leaves.has(ours, keys, value):
            raise _differs(keys, _short(value), _at(found, keys))


def _differs(keys: leaves.Keys, theirs: str, ours: str) -> ConfigError:
    return ConfigError(
        f"{leaves.dotted(keys)}: the job has {theirs}, and params.yaml can only give {ours}: a key was "
        "taken away with ~, or conf/ has changed since; run it again with conf/ as it is now."
    )


def _at(tree: Any, keys: leaves.Keys) -> str:
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return _NONE
        tree = tree[key]
    return _short(tree)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _note_other_time(job: Path, world: config.World) -> None:
    """Say that the figures will be others, if the job's model tells another instant than the world."""
    path = job / "models" / "candidate" / "model.json"
    with contextlib.suppress(CllError, OSError, ValueError, TypeError, KeyError):
        made = parse_instant(store.read_json(path)["created"])
        if made != world.as_of:
            then, now = format_instant(made), format_instant(world.as_of)
            progress.note(
                f"{job}: made at as_of={then}, where world.yaml has {now}: its figures will differ."
            )


def _told(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what was written: on one line, if it fits."""
    old, new = leaves.of(before), leaves.of({key: v for key, v in after.items() if v != {}})
    changes = [
        f"{leaves.dotted(keys)}: {amend.inline(value)}"
        for keys, value in new.items()
        if not leaves.has(old, keys, value)
    ]
    changes += [
        f"{leaves.dotted(keys)}: taken out" for keys in leaves.gone(old, new) if old[keys] != {}
    ]
    if not changes:
        return [f"{name}: says so already."]
    line = f"{name}: {'; '.join(changes)}"
    return [line] if len(line) <= amend.WIDTH else [f"{name}: {change}" for change in changes]
