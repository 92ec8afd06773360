import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cll.config import components, trees, yaml_loader
from cll.experiment import adopt
from cll.pipeline.compose import compose
from cll.system import locks
from cll.types.errors import CllError
from tests.build import small
from tests.conftest import ROOT, clone

pytestmark = pytest.mark.slow

PARAMS = (ROOT / "params.yaml").read_text()
LOGISTIC = "set: {estimator: {logistic: {C: 0.5}}}\n"


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    """A project for the property, which changes its params.yaml again and again."""
    return small.project(tmp_path_factory.mktemp("adopt") / "project")


@pytest.fixture
def folder(tmp_path):
    return small.project(tmp_path / "project").root


def write(folder, params):
    (folder / "params.yaml").write_text(params)


def composed(folder, overrides=()):
    return compose.resolve(
        folder / "conf", components.load_yaml(folder / "params.yaml"), list(overrides)
    )


def job(folder, *overrides, name="outputs/job"):
    """Lay out a job's folder as `cll run` leaves it; nothing is computed."""
    return laid_out(folder / name, composed(folder, overrides))


def laid_out(made, tree):
    made.mkdir(parents=True, exist_ok=True)
    (made / "resolved.yaml").write_text(compose.render(tree))
    (made / "metrics.json").write_text("{}")
    return made


def adopted(folder, *overrides, params=PARAMS, then=None):
    """Adopt a job that ran with `params`, into `then`; return the lines that changed."""
    write(folder, params)
    ran = components.load_yaml(job(folder, *overrides) / "resolved.yaml")
    before = then or params
    write(folder, before)
    said = small.cll(folder, "adopt", "outputs/job")
    assert (said.code, said.err) == (0, "")
    assert yaml.safe_load(compose.render(composed(folder))) == ran
    after = (folder / "params.yaml").read_text()
    assert YAML(typ="safe").load(after) == yaml_loader.parse(folder, after)  # as DVC reads it
    old, new = before.splitlines(), after.splitlines()
    return [f"-{x}" for x in old if x not in new] + [f"+{x}" for x in new if x not in old]


def test_a_choice_and_a_value_are_two_places_in_params_yaml(folder):
    assert adopted(folder, "estimator=logistic", "estimator.C=0.5") == [
        "-estimator: null",
        "-set: {}",
        "+estimator: logistic",
        "+set:",
        "+  estimator:",
        "+    logistic:",
        "+      C: 0.5",
    ]


def test_what_the_defaults_give_is_null(folder):
    lines = adopted(folder, then=PARAMS.replace("estimator: null", "estimator: logistic"))
    assert lines == ["-estimator: logistic", "+estimator: null"]


def test_a_choice_that_is_named_already_stays_named(folder):
    params = PARAMS.replace("estimator: null", "estimator: lightgbm  # trees")
    assert adopted(folder, params=params) == []


def test_a_group_that_params_yaml_does_not_list_is_added_before_set(folder):
    assert adopted(folder, "split=grouped")[:1] == ["+split: grouped"]
    lines = (folder / "params.yaml").read_text().splitlines()
    assert lines[-2:] == ["split: grouped", "set: {}"]


def test_an_experiment_brings_its_choices_without_their_being_named(folder):
    assert adopted(folder, "experiment=classic") == ["-experiment: null", "+experiment: classic"]


def test_a_choice_against_the_experiment_is_named(folder):
    words = (
        "experiment=electricity_ahead",
        "estimator=logistic",
        "features=kpi",
        "evaluate.block=2d",
    )
    assert adopted(folder, *words) == [
        "-experiment: null",
        "-features: null",
        "-estimator: null",
        "-set: {}",
        "+experiment: electricity_ahead",
        "+features: kpi",
        "+estimator: logistic",
        "+set:",
        "+  evaluate:",
        "+    default:",
        "+      block: 2d",
    ]


def test_an_experiments_values_for_a_choice_are_left_to_the_experiment(folder):
    words = ("experiment=online_boutique", "estimator.num_leaves=5", "features.peers.delay=7s")
    lines = adopted(folder, *words)
    assert [line for line in lines if line.startswith("+ ")] == [
        "+  features:",
        "+    windows:",
        "+      peers:",
        "+        delay: 7s",
        "+  estimator:",
        "+    lightgbm:",
        "+      num_leaves: 5",
    ]


