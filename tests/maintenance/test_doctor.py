import shutil

import pytest

from cll.maintenance import doctor
from cll.model import ledger_entries
from cll.release import remote
from cll.types.errors import Unavailable
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return released.copied(released.once(tmp_path_factory), tmp_path / "project")


def lines(ws):
    said = released.cll(ws.root, "doctor")
    assert said.err == ""
    return {line[4:].partition(":")[0]: line for line in said.out.splitlines()}, said.code


def test_each_check_says_what_is_well_or_what_to_do(ws):
    found, code = lines(ws)
    assert code == 2
    assert found["git"] == "ok  git: branch main is ready for commits."
    assert found["dvc"] == "ok  dvc: set up."
    assert found["files"] == "ok  files: no generated file is empty, truncated or stale."
    assert found["lock file"] == "ok  lock file: uv.lock is in git."
    assert found["config"].startswith("do  config: resolved.yaml: stale; run")
    assert found["results"].startswith("ok  results: nothing changed since the verdict (promote, ")
    assert found["ledger"].endswith("is the champion from the next tick on.")
    assert found["remote"].startswith("do  remote: none: only this machine has the models; `cll do")


def test_what_is_wrong_stands_beside_what_is_well(ws, monkeypatch):
    monkeypatch.setattr(remote, "default", lambda _: None)
    (ws.root / "uv.lock").unlink()
    (ws.root / ".dvc" / "config").unlink()
    (ws.reports / "verdict.json").unlink()
    path = ws.root / ledger_entries.PATH
    path.write_text(path.read_text()[:-9])
    found, code = lines(ws)
    assert code == 2
    assert found["git"].startswith("do  git: .dvc/config: not committed")
    assert found["dvc"] == "do  dvc: not set up in this project; `dvc init`, and commit."
    assert found["lock file"].startswith("do  lock file: uv.lock: not there; `uv lock`")
    assert found["results"].startswith("do  results: reports/verdict.json: not there yet")
    assert "its last line is cut off" in found["ledger"]


def test_damaged_files_are_named_and_repaired_where_that_is_asked_for(ws):
    (ws.root / "dvc.lock").write_text("")
    (ws.root / ".dvc" / "tmp").mkdir(exist_ok=True)
    (ws.root / ".dvc" / "tmp" / "rwlock").write_text("")
    found, _ = lines(ws)
    assert found["files"] == (
        "do  files: .dvc/tmp/rwlock: empty, cut off or damaged (and 1 more); `cll doctor --repair`,"
        " or the next `cll tick`, repairs it."
    )
    said = released.cll(ws.root, "doctor", "--repair")
    assert said.err.count("repair: ") == 2
    assert "ok  files: no generated file is empty, " in said.out


def test_an_entry_that_was_left_behind_is_told(ws):
    released.git(ws.root, "reset", "-q", "--soft", "HEAD~1")
    released.git(ws.root, "reset", "-q")
    found, _ = lines(ws)
    assert found["ledger"].endswith("is not committed; `cll release` continues it.")


def test_a_lock_file_that_git_has_not_is_told(ws):
    released.git(ws.root, "rm", "-q", "--cached", "uv.lock")
    assert lines(ws)[0]["lock file"].startswith("do  lock file: uv.lock: not in git; `git add")


def test_before_the_first_release_the_way_to_it_is_told(tmp_path_factory):
    found, _ = lines(released.candidate(tmp_path_factory))
    assert "no release yet; `cll release --bootstrap` makes the first." in found["ledger"]


def test_without_git_the_other_checks_go_on(ws):
    shutil.rmtree(ws.root / ".git")
    assert dict(_by_name(ws))["git"].startswith("do  git: no repository with a commit is here")


def _by_name(ws):
    return [(line[4:].partition(":")[0], line) for line, _ in doctor.examine(ws.root)]


def test_a_remote_is_set_up_once_a_probe_went_there_and_back(ws, tmp_path):
    said = released.cll(ws.root, "doctor", "--remote", str(tmp_path / "store"))
    assert said.code == 0, said.err
    assert said.out.startswith(
        f"ok  remote: {tmp_path / 'store'}: a probe file was written and read back; "
    )
    assert remote.default(ws.root) == "storage"
    released.commit(ws.root)
    assert doctor._remote(ws.root).endswith("a test file was pushed and pulled.")


def test_a_relative_path_is_the_same_remote_in_every_clone(ws, tmp_path):
    remote.set_up(ws.root, str(tmp_path / "a" / ".." / "store"))
    assert remote.url(ws.root, "storage") == str(tmp_path / "store")


def test_a_remote_that_does_not_answer_is_not_set_up(ws):
    before = (ws.root / ".dvc" / "config").read_bytes()
    said = released.cll(ws.root, "doctor", "--remote", "/proc/nowhere")
    assert said.code == 6
    assert said.err == (
        "cll: `dvc push probe.dvc` failed: unexpected error - [Errno 2] No such file or directory:"
        " '/proc/nowhere'; run it to see more.\n"
    )
    assert (ws.root / ".dvc" / "config").read_bytes() == before


def test_a_remote_whose_program_is_not_installed_is_told(ws):
    with pytest.raises(Unavailable, match="requires 'dvc-s3' to be installed"):
        remote.set_up(ws.root, "s3://nowhere/at/all")


def test_credentials_in_a_url_are_refused(ws):
    said = released.cll(ws.root, "doctor", "--remote", "https://me:secret@host/x")
    assert said.code == 4
    assert "secret" not in said.err
