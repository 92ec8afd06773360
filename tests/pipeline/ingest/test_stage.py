"""What a tick costs: days are made again where something of them is another, and nowhere else."""

import gzip
import json

import polars as pl
import pytest

from cll.pipeline.dataset import tables
from cll.pipeline.ingest import days
from cll.pipeline.ingest.readers import splitter, streams
from cll.pipeline.ingest.segments import Segments
from cll.system import disk, frames, manifest
from cll.system.partitions import SealedFolder
from cll.types.errors import DataRefused
from cll.verify import reproduce
from tests.build import small

COLUMNS = "{entity: e, time: t, known_at: k, cpu_usage: x, memory_usage: null, error_rate: null, "
WORDS = [
    "source=files",
    f"source.signals.columns={COLUMNS}response_time: null, outcome: null}}",
    "features=windows",
    "features.windows=[2h]",
    "features.peers=null",
    "label=incident",
    "estimator=logistic",
    "ingest.schema=off",
]


def rows(day, hours=range(24), entities="ab", value=0.5, known=None):
    told = []
    for entity in entities:
        for hour in hours:
            time = f"2026-01-{day:02}T{hour:02}:30:00Z"
            told.append({"e": entity, "t": time, "k": known or time, "x": value + hour / 100})
    return told


def write(ws, name, records, mode="w"):
    path = ws.root / "data" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def world(ws, day):
    as_of = f"2026-01-{day:02}T00:00:00Z"
    (ws.root / "world.yaml").write_text(f'as_of: "{as_of}"\nchampion: none\n')


class Run:
    """A small project of three days, and what its stages say."""

    def __init__(self, folder, capsys):
        self.ws = small.project(folder, as_of="2026-01-04T00:00:00Z")
        self.capsys = capsys
        for day in (1, 2, 3):
            write(self.ws, f"{day}.jsonl", rows(day))
        self.tick()

    def tick(self, *words, last="featurize"):
        """Run the data's stages; return what ingest and featurize made, and why."""
        self.capsys.readouterr()
        small.reproduce(self.ws, [*WORDS, *words], last=last)
        said = self.capsys.readouterr().err.splitlines()
        return [line for line in said if ": made " in line or " up to date" in line]

    def rebuilt(self, folder):
        """Tell whether everything from the files alone gives the same bytes."""
        before = small.Path.cwd()
        small.os.chdir(self.ws.root)
        try:
            reproduce.main(str(folder), ["ingest", "featurize"])
        finally:
            small.os.chdir(before)
        return sorted(reproduce._differences(self.ws.root, folder, reproduce.PARTITIONED)) == []


@pytest.fixture
def run(tmp_path, capsys):
    return Run(tmp_path / "project", capsys)


def test_a_new_day_makes_one_partition_of_each_kind(run, tmp_path):
    write(run.ws, "4.jsonl", rows(4))
    world(run.ws, 5)
    assert run.tick() == [
        "ingest: made 1 of 4 days (new): 2026-01-04",
        "featurize: made 1 of 4 days (new): 2026-01-04",
    ]
    assert run.rebuilt(tmp_path / "again")


def test_a_late_record_makes_again_the_days_whose_windows_hold_it_and_no_other(run, tmp_path):
    late = rows(1, hours=[23], entities="c", known="2026-01-04T12:00:00Z")
    write(run.ws, "late.jsonl", late)
    world(run.ws, 5)
    assert run.tick() == [
        "ingest: made 1 of 3 days (other records): 2026-01-01",
        "featurize: made 2 of 3 days (other records): 2026-01-01, 2026-01-02",
    ]
    assert run.rebuilt(tmp_path / "again")


def test_a_late_record_is_pending_until_it_is_known(run):
    write(run.ws, "late.jsonl", rows(1, hours=[23], entities="c", known="2026-01-04T12:00:00Z"))
    assert run.tick()[0] == "ingest: made 1 of 3 days (other records): 2026-01-01"
    assert disk.read_json(run.ws.reports / "ingest.json")["pending"] == 1
    assert "c" not in tables.read(run.ws.signals)["entity"]


