"""Processes that are killed, disks that are full or read-only: no half of anything reads as data."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from cll.pipeline import stages as order
from cll.pipeline.dataset import tables
from cll.pipeline.ingest import arrival_log
from cll.system import manifest
from cll.system.stat_cache import StatCache
from cll.types.errors import CllError
from cll.types.records import Arrival
from tests.build import small
from tests.run import killed

pytestmark = pytest.mark.slow

RUNS = [
    "source=files",
    *small.CLASSIC[1:],
    "ingest.schema=off",
    "ingest.max_quarantined=1.0",
    "features=windows",
    "features.windows=[6h]",
]


def filled(folder):
    """Make a project whose files are there, and nothing else."""
    ws = small.project(folder)
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", rows=40, bad=1)
    small.compose_into(ws, RUNS)
    return ws


def arrive(ws):
    """Let a new day, a late record, a conflict and a bad record arrive."""
    with (ws.root / "data" / "raw" / "runs.csv").open("a") as file:
        file.write("pod-1,2026-01-02T23:00:00Z,0.1,0.1,0.1,0.1,0\nx,y\n")
    lines = ["entity,time,cpu_usage,memory_usage,error_rate,response_time,failed"]
    lines += [f"pod-{n},2026-01-05T0{n}:00:00Z,0.2,0.2,0.2,0.2,1" for n in range(5)]
    lines += ["pod-1,2026-01-02T23:00:00Z,0.9,0.1,0.1,0.1,0"]
    (ws.root / "data" / "raw" / "more.csv").write_text("\n".join(lines) + "\n")
    (ws.root / "world.yaml").write_text('as_of: "2026-01-06T00:00:00Z"\nchampion: none\n')


def run(ws, *names):
    """Run stages in this process, undisturbed."""
    with contextlib.chdir(ws.root):
        for stage in names or ("ingest", "featurize"):
            assert order.main(stage) == 0


def process(ws, stage, before=""):
    """Run a stage in a process of its own, which does `before` when all is imported."""
    code = (
        "import sys, resource\nfrom cll.pipeline import stages\n"
        "from cll.pipeline.featurize import stage as featurize\n"
        "from cll.pipeline.ingest import stage as ingest\n"
        f"{before}\nsys.exit(stages.main({stage!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ws.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def environment():
    more = {"PYTHONPATH": str(small.ROOT), "CLL_QUIET": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **more, "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Return a project at each stage of its life: before and after a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("crashes")
    new = filled(folder / "new")
    first = small.copied(new, folder / "first")
    run(first, "ingest")
    grown = small.copied(first, folder / "grown")
    run(grown, "featurize")
    arrive(grown)
    whole = small.copied(grown, folder / "whole")
    run(whole, "ingest")
    derived = small.copied(whole, folder / "ingested")
    run(whole, "featurize")
    run(first, "featurize")
    return {"first": (new, first), "grown": (grown, whole), "derived": (derived, whole)}


def kill(places, stage, points, scratch):
    before, whole = places
    command = [before.root, whole.root, scratch, stage, points]
    done = subprocess.run(
        [sys.executable, "-m", "tests.run.killed", *map(str, command)],
        cwd=small.ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


LIVES = [("first", "ingest"), ("grown", "ingest"), ("derived", "featurize")]


def some_of(count):
    """The first and the last changes, and every seventh: days repeat theirs, so each kind is hit."""
    return sorted({*range(6), *range(6, count - 6, 7), *range(count - 6, count)})


@pytest.mark.parametrize(("life", "stage"), LIVES)
def test_killed_at_a_write_nothing_half_reads_as_data_and_the_next_run_is_whole(
    stages, life, stage, tmp_path
):
    ((_, _, (count, failed)),) = kill(stages[life], stage, "count", tmp_path / "scratch")
    assert not failed
    points = ",".join(map(str, some_of(count)))
    found = kill(stages[life], stage, points, tmp_path / "scratch")
    died = [one for one in found if one[1] == -9]
    assert len(died) > len(found) - 3  # threads count in no order of their own
    assert [one for one in died if one[2]] == []


@pytest.fixture
def disk(tmp_path):
    """Return a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)):
        pytest.skip("a disk can't be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def mounted(*words):
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def refusal_of(done, code=6):
    """Return what a failed stage says: one line, and no traceback."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("cll: ")
    assert line.endswith(".")
    return line


@pytest.mark.parametrize(("life", "stage"), LIVES[1:])
def test_on_a_full_disk_a_stage_says_so_and_what_was_there_is_as_it_was(stages, life, stage, disk):
    before, whole = stages[life]
    ws = small.copied(before, disk / "project")
    old = killed.contents(ws.root)
    for room in (0, 4, 24, 60):
        fill = disk / "fill"
        free = shutil.disk_usage(disk).free
        fill.write_bytes(bytes(max(0, free - room * 1024)))
        done = process(ws, stage)
        if done.returncode:
            says = refusal_of(done)
            assert "No space left on device; check the disk and the permissions." in says
            assert str(ws.root) in says or "registry/" in says or ".cll/" in says or "data/" in says
            now = killed.contents(ws.root)
            assert {n: d for n, d in now.items() if n in old and n not in LOGS} == {
                n: d for n, d in old.items() if n not in LOGS
            }
        fill.unlink()
        if not done.returncode:
            break
    run(ws)
    assert killed.contents(ws.root) == killed.contents(whole.root)


LOGS = ("registry/arrivals.jsonl", "reports/refusal.json")  # grow first, or tell of the refusal


@pytest.mark.parametrize(("life", "stage"), LIVES[1:])
def test_a_read_only_folder_is_named_and_can_be_made_writable(stages, life, stage, disk):
    before, whole = stages[life]
    ws = small.copied(before, disk / "project")
    old = killed.contents(ws.root)
    assert mounted("-o", "remount,ro", str(disk))
    says = refusal_of(process(ws, stage))
    assert "Read-only file system; check the disk and the permissions." in says
    assert any(name in says for name in ("registry/arrivals.jsonl", ".cll", "data"))
    assert killed.contents(ws.root) == old
    assert mounted("-o", "remount,rw", str(disk))
    run(ws)
    assert killed.contents(ws.root) == killed.contents(whole.root)


@pytest.mark.parametrize("most", [0, 63])
def test_without_file_descriptors_a_stage_says_so_and_the_next_run_is_whole(stages, most, tmp_path):
    before, whole = stages["grown"]
    ws = small.copied(before, tmp_path / "project")
    old = killed.contents(ws.root, killed.DATA)
    limit = (
        f"import os; n = len(os.listdir('/dev/fd')) - 1 + {most}; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))"
    )
    says = refusal_of(process(ws, "ingest", limit))
    assert says == "cll: Too many open files: a stage needs 64 at once; raise `ulimit -n`."
    assert killed.contents(ws.root, killed.DATA) == old
    run(ws)
    assert killed.contents(ws.root) == killed.contents(whole.root)


@pytest.mark.parametrize("most", [100, 4000])
def test_where_files_may_not_grow_a_stage_says_so_and_the_next_run_is_whole(stages, most, tmp_path):
    before, whole = stages["grown"]
    ws = small.copied(before, tmp_path / "project")
    old = killed.contents(ws.root, killed.DATA)
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    assert "File too large; check the disk and the permissions." in refusal_of(
        process(ws, "ingest", limit)
    )
    assert killed.contents(ws.root, killed.DATA) == old
    run(ws)
    assert killed.contents(ws.root) == killed.contents(whole.root)


def flip(path, share, *, silently=False):
    """Turn one bit over; `silently`: as a disk does, without a new time of change."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[int((len(data) - 1) * share)] ^= 1 << int(share * 70) % 8
    path.write_bytes(data)
    if silently:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def whole(stages, tmp_path):
    """Return a project that is up to date, and knows that its files did not change."""
    ws = small.copied(stages["grown"][1], tmp_path / "project")
    for path in ws.root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    run(ws)
    return ws


SHARES = (0.0, 0.3, 0.5, 0.77, 1.0)  # of a file: where its bit is turned over
SIGNALS = "data/signals/date=2026-01-03/part-0.parquet"
FEATURES = "data/features/date=2026-01-03/part-0.parquet"
SETTLED = "data/signals/date=2026-01-02/quarantine.parquet"
BESIDE = ("data/signals/incidents.parquet", "data/signals/quarantine.parquet")
MANIFESTS = ("data/signals/manifest.json", "data/features/manifest.json")


def refusals(ws):
    """Read all there is, as the stages behind do; return who refuses."""
    reads = {
        "signals": lambda: tables.read(ws.signals),
        "features": lambda: tables.read(ws.features),
        "facts": lambda: tables.facts(ws),
        "incidents": lambda: tables.incidents(ws),
        "quarantine": lambda: tables.quarantine(ws),
    }
    found = {}
    for name, read in reads.items():
        try:
            read()
        except CllError as refusal:
            found[name] = str(refusal)
    return found


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.parametrize("name", [SIGNALS, FEATURES, *BESIDE, *MANIFESTS])
def test_a_flipped_bit_of_the_data_is_found_with_the_files_name(whole, name, silently):
    good = (whole.root / name).read_bytes()
    assert refusals(whole) == {}
    for share in SHARES:
        flip(whole.root / name, share, silently=silently)
        found = refusals(whole)
        assert found
        assert all(f"{whole.root / name}: " in says for says in found.values())
        (whole.root / name).write_bytes(good)


@pytest.mark.parametrize("name", [SIGNALS, FEATURES, SETTLED, *BESIDE, *MANIFESTS])
def test_a_flipped_bit_of_the_data_is_made_good_by_the_next_run(whole, name):
    want = killed.contents(whole.root)
    flip(whole.root / name, 0.5)
    run(whole)
    assert killed.contents(whole.root) == want


@pytest.mark.parametrize("share", [0.3, 0.77])
@pytest.mark.parametrize("kind", ["*.parquet", "segment.json"])
def test_a_flipped_bit_of_what_was_read_before_is_found_and_read_again(whole, kind, share):
    want = killed.contents(whole.root)
    for path in (whole.cache / "segments").rglob(kind):
        flip(path, share, silently=True)
    shutil.rmtree(whole.root / "data" / "signals")
    shutil.rmtree(whole.root / "data" / "features")
    run(whole)
    assert killed.contents(whole.root) == want


def test_a_flipped_bit_of_what_is_remembered_of_files_costs_time_and_nothing_else(whole):
    want = killed.contents(whole.root)
    flip(whole.cache / "memo.json", 0.5)
    run(whole)
    assert killed.contents(whole.root) == want


def flipped(path):
    """Yield while one bit of a file is turned over: at least one of each byte."""
    good = path.read_bytes()
    for place in range(0, 8 * len(good), 7):
        data = bytearray(good)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        yield place
    path.write_bytes(good)


def test_a_flipped_bit_anywhere_in_what_is_remembered_makes_it_forgotten(tmp_path):
    (tmp_path / "a").write_text("one")
    os.utime(tmp_path / "a", ns=(10**18, 10**18))
    cache = StatCache(tmp_path / "memo.json")
    cache.sha256(tmp_path / "a")
    cache.save()
    for _ in flipped(tmp_path / "memo.json"):
        assert StatCache(tmp_path / "memo.json")._entries == {}
    assert StatCache(tmp_path / "memo.json")._entries


def test_a_flipped_bit_anywhere_in_a_manifest_is_found_with_the_files_name(tmp_path):
    path = tmp_path / manifest.MANIFEST
    manifest.write_manifest(tmp_path, {"code": "1"}, {"counts": {"in": 12}}, {})
    for place in flipped(path):
        with pytest.raises(CllError, match=f"^{re.escape(str(path))}: "):
            assert manifest.unseal(tmp_path)["facts"] == place
    assert manifest.unseal(tmp_path)["facts"] == {"counts": {"in": 12}}


def test_a_flipped_bit_anywhere_in_the_log_of_arrivals_is_found_with_the_files_name(tmp_path):
    path = tmp_path / "arrivals.jsonl"
    good = [Arrival("data/raw/a.csv", 64 * "a", datetime(2026, 1, 5, tzinfo=UTC), 120)]
    arrival_log.write(path, good)
    silent = []
    for place in flipped(path):
        try:
            silent += [place] if arrival_log.read(path) != good else []
        except CllError as refusal:
            assert str(refusal).startswith(f"{path}:")  # noqa: PT017  most bits, and no other way
    assert silent == []  # a newline that became another blank is read as it was
