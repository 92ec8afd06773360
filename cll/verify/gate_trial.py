"""The gate on trial: how often it promotes where nothing is gained, and which gain it could see."""

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
from cll.pipeline.evaluate.statistics.scored_holdout import Answer, Court
from cll.pipeline.gate import champion_rules, gate
from cll.system import progress
from cll.system.workspace import Workspace
from cll.types.directions import Directions, directions_of
from cll.types.errors import ConfigError, DataRefused, Undecided, config_error
from cll.verify import permutation
from cll.verify.permutation import Swaps
from cll.verify.power import SEEN, Sight, sight

TIMES = (1, 2, 4)  # as many blocks as there are, for which the power is told


@dataclass(frozen=True)
class _Case:
    """Two models' answers for the rows that are held out, and what the gate asks of them."""

    court: Court
    answers: dict[str, Answer]  # candidate, champion
    ids: dict[str, str]
    settings: gate.Settings
    directions: Directions

    @property
    def evidence(self) -> dict[str, int]:
        return data_facts.evidence(self.court.y, self.court.block)


def check(
    root: Path, rounds: int | None, *, power: bool, against: Path | None, as_json: bool
) -> int:
    """Say what was found; return 1 where the gate promotes more often than is stated."""
    case = _case(Workspace(root), against)
    told = {**case.ids, "metric": case.settings.metric, "rows": case.court.held.height}
    told |= case.evidence
    swapped = None if rounds is None else _swaps(case, rounds)
    seen = _sights(case) if power else []
    if as_json:
        _say(json.dumps(told | _as_json(swapped, seen, case.evidence)))
    else:
        _say(
            f"candidate {case.ids['candidate']} against {case.ids['champion']} on"
            f" {case.court.held.height:,} held-out rows in {told['blocks']:,} blocks,"
            f" {told['positive_blocks']:,} of them with a positive row."
        )
        for line in (*_of_swaps(swapped, case), *_of_power(seen, case)):
            _say(line)
    return 0 if swapped is None or swapped.holds else 1


def _case(ws: Workspace, against: Path | None) -> _Case:
    tree, world = load_tree(ws), load_world(ws)
    models = {"candidate": artifact.load(ws.candidate), "champion": _rival(ws, against)}
    ids = {name: model.model_id for name, model in models.items()}
    if len(set(ids.values())) == 1:
        raise ConfigError(
            f"candidate and champion are one model ({ids['candidate']}), so there is nothing to"
            " swap; name another one's folder: --against FOLDER."
        )
    settings = components.build("gate", tree["gate"])
    metrics = components.build("metric", tree["metric"])
    if settings.metric not in metrics:
        way_out = f"not a metric that is chosen; there are: {', '.join(metrics)}."
        raise config_error("gate.metric", settings.metric, way_out)
    rows = stage.scored(labelled.shared(ws, tree, world), models)
    court = evaluate.open_court(rows, metrics, components.build("evaluate", tree["evaluate"]))
    answers = {
        name: evaluate.answer(court.held, name, model.threshold) for name, model in models.items()
    }
    return _Case(court, answers, ids, settings, directions_of(metrics))


def _rival(ws: Workspace, against: Path | None) -> Predictor:
    """Load the champion in force, or the model that is named in its place."""
    if against is not None:
        return artifact.load(against)
    world = load_world(ws)
    if world.champion == gate.NONE:
        raise ConfigError(
            "world.yaml: champion=none: there is no model to swap scores with; name one's folder:"
            " --against FOLDER (such as models/candidate of a `cll run`)."
        )
    return champion.in_force(ws, world.champion)


def _swaps(case: _Case, rounds: int) -> Swaps:
    found, needed = case.evidence["positive_blocks"], case.settings.min_positive_blocks
    if found < needed:
        raise Undecided(
            f"{found} held-out blocks have a positive row; below {needed}"
            " (gate.min_positive_blocks) the gate promotes nothing, so there is nothing to prove."
        )
    court, metric = case.court, case.settings.metric
    pair = case.answers["candidate"], case.answers["champion"]
    each = permutation.differences(court, *pair, metric, rounds, court.draws_seed)
    tracked = progress.track(each, "swaps", rounds)

    def promotes(difference: Figures) -> bool:
        return promoted(difference, case.settings, case.directions)

    return permutation.count(tracked, promotes, TAIL)


def promoted(difference: Figures, settings: gate.Settings, directions: Directions) -> bool:
    """Ask the gate's own rule whether such a difference would be a gain."""
    metrics = evaluate.tidy({"difference": with_intervals(difference)})
    rules = champion_rules.rules(metrics, directions, settings.metric, settings.min_gain, None)
    return any(rule.name == "beats.champion" and rule.outcome == "passed" for rule in rules)


def _sights(case: _Case) -> list[Sight]:
    metric = case.settings.metric
    own, other = (case.court.figures(*case.answers[n], [metric]) for n in ("candidate", "champion"))
    apart = own - other
    found = sight(apart.replicates[metric], apart.evidence, case.settings.min_gain, TIMES)
    if not found:
        raise DataRefused(f"{metric} is not defined on these rows, so no gain in it can be seen.")
    return found


def _of_swaps(swapped: Swaps | None, case: _Case) -> Iterator[str]:
    if swapped is None:
        return
    yield (
        f"{swapped.rounds} times a coin for each block swapped their scores, so that neither is"
        f" better in {case.settings.metric}; in {swapped.promoted} rounds one was promoted over"
        f" the other (either is as likely, so a round tells of both)."
    )
    verdict = "it holds" if swapped.holds else "it DOES NOT HOLD"
    yield (
        f"wrongly promoted: {swapped.rate:.2%}, surely {swapped.lower:.2%} (one-sided, 99 %);"
        f" stated: {swapped.stated:.2%} at most; {verdict} (it would not from"
        f" {swapped.fails_from:.2%} on)."
    )
    if not swapped.holds:
        yield "Raise evaluate.replicates, or gate.min_positive_blocks, and ask again."


def _of_power(seen: list[Sight], case: _Case) -> Iterator[str]:
    if not seen:
        return
    yield (
        f"smallest true gain in {case.settings.metric} that is promoted in {SEEN:.0%} of cases"
        f" (gate.min_gain={case.settings.min_gain:g}):"
    )
    yield f"{'blocks':>10} {'positive':>10} {'gain':>10}"
    for one in seen:
        blocks, positive = (count * one.times for count in case.evidence.values())
        yield f"{blocks:>10,} {positive:>10,} {one.gain:>10.4f}"


def _as_json(swapped: Swaps | None, seen: list[Sight], evidence: dict[str, int]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if swapped is not None:
        derived = ("rate", "lower", "fails_from", "holds")
        tree["swaps"] = asdict(swapped) | {name: getattr(swapped, name) for name in derived}
    if seen:
        tree["power"] = [
            {name: count * one.times for name, count in evidence.items()}
            | {"gain": round(one.gain, DIGITS)}
            for one in seen
        ]
    return evaluate.tidy(tree)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the answer that was asked for
