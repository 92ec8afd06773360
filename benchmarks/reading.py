"""Comparison of strict reading with Polars' bare readers of the same files, as ratios of rows per second.

    python benchmarks/reading.py --rows 10000000

Each figure is the best of several rounds, and the readers take turns, because a busy machine slows
both. The steps after reading (removing duplicates, writing partitions) are not included.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from cll.components.source.files import Files, Signals
from cll.pipeline.ingest.readers.splitter import survey
from cll.types.records import Arrived, Part

AS_OF = datetime(2027, 1, 31, tzinfo=UTC)
RESULTS = Path(__file__).parent / "results" / "reading.json"
KPIS = ("cpu_usage", "memory_usage", "error_rate", "response_time")
ENTITIES = 500
FAILED = 0.1  # share
BARE: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "jsonl": pl.read_ndjson,
    "parquet": pl.read_parquet,
}


def write(folder: Path, rows: int) -> None:
    """Write the same rows in each format: an entity, a time, four numbers and an outcome."""
    rng = np.random.default_rng(7)
    number = pl.int_range(rows, eager=True)
    start, step = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=5)
    time_ = pl.lit(start) + (number // ENTITIES) * pl.lit(step)
    frame = pl.select(
        entity=pl.format("pod-{}", (number % ENTITIES).cast(pl.String).str.zfill(4)),
        time=time_.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ).with_columns(*(pl.Series(name, rng.random(rows).round(6)) for name in KPIS))
    frame = frame.with_columns(failed=pl.Series(rng.random(rows) < FAILED).cast(pl.Int8))
    frame.write_csv(folder / "a.csv")
    frame.write_ndjson(folder / "a.jsonl")
    frame.write_parquet(folder / "a.parquet", row_group_size=250_000)


def _arrived(path: Path) -> Arrived:
    limits = Files().limits
    found = survey(path, (), limits)
    parts = (Part(c.start, c.stop, c.row, c.sha256, AS_OF) for c in found.cuts)
    return Arrived(path.as_posix(), found.sha256, tuple(parts))


def best(reads: Sequence[Callable[[], object]], rounds: int) -> list[tuple[float, float]]:
    """Return the least wall and CPU seconds of each reader."""
    least = [(np.inf, np.inf)] * len(reads)
    for _ in range(rounds):
        for i, read in enumerate(reads):
            wall, cpu = time.perf_counter(), time.process_time()
            read()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            least[i] = min(least[i][0], wall), min(least[i][1], cpu)
    return least


def measure(path: Path, rows: int, rounds: int) -> dict[str, float]:
    """Return ratios of rows per second; 1 is as fast as the bare reader."""
    known = _arrived(path)
    source = Files(path=str(path), signals=Signals())

    def pieces(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            kept = sum(pool.map(lambda piece: piece.read().rows.height, source(AS_OF, [known])))
        if kept != rows:
            message = f"{path.name}: {kept} rows were kept of {rows}."
            raise ValueError(message)

    bare, one, two, looked = best(
        [
            lambda: BARE[path.suffix[1:]](path),
            lambda: pieces(1),
            lambda: pieces(2),
            lambda: _arrived(path),
        ],
        rounds,
    )
    return {
        "one thread": round(bare[0] / one[0], 3),
        "two threads": round(bare[0] / two[0], 3),
        "cpu": round(bare[1] / one[1], 3),
        "cpu with survey": round(bare[1] / (one[1] + looked[1]), 3),
    }


def main() -> None:
    """Measure the readers, print the ratios and store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, given.rows)
        found = {kind: measure(folder / f"a.{kind}", given.rows, given.rounds) for kind in BARE}
    table = Table("rows per second, bare reader = 1", *next(iter(found.values())))
    for kind, ratios in found.items():
        table.add_row(kind, *(f"{ratio:.2f}" for ratio in ratios.values()))
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"rows": given.rows, **found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
