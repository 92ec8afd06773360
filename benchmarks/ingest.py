"""Comparison of ingest with all of its checks with Polars' bare readers of the same files.

    python benchmarks/ingest.py                 10 million rows; needs about 6 GB of disk
    python benchmarks/ingest.py --rows 20000    some seconds

The input is a fleet that reports every 5 minutes, as JSONL, CSV and Parquet. Each format exists as one file
per day and as one file for all, in order of time. The contenders are:

- `cll` runs its ingest stage on a new project (source=files, default settings). It hashes and cuts files,
  reads and checks each record, sorts, cuts into days, removes duplicates, computes profiles, compares
  them with a schema, and writes complete partitions or none.
- `polars` reads the same columns of each file with its reader's defaults, leaves times as text, and
  discards the rows.
- `kept` is Polars, too, but it sorts each file by entity and time and writes it as Parquet (zstd 1).
- `floor` is the least work of a stage that stores rows with checksums. With the functions and the number of
  threads of cll, each file is hashed, read by Polars, sorted, written, and hashed again, without any check.

Each contender runs three times (--times), in turns, and the median counts. The seconds per step of cll are
summed over its threads. The figures go to benchmarks/results/ingest.json.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from table import alone, arguments, keep, project, show

START = datetime(2026, 1, 1, tzinfo=UTC)
A_DAY = 288  # rows per entity and day
KPIS = {"cpu_usage": 40.0, "memory_usage": 60.0, "error_rate": 0.02, "response_time": 0.3}
READ = {".jsonl": pl.read_ndjson, ".csv": pl.read_csv, ".parquet": pl.read_parquet}
GOALS = {
    "jsonl": 0.2,
    "csv": 0.3,
    "parquet": 0.33,
}  # lower limit, as a share of Polars' rows per second
ROLES = ("polars", "kept", "floor", "cll", "watched")
LAYOUTS = ("daily", "whole")
WHERE = {  # name of the step: its functions in the ingest stage
    "hash and cut files": ("cll.pipeline.ingest.arrival_log:survey",),
    "read bytes": ("cll.pipeline.ingest.readers.extents:read",),
    "cast fields": ("cll.pipeline.ingest.readers.casting:cast",),
    "admit": ("cll.pipeline.ingest.admit:admit",),
    "sort": ("cll.pipeline.ingest.deduplicate:sort",),
    "cut into days": ("cll.pipeline.ingest.segments:_write_days",),
    "describe": ("cll.pipeline.ingest.segments:profile", "cll.pipeline.ingest.days:profile"),
    "write and hash": (
        "cll.pipeline.ingest.parquet:write",
        "cll.system.frames:write_scratch",
        "cll.system.frames:write_frame",
    ),
    "hash again": ("cll.system.disk:sha256",),
    "settle": (
        "cll.pipeline.ingest.deduplicate:settle",
        "cll.pipeline.ingest.segments:Segments.rows",
    ),
    "publish": ("cll.system.partitions:Renewal.publish",),
}


def write(folder: Path, rows: int) -> int:
    """Write all files; return the number of rows."""
    rng = np.random.default_rng(5)
    entities = max(min(1000, rows // (3 * A_DAY)), 1)
    days = max(round(rows / (entities * A_DAY)), 1)
    names = [f"agent-{i:04}" for i in range(entities)]
    frames = []
    for day in range(days):
        times = pl.Series([START + timedelta(days=day, minutes=5 * k) for k in range(A_DAY)])
        frame = pl.DataFrame({"time": times, "entity": [names] * A_DAY}).explode("entity")
        frame = frame.select("entity", "time")
        for name, usual in KPIS.items():
            x = usual * rng.lognormal(0, 0.2, frame.height)
            frame = frame.with_columns(pl.Series(name, x).round_sig_figs(6))
        _write(frame, folder, "daily", f"{day:03}")
        frames.append(frame)
    _write(pl.concat(frames), folder, "whole", "all")
    return entities * days * A_DAY


def _write(frame: pl.DataFrame, folder: Path, layout: str, name: str) -> None:
    text = frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    for kind in GOALS:
        path = folder / kind / layout / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "parquet":
            frame.write_parquet(path)
        else:
            (text.write_csv if kind == "csv" else text.write_ndjson)(path)


def bare(folder: Path) -> dict[str, Any]:
    """Read each file and discard the rows."""
    with _timed() as took:
        rows = sum(READ[path.suffix](path).height for path in sorted(folder.iterdir()))  # type: ignore[operator]
    return {"rows": rows, **took}


def kept(folder: Path) -> dict[str, Any]:
    """Read each file, sort it, and write it."""
    rows = 0
    with _timed() as took:
        for path in sorted(folder.iterdir()):
            frame = READ[path.suffix](path).sort("entity", "time")  # type: ignore[operator]
            frame.write_parquet("kept.parquet", compression="zstd", compression_level=1)
            rows += frame.height
    return {"rows": rows, **took}


def floor(folder: Path) -> dict[str, Any]:
    """Hash, read, sort, write and hash each file again; each file is processed by one thread."""
    from cll.pipeline.ingest import deduplicate, parquet  # noqa: PLC0415  Polars doesn't pay for it
    from cll.system import disk  # noqa: PLC0415  Polars doesn't pay for it

    def one(path: Path) -> int:
        disk.sha256(path)
        frame = READ[path.suffix](path)  # type: ignore[operator]
        if frame["time"].dtype == pl.String:
            frame = frame.with_columns(
                pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
            )
        parquet.write(Path("kept") / path.name, deduplicate.sort(frame))
        return int(frame.height)

    with _timed() as took, ThreadPoolExecutor(pl.thread_pool_size() + 1) as pool:
        rows = sum(pool.map(one, sorted(folder.iterdir())))
    return {"rows": rows, **took}


def watched(folder: Path) -> dict[str, Any]:
    """Run the stage with timers around its steps."""
    spent = Timers()
    return ingest(folder) | {"where": spent.seconds}


def ingest(folder: Path) -> dict[str, Any]:
    """Run the stage on a new project."""
    from cll.config import project as config_project  # noqa: PLC0415  Polars doesn't pay for it
    from cll.pipeline import stages  # noqa: PLC0415  Polars doesn't pay for it
    from cll.system import workspace  # noqa: PLC0415  Polars doesn't pay for it

    ws = workspace.Workspace(Path())
    columns = {"outcome": None, **{name: name for name in KPIS}}
    files = {"path": str(folder), "signals": {"columns": columns}}
    end = START + timedelta(days=10_000)
    project(
        Path(),
        f"{end:%Y-%m-%dT%H:%M:%SZ}",
        {"source": "files", "set": {"source": {"files": files}}},
    )
    stages.compose(ws)
    tree, known = config_project.load_tree(ws), config_project.load_world(ws)
    with _timed() as took:
        stages.STAGES["ingest"](ws, tree, known)
    told = json.loads(Path("reports/ingest.json").read_bytes())
    return {"rows": told["kept"], **took}


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """Measure the seconds of a block, after all libraries are loaded."""
    took: dict[str, float] = {}
    began, spent = time.perf_counter(), time.process_time()
    yield took
    took |= {"took_s": time.perf_counter() - began, "took_cpu_s": time.process_time() - spent}


class Timers:
    """Seconds in each step of WHERE, without those of nested steps, summed over all threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._own = threading.local()
        self._lock = threading.Lock()
        for label, places in WHERE.items():
            for place in places:
                self._watch(label, *place.split(":"))

    def _watch(self, label: str, module: str, path: str) -> None:
        __import__(module)
        *owners, name = path.split(".")
        owner: Any = sys.modules[module]
        for part in owners:
            owner = getattr(owner, part)
        setattr(owner, name, self._timed(label, getattr(owner, name)))

    def _timed(self, label: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **settings: Any) -> Any:
            within = getattr(self._own, "within", 0.0)
            self._own.within, began = 0.0, time.perf_counter()
            try:
                return call(*args, **settings)
            finally:
                took = time.perf_counter() - began
                with self._lock:
                    so_far = self.seconds.get(label, 0.0)
                    self.seconds[label] = so_far + took - self._own.within
                self._own.within = within + took

        return timed


