"""Step: decide from the figures alone whether a candidate may take over, and say why."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from cll.pipeline.gate import champion_rules
from cll.pipeline.gate.champion_rules import Slices
from cll.pipeline.gate.figures import Outcome, gain, number, outcome, read, undefined
from cll.types.directions import Better, Directions
from cll.types.verdicts import Rule, Verdict

NONE = "none"  # the champion when no model is in force
EXIT_CODES = {"promote": 0, "reject": 10, "not enough evidence": 11}

Baseline = Literal["prior", "no_change", "one_column"]


@dataclass(frozen=True)
class GateSettings:
    """What is asked of a candidate; a floor or ceiling set to null is lifted."""

    metric: str = "average_precision"
    min_gain: Annotated[float, Ge(-1)] = 0.0
    slices: Slices | None = field(default_factory=Slices)
    floors: dict[str, float | None] = field(default_factory=lambda: {"roc_auc": 0.6})
    ceilings: dict[str, float | None] = field(default_factory=lambda: {"calibration_error": 0.1})
    baselines: tuple[Baseline, ...] = ("prior", "no_change", "one_column")
    min_positive_blocks: Annotated[int, Ge(1)] = 10
    max_column_auc: Annotated[float, Interval(ge=0.5, le=1)] = 0.995
    max_roc_auc: Annotated[float, Interval(ge=0.5, le=1)] = 0.999
    max_importance: Annotated[float, Interval(ge=0, le=1)] = 0.8


@dataclass(frozen=True)
class Candidate:
    """What the gate must know of the model; `notes` are sentences that are passed on, by name."""

    model_id: str
    calibrated: bool
    importance: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def decide(
    metrics: Mapping[str, Any],
    directions: Directions,
    settings: GateSettings,
    candidate: Candidate,
    champion: str = NONE,
) -> Verdict:
    """Apply every rule to the tree of metrics.json; `directions` say which value is better.

    One failed rule rejects. Else one rule without enough evidence leaves it open. Else promote.
    """
    rules = (
        _evidence(metrics, settings),
        *_limits(metrics, settings),
        *_baselines(metrics, settings, directions[settings.metric]),
        *_champion(metrics, directions, settings, candidate, champion),
        *_leakage(metrics, settings),
        *_model(settings, candidate),
    )
    outcomes = {rule.outcome for rule in rules}
    if "failed" in outcomes:
        return Verdict("reject", candidate.model_id, champion, rules)
    if "not enough evidence" in outcomes:
        return Verdict("not enough evidence", candidate.model_id, champion, rules)
    return Verdict("promote", candidate.model_id, champion, rules)


def exit_code(verdict: Verdict) -> int:
    """Return what `cll gate` ends with: 0 promote, 10 reject, 11 not enough evidence."""
    return EXIT_CODES[verdict.answer]


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return verdict.json's tree: rules in their order, numbers of six decimals."""
    tree = asdict(verdict)
    for rule in tree["rules"]:
        for key in ("value", "bound"):
            if isinstance(rule[key], float):
                rule[key] = round(rule[key], 6) + 0.0
    return tree | {"rules": list(tree["rules"])}


def _evidence(metrics: Mapping[str, Any], settings: GateSettings) -> Rule:
    blocks = number(metrics, "data", "positive_blocks") or 0.0
    bound = settings.min_positive_blocks
    answer: Outcome = "passed" if blocks >= bound else "not enough evidence"
    says = f"{blocks:g} held-out blocks have a positive row; {bound} are needed."
    return Rule("evidence", blocks, bound, answer, says)


def _limits(metrics: Mapping[str, Any], settings: GateSettings) -> Iterator[Rule]:
    """Hold floors against the interval's low end, ceilings against its high end."""
    floors = [("floor", name, bound) for name, bound in settings.floors.items()]
    ceilings = [("ceiling", name, bound) for name, bound in settings.ceilings.items()]
    for kind, name, bound in floors + ceilings:
        if bound is None:
            continue
        figure = read(metrics, "candidate", name)
        if figure is None:
            yield undefined(f"{kind}.{name}", f"candidate.{name}", bound)
            continue
        end, sign, word = (figure.low, 1, "low") if kind == "floor" else (figure.high, -1, "high")
        answer = outcome(sign * (end - bound) >= 0, open_=sign * (figure.value - bound) >= 0)
        limit = f"at {'least' if kind == 'floor' else 'most'} {bound:g}"
        says = f"{name} is {figure}; its {word} end must be {limit}."
        yield Rule(f"{kind}.{name}", end, bound, answer, says)


