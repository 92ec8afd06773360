"""Cast published values to canonical types (names, instants, numbers, outcomes) and units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import times
from cll.pipeline.ingest.readers.fields import Field, Kind, Wrong, as_text, is_blank, text_of
from cll.pipeline.ingest.readers.limits import over
from cll.pipeline.ingest.readers.records import FAULTS, NESTED, NOT_UTF8, Records
from cll.types.arrays import Flags
from cll.types.errors import DataRefused, config_error
from cll.types.tables import VALUE_WIDTH, is_finite

# Factor, divisor and stored unit: shares as ratios, durations in seconds, sizes in bytes.
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

_OUTCOME = "an outcome is 0, 1, true or false"
_REQUIRED = frozenset({"entity", "time", "start", "known_at"})


def fields(
    columns: Mapping[str, str | None], kinds: Mapping[str, Kind], time_format: str, zone: str | None
) -> list[Field]:
    """Return a field for each of `kinds` that has a published name in `columns`."""
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
    """Raise ConfigError for a conversion without a column, an unknown unit or a second conversion."""
    for group, given in (("scale", scale), ("unit", unit)):
        for name in given:
            if name not in names:
                way = f"no such column; there are: {', '.join(names)}."
                raise config_error(f"{key}.{group}.{name}", given[name], way)
    for name, unit_name in unit.items():
        if unit_name not in UNITS:
            raise config_error(f"{key}.unit.{name}", unit_name, f"there are: {', '.join(UNITS)}.")
        if name in scale:
            raise config_error(f"{key}.unit.{name}", unit_name, "scale has it too; keep one.")
    for name, factor in scale.items():
        if factor == 0 or not np.isfinite(factor):
            raise config_error(f"{key}.scale.{name}", factor, "a factor is finite and not 0.")


def cast(records: Records, fields: Sequence[Field]) -> Records:
    """Return the rows with canonical names and types; a record with a bad value becomes a fault.

    Blank text and NaN are missing values. In a column of an unsuitable type each value is a fault,
    as the same value would be as text.
    """
    columns: list[pl.Series] = []
    bad = np.zeros(records.rows.height, dtype=np.bool_)
    faults = [records.faults]
    for field in fields:
        published = records.rows[field.column]
        values, wrong = _cast(published, field)
        if field.required and values.null_count():
            blank = is_blank(published) if published.dtype == pl.String else published.is_null()
            wrong = [*wrong, (blank, "missing")]
        for mask, reason in wrong:
            if mask.any():
                fresh = mask.fill_null(value=False).to_numpy() & ~bad
                faults.append(_faults(records, published, fresh, reason))
                bad |= fresh
        columns.append(values.alias(field.name))
    rows = pl.DataFrame(columns)
    if not bad.any():
        return replace(records, rows=rows)
    merged = pl.concat(faults).sort("row", maintain_order=True)
    return replace(records, rows=rows.filter(~bad), at=records.at[~bad], faults=merged)


def checked(records: Records, fields: Sequence[Field]) -> Records:
    """Cast the records; raise DataRefused if Polars fails to."""
    try:
        return cast(records, fields)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as why:
        types = ", ".join(f"{name}: {kind}" for name, kind in records.rows.schema.items())
        reason = str(why).partition("\n")[0].rstrip(".")
        raise DataRefused(f"can't be converted: {reason} (columns: {types[:200]}).") from None


def _faults(records: Records, published: pl.Series, mask: Flags, reason: str) -> pl.DataFrame:
    if published.dtype == pl.Binary:
        shown = [
            value[: 4 * VALUE_WIDTH].decode(errors="backslashreplace")
            for value in published.filter(mask)
        ]
        text = pl.Series(shown, dtype=pl.String)
    else:
        text = as_text(published.filter(mask))
    constant = [pl.lit(published.name).alias("field"), pl.lit(reason).alias("reason")]
    values = {"row": records.at[mask], "value": text.str.slice(0, VALUE_WIDTH)}
    frame = pl.DataFrame(values, schema_overrides=FAULTS)
    return frame.with_columns(constant).select(list(FAULTS))


def _cast(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    """Cast one column; nested values and bytes that are not UTF-8 become faults."""
    if published.dtype.is_nested() or published.dtype == pl.Object:
        nothing = pl.Series(published.name, [None], dtype=pl.String).new_from_index(
            0, len(published)
        )
        return _KINDS[field.kind](nothing, field)[0], [(published.is_not_null(), NESTED)]
    if published.dtype == pl.Binary:
        text = as_text(published)
        values, wrong = _KINDS[field.kind](text, field)
        return values, [(published.is_not_null() & text.is_null(), NOT_UTF8), *wrong]
    if published.dtype in (pl.Categorical, pl.Enum):
        published = as_text(published)
    return _KINDS[field.kind](published, field)


def _name(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if published.dtype != pl.String:
        return as_text(published), []
    blank = is_blank(published)
    if blank.null_count() or blank.sum() != published.null_count():
        nulled = pl.when(~pl.lit(blank)).then(pl.col(published.name))
        published = published.to_frame().select(nulled).to_series()
    long = published.str.len_bytes() > field.longest
    return published, [(long, over("text_length", field.longest))] if long.any() else []


def _number(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if not published.dtype.is_numeric():
        text = published if published.dtype == pl.String else as_text(published)
        values, wrong = _parsed(text)
    else:
        values, wrong = published.cast(pl.Float64), []
    if not is_finite(values):
        wrong.append((values.is_infinite(), "infinite"))
        values = values.fill_nan(None)
    values = values if field.factor == 1 else values * field.factor
    if field.divisor != 1:
        # NumPy divides; Polars multiplies by the reciprocal: 57 % would be 0.5700000000000001.
        values = pl.Series(values.to_numpy() / field.divisor, nan_to_null=True)
    return values, wrong


def _parsed(text: pl.Series) -> tuple[pl.Series, Wrong]:
    values = text.cast(pl.Float64, strict=False)
    if values.null_count() == text.null_count():
        return values, []
    text = text_of(text)
    values = text.cast(pl.Float64, strict=False)
    lost = text.is_not_null() & values.is_null()
    comma = text.str.contains(r"^[+-]?[0-9. ]+,[0-9]+$")
    return values, [
        (lost & comma, "not a number; write a decimal point"),
        (lost, "not a number"),
    ]


def _outcome(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if published.dtype == pl.Boolean:
        return published.cast(pl.Float64), []
    if published.dtype.is_numeric():
        values, _ = _number(published, field)
        return values, [(_neither(values), _OUTCOME)]
    text = published if published.dtype == pl.String else as_text(published)
    values = text.cast(pl.Float64, strict=False)
    if values.null_count() > text.null_count():
        text = text_of(text)
        digits = text.str.to_lowercase().replace({"true": "1", "false": "0"})
        values = digits.cast(pl.Float64, strict=False)
    values = values.fill_nan(None)
    lost = text.is_not_null() & values.is_null()
    return values, [(lost | _neither(values).fill_null(value=False), _OUTCOME)]


def _neither(values: pl.Series) -> pl.Series:
    return (values != 0) & (values != 1)


_KINDS: dict[str, Callable[[pl.Series, Field], tuple[pl.Series, Wrong]]] = {
    "name": _name,
    "instant": times.instant,
    "number": _number,
    "outcome": _outcome,
}
