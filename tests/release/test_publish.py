import shutil

import pytest

from cll.release import ledger, models, remote
from tests.build import released
from tests.conftest import clone


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return released.copied(released.once(tmp_path_factory), tmp_path / "project")


@pytest.fixture
def shared(ws, tmp_path):
    """A project with a DVC remote and an upstream, from which nothing was pushed yet."""
    remote.set_up(ws.root, str(tmp_path / "store"))
    released.commit(ws.root)
    released.git(tmp_path, "init", "-q", "--bare", "-b", "main", "upstream.git")
    released.git(ws.root, "remote", "add", "origin", str(tmp_path / "upstream.git"))
    released.git(ws.root, "push", "-q", "--set-upstream", "origin", "main")
    return ws


def test_without_an_upstream_a_push_is_refused_before_anything_is_done(ws):
    for words in (
        ["release", "--push"],
        ["rollback", "--why", "no", "--push"],
        ["registry", "push"],
    ):
        said = released.cll(ws.root, *words)
        assert said.code == 2
        assert "this branch has no upstream; `git push --set-upstream" in said.err


def test_before_the_first_release_there_is_nothing_to_push(tmp_path_factory):
    said = released.cll(released.candidate(tmp_path_factory).root, "registry", "push")
    assert said.code == 2
    assert "nothing was released yet" in said.err


@pytest.mark.slow
def test_another_machine_has_what_was_released(shared, tmp_path):
    released.another(shared)
    said = released.cll(shared.root, "release", "--push")
    assert said.code == 0, said.err
    assert said.out.splitlines()[1].endswith(f" is in {tmp_path / 'store'}.")
    assert said.out.splitlines()[2].endswith(" is in origin/main.")
    released.git(tmp_path, "clone", "-q", str(tmp_path / "upstream.git"), "other")
    other = type(shared)(tmp_path / "other")
    model_id = ledger.read(other.root).champion
    assert model_id == ledger.read(shared.root).champion
    remote.dvc(other.root, "pull", f"{models.MODELS}/{model_id}.dvc")
    assert models.intact(other.root, ledger.read(other.root).entries[-1]) == "the workspace"


@pytest.mark.slow
def test_a_release_stands_also_where_its_model_can_not_be_pushed(shared, tmp_path):
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").write_text("no folder")
    said = released.cll(shared.root, "release")
    assert said.code == 6
    assert "is committed here but not pushed: `dvc push" in said.err
    assert said.err.endswith("Then `cll registry push`.\n")
    (tmp_path / "store").unlink()
    (tmp_path / "away").rename(tmp_path / "store")
    assert released.cll(shared.root, "registry", "push").code == 0


@pytest.mark.slow
def test_two_that_release_at_once_the_second_is_told_how_to_go_on(shared, tmp_path):
    released.git(tmp_path, "clone", "-q", str(tmp_path / "upstream.git"), "other")
    other = tmp_path / "other"
    (other / "reports" / "note.md").write_text("another came first")
    released.commit(other)
    released.git(other, "push", "-q")
    released.another(shared)
    said = released.cll(shared.root, "release", "--push")
    assert said.code == 6
    assert (
        "If another clone released meanwhile, undo yours (`git reset --hard @{upstream}`)"
        in said.err
    )
    assert said.err.count("\n") == 1


SMALL = """\
experiment: null
source: classic
features: kpi
label: outcome
estimator: logistic
set: {gate: {default: {ceilings: {calibration_error: null}}}}
"""


@pytest.mark.slow
def test_another_machine_takes_over_after_a_pull(tmp_path):
    released.git(tmp_path, "init", "-q", "--bare", "-b", "main", "upstream.git")
    first = clone(tmp_path / "first")
    first.write("params.yaml", SMALL)
    first.run("git", "checkout", "-qB", "main")
    first.run("git", "remote", "set-url", "origin", str(tmp_path / "upstream.git"))
    first.run("cll", "doctor", "--remote", str(tmp_path / "store"))
    first.run("dvc", "repro")
    first.commit()
    first.run("git", "push", "-q", "--set-upstream", "origin", "main")
    first.run("cll", "release", "--bootstrap", "--why", "to begin with", "--push")
    assert "ok  remote" in first.run("cll", "doctor")

    first.run("git", "clone", "-q", str(tmp_path / "upstream.git"), str(tmp_path / "second"))
    second = type(first)(tmp_path / "second")
    shutil.rmtree(first.folder)
    second.run("dvc", "pull")
    assert "Data and pipelines are up to date." in second.run("dvc", "status")
    assert "champion: v1.0.0" in second.run("cll", "registry", "verify")
    assert "is the champion already" in second.run("cll", "release")
    champion = ledger.read(second.folder).champion
    second.write("world.yaml", second.read("world.yaml").replace("none", f'"{champion}"'))
    second.write("params.yaml", SMALL.replace("logistic", "lightgbm"))
    second.run("dvc", "repro")
    assert f'"champion": "{champion}"' in second.read("reports/verdict.json")
