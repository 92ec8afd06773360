import json
import shutil
from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from cll.config import components, project
from cll.loop import ask, trigger_input
from cll.loop import world as world_file
from cll.pipeline.compose import compose
from cll.pipeline.dataset import labelled, point_in_time, tables
from cll.replay import prequential, replay, tick_grid
from cll.replay.log import ReplayLog
from cll.system import disk
from cll.types.errors import DataRefused, SecurityRefusal
from cll.types.times import format_instant, parse_instant
from tests.build import small

POLICY = [
    *("source.entities=3", "source.late=0.1", "features.windows=[30m]", "features.lags=[1]"),
    *("estimator=logistic", "label=outcome", "trigger=daily", "replay.first=3d"),
    *("gate.ceilings.calibration_error=null", "gate.baselines=[]", "gate.floors.roc_auc=null"),
    *("train.folds=2", "gate.min_gain=-0.5", "gate.slices=null", "gate.min_positive_blocks=1"),
]
END = "2026-01-08T00:00:00Z"


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    ws = small.project(tmp_path_factory.mktemp("replay") / "project", END)
    tree = small.reproduce(ws, POLICY, last="featurize")
    return replay.History(tables.load(ws), tree)


@pytest.fixture(scope="module")
def ticks(history):
    first = history.data.signals["known_at"].min()
    return tick_grid.between(
        first, parse_instant(END), components.build("replay", history.tree["replay"])
    )


@pytest.fixture(scope="module")
def replayed_log(history, ticks, tmp_path_factory):
    log = ReplayLog(tmp_path_factory.mktemp("replayed_log"))
    list(replay.run_ticks(history, ticks, log))
    return log


def predictions_of(stream, in_force, model):
    return prequential.predict(stream, {"policy": in_force}, model)["policy"]


def decisions(turns):
    """Return the decisions of ticks without their costs."""
    told = [asdict(record) for record in turns]
    return [{k: v for k, v in one.items() if not k.endswith("_seconds")} for one in told]


def test_a_released_model_is_champion_from_the_next_tick_on(replayed_log):
    first = next(i for i, record in enumerate(replayed_log.records) if record.released)
    before, record, after = (
        replayed_log.records[first - 1 : first + 2] if first else (None, *replayed_log.records[:2])
    )
    assert record.champion == "none"
    assert after.champion == record.candidate
    assert before is None or before.champion == "none"


def test_data_known_after_a_tick_do_not_change_its_decisions(
    history, ticks, replayed_log, tmp_path
):
    later = pl.col("known_at") > ticks[2]
    wild = history.data.signals.with_columns(
        pl.when(later).then(pl.lit(1e6)).otherwise("cpu_usage").alias("cpu_usage"),
        pl.when(pl.col("outcome_known_at") > ticks[2])
        .then(1 - pl.col("outcome"))
        .otherwise("outcome"),
    )
    known = replace(history.data, signals=wild)
    of_then = ReplayLog(tmp_path)
    list(replay.run_ticks(replay.History(known, history.tree), ticks[:3], of_then))
    assert decisions(of_then.records) == decisions(replayed_log.records[:3])


def test_an_interrupted_replay_resumes_to_the_same_result(history, ticks, replayed_log, tmp_path):
    begun = ReplayLog(tmp_path)
    for _ in zip(range(2), replay.run_ticks(history, ticks, begun), strict=False):
        pass
    with (tmp_path / "ticks.jsonl").open("a") as file:
        file.write('{"as_of": "2026-01-0')  # killed while it wrote
    again = ReplayLog(tmp_path)
    assert len(again.records) in {2, 3}
    list(replay.run_ticks(history, ticks, again))
    assert decisions(again.records) == decisions(replayed_log.records)
    assert decisions(ReplayLog(tmp_path).records) == decisions(replayed_log.records)


def test_a_log_that_no_replay_wrote_is_refused(tmp_path):
    (tmp_path / "ticks.jsonl").write_text('{"as_of": 3}\n')
    with pytest.raises(DataRefused, match=r"ticks.jsonl: not written by a replay; remove it"):
        ReplayLog(tmp_path)


def test_a_tick_with_too_few_labels_trains_nothing(history, ticks, tmp_path):
    silent = history.data.signals.with_columns(outcome=pl.lit(0.0))
    log = ReplayLog(tmp_path)
    known = replace(history.data, signals=silent)
    record = next(replay.run_ticks(replay.History(known, history.tree), ticks, log))
    assert (record.answer, record.candidate, record.released) == ("refused", "", False)
    assert "only rows with label 0" in record.says


def test_a_config_with_only_the_gates_metrics_gives_the_same_verdict(history, ticks, replayed_log):
    from cll.pipeline.evaluate import stage as evaluate_stage  # noqa: PLC0415  for this test alone
    from cll.pipeline.gate import stage as gate_stage  # noqa: PLC0415  for this test alone

    rows = labelled.build(point_in_time.at(history.data, ticks[-1]), history.tree, ticks[-1])
    made = replayed_log.load_model(
        next(t.candidate for t in reversed(replayed_log.records) if t.candidate)
    )
    told = [
        gate_stage.decide(
            evaluate_stage.judge(
                rows,
                {"candidate": made},
                history.data.incidents,
                history.data.columns.numeric,
                tree,
            ).metrics,
            made.meta,
            history.tree,
            "none",
        )
        for tree in (history.tree, history.gate_only)
    ]
    assert told[0] == told[1]
    assert len(history.gate_only["metric"]) < len(history.tree["metric"])


