import pytest

from cll import progress


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
