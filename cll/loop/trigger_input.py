"""What is known of the model in force at an instant, as triggers are told it; live and in replays."""

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
    known: Tables,
    tree: Tree,
    as_of: datetime,
    champion: Predictor | None,
    trained: datetime | None,
    scores: Callable[[], Floats] | None = None,
) -> Situation:
    """Label what was known at `as_of`, and score it by the model in force.

    `scores` returns that model's probabilities of all rows of `known`, where they are at hand. Rows
    that became known later are left out.
    """
    label: Label = components.build("label", tree["label"])
    names = known.columns.numeric

    def read() -> pl.DataFrame:
        of_then = known.signals["known_at"] <= as_of
        signals = known.signals.filter(of_then)
        labels = label(signals, known.incidents, as_of)
        rows = pl.concat([labels, signals.select(names)], how="horizontal")
        rows = rows.with_columns(p=_score(known, champion, scores, of_then))
        return rows.sort("time", maintain_order=True)  # by entity, as they come

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
    known: Tables,
    champion: Predictor | None,
    scores: Callable[[], Floats] | None,
    of_then: pl.Series,
) -> pl.Series | pl.Expr:
    if champion is None:
        return pl.lit(None, pl.Float64)
    found = probability(known, champion) if scores is None else scores()
    return pl.Series(found, dtype=pl.Float64).filter(of_then)


def probability(known: Tables, model: Predictor) -> Floats:
    """Score all rows of `known`."""
    names = tuple(n for n in known.features.columns if n not in {"entity", "time"})
    X = known.features.select(names).to_numpy(order="c")
    return model.probability(labelled.aligned(Matrix(X, np.zeros(len(X)), names), model.names))


def now(ws: Workspace, tree: Tree, world: project.World) -> Situation:
    """Read what the project knows: its signals and features, the champion, and the last training."""
    champion = None
    if world.champion != "none":
        champion = model_champion.load(ws, world.champion)
    return situation(tables.load(ws), tree, world.as_of, champion, trained(ws, world))


def trained(ws: Workspace, world: project.World) -> datetime | None:
    """Return the `as_of` of the last training; None where no candidate is there.

    A training later than the world's `as_of`, which was moved back since, does not count: then it is
    the champion's, unless that is later, too.
    """
    last = _created(ws.candidate)
    if last is not None and last > world.as_of and world.champion != "none":
        last = _created(ws.released(world.champion))
    return None if last is None or last > world.as_of else last


def _created(model: Path) -> datetime | None:
    form = model / artifact.MODEL
    return parse_instant(disk.read_json(form)["created"]) if form.is_file() else None
