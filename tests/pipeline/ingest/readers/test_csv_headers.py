"""Files that hold more than one header: no value is read under a wrong name."""

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.source.files import Clock, Files, Incidents, Signals
from cll.pipeline.ingest.readers import csv_headers
from cll.pipeline.ingest.readers import splitter as surveying
from cll.types.records import Arrived, Header, Part
from tests.run.draining import arrived, pieces

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
NEXT = AS_OF + timedelta(days=1)
COLUMNS = {"entity": "entity", "time": "time", "cpu_usage": "cpu", "memory_usage": "memory"}
FIRST = "entity,time,cpu,memory\na,2026-01-01T00:00:00Z,1,100\n"
TWO = FIRST + "memory,cpu,time,entity\n200,2,2026-01-01T00:01:00Z,b\n"


def source(path, columns=COLUMNS, **settings):
    return Files(path=str(path), signals=Signals(columns=columns, **settings))


def read(source, files):
    """Read all pieces, each under the header that stands above it."""

    def read_once(files):
        found = pieces(source, AS_OF, files)
        chunks = [piece.read() for piece in found]
        return found, [chunk.header for chunk in chunks], chunks

    chunks = csv_headers.read_in_force(files, read_once)
    for chunk in chunks:
        assert chunk.records == chunk.rows.height + chunk.rejects.height + chunk.pending
    return pl.concat([c.rows for c in chunks]), pl.concat([c.rejects for c in chunks])


def of(folder, text, name="a.csv", columns=COLUMNS, **settings):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return read(source(path, columns, **settings), [arrived(path)])


def values(rows):
    return rows.select("entity", "cpu_usage", "memory_usage", "row").rows()


def reasons(rejects):
    return rejects.select("row", "reason").rows()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("headers")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_rows_below_a_header_in_another_order_are_read_by_it(tmp_path, name, ending):
    rows, rejects = of(tmp_path, TWO.replace("\n", ending), name)
    assert values(rows) == [("a", 1, 100, 2), ("b", 2, 200, 4)]
    assert reasons(rejects) == [(3, "a header in mid-file; the rows below are read by it")]
    assert rejects["value"].to_list() == ["memory,cpu,time,entity"]


@pytest.mark.parametrize(
    "header",
    [
        "\ufeffmemory,cpu,time,entity",
        '"memory","cpu","time","entity"',
        "entity,time,memory,cpu",
        "entity,time,memory,cpu,note",
        "load,entity,time,memory,cpu",
        "5xx,entity,time,memory,cpu",
    ],
)
def test_a_header_may_have_marks_quotes_and_further_columns(tmp_path, header):
    names = header.removeprefix("\ufeff").replace('"', "").split(",")
    row = {"entity": "b", "time": "2026-01-01T00:01:00Z", "cpu": "2", "memory": "200"}
    text = FIRST + header + "\n" + ",".join(row.get(name, "7") for name in names) + "\n"
    rows, rejects = of(tmp_path, text)
    assert values(rows) == [("a", 1, 100, 2), ("b", 2, 200, 4)]
    assert rejects["row"].to_list() == [3]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("host,time,load,disk", "lacks 'entity', 'cpu', 'memory'"),
        ("host,ts,load,disk", "lacks 'entity', 'time', 'cpu', 'memory'"),
        ("entity,time,cpu,disk", "lacks 'memory'"),
        ("entity,time,2024,2025", "lacks 'cpu', 'memory'"),
        ("entity,time,cpu", "lacks 'memory'"),
        ("Entity,Time,Memory,Cpu", "lacks 'entity', 'time', 'cpu', 'memory'"),
    ],
)
def test_rows_below_a_header_that_lacks_a_column_are_quarantined_with_its_line(
    tmp_path, header, why
):
    row = "b,2026-01-01T00:01:00Z,2,200"
    row = ",".join(row.split(",")[: header.count(",") + 1])
    rows, rejects = of(tmp_path, FIRST + f"{header}\n{row}\n" + FIRST)
    assert values(rows) == [("a", 1, 100, 2), ("a", 1, 100, 6)]
    assert reasons(rejects) == [
        (3, f"a header in mid-file that {why}; the rows below are left out"),
        (4, f"below the header in line 3, which {why}"),
        (5, "a header in mid-file; the rows below are read by it"),
    ]


