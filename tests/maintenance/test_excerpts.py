import gzip
import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from cll.maintenance import excerpts
from cll.pipeline.ingest.readers import formats
from cll.pipeline.ingest.readers.records import Wanted


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def excerpt(folder, name, data, *rows):
    return excerpts.excerpt(put(folder, name, data), rows)


CSV = b'\xef\xbb\xbftime,note\r\n1,a\r\n2,"b\nb"\r\n3,c\r\n\r\n4,"d ""x"""\r\n5,e'


def test_lines_of_csv_come_with_their_header_as_they_stand(tmp_path):
    assert excerpt(tmp_path, "a.csv", CSV, 2, 8) == b"time,note\r\n1,a\r\n5,e\n"


def test_a_record_with_a_newline_in_quotes_comes_whole(tmp_path):
    assert excerpt(tmp_path, "a.csv", CSV, 3, 7) == (b'time,note\r\n2,"b\nb"\r\n4,"d ""x"""\r\n')


def test_the_rows_are_the_readers_own(tmp_path):
    records = formats.read("a.csv", CSV, Wanted(("time",)))
    for place, time in zip(records.at, records.rows["time"], strict=True):
        assert excerpt(tmp_path, "a.csv", CSV, place).splitlines()[1].startswith(time.encode())


def test_a_lost_quote_costs_its_own_line(tmp_path):
    lost = b'time,note\n1,"a\n2,b\n3,"c\nc"\n4,d\n'
    faults = formats.read("a.csv", lost, Wanted(("time",))).faults
    rows = faults["row"].to_list()
    assert rows == [2, 4, 5]
    assert excerpt(tmp_path, "a.csv", lost, *rows) == b'time,note\n1,"a\n3,"c\nc"\n'


def test_a_header_of_two_lines_comes_whole_and_no_record_is_no_error(tmp_path):
    data = b'\n"ti\nme",note\n1,a\n'
    assert excerpt(tmp_path, "a.csv", data, 4) == b'"ti\nme",note\n1,a\n'
    assert excerpt(tmp_path, "a.csv", data, 40) == b'"ti\nme",note\n'


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson"])
def test_lines_of_json_are_the_published_bytes(tmp_path, name):
    data = b'{"a": 1}\n{"a": 1e400, "a": 2}\n\n\xff{\n{"a":'
    assert excerpt(tmp_path, name, data, 2, 4, 5) == b'{"a": 1e400, "a": 2}\n\xff{\n{"a":\n'


def test_objects_of_an_array_keep_their_text(tmp_path):
    data = b'[ {"a": 007e1}, {"a": 1.50, "a": "]"} ,[1],\n 3 ]\n'.replace(b"007e1", b"7e1")
    assert excerpt(tmp_path, "a.json", data, 2, 3, 9) == b'[\n{"a": 1.50, "a": "]"},\n[1]\n]\n'


def test_an_object_that_stands_alone_is_an_array_of_one(tmp_path):
    assert excerpt(tmp_path, "a.json", b' {"a": 1}\n', 1) == b'[\n{"a": 1}\n]\n'


def test_an_empty_array_has_nothing(tmp_path):
    assert excerpt(tmp_path, "a.json", b"[]", 1) == b"[\n\n]\n"


def test_rows_of_parquet_keep_their_types(tmp_path):
    frame = pl.DataFrame({"a": [1, 2, 3], "b": [[1], None, [2]]})
    frame.write_parquet(tmp_path / "a.parquet")
    taken = pl.read_parquet(io.BytesIO(excerpts.excerpt(tmp_path / "a.parquet", [3, 1])))
    assert taken.equals(frame[[0, 2]])


def test_packed_files_come_unpacked(tmp_path):
    squeezed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(squeezed, "zstd") as stream:
        stream.write(CSV)
    packed = {"a.csv.gz": gzip.compress(CSV), "a.csv.zst": squeezed.getvalue().to_pybytes()}
    for name, data in packed.items():
        assert excerpt(tmp_path, name, data, 2) == b"time,note\r\n1,a\r\n"
        assert excerpts.name_of(Path(name)) == Path("a.csv")


def test_of_a_mended_excerpt_only_what_changed_is_left():
    before = b'a,b\n1,x\n2,"y\ny"\n3,z\n'
    after = b'a,b\n1,x\n2,"y\nz"\n3,z'
    assert excerpts.mended("a.csv", after, before) == b'a,b\n2,"y\nz"\n'
    assert excerpts.mended("a.csv", after.replace(b"a,b", b"a,c"), before).count(b"\n") == 5
    assert excerpts.mended("a.jsonl", b"{}\n[1]\n", b"{\n[1]\n") == b"{}\n"
    assert excerpts.mended("a.json", b"[1]", b"[2]") == b"[1]"


def test_a_mended_file_with_another_header_ends_in_a_newline():
    assert excerpts.mended("a.csv", b"e,x\na,1", b"e,y\na,1\n") == b"e,x\na,1\n"
