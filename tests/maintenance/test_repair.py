import shutil

import pytest

from cll.maintenance import quarantine, repair
from cll.system import disk
from cll.types.errors import ConfigError, DataRefused
from tests.build import small
from tests.maintenance.test_quarantine import HEADER, SOUND, faults

BAD = SOUND.replace("2026-01-01T00:00:00Z", "soon")
FAULT = ("signals", "data/raw/a.csv", 3, "time", "soon", "not a time")
COUNTS = {"in": 2, "kept": 1, "quarantined": 1, "duplicate": 0, "pending": 0}


@pytest.fixture
def ws(tmp_path, monkeypatch):
    ws = small.project(tmp_path / "project")
    small.compose_into(ws, ["source=files"])
    raw = ws.root / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "a.csv").write_text(HEADER + SOUND + BAD)
    faults(ws, [FAULT])
    disk.write_json(ws.reports / "ingest.json", COUNTS)
    monkeypatch.chdir(ws.root)
    quarantine.export(ws.root, ws.root / "bad")
    return ws


MENDED = SOUND.replace("00:00:00", "00:05:00")


def mend(ws, name="a.csv", text=MENDED):
    (ws.root / "bad" / name).write_text(HEADER + text)


def take(ws, ingest=lambda: None):
    return list(repair.take(ws.root, ws.root / "bad", ingest))


def in_source(ws):
    raw = ws.root / "data" / "raw"
    return sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())


def test_what_was_not_mended_is_not_read_again(ws):
    said = take(ws, ingest=lambda: pytest.fail("nothing is to be read"))
    assert said[0].endswith("a.csv: is as it was exported; left out.")
    assert said[1].endswith("bad: nothing in it was mended.")
    assert in_source(ws) == ["a.csv"]


def test_a_mended_file_gets_a_name_of_its_own_and_is_read_once(ws):
    mend(ws)
    called = []
    take(ws, lambda: called.append(in_source(ws)))
    (new,) = [name for name in in_source(ws) if name != "a.csv"]
    assert new.startswith("mended/a-")
    assert len(new) == len("mended/a-0123456789ab.csv")
    assert called == [["a.csv", new]]
    said = take(ws, lambda: called.append("again"))
    assert said[0].endswith("a.csv: was read already; left out.")
    assert len(called) == 1


def test_what_became_of_it_is_said(ws):
    mend(ws)
    after = {"in": 4, "kept": 2, "quarantined": 1, "duplicate": 1, "pending": 0}
    said = take(ws, lambda: disk.write_json(ws.reports / "ingest.json", after))
    assert said[1] == "4 in = 2 kept + 1 quarantined + 1 duplicate + 0 pending"
    assert said[2] == (
        "Corrected records: 1 kept, 1 duplicate, 0 quarantined again. The published originals "
        "still count as quarantined, since they are still in their files."
    )


def test_where_it_is_refused_nothing_of_it_stays(ws):
    log = ws.root / "registry" / "arrivals.jsonl"
    disk.write_bytes(log, b"as it was")
    mend(ws)

    def refuse():
        log.write_bytes(b"with the mended")
        raise DataRefused("The share of faults is too high.")

    lines = repair.take(ws.root, ws.root / "bad", refuse)
    assert next(lines).startswith(f"{ws.root / 'bad' / 'a.csv'}: to be read as data/raw/mended/a-")
    assert next(lines) == "Ingest refused the corrected records, so all of them were removed again."
    with pytest.raises(DataRefused, match="The share of faults"):
        next(lines)
    assert in_source(ws) == ["a.csv"]
    assert not (ws.root / "data" / "raw" / "mended").exists()
    assert log.read_bytes() == b"as it was"


def test_of_a_file_mended_in_part_the_rest_is_not_read_again(ws):
    (ws.root / "data" / "raw" / "a.csv").write_text(
        HEADER + SOUND + BAD + BAD.replace("soon", "late")
    )
    faults(ws, [FAULT, (*FAULT[:2], 4, "time", "late", "not a time")])
    shutil.rmtree(ws.root / "bad")
    quarantine.export(ws.root, ws.root / "bad")
    mend(ws, text=MENDED + BAD.replace("soon", "late"))
    take(ws)
    (new,) = [name for name in in_source(ws) if name != "a.csv"]
    assert (ws.root / "data" / "raw" / new).read_text() == HEADER + MENDED


