import gzip
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.ingest.readers import splitter as surveying
from cll.pipeline.ingest.readers.limits import Limits
from cll.pipeline.ingest.readers.splitter import survey

LIMITS = Limits()


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(surveying, "BLOCK", 64)
    monkeypatch.setattr(surveying, "_READ", 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("survey")


def surveyed(folder, name, data, ends=(), limits=LIMITS, *, settled=True):
    """Survey bytes, and check what must hold of any survey."""
    path = folder / name
    path.write_bytes(data)
    found = survey(path, ends, limits, settled=settled)
    assert found.content == sha(data)
    if found.tail is not None:
        assert (found.tail.size, found.tail.sha256) == (
            len(data) - found.size,
            sha(data[found.size :]),
        )
    assert found.sha256 == sha(data[: found.size])
    assert found.prefixes == tuple(sha(data[:e]) if e <= len(data) else None for e in ends)
    at = 0
    for cut in found.cuts:
        assert (cut.start, cut.sha256) == (at, sha(data[at : cut.stop]))
        assert cut.row == data[:at].count(b"\n") + 1
        at = cut.stop
    assert at == found.size
    assert found.size == len(data) or found.torn
    return found


def stops(found):
    return [cut.stop for cut in found.cuts]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.csv.gz", "a.json"])
def test_an_empty_file_is_one_cut_that_is_empty(folder, name):
    found = surveyed(folder, name, b"")
    assert [(c.start, c.stop, c.row) for c in found.cuts] == [(0, 0, 1)]
    assert not found.torn


@pytest.mark.parametrize(
    ("name", "whole", "last"),
    [
        ("a.jsonl", b'{"x":1}\n', b'{"x":'),
        ("a.jsonl", b"", b'{"x":'),
        ("a.jsonl", b'{"x":1}\r\n', '{"x":"ä'.encode()[:-1]),
        ("a.csv", b"x,y\n", b"1"),
        ("a.csv", b"x,y\n1,2\n", b'1,"2'),
        ("a.csv", b'"x\n1",y\n1,2\n', b"1"),
        ("a.csv", b"x,y\n1,2\n", b'"two\nlines"'),
    ],
)
@pytest.mark.parametrize("settled", [True, False])
def test_a_last_line_that_makes_no_sense_yet_is_torn(folder, name, whole, last, settled):
    found = surveyed(folder, name, whole + last, settled=settled)
    assert (found.torn, found.size) == (True, len(whole))
    assert stops(found) == ([len(whole)] if whole else [])


@pytest.mark.parametrize(
    ("name", "whole", "last"),
    [
        ("a.csv", b"x,y\n", b"1,2"),
        ("a.csv", b"x,y\r\n", b"1,2\r"),
        ("a.csv", b"x,y\n", b"1,2,3"),
        ("a.csv", b"x,y\n", b"1,"),
        ("a.csv", b"x,y\n", b'1,"abc"'),
        ("a.csv", b"x,y\n", b'1,"two\nlines"'),
        ("a.csv", b'x,y\n1,"2\n3,4\n', b"5,6"),  # a quote is lost
        ("a.csv", b"x\n1\n", b"23"),
        ("a.csv", b"", b"x,y"),
        ("a.csv", b"", b"\n\nx,y"),
        ("a.csv", b"", b'"x,y'),
        ("a.csv", b"", b"x,y\r"),
        ("a.jsonl", b'{"x":1}\n', b"12"),
        ("a.jsonl", b'{"x":1}\n', b"true"),
        ("a.ndjson", b"", b"[1]"),
    ],
)
def test_a_last_line_that_reads_as_a_record_is_pending_until_it_has_settled(
    folder, name, whole, last
):
    found = surveyed(folder, name, whole + last, settled=False)
    assert (found.torn, found.size) == (True, len(whole))
    assert not surveyed(folder, name, whole + last).torn
    assert not surveyed(folder, name, whole + last + b"\n", settled=False).torn


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", b'{"x":1}\n{"x":2}'),
        ("a.jsonl", b'{"x":1}\n{"x":2}\r'),
        ("a.jsonl", b'\xef\xbb\xbf{"x":1}'),
        ("a.jsonl", b'{"x":1}\n   '),
        ("a.jsonl", b'{"x":' + b"[" * 100_000),
        ("a.csv", b"x,y\r\n1,2\r\n\r"),
        ("a.csv", b"x,y\r1,2"),
        ("a.csv.gz", gzip.compress(b"x,y\n1,2", mtime=0)),
        ("a.csv", "x,y\n1,2".encode("utf-16")),
        ("a.json", b'[{"x":'),
        ("a.jsonl", '{"x":'.encode("utf-16")),
        ("a.jsonl.gz", gzip.compress(b'{"x":', mtime=0)),
    ],
)
@pytest.mark.parametrize("settled", [True, False])
def test_a_last_line_that_can_not_continue_is_complete(folder, name, data, settled):
    assert not surveyed(folder, name, data, settled=settled).torn


def test_a_line_over_the_limit_is_not_waited_for(folder):
    assert not surveyed(folder, "a.jsonl", b'{"x":"' + b"x" * 100, (), Limits(line_length=50)).torn


