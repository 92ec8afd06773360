"""Event metrics: incidents caught, lead time, and false alarms, as a person on call sees them."""

from datetime import timedelta

import polars as pl

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def figures(
    rows: pl.DataFrame, incidents: pl.DataFrame, horizon: timedelta, gap: timedelta
) -> dict[str, float]:
    """Return the event metrics of the holdout; empty where no row of it belongs to an incident.

    `rows`: entity, time, label, incident (a row of `incidents`, from 0), held, alert. An incident
    is caught when one of its positive rows has an alert. With `horizon` 0 these rows lie inside the
    incident, else within `horizon` before it. Times are in minutes from the first alert to the
    start (lead), or from the start to the first alert (detection). False alarms are alert episodes
    without a positive row, counted per day over all entities.
    """
    held = rows.filter("held")
    positive = held.filter(pl.col("incident").is_not_null() & (pl.col("label") == 1))
    if not positive.height:
        return {}
    caught = positive.filter("alert")
    counts: dict[str, float] = {
        "incidents": positive["incident"].n_unique(),
        "caught": caught["incident"].n_unique(),
    }
    counts["caught_share"] = counts["caught"] / counts["incidents"]
    whole = caught.join(_cut(rows), on="incident", how="anti")
    return counts | _times(whole, incidents, horizon) | _alarms(held, gap)


def _cut(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the incidents with positive rows outside the holdout, where their first alert may be."""
    outside = ~pl.col("held") & (pl.col("label") == 1) & pl.col("incident").is_not_null()
    return rows.filter(outside).select("incident").unique(maintain_order=True)


def _times(caught: pl.DataFrame, incidents: pl.DataFrame, horizon: timedelta) -> dict[str, float]:
    if not caught.height:
        return {}
    first = caught.group_by("incident", maintain_order=True).agg(pl.col("time").min())
    starts = incidents["start"].gather(first["incident"])
    late = (first["time"] - starts).dt.total_microseconds() / (MINUTE / timedelta(microseconds=1))
    if horizon:
        return _summary("lead_minutes", -late, (("p10", 0.1),))
    return _summary("detection_minutes", late, (("p10", 0.1), ("p90", 0.9)))


def _summary(
    name: str, minutes: pl.Series, tails: tuple[tuple[str, float], ...]
) -> dict[str, float]:
    quantiles = {f"{name}_median": 0.5} | {f"{name}_{tail}": q for tail, q in tails}
    values = {key: minutes.quantile(q, "linear") for key, q in quantiles.items()}
    return {key: value for key, value in values.items() if value is not None}


def _alarms(held: pl.DataFrame, gap: timedelta) -> dict[str, float]:
    """Return alert episodes per day, and those that are false.

    An episode is a run of alerts of one entity that are at most `gap` apart, or the median distance
    between rows where that is longer.
    """
    times = held.sort("entity", "time")
    apart = pl.col("time").diff().over("entity")
    step = times.select(apart.median()).item() or gap
    starts = (apart > max(gap, step)).fill_null(value=True)
    episodes = (
        times.filter("alert")
        .with_columns(episode=starts.cum_sum())
        .group_by("episode", maintain_order=True)
        .agg(touches=(pl.col("label") == 1).any())
    )
    span = times.select(pl.col("time").max() - pl.col("time").min()).item()
    if not span:
        return {}
    false = episodes.filter(~pl.col("touches")).height
    return {
        "alarms_per_day": episodes.height / (span / DAY),
        "false_alarms_per_day": false / (span / DAY),
    }
