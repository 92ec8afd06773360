"""The page that `make proofs` writes, from its figures alone."""

from collections.abc import Mapping
from typing import Any

_TEXT = """\
# Proofs: how often triggers fire for nothing, and how soon for something

Written by `make proofs` (benchmarks/proofs.py); figures in benchmarks/results/proofs.json.

{seeds} simulated fleets that stay as they are, and the same {seeds} with a drift (`source=synthetic`, `drift: 1.0`) from the
end of day {drifts} on; seeds from {first_seed} on, on which nothing was chosen: {entities} entities, a row in {step_minutes} minutes, {rows:,}
rows a day, {ends} days, `label=incident` half an hour ahead. A champion (logistic regression on the four columns, errors and
latency as logarithms) learnt until day {learnt} and stays. From day {asked} on each rule is asked once a day, {ticks} times a
fleet, as conf/trigger sets it up (`one window`: `at_least: 1, of_last: 1`). Drift watches three more columns with point masses,
which follow from the four: at a ceiling in 99.9 % of rows, of two values, and 0 in 60 % of rows.

{table}

- stated, observed: ticks that fire where nothing changed. A rate holds if the one-sided 99 % lower bound of what was
  observed is at most what is stated. Ticks of one fleet are alike, so fleets are counted: Student's t over their shares.
- found: drifting fleets in which the rule fired within the days left. By chance: still fleets in which it fired in the
  same days. A rule that fires in every fleet has found nothing.
- `cost` is an estimate and states no rate. It weighs wrong answers, whatever they come from: at 500 a training it has
  next to nothing to gain in a fleet of this size.
- ADWIN, DDM and Page-Hinkley are river's, with its defaults (`mode="up"` for errors), told row by row since day
  {learnt}: the score when the row is there, the error when its label is known. They count rows as independent, and rows
  of one entity are not; ADWIN's delta bounds a check of independent rows, so it is no rate of ticks.
"""
_MINUTES = 24 * 60


def written(found: Mapping[str, Any]) -> str:
    """Write the page as Markdown."""
    days = found["days"]
    ticks, after = days["ends"] + 1 - days["asked"], days["ends"] - days["drifts"]
    heads = f"| rule | stated | observed | lower bound | | found in {after} d | by chance | median delay |"
    lines = [heads, "|---|---:|---:|---:|---|---:|---:|---:|"]
    lines += [_line(name, one) for name, one in found["rules"].items()]
    rows = found["entities"] * _MINUTES // found["step_minutes"]
    return _TEXT.format(**found, **days, rows=rows, ticks=ticks, table="\n".join(lines))


def _line(name: str, one: Mapping[str, Any]) -> str:
    delay = one["median_delay_days"]
    cells = (
        name,
        "none" if one["stated"] is None else f"{one['stated']:.4f}",
        f"{one['observed']:.4f}",
        f"{one['lower_bound']:.4f}",
        {True: "holds", False: "refuted", None: ""}[one["holds"]],
        f"{one['detected']:.1%}",
        f"{one['by_chance']:.1%}",
        "" if delay is None else f"{delay:g} d",
    )
    return f"| {' | '.join(cells)} |"
