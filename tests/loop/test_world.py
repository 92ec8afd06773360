import pytest

from cll.loop import world
from cll.types.errors import ConfigError

TEXT = """\
# What is known now.
as_of: "2026-01-31T00:00:00Z" # quoted
champion: none             # model_id of the model in force
"""


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "world.yaml"
    found.write_text(TEXT)
    return found


def test_one_value_changes_and_every_comment_stays(path):
    world.put(path, "champion", "ca70c3d02efae2fd")
    world.put(path, "as_of", "2026-02-01T00:00:00Z")
    assert path.read_text() == (
        "# What is known now.\n"
        'as_of: "2026-02-01T00:00:00Z" # quoted\n'
        'champion: "ca70c3d02efae2fd"             # model_id of the model in force\n'
    )
    world.put(path, "champion", "none")
    assert 'champion: "none"   ' in path.read_text()


@pytest.mark.parametrize("model_id", ["1234567890123456", "12345e6789012345"])
def test_an_id_that_yaml_would_take_for_a_number_stays_an_id(path, model_id):
    world.put(path, "champion", model_id)
    assert world.project.read_world(path).champion == model_id


def test_the_same_value_writes_nothing(path):
    before = path.stat().st_mtime_ns
    world.put(path, "champion", "none")
    assert path.stat().st_mtime_ns == before


def test_a_key_that_is_not_there_is_told(path):
    path.write_text('as_of: "2026-01-31T00:00:00Z"\n')
    with pytest.raises(ConfigError, match=r"world\.yaml: champion: no such line; write"):
        world.put(path, "champion", "none")


def test_what_fails_within_leaves_the_world_as_it_was(path):
    before = path.read_bytes()
    failing = pytest.raises(ConfigError, match="no luck")
    moved = world.moved(path, {"as_of": "2026-02-03T00:00:00Z"}, keep=lambda: False)
    with failing, moved:
        assert path.read_bytes() != before
        raise ConfigError("no luck")
    assert path.read_bytes() == before


def test_a_key_that_can_not_be_set_leaves_the_others_as_they_were(path):
    before = path.read_bytes()
    values = {"as_of": "2026-02-03T00:00:00Z", "nothing": "here"}
    moved = world.moved(path, values, keep=lambda: False)
    with pytest.raises(ConfigError, match="nothing: no such line"), moved:
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("kept", "then"), [(False, "2026-02-04"), (True, "2026-02-04"), (True, "2026-02-03")]
)
def test_what_someone_wrote_meanwhile_or_something_follows_from_stays(path, kept, then):
    def fail():
        path.write_text(path.read_text().replace("2026-02-03", then))
        raise ConfigError("no luck")

    moved = world.moved(path, {"as_of": "2026-02-03T00:00:00Z"}, keep=lambda: kept)
    with pytest.raises(ConfigError, match="no luck"), moved:
        fail()
    assert then in path.read_text()
