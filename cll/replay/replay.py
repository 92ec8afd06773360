"""The loop over history: at each past instant what was known then, and what the loop would have done.

The functions that ask, fit, judge and decide are those of a live tick. A release counts from the next
tick on, and a row is scored by the model that was in force when it came.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

import polars as pl

from cll.config import components
from cll.config.project import Tree
from cll.loop import ask, trigger_input
from cll.model import artifact
from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled as dataset_labelled
from cll.pipeline.dataset import point_in_time
from cll.pipeline.dataset.labelled import Dataset
from cll.pipeline.dataset.tables import Known
from cll.pipeline.evaluate import stage as evaluate_stage
from cll.pipeline.gate import stage as gate_stage
from cll.replay.fit_cache import Fits
from cll.replay.log import NONE, Diary, Turn
from cll.types.arrays import Floats
from cll.types.errors import DataRefused
from cll.types.times import format_instant, parse_instant
from cll.types.triggers import Answer

_LEAKS_BY = "roc_auc"  # the metric by which the gate knows what is too good to be true


@dataclass
class Loop:
    """What goes from tick to tick."""

    champion: Predictor | None = None
    waiting: Predictor | None = None  # released; in force from the next tick on
    trained: datetime | None = None
    scores: Floats | None = None  # the champion's

    def goes_on(self) -> None:
        """Put in force what was released at the last tick."""
        if self.waiting is not None:
            self.champion, self.waiting, self.scores = self.waiting, None, None


@dataclass(frozen=True, eq=False)
class History:
    """All that is known now, and the config that turns over it."""

    known: Known
    tree: Tree
    shared: Fits | None = None  # with other replays

    @cached_property
    def fit(self) -> Fits:
        return self.shared or Fits(self.tree)

    @cached_property
    def triggers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = components.build("trigger", self.tree["trigger"])
        return found

    @cached_property
    def _known_at(self) -> tuple[pl.Series, pl.Series]:
        """When each row, and each label, became known, in that order."""
        label = components.build("label", self.tree["label"])
        end = datetime.max.replace(tzinfo=UTC)
        labels = label(self.known.signals, self.known.incidents, end)
        mature = labels.filter(pl.col("status") == "mature")["known_at"]
        return self.known.signals["known_at"].sort(), mature.sort()

    def counts(self, instant: datetime) -> tuple[int, int]:
        """Count the rows, and the labels, that were known at an instant."""
        rows, labels = (int(one.search_sorted(instant, "right")) for one in self._known_at)
        return rows, labels

    @cached_property
    def judged_by(self) -> Tree:
        """The config that makes the figures that the gate asks for, and no other.

        Draws do not depend on how many metrics there are, so the verdict is the live one's.
        """
        gate, evaluate = self.tree["gate"], self.tree["evaluate"]
        by_slice = [gate["slices"]["metric"]] if gate["slices"] else []
        bounds = {**gate["floors"], **gate["ceilings"]}
        limits = [name for name, bound in bounds.items() if bound is not None]
        wanted = {gate["metric"], _LEAKS_BY, *by_slice, *limits}
        only = {
            "baseline_metrics": [gate["metric"]],
            "paired": [gate["metric"]],
            "slice_metrics": by_slice,
            "slice_paired": by_slice,
            "max_slices": evaluate["max_slices"] if by_slice else 0,
        }
        metrics = {name: node for name, node in self.tree["metric"].items() if name in wanted}
        return {**self.tree, "metric": metrics, "evaluate": {**evaluate, **only}}


def over(history: History, instants: Sequence[datetime], diary: Diary) -> Iterator[Turn]:
    """Turn the loop at each instant, from where the diary ends; yield what is written down."""
    loop = _resumed(diary)
    for instant in instants[len(diary.turns) :]:
        turn = _turn(history, instant, loop, diary)
        diary.append(turn)
        yield turn


def _resumed(diary: Diary) -> Loop:
    loop = Loop()
    if made := [turn.candidate for turn in diary.turns if turn.candidate]:
        loop.trained = _created(diary.model(made[-1]))
    if diary.turns:
        last = diary.turns[-1]
        loop.champion = diary.model(last.champion) if last.champion != NONE else None
        loop.waiting = diary.model(last.candidate) if last.released else None
    return loop


def _turn(history: History, instant: datetime, loop: Loop, diary: Diary) -> Turn:
    loop.goes_on()
    answer = _asked(history, instant, loop)
    rows, labels = history.counts(instant)
    turn = Turn(
        as_of=format_instant(instant),
        champion=loop.champion.model_id if loop.champion else NONE,
        rows=rows,
        labels=labels,
        fires=answer.fires,
        says=" ".join(one.says for one in answer.reasons if one.fires or not answer.fires),
    )
    return _trained(history, instant, loop, diary, turn) if answer.fires else turn


def _asked(history: History, instant: datetime, loop: Loop) -> Answer:
    then = point_in_time.incidents_at(history.known, instant)
    model = loop.champion
    scores = None if model is None else partial(_scores, history, loop, model)
    told = trigger_input.situation(then, history.tree, instant, model, loop.trained, scores)
    return ask.ask(history.triggers, told)


def _scores(history: History, loop: Loop, model: Predictor) -> Floats:
    """Score all rows there will be, once for each model that comes into force."""
    if loop.scores is None:
        loop.scores = trigger_input.probability(history.known, model)
    return loop.scores


def _trained(history: History, instant: datetime, loop: Loop, diary: Diary, turn: Turn) -> Turn:
    """Train a candidate, judge it and release it, where there is enough to do so."""
    begun = time.process_time()
    then = point_in_time.at(history.known, instant)
    try:
        rows = dataset_labelled.labelled(then, history.tree, instant)
        labelled = time.process_time() - begun
        files, fitted = history.fit(rows, instant, loop.champion)
        made = artifact.unpack(files)
        trained = time.process_time()
        answer = _judged(history, then, rows, made, loop)
    except DataRefused as error:
        return replace(turn, answer="refused", says=str(error))
    diary.keep(files, made.model_id)
    loop.trained = _created(made)
    in_force = loop.champion is not None and made.model_id == loop.champion.model_id
    if answer == "promote" and not in_force:
        loop.waiting = made
    return replace(
        turn,
        candidate=made.model_id,
        answer=answer,
        released=loop.waiting is not None,
        train_seconds=round(labelled + fitted, 3),
        judge_seconds=round(time.process_time() - trained, 3),
    )


def _created(model: Predictor) -> datetime:
    """Return when a candidate was trained: long ago, where the model in force stayed."""
    return parse_instant(model.meta["created"])


def _judged(history: History, then: Known, rows: Dataset, made: Predictor, loop: Loop) -> str:
    models = {"candidate": made, **({"champion": loop.champion} if loop.champion else {})}
    numeric = then.columns.numeric
    found = evaluate_stage.judge(rows, models, then.incidents, numeric, history.judged_by)
    in_force = loop.champion.model_id if loop.champion else NONE
    return str(gate_stage.decide(found.metrics, made.meta, history.tree, in_force)["answer"])
