import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import yaml
from pydantic import TypeAdapter

from cll.components.source.files import Clock, Files, Incidents, Signals
from cll.pipeline.ingest.readers.limits import Limits
from cll.types.errors import ConfigError, Unavailable
from cll.types.tables import INCIDENTS, INSTANT, REJECTS
from tests.run.draining import arrived, chunks

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
BOUTIQUE = Path("../shared/data/online-boutique")
ELECTRICITY = Path("../shared/data/electricity")
NAMES = ["007", "7", "NA", "null", "1e5"]
PLAIN = {"entity": "entity", "time": "time", "cpu_usage": "cpu"}


def read(folder, **settings):
    found = chunks(Files(path=str(folder), **settings), AS_OF)
    assert all(dict(chunk.rejects.schema) == REJECTS for chunk in found)
    return found


def rows(folder, **settings):
    return pl.concat([chunk.rows for chunk in read(folder, **settings)])


def rejects(folder, **settings):
    return pl.concat([chunk.rejects for chunk in read(folder, **settings)])


def plain(**settings):
    return Signals(columns=PLAIN, **settings)


def values(folder, cells, **settings):
    """Write a CSV with one cpu value a row, and return what is read and what is rejected."""
    lines = [f"e{i},2026-01-01T00:00:00Z,{cell}" for i, cell in enumerate(cells)]
    (folder / "a.csv").write_text("\n".join(["entity,time,cpu", *lines]))
    (chunk,) = read(folder, signals=plain(**settings))
    return chunk.rows["cpu_usage"].to_list(), chunk.rejects.select("value", "reason").rows()


def times(folder, cells, **settings):
    lines = [f"e,{cell},1" for cell in cells]
    (folder / "a.csv").write_text("\n".join(["entity,time,cpu", *lines]))
    (chunk,) = read(folder, signals=plain(**settings))
    return chunk.rows["time"].to_list(), chunk.rejects.select("row", "value", "reason").rows()


def test_a_missing_folder_is_told_in_one_line(tmp_path):
    source = Files(path=str(tmp_path / "runs"))
    with pytest.raises(Unavailable, match=r"^source.path=.*runs: no such folder; .*\.$"):
        list(source(AS_OF, []))
    with pytest.raises(Unavailable, match="no such folder"):
        _ = source.reads


def test_a_folder_without_a_file_that_fits_is_told(tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(Unavailable, match=r"no file fits signals.files=\*\*/\*"):
        read(tmp_path)
    (tmp_path / "a.csv").write_text("entity,time,cpu\n")
    with pytest.raises(Unavailable, match=r"no file fits incidents.files=faults.csv"):
        read(tmp_path, incidents=Incidents(files=("faults.csv",)))


def test_links_pipes_and_foreign_endings_are_passed_over_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("entity,time,cpu\na,2026-01-01T00:00:00Z,1\n")
    (tmp_path / ".hidden.csv").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.csv").write_text("entity,time,cpu\n")
    (tmp_path / "again").symlink_to(tmp_path / "sub")
    os.mkfifo(tmp_path / "pipe.csv")
    source = Files(path=str(tmp_path), signals=plain(files=("**/*", "again/*")))
    assert source.reads == (tmp_path / "a.csv", tmp_path / "sub" / "b.csv")
    told = {line.removeprefix(f"{tmp_path.as_posix()}/") for line in source.skipped}
    assert told == {
        "again: a symlink",
        "link.csv: a symlink",
        "notes.txt: unsupported format",
        "pipe.csv: not a regular file",
    }
    assert [chunk.records for chunk in chunks(source, AS_OF)] == [1, 0]


def test_a_path_may_be_a_file_or_a_glob(tmp_path):
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "a.csv").write_text("entity,time,cpu\na,2026-01-01T00:00:00Z,1\n")
    assert len(Files(path=f"{tmp_path}/*day").reads) == 2
    assert len(Files(path=f"{tmp_path}/tues*/*.csv").reads) == 1
    assert Files(path=f"{tmp_path}/monday/a.csv").reads == (tmp_path / "monday" / "a.csv",)


