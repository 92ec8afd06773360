import sys

import pytest

from cll.config import catalog, components, project, safety
from cll.types.errors import ConfigError, SecurityRefusal

LIGHTGBM = "cll.components.estimator.lightgbm.LightGBM"


def write(folder, text):
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_alias_bomb_is_refused_before_it_is_expanded(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(SecurityRefusal, match=r"some.yaml:1: YAML aliases are refused"):
        components.load_yaml(write(tmp_path, "\n".join(lines)))


def test_a_tag_that_would_build_an_object_is_refused(tmp_path):
    path = write(tmp_path, "x: !!python/object/apply:os.system [ls]\n")
    with pytest.raises(SecurityRefusal, match=r"some.yaml:1: the tag .*os.system is refused"):
        components.load_yaml(path)


def test_a_yaml_error_names_file_and_line(tmp_path):
    with pytest.raises(ConfigError, match=r"some.yaml:3: not YAML"):
        components.load_yaml(write(tmp_path, "x: 1\ny: [1, 2\n"))


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="found a list; write a mapping"):
        components.load_yaml(write(tmp_path, "- 1\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: no such file"):
        components.load_yaml(tmp_path / "none.yaml")


def test_unquoted_dates_stay_text_and_short_exponents_are_numbers(tmp_path):
    tree = components.load_yaml(write(tmp_path, "d: 2026-01-01\nx: 1e-5\n"))
    assert tree == {"d": "2026-01-01", "x": 1e-5}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.open",
        "joblib.load",
        "cll.config.components.load_yaml",
        "cll.components.estimator.lightgbm.os",
        "cll.components.estimator.lightgbm._private",
        "cll.components.estimator.nowhere.Thing",
        "cll.components.source.files.Files",
    ],
)
def test_a_target_off_the_list_is_refused(target):
    with pytest.raises(SecurityRefusal, match="not a component of estimator"):
        components.build("estimator", {"_target_": target})


def test_a_target_deep_in_a_tree_is_refused_too():
    node = {"_target_": LIGHTGBM, "num_leaves": {"_target_": "os.getenv"}}
    with pytest.raises(SecurityRefusal, match=r"estimator.num_leaves._target_=os.getenv"):
        components.build("estimator", node)


def test_nothing_is_imported_for_a_refused_target():
    sys.modules.pop("cll.components.source.classic", None)
    with pytest.raises(SecurityRefusal):
        components.build("source", {"_target_": "cll.components.source.classic.nothing"})
    assert "cll.components.source.classic" not in sys.modules


@pytest.mark.parametrize("key", ["password", "db_password", "api_key", "token", "client_secret"])
def test_a_secret_in_a_config_is_refused(key):
    with pytest.raises(SecurityRefusal, match=f"source.{key}: a secret .* {key}_env"):
        safety.refuse_unsafe({key: "hunter2"}, "source")


def test_the_name_of_an_environment_variable_is_no_secret():
    safety.refuse_unsafe({"password_env": "PGPASSWORD"}, "source")


def test_credentials_inside_a_value_are_refused():
    with pytest.raises(SecurityRefusal, match=r"source.url: the value holds credentials"):
        safety.refuse_unsafe({"url": "postgresql://me:hunter2@db/x"}, "source")


@pytest.mark.parametrize(
    "text", ["${oc.env:HOME}", "${now:%Y}", "x${hydra:job.num}", "${ oc.env:A}"]
)
def test_a_resolver_is_refused(text):
    with pytest.raises(SecurityRefusal, match=r"only \$\{key\} of the config"):
        safety.refuse_unsafe({"path": text}, "source")


def test_an_unknown_key_comes_with_the_near_one():
    with pytest.raises(
        ConfigError, match=r"estimator.num_leavs: unknown key; did you mean num_leaves\?"
    ):
        components.build("estimator", {"_target_": LIGHTGBM, "num_leavs": 7})


@pytest.mark.parametrize(
    ("value", "says"), [("abc", "integer"), (1.5, "integer"), (True, "integer")]
)
def test_a_value_of_another_type_is_refused_in_one_line(value, says):
    with pytest.raises(ConfigError, match=rf"estimator.num_leaves=.*{says}") as caught:
        components.build("estimator", {"_target_": LIGHTGBM, "num_leaves": value})
    assert "\n" not in str(caught.value)


