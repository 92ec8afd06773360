"""Another unit than yesterday: how it shows in quantiles, and what it is likely to be called."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cll.pipeline.ingest.readers.casting import UNITS
from cll.pipeline.ingest.schema.breach import ACCEPT, Breach, number, span
from cll.pipeline.ingest.schema.form import Column, Range

# Times the factor, beyond all that was known, where 1 % of a day's rows lie.
_PART_ABOVE, _PART_BELOW = 2.5, 0.5
FEW = 100  # rows of a day that are all alike prove nothing
FEW_TAILED = 500  # rows of a day, of which 1 % prove nothing
_LIKE = 2.5  # a factor is recognised within so many times as much or as little
_BOUNDS = (1.0, 100.0)  # a column that reached one of these, and never passed it, is bounded
_OVER_BOUND = 1.5
_QUANTILES = ("q01", "median", "q99", "scale")
_ENOUGH = 2  # quantiles that are not 0: else a column tells too seldom to be judged


@dataclass(frozen=True)
class Change:
    """What numbers grew by when `coarse` became `fine`; the units are source.signals.unit's."""

    factor: float
    coarse: str
    fine: str
    coarse_unit: str
    fine_unit: str


_SHARES = (
    Change(100, "a ratio", "percent", "ratio", "percent"),
    Change(1000, "a ratio", "permille", "ratio", "permille"),
)
_SPANS = (
    Change(60, "minutes", "seconds", "min", "s"),
    Change(1e3, "seconds", "milliseconds", "s", "ms"),
    Change(3600, "hours", "seconds", "h", "s"),
    Change(1e6, "seconds", "microseconds", "s", "us"),
    Change(1e9, "seconds", "nanoseconds", "s", "ns"),
)
_SIZES = (
    Change(1024, "KiB", "bytes", "KiB", "B"),
    Change(1024**2, "MiB", "bytes", "MiB", "B"),
    Change(1024**3, "GiB", "bytes", "GiB", "B"),
)
_KINDS = {"ratio": _SHARES, "percent": _SHARES, "s": _SPANS, "B": _SIZES}
_BY_NAME = (
    (re.compile(r"(?i)bytes|_[kmg]i?b?$|_size|heap|rss"), _SIZES),
    (re.compile(r"(?i)time|latency|duration|delay|seconds|elapsed|_[mun]?s$"), _SPANS),
    (re.compile(r"(?i)usage|rate|ratio|share|percent|pct|util|load"), _SHARES),
)


def kept_in(source: Mapping[str, Any]) -> dict[str, str]:
    """Name the units that columns are kept in, as far as the source's settings tell.

    >>> kept_in({"signals": {"unit": {"response_time": "ms"}}})
    {'response_time': 's'}
    """
    told = source.get("signals", {}).get("unit", {})
    return {name: UNITS[unit][2] for name, unit in told.items()}


def breaches(
    name: str, day: str, found: Mapping[str, Any], known: Column, factor: float
) -> Iterator[Breach]:
    """Yield what a day's values say of a broken unit, or of an instrument that is stuck.

    A whole column in another unit has each quantile moved, one way and `factor` times beyond all
    days known; an outage or a drift moves some of them, or less. `found` is of `cll.pipeline.ingest.profile`.
    """
    if known.high is None or known.low is None or "scale" not in found:
        return
    turn, part = _turn(found, known, factor), _part(found, known, factor)
    if turn is not None:
        yield _scaled(name, day, found, known, turn)
    elif part is not None:
        yield _in_part(name, day, found[part[0]], part[1])
    elif _is_stuck(found, known):
        says = "an instrument that is stuck, or a default for what is missing?"
        same = f"{number(found['low'])} in every row"
        way = f"Mend its origin, or {ACCEPT}"
        yield Breach(
            "stuck", name, day, same, f"{_span(known.median)} in the middle until then", says, way
        )