def test_a_file_fits_by_its_name_as_if_it_were_there(tmp_path):
    files = ["a.csv", "sub/b.csv", "sub/deep/c.jsonl.gz", "sub/notes.txt", ".d.csv", "sub/.e/f.csv"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    for patterns in (("**/*",), ("*",), ("sub/*.csv", "**/deep/*"), ("?.csv",), ("[ab].csv",)):
        for path in (f"{tmp_path}", f"{tmp_path}/*", f"{tmp_path}/a.csv"):
            source = Files(path=path, signals=plain(files=patterns))
            if source.missing is None:
                read = {file.as_posix() for file in source.reads}
                assert read == {f"{tmp_path}/{n}" for n in files if source.fits(f"{tmp_path}/{n}")}


def test_an_unreadable_file_is_one_reject_and_the_others_are_read(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    (tmp_path / "b.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "c.csv").write_text("pod,time,cpu\n")
    (tmp_path / "d.csv").write_text("entity,time,cpu\na,2026-01-01T00:00:00Z,1\n")
    found = rejects(tmp_path, signals=plain())
    assert found["row"].to_list() == [None] * 3
    reasons = found["reason"].to_list()
    assert [r.split(":")[0] for r in reasons[:2]] == [
        "can't be read as Parquet",
        "can't be unpacked",
    ]
    assert reasons[2].startswith("lacks 'entity'; it has: pod, time, cpu")
    assert rows(tmp_path, signals=plain()).height == 1


def test_a_column_of_a_type_that_cannot_be_meant_is_a_fault_in_each_record(tmp_path):
    time = pl.Series([AS_OF], dtype=INSTANT)
    for column, series, value, reason in [
        ("cpu", pl.Series([True]), "true", "not a number"),
        ("cpu", pl.Series([[1.0]]), "[1.0]", "a list or an object, where a value is needed"),
        ("entity", pl.Series([b"a\xff"]), "a\\xff", "not UTF-8"),
        ("time", pl.Series([1767225600]), "1767225600", "not a time as iso writes it; set"),
    ]:
        frame = pl.DataFrame({"entity": ["a"], "time": time, "cpu": [1.0]})
        frame.with_columns(series.alias(column)).write_parquet(tmp_path / "a.parquet")
        (found,) = rejects(tmp_path, signals=plain()).rows(named=True)
        assert (found["row"], found["field"], found["value"]) == (1, column, value)
        assert found["reason"].startswith(reason)


def test_a_value_that_is_no_number_is_rejected_with_its_line(tmp_path):
    kept, bad = values(tmp_path, ["1", "x" * 200, '"1,5"', "true", "1_0", "NA", "inf", "1e400"])
    assert kept == [1.0]
    reason = ["not a number"] * 5 + ["infinite"] * 2
    reason[1] = "not a number; write a decimal point"
    assert bad == list(
        zip(["x" * 80, "1,5", "true", "1_0", "NA", "inf", "1e400"], reason, strict=True)
    )


def test_blank_values_and_nan_are_missing_in_every_format(tmp_path):
    assert values(tmp_path, ["", "  ", '""', "NaN", " 2 "]) == ([None] * 4 + [2.0], [])
    time = "2026-01-01T00:00:00Z"
    cells = [None, "", float("nan")]
    lines = [json.dumps({"entity": str(i), "time": time, "cpu": c}) for i, c in enumerate(cells)]
    (tmp_path / "a.csv").write_text("entity,time,cpu\n")
    (tmp_path / "b.jsonl").write_text("\n".join([*lines, f'{{"entity":"x","time":"{time}"}}']))
    frame = pl.DataFrame({"entity": ["y", "z"], "time": [time] * 2, "cpu": [None, float("nan")]})
    frame.write_parquet(tmp_path / "c.parquet")
    assert rows(tmp_path, signals=plain())["cpu_usage"].to_list() == [None] * 6


def test_a_row_without_entity_or_time_is_rejected(tmp_path):
    (tmp_path / "a.csv").write_text("entity,time,cpu\n,2026-01-01T00:00:00Z,1\na,,1\n ,,1\n")
    found = rejects(tmp_path, signals=plain()).select("row", "field", "reason").rows()
    assert found == [(2, "entity", "missing"), (3, "time", "missing"), (4, "entity", "missing")]


def test_entity_names_are_strings_in_every_format(tmp_path):
    time = "2026-01-01T00:00:00Z"
    (tmp_path / "a.csv").write_text("entity,time,cpu\n" + "".join(f"{n},{time},1\n" for n in NAMES))
    packed = pa.compress((tmp_path / "a.csv").read_bytes(), "zstd", asbytes=True)
    (tmp_path / "b.csv.zst").write_bytes(packed)
    records = [{"entity": n, "time": time, "cpu": 1} for n in NAMES]
    (tmp_path / "c.json").write_text(json.dumps(records))
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pl.DataFrame(records).write_parquet(tmp_path / "e.parquet")
    for chunk in read(tmp_path, signals=plain()):
        assert chunk.rows["entity"].to_list() == NAMES
        assert chunk.rows["time"].to_list() == [datetime(2026, 1, 1, tzinfo=UTC)] * 5


def test_whole_numbers_as_names_become_their_text(tmp_path):
    frame = pl.DataFrame({"entity": [7, -1], "time": ["2026-01-01"] * 2, "cpu": [1, 2]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert rows(tmp_path, signals=plain())["entity"].to_list() == ["7", "-1"]


def test_iso_times_may_name_an_offset_or_take_the_zone(tmp_path):
    cells = [
        "2026-01-01T12:00:00Z",
        "2026-01-01 13:00:00.000+01:00",
        "2026-01-01T12:00:00",
        "2026-01-01T07:00-0500",
        "2026-01-01 12:00",
    ]
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert times(tmp_path, cells) == ([noon] * 5, [])
    zoned, refused = times(tmp_path, cells, zone=None)
    assert zoned == [noon] * 3
    assert refused == [
        (4, "2026-01-01T12:00:00", "names no time zone; set zone"),
        (6, "2026-01-01 12:00", "names no time zone; set zone"),
    ]


def test_a_local_time_that_is_not_one_instant_is_rejected(tmp_path):
    cells = ["2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-07-01T14:00:00"]
    kept, bad = times(tmp_path, cells, zone="Europe/Berlin")
    assert kept == [datetime(2026, 7, 1, 12, tzinfo=UTC)]
    assert {reason for *_, reason in bad} == {
        "occurs twice or never on the local clock of Europe/Berlin"
    }


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_an_epoch_is_read_in_its_unit_and_refused_in_another(tmp_path, unit, factor):
    kept, bad = times(tmp_path, [str(1767225600 * factor), "soon"], time_format=unit)
    assert kept == [datetime(2026, 1, 1, tzinfo=UTC)]
    assert bad == [(3, "soon", f"not an epoch in {unit}")]
    other = {"s": "ms", "ms": "s", "us": "ms", "ns": "us"}[unit]
    _, bad = times(tmp_path, [str(1767225600 * factor)], time_format=other)
    assert "another unit" in bad[0][2]


def test_fractions_of_an_epoch_count(tmp_path):
    kept, _ = times(tmp_path, ["1767225600.25", "1.7672256e9"], time_format="s")
    assert kept == [
        datetime(2026, 1, 1, 0, 0, 0, 250000, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
    ]


def test_a_time_may_have_a_form_of_its_own(tmp_path):
    kept, bad = times(tmp_path, ["01/02/2026 03:04", "2026"], time_format="%d/%m/%Y %H:%M")
    assert kept == [datetime(2026, 2, 1, 3, 4, tzinfo=UTC)]
    assert bad == [(3, "2026", "not a time as %d/%m/%Y %H:%M writes it")]
    kept, _ = times(tmp_path, ["01/02/26 03:04 +0100"], time_format="%d/%m/%y %H:%M %z")
    assert kept == [datetime(2026, 2, 1, 2, 4, tzinfo=UTC)]


def test_parquet_times_of_any_kind_become_utc(tmp_path):
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001  a naive time is the case
    for series in (
        pl.Series([noon], dtype=pl.Datetime("ns")),
        pl.Series([noon]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        pl.Series([noon], dtype=pl.Datetime("ms")),
    ):
        frame = pl.DataFrame({"entity": ["a"], "time": series, "cpu": [1]})
        frame.write_parquet(tmp_path / "a.parquet")
        found = rows(tmp_path, signals=plain())["time"]
        assert found.dtype == INSTANT
        assert found.to_list() == [noon.replace(tzinfo=UTC)]


def test_units_and_scales_convert_to_what_is_stated(tmp_path):
    assert values(tmp_path, ["57", "100"], unit={"cpu_usage": "percent"})[0] == [0.57, 1.0]
    assert values(tmp_path, ["250"], unit={"cpu_usage": "ms"})[0] == [0.25]
    assert values(tmp_path, ["2"], unit={"cpu_usage": "KiB"})[0] == [2048.0]
    assert values(tmp_path, ["2"], scale={"cpu_usage": -0.5})[0] == [-1.0]


def test_an_outcome_may_be_a_number_or_a_boolean_and_nothing_else(tmp_path):
    columns = {"entity": "entity", "time": "time", "outcome": "failed"}
    cells = ["1", "0", "true", "FALSE", "", "2", "yes"]
    lines = [f"{i},2026-01-01T00:00:00Z,{cell}" for i, cell in enumerate(cells)]
    (tmp_path / "a.csv").write_text("\n".join(["entity,time,failed", *lines]))
    (chunk,) = read(tmp_path, signals=Signals(columns=columns))
    assert chunk.rows["outcome"].to_list() == [1.0, 0.0, 1.0, 0.0, None]
    assert chunk.rows["outcome_known_at"].null_count() == 1
    assert chunk.rejects["value"].to_list() == ["2", "yes"]
    assert set(chunk.rejects["reason"]) == {"an outcome is 0, 1, true or false"}
    frame = pl.DataFrame({"entity": ["a"], "time": ["2026-01-01"], "failed": [True]})
    frame.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").unlink()
    assert rows(tmp_path, signals=Signals(columns=columns))["outcome"].to_list() == [1.0]


def test_known_at_is_mapped_or_the_time_or_the_files_arrival(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("entity,time,cpu,seen\na,2026-01-01T00:00:00Z,1,2026-01-02T00:00:00Z\n")
    files = [arrived(file, (None, AS_OF))]
    mapped = Signals(columns={**PLAIN, "known_at": "seen"})
    known = [
        chunks(source, AS_OF, files)[0].rows["known_at"][0]
        for source in (
            Files(path=str(tmp_path), signals=mapped, backfill="arrival"),
            Files(path=str(tmp_path), signals=plain()),
            Files(path=str(tmp_path), signals=plain(), backfill="arrival"),
        )
    ]
    assert known == [datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), AS_OF]


def test_incidents_come_from_a_table_of_their_own(tmp_path):
    (tmp_path / "signals.csv").write_text("entity,time,cpu\na,2026-01-01T00:00:00Z,1\n")
    text = "pod,from,to\na,1767225600,1767229200\nb,1767225600,\nc,,1767225600\n"
    (tmp_path / "faults.csv").write_text(text)
    columns = {"entity": "pod", "start": "from", "end": "to", "kind": None}
    incidents = Incidents(files=("faults.csv",), columns=columns, time_format="s")
    signals, found = read(tmp_path, signals=plain(), incidents=incidents)
    assert signals.rows.height == 1
    assert found.table == "incidents"
    assert dict(found.rows.drop("file", "row").schema) == INCIDENTS
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert found.rows.drop("file").rows() == [
        ("a", start, start + timedelta(hours=1), start, None, 2),
        ("b", start, None, start, None, 3),
    ]
    assert found.rejects.select("row", "field", "reason").rows() == [(4, "from", "missing")]


def test_rows_without_entity_and_time_take_the_default_and_the_clock(tmp_path):
    (tmp_path / "a.csv").write_text("x,class\n1,0\nbad,1\n\n3,1\n")
    clock = Clock(datetime(1996, 5, 7, tzinfo=UTC), timedelta(minutes=30))
    columns = {"x": "x", "outcome": "class"}
    signals = Signals(columns=columns, entity_default="all", clock=clock)
    found = rows(tmp_path, signals=signals)
    assert found.select("entity", "x").rows() == [("all", 1.0), ("all", 3.0)]
    assert found["time"].to_list() == [clock.start, clock.start + timedelta(hours=1)]
    (tmp_path / "b.csv").write_text("x,class\n")
    with pytest.raises(Unavailable, match="clock needs one file and 2 are there"):
        rows(tmp_path, signals=signals)


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({**PLAIN, "failed": "x"}, {}, r"columns.failed=x: the name is reserved; the outcome is"),
        ({**PLAIN, "status": "x"}, {}, r"columns.status=x: the name is reserved; the outcome is"),
        ({**PLAIN, "entity": None}, {}, r"columns.entity=None: .*entity_default"),
        ({"entity": "e"}, {}, r"columns.time=None: .*signals.clock"),
        (PLAIN, {"time_format": "iso8601"}, r"time_format=iso8601: there are iso"),
        (PLAIN, {"zone": "Mars/Base"}, r"zone=Mars/Base: no such time zone"),
        (PLAIN, {"unit": {"cpu_usage": "%"}}, r"unit.cpu_usage=%: there are: ratio, percent"),
        (PLAIN, {"unit": {"cpu": "percent"}}, r"unit.cpu=percent: no such column; .*cpu_usage"),
        (PLAIN, {"scale": {"cpu_usage": 0.0}}, r"scale.cpu_usage=0.0: a factor is finite"),
        (PLAIN, {"scale": {"cpu_usage": 2.0}, "unit": {"cpu_usage": "s"}}, "keep one"),
    ],
)
def test_settings_that_cannot_hold_are_refused(columns, settings, message):
    with pytest.raises(ConfigError, match=rf"source.signals.*{message}"):
        Signals(columns=columns, **settings)


def test_a_label_column_is_refused_as_a_number():
    with pytest.raises(ConfigError, match=r"columns.cpu_usage=cpu: it stands under source.labels"):
        Files(signals=plain(), labels=("cpu",))
    assert Files(signals=plain(), labels=("fault",)).columns.refused == ("fault",)


def test_incidents_without_an_end_column_are_refused():
    with pytest.raises(ConfigError, match=r"incidents.columns.end=None: name the published"):
        Incidents(files=("a.csv",), columns={"entity": "e", "start": "s"})


@pytest.mark.parametrize("name", ["files", "agent_runs"])
def test_the_config_file_gives_the_defaults_that_the_code_has(name):
    tree = yaml.safe_load(Path(f"conf/source/{name}.yaml").read_text())
    assert tree.pop("_target_") == "cll.components.source.files.Files"
    built = TypeAdapter(Files).validate_json(json.dumps(tree), strict=True)
    assert set(tree) == set(Files.__dataclass_fields__)
    assert set(tree["signals"]) == set(Signals.__dataclass_fields__)
    assert built.signals.fields == Signals().fields
    assert built.limits == Limits()
    assert set(tree["limits"]) == set(Limits.__dataclass_fields__)
    assert (built.backfill, built.fallback, built.labels) == ("on_time", "none", ())
    assert built.columns.numeric == ("cpu_usage", "error_rate", "memory_usage", "response_time")


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason=f"the data set is not at {BOUTIQUE}")
def test_online_boutique_is_read_as_it_was_published():
    columns = {
        "entity": "pod",
        "time": "timestamp",
        "group": "service",
        "cpu_usage": "cpu_usage_pct",
        "response_time": "server_latency_p95_s",
        "workload_ops": "workload_ops",
    }
    pods = {"entity": "pod", "start": "inject_epoch", "end": "end_epoch", "kind": "fault_type"}
    signals, faults = read(
        BOUTIQUE,
        signals=Signals(("telemetry.parquet",), columns, unit={"cpu_usage": "percent"}),
        incidents=Incidents(("faults.csv",), pods, "s"),
        labels=("fault_active", "fault_type", "ts_epoch_as_published"),
    )
    assert (signals.records, signals.rows.height) == (19_300, 19_300)
    assert (faults.records, faults.rows.height) == (56, 56)
    assert (signals.rows["group"].n_unique(), signals.rows["entity"].n_unique()) == (10, 11)
    assert signals.rows["time"].min() == datetime(2022, 8, 22, 3, 51, 19, tzinfo=UTC)
    assert set(faults.rows["end"] - faults.rows["start"]) == {timedelta(minutes=3)}


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason=f"the data set is not at {BOUTIQUE}")
def test_the_epoch_and_the_timestamp_of_online_boutique_are_the_same_instant():
    by = [
        rows(
            BOUTIQUE,
            signals=Signals(
                ("telemetry.parquet",), {"entity": "pod", "time": time}, time_format=form
            ),
        )
        for time, form in (("timestamp", "iso"), ("ts_epoch", "s"))
    ]
    assert by[0].equals(by[1])


@pytest.mark.skipif(not ELECTRICITY.is_dir(), reason=f"the data set is not at {ELECTRICITY}")
def test_electricity_is_run_history_by_the_clock():
    columns = {"outcome": "class", "nswdemand": "nswdemand"}
    clock = Clock(datetime(1996, 5, 7, tzinfo=UTC), timedelta(minutes=30))
    signals = Signals(("*.csv.gz",), columns, entity_default="all", clock=clock)
    (chunk,) = read(ELECTRICITY, signals=signals)
    assert chunk.rows.height == chunk.records == 45_312
    assert chunk.rows["outcome"].sum() == 19_237
    assert chunk.rows["time"][-1] == clock.start + 45_311 * clock.step


def test_a_name_that_is_not_utf8_is_passed_over_and_told(tmp_path):
    (tmp_path / "a.csv").write_text("entity,time\n")
    (tmp_path / os.fsdecode(b"\xe9.csv")).write_text("entity,time\n")
    source = Files(path=str(tmp_path))
    assert [path.name for path in source.reads] == ["a.csv"]
    (told,) = source.skipped
    assert told.endswith("\\udce9.csv: a name that is not UTF-8")