def test_an_experiment_is_left(folder):
    params = PARAMS.replace("experiment: null", "experiment: classic")
    assert adopted(folder, then=params) == ["-experiment: classic", "+experiment: null"]


def test_choices_that_went_with_the_experiment_are_taken_back(folder):
    params = PARAMS.replace("estimator: null", "estimator: lightgbm")
    assert adopted(folder, "experiment=classic", params=params) == [
        "-experiment: null",
        "-estimator: lightgbm",
        "+experiment: classic",
        "+estimator: null",
    ]


def test_every_kind_of_value_comes_through(folder):
    values = {
        "features.windows=[1h,6m30s]": "windows: [1h, 6m30s]",
        "features.rolling=[]": "rolling: []",
        "features.surprise={mean: [6m]}": "mean: [6m]",
        "features.missing=false": "missing: false",
        "estimator.learning_rate=1e-05": "learning_rate: 1.0e-05",
        "estimator.lambda_l2=1e16": "lambda_l2: 1.0e+16",
        "estimator.lambda_l1=1": "lambda_l1: 1",
        "++source.signals.columns.a='2026-01-31'": 'a: "2026-01-31"',
        "++source.signals.columns.b='on'": 'b: "on"',
        "++source.signals.columns.c='0o17'": 'c: "0o17"',
        "++source.signals.columns.on=d": '"on": d',
        r"++source.signals.columns.e='a: \'b\' # \\'": None,
        "++source.signals.columns.f='é\u2028 😀'": None,
        "source.signals.columns.cpu_usage=null": "cpu_usage: null",
        "split.boundary='2026-01-25T00:00:00Z'": 'boundary: "2026-01-25T00:00:00Z"',
        "++gate.floors.f1=0.1": "f1: 0.1",
        "gate.baselines=[one_column,prior,no_change]": "baselines: [one_column, prior, no_change]",
        "train.folds=6": "folds: 6",
        "seed=3": "seed: 3",
    }
    lines = adopted(folder, "source=files", *values)
    above = 17  # mappings
    assert len(lines) == len(["-source", "+source", "-set"]) + above + len(values)
    told = {line.removeprefix("+").strip() for line in lines}
    assert {line for line in values.values() if line} <= told


def test_values_of_choices_not_in_force_stay_and_those_in_force_become_what_is_needed(folder):
    params = (
        "set:\n"
        "  estimator:\n"
        "    logistic:\n"
        "      C: 0.5     # strong\n"
        "    lightgbm:\n"
        "      # few\n"
        "      num_leaves: 7\n"
        "      # many\n"
        "      max_bin: 63  # coarse\n"
        "  seed: 4\n"
    )
    then = params.replace("strong", "very").replace("63 ", "31 ")
    write(folder, params)
    assert adopted(folder, "estimator.num_leaves=15", "seed=0", params=params, then=then) == [
        "-      num_leaves: 7",
        "-      max_bin: 31  # coarse",
        "-  seed: 4",
        "+      max_bin: 63  # coarse",
    ]


def test_an_estimator_is_switched_and_the_others_settings_are_kept(folder):
    lines = adopted(folder, "estimator=lightgbm", params=f"estimator: logistic\n{LOGISTIC}")
    assert lines == ["-estimator: logistic", "+estimator: null"]
    assert composed(folder, ["estimator=logistic"])["estimator"]["C"] == 0.5


def test_what_params_yaml_said_of_the_choice_when_the_job_ran_is_told_again(folder):
    lines = adopted(folder, "estimator=logistic", params=LOGISTIC, then="set: {}\n")
    assert "+      C: 0.5" in lines


def test_a_default_that_changed_since_becomes_a_value(folder):
    job(folder)
    path = folder / "conf" / "estimator" / "lightgbm.yaml"
    path.write_text(path.read_text().replace("num_leaves: 15 ", "num_leaves: 31 "))
    said = small.cll(folder, "adopt", "outputs/job")
    assert said.out.startswith("params.yaml: set.estimator.lightgbm.num_leaves: 15\n")


