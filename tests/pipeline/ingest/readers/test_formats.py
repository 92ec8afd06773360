import gzip
import io
import json
import random

import polars as pl
import pyarrow as pa
import pytest

from cll.pipeline.ingest.readers import csv_text, formats, json_lines
from cll.pipeline.ingest.readers.csv_records import Above, by_record
from cll.pipeline.ingest.readers.limits import Limits
from cll.pipeline.ingest.readers.records import Wanted
from cll.types.errors import DataRefused
from cll.types.tables import VALUE_WIDTH

COMMAS = "write decimal points, and quote a text that has commas"


def found(name, data, wanted=("entity", "x"), **limits):
    records = formats.read(name, data, Wanted(tuple(wanted), limits=Limits(**limits)))
    assert records.rows.height == len(records.at)
    return records


def faults(records):
    return records.faults.select("row", "reason").rows()


def test_a_ragged_csv_row_is_reported_with_its_line():
    records = found("a.csv", b"entity,x\na,1\nb\n\nc,2,3\nd,4\n")
    assert faults(records) == [
        (3, "1 fields where the header has 2"),
        (5, f"3 fields where the header has 2; {COMMAS}"),
    ]
    assert records.at.tolist() == [2, 6]
    assert records.rows.rows() == [("a", "1"), ("d", "4")]


def test_a_lost_quote_costs_its_own_line_only():
    records = found("a.csv", b'entity,x\na,"1\nb,2\nc"d,3\n"e",4\n')
    assert faults(records) == [(2, "quotes do not pair up"), (4, "quotes do not pair up")]
    assert records.rows.rows() == [("b", "2"), ("e", "4")]


def test_a_quoted_field_may_hold_commas_quotes_and_line_breaks():
    records = found("a.csv", b'entity,note,x\r\na,"one, ""two""\r\nthree",1\r\nb,,2\r\n')
    assert faults(records) == []
    assert records.at.tolist() == [2, 4]
    assert records.rows.rows() == [("a", "1"), ("b", "2")]


def test_csv_columns_are_found_by_name_in_any_order():
    assert found("a.csv", b"x,u,entity\n1,2,a\n").rows.rows() == [("a", "1")]
    assert found("a.csv", b"x,u,entity\n1,2,a\n", ("x", "entity")).rows.rows() == [("1", "a")]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_line_that_is_not_utf_8_is_reported_with_its_number(name):
    good, bad = (
        (b"entity,x\na,1\n", b"b\xff,2\n")
        if name == "a.csv"
        else (b'{}\n{"entity":"a"}\n', b'{"entity":"\xff"}\n')
    )
    records = found(name, good + bad + good.split(b"\n")[1])
    assert faults(records) == [(3, "not UTF-8")]
    assert records.at[-1] == 4


def test_a_csv_without_the_columns_is_refused_with_those_it_has():
    with pytest.raises(DataRefused, match=r"lacks 'entity'; it has: pod, x"):
        found("a.csv", b"pod,x\na,1\n")


def test_a_csv_with_a_wanted_column_twice_is_refused():
    with pytest.raises(DataRefused, match="'x' stands twice"):
        found("a.csv", b"entity,x,x\na,1,2\n")


def test_another_delimiter_is_refused_with_a_hint():
    with pytest.raises(DataRefused, match="divided by ';'"):
        found("a.csv", b"entity;x\na;1,5\n")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet", "a.csv.gz"])
def test_an_empty_file_is_refused(name):
    with pytest.raises(DataRefused, match="empty"):
        found(name, b"")


