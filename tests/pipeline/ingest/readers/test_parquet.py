"""Parquet of any type, and damaged anywhere, is read or refused; the process lives on."""

import io
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from cll.components.source.files import Files, Signals
from cll.pipeline.ingest.readers import parquet as readers_parquet
from cll.pipeline.ingest.readers import parquet_footers
from cll.pipeline.ingest.readers.records import Wanted
from cll.types.errors import DataRefused
from tests.run.draining import chunks

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
COLUMNS = {"entity": "entity", "time": "time", "cpu_usage": "cpu", "group": "group"}
FARTHEST = 2**63 - 1
NOON = 1767225600


def written(path, **columns):
    """Write a file of two records, sound but for what is given."""
    sound = {
        "entity": pa.array(["a", "b"]),
        "time": pa.array([NOON, NOON + 60], pa.timestamp("s", "UTC")),
        "cpu": pa.array([0.5, 1.5]),
        "group": pa.array(["x", "y"]),
    }
    parquet.write_table(pa.table(sound | columns), path)


def read(folder):
    found = chunks(Files(path=str(folder), signals=Signals(columns=COLUMNS)), AS_OF)
    rejects = pl.concat([chunk.rejects for chunk in found])
    return pl.concat([c.rows for c in found]), rejects.select("row", "field", "value", "reason")


OUTSIDE = "not between 1980 and 2200: another unit?"
NO_TIME = "not a time as iso writes it"
NESTED = "a list or an object, where a value is needed"

