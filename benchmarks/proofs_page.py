"""Page that `make proofs` writes, from the figures in proofs.json."""

from collections.abc import Mapping
from typing import Any

_TEXT = """\
# Proofs: how often triggers fire without a change, and how soon after one

`make proofs` (benchmarks/proofs.py) writes this page; the numbers are in benchmarks/results/proofs.json.

The proofs use {seeds} simulated fleets that do not change, and the same {seeds} fleets with a drift
(`source=synthetic`, `drift: 1.0`) from the end of day {drifts} on. Their seeds start at {first_seed}; no
setting was chosen by looking at these seeds. A fleet has {entities} entities, a row every {step_minutes}
minutes, {rows:,} rows a day and {ends} days. The label is whether an incident begins in the next half hour
(`label=incident`). The champion (logistic regression on the four columns; of errors and latency, the
logarithms) is trained on the days up to day {learnt} and is not replaced. From day {asked} on each rule is
evaluated once a day, {ticks} times a fleet, with the settings of conf/trigger (`one window`:
`at_least: 1, of_last: 1`). The drift trigger also watches three columns that are computed from these four and
in which one value is very frequent. One column is at its maximum in 99.9 % of rows, one has only two values,
and one is 0 in 60 % of rows.

{table}

- stated, observed: the share of ticks that fire although nothing changed. A stated rate holds if it is at least
  the one-sided 99 % lower bound of the observed rate. Ticks of one fleet are not independent, so the bound is
  computed from one share per fleet, with Student's t.
- found: the share of drifting fleets in which the rule fired after the drift began. By chance: the share of
  unchanged fleets in which it fired in the same days. Delay: from the start of the drift until the rule fires.
  A rule that fires in every unchanged fleet has detected nothing.
- `cost` is an estimate and states no rate. It weighs wrong predictions, whatever their cause: if a training
  costs as much as 500 of them, it hardly ever pays in a fleet of this size.
- ADWIN, DDM and Page-Hinkley are those of the library river, with its defaults (`mode="up"` for errors). From
  day {learnt} on they receive each row: the score when the row arrives, the error when its label is known. They
  treat rows as independent, and rows of one entity are not. ADWIN's delta limits the probability of a false
  alarm in one check, and only for independent rows, so it is not a false-alarm rate per tick.
"""
_MINUTES = 24 * 60


def written(found: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
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