def test_a_repeated_header_is_one_bad_line(tmp_path):
    rows, rejects = of(tmp_path, FIRST * 3)
    assert values(rows) == [("a", 1, 100, row) for row in (2, 4, 6)]
    assert reasons(rejects) == [(row, "the header again") for row in (3, 5)]


@pytest.mark.parametrize(
    "row",
    [
        "cpu,2026-01-01T00:01:00Z,2,200",
        "cpu,2026-01-01T00:01:00Z,x,memory",
        "web,unknown,none,error",
        "pod 1,soon,much,more",
        "web,soon,,more",
        "web,x,x,x",
        "cpu,soon",
        "ERROR: cpu, too hot",
        '"cpu\nmemory",soon,2,200',
    ],
)
def test_a_record_that_holds_names_or_words_is_no_header(tmp_path, row):
    below = "b,2026-01-01T00:02:00Z,3,300\n"
    rows, rejects = of(tmp_path, FIRST + row + "\n" + below)
    assert values(rows)[-1][:3] == ("b", 3, 300)
    assert not any("header in" in reason for reason in rejects["reason"])


def test_columns_with_numbers_for_names_change_places_too(tmp_path):
    columns = {"entity": "entity", "time": "time", "cpu_usage": "0", "memory_usage": "1"}
    text = TWO.replace("cpu", "0").replace("memory", "1")
    rows, _ = of(tmp_path, text, columns=columns)
    assert values(rows) == [("a", 1, 100, 2), ("b", 2, 200, 4)]
    swapped = "entity,time,1,0\nb,2026-01-01T00:01:00Z,200,2\n"
    rows, _ = of(tmp_path, "entity,time,0,1\n" + swapped, columns=columns)
    assert values(rows) == [("b", 2, 200, 3)]


def test_a_header_behind_a_lost_quote_counts(tmp_path):
    text = FIRST + 'x,2026-01-01T00:00:00Z,"1,100\n' + TWO.removeprefix(FIRST)
    rows, _ = of(tmp_path, text)
    assert values(rows) == [("a", 1, 100, 2), ("b", 2, 200, 5)]


def test_times_in_words_are_no_headers(tmp_path):
    path = tmp_path / "faults.csv"
    path.write_text("pod,from,to,kind\na,Jan 05 2026,Jan 06 2026,kind\nb,later,open,crash\n")
    columns = {"entity": "pod", "start": "from", "end": "to", "kind": "kind"}
    incidents = Incidents(("*.csv",), columns, time_format="%b %d %Y")
    told = Files(path=str(path), signals=Signals(columns=COLUMNS), incidents=incidents)
    (chunk,) = (piece.read() for piece in told._pieces("incidents", arrived(path)))
    assert chunk.rows["kind"].to_list() == ["kind"]
    assert "header" not in chunk.rejects["reason"][0]


def test_a_clock_goes_on_below_another_header(tmp_path):
    clock = Clock(AS_OF, timedelta(minutes=1))
    columns = {"cpu_usage": "cpu", "memory_usage": "memory"}
    text = "cpu,memory\n1,100\nmemory,cpu\n200,2\n"
    rows, rejects = of(tmp_path, text, columns=columns, entity_default="all", clock=clock)
    assert values(rows) == [("all", 1, 100, 2), ("all", 2, 200, 4)]
    assert rejects["row"].to_list() == [3]


def test_a_header_applies_to_rows_appended_later(tmp_path):
    path = tmp_path / "a.csv"
    more = "300,3,2026-01-01T00:02:00Z,c\n"
    path.write_text(TWO + more + FIRST + FIRST.split("\n")[1] + "\n")
    seen = [(len(TWO), AS_OF), (len(TWO + more), AS_OF), (None, NEXT)]
    rows, rejects = read(source(path), [arrived(path, *seen)])
    assert values(rows) == [
        ("a", 1, 100, 2),
        ("b", 2, 200, 4),
        ("c", 3, 300, 5),
        ("a", 1, 100, 7),
        ("a", 1, 100, 8),
    ]
    assert rejects["row"].to_list() == [3, 6]