# A column whose second value is wrong: its name, its values, and the value and reason as told.
BAD = {
    "the last microsecond": (
        "time",
        pa.array([NOON * 10**6, FARTHEST], pa.timestamp("us")),
        OUTSIDE,
    ),
    "it in UTC": ("time", pa.array([NOON * 10**6, FARTHEST], pa.timestamp("us", "UTC")), OUTSIDE),
    "it in Berlin": (
        "time",
        pa.array([NOON * 10**6, -FARTHEST], pa.timestamp("us", "Europe/Berlin")),
        OUTSIDE,
    ),
    "nanoseconds as milliseconds": (
        "time",
        pa.array([NOON * 1000, NOON * 10**9], pa.timestamp("ms")),
        OUTSIDE,
    ),
    "the last day": (
        "time",
        pa.array([NOON // 86400, 2**31 - 1], pa.int32()).view("date32"),
        OUTSIDE,
    ),
    "a time before there were any": (
        "time",
        pa.array([NOON, -(2**40)], pa.timestamp("s")),
        OUTSIDE,
    ),
    "an infinity": ("cpu", pa.array([0.5, float("inf")]), "infinite"),
    "a half infinity": ("cpu", pa.array([0.5, float("-inf")]).cast("float16"), "infinite"),
    "bytes": ("entity", pa.array([b"a", b"\xff"]), "not UTF-8"),
    "bytes of one length": ("entity", pa.array([b"ab", b"\xff\xff"], pa.binary(2)), "not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_in_parquet_costs_its_record(tmp_path, case):
    column, values, reason = BAD[case]
    written(tmp_path / "a.parquet", **{column: values})
    kept, rejects = read(tmp_path)
    assert kept.height == 1
    assert rejects.select("row", "field", "reason").rows() == [(2, column, reason)]


# A column in which no value can be meant.
WRONG = {
    "durations": ("cpu", pa.array([1, FARTHEST], pa.duration("us")), ["1 us", f"{FARTHEST} us"]),
    "durations as times": ("time", pa.array([1, -5], pa.duration("ns")), ["1 ns", "-5 ns"]),
    "times of day": ("time", pa.array([0, 1], pa.time32("s")), ["00:00:00", "00:00:01"]),
    "no times of day": (
        "cpu",
        pa.array([0, -5], pa.int64()).view(pa.time64("ns")),
        ["00:00:00", "-5 ns"],
    ),
    "far days as numbers": (
        "cpu",
        pa.array([0, 2**31 - 1], pa.int32()).view("date32"),
        ["1970-01-01", f"{2**31 - 1} days"],
    ),
    "lists": ("cpu", pa.array([[1.0], []]), ["[1.0]", "[]"]),
    "objects": ("entity", pa.array([{"x": 1}, {"x": None}]), ["{'x': 1}", "{'x': None}"]),
    "maps": ("cpu", pa.array([[("x", 1)], []], pa.map_("string", "int64")), ["{'x': 1}", "{}"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_column_of_a_type_that_cannot_be_meant_costs_its_records(tmp_path, case):
    column, values, shown = WRONG[case]
    written(tmp_path / "a.parquet", **{column: values})
    kept, rejects = read(tmp_path)
    assert kept.is_empty()
    assert rejects.select("row", "field", "value").rows() == [
        (1, column, shown[0]),
        (2, column, shown[1]),
    ]


# A column that is sound, whatever its type: what is kept of it.
SOUND = {
    "decimals of 70 digits": (
        "cpu_usage",
        pa.array([Decimal("1.50"), None], pa.decimal256(70, 2)),
        [1.5, None],
    ),
    "decimals": ("cpu_usage", pa.array([Decimal("1.5"), Decimal(-2)]), [1.5, -2.0]),
    "half floats": ("cpu_usage", pa.array([1.5, float("nan")]).cast("float16"), [1.5, None]),
    "nothing": ("cpu_usage", pa.nulls(2), [None, None]),
    "numbers of numbers": ("cpu_usage", pa.array([7, 7]).dictionary_encode(), [7.0, 7.0]),
    "large text": ("group", pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
    "far times as names": (
        "group",
        pa.array([FARTHEST, 0], pa.timestamp("us")),
        [f"{FARTHEST} us", "1970-01-01 00:00:00.000000"],
    ),
    "a zone that is not": (
        "time",
        pa.array([NOON, NOON], pa.timestamp("s", "Nowhere/Land")),
        [datetime.fromtimestamp(NOON, UTC)] * 2,
    ),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_column_of_a_rare_type_is_kept(tmp_path, case):
    name, values, expected = SOUND[case]
    written(tmp_path / "a.parquet", **{COLUMNS[name]: values})
    kept, rejects = read(tmp_path)
    assert rejects.is_empty()
    assert kept[name].to_list() == expected


@pytest.mark.parametrize("year", [1, 1500, 2026, 5000])
def test_int96_is_read_as_the_instant_that_it_is(tmp_path, year):
    instant = datetime(year, 1, 2, tzinfo=UTC)
    time = pa.array([instant] * 2, pa.timestamp("us"))
    sound = {"entity": pa.array(["a", "b"]), "cpu": pa.array([0.5, 1.5]), "group": pa.nulls(2)}
    path = tmp_path / "a.parquet"
    parquet.write_table(
        pa.table(sound | {"time": time}), path, use_deprecated_int96_timestamps=True
    )
    kept, rejects = read(tmp_path)
    if year == 2026:
        assert kept["time"].to_list() == [instant] * 2
    else:
        assert rejects["reason"].to_list() == [OUTSIDE] * 2


def table(rows=100):
    return pa.table({"entity": ["a", "b"] * (rows // 2), "x": [1.0, 2.0] * (rows // 2)})


def packed(data, **settings):
    buffer = io.BytesIO()
    parquet.write_table(data, buffer, **settings)
    return buffer.getvalue()


WANTED = Wanted(("entity", "x"))


def refused(data, wanted=WANTED):
    with pytest.raises(DataRefused) as caught:
        readers_parquet.parse(data, wanted)
    return str(caught.value)


def test_a_file_that_is_no_parquet_is_refused_with_that_reason():
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table().schema) as file:
        file.write_table(table())
    whole = packed(table())
    assert refused(b"") == "the file is empty."
    assert refused(whole[:-5]) == "the file is truncated."
    for data in (buffer.getvalue(), b"PAR", b"text" * 99):
        assert refused(data) == "can't be read as Parquet: it is something else."
    assert refused(whole[:-4] + b"PARE") == "can't be read as Parquet: it is encrypted."
    assert refused(whole[:-8] + b"\xff\xff\xff\x7fPAR1") == (
        "can't be read as Parquet: its footer is damaged."
    )
    empty = readers_parquet.parse(packed(table().slice(0, 0)), WANTED)
    assert (empty.rows.height, empty.faults.height) == (0, 0)


def test_a_column_name_that_is_not_utf8_is_a_refusal():
    data = packed(pa.table({"entity": ["a"], "x": [1.0], "name": [1]}))
    assert refused(data.replace(b"name", b"na\xffe")).startswith("can't be read as Parquet: ")


def test_the_rows_of_a_footer_that_lies_are_refused():
    data = packed(table())
    (group,) = parquet_footers.read(lambda at, n: data[at : at + n], len(data), ("entity",))
    assert group.rows == 100
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    lying = data[:footer] + data[footer:].replace(b"\xc8\x01", b"\xca\x01")  # 101, by zigzag
    assert lying != data
    assert refused(lying).startswith("can't be read as Parquet: ")


def test_sizes_are_read_as_the_writer_stored_them():
    data = packed(table(2000), row_group_size=500, use_dictionary=["entity"], data_page_size=1000)
    told = parquet.ParquetFile(io.BytesIO(data)).metadata

    def source(at, size):
        return data[at : at + size]

    groups = list(parquet_footers.read(source, len(data), ("entity", "x")))
    assert [group.rows for group in groups] == [500] * 4
    for i, group in enumerate(groups):
        for j, name in enumerate(("entity", "x")):
            (column,), theirs = group.columns[name], told.row_group(i).column(j)
            assert column.is_numbered == theirs.has_dictionary_page == (name == "entity")
            assert (column.values, column.packed, column.unpacked) == (
                theirs.num_values,
                theirs.total_compressed_size,
                theirs.total_uncompressed_size,
            )
            assert sum(values for _, values in parquet_footers.pages(source, column)) == 500


# Damage that ends the process would end the tests with it, so another process reads it.
_FUZZ = """
import io, random
import polars as pl, pyarrow as pa
from pyarrow import parquet
from cll.types.errors import DataRefused
from cll.pipeline.ingest.readers import casting
from cll.pipeline.ingest.readers import parquet as reader
from cll.pipeline.ingest.readers.fields import Field
from cll.pipeline.ingest.readers.records import Wanted

fields = [
    Field("entity", "entity", "name"),
    Field("time", "time", "instant"),
    Field("cpu_usage", "x", "number"),
    Field("group", "n", "name"),
]
n = 60
table = pa.table({
    "entity": [f"agent-{i % 7}" for i in range(n)],
    "time": pa.array([1767225600000000 + i for i in range(n)], pa.timestamp("us", "UTC")),
    "x": [i / 7 if i % 5 else None for i in range(n)],
    "n": pa.array([i % 3 for i in range(n)], pa.timestamp("ms")),
    "unwanted": [[i] for i in range(n)],
})
dice, kept = random.Random(12), 0
for settings in ({}, {"use_dictionary": False, "data_page_version": "2.0", "row_group_size": 20}):
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **settings)
    whole = buffer.getvalue()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for turn in range(600):
        data = bytearray(whole)
        at = dice.randrange(footer if turn % 3 else 0, len(data))
        data[at] = data[at] ^ 1 << dice.randrange(8) if turn % 2 else dice.randrange(256)
        print(turn, at, data[at], flush=True)
        try:
            records = reader.parse(bytes(data), Wanted(("entity", "time", "x", "n")))
            kept += casting.cast(records, fields).rows.height > 0
        except DataRefused:
            pass
print("kept", kept, flush=True)
"""


def test_no_byte_that_is_changed_ends_the_process():
    done = subprocess.run(
        [sys.executable, "-c", _FUZZ], capture_output=True, text=True, timeout=100, check=False
    )
    last = done.stdout.splitlines()[-1]
    assert done.returncode == 0, (last, done.stderr[-500:])
    assert int(last.split()[1]) > 100


def test_a_damaged_footer_costs_its_file_and_no_other(tmp_path):
    written(tmp_path / "sound.parquet")
    written(tmp_path / "bad.parquet")
    data = bytearray((tmp_path / "bad.parquet").read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[footer + 5 : footer + 25] = b"\xff" * 20
    (tmp_path / "bad.parquet").write_bytes(bytes(data))
    kept, rejects = read(tmp_path)
    assert kept.height == 2
    assert rejects["reason"].to_list() == ["can't be read as Parquet: its footer is damaged"]
