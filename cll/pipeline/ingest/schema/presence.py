"""Find columns, values, groups and entities that earlier days had and a new day lacks."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from cll.pipeline.ingest.schema.breach import ACCEPT, Breach
from cll.pipeline.ingest.schema.form import Column, Range, Schema
from cll.types.tables import OUTCOME, Columns

MIN_ROWS = 20  # of a day: fewer are too few to compare shares
_SLACK_HOURS = 1.0  # a full day may begin this much later, or end this much earlier


def is_full(profile: Mapping[str, Any], hours: Range) -> bool:
    """Return whether a day is complete: its rows cover the usual `hours` of a day."""
    begins, ends = (
        profile["from"] <= hours[0] + _SLACK_HOURS,
        profile["until"] >= hours[1] - _SLACK_HOURS,
    )
    return bool(begins and ends)


def columns(schema: Schema, now: Columns) -> Iterator[Breach]:
    """Yield each schema column that the source lacks, and each new column."""
    before = [*schema.columns, *([OUTCOME] if schema.outcome else [])]
    present = [*now.numeric, *([OUTCOME] if now.outcome else [])]
    gone = [name for name in before if name not in present]
    fresh = [name for name in present if name not in before]
    for name in gone:
        near = difflib.get_close_matches(name, fresh, n=1, cutoff=0.4)
        similar = f"; similar: {near[0]}" if near else ""
        way = f"Map it by source.signals.columns.{name}, or {ACCEPT}"
        says = "renamed?" if near else "dropped?"
        yield Breach("missing", f"missing {name}{similar}", "", "no such column", "", says, way)
    for name in fresh:
        way = f"{ACCEPT[0].upper()}{ACCEPT[1:]}, or drop source.signals.columns.{name}"
        yield Breach("new", name, "", "a new column", "", "not in the schema.", way)


def missing_values(
    name: str, day: str, values: Mapping[str, Any], column: Column, more: float
) -> Iterator[Breach]:
    """Yield a breach if the share of missing values exceeds the schema's highest by `more`."""
    rows = values["rows"]
    if rows < MIN_ROWS or values["nulls"] / rows <= column.nulls + more:
        return
    share = values["nulls"] / rows
    says = "gone silent, or published under another name?"
    way = f"Mend its origin, map it by source.signals.columns.{name}, or {ACCEPT}"
    until = f"{column.nulls:.1%} at most until then"
    yield Breach("silent", name, day, f"{share:.1%} of the values missing", until, says, way)


def missing_outcomes(
    day: str, profile: Mapping[str, Any], schema: Schema, more: float
) -> Iterator[Breach]:
    """Yield a breach if a full day's share of rows with an outcome fell by more than `more`."""
    outcome = profile.get("outcome")
    if not schema.outcome or not outcome or profile["rows"] < MIN_ROWS:
        return
    share = outcome["told"] / profile["rows"]
    if is_full(profile, schema.hours) and share < schema.outcome.told - more:
        until = f"{schema.outcome.told:.1%} at least until then"
        way = f"Mend its origin, map it by source.signals.columns.{OUTCOME}, or {ACCEPT}"
        actual = f"given in {share:.1%} of the rows"
        yield Breach("silent", OUTCOME, day, actual, until, "are labels no longer delivered?", way)


def entities(
    day: str, profile: Mapping[str, Any], schema: Schema, least: float
) -> Iterator[Breach]:
    """Yield vanished groups, and a fleet smaller than `least` times the smallest fleet before."""
    if not is_full(profile, schema.hours):
        return
    groups = profile["groups"]
    for name, (fewest, most) in schema.groups.items():
        # A day without any group had too many to count.
        if groups and fewest and name not in groups:
            near = difflib.get_close_matches(
                name, [n for n in groups if n not in schema.groups], n=1
            )
            says = f"gone, or named otherwise{f' ({near[0]})' if near else ''}?"
            usual = f"{fewest} to {most} until then" if fewest < most else f"{most} until then"
            way = f"Wait for its data, mend their origin, or {ACCEPT}"
            yield Breach("group", f"group {name}", day, "no entity", usual, says, way)
    if profile["entities"] < least * schema.entities[0]:
        count = profile["entities"]
        says = "is part of the fleet not delivered?"
        way = f"Wait for the data, mend their origin, or {ACCEPT}"
        usual = f"{schema.entities[0]} at least until then"
        yield Breach("entities", "entities", day, f"only {count} reported", usual, says, way)
