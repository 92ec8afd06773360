import os
import time
from multiprocessing import get_context

import pytest

from cll.system import manifest as system_manifest
from cll.system.content_cache import ContentCache
from cll.types.errors import Unavailable

MADE_OF = {"rows": "abc"}


def write(path):
    path.write_bytes(b"made with care")


def never(path):
    raise AssertionError(path)


def place(folder):
    (found,) = folder.iterdir()
    return found


def test_what_is_made_once_is_found_by_all_that_come_after(tmp_path):
    first, second = ContentCache(tmp_path), ContentCache(tmp_path)
    path = first.get_or_make(MADE_OF, write)
    assert path.read_bytes() == b"made with care"
    assert second.get_or_make(MADE_OF, never) == path
    assert (first.made, first.reused) == (1, 0)
    assert str(second) == f"0 made, 1 reused from {tmp_path}"


def test_what_is_made_of_something_else_is_another_file(tmp_path):
    cache = ContentCache(tmp_path)
    paths = {cache.get_or_make({"rows": rows}, write) for rows in ("a", "b")}
    assert len(paths) == cache.made == 2


@pytest.mark.parametrize("name", ["made", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", b"made with carf", None], ids=["cut", "bit", "gone"])
def test_a_damaged_file_is_made_again(tmp_path, name, damage):
    ContentCache(tmp_path).get_or_make(MADE_OF, write)
    hurt = place(tmp_path) / name
    hurt.unlink() if damage is None else hurt.write_bytes(damage)
    cache = ContentCache(tmp_path)
    assert cache.get_or_make(MADE_OF, write).read_bytes() == b"made with care"
    assert cache.made == 1
    assert ContentCache(tmp_path).get_or_make(MADE_OF, never)


def test_a_manifest_of_something_else_is_not_believed(tmp_path):
    ContentCache(tmp_path).get_or_make(MADE_OF, write)
    ContentCache(tmp_path / "other").get_or_make({"rows": "other"}, write)
    manifest = place(tmp_path / "other") / system_manifest.MANIFEST
    manifest.rename(next(tmp_path.glob("train-*")) / system_manifest.MANIFEST)
    cache = ContentCache(tmp_path)
    cache.get_or_make(MADE_OF, write)
    assert cache.made == 1


def test_what_fails_while_it_is_made_leaves_nothing_that_is_believed(tmp_path):
    def fail(path):
        path.write_bytes(b"half")
        raise Unavailable("The disk is full.")

    with pytest.raises(Unavailable, match="The disk is full"):
        ContentCache(tmp_path).get_or_make(MADE_OF, fail)
    assert [path.name for path in place(tmp_path).iterdir()] == [".lock"]
    assert ContentCache(tmp_path).get_or_make(MADE_OF, write).read_bytes() == b"made with care"


def test_what_a_killed_process_left_behind_is_not_in_the_way(tmp_path):
    ContentCache(tmp_path).get_or_make(MADE_OF, write)
    place(tmp_path).joinpath("made").unlink()
    place(tmp_path).joinpath(".making").write_bytes(b"half")
    ContentCache(tmp_path).get_or_make(MADE_OF, write)
    assert not place(tmp_path).joinpath(".making").exists()


def test_use_keeps_it_young(tmp_path):
    ContentCache(tmp_path).get_or_make(MADE_OF, write)
    os.utime(place(tmp_path), (0, 0))
    ContentCache(tmp_path).get_or_make(MADE_OF, never)
    assert time.time() - place(tmp_path).stat().st_mtime < 60


def _slowly(path):
    with path.with_name("asked").open("a") as file:
        file.write("once ")
    time.sleep(0.3)
    write(path)


def _ask(folder, ready):
    cache = ContentCache(folder)
    ready.wait()
    cache.get_or_make(MADE_OF, _slowly)
    assert cache.get_or_make(MADE_OF, never).read_bytes() == b"made with care"


def test_of_processes_that_ask_at_once_one_makes_it_and_the_others_wait(tmp_path):
    spawn = get_context("spawn")
    ready = spawn.Barrier(3)
    children = [spawn.Process(target=_ask, args=(tmp_path, ready)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert (place(tmp_path) / "asked").read_text() == "once "
