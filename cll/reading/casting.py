"""Published values as canonical types: names, instants, numbers and outcomes, in stated units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from cll.errors import DataRefused
from cll.reading.records import FAULTS, Records
from cll.values import INSTANT, VALUE_WIDTH, Flags, config_error

# Factor, divisor and what is kept: shares as ratios, spans in seconds, sizes in bytes.
UNITS: dict[str, tuple[int, int, str]] = {
    "ratio": (1, 1, "ratio"),
    "percent": (1, 100, "ratio"),
    "permille": (1, 1000, "ratio"),
    "s": (1, 1, "s"),
    "ms": (1, 10**3, "s"),
    "us": (1, 10**6, "s"),
    "ns": (1, 10**9, "s"),
    "min": (60, 1, "s"),
    "h": (3600, 1, "s"),
    "B": (1, 1, "B"),
    "kB": (10**3, 1, "B"),
    "MB": (10**6, 1, "B"),
    "GB": (10**9, 1, "B"),
    "KiB": (2**10, 1, "B"),
    "MiB": (2**20, 1, "B"),
    "GiB": (2**30, 1, "B"),
}
EPOCHS = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}  # microseconds in one; ns are divided
YEARS = (1980, 2200)  # an epoch in the wrong unit falls out of these

_ISO = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")


Kind = Literal["name", "instant", "number", "outcome"]
_REQUIRED = frozenset({"entity", "time", "start", "known_at"})


@dataclass(frozen=True)
class Field:
    """One canonical column, and how to get it from a published one."""

    name: str
    column: str
    kind: Kind
    factor: float = 1  # of a number: times this,
    divisor: float = 1  # through this (dividing by 100 rounds right, times 0.01 doesn't)
    required: bool = False
    time_format: str = "iso"  # of an instant: iso, an epoch of EPOCHS, or strptime's
    zone: str | None = None  # of instants that name none; null refuses them


def fields(
    columns: Mapping[str, str | None], kinds: Mapping[str, Kind], time_format: str, zone: str | None
) -> list[Field]:
    """Return a field for each of `kinds` that `columns` has a published name for."""
    return [
        Field(name, column, kind, required=name in _REQUIRED, time_format=time_format, zone=zone)
        for name, kind in kinds.items()
        if (column := columns.get(name)) is not None
    ]


def factors(name: str, scale: Mapping[str, float], unit: Mapping[str, str]) -> tuple[float, float]:
    """Return factor and divisor of a number.

    >>> factors("cpu_usage", {}, {"cpu_usage": "percent"})
    (1, 100)
    """
    return (scale[name], 1) if name in scale else UNITS[unit.get(name, "ratio")][:2]


def check_times(key: str, time_format: str, zone: str | None) -> None:
    """Refuse a time format or zone that there is not; `key` is where they stand in the config."""
    if time_format != "iso" and time_format not in EPOCHS and "%" not in time_format:
        way = "there are iso, the epochs s, ms, us and ns, and strptime's, like %d/%m/%Y %H:%M."
        raise config_error(f"{key}.time_format", time_format, way)
    try:
        ZoneInfo(zone or "UTC")
    except (ValueError, OSError, KeyError):
        way = "no such time zone; write it like Europe/Berlin, or UTC."
        raise config_error(f"{key}.zone", zone, way) from None


def check_units(
    key: str, names: Sequence[str], scale: Mapping[str, float], unit: Mapping[str, str]
) -> None:
    """Refuse a conversion of no column, an unknown unit, and two conversions of one column."""
    for group, given in (("scale", scale), ("unit", unit)):
        for name in given:
            if name not in names:
                way = f"no such column; there are: {', '.join(names)}."
                raise config_error(f"{key}.{group}.{name}", given[name], way)
    for name, found in unit.items():
        if found not in UNITS:
            raise config_error(f"{key}.unit.{name}", found, f"there are: {', '.join(UNITS)}.")
        if name in scale:
            raise config_error(f"{key}.unit.{name}", found, "scale has it too; keep one.")
    for name, factor in scale.items():
        if factor == 0 or not np.isfinite(factor):
            raise config_error(f"{key}.scale.{name}", factor, "a factor is finite and not 0.")


Wrong = list[tuple[pl.Series, str]]  # a mask and the reason for it


def cast(records: Records, fields: Sequence[Field]) -> Records:
    """Return the rows under their canonical names and types; a record with a bad value is a fault.

    Blank text and NaN are missing values. A column of a type that can't be meant (a list, a number
    where times are ISO text) raises DataRefused.
    """
    columns: list[pl.Series] = []
    bad = np.zeros(records.rows.height, dtype=np.bool_)
    faults = [records.faults]
    for field in fields:
        published = records.rows[field.column]
        values, wrong = _KINDS[field.kind](published, field)
        if field.required:
            wrong = [*wrong, (_blank(published), "missing")]
        for mask, reason in wrong:
            fresh = mask.fill_null(value=False).to_numpy() & ~bad
            if fresh.any():
                faults.append(_faults(records, published, fresh, reason))
                bad |= fresh
        columns.append(values.alias(field.name))
    rows = pl.DataFrame(columns)
    if bad.any():
        rows = rows.filter(~bad)
    merged = pl.concat(faults).sort("row", maintain_order=True)
    return Records(rows, records.at[~bad], merged)


def _faults(records: Records, published: pl.Series, mask: Flags, reason: str) -> pl.DataFrame:
    text = published.filter(mask).cast(pl.String).str.slice(0, VALUE_WIDTH)
    constant = [pl.lit(published.name).alias("field"), pl.lit(reason).alias("reason")]
    frame = pl.DataFrame({"row": records.at[mask], "value": text}, schema_overrides=FAULTS)
    return frame.with_columns(constant).select(list(FAULTS))


def _blank(published: pl.Series) -> pl.Series:
    if published.dtype == pl.String:
        return published.is_null() | (published.str.strip_chars() == "")
    return published.is_null()


def _text(published: pl.Series) -> pl.Series:
    """Return text without blanks around it; what is all blank becomes null."""
    text = pl.col(published.name).str.strip_chars()
    return published.to_frame().select(pl.when(text != "").then(text)).to_series()


def _refused(published: pl.Series, needed: str) -> DataRefused:
    return DataRefused(f"column {published.name!r} is {published.dtype}; {needed}.")


def _name(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    del field
    if published.dtype.is_float() or published.dtype.is_nested() or published.dtype == pl.Binary:
        raise _refused(published, "a name is text or a whole number")
    if published.dtype != pl.String:
        return published.cast(pl.String), []
    name = pl.col(published.name)
    told = pl.when(name.str.strip_chars() != "").then(name)
    return published.to_frame().select(told).to_series(), []


def _number(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if published.dtype == pl.String:
        text = _text(published)
        values = text.cast(pl.Float64, strict=False)
        wrong = [(text.is_not_null() & values.is_null(), "not a number")]
    elif published.dtype.is_numeric() or published.dtype == pl.Null:
        values, wrong = published.cast(pl.Float64), []
    else:
        raise _refused(published, "a number is needed")
    wrong.append((values.is_infinite(), "infinite"))
    values = values.fill_nan(None)
    values = values if field.factor == 1 else values * field.factor
    if field.divisor != 1:
        # By NumPy, since Polars multiplies by the reciprocal: 57 % would be 0.5700000000000001.
        values = pl.Series(values.to_numpy() / field.divisor, nan_to_null=True)
    return values, wrong


def _outcome(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if published.dtype == pl.Boolean:
        return published.cast(pl.Float64), []
    if published.dtype == pl.String:
        text = _text(published)
        words = {"true": "1", "false": "0"}
        told = text.str.to_lowercase().replace(words)
        values = told.cast(pl.Float64, strict=False).fill_nan(None)
        wrong = text.is_not_null() & ~values.is_in([0.0, 1.0]).fill_null(value=False)
    else:
        values, _ = _number(published, field)
        wrong = ~values.is_in([0.0, 1.0])
    return values, [(wrong, "an outcome is 0, 1, true or false")]


def _instant(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if published.dtype in (pl.Datetime, pl.Date):
        naive = published.cast(pl.Datetime("us", getattr(published.dtype, "time_zone", None)))
        values, wrong = _in_utc(naive, field)
    elif field.time_format in EPOCHS and (
        published.dtype.is_numeric() or published.dtype in (pl.String, pl.Null)
    ):
        values, wrong = _from_epoch(published, field.time_format)
    elif published.dtype in (pl.String, pl.Null):
        values, wrong = _from_text(_text(published.cast(pl.String)), field)
    else:
        raise _refused(published, "set time_format to its epoch: s, ms, us or ns")
    years = values.dt.year()
    outside = (years < YEARS[0]) | (years > YEARS[1])
    return values, [*wrong, (outside, f"not between {YEARS[0]} and {YEARS[1]}: another unit?")]


def _from_epoch(published: pl.Series, unit: str) -> tuple[pl.Series, Wrong]:
    given = _text(published) if published.dtype == pl.String else published
    real = given.cast(pl.Float64, strict=False).fill_nan(None)
    scaled = real / 1000 if unit == "ns" else real * EPOCHS[unit]
    scaled = scaled.round().set(scaled.abs() >= 2.0**62, None)
    whole = given.cast(pl.Int64, strict=False)
    exact = whole // 1000 if unit == "ns" else whole * EPOCHS[unit]
    # Whole numbers stay exact; 1661140279.5 and 1.6e9 go by floating point.
    fits = ((real == whole.cast(pl.Float64)) & scaled.is_not_null()).fill_null(value=False)
    micros = exact.zip_with(fits, scaled.cast(pl.Int64, strict=False))
    wrong = given.is_not_null() & micros.is_null()
    return micros.cast(INSTANT), [(wrong, f"not an epoch in {unit}")]


def _from_text(text: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    iso = field.time_format == "iso"
    ready = text.str.replace(" ", "T", literal=True) if iso else text
    if not iso and "%z" not in field.time_format:
        naive, zoned = _parsed(ready, (field.time_format,)), None
    elif not iso:
        naive, zoned = None, _parsed(ready, (field.time_format,))
    else:
        zoned = _parsed(ready, _ISO_ZONED)
        left = ready.zip_with(zoned.is_null(), pl.Series([None], dtype=pl.String))
        naive = _parsed(left, _ISO) if zoned.null_count() else None
    if naive is None:
        naive = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    local, wrong = _in_utc(naive, field)
    values = local if zoned is None else zoned.zip_with(zoned.is_not_null(), local)
    lost = text.is_not_null() & values.is_null() & naive.is_null()
    return values, [(lost, f"not a time as {field.time_format} writes it"), *wrong]


def _parsed(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Return instants by the first of the formats that fits; the later ones see what is left."""
    zone = "UTC" if "z" in formats[0] else None
    found = pl.Series([None], dtype=pl.Datetime("us", zone)).new_from_index(0, len(text))
    for form in formats:
        open_ = found.is_null() & text.is_not_null()
        if open_.any():
            left = text.to_frame("t").select(pl.when(open_).then(pl.col("t"))).to_series()
            found = found.zip_with(~open_, left.str.to_datetime(form, time_unit="us", strict=False))
    return found


def _in_utc(times: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if getattr(times.dtype, "time_zone", None) is not None:
        return times.dt.convert_time_zone("UTC"), []
    if field.zone is None:
        values = times.dt.replace_time_zone("UTC")
        return values, [(times.is_not_null(), "names no time zone; set zone")]
    local = times.dt.replace_time_zone(field.zone, ambiguous="null", non_existent="null")
    values = local.dt.convert_time_zone("UTC")
    wrong = times.is_not_null() & values.is_null()
    return values, [(wrong, f"stands twice or never on the clock of {field.zone}")]


_KINDS: dict[str, Callable[[pl.Series, Field], tuple[pl.Series, Wrong]]] = {
    "name": _name,
    "instant": _instant,
    "number": _number,
    "outcome": _outcome,
}
