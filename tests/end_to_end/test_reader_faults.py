"""A matrix of faults and formats: the same fault has the same result in every format."""

import gzip
import io
import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from cll.components.source.files import Files, Signals
from cll.pipeline.ingest.readers.limits import Limits
from tests.run.draining import arrived, chunks

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
TIME = "2026-01-01T00:00:00Z"
FORMATS = ["csv", "jsonl", "json", "parquet"]
TEXTS = ["csv", "jsonl", "json"]
COLUMNS = {"entity": "entity", "time": "time", "cpu_usage": "cpu_usage", "outcome": "failed"}
SOUND = {"entity": "a", "time": TIME, "cpu_usage": 0.5, "failed": 0}

OUTSIDE = "not between 1980 and 2200: another unit?"
OUTCOME = "an outcome is 0, 1, true or false"
LIMIT = "more than source.limits.{}; cut it up, or raise the limit"
NESTED = "a list or an object, where a value is needed"


def dumped(value):
    """Write a value as CSV has it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def written(form, records):
    """Write records in a format, with each value as that format can hold it."""
    if form == "csv":
        names = list(records[0])
        lines = [",".join(names), *(",".join(dumped(r[n]) for n in names) for r in records)]
        return "".join(f"{line}\n" for line in lines).encode()
    if form == "jsonl":
        return "".join(json.dumps(record) + "\n" for record in records).encode()
    if form == "json":
        return json.dumps(records).encode()
    # Parquet has one type a column: each is that of the first record's value.
    columns = {name: [record[name] for record in records] for name in records[0]}
    buffer = io.BytesIO()
    parquet.write_table(pa.table({name: pa.array(v) for name, v in columns.items()}), buffer)
    return buffer.getvalue()


def read(folder, form, data, limits=None, **settings):
    """Return what a file of these bytes becomes: kept rows, and (row, field, value, reason)."""
    file = folder / f"a.{form}"
    file.write_bytes(data)
    signals = Signals(columns=COLUMNS, **settings)
    bounds = Limits(**(limits or {}))
    source = Files(path=str(folder), signals=signals, limits=bounds)
    found = chunks(source, AS_OF, [arrived(file, limits=bounds)])
    rejects = pl.concat([chunk.rejects for chunk in found])
    assert set(rejects["file"]) <= {file.as_posix()}
    kept = pl.concat([chunk.rows for chunk in found])
    return kept, rejects.select("row", "field", "value", "reason").rows()


# A value that is wrong, alone in its column: field, value, settings, the value as shown, reason.
FAULTS = {
    "no number": ("cpu_usage", "high", {}, "high", "not a number"),
    "a boolean as a number": ("cpu_usage", True, {}, "true", "not a number"),
    "a decimal comma": ("cpu_usage", "1,5", {}, "1,5", "not a number; write a decimal point"),
    "infinity": ("cpu_usage", float("inf"), {}, None, "infinite"),
    "minus infinity": ("cpu_usage", float("-inf"), {}, None, "infinite"),
    "a number out of range": ("cpu_usage", "1e400", {}, "1e400", "infinite"),
    "an outcome of two": ("failed", 2, {}, "2", OUTCOME),
    "an outcome in words": ("failed", "yes", {}, "yes", OUTCOME),
    "a blank entity": ("entity", " ", {}, " ", "missing"),
    "no entity": ("entity", None, {}, None, "missing"),
    "a blank time": ("time", "", {}, None, "missing"),
    "no time": ("time", "soon", {}, "soon", "not a time as iso writes it"),
    "a day that is not": ("time", "2026-02-30", {}, "2026-02-30", "not a time as iso writes it"),
    "an epoch as ISO": (
        "time",
        1767225600,
        {},
        "1767225600",
        "not a time as iso writes it; set time_format to its epoch: s, ms, us or ns",
    ),
    "a time before computers": ("time", "1899-12-30T00:00:00Z", {}, None, OUTSIDE),
    "a time without zone": (
        "time",
        "2026-01-01T00:00:00",
        {"zone": None},
        "2026-01-01T00:00:00",
        "names no time zone; set zone",
    ),
    "an ambiguous local time": (
        "time",
        "2026-10-25T02:30:00",
        {"zone": "Europe/Berlin"},
        "2026-10-25T02:30:00",
        "occurs twice or never on the local clock of Europe/Berlin",
    ),
    "no epoch": ("time", "soon", {"time_format": "s"}, "soon", "not an epoch in s"),
    "ms as s": ("time", 1767225600000, {"time_format": "s"}, "1767225600000", OUTSIDE),
    "us as s": ("time", 1767225600000000, {"time_format": "s"}, None, OUTSIDE),
    "ns as s": ("time", 1767225600000000000, {"time_format": "s"}, None, OUTSIDE),
    "s as ms": ("time", 1767225600, {"time_format": "ms"}, "1767225600", OUTSIDE),
    "ns as us": ("time", 1767225600000000000, {"time_format": "us"}, None, OUTSIDE),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_value_is_quarantined_with_the_same_words(tmp_path, form, fault):
    field, value, settings, shown, reason = FAULTS[fault]
    kept, found = read(tmp_path, form, written(form, [SOUND | {field: value}]), **settings)
    ((row, told_field, told, why),) = found
    assert kept.is_empty()
    assert (row, told_field, why) == (2 if form == "csv" else 1, field, reason)
    assert shown is None or told == shown


@pytest.mark.parametrize("form", FORMATS)
def test_a_long_value_is_cut_at_80_characters(tmp_path, form):
    _, found = read(tmp_path, form, written(form, [SOUND | {"cpu_usage": "é" * 200}]))
    assert [value for _, _, value, _ in found] == ["é" * 80]


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("value", [[1.0], {"x": 1.0}])
@pytest.mark.parametrize("field", ["entity", "time", "cpu_usage", "failed"])
def test_a_nested_value_is_quarantined_with_the_same_words(tmp_path, form, value, field):
    _, found = read(tmp_path, form, written(form, [SOUND | {field: value}]))
    assert [(row, field, why) for row, field, _, why in found] == [(1, field, NESTED)]


# A value that is converted, the same everywhere: field, value, settings, what is kept.
CONVERSIONS = {
    "NaN is missing": ("cpu_usage", float("nan"), {}, None),
    "NaN in text is missing": ("cpu_usage", "NaN", {}, None),
    "blank is missing": ("cpu_usage", " ", {}, None),
    "null is missing": ("cpu_usage", None, {}, None),
    "a number as text": ("cpu_usage", "1.5", {}, 1.5),
    "an integer beyond 64 bits": ("cpu_usage", "36893488147419103232", {}, 2.0**65),
    "a boolean outcome": ("failed", True, {}, 1.0),
    "a number as a name": ("entity", 7, {}, "7"),
    "a number with a fraction as a name": ("entity", 1.5, {}, "1.5"),
    "a boolean as a name": ("entity", True, {}, "true"),
    "a zoned time": ("time", "2026-01-01T01:00:00+01:00", {}, datetime(2026, 1, 1, tzinfo=UTC)),
    "a naive time": ("time", "2026-01-01 00:00:00", {}, datetime(2026, 1, 1, tzinfo=UTC)),
    "a naive time of a zone": (
        "time",
        "2026-01-01T01:00:00",
        {"zone": "Europe/Berlin"},
        datetime(2026, 1, 1, tzinfo=UTC),
    ),
    "a date": ("time", "2026-01-01", {}, datetime(2026, 1, 1, tzinfo=UTC)),
    "seconds": ("time", 1767225600, {"time_format": "s"}, datetime(2026, 1, 1, tzinfo=UTC)),
    "seconds as text": (
        "time",
        "1767225600",
        {"time_format": "s"},
        datetime(2026, 1, 1, tzinfo=UTC),
    ),
    "a fraction of a second": (
        "time",
        1767225600.25,
        {"time_format": "s"},
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=250_000),
    ),
    "nanoseconds": (
        "time",
        1767225600000000999,
        {"time_format": "ns"},
        datetime(2026, 1, 1, tzinfo=UTC),
    ),
    "a future time": ("time", "2031-01-01T00:00:00Z", {}, datetime(2031, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", CONVERSIONS)
def test_a_value_is_converted_to_the_same(tmp_path, form, case):
    field, value, settings, expected = CONVERSIONS[case]
    kept, found = read(tmp_path, form, written(form, [SOUND | {field: value}]), **settings)
    assert found == []
    name = {"failed": "outcome"}.get(field, field)
    assert kept[name].to_list() == [expected]


def whole(form):
    return written(form, [SOUND, SOUND | {"entity": "b"}])


def packed(form):
    return gzip.compress(whole(form))


def zipped(form):
    return pa.compress(whole(form) * 99, "zstd", asbytes=True)


# Bytes that are wrong as a whole: endings, bytes by format, limits, the reason's beginning.
WHOLE = {
    "empty": ([*FORMATS, "csv.gz", "jsonl.zst"], lambda _: b"", {}, "the file is empty"),
    "empty when unpacked": (
        ["csv.gz", "jsonl.gz", "json.gz"],
        lambda _: gzip.compress(b""),
        {},
        "the file is empty",
    ),
    "UTF-16": (TEXTS, lambda f: whole(f).decode().encode("utf-16"), {}, "is UTF-16; write it as"),
    "UTF-16 without a mark": (
        TEXTS,
        lambda f: whole(f).decode().encode("utf-16-le"),
        {},
        "is UTF-16; write it as UTF-8",
    ),
    "truncated": (["json", "parquet"], lambda f: whole(f)[:-9], {}, "the file is truncated"),
    "truncated gzip": (
        ["csv.gz", "jsonl.gz", "json.gz"],
        lambda f: packed(f[:-3])[:-9],
        {},
        "the file is truncated",
    ),
    "truncated zstd": (
        ["csv.zst", "jsonl.zst", "json.zst"],
        lambda f: zipped(f[:-4])[:-9],
        {},
        "the file is truncated",
    ),
    "no archive": (["csv.gz", "jsonl.zst"], lambda _: b"rubbish", {}, "can't be unpacked: "),
    "a column that is missing": (
        FORMATS,
        lambda f: written(f, [{"cpu": 1.0, "entity": "a", "time": TIME, "failed": 1}]),
        {},
        "lacks 'cpu_usage'; similar: 'cpu'; it has: cpu, entity, ",
    ),
    "too large": (FORMATS, whole, {"file_size": 9}, LIMIT.format("file_size=9")),
    "too many rows": (FORMATS, whole, {"rows": 1}, LIMIT.format("rows=1")),
    "too large when unpacked": (
        ["csv.gz", "jsonl.gz", "json.gz"],
        lambda f: packed(f[:-3]),
        {"decompressed_size": 20},
        LIMIT.format("decompressed_size=20"),
    ),
}


@pytest.mark.parametrize(("fault", "form"), [(k, form) for k, v in WHOLE.items() for form in v[0]])
def test_a_wrong_file_is_one_reject_with_the_same_words(tmp_path, fault, form):
    _, data, limits, reason = WHOLE[fault]
    kept, found = read(tmp_path, form, data(form), limits)
    ((row, field, value, why),) = found
    assert kept.is_empty()
    assert (row, field, value) == (None, None, None)
    assert why.startswith(reason)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exactly_at_its_limits_is_read(tmp_path, form):
    data = whole(form)
    limits = {"rows": 2, "file_size": len(data), "decompressed_size": len(data), "nesting": 2}
    kept, found = read(tmp_path, form, data, limits)
    assert (kept.height, found) == (2, [])


def lines(form, bad):
    """Return three lines of which the second is wrong."""
    if form == "csv":
        return b"entity,time,cpu_usage,failed\n" + bad + b"\na,2026-01-01T00:00:00Z,0.5,0\n"
    return whole(form).split(b"\n")[0] + b"\n" + bad + b"\n" + whole(form).split(b"\n")[1] + b"\n"


# A line that is wrong, by format: the bytes, limits, the reason's beginning.
LINES = {
    "not UTF-8": (
        {"csv": b"\xff,2026-01-01,1,0", "jsonl": b'{"entity": "\xff"}'},
        {},
        "not UTF-8",
    ),
    "too long": (
        {"csv": b"x" * 300 + b",2026-01-01,1,0", "jsonl": b'{"entity": "' + b"x" * 300 + b'"}'},
        {"line_length": 200},
        LIMIT.format("line_length=200"),
    ),
    "too few fields": ({"csv": b"a,2026-01-01"}, {}, "2 fields where the header has 4"),
    "a decimal comma": (
        {"csv": b"a,2026-01-01T00:00:00Z,0,5,1"},
        {},
        "5 fields where the header has 4; write decimal points, and quote a text that has commas",
    ),
    "an unclosed quote": ({"csv": b'"a,2026-01-01,1,0'}, {}, "quotes do not pair up"),
    "an unclosed string": ({"jsonl": b'{"entity": "a}'}, {}, "not JSON: Unterminated string"),
    "a key twice": ({"jsonl": b'{"entity": "a", "entity": "b"}'}, {}, "'entity' stands twice"),
    "deep nesting": (
        {"jsonl": b'{"entity": ' + b"[" * 100 + b"]" * 100 + b"}"},
        {},
        LIMIT.format("nesting=64"),
    ),
    "nesting without end": ({"jsonl": b"[" * 100_000}, {}, LIMIT.format("nesting=64")),
    "no object": ({"jsonl": b"[]"}, {}, "not an object"),
}


@pytest.mark.parametrize(("fault", "form"), [(k, form) for k, v in LINES.items() for form in v[0]])
def test_a_wrong_line_costs_itself_and_no_other(tmp_path, fault, form):
    bad, limits, reason = LINES[fault]
    kept, found = read(tmp_path, form, lines(form, bad[form]), limits)
    ((row, field, value, why),) = found
    assert (row, field) == (2, None)
    assert value == bad[form][:80].decode(errors="backslashreplace")[:80]
    assert why.startswith(reason)
    assert kept.height == (1 if form == "csv" else 2)


@pytest.mark.parametrize(
    ("form", "data", "reason"),
    [
        ("json", b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", LIMIT.format("nesting=64")),
        ("json", b"[" * 100_000, LIMIT.format("nesting=64")),
        ("json", b'[{"entity": "a", "entity": "b"}]', "'entity' stands twice"),
        ("csv", b"entity,time,cpu_usage,failed,time\n", "'time' stands twice"),
        ("json", b'[{"entity": "\xff"}]', "not UTF-8"),
        ("json", b"nothing", "not JSON: Expecting value"),
        ("json", b"{}\n{}\n", "not JSON: Extra data: line 2 column 1 (char 3); name a file with"),
        ("csv", b"entity;time;cpu_usage;failed\na;2026-01-01;0,5;1\n", "the fields seem to be "),
        ("csv", b"entity\ttime\tcpu_usage\tfailed\n", "the fields seem to be divided by '\\t'"),
        (
            "csv",
            b"a,2026-01-01T00:00:00Z,0.5,1\n",
            "lacks 'entity', 'time', 'failed', 'cpu_usage'; it has: a, ",
        ),
        ("csv", b"entity,time\ra,1\rb,2\r", "its lines end in CR alone; write LF or CRLF"),
        ("parquet", b"rubbish", "can't be read as Parquet: "),
    ],
)
def test_what_only_some_formats_can_get_wrong_refuses_the_file(tmp_path, form, data, reason):
    _, found = read(tmp_path, form, data)
    ((row, field, _, why),) = found
    assert (row, field) == (None, None)
    assert why.startswith(reason)


def test_a_csv_without_a_header_is_told_so(tmp_path):
    _, found = read(tmp_path, "csv", b"a,2026-01-01T00:00:00Z,0.5,1\n")
    assert "The first line seems to be data: write a header" in found[0][3]


def test_a_column_twice_in_parquet_refuses_the_file(tmp_path):
    table = pa.table([pa.array(["a"])] * 5, names=["entity", "time", "cpu_usage", "failed", "time"])
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    _, found = read(tmp_path, "parquet", buffer.getvalue())
    assert [why for *_, why in found] == ["'time' stands twice"]


@pytest.mark.parametrize("form", TEXTS)
def test_a_byte_order_mark_and_carriage_returns_are_no_data(tmp_path, form):
    text = whole(form).replace(b"\n", b"\r\n")
    kept, found = read(tmp_path, form, b"\xef\xbb\xbf" + text)
    assert (kept["entity"].to_list(), found) == (["a", "b"], [])


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_key_that_some_record_has_is_not_lacking(tmp_path, form):
    records = [SOUND, {k: v for k, v in SOUND.items() if k != "cpu_usage"}]
    kept, found = read(tmp_path, form, written(form, records))
    assert (kept["cpu_usage"].to_list(), found) == ([0.5, None], [])


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_number_that_no_record_has_is_missing_where_no_key_is_like_it(tmp_path, form):
    records = [{k: v for k, v in SOUND.items() if k != "cpu_usage"}]
    kept, found = read(tmp_path, form, written(form, records))
    assert (kept["cpu_usage"].to_list(), found) == ([None], [])


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_an_outcome_need_not_be_in_any_record(tmp_path, form):
    kept, found = read(tmp_path, form, written(form, [{k: SOUND[k] for k in list(SOUND)[:3]}]))
    assert (kept["outcome"].to_list(), found) == ([None], [])


@pytest.mark.parametrize("series", [pl.Series([AS_OF]), pl.Series([AS_OF]).dt.cast_time_unit("ns")])
def test_parquet_times_beyond_iso_text_are_instants(tmp_path, series):
    frame = pl.DataFrame({**{k: [v] for k, v in SOUND.items()}, "time": series})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    kept, found = read(tmp_path, "parquet", buffer.getvalue())
    assert (kept["time"].to_list(), found) == ([AS_OF], [])