def test_rows_below_an_unfit_header_stay_out_where_the_file_grew(tmp_path):
    path = tmp_path / "a.csv"
    head = FIRST + "host,time,load,disk\nh,2026-01-01T00:01:00Z,1,2\n"
    path.write_text(head + "h,2026-01-01T00:02:00Z,1,2\n")
    rows, rejects = read(source(path), [arrived(path, (len(head), AS_OF), (None, NEXT))])
    assert values(rows) == [("a", 1, 100, 2)]
    why = "below the header in line 3, which lacks 'entity', 'cpu', 'memory'"
    assert reasons(rejects)[1:] == [(4, why), (5, why)]


def test_names_of_earlier_headers_are_known_in_rows_appended_later(tmp_path):
    path = tmp_path / "a.csv"
    columns = {"entity": "entity", "time": "time", "cpu_usage": "cpu"}
    row = "b,2026-01-01T00:01:00Z,2"
    head = f"entity,time,cpu,note,p99\n{row},x,9\nentity,time,cpu\n{row}\n"
    path.write_text(head + f"host,p99,load\n{row}\n")
    rows, rejects = read(source(path, columns), [arrived(path, (len(head), AS_OF), (None, NEXT))])
    assert rows["row"].to_list() == [2, 4]
    assert rejects["row"].to_list() == [3, 5, 6]


def test_parts_without_a_header_before_them_are_as_they_were():
    file = arrived_parts(1, 5, 9)
    assert csv_headers.headed(file, []) is file
    second, fourth = Header(2, "b"), Header(6, "c")
    given_ = csv_headers.headed(file, [fourth, second])
    assert [part.header for part in given_.parts] == [None, second, fourth]
    assert csv_headers.headed(given_, []) == file


def arrived_parts(*rows):
    return Arrived("a.csv", "", tuple(Part(0, 0, row, "", AS_OF) for row in rows))


NAMES = ["entity", "time", "cpu", "memory", "note", "p99"]


@st.composite
def tables(draw):
    """Draw a CSV text: any columns in any order, and rows that tell what they are."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(2, len(NAMES)))]
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        minute, cpu = draw(st.integers(0, 59)), draw(st.sampled_from(["1", "0.5", "", "7e1", "x"]))
        row = {
            "entity": draw(st.sampled_from(["a", "cpu", "time", '"q,""q"', "é"])),
            "time": f"2026-01-01T00:{minute:02}:00Z",
            "cpu": cpu,
            "memory": draw(st.sampled_from(["100", "200.5", "NaN"])),
            "note": draw(st.sampled_from(["", "memory", "entity", "low", "12"])),
            "p99": "50",
        }
        rows.append([row[name] for name in names])
    return "".join(",".join(line) + "\n" for line in [names, *rows])


@settings(max_examples=80, deadline=None)
@given(st.lists(tables(), min_size=2, max_size=5), st.integers(40, 400), st.booleans())
@pytest.mark.slow
def test_files_put_together_give_the_records_of_each_or_quarantine(folder, texts, block, packed):
    start = "entity,time,cpu,memory,note,p99\n"
    texts = [start, *texts]
    apart = Counter()
    for number, text in enumerate(texts):
        one = folder / f"{number}.csv"
        one.write_text(text)
        rows, _ = read(source(one), [arrived(one)])
        apart.update(row[:-1] for row in values(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surveying, "BLOCK", block)
        rows, rejects = of(folder, "".join(texts), "all.csv.gz" if packed else "all.csv")
    assert Counter(row[:-1] for row in values(rows)) == apart
    lines = sum(text.count("\n") for text in texts) - 1
    assert rows.height + rejects.height == lines
