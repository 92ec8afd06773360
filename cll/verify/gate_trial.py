"""Test the gate: count wrong promotions in an A/A test, and compute the smallest detectable gain."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cll.config import components
from cll.config.project import load_tree, load_world
from cll.model import artifact, champion
from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled
from cll.pipeline.evaluate import evaluate, stage
from cll.pipeline.evaluate.statistics import data_facts
from cll.pipeline.evaluate.statistics.bootstrap import TAIL, Figures, with_intervals
from cll.pipeline.evaluate.statistics.curves import DIGITS
from cll.pipeline.evaluate.statistics.scored_holdout import Holdout, Predictions
from cll.pipeline.gate import champion_rules, gate
from cll.system import progress
from cll.system.workspace import Workspace
from cll.types.directions import Directions, directions_of
from cll.types.errors import ConfigError, DataRefused, Undecided, config_error
from cll.verify import permutation
from cll.verify.permutation import Swaps
from cll.verify.power import POWER, DetectableGain, detectable_gains

TIMES = (1, 2, 4)  # sizes of the holdout for which the power is computed


@dataclass(frozen=True)
class GateCase:
    """Two models' scores of the held-out rows, and the gate's settings."""

    holdout: Holdout
    scores: dict[str, Predictions]  # scores of candidate and champion
    ids: dict[str, str]
    settings: gate.GateSettings
    directions: Directions

    @property
    def evidence(self) -> dict[str, int]:
        return data_facts.count_blocks(self.holdout.y, self.holdout.block)


def check(
    root: Path, rounds: int | None, *, power: bool, against: Path | None, as_json: bool
) -> int:
    """Print the results; return 1 where the gate promotes more often than it states."""
    case = _case(Workspace(root), against)
    facts = {**case.ids, "metric": case.settings.metric, "rows": case.holdout.held.height}
    facts |= case.evidence
    swaps = None if rounds is None else _swaps(case, rounds)
    gains = _gains(case) if power else []
    if as_json:
        _print(json.dumps(facts | _as_json(swaps, gains, case.evidence)))
    else:
        _print(
            f"candidate {case.ids['candidate']} against {case.ids['champion']} on"
            f" {case.holdout.held.height:,} held-out rows in {facts['blocks']:,} blocks,"
            f" {facts['positive_blocks']:,} of them with a positive row."
        )
        for line in (*_swap_lines(swaps, case), *_power_lines(gains, case)):
            _print(line)
    return 0 if swaps is None or swaps.holds else 1


def _case(ws: Workspace, against: Path | None) -> GateCase:
    tree, world = load_tree(ws), load_world(ws)
    models = {"candidate": artifact.load(ws.candidate), "champion": _opponent(ws, against)}
    ids = {name: model.model_id for name, model in models.items()}
    if len(set(ids.values())) == 1:
        raise ConfigError(
            f"candidate and champion are the same model ({ids['candidate']}), so there is nothing"
            " to swap; name the folder of another model: --against FOLDER."
        )
    settings = components.build("gate", tree["gate"])
    metrics = components.build("metric", tree["metric"])
    if settings.metric not in metrics:
        way_out = f"not one of the chosen metrics, which are: {', '.join(metrics)}."
        raise config_error("gate.metric", settings.metric, way_out)
    rows = stage.scored(labelled.shared(ws, tree, world), models)
    holdout = evaluate.hold_out(rows, metrics, components.build("evaluate", tree["evaluate"]))
    scores = {
        name: evaluate.predict(holdout.held, name, model.threshold)
        for name, model in models.items()
    }
    return GateCase(holdout, scores, ids, settings, directions_of(metrics))


def _opponent(ws: Workspace, against: Path | None) -> Predictor:
    """Load the champion, or the model that `--against` names in its place."""
    if against is not None:
        return artifact.load(against)
    world = load_world(ws)
    if world.champion == gate.NONE:
        raise ConfigError(
            "world.yaml: champion=none: there is no model to swap scores with; name a model's"
            " folder: --against FOLDER (such as models/candidate of a `cll run`)."
        )
    return champion.load(ws, world.champion)


def _swaps(case: GateCase, rounds: int) -> Swaps:
    blocks, needed = case.evidence["positive_blocks"], case.settings.min_positive_blocks
    if blocks < needed:
        raise Undecided(
            f"{blocks} held-out blocks have a positive row; with fewer than {needed}"
            " (gate.min_positive_blocks) the gate promotes no model, so there is nothing to test;"
            " hold out more rows."
        )
    holdout, metric = case.holdout, case.settings.metric
    pair = case.scores["candidate"], case.scores["champion"]
    differences = permutation.differences(holdout, *pair, metric, rounds, holdout.draws_seed)
    tracked = progress.track(differences, "swaps", rounds)

    def promotes(difference: Figures) -> bool:
        return is_gain(difference, case.settings, case.directions)

    return permutation.count(tracked, promotes, TAIL)


def is_gain(difference: Figures, settings: gate.GateSettings, directions: Directions) -> bool:
    """Return whether the gate's own rule takes a difference for a gain over the champion."""
    metrics = evaluate.tidy({"difference": with_intervals(difference)})
    rules = champion_rules.rules(metrics, directions, settings.metric, settings.min_gain, None)
    return any(rule.name == "beats.champion" and rule.outcome == "passed" for rule in rules)