def run(rows: int, kinds: list[str], times: int) -> dict[str, Any]:
    found: dict[str, Any] = {"formats": {}}
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        found["rows"] = alone([sys.executable, __file__, "--write", data, "--rows", str(rows)])[
            "rows"
        ]
        for kind in kinds:
            for layout in LAYOUTS:
                found["formats"][f"{kind}, {layout}"] = _pair(
                    data / kind / layout, GOALS[kind], times
                )
    return found


def _pair(folder: Path, goal: float, times: int) -> dict[str, Any]:
    runs: dict[str, list[Any]] = {}
    for name in ("polars", *ROLES * times):
        with tempfile.TemporaryDirectory() as own:
            command = (sys.executable, __file__, "--as", name, "--in", folder)
            runs.setdefault(name, []).append(alone(command, Path(own)))
    runs["polars"].pop(0)  # from then on all files are in the system's cache
    figures = {
        name: sorted(of, key=itemgetter("took_s"))[len(of) // 2] for name, of in runs.items()
    }
    bare = figures["polars"]
    for one in figures.values():
        one["rows_per_s"] = one["rows"] / one["took_s"]
        one["ratio"] = bare["took_s"] / one["took_s"]
        one["cpu_ratio"] = bare["took_cpu_s"] / one["took_cpu_s"]
    figures["where"] = figures.pop("watched")["where"]
    return figures | {"goal": goal}


def told(found: dict[str, Any]) -> None:
    title = f"{found['rows']:,} rows ingested, against Polars' reader"
    headings = ("files", "", "rows/s", "wall s", "CPU s", "peak MiB", "ratio", "by CPU", "goal")
    rows: list[tuple[object, ...]] = []
    for name, one in found["formats"].items():
        for who in ROLES[:-1]:
            f = one[who]
            speed, goal = f"{f['rows_per_s']:,.0f}", one["goal"] if who == "cll" else ""
            cost = (f["took_s"], f["took_cpu_s"], f["peak_mib"])
            rows.append((name, who, speed, *cost, f["ratio"], f["cpu_ratio"], goal))
    show(title, headings, rows)
    names = list(found["formats"])
    shares = [[_share(found["formats"][name]["where"], label) for name in names] for label in WHERE]
    lines = [(label, *row) for label, row in zip(WHERE, shares, strict=True)]
    show("Where cll's time goes, in % of what is watched", ("", *names), lines)


def _share(where: dict[str, float], label: str) -> str:
    return f"{100 * where.get(label, 0.0) / sum(where.values()):.1f}"


def main() -> int:
    parser = arguments(__doc__, "ingest")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(GOALS), default=list(GOALS))
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        print(json.dumps({"rows": write(asked.write, asked.rows)}))
        return 0
    if asked.role:
        run_one = {"polars": bare, "kept": kept, "floor": floor, "cll": ingest, "watched": watched}[
            asked.role
        ]
        print(json.dumps(run_one(asked.folder)))
        return 0
    found = run(asked.rows, asked.only, asked.times)
    keep(found, asked.to)
    told(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
