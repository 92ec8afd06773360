"""Rules of the gate that compare candidate and champion: fair comparison, gain, and loss per slice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from cll.pipeline.gate.figures import Figure, RuleOutcome, gain, number, outcome, undefined
from cll.types.directions import Better, Directions
from cll.types.verdicts import Rule


@dataclass(frozen=True)
class Slices:
    """Metric compared per slice, and the loss against the champion that is tolerated."""

    metric: str = "roc_auc"
    tolerance: Annotated[float, Ge(0)] = 0.05


def rules(
    metrics: Mapping[str, Any],
    directions: Directions,
    metric: str,
    min_gain: float,
    slices: Slices | None,
) -> Iterator[Rule]:
    """Yield the result of each rule, for a candidate that is not the champion itself."""
    fair = _fair(metrics)
    better, is_fair = directions[metric], fair.outcome != "not enough evidence"
    yield _gain(metrics, metric, better, min_gain, fair=is_fair)
    yield fair
    if slices:
        yield from _slices(metrics, slices, directions[slices.metric])


def _fair(metrics: Mapping[str, Any]) -> Rule:
    """Check that the champion was not trained on rows of the holdout.

    This is judged by time: the holdout must be newer than the champion's training rows. If the split
    is not by time, the result is only noted.
    """
    name = "leak.champion"
    rows = number(metrics, "leakage", "champion_rows")
    if rows is None:
        says = (
            "metrics.json does not state the end of the champion's training rows; run `dvc repro`."
        )
        return Rule(name, None, 0.0, "not enough evidence", says)
    if not rows:
        return Rule(
            name,
            0.0,
            0.0,
            "passed",
            "All held-out rows are newer than the champion's training rows.",
        )
    until = metrics["leakage"].get("champion_saw_until")
    says = (
        f"{rows:g} held-out rows are not newer than the champion's training rows (until {until}),"
        " which favours it; set split.boundary later than that, or wait for newer rows."
    )
    in_time = not number(metrics, "leakage", "late_train_rows")
    return Rule(name, rows, 0.0, "not enough evidence" if in_time else "noted", says)


def _gain(
    metrics: Mapping[str, Any], metric: str, better: Better, bound: float, *, fair: bool
) -> Rule:
    """Require that the gain's interval is above the bound; an interval below it is a rejection.

    An interval that contains the bound, or an unfair comparison, is not enough evidence.
    """
    name = "beats.champion"
    figure = gain(metrics, better, "difference", metric)
    if figure is None:
        return undefined(name, f"difference.{metric}", bound)
    answer = outcome(figure.low > bound, open_=figure.high > bound or not fair)
    says = f"The candidate's gain in {metric} over the champion is {figure}; it must be above {bound:g}"
    says += ", which lets it be worse, but surely not by more." if bound < 0 else "."
    if answer == "not enough evidence" and fair:
        says += _needed(figure, bound, metrics)
    return Rule(name, figure.low, bound, answer, says)


def _needed(figure: Figure, bound: float, metrics: Mapping[str, Any]) -> str:
    """Return a sentence that estimates how much evidence would settle the rule.

    The interval's width is taken to shrink with the square root of the number of blocks.
    """
    away = figure.value - bound
    half = figure.value - figure.low if away > 0 else figure.high - figure.value
    blocks = number(metrics, "data", "positive_blocks") or 0.0
    positives = number(metrics, "data", "holdout_positives") or 0.0
    if abs(away) <= half / 1000 or not blocks:
        return " The gain is too close to that for more positives to settle it."
    times = (half / away) ** 2
    more = [int(float(f"{times * count:.2g}")) for count in (positives, blocks)]
    return f" It would take about {more[0]} positive rows in {more[1]} blocks (now {blocks:g})."


def _slices(metrics: Mapping[str, Any], slices: Slices, better: Better) -> Iterator[Rule]:
    """Yield a rule per slice: it fails if the gain is below -tolerance and its interval below 0.

    A gain below -tolerance whose interval contains 0 may be chance and is only noted.
    """
    for name in metrics.get("slice_difference", {}):
        figure = gain(metrics, better, "slice_difference", name, slices.metric)
        if figure is None:
            continue
        bound = -slices.tolerance
        within, surely = figure.value >= bound, figure.high < 0
        answer: RuleOutcome = "passed" if within else "failed" if surely else "noted"
        says = (
            f"In slice {name} the candidate's gain in {slices.metric} over the champion is {figure};"
            f" it may not be below {bound:g}."
        )
        if answer == "noted":
            says += " It may be chance, so it only is noted."
        yield Rule(f"slice.{name}", figure.value, bound, answer, says)
