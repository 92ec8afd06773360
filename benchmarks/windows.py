"""Comparison of `cll.components.features.windows` with pandas and Polars, for the same columns.

    python benchmarks/windows.py                  10 million rows; needs about 20 GB for the others
    python benchmarks/windows.py --rows 20000     a few seconds

The input is one file per day of irregular telemetry (jitter, ties, gaps, nulls). Each contender reads the
files in its own process, computes all columns, and sums them up. cll works day by day, as the featurize
stage does; the others hold one frame, as in a notebook. Seconds and peak memory include
reading. Of rows with equal times only the last is compared, because pandas' windows end at the row itself.
The figures go to benchmarks/results/windows.json, or to `--to`. pandas is in the dev group.
"""

import itertools
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import table

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 7
COLUMNS = ("cpu", "memory", "latency", "errors")
WIDTHS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "6h": timedelta(hours=6)}
SETS = {"moments": ("mean", "std", "slope"), "extremes": ("min", "max")}
BUCKETS = 4  # groups of entities
TIES, GAPS, NULLS = 0.02, 0.002, 0.01  # shares of rows; the i-th column has i * NULLS
SAMPLED = 50  # the first of every so many entities is compared
TOLERANCE = 1e-6  # relative to a value plus its column's root mean square: features are float32
LEAST_SPAN = 1e-9  # hours²; below it, the others' formula treats times as equal


