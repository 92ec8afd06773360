import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cll.config import components
from cll.pipeline.compose import compose, override_grammar
from cll.types.errors import ConfigError, SecurityRefusal

CONF = Path(__file__).parents[3] / "conf"
EVERY = [
    (group, choice)
    for group, choices in compose.choices_of(CONF).items()
    if group != "experiment"
    for choice in choices
]


def resolve(overrides=(), **params):
    return compose.resolve(CONF, params, overrides)


@pytest.fixture
def conf(tmp_path):
    return Path(shutil.copytree(CONF, tmp_path / "conf"))


def test_an_unknown_choice_lists_those_there_are():
    with pytest.raises(
        ConfigError, match=r"^source=fles: no such choice; there are: .*files, .*synthetic\.$"
    ):
        resolve(source="fles")


def test_an_unknown_choice_on_the_command_line_is_the_same_error():
    with pytest.raises(ConfigError, match=r"^estimator=xgboost: no such choice; there are: "):
        resolve(["estimator=xgboost"])


def test_an_unknown_key_under_set_comes_with_the_near_one():
    with pytest.raises(
        ConfigError, match=r"^estimator.num_leavs: unknown key; did you mean num_leaves\?$"
    ):
        resolve(set={"estimator": {"lightgbm": {"num_leavs": 7}}})


def test_an_unknown_group_comes_with_the_near_one():
    with pytest.raises(
        ConfigError, match=r"params.yaml: estimatr: unknown key; did you mean estimator\?"
    ):
        resolve(estimatr="lightgbm")


def test_set_goes_by_group_and_choice():
    with pytest.raises(ConfigError, match=r"set.estimator: write \{choice: \{key: value\}\}"):
        resolve(set={"estimator": {"num_leaves": 7}})


def test_a_target_in_set_is_refused():
    values = {"estimator": {"lightgbm": {"_target_": "os.system"}}}
    with pytest.raises(SecurityRefusal, match=r"_target_=os.system"):
        resolve(set=values)


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${now:%Y}"])
def test_a_resolver_is_refused_wherever_it_stands(conf, text):
    with pytest.raises(SecurityRefusal, match="is refused"):
        resolve([f"source.path={text}"], source="files")
    with pytest.raises(SecurityRefusal, match="is refused"):
        resolve(set={"source": {"files": {"path": text}}}, source="files")
    with (conf / "source" / "classic.yaml").open("a") as file:
        file.write(f'\nname: "{text}"\n')
    with pytest.raises(SecurityRefusal, match=r"classic.yaml.name: .* is refused"):
        compose.resolve(conf, {}, [])


def test_conf_is_below_experiment_is_below_params_is_below_the_command_line(conf):
    (conf / "experiment" / "e.yaml").write_text(
        "# @package _global_\ndefaults: [{override /estimator: logistic}]\nseed: 5\n"
    )

    def seen(params, overrides=()):
        tree = compose.resolve(conf, params, overrides)
        return tree["choices"]["estimator"], tree["seed"]

    assert seen({}) == ("lightgbm", 0)
    assert seen({"experiment": "e"}) == ("logistic", 5)
    assert seen({"experiment": "e", "set": {"seed": 6}}) == ("logistic", 6)
    assert seen({"experiment": "e", "estimator": "lightgbm"}) == ("lightgbm", 5)
    assert seen({"experiment": "e", "set": {"seed": 6}}, ["seed=7"]) == ("logistic", 7)
    assert seen({"estimator": "lightgbm"}, ["experiment=e"]) == ("logistic", 5)


def test_a_value_for_a_choice_that_is_not_chosen_is_kept_and_not_applied():
    values = {"estimator": {"lightgbm": {"num_leaves": 63}}}
    assert "num_leaves" not in resolve(estimator="logistic", set=values)["estimator"]
    assert resolve(estimator="lightgbm", set=values)["estimator"]["num_leaves"] == 63
    assert (
        resolve(["estimator=lightgbm"], estimator="logistic", set=values)["estimator"]["num_leaves"]
        == 63
    )


