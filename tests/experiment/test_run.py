import json
import os
import re
import shutil
from dataclasses import replace
from multiprocessing import get_context

import pytest
import yaml

from cll.config import project
from cll.pipeline import stages
from tests.build import small

HERE = "hydra/launcher=basic"  # in this process, which can't be forked once it has computed
TREES = [*small.CLASSIC[:3], "estimator=lightgbm", "estimator.max_rounds=20"]
UNLABELLED = [*small.CLASSIC, "label=incident"]  # refused once signals and features are made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project in which one experiment ran, and what the command said."""
    ws = small.project(tmp_path_factory.mktemp("run") / "project")
    return ws.root, small.cll(ws.root, "run", *small.CLASSIC)


@pytest.fixture
def folder(tmp_path):
    return small.project(tmp_path / "project").root


def kept(folder):
    return sorted(path.name for path in (folder / ".cll" / "store").iterdir())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["source=fles"], 2, "source=fles: no such choice; there are: "),
        (["source="], 2, "source=: no such choice; there are: "),
        (["source=[a]"], 2, "source=a: no such choice; there are: "),
        (["source=files,classic"], 2, "source=files,classic: several values; add -m to run each."),
        (["~source"], 2, "~source: source is required; write source=VALUE."),
        (["estimator.num_leavs=3"], 2, "estimator.num_leavs: unknown key; did you mean num_leaves"),
        (
            ["estimator.num_leaves=abc"],
            2,
            'estimator.num_leaves="abc": input should be a valid int',
        ),
        (["nokey=1"], 2, "nokey: unknown key; there are: source, features, label"),
        (["seeds=1"], 2, "seeds: unknown key; did you mean seed?"),
        (["seed=x"], 2, "seed=x: write an integer"),
        (["="], 2, "=: names no key; write KEY=VALUE."),
        (["source"], 2, "source: missing EQUAL at '<EOF>'. Write KEY=VALUE."),
        (["a=1=2"], 2, "a=1=2: mismatched input '='"),
        (["source=classic", "source.rows=0"], 2, "source.rows=0: input should be greater than"),
        (["experiment=nope"], 2, "experiment=nope: no such choice; there are: "),
        (["source.path=${oc.env:HOME}"], 4, "source.path: ${oc.env:...} is refused; "),
        (["-m", "source.path=${oc.env:HOME},b"], 4, "source.path: ${oc.env:...} is refused; "),
        (["hydra.run.dir=${oc.env:HOME}"], 4, "hydra.run.dir: ${oc.env:...} is refused; "),
        (["estimator._target_=os.system"], 4, "estimator._target_=os.system: not a component of"),
        (["source.api_key=x"], 4, "source.api_key: a secret may not stand in a config; "),
        (["+hydra.callbacks.a._target_=os.system"], 4, "_target_=os.system: not a plugin of Hydra"),
        (["-m", "source=classic,fles"], 2, "source=fles: no such choice; there are: "),
        (["--config-dir", "elsewhere"], 2, "--config-dir: no such option of run; there are: "),
        (["--experimental-rerun", "x.pickle"], 2, "--experimental-rerun: no such option of run; "),
        (["--cfg", "jub"], 2, "--cfg=jub: no such value; there are: job, hydra, all."),
        (["--cfg"], 2, "--cfg=: no such value; there are: job, hydra, all."),
        (["-m", "--cfg", "job"], 2, "--cfg, -m: only one of these flags at a time."),
        (["source=files", "source.path=nowhere"], 6, "source.path=nowhere: no such folder; "),
    ],
)
def test_a_command_that_is_wrong_is_one_line_and_a_code(made, words, code, says):
    said = small.cll(made[0], "--quiet", "run", *words)
    assert said.code == code
    assert said.err.startswith("cll: ")
    assert says in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("name", "text", "code", "says"),
    [
        ("world.yaml", None, 2, "world.yaml: no such file; is this the project's folder?"),
        ("world.yaml", 'as_of: "2026"\n', 2, 'world.yaml.as_of="2026": '),
        ("world.yaml", "as_of: [\n", 2, "world.yaml:2: not YAML: "),
        ("world.yaml", "champion: none\n", 2, "world.yaml.as_of: no value; give it one."),
        ("params.yaml", None, 2, "params.yaml: no such file; is this the project's folder?"),
        ("params.yaml", "split: middle\n", 2, "split=middle: no such choice; there are: "),
        ("params.yaml", "source_: files\n", 2, "params.yaml: source_: unknown key; did you mean"),
        ("params.yaml", "a: &a [*a]\n", 4, "params.yaml:1: YAML aliases are refused; "),
        ("params.yaml", "- a\n", 2, "params.yaml: found a list; write a mapping (key: value)."),
        ("conf/hydra/default.yaml", "sweep: {x: !!python/name:os.system }\n", 4, "the tag "),
    ],
)
def test_a_damaged_project_is_one_line_and_a_code(folder, name, text, code, says):
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    said = small.cll(folder, "--quiet", "run", *small.CLASSIC)
    assert said.code == code
    assert says in said.err
    assert said.err.count("\n") == 1


