"""Export a simulated fleet for the session in README.md: one file of runs and one of incidents per day.

`export.py FIRST LAST` writes telemetry/runs-DAY.csv and telemetry/incidents-DAY.csv. With `--broken`
the incidents are assigned to the wrong agents, as after a join on the wrong key.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from cll.components.source.synthetic import Synthetic

FOLDER = Path("telemetry")
FLEET = Synthetic(step=timedelta(minutes=15), drift_at=datetime(2026, 2, 2, tzinfo=UTC))
DAY = timedelta(days=1)
COLUMNS = ("entity", "group", "time", "cpu_usage", "memory_usage", "error_rate", "response_time")


def main(first: str, last: str, *, broken: bool) -> None:
    day, end = (datetime.fromisoformat(f"{one}T00:00:00+00:00") for one in (first, last))
    chunks = [
        piece.read() for piece in FLEET(end + 2 * DAY, ())
    ]  # incidents of the last day end before this
    runs, incidents = (
        pl.concat([one.rows for one in chunks if one.table == table])
        for table in ("signals", "incidents")
    )
    FOLDER.mkdir(exist_ok=True)
    while day <= end:
        of_day = pl.col("time").is_between(day, day + DAY, closed="left")
        name = f"{day:%Y-%m-%d}.csv"
        runs.filter(of_day).select(COLUMNS).write_csv(FOLDER / f"runs-{name}")
        began = incidents.filter(pl.col("start").is_between(day, day + DAY, closed="left"))
        began = began.select("entity", "start", "end", "kind").sort("start", "entity")
        if broken:
            began = began.with_columns(pl.col("entity").shuffle(seed=day.toordinal()))
        began.write_csv(FOLDER / f"incidents-{name}")
        day += DAY


if __name__ == "__main__":
    main(*sys.argv[1:3], broken="--broken" in sys.argv[3:])