def test_a_late_record_leaves_the_features_of_rows_that_were_scored_before(run):
    before = tables.read(run.ws.features)
    late = rows(2, hours=[5], entities="a", value=9.0, known="2026-01-02T07:00:00Z")
    late = [{**one, "t": "2026-01-02T05:45:00Z"} for one in late]
    write(run.ws, "late.jsonl", late)
    run.tick()
    after = tables.read(run.ws.features).join(
        before.select("entity", "time"), on=["entity", "time"]
    )
    changed = after.filter(after.hash_rows() != before.hash_rows()).select("entity", "time")
    told = [(entity, f"{time:%dT%H:%M}") for entity, time in changed.rows()]
    assert told == [("a", "02T07:30")]


def test_an_edit_of_the_features_makes_no_signals_again(run):
    assert run.tick("features.windows=[3h]") == [
        "ingest: all of 3 days are up to date.",
        "featurize: made 3 of 3 days (other config): 2026-01-01, 2026-01-02, 2026-01-03",
    ]


def test_as_of_moved_back_gives_what_was_known_then(run, tmp_path):
    then = {p.name: p.read_bytes() for p in sorted(run.ws.signals.glob("date=*/*"))}
    write(run.ws, "4.jsonl", rows(4))
    write(run.ws, "late.jsonl", rows(1, entities="c", known="2026-01-04T12:00:00Z"))
    world(run.ws, 5)
    run.tick()
    world(run.ws, 4)
    run.tick()
    assert {p.name: p.read_bytes() for p in sorted(run.ws.signals.glob("date=*/*"))} == then
    assert run.rebuilt(tmp_path / "again")


def test_another_source_and_back_leaves_nothing_behind(run, tmp_path):
    good = {str(p): p.read_bytes() for p in run.ws.signals.rglob("*.parquet")}
    run.capsys.readouterr()
    small.reproduce(run.ws, small.FLEET, last="featurize")
    assert not any("a" in frames.read_frame(p)["entity"] for p in run.ws.signals.glob("date=*/*"))
    run.tick()
    assert {str(p): p.read_bytes() for p in run.ws.signals.rglob("*.parquet")} == good
    assert run.rebuilt(tmp_path / "again")


def test_a_file_that_grew_is_read_from_where_it_had_ended(run, tmp_path):
    write(run.ws, "3.jsonl", rows(4), mode="a")
    world(run.ws, 5)
    assert run.tick()[0] == "ingest: made 1 of 4 days (new): 2026-01-04"
    assert run.rebuilt(tmp_path / "again")


def test_a_line_that_is_still_being_written_is_taken_once_when_it_is_whole(run):
    (whole,) = rows(4, hours=[1], entities="a")
    text = json.dumps(whole)
    path = write(run.ws, "4.jsonl", rows(4, hours=[0], entities="a"))
    with path.open("a") as file:
        file.write(text[:20])
    world(run.ws, 5)
    run.tick()
    counts = disk.read_json(run.ws.reports / "ingest.json")
    assert (counts["pending"], counts["in"]) == (1, 146)
    with path.open("a") as file:
        file.write(text[20:] + "\n")
    run.tick()
    assert disk.read_json(run.ws.reports / "ingest.json") == {
        "in": 146,
        "kept": 146,
        "quarantined": 0,
        "duplicate": 0,
        "pending": 0,
    }


def counted(run):
    return disk.read_json(run.ws.reports / "ingest.json")


def test_a_value_that_lost_its_end_is_never_kept(run, tmp_path):
    path = run.ws.root / "data" / "raw" / "4.csv"
    text = "e,t,k,x\na,2026-01-04T00:00:00Z,2026-01-04T00:00:00Z,0.309\n"
    path.write_text(text[:-2])
    world(run.ws, 5)
    run.capsys.readouterr()
    small.reproduce(run.ws, WORDS, last="featurize")
    said = run.capsys.readouterr().err
    assert "data/raw/4.csv: its last line has no newline: pending until it has, or until" in said
    assert (counted(run)["in"], counted(run)["kept"], counted(run)["pending"]) == (145, 144, 1)
    assert run.rebuilt(tmp_path / "again")
    path.write_text(text)
    run.tick()
    assert (counted(run)["kept"], counted(run)["pending"]) == (145, 0)
    assert tables.read(run.ws.signals).filter(pl.col("time").dt.day() == 4)["cpu_usage"][0] == 0.309