def test_outside_of_a_project_the_folder_is_what_is_wrong(tmp_path):
    said = small.cll(tmp_path, "run")
    assert said.code == 2
    assert said.err == "cll: conf: no such folder; is this the project's folder?\n"


def test_a_refusal_before_the_experiment_leaves_no_folder(folder):
    small.cll(folder, "run", "estimator.num_leaves=1")
    assert not (folder / "outputs").exists()


def test_a_foreign_callback_in_conf_is_refused_before_it_is_imported(folder):
    path = folder / "conf" / "hydra" / "default.yaml"
    callback = "callbacks: {a: {_target_: tests.nowhere.Callback}}\n"
    path.write_text(path.read_text() + callback)
    said = small.cll(folder, "run", *small.CLASSIC)
    assert said.code == 4
    assert "hydra.callbacks.a._target_=tests.nowhere.Callback: not a plugin of Hydra" in said.err


def test_logging_in_conf_calls_no_function(folder):
    logging = folder / "conf" / "hydra" / "job_logging"
    logging.mkdir()
    handler = "{x: {(): os.mkdir, path: called}}"
    root = "version: 1\nroot: {handlers: [x]}\n"
    (logging / "own.yaml").write_text(f"{root}handlers: {handler}\n")
    said = small.cll(folder, "run", "hydra/job_logging=own", "source=files", "source.path=nowhere")
    assert said.code == 6
    assert not (folder / "called").exists()


def test_the_end_is_the_table_and_the_folder_of_its_metrics(made):
    folder, said = made
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].split() == [
        "metric",
        "candidate",
        "95",
        "%",
        *["no", "change", "one", "column", "prior"],
    ]
    assert lines[-1].startswith("metrics  outputs/")
    metrics = json.loads((folder / lines[-1].split()[1]).read_text())
    assert metrics["candidate"]["accuracy"]["value"] >= 0.82
    assert f"accuracy           {metrics['candidate']['accuracy']['value']:.3f}" in said.out


def test_the_figures_are_those_of_the_stages_run_one_by_one(made, tmp_path):
    folder, said = made
    run = folder / said.out.splitlines()[-1].split()[1]
    ws = small.project(tmp_path / "project")
    small.reproduce(ws, small.CLASSIC)
    assert run.read_bytes() == (ws.root / "metrics.json").read_bytes()
    for name in ("models/candidate/SHA256SUMS", "reports/report.md", "resolved.yaml"):
        assert (run.parent / name).read_bytes() == (ws.root / name).read_bytes()


def test_a_run_changes_nothing_but_its_own_folder(made):
    folder, _ = made
    assert {path.name for path in folder.iterdir()} == {
        *(".cll", "conf", "dvc.yaml", "outputs", "params.yaml", "uv.lock", "world.yaml")
    }


def test_signals_and_features_are_made_once_for_all_that_share_them(made):
    folder, _ = made
    before = {path: path.stat().st_mtime_ns for path in (folder / ".cll" / "store").rglob("*")}
    said = small.cll(folder, "run", *UNLABELLED, "seed=1")
    assert "ingest: reused from " in said.err
    assert "featurize: reused from " in said.err
    assert before == {
        path: path.stat().st_mtime_ns for path in (folder / ".cll" / "store").rglob("*")
    }
    assert len(kept(folder)) == 2


def binned(said):
    """Count the data sets that each training made, and those that it found."""
    found = re.findall(r"train: binned data: (\d+) made, (\d+) reused", said)
    return [(int(made), int(kept)) for made, kept in found]


