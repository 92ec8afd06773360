"""Profiles of days of a small fleet; a test changes one thing in them."""

from cll.pipeline.ingest.schema import rules
from cll.types.tables import Columns

COLUMNS = Columns(numeric=("cpu_usage", "response_time"), outcome=True, group=True)
DAYS = [f"2026-01-{day:02d}" for day in range(1, 15)]
NEXT = "2026-01-15"


def column(median, nulls=0):
    sizes = {"low": 0.1, "q01": 0.2, "median": 1.0, "q99": 1.8, "high": 2.0, "scale": 1.0}
    return {"nulls": nulls, **{name: median * size for name, size in sizes.items()}}


def day(number=0, **changes):
    """Return the profile of a full day of 20 entities; about 1.5 % of its rows fail."""
    wave = 1 + 0.1 * ((number * 7) % 5 - 2)
    return {
        "rows": 5760,
        "entities": 20,
        "groups": {"web": 12, "batch": 8},
        "from": 0.0,
        "until": 23.92,
        "columns": {"cpu_usage": column(0.46 * wave), "response_time": column(0.3 / wave)},
        "outcome": {"told": 5700, "positive": round(86 * wave)},
        **changes,
    }


def days():
    return {name: day(number) for number, name in enumerate(DAYS)}


def incidents():
    return {name: 20 + number % 6 for number, name in enumerate(DAYS)}


def learnt(columns=COLUMNS, units=None):
    return rules.infer(days(), columns, units or {}, incidents())


def found(profile=None, count=22, known=None, columns=COLUMNS, limits=None):
    """Return the result of checking the next day against the schema."""
    profile = day() if profile is None else profile
    return rules.check(known or learnt(), {NEXT: profile}, columns, {NEXT: count}, limits)


def with_column(name, told, **changes):
    profile = day(**changes)
    return {**profile, "columns": {**profile["columns"], name: told}}