def test_a_last_line_without_a_newline_counts_from_the_as_of_that_sees_it_again(run, tmp_path):
    path = run.ws.root / "data" / "raw" / "4.csv"
    path.write_text("e,t,k,x\na,2026-01-04T00:00:00Z,2026-01-04T00:00:00Z,0.30")
    found = []
    for day in (5, 6, 5, 6):
        world(run.ws, day)
        run.tick()
        assert run.rebuilt(tmp_path / f"again-{len(found)}")
        found.append((counted(run)["kept"], counted(run)["pending"]))
    assert found == [(144, 1), (145, 0)] * 2


def test_files_that_end_without_a_newline_for_good_are_read_at_once_where_one_says_so(run):
    path = run.ws.root / "data" / "raw" / "4.csv"
    path.write_text("e,t,k,x\na,2026-01-04T00:00:00Z,2026-01-04T00:00:00Z,0.30")
    world(run.ws, 5)
    run.tick("source.last_line=read")
    assert (counted(run)["kept"], counted(run)["pending"]) == (145, 0)


def test_a_header_in_another_order_is_in_force_in_what_the_file_grows_by(run, tmp_path):
    words = ["source.signals.columns.memory_usage=y", "ingest.max_quarantined=1.0"]
    path = run.ws.root / "data" / "raw" / "4.csv"
    for old in path.parent.glob("*.jsonl"):
        old.rename(old.with_suffix(".txt"))
    (run.ws.root / "registry" / "arrivals.jsonl").unlink()
    path.write_text("e,t,k,x,y\na,2026-01-04T00:00:00Z,2026-01-04T00:00:00Z,1,100\n")
    world(run.ws, 5)
    run.tick(*words)
    for hour, day in enumerate((6, 7), 1):
        with path.open("a") as file:
            file.write("y,x,e,t,k\n" if hour == 1 else "")
            file.write(f"{hour}00,{hour},a,2026-01-04T0{hour}:00:00Z,2026-01-04T0{hour}:00:00Z\n")
        world(run.ws, day)
        run.tick(*words)
        assert run.rebuilt(tmp_path / f"again-{day}")
    rows = tables.read(run.ws.signals).select("cpu_usage", "memory_usage")
    assert rows.rows() == [(1, 100), (1, 100), (2, 200)]
    assert (counted(run)["in"], counted(run)["quarantined"]) == (4, 1)


def test_a_file_that_was_rewritten_is_refused_and_what_was_good_stays(run):
    good = {str(p): p.read_bytes() for p in run.ws.signals.rglob("*") if p.is_file()}
    write(run.ws, "2.jsonl", rows(2, value=0.7))
    with pytest.raises(DataRefused, match=r"data/raw/2.jsonl: was rewritten"):
        run.tick()
    assert {str(p): p.read_bytes() for p in run.ws.signals.rglob("*") if p.is_file()} == good


def test_too_much_quarantine_is_refused_with_the_first_reason(run):
    good = {str(p): p.read_bytes() for p in run.ws.signals.rglob("*") if p.is_file()}
    path = run.ws.root / "data" / "raw" / "4.csv"
    path.write_text("e;t;k;x\na;2026-01-03T00:00:00Z;2026-01-03T00:00:00Z;0,5\n")
    with pytest.raises(DataRefused, match=r"1 of 1 records .* The first: data/raw/4.csv: the fie"):
        run.tick()
    assert {str(p): p.read_bytes() for p in run.ws.signals.rglob("*") if p.is_file()} == good


def test_a_log_of_arrivals_that_is_gone_is_told(run):
    (run.ws.root / "registry" / "arrivals.jsonl").unlink()
    run.capsys.readouterr()
    small.reproduce(run.ws, WORDS, last="ingest")
    assert (
        "arrivals.jsonl: missing, so all files count as just arrived" in run.capsys.readouterr().err
    )


def test_without_the_segments_only_what_is_needed_is_read_again(run):
    small.shutil.rmtree(run.ws.root / ".cll")
    write(run.ws, "4.jsonl", rows(4))
    world(run.ws, 5)
    run.tick()
    assert len(list((run.ws.root / ".cll" / "segments").iterdir())) == 1