def test_braces_stay_braces_while_they_fit_on_a_line(folder):
    lines = adopted(folder, "estimator=logistic", "estimator.clip=4.5", params=LOGISTIC)
    assert "+set: {estimator: {logistic: {C: 0.5, clip: 4.5}}}" in lines
    words = [f"estimator.{word}" for word in ("impute=mean", "max_iter=500", "solver=lbfgs")]
    lines = adopted(folder, "estimator=logistic", "train.folds=6", *words, params=LOGISTIC)
    assert "+      C: 0.5" in lines


def test_a_list_of_metrics_is_found_again(folder):
    mine = folder / "conf" / "metric" / "mine.yaml"
    mine.write_text("gini: {_target_: cll.components.metric.standard.roc_auc}\n")
    assert adopted(folder, "metric=[standard,mine]")[:1] == ["+metric: [standard, mine]"]
    assert adopted(folder, "metric=[standard,mine]", params="metric: [mine, standard]\n")[:2] == [
        "-metric: [mine, standard]",
        "+metric: [standard, mine]",
    ]
    assert adopted(folder, params="metric: [mine, standard]\n", then="set: {}\n")


def test_a_list_of_triggers_is_found_again_in_its_fewest_choices(folder):
    assert adopted(folder, "trigger=[drift,weekly]")[:1] == ["+trigger: [drift, weekly]"]
    assert adopted(folder, "trigger=[drift,decay,weekly]")[:1] == ["+trigger: [default]"]


def test_it_says_what_it_wrote_and_the_second_time_that_nothing_is_to_do(folder):
    write(folder, PARAMS)
    job(folder, "estimator=logistic", "estimator.C=0.5")
    told = "params.yaml: estimator: logistic; set.estimator.logistic.C: 0.5\nNext: dvc repro\n"
    assert small.cll(folder, "adopt", "outputs/job").out == told
    again = small.cll(folder, "adopt", "outputs/job/")
    assert again.out == "params.yaml: has these values already.\nNext: dvc repro\n"


def test_it_says_what_it_took_out(folder):
    job(folder)
    write(folder, "set: {estimator: {lightgbm: {num_leaves: 3}}}\n")
    said = small.cll(folder, "adopt", "outputs/job")
    assert said.out.startswith("params.yaml: set.estimator.lightgbm.num_leaves: taken out\n")
    assert (folder / "params.yaml").read_text() == "set: {}\n"


def test_lines_that_end_as_on_windows_still_do(folder):
    write(folder, PARAMS)
    job(folder, "estimator=logistic", "estimator.C=0.5")
    (folder / "params.yaml").write_bytes(PARAMS.replace("\n", "\r\n").encode())
    assert small.cll(folder, "adopt", "outputs/job").code == 0
    data = (folder / "params.yaml").read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") > PARAMS.count("\n")


def refused(folder, name="outputs/job"):
    before = (folder / "params.yaml").read_bytes()
    said = small.cll(folder, "adopt", name)
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert (folder / "params.yaml").read_bytes() == before
    return said.code, said.err.removeprefix("cll: ").rstrip("\n")


def test_a_job_that_is_not_there_is_refused(folder):
    says = "nowhere: no such folder; name a job's, below outputs/ or multirun/."
    assert refused(folder, "nowhere") == (2, says)


def test_a_whole_sweep_is_refused_with_its_jobs(folder):
    for number in (0, 2, 10):
        job(folder, name=f"multirun/{number}")
    says = "multirun: a whole sweep; name one of its jobs: multirun/0, multirun/2, ..."
    assert refused(folder, "multirun") == (2, says)


def test_a_folder_without_a_job_is_refused(folder):
    assert refused(folder, "conf")[1].startswith("conf: holds no resolved.yaml, so no job ran here")


def test_a_job_that_failed_is_refused(folder):
    (job(folder) / "metrics.json").unlink()
    says = "outputs/job: metrics.json is not there, so the job failed; name one that ran through."
    assert refused(folder) == (2, says)


def test_a_key_that_was_taken_away_is_refused(folder):
    job(folder, "~estimator.num_leaves")
    assert refused(folder)[1].startswith(
        "estimator.num_leaves: the job has no such key, and params.yaml can only give 15: "
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        (
            "estimator/lightgbm.yaml",
            "path_smooth: 0.0",
            "",
            "estimator.path_smooth: the job has no",
        ),
        (
            "source/synthetic.yaml",
            "entities: 20",
            "entities: 9",
            "fallback.entities: the job has 9",
        ),
    ],
)
def test_a_job_of_another_conf_that_cannot_be_said_is_refused(folder, name, old, new, says):
    path = folder / "conf" / name
    now = path.read_text()
    assert old in now
    path.write_text(now.replace(old, new))
    job(folder, "source=files", "source.fallback=synthetic")
    path.write_text(now)
    assert refused(folder)[1].startswith(says)


