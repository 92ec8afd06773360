from datetime import UTC, datetime

import polars as pl
import pytest

from cll.system import disk, frames
from cll.system import manifest as system_manifest
from cll.types.errors import DataRefused, SecurityRefusal, Unavailable


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    disk.write_json(path, {"a": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(Unavailable, match=r"x.json: can't be written: No space left on device"):
        disk.write_json(path, {"a": 2})
    assert disk.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_the_same_value_is_the_same_bytes():
    assert disk.json_bytes({"b": 1, "a": 2.5}) == disk.json_bytes({"a": 2.5, "b": 1})


def test_a_number_that_json_does_not_have_is_a_bug_not_a_file(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        disk.write_json(tmp_path / "x.json", {"a": float("nan")})


def test_a_missing_result_says_how_to_make_it(tmp_path):
    with pytest.raises(Unavailable, match="run `dvc repro` first"):
        disk.read_json(tmp_path / "none.json")


def test_damaged_json_is_named(tmp_path):
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(DataRefused, match=r"x.json: damaged JSON"):
        disk.read_json(tmp_path / "x.json")


def test_damaged_parquet_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(DataRefused, match=r"x.parquet: damaged"):
        frames.read_frame(tmp_path / "x.parquet")


def part(folder, date):
    return folder / system_manifest.part(date)


def sealed(folder):
    files = {}
    for date, numbers in {"2026-01-01": [1.0, 2.0], "2026-01-02": [3.0]}.items():
        path = part(folder, date)
        files[str(path.relative_to(folder))] = frames.write_frame(
            path, pl.DataFrame({"x": numbers})
        )
    system_manifest.write_manifest(folder, {"source": "s"}, {"kept": 3}, files)
    return folder


def test_a_sealed_folder_gives_its_facts_and_rows(tmp_path):
    folder = sealed(tmp_path / "signals")
    manifest = system_manifest.unseal(folder)
    assert manifest["facts"] == {"kept": 3}
    of_day = {n: d for n, d in manifest["files"].items() if "2026-01-02" in n}
    assert system_manifest.read_sealed(folder, of_day)["x"].to_list() == [3.0]


def test_a_partition_that_was_changed_is_not_read(tmp_path):
    folder = sealed(tmp_path / "signals")
    files = {system_manifest.part("2026-01-01"): "0" * 64}
    with pytest.raises(SecurityRefusal, match=r"date=2026-01-01.part-0.parquet: its bytes"):
        system_manifest.read_sealed(folder, files)


def test_a_flipped_bit_is_found_with_the_files_name(tmp_path):
    folder = sealed(tmp_path / "signals")
    path = part(folder, "2026-01-02")
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with pytest.raises(SecurityRefusal, match=r"date=2026-01-02.part-0.parquet: its bytes"):
        system_manifest.unseal(folder)


def test_a_file_that_the_manifest_does_not_know_is_refused(tmp_path):
    folder = sealed(tmp_path / "signals")
    (folder / "more.parquet").write_bytes(b"")
    with pytest.raises(DataRefused, match=r"more.parquet: is not in the manifest"):
        system_manifest.unseal(folder)


def test_a_vanished_partition_is_named(tmp_path):
    folder = sealed(tmp_path / "signals")
    part(folder, "2026-01-01").unlink()
    with pytest.raises(DataRefused, match=r"date=2026-01-01.part-0.parquet: is missing"):
        system_manifest.unseal(folder)


def test_the_same_frame_is_the_same_parquet(tmp_path):
    frame = pl.DataFrame({"x": [1.0, None], "e": ["a", "b"]})
    frames.write_frame(tmp_path / "a", frame)
    frames.write_frame(tmp_path / "b", frame)
    assert disk.sha256(tmp_path / "a") == disk.sha256(tmp_path / "b")


def test_a_small_frame_comes_back_as_it_was_whatever_its_names_look_like(tmp_path):
    times = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, 2, 3, 456, tzinfo=UTC), None]
    frame = pl.DataFrame(
        {
            "entity": ["007", "2026-01-01", "x"],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "probability": [1.0, 0.5, None],
            "kind": [None, "5", "true"],
        }
    )
    frames.write_csv(tmp_path / "x.csv", frame)
    assert frames.read_csv(tmp_path / "x.csv").equals(frame)
    frames.write_csv(tmp_path / "x.csv", frame.clear())
    assert frames.read_csv(tmp_path / "x.csv").schema["time"] == frame.schema["time"]
