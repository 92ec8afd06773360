"""Look-ahead test: change everything known after an instant, and compare all results up to it.

Features, labels and a model are computed twice in temporary folders: from the real data, and from
data in which everything known after the instant has random values. Code that does not look ahead
gives the same bytes both times.
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
from cll.system.partitions import Renewal, SealedFolder
from cll.system.stat_cache import open_stat_cache
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError
from cll.types.tables import Columns
from cll.types.times import format_instant
from cll.verify import leaky_columns, perturb

_KEYS = ["entity", "time"]
_MAX_NAMED = 8  # columns that one line lists
LEAK = "LEAK: "
# Facts in the manifest of the signals that do not hold for changed signals.
_FACTS_OF_ROWS = {"partitions", "pieces"}


@dataclass(frozen=True)
class Results:
    """Everything computed from one version of the data, for the same rows in both versions."""

    features: pl.DataFrame  # features of the rows that could be scored at the instant
    labels: pl.DataFrame  # labels of these rows, as of the instant
    model: dict[str, bytes] | str  # the model's files, or the reason why it could not be trained


@dataclass(frozen=True)
class LeakageCase:
    """The project, its config, and the instant of the test."""

    ws: Workspace
    tree: Tree
    world: World
    at: datetime
    columns: Columns


def check(root: Path, at: datetime | None = None) -> int:
    """Print one line per check; return 1 where something leaks."""
    ws = Workspace(root)
    tree, world = load_tree(ws), load_world(ws)
    data, columns = labelled.load(ws, tree, world), tables.columns(ws)
    signals = tables.read(ws.signals)
    at = at or _middle(data.rows["time"], tree)
    first, last = signals.select(first=pl.min("known_at"), last=pl.max("known_at")).row(0)
    if not first <= at < last:
        span = f"{format_instant(first)} up to {format_instant(last)}"
        raise ConfigError(f"--at {format_instant(at)}: not within the data; choose from {span}.")
    case, incidents = LeakageCase(ws, tree, world, at, columns), tables.incidents(ws)
    _print(f"Everything known after {format_instant(at)} is replaced by random values.")
    keys = _scorable_keys(signals, _wait(tree), at)
    real = _compute(case, signals, incidents, keys)
    changed_signals = perturb.signals(signals, columns, at)
    changed_incidents = perturb.incidents(incidents, signals["entity"], at)
    changed = _compute(case, changed_signals, changed_incidents, keys)
    lines = [*_compared(real, changed), *_columns(data, columns)]
    for line in lines:
        _print(line)
    return int(any(LEAK in line for line in lines))


def _middle(times: pl.Series, tree: Tree) -> datetime:
    """Return the median time of the labelled rows.

    Where the split has a fixed boundary, only rows after it count.
    """
    boundary = getattr(components.build("split", tree["split"]), "boundary", None)
    after = times if boundary is None else times.filter(times > boundary)
    ordered = (after if after.len() else times).sort()
    middle: datetime = ordered[ordered.len() // 2]
    return middle


def _wait(tree: Tree) -> timedelta:
    """Return how long after its own time a row is scored at the earliest."""
    feature_set = components.build("features", tree["features"])
    wait: timedelta = getattr(feature_set, "wait", getattr(feature_set, "delay", timedelta(0)))
    return wait


def _scorable_keys(signals: pl.DataFrame, wait: timedelta, at: datetime) -> pl.DataFrame:
    """Return the keys of the rows that could be scored by `at`."""
    return signals.filter(pl.max_horizontal("known_at", pl.col("time") + wait) <= at).select(_KEYS)


def _compute(
    case: LeakageCase, signals: pl.DataFrame, incidents: pl.DataFrame, keys: pl.DataFrame
) -> Results:
    """Compute features from all rows, and labels and a model from the rows in `keys`."""
    label = components.build("label", case.tree["label"])
    labels = _select(label(signals, incidents, case.at), keys)
    with tempfile.TemporaryDirectory(prefix="cll-verify-") as scratch:
        whole = replace(case.ws, out=Path(scratch, "whole"), isolated=True)
        _write_signals(whole, case, signals, incidents)
        stages.STAGES["featurize"](whole, case.tree, case.world)
        features = _select(tables.read(whole.features), keys)
        then = replace(case.ws, out=Path(scratch, "then"), isolated=True)
        _write_signals(then, case, _select(signals, keys), incidents)
        key = dict(SealedFolder(whole.features).key)
        key["inputs"] = {"signals": disk.sha256(then.signals / manifest.MANIFEST)}
        _write(then, then.features, key, features, {})
        return Results(features, labels, _train(then, case))


def _select(rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    return rows.join(keys, on=_KEYS, how="semi").sort(_KEYS)


def _write_signals(
    ws: Workspace, case: LeakageCase, signals: pl.DataFrame, incidents: pl.DataFrame
) -> None:
    project = SealedFolder(case.ws.signals)
    facts = {name: fact for name, fact in project.facts.items() if name not in _FACTS_OF_ROWS}
    _write(ws, ws.signals, project.key, signals, facts, incidents)


def _write(
    ws: Workspace,
    folder: Path,
    key: Mapping[str, Any],
    rows: pl.DataFrame,
    facts: Mapping[str, Any],
    incidents: pl.DataFrame | None = None,
) -> None:
    with Renewal(folder, key, open_stat_cache(ws)) as renewal:
        days = rows.group_by(pl.col("time").dt.date().alias("date"), maintain_order=True)
        for (day,), day_rows in sorted(days, key=lambda item: str(item[0][0])):
            renewal.stage(manifest.part(str(day)), day_rows)
            renewal.add(str(day), "scratch", {"rows": day_rows.height})
        if incidents is not None:
            renewal.stage("incidents.parquet", incidents)
        renewal.publish(facts)


def _train(ws: Workspace, case: LeakageCase) -> dict[str, bytes] | str:
    """Train as of the instant; return the model's files, or why it could not be trained.

    The ids of the model and of its data are removed from the files: they depend on all of the data.
    """
    try:
        stages.STAGES["train"](ws, case.tree, replace(case.world, as_of=case.at))
    except CllError as error:
        return str(error)
    model = disk.read_json(ws.candidate / "model.json")
    ids = (model["model_id"], model["lineage"]["data_sha256"])
    files = {}
    for path in sorted(ws.candidate.rglob("*")):
        if path.is_file() and path.name != artifact.SUMS:
            data = path.read_bytes()
            for id_ in ids:
                data = data.replace(id_.encode(), b"")
            files[path.relative_to(ws.candidate).as_posix()] = data
    return files


def _compared(real: Results, changed: Results) -> Iterator[str]:
    names = [name for name in real.features.columns if name not in _KEYS]
    what = f"{real.features.height:,} rows that could be scored at the instant"
    yield f"features: {_difference(real.features, changed.features, names, what)}"
    mature = real.labels.filter(pl.col("status") == "mature").height
    names = ["label", "status", "kind"]
    what = f"{real.labels.height:,} rows, {mature:,} mature at the instant"
    yield f"labels: {_difference(real.labels, changed.labels, names, what)}"
    if isinstance(real.model, str) or isinstance(changed.model, str):
        yield f"model: {_untrained(real.model, changed.model)}"
        return
    files = sorted({*real.model, *changed.model})
    other = [name for name in files if real.model.get(name) != changed.model.get(name)]
    if other:
        yield f"model: {LEAK}{', '.join(other)} depends on data known later."
    else:
        yield f"model: trained as of the instant: the same bytes ({', '.join(files)})."


def _untrained(real: object, changed: object) -> str:
    if real == changed:
        return f"not checked, since no model can be trained as of the instant: {real}"
    return f"{LEAK}data known later decide whether a model can be trained."


def _difference(left: pl.DataFrame, right: pl.DataFrame, names: Sequence[str], what: str) -> str:
    if left.columns != right.columns or not left.select(_KEYS).equals(right.select(_KEYS)):
        return f"{LEAK}the rows or columns themselves depend on data known later."
    moved = {name: ~_same(left[name], right[name]) for name in names}
    other = {name: int(flags.sum()) for name, flags in moved.items() if flags.any()}
    if not other:
        return f"{what}: the same bytes in {len(names)} columns."
    listed = [f"{name} ({count:,} rows)" for name, count in list(other.items())[:_MAX_NAMED]]
    more = f" and {len(other) - _MAX_NAMED} more" if len(other) > _MAX_NAMED else ""
    entity, time = left.filter(moved[next(iter(other))]).select(_KEYS).row(0)
    return (
        f"{LEAK}{len(other)} of {len(names)} columns depend on data known later: "
        f"{', '.join(listed)}{more}; first {entity} at {format_instant(time)}."
    )


def _same(left: pl.Series, right: pl.Series) -> pl.Series:
    """Return which rows are equal bit by bit, where 0 differs from -0."""
    if left.dtype.is_float():
        left, right = (
            column.reinterpret(dtype=pl.UInt32 if column.dtype == pl.Float32 else pl.UInt64)
            for column in (left, right)
        )
    return left.eq_missing(right)


def _columns(data: labelled.Dataset, columns: Columns) -> list[str]:
    """Return a line for each leaky column, searched in all mature rows as of the world's instant."""
    if not leaky_columns.has_enough_rows(data.rows):
        return [
            "columns: not checked, since too few mature rows are positive or too few are negative."
        ]
    features = pl.DataFrame(data.X, schema=list(data.names)).select(
        pl.all().name.prefix("feature ")
    )
    rows = data.rows.rename({name: f"signal {name}" for name in columns.numeric})
    rows = pl.concat([rows, features], how="horizontal")
    names = [*(f"signal {name}" for name in columns.numeric), *features.columns]
    lines = [f"columns: {LEAK}{name} {why}." for name, why in leaky_columns.find(rows, names)]
    none = f"columns: none of {len(names)} leaks the label, on {rows.height:,} mature rows."
    return lines or [none]


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the command's output
