import shutil
from pathlib import Path

import pytest

from cll.pipeline.compose import compose, conf_files
from cll.types.errors import ConfigError, SecurityRefusal

CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture
def conf(tmp_path):
    return Path(shutil.copytree(CONF, tmp_path / "conf"))


@pytest.mark.parametrize("name", ["source", "source/classic.yaml", "notes.txt", "."])
def test_a_link_in_conf_is_refused_since_hydra_follows_it(conf, tmp_path, name):
    place = conf / name
    if place.exists():
        place.resolve().rename(tmp_path / "elsewhere")
    Path(str(place)).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecurityRefusal, match=r"conf.*: a link, which conf/ may not contain; copy"):
        compose.resolve(conf, {})


@pytest.mark.parametrize("package", ["_global_", "source", "hydrant"])
def test_a_file_of_hydras_settings_sets_no_other_key(conf, package):
    (conf / "hydra" / "own.yaml").write_text(f"\n# @package {package}\nseed: 7\n")
    with pytest.raises(SecurityRefusal, match=rf"own.yaml: # @package {package}: a file under"):
        compose.resolve(conf, {})


@pytest.mark.parametrize("header", ["# @package hydra", "# @package hydra.run", "# a remark"])
def test_a_file_of_hydras_settings_may_say_where_below_hydra_it_belongs(conf, header):
    (conf / "hydra" / "own.yaml").write_text(f"{header}\nverbose: false\n")
    conf_files.refuse_unsafe(conf)


def test_a_header_that_hydra_can_not_read_is_one_line(conf):
    (conf / "hydra" / "own.yaml").write_text("# @package a b\nverbose: false\n")
    with pytest.raises(ConfigError, match=r"own.yaml: Too many .*; write # @package NAME\.$"):
        conf_files.refuse_unsafe(conf)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: ${oc.env:HOME}", r"hydra/own.yaml.name: \$\{oc.env:...\} is refused"),
        ("name: a\n_x_: {db_password: [x]}", r"hydra/own.yaml._x_.db_password: a secret may not"),
        ("name: db://u:p@h", r"hydra/own.yaml.name: the value holds credentials"),
        ("'db://u:p@h': 1", r"hydra/own.yaml.\*: a key holds credentials"),
    ],
)
def test_a_file_of_hydras_settings_holds_no_secret(conf, text, says):
    (conf / "hydra" / "own.yaml").write_text(f"{text}\n")
    with pytest.raises(SecurityRefusal, match=says):
        conf_files.refuse_unsafe(conf)


def test_a_secret_of_the_environment_is_refused_in_any_file(conf, monkeypatch):
    monkeypatch.setenv("STORE_TOKEN", "n0-guess-4-this")
    (conf / "source" / "own.yaml").write_text("path: a/n0-guess-4-this/b\n")
    with pytest.raises(SecurityRefusal, match=r"^source/own.yaml.path: .* variable STORE_TOKEN "):
        compose.resolve(conf, {})


def test_a_variable_whose_value_is_a_name_of_the_config_does_no_harm(monkeypatch):
    monkeypatch.setenv("STORE_TOKEN", "lightgbm")
    assert compose.resolve(CONF, {})["choices"]["estimator"] == "lightgbm"
