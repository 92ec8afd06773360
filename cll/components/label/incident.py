"""Whether an entity is failing, or will begin to within a horizon, by the incidents known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from cll.types.errors import config_error
from cll.types.tables import INCIDENTS, LABELS, TRUTH_PREFIX
from cll.types.times import Duration

_OPEN = datetime(9999, 1, 1, tzinfo=UTC)  # the end of what has not ended


@dataclass(frozen=True)
class Incident:
    """With horizon 0, positive rows lie in an incident; else one begins in (t, t + horizon].

    A row with `linger` tells of [t - linger, t): it is in an incident while start < t and
    t < end + linger; without, while start <= t < end. Overlapping incidents of an entity are one,
    and carry the first one's number and kind; those of other `kinds` count as if they had not been.
    """

    horizon: Duration = timedelta(minutes=30)
    linger: Duration = timedelta(0)
    report_delay: Duration = timedelta(minutes=10)
    observed_after_last: Duration | None = None
    kinds: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kinds is not None and not self.kinds:
            raise config_error(
                "label.kinds", "[]", "nothing would be positive; name kinds or null."
            )

    @property
    def embargo(self) -> timedelta:
        return self.horizon + self.report_delay

    def __call__(
        self, signals: pl.DataFrame, incidents: pl.DataFrame, as_of: datetime
    ) -> pl.DataFrame:
        seen = incidents.select(list(INCIDENTS)).with_row_index("incident")
        seen = seen.filter(pl.col("known_at") <= as_of).with_columns(pl.col("end").fill_null(_OPEN))
        wanted = seen if self.kinds is None else seen.filter(pl.col("kind").is_in(self.kinds))
        chance = f"{TRUTH_PREFIX}incident_{self.horizon // timedelta(seconds=1)}s"
        rows = signals.select(
            "entity",
            "time",
            known_at=pl.col("time") + self.embargo,
            chance=pl.col(chance) if chance in signals.columns else pl.lit(None, pl.Float64),
        )
        rows = self._met(rows, _episodes(wanted))
        status = (
            pl.when("running")
            .then(pl.lit("running"))
            .when(~self._covered(rows, seen))
            .then(pl.lit("uncovered"))
            .when(pl.col("known_at") > as_of)
            .then(pl.lit("immature"))
            .otherwise(pl.lit("mature"))
        )
        mature, hit = status == "mature", pl.col("positive")
        return rows.with_columns(
            status=status,
            label=pl.when(mature).then(hit.cast(pl.Int8)),
            incident=pl.when(mature & hit).then(pl.col("incident").cast(pl.Int32)),
            kind=pl.when(mature & hit).then("kind"),
        ).select(list(LABELS))

    def _met(self, rows: pl.DataFrame, episodes: pl.DataFrame) -> pl.DataFrame:
        """Add `positive`, `running`, and the incident that a positive row belongs to."""
        within = (pl.col("time") < pl.col("end") + self.linger).fill_null(value=False)
        if not self.horizon:
            met = _join(rows, episodes, "backward", exact=not self.linger)
            return met.with_columns(positive=within, running=pl.lit(value=False))
        running = _join(rows, episodes, "backward", exact=True).select(running=within)
        soon = (pl.col("start") <= pl.col("time") + self.horizon).fill_null(value=False)
        met = _join(rows, episodes, "forward", exact=False).with_columns(positive=soon)
        return met.with_columns(running["running"])

    def _covered(self, rows: pl.DataFrame, seen: pl.DataFrame) -> pl.Series:
        """Tell which rows come early enough behind the last incident to begin on their UTC day."""
        if self.observed_after_last is None:
            return pl.Series([True]).new_from_index(0, rows.height)
        day = pl.col("start").dt.date().alias("day")
        last = seen.group_by(day).agg(until=pl.col("end").max() + self.observed_after_last)
        days = rows.select("time", day=pl.col("time").dt.date())
        known = days.join(last, on="day", how="left", maintain_order="left")
        return (known["time"] <= known["until"]).fill_null(value=False)


def _episodes(incidents: pl.DataFrame) -> pl.DataFrame:
    """Merge overlapping incidents; sorted by start, for a join in time."""
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
