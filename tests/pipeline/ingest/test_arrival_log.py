import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cll.components.source.files import Files
from cll.pipeline.ingest import arrival_log, growth
from cll.pipeline.ingest.readers.mapping import Signals
from cll.system.workspace import Workspace
from cll.types.errors import Busy, ConfigError, DataRefused
from cll.types.records import Arrival
from tests.build.history import commit, git, repository
from tests.conftest import ROOT

DAY1, DAY2, DAY3 = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
LINE = '{"x": 1}\n'


@dataclass(frozen=True)
class Folder:
    """As much of a source as arrivals look at."""

    path: Path
    last_line: str = "wait"

    @property
    def reads(self):
        return tuple(sorted(p for p in self.path.glob("*") if p.is_file()))

    def fits(self, file):
        return Path(file).parent == self.path


@pytest.fixture
def place(tmp_path):
    (tmp_path / "raw").mkdir()
    return Workspace(tmp_path), Folder(tmp_path / "raw")


def see(place, as_of):
    ws, source = place
    seen = arrival_log.inspect(ws, source, as_of)
    arrival_log.write(ws.root / arrival_log.LOG, seen.log)
    return seen


def parts(place, as_of):
    (file,) = see(place, as_of).files
    return [(part.start, part.stop, part.as_of) for part in file.parts]


def write(place, text, name="a.jsonl"):
    path = place[1].path / name
    path.write_text(text)
    return path


def test_a_file_that_was_rewritten_is_refused_by_name(place):
    write(place, LINE)
    see(place, DAY1)
    write(place, '{"x": 2}\n')
    with pytest.raises(
        DataRefused, match=r"a.jsonl: was rewritten: it is not what was read at 2026-"
    ):
        see(place, DAY2)


def test_a_file_that_shrank_is_refused_by_name(place):
    write(place, LINE + LINE)
    see(place, DAY1)
    write(place, LINE)
    with pytest.raises(DataRefused, match="was rewritten: it is shorter than what was read at"):
        see(place, DAY2)


def test_a_grown_file_whose_beginning_changed_is_refused(place):
    write(place, LINE)
    see(place, DAY1)
    write(place, '{"x": 2}\n' + LINE)
    with pytest.raises(DataRefused, match=r"a.jsonl: was rewritten"):
        see(place, DAY2)


def test_a_file_that_vanished_is_refused_by_name(place):
    write(place, LINE).unlink()
    write(place, LINE, "b.jsonl")
    path = write(place, LINE * 2)
    see(place, DAY1)
    path.unlink()
    with pytest.raises(
        DataRefused, match=r"a.jsonl: has vanished: .* cll ingest --accept .*a.jsonl"
    ):
        see(place, DAY2)


@pytest.mark.parametrize("folder", ["b[x]", "ä [!q]?", "**"])
@pytest.mark.parametrize("pattern", ["**", "day*/*"])
def test_a_file_that_vanished_is_refused_whatever_letters_its_folder_has(place, folder, pattern):
    path = place[0].root / folder / ("day" if "/" in pattern else "") / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(LINE)
    (path.parent / "b.jsonl").write_text(LINE * 2)
    source = Files(path=str(place[0].root / folder), signals=Signals(files=(pattern,)))
    assert len(see((place[0], source), DAY1).files) == 2
    path.unlink()
    with pytest.raises(DataRefused, match=r"a.jsonl: has vanished"):
        see((place[0], source), DAY2)


def test_rows_appended_to_a_file_arrived_later(place):
    write(place, LINE)
    see(place, DAY1)
    write(place, LINE + LINE)
    size = len(LINE)
    assert parts(place, DAY2) == [(0, size, DAY1), (size, 2 * size, DAY2)]
    assert parts(place, DAY3) == [(0, size, DAY1), (size, 2 * size, DAY2)]


def test_a_line_that_is_still_being_written_arrives_when_it_is_whole(place):
    write(place, LINE + '{"x": ')
    (file,) = see(place, DAY1).files
    assert file.torn
    write(place, LINE + LINE)
    (file,) = see(place, DAY2).files
    assert not file.torn
    assert [part.as_of for part in file.parts] == [DAY1, DAY2]


def test_a_file_under_another_name_keeps_its_arrival(place):
    path = write(place, LINE)
    see(place, DAY1)
    path.rename(path.with_name("b.jsonl"))
    assert parts(place, DAY2) == [(0, len(LINE), DAY1)]