def _turn(found: Mapping[str, Any], known: Column, factor: float) -> float | None:
    """Return how many times as much (below 1: as little) the whole column is, or None."""
    beyond = []
    for quantile in _QUANTILES:
        sizes = _sizes(found[quantile], getattr(known, quantile))
        if sizes is not None:
            size, low, high = sizes
            beyond.append(math.log(size / min(max(size, low), high)))
    least = min((abs(value) for value in beyond), default=0.0)
    if len(beyond) < _ENOUGH or least < math.log(factor) or min(beyond) < 0 < max(beyond):
        return None
    low, high = known.scale or (1.0, 1.0)
    return float(found["scale"] / math.sqrt(low * high))


def _sizes(value: float, ends: Range | None) -> tuple[float, float, float] | None:
    """Return value and ends without their sign, or None where that or a 0 forbids to compare."""
    if ends is None or value * ends[0] <= 0 or value * ends[1] <= 0:
        return None
    low, high = sorted((abs(ends[0]), abs(ends[1])))
    return abs(value), low, high


def _part(found: Mapping[str, Any], known: Column, factor: float) -> tuple[str, float] | None:
    """Tell which quantile lies where no value known did, and how far; a bound is no range.

    Outages stretch the upper end by far more than anything does the lower one, and 0 is what an
    idle day says.
    """
    if found["rows"] - found["nulls"] < FEW_TAILED:
        return None
    low, high = known.low or 0.0, known.high or 0.0
    bounded = low >= 0 and (high in _BOUNDS or (known.unit == "ratio" and 0 < high <= 1))
    upper = _OVER_BOUND if bounded else _PART_ABOVE * factor
    if high > 0 and found["q99"] >= upper * high:
        return "q99", found["q99"] / high
    if 0 < found["q01"] <= low / (_PART_BELOW * factor):
        return "q01", found["q01"] / low
    return None


def _is_stuck(found: Mapping[str, Any], known: Column) -> bool:
    """Tell whether a column that differed within each day known is one number now."""
    if found["low"] != found["high"] or known.q99 is None or known.median is None:
        return False
    return bool(found["rows"] - found["nulls"] >= FEW and known.q99[0] > known.median[1])


def _scaled(name: str, day: str, found: Mapping[str, Any], known: Column, turn: float) -> Breach:
    what = "median" if found["median"] else "typical size"
    value, ends = (
        (found["median"], known.median) if found["median"] else (found["scale"], known.scale)
    )
    guess, unit = named(name, known.unit, turn)
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
    found = f"1 % of the rows {side} {number(value)}"
    until = f"{number(value / turn)} {least} until then"
    way = f"Mend those files, or {ACCEPT}"
    return Breach("part", name, day, found, until, says, way)


def named(name: str, unit: str | None, turn: float) -> tuple[str, str | None]:
    """Guess what became what, by unit or name; the unit is the one to set, if it is known.

    >>> named("cpu_usage", None, 98.0)
    ('a ratio that became percent', 'percent')
    >>> named("response_time", "s", 1 / 1000)
    ('milliseconds that became seconds', 's')
    """
    changes = _KINDS.get(unit or "") or next(
        (changes for pattern, changes in _BY_NAME if pattern.search(name)),
        _SHARES[:1] + _SPANS + _SIZES,
    )
    size = abs(math.log(turn))
    near = min(changes, key=lambda one: abs(size - math.log(one.factor)))
    if abs(size - math.log(near.factor)) > math.log(_LIKE):
        return "another unit", None
    if turn > 1:
        return f"{near.coarse} that became {near.fine}", near.fine_unit
    return f"{near.fine} that became {near.coarse}", near.coarse_unit


def _times(turn: float) -> str:
    return f"{number(turn)} times as much" if turn > 1 else f"{number(1 / turn)} times as little"


def _span(ends: Range | None) -> str:
    return span(ends) if ends else "nothing"
