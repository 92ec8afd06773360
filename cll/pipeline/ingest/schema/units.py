"""Detect a column whose unit changed, by its quantiles, and guess the two units."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cll.pipeline.ingest.readers.casting import UNITS
from cll.pipeline.ingest.schema.breach import ACCEPT, Breach, number, span
from cll.pipeline.ingest.schema.form import Column, Range

# 1 % of a day's rows beyond the schema's range times `factor` times this is a breach.
_PART_ABOVE, _PART_BELOW = 2.5, 0.5
FEW = 100  # fewer equal rows do not prove a stuck instrument
FEW_TAILED = 500  # 1 % of fewer rows proves nothing
_LIKE = 2.5  # a unit factor is recognised if it is off by at most this factor
_BOUNDS = (1.0, 100.0)  # a column whose maximum is exactly one of these counts as bounded by it
_OVER_BOUND = 1.5
_QUANTILES = ("q01", "median", "q99", "scale")
_ENOUGH = 2  # nonzero quantiles that a judgement needs


@dataclass(frozen=True)
class UnitChange:
    """A change from the unit `coarse` to `fine` multiplies numbers by `factor`.

    `coarse_unit` and `fine_unit` are values of source.signals.unit.
    """

    factor: float
    coarse: str
    fine: str
    coarse_unit: str
    fine_unit: str


_SHARES = (
    UnitChange(100, "a ratio", "percent", "ratio", "percent"),
    UnitChange(1000, "a ratio", "permille", "ratio", "permille"),
)
_SPANS = (
    UnitChange(60, "minutes", "seconds", "min", "s"),
    UnitChange(1e3, "seconds", "milliseconds", "s", "ms"),
    UnitChange(3600, "hours", "seconds", "h", "s"),
    UnitChange(1e6, "seconds", "microseconds", "s", "us"),
    UnitChange(1e9, "seconds", "nanoseconds", "s", "ns"),
)
_SIZES = (
    UnitChange(1024, "KiB", "bytes", "KiB", "B"),
    UnitChange(1024**2, "MiB", "bytes", "MiB", "B"),
    UnitChange(1024**3, "GiB", "bytes", "GiB", "B"),
)
_KINDS = {"ratio": _SHARES, "percent": _SHARES, "s": _SPANS, "B": _SIZES}
_BY_NAME = (
    (re.compile(r"(?i)bytes|_[kmg]i?b?$|_size|heap|rss"), _SIZES),
    (re.compile(r"(?i)time|latency|duration|delay|seconds|elapsed|_[mun]?s$"), _SPANS),
    (re.compile(r"(?i)usage|rate|ratio|share|percent|pct|util|load"), _SHARES),
)


def stored_units(source: Mapping[str, Any]) -> dict[str, str]:
    """Return the unit of each column's stored values, where the source's settings name one.

    >>> stored_units({"signals": {"unit": {"response_time": "ms"}}})
    {'response_time': 's'}
    """
    units = source.get("signals", {}).get("unit", {})
    return {name: UNITS[unit][2] for name, unit in units.items()}


def breaches(
    name: str, day: str, profile: Mapping[str, Any], column: Column, factor: float
) -> Iterator[Breach]:
    """Yield a breach if a day's values suggest a changed unit or a stuck instrument.

    A changed unit moves every quantile in one direction, at least `factor` times beyond the range
    of all earlier days; an outage or a drift moves only some quantiles, or less far. `profile` is
    the column's part of the day's profile, with the number of rows.
    """
    if column.high is None or column.low is None or "scale" not in profile:
        return
    turn, part = _scale_change(profile, column, factor), _tail_change(profile, column, factor)
    if turn is not None:
        yield _scaled(name, day, profile, column, turn)
    elif part is not None:
        yield _in_part(name, day, profile[part[0]], part[1])
    elif _is_stuck(profile, column):
        says = "a stuck instrument, or a default value for missing ones?"
        same = f"{number(profile['low'])} in every row"
        way = f"Mend its origin, or {ACCEPT}"
        yield Breach(
            "stuck", name, day, same, f"{_span(column.median)} in the middle until then", says, way
        )


def _scale_change(profile: Mapping[str, Any], column: Column, factor: float) -> float | None:
    """Return the factor by which the whole column's scale changed; None if it did not."""
    beyond = []
    for quantile in _QUANTILES:
        sizes = _sizes(profile[quantile], getattr(column, quantile))
        if sizes is not None:
            size, low, high = sizes
            beyond.append(math.log(size / min(max(size, low), high)))
    least = min((abs(value) for value in beyond), default=0.0)
    if len(beyond) < _ENOUGH or least < math.log(factor) or min(beyond) < 0 < max(beyond):
        return None
    low, high = column.scale or (1.0, 1.0)
    return float(profile["scale"] / math.sqrt(low * high))


