"""Build the input of the triggers at an instant; the loop and the replay both use it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from cll.config import components, project
from cll.config.project import Tree
from cll.model import artifact
from cll.model import champion as model_champion
from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled, tables
from cll.pipeline.dataset.tables import Tables
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.arrays import Floats, Matrix
from cll.types.components import Label
from cll.types.times import parse_instant
from cll.types.triggers import Situation


def situation(
    data: Tables,
    tree: Tree,
    as_of: datetime,
    champion: Predictor | None,
    trained: datetime | None,
    scores: Callable[[], Floats] | None = None,
) -> Situation:
    """Return the triggers' input: the rows known at `as_of`, labelled and scored by the champion.

    Rows with a later `known_at` are left out. `scores` returns the champion's probabilities of all
    rows of `data`, for callers that have them already.
    """
    label: Label = components.build("label", tree["label"])
    names = data.columns.numeric

    def read() -> pl.DataFrame:
        is_known = data.signals["known_at"] <= as_of
        signals = data.signals.filter(is_known)
        labels = label(signals, data.incidents, as_of)
        rows = pl.concat([labels, signals.select(names)], how="horizontal")
        rows = rows.with_columns(p=_score(data, champion, scores, is_known))
        return rows.sort("time", maintain_order=True)  # rows of equal time stay sorted by entity

    if champion is None:
        return Situation(as_of, read, names, trained=trained)
    return Situation(
        as_of,
        read,
        names,
        champion=champion.model_id,
        trained=trained,
        champion_trained_until=labelled.trained_until(champion.meta["lineage"], label.embargo),
        threshold=champion.threshold,
    )


def _score(
    data: Tables,
    champion: Predictor | None,
    scores: Callable[[], Floats] | None,
    is_known: pl.Series,
) -> pl.Series | pl.Expr:
    if champion is None:
        return pl.lit(None, pl.Float64)
    probabilities = probability(data, champion) if scores is None else scores()
    return pl.Series(probabilities, dtype=pl.Float64).filter(is_known)


def probability(data: Tables, model: Predictor) -> Floats:
    """Return the model's probability of an incident for each row of `data`."""
    names = tuple(n for n in data.features.columns if n not in {"entity", "time"})
    X = data.features.select(names).to_numpy(order="c")
    return model.probability(labelled.aligned(Matrix(X, np.zeros(len(X)), names), model.names))


def now(ws: Workspace, tree: Tree, world: project.World) -> Situation:
    """Return the triggers' input for the project at its current `as_of`."""
    champion = None
    if world.champion != "none":
        champion = model_champion.load(ws, world.champion)
    return situation(tables.load(ws), tree, world.as_of, champion, trained(ws, world))


def trained(ws: Workspace, world: project.World) -> datetime | None:
    """Return the `as_of` of the last training; None if there was none.

    It is read from the candidate. If `as_of` was moved back to before that training, the champion's
    training counts instead, unless it is later than `as_of` as well.
    """
    last = _created(ws.candidate)
    if last is not None and last > world.as_of and world.champion != "none":
        last = _created(ws.released(world.champion))
    return None if last is None or last > world.as_of else last


def _created(model: Path) -> datetime | None:
    path = model / artifact.MODEL
    return parse_instant(disk.read_json(path)["created"]) if path.is_file() else None
