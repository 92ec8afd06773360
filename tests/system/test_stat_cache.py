import os
import time

from cll.system import disk
from cll.system.stat_cache import StatCache


def aged(path, text):
    """Write a file that is too old to change within the same tick of the disk's clock."""
    path.write_text(text)
    then = time.time_ns() - 10**9
    os.utime(path, ns=(then, then))
    return path


def test_a_file_that_did_not_change_is_not_read_again(tmp_path):
    path = aged(tmp_path / "a", "one")
    first = StatCache(tmp_path / "memo.json")
    first.sha256(path)
    first.save()
    again = StatCache(tmp_path / "memo.json")
    assert again.get(path, "sha256", lambda: "read again") == disk.sha256(path)


def test_a_file_that_changed_is_read_again_though_its_size_did_not(tmp_path):
    path = aged(tmp_path / "a", "one")
    cache = StatCache(tmp_path / "memo.json")
    before = cache.sha256(path)
    path.write_text("two")
    assert cache.sha256(path) == disk.sha256(path) != before


def test_what_was_given_is_part_of_the_question(tmp_path):
    path = aged(tmp_path / "a", "one")
    cache = StatCache(tmp_path / "memo.json")
    assert cache.get(path, "size", lambda: 1, given=[1]) == 1
    assert cache.get(path, "size", lambda: 2, given=[2]) == 2


def test_a_file_so_young_that_it_may_change_unseen_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    cache = StatCache(tmp_path / "memo.json")
    path.write_text("one")
    cache.sha256(path)
    cache.save()
    again = StatCache(tmp_path / "memo.json")
    assert again.get(path, "sha256", lambda: "read again") == "read again"


def test_a_damaged_memory_costs_nothing_but_time(tmp_path):
    (tmp_path / "memo.json").write_text('{"a": [')
    path = aged(tmp_path / "a", "one")
    assert StatCache(tmp_path / "memo.json").sha256(path) == disk.sha256(path)


def test_files_that_are_gone_are_forgotten(tmp_path):
    path = aged(tmp_path / "a", "one")
    cache = StatCache(tmp_path / "memo.json")
    cache.sha256(path)
    path.unlink()
    cache.save()
    assert (tmp_path / "memo.json").read_text().endswith("\n{}")
