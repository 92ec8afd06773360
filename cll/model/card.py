"""The model card: what a person must know before trusting a model, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

TOP = 10  # features that the card names

_TEXT = """# Model card: {model_type} {model_id}

Created as of {created}. Holdout accuracy at the threshold: {accuracy:.4f}.

## Intended use

Tell operators which entity fails, or is about to, from telemetry like that it was trained on. It
ranks and alerts; it does not explain a cause, and no action that can't be undone should hang on it
alone.

## Data

- {rows} labelled rows, {positives} of them positive, from {train_from} to {train_until}.
{base}- Training rows sha256: `{data_sha256}`.
- {features} features, float32; a missing value is NaN.
{simulated}{race}
## How far to trust it

- {says}
- An alert starts at a probability of {threshold:.6g}, chosen by the rule {threshold_rule}.
{figures}
## What it looks at

| feature | share |
|---|---|
{importance}

## Limits

- It knows the entities, loads and incidents of its training span; behind that, drift is to be
  expected, and the gate judges each successor on newer rows.
- A probability holds for the share of failures in training; a rarer or commoner failure shifts it.
- Made with {libraries}. Other CPU families agree to 1e-6, not to the bit.
"""


_SIMULATED = (
    "- Simulated: the source's folder was missing (fallback). It says nothing of real data.\n"
)


def render(form: Mapping[str, Any], figures: Mapping[str, float] | None = None) -> str:
    """Write the card of a model.json; `figures` are holdout figures by name."""
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
        says=train.get("says", "Training says nothing of calibration."),
        threshold=form["threshold"],
        threshold_rule=train.get("threshold_rule", "not told"),
        figures=_figures(figures or {}),
        importance="\n".join(_shares(ranked[:TOP])),
        libraries=", ".join(f"{k} {v}" for k, v in sorted(lineage["libraries"].items())),
    )


def _base(lineage: Mapping[str, Any]) -> str:
    """Say what it learnt before, where it goes on from another model."""
    if lineage.get("base", "none") == "none":
        return ""
    return (
        f"- It goes on from {lineage['base']}: the trainings before had {lineage['base_rows']} rows, "
        "some of which may be among these.\n"
    )


def _race(race: Mapping[str, Any]) -> str:
    """Show what each update was worth, and what it cost."""
    if not race:
        return ""
    lines = ["", "## Which update", "", race["says"]]
    if "contenders" in race:
        judged = f"{race['rows']} rows, {race['positives']} positive, from {race['judged_from']} on"
        lines += [
            *(f"Judged on {judged}, before the holdout; none of them taught.", ""),
            f"| update | {race['metric']} | behind the best, 95 % | row visits |",
            "|---|---|---|---|",
        ]
        lines += [_contender(name, told) for name, told in race["contenders"].items()]
    return "\n".join([*lines, ""])


def _contender(name: str, told: Mapping[str, Any]) -> str:
    if "left_out" in told:
        return f"| {name} | left out: {_cell(told['left_out'])} | | |"
    behind = told.get("behind")
    apart = "" if behind is None else "{value:.4g} ({low:.4g} to {high:.4g})".format(**behind)
    return f"| {name} | {told['value']:.4g} | {apart} | {told['row_visits']:,} |"


def _shares(ranked: Sequence[tuple[str, float]]) -> list[str]:
    used = [f"| {_cell(name)} | {share:.4f} |" for name, share in ranked if share > 0]
    return used or ["| none: it gives each row the same answer | 0 |"]


def _figures(figures: Mapping[str, float]) -> str:
    if not figures:
        return ""
    lines = [f"| {_cell(name)} | {value:.6g} |" for name, value in figures.items()]
    return "\n".join(["", "| figure, on the holdout | value |", "|---|---|", *lines, ""])


def _cell(name: str) -> str:
    """Keep a foreign name from breaking the table."""
    return " ".join(name.replace("|", "\\|").split())
