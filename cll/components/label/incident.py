"""Label from incidents: the entity is failing now, or an incident starts within a horizon."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from cll.types.errors import config_error
from cll.types.tables import INCIDENTS, LABELS, TRUTH_PREFIX
from cll.types.times import Duration

_OPEN = datetime(9999, 1, 1, tzinfo=UTC)  # the end of an incident that has not ended


@dataclass(frozen=True)
class Incident:
    """At horizon 0, a row is positive inside an incident; else, if one starts in (t, t + horizon].

    With `linger`, a row describes [t - linger, t): it is inside an incident while start < t and
    t < end + linger; without, while start <= t < end. Overlapping incidents of an entity are
    merged, with the number and kind of the first. Incidents of other `kinds` are ignored.
    """

    horizon: Duration = timedelta(minutes=30)
    linger: Duration = timedelta(0)
    report_delay: Duration = timedelta(minutes=10)
    observed_after_last: Duration | None = None
    kinds: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kinds is not None and not self.kinds:
            raise config_error(
                "label.kinds", "[]", "no row would be positive; name kinds, or write null."
            )

    @property
    def embargo(self) -> timedelta:
        return self.horizon + self.report_delay

    def __call__(
        self, signals: pl.DataFrame, incidents: pl.DataFrame, as_of: datetime
    ) -> pl.DataFrame:
        known_incidents = incidents.select(list(INCIDENTS)).with_row_index("incident")
        known_incidents = known_incidents.filter(pl.col("known_at") <= as_of).with_columns(
            pl.col("end").fill_null(_OPEN)
        )
        wanted = (
            known_incidents
            if self.kinds is None
            else known_incidents.filter(pl.col("kind").is_in(self.kinds))
        )
        chance = f"{TRUTH_PREFIX}incident_{self.horizon // timedelta(seconds=1)}s"
        rows = signals.select(
            "entity",
            "time",
            known_at=pl.col("time") + self.embargo,
            chance=pl.col(chance) if chance in signals.columns else pl.lit(None, pl.Float64),
        )
        rows = self._join_incidents(rows, _episodes(wanted))
        status = (
            pl.when("running")
            .then(pl.lit("running"))
            .when(~self._covered(rows, known_incidents))
            .then(pl.lit("uncovered"))
            .when(pl.col("known_at") > as_of)
            .then(pl.lit("immature"))
            .otherwise(pl.lit("mature"))
        )
        mature, positive = status == "mature", pl.col("positive")
        return rows.with_columns(
            status=status,
            label=pl.when(mature).then(positive.cast(pl.Int8)),
            incident=pl.when(mature & positive).then(pl.col("incident").cast(pl.Int32)),
            kind=pl.when(mature & positive).then("kind"),
        ).select(list(LABELS))

    def _join_incidents(self, rows: pl.DataFrame, episodes: pl.DataFrame) -> pl.DataFrame:
        """Add `positive`, `running`, and the incident that a positive row belongs to."""
        within = (pl.col("time") < pl.col("end") + self.linger).fill_null(value=False)
        if not self.horizon:
            joined = _join(rows, episodes, "backward", exact=not self.linger)
            return joined.with_columns(positive=within, running=pl.lit(value=False))
        running = _join(rows, episodes, "backward", exact=True).select(running=within)
        soon = (pl.col("start") <= pl.col("time") + self.horizon).fill_null(value=False)
        joined = _join(rows, episodes, "forward", exact=False).with_columns(positive=soon)
        return joined.with_columns(running["running"])

    def _covered(self, rows: pl.DataFrame, known_incidents: pl.DataFrame) -> pl.Series:
        """Return whether each row is at most `observed_after_last` after its UTC day's last incident.

        The day's last incident is the one that ends last among those that start on that day.
        """
        if self.observed_after_last is None:
            return pl.Series([True]).new_from_index(0, rows.height)
        day = pl.col("start").dt.date().alias("day")
        last = known_incidents.group_by(day).agg(
            until=pl.col("end").max() + self.observed_after_last
        )
        days = rows.select("time", day=pl.col("time").dt.date())
        last_on_day = days.join(last, on="day", how="left", maintain_order="left")
        return (last_on_day["time"] <= last_on_day["until"]).fill_null(value=False)


def _episodes(incidents: pl.DataFrame) -> pl.DataFrame:
    """Return the incidents with overlapping ones of an entity merged, sorted by start."""
    ordered = incidents.sort("entity", "start", "incident")
    before = pl.col("end").cum_max().shift(1).over("entity")
    apart = (pl.col("start") >= before).fill_null(value=True)
    return (
        ordered.with_columns(episode=apart.cum_sum())
        .group_by("episode", maintain_order=True)
        .agg(pl.col("entity", "start", "incident", "kind").first(), pl.col("end").max())
        .drop("episode")
        .sort("start", "incident")
    )


def _join(
    rows: pl.DataFrame, episodes: pl.DataFrame, strategy: str, *, exact: bool
) -> pl.DataFrame:
    return rows.join_asof(
        episodes,
        left_on="time",
        right_on="start",
        by="entity",
        strategy="forward" if strategy == "forward" else "backward",
        allow_exact_matches=exact,
        check_sortedness=False,
        coalesce=False,
    )