def test_a_damaged_segment_is_read_again(run):
    for path in (run.ws.root / ".cll" / "segments").glob("*/2026-01-01.parquet"):
        data = bytearray(path.read_bytes())
        data[30] ^= 1
        path.unlink()  # the partition is the same file by another name
        path.write_bytes(data)
    write(run.ws, "late.jsonl", rows(1, hours=[3], entities="c"))
    run.tick()
    assert tables.read(run.ws.signals).filter(pl.col("time").dt.day() == 1).height == 49


def packed(ws, name, records):
    path = ws.root / "data" / "raw" / name
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in records).encode()))
    return path


def partitions(ws):
    return {path.name: path.read_bytes() for path in ws.signals.rglob("date=*/*.parquet")}


def chunks(ws):
    pieces = disk.read_json(ws.signals / manifest.MANIFEST)["facts"]["pieces"].values()
    return sorted(facts["chunks"] for facts in pieces if "chunks" in facts)


def test_a_file_in_many_chunks_gives_the_same_days_and_is_read_once(run, monkeypatch):
    more = [*rows(1, entities="cd"), *rows(2, entities="cd"), {"e": "bad"}, *rows(2, entities="c")]
    packed(run.ws, "more.jsonl.gz", more)
    run.tick()
    at_once, counts = partitions(run.ws), disk.read_json(run.ws.reports / "ingest.json")
    assert (counts["quarantined"], counts["duplicate"], chunks(run.ws)) == (1, 24, [])
    small.shutil.rmtree(run.ws.signals)
    small.shutil.rmtree(run.ws.root / ".cll")
    monkeypatch.setattr(streams, "BLOCK", 1000)
    monkeypatch.setattr(streams, "STEP", 100)
    run.tick()
    assert partitions(run.ws) == at_once
    assert disk.read_json(run.ws.reports / "ingest.json") == counts
    assert chunks(run.ws) > [3]
    # Of what is known by the manifest alone, only what has bad records is read again.
    small.shutil.rmtree(run.ws.root / ".cll")
    run.tick()
    assert len(list((run.ws.root / ".cll" / "segments").iterdir())) == chunks(run.ws)[-1]
    write(run.ws, "late.jsonl", rows(2, hours=[3], entities="x"))
    run.tick()
    assert len(partitions(run.ws)) == len(at_once)
    assert disk.read_json(run.ws.reports / "ingest.json")["kept"] == counts["kept"] + 1


