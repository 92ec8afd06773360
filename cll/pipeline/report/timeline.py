"""Scored rows made ready to plot over time: a few entities, each with its peaks and incidents."""

from collections.abc import Sequence

import polars as pl

from cll.types.tables import INSTANT

MODELS = ("champion", "candidate")  # drawn in this order: the candidate lies on top
_POINTS = 300  # over the whole span
_GAP = 3  # times the usual distance of rows or points, after which a line is broken
_MINUTE_US = 60_000_000


def scored(frame: pl.DataFrame) -> pl.DataFrame:
    """Give each column its type, also if the frame comes from CSV; drop what has no probability."""
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
    known = pl.col("probability").is_finite() & pl.col("time").is_not_null()
    return typed.filter(known).sort("entity", "model", "time", maintain_order=True)


def modelled(frame: pl.DataFrame) -> pl.DataFrame:
    """Say of each row whose it is: the candidate's, where no `model` tells."""
    if "model" not in frame.columns:
        return frame.with_columns(model=pl.lit("candidate"))
    return frame.filter(pl.col("model").is_in(MODELS))


def goes_on(rows: pl.DataFrame) -> bool:
    """Tell whether there is a course of time to draw: some entity with several instants."""
    return rows.height > 0 and rows.group_by("entity").agg(pl.n_unique("time"))["time"].max() != 1


def busiest(rows: pl.DataFrame, most: int) -> list[str]:
    """Name the entities with the most incidents, ties by positives, probability and name."""
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
    """Find each entity's stretches of label 1, cut where the incident changes."""
    own = _one_model(rows)
    parts = [name for name in ("label", "incident") if name in own.columns]
    run = pl.struct(parts).rle_id().over("entity")
    marked = own.with_columns(run=run).filter(pl.col("label") == 1)
    keys = marked.group_by("entity", "run", maintain_order=True)
    return keys.agg(start=pl.col("time").min(), end=pl.col("time").max()).drop("run")


def bounds_us(rows: pl.DataFrame) -> tuple[int, int]:
    """Return the first and the last instant, in microseconds since 1970."""
    times = rows["time"].dt.epoch("us").to_numpy()
    return int(times.min()), int(times.max())


def step_us(rows: pl.DataFrame) -> int:
    """Return the stretch of time that one point stands for: whole minutes, in microseconds."""
    first, last = bounds_us(rows)
    return _MINUTE_US * max(1, -(-(last - first) // (_POINTS * _MINUTE_US)))


def peaks(rows: pl.DataFrame, entities: Sequence[str], step: int) -> pl.DataFrame:
    """Return the highest probability `y` of each entity and model, by `x` in milliseconds.

    `strip` numbers the entities, `part` the pieces of a line: it is broken where rows are missing.
    """
    shown = rows.filter(pl.col("entity").is_in(list(entities)))
    own = ["entity", "model"]
    usual = shown.select(pl.col("time").diff().over(own).dt.total_microseconds()).to_series()
    longest = _GAP * max(step, int(usual.quantile(0.95) or 0))
    slots = shown.with_columns(slot=pl.col("time").dt.epoch("us") // step)
    highest = slots.group_by(*own, "slot").agg(y=pl.col("probability").max().round(4))
    broken = (pl.col("slot").diff() * step > longest).fill_null(value=False).cum_sum()
    points = highest.sort(*own, "slot").with_columns(
        part=broken.over(own), x=(pl.col("slot") * step + step // 2) // 1000
    )
    return _numbered(points, entities).select("strip", "model", "part", "x", "y")


def shades(rows: pl.DataFrame, entities: Sequence[str], step: int) -> pl.DataFrame:
    """Return the spans of each entity from `x` to `x2`; none is too short to be seen."""
    start, end = (pl.col(name).dt.epoch("us") for name in ("start", "end"))
    ends = pl.max_horizontal(end, start + step)
    found = spans(rows).with_columns(x=start // 1000, x2=ends // 1000)
    return _numbered(found, entities).select("strip", "x", "x2")


def _numbered(rows: pl.DataFrame, entities: Sequence[str]) -> pl.DataFrame:
    order = pl.DataFrame({"entity": list(entities)}, schema={"entity": pl.String})
    named = order.with_row_index("strip")
    return rows.join(named, on="entity", maintain_order="left").sort("strip", maintain_order=True)


def _one_model(rows: pl.DataFrame) -> pl.DataFrame:
    chosen = "candidate" if (rows["model"] == "candidate").any() else "champion"
    return rows.filter(pl.col("model") == chosen)