def _sizes(value: float, ends: Range | None) -> tuple[float, float, float] | None:
    """Return absolute value and range.

    None if a 0 or a change of sign makes a comparison impossible.
    """
    if ends is None or value * ends[0] <= 0 or value * ends[1] <= 0:
        return None
    low, high = sorted((abs(ends[0]), abs(ends[1])))
    return abs(value), low, high


def _tail_change(
    profile: Mapping[str, Any], column: Column, factor: float
) -> tuple[str, float] | None:
    """Return the quantile that lies beyond all earlier values, and its ratio to them, or None.

    This finds a unit change in a part of the rows. Outages stretch the upper end much more than the
    lower one, so the upper limit is wider. A bounded column has a narrow upper limit. A q01 of 0 is
    normal on an idle day.
    """
    if profile["rows"] - profile["nulls"] < FEW_TAILED:
        return None
    low, high = column.low or 0.0, column.high or 0.0
    bounded = low >= 0 and (high in _BOUNDS or (column.unit == "ratio" and 0 < high <= 1))
    upper = _OVER_BOUND if bounded else _PART_ABOVE * factor
    if high > 0 and profile["q99"] >= upper * high:
        return "q99", profile["q99"] / high
    if 0 < profile["q01"] <= low / (_PART_BELOW * factor):
        return "q01", profile["q01"] / low
    return None


def _is_stuck(profile: Mapping[str, Any], column: Column) -> bool:
    """Return whether a column that varied within each earlier day is constant now."""
    if profile["low"] != profile["high"] or column.q99 is None or column.median is None:
        return False
    return bool(profile["rows"] - profile["nulls"] >= FEW and column.q99[0] > column.median[1])


def _scaled(name: str, day: str, profile: Mapping[str, Any], column: Column, turn: float) -> Breach:
    what = "median" if profile["median"] else "typical size"
    value, ends = (
        (profile["median"], column.median)
        if profile["median"]
        else (profile["scale"], column.scale)
    )
    guess, unit = guess_units(name, column.unit, turn)
    way = f"set source.signals.unit.{name}={unit} if all are so, " if unit else ""
    way = f"Mend the files, {way}or {ACCEPT}"
    return Breach(
        "unit",
        name,
        day,
        f"{what} {number(value)}",
        f"{_span(ends)} until then",
        f"{_times(turn)}: {guess}?",
        way,
    )


def _in_part(name: str, day: str, value: float, turn: float) -> Breach:
    side, least = ("over", "at most") if turn > 1 else ("under", "at least")
    says = f"{_times(turn)}: part of the rows in another unit?"
    actual = f"1 % of the rows {side} {number(value)}"
    until = f"{number(value / turn)} {least} until then"
    way = f"Mend those files, or {ACCEPT}"
    return Breach("part", name, day, actual, until, says, way)


def guess_units(name: str, unit: str | None, turn: float) -> tuple[str, str | None]:
    """Return a guess of the two units, by unit or column name, and the unit to set, if known.

    >>> guess_units("cpu_usage", None, 98.0)
    ('a ratio that became percent', 'percent')
    >>> guess_units("response_time", "s", 1 / 1000)
    ('milliseconds that became seconds', 's')
    """
    changes = _KINDS.get(unit or "") or next(
        (changes for pattern, changes in _BY_NAME if pattern.search(name)),
        _SHARES[:1] + _SPANS + _SIZES,
    )
    size = abs(math.log(turn))
    near = min(changes, key=lambda change: abs(size - math.log(change.factor)))
    if abs(size - math.log(near.factor)) > math.log(_LIKE):
        return "another unit", None
    if turn > 1:
        return f"{near.coarse} that became {near.fine}", near.fine_unit
    return f"{near.fine} that became {near.coarse}", near.coarse_unit


def _times(turn: float) -> str:
    return f"{number(turn)} times as much" if turn > 1 else f"{number(1 / turn)} times as little"


def _span(ends: Range | None) -> str:
    return span(ends) if ends else "nothing"
