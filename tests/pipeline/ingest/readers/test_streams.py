"""A file of any size is read a block at a time, and gives what it would give at once."""

import gzip
import io
import json
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from cll.components.source.files import Clock, Files, Signals
from cll.pipeline.ingest.readers import (
    csv_headers,
    csv_records,
    csv_text,
    documents,
    splitter,
    streams,
    weights,
)
from cll.pipeline.ingest.readers.csv_records import TOP, Above
from cll.pipeline.ingest.readers.limits import Limits
from cll.pipeline.ingest.readers.records import Wanted
from cll.types.times import Duration
from tests.pipeline.ingest.readers.test_csv_headers import tables
from tests.run.draining import arrived, pieces

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
NEXT = datetime(2026, 2, 1, tzinfo=UTC)
TIME = "2026-01-01T00:00:00Z"
COLUMNS = {"entity": "entity", "time": "time", "cpu_usage": "cpu"}
HEADER = b"entity,time,cpu\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("streams")


def read(path, limits=None, **settings):
    """Return rows, rejects, and how many chunks they came in."""
    bounds = Limits(**(limits or {}))
    source = Files(path=str(path), signals=Signals(columns=COLUMNS, **settings), limits=bounds)
    (piece,) = pieces(source, AS_OF, [arrived(path, limits=bounds)])
    found = list(piece.chunks())
    for chunk in found:
        assert chunk.records == chunk.rows.height + chunk.rejects.height
    whole = piece.read()
    if not any(chunk.replaces for chunk in found):
        assert whole.rows.equals(pl.concat(chunk.rows for chunk in found))
    return whole.rows, whole.rejects.select("row", "field", "value", "reason"), found


def small(patch, block=64, rows=1000, step=16, whole=8):
    patch.setattr(streams, "BLOCK", block)
    patch.setattr(streams, "ROWS", rows)
    patch.setattr(streams, "STEP", step)
    patch.setattr(documents, "STEP", step)
    patch.setattr(documents, "BLOCK", block)
    patch.setattr(documents, "ROWS", rows)
    patch.setattr(documents, "WHOLE", whole)


_NAMES = st.sampled_from(["a", "b b", "é", '"q,""q"', '"two\nlines"', '"\n"'])
_CELLS = st.sampled_from(["1", "0.5", "", "x", "1,2", "NaN"])
_ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])
_CSV = st.lists(st.tuples(_NAMES, _CELLS, _ENDS), min_size=1, max_size=12).map(
    lambda rows: HEADER + "".join(f"{n},{TIME},{c}{e}" for n, c, e in rows).encode()
)
_RECORDS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "entity": st.sampled_from(["a", "é", "\\", '"', "[]", "{"]),
                "time": st.just(TIME),
                "cpu": st.sampled_from([1, 0.5, None, "x", True, -12345678]),
            },
            optional={"x": st.sampled_from([[], [[1]], {}, "]", "\u2028", 1.5e9])},
        ),
        st.sampled_from([1, "[", [], [{}], None, {"cpu": "1"}]),
    ),
    min_size=1,
    max_size=9,
).map(lambda records: [{"entity": "z", "time": TIME, "cpu": 1}, *records])


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(_CSV, _RECORDS.map(lambda rs: "\n".join(map(json.dumps, rs)).encode())),
    st.integers(16, 200),
    st.integers(1, 30),
)
@example(HEADER + b'"a\nb",2026-01-01T00:00:00Z,1\n' * 5, 20, 1)
def test_a_packed_file_reads_the_same_in_blocks_of_any_size(folder, text, block, step):
    kind = "csv" if text.startswith(HEADER) else "jsonl"
    path = folder / f"a.{kind}.gz"
    path.write_bytes(gzip.compress(text))
    rows, rejects, (_,) = read(path)
    with pytest.MonkeyPatch.context() as patch:
        small(patch, block, rows=4, step=step)
        cut_rows, cut_rejects, _ = read(path)
    assert cut_rows.equals(rows)
    assert cut_rejects.equals(rejects)


@settings(max_examples=60, deadline=None)
@given(_RECORDS, st.sampled_from([None, 1]), st.integers(1, 40), st.integers(1, 60))
def test_an_array_reads_the_same_by_its_elements(folder, records, indent, step, block):
    path = folder / "a.json"
    path.write_text(json.dumps(records, indent=indent))
    rows, rejects, (_,) = read(path)
    with pytest.MonkeyPatch.context() as patch:
        small(patch, block, step=step)
        cut_rows, cut_rejects, _ = read(path)
    assert cut_rows.equals(rows)
    assert cut_rejects.equals(rejects)


