"""Step: infer a schema from the first days of data, and check later days against it.

A day never breaches a schema that was inferred from it. Drift is no breach; a value is one only
if it looks like a broken unit, source or label.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any, Literal

import polars as pl
from annotated_types import Ge, Interval

from cll.pipeline.ingest.schema import form, presence, rates, units
from cll.pipeline.ingest.schema.breach import ACCEPT, Breach, merge_days, number, span
from cll.pipeline.ingest.schema.form import Column, OutcomeRates, Range, Rate, Schema
from cll.types.records import Counts
from cll.types.tables import OUTCOME, Columns

Profiles = Mapping[str, Mapping[str, Any]]  # profile of each day, see cll.pipeline.ingest.profile
Incidents = Mapping[str, int]  # number of incidents that began on each day
Share = Annotated[float, Interval(ge=0, le=1)]
_WEEK = 7


@dataclass(frozen=True)
class Enforcement:
    """The limits of the checks; conf/ingest/default.yaml explains each."""

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
    """Return the schema of these days; `units` is the unit of each column that the config names."""
    days = sorted(profiles)
    in_order = [profiles[day] for day in days]
    hours = _middle(in_order, "from"), _middle(in_order, "until")
    full = [profile for profile in in_order if presence.is_full(profile, hours)] or in_order
    return Schema(
        since=days[0],
        until=days[-1],
        days=len(days),
        hours=hours,
        entities=_least_and_most([profile["entities"] for profile in full]),
        groups=_groups(full, columns),
        columns={n: _column(n, in_order, units) for n in sorted(columns.numeric)},
        outcome=_outcome(in_order, hours) if columns.outcome else None,
        incidents=rates.estimate(
            [_incident_counts(profiles[d], incidents_per_day.get(d, 0), hours) for d in days]
        )
        if any(incidents_per_day.values())
        else None,
    )


def check(
    schema: Schema,
    profiles: Profiles,
    columns: Columns,
    incidents_per_day: Incidents,
    enforcement: Enforcement | None = None,
) -> list[Breach]:
    """Return the breaches of these days, which are new or were built again.

    A breach that recurs is listed once, for its first day.
    """
    limits = enforcement or Enforcement()
    breaches = list(presence.columns(schema, columns))
    for day in sorted(profiles):
        breaches += _day_breaches(schema, day, profiles[day], limits)
        incidents = _incident_counts(profiles[day], incidents_per_day.get(day, 0), schema.hours)
        if schema.incidents and rates.has_jumped(incidents, schema.incidents, limits.label_factor):
            breaches.append(_jump("incidents", day, incidents, schema.incidents))
    return merge_days(breaches)


def look_back(
    profiles: Profiles, columns: Columns, incidents_per_day: Incidents, limits: Enforcement
) -> list[Breach]:
    """Return the breaches within the days themselves, when there is no schema yet.

    Each week is checked against a schema of all days before it.
    """
    days, breaches = sorted(profiles), []
    for end in range(_WEEK, len(days), _WEEK):
        schema = infer({d: profiles[d] for d in days[:end]}, columns, {}, incidents_per_day)
        week = {d: profiles[d] for d in days[end : end + _WEEK]}
        breaches += check(schema, week, columns, incidents_per_day, limits)
    return merge_days(breaches)


def check_quarantine(counts: Counts, limit: float, first: str = "") -> list[Breach]:
    """Return a breach if more than the share `limit` of the records was quarantined."""
    share = counts.quarantined / max(counts.records_in, 1)
    if share <= limit:
        return []
    actual = f"{counts.quarantined:,} of {counts.records_in:,} records ({share:.1%})"
    expected = f"{limit:.1%} at most by ingest.max_quarantined"
    says = f"did the format change? The first: {first}." if first else "did the format change?"
    way = "Mend the files, or allow a higher share"
    return [Breach("quarantine", "quarantined", "", actual, expected, says, way)]


def per_day(incidents: pl.DataFrame) -> dict[str, int]:
    """Count the incidents that began on each day, in UTC."""
    days = incidents.select(day=pl.col("start").dt.date().cast(pl.String))
    return dict(days.group_by("day").len().sort("day").rows())


def differences(committed: Schema, inferred: Schema) -> list[str]:
    """Return one line for each value that differs: the committed one and the inferred one."""
    before, after = _leaves(form.as_tree(committed)), _leaves(form.as_tree(inferred))
    names = sorted(set(before) | set(after))
    return [
        f"{name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _day_breaches(
    schema: Schema, day: str, profile: Mapping[str, Any], limits: Enforcement
) -> Iterator[Breach]:
    for name, values in profile["columns"].items():
        if name in schema.columns:
            counted = {**values, "rows": profile["rows"]}
            column = schema.columns[name]
            yield from presence.missing_values(name, day, counted, column, limits.missing_more)
            yield from units.breaches(name, day, counted, column, limits.unit_factor)
    yield from presence.entities(day, profile, schema, limits.entities_least)
    yield from presence.missing_outcomes(day, profile, schema, limits.missing_more)
    if schema.outcome and schema.outcome.rate and "outcome" in profile:
        counts = _outcome_counts(profile, schema.hours)
        if rates.has_jumped(counts, schema.outcome.rate, limits.label_factor):
            yield _jump(OUTCOME, day, counts, schema.outcome.rate)


def _jump(what: str, day: str, counts: rates.DayCounts, usual: Rate) -> Breach:
    unit = "of the rows failed" if counts.is_share else "per entity and day"
    says = "do labels mean the same as before, or are they the wrong way round?"
    if not counts.is_share:
        says = "are they still reported in the same way?"
    times = counts.rate / usual.rate
    often = f"{number(times)} times as often" if times > 1 else f"{number(1 / times)} times as rare"
    actual = f"{number(counts.rate)} {unit}"
    until = f"{span(usual.range)} a day until then"
    way = f"Mend their origin, or {ACCEPT}"
    return Breach("rate", what, day, actual, until, f"{often}; {says}", way)


def _middle(profiles: list[Mapping[str, Any]], name: str) -> float:
    return form.rounded(median(profile[name] for profile in profiles))


def _least_and_most(counts: list[int]) -> tuple[int, int]:
    return min(counts), max(counts)


def _groups(full: list[Mapping[str, Any]], columns: Columns) -> dict[str, tuple[int, int]]:
    """Return the range of entities per group.

    Groups guessed from entity names count only if there are several, each of several entities.
    """
    names = sorted({name for profile in full for name in profile["groups"]})
    counts = {n: _least_and_most([profile["groups"].get(n, 0) for profile in full]) for n in names}
    if columns.group:
        return counts
    several = {name: count for name, count in counts.items() if count[0] > 1}
    return several if len(counts) > 1 else {}


def _column(name: str, profiles: list[Mapping[str, Any]], units: Mapping[str, str]) -> Column:
    days = [
        (profile["columns"][name], profile["rows"])
        for profile in profiles
        if name in profile["columns"]
    ]
    shares = [column["nulls"] / rows for column, rows in days if rows >= presence.MIN_ROWS]
    filled = [column for column, _ in days if "scale" in column]
    return Column(
        unit=units.get(name),
        nulls=form.rounded(max(shares, default=0.0)),
        low=_ends(filled, "low", min),
        high=_ends(filled, "high", max),
        q01=_range(filled, "q01"),
        median=_range(filled, "median"),
        q99=_range(filled, "q99"),
        scale=_range(filled, "scale"),
    )


def _ends(
    columns: list[Mapping[str, float]], quantile: str, end: Callable[[list[float]], float]
) -> float | None:
    return form.rounded(end([column[quantile] for column in columns])) if columns else None


def _range(columns: list[Mapping[str, float]], quantile: str) -> Range | None:
    values = [form.rounded(column[quantile]) for column in columns]
    return (min(values), max(values)) if values else None


def _outcome(profiles: list[Mapping[str, Any]], hours: Range) -> OutcomeRates:
    with_outcome = [profile for profile in profiles if "outcome" in profile]
    shares = [
        profile["outcome"]["told"] / profile["rows"]
        for profile in with_outcome
        if profile["rows"] >= presence.MIN_ROWS and presence.is_full(profile, hours)
    ]
    rate = rates.estimate([_outcome_counts(profile, hours) for profile in with_outcome])
    return OutcomeRates(rate=rate, told=form.rounded(min(shares, default=0.0)))


def _outcome_counts(profile: Mapping[str, Any], hours: Range) -> rates.DayCounts:
    rows, positive = profile["outcome"]["told"], profile["outcome"]["positive"]
    entity_hours = profile["entities"] * _hours(profile)
    full = presence.is_full(profile, hours)
    return rates.DayCounts(positive, rows, min(rows, entity_hours), is_full=full, is_share=True)


def _incident_counts(profile: Mapping[str, Any], count: int, hours: Range) -> rates.DayCounts:
    """Return a day's incident counts; a day that is not full counts only for its passed hours."""
    passed = min(1.0, _hours(profile) / max(hours[1] - hours[0], 1.0))
    full = presence.is_full(profile, hours)
    days = profile["entities"] * (1.0 if full else passed)
    return rates.DayCounts(count, days, days, is_full=full, is_share=False)


def _hours(profile: Mapping[str, Any]) -> float:
    return max(float(profile["until"] - profile["from"]), 1.0)


def _leaves(tree: object, name: str = "") -> dict[str, str]:
    if not isinstance(tree, Mapping):
        return {name: str(tree)}
    leaves: dict[str, str] = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{name}.{key}" if name else str(key))
    return leaves