@pytest.mark.parametrize("data", [b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_csv_is_refused(data):
    with pytest.raises(DataRefused, match="empty"):
        found("a.csv", data)


def test_a_header_without_rows_holds_no_records():
    records = found("a.csv", b"entity,x\n")
    assert (records.rows.height, records.faults.height) == (0, 0)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_utf_16_is_refused(name):
    with pytest.raises(DataRefused, match="UTF-16"):
        found(name, "entity,x\na,1\n".encode("utf-16"))


def test_a_byte_order_mark_and_carriage_returns_are_no_data():
    assert found("a.csv", b"\xef\xbb\xbfentity,x\r\na,1\r\n").rows.rows() == [("a", "1")]


def test_a_malformed_json_line_is_reported_and_the_rest_read():
    lines = b'{"entity":"a","x":1}\n{"entity":"b",\n\n[1]\n{"entity":"c","entity":"d"}\n{"x":2}'
    records = found("a.jsonl", lines)
    reasons = [(row, reason.split(":")[0]) for row, reason in faults(records)]
    assert reasons == [
        (2, "not JSON"),
        (4, "not an object"),
        (5, "'entity' stands twice"),
    ]
    assert records.rows.rows() == [("a", "1"), (None, "2")]
    assert records.at.tolist() == [1, 6]


def test_json_keeps_the_text_of_numbers_and_booleans():
    lines = b'{"entity":1e5,"x":true}\n{"entity":"1e5","x":NaN}\n{"entity":7,"x":-0.10}\n'
    assert found("a.jsonl", lines).rows.rows() == [("1e5", "true"), ("1e5", "NaN"), ("7", "-0.10")]


def test_a_nested_value_or_a_lone_surrogate_rejects_its_record():
    records = found("a.jsonl", b'{"entity":"a","x":[1]}\n{"entity":"\\ud800"}\n{"entity":"b"}\n')
    assert records.faults.rows() == [
        (1, "x", "['1']", "a list or an object, where a value is needed"),
        (2, "entity", "\\ud800", "not UTF-8"),
    ]
    assert records.rows.rows() == [("b", None)]


def test_nesting_without_end_is_a_fault_and_no_crash():
    records = found("a.jsonl", b'{"x":' + b"[" * 100_000 + b'\n{"entity":"b"}\n')
    assert [row for row, _ in faults(records)] == [1]


def test_a_long_value_is_cut():
    records = found("a.jsonl", b"x" * 1000)
    assert records.faults["value"].str.len_chars().to_list() == [VALUE_WIDTH]


def test_json_holds_one_record_or_an_array_of_them():
    assert found("a.json", b'{"entity": "a",\n "x": 1}').rows.rows() == [("a", "1")]
    records = found("a.json", b'[{"entity": "a"}, 5, {"entity": "b"}]')
    assert records.at.tolist() == [1, 3]
    assert faults(records) == [(2, "not an object")]


def test_json_lines_named_json_are_refused_with_a_hint():
    with pytest.raises(DataRefused, match=r"name a file with a record a line \.jsonl"):
        found("a.json", b'{"entity":"a"}\n{"entity":"b"}\n')


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_text_reads_as_the_plain_text(suffix):
    text = b"entity,x\n007,1\n"
    packed = gzip.compress(text) if suffix == ".gz" else pa.compress(text, "zstd", asbytes=True)
    assert found("a.csv" + suffix, packed).rows.rows() == [("007", "1")]
    for damaged in (packed[:-6], b"no archive", packed + b"rubbish"):
        with pytest.raises(DataRefused, match=r"can't be unpacked|truncated"):
            found("a.csv" + suffix, damaged)


def test_a_file_that_decompresses_to_too_much_is_refused():
    with pytest.raises(DataRefused, match=r"source.limits.decompressed_size=1000; cut it up"):
        found("a.csv.gz", gzip.compress(b"a" * 2000), decompressed_size=1000)


def parquet(frame):
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def test_parquet_gives_its_own_types_and_only_wanted_columns():
    frame = pl.DataFrame({"y": [1], "x": [1.5], "entity": [7]})
    records = found("a.parquet", parquet(frame))
    assert records.rows.equals(frame.select("entity", "x"))
    with pytest.raises(DataRefused, match="lacks 'z'; it has: y, x, entity"):
        found("a.parquet", parquet(frame), ("z",))


def test_no_damage_to_a_parquet_file_is_more_than_a_refusal():
    whole = parquet(pl.DataFrame({"entity": ["a", "b"] * 50, "x": [1.0, 2.0] * 50}))
    dice = random.Random(0)  # noqa: S311  no secret
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(3):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            found("a.parquet", bytes(data))
        except DataRefused:
            refused += 1
    assert refused > 20


def test_any_bytes_named_csv_lose_no_record():
    dice = random.Random(1)  # noqa: S311  no secret
    for _ in range(500):
        body = bytes(dice.choice(b'a1,,"\n\n\r\xff ') for _ in range(30))
        records = found("a.csv", b"entity,x\n" + body)
        if b'"' not in body:
            lines = [line for line in body.replace(b"\r\n", b"\n").split(b"\n") if line]
            assert records.rows.height + records.faults.height == len(lines)


def test_json_lines_read_alike_by_pattern_and_one_by_one():
    dice = random.Random(2)  # noqa: S311  no secret
    cells = ['"a"', '""', '"null"', "null", "7", "-0.10", "1E5", "01", "true", "NaN", "-Infinity"]
    cells += ['"\\u0041"', '"\\ud800"', "[1]", "{}", '"a', "", '"\t"', "+1", "1.", '"é"', '" 7 "']
    for _ in range(200):
        lines = []
        for _ in range(dice.randrange(1, 9)):
            keys = dice.choice([["entity", "x"], ["x", "entity"], ["x", "u"], ["x", "x"], ["u"]])
            space = dice.choice(["", " "])
            pairs = [f'"{key}"{space}:{dice.choice(cells)}' for key in keys]
            lines.append("{" + f",{space}".join(pairs) + dice.choice(["}"] * 5 + ["", "} }", ",}"]))
        text = "\n".join(lines).encode()
        one = json_lines.parse_lines(text, Wanted(("entity", "x")))
        other = json_lines._one_by_one(
            list(enumerate(text.split(b"\n"), 1)), Wanted(("entity", "x"))
        )
        assert one.rows.equals(other.rows)
        assert one.at.tolist() == other.at.tolist()
        assert one.faults.equals(other.faults)


def test_a_csv_whose_lines_end_in_cr_alone_is_refused_and_not_read_as_a_header():
    with pytest.raises(DataRefused, match="lines end in CR alone; write LF"):
        formats.read("a.csv", b"entity,time\ra,1\rb,2\r", Wanted(("entity", "time")))


@pytest.mark.slow
def test_csv_reads_alike_at_once_and_record_by_record():
    dice = random.Random(3)  # noqa: S311  no secret
    at_once = 0
    for _ in range(2000):
        size = dice.randrange(30)
        text = b"x,u,entity\n" + bytes(dice.choice(b"a1,,,\n\n\r\xff \x00") for _ in range(size))
        if dice.random() < 0.7:
            cells = [b"1", b" ", b"", b"a\r", "é".encode(), b"NA"]
            widths = dice.choice([[3], [3, 3, 3, 2, 4]])
            sizes = [dice.choice(widths) for _ in range(dice.randrange(5))]
            lines = [[dice.choice(cells) for _ in range(size)] for size in sizes]
            text = b"x,u,entity\n" + b"\n".join(b",".join(line) for line in lines)
        columns = dice.choice([("entity", "x"), ("x", "u"), ("u",), ("x", "u", "entity")])
        wanted = Wanted(columns)
        one, other = csv_text._regular(text, wanted), by_record(text, wanted)
        if one is not None:
            at_once += 1
            assert one.rows.equals(other.rows)
            assert one.at.tolist() == other.at.tolist()
            assert other.faults.is_empty()
    assert at_once > 600


def test_a_line_that_is_too_long_does_not_make_up_for_one_that_is_too_short():
    records = found("a.csv", b"entity,u,x\na,1,2\nb,1,2,3\nc,1\n")
    assert [row for row, _ in faults(records)] == [3, 4]
    assert records.rows.rows() == [("a", "2")]


@pytest.mark.parametrize(
    "above", [b"x,u,entity\n", b"\nx,u,entity\n", b'x,"u\nv",entity\n', b"entity,x\n", b"x\n"]
)
def test_a_header_above_a_text_is_as_if_it_stood_in_it(above):
    dice, wanted = random.Random(5), Wanted(("entity", "x") if b"entity" in above else ("x",))  # noqa: S311
    for _ in range(200):
        cells = [b"1", b"", b"a", "é".encode(), b'"q"', b"a,b", b"\xff"]
        lines = [[dice.choice(cells) for _ in range(3)] for _ in range(dice.randrange(4))]
        text = b"\n".join(b",".join(line) for line in lines)
        one = csv_text.parse(text, wanted, Above(above))
        other = csv_text.parse(above + text, wanted)
        assert one.rows.equals(other.rows)
        assert one.at.tolist() == other.at.tolist()
        assert one.faults.equals(other.faults)


@pytest.mark.parametrize("keys", [[f"k{i}" for i in range(5000)], ["k" * 500_000], ["é" * 300_000]])
def test_objects_too_wide_for_a_pattern_are_read_all_the_same(keys):
    text = json.dumps(
        {"entity": "a", **dict.fromkeys(keys, 1), "x": 2}, ensure_ascii=False
    ).encode()
    assert found("a.jsonl", text + b"\n" + text).rows.rows() == [("a", "2")] * 2