OBJECT = json.dumps({"entity": "a", "time": TIME, "cpu": 1})


@pytest.mark.parametrize(
    ("text", "limits", "reason"),
    [
        (f"[{OBJECT}, {OBJECT}", {}, "the file is truncated"),
        (f"[{OBJECT}, {OBJECT[:-9]}", {}, "the file is truncated"),
        (f"[{OBJECT},]", {}, f"not JSON: Expecting value: char {len(OBJECT) + 2}"),
        (f"[{OBJECT} {OBJECT}]", {}, f"not JSON: Expecting ',' delimiter: char {len(OBJECT) + 2}"),
        (
            f"[{OBJECT}] []",
            {},
            f"not JSON: Extra data: char {len(OBJECT) + 3}; name a file with a record a line",
        ),
        (
            f"{OBJECT}\n{OBJECT}",
            {},
            f"not JSON: Extra data: char {len(OBJECT) + 1}; name a file with a record a",
        ),
        (f'[{OBJECT}, {{"a": nope}}]', {}, "not JSON: Expecting value: char "),
        (f'[{OBJECT}, {{"a": 1, "a": 2}}]', {}, "'a' stands twice"),
        (f"[{OBJECT}, {'[' * 9}{']' * 9}]", {"nesting": 9}, "more than source.limits.nesting=9"),
        (f"[{OBJECT}, {'[' * 99999}", {}, "not JSON: nested too deep"),
        (
            f'[{OBJECT}, "{"x" * 99}"]',
            {"line_length": 80},
            "more than source.limits.line_length=80",
        ),
        (f'{{"entity": "{"x" * 99}"}}', {"line_length": 80}, "more than source.limits.line_length"),
        (f"[{OBJECT}, {OBJECT}]", {"rows": 1}, "more than source.limits.rows=1"),
        ("[" + " " * 99, {}, "the file is truncated"),
    ],
)
def test_an_error_in_a_large_document_refuses_all_of_it(
    tmp_path, monkeypatch, text, limits, reason
):
    small(monkeypatch, block=16)
    path = tmp_path / "a.json"
    path.write_text(text)
    rows, rejects, _ = read(path, limits)
    assert rows.is_empty()
    ((row, _, _, why),) = rejects.rows()
    assert row is None
    assert why.startswith(reason)


def test_an_object_with_blanks_behind_it_is_a_record(tmp_path, monkeypatch):
    small(monkeypatch)
    path = tmp_path / "a.json"
    path.write_text(OBJECT + " " * 200)
    assert read(path)[0].height == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_line_without_end_costs_itself_and_no_other(tmp_path, monkeypatch, kind, packed):
    small(monkeypatch, block=150, step=50)
    line = f"a,{TIME},1\n" if kind == "csv" else OBJECT + "\n"
    long = 'é"' + "é" * 5000 + ',"\n'
    text = (HEADER.decode() * (kind == "csv") + line * 3 + long + line * 3).encode()
    path = tmp_path / f"a.{kind}{'.gz' * packed}"
    path.write_bytes(gzip.compress(text) if packed else text)
    rows, rejects, chunks = read(path, {"line_length": 300})
    assert (rows.height, len(chunks) > 1) == (6, True)
    ((row, _, value, why),) = rejects.rows()
    assert row == 4 + (kind == "csv")
    assert value == long[:80]
    assert why.startswith("more than source.limits.line_length=300")


def test_a_lost_quote_costs_no_more_than_its_block(tmp_path, monkeypatch):
    small(monkeypatch, block=200, step=50)
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + b'"' + f"a,{TIME},1\n".encode() * 99)
    rows, rejects, chunks = read(path, {"line_length": 60})
    assert (rows.height, rejects["row"].to_list()) == (98, [2])
    assert len(chunks) > 5


