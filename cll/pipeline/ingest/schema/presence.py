"""What was there on the days known, and is not: columns, their values, groups and entities."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from cll.pipeline.ingest.schema.breach import ACCEPT, Breach
from cll.pipeline.ingest.schema.form import Column, Range, Schema
from cll.types.tables import OUTCOME, Columns

MIN_ROWS = 20  # of a day, to judge the share of what it lacks
_SLACK_HOURS = 1.0  # that a full day may begin later or end earlier than usual


def is_full(found: Mapping[str, Any], hours: Range) -> bool:
    """Tell whether a day is over, by the hours from which and until which its rows usually are."""
    begins, ends = (
        found["from"] <= hours[0] + _SLACK_HOURS,
        found["until"] >= hours[1] - _SLACK_HOURS,
    )
    return bool(begins and ends)


def columns(known: Schema, now: Columns) -> Iterator[Breach]:
    """Yield what the source's columns lack, and what they have that is new."""
    before = [*known.columns, *([OUTCOME] if known.outcome else [])]
    there = [*now.numeric, *([OUTCOME] if now.outcome else [])]
    gone = [name for name in before if name not in there]
    fresh = [name for name in there if name not in before]
    for name in gone:
        near = difflib.get_close_matches(name, fresh, n=1, cutoff=0.4)
        similar = f"; similar: {near[0]}" if near else ""
        way = f"Map it by source.signals.columns.{name}, or {ACCEPT}"
        says = "renamed?" if near else "dropped?"
        yield Breach("missing", f"missing {name}{similar}", "", "no such column", "", says, way)
    for name in fresh:
        way = f"{ACCEPT[0].upper()}{ACCEPT[1:]}, or drop source.signals.columns.{name}"
        yield Breach("new", name, "", "a new column", "", "not in the schema.", way)


def silence(
    name: str, day: str, found: Mapping[str, Any], known: Column, more: float
) -> Iterator[Breach]:
    """Yield a column that lacks `more` of its values than on any day known."""
    rows = found["rows"]
    if rows < MIN_ROWS or found["nulls"] / rows <= known.nulls + more:
        return
    share = found["nulls"] / rows
    says = "gone silent, or published under another name?"
    way = f"Mend its origin, map it by source.signals.columns.{name}, or {ACCEPT}"
    until = f"{known.nulls:.1%} at most until then"
    yield Breach("silent", name, day, f"{share:.1%} of the values missing", until, says, way)


def untold(day: str, found: Mapping[str, Any], known: Schema, more: float) -> Iterator[Breach]:
    """Yield a full day that lacks `more` of its outcomes than any known."""
    outcome = found.get("outcome")
    if not known.outcome or not outcome or found["rows"] < MIN_ROWS:
        return
    share = outcome["told"] / found["rows"]
    if is_full(found, known.hours) and share < known.outcome.told - more:
        until = f"{known.outcome.told:.1%} at least until then"
        way = f"Mend its origin, map it by source.signals.columns.{OUTCOME}, or {ACCEPT}"
        told = f"told by {share:.1%} of the rows"
        yield Breach("silent", OUTCOME, day, told, until, "labels that no longer come?", way)


def entities(day: str, found: Mapping[str, Any], known: Schema, least: float) -> Iterator[Breach]:
    """Yield groups that vanished, and a fleet of less than the share `least` of its smallest."""
    if not is_full(found, known.hours):
        return
    there = found["groups"]
    for name, (fewest, most) in known.groups.items():
        # Without any group, the day has too many to be counted.
        if there and fewest and name not in there:
            near = difflib.get_close_matches(name, [n for n in there if n not in known.groups], n=1)
            says = f"gone, or named otherwise{f' ({near[0]})' if near else ''}?"
            usual = f"{fewest} to {most} until then" if fewest < most else f"{most} until then"
            way = f"Wait for its data, mend their origin, or {ACCEPT}"
            yield Breach("group", f"group {name}", day, "no entity", usual, says, way)
    if found["entities"] < least * known.entities[0]:
        count = found["entities"]
        says = "is part of the fleet not delivered?"
        way = f"Wait for the data, mend their origin, or {ACCEPT}"
        usual = f"{known.entities[0]} at least until then"
        yield Breach("entities", "entities", day, f"{count} are there", usual, says, way)
