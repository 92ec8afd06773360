import csv
import json

import polars as pl
import pytest

from cll.maintenance import quarantine
from cll.system import frames, manifest
from cll.types.errors import ConfigError, DataRefused, Unavailable
from cll.types.tables import REJECTS
from tests.build import small

SOUND = "pod-1,2026-01-01T00:00:00Z,0.5,0.5,0.1,0.2,0\n"
HEADER = "entity,time,cpu_usage,memory_usage,error_rate,response_time,failed\n"
FAULTS = [
    ("signals", "data/raw/a.csv", 3, "time", "soon", "not a time"),
    ("signals", "data/raw/a.csv", 5, "time", "late", "not a time"),
    (
        "signals",
        "data/raw/deep/b.jsonl",
        2,
        None,
        "{",
        "not JSON: Extra data: line 1 column 2 (char 1)",
    ),
    (
        "signals",
        "data/raw/deep/b.jsonl",
        3,
        None,
        "}",
        "not JSON: Extra data: line 1 column 3 (char 2)",
    ),
    ("signals", "data/raw/c.csv", None, None, None, "the header can't be read"),
    ("signals", "data/raw/a.csv", 6, "time", "x", "conflicts with data/raw/a.csv:2, known earlier"),
]


@pytest.fixture
def ws(tmp_path, monkeypatch):
    """A project with files at fault, as they lie there after ingest."""
    ws = small.project(tmp_path / "project")
    small.compose_into(ws, ["source=files"])
    raw = ws.root / "data" / "raw"
    (raw / "deep").mkdir(parents=True)
    bad = [SOUND.replace("2026-01-01T00:00:00Z", word) for word in ("soon", "late")]
    (raw / "a.csv").write_text(HEADER + SOUND + bad[0] + SOUND + bad[1] + SOUND)
    (raw / "deep" / "b.jsonl").write_text('{"entity": "pod-1"}\n{\n}\n')
    (raw / "c.csv").write_text("entity\n")
    faults(ws, FAULTS)
    monkeypatch.chdir(ws.root)
    return ws


def faults(ws, rows):
    frame = pl.DataFrame(rows, schema=REJECTS, orient="row")
    sha256 = frames.write_frame(ws.signals / manifest.QUARANTINE, frame)
    manifest.write_manifest(ws.signals, {}, {"partitions": {}}, {manifest.QUARANTINE: sha256})


def test_without_an_ingest_it_says_what_to_run(tmp_path):
    with pytest.raises(Unavailable, match=r"manifest\.json: not there yet; run `dvc repro`"):
        quarantine.listed(small.project(tmp_path / "project").root)


def test_faults_are_counted_by_reason_and_file(ws):
    found = quarantine.listed(ws.root)
    assert [(one["count"], one["reason"]) for one in found] == [
        (2, "not JSON: Extra data"),
        (2, "not a time"),
        (1, "conflicts with another record, known earlier"),
        (1, "the header can't be read"),
    ]
    assert found[1] == {
        "reason": "not a time",
        "file": "data/raw/a.csv",
        "count": 2,
        "row": 3,
        "field": "time",
        "value": "soon",
    }


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        ({"reason": "NOT A"}, [2]),
        ({"reason": "(char"}, []),
        ({"file": "c.csv"}, [1]),
        ({"file": "data/*/b.jsonl"}, [2]),
        ({"file": "a.csv", "reason": "conflicts"}, [1]),
        ({"file": "elsewhere"}, []),
    ],
)
def test_the_list_is_cut_to_a_reason_and_a_file(ws, asked, counts):
    assert [one["count"] for one in quarantine.listed(ws.root, **asked)] == counts


def test_the_table_names_the_first_place_and_ends_with_the_sum(ws, capsys):
    quarantine.show(ws.root)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["count", "reason", "first", "in", "field", "value"]
    assert lines[2].split() == ["2", "not", "a", "time", "data/raw/a.csv:3", "time", "soon"]
    assert "data/raw/c.csv:all of it" in lines[4]
    assert lines[-1] == "6 records in quarantine."