def write(folder: Path, rows: int) -> None:
    """Write one file per day, with about one row per minute and entity."""
    rng = np.random.default_rng(7)
    entities = max(rows // 10_000, 2)
    each = rows // entities // DAYS
    names = np.repeat([f"e{i:05}" for i in range(entities)], each)
    for day in range(DAYS):
        step = rng.uniform(0.5, 1.5, (entities, each))
        step[rng.random(step.shape) < TIES] = 0
        step[rng.random(step.shape) < GAPS] = 90
        until = np.cumsum(step, axis=1)
        at = (until / (until[:, -1:] + 1) * 86_400_000).astype(np.int64).ravel()
        when = pl.Series("time", at * 1000).cast(pl.Duration("us")) + START + timedelta(days=day)
        frame = pl.DataFrame({"entity": names, "time": when, "known_at": when})
        for i, name in enumerate(COLUMNS):
            x = rng.normal(10 * i, 1 + i, len(frame))
            x[rng.random(len(x)) < NULLS * i] = np.nan
            frame = frame.with_columns(pl.Series(name, x, nan_to_null=True))
        frame.write_parquet(folder / f"{day}.parquet")


def cll(folder: Path, kind: str) -> Iterator[pl.DataFrame]:
    """Read each day and the days that its windows reach back to; compute features by groups of entities.

    The featurize stage does the same when a day has more rows than `ingest.bucket_rows`.
    """
    sys.path.insert(0, str(table.ROOT))
    from cll.components.features.windows import Windows  # noqa: PLC0415  the others don't pay for it
    from cll.pipeline.featurize.compute import featurize  # noqa: PLC0415
    from cll.types.tables import INCIDENTS, Columns  # noqa: PLC0415

    features = Windows(
        value=False,
        windows=tuple(WIDTHS.values()),
        rolling=SETS[kind],  # type: ignore[arg-type]
        past=(),
        lags=(),
        change=False,
        missing=False,
        peers=None,
    )
    for day in range(DAYS):
        since = START + timedelta(days=day)
        files = [folder / f"{d}.parquet" for d in (day - 1, day) if d >= 0]
        seen = pl.scan_parquet(files).filter(pl.col("time") >= since - features.lookback)
        ordered = seen.sort("entity", "time", maintain_order=True)
        told = (Columns(numeric=COLUMNS), pl.DataFrame(schema=INCIDENTS))
        signals = ordered.collect()
        entity, rows = signals["entity"], signals.height
        cuts = [entity.search_sorted(entity[rows * k // BUCKETS]) for k in range(BUCKETS)]
        for start, stop in itertools.pairwise([*cuts, rows]):
            yield featurize(signals[start:stop], features, *told, since)
        del signals, entity  # frees the memory of a day before the next one is read


def polars(folder: Path, kind: str) -> Iterator[pl.DataFrame]:
    """Compute every window with a rolling expression per entity, and slopes from rolling means."""
    frame = pl.read_parquet(folder / "*.parquet").sort("entity", "time", maintain_order=True)
    hours = (pl.col("time") - START).dt.total_microseconds() / 3.6e9
    if kind == "moments":
        frame = frame.with_columns(
            pl.when(pl.col(c).is_not_null()).then(hours).alias(f"{c}_t") for c in COLUMNS
        ).with_columns(
            made
            for c in COLUMNS
            for made in (
                (pl.col(c) * pl.col(f"{c}_t")).alias(f"{c}_xt"),
                (pl.col(f"{c}_t") ** 2).alias(f"{c}_tt"),
            )
        )
    named = [(c, what, end) for end in WIDTHS for c in COLUMNS for what in SETS[kind]]
    made = (_in_polars(*each).alias("{}_{}_{}".format(*each)) for each in named)
    yield frame.select("entity", "time", *made)


def _in_polars(c: str, statistic: str, end: str) -> pl.Expr:
    if statistic != "slope":
        rolled: pl.Expr = getattr(pl.col(c), f"rolling_{statistic}_by")("time", end)
        return rolled.over("entity")
    x, t, xt, tt = (
        pl.col(c + part).rolling_mean_by("time", end).over("entity")
        for part in ("", "_t", "_xt", "_tt")
    )
    span = tt - t**2
    return pl.when(span > LEAST_SPAN).then((xt - x * t) / span)


def pandas(folder: Path, kind: str) -> Iterator[pl.DataFrame]:
    """Compute every window by rolling over each entity's rows by time, and slopes from rolling means."""
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415  the others don't pay

    frame = pd.concat(pd.read_parquet(folder / f"{day}.parquet") for day in range(DAYS))
    frame = frame.sort_values(["entity", "time"], kind="stable").set_index("time")
    columns = list(COLUMNS)
    hours = (frame.index - pd.Timestamp(START)) / pd.Timedelta(hours=1)
    for c in COLUMNS if kind == "moments" else ():
        frame[f"{c}_t"] = np.where(frame[c].notna(), hours, np.nan)
        frame[f"{c}_xt"] = frame[c] * hours
        frame[f"{c}_tt"] = frame[f"{c}_t"] ** 2
    grouped = frame.drop(columns="known_at").groupby("entity")
    made: dict[str, Any] = {"entity": frame["entity"].to_numpy(), "time": frame.index}
    for end, width in WIDTHS.items():
        rolling = grouped.rolling(width)
        if kind == "extremes":
            for statistic in SETS[kind]:
                found = getattr(rolling[columns], statistic)()
                made |= {f"{c}_{statistic}_{end}": found[c].to_numpy() for c in COLUMNS}
            continue
        mean, std = rolling.mean(), rolling[columns].std()
        for c in COLUMNS:
            made[f"{c}_mean_{end}"], made[f"{c}_std_{end}"] = mean[c].to_numpy(), std[c].to_numpy()
            span = mean[f"{c}_tt"] - mean[f"{c}_t"] ** 2
            slope = (mean[f"{c}_xt"] - mean[c] * mean[f"{c}_t"]) / span
            made[f"{c}_slope_{end}"] = slope.where(span > LEAST_SPAN).to_numpy()
    yield pl.DataFrame(made)


CONTENDERS: dict[str, Callable[[Path, str], Iterator[pl.DataFrame]]] = {
    "cll": cll,
    "polars": polars,
    "pandas": pandas,
}


def contend(name: str, kind: str, folder: Path) -> None:
    """Run one contender; write its sample to the data folder and its figures to stdout."""
    wall, spent, total = time.perf_counter(), time.process_time(), 0.0
    sampled, kept = [f"e{i:05}" for i in range(0, 100_000, SAMPLED)], list[pl.DataFrame]()
    for made in CONTENDERS[name](folder, kind):
        for column in made.columns[2:]:  # one by one: a copy of all would raise the peak memory
            total += float(made[column].fill_nan(None).cast(pl.Float64).sum())
        # Select by row number: a filtered frame may keep the whole frame in memory.
        kept.append(made[made["entity"].is_in(sampled).arg_true()])
        del made
    figures = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - spent,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sum": total,
    }
    pl.concat(kept).write_parquet(folder / f"{name}.sample")
    sys.stdout.write(json.dumps(figures))


def deviation(folder: Path, name: str) -> float:
    """Return the largest difference to cll's sample, relative to a value plus its column's RMS."""
    ours, theirs = (
        pl.read_parquet(folder / f"{who}.sample").sort("entity", "time", maintain_order=True)
        for who in ("cll", name)
    )
    last = pl.struct("entity", "time").is_last_distinct()
    ours, theirs = ours.filter(last), theirs.filter(last).select(ours.columns)
    worst = 0.0
    for column in ours.columns[2:]:
        x, y = (
            f[column].cast(pl.Float64).fill_null(float("nan")).to_numpy() for f in (ours, theirs)
        )
        if not np.array_equal(np.isnan(x), np.isnan(y)):
            return float("inf")
        scale = np.sqrt(np.nanmean(y * y)) + np.abs(y)
        worst = max(worst, float(np.nanmax(np.abs(x - y) / scale)))
    return worst


def run(rows: int, names: list[str]) -> dict[str, Any]:
    """Run all contenders one after another, for both sets of statistics."""
    found: dict[str, Any] = {"rows": rows, "cores": len(os.sched_getaffinity(0)), "sets": {}}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # In a new process: a child's peak includes the memory that its parent held at the start.
        table.alone([sys.executable, __file__, "--rows", str(rows), "--in", scratch])
        for kind in SETS:
            figures = found["sets"][kind] = {}
            for name in names:
                command = [sys.executable, __file__, "--as", name, "--kind", kind, "--in", scratch]
                figures[name] = table.alone(command)
                figures[name]["deviation"] = deviation(folder, name)
            for figure in figures.values():
                figure["wall_ratio"] = figure["wall_s"] / figures["cll"]["wall_s"]
                figure["cpu_ratio"] = figure["cpu_s"] / figures["cll"]["cpu_s"]
    return found


def show(found: dict[str, Any]) -> None:
    headings = ("", "wall s", "CPU s", "peak MiB", "wall ratio", "CPU ratio", "deviation")
    for kind, figures in found["sets"].items():
        count = len(COLUMNS) * len(WIDTHS) * len(SETS[kind])
        title = f"{', '.join(SETS[kind])}: {found['rows']:,} rows, {count} columns"
        keys = ("wall_s", "cpu_s", "peak_mib", "wall_ratio", "cpu_ratio")
        lines = [
            (name, *(f[key] for key in keys), f"{f['deviation']:.1e}")
            for name, f in figures.items()
        ]
        table.show(title, headings, lines)


def main() -> int:
    parser = table.arguments(__doc__, "windows")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    for hidden in ("--as", "--kind", "--in"):
        parser.add_argument(hidden, help="used by the benchmark itself")
    asked = vars(parser.parse_args())
    if asked["in"]:
        folder = Path(asked["in"])
        contend(asked["as"], asked["kind"], folder) if asked["as"] else write(folder, asked["rows"])
        return 0
    found = run(asked["rows"], ["cll", *(name for name in asked["only"] if name != "cll")])
    table.keep(found, asked["to"])
    show(found)
    deviations = [f["deviation"] for s in found["sets"].values() for f in s.values()]
    return int(max(deviations) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
