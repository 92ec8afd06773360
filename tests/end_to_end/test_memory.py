"""Ingest stays under 1 GiB of memory, whatever lies in its files."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from cll.system import disk
from tests.build import small

BOUND = 1024  # MiB
TIME = "2026-01-01T00:00:00Z"
KPIS = ("cpu_usage", "memory_usage", "error_rate", "response_time")
HEADER = f"entity,time,{','.join(KPIS)},failed\n".encode()
ROW = f"a,{TIME},0.5,0.5,0.5,0.5,0\n".encode()
OBJECT = json.dumps({"entity": "a", "time": TIME, **dict.fromkeys(KPIS, 0.5), "failed": 0}).encode()
MIB = 2**20

_INGEST = """
import sys
from pathlib import Path
from cll.config import project
from cll.system import workspace
from cll.types.errors import CllError
from cll.pipeline.stages import STAGES

ws = workspace.Workspace(Path())
try:
    STAGES["ingest"](ws, project.load_tree(ws), project.load_world(ws))
except CllError as error:
    print(type(error).__name__, error)
status = Path("/proc/self/status").read_text().split()
print(int(status[status.index("VmHWM:") + 1]) // 1024)
"""


def ingest(ws, *words):
    """Run ingest in a process of its own; return its peak in MiB, and what it said."""
    small.compose_into(
        ws, ["source=files", "ingest.schema=off", "ingest.max_quarantined=1", *words]
    )
    done = subprocess.run(
        [sys.executable, "-c", _INGEST],
        cwd=ws.root,
        env={**os.environ, "PYTHONPATH": str(small.ROOT), "CLL_QUIET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *said, peak = done.stdout.splitlines()
    return int(peak), " ".join(said)


def repeated(unit, size):
    big = unit * (MIB // len(unit) + 1)
    return (big for _ in range(size // len(big) + 1))


def text(path, head, unit, size, tail=b""):
    """Write a file, packed as its name says, of a unit that is repeated."""
    with opened(path) as file:
        file.write(head)
        for piece in repeated(unit, size):
            file.write(piece)
        file.write(tail)


def opened(path):
    if path.suffix == ".gz":
        return gzip.open(path, "wb", 1)
    if path.suffix == ".zst":
        return pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd")
    return path.open("wb")


def columns(path, rows, name="a", more=None, **settings):
    """Write Parquet in one row group, of rows that are all the same."""
    numbers = {kpi: pa.array(np.full(rows, 0.5)) for kpi in KPIS}
    entity = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [name])
    time = pa.array(np.full(rows, 1767225600000000), pa.timestamp("us", "UTC"))
    failed = pa.array(np.zeros(rows))
    table = {"entity": entity, "time": time, **numbers, "failed": failed, **(more or {})}
    parquet.write_table(pa.table(table), path, row_group_size=rows, **settings)


def wide(path):
    more = {f"x{i}": pa.array(np.full(50_000, 0.5)) for i in range(300)}
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(50_000, np.int32)), ["x" * 10**6])
    columns(path, 50_000, more={**more, "long": long})


def wide_text(path):
    names = ",".join(f"x{i}" for i in range(10_000)).encode()
    line = ROW.strip() + b",1" * 10_000 + b"\n"
    text(path, HEADER.strip() + b"," + names + b"\n", line, 100 * MIB)


# By name: the files, and how many records are kept and quarantined.
FILES = {
    "a packed document": (
        "a.json.gz",
        lambda p: text(p, b"[", OBJECT + b",", 150 * MIB, OBJECT + b"]"),
    ),
    "a document": ("a.json", lambda p: text(p, b"[", OBJECT + b",", 150 * MIB, OBJECT + b"]")),
    "empty lists": ("a.json.gz", lambda p: text(p, b"[", b"[[],[],{}],", 30 * MIB, b"[]]")),
    "nesting without end": ("a.json.zst", lambda p: text(p, b"", b"[", 300 * MIB)),
    "one string": ("a.json.zst", lambda p: text(p, b'["', b"x", 300 * MIB, b'"]')),
    "blanks": ("a.json.zst", lambda p: text(p, b"[]", b" ", 300 * MIB)),
    "CSV that repeats itself": ("a.csv.gz", lambda p: text(p, HEADER, ROW, 300 * MIB)),
    "JSON lines": ("a.jsonl.zst", lambda p: text(p, b"", OBJECT + b"\n", 300 * MIB)),
    "JSON lines of odd shapes": (
        "a.jsonl.gz",
        lambda p: text(p, b"", OBJECT[:-1] + b', "x": [[], {}, []]}\n', 100 * MIB),
    ),
    "bad lines": ("a.csv.gz", lambda p: text(p, HEADER, b"x,y\n", 100 * MIB)),
    "bad JSON lines": ("a.jsonl.gz", lambda p: text(p, b"", b"[]\n", 100 * MIB)),
    "lone quotes": ("a.csv.zst", lambda p: text(p, HEADER, b'"\n', 100 * MIB)),
    "commas": ("a.csv.zst", lambda p: text(p, HEADER, b",,,,,,,,,,,\n", 300 * MIB)),
    "quoted newlines": ("a.csv.zst", lambda p: text(p, HEADER, b'"a\nb"' + ROW[1:], 200 * MIB)),
    "a lost quote": ("a.csv", lambda p: text(p, HEADER + b'"', ROW, 300 * MIB)),
    "a line without end": ("a.csv.gz", lambda p: text(p, HEADER, b"x", 600 * MIB, b"\n" + ROW)),
    "a long line": ("a.jsonl", lambda p: text(p, OBJECT + b"\n", b"x", 300 * MIB, b"\n" + OBJECT)),
    "UTF-16": ("a.csv", lambda p: text(p, b"\xff\xfe", b"a\0\n\0", 600 * MIB)),
    "rows in one row group": ("a.parquet", lambda p: columns(p, 20_000_000)),
    "a long name": ("a.parquet", lambda p: columns(p, 10, "n" * 200_000_000)),
    "a name that just fits": ("a.parquet", lambda p: columns(p, 10, "n" * 60_000_000)),
    "long names": ("a.parquet", lambda p: columns(p, 900_000, "n" * 100_000)),
    "names as long as may be": ("a.parquet", lambda p: columns(p, 1_500_000, "n" * 4096)),
    "columns that nobody wants": ("a.parquet", wide),
    "ten thousand columns": ("a.csv", wide_text),
}
QUICK = {"a name that just fits", "columns that nobody wants"}


CASES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name) for name in FILES
]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_a_file_takes_no_more_than_a_gigabyte(tmp_path, name):
    ws = small.project(tmp_path / "project", as_of="2026-02-01T00:00:00Z")
    file, write = FILES[name]
    raw = ws.root / "data" / "raw"
    raw.mkdir(parents=True)
    write(raw / file)
    (raw / "sound.csv").write_bytes(HEADER + ROW.replace(b"a,", b"sound,"))
    peak, said = ingest(ws)
    assert peak < BOUND, said
    assert said == ""
    counts = disk.read_json(ws.reports / "ingest.json")
    assert counts["kept"] >= 1
    assert counts["in"] == sum(counts.values()) - counts["in"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bad lines", "a packed document", "a name that just fits", "rows in one row group"]
)
def test_several_files_at_once_take_no_more_than_a_gigabyte(tmp_path, name):
    ws = small.project(tmp_path / "project", as_of="2026-02-01T00:00:00Z")
    file, write = FILES[name]
    raw = ws.root / "data" / "raw"
    raw.mkdir(parents=True)
    write(raw / file)
    for i in range(3):
        os.link(raw / file, raw / f"{i} {file}")
    (raw / "sound.csv").write_bytes(HEADER + ROW.replace(b"a,", b"sound,"))
    peak, said = ingest(ws)
    assert said == ""
    assert peak < BOUND
