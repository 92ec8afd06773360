"""A file reads the same however it is cut, and what was read of it stays known when it grows."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cll.components.source.files import Clock, Files, Signals
from cll.pipeline.ingest.readers import parquet
from cll.pipeline.ingest.readers import splitter as surveying
from tests.run.draining import arrived, chunks, pieces

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
NEXT = AS_OF + timedelta(days=1)
COLUMNS = {"entity": "entity", "time": "time", "cpu_usage": "cpu"}
HEADER = b"entity,time,cpu\n"


def line(name, cpu="1"):
    return f"{name},2026-01-01T00:00:00Z,{cpu}\n".encode()


def source(path, **settings):
    return Files(path=str(path), signals=Signals(columns=COLUMNS), **settings)


def drained(source, files):
    found = chunks(source, AS_OF, files)
    return pl.concat([c.rows for c in found]), pl.concat([c.rejects for c in found])


def keys(source, files):
    return [json.dumps(dict(piece.key), sort_keys=True) for piece in pieces(source, AS_OF, files)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("extents")


_NAMES = st.sampled_from(["a", "b b", "é", '"q,""q"', '"two\nlines"'])
_CELLS = st.sampled_from(["1", "0.5", "", "x", "1,2", "NaN"])
_ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])
_CSV = st.lists(st.tuples(_NAMES, _CELLS, _ENDS), min_size=1, max_size=9).map(
    lambda rows: (
        HEADER + b"".join(line(n, c).replace(b"\n", b"", 0)[:-1] + e.encode() for n, c, e in rows)
    )
)
_JSONL = st.lists(
    st.one_of(
        st.builds(
            lambda name, cpu: json.dumps(
                {"entity": name, "time": "2026-01-01T00:00:00Z", "cpu": cpu}
            ),
            st.sampled_from(["a", "é", "\\"]),
            st.sampled_from([1, 0.5, None, "x", True]),
        ),
        st.sampled_from(["", " ", "[1]", '{"entity": ', "\ufeff"]),
    ),
    min_size=1,
    max_size=9,
).map(lambda rows: b'{"entity":"z","time":"2026-01-01","cpu":1}\n' + "\n".join(rows).encode())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.one_of(_CSV, _JSONL), st.lists(st.integers(0, 300), max_size=3), st.integers(8, 400))
@example(HEADER + line("a"), [15], 400)
@example(HEADER + line("a") + line("b")[:-1], [3, len(HEADER)], 400)
def test_a_file_reads_the_same_however_it_is_cut(folder, text, ends, block):
    path = folder / ("a.csv" if text.startswith(HEADER) else "a.jsonl")
    path.write_bytes(text)
    rows, rejects = drained(source(path), [arrived(path)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surveying, "BLOCK", block)
        seen = [(end, AS_OF) for end in sorted(ends) if end <= len(text)]
        files = [arrived(path, *seen, (None, AS_OF))]
        cut_rows, cut_rejects = drained(source(path), files)
    # A part of JSON in which no record has a column is told apart, as such a file is.
    lacking = cut_rejects.filter(pl.col("row").is_null())
    if lacking.is_empty():
        assert cut_rows.equals(rows)
        assert cut_rejects.equals(rejects)
    else:
        assert path.suffix == ".jsonl"
        assert all(reason.startswith("lacks ") for reason in lacking["reason"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(_NAMES, st.sampled_from([10.25, 0.309, -12.0, 1e21, None])),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([".csv", ".jsonl"]),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_a_file_cut_anywhere_gives_no_record_that_the_whole_file_has_not(
    folder, records, form, ending, data
):
    if form == ".csv":
        cells = ["" if cpu is None else str(cpu) for _, cpu in records]
        cells[-1] = cells[-1] and f'"{cells[-1]}"'
        lines = [
            line(name, cpu)[:-1].decode() for (name, _), cpu in zip(records, cells, strict=True)
        ]
        lines = [HEADER.decode()[:-1], *lines]
    else:
        fields = [{"entity": n, "time": "2026-01-01T00:00:00Z", "cpu": cpu} for n, cpu in records]
        lines = [json.dumps(one) for one in fields]
    text = "".join(one + ending for one in lines).encode()
    path = folder / f"cut{form}"
    path.write_bytes(text)
    whole, _ = drained(source(path), [arrived(path, settled=False)])
    path.write_bytes(text[: data.draw(st.integers(0, len(text)))])
    files = [arrived(path, settled=False)]
    if files[0].parts:
        rows, _ = drained(source(path), files)
        assert {*rows.rows()} <= {*whole.rows()}


def test_a_header_that_is_still_being_written_is_no_record(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER[:-1])
    assert chunks(source(path), AS_OF, [arrived(path, settled=False)]) == []
    rows, rejects = drained(source(path), [arrived(path)])
    assert (rows.height, rejects.height) == (0, 0)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_last_record_without_its_newline_is_pending_and_later_known(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(HEADER + line("a") + line("b", "0.30")[:-1])
    if name == "a.jsonl":
        path.write_bytes(b'{"entity":"a","time":"2026-01-01T00:00:00Z","cpu":1}\n12')
    (read, waiting) = chunks(source(path), AS_OF, [arrived(path, settled=False)])
    assert (read.rows.height, waiting.records, waiting.pending) == (1, 1, 1)
    size = read.rows.height and path.stat().st_size - len(path.read_bytes().split(b"\n")[-1])
    later = arrived(path, (size, AS_OF), (None, NEXT))
    found = chunks(source(path, backfill="arrival"), AS_OF, [later])
    assert sum(chunk.records for chunk in found) == 2
    rows = pl.concat([chunk.rows for chunk in found])
    assert rows["known_at"].to_list() == ([AS_OF, NEXT] if name == "a.csv" else [AS_OF])


def test_the_old_part_of_a_grown_file_is_not_read_again(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + line("a"))
    size = path.stat().st_size
    for kept in ("on_time", "arrival"):
        told = source(path, backfill=kept)
        path.write_bytes(HEADER + line("a"))
        before = keys(told, [arrived(path, (None, AS_OF))])
        path.write_bytes(HEADER + line("a") + line("b"))
        after = keys(told, [arrived(path, (size, AS_OF), (None, NEXT))])
        assert before == after[:1]
        assert len(after) == 2
        assert [("2026-02-01" in key) for key in after] == [False, kept == "arrival"]


def test_a_row_is_known_from_the_arrival_of_its_part_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + line("a") + line("b"))
    ends = (len(HEADER + line("a")), AS_OF), (None, NEXT)
    rows, _ = drained(source(path, backfill="arrival"), [arrived(path, *ends)])
    assert rows.select("entity", "known_at", "row").rows() == [("a", AS_OF, 2), ("b", NEXT, 3)]


def test_a_byte_order_mark_stays_at_the_top(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER + line("a") + line("b"))
    ends = (3 + len(HEADER + line("a")), AS_OF), (None, NEXT)
    rows, rejects = drained(source(path), [arrived(path, *ends)])
    assert (rows["row"].to_list(), rejects.height) == ([2, 3], 0)


def test_another_header_makes_the_later_parts_other_pieces(tmp_path):
    path, end = tmp_path / "a.csv", len(HEADER + line("a"))
    path.write_bytes(HEADER + line("a") + line("b"))
    before = keys(source(path), [arrived(path, (end, AS_OF), (None, NEXT))])
    path.write_bytes(b"time,entity,cpu\n" + line("a") + line("b"))
    after = keys(source(path), [arrived(path, (end, AS_OF), (None, NEXT))])
    assert before[1] != after[1]


def test_a_last_line_without_its_newline_stays_known_when_the_file_grows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + line("a")[:-1])
    before = keys(source(path), [arrived(path, (None, AS_OF))])
    for ending in (b"\n", b"\r\n"):
        path.write_bytes(HEADER + line("a")[:-1] + ending + line("b") + line("c", "x"))
        files = [arrived(path, (len(HEADER + line("a")) - 1, AS_OF), (None, NEXT))]
        assert keys(source(path), files)[:1] == before
        rows, rejects = drained(source(path, backfill="arrival"), files)
        assert rows.select("entity", "known_at", "row").rows() == [("a", AS_OF, 2), ("b", NEXT, 3)]
        assert rejects["row"].to_list() == [4]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_line_that_is_still_being_written_is_pending_and_then_read_once(tmp_path, name):
    path = tmp_path / name
    record = json.dumps({"entity": "a", "time": "2026-01-01T00:00:00Z", "cpu": 1}).encode()
    whole = HEADER + line("a")[:-1] if name == "a.csv" else record
    path.write_bytes(whole + b"\n" + whole.split(b"\n")[-1][:5])
    *read, waiting = chunks(source(path), AS_OF)
    assert [chunk.rows.height for chunk in read] == [1]
    assert (waiting.records, waiting.pending, waiting.rows.height) == (1, 1, 0)
    path.write_bytes(whole + b"\n" + whole.split(b"\n")[-1] + b"\n")
    seen = arrived(path, (len(whole) + 1, AS_OF), (None, NEXT))
    assert [(c.rows.height, c.pending) for c in chunks(source(path), AS_OF, [seen])] == [
        (1, 0),
        (1, 0),
    ]


def test_the_clock_counts_records_from_the_files_start_in_every_part(tmp_path, monkeypatch):
    monkeypatch.setattr(surveying, "BLOCK", 16)
    path = tmp_path / "a.csv"
    path.write_bytes(b"x\n1\n2\nbad\n\n" * 4)
    clock = Clock(AS_OF, timedelta(minutes=1))
    signals = Signals(columns={"x": "x"}, entity_default="all", clock=clock)
    files = [arrived(path)]
    assert len(files[0].parts) > 2
    rows, rejects = drained(Files(path=str(path), signals=signals), files)
    monkeypatch.undo()
    once, _ = drained(Files(path=str(path), signals=signals), [arrived(path)])
    assert rows.equals(once)
    assert rows["time"].to_list()[-1] == AS_OF + timedelta(minutes=13)
    assert rejects.height == 7


def test_parquet_is_read_by_its_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 25)
    path = tmp_path / "a.parquet"
    cpu = [float(i) for i in range(98)] + ["x"]
    frame = pl.DataFrame({"entity": "a", "time": AS_OF, "cpu": [str(v) for v in cpu]})
    frame.write_parquet(path, row_group_size=10)
    files = [arrived(path)]
    found = pieces(source(path), AS_OF, files)
    assert [piece.key["rows"] for piece in found] == [
        [0, 20],
        [20, 20],
        [40, 20],
        [60, 20],
        [80, 19],
    ]
    rows, rejects = drained(source(path), files)
    assert rows["cpu_usage"].to_list() == cpu[:-1]
    assert rows["row"].to_list() == list(range(1, 99))
    assert rejects.select("row", "value").rows() == [(99, "x")]


def test_a_file_that_cannot_be_opened_is_one_reject(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + line("a"))
    files, told = [arrived(path)], source(path)
    (piece,) = told(AS_OF, files)
    path.unlink()
    assert piece.read().rejects["reason"].to_list() == ["No such file or directory"]
    path.write_bytes(HEADER)
    assert piece.read().rejects["reason"].to_list() == ["the file shrank while it was read"]


def test_a_header_that_arrived_in_two_halves_is_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n\n" + HEADER + line("a"))
    rows, rejects = drained(source(path), [arrived(path, (1, AS_OF), (5, AS_OF), (None, NEXT))])
    assert (rows["row"].to_list(), rejects.height) == ([4], 0)


def test_rows_beyond_the_limit_are_refused_and_those_before_stay(tmp_path):
    path, end = tmp_path / "a.csv", len(HEADER + line("a") * 3)
    path.write_bytes(HEADER + line("a") * 5)
    told = Files(path=str(path), signals=Signals(columns=COLUMNS), limits=surveying.Limits(rows=4))
    rows, rejects = drained(told, [arrived(path, (end, AS_OF), (None, NEXT))])
    assert rows.height == 3
    assert rejects["reason"].str.starts_with("more than source.limits.rows=4").to_list() == [True]