def test_a_value_that_leaks_from_an_experiment_into_another_choice_is_refused(conf):
    (conf / "experiment" / "e.yaml").write_text(
        "# @package _global_\ndefaults: [{override /estimator: lightgbm}]\n"
        "estimator: {num_leaves: 3}\n"
    )
    with pytest.raises(ConfigError, match=r"estimator.num_leaves: unknown key"):
        compose.resolve(conf, {"experiment": "e", "estimator": "logistic"})


def test_resolved_yaml_reads_back_as_the_tree_and_is_the_same_text_twice():
    tree = resolve()
    assert yaml.safe_load(compose.render(tree)) == tree
    assert compose.render(tree) == compose.render(resolve())


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(ConfigError, match=f"seed={seed}: write an integer from 0"):
        resolve([f"seed={seed}"])


@pytest.mark.parametrize("override", ["gate.metric=nosuch", "++gate.floors={nosuch: 1}"])
def test_a_gate_that_asks_for_a_figure_that_is_not_made_is_refused(override):
    with pytest.raises(ConfigError, match=r"gate\.\w+=nosuch: not a chosen metric"):
        resolve([override])


def test_a_gate_whose_metric_has_no_interval_is_refused():
    with pytest.raises(ConfigError, match=r"gate.metric=f1: evaluate.paired lacks it"):
        resolve(["gate.metric=f1"])


def test_a_gate_whose_slices_have_no_interval_is_refused():
    with pytest.raises(ConfigError, match=r"gate.slices.metric=f1: evaluate.slice_paired lacks"):
        resolve(["gate.slices.metric=f1"])
    assert resolve(["gate.slices=null"])["gate"]["slices"] is None


def test_an_unknown_key_of_a_choice_that_is_not_in_force_is_refused_as_well():
    values = {"estimator": {"lightgbm": {"num_leavs": 3}}}
    with pytest.raises(ConfigError, match=r"estimator.num_leavs: unknown key; did you mean"):
        resolve(estimator="logistic", set=values)


def test_a_chosen_file_that_is_gone_is_named(conf):
    (conf / "estimator" / "lightgbm.yaml").unlink()
    with pytest.raises(
        ConfigError, match=r"^conf/estimator/lightgbm.yaml: no such file, .* choose"
    ):
        compose.resolve(conf, {})


def test_triggers_may_be_several_and_their_values_are_set_by_choice():
    rest = {"trigger": {"drift": {"drift": {"rest": "7d"}}, "decay": {"decay": {"rest": "9d"}}}}
    tree = resolve(trigger=["drift", "weekly"], set=rest)
    assert list(tree["trigger"]) == ["drift", "weekly"]
    assert tree["trigger"]["drift"]["rest"] == "7d"


def test_a_list_of_choices_is_for_metrics_and_triggers_alone():
    with pytest.raises(ConfigError, match=r"params.yaml: source=\['synthetic'\]: name one choice"):
        resolve(source=["synthetic"])


nasty = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(plain | nasty, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_whatever_stands_under_set_comes_through_hydras_grammar_unchanged(value):
    parsed = compose.OverridesParser.create().parse_override(f"++a={override_grammar.quote(value)}")
    assert compose.OmegaConf.create({"a": None}) is not None
    found = parsed.value()
    assert _plain(found) == value


def _plain(value):
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value.text if hasattr(value, "text") else value


@pytest.mark.parametrize(("group", "choice"), EVERY)
def test_every_file_in_conf_builds(group, choice):
    tree = resolve([f"{group}={choice}"] if group != "metric" else [f"metric=[{choice}]"])
    assert components.build(group, tree[group])


@pytest.mark.parametrize(("group", "choice"), EVERY)
def test_every_file_in_conf_says_what_it_is_and_how_to_run_it(group, choice):
    first = (CONF / group / f"{choice}.yaml").read_text().splitlines()[:4]
    head = " ".join(line for line in first if line.startswith("#"))
    ways = ("cll run", "cll replay", "dvc ", "params.yaml")
    assert any(way in head for way in ways)


@pytest.mark.parametrize("choice", compose.choices_of(CONF)["experiment"])
def test_every_experiment_composes(choice):
    assert resolve([f"experiment={choice}"])["choices"]["experiment"] == choice