def _gains(case: GateCase) -> list[DetectableGain]:
    metric = case.settings.metric
    own, other = (
        case.holdout.figures(*case.scores[name], [metric]) for name in ("candidate", "champion")
    )
    difference = own - other
    gains = detectable_gains(
        difference.replicates[metric], difference.evidence, case.settings.min_gain, TIMES
    )
    if not gains:
        raise DataRefused(
            f"{metric} is not defined on the held-out rows, so no gain in it can be detected."
        )
    return gains


def _swap_lines(swaps: Swaps | None, case: GateCase) -> Iterator[str]:
    if swaps is None:
        return
    yield (
        f"A/A test: in each of {swaps.rounds} rounds the two models' scores were swapped at random"
        f" by block, so neither is better in {case.settings.metric}. The gate promoted one of them"
        f" in {swaps.promoted} rounds; as either is equally likely, the rate for one is half of that."
    )
    verdict = "the gate passes" if swaps.holds else "the gate FAILS"
    yield (
        f"wrong promotions: {swaps.rate:.2%}, at least {swaps.lower:.2%} with 99 % confidence;"
        f" stated: at most {swaps.stated:.2%}; {verdict} (it fails from"
        f" {swaps.fails_from:.2%} on)."
    )
    if not swaps.holds:
        yield "Raise evaluate.replicates or gate.min_positive_blocks, and run this test again."


def _power_lines(gains: list[DetectableGain], case: GateCase) -> Iterator[str]:
    if not gains:
        return
    yield (
        f"smallest true gain in {case.settings.metric} that is promoted in {POWER:.0%} of cases"
        f" (gate.min_gain={case.settings.min_gain:g}):"
    )
    yield f"{'blocks':>10} {'positive':>10} {'gain':>10}"
    for gain in gains:
        blocks, positive = (count * gain.times for count in case.evidence.values())
        yield f"{blocks:>10,} {positive:>10,} {gain.gain:>10.4f}"


def _as_json(
    swaps: Swaps | None, gains: list[DetectableGain], evidence: dict[str, int]
) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if swaps is not None:
        derived = ("rate", "lower", "fails_from", "holds")
        tree["swaps"] = asdict(swaps) | {name: getattr(swaps, name) for name in derived}
    if gains:
        tree["power"] = [
            {name: count * gain.times for name, count in evidence.items()}
            | {"gain": round(gain.gain, DIGITS)}
            for gain in gains
        ]
    return evaluate.tidy(tree)


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the command's output
