"""Convert published times to instants in UTC: ISO text, epochs, custom formats, local clocks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers.fields import Field, Wrong, as_text, is_far, text_of
from cll.types.errors import config_error
from cll.types.tables import INSTANT

EPOCHS = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}  # microseconds in each; ns are divided
YEARS = (1980, 2200)  # an epoch in the wrong unit lies outside

_OUTSIDE = f"not between {YEARS[0]} and {YEARS[1]}: another unit?"
_FROM, _UNTIL = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 10**6 for year in (YEARS[0], YEARS[1] + 1)
)
_FARTHEST = 2.0**62  # microseconds that fit in 64 bits

_SAMPLE = 4096  # rows that decide whether times come in runs
_PLAIN = {19: "%Y-%m-%dT%H:%M:%S", 20: "%Y-%m-%dT%H:%M:%SZ"}  # by length
_ISO = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")


def check_times(key: str, time_format: str, zone: str | None) -> None:
    """Raise ConfigError for an unknown time format or zone; `key` is their place in the config."""
    if time_format != "iso" and time_format not in EPOCHS and "%" not in time_format:
        way = "there are iso, the epochs s, ms, us and ns, and strptime's, like %d/%m/%Y %H:%M."
        raise config_error(f"{key}.time_format", time_format, way)
    try:
        ZoneInfo(zone or "UTC")
    except (ValueError, OSError, KeyError):
        way = "no such time zone; write it like Europe/Berlin, or UTC."
        raise config_error(f"{key}.zone", zone, way) from None


def instant(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    """Return published times as instants in UTC, and masks of the wrong ones with the reason."""
    if published.dtype in (pl.Datetime, pl.Date):
        far = is_far(published)
        near = published.set(far, None) if far.any() else published
        naive = near.cast(pl.Datetime("us", getattr(published.dtype, "time_zone", None)))
        values, wrong = _in_utc(naive, field)
        wrong = [*wrong, (far, _OUTSIDE)]
    elif field.time_format in EPOCHS:
        numeric = published.dtype.is_numeric()
        values, wrong = _from_epoch(published if numeric else as_text(published), field.time_format)
    else:
        values, wrong = _from_text(as_text(published), field)
    since = values.to_physical()
    outside = (since < _FROM) | (since >= _UNTIL)
    return values, [*wrong, (outside, _OUTSIDE)]


def _from_epoch(published: pl.Series, unit: str) -> tuple[pl.Series, Wrong]:
    given = text_of(published) if published.dtype == pl.String else published
    real = given.cast(pl.Float64, strict=False).fill_nan(None)
    scaled = real / 1000 if unit == "ns" else real * EPOCHS[unit]
    beyond = scaled.abs() >= _FARTHEST
    scaled = scaled.round().set(beyond, None)
    whole = given.cast(pl.Int64, strict=False)
    exact = whole // 1000 if unit == "ns" else whole * EPOCHS[unit]
    # Whole numbers stay exact; 1661140279.5 and 1.6e9 go by floating point.
    fits = ((real == whole.cast(pl.Float64)) & scaled.is_not_null()).fill_null(value=False)
    micros = exact.zip_with(fits, scaled.cast(pl.Int64, strict=False))
    wrong = given.is_not_null() & micros.is_null()
    return micros.cast(INSTANT), [
        (beyond & real.is_finite(), _OUTSIDE),
        (wrong, f"not an epoch in {unit}"),
    ]


def _from_text(published: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if field.time_format == "iso" and (quick := _at_once(published, field)) is not None:
        return quick
    text = text_of(published)
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
    why = f"not a time as {field.time_format} writes it"
    epoch = lost & text.str.contains(r"^-?[0-9]{9,}(?:\.[0-9]+)?$")
    hint = "; set time_format to its epoch: s, ms, us or ns"
    return values, [(epoch, why + hint), (lost, why), *wrong]


def _at_once(text: pl.Series, field: Field) -> tuple[pl.Series, Wrong] | None:
    """Parse times that are all written in one plain format; return None if they are not."""
    first = text[text.is_not_null().arg_max() or 0] if len(text) else None
    form = _PLAIN.get(len(first or ""))
    if form is None or (zoned := form.endswith("Z")) != (first or "").endswith("Z"):
        return None
    form = form.replace("T", (first or "")[10])
    times = _parsed_by_runs(text, form)
    if times.null_count() != text.null_count():
        return None
    return _in_utc(times.to_physical().cast(INSTANT) if zoned else times, field)


def _parsed_by_runs(text: pl.Series, form: str) -> pl.Series:
    """Parse each run of equal times once: a fleet often reports at the same instants."""
    if text.head(_SAMPLE).rle_id().n_unique() > _SAMPLE / 2:
        return text.str.to_datetime(form, time_unit="us", strict=False)
    runs = text.rle().struct.unnest()
    times = runs["value"].str.to_datetime(form, time_unit="us", strict=False)
    which = np.repeat(np.arange(runs.height, dtype=np.uint32), runs["len"].to_numpy())
    return times.gather(pl.Series(which)).alias(text.name)


def _parsed(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Return each time parsed by the first format that fits it."""
    zone = "UTC" if "z" in formats[0] else None
    parsed = pl.Series([None], dtype=pl.Datetime("us", zone)).new_from_index(0, len(text))
    for form in formats:
        unparsed = parsed.is_null() & text.is_not_null()
        if unparsed.any():
            left = text.to_frame("t").select(pl.when(unparsed).then(pl.col("t"))).to_series()
            parsed = parsed.zip_with(
                ~unparsed, left.str.to_datetime(form, time_unit="us", strict=False)
            )
    return parsed


def _in_utc(times: pl.Series, field: Field) -> tuple[pl.Series, Wrong]:
    if getattr(times.dtype, "time_zone", None) is not None:
        return times if times.dtype == INSTANT else times.dt.convert_time_zone("UTC"), []
    if field.zone is None:
        values = times.dt.replace_time_zone("UTC")
        return values, [(times.is_not_null(), "names no time zone; set zone")]
    if field.zone == "UTC":
        return times.to_physical().cast(INSTANT), []
    local = times.dt.replace_time_zone(field.zone, ambiguous="null", non_existent="null")
    values = local.dt.convert_time_zone("UTC")
    wrong = times.is_not_null() & values.is_null()
    return values, [(wrong, f"occurs twice or never on the local clock of {field.zone}")]