def test_a_renamed_file_keeps_each_of_its_arrivals_and_its_old_name_is_not_missed(place):
    path = write(place, LINE)
    see(place, DAY1)
    write(place, LINE + LINE)
    see(place, DAY2)
    path.rename(path.with_name("b.jsonl"))
    size = len(LINE)
    for _ in range(2):
        assert parts(place, DAY3) == [(0, size, DAY1), (size, 2 * size, DAY2)]


def test_the_same_file_again_adds_nothing_to_the_log(place):
    write(place, LINE)
    first = see(place, DAY1).log
    assert see(place, DAY2).log == first


def test_a_rewritten_file_can_be_accepted_and_is_known_from_then_on(place):
    path = write(place, LINE)
    see(place, DAY1)
    write(place, '{"x": 2}\n')
    told = arrival_log.accept(*place, [path.as_posix()], DAY2)
    assert told == [f"{path}: taken as it is now, known from 2026-01-02T00:00:00Z on."]
    assert parts(place, DAY3) == [(0, len(LINE), DAY2)]


def test_a_vanished_file_can_be_let_go_and_come_back_as_new(place):
    path = write(place, LINE)
    see(place, DAY1)
    path.unlink()
    arrival_log.accept(*place, [path.as_posix()], DAY2)
    assert see(place, DAY2).files == []
    write(place, LINE)
    assert parts(place, DAY3) == [(0, len(LINE), DAY3)]


def test_only_what_was_read_can_be_accepted(place):
    with pytest.raises(ConfigError, match=r"x.csv: not a file that was read before"):
        arrival_log.accept(*place, ["x.csv"], DAY1)


def test_what_was_not_rewritten_is_not_accepted_as_if_it_were_new(place):
    path = write(place, LINE)
    log = see(place, DAY1).log
    with pytest.raises(ConfigError, match=r"a.jsonl: is as it was read; there is nothing to acc"):
        arrival_log.accept(*place, [path.as_posix()], DAY2)
    assert see(place, DAY2).log == log


def test_a_file_is_accepted_by_any_way_to_it(place, monkeypatch):
    ws, _ = place
    monkeypatch.chdir(ws.root)
    source = Folder(Path("raw"))
    write(place, LINE)
    arrival_log.write(ws.root / arrival_log.LOG, arrival_log.inspect(ws, source, DAY1).log)
    write(place, '{"x": 2}\n')
    (told,) = arrival_log.accept(
        ws, source, [str(ws.root / "raw" / ".." / "raw" / "a.jsonl")], DAY2
    )
    assert told.startswith("raw/a.jsonl: taken as it is now")


def test_before_it_arrived_a_file_is_not_missed(place):
    path = write(place, LINE)
    see(place, DAY2)
    path.unlink()
    assert see(place, DAY1).files == []


def test_a_file_as_it_was_then_is_taken_where_as_of_is_then(place):
    write(place, LINE)
    see(place, DAY1)
    write(place, LINE + LINE)
    see(place, DAY3)
    write(place, LINE)
    assert parts(place, DAY2) == [(0, len(LINE), DAY1)]


def test_a_file_of_another_source_is_not_missed(place):
    ws, _ = place
    write(place, LINE)
    see(place, DAY1)
    (ws.root / "other").mkdir()
    assert arrival_log.inspect(ws, Folder(ws.root / "other"), DAY2).files == []


def test_a_log_that_is_not_one_is_named_with_its_line(place):
    ws, _ = place
    (ws.root / "registry").mkdir()
    (ws.root / arrival_log.LOG).write_text("")
    with pytest.raises(
        DataRefused, match=r"arrivals.jsonl: empty; restore the file from git: `git "
    ):
        arrival_log.read(ws.root / arrival_log.LOG)
    (ws.root / arrival_log.LOG).write_text('{"form": "arrivals", "version": 1}\n{"file": "a"}\n')
    with pytest.raises(DataRefused, match=r"arrivals.jsonl:2: not an arrival .* restore the file"):
        see(place, DAY1)


def test_a_file_that_is_rewritten_while_it_is_read_is_told(place):
    write(place, LINE)
    seen = see(place, DAY1)
    write(place, '{"x": 2}\n')
    with pytest.raises(Busy, match=r"a.jsonl: changed while it was read; run again"):
        seen.refuse_changed()


def test_a_file_that_grows_while_it_is_read_is_what_was_looked_at(place):
    write(place, LINE)
    seen = see(place, DAY1)
    write(place, LINE + LINE)
    seen.refuse_changed()


