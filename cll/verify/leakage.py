"""A proof on the project's own data: nothing of what came later reaches what came before.

Features, labels and a model are made twice in folders of their own: of the data as they are, and
of data in which all that was known after an instant is made wild. Up to it they have to be the same.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from cll.config import components
from cll.config.project import Tree, World, load_tree, load_world
from cll.model import artifact
from cll.pipeline import stages
from cll.pipeline.dataset import labelled, tables
from cll.system import disk, manifest
from cll.system.partitions import Renewal, Standing
from cll.system.stat_cache import memo
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError
from cll.types.tables import Columns
from cll.types.times import format_instant
from cll.verify import leaky_columns, perturb

_KEYS = ["entity", "time"]
_NAMED = 8  # columns of a leak that are named
LEAK = "LEAK: "
_MADE_AGAIN = {"partitions", "pieces"}  # facts of the signals that wild ones do not share


@dataclass(frozen=True)
class _Told:
    """What was made in one of the two worlds; `rows` is the same in both."""

    features: pl.DataFrame  # of the rows that could be scored by then
    labels: pl.DataFrame  # of these, as of then
    model: dict[str, bytes] | str  # or why there is none


@dataclass(frozen=True)
class _Case:
    """What is proved: this project's config, up to an instant."""

    ws: Workspace
    tree: Tree
    world: World
    at: datetime
    columns: Columns


def check(root: Path, at: datetime | None = None) -> int:
    """Say what was checked, a line each; return 1 where something leaks."""
    ws = Workspace(root)
    tree, world = load_tree(ws), load_world(ws)
    data, columns = labelled.load(ws, tree, world), tables.columns(ws)
    signals = tables.read(ws.signals)
    at = at or _middle(data.rows["time"], tree)
    first, last = signals.select(first=pl.min("known_at"), last=pl.max("known_at")).row(0)
    if not first <= at < last:
        span = f"{format_instant(first)} up to {format_instant(last)}"
        raise ConfigError(f"--at {format_instant(at)}: not within the data; choose from {span}.")
    case, incidents = _Case(ws, tree, world, at, columns), tables.incidents(ws)
    _say(f"All that was known after {format_instant(at)} is made wild, and all is made again.")
    keys = _known(signals, _wait(tree), at)
    worlds = (
        (signals, incidents),
        (
            perturb.signals(signals, columns, at),
            perturb.incidents(incidents, signals["entity"], at),
        ),
    )
    told = [_make(case, rows, of, keys) for rows, of in worlds]
    lines = [*_compared(*told), *_columns(data, columns)]
    for line in lines:
        _say(line)
    return int(any(LEAK in line for line in lines))