def test_a_header_in_one_chunk_is_in_force_in_those_behind_it(run, tmp_path, monkeypatch):
    words = ["source.signals.columns.memory_usage=y", "ingest.max_quarantined=1.0"]
    folder = run.ws.root / "data" / "raw"
    for old in folder.glob("*.jsonl"):
        old.rename(old.with_suffix(".txt"))
    (run.ws.root / "registry" / "arrivals.jsonl").unlink()
    times = [f"2026-01-04T{hour:02}:00:00Z" for hour in range(24)]
    swapped = "y,x,e,t,k\n" + "".join(f"100,1,b,{time},{time}\n" for time in times)
    text = "e,t,k,x,y\n" + "".join(f"a,{time},{time},1,100\n" for time in times) + swapped
    (folder / "4.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "5.csv").write_text(text.replace("\na", "\nc").replace(",b,", ",d,"))
    monkeypatch.setattr(streams, "BLOCK", 400)
    monkeypatch.setattr(streams, "STEP", 100)
    monkeypatch.setattr(splitter, "BLOCK", 900)
    world(run.ws, 5)
    for day in (5, 6):
        run.tick(*words)
        with (folder / "5.csv").open("a") as file:
            file.write(f"100,1,e,2026-01-04T0{day}:00:00Z,2026-01-04T0{day}:00:00Z\n")
        world(run.ws, day + 1)
    run.tick(*words)
    assert min(chunks(run.ws)) > 2
    frame = tables.read(run.ws.signals)
    assert frame.select("cpu_usage", "memory_usage").unique().rows() == [(1, 100)]
    assert (counted(run)["in"], counted(run)["quarantined"], counted(run)["kept"]) == (100, 2, 98)
    assert run.rebuilt(tmp_path / "again")


def test_a_chunked_file_that_turns_out_damaged_leaves_nothing_behind(run, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 1000)
    monkeypatch.setattr(streams, "STEP", 100)
    file = packed(run.ws, "more.jsonl.gz", rows(1, entities="cdefg"))
    file.write_bytes(file.read_bytes()[:-8])
    before = partitions(run.ws)
    run.tick("ingest.max_quarantined=1")
    counts = disk.read_json(run.ws.reports / "ingest.json")
    assert (counts["in"], counts["quarantined"]) == (145, 1)
    assert partitions(run.ws) == before
    assert chunks(run.ws) == []
    made = [
        path
        for path in (run.ws.root / ".cll" / "segments").iterdir()
        if "rejects" in str(list(path.iterdir()))
    ]
    assert len(made) == 1


def test_a_kill_between_chunks_is_no_loss(run, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 1000)
    monkeypatch.setattr(streams, "STEP", 100)
    packed(run.ws, "more.jsonl.gz", rows(1, entities="cdefg"))
    whole, left = Segments._write, [3]

    def write_some(self, name, piece, chunk):
        if piece.name.endswith(".gz"):
            left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return whole(self, name, piece, chunk)

    monkeypatch.setattr(Segments, "_write", write_some)
    with pytest.raises(KeyboardInterrupt):
        run.tick()
    monkeypatch.setattr(Segments, "_write", whole)
    run.tick()
    assert disk.read_json(run.ws.reports / "ingest.json")["kept"] == 144 + 120


def test_what_one_entity_tells_too_often_is_refused_by_name(run, monkeypatch):
    monkeypatch.setattr(days, "_MOST", 60)
    times = [f"2026-01-01T{hour:02}:{minute:02}:00Z" for hour in range(9) for minute in range(5)]
    more = [{"e": "a", "t": time, "k": time, "x": 1} for time in times]
    write(run.ws, "more.jsonl", more)
    with pytest.raises(
        DataRefused, match=r"more.jsonl: 'a' has so many records on 2026-01-01 that"
    ):
        run.tick("ingest.bucket_rows=10")


def test_the_same_record_in_two_files_and_two_formats_is_kept_once(run):
    path = run.ws.root / "data" / "raw" / "again.csv"
    pl.DataFrame(rows(1)).select("e", "t", "k", "x").write_csv(path)
    pl.DataFrame(rows(1)).write_parquet(path.with_suffix(".parquet"))
    run.tick()
    counts = disk.read_json(run.ws.reports / "ingest.json")
    assert (counts["kept"], counts["duplicate"]) == (144, 96)


def test_a_partition_that_is_taken_over_is_not_a_second_copy(run):
    (name,) = manifest.parts(SealedFolder(run.ws.signals).files["2026-01-02"])
    # DVC copies a file of two names before each run of its stage, so it has one.
    assert (run.ws.signals / name).stat().st_nlink == 1
    assert list((run.ws.root / ".cll" / "segments").glob("*/2026-01-02.parquet")) == []


def test_days_that_are_settled_at_once_are_the_same_as_one_by_one(tmp_path, capsys):
    found = []
    for bucket_rows in (84, 8400):
        run = Run(tmp_path / str(bucket_rows), capsys)
        for day in (1, 2, 3):
            write(run.ws, f"again {day}.jsonl", rows(day, hours=range(12), entities="abc"))
        run.tick(f"ingest.bucket_rows={bucket_rows}")
        there = SealedFolder(run.ws.signals)
        days = there.partitions.values()
        assert [(one["rows"], one["duplicate"]) for one in days] == [(60, 24)] * 3
        found.append((there.files["2026-01-02"], [one["profile"] for one in days]))
    assert found[0] == found[1]


def test_days_settled_at_once_may_share_a_segment_that_is_gone(run, tmp_path):
    write(run.ws, "all.jsonl", [row for day in (1, 2, 3) for row in rows(day, entities="c")])
    run.tick()
    small.shutil.rmtree(run.ws.root / ".cll")
    write(run.ws, "late.jsonl", [row for day in (1, 2, 3) for row in rows(day, entities="d")])
    run.tick()
    assert [one["rows"] for one in SealedFolder(run.ws.signals).partitions.values()] == [96] * 3
    assert run.rebuilt(tmp_path / "rebuilt")