def _baselines(
    metrics: Mapping[str, Any], settings: GateSettings, better: Better
) -> Iterator[Rule]:
    """Ask for a gain above 0; what can't be above 0 is rejected."""
    scored = metrics.get("baseline", {})
    for name in settings.baselines:
        rule, key = f"beats.{name}", settings.metric
        found = gain(metrics, better, "over", name, key)
        if found is not None:
            answer = outcome(found.low > 0, open_=found.high > 0)
            says = f"The candidate's gain in {key} over {name} is {found}; it must be above 0."
            yield Rule(rule, found.low, 0.0, answer, says)
        elif name == "one_column" and "prior" in scored and name not in scored:
            says = "No single column tells the training rows apart, so there is none to beat."
            yield Rule(rule, None, 0.0, "noted", says)
        else:
            why = f"add {key} to evaluate.paired, unless it is not defined on these rows"
            yield undefined(rule, f"over.{name}.{key}", 0.0, why)


def _champion(
    metrics: Mapping[str, Any],
    directions: Directions,
    settings: GateSettings,
    candidate: Candidate,
    champion: str,
) -> Iterator[Rule]:
    """Hold the candidate against the champion, where there is another one."""
    if candidate.model_id == champion:
        says = "The candidate is the champion already in force; there is nothing to gain."
        yield Rule("beats.champion", None, settings.min_gain, "noted", says)
    elif champion != NONE:
        yield from champion_rules.rules(
            metrics, directions, settings.metric, settings.min_gain, settings.slices
        )


def _leakage(metrics: Mapping[str, Any], settings: GateSettings) -> Iterator[Rule]:
    """Look for signs that the answer was in the question."""
    column, area = metrics.get("leakage", {}).get("best_column"), settings.max_column_auc
    alone = number(metrics, "leakage", "best_column_auc")
    if alone is not None:
        says = (
            f"{column} alone has a ROC AUC of {alone:g} on the training rows; {area:g} is a leak."
        )
        yield Rule("leak.column", alone, area, outcome(alone < area), says)
    own, bound = number(metrics, "candidate", "roc_auc", "value"), settings.max_roc_auc
    if own is not None:
        says = f"The candidate's roc_auc is {own:g}; {bound:g} is too good to be true."
        yield Rule("leak.score", own, bound, outcome(own < bound), says)
    shared = number(metrics, "leakage", "shared_rows") or 0.0
    says = f"{shared:g} held-out rows were trained on as well; there may be none."
    yield Rule("leak.overlap", shared, 0.0, outcome(shared == 0), says)
    late = number(metrics, "leakage", "late_train_rows") or 0.0
    says = f"{late:g} training rows are not older than the holdout; a split in time has none."
    yield Rule("leak.split", late, 0.0, "noted" if late else "passed", says)


def _model(settings: GateSettings, candidate: Candidate) -> Iterator[Rule]:
    """Note what a reader should know of the model; none of it decides."""
    if len(candidate.importance) > 1:
        feature = max(candidate.importance, key=lambda name: candidate.importance[name])
        share, bound = candidate.importance[feature], settings.max_importance
        says = (
            f"{feature} has {share:.0%} of the importance; above {bound:.0%} look where it is from."
        )
        yield Rule("leak.importance", share, bound, "noted" if share > bound else "passed", says)
    said = "calibrated" if candidate.calibrated else "not calibrated"
    says = candidate.notes.get("calibration", f"The probabilities are {said}.")
    yield Rule(
        "calibration", said, "calibrated", "passed" if candidate.calibrated else "noted", says
    )
    for name, note in candidate.notes.items():
        if name != "calibration":
            yield Rule(f"note.{name}", None, None, "noted", note)
