import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cll.system import progress

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _heard(monkeypatch):
    monkeypatch.delenv(progress.QUIET_VARIABLE, raising=False)


@pytest.fixture
def terminal(monkeypatch, capsys):
    del capsys
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def test_notes_go_to_stderr(capsys):
    progress.note("as it goes")
    assert capsys.readouterr() == ("", "as it goes\n")


def test_quiet_silences_notes_and_not_what_must_be_heard(monkeypatch, capsys):
    monkeypatch.setenv(progress.QUIET_VARIABLE, "1")
    progress.note("as it goes")
    progress.say("this went wrong")
    assert capsys.readouterr().err == "this went wrong\n"


@pytest.mark.parametrize("where", ["terminal", "pipe", "quiet"])
def test_all_items_come_in_their_order(where, request, monkeypatch):
    if where == "terminal":
        request.getfixturevalue("terminal")
    if where == "quiet":
        monkeypatch.setenv(progress.QUIET_VARIABLE, "1")
    assert list(progress.track((n for n in range(5)), "count")) == [0, 1, 2, 3, 4]


def test_short_work_says_nothing_in_a_pipe(capsys):
    list(progress.track([1, 2, 3], "count"))
    assert capsys.readouterr() == ("", "")


def test_long_work_says_how_far_it_is_in_a_pipe(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    list(progress.track(["a", "b"], "hash"))
    list(progress.track(iter("a"), "ingest"))
    assert capsys.readouterr().err == "hash: 1 of 2\nhash: 2 of 2\ningest: 1\n"


def test_a_consumer_that_stops_early_stops_the_work():
    begun = []

    def work():
        for number in range(9):
            begun.append(number)
            yield number

    for number in progress.track(work(), "count"):
        if number == 1:
            break
    assert begun == [0, 1]


def test_each_that_is_done_is_a_line_that_counts_in_a_pipe(capsys):
    with progress.meter("sweep", 3, done=1) as meter:
        meter.tick()
        meter.done("first: done")
        meter.done("second: failed")
    assert capsys.readouterr() == ("", "[2/3] first: done\n[3/3] second: failed\n")


def test_a_quiet_meter_says_nothing(monkeypatch, capsys):
    monkeypatch.setenv(progress.QUIET_VARIABLE, "1")
    with progress.meter("sweep", 1) as meter:
        meter.done("first: done")
    assert capsys.readouterr() == ("", "")


METER = """
from cll.system import progress
with progress.meter("sweep", 4) as meter:
    meter.done("first: done")
    meter.tick()
"""


def test_a_terminal_shows_how_many_are_done_and_how_long_the_rest_may_take():
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", METER], stderr=theirs, env=env, cwd=ROOT, check=True)
    os.close(theirs)
    said = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "[1/4] first: done" in said
    assert "1/4\x1b" in said
    assert "-:--:--" in said  # the time left, once two ends tell it
