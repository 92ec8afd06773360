"""Prepare scored rows for a plot over time: a few entities with their peaks and incidents."""

from collections.abc import Sequence

import polars as pl

from cll.types.tables import INSTANT

MODELS = ("champion", "candidate")  # drawn in this order: the candidate lies on top
_POINTS = 300  # at most this many over the whole span
_GAP = 3  # a line is interrupted where rows are further apart than this many usual distances
_MINUTE_US = 60_000_000


def scored(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows with typed columns, also from CSV; rows without time or probability are dropped."""
    time = pl.col("time")
    kind = frame["time"].dtype
    if kind == pl.String:
        time = time.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    elif isinstance(kind, pl.Datetime) and kind.time_zone is None:
        time = time.dt.replace_time_zone("UTC")
    typed = modelled(frame).with_columns(
        time.cast(INSTANT).alias("time"),
        pl.col("entity").cast(pl.String).fill_null(""),
        pl.col("probability").cast(pl.Float64, strict=False),
        pl.col("label").cast(pl.Int8, strict=False),
    )
    is_scored = pl.col("probability").is_finite() & pl.col("time").is_not_null()
    return typed.filter(is_scored).sort("entity", "model", "time", maintain_order=True)


def modelled(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a `model` column; without one, all rows are the candidate's."""
    if "model" not in frame.columns:
        return frame.with_columns(model=pl.lit("candidate"))
    return frame.filter(pl.col("model").is_in(MODELS))


def has_course(rows: pl.DataFrame) -> bool:
    """Return whether some entity has rows at more than one instant, so that a line can be drawn."""
    return rows.height > 0 and rows.group_by("entity").agg(pl.n_unique("time"))["time"].max() != 1


def busiest(rows: pl.DataFrame, most: int) -> list[str]:
    """Return the entities with the most incidents; ties are broken by positives, peak and name."""
    runs = spans(rows).group_by("entity").len("incidents")
    counts = rows.group_by("entity").agg(
        positives=pl.col("label").sum(), peak=pl.col("probability").max()
    )
    ranked = counts.join(runs, on="entity", how="left").sort(
        pl.col("incidents").fill_null(0), "positives", "peak", "entity",
        descending=[True, True, True, False],
    )  # fmt: skip
    return ranked["entity"].head(most).to_list()


def spans(rows: pl.DataFrame) -> pl.DataFrame:
    """Return start and end of each run of rows with label 1, for each entity and incident."""
    single = _single_model(rows)
    parts = [name for name in ("label", "incident") if name in single.columns]
    run = pl.struct(parts).rle_id().over("entity")
    marked = single.with_columns(run=run).filter(pl.col("label") == 1)
    keys = marked.group_by("entity", "run", maintain_order=True)
    return keys.agg(start=pl.col("time").min(), end=pl.col("time").max()).drop("run")


def bounds_us(rows: pl.DataFrame) -> tuple[int, int]:
    """Return the first and the last instant, in microseconds since 1970."""
    times = rows["time"].dt.epoch("us").to_numpy()
    return int(times.min()), int(times.max())


def step_us(rows: pl.DataFrame) -> int:
    """Return how long a time one plotted point covers: whole minutes, in microseconds."""
    first, last = bounds_us(rows)
    return _MINUTE_US * max(1, -(-(last - first) // (_POINTS * _MINUTE_US)))


def peaks(rows: pl.DataFrame, entities: Sequence[str], step: int) -> pl.DataFrame:
    """Return the highest probability `y` of each entity and model at each time `x`, in milliseconds.

    `strip` is the entity's number. `part` numbers the pieces of a line that missing rows interrupt.
    """
    shown = rows.filter(pl.col("entity").is_in(list(entities)))
    series = ["entity", "model"]
    usual = shown.select(pl.col("time").diff().over(series).dt.total_microseconds()).to_series()
    longest = _GAP * max(step, int(usual.quantile(0.95) or 0))
    slots = shown.with_columns(slot=pl.col("time").dt.epoch("us") // step)
    highest = slots.group_by(*series, "slot").agg(y=pl.col("probability").max().round(4))
    broken = (pl.col("slot").diff() * step > longest).fill_null(value=False).cum_sum()
    points = highest.sort(*series, "slot").with_columns(
        part=broken.over(series), x=(pl.col("slot") * step + step // 2) // 1000
    )
    return _numbered(points, entities).select("strip", "model", "part", "x", "y")


def shades(rows: pl.DataFrame, entities: Sequence[str], step: int) -> pl.DataFrame:
    """Return the incidents of each entity, with start `x` and end `x2` in milliseconds.

    Each is drawn at least as wide as one plotted point.
    """
    start, end = (pl.col(name).dt.epoch("us") for name in ("start", "end"))
    ends = pl.max_horizontal(end, start + step)
    shaded = spans(rows).with_columns(x=start // 1000, x2=ends // 1000)
    return _numbered(shaded, entities).select("strip", "x", "x2")


def _numbered(rows: pl.DataFrame, entities: Sequence[str]) -> pl.DataFrame:
    order = pl.DataFrame({"entity": list(entities)}, schema={"entity": pl.String})
    named = order.with_row_index("strip")
    return rows.join(named, on="entity", maintain_order="left").sort("strip", maintain_order=True)


def _single_model(rows: pl.DataFrame) -> pl.DataFrame:
    chosen = "candidate" if (rows["model"] == "candidate").any() else "champion"
    return rows.filter(pl.col("model") == chosen)
