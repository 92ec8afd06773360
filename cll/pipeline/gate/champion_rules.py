"""The gate's rules between candidate and champion: a fair ground, a gain, and no slice that loses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from cll.pipeline.gate.figures import Figure, Outcome, gain, number, outcome, undefined
from cll.types.directions import Better, Directions
from cll.types.verdicts import Rule


@dataclass(frozen=True)
class Slices:
    """What no slice may lose against the champion; a loss within `tolerance` is none."""

    metric: str = "roc_auc"
    tolerance: Annotated[float, Ge(0)] = 0.05


def rules(
    metrics: Mapping[str, Any],
    directions: Directions,
    metric: str,
    min_gain: float,
    slices: Slices | None,
) -> Iterator[Rule]:
    """Apply the rules to a candidate that is not the champion itself."""
    fair = _fair(metrics)
    better, on_fair_ground = directions[metric], fair.outcome != "not enough evidence"
    yield _gain(metrics, metric, better, min_gain, fair=on_fair_ground)
    yield fair
    if slices:
        yield from _slices(metrics, slices, directions[slices.metric])


def _fair(metrics: Mapping[str, Any]) -> Rule:
    """Ask that the champion never met the rows that judge.

    Where the split is not one in time, newer rows need not be unseen, so it is only noted.
    """
    name = "leak.champion"
    rows = number(metrics, "leakage", "champion_rows")
    if rows is None:
        says = "metrics.json does not tell until when the champion learnt; run `dvc repro`."
        return Rule(name, None, 0.0, "not enough evidence", says)
    if not rows:
        return Rule(name, 0.0, 0.0, "passed", "No held-out row is as old as the champion's own.")
    until = metrics["leakage"].get("champion_saw_until")
    says = (
        f"{rows:g} held-out rows are no newer than what the champion learnt from (until {until}),"
        " which favours it; move split.boundary behind that, or wait for newer rows."
    )
    in_time = not number(metrics, "leakage", "late_train_rows")
    return Rule(name, rows, 0.0, "not enough evidence" if in_time else "noted", says)


def _gain(
    metrics: Mapping[str, Any], metric: str, better: Better, bound: float, *, fair: bool
) -> Rule:
    """Ask for a gain that clears the bound; what can't clear it on fair ground is rejected."""
    name = "beats.champion"
    found = gain(metrics, better, "difference", metric)
    if found is None:
        return undefined(name, f"difference.{metric}", bound)
    answer = outcome(found.low > bound, open_=found.high > bound or not fair)
    says = (
        f"The candidate's gain in {metric} over the champion is {found}; it must be above {bound:g}"
    )
    says += ", which lets it be worse, but surely not by more." if bound < 0 else "."
    if answer == "not enough evidence" and fair:
        says += _needed(found, bound, metrics)
    return Rule(name, found.low, bound, answer, says)


def _needed(found: Figure, bound: float, metrics: Mapping[str, Any]) -> str:
    """Estimate the evidence it takes: an interval narrows with the square root of the blocks."""
    away = found.value - bound
    half = found.value - found.low if away > 0 else found.high - found.value
    blocks = number(metrics, "data", "positive_blocks") or 0.0
    positives = number(metrics, "data", "holdout_positives") or 0.0
    if abs(away) <= half / 1000 or not blocks:
        return " The gain is too close to that for more positives to settle it."
    times = (half / away) ** 2
    more = [int(float(f"{times * count:.2g}")) for count in (positives, blocks)]
    return f" It would take about {more[0]} positive rows in {more[1]} blocks (now {blocks:g})."


def _slices(metrics: Mapping[str, Any], slices: Slices, better: Better) -> Iterator[Rule]:
    """Reject a loss beyond the tolerance that is surely one; note it where it may be chance."""
    for name in metrics.get("slice_difference", {}):
        found = gain(metrics, better, "slice_difference", name, slices.metric)
        if found is None:
            continue
        bound = -slices.tolerance
        within, surely = found.value >= bound, found.high < 0
        answer: Outcome = "passed" if within else "failed" if surely else "noted"
        says = (
            f"In slice {name} the candidate's gain in {slices.metric} over the champion is {found};"
            f" it may not be below {bound:g}."
        )
        if answer == "noted":
            says += " It may be chance, so it only is noted."
        yield Rule(f"slice.{name}", found.value, bound, answer, says)