@pytest.mark.slow
def test_live_ticks_and_a_replay_decide_and_score_the_same(history, ticks, replayed_log, tmp_path):
    ws = small.project(tmp_path / "live", END)
    live, scores, champion, waiting = [], [], "none", None
    for before, instant in zip([None, *ticks], ticks, strict=False):
        world_file.put(ws.root / "world.yaml", "as_of", format_instant(instant))
        serving, champion, waiting = champion, waiting or champion, None
        tree = small.reproduce(ws, POLICY, last="featurize")
        scores.append(came_since(ws, tree, before, instant, serving))
        world_file.put(ws.root / "world.yaml", "champion", champion)
        world = project.read_world(ws.root / "world.yaml")
        triggers = components.build("trigger", tree["trigger"])
        answer = ask.ask(triggers, trigger_input.now(ws, tree, world))
        model_id = says = ""
        if answer.fires:
            small.reproduce(ws, POLICY)
            found = disk.read_json(ws.reports / "verdict.json")
            model_id, says = found["model_id"], found["answer"]
            if says == "promote" and model_id != champion:
                waiting = model_id
                shutil.copytree(ws.candidate, ws.root / "registry" / "models" / model_id)
        live.append(
            (format_instant(instant), champion, answer.fires, model_id, says, bool(waiting))
        )
    replayed = [
        (t.as_of, t.champion, t.fires, t.candidate, t.answer, t.released)
        for t in replayed_log.records
    ]
    assert live == replayed
    assert sum(record.released for record in replayed_log.records) > 1
    stream = prequential.build_stream(history.data, history.tree, ticks)
    own = predictions_of(
        stream, [t.champion for t in replayed_log.records], replayed_log.load_model
    )
    of_models = (
        stream.rows.select("entity", "time")
        .with_columns(
            p=pl.Series(own.p),
            champion=pl.Series([t.champion for t in replayed_log.records]).gather(stream.tick),
        )
        .filter(pl.col("champion") != "none")
    )
    seen = pl.concat([one for one in scores if one is not None]).sort("entity", "time")
    both = of_models.join(seen, on=["entity", "time"], how="left", suffix="_live")
    assert both.height > 1000
    assert (both["p"] == both["p_live"]).all()


def came_since(ws, tree, before, instant, serving):
    """What the model in force says of the rows that stream between two ticks, as of the second."""
    if before is None or serving == "none":
        return None
    world = project.read_world(ws.root / "world.yaml")
    known = tables.load(ws)
    at = point_in_time.scored_at(known, tree)
    told = trigger_input.probability(known, stages_model(ws, serving))
    between = (at > before.timestamp() * 1e6) & (at <= instant.timestamp() * 1e6)
    assert world.as_of == instant
    return (
        known.signals.select("entity", "time")
        .with_columns(p=pl.Series(told))
        .filter(pl.Series(between))
    )


def stages_model(ws, model_id):
    from cll.model import artifact  # noqa: PLC0415  for this test alone

    return artifact.load(ws.root / "registry" / "models" / model_id, model_id)


def test_a_champion_that_stays_keeps_the_time_of_its_training(history, ticks, tmp_path):
    asked = [
        "update=keep",
        "trigger=data",
        "trigger.data.rows=1200",
        "trigger.data.partitions=null",
    ]
    policy = [*(word for word in POLICY if not word.startswith("trigger=")), *asked]
    tree = compose.resolve(small.ROOT / "conf", {}, policy)
    log = ReplayLog(tmp_path)
    for _ in replay.run_ticks(replay.History(history.data, tree), ticks, log):
        pass
    fires = [record.fires for record in log.records]
    # Some 860 rows come in a day: a training that was none lets their number grow on.
    assert fires == [True, False, True, True, True][: len(ticks)]
    assert [record.trained for record in log.records] == [True, *[False] * (len(ticks) - 1)]
    assert {record.candidate for record in log.records if record.fires} == {
        log.records[0].candidate
    }
    begun = ReplayLog(tmp_path)
    assert replay._resumed(begun).trained == ticks[0]


def test_a_late_record_is_scored_when_it_came(history):
    at = point_in_time.scored_at(history.data, history.tree)
    known = history.data.signals["known_at"].dt.epoch("us").to_numpy()
    assert (at == known).all()
    late = history.data.signals.filter(pl.col("known_at") > pl.col("time") + timedelta(minutes=1))
    assert late.height > 100


def test_an_incident_that_ended_later_is_open_at_a_past_instant(tmp_path_factory):
    known = tables.load(small.fleet(tmp_path_factory))
    lasted = known.incidents.filter(pl.col("end") > pl.col("known_at")).row(0, named=True)
    then = point_in_time.at(known, lasted["known_at"])
    same = then.incidents.filter(
        (pl.col("entity") == lasted["entity"]) & (pl.col("start") == lasted["start"])
    )
    assert same["end"].to_list() == [None]
    assert (then.signals["known_at"] <= lasted["known_at"]).all()
    assert then.features.height == then.signals.height