def test_a_value_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"estimator.num_leaves=-3: .*greater"):
        components.build("estimator", {"_target_": LIGHTGBM, "num_leaves": -3})


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(ConfigError, match=r"gate.floor=nan: not a finite number"):
        safety.refuse_unsafe({"floor": float("nan")}, "gate")


def test_the_world_needs_an_instant_with_a_zone(tmp_path):
    path = write(tmp_path, 'as_of: "2026-01-31T00:00:00"\n')
    with pytest.raises(ConfigError, match=r"as_of=.*names no time zone; append Z"):
        project.read_world(path)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"some.yaml:3: not YAML: the key source occurs twice"):
        components.load_yaml(write(tmp_path, "source: a\nlabel: b\nsource: c\n"))


def test_a_key_that_is_a_list_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"some.yaml:1: not YAML: found unhashable key"):
        components.load_yaml(write(tmp_path, "? [a]\n: b\n"))


@pytest.mark.parametrize("node", [None, 3, "x", {}, {"_target_": {}}, {"_target_": ["a.b"]}])
def test_what_names_no_component_is_refused(node):
    with pytest.raises(ConfigError, match=r"metric.f1: names no component; give it a _target_\."):
        components.build("metric", {"f1": node})


@pytest.mark.parametrize("champion", ["../../x", "deadbeef", "None"])
def test_a_champion_is_a_model_id_or_none(tmp_path, champion):
    path = write(tmp_path, f'as_of: "2026-01-31T00:00:00Z"\nchampion: "{champion}"\n')
    with pytest.raises(ConfigError, match=r"champion=.*pattern"):
        project.read_world(path)


def test_what_is_no_component_is_not_on_the_list():
    assert catalog.targets("estimator") == [
        "cll.components.estimator.lightgbm.LightGBM",
        "cll.components.estimator.logistic.Logistic",
    ]


@pytest.mark.parametrize("name", ["gone", "../estimator/logistic", "Logistic", "", None])
def test_a_lineage_that_names_no_component_is_refused(name):
    with pytest.raises(SecurityRefusal, match=r"estimator\.is=.*: no component of estimator has"):
        catalog.with_path("estimator", {"is": name})


@pytest.mark.parametrize("group", catalog.SETTINGS)
def test_the_settings_of_a_step_are_quoted_without_a_path(group):
    assert catalog.without_paths({"_target_": catalog.SETTINGS[group], "a": 1}) == {"a": 1}


def test_a_component_that_is_quoted_by_name_can_be_built_again():
    node = {"_target_": "cll.components.estimator.logistic.Logistic", "C": 0.5}
    quoted = catalog.without_paths(node)
    assert quoted == {"is": "logistic", "C": 0.5}
    assert catalog.with_path("estimator", quoted) == node


def test_components_within_settings_are_quoted_by_name_too():
    race = {"contenders": [{"_target_": "cll.components.update.full.Full"}]}
    assert catalog.without_paths(race) == {"contenders": [{"is": "full"}]}


@pytest.mark.parametrize("group", sorted(set(catalog.COMPONENTS) - catalog.NAMED))
def test_each_file_of_a_group_defines_one_component_so_its_name_is_enough(group):
    names = [target.split(".")[3] for target in catalog.targets(group)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["params.yaml", "world.yaml", "registry/schema.yaml"])
@pytest.mark.parametrize("text", ["", "\n", "\0\0"])
def test_a_file_that_nothing_can_make_again_is_never_empty(tmp_path, name, text):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(
        ConfigError, match=rf"{name}: empty; restore it: `git checkout -- {name}`.$"
    ):
        components.load_yaml(tmp_path / name)


def test_one_that_was_cut_off_is_named_with_the_way_out(tmp_path):
    (tmp_path / "world.yaml").write_text('as_of: "2026-01-3')
    with pytest.raises(
        ConfigError, match=r"not YAML: .*; fix it, or restore it: `git checkout -- w"
    ):
        project.read_world(tmp_path / "world.yaml")


def test_comments_alone_choose_what_is_default(tmp_path):
    (tmp_path / "params.yaml").write_text("# all as it is by default\n")
    assert components.load_yaml(tmp_path / "params.yaml") == {}
