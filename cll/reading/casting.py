"""Published values as canonical types: names, instants, numbers and outcomes, in stated units."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from cll.reading import instants
from cll.reading.fields import Field, Kind, Wrong, refused, text_of
from cll.reading.records import FAULTS, Records
from cll.values import VALUE_WIDTH, Flags, config_error

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

_REQUIRED = frozenset({"entity", "time", "start", "known_at"})


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


def _name(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    del field
    if published.dtype.is_float() or published.dtype.is_nested() or published.dtype == pl.Binary:
        raise refused(published, "a name is text or a whole number")
    if published.dtype != pl.String:
        return published.cast(pl.String), []
    name = pl.col(published.name)
    told = pl.when(name.str.strip_chars() != "").then(name)
    return published.to_frame().select(told).to_series(), []


def _number(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if published.dtype == pl.String:
        text = text_of(published)
        values = text.cast(pl.Float64, strict=False)
        wrong = [(text.is_not_null() & values.is_null(), "not a number")]
    elif published.dtype.is_numeric() or published.dtype == pl.Null:
        values, wrong = published.cast(pl.Float64), []
    else:
        raise refused(published, "a number is needed")
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
        text = text_of(published)
        words = {"true": "1", "false": "0"}
        told = text.str.to_lowercase().replace(words)
        values = told.cast(pl.Float64, strict=False).fill_nan(None)
        wrong = text.is_not_null() & ~values.is_in([0.0, 1.0]).fill_null(value=False)
    else:
        values, _ = _number(published, field)
        wrong = ~values.is_in([0.0, 1.0])
    return values, [(wrong, "an outcome is 0, 1, true or false")]


_KINDS: dict[str, Callable[[pl.Series, Field], tuple[pl.Series, Wrong]]] = {
    "name": _name,
    "instant": instants.instant,
    "number": _number,
    "outcome": _outcome,
}