@pytest.mark.usefixtures("small")
def test_cuts_fall_on_the_first_record_behind_a_block(folder):
    line = b'{"x":"' + b"x" * 12 + b'"}\n'
    assert len(line) == 21
    assert stops(surveyed(folder, "a.jsonl", line * 10)) == [84, 168, 210]
    exact = b"x" * 31 + b"\n"
    assert stops(surveyed(folder, "a.csv", exact * 4)) == [64, 128]
    long = b"x" * 200 + b"\n"
    assert stops(surveyed(folder, "a.csv", long + exact * 4)) == [201, 265, 329]


def days(*lengths):
    """Return a CSV file with so many lines of 13 bytes on each day."""
    lines = (b"2026-01-%02d,1\n" % (i + 1) for i, n in enumerate(lengths) for _ in range(n))
    return b"time,x\n" + b"".join(lines)


@pytest.fixture
def larger(monkeypatch):
    monkeypatch.setattr(surveying, "BLOCK", 1300)


@pytest.mark.usefixtures("larger")
def test_a_cut_falls_where_the_last_day_within_a_block_begins(folder):
    found = surveyed(folder, "a.csv", days(70, 70, 70, 20, 20, 100))
    whole_days = [70, 140, 230, 250]
    assert stops(found)[:4] == [7 + 13 * lines for lines in whole_days]


@pytest.mark.usefixtures("larger")
def test_a_day_larger_than_a_block_is_cut_at_blocks(folder):
    assert stops(surveyed(folder, "a.csv", days(250)))[:2] == [1307, 2607]
    little = days(5, 200)  # not worth a cut
    assert stops(surveyed(folder, "a.csv", little))[:1] == [1307]


@pytest.mark.usefixtures("larger")
@pytest.mark.parametrize(
    "text",
    [
        days(*[7] * 10) + 5 * days(*[7] * 10)[7:],  # one entity after another
        days(70, 70).replace(b"-01-02", b"-01-0x"),
        days(70, 70).replace(b"-", b"/"),
    ],
)
def test_lines_that_have_no_dates_or_lie_otherwise_are_cut_at_blocks(folder, text):
    assert 1307 in stops(surveyed(folder, "a.csv", text))


@pytest.mark.usefixtures("larger")
def test_a_day_that_began_before_the_file_had_a_block_is_no_cut(folder):
    begun = days(50, 20)
    assert stops(surveyed(folder, "a.csv", begun)) == [len(begun)]
    grown = stops(surveyed(folder, "a.csv", days(50, 100), (len(begun),)))
    assert grown == [len(begun), len(days(50, 100))]


def test_an_end_inside_of_a_record_cuts_before_it_and_at_one_cuts_there(folder):
    text = b'{"x":1}\n{"x":2}\n{"x":3}\n'
    assert stops(surveyed(folder, "a.jsonl", text, (8,))) == [8, 24]
    assert stops(surveyed(folder, "a.jsonl", text, (7,))) == [7, 24]
    assert stops(surveyed(folder, "a.jsonl", text, (9, 12))) == [8, 24]
    assert stops(surveyed(folder, "a.jsonl", text, (3, 16, 24, 99))) == [16, 24]
    windows = text.replace(b"\n", b"\r\n")
    assert stops(surveyed(folder, "a.jsonl", windows, (7, 17))) == [7, 17, 27]
    assert stops(surveyed(folder, "a.jsonl", windows, (8,))) == [8, 27]


@pytest.mark.usefixtures("small")
def test_no_cut_falls_inside_of_quotes(folder):
    text = b'x,y\n1,"' + b"a\n" * 60 + b'"\n2,3\n4,5\n'
    assert stops(surveyed(folder, "a.csv", text)) == [129, 137]
    assert stops(surveyed(folder, "a.csv", text, (20,))) == [4, 129, 137]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["a.json", "a.parquet", "a.jsonl.zst"])
def test_a_file_that_is_read_as_a_whole_is_one_cut(folder, name):
    assert stops(surveyed(folder, name, b"x\n" * 100, (4, 8))) == [200]


@pytest.mark.usefixtures("small")
def test_a_file_over_the_limit_is_one_cut(folder):
    assert stops(surveyed(folder, "a.csv", b"x\n" * 100, (4,), Limits(file_size=199))) == [200]


_CELLS = st.sampled_from([b"1", b"abc" * 9, b'"q"', b'"l\nb"', b"", b"\r", b'"'])
_CSV = st.lists(st.tuples(_CELLS, _CELLS), max_size=12).map(
    lambda rows: b"x,y\n" + b"".join(a + b"," + b + b"\n" for a, b in rows)
)
_JSONL = st.lists(st.integers(0, 10**30), max_size=12).map(
    lambda xs: b"".join(json.dumps({"x": x}).encode() + b"\n" for x in xs)
)
_DAYS = st.lists(st.integers(1, 40), max_size=6).map(lambda lengths: days(*lengths))


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(_CSV, _JSONL, _DAYS),
    st.lists(st.integers(0, 400), max_size=4),
    st.booleans(),
    st.data(),
)
def test_growing_moves_no_earlier_cut(folder, text, ends, settled, data):
    name = "a.jsonl" if text.startswith(b"{") else "a.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surveying, "BLOCK", 400 if text.startswith(b"time") else 64)
        patch.setattr(surveying, "_READ", 16)
        upto = data.draw(st.integers(0, len(text)))
        ends = sorted(end for end in ends if end <= upto)
        before = surveyed(folder, name, text[:upto], ends, settled=settled)
        after = surveyed(folder, name, text, sorted({*ends, before.size}), settled=settled)
    # The last cut before may end inside of a record that is told apart only now.
    assert set(before.cuts[:-1]) <= set(after.cuts)
