"""Race between update strategies, judged on the newest training rows; the holdout is not used."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cll.model.artifact import Predictor
from cll.pipeline.dataset import blocks, holdout, labelled
from cll.pipeline.evaluate.statistics import baselines
from cll.pipeline.evaluate.statistics.bootstrap import BlockedRows, Figures, figures, interval
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.pipeline.train.update import TrainingInputs, apply
from cll.system import progress
from cll.types.arrays import Flags
from cll.types.components import Update, UpdateRace
from cll.types.errors import DataRefused
from cll.types.times import format_instant
from cll.types.updates import Contender

REPLICATES, DRAWS_SEED = 300, 0


@dataclass(frozen=True)
class Result:
    """The update that trains the candidate, and the notes for the model card."""

    winner: str
    notes: dict[str, Any]  # ready for JSON


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Training rows cut in two: rows to train the contenders, and newer rows to judge them."""

    train: Flags
    judge: Flags
    begins: str


def race(
    race_rule: UpdateRace,
    contenders: Mapping[str, Update],
    inputs: TrainingInputs,
    metric: str,
    *,
    lower: bool,
) -> Result:
    """Return the winner by `metric`, or the first contender if no rows can judge them."""
    runnable = _runnable(contenders, inputs)
    stretch = _stretch(inputs, race_rule.share) if len(runnable) > 1 else None
    if stretch is None:
        winner = next(iter(runnable))
        explanation = f"Nothing could judge between updates, so the candidate was made by {winner}."
        progress.note(f"race: {explanation}")
        return Result(winner, {"says": explanation})
    entries, left_out = _entries(runnable, stretch, inputs, metric, lower=lower)
    if not entries:
        reason = next(iter(left_out.values()))
        raise DataRefused(f"update=race: no contender could run: {reason}")
    winner = race_rule(entries)
    explanation = f"Made by {winner}: {race_rule.rule}."
    progress.note(f"race: {explanation}")
    judged = inputs.rows.rows["label"].filter(pl.Series(stretch.judge))
    reasons = {name: {"left_out": reason} for name, reason in left_out.items()}
    notes = {
        "says": explanation,
        "metric": metric,
        "judged_from": stretch.begins,
        "rows": judged.len(),
        "positives": int(judged.sum()),
        "contenders": _table(entries, lower=lower) | reasons,
    }
    return Result(winner, notes)


def _entries(
    runnable: Mapping[str, Update],
    stretch: _Stretch,
    inputs: TrainingInputs,
    metric: str,
    *,
    lower: bool,
) -> tuple[list[Contender], dict[str, str]]:
    """Train and judge each contender; also return the reasons of those that could not run."""
    entries, left_out = [], {}
    for name, update in runnable.items():
        try:
            entries.append(_entry(name, update, stretch, inputs, metric, lower=lower))
        except DataRefused as error:
            left_out[name] = str(error)
            progress.note(f"race: {name} is left out: {error}")
    return entries, left_out


def _runnable(contenders: Mapping[str, Update], inputs: TrainingInputs) -> dict[str, Update]:
    """Return the contenders that can run.

    If no row is newer than the champion's, these are the ones that train a new model; if there are
    none, the first contender.
    """
    rows = inputs.rows
    if inputs.champion is not None:
        since = labelled.trained_until(inputs.champion.meta["lineage"], rows.embargo)
        if (rows.rows["time"].filter(pl.Series(rows.split.train)) > since).any():
            return dict(contenders)
    afresh = {name: update for name, update in contenders.items() if not update.reads_champion}
    return afresh or dict(list(contenders.items())[:1])


def _stretch(inputs: TrainingInputs, share: float) -> _Stretch | None:
    """Cut off the newest `share` of the rows that are new to the champion, to judge on them.

    Return None if the rows cut off, or the rows left for training, do not contain both classes.
    """
    rows, train = inputs.rows.rows, inputs.rows.split.train
    new = pl.Series(train)
    if inputs.champion is not None:
        since = labelled.trained_until(inputs.champion.meta["lineage"], inputs.rows.embargo)
        new = new & (rows["time"] > since)
    cut = holdout.boundary(rows.filter(new), share)
    if cut is None:
        return None
    train = train & holdout.before(rows, cut, inputs.rows.embargo)
    judge = (new & (rows["time"] >= cut)).to_numpy()
    label = rows["label"].to_numpy()
    if min(len(np.unique(label[side])) for side in (train, judge)) < 2:  # noqa: PLR2004  classes
        return None
    return _Stretch(train, judge, format_instant(cut))


def _entry(
    name: str,
    update: Update,
    stretch: _Stretch,
    inputs: TrainingInputs,
    metric: str,
    *,
    lower: bool,
) -> Contender:
    """Train a contender on the older rows, and judge it on the newer ones."""
    began = time.process_time()
    result = apply(update, stretch.train, inputs)
    seconds = time.process_time() - began
    judged = _figures(result.predictor, stretch.judge, inputs, metric)
    value, draws = judged.values[metric], judged.replicates[metric]
    progress.note(
        f"race: {name}: {metric} {value:.4g}, {result.row_visits:,} row visits, {seconds:.1f} s of CPU"
    )
    sign = -1.0 if lower else 1.0
    return Contender(name, sign * value, sign * draws, result.row_visits, judged.evidence)


def _figures(model: Predictor, judge: Flags, inputs: TrainingInputs, metric: str) -> Figures:
    held, frame = inputs.rows.matrix(judge), inputs.rows.rows
    p = model.probability(labelled.aligned(held, model.names))
    unchanged = baselines.no_change(frame)[judge]
    rows, order = rank(held.y, p, model.alert(p), unchanged)
    block = blocks.number(frame.filter(pl.Series(judge)), inputs.settings.block)
    blocked = BlockedRows(rows, block[order])
    return figures(blocked, {metric: inputs.metrics[metric]}, REPLICATES, DRAWS_SEED)


def _table(entries: Sequence[Contender], *, lower: bool) -> dict[str, Any]:
    """Return each entry's metric, how far it is behind the best (with interval), and its cost."""
    best, sign = max(entries, key=lambda entry: entry.value), -1.0 if lower else 1.0
    table: dict[str, Any] = {}
    for entry in entries:
        line: dict[str, Any] = {
            "value": round(sign * entry.value, 6),
            "row_visits": entry.row_visits,
        }
        ends = interval(best.draws - entry.draws, best.evidence)
        if entry is not best and ends is not None:
            behind = {"value": best.value - entry.value, "low": ends[0], "high": ends[1]}
            line["behind"] = {key: round(number, 6) for key, number in behind.items()}
        table[entry.name] = line
    return table
