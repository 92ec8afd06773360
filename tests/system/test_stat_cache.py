import os
import time

from cll.system import disk
from cll.system.stat_cache import Memo


def aged(path, text):
    """Write a file that is too old to change within the same tick of the disk's clock."""
    path.write_text(text)
    then = time.time_ns() - 10**9
    os.utime(path, ns=(then, then))
    return path


def test_a_file_that_did_not_change_is_not_read_again(tmp_path):
    path = aged(tmp_path / "a", "one")
    first = Memo(tmp_path / "memo.json")
    first.sha256(path)
    first.save()
    again = Memo(tmp_path / "memo.json")
    assert again.of(path, "sha256", lambda: "read again") == disk.sha256(path)


def test_a_file_that_changed_is_read_again_though_its_size_did_not(tmp_path):
    path = aged(tmp_path / "a", "one")
    memo = Memo(tmp_path / "memo.json")
    before = memo.sha256(path)
    path.write_text("two")
    assert memo.sha256(path) == disk.sha256(path) != before


def test_what_was_given_is_part_of_the_question(tmp_path):
    path = aged(tmp_path / "a", "one")
    memo = Memo(tmp_path / "memo.json")
    assert memo.of(path, "size", lambda: 1, given=[1]) == 1
    assert memo.of(path, "size", lambda: 2, given=[2]) == 2


def test_a_file_so_young_that_it_may_change_unseen_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    memo = Memo(tmp_path / "memo.json")
    path.write_text("one")
    memo.sha256(path)
    memo.save()
    again = Memo(tmp_path / "memo.json")
    assert again.of(path, "sha256", lambda: "read again") == "read again"


def test_a_damaged_memory_costs_nothing_but_time(tmp_path):
    (tmp_path / "memo.json").write_text('{"a": [')
    path = aged(tmp_path / "a", "one")
    assert Memo(tmp_path / "memo.json").sha256(path) == disk.sha256(path)


def test_files_that_are_gone_are_forgotten(tmp_path):
    path = aged(tmp_path / "a", "one")
    memo = Memo(tmp_path / "memo.json")
    memo.sha256(path)
    path.unlink()
    memo.save()
    assert (tmp_path / "memo.json").read_text().endswith("\n{}")
