import os

import polars as pl
import pytest

from cll.system import frames, manifest
from cll.system.partitions import DAMAGED, NEW, OTHERS, Renewal, SealedFolder
from cll.system.stat_cache import StatCache
from cll.types.errors import DataRefused

KEY = {"code": {"a.py": "1"}, "config": {"x": 1}, "libraries": {}, "inputs": {"as_of": "now"}}
DAYS = {"2026-01-01": 1.0, "2026-01-02": 2.0}


def part(date):
    return manifest.part(date)


def renew(folder, days, key=KEY, seeds=(), *, until="publish"):
    """Renew a folder whose days are made of one number each; return why which days were made."""
    with Renewal(folder, key, StatCache(folder.parent / "memo.json"), seeds) as renewal:
        for date, value in days.items():
            if not renewal.reuse(date, value):
                renewal.stage(part(date), pl.DataFrame({"x": [value]}))
                renewal.add(date, value, {"rows": 1})
        if until == "publish":
            renewal.publish({"kept": len(days)})
    return renewal.made


def bytes_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in manifest.files(folder)}


def test_a_renewal_that_fails_before_it_is_published_touches_nothing(tmp_path):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    before = bytes_of(folder)
    renew(folder, {**DAYS, "2026-01-02": 7.0}, until="refused")
    assert bytes_of(folder) == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".staging")] == []


def test_what_stands_is_not_made_again(tmp_path):
    folder = tmp_path / "signals"
    assert renew(folder, DAYS) == {NEW: ["2026-01-01", "2026-01-02"]}
    assert renew(folder, DAYS) == {}
    assert renew(folder, {**DAYS, "2026-01-03": 3.0}) == {NEW: ["2026-01-03"]}
    assert renew(folder, {**DAYS, "2026-01-02": 5.0}) == {OTHERS: ["2026-01-02"]}


def test_what_no_longer_belongs_is_removed(tmp_path):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    renew(folder, {"2026-01-01": 1.0})
    assert list(bytes_of(folder)) == [part("2026-01-01")]
    assert manifest.unseal(folder)["facts"]["kept"] == 1


def test_a_flipped_bit_is_found_and_made_again(tmp_path):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    good = bytes_of(folder)
    path = folder / part("2026-01-02")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert renew(folder, DAYS) == {DAMAGED: ["2026-01-02"]}
    assert bytes_of(folder) == good


@pytest.mark.parametrize("name", ["code", "config", "libraries"])
def test_other_code_config_or_libraries_make_every_partition_again(tmp_path, name):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    made = renew(folder, DAYS, {**KEY, name: {"other": 2}})
    assert made == {f"other {name}": list(DAYS)}


def test_another_as_of_alone_makes_nothing_again(tmp_path):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    assert renew(folder, DAYS, {**KEY, "inputs": {"as_of": "later"}}) == {}


def test_a_partition_that_lies_in_another_folder_of_the_kind_is_taken_over(tmp_path):
    renew(tmp_path / "signals", DAYS)
    (tmp_path / "job").mkdir()
    made = renew(tmp_path / "job" / "signals", DAYS, seeds=[tmp_path / "signals"])
    assert made == {}
    assert bytes_of(tmp_path / "job" / "signals") == bytes_of(tmp_path / "signals")


def test_a_damaged_seed_is_not_believed(tmp_path):
    renew(tmp_path / "signals", DAYS)
    (tmp_path / "signals" / part("2026-01-01")).write_bytes(b"torn")
    (tmp_path / "job").mkdir()
    made = renew(tmp_path / "job" / "signals", DAYS, seeds=[tmp_path / "signals"])
    assert made == {NEW: ["2026-01-01"]}


def test_a_file_without_a_manifest_is_not_believed(tmp_path):
    folder = tmp_path / "signals"
    frames.write_frame(folder / part("2026-01-01"), pl.DataFrame({"x": [9.0]}))
    assert renew(folder, DAYS) == {NEW: list(DAYS)}
    assert manifest.read_sealed(folder, SealedFolder(folder).files["2026-01-01"])[
        "x"
    ].to_list() == [1.0]


def test_what_a_process_that_is_no_more_had_staged_is_swept(tmp_path):
    (tmp_path / ".staging-999999999").mkdir()
    (tmp_path / f".staging-{os.getppid()}").mkdir()
    renew(tmp_path / "signals", DAYS)
    staged = [p.name for p in tmp_path.iterdir() if p.name.startswith(".staging")]
    assert staged == [f".staging-{os.getppid()}"]


def test_the_same_bytes_are_not_written_again(tmp_path):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    before = (folder / part("2026-01-01")).stat().st_ino
    renew(folder, DAYS, {**KEY, "code": {"a.py": "2"}})
    assert (folder / part("2026-01-01")).stat().st_ino == before


def test_a_missing_partition_is_named_when_it_is_read(tmp_path):
    folder = tmp_path / "signals"
    renew(folder, DAYS)
    files = SealedFolder(folder).files["2026-01-01"]
    (folder / part("2026-01-01")).unlink()
    with pytest.raises(DataRefused, match=r"part-0.parquet: is missing; run `dvc repro` again"):
        manifest.read_sealed(folder, files)