def test_a_file_that_ends_too_early_is_refused_as_a_whole(tmp_path, monkeypatch):
    small(monkeypatch)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(HEADER + f"a,{TIME},1\n".encode() * 99)[:-9])
    rows, rejects, chunks = read(path)
    assert (rows.height, rejects["reason"].to_list()) == (0, ["the file is truncated"])
    assert len(chunks) > 1
    assert [chunk.replaces for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_file_of_more_bad_records_than_the_limit_is_refused_as_a_whole(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + f"a,{TIME},1\n".encode() + b"x\n" * 5)
    assert read(path, {"bad_records": 5})[1].height == 5
    rows, rejects, _ = read(path, {"bad_records": 4})
    assert rows.is_empty()
    assert rejects["reason"].str.starts_with("more than source.limits.bad_records=4").to_list() == [
        True
    ]


def test_the_clock_goes_on_from_block_to_block(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x\n" + b"1\n2\nbad\n" * 9))
    clock = Clock(AS_OF, Duration(minutes=1))
    signals = Signals(columns={"x": "x"}, entity_default="all", clock=clock)
    source = Files(path=str(path), signals=signals)
    once = pieces(source, AS_OF, [arrived(path)])[0].read().rows
    small(monkeypatch, block=8, step=4)
    (piece,) = pieces(source, AS_OF, [arrived(path)])
    found = list(piece.chunks())
    assert len(found) > 2
    assert pl.concat(chunk.rows for chunk in found).equals(once)


@pytest.mark.parametrize("length", [4096, 4097])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_name_that_is_too_long_costs_its_record(tmp_path, kind, length):
    path = tmp_path / f"a.{kind}"
    record = {"entity": "n" * length, "time": TIME, "cpu": 1}
    if kind == "csv":
        path.write_bytes(HEADER + ",".join(map(str, record.values())).encode() + b"\n")
    elif kind == "jsonl":
        path.write_text(json.dumps(record) + "\n")
    else:
        parquet.write_table(pa.Table.from_pylist([record]), path)
    rows, rejects, _ = read(path)
    assert rows.height == (length == 4096)
    assert (
        rejects.select("field", "reason").rows() == []
        if length == 4096
        else [("entity", "more than source.limits.text_length=4096; cut it up, or raise the limit")]
    )


def parquet_of(names, **settings):
    n = len(names)
    table = pa.table({"entity": names, "time": [TIME] * n, "cpu": [float(i) for i in range(n)]})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_dictionary": False},
        {"row_group_size": 30},
        {
            "use_dictionary": False,
            "column_encoding": {"entity": "DELTA_BYTE_ARRAY"},
            "data_page_size": 100,
        },
    ],
)
@pytest.mark.parametrize("piece", [100, 10_000])
def test_parquet_reads_the_same_in_batches(tmp_path, monkeypatch, settings, piece):
    path = tmp_path / "a.parquet"
    names = [f"agent-{i % 7}" * (1 + i % 3) for i in range(200)]
    path.write_bytes(parquet_of(names, **settings))
    rows, rejects, (_,) = read(path)
    assert (rows["entity"].to_list(), rejects.height) == (names, 0)
    monkeypatch.setattr(weights, "ROWS", 50)
    monkeypatch.setattr(weights, "_BYTES", 3000)
    monkeypatch.setattr(weights, "_PIECE", piece)
    cut_rows, cut_rejects, chunks = read(path)
    assert len(chunks) > 2
    assert cut_rows.equals(rows)
    assert cut_rejects.is_empty()


def test_texts_too_long_for_anything_are_cut_and_are_no_numbers(tmp_path):
    path = tmp_path / "a.parquet"
    long = ["1" * 70_000, "é" * 70_000, "0.5"]
    for column in (pa.array(long), pa.array([text.encode() for text in long])):
        table = pa.table({"entity": ["a", "b", "c"], "time": [TIME] * 3, "cpu": column})
        parquet.write_table(table, path)
        rows, rejects, _ = read(path)
        assert rows["cpu_usage"].to_list() == [0.5]
        assert rejects["row"].to_list() == [1, 2]


def test_a_page_that_is_too_large_refuses_its_file(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet_of(["n" * 5000]))
    _, rejects, _ = read(path, {"page_size": 5000})
    (why,) = rejects["reason"]
    assert why.startswith("a page of 'entity' unpacks to 5004 bytes: more than source.limits.page")


@settings(max_examples=60, deadline=None)
@given(_CSV, st.integers(1, 30), st.booleans())
def test_dense_text_reads_the_same_in_parts(text, step, has_header_above):
    wanted = Wanted(("entity", "cpu"))
    above, text = (Above(HEADER), text[len(HEADER) :]) if has_header_above else (TOP, text)
    text = text.replace(b"\r\n", b"\n")
    if not text:
        return
    at_once = csv_records.by_record(text, wanted, above)
    with pytest.MonkeyPatch.context() as patch:
        small(patch, step=step)
        patch.setattr(csv_text, "_MARKS", 4)
        in_parts = csv_text._by_parts(text, wanted, above)
    assert_same(in_parts, at_once)


