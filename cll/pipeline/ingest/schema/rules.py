"""Step: learn once what the data look like, and say what later days have that can't be right.

A day that was learnt from never breaches what was learnt. Drift is no breach: only what looks like
a broken unit, source or label is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any, Literal

import polars as pl
from annotated_types import Ge, Interval

from cll.pipeline.ingest.schema import form, presence, rates, units
from cll.pipeline.ingest.schema.breach import ACCEPT, Breach, gathered, number, span
from cll.pipeline.ingest.schema.form import Column, Outcome, Range, Rate, Schema
from cll.types.records import Counts
from cll.types.tables import OUTCOME, Columns

Profiles = Mapping[str, Mapping[str, Any]]  # by day: what cll.pipeline.ingest.profile says of it
Incidents = Mapping[str, int]  # by day: how many began
Share = Annotated[float, Interval(ge=0, le=1)]
_WEEK = 7


@dataclass(frozen=True)
class Enforcement:
    """What is refused: see conf/ingest/default.yaml."""

    schema: Literal["enforce", "warn", "off"] = "enforce"
    max_quarantined: Share = 0.05
    unit_factor: Annotated[float, Ge(5)] = 20.0
    label_factor: Annotated[float, Ge(1.1)] = 2.0
    missing_more: Share = 0.3
    entities_least: Share = 0.5
    bucket_rows: Annotated[int, Ge(1)] = 2_000_000


def infer(
    profiles: Profiles, columns: Columns, units: Mapping[str, str], incidents_per_day: Incidents
) -> Schema:
    """Learn from these days; `units` names what columns are kept in, as far as the config tells."""
    days = sorted(profiles)
    found = [profiles[day] for day in days]
    hours = _middle(found, "from"), _middle(found, "until")
    full = [one for one in found if presence.is_full(one, hours)] or found
    return Schema(
        since=days[0],
        until=days[-1],
        days=len(days),
        hours=hours,
        entities=_least_and_most([one["entities"] for one in full]),
        groups=_groups(full, columns),
        columns={n: _column(n, found, units) for n in sorted(columns.numeric)},
        outcome=_outcome(found, hours) if columns.outcome else None,
        incidents=rates.learn(
            [_incidents(profiles[d], incidents_per_day.get(d, 0), hours) for d in days]
        )
        if any(incidents_per_day.values())
        else None,
    )


def check(
    known: Schema,
    profiles: Profiles,
    columns: Columns,
    incidents_per_day: Incidents,
    enforcement: Enforcement | None = None,
) -> list[Breach]:
    """Say what these days (new, or made again) have that does not fit; each once, at its first."""
    limits = enforcement or Enforcement()
    breaches = list(presence.columns(known, columns))
    for day in sorted(profiles):
        breaches += _of_a_day(known, day, profiles[day], limits)
        incidents = _incidents(profiles[day], incidents_per_day.get(day, 0), known.hours)
        if known.incidents and rates.has_jumped(incidents, known.incidents, limits.label_factor):
            breaches.append(_jump("incidents", day, incidents, known.incidents))
    return gathered(breaches)


def look_back(
    profiles: Profiles, columns: Columns, incidents_per_day: Incidents, limits: Enforcement
) -> list[Breach]:
    """Say what changed within the days themselves, where nothing is known yet to check them by.

    Each week is held against all days before it.
    """
    days, found = sorted(profiles), []
    for end in range(_WEEK, len(days), _WEEK):
        known = infer({d: profiles[d] for d in days[:end]}, columns, {}, incidents_per_day)
        week = {d: profiles[d] for d in days[end : end + _WEEK]}
        found += check(known, week, columns, incidents_per_day, limits)
    return gathered(found)


def check_quarantine(counts: Counts, limit: float, first: str = "") -> list[Breach]:
    """Say that more than the share `limit` of the records was quarantined, and what was first."""
    share = counts.quarantined / max(counts.records_in, 1)
    if share <= limit:
        return []
    found = f"{counts.quarantined:,} of {counts.records_in:,} records ({share:.1%})"
    expected = f"{limit:.1%} at most by ingest.max_quarantined"
    says = f"another format than it was? The first: {first}." if first else "another format?"
    way = "Mend what is there, or allow a higher share"
    return [Breach("quarantine", "quarantined", "", found, expected, says, way)]


def per_day(incidents: pl.DataFrame) -> dict[str, int]:
    """Count the incidents that began on each day, in UTC."""
    days = incidents.select(day=pl.col("start").dt.date().cast(pl.String))
    return dict(days.group_by("day").len().sort("day").rows())


def differences(known: Schema, inferred: Schema) -> list[str]:
    """List what was learnt otherwise, a line a value: what stood there, and what would."""
    before, after = _leaves(form.as_tree(known)), _leaves(form.as_tree(inferred))
    names = sorted(set(before) | set(after))
    return [
        f"{name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _of_a_day(
    known: Schema, day: str, found: Mapping[str, Any], limits: Enforcement
) -> Iterator[Breach]:
    for name, values in found["columns"].items():
        if name in known.columns:
            counted = {**values, "rows": found["rows"]}
            column = known.columns[name]
            yield from presence.silence(name, day, counted, column, limits.missing_more)
            yield from units.breaches(name, day, counted, column, limits.unit_factor)
    yield from presence.entities(day, found, known, limits.entities_least)
    yield from presence.untold(day, found, known, limits.missing_more)
    if known.outcome and known.outcome.rate and "outcome" in found:
        told = _told(found, known.hours)
        if rates.has_jumped(told, known.outcome.rate, limits.label_factor):
            yield _jump(OUTCOME, day, told, known.outcome.rate)


def _jump(what: str, day: str, found: rates.Day, known: Rate) -> Breach:
    unit = "of the rows failed" if found.is_share else "per entity and day"
    says = "do labels mean the same as before, or are they the wrong way round?"
    if not found.is_share:
        says = "are they reported as before?"
    times = found.rate / known.rate
    often = f"{number(times)} times as often" if times > 1 else f"{number(1 / times)} times as rare"
    told = f"{number(found.rate)} {unit}"
    until = f"{span(known.range)} a day until then"
    way = f"Mend their origin, or {ACCEPT}"
    return Breach("rate", what, day, told, until, f"{often}; {says}", way)


def _middle(found: list[Mapping[str, Any]], name: str) -> float:
    return form.rounded(median(one[name] for one in found))


def _least_and_most(counts: list[int]) -> tuple[int, int]:
    return min(counts), max(counts)


def _groups(full: list[Mapping[str, Any]], columns: Columns) -> dict[str, tuple[int, int]]:
    """Take the groups as told; those read off names only where several entities make one up."""
    names = sorted({name for one in full for name in one["groups"]})
    counts = {n: _least_and_most([one["groups"].get(n, 0) for one in full]) for n in names}
    if columns.group:
        return counts
    several = {name: count for name, count in counts.items() if count[0] > 1}
    return several if len(counts) > 1 else {}


def _column(name: str, found: list[Mapping[str, Any]], units: Mapping[str, str]) -> Column:
    days = [(one["columns"][name], one["rows"]) for one in found if name in one["columns"]]
    shares = [column["nulls"] / rows for column, rows in days if rows >= presence.MIN_ROWS]
    told = [column for column, _ in days if "scale" in column]
    return Column(
        unit=units.get(name),
        nulls=form.rounded(max(shares, default=0.0)),
        low=_ends(told, "low", min),
        high=_ends(told, "high", max),
        q01=_range(told, "q01"),
        median=_range(told, "median"),
        q99=_range(told, "q99"),
        scale=_range(told, "scale"),
    )


def _ends(
    told: list[Mapping[str, float]], quantile: str, end: Callable[[list[float]], float]
) -> float | None:
    return form.rounded(end([column[quantile] for column in told])) if told else None


def _range(told: list[Mapping[str, float]], quantile: str) -> Range | None:
    values = [form.rounded(column[quantile]) for column in told]
    return (min(values), max(values)) if values else None


def _outcome(found: list[Mapping[str, Any]], hours: Range) -> Outcome:
    there = [one for one in found if "outcome" in one]
    shares = [
        one["outcome"]["told"] / one["rows"]
        for one in there
        if one["rows"] >= presence.MIN_ROWS and presence.is_full(one, hours)
    ]
    rate = rates.learn([_told(one, hours) for one in there])
    return Outcome(rate=rate, told=form.rounded(min(shares, default=0.0)))


def _told(found: Mapping[str, Any], hours: Range) -> rates.Day:
    told, positive = found["outcome"]["told"], found["outcome"]["positive"]
    entity_hours = found["entities"] * _hours(found)
    full = presence.is_full(found, hours)
    return rates.Day(positive, told, min(told, entity_hours), is_full=full, is_share=True)


def _incidents(found: Mapping[str, Any], count: int, hours: Range) -> rates.Day:
    """Take a day that isn't over as the part that has passed."""
    passed = min(1.0, _hours(found) / max(hours[1] - hours[0], 1.0))
    full = presence.is_full(found, hours)
    days = found["entities"] * (1.0 if full else passed)
    return rates.Day(count, days, days, is_full=full, is_share=False)


def _hours(found: Mapping[str, Any]) -> float:
    return max(float(found["until"] - found["from"]), 1.0)


def _leaves(tree: object, name: str = "") -> dict[str, str]:
    if not isinstance(tree, Mapping):
        return {name: str(tree)}
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{name}.{key}" if name else str(key))
    return found
