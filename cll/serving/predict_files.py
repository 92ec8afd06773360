"""Score files with a model, by the same reading and feature code as in training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from threadpoolctl import threadpool_limits

from cll.config import catalog, components
from cll.config.project import load_world
from cll.model import artifact, champion
from cll.model.artifact import Predictor
from cll.pipeline.featurize.compute import featurize
from cll.pipeline.ingest import arrival_log
from cll.pipeline.ingest.readers import csv_headers
from cll.serving.collect import Intake
from cll.serving.predict import predict
from cll.system import disk, frames, progress
from cll.system.workspace import Workspace
from cll.types.components import FeatureSet, Source
from cll.types.errors import ConfigError, DataRefused, Unavailable
from cll.types.records import RECORDS, Arrived, Chunk, Counts
from cll.types.tables import (
    GROUP,
    INCIDENTS,
    INSTANT,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    SIGNAL_KEYS,
    Columns,
)

FILES = "cll.components.source.files.Files"
FORMS = (".parquet", ".csv")
_ALL_IS_KNOWN = datetime(9999, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def score(ws: Workspace, data: Path, out: Path, model: str) -> Counts:
    """Score the rows in `data` (a file, or a folder like the source's) and write them to `out`.

    Returns the counts of the records; bad records are left out, as in training.
    """
    if out.suffix not in FORMS:
        raise ConfigError(f"--out={out}: name a .parquet or a .csv file.")
    if not data.exists():
        raise Unavailable(f"{data}: no such file or folder.")
    predictor = _load(ws, model)
    recorded = predictor.meta["lineage"]["config"]
    trained_with = {
        name: catalog.with_path(name, recorded[name]) for name in ("source", "features")
    }
    feature_set = components.build("features", trained_with["features"])
    source = components.build("source", _reading(trained_with["source"], feature_set, data))
    if source.missing is not None:
        raise Unavailable(f"{data}: no file to read; JSONL, JSON, CSV and Parquet are supported.")
    if out.resolve() in {path.resolve() for path in source.reads}:
        raise ConfigError(f"--out={out}: is one of the input files; name another file.")
    if _compares_with_peers(trained_with["features"]):
        progress.note("predict: rows are compared with the entities in these files only.")
    intake = Intake(source.columns, _ALL_IS_KNOWN)
    for chunk in _read(source, arrival_log.as_new(source, load_world(ws).as_of)):
        intake.take(chunk)
    scored = list(_scores(predictor, feature_set, intake, source.columns))
    if not scored:
        raise DataRefused(f"{data}: no row to score: {_first_reason(intake)}.")
    _write(out, pl.concat(scored).sort("entity", "time"))
    return intake.counts()


def _read(source: Source, files: Sequence[Arrived]) -> list[Chunk]:
    def read(files: Sequence[Arrived]) -> csv_headers.Reading[list[Chunk]]:
        pieces = list(source(_ALL_IS_KNOWN, files))
        chunks = [piece.read() for piece in pieces]
        return pieces, [chunk.header for chunk in chunks], chunks

    return csv_headers.read_in_force(files, read)


def summary(counts: Counts) -> str:
    """Return the counts of the records as one line."""
    return RECORDS.format(**{"in": counts.records_in, **asdict(counts)})


def export_onnx(ws: Workspace, out: Path, model: str) -> None:
    """Write a model to `out` in the ONNX format."""
    from cll.serving import onnx_export  # noqa: PLC0415  for this command alone

    disk.write_bytes(out, onnx_export.to_onnx(_load(ws, model)))


def _load(ws: Workspace, model: str) -> Predictor:
    if model != "champion":
        return artifact.load(champion.folder(ws, model))
    return champion.load(ws, champion.folder(ws, model).name)


def _scores(
    predictor: Predictor, feature_set: FeatureSet, intake: Intake, columns: Columns
) -> Iterator[pl.DataFrame]:
    """Yield each day's scores, with the same days and lookbacks as in training."""
    days, incidents = dict(intake.days()), intake.incidents()
    for day in days:
        since = datetime.fromisoformat(day).replace(tzinfo=UTC)
        first = (since - feature_set.lookback).date().isoformat()
        signals = pl.concat([rows for d, rows in days.items() if first <= d <= day])
        used = incidents if feature_set.reads_incidents else incidents.clear()
        features = featurize(signals, feature_set, columns, used, since)
        with threadpool_limits(1, user_api="blas"):
            yield predict(predictor, features)


def _reading(node: Mapping[str, Any], feature_set: FeatureSet, data: Path) -> dict[str, Any]:
    """Return the source's config for other files; a simulated source is read by our own names.

    Outcome and group columns may be absent, unless the features use them.
    """
    has: Columns = components.build("source", node).columns
    if node["_target_"] != FILES:
        node = _by_our_names(has)
    needs = _needs(feature_set, has)
    if "incidents" in needs and data.is_file():
        remedy = "name the folder that has both tables."
        raise ConfigError(f"{data}: the model also uses past incidents; {remedy}")
    optional = {OUTCOME: OUTCOME, OUTCOME_KNOWN_AT: OUTCOME, GROUP: GROUP}
    columns = node["signals"]["columns"].items()
    wanted = {name: column for name, column in columns if optional.get(name) in {None, *needs}}
    signals = {**node["signals"], "columns": wanted}
    if data.is_file():
        signals["files"] = ["**/*"]
    reading = {**node, "path": str(data), "signals": signals}
    both = {**reading, "incidents": node.get("incidents")}
    # If files of incidents exist, they must not be read as signals, even if no feature uses them.
    has_incidents = data.is_dir() and components.build("source", both).missing is None
    return both if "incidents" in needs or has_incidents else {**reading, "incidents": None}


def _compares_with_peers(features: Mapping[str, Any]) -> bool:
    peers, surprise = (features.get(name) or {} for name in ("peers", "surprise"))
    return bool(peers.get("statistics") or surprise.get("peers"))


def _by_our_names(has: Columns) -> dict[str, Any]:
    names = ["entity", "time", *has.numeric, OUTCOME, OUTCOME_KNOWN_AT, GROUP]
    signals = {"files": ["**/*"], "columns": {name: name for name in names}}
    incidents = {"files": ["**/incidents.*"], "columns": {name: name for name in INCIDENTS}}
    return {"_target_": FILES, "signals": signals, "incidents": incidents}


def _needs(feature_set: FeatureSet, has: Columns) -> set[str]:
    """Return which of outcome, group and incidents the features need.

    This is tested on a row without values: a feature set raises if a column that it needs is absent,
    and its features change with an incident if it uses incidents.
    """
    time = datetime(2000, 1, 2, tzinfo=UTC)
    schema = {**SIGNAL_KEYS, OUTCOME: pl.Float64, OUTCOME_KNOWN_AT: INSTANT, GROUP: pl.String}
    row = pl.DataFrame([["a", time, time, 0.0, time, "b"]], schema=_typed(schema), orient="row")
    row = row.with_columns(pl.lit(None, pl.Float64).alias(name) for name in has.numeric)
    values = [["a", time - _HOUR, None, time - _HOUR, "c"]]
    incident = pl.DataFrame(values, schema=_typed(INCIDENTS), orient="row")

    def works_without(name: str) -> bool:
        try:
            featurize(row.drop(name), feature_set, has, incident, time)
        except ConfigError:
            return False
        return True

    needs = {name for name in (OUTCOME, GROUP) if not works_without(name)}
    some, none = (featurize(row, feature_set, has, i, time) for i in (incident, incident.clear()))
    return needs if some.equals(none) else {*needs, "incidents"}


def _typed(schema: Mapping[str, object]) -> dict[str, Any]:
    return dict(schema)


def _first_reason(intake: Intake) -> str:
    rows = intake.quarantine().rows(named=True)
    if not rows:
        return "the files have none"
    first = rows[0]
    where = ":".join(str(first[part]) for part in ("file", "row", "field") if first[part])
    return f"{len(rows)} are in quarantine; {where}: {first['reason']}"


def _write(out: Path, frame: pl.DataFrame) -> None:
    if out.suffix == ".parquet":
        frames.write_frame(out, frame)
    else:
        disk.write_bytes(out, frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ").encode())