def _middle(times: pl.Series, tree: Tree) -> datetime:
    """Return the middle of the labelled rows, or of those behind a fixed start of the holdout."""
    fixed = getattr(components.build("split", tree["split"]), "boundary", None)
    behind = times if fixed is None else times.filter(times > fixed)
    ordered = (behind if behind.len() else times).sort()
    middle: datetime = ordered[ordered.len() // 2]
    return middle


def _wait(tree: Tree) -> timedelta:
    """Return how long after its time a row is scored, at the earliest."""
    feature_set = components.build("features", tree["features"])
    wait: timedelta = getattr(feature_set, "wait", getattr(feature_set, "delay", timedelta(0)))
    return wait


def _known(signals: pl.DataFrame, wait: timedelta, at: datetime) -> pl.DataFrame:
    """Return the keys of the rows that could be scored by `at`."""
    return signals.filter(pl.max_horizontal("known_at", pl.col("time") + wait) <= at).select(_KEYS)


def _make(case: _Case, signals: pl.DataFrame, incidents: pl.DataFrame, keys: pl.DataFrame) -> _Told:
    """Make features of all rows, and labels and a model of those known by then."""
    label = components.build("label", case.tree["label"])
    labels = _of(label(signals, incidents, case.at), keys)
    with tempfile.TemporaryDirectory(prefix="cll-verify-") as scratch:
        whole = replace(case.ws, out=Path(scratch, "whole"), apart=True)
        _write_signals(whole, case, signals, incidents)
        stages.STAGES["featurize"](whole, case.tree, case.world)
        features = _of(tables.read(whole.features), keys)
        then = replace(case.ws, out=Path(scratch, "then"), apart=True)
        _write_signals(then, case, _of(signals, keys), incidents)
        key = dict(Standing(whole.features).key)
        key["inputs"] = {"signals": disk.sha256(then.signals / manifest.MANIFEST)}
        _write(then, then.features, key, features, {})
        return _Told(features, labels, _trained(then, case))


def _of(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    return rows.join(keys, on=_KEYS, how="semi").sort(_KEYS)


def _write_signals(
    ws: Workspace, case: _Case, signals: pl.DataFrame, incidents: pl.DataFrame
) -> None:
    there = Standing(case.ws.signals)
    facts = {name: fact for name, fact in there.facts.items() if name not in _MADE_AGAIN}
    _write(ws, ws.signals, there.key, signals, facts, incidents)


def _write(
    ws: Workspace,
    folder: Path,
    key: Mapping[str, Any],
    rows: pl.DataFrame,
    facts: Mapping[str, Any],
    incidents: pl.DataFrame | None = None,
) -> None:
    with Renewal(folder, key, memo(ws)) as renewal:
        days = rows.group_by(pl.col("time").dt.date().alias("date"), maintain_order=True)
        for (day,), of_day in sorted(days, key=lambda one: str(one[0][0])):
            renewal.stage(manifest.part(str(day)), of_day)
            renewal.add(str(day), "scratch", {"rows": of_day.height})
        if incidents is not None:
            renewal.stage("incidents.parquet", incidents)
        renewal.publish(facts)


def _trained(ws: Workspace, case: _Case) -> dict[str, bytes] | str:
    """Train on what was known by then; return the model's files, or why there is none."""
    try:
        stages.STAGES["train"](ws, case.tree, replace(case.world, as_of=case.at))
    except CllError as error:
        return str(error)
    model = disk.read_json(ws.candidate / "model.json")
    # What names the data, and so the model, differs by what nobody may have looked at.
    names = (model["model_id"], model["lineage"]["data_sha256"])
    files = {}
    for path in sorted(ws.candidate.rglob("*")):
        if path.is_file() and path.name != artifact.SUMS:
            data = path.read_bytes()
            for name in names:
                data = data.replace(name.encode(), b"")
            files[path.relative_to(ws.candidate).as_posix()] = data
    return files


def _compared(real: _Told, wild: _Told) -> Iterator[str]:
    names = [name for name in real.features.columns if name not in _KEYS]
    what = f"{real.features.height:,} rows that could be scored by then"
    yield f"features: {_difference(real.features, wild.features, names, what)}"
    mature = real.labels.filter(pl.col("status") == "mature").height
    names = ["label", "status", "kind"]
    what = f"{real.labels.height:,} rows, {mature:,} mature by then"
    yield f"labels: {_difference(real.labels, wild.labels, names, what)}"
    if isinstance(real.model, str) or isinstance(wild.model, str):
        yield f"model: {_untrained(real.model, wild.model)}"
        return
    files = sorted({*real.model, *wild.model})
    other = [name for name in files if real.model.get(name) != wild.model.get(name)]
    if other:
        yield f"model: {LEAK}{', '.join(other)} changes with what became known later."
    else:
        yield f"model: trained on what was known by then: the same bytes ({', '.join(files)})."


def _untrained(real: object, wild: object) -> str:
    if real == wild:
        return f"not checked, since none can be trained as of then: {real}"
    return f"{LEAK}what became known later decides on whether one can be trained."


def _difference(left: pl.DataFrame, right: pl.DataFrame, names: Sequence[str], what: str) -> str:
    if left.columns != right.columns or not left.select(_KEYS).equals(right.select(_KEYS)):
        return f"{LEAK}other rows or columns come back, by what became known later."
    moved = {name: ~_same(left[name], right[name]) for name in names}
    other = {name: int(flags.sum()) for name, flags in moved.items() if flags.any()}
    if not other:
        return f"{what}: the same bytes in {len(names)} columns."
    told = [f"{name} ({count:,} rows)" for name, count in list(other.items())[:_NAMED]]
    more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
    entity, time = left.filter(moved[next(iter(other))]).select(_KEYS).row(0)
    return (
        f"{LEAK}{len(other)} of {len(names)} columns change with what became known later: "
        f"{', '.join(told)}{more}; first {entity} at {format_instant(time)}."
    )


def _same(left: pl.Series, right: pl.Series) -> pl.Series:
    """Compare bit by bit: 0 is not -0."""
    if left.dtype.is_float():
        left, right = (
            one.reinterpret(dtype=pl.UInt32 if one.dtype == pl.Float32 else pl.UInt64)
            for one in (left, right)
        )
    return left.eq_missing(right)


def _columns(data: labelled.Dataset, columns: Columns) -> list[str]:
    """Look for columns that give the answer away, on all mature rows as of the world's instant."""
    if not leaky_columns.enough(data.rows):
        return ["columns: not checked: too few mature rows are positive, or too few are not."]
    features = pl.DataFrame(data.X, schema=list(data.names)).select(
        pl.all().name.prefix("feature ")
    )
    rows = data.rows.rename({name: f"signal {name}" for name in columns.numeric})
    rows = pl.concat([rows, features], how="horizontal")
    names = [*(f"signal {name}" for name in columns.numeric), *features.columns]
    lines = [f"columns: {LEAK}{name} {why}." for name, why in leaky_columns.found(rows, names)]
    what = f"none of {len(names)} gives the answer away on {rows.height:,} mature rows"
    return lines or [f"columns: {what}."]


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the answer that was asked for