@pytest.mark.parametrize(
    ("edit", "code", "says"),
    [
        ({"estimator": {"_target_": "os.system"}}, 4, "estimator._target_=os.system: not a comp"),
        ({"fallback": {"_target_": "os.system"}}, 4, "_target_=os.system: not a component of sou"),
        ({"source": {"path": "${oc.env:HOME}"}}, 4, "${oc.env:...} is refused"),
        ({"source": {"api_key": "x"}}, 4, "a secret may not stand in a config"),
        ({"choices": {"estimator": "../x"}}, 2, "estimator=../x: no such choice; there are: "),
        ({"choices": {"experiment": "x"}}, 2, "experiment=x: no such choice; there are: "),
        ({"choices": {"estimator": ["logistic"]}}, 2, "not what `cll run` writes there"),
        ({"choices": {"estimator": "logistic"}}, 2, "estimator.C: the job has no such key, and "),
        ({"estimator": {"num_leaves": "abc"}}, 2, 'resolved.yaml: estimator.num_leaves="abc": '),
        (
            {"estimator": {"num_leavs": 3}},
            2,
            "resolved.yaml: estimator.num_leavs: unknown key; did",
        ),
        ({"estimator": {"_target_": {}}}, 2, "estimator: names no component"),
        ({"metric": {"f1": None}}, 2, "metric.f1: names no component"),
        ({"seed": "x"}, 2, "resolved.yaml: seed=x: write an integer"),
        ({"source": None}, 2, "not what `cll run` writes there"),
        ({"more": 1}, 2, "not what `cll run` writes there"),
        ({"gate": {"min_gain": float("nan")}}, 2, "not a finite number"),
        (
            {"source": {"path": "${source.start}x"}},
            2,
            "Interpolation key 'source.start' not found.",
        ),
        ({"schema": "other"}, 2, 'schema: the job has "other", and params.yaml can only give "fi'),
    ],
)
def test_a_resolved_yaml_edited_by_hand_is_refused(folder, edit, code, says):
    path = job(folder, "source=files") / "resolved.yaml"
    tree = yaml.safe_load(path.read_text())
    for key, value in edit.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) and tree[key] else value
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    found = refused(folder)
    assert found[0] == code
    assert says in found[1]


@pytest.mark.parametrize("text", ["", "a: [", "- a\n", "a: &a 1\nb: *a\n", "? [a]\n: 1\n"])
def test_a_damaged_resolved_yaml_is_refused(folder, text):
    (job(folder) / "resolved.yaml").write_text(text)
    assert refused(folder)[0] in {2, 4}


def test_columns_in_another_order_are_the_same_columns(folder):
    params = "source: files\nset: {{source: {{files: {{signals: {{columns: {{{}}}}}}}}}}}\n"
    then = params.format("b: y, a: x")
    assert adopted(folder, params=params.format("a: x, b: y"), then=then) == []


def test_a_params_yaml_that_is_wrong_is_not_edited(folder):
    job(folder)
    write(folder, "sett: {}\n")
    assert refused(folder)[1] == "params.yaml: sett: unknown key; did you mean set?"


def test_a_layout_that_cannot_be_followed_is_refused(folder):
    job(folder)
    write(folder, "set: {estimator: {logistic: {C: 2.0}, <<: {lightgbm: {max_bin: 3}}}}\n")
    says = "params.yaml: set.estimator.lightgbm.max_bin can't be edited as it is laid out"
    assert refused(folder)[1].startswith(says)


def test_another_command_that_changes_the_project_is_waited_for(folder):
    job(folder)
    with locks.only_one(folder):
        assert refused(folder)[0] == 5


