"""Model card: the facts that a person needs before using a model, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

TOP = 10  # features that the card lists

_TEXT = """# Model card: {model_type} {model_id}

Created as of {created}. Holdout accuracy at the threshold: {accuracy:.4f}.

## Intended use

The model tells operators which entities fail or will soon fail, from telemetry like that in its
training data. It ranks entities and raises alerts. It does not explain causes. Do not let it alone
decide on an action that can't be undone.

## Data

- {rows} labelled rows, {positives} of them positive, from {train_from} to {train_until}.
{base}- Training rows sha256: `{data_sha256}`.
- {features} features, float32; a missing value is NaN.
{simulated}{race}
## Calibration and threshold

- {says}
- It alerts from a probability of {threshold:.6g} up, chosen by the rule {threshold_rule}.
{figures}
## Feature importance

| feature | share |
|---|---|
{importance}

## Limits

- It was trained on the entities, loads and incidents of its training span. Later data may drift;
  the gate compares each new candidate with it on newer rows.
- Its probabilities hold for the share of failures in the training rows. Where failures are rarer or
  more common, they are too high or too low.
- It was made with {libraries}. Other CPU families give the same probabilities to 1e-6.
"""


_SIMULATED = (
    "- Simulated: the source's folder was missing (fallback). The model is not fit for real data.\n"
)


def render(form: Mapping[str, Any], figures: Mapping[str, float] | None = None) -> str:
    """Return the card's text; `form` is model.json, `figures` are holdout figures by name."""
    lineage, train = form["lineage"], form["train"]
    ranked = sorted(form["importance"].items(), key=lambda item: (-item[1], item[0]))
    return _TEXT.format(
        model_type=form["model_type"],
        model_id=form["model_id"],
        created=form["created"],
        accuracy=form["accuracy"],
        rows=lineage["rows"],
        positives=lineage["positives"],
        train_from=lineage["train_from"],
        train_until=lineage["train_until"],
        base=_base(lineage),
        data_sha256=lineage["data_sha256"],
        race=_race(train.get("race", {})),
        features=len(form["features"]),
        simulated=_SIMULATED if "fallback" in lineage.get("notes", {}) else "",
        says=train.get("says", "The training noted nothing about calibration."),
        threshold=form["threshold"],
        threshold_rule=train.get("threshold_rule", "unknown"),
        figures=_figures(figures or {}),
        importance="\n".join(_shares(ranked[:TOP])),
        libraries=", ".join(f"{k} {v}" for k, v in sorted(lineage["libraries"].items())),
    )


def _base(lineage: Mapping[str, Any]) -> str:
    """Return a line on the base model, where the training continued one."""
    if lineage.get("base", "none") == "none":
        return ""
    return (
        f"- The training continued model {lineage['base']}, which was trained on"
        f" {lineage['base_rows']} rows; some of them may be among these rows.\n"
    )


def _race(race: Mapping[str, Any]) -> str:
    """Return the section that compares the updates: the metric and the cost of each."""
    if not race:
        return ""
    lines = ["", "## Comparison of updates", "", race["says"]]
    if "contenders" in race:
        rows = f"{race['rows']} rows, {race['positives']} positive, from {race['judged_from']} on"
        lines += [
            *(f"Scored on {rows}, before the holdout; none of them was a training row.", ""),
            f"| update | {race['metric']} | behind the best, 95 % | row visits |",
            "|---|---|---|---|",
        ]
        lines += [_contender(name, result) for name, result in race["contenders"].items()]
    return "\n".join([*lines, ""])


def _contender(name: str, result: Mapping[str, Any]) -> str:
    if "left_out" in result:
        return f"| {name} | left out: {_cell(result['left_out'])} | | |"
    behind = result.get("behind")
    distance = "" if behind is None else "{value:.4g} ({low:.4g} to {high:.4g})".format(**behind)
    return f"| {name} | {result['value']:.4g} | {distance} | {result['row_visits']:,} |"


def _shares(ranked: Sequence[tuple[str, float]]) -> list[str]:
    used = [f"| {_cell(name)} | {share:.4f} |" for name, share in ranked if share > 0]
    return used or ["| none: it gives each row the same probability | 0 |"]


def _figures(figures: Mapping[str, float]) -> str:
    if not figures:
        return ""
    lines = [f"| {_cell(name)} | {value:.6g} |" for name, value in figures.items()]
    return "\n".join(["", "| figure, on the holdout | value |", "|---|---|", *lines, ""])


def _cell(name: str) -> str:
    """Return a name as text that can't break a Markdown table."""
    return " ".join(name.replace("|", "\\|").split())