@pytest.mark.slow
def test_jobs_of_a_sweep_and_the_pipeline_bin_once_and_give_the_same_model(made, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    leaves = "estimator.num_leaves=15,7"
    said = small.cll(folder, "run", "-m", HERE, *TREES, leaves, "estimator.min_data_in_leaf=20,50")
    (_, nothing), *others = binned(said.err)
    assert nothing == 0
    assert others == [(0, 9)] * 3
    ws = small.workspace.Workspace(folder)
    small.reproduce(ws, [*TREES, "estimator.min_data_in_leaf=20"], last="train")
    assert binned(capsys.readouterr().err) == [(0, 9)]
    first = next(folder.glob("multirun/*/*/0/models/candidate/SHA256SUMS"))
    assert first.read_bytes() == (ws.candidate / "SHA256SUMS").read_bytes()


def test_what_proves_the_bytes_takes_over_no_bins(made, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    ws = small.workspace.Workspace(folder)
    small.reproduce(ws, TREES, last="train")
    apart = replace(
        ws,
        out=tmp_path / "apart",
        isolated=True,
        signals_folder=ws.signals,
        features_folder=ws.features,
    )
    tree, world = project.load_tree(ws), project.read_world(folder / "world.yaml")
    stages.train(apart, tree, world)
    assert binned(capsys.readouterr().err) == [(9, 0), (9, 0)]
    assert (apart.candidate / "model.txt").read_bytes() == (ws.candidate / "model.txt").read_bytes()


def train_at_once(ws, seed, ready):
    tree = {**project.load_tree(ws), "seed": seed}
    ready.wait()
    own = replace(
        ws, out=ws.root / str(seed), signals_folder=ws.signals, features_folder=ws.features
    )
    stages.train(own, tree, project.load_world(ws))


@pytest.mark.slow
def test_processes_that_train_at_once_bin_once(made, tmp_path, capfd):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    ws = small.workspace.Workspace(folder)
    small.reproduce(ws, TREES, last="featurize")
    spawn = get_context("spawn")
    ready = spawn.Barrier(3)
    running = [spawn.Process(target=train_at_once, args=(ws, seed, ready)) for seed in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * 3
    counts = binned(capfd.readouterr().err)
    assert sum(made for made, _ in counts) == 9
    assert sum(kept for _, kept in counts) == 18


def test_a_damaged_partition_is_made_again(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    part = next((folder / ".cll" / "store").glob("featurize-*/date=*/part-0.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + b"x")
    said = small.cll(folder, "run", *UNLABELLED)
    assert "featurize: reused from " not in said.err
    assert part.read_bytes() == whole


def test_what_fails_while_it_is_made_is_not_kept(made):
    folder, _ = made
    before = kept(folder)
    said = small.cll(folder, "run", *small.CLASSIC, "features=windows", "features.columns=[nope]")
    assert said.code == 2
    assert "features.columns=nope: no such column; there are: cpu_usage" in said.err
    assert kept(folder) == before


def test_other_files_are_other_signals_also_under_the_same_name(tmp_path):
    ws = small.project(tmp_path / "project")
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", rows=20)
    words = ["run", *UNLABELLED, "source=files"]
    small.cll(ws.root, *words)
    first = kept(ws.root)
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", rows=21)
    small.cll(ws.root, *words)
    assert len(kept(ws.root)) == 2 * len(first)


@pytest.mark.slow
def test_a_job_that_is_refused_stops_no_other_and_settings_go_with_their_choice(tmp_path):
    folder = small.project(tmp_path / "project").root
    params = "set: {estimator: {logistic: {C: 0.5}, lightgbm: {max_rounds: 30}}}\n"
    (folder / "params.yaml").write_text(params)
    words = [*small.CLASSIC[:3], "estimator=lightgbm,logistic", "estimator.C=0.25"]
    said = small.cll(folder, "--quiet", "run", "-m", HERE, *words)
    assert said.code == 2
    assert "/0: estimator.C: unknown key; there are: " in said.err
    assert said.err.count("\n") == 1
    jobs = sorted((folder / "multirun").glob("*/*/[01]"))
    assert len(jobs) == 2
    assert not (jobs[0] / "metrics.json").exists()
    resolved = yaml.safe_load((jobs[1] / "resolved.yaml").read_text())
    assert resolved["estimator"]["C"] == 0.25  # the command line comes after params.yaml
    assert "max_rounds" not in resolved["estimator"]
    assert "1 of 2 jobs failed." in said.out


@pytest.mark.slow
def test_a_sweep_composes_each_job_with_what_is_set_for_its_choice(folder):
    (folder / "params.yaml").write_text("set: {estimator: {logistic: {C: 0.5}}}\n")
    words = ["source=files", "source.path=nowhere", "features=kpi", "estimator=logistic,lightgbm"]
    said = small.cll(folder, "--quiet", "run", "-m", HERE, *words)
    assert said.code == 6
    assert said.err.count("source.path=nowhere: no such folder") == 2
    first, second = sorted((folder / "multirun").glob("*/*/*/resolved.yaml"))
    assert yaml.safe_load(first.read_text())["estimator"]["C"] == 0.5
    assert "C" not in yaml.safe_load(second.read_text())["estimator"]


def test_the_config_is_printed_without_a_run(folder):
    said = small.cll(folder, "run", "--cfg", "job", *small.CLASSIC, "source.rows=7")
    assert said.code == 0
    assert yaml.safe_load(said.out)["source"]["rows"] == 7
    assert not (folder / "outputs").exists()


def test_the_folder_of_a_run_tells_the_process_so_that_no_two_share_one(folder):
    said = small.cll(folder, "run", "--cfg", "hydra", "--resolve", "-p", "hydra.run")
    assert said.out.strip().endswith(f"-{os.getpid()}")


def test_the_folder_of_a_run_can_be_named(made):
    folder, _ = made
    small.cll(folder, "run", *UNLABELLED, "hydra.run.dir=outputs/named")
    assert (folder / "outputs" / "named" / "resolved.yaml").is_file()


@pytest.mark.parametrize(
    ("line", "ways"),
    [
        ("cll run estimator=l", "estimator=lightgbm estimator=logistic"),
        ("cll run estimator.num_l", "estimator.num_leaves="),
    ],
)
def test_keys_and_choices_complete(folder, monkeypatch, line, ways):
    monkeypatch.setenv("COMP_LINE", line)
    assert small.cll(folder, "-sc", "query=bash").out == f"{ways}\n"


def test_the_completion_of_a_shell_is_printed(folder):
    assert "complete -o nospace" in small.cll(folder, "run", "-sc", "install=bash").out