def test_a_file_is_read_through_once_and_not_again_because_it_was_seen(place):
    path = write(place, LINE * 2)
    os.utime(path, (0, 0))  # one this young would be looked at again anyhow
    see(place, DAY1)
    before = (place[0].cache / "memo.json").read_bytes()
    assert len(see(place, DAY2).log) == 1
    assert (place[0].cache / "memo.json").read_bytes() == before


@pytest.mark.parametrize("ours", ["early", "late"])
def test_the_logs_of_two_branches_merge_into_one_that_knows_who_saw_it_first(place, ours):
    root = repository(place[0].root)
    shutil.copy(ROOT / ".gitattributes", root)
    (root / ".gitignore").write_text("/.cll\n/raw\n")
    see(place, DAY1)
    commit(root)
    git(root, "switch", "-qc", "early")
    write(place, LINE)
    see(place, DAY2)
    commit(root)
    git(root, "switch", "-qc", "late", "main")
    write(place, LINE + LINE)
    write(place, LINE, "b.jsonl")
    see(place, DAY3)
    commit(root)
    git(root, "switch", "-q", ours)
    git(root, "merge", "-q", *{"early", "late"} - {ours})
    a, b = see(place, DAY3).files
    assert [(part.stop, part.as_of) for part in a.parts] == [(9, DAY2), (18, DAY3)]
    assert [(part.stop, part.as_of) for part in b.parts] == [(9, DAY3)]


def test_a_file_that_grew_after_as_of_was_moved_back_keeps_what_was_known_of_it(place):
    write(place, LINE)
    see(place, DAY3)
    write(place, LINE + LINE)
    assert parts(place, DAY1) == [(0, 9, DAY3), (9, 18, DAY1)]


HEADER, ROW = "e,x\n", "a,0.1\n"


def sizes(place, as_of):
    """Return how far the file is read, since when, and whether a record behind that is pending."""
    (file,) = see(place, as_of).files
    return [(part.stop, part.as_of) for part in file.parts], file.torn


@pytest.fixture
def cut(place):
    """Write a file whose last value, 0.309, has lost its end; 10 bytes are whole lines."""
    write(place, HEADER + ROW + "b,0.30", "a.csv")
    return place


def test_a_last_record_without_a_newline_is_pending_until_a_later_as_of_sees_the_same(cut):
    assert sizes(cut, DAY1) == ([(10, DAY1)], True)
    assert sizes(cut, DAY1) == ([(10, DAY1)], True)
    assert sizes(cut, DAY2) == ([(10, DAY1), (16, DAY2)], False)
    assert sizes(cut, DAY3) == ([(10, DAY1), (16, DAY2)], False)


def test_as_of_moved_back_leaves_a_last_record_pending_as_it_was(cut):
    for as_of in (DAY1, DAY2, DAY1):
        found = sizes(cut, as_of)
    assert found == ([(10, DAY1)], True)
    assert sizes(cut, DAY2) == ([(10, DAY1), (16, DAY2)], False)


def test_a_log_elsewhere_gives_the_same_at_each_as_of(cut):
    ws, _ = cut
    then = [sizes(cut, as_of) for as_of in (DAY1, DAY2, DAY3)]
    log = (ws.root / arrival_log.LOG).read_bytes()
    shutil.rmtree(ws.cache)
    assert [sizes(cut, as_of) for as_of in (DAY3, DAY1, DAY2)] == [then[2], then[0], then[1]]
    assert (ws.root / arrival_log.LOG).read_bytes() == log


@pytest.mark.parametrize("later", ["b,0.309\n", "b,0.309\nc,1\n", "b,0.4\n"])
def test_a_pending_record_may_become_another_and_is_no_rewritten_file(cut, later):
    sizes(cut, DAY1)
    write(cut, HEADER + ROW + later, "a.csv")
    size = 10 + len(later)
    assert sizes(cut, DAY2) == ([(10, DAY1), (size, DAY2)], False)


def test_a_last_record_that_still_grows_is_seen_anew(cut):
    sizes(cut, DAY1)
    write(cut, HEADER + ROW + "b,0.309", "a.csv")
    assert sizes(cut, DAY2) == ([(10, DAY1)], True)
    assert sizes(cut, DAY3) == ([(10, DAY1), (17, DAY3)], False)