def test_a_value_is_shown_as_it_is_and_no_terminal_obeys_it(ws, capsys):
    faults(ws, [("signals", "data/raw/a.csv", 3, "time", "[red]\x1b[31m\nx", "not a time")])
    quarantine.show(ws.root)
    assert r"[red]\x1b[31m\nx" in capsys.readouterr().out


def test_json_is_the_list(ws, capsys):
    quarantine.show(ws.root, as_json=True)
    assert json.loads(capsys.readouterr().out) == quarantine.listed(ws.root)


def test_an_export_holds_the_published_records_and_an_index(ws, tmp_path):
    out = tmp_path / "out"
    said = quarantine.export(ws.root, out)
    assert said == [f"{out}: 6 faults of 3 files."]
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == ["a.csv", "c.csv", "deep/b.jsonl", "index.csv"]
    lines = (out / "a.csv").read_text().splitlines(keepends=True)
    assert lines[0] == HEADER
    assert [line.split(",")[1] for line in lines[1:3]] == ["soon", "late"]
    assert (out / "deep" / "b.jsonl").read_text() == "{\n}\n"
    assert (out / "c.csv").read_text() == "entity\n"
    with (out / "index.csv").open(newline="") as file:
        index = list(csv.DictReader(file))
    assert list(index[0]) == ["file", "row", "field", "value", "reason"]
    assert [(one["file"], one["row"]) for one in index][:3] == [
        ("data/raw/a.csv", "3"),
        ("data/raw/a.csv", "5"),
        ("data/raw/a.csv", "6"),
    ]


def test_a_large_file_that_is_all_at_fault_is_named_only(ws, tmp_path, monkeypatch):
    monkeypatch.setattr(quarantine, "SMALL", 3)
    said = quarantine.export(ws.root, tmp_path / "out")
    assert said[0] == ("data/raw/c.csv: all of it is at fault, and it is large: mend a copy of it.")
    assert not (tmp_path / "out" / "c.csv").exists()


def test_a_file_that_has_gone_since_is_named_and_stops_nothing(ws, tmp_path):
    (ws.root / "data" / "raw" / "a.csv").unlink()
    said = quarantine.export(ws.root, tmp_path / "out")
    assert said[0].startswith("data/raw/a.csv: can't be read as it was (")
    assert (tmp_path / "out" / "c.csv").exists()


def test_a_packed_file_is_exported_unpacked_beside_one_of_its_name(ws, tmp_path):
    import gzip  # noqa: PLC0415  for this test alone

    raw = ws.root / "data" / "raw"
    (raw / "a.csv.gz").write_bytes(gzip.compress((raw / "a.csv").read_bytes()))
    faults(ws, [FAULTS[0], ("signals", "data/raw/a.csv.gz", 5, "time", "late", "not a time")])
    quarantine.export(ws.root, tmp_path / "out")
    texts = [path.read_text() for path in sorted((tmp_path / "out").glob("a*"))]
    assert ["soon" in text for text in texts] == [False, True]
    assert ["late" in text for text in texts] == [True, False]


@pytest.mark.parametrize("where", ["data/raw/out", "data/raw"])
def test_an_export_into_the_sources_own_folder_is_refused(ws, where):
    with pytest.raises(ConfigError, match=r"is not empty|is in source\.path"):
        quarantine.export(ws.root, ws.root / where)


def test_an_export_never_leaves_its_folder(ws, tmp_path):
    small.compose_into(ws, ["source=files", "source.path=data/raw"])
    faults(ws, [("signals", "data/raw/../../../../a.csv", 1, None, None, "not a time")])
    with pytest.raises(DataRefused, match="not a file of the source"):
        quarantine.export(ws.root, tmp_path / "out")


def test_a_simulated_source_has_nothing_to_mend(ws, tmp_path):
    small.compose_into(ws, ["source=synthetic"])
    assert quarantine.export(ws.root, tmp_path / "out") == [
        "The source is simulated: there is nothing to mend."
    ]
    assert not (tmp_path / "out").exists()
