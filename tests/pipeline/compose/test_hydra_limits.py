"""Whatever a config says, it reads no environment, calls no code, and writes below its folders."""

import os

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cll.config import resolvers
from cll.pipeline.compose import compose, hydra_limits
from cll.types.errors import ConfigError, SecurityRefusal
from tests.build import small

CANARY = "a-canary-of-the-environment"
NOWHERE = ["source=files", "source.path=nowhere"]
KEPT = {".cll", "conf", "dvc.yaml", "params.yaml", "uv.lock", "world.yaml"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CANARY", CANARY)
    return small.project(tmp_path / "project").root


def refused(folder, *words):
    """Run a command that is to be refused; return its error, once no trace of it was found."""
    said = small.cll(folder, "--quiet", *words)
    assert said.code == 4, said.err
    assert said.err.startswith("cll: ")
    assert said.err.count("\n") == 1
    assert CANARY not in said.err + said.out
    assert {path.name for path in folder.iterdir()} <= KEPT
    return said.err


def append(path, text):
    path.write_text(path.read_text() + text)


RESOLVERS = [
    "${%s:CANARY}",
    "${oc.decode:${%s:CANARY}}",
    "${oc.select:seed}",
    "${oc.create:{a:1}}",
    "${oc.dict.keys:source}",
    "${oc.deprecated:seed}",
    "${python_version:}",
    "${now:%%Y}",
    "${pid:}",
    "${hydra:runtime.cwd}",
    "${hydra.runtime.cwd}",
    r"\${%s:CANARY}",
]


@pytest.mark.parametrize("text", RESOLVERS)
@pytest.mark.parametrize("name", ["oc.env", "${source.labels[0]}"])
def test_the_jobs_tree_knows_nothing_but_its_own_keys(folder, text, name):
    text = text % name if "%s" in text else text.replace("%%", "%")
    params = {"source": {"files": {"labels": ["oc.env", text]}}}
    with pytest.raises(SecurityRefusal, match=r"\$\{.*\} is refused") as caught:
        compose.resolve(folder / "conf", {"source": "files", "set": params})
    assert CANARY not in str(caught.value)


@settings(max_examples=15, deadline=None)
@given(st.text(st.sampled_from("${}:.\\'oc.envCANARY[0]sourcelabels "), max_size=24))
@pytest.mark.slow
def test_no_text_brings_the_environment_into_the_tree(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", CANARY)
        params = {"source": {"files": {"labels": ["oc.env", text]}}}
        try:
            tree = compose.resolve(small.ROOT / "conf", {"source": "files", "set": params})
            said = compose.render(tree)
        except (ConfigError, SecurityRefusal) as error:
            said = str(error)
    assert CANARY not in said


def test_a_reference_to_a_key_that_another_key_names_is_allowed(folder):
    overrides = ["++source.a=label", "++source.b='${${source.a}.horizon}'"]
    tree, _ = compose.composed(folder / "conf", overrides)
    assert tree["source"]["b"] == tree["label"]["horizon"]


def test_a_resolver_in_a_list_of_defaults_is_refused(folder):
    path = folder / "conf" / "config.yaml"
    path.write_text(path.read_text().replace("split: time", "split: ${${label}:CANARY}"))
    (folder / "conf" / "label" / "oc.env.yaml").write_text(
        (folder / "conf" / "label" / "outcome.yaml").read_text()
    )
    says = refused(folder, "run", "label=oc.env", *NOWHERE)
    assert "${oc.env:...} is refused" in says


def test_what_a_plugin_registers_is_out_of_force_and_afterwards_there_again():
    OmegaConf.register_new_resolver("of_a_plugin", lambda: CANARY, replace=True)
    try:
        with resolvers.restricted():
            OmegaConf.register_new_resolver("later", lambda: CANARY)
            assert not OmegaConf.has_resolver("of_a_plugin")
            assert not OmegaConf.has_resolver("later")
            assert not OmegaConf.has_resolver("oc.env")
        assert OmegaConf.create({"a": "${of_a_plugin:}"}).a == CANARY
        assert OmegaConf.has_resolver("oc.env")
    finally:
        OmegaConf.clear_resolver("of_a_plugin")


def test_time_is_the_same_throughout_one_config(folder):
    where = str(folder / "conf")
    with hydra_limits.limits(folder / "conf"), initialize_config_dir(where, version_base=None):
        cfg = hydra_compose("config", return_hydra_config=True)
        assert cfg.hydra.run.dir == cfg.hydra.run.dir
        assert cfg.hydra.run.dir.endswith(f"-{os.getpid()}")
        assert cfg.hydra.run.dir.removeprefix("outputs") == cfg.hydra.sweep.dir[len("multirun") :]


SETTINGS = [
    ("hydra.run.dir=.", "hydra.run.dir=.: lies outside of outputs/ and multirun/; name a folder"),
    ("hydra.run.dir=/etc/x", "hydra.run.dir=/etc/x: lies outside of outputs/"),
    ("hydra.run.dir=outputs/../conf", "hydra.run.dir=outputs/../conf: lies outside of"),
    ("hydra.run.dir=outputs/away/x", "outputs/away: is a link to"),
    ("hydra.sweep.dir=/tmp/x", "hydra.sweep.dir=/tmp/x: lies outside of"),
    ("hydra.sweep.dir=multirun/../..", "hydra.sweep.dir=multirun/../..: lies outside of"),
    ("hydra.sweep.subdir=../..", "hydra.sweep.subdir=../..: leaves the job's folder"),
    ("hydra.sweep.subdir=/etc", "hydra.sweep.subdir=/etc: leaves the job's folder"),
    ("hydra.sweep.subdir='${hydra.job.override_dirname}'", "hydra.sweep.subdir=${hydra.job.over"),
    ("hydra.output_subdir=../../x", "hydra.output_subdir=../../x: leaves the job's folder"),
    ("hydra.job.chdir=true", "hydra.job.chdir: refused, since it would leave the project's folder"),
    ("+hydra.job.env_set.A=b", "hydra.job.env_set: refused, since it would set environment var"),
    ("hydra.job.env_copy=[CANARY]", "hydra.job.env_copy: refused, since it would read environ"),
    ("hydra.job.env_copy=[NOT_SET]", "hydra.job.env_copy: refused, since it would read environ"),
    ("hydra.searchpath=[file:///tmp]", "hydra.searchpath: refused, since it would read files"),
    ("+hydra.launcher._partial_=true", "hydra.launcher._partial_: not a plugin of Hydra's"),
    ("+hydra.launcher.x={_call_: true}", "hydra.launcher.x._call_: not a plugin of Hydra's"),
    (
        "hydra.launcher.processes='${source}'",
        "hydra.launcher.processes._target_=cll.components.source.",
    ),
    ("hydra.launcher='${source}'", "hydra.launcher: may not refer to another key"),
    ("hydra.sweeper._target_=os.system", "hydra.sweeper._target_=os.system: not a plugin of Hyd"),
    (
        "+hydra.callbacks.a={_target_: hydra_plugins.cll_sweeps.launcher.Path.write_text}",
        "hydra.callbacks.a._target_=hydra_plugins.cll_sweeps.launcher.Path.write_text: not a",
    ),
    ("+hydra.callbacks.a={}", "hydra.callbacks: refused, since it would call code"),
    ("+hydra.more=1", "hydra.more: not a setting of Hydra; remove it."),
    ("++hydra={job: {env_set: {A: b}}}", "hydra.job.env_set: refused, since it would set"),
]


@pytest.mark.parametrize(("word", "says"), SETTINGS)
def test_a_setting_of_hydras_that_could_do_harm_is_refused(folder, word, says):
    (folder / "outputs").mkdir()
    away = folder / "outputs" / "away"
    if away.name in word:
        away.symlink_to(folder.parent)
    said = small.cll(folder, "--quiet", "run", word, "source=files")
    assert said.code == 4, said.err
    assert says in said.err
    assert said.err.count("\n") == 1
    assert {path.name for path in folder.iterdir()} <= {*KEPT, "outputs"}
    assert [path for path in (folder / "outputs").iterdir() if path != away] == []


@pytest.mark.parametrize("words", [["run", "-m", "seed=0,1"], ["replay"], ["run", "--cfg", "all"]])
@pytest.mark.parametrize(("word", "says"), [SETTINGS[k] for k in (1, 4, 6, 11, 20)])
def test_they_are_refused_whatever_is_asked_for(folder, words, word, says):
    assert says in refused(folder, *words, word)


@pytest.mark.parametrize("command", ["compose", "run", "replay"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("callbacks: {a: {_target_: builtins.open}}\n", "hydra.callbacks.a._target_=builtins.open"),
        ("output_subdir: ../../x\n", "hydra.output_subdir=../../x: leaves"),
    ],
)
def test_the_files_of_conf_are_under_the_same_rule(folder, command, text, says):
    append(folder / "conf" / "hydra" / "default.yaml", text)
    assert says in refused(folder, command)


@pytest.mark.parametrize("command", ["compose", "run"])
def test_no_other_folder_is_searched_for_configs(folder, command):
    (folder.parent / "other").mkdir()
    path = f"file://{folder.parent / 'other'}"
    append(folder / "conf" / "config.yaml", f"hydra: {{searchpath: ['{path}']}}\n")
    assert "hydra.searchpath: refused" in refused(folder, command)


def test_a_search_path_that_is_taken_back_is_refused_as_well(folder):
    words = ["hydra.searchpath=[file:///tmp]", "hydra.searchpath=[]"]
    assert "hydra.searchpath: refused" in refused(folder, "run", *words)


@pytest.mark.parametrize("entry", ["../other", "/../other", "//{parent}/other"])
def test_no_config_is_read_from_outside_of_conf(folder, entry):
    (folder / "other.yaml").write_text("seed: 3\n")
    KEPT.add("other.yaml")
    path = folder / "conf" / "config.yaml"
    entry = entry.replace("{parent}", str(folder))
    path.write_text(path.read_text().replace("  - _self_", f"  - {entry}\n  - _self_"))
    assert "lies outside of conf/" in refused(folder, "compose")
    KEPT.discard("other.yaml")


LOGGING = "version: 1\nroot: {handlers: [x]}\nhandlers: {x: {(): os.mkdir, path: called}}\n"


@pytest.mark.parametrize(
    "text", ["hydra: {job: {env_set: {A: b}}}\n", "hydra: {job_logging: {root: {level: DEBUG}}}\n"]
)
@pytest.mark.parametrize("launcher", ["basic", "local"])
@pytest.mark.slow
def test_each_job_of_a_sweep_is_checked_before_it_begins(folder, text, launcher):
    first = "# @package _global_\ndefaults: [{override /source: files}]\n"
    (folder / "conf" / "experiment" / "e.yaml").write_text(first + text)
    words = ["run", "-m", f"hydra/launcher={launcher}", "experiment=e,classic"]
    if launcher == "basic":
        said = small.cll(folder, "--quiet", *words, "source=files", "source.path=nowhere")
        code, says = said.code, said.err
    else:
        from tests.end_to_end.test_sweep import run  # noqa: PLC0415  it starts a process that may fork

        asked = run(folder, *words[1:], "source=files", "source.path=nowhere")
        code, says = asked.returncode, asked.stderr
    assert code == (4 if "env_set" in text else 6), says
    assert "Traceback" not in says


def test_logging_is_not_applied_for_help_either(folder):
    logging = folder / "conf" / "hydra" / "hydra_logging"
    logging.mkdir()
    handler = "{x: {(): os.mkdir, path: called}}"
    (logging / "own.yaml").write_text(f"version: 1\nroot: {{handlers: [x]}}\nhandlers: {handler}\n")
    said = small.cll(folder, "run", "--hydra-help", "hydra/hydra_logging=own")
    assert said.code == 0, said.err
    assert not (folder / "called").exists()


def test_a_mode_of_hydras_is_no_way_to_ask_for_a_sweep(folder):
    said = small.cll(folder, "run", "hydra.mode=MULTIRUN")
    assert said.code == 2
    assert said.err == "cll: hydra.mode=MULTIRUN: remove it; -m asks for a sweep.\n"


@pytest.mark.parametrize(
    "place", ["outputs/a/b", "multirun/c", "outputs/${now:%Y}", "{root}/outputs/d"]
)
def test_a_folder_below_those_of_runs_can_be_chosen(folder, place):
    place = place.replace("{root}", str(folder))
    path = folder / "conf" / "hydra" / "default.yaml"
    lines = path.read_text().splitlines()
    lines = [f"  dir: {place}" if line.startswith("  dir: outputs") else line for line in lines]
    path.write_text("\n".join(lines) + "\n")
    said = small.cll(folder, "--quiet", "run", *NOWHERE)
    assert said.code == 6, said.err
    assert said.err.startswith("cll: source.path=nowhere: ")


def test_a_secret_that_a_shell_or_dvc_put_in_goes_no_further(folder, monkeypatch):
    monkeypatch.setenv("STORE_TOKEN", CANARY)
    says = refused(folder, "run", "source=files", f"source.path=a/{CANARY}")
    assert "source.path: the value of the environment variable STORE_TOKEN may not" in says
    refused(folder, "run", "-m", "source=files", f"source.path=a,{CANARY}")
    refused(folder, "run", f"hydra.run.dir=outputs/{CANARY}")
    refused(folder, "run", f"++estimator.{CANARY}=1")
    (folder / "params.yaml").write_text(f"set: {{source: {{files: {{path: {CANARY}}}}}}}\n")
    for command in ("compose", "run", "replay"):
        refused(folder, command)