@pytest.mark.parametrize(
    ("later", "read", "pending"),
    [
        ("b,0.309\nc,1\n", [(10, DAY1), (22, DAY3)], False),
        ("b,0.309", [(10, DAY1)], True),
        ('b,0.30"', [(10, DAY1)], True),
        ("b,0.30\nc,1\n", [(10, DAY1), (16, DAY2), (21, DAY3)], False),
        ("b,0.30\nc,1", [(10, DAY1), (16, DAY2), (17, DAY3)], True),
    ],
)
def test_a_record_that_was_taken_and_then_goes_on_in_its_line_is_replaced(
    cut, later, read, pending
):
    for as_of in (DAY1, DAY2):
        sizes(cut, as_of)
    write(cut, HEADER + ROW + later, "a.csv")
    for _ in range(2):
        assert sizes(cut, DAY3) == (read, pending)


def test_a_record_that_was_taken_and_is_now_another_is_refused(cut):
    for as_of in (DAY1, DAY2):
        sizes(cut, as_of)
    write(cut, HEADER + ROW + "b,0.31", "a.csv")
    with pytest.raises(DataRefused, match=r"a.csv: was rewritten: it is not what was read at"):
        see(cut, DAY3)
    write(cut, HEADER + ROW + "b,0.", "a.csv")
    with pytest.raises(DataRefused, match=r"a.csv: was rewritten: it is shorter than what was"):
        see(cut, DAY3)


def test_files_that_end_without_a_newline_for_good_can_be_read_at_once(cut):
    ws, source = cut
    place = ws, replace(source, last_line="read")
    assert sizes(place, DAY1) == ([(16, DAY1)], False)


@pytest.mark.parametrize("days", [(DAY1,), (DAY1, DAY2)])
def test_a_renamed_file_keeps_its_pending_record_and_one_that_was_taken(cut, days):
    for as_of in days:
        before = sizes(cut, as_of)
    path = cut[1].path / "a.csv"
    path.rename(path.with_name("b.csv"))
    assert sizes(cut, days[-1]) == before
    assert sizes(cut, DAY3)[1] is False


def test_a_header_alone_without_a_newline_is_not_believed_yet(place):
    write(place, "e,x", "a.csv")
    assert sizes(place, DAY1) == ([], True)
    write(place, "e,xyz\na,1\n", "a.csv")
    assert sizes(place, DAY2) == ([(10, DAY2)], False)


@pytest.mark.parametrize("later", ["b,4\n", "b,0.309", "b,0.309\n", "b,0.30\nc"])
@pytest.mark.parametrize("days", [(DAY1,), (DAY1, DAY2)])
def test_the_log_tells_how_long_a_file_was_when_it_was_last_seen(cut, days, later):
    path = cut[1].path / "a.csv"
    for as_of in days:
        log = see(cut, as_of).log
        assert growth.length(growth.chains(log)[path.as_posix()]) == path.stat().st_size
    if later == "b,4\n" and DAY2 in days:
        return  # it would be a rewritten file
    write(cut, HEADER + ROW + later, "a.csv")
    log = see(cut, DAY3).log
    assert growth.length(growth.chains(log)[path.as_posix()]) == path.stat().st_size


def test_a_log_from_before_pending_records_were_told_is_read_as_it_was(cut):
    ws, _ = cut
    text = (HEADER + ROW + "b,0.30").encode()
    old = [Arrival(str(cut[1].path / "a.csv"), hashlib.sha256(text).hexdigest(), DAY2, len(text))]
    arrival_log.write(ws.root / arrival_log.LOG, old)
    for as_of in (DAY2, DAY3, DAY1):
        assert sizes(cut, as_of) == ([(16, DAY2)], False)
    assert arrival_log.read(ws.root / arrival_log.LOG) == old
    write(cut, text.decode() + "9", "a.csv")
    assert sizes(cut, DAY3) == ([(10, DAY2)], True)


def test_a_file_with_a_pending_record_is_not_accepted_as_if_it_were_new(cut):
    path = (cut[1].path / "a.csv").as_posix()
    for as_of in (DAY1, DAY2):
        sizes(cut, as_of)
        with pytest.raises(ConfigError, match=r"a.csv: is as it was read; there is nothing to"):
            arrival_log.accept(*cut, [path], as_of)


def test_the_earliest_of_two_branches_that_saw_a_last_record_counts(cut):
    ws, _ = cut
    see(cut, DAY1)
    first = arrival_log.read(ws.root / arrival_log.LOG)
    later = [replace(entry, as_of=DAY2) for entry in first]
    arrival_log.write(ws.root / arrival_log.LOG, [*later, *first])
    assert sizes(cut, DAY2) == ([(10, DAY1), (16, DAY2)], False)
