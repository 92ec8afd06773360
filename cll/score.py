"""A model at work on files: read, featurised and scored by the functions that trained it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from cll import artifact, config, store
from cll.errors import ConfigError
from cll.featurize import featurize
from cll.ingest import Intake
from cll.predict import predict
from cll.values import Counts
from cll.workspace import Workspace

FILES = "cll.source.files.Files"
_ALL_IS_KNOWN = datetime(9999, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def score(ws: Workspace, data: Path, out: Path, model: str) -> Counts:
    """Score the rows in `data` (a file, or a folder like the source's) into `out`.

    Returns what became of the records; bad ones are left out as in training.
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise ConfigError(f"--out={out}: name a .parquet or a .csv file.")
    predictor = artifact.load(ws.model(model))
    trained_with = predictor.meta["lineage"]["config"]
    source = config.build("source", _reading(ws, trained_with, data))
    feature_set = config.build("features", trained_with["features"])
    intake = Intake(source.columns, _ALL_IS_KNOWN)
    for chunk in source(_ALL_IS_KNOWN, []):
        intake.take(chunk)
    days = dict(intake.days())
    scored = []
    for day in days:
        since = datetime.fromisoformat(day).replace(tzinfo=UTC)
        first = (since - feature_set.lookback).date().isoformat()
        signals = pl.concat([rows for d, rows in days.items() if first <= d <= day])
        features = featurize(signals, feature_set, source.columns, intake.incidents(), since)
        scored.append(predict(predictor, features))
    if not scored:
        raise ConfigError(f"{data}: no row to score; {intake.counts().quarantined} are not sound.")
    _write(out, pl.concat(scored).sort("entity", "time"))
    return intake.counts()


def export_onnx(ws: Workspace, out: Path, model: str) -> None:
    """Write a model as ONNX."""
    try:
        from cll import onnx  # noqa: PLC0415  an extra
    except ImportError:
        raise ConfigError("--onnx needs an extra: pip install 'cll[onnx]'.") from None
    store.write_bytes(out, onnx.to_onnx(artifact.load(ws.model(model))))


def _reading(ws: Workspace, trained_with: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """Take the source's mapping, or the plain one of a simulated source, for other files."""
    node = dict(trained_with["source"])
    if node["_target_"] != FILES:
        node = config.load_yaml(ws.root / "conf" / "source" / "files.yaml")
    signals = dict(node["signals"])
    if not trained_with["features"].get(
        "past_outcomes"
    ):  # what is to be predicted need not be told
        signals["columns"] = {**signals["columns"], "outcome": None, "outcome_known_at": None}
    if data.is_file():
        signals["files"], data = [data.name], data.parent
        node["incidents"] = None
    return {**node, "path": str(data), "signals": signals, "fallback": "none"}


def _write(out: Path, frame: pl.DataFrame) -> None:
    if out.suffix == ".parquet":
        store.write_frame(out, frame)
    else:
        store.write_bytes(out, frame.write_csv().encode())
