"""A race between updates, judged on what came last before the holdout, which chooses nothing itself."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cll.model.artifact import Predictor
from cll.pipeline.dataset import blocks, holdout, labelled
from cll.pipeline.evaluate.statistics import baselines
from cll.pipeline.evaluate.statistics.bootstrap import Figures, Judged, figures, interval
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.pipeline.train.update import Means, learn
from cll.system import progress
from cll.types.arrays import Flags
from cll.types.components import Contest, Update
from cll.types.errors import DataRefused
from cll.types.times import format_instant
from cll.types.updates import Entry

REPLICATES, DRAWS_SEED = 300, 0


@dataclass(frozen=True)
class Result:
    """Who makes the candidate, and what is written down of it."""

    winner: str
    notes: dict[str, Any]  # ready for JSON


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Training rows cut in two: those that teach the contenders, and those that judge them."""

    teach: Flags
    judge: Flags
    begins: str


def race(
    contest: Contest, contenders: Mapping[str, Update], means: Means, metric: str, *, lower: bool
) -> Result:
    """Judge each contender in `metric`; where nothing can judge them, the first one is taken."""
    able = _able(contenders, means)
    stretch = _stretch(means, contest.share) if len(able) > 1 else None
    if stretch is None:
        winner = next(iter(able))
        says = f"Nothing could judge between updates, so the candidate was made by {winner}."
        progress.note(f"race: {says}")
        return Result(winner, {"says": says})
    entries, out = _entries(able, stretch, means, metric, lower=lower)
    if not entries:
        raise DataRefused(f"update=race: nobody could run: {next(iter(out.values()))}")
    winner = contest(entries)
    says = f"Made by {winner}: {contest.rule}."
    progress.note(f"race: {says}")
    judged = means.rows.rows["label"].filter(pl.Series(stretch.judge))
    left_out = {name: {"left_out": says} for name, says in out.items()}
    notes = {
        "says": says,
        "metric": metric,
        "judged_from": stretch.begins,
        "rows": judged.len(),
        "positives": int(judged.sum()),
        "contenders": _table(entries, lower=lower) | left_out,
    }
    return Result(winner, notes)


def _entries(
    able: Mapping[str, Update], stretch: _Stretch, means: Means, metric: str, *, lower: bool
) -> tuple[list[Entry], dict[str, str]]:
    """Let each one run; also tell why who could not."""
    entries, out = [], {}
    for name, update in able.items():
        try:
            entries.append(_entry(name, update, stretch, means, metric, lower=lower))
        except DataRefused as error:
            out[name] = str(error)
            progress.note(f"race: {name} is left out: {error}")
    return entries, out


def _able(contenders: Mapping[str, Update], means: Means) -> dict[str, Update]:
    """Leave out who would go on from a model where none is, or from one that nothing is newer than."""
    rows = means.rows
    if means.champion is not None:
        since = labelled.learnt_until(means.champion.meta["lineage"], rows.embargo)
        if (rows.rows["time"].filter(pl.Series(rows.split.train)) > since).any():
            return dict(contenders)
    afresh = {name: one for name, one in contenders.items() if not one.reads_champion}
    return afresh or dict(list(contenders.items())[:1])


def _stretch(means: Means, share: float) -> _Stretch | None:
    """Cut off the newest `share` of what is new to the champion; None if a side lacks an outcome."""
    rows, train = means.rows.rows, means.rows.split.train
    new = pl.Series(train)
    if means.champion is not None:
        since = labelled.learnt_until(means.champion.meta["lineage"], means.rows.embargo)
        new = new & (rows["time"] > since)
    cut = holdout.boundary(rows.filter(new), share)
    if cut is None:
        return None
    teach = train & holdout.before(rows, cut, means.rows.embargo)
    judge = (new & (rows["time"] >= cut)).to_numpy()
    label = rows["label"].to_numpy()
    if min(len(np.unique(label[side])) for side in (teach, judge)) < 2:  # noqa: PLR2004  outcomes
        return None
    return _Stretch(teach, judge, format_instant(cut))


def _entry(
    name: str, update: Update, stretch: _Stretch, means: Means, metric: str, *, lower: bool
) -> Entry:
    """Teach a contender what is older than the stretch, and judge it there."""
    began = time.process_time()
    learnt = learn(update, stretch.teach, means)
    seconds = time.process_time() - began
    found = _figures(learnt.predictor, stretch.judge, means, metric)
    value, draws = found.values[metric], found.replicates[metric]
    progress.note(
        f"race: {name}: {metric} {value:.4g}, {learnt.row_visits:,} row visits, {seconds:.1f} s of CPU"
    )
    sign = -1.0 if lower else 1.0
    return Entry(name, sign * value, sign * draws, learnt.row_visits, found.evidence)


def _figures(model: Predictor, judge: Flags, means: Means, metric: str) -> Figures:
    held, frame = means.rows.matrix(judge), means.rows.rows
    p = model.probability(labelled.aligned(held, model.names))
    unchanged = baselines.no_change(frame)[judge]
    rows, order = rank(held.y, p, model.alert(p), unchanged)
    block = blocks.number(frame.filter(pl.Series(judge)), means.settings.block)
    judged = Judged(rows, block[order])
    return figures(judged, {metric: means.metrics[metric]}, REPLICATES, DRAWS_SEED)


def _table(entries: Sequence[Entry], *, lower: bool) -> dict[str, Any]:
    """Say of each entry its figure, how far it is behind the best, and what it cost."""
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
