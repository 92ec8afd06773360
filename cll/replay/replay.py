"""Run the loop over past data: at each past instant, use only the data that were known then.

The functions that ask the triggers, train, evaluate and decide are those of a live tick. A released
model becomes the champion at the next tick. A row is scored by the champion of the time at which the
row arrived.
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
from cll.pipeline.dataset.tables import Tables
from cll.pipeline.evaluate import stage as evaluate_stage
from cll.pipeline.gate import stage as gate_stage
from cll.replay.fit_cache import CandidateFitter
from cll.replay.log import NONE, ReplayLog, TickRecord
from cll.types.arrays import Floats
from cll.types.errors import DataRefused
from cll.types.times import format_instant, parse_instant
from cll.types.triggers import TriggerDecision

_LEAK_METRIC = "roc_auc"  # the gate refuses a model whose value of it is too good to be true


@dataclass
class LoopState:
    """The state that one tick of a replay hands to the next."""

    champion: Predictor | None = None
    next_champion: Predictor | None = None  # released; becomes the champion at the next tick
    trained: datetime | None = None  # time of the last training
    scores: Floats | None = None  # the champion's, for all rows

    def promote_released(self) -> None:
        """Make the model that the last tick released the champion."""
        if self.next_champion is not None:
            self.champion, self.next_champion, self.scores = self.next_champion, None, None


@dataclass(frozen=True, eq=False)
class History:
    """All data that are known today, and the config to replay them with."""

    data: Tables
    tree: Tree
    shared: CandidateFitter | None = None  # with a cache that other replays use, too

    @cached_property
    def fit(self) -> CandidateFitter:
        return self.shared or CandidateFitter(self.tree)

    @cached_property
    def triggers(self) -> Mapping[str, Any]:
        triggers: Mapping[str, Any] = components.build("trigger", self.tree["trigger"])
        return triggers

    @cached_property
    def _known_at(self) -> tuple[pl.Series, pl.Series]:
        """The sorted known_at of all rows, and that of all mature labels."""
        label = components.build("label", self.tree["label"])
        end = datetime.max.replace(tzinfo=UTC)
        labels = label(self.data.signals, self.data.incidents, end)
        mature = labels.filter(pl.col("status") == "mature")["known_at"]
        return self.data.signals["known_at"].sort(), mature.sort()

    def counts(self, instant: datetime) -> tuple[int, int]:
        """Return how many rows, and how many labels, were known at an instant."""
        rows, labels = (int(times.search_sorted(instant, "right")) for times in self._known_at)
        return rows, labels

    @cached_property
    def gate_only(self) -> Tree:
        """The config with only those metrics and comparisons that the gate reads.

        It makes a replay faster. The bootstrap's draws do not depend on the number of metrics, so
        the verdict is the same as that of the whole config.
        """
        gate, evaluate = self.tree["gate"], self.tree["evaluate"]
        by_slice = [gate["slices"]["metric"]] if gate["slices"] else []
        bounds = {**gate["floors"], **gate["ceilings"]}
        limits = [name for name, bound in bounds.items() if bound is not None]
        wanted = {gate["metric"], _LEAK_METRIC, *by_slice, *limits}
        only = {
            "baseline_metrics": [gate["metric"]],
            "paired": [gate["metric"]],
            "slice_metrics": by_slice,
            "slice_paired": by_slice,
            "max_slices": evaluate["max_slices"] if by_slice else 0,
        }
        metrics = {name: node for name, node in self.tree["metric"].items() if name in wanted}
        return {**self.tree, "metric": metrics, "evaluate": {**evaluate, **only}}


def run_ticks(
    history: History, instants: Sequence[datetime], log: ReplayLog
) -> Iterator[TickRecord]:
    """Run a tick at each instant that the log does not have yet; append and yield its record."""
    state = _resumed(log)
    for instant in instants[len(log.records) :]:
        record = _tick(history, instant, state, log)
        log.append(record)
        yield record


def _resumed(log: ReplayLog) -> LoopState:
    """Return the state after the log's last tick."""
    state = LoopState()
    if candidates := [record.candidate for record in log.records if record.candidate]:
        state.trained = _created(log.load_model(candidates[-1]))
    if log.records:
        last = log.records[-1]
        state.champion = log.load_model(last.champion) if last.champion != NONE else None
        state.next_champion = log.load_model(last.candidate) if last.released else None
    return state


def _tick(history: History, instant: datetime, state: LoopState, log: ReplayLog) -> TickRecord:
    state.promote_released()
    answer = _ask_triggers(history, instant, state)
    rows, labels = history.counts(instant)
    reasons = [reason for reason in answer.reasons if reason.fires or not answer.fires]
    record = TickRecord(
        as_of=format_instant(instant),
        champion=state.champion.model_id if state.champion else NONE,
        rows=rows,
        labels=labels,
        fires=answer.fires,
        says=" ".join(reason.says for reason in reasons),
    )
    return _train(history, instant, state, log, record) if answer.fires else record


def _ask_triggers(history: History, instant: datetime, state: LoopState) -> TriggerDecision:
    then = point_in_time.incidents_at(history.data, instant)
    champion = state.champion
    scores = None if champion is None else partial(_scores, history, state, champion)
    situation = trigger_input.situation(
        then, history.tree, instant, champion, state.trained, scores
    )
    return ask.ask(history.triggers, situation)


def _scores(history: History, state: LoopState, model: Predictor) -> Floats:
    """Return the champion's scores of all rows, also later ones; computed once per champion."""
    if state.scores is None:
        state.scores = trigger_input.probability(history.data, model)
    return state.scores


def _train(
    history: History, instant: datetime, state: LoopState, log: ReplayLog, record: TickRecord
) -> TickRecord:
    """Train and evaluate a candidate; release it if promoted. Unfit data give "refused"."""
    begin = time.process_time()
    then = point_in_time.at(history.data, instant)
    try:
        rows = dataset_labelled.build(then, history.tree, instant)
        label_seconds = time.process_time() - begin
        files, fit_seconds = history.fit(rows, instant, state.champion)
        candidate = artifact.unpack(files)
        trained = time.process_time()
        answer = _decide(history, then, rows, candidate, state)
    except DataRefused as error:
        return replace(record, answer="refused", says=str(error))
    log.write_model(files, candidate.model_id)
    state.trained = _created(candidate)
    is_champion = state.champion is not None and candidate.model_id == state.champion.model_id
    if answer == "promote" and not is_champion:
        state.next_champion = candidate
    return replace(
        record,
        candidate=candidate.model_id,
        answer=answer,
        released=state.next_champion is not None,
        train_seconds=round(label_seconds + fit_seconds, 3),
        judge_seconds=round(time.process_time() - trained, 3),
    )


def _created(model: Predictor) -> datetime:
    """Return when a model was trained: with the update `keep`, that is before this tick."""
    return parse_instant(model.meta["created"])


def _decide(
    history: History, then: Tables, rows: Dataset, candidate: Predictor, state: LoopState
) -> str:
    """Return the gate's answer on the candidate, against the champion if there is one."""
    champion = {"champion": state.champion} if state.champion else {}
    models = {"candidate": candidate, **champion}
    numeric = then.columns.numeric
    evaluation = evaluate_stage.judge(rows, models, then.incidents, numeric, history.gate_only)
    champion_id = state.champion.model_id if state.champion else NONE
    verdict = gate_stage.decide(evaluation.metrics, candidate.meta, history.tree, champion_id)
    return str(verdict["answer"])