def assert_same(records, others):
    assert records.rows.equals(others.rows)
    assert records.at.tolist() == others.at.tolist()
    assert records.faults.equals(others.faults)
    assert records.header == others.header


TABLES = st.lists(tables(), min_size=1, max_size=5).map(
    lambda texts: "".join(["entity,time,cpu,memory,note,p99\n", *texts])
)
VALUED = Wanted(
    ("entity", "time", "cpu"), numbers=frozenset({"cpu"}), values=frozenset({"time", "cpu"})
)


@settings(max_examples=100, deadline=None)
@given(TABLES, st.integers(1, 30), st.booleans())
def test_dense_text_of_many_headers_reads_the_same_in_parts(text, step, has_header_above):
    top, _, body = text.encode().partition(b"\n")
    above = Above(top + b"\n", 7, 6, ("p50",)) if has_header_above else TOP
    data = body if has_header_above else text.encode()
    if not data:
        return
    at_once = csv_records.by_record(data, VALUED, above)
    with pytest.MonkeyPatch.context() as patch:
        small(patch, step=step)
        patch.setattr(csv_text, "_MARKS", 4)
        in_parts = csv_text._by_parts(data, VALUED, above)
    assert_same(in_parts, at_once)


@settings(max_examples=100, deadline=None)
@given(
    TABLES,
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(16, 200),
    st.integers(1, 30),
    st.integers(40, 400),
)
@pytest.mark.slow
def test_a_file_of_many_headers_reads_the_same_in_blocks_of_any_size(
    folder, text, ending, packed, block, step, part
):
    data = text.replace("\n", ending).encode()
    path = folder / ("many.csv.gz" if packed else "many.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    source = Files(path=str(path), signals=Signals(columns={**COLUMNS, "memory_usage": "memory"}))
    once = in_force(source, arrived(path))
    with pytest.MonkeyPatch.context() as patch:
        small(patch, block, rows=3, step=step)
        patch.setattr(splitter, "BLOCK", part)
        cut = in_force(source, arrived(path))
    assert cut[0].equals(once[0])
    assert cut[1].equals(once[1])


def in_force(source, file):
    """Read a file chunk by chunk, each part of it below the header that is in force there."""

    def read_once(files):
        found = pieces(source, AS_OF, files)
        parts = [list(piece.chunks()) for piece in found]
        last = [
            next((chunk.header for chunk in reversed(part) if chunk.header), None) for part in parts
        ]
        assert last == [piece.read().header for piece in found]
        return found, last, parts

    parts = csv_headers.read_in_force([file], read_once)
    read = [chunk for part in parts for chunk in ([c for c in part if c.replaces] or part)]
    return pl.concat(chunk.rows for chunk in read), pl.concat(chunk.rejects for chunk in read)


def test_the_part_after_a_refused_part_uses_the_last_header_in_it(tmp_path):
    path = tmp_path / "a.csv"
    head = HEADER + f"a,{TIME},1\n".encode() + b"time,cpu,entity\n" + b"x,x\n" * 5
    path.write_bytes(head + f"{TIME},2,b\n".encode())
    bounds = Limits(bad_records=4)
    source = Files(path=str(path), signals=Signals(columns=COLUMNS), limits=bounds)
    file = arrived(path, (len(head), AS_OF), (None, NEXT), limits=bounds)
    rows, rejects = in_force(source, file)
    assert rows.select("entity", "cpu_usage", "row").rows() == [("b", 2, 9)]
    assert rejects["row"].to_list() == [None]


def test_the_clock_counts_a_part_that_was_refused_as_one_record(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    head = b"x\n" + b"1\n2\n" * 9 + b"bad\n" * 9
    path.write_bytes(head + b"3\n")
    clock = Clock(AS_OF, Duration(minutes=1))
    signals = Signals(columns={"x": "x"}, entity_default="all", clock=clock)
    bounds = Limits(bad_records=4)
    source = Files(path=str(path), signals=signals, limits=bounds)
    small(monkeypatch, block=8, step=4)
    file = arrived(path, (len(head), AS_OF), (None, NEXT), limits=bounds)
    refused, last = (piece.read() for piece in pieces(source, AS_OF, [file]))
    assert (refused.records, refused.rows.height) == (1, 0)
    assert last.rows["time"].to_list() == [AS_OF + Duration(minutes=1)]