def test_a_replay_also_has_the_figures_of_other_policies(history, ticks, replayed_log):
    lists = prequential.champions_by_policy(replayed_log.records)
    assert set(lists) == {"policy", "first", "newest"}
    assert len({*lists["first"]} - {"none"}) == 1
    assert lists["newest"][1] == replayed_log.records[0].candidate or "none"
    stream = prequential.build_stream(history.data, history.tree, ticks)
    metrics = components.build("metric", history.tree["metric"])
    own = prequential.figures(
        stream, predictions_of(stream, lists["policy"], replayed_log.load_model), metrics
    )
    nothing = prequential.figures(
        stream, predictions_of(stream, ["none"] * len(ticks), replayed_log.load_model), metrics
    )
    assert own["roc_auc"] > nothing["roc_auc"]
    lost = prequential.regret(
        nothing,
        {"policy": own, "no_change": nothing},
        "roc_auc",
        {"roc_auc": "higher", "log_loss": "lower"},
    )
    assert lost["roc_auc"]["best"] == "policy"
    assert np.isclose(lost["roc_auc"]["value"], own["roc_auc"] - nothing["roc_auc"], atol=1e-6)


def test_rows_before_the_first_champion_are_predicted_as_no_change(history, ticks):
    stream = prequential.build_stream(history.data, history.tree, ticks)
    given = predictions_of(stream, ["none"] * len(ticks), None)
    told = ~np.isnan(stream.unchanged)
    assert (given.alert[told] == (stream.unchanged[told] > 0)).all()
    assert ((given.p > 0) & (given.p < 1)).all()


def test_a_first_tick_after_the_last_row_is_refused():
    with pytest.raises(
        DataRefused, match=r"replay.first=14d: the first tick would be at 2026-01-15"
    ):
        tick_grid.between(
            parse_instant("2026-01-01T00:00:00Z"), parse_instant(END), tick_grid.ReplaySettings()
        )


@pytest.mark.slow
def test_the_command_runs_shows_and_resumes_a_replay(tmp_path):
    ws = small.project(tmp_path / "project", "2026-01-06T00:00:00Z")
    said = small.cll(ws.root, "replay", *POLICY, "hydra.run.dir=outputs/out")
    assert said.code == 0, said.err
    assert "the loop" in said.out
    out = ws.root / "outputs" / "out"
    told = json.loads((out / "replay.json").read_text())
    assert told["counts"]["ticks"] == 3
    assert told["counts"]["rows"] == pl.read_parquet(out / "scores.parquet").height
    assert pl.read_csv(out / "over_time.csv")["rows"].sum() == told["counts"]["rows"]
    (out / "replay.json").unlink()
    lines = (out / "ticks.jsonl").read_text().splitlines(keepends=True)
    (out / "ticks.jsonl").write_text("".join(lines[:1]))
    again = small.cll(ws.root, "replay", "--resume", "outputs/out")
    assert again.code == 0, again.err
    same = json.loads((out / "replay.json").read_text())
    assert {k: v for k, v in same.items() if k != "cost"} == {
        k: v for k, v in told.items() if k != "cost"
    }


@pytest.mark.slow
def test_policies_are_compared_in_a_table_and_a_chart(tmp_path):
    ws = small.project(tmp_path / "project", "2026-01-06T00:00:00Z")
    several = [*POLICY, "trigger=never,daily", "hydra/launcher=basic"]
    several.append("hydra.sweep.dir=multirun/out")
    said = small.cll(ws.root, "replay", "-m", *(one for one in several if one != "trigger=daily"))
    assert said.code == 0, said.err
    table = pl.read_csv(ws.root / "multirun/out" / "policies.csv")
    assert sorted(table["trigger"]) == ["daily", "never"]
    assert table["regret_average_precision"].min() >= 0
    assert table.filter(pl.col("trigger") == "never")["trainings"].item() == 1
    assert (ws.root / "multirun/out" / "policies.svg").read_text().startswith("<svg")
    assert "daily" in (ws.root / "multirun/out" / "policies.svg").read_text()
    again = small.cll(ws.root, "leaderboard", "multirun/out")
    assert again.out == said.out
    adopted = small.cll(ws.root, "adopt", str(ws.root / "multirun/out" / "1"))
    assert adopted.code == 0, adopted.err
    assert "trigger: daily" in (ws.root / "params.yaml").read_text()


def test_a_damaged_model_of_a_replay_is_refused_with_a_way_out(replayed_log, tmp_path):
    shutil.copytree(replayed_log.folder, tmp_path / "copy")
    name = next(record.candidate for record in replayed_log.records if record.candidate)
    (tmp_path / "copy" / "models" / name / "model.json").write_text("{}")
    with pytest.raises(SecurityRefusal, match=r"model.json: sha256 is .*; start the replay again"):
        ReplayLog(tmp_path / "copy").load_model(name)