def test_a_job_that_holds_a_secret_of_the_environment_is_refused(folder, monkeypatch):
    job(folder, "source=files", "source.path=a-canary/b")
    monkeypatch.setenv("STORE_TOKEN", "a-canary")
    before = (folder / "params.yaml").read_bytes()
    code, says = refused(folder)
    assert code == 4
    assert "source.path: the value of the environment variable STORE_TOKEN may not" in says
    assert (folder / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("created", "notes"), [("2026-01-05T00:00:00Z", 0), ("2026-01-04T00:00:00Z", 1), (None, 0)]
)
def test_a_job_of_another_as_of_is_told(folder, created, notes):
    model = job(folder) / "models" / "candidate"
    model.mkdir(parents=True)
    (model / "model.json").write_text(json.dumps({"created": created}))
    said = small.cll(folder, "adopt", "outputs/job")
    assert said.code == 0
    assert said.err.count("made at as_of=2026-01-04T00:00:00Z, where world.yaml has 2026") == notes


def test_the_project_then_gives_the_jobs_figures(tmp_path):
    folder = small.project(tmp_path / "project").root
    words = [*small.CLASSIC, "estimator.C=0.05", "source.rows=400", "seed=5"]
    small.cll(folder, "--quiet", "run", *words, "hydra.run.dir=outputs/job")
    assert small.cll(folder, "adopt", "outputs/job").code == 0
    small.cll(folder, "--quiet", "run", "hydra.run.dir=outputs/again")
    for name in ("metrics.json", "resolved.yaml", "models/candidate/model.json"):
        first, second = (folder / "outputs" / run / name for run in ("job", "again"))
        assert first.read_bytes() == second.read_bytes()


WORDS = [
    "experiment=classic",
    "experiment=electricity",
    "experiment=online_boutique",
    "estimator=logistic",
    "estimator=lightgbm",
    "features=kpi",
    "features=windows",
    "source=files",
    "source=classic",
    "split=grouped",
    "label=outcome",
    "metric=[standard]",
    "seed=9",
    "estimator.C=0.1",
    "estimator.clip=null",
    "estimator.num_leaves=31",
    "features.windows=[2h]",
    "features.lags=[]",
    "gate.floors.roc_auc=null",
    "++gate.ceilings.log_loss=0.5",
    "gate.baselines=[prior]",
    "train.threshold={rule: cost, miss_cost: 3.0}",
    "++source.signals.columns.queue='null'",
    "source.path=elsewhere",
    "label.horizon=1e3",
]
STARTS = [
    PARAMS,
    "set: {}\n",
    "",
    "{experiment: electricity, set: {seed: 3}}\n",
    LOGISTIC,
    "experiment: classic # small\nset:\n  estimator: {lightgbm: {num_leaves: 3}, logistic: {C: 2.0}}\n",
    "set: {seed: 1}\nsource: files\nmetric: [standard]\nestimator: logistic",
]


@given(
    words=st.lists(st.sampled_from(WORDS), max_size=6, unique_by=lambda word: word.split("=")[0]),
    start=st.sampled_from(STARTS),
    then=st.sampled_from(STARTS),
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_for_any_job_the_new_params_yaml_composes_to_its_tree(ws, words, start, then):
    write(ws.root, start)
    try:
        ran = composed(ws.root, words)
    except CllError:
        return  # no job has it
    made = laid_out(ws.root / "outputs" / "job", ran)
    write(ws.root, then)
    adopt.adopt(ws.root, made)
    assert trees.flatten(composed(ws.root)) == trees.flatten(ran)


def test_the_best_job_of_a_sweep_is_what_dvc_repeats_to_the_last_digit(tmp_path):
    project = clone(tmp_path / "project")
    sweep = [*small.CLASSIC, "source.rows=600", "estimator.C=1e-05,0.3,30", "estimator.clip=null"]
    project.run("cll", "run", "-m", *sweep, "hydra.sweep.dir=multirun/one")
    jobs = sorted((project.folder / "multirun" / "one").glob("*/metrics.json"))
    figures = [json.loads(path.read_bytes())["candidate"]["log_loss"]["value"] for path in jobs]
    best = jobs[figures.index(min(figures))]
    said = project.run("cll", "adopt", str(best.parent.relative_to(project.folder)))
    assert "params.yaml: source: classic" in said
    changed = project.run("git", "diff", "--numstat").split()
    assert changed[2:] == ["params.yaml"]
    assert max(map(int, changed[:2])) <= 12
    project.run("dvc", "repro")
    assert project.read("metrics.json").encode() == best.read_bytes()
