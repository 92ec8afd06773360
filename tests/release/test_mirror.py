import pytest

from cll.config import components
from cll.release import actions, ledger, mirror
from cll.types.errors import ConfigError
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    """A project with two releases that mirrors them as tags from now on."""
    ws = released.copied(released.twice(tmp_path_factory), tmp_path / "project")
    text = ws.resolved.read_text()
    none = "mirror:\n  _target_: cll.components.mirror.none.NoMirror\n"
    assert none in text
    gto = "mirror:\n  _target_: cll.components.mirror.gto.Gto\n  artifact: failure-model\n  stage: production\n"
    ws.resolved.write_text(text.replace(none, gto))
    released.commit(ws.root)
    return ws


def tags(ws):
    return released.git(ws.root, "tag", "--list").split()


def test_a_mirror_chosen_later_catches_up(ws):
    said = released.cll(ws.root, "registry", "sync")
    assert said.code == 0, said.err
    assert tags(ws) == [
        "failure-model#production#1",
        "failure-model@v1.0.0",
        "failure-model@v1.1.0",
    ]
    commits = ledger.read(ws.root).commits
    assert released.git(ws.root, "rev-parse", "failure-model@v1.0.0^{commit}") == commits[0]
    said = released.cll(ws.root, "registry", "sync")
    assert said.out == "The mirror says what the ledger says.\n"


def test_a_rollback_is_mirrored_by_itself(ws):
    said = released.cll(ws.root, "rollback", "--why", "no")
    assert said.code == 0, said.err
    assert "failure-model#production: v1.0.0." in said.out


def test_a_mirror_that_fails_takes_no_release_back(ws, monkeypatch):
    def fails(*_):
        raise RuntimeError("the registry is down.\nTraceback")

    built = components.build
    monkeypatch.setattr(
        components, "build", lambda g, node: fails if g == "mirror" else built(g, node)
    )
    said = released.cll(ws.root, "rollback", "--why", "no")
    assert said.code == 0
    assert said.err.endswith(
        "mirror: mirror: the registry is down; the ledger is unaffected; try again: `cll registry sync`.\n"
    )
    assert ledger.read(ws.root).entries[-1].kind == "rollback"


def test_a_tag_decides_nothing(ws):
    before = ledger.read(ws.root).champion
    released.git(ws.root, "tag", "-a", "-m", "x", "failure-model@v9.9.9")
    released.git(ws.root, "tag", "-a", "-m", "x", "failure-model#production#9", "HEAD~3")
    assert ledger.read(ws.root).champion == before
    assert actions.ledger_entries.in_force(ledger.read(ws.root).entries) == before


def test_before_the_first_release_there_is_nothing_to_mirror(tmp_path_factory):
    with pytest.raises(ConfigError, match="nothing was released yet, so there is nothing to mir"):
        mirror.sync(released.candidate(tmp_path_factory).root)


def test_a_resolved_yaml_that_names_no_registry_says_what_to_run(ws):
    text = ws.resolved.read_text()
    ws.resolved.write_text(text[: text.index("mirror:\n  _target_")])
    with pytest.raises(ConfigError, match=r"resolved\.yaml: mirror: missing; run `dvc repro`"):
        mirror.sync(ws.root)