def test_a_file_of_another_name_is_refused_before_any_is_copied(ws):
    mend(ws)
    mend(ws, "z.csv")
    with pytest.raises(ConfigError, match=r"z\.csv: no file of this name was exported"):
        take(ws)
    assert in_source(ws) == ["a.csv"]


def test_a_folder_that_is_not_there_says_who_writes_one(ws):
    shutil.rmtree(ws.root / "bad")
    with pytest.raises(ConfigError, match="no such folder; `cll quarantine --export` writes one"):
        take(ws)


def test_where_patterns_reach_no_deeper_it_lies_beside_the_others(ws):
    small.compose_into(ws, ["source=files", 'source.signals.files=["*.csv"]'])
    mend(ws)
    take(ws)
    assert in_source(ws)[0].startswith("a-")


@pytest.mark.parametrize("other", ["a.csv", "other.csv"])
def test_a_pattern_that_no_new_name_fits_is_said(ws, other):
    small.compose_into(ws, ["source=files", f"source.signals.files=[a.csv,{other}]"])
    mend(ws)
    with pytest.raises(ConfigError, match=r"neither mended/a-\w+\.csv nor .* fits signals\.files"):
        take(ws)


def test_incidents_are_never_read_as_signals(ws):
    table = "{files: [a.csv], columns: {entity: pod, start: from, end: to, kind: null}}"
    small.compose_into(ws, ["source=files", f"source.incidents={table}"])
    faults(ws, [("incidents", *FAULT[1:])])
    mend(ws)
    with pytest.raises(ConfigError, match=r"fits incidents\.files; widen the pattern"):
        take(ws)


def test_a_source_of_one_file_is_mended_by_hand(ws):
    small.compose_into(ws, ["source=files", "source.path=data/raw/a.csv"])
    with pytest.raises(ConfigError, match=r"source\.path=data/raw/a\.csv: not a folder; correct"):
        take(ws)


def test_a_simulated_source_has_nothing_to_mend(ws):
    small.compose_into(ws, ["source=synthetic"])
    assert take(ws) == ["The source is simulated: there is nothing to mend."]


def test_mended_records_are_kept_and_the_same_again_are_duplicates(tmp_path, monkeypatch):
    ws = small.project(tmp_path / "project")
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", 80, bad=3)
    overrides = ["source=files", *small.CLASSIC[1:]]
    small.reproduce(ws, overrides, last="ingest")
    monkeypatch.chdir(ws.root)
    quarantine.export(ws.root, ws.root / "bad")
    path = ws.root / "bad" / "runs.csv"
    header, *lines = path.read_text().splitlines()
    assert len(lines) == 3
    twice = (ws.root / "data" / "raw" / "runs.csv").read_text().splitlines()[1]
    mended = [line.replace(",soon,", f",2026-01-04T2{i}:30:00Z,") for i, line in enumerate(lines)]
    path.write_text("\n".join([header, *mended, twice]) + "\n")
    said = list(
        repair.take(ws.root, ws.root / "bad", lambda: small.reproduce(ws, overrides, last="ingest"))
    )
    assert said[1] == "84 in = 80 kept + 3 quarantined + 1 duplicate + 0 pending"
    assert said[2].startswith("Corrected records: 3 kept, 1 duplicate, 0 quarantined again. ")


def test_what_stands_below_a_header_of_its_own_is_not_read_without_it(ws):
    header = "time,entity," + HEADER.split(",", 2)[2]
    row = ",".join([SOUND.split(",")[1], SOUND.split(",")[0], SOUND.split(",", 2)[2]])
    (ws.root / "data" / "raw" / "a.csv").write_text(HEADER + SOUND + header + row)
    why = "a header in mid-file that lacks 'x'; the rows below are left out"
    faults(ws, [("signals", "data/raw/a.csv", 3, None, header, why), (*FAULT[:2], 4, *FAULT[3:])])
    shutil.rmtree(ws.root / "bad")
    quarantine.export(ws.root, ws.root / "bad")
    exported = (ws.root / "bad" / "a.csv").read_text()
    assert exported == HEADER + header + row
    (ws.root / "bad" / "a.csv").write_text(exported.replace("T00:00:00", "T00:05:00"))
    take(ws)
    (new,) = (ws.root / "data" / "raw" / "mended").iterdir()
    assert new.read_text() == HEADER + header + row.replace("T00:00:00", "T00:05:00")
