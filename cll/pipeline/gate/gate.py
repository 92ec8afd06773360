"""Step: decide from metrics.json whether a candidate may replace the champion, with reasons."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from cll.pipeline.gate import champion_rules
from cll.pipeline.gate.champion_rules import Slices
from cll.pipeline.gate.figures import RuleOutcome, gain, number, outcome, read, undefined
from cll.types.directions import Better, Directions
from cll.types.verdicts import Rule, Verdict

NONE = "none"  # the champion's model_id where there is no champion
EXIT_CODES = {"promote": 0, "reject": 10, "not enough evidence": 11}

Baseline = Literal["prior", "no_change", "one_column"]


@dataclass(frozen=True)
class GateSettings:
    """Requirements for a candidate; a floor or ceiling that is null does not apply."""

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
    """Facts about the candidate; `notes` are sentences by name, which become noted rules."""

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
    """Return the verdict after applying every rule to the tree of metrics.json.

    One failed rule rejects the candidate. Otherwise, one rule without enough evidence makes the
    verdict "not enough evidence". Otherwise the candidate is promoted.
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
    """Return the exit code of `cll gate`: 0 promote, 10 reject, 11 not enough evidence."""
    return EXIT_CODES[verdict.answer]


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return the tree of verdict.json: rules in their order, numbers rounded to six decimals."""
    tree = asdict(verdict)
    for rule in tree["rules"]:
        for key in ("value", "bound"):
            if isinstance(rule[key], float):
                rule[key] = round(rule[key], 6) + 0.0
    return tree | {"rules": list(tree["rules"])}


def _evidence(metrics: Mapping[str, Any], settings: GateSettings) -> Rule:
    blocks = number(metrics, "data", "positive_blocks") or 0.0
    bound = settings.min_positive_blocks
    answer: RuleOutcome = "passed" if blocks >= bound else "not enough evidence"
    says = f"{blocks:g} held-out blocks have a positive row; {bound} are needed."
    return Rule("evidence", blocks, bound, answer, says)


def _limits(metrics: Mapping[str, Any], settings: GateSettings) -> Iterator[Rule]:
    """Yield a rule per floor, for the interval's low end, and per ceiling, for its high end."""
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
    """Yield a rule per baseline: the gain's interval must be above 0; if it is below 0, the rule fails."""
    scored = metrics.get("baseline", {})
    for name in settings.baselines:
        rule, key = f"beats.{name}", settings.metric
        figure = gain(metrics, better, "over", name, key)
        if figure is not None:
            answer = outcome(figure.low > 0, open_=figure.high > 0)
            says = f"The candidate's gain in {key} over {name} is {figure}; it must be above 0."
            yield Rule(rule, figure.low, 0.0, answer, says)
        elif name == "one_column" and "prior" in scored and name not in scored:
            says = "No single column separates the training rows, so there is none to beat."
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
    """Yield the rules that compare the candidate with the champion, if there is another one."""
    if candidate.model_id == champion:
        says = "The candidate is the champion itself; there is nothing to gain."
        yield Rule("beats.champion", None, settings.min_gain, "noted", says)
    elif champion != NONE:
        yield from champion_rules.rules(
            metrics, directions, settings.metric, settings.min_gain, settings.slices
        )


def _leakage(metrics: Mapping[str, Any], settings: GateSettings) -> Iterator[Rule]:
    """Yield rules that look for leakage of the label into the features or the training rows."""
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
    says = f"{shared:g} held-out rows are also training rows; there may be none."
    yield Rule("leak.overlap", shared, 0.0, outcome(shared == 0), says)
    late = number(metrics, "leakage", "late_train_rows") or 0.0
    says = f"{late:g} training rows are not older than the holdout; a split in time has none."
    yield Rule("leak.split", late, 0.0, "noted" if late else "passed", says)


def _model(settings: GateSettings, candidate: Candidate) -> Iterator[Rule]:
    """Yield notes on the model for the reader; they do not affect the verdict."""
    if len(candidate.importance) > 1:
        feature = max(candidate.importance, key=lambda name: candidate.importance[name])
        share, bound = candidate.importance[feature], settings.max_importance
        says = f"{feature} has {share:.0%} of the importance; above {bound:.0%} check where it comes from."
        yield Rule("leak.importance", share, bound, "noted" if share > bound else "passed", says)
    state = "calibrated" if candidate.calibrated else "not calibrated"
    says = candidate.notes.get("calibration", f"The probabilities are {state}.")
    yield Rule(
        "calibration", state, "calibrated", "passed" if candidate.calibrated else "noted", says
    )
    for name, note in candidate.notes.items():
        if name != "calibration":
            yield Rule(f"note.{name}", None, None, "noted", note)
