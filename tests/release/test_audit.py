import json
import shutil

import pytest

from cll.model import ledger_entries
from cll.release import audit, ledger, models
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return released.copied(released.twice(tmp_path_factory), tmp_path / "project")


def verify(ws, code):
    said = released.cll(ws.root, "registry", "verify")
    assert said.code == code, said
    if code:
        assert said.err.count("\n") == 1
    return said.err or said.out


def model(ws, number=0):
    return models.folder(ws.root, ledger.read(ws.root).entries[number].model_id)


def rewritten(ws, change):
    """Alter an entry as a forger would who knows the chain: all behind it is made to fit."""
    path = ws.root / ledger_entries.PATH
    told = [json.loads(line) for line in path.read_text().splitlines()]
    change(told)
    before, lines = "none", []
    for one in told:
        one["before"] = before
        lines.append(json.dumps(one, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
        before = ledger_entries.digest(lines[-1])
    path.write_text("\n".join(lines) + "\n")


def test_what_holds_is_told_line_by_line(ws):
    lines = verify(ws, 0).splitlines()
    assert lines[0].startswith("chain: 2 entries")
    assert [line.split()[:2] for line in lines[1:3]] == [
        ["release", "v1.0.0"],
        ["release", "v1.1.0"],
    ]
    assert lines[3].startswith("champion: v1.1.0 (")


def test_an_edited_entry_is_found_by_the_chain(ws):
    path = ws.root / ledger_entries.PATH
    path.write_text(path.read_text().replace("to begin with", "to end with", 1))
    assert "ledger.jsonl:2: the chain is broken" in verify(ws, 4)


@pytest.mark.parametrize("committed", [False, True])
def test_an_edited_entry_in_a_chain_made_to_fit_is_found_by_git(ws, committed):
    rewritten(ws, lambda told: told[0].update(why="for no reason"))
    if committed:
        released.commit(ws.root)
    assert "ledger.jsonl:1: not the line of commit" in verify(ws, 4)


@pytest.mark.parametrize("committed", [False, True])
def test_a_last_line_that_was_taken_out_is_found_by_git(ws, committed):
    path = ws.root / ledger_entries.PATH
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    if committed:
        released.commit(ws.root)
    says = verify(ws, 4)
    assert "ledger.jsonl:2: missing, unlike in commit" in says
    assert "only `cll rollback` takes a release back" in says


def test_a_reverted_release_commit_is_found_and_can_be_mended(ws):
    released.git(ws.root, "revert", "--no-edit", "HEAD")
    says = verify(ws, 4)
    way = says.partition("restore it: `")[2].partition("`")[0].split()
    released.git(ws.root, *way[1:])
    released.git(ws.root, "checkout", "HEAD~1", "--", "registry/models")
    released.commit(ws.root)
    verify(ws, 0)


def test_a_line_cut_in_the_middle_is_found(ws):
    path = ws.root / ledger_entries.PATH
    path.write_bytes(path.read_bytes()[:-30])
    assert "its last line is cut off" in verify(ws, 4)


def test_two_entries_of_one_version_are_found(ws):
    rewritten(ws, lambda told: told[1].update(version="v1.0.0"))
    assert "ledger.jsonl:2: v1.0.0 was already released" in verify(ws, 4)


def test_a_merge_conflict_is_told_with_the_way_out(ws):
    path = ws.root / ledger_entries.PATH
    lines = path.read_text().splitlines()
    both = ["<<<<<<< HEAD", lines[1], "=======", lines[1], ">>>>>>> other"]
    path.write_text("\n".join([lines[0], *both]) + "\n")
    assert "ledger.jsonl:2: a merge conflict; keep only the upstream's lines" in verify(ws, 2)


@pytest.mark.parametrize("name", ["model.json", "MODEL_CARD.md"])
def test_a_changed_byte_of_a_model_is_found(ws, name):
    path = model(ws) / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    assert f"{name}: sha256 is " in verify(ws, 4)


def test_a_model_in_the_place_of_another_is_found(ws):
    shutil.rmtree(model(ws))
    shutil.copytree(model(ws, 1), model(ws))
    assert "not the files that v1.0.0 was released with" in verify(ws, 4)


def test_a_model_is_found_in_dvcs_cache_too(ws):
    shutil.rmtree(model(ws))
    assert "its model is in DVC's cache" in verify(ws, 0)


def test_a_model_that_is_neither_here_nor_in_the_cache_is_told_with_the_way_to_get_it(ws):
    shutil.rmtree(model(ws))
    shutil.rmtree(ws.root / ".dvc" / "cache")
    assert f"v1.0.0 is missing; run `dvc pull {models.MODELS}/{model(ws).name}.dvc`" in verify(
        ws, 6
    )


def test_a_forged_note_of_dvc_is_found(ws):
    note = model(ws).with_suffix(".dvc")
    note.write_text(model(ws, 1).with_suffix(".dvc").read_text())
    shutil.rmtree(model(ws))
    assert "not the files that v1.0.0 was released with" in verify(ws, 4)
    note.write_text("outs: 1\n")
    assert f"{note.relative_to(ws.root)}: not a .dvc file" in verify(ws, 4)


def test_a_blob_of_the_cache_that_was_changed_is_found(ws):
    shutil.rmtree(model(ws))
    for blob in (ws.root / ".dvc" / "cache" / "files" / "md5").rglob("*"):
        if blob.is_file() and b'"calibration"' in blob.read_bytes():
            blob.chmod(0o644)
            blob.write_bytes(blob.read_bytes() + b" ")
    assert "does not match its SHA256SUMS; fetch it again" in verify(ws, 4)


def test_rows_with_known_scores_that_were_changed_or_lost_are_found(ws):
    path = models.known_scores_path(ws.root, model(ws).name)
    path.write_text(path.read_text().replace("0", "1", 1))
    assert f"{path.name}: not the file that v1.0.0 was released with" in verify(ws, 4)
    path.unlink()
    assert f"{path.name}: missing" in verify(ws, 4)


def test_a_model_that_no_entry_names_is_found(ws):
    stray = ws.root / models.MODELS / "0123456789abcdef"
    shutil.copytree(model(ws), stray)
    assert "0123456789abcdef: no entry of the ledger names it" in verify(ws, 4)


def test_a_champion_that_was_never_released_is_found(ws):
    path = ws.root / "world.yaml"
    path.write_text(path.read_text().split("champion")[0] + 'champion: "0123456789abcdef"\n')
    assert "champion=0123456789abcdef was never released" in verify(ws, 4)


def test_a_verdict_that_is_not_the_one_of_the_release_is_found(ws):
    """The commit of the release is made again, with another verdict in it."""
    released.git(ws.root, "reset", "-q", "--soft", "HEAD~1")
    path = ws.reports / "verdict.json"
    path.write_text(path.read_text().replace("promote", "reject", 1))
    released.commit(ws.root)
    assert "not the verdict that v1.1.0" in verify(ws, 4)


def test_a_revision_that_is_in_no_history_is_found(ws):
    released.git(ws.root, "checkout", "-q", "--orphan", "other")
    released.commit(ws.root)
    assert "is not in this branch's history" in verify(ws, 4)


def test_without_git_nothing_can_be_proved(ws):
    shutil.rmtree(ws.root / ".git")
    assert "No git repository with a commit is here" in verify(ws, 2)


def test_before_the_first_release_there_is_nothing_to_prove(tmp_path_factory):
    ws = released.candidate(tmp_path_factory)
    assert list(audit.verify(ws.root)) == [
        "registry/ledger.jsonl: missing, and git never had one: nothing was released."
    ]
